/* apus_node.h - what the two halves of the addon share. */
#ifndef APUS_NODE_H
#define APUS_NODE_H

#include <apus.h>
#include <node_api.h>
#include <stdbool.h>
#include <uv.h>

/* A server or a client. It is the data of a JavaScript object, and holds on to that only
 * while something may happen: what else the handlers refer to is the collector's. */
typedef struct host {
  napi_env env;
  napi_ref object;
  napi_async_context async;
  uv_poll_t poll;
  bool is_server, is_watched, is_closed;
  int pending; /* what keeps the object, and the process, alive */
  uint64_t handle;
} host;

/* The context of a callback: which of its object's handlers is meant. */
typedef struct hook {
  host *host;
  int32_t index;
} hook;

enum { MOST = 5 };

typedef struct arguments {
  napi_env env;
  napi_value values[MOST];
} arguments;

/* ---- errors and arguments */

napi_value fail(napi_env env);
/* The result of a function as a number, or an exception. */
napi_value result(napi_env env, int64_t number);
napi_value handle_value(napi_env env, uint64_t handle);
arguments take(napi_env env, napi_callback_info info);
int64_t number(const arguments *a, int at);
/* A copy of a string, to be freed; NULL for what is none. */
char *text(const arguments *a, int at, size_t *length);
host *host_of(const arguments *a, int at);

/* ---- hosts */

hook *make_hook(host *h, int64_t index);
void emit(const hook *hook, size_t count, napi_value *values);
bool watch(host *h);
void hold(host *h);
void let_go(host *h);
/* Text as a string, other bytes as a buffer. */
napi_value message_value(napi_env env, int32_t opcode, const void *data, size_t length);

/* Fills in the functions of node_calls.c. */
napi_value add_calls(napi_env env, napi_value exports);

#endif
