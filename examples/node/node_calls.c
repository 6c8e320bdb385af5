/* node_calls.c - requests, writers and channels by their handles, and what a client does. */
#include "apus_node.h"

#include <stdlib.h>

/* ---- requests and writers: numbers, which are harmless when they have ended */

static uint64_t handle(const arguments *a) { return (uint64_t)number(a, 0); }

/* param(request, name): a string, or undefined. */
static napi_value param(napi_env env, napi_callback_info info) {
  arguments a = take(env, info);
  napi_value value = NULL;
  size_t length = 0;
  char *name = text(&a, 1, NULL);
  const char *found = apus_request_param(handle(&a), name, &length);
  if (found != NULL) napi_create_string_utf8(env, found, length, &value);
  free(name);
  return value;
}

/* reply(request, status, text) */
static napi_value reply(napi_env env, napi_callback_info info) {
  arguments a = take(env, info);
  size_t length = 0;
  char *body = text(&a, 2, &length);
  int32_t code =
      apus_reply(handle(&a), (int32_t)number(&a, 1), "text/plain; charset=utf-8", body, length);
  free(body);
  return result(env, code);
}

/* 1, or 0 for a request that was answered already. */
static napi_value defer(napi_env env, napi_callback_info info) {
  arguments a = take(env, info);
  int32_t code = apus_request_defer(handle(&a));
  return result(env, code == APUS_E_STATE ? 0 : code == APUS_OK ? 1 : code);
}

static napi_value give_up(napi_env env, napi_callback_info info) {
  arguments a = take(env, info);
  return result(env, apus_request_destroy(handle(&a)));
}

/* event(writer, id, data) */
static napi_value event(napi_env env, napi_callback_info info) {
  arguments a = take(env, info);
  size_t length = 0;
  char *id = text(&a, 1, NULL);
  char *data = text(&a, 2, &length);
  int32_t code = apus_writer_event(handle(&a), NULL, id, data, length);
  free(id);
  free(data);
  return result(env, code);
}

static napi_value end(napi_env env, napi_callback_info info) {
  arguments a = take(env, info);
  return result(env, apus_writer_end(handle(&a)));
}

/* 1, or 0 where there is nothing to break off any more. */
static napi_value abort_writer(napi_env env, napi_callback_info info) {
  arguments a = take(env, info);
  return result(env, apus_writer_abort(handle(&a)) == APUS_OK);
}

/* send(channel, message): a string, or a buffer. */
static napi_value send_message(napi_env env, napi_callback_info info) {
  arguments a = take(env, info);
  size_t length = 0;
  void *data = NULL;
  bool is_buffer = false;
  napi_is_buffer(env, a.values[1], &is_buffer);
  if (is_buffer && napi_get_buffer_info(env, a.values[1], &data, &length) == napi_ok)
    return result(env, apus_channel_send_binary(handle(&a), data, length));
  char *words = text(&a, 1, &length);
  int32_t code = apus_channel_send_text(handle(&a), words, length);
  free(words);
  return result(env, code);
}

static napi_value close_channel(napi_env env, napi_callback_info info) {
  arguments a = take(env, info);
  return result(env, apus_channel_close(handle(&a), 1000, NULL, 0));
}

static napi_value live(napi_env env, napi_callback_info info) {
  (void)info;
  return result(env, apus_live_count(0));
}

/* ---- clients */

static void tell(const hook *hook, const char *what, napi_value first, napi_value second) {
  napi_value name;
  napi_create_string_utf8(hook->host->env, what, NAPI_AUTO_LENGTH, &name);
  emit(hook, 3, (napi_value[]){name, first, second});
}

/* emit(index, "done", status, body) or emit(index, "error", code, message) */
static void on_complete(void *context, apus_fetch fetch, apus_response response, int32_t code) {
  const hook *hook = context;
  host *h = hook->host;
  napi_value first, second;
  if (code == APUS_OK) {
    size_t length = 0;
    const char *body = apus_response_body(response, &length);
    napi_create_int32(h->env, apus_response_status(response), &first);
    napi_create_buffer_copy(h->env, length, body, NULL, &second);
    tell(hook, "done", first, second);
  } else {
    apus_fetch_result(fetch); /* for its sentence */
    napi_create_string_utf8(h->env, apus_error_name(code), NAPI_AUTO_LENGTH, &first);
    napi_create_string_utf8(h->env, apus_last_error_message(), NAPI_AUTO_LENGTH, &second);
    tell(hook, "error", first, second);
  }
  apus_fetch_destroy(fetch);
  let_go(h);
}

