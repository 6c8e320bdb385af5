## What the collector of ORC may do, by assertions.
import std/strformat
import apus

type Held = ref object
  server: Server
  thread: int

var released = 0

proc finalize(held: Held) = inc released

proc expect(held: bool, what: string) =
  if not held: quit("not so: " & what)

proc keep(server: Server) =
  ## Adds a handler which alone refers to something, and to its server: a circle.
  var held: Held
  new(held, finalize)
  held.server = server
  held.thread = getThreadId()
  server.get("/load") do (request: Request):
    let same = held.server == server and held.thread == getThreadId()
    request.text(200, $same)

var answers: array[20, bool]
var asked: bool

proc ask(port: int) {.thread.} =
  for answer in answers.mitems:
    try: answer = get(&"http://127.0.0.1:{port}/load").body == "true"
    except ApusError: discard
  atomicStoreN(addr asked, true, ATOMIC_SEQ_CST)

proc checkHandlers() =
  ## Asks a server that ticks on this thread, and collects meanwhile.
  let server = newServer()
  keep(server)
  let port = server.listen("127.0.0.1", 0)
  server.start()
  var thread: Thread[int]
  createThread(thread, ask, port)
  while not atomicLoadN(addr asked, ATOMIC_SEQ_CST):
    server.tick(100)
    GC_fullCollect()
  joinThread(thread)
  for answer in answers: expect(answer, "handlers run on the thread that ticks")
  expect(released == 0, "a handler lives as long as its server")
  server.close()
  server.close()

template expectFailure(use: untyped) =
  try:
    use
    expect(false, "what has ended says so")
  except ApusError as error:
    expect(error.code == -1, "the reason is " & error.msg)

proc checkOrders() =
  ## Ends a server, a client and its socket in each order, twice.
  for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]]:
    let server = newServer()
    let client = newClient()
    let socket = client.newSocket()
    for round in 1 .. 2:
      for which in order:
        case which
        of 0: server.close()
        of 1: client.close()
        else: socket.close()
        GC_fullCollect()
    expectFailure: discard server.listen("127.0.0.1", 0)
    expectFailure: socket.send(Message(data: ""))

proc checkText() =
  ## Text with a NUL inside is refused before the call.
  let server = newServer()
  doAssertRaises(ValueError): server.get("/a\0b", proc (request: Request) = discard)
  doAssertRaises(ValueError): discard server.listen("127.0.0.1\0", 0)
  doAssertRaises(ValueError): discard get("http://127.0.0.1:9/\0")
  server.close()

proc leave() =
  ## Makes objects and closes none.
  keep(newServer())
  discard newClient().newSocket()

proc collectGarbage*() =
  checkHandlers()
  GC_fullCollect()
  expect(released == 1, "a handler is let go with its server")
  checkOrders()
  checkText()
  expect(live() == 0, "all that was closed has ended")
  leave()
  GC_fullCollect()
  expect(released == 2 and live() == 0, "what nobody refers to is ended")
  echo "gc ok"
