## A small binding of libapus: an HTTP, WebSocket and SSE server whose handlers run in
## `tick`, and a client. Servers, clients and sockets end with their last reference, or by
## `close`; to use one afterwards raises.

{.passL: "-lapus".}

type
  Handle = uint64
  Message* = object
    ## Of a WebSocket.
    binary*: bool
    data*: string
  Request* = distinct Handle ## Good until its handler returns.
  Writer* = distinct Handle ## A stream of events, until it ends or its client leaves.
  WsChannel* = distinct Handle ## A server's end of a WebSocket.
  ApusError* = object of CatchableError
    code*: int32 ## One of apus.h.

  Hook = ref object ## What a callback's context points to.
    onRequest: proc (request: Request)
    onEvents: proc (writer: Writer, request: Request)
    onMessage: proc (channel: WsChannel, message: Message)
  ServerObject = object
    handle: Handle
    hooks: seq[Hook]
  Server* = ref ServerObject
  ClientObject = object
    handle: Handle
  Client* = ref ClientObject
  SocketObject = object
    handle: Handle
    client: Client
  Socket* = ref SocketObject ## A client's end of a WebSocket.

  DropProc = proc (context: pointer) {.cdecl.}
  RequestProc = proc (context: pointer, request: Handle) {.cdecl.}
  PairProc = proc (context: pointer, handle, request: Handle) {.cdecl.}
  MessageProc = proc (context: pointer, channel: Handle, opcode: int32, data: pointer,
                      length: csize_t) {.cdecl.}
  RawMessage {.bycopy.} = object ## `apus_message`, whose layout is frozen.
    opcode, last: int32
    data: pointer
    length: csize_t
    reserved: array[4, uint64]

const opText = 1'i32
const opBinary = 2'i32

{.push importc, cdecl.}
proc apus_last_error(): int32
proc apus_last_error_message(): cstring
proc apus_error_name(code: int32): cstring
proc apus_live_count(kind: int32): int32
proc apus_server_make(): Handle
proc apus_server_destroy(server: Handle): int32
proc apus_server_listen(server: Handle, host: cstring, port: int32): int32
proc apus_server_port(server: Handle, listener: int32): int32
proc apus_server_start(server: Handle): int32
proc apus_server_stop(server: Handle): int32
proc apus_server_tick(server: Handle, timeout: int32): int32
proc apus_server_event_fd(server: Handle): int32
proc apus_server_get(server: Handle, pattern: cstring, fn: RequestProc, context: pointer,
                     drop: DropProc): int32
proc apus_server_events(server: Handle, pattern: cstring, fn: PairProc, context: pointer,
                        drop: DropProc): int32
proc apus_server_websocket(server: Handle, pattern: cstring, fn: PairProc, context: pointer,
                           drop: DropProc): int32
proc apus_server_on_message(server: Handle, route: int32, fn: MessageProc, context: pointer,
                            drop: DropProc): int32
proc apus_request_param(request: Handle, name: cstring, length: ptr csize_t): pointer
proc apus_reply(request: Handle, status: int32, kind: cstring, data: cstring,
                length: csize_t): int32
proc apus_writer_event(writer: Handle, event, id, data: cstring, length: csize_t): int32
proc apus_writer_end(writer: Handle): int32
proc apus_writer_abort(writer: Handle): int32
proc apus_writer_detach(writer: Handle): int32
proc apus_client_make(): Handle
proc apus_client_destroy(client: Handle): int32
proc apus_channel_make(host: Handle): Handle
proc apus_channel_open(channel: Handle, url: cstring): int32
proc apus_channel_wait_open(channel: Handle, timeout: int32): int32
proc apus_channel_send(channel: Handle, opcode, last: int32, data: cstring,
                       length: csize_t): int32
proc apus_channel_recv(channel: Handle, message: ptr RawMessage, timeout: int32): int32
proc apus_channel_close(channel: Handle, code: int32, reason: cstring, length: csize_t): int32
proc apus_channel_destroy(channel: Handle): int32
proc apus_get(url, headers: cstring): Handle
proc apus_response_status(response: Handle): int32
proc apus_response_body(response: Handle, length: ptr csize_t): pointer
proc apus_response_destroy(response: Handle): int32
{.pop.}

proc fail() {.noreturn.} =
  let code = apus_last_error()
  raise (ref ApusError)(code: code,
    msg: $apus_last_error_message() & " (" & $apus_error_name(code) & ")")

proc check(code: int32): int32 {.discardable.} =
  if code < 0: fail()
  code

proc checkHandle(handle: Handle): Handle =
  if handle == 0: fail()
  handle

proc text(value: string): cstring =
  ## For C, where it would end at a NUL inside.
  if '\0' in value: raise newException(ValueError, "a NUL inside text")
  value.cstring

proc copied(data: pointer, length: csize_t): string =
  result = newString(length)
  if length > 0: copyMem(addr result[0], data, length)

proc live*(): int =
  ## How many objects of the library there are, to find leaks.
  apus_live_count(0)

# ---- requests, writers and channels

proc param*(request: Request, name: string): string =
  ## A part of the path that the pattern names, or "".
  var length: csize_t
  let value = apus_request_param(request.Handle, text(name), addr length)
  if value != nil: result = copied(value, length)

proc text*(request: Request, status: int, body: string) =
  ## Replies with plain text.
  check apus_reply(request.Handle, status.int32, "text/plain; charset=utf-8", body.cstring,
                   body.len.csize_t)

