/*
 * apus_stubs.c - libapus for OCaml. Handles are OCaml's integers, which have 63 bits. The
 * handlers belong to OCaml, too: callbacks come inside tick and stop alone, whose caller
 * gives the function that finds them, and a context is the index that it is called with.
 */
#include <apus.h>
#include <caml/alloc.h>
#include <caml/callback.h>
#include <caml/fail.h>
#include <caml/memory.h>
#include <caml/mlvalues.h>
#include <caml/threads.h>

/* ---- results: a number, or the exception Apus.Error (code, name, message) */

static value fail(void) {
  CAMLparam0();
  CAMLlocal2(name, message);
  int32_t code = apus_last_error();
  message = caml_copy_string(apus_last_error_message());
  name = caml_copy_string(apus_error_name(code));
  value arguments[] = {Val_long(code), name, message};
  caml_raise_with_args(*caml_named_value("Apus.Error"), 3, arguments);
  CAMLnoreturn;
}

static value number(int64_t result) { return result < 0 ? fail() : Val_long(result); }

static value handle(uint64_t result) { return result == 0 ? fail() : Val_long(result); }

/* ---- callbacks */

/* The function of the tick that runs on this thread: index -> object -> int -> bytes ->
 * unit. It catches all exceptions. */
static _Thread_local const value *emit;

static void call(void *context, uint64_t object, int64_t more, const void *data, size_t length) {
  caml_acquire_runtime_system();
  {
    CAMLparam0();
    CAMLlocal1(bytes);
    bytes = caml_alloc_initialized_string(length, data);
    value arguments[] = {Val_long((intptr_t)context), Val_long(object), Val_long(more), bytes};
    caml_callbackN_exn(*emit, 4, arguments);
    CAMLdrop;
  }
  caml_release_runtime_system();
}

static void on_request(void *context, apus_request request) { call(context, request, 0, "", 0); }

static void on_events(void *context, apus_writer writer, apus_request request) {
  apus_writer_detach(writer);
  call(context, writer, (int64_t)request, "", 0);
}

static void on_message(void *context, apus_channel channel, int32_t opcode, const void *data,
                       size_t length) {
  call(context, channel, opcode, data, length);
}

/* A route needs a function, or its channels are for apus_server_next(). */
static void on_open(void *context, apus_channel channel, apus_request request) {
  (void)context, (void)channel, (void)request;
}

/* ---- servers */

value apus_ml_make(value is_server) {
  return handle(Bool_val(is_server) ? apus_server_make() : apus_client_make());
}

/* May wait for a callback on another thread, which waits for the runtime. */
value apus_ml_destroy(value object) {
  uint64_t which = (uint64_t)Long_val(object);
  caml_release_runtime_system();
  switch (apus_handle_kind(which)) {
    case APUS_KIND_SERVER:
      apus_server_destroy(which);
      break;
    case APUS_KIND_CLIENT:
      apus_client_destroy(which);
      break;
    case APUS_KIND_CHANNEL:
      apus_channel_destroy(which);
  }
  caml_acquire_runtime_system();
  return Val_unit;
}

/* Text for the library, which ends at a NUL: one inside is an exception. */
static const char *text(value string) {
  if (!caml_string_is_c_safe(string)) caml_invalid_argument("a NUL inside text");
  return String_val(string);
}

value apus_ml_get(value server, value pattern, value index) {
  return number(
      apus_server_get(Long_val(server), text(pattern), on_request, (void *)Long_val(index), NULL));
}

value apus_ml_events(value server, value pattern, value index) {
  return number(apus_server_events(Long_val(server), text(pattern), on_events,
                                   (void *)Long_val(index), NULL));
}

value apus_ml_websocket(value server, value pattern, value index) {
  int32_t route = apus_server_websocket(Long_val(server), text(pattern), on_open, NULL, NULL);
  if (route < 0) return fail();
  return number(
      apus_server_on_message(Long_val(server), route, on_message, (void *)Long_val(index), NULL));
}

value apus_ml_listen(value server, value host, value port) {
  int32_t index = apus_server_listen(Long_val(server), text(host), Int_val(port));
  return number(index < 0 ? index : apus_server_port(Long_val(server), index));
}

value apus_ml_start(value server) { return number(apus_server_start(Long_val(server))); }

