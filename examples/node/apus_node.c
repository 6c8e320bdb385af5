/*
 * apus_node.c - libapus for Node.js: functions for apus.js, by Node-API. A server or a
 * client is driven by libuv, which watches its descriptor, so that every callback comes
 * on the thread of JavaScript.
 */
#include "apus_node.h"

#include <stdlib.h>

/* ---- errors */

static napi_value make_error(napi_env env, int32_t code, const char *message) {
  napi_value name, text, error;
  napi_create_string_utf8(env, apus_error_name(code), NAPI_AUTO_LENGTH, &name);
  napi_create_string_utf8(env, message, NAPI_AUTO_LENGTH, &text);
  napi_create_error(env, name, text, &error);
  return error;
}

napi_value fail(napi_env env) {
  napi_throw(env, make_error(env, apus_last_error(), apus_last_error_message()));
  return NULL;
}

/* The result of a function as a number, or an exception. */
napi_value result(napi_env env, int64_t number) {
  napi_value value;
  if (number < 0) return fail(env);
  return napi_create_int64(env, number, &value) == napi_ok ? value : NULL;
}

napi_value handle_value(napi_env env, uint64_t handle) {
  napi_value value = NULL; /* 52 bits: a number holds them */
  napi_create_int64(env, (int64_t)handle, &value);
  return value;
}

/* ---- arguments */

arguments take(napi_env env, napi_callback_info info) {
  arguments a = {.env = env};
  size_t count = MOST;
  napi_get_cb_info(env, info, &count, a.values, NULL, NULL);
  return a;
}

int64_t number(const arguments *a, int at) {
  int64_t value = 0;
  napi_get_value_int64(a->env, a->values[at], &value);
  return value;
}

/* A copy of a string, to be freed; NULL for what is none. */
char *text(const arguments *a, int at, size_t *length) {
  size_t size = 0;
  if (napi_get_value_string_utf8(a->env, a->values[at], NULL, 0, &size) != napi_ok) return NULL;
  char *copy = malloc(size + 1);
  if (copy != NULL) napi_get_value_string_utf8(a->env, a->values[at], copy, size + 1, &size);
  if (length != NULL) *length = size;
  return copy;
}

/* The host of an object that was made here; another object's is never live. */
host *host_of(const arguments *a, int at) {
  static host none;
  void *data = NULL;
  if (napi_unwrap(a->env, a->values[at], &data) != napi_ok) return &none;
  return data;
}

/* ---- from libuv to JavaScript */

/* Calls object.emit(index, ...). The emitter catches what handlers throw. */
void emit(const hook *hook, size_t count, napi_value *values) {
  host *h = hook->host;
  napi_value object = NULL, function, all[MOST];
  napi_get_reference_value(h->env, h->object, &object);
  if (object == NULL) return;
  napi_get_named_property(h->env, object, "emit", &function);
  napi_create_int32(h->env, hook->index, &all[0]);
  for (size_t i = 0; i < count; i++) {
    all[i + 1] = values[i];
    if (values[i] == NULL) napi_get_undefined(h->env, &all[i + 1]);
  }
  if (napi_make_callback(h->env, h->async, object, function, count + 1, all, NULL) !=
      napi_pending_exception)
    return;
  napi_value error;
  napi_get_and_clear_last_exception(h->env, &error);
  napi_fatal_exception(h->env, error);
}

static void readable(uv_poll_t *poll, int status, int events) {
  host *h = poll->data;
  napi_handle_scope scope;
  (void)status, (void)events;
  napi_open_handle_scope(h->env, &scope);
  if (h->is_server)
    apus_server_tick(h->handle, 0);
  else
    apus_client_tick(h->handle, 0);
  napi_close_handle_scope(h->env, scope);
}

/* Watches the descriptor of a host that has started. */
bool watch(host *h) {
  if (h->is_watched) return true;
  uv_loop_t *loop;
  int fd = h->is_server ? apus_server_event_fd(h->handle) : apus_client_event_fd(h->handle);
  if (fd < 0 || napi_get_uv_event_loop(h->env, &loop) != napi_ok) return false;
  if (uv_poll_init(loop, &h->poll, fd) != 0) return false;
  h->poll.data = h;
  h->is_watched = true;
  uv_unref((uv_handle_t *)&h->poll);
  return uv_poll_start(&h->poll, UV_READABLE, readable) == 0;
}

void hold(host *h) {
  if (h->pending++ > 0) return;
  uv_ref((uv_handle_t *)&h->poll);
  napi_reference_ref(h->env, h->object, NULL);
}

void let_go(host *h) {
  if (h->pending == 0 || --h->pending > 0) return;
  uv_unref((uv_handle_t *)&h->poll);
  napi_reference_unref(h->env, h->object, NULL);
}

static void poll_closed(uv_handle_t *poll) { free(poll->data); }

/* Ends the watch, and then the library's object, whose the descriptor is. The memory stays for the
 * JavaScript object. */
static void shut(host *h) {
  if (h->is_closed) return;
  h->is_closed = true;
  if (h->is_watched) uv_poll_stop(&h->poll);
  if (h->is_server)
    apus_server_destroy(h->handle);
  else
    apus_client_destroy(h->handle);
  if (h->pending > 0) {
    h->pending = 1;
    let_go(h);
  }
}

/* The collector has taken the object. */
static void finalize(napi_env env, void *data, void *hint) {
  host *h = data;
  (void)hint;
  shut(h);
  napi_async_destroy(env, h->async);
  napi_delete_reference(env, h->object);
  if (h->is_watched)
    uv_close((uv_handle_t *)&h->poll, poll_closed);
  else
    free(h);
}