proc event*(writer: Writer, id, data: string) =
  check apus_writer_event(writer.Handle, nil, text(id), data, data.len.csize_t)

proc finish*(writer: Writer) =
  check apus_writer_end(writer.Handle)

proc send(channel: Handle, message: Message) =
  let opcode = if message.binary: opBinary else: opText
  check apus_channel_send(channel, opcode, 1, message.data.cstring, message.data.len.csize_t)

proc send*(channel: WsChannel, message: Message) =
  send(channel.Handle, message)

# ---- the server

proc `=destroy`(server: var ServerObject) =
  discard apus_server_destroy(server.handle)
  `=destroy`(server.hooks)

proc newServer*(): Server =
  Server(handle: checkHandle(apus_server_make()))

proc close*(server: Server) =
  discard apus_server_destroy(server.handle)

template guard(body: untyped): bool =
  ## Nothing may be raised into C; whether all went well.
  try:
    body
    true
  except Exception as error:
    stderr.writeLine("a handler failed: ", error.msg)
    false

proc onRequest(context: pointer, request: Handle) {.cdecl.} =
  let hook = cast[Hook](context)
  discard guard(hook.onRequest(request.Request))

proc onEvents(context: pointer, writer, request: Handle) {.cdecl.} =
  let hook = cast[Hook](context)
  discard apus_writer_detach(writer)
  if not guard(hook.onEvents(writer.Writer, request.Request)):
    discard apus_writer_abort(writer)

proc onMessage(context: pointer, channel: Handle, opcode: int32, data: pointer,
               length: csize_t) {.cdecl.} =
  let hook = cast[Hook](context)
  let message = Message(binary: opcode == opBinary, data: copied(data, length))
  discard guard(hook.onMessage(channel.WsChannel, message))

# A route needs a function, or its channels are for apus_server_next().
proc onOpen(context: pointer, channel, request: Handle) {.cdecl.} = discard

proc keep(server: Server, hook: Hook): pointer =
  ## The server keeps what its callbacks refer to: they come in `tick` alone.
  server.hooks.add(hook)
  cast[pointer](hook)

proc get*(server: Server, pattern: string, handler: proc (request: Request)) =
  ## Answers GET requests. What the handler raises is reported, and is a 500.
  let context = server.keep(Hook(onRequest: handler))
  check apus_server_get(server.handle, text(pattern), onRequest, context, nil)

proc events*(server: Server, pattern: string,
             handler: proc (writer: Writer, request: Request)) =
  ## Answers with a stream of events.
  let context = server.keep(Hook(onEvents: handler))
  check apus_server_events(server.handle, text(pattern), onEvents, context, nil)

proc webSocket*(server: Server, pattern: string,
                handler: proc (channel: WsChannel, message: Message)) =
  ## Takes messages of channels.
  let context = server.keep(Hook(onMessage: handler))
  let route = check apus_server_websocket(server.handle, text(pattern), onOpen, nil, nil)
  check apus_server_on_message(server.handle, route, onMessage, context, nil)

proc listen*(server: Server, host: string, port: int): int =
  ## Binds a port, 0 for any free one, and tells which it is.
  let listener = check apus_server_listen(server.handle, text(host), port.int32)
  check apus_server_port(server.handle, listener)

proc start*(server: Server) =
  check apus_server_start(server.handle)

proc tick*(server: Server, timeout = 0) =
  ## Calls the handlers of what is there, after waiting so many milliseconds for it.
  check apus_server_tick(server.handle, timeout.int32)

proc descriptor*(server: Server): cint =
  ## Is readable when there is something to tick.
  check apus_server_event_fd(server.handle)

proc stop*(server: Server) =
  ## Lets what is under way finish.
  check apus_server_stop(server.handle)

# ---- the client

proc get*(url: string): tuple[status: int, body: string] =
  ## Fetches a URL.
  let response = checkHandle(apus_get(text(url), nil))
  defer: discard apus_response_destroy(response)
  var length: csize_t
  let body = apus_response_body(response, addr length)
  (apus_response_status(response).int, copied(body, length))

proc `=destroy`(client: var ClientObject) =
  discard apus_client_destroy(client.handle)

proc newClient*(): Client =
  Client(handle: checkHandle(apus_client_make()))

proc close*(client: Client) =
  discard apus_client_destroy(client.handle)

proc `=destroy`(socket: var SocketObject) =
  discard apus_channel_destroy(socket.handle)
  `=destroy`(socket.client)

proc newSocket*(client: Client): Socket =
  Socket(handle: checkHandle(apus_channel_make(client.handle)), client: client)

proc open*(socket: Socket, url: string) =
  ## Connects to a URL, as ws://host:port/path, and waits until that is done.
  check apus_channel_open(socket.handle, text(url))
  check apus_channel_wait_open(socket.handle, -1)

proc send*(socket: Socket, message: Message) =
  send(socket.handle, message)

proc receive*(socket: Socket): Message =
  ## Waits for a message.
  var message: RawMessage
  check apus_channel_recv(socket.handle, addr message, -1)
  Message(binary: message.opcode == opBinary, data: copied(message.data, message.length))

proc close*(socket: Socket) =
  ## Closes it, and waits for the peer to do so.
  var message: RawMessage
  if apus_channel_close(socket.handle, 1000, nil, 0) == 0:
    while apus_channel_recv(socket.handle, addr message, 5000) > 0: discard
  discard apus_channel_destroy(socket.handle)
