exception Error of int * string * string

let () = Callback.register_exception "Apus.Error" (Error (0, "", ""))

let () =
  Printexc.register_printer (function
    | Error (_, name, message) -> Some (Printf.sprintf "%s (%s)" message name)
    | _ -> None)

type message = Text of string | Binary of string

(* A handle is an integer, harmless once its object has ended. *)
type handle = int

external make_handle : bool -> handle = "apus_ml_make"
external destroy : handle -> unit = "apus_ml_destroy"
external live : unit -> int = "apus_ml_live"

let text_opcode = 1
let binary_opcode = 2

external send : handle -> int -> string -> unit = "apus_ml_send"

let send channel = function
  | Text text -> send channel text_opcode text
  | Binary bytes -> send channel binary_opcode bytes

let message opcode bytes = if opcode = text_opcode then Text bytes else Binary bytes

module Request = struct
  type t = handle

  external param : t -> string -> string option = "apus_ml_param"
  external text : t -> int -> string -> unit = "apus_ml_reply"
end

module Writer = struct
  type t = handle

  external event : t -> id:string -> string -> unit = "apus_ml_event"
  external finish : t -> unit = "apus_ml_end"
  external abort : t -> unit = "apus_ml_abort"
end

module Channel = struct
  type t = handle

  let send = send
end

module Server = struct
  type handler =
    | Get of (Request.t -> unit)
    | Events of (Writer.t -> Request.t -> unit)
    | Message of (Channel.t -> message -> unit)

  (* The server has its handlers, and the library their indices: a handler may refer to its
     server, and be collected with it. *)
  type t = { handle : handle; mutable handlers : handler array; mutable stopping : bool }

  external add_get : handle -> string -> int -> unit = "apus_ml_get"
  external add_events : handle -> string -> int -> unit = "apus_ml_events"
  external add_websocket : handle -> string -> int -> unit = "apus_ml_websocket"
  external listen : handle -> string -> int -> int = "apus_ml_listen"
  external start : handle -> unit = "apus_ml_start"
  external wake : handle -> unit = "apus_ml_wake"
  external tick : handle -> (int -> handle -> int -> string -> unit) -> int -> int = "apus_ml_tick"

  let close server = destroy server.handle

  let make () =
    let server = { handle = make_handle true; handlers = [||]; stopping = false } in
    Gc.finalise close server;
    server

  let add server register pattern handler =
    register server.handle pattern (Array.length server.handlers);
    server.handlers <- Array.append server.handlers [| handler |]

  let get server pattern handler = add server add_get pattern (Get handler)
  let events server pattern handler = add server add_events pattern (Events handler)
  let websocket server pattern handler = add server add_websocket pattern (Message handler)
  let listen server host port = listen server.handle host port

  (* What C calls: nothing may be raised into it. *)
  let emit server index handle more bytes =
    try
      match server.handlers.(index) with
      | Get handler -> handler handle
      | Message handler -> handler handle (message more bytes)
      | Events handler -> (
          try handler handle more
          with error ->
            Writer.abort handle;
            raise error)
    with error -> prerr_endline ("a handler failed: " ^ Printexc.to_string error)

  let run server =
    start server.handle;
    while not server.stopping do
      ignore (tick server.handle (emit server) 1000)
    done;
    ignore (tick server.handle (emit server) (-1))

  let stop server =
    server.stopping <- true;
    wake server.handle
end

module Client = struct
  type t = { handle : handle }

  external get : string -> int * string = "apus_ml_fetch"

  let close client = destroy client.handle

  let make () =
    let client = { handle = make_handle false } in
    Gc.finalise close client;
    client
end

module Socket = struct
  type t = { handle : handle; client : Client.t }

  external connect : handle -> string -> handle = "apus_ml_connect"
  external recv : handle -> int * string = "apus_ml_recv"
  external close : handle -> unit = "apus_ml_close"

  let connect (client : Client.t) url =
    let socket = { handle = connect client.handle url; client } in
    (* The collector does not wait for a peer. *)
    Gc.finalise (fun socket -> destroy socket.handle) socket;
    socket

  let send socket message = send socket.handle message

  let receive socket =
    let opcode, bytes = recv socket.handle in
    ignore (Sys.opaque_identity socket.client);
    message opcode bytes

  let close socket = close socket.handle
end