/* make(object, isServer) */
static napi_value make(napi_env env, napi_callback_info info) {
  arguments a = take(env, info);
  host *h = calloc(1, sizeof *h);
  napi_value name;
  if (h == NULL) return NULL;
  h->env = env;
  napi_get_value_bool(env, a.values[1], &h->is_server);
  h->handle = h->is_server ? apus_server_make() : apus_client_make();
  if (h->handle == 0) return free(h), fail(env);
  napi_create_string_utf8(env, "apus", NAPI_AUTO_LENGTH, &name);
  napi_async_init(env, a.values[0], name, &h->async);
  napi_wrap(env, a.values[0], h, finalize, NULL, &h->object);
  return NULL;
}

static napi_value destroy(napi_env env, napi_callback_info info) {
  arguments a = take(env, info);
  host *h = host_of(&a, 0);
  if (h->env != NULL) shut(h);
  return NULL;
}

hook *make_hook(host *h, int64_t index) {
  hook *new = malloc(sizeof *new);
  if (new == NULL) napi_fatal_error("apus", NAPI_AUTO_LENGTH, "no memory", NAPI_AUTO_LENGTH);
  *new = (hook){h, (int32_t)index};
  return new;
}

/* ---- servers */

static void on_request(void *context, apus_request request) {
  hook *hook = context;
  napi_value value = handle_value(hook->host->env, request);
  emit(hook, 1, &value);
}

static void on_events(void *context, apus_writer writer, apus_request request) {
  hook *hook = context;
  napi_env env = hook->host->env;
  apus_writer_detach(writer);
  emit(hook, 2, (napi_value[]){handle_value(env, writer), handle_value(env, request)});
}

napi_value message_value(napi_env env, int32_t opcode, const void *data, size_t length) {
  napi_value message = NULL;
  if (opcode == APUS_OPCODE_TEXT)
    napi_create_string_utf8(env, data, length, &message);
  else
    napi_create_buffer_copy(env, length, data, NULL, &message);
  return message;
}

static void on_message(void *context, apus_channel channel, int32_t opcode, const void *data,
                       size_t length) {
  hook *hook = context;
  napi_env env = hook->host->env;
  napi_value message = message_value(env, opcode, data, length);
  emit(hook, 2, (napi_value[]){handle_value(env, channel), message});
}

/* A route needs a function, or its channels are for apus_server_next(). */
static void on_open(void *context, apus_channel channel, apus_request request) {
  (void)context, (void)channel, (void)request;
}

enum { ROUTE_GET, ROUTE_EVENTS, ROUTE_WEBSOCKET };

/* route(server, kind, pattern, index): kind is one of the above. */
static napi_value route(napi_env env, napi_callback_info info) {
  arguments a = take(env, info);
  host *h = host_of(&a, 0);
  char *pattern = text(&a, 2, NULL);
  hook *hook = make_hook(h, number(&a, 3));
  int32_t code = APUS_E_ARGUMENT;
  switch (number(&a, 1)) {
    case ROUTE_GET:
      code = apus_server_get(h->handle, pattern, on_request, hook, free);
      break;
    case ROUTE_EVENTS:
      code = apus_server_events(h->handle, pattern, on_events, hook, free);
      break;
    default:
      code = apus_server_websocket(h->handle, pattern, on_open, NULL, NULL);
      if (code >= 0)
        code = apus_server_on_message(h->handle, code, on_message, hook, free);
      else
        free(hook);
  }
  free(pattern);
  return result(env, code);
}

/* start(server, host, port): gives the port. The watch is for one descriptor, so once. */
static napi_value start(napi_env env, napi_callback_info info) {
  arguments a = take(env, info);
  host *h = host_of(&a, 0);
  if (h->is_watched && !h->is_closed)
    return napi_throw_error(env, NULL, "the server has listened before"), NULL;
  char *name = text(&a, 1, NULL);
  int32_t listener = apus_server_listen(h->handle, name, (int32_t)number(&a, 2));
  free(name);
  if (listener < 0 || apus_server_start(h->handle) < 0) return fail(env);
  if (!watch(h)) return napi_throw_error(env, NULL, "libuv cannot watch the server"), NULL;
  hold(h);
  return result(env, apus_server_port(h->handle, listener));
}

/* The watch ends first: the descriptor is good until the stop. Then the server can be
 * collected. */
static napi_value stop(napi_env env, napi_callback_info info) {
  arguments a = take(env, info);
  host *h = host_of(&a, 0);
  if (h->is_watched) uv_poll_stop(&h->poll);
  int32_t code = apus_server_stop(h->handle);
  if (h->env != NULL) let_go(h);
  return result(env, code);
}

NAPI_MODULE_INIT() {
  static const napi_property_descriptor functions[] = {
      {"make", NULL, make, NULL, NULL, NULL, napi_enumerable, NULL},
      {"destroy", NULL, destroy, NULL, NULL, NULL, napi_enumerable, NULL},
      {"route", NULL, route, NULL, NULL, NULL, napi_enumerable, NULL},
      {"start", NULL, start, NULL, NULL, NULL, napi_enumerable, NULL},
      {"stop", NULL, stop, NULL, NULL, NULL, napi_enumerable, NULL},
  };
  napi_define_properties(env, exports, sizeof functions / sizeof *functions, functions);
  return add_calls(env, exports);
}
