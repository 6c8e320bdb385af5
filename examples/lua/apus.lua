-- apus.lua - libapus for LuaJIT, by its FFI; the declarations are those of apus.h itself.
--
-- All callbacks are called in server:tick(), on the thread that ticks. Closures are kept by
-- the object that they were given to, and not dropped by the library: it may do that on a
-- thread of its own, where no Lua can run.
--
-- SPDX-License-Identifier: Apache-2.0
local ffi = require("ffi")

local apus = {}

local function declarations(path)
  local file = assert(io.open(path))
  local text = file:read("*a")
  file:close()
  text = text:gsub("/%*.-%*/", ""):gsub("\n#[^\n]*", "\n")
  text = text:gsub('extern "C" {', ""):gsub("APUS_API ", ""):gsub("}%s*$", "")
  return text
end

local prefix = os.getenv("APUS_PREFIX") or "/usr/local"
ffi.cdef(declarations(prefix .. "/include/apus.h"))
local C = ffi.load(prefix .. "/lib/libapus.so.1")
apus.C = C

-- ---- errors: tables that turn into a sentence

local Error = {
  __tostring = function(self) return self.message .. " (" .. self.name .. ")" end,
}

local function fail()
  local code = C.apus_last_error()
  error(setmetatable({
    code = code,
    name = ffi.string(C.apus_error_name(code)),
    message = ffi.string(C.apus_last_error_message()),
  }, Error), 0)
end

local function check(result)
  if result < 0 then fail() end
  return tonumber(result)
end

-- Text for a function of C, which would end at a NUL inside.
local function text(value)
  if type(value) == "string" and value:find("\0", 1, true) then error("a NUL inside text", 3) end
  return value
end

-- Text that a function lends.
local function words(result)
  if result == nil then fail() end
  return ffi.string(result)
end

