-- lua_test.lua - handles as Lua numbers: floats that stay exact, in arithmetic,
-- as table keys and as text. Serves until as many requests as it was told have
-- come; what it prints is judged by lua_test.sh.
--
-- SPDX-License-Identifier: Apache-2.0
local apus = require("lua_apus")

local checks = 0

local function check(what, expected, got)
  checks = checks + 1
  if expected ~= got then
    io.stderr:write(string.format("%s: expected %s, got %s\n", what, expected, got))
    os.exit(1)
  end
end

-- A handle goes through what a program may do to a number.
local function mangle(handle)
  check("a float", "float", math.type(handle))
  local text = string.format("%.0f", handle)
  check("as text", handle, tonumber(text) + 0.0)
  check("halved and doubled", handle, handle / 2 * 2)
  local keyed = { [handle] = "found" }
  check("as a key", "found", keyed[handle])
  check("through an integer", handle, math.tointeger(handle) + 0.0)
  return handle
end

for _ = 1, 2000 do
  local server = mangle(apus.make())
  local request = mangle(apus.parse("GET /lua HTTP/1.0\r\n\r\n"))
  check("alive", 1, apus.alive(server))
  check("path", "/lua", apus.path(request))
  check("released", 1, apus.release(request))
  check("released again", 0, apus.release(request))
  check("destroyed", 1, apus.destroy(server))
  check("alive after", 0, apus.alive(server))
end

local server = mangle(apus.make())
local count = tonumber(arg[1])
io.stdout:write(apus.listen(server), "\n")
io.stdout:flush()
for _ = 1, count do
  local request
  repeat request = apus.next(server) until request
  mangle(request)
  check("reply", 0, apus.reply(request, "lua says " .. apus.path(request)))
end
-- Without workers the replies leave in stop at the latest.
check("stopped", 0, apus.stop(server))
check("destroyed", 1, apus.destroy(server))
check("live", 0, apus.live())
io.stdout:write(string.format("lua_test: checks run %d, right %d\n", checks, checks))
