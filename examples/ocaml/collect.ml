(* What the garbage collector may do, by assertions. *)
open Apus

let expect held what = if not held then failwith ("not so: " ^ what)

(* Collects until something holds that finalisers bring about. *)
let eventually what holds =
  let limit = Unix.gettimeofday () +. 20. in
  while not (holds ()) do
    expect (Unix.gettimeofday () < limit) what;
    Gc.full_major ()
  done

(* Adds a handler which alone refers to something, and to its server. *)
let keep server =
  let held = ref (server, Thread.id (Thread.self ())) in
  let weak = Weak.create 1 in
  Weak.set weak 0 (Some held);
  Server.get server "/load" (fun request ->
      let owner, thread = !held in
      let same = owner == server && thread = Thread.id (Thread.self ()) in
      Request.text request 200 (string_of_bool same));
  weak

(* Asks a server that runs on this thread, while the collector works. *)
let check_handlers () =
  let server = Server.make () in
  let weak = keep server in
  let url = Printf.sprintf "http://127.0.0.1:%d/load" (Server.listen server "127.0.0.1" 0) in
  let answers = ref [] in
  let ask () =
    Fun.protect
      ~finally:(fun () -> Server.stop server)
      (fun () ->
        for _ = 1 to 20 do
          Gc.full_major ();
          answers := Client.get url :: !answers
        done)
  in
  let thread = Thread.create ask () in
  Server.run server;
  Thread.join thread;
  expect (!answers = List.init 20 (fun _ -> (200, "true"))) "handlers run on the thread of run";
  Gc.full_major ();
  expect (Weak.check weak 0) "a handler lives as long as its server";
  Server.close server;
  Server.close server;
  weak

let fails f = match f () with _ -> false | exception Error (_, name, _) -> name = "APUS_E_HANDLE"

(* Ends a server, a client and a socket in one order, twice. *)
let check_order order =
  let server = Server.make () and peer = Server.make () and client = Client.make () in
  Server.websocket peer "/echo" Channel.send;
  let url = Printf.sprintf "ws://127.0.0.1:%d/echo" (Server.listen peer "127.0.0.1" 0) in
  let thread = Thread.create Server.run peer in
  let socket = Socket.connect client url in
  let ends =
    [|
      (fun () -> Server.close server); (fun () -> Client.close client);
      (fun () -> Socket.close socket);
    |]
  in
  let finish which =
    ends.(which) ();
    Gc.full_major ()
  in
  List.iter finish (order @ order);
  Server.stop peer;
  Thread.join thread;
  Server.close peer;
  expect (fails (fun () -> Server.listen server "127.0.0.1" 0)) "an ended server says so";
  expect (fails (fun () -> Socket.send socket (Text ""))) "an ended socket says so"

(* Text with a NUL inside is refused before the call. *)
let check_text () =
  let refused use = match use () with _ -> false | exception Invalid_argument _ -> true in
  let server = Server.make () and client = Client.make () in
  expect (refused (fun () -> Server.get server "/a\000b" ignore)) "a pattern";
  expect (refused (fun () -> Server.listen server "127.0.0.1\000" 0)) "a host";
  expect (refused (fun () -> Socket.connect client "ws://127.0.0.1:9/\000")) "a URL";
  expect (refused (fun () -> Client.get "http://127.0.0.1:9/\000")) "another";
  Server.close server;
  Client.close client

(* Makes objects and closes none. *)
let leave () =
  ignore (Client.make ());
  keep (Server.make ())

let run () =
  let weak = check_handlers () in
  eventually "a handler is let go with its server" (fun () -> not (Weak.check weak 0));
  List.iter check_order
    [ [ 0; 1; 2 ]; [ 0; 2; 1 ]; [ 1; 0; 2 ]; [ 1; 2; 0 ]; [ 2; 0; 1 ]; [ 2; 1; 0 ] ];
  check_text ();
  expect (live () = 0) "all that was closed has ended";
  let weak = leave () in
  expect (live () = 2) "there are a client and a server";
  eventually "the collector ends what nobody refers to" (fun () ->
      live () = 0 && not (Weak.check weak 0));
  print_endline "gc ok"