-- Bytes that a function lends, with their length as its last argument; nil: there are none.
local function taken(get, ...)
  local length = ffi.new("size_t[1]")
  local arguments = { ... }
  arguments[#arguments + 1] = length
  local data = get(unpack(arguments))
  if data ~= nil then return ffi.string(data, length[0]) end
  if C.apus_last_error() ~= C.APUS_E_NOT_FOUND then fail() end
end

-- ---- handles: what is made here ends with the last reference to it, or by close()

local function class(name)
  local made = { name = name }
  made.__index = made
  function made.close(self)
    return C["apus_" .. name .. "_destroy"](self.handle)
  end
  -- Calls apus_NAME_set_OPTION().
  function made.set(self, option, ...)
    for index = 1, select("#", ...) do
      local value, behind = select(index, ...)
      if type(behind) ~= "number" then text(value) end -- else bytes, and how many
    end
    check(C["apus_" .. name .. "_set_" .. option](self.handle, ...))
    return self
  end
  return made
end

local function own(kind, handle, fields)
  if handle == 0 then fail() end
  local self = setmetatable(fields or {}, kind)
  self.handle = handle
  -- A table has no finalizer in Lua 5.1; a box of the FFI has.
  self.guard = ffi.gc(ffi.new("uint64_t[1]", handle), function(box)
    C["apus_" .. kind.name .. "_destroy"](box[0])
  end)
  return self
end

-- ---- callbacks: one of C for each type, since there is room for few of them. They find
-- ---- the Lua function by the context, a number.

local functions = setmetatable({}, { __mode = "v" })
local last = 0

local function keep(keeper, fn)
  last = last + 1
  local box = { fn = fn }
  functions[last] = box
  keeper[#keeper + 1] = box
  return ffi.cast("void *", last)
end

local function call(box, after, ...) after(box.fn(...)) end
jit.off(call) -- what is compiled would keep the function alive

-- Whether the function went through, and then after(...) with what it returns. An error of
-- either is reported, and ends here: it must not cross the frames of C.
local function run(context, after, ...)
  local box = functions[tonumber(ffi.cast("intptr_t", context))]
  if box == nil then return false end
  local good, problem = pcall(call, box, after, ...)
  if not good then
    local _, said = pcall(tostring, problem)
    io.stderr:write("a callback failed: ", tostring(said), "\n")
  end
  return good
end

local function nothing() end

local Request, Stream, Channel = class("request"), class("writer"), class("channel")

local on_request = ffi.cast("apus_handler_fn", function(context, handle)
  local function answer(reply)
    if reply == nil then return end
    if type(reply) ~= "string" then
      error("a handler returns a string or nothing, not a " .. type(reply), 0)
    end
    check(C.apus_reply(handle, 0, "text/plain; charset=utf-8", reply, #reply))
  end
  if not run(context, answer, setmetatable({ handle = handle }, Request)) then
    C.apus_reply_status(handle, 500)
  end
end)

local on_events = ffi.cast("apus_events_fn", function(context, writer, handle)
  local stream = setmetatable({ handle = writer }, Stream)
  if run(context, nothing, stream, setmetatable({ handle = handle }, Request)) then
    C.apus_writer_end(writer)
  end
  C.apus_writer_destroy(writer)
end)

local on_message = ffi.cast("apus_message_fn", function(context, handle, opcode, data, length)
  local channel = setmetatable({ handle = handle }, Channel)
  local is_text = opcode == C.APUS_OPCODE_TEXT
  if not run(context, nothing, channel, ffi.string(data, length), is_text) then
    C.apus_channel_close(handle, 1011, nil, 0)
  end
end)

local on_open = ffi.cast("apus_open_fn", function() end)

-- ---- requests: what a handler returns is the reply, as text

function Request:path() return words(C.apus_request_path(self.handle)) end
function Request:method() return words(C.apus_request_method_name(self.handle)) end
function Request:body() return taken(C.apus_request_body, self.handle) end
function Request:header(name) return taken(C.apus_request_header, self.handle, text(name)) end
function Request:param(name) return taken(C.apus_request_param, self.handle, text(name)) end
function Request:query(name) return taken(C.apus_request_query_param, self.handle, text(name)) end

function Request:set_header(name, value)
  check(C.apus_reply_set_header(self.handle, text(name), text(value)))
end

function Request:reply(status, kind, body)
  check(C.apus_reply(self.handle, status, text(kind), body, #body))
end

function Stream:send(data, id, event)
  local name = id and tostring(id)
  check(C.apus_writer_event(self.handle, text(event), text(name), data, #data))
end

-- ---- servers

local Server = class("server")

function apus.server()
  return own(Server, C.apus_server_make(), { kept = {} })
end

function Server:listen(host, port)
  local index = check(C.apus_server_listen(self.handle, text(host), port))
  return check(C.apus_server_port(self.handle, index))
end

function Server:route(method, pattern, fn)
  check(C.apus_server_route_named(self.handle, text(method), text(pattern), on_request,
    keep(self.kept, fn), nil))
end

function Server:get(pattern, fn) self:route("GET", pattern, fn) end
function Server:post(pattern, fn) self:route("POST", pattern, fn) end

function Server:events(pattern, fn)
  local context = keep(self.kept, fn)
  check(C.apus_server_events(self.handle, text(pattern), on_events, context, nil))
end

-- fn takes a channel, a message, and whether that is text.
function Server:websocket(pattern, fn)
  local route = check(C.apus_server_websocket(self.handle, text(pattern), on_open, nil, nil))
  check(C.apus_server_on_message(self.handle, route, on_message, keep(self.kept, fn), nil))
end

function Server:start() check(C.apus_server_start(self.handle)) end
function Server:event_fd() return check(C.apus_server_event_fd(self.handle)) end
function Server:tick(timeout) return check(C.apus_server_tick(self.handle, timeout)) end
function Server:stop() check(C.apus_server_stop(self.handle)) end

-- What calls back into Lua must not be compiled.
for _, fn in ipairs({ Server.tick, Server.stop }) do jit.off(fn, true) end

-- ---- clients

local Client, Fetch, Response = class("client"), class("fetch"), class("response")

function apus.client() return own(Client, C.apus_client_make()) end

-- One request over a connection of its own.
function apus.get(url) return own(Response, C.apus_get(text(url), nil)) end

-- A request that start() sends; wait() is true when it is done.
function Client:fetch(method, url)
  local handle = C.apus_fetch_make(self.handle, text(method), text(url))
  return own(Fetch, handle, { client = self })
end

function Fetch:start() check(C.apus_fetch_start(self.handle)) end
function Fetch:wait(timeout) return check(C.apus_fetch_wait(self.handle, timeout)) == 1 end

function Fetch:response()
  check(C.apus_fetch_result(self.handle))
  local handle = C.apus_fetch_response(self.handle)
  check(C.apus_response_keep(handle))
  return own(Response, handle)
end

function Response:status() return check(C.apus_response_status(self.handle)) end
function Response:body() return taken(C.apus_response_body, self.handle) end
function Response:header(name) return taken(C.apus_response_header, self.handle, text(name)) end

-- Begins to open a WebSocket; wait_open() is true when it is.
function Client:open(url)
  local channel = own(Channel, C.apus_channel_make(self.handle), { client = self })
  check(C.apus_channel_open(channel.handle, text(url)))
  return channel
end

function Channel:wait_open(timeout)
  return check(C.apus_channel_wait_open(self.handle, timeout or -1)) == 1
end

function Channel:send(data, is_text)
  local send = is_text and C.apus_channel_send_text or C.apus_channel_send_binary
  check(send(self.handle, data, #data))
end

-- A message and whether it is text; nil when the channel has closed or the time has passed.
function Channel:receive(timeout)
  local message = ffi.new("apus_message")
  local result = C.apus_channel_recv(self.handle, message, timeout or -1)
  if result == 0 or result == C.APUS_E_CLOSED then return nil end
  check(result)
  return ffi.string(message.data, message.length), message.opcode == C.APUS_OPCODE_TEXT
end

function Channel:hang_up(code) check(C.apus_channel_close(self.handle, code or 1000, nil, 0)) end

return apus
