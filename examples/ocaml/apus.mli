(** A small binding of libapus: an HTTP, WebSocket and SSE server whose handlers run in
    {!Server.run}, and a client.

    What is made here ends with its [close], or once the collector has taken it; to use it
    afterwards raises {!Error}. A handler may raise: that is reported on standard error, and
    a request without a reply gets a 500. *)

(** The code, its name and a sentence. *)
exception Error of int * string * string

type message = Text of string | Binary of string

(** How many objects of the library are live, to find leaks. *)
val live : unit -> int

module Request : sig
  (** Good until its handler returns. *)
  type t

  (** A part of the path that the pattern names. *)
  val param : t -> string -> string option

  (** Replies with plain text. *)
  val text : t -> int -> string -> unit
end

module Writer : sig
  (** A stream of events, until it ends or its client leaves. *)
  type t

  val event : t -> id:string -> string -> unit
  val finish : t -> unit
end

module Channel : sig
  (** A server's end of a WebSocket. *)
  type t

  val send : t -> message -> unit
end

module Server : sig
  type t

  val make : unit -> t
  val close : t -> unit
  val get : t -> string -> (Request.t -> unit) -> unit
  val events : t -> string -> (Writer.t -> Request.t -> unit) -> unit
  val websocket : t -> string -> (Channel.t -> message -> unit) -> unit

  (** Binds a port, 0 for any free one, and gives it. *)
  val listen : t -> string -> int -> int

  (** Serves on this thread until {!stop}. *)
  val run : t -> unit

  (** Ends {!run}, from any thread. *)
  val stop : t -> unit
end

module Client : sig
  (** What sockets live on. *)
  type t

  val make : unit -> t
  val close : t -> unit

  (** Fetches a URL: status and body. *)
  val get : string -> int * string
end

module Socket : sig
  (** A client's end of a WebSocket. *)
  type t

  (** Connects to a URL, as [ws://host:port/path]. *)
  val connect : Client.t -> string -> t

  val send : t -> message -> unit

  (** Waits for a message. *)
  val receive : t -> message

  (** Closes it, and waits for the peer to do so. *)
  val close : t -> unit
end