/* get(client, url, index) */
static napi_value get(napi_env env, napi_callback_info info) {
  arguments a = take(env, info);
  host *h = host_of(&a, 0);
  if (!watch(h)) return fail(env);
  char *url = text(&a, 1, NULL);
  apus_fetch fetch = apus_fetch_make(h->handle, "GET", url);
  free(url);
  if (fetch == 0) return fail(env);
  int32_t code = apus_fetch_on_complete(fetch, on_complete, make_hook(h, number(&a, 2)), free);
  if (code == APUS_OK) code = apus_fetch_start(fetch);
  if (code < 0) {
    fail(env);
    apus_fetch_destroy(fetch);
    return NULL;
  }
  hold(h);
  return NULL;
}

static void on_open(void *context, apus_channel channel) {
  const hook *hook = context;
  tell(hook, "open", handle_value(hook->host->env, channel), NULL);
}

static void on_message(void *context, apus_channel channel, int32_t opcode, const void *data,
                       size_t length) {
  const hook *hook = context;
  napi_env env = hook->host->env;
  tell(hook, "message", message_value(env, opcode, data, length), handle_value(env, channel));
}

static void on_error(void *context, apus_channel channel, int32_t error, const char *words,
                     size_t length) {
  const hook *hook = context;
  napi_value first, second;
  (void)channel;
  napi_create_string_utf8(hook->host->env, apus_error_name(error), NAPI_AUTO_LENGTH, &first);
  napi_create_string_utf8(hook->host->env, words, length, &second);
  tell(hook, "error", first, second);
}

/* Comes once for each channel that was opened, as the last. */
static void on_close(void *context, apus_channel channel, int32_t code, const char *reason,
                     size_t length) {
  const hook *hook = context;
  host *h = hook->host;
  napi_value first, second;
  napi_create_int32(h->env, code, &first);
  napi_create_string_utf8(h->env, reason, length, &second);
  tell(hook, "close", first, second);
  apus_channel_destroy(channel);
  let_go(h);
}

/* connect(client, url, index) */
static napi_value connect_channel(napi_env env, napi_callback_info info) {
  arguments a = take(env, info);
  host *h = host_of(&a, 0);
  int64_t index = number(&a, 2);
  if (!watch(h)) return fail(env);
  char *url = text(&a, 1, NULL);
  apus_channel channel = apus_channel_make(h->handle);
  int32_t code = channel == 0 ? -1 : APUS_OK;
  if (code == APUS_OK) code = apus_channel_on_open(channel, on_open, make_hook(h, index), free);
  if (code == APUS_OK)
    code = apus_channel_on_message(channel, on_message, make_hook(h, index), free);
  if (code == APUS_OK) code = apus_channel_on_error(channel, on_error, make_hook(h, index), free);
  if (code == APUS_OK) code = apus_channel_on_close(channel, on_close, make_hook(h, index), free);
  if (code == APUS_OK) code = apus_channel_open(channel, url);
  free(url);
  if (code < 0) {
    fail(env);
    apus_channel_destroy(channel);
    return NULL;
  }
  hold(h);
  return NULL;
}

napi_value add_calls(napi_env env, napi_value exports) {
  static const struct {
    const char *name;
    napi_callback function;
  } calls[] = {
      {"param", param},
      {"reply", reply},
      {"defer", defer},
      {"giveUp", give_up},
      {"event", event},
      {"end", end},
      {"abort", abort_writer},
      {"send", send_message},
      {"get", get},
      {"connect", connect_channel},
      {"live", live},
      {"close", close_channel},
  };
  for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
    napi_value function;
    napi_create_function(env, calls[i].name, NAPI_AUTO_LENGTH, calls[i].function, NULL, &function);
    napi_set_named_property(env, exports, calls[i].name, function);
  }
  return exports;
}
