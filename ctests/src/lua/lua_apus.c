/*
 * lua_apus.c - a Lua module of a dozen functions over the library, to show that
 * a handle survives in a language whose numbers are doubles: each handle is
 * pushed as a lua_Number that is a float, and comes back from one. Built by
 * scripts/lua_test.sh, which runs scripts/lua_test.lua's questions against it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <apus.h>

#include <lauxlib.h>
#include <lua.h>

/* Always as a float: lua_pushinteger() would keep all 64 bits. */
static int push_handle(lua_State *lua, uint64_t handle) {
  lua_pushnumber(lua, (lua_Number)handle);
  return 1;
}

static uint64_t to_handle(lua_State *lua, int index) {
  return (uint64_t)luaL_checknumber(lua, index);
}

static int push_result(lua_State *lua, int32_t result) {
  lua_pushinteger(lua, result);
  return 1;
}

static int make(lua_State *lua) {
  apus_server server = apus_server_make();
  apus_server_set_workers(server, 0);
  return push_handle(lua, server);
}

static int destroy(lua_State *lua) {
  return push_result(lua, apus_server_destroy(to_handle(lua, 1)));
}

static int alive(lua_State *lua) {
  return push_result(lua, apus_server_is_alive(to_handle(lua, 1)));
}

static int listen_anywhere(lua_State *lua) {
  apus_server server = to_handle(lua, 1);
  int32_t listener = apus_server_listen(server, "127.0.0.1", 0);
  if (listener < 0 || apus_server_start(server) < 0) {
    return luaL_error(lua, "%s", apus_last_error_message());
  }
  return push_result(lua, apus_server_port(server, listener));
}

/* The next request as a number, or nil. */
static int next_request(lua_State *lua) {
  apus_event event;
  int32_t result = apus_server_next(to_handle(lua, 1), &event, 20000);
  if (result < 0) return luaL_error(lua, "%s", apus_last_error_message());
  if (result == 0) return 0;
  return push_handle(lua, event.handle);
}

static int path(lua_State *lua) {
  const char *text = apus_request_path(to_handle(lua, 1));
  if (text == NULL) return luaL_error(lua, "%s", apus_last_error_message());
  lua_pushstring(lua, text);
  return 1;
}

static int reply(lua_State *lua) {
  size_t length;
  const char *body = luaL_checklstring(lua, 2, &length);
  return push_result(lua, apus_reply(to_handle(lua, 1), 200, "text/plain", body, length));
}

static int parse(lua_State *lua) {
  size_t length;
  const char *text = luaL_checklstring(lua, 1, &length);
  return push_handle(lua, apus_request_parse(text, length, NULL));
}

static int release(lua_State *lua) {
  return push_result(lua, apus_request_destroy(to_handle(lua, 1)));
}

static int stop(lua_State *lua) { return push_result(lua, apus_server_stop(to_handle(lua, 1))); }

static int live(lua_State *lua) { return push_result(lua, apus_live_count(0)); }

int luaopen_lua_apus(lua_State *lua);

int luaopen_lua_apus(lua_State *lua) {
  static const luaL_Reg functions[] = {
      {"make", make},         {"destroy", destroy}, {"alive", alive}, {"listen", listen_anywhere},
      {"next", next_request}, {"path", path},       {"reply", reply}, {"parse", parse},
      {"release", release},   {"stop", stop},       {"live", live},   {NULL, NULL},
  };
  luaL_newlib(lua, functions);
  return 1;
}
