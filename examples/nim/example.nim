## The example: a server and a client.
import std/[os, posix, strformat]
import apus, collect

proc hello(request: Request) =
  request.text(200, &"Hello, {request.param(\"name\")}!\n")

proc ticks(writer: Writer, request: Request) =
  for id in 1 .. 3: writer.event($id, &"tick {id}")
  writer.finish()

proc echo(channel: WsChannel, message: Message) = channel.send(message)

proc fail(request: Request) = raise newException(ValueError, "on purpose")

proc inputGoesOn(): bool =
  ## Reads what is there of standard input.
  var bytes: array[4096, char]
  read(0, addr bytes, sizeof bytes) > 0

proc serve() =
  let server = newServer()
  server.get("/hello/:name", hello)
  server.get("/fail", fail)
  server.events("/events", ticks)
  server.webSocket("/echo", echo)
  let port = server.listen("127.0.0.1", 0)
  server.start()
  echo &"http://127.0.0.1:{port}/"
  stdout.flushFile()
  # One loop waits for the server and for the end of its input.
  var watched = [TPollfd(fd: 0, events: POLLIN), TPollfd(fd: server.descriptor, events: POLLIN)]
  while true:
    discard poll(addr watched[0], watched.len.Tnfds, -1)
    if watched[1].revents != 0: server.tick()
    if watched[0].revents != 0 and not inputGoesOn(): break
  server.stop()

proc talk(url, text: string) =
  let socket = newClient().newSocket()
  socket.open(url)
  socket.send(Message(data: text))
  echo socket.receive().data
  socket.close()

try:
  let words = commandLineParams()
  if words == @["serve"]: serve()
  elif words == @["gc"]: collectGarbage()
  elif words.len == 2 and words[0] == "get": stdout.write(get(words[1]).body)
  elif words.len == 3 and words[0] == "ws": talk(words[1], words[2])
  else: quit("usage: example serve | get URL | ws URL TEXT | gc")
except ApusError as error:
  quit(error.msg)