value apus_ml_wake(value server) {
  apus_server_wake(Long_val(server));
  return Val_unit;
}

/* Runs callbacks: ticks for so long, or stops the server if the time is negative. */
value apus_ml_tick(value server, value function, value timeout) {
  CAMLparam1(function);
  apus_server which = (apus_server)Long_val(server);
  int32_t ms = Int_val(timeout);
  const value *outer = emit;
  emit = &function;
  caml_release_runtime_system();
  int32_t result = ms < 0 ? apus_server_stop(which) : apus_server_tick(which, ms);
  caml_acquire_runtime_system();
  emit = outer;
  CAMLreturn(number(result));
}

/* ---- requests and writers */

value apus_ml_param(value request, value name) {
  size_t length;
  const char *found = apus_request_param(Long_val(request), text(name), &length);
  if (found == NULL) return Val_none;
  return caml_alloc_some(caml_alloc_initialized_string(length, found));
}

value apus_ml_reply(value request, value status, value body) {
  return number(apus_reply(Long_val(request), Int_val(status), "text/plain; charset=utf-8",
                           String_val(body), caml_string_length(body)));
}

value apus_ml_event(value writer, value id, value data) {
  return number(apus_writer_event(Long_val(writer), NULL, text(id), String_val(data),
                                  caml_string_length(data)));
}

value apus_ml_end(value writer) { return number(apus_writer_end(Long_val(writer))); }

value apus_ml_abort(value writer) {
  apus_writer_abort(Long_val(writer));
  return Val_unit;
}

/* ---- channels and the client */

value apus_ml_send(value channel, value opcode, value data) {
  return number(apus_channel_send(Long_val(channel), Int_val(opcode), 1, String_val(data),
                                  caml_string_length(data)));
}

value apus_ml_connect(value client, value url) {
  CAMLparam1(url);
  int32_t result = -1;
  const char *address = text(url); /* copied by the library before anything moves */
  apus_channel channel = apus_channel_make(Long_val(client));
  if (channel != 0) result = apus_channel_open(channel, address);
  if (result == APUS_OK) {
    caml_release_runtime_system();
    result = apus_channel_wait_open(channel, -1);
    caml_acquire_runtime_system();
  }
  if (result >= 0) CAMLreturn(Val_long(channel));
  if (channel != 0) apus_channel_destroy(channel);
  CAMLreturn(fail());
}

/* The opcode and the bytes of the next message. */
value apus_ml_recv(value channel) {
  CAMLparam0();
  CAMLlocal2(pair, bytes);
  apus_message message;
  caml_release_runtime_system();
  int32_t result = apus_channel_recv(Long_val(channel), &message, -1);
  caml_acquire_runtime_system();
  if (result <= 0) CAMLreturn(fail());
  bytes = caml_alloc_initialized_string(message.length, message.data);
  pair = caml_alloc_tuple(2);
  Store_field(pair, 0, Val_int(message.opcode));
  Store_field(pair, 1, bytes);
  CAMLreturn(pair);
}

/* Closes a channel, and waits for the peer to do so. */
value apus_ml_close(value channel) {
  apus_message message;
  caml_release_runtime_system();
  if (apus_channel_close(Long_val(channel), 1000, NULL, 0) == APUS_OK)
    while (apus_channel_recv(Long_val(channel), &message, 5000) > 0) continue;
  apus_channel_destroy(Long_val(channel));
  caml_acquire_runtime_system();
  return Val_unit;
}

/* The status and the body of what a URL gives. */
value apus_ml_fetch(value url) {
  CAMLparam1(url);
  CAMLlocal2(pair, body);
  char *copy = caml_stat_strdup(text(url));
  caml_release_runtime_system();
  apus_response response = apus_get(copy, NULL);
  caml_acquire_runtime_system();
  caml_stat_free(copy);
  if (response == 0) CAMLreturn(fail());
  size_t length = 0;
  const char *bytes = apus_response_body(response, &length);
  body = caml_alloc_initialized_string(length, bytes);
  pair = caml_alloc_tuple(2);
  Store_field(pair, 0, Val_int(apus_response_status(response)));
  Store_field(pair, 1, body);
  apus_response_destroy(response);
  CAMLreturn(pair);
}

value apus_ml_live(value unit) {
  (void)unit;
  return number(apus_live_count(0));
}
