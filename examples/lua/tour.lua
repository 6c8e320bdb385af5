-- tour.lua - the binding in one program: tour.lua serve | get URL | ws URL TEXT
local ffi = require("ffi")
local apus = require("apus")

ffi.cdef([[
  struct pollfd { int fd; short events; short revents; };
  int poll(struct pollfd *watched, unsigned long count, int timeout_ms);
  ssize_t read(int descriptor, void *buffer, size_t capacity);
]])
local POLLIN = 1

local commands = {}

-- Serves until standard input ends.
function commands.serve()
  local server = apus.server()
  server:get("/hello/:name", function(request)
    return "Hello, " .. request:param("name") .. "!\n"
  end)
  server:get("/fail", function() error("this handler always fails") end)
  server:events("/events", function(stream)
    for number = 1, 3 do stream:send("tick " .. number, number) end
  end)
  server:websocket("/echo", function(channel, message, is_text)
    channel:send(message, is_text)
  end)
  print(("http://127.0.0.1:%d/"):format(server:listen("127.0.0.1", 0)))
  io.stdout:flush()
  server:start()
  local watched = ffi.new("struct pollfd[2]", { { 0, POLLIN }, { server:event_fd(), POLLIN } })
  local bytes = ffi.new("char[512]")
  repeat
    ffi.C.poll(watched, 2, -1)
    server:tick(0)
  until watched[0].revents ~= 0 and ffi.C.read(0, bytes, 512) <= 0
  server:stop()
end

function commands.get(url)
  io.write(apus.get(url):body())
end

function commands.ws(url, text)
  local channel = apus.client():open(url)
  channel:wait_open()
  channel:send(text, true)
  print((channel:receive()))
  channel:hang_up()
  channel:receive() -- until the peer has answered that
end

local good, problem = pcall(commands[arg[1]], arg[2], arg[3])
if not good then
  io.stderr:write("tour: ", tostring(problem), "\n")
  os.exit(1)
end
