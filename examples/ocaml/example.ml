(* The example: a server and a client. *)
open Apus

exception On_purpose

let hello request =
  let name = Option.value (Request.param request "name") ~default:"" in
  Request.text request 200 (Printf.sprintf "Hello, %s!\n" name)

let ticks writer _ =
  for id = 1 to 3 do
    Writer.event writer ~id:(string_of_int id) (Printf.sprintf "tick %d" id)
  done;
  Writer.finish writer

(* It ends with its input, or with a signal. *)
let stop_at_end server =
  let stop _ = Server.stop server in
  List.iter
    (fun signal -> Sys.set_signal signal (Sys.Signal_handle stop))
    [ Sys.sigint; Sys.sigterm ];
  let rec read () = match input_char stdin with _ -> read () | exception End_of_file -> stop 0 in
  ignore (Thread.create read ())

let serve () =
  let server = Server.make () in
  Server.get server "/hello/:name" hello;
  Server.get server "/fail" (fun _ -> raise On_purpose);
  Server.events server "/events" ticks;
  Server.websocket server "/echo" Channel.send;
  Printf.printf "http://127.0.0.1:%d/\n%!" (Server.listen server "127.0.0.1" 0);
  stop_at_end server;
  Server.run server;
  Server.close server

let talk url text =
  let client = Client.make () in
  let socket = Socket.connect client url in
  Socket.send socket (Text text);
  (match Socket.receive socket with Text answer | Binary answer -> print_endline answer);
  Socket.close socket;
  Client.close client

let () =
  try
    match List.tl (Array.to_list Sys.argv) with
    | [ "serve" ] -> serve ()
    | [ "get"; url ] -> print_string (snd (Client.get url))
    | [ "ws"; url; text ] -> talk url text
    | [ "gc" ] -> Collect.run ()
    | _ -> failwith "usage: example serve | get URL | ws URL TEXT | gc"
  with (Error _ | Failure _) as error ->
    prerr_endline (match error with Failure words -> words | _ -> Printexc.to_string error);
    exit 1
