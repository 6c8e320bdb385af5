-- lifetimes.lua - what garbage collection may do to the binding: "gc ok" if all holds.
local ffi = require("ffi")
local apus = require("apus")

ffi.cdef("unsigned long pthread_self(void);")

local function collect()
  for _ = 1, 4 do collectgarbage() end
end

local function live() return apus.C.apus_live_count(0) end

-- A server with a route "/", and a weak reference to the route's function.
local function serve(fn)
  local server = apus.server()
  local seen = setmetatable({ fn }, { __mode = "v" })
  server:get("/", fn)
  return server, server:listen("127.0.0.1", 0), seen
end

local function ask(server, client, port)
  local fetch = client:fetch("GET", ("http://127.0.0.1:%d/"):format(port))
  fetch:start()
  while not fetch:wait(0) do server:tick(10) end
  return fetch:response()
end

-- Called on the thread that ticks; kept while it can be called; released afterwards.
local function test_kept()
  local own, threads = ffi.C.pthread_self(), 0
  local server, port, seen = serve(function()
    collect()
    if ffi.C.pthread_self() == own then threads = threads + 1 end
    return "seen"
  end)
  local client = apus.client()
  server:start()
  for _ = 1, 20 do
    collect()
    assert(seen[1] ~= nil, "a route's function is gone")
    assert(ask(server, client, port):body() == "seen")
  end
  assert(threads == 20, "a handler ran on another thread")
  server:stop()
  server, client = nil, nil
  collect()
  assert(seen[1] == nil, "a route's function stays")
end

-- A server that its own handler refers to, and nobody else.
local function self_referring()
  local server
  server = serve(function() return tostring(server) end)
  return setmetatable({ server }, { __mode = "v" })
end

local function test_cycle()
  local seen = self_referring()
  collect()
  assert(seen[1] == nil and live() == 0, "a cycle stays")
end

-- A server, a client and an open channel between them, which has echoed something.
local function connect()
  local server, client = apus.server(), apus.client()
  server:websocket("/", function(channel, message) channel:send(message, true) end)
  local port = server:listen("127.0.0.1", 0)
  server:start()
  local channel = client:open(("ws://127.0.0.1:%d/"):format(port))
  while not channel:wait_open(0) do server:tick(10) end
  channel:send("x", true)
  local answer
  while not answer do
    server:tick(10)
    answer = channel:receive(0)
  end
  assert(answer == "x")
  return { server, client, channel }
end

-- They go in each order, by the collector or by hand, and twice.
local function test_orders()
  for first = 1, 3 do
    for second = 1, 3 do
      for _, by_hand in ipairs(first ~= second and { false, true } or {}) do
        local objects = connect()
        for _, index in ipairs({ first, second, 6 - first - second }) do
          if by_hand then
            assert(objects[index]:close() <= 1 and objects[index]:close() == 0)
          end
          objects[index] = false
          collect()
        end
        assert(live() == 0, live() .. " handles stay")
      end
    end
  end
end

local function test_stale()
  local server = apus.server()
  assert(server:close() == 1 and server:close() == 0)
  local good, problem = pcall(server.listen, server, "127.0.0.1", 0)
  assert(not good and problem.name == "APUS_E_HANDLE")
end

-- A request that a handler has kept is an error once it has ended.
local function test_stale_request()
  local server, client, kept = apus.server(), apus.client(), nil
  server:get("/", function(request)
    kept = request
    return request:method() .. request:path()
  end)
  local port = server:listen("127.0.0.1", 0)
  server:start()
  assert(ask(server, client, port):body() == "GET/")
  for _, name in ipairs({ "method", "path", "body", "header" }) do
    local good, problem = pcall(kept[name], kept, name == "header" and "Host" or nil)
    assert(not good and problem.name == "APUS_E_HANDLE", name)
  end
  server:stop()
end

-- What a handler returns that is no text is an error of the handler's, and no more.
local function test_results()
  local results = { 5, true, {}, setmetatable({}, { __tostring = error }), "fine" }
  local server, client, calls = apus.server(), apus.client(), 0
  server:get("/", function()
    calls = calls + 1
    return results[calls]
  end)
  local port = server:listen("127.0.0.1", 0)
  server:start()
  for number, result in ipairs(results) do
    local status = ask(server, client, port):status()
    assert(status == (result == "fine" and 200 or 500), number .. " gives " .. status)
  end
  server:stop()
end

-- Text with a NUL inside is refused before the call; bodies may have them.
local function test_nul()
  local server, client = apus.server(), apus.client()
  local function refused(fn, ...)
    local good, problem = pcall(fn, ...)
    assert(not good and tostring(problem):find("NUL", 1, true), tostring(problem))
  end
  refused(server.get, server, "/a\0b", print)
  refused(server.listen, server, "127.0.0.1\0", 0)
  refused(client.set, client, "header", "X", "a\0b")
  refused(client.fetch, client, "GET", "http://127.0.0.1/\0")
  refused(apus.get, "http://127.0.0.1:9/\0")
  server:get("/", function(request)
    refused(request.header, request, "A\0")
    refused(request.set_header, request, "A", "b\0c")
    return "d\0e"
  end)
  local port = server:listen("127.0.0.1", 0)
  server:start()
  assert(ask(server, client, port):body() == "d\0e")
  server:stop()
end

test_kept()
test_nul()
test_cycle()
test_results()
test_orders()
test_stale()
test_stale_request()
collect()
assert(live() == 0)
print("gc ok")
