/*
 * misuse.c - calls every function of the header wrongly, and counts what comes
 * back right: an error, at once, and nothing touched. misuse_test.py writes the
 * calls themselves, from the prototypes of the header, into misuse_calls.h, and
 * builds this; so a function that is added to the header is tested from then on.
 *
 * The handles are zero, all ones, random, stale, destroyed, of the wrong kind,
 * and live ones with one bit changed. The places are the main thread, four other
 * threads at once, and handlers of a live server, one of them with a ticket and then
 * a channel.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "../helpers/ws.h"

/* ------------------------------------------------------------------ verdicts */

static atomic_llong calls_made, calls_right;
static atomic_int complaints;
static _Thread_local const char *place = "main thread";

/* What a call must not touch when it fails, and the drop that it must run. */
struct outs {
  const char *name, *value;
  size_t length;
  apus_event event;
  apus_frame frame;
  int32_t number;
  apus_message message;
  char buffer[8];
  char text[64];
  int drops;
};

static const struct outs untouched = {.name = "name",
                                      .value = "value",
                                      .length = 77,
                                      .event = {.kind = 78},
                                      .frame = {.opcode = 79},
                                      .number = 80,
                                      .message = {.opcode = 81},
                                      .buffer = "buffer",
                                      .text = "text"};
/* A frame that there may be. */
static const apus_frame some_frame = {.opcode = APUS_OPCODE_TEXT, .final = 1};

static void count_drop(void *context) { ((struct outs *)context)->drops++; }

static void verdict(int right, const char *call, uint64_t handle, long long got) {
  atomic_fetch_add(&calls_made, 1);
  if (right) {
    atomic_fetch_add(&calls_right, 1);
  } else if (atomic_fetch_add(&complaints, 1) < 50) {
    printf("WRONG, %s, handle %#llx: %s gave %lld, last error %s\n", place,
           (unsigned long long)handle, call, got, apus_error_name(apus_last_error()));
  }
}

/* drops: how often drop is due, -1 where there is none. */
static int outs_untouched(const struct outs *outs, int drops) {
  return outs->name == untouched.name && outs->value == untouched.value && outs->length == 77 &&
         outs->event.kind == 78 && outs->frame.opcode == 79 && outs->number == 80 &&
         outs->message.opcode == 81 && strcmp(outs->buffer, "buffer") == 0 &&
         strcmp(outs->text, "text") == 0 && (drops < 0 || outs->drops == drops);
}

/* A result that is the code itself, 0, or another value that says "failed". */
static void expect_code(const char *call, uint64_t handle, long long got, long long expected,
                        int32_t code, const struct outs *outs, int drops) {
  int right =
      got == expected && outs_untouched(outs, drops) && (code == 0 || apus_last_error() == code);
  verdict(right, call, handle, got);
}

/* Any of the negative codes. */
static void expect_negative(const char *call, uint64_t handle, long long got,
                            const struct outs *outs, int drops) {
  verdict(got < 0 && got >= APUS_E_PIN && outs_untouched(outs, drops), call, handle, got);
}

/* ------------------------------------------------------- callbacks to hand in */

static atomic_int callbacks_run;

static void handler_fn(void *context, apus_request request) {
  (void)context;
  (void)request;
  atomic_fetch_add(&callbacks_run, 1);
}

static void events_fn(void *context, apus_writer writer, apus_request request) {
  (void)context, (void)writer, (void)request;
  atomic_fetch_add(&callbacks_run, 1);
}

static void connection_fn(void *context, apus_server server, uint64_t connection, const char *peer,
                          int32_t port) {
  (void)context, (void)server, (void)connection, (void)peer, (void)port;
  atomic_fetch_add(&callbacks_run, 1);
}

static int32_t password_fn(void *context, const char *name, char *buffer, size_t capacity) {
  (void)context, (void)name, (void)buffer, (void)capacity;
  atomic_fetch_add(&callbacks_run, 1);
  return -1;
}

static void replied_fn(void *context, apus_request request, int32_t status, uint64_t bytes) {
  (void)context, (void)request, (void)status, (void)bytes;
  atomic_fetch_add(&callbacks_run, 1);
}

static void failed_fn(void *context, apus_server server, uint64_t connection, int32_t code,
                      int32_t status, const char *peer) {
  (void)context, (void)server, (void)connection, (void)code, (void)status, (void)peer;
  atomic_fetch_add(&callbacks_run, 1);
}

static void server_fn(void *context, apus_server server) {
  (void)context, (void)server;
  atomic_fetch_add(&callbacks_run, 1);
}

static void access_fn(void *context, apus_server server, const char *line, size_t length) {
  (void)context, (void)server, (void)line, (void)length;
  atomic_fetch_add(&callbacks_run, 1);
}

static void body_fn(void *context, apus_request request, const void *data, size_t length,
                    int32_t last) {
  (void)context, (void)request, (void)data, (void)length, (void)last;
  atomic_fetch_add(&callbacks_run, 1);
}

static void writer_fn(void *context, apus_writer writer) {
  (void)context, (void)writer;
  atomic_fetch_add(&callbacks_run, 1);
}

static void open_fn(void *context, apus_channel channel, apus_request request) {
  (void)context, (void)channel, (void)request;
  atomic_fetch_add(&callbacks_run, 1);
}

static void channel_fn(void *context, apus_channel channel) {
  (void)context, (void)channel;
  atomic_fetch_add(&callbacks_run, 1);
}

static void message_fn(void *context, apus_channel channel, int32_t opcode, const void *data,
                       size_t length) {
  (void)context, (void)channel, (void)opcode, (void)data, (void)length;
  atomic_fetch_add(&callbacks_run, 1);
}

static void closed_fn(void *context, apus_channel channel, int32_t code, const char *text,
                      size_t length) {
  (void)context, (void)channel, (void)code, (void)text, (void)length;
  atomic_fetch_add(&callbacks_run, 1);
}

static void source_fn(void *context, apus_source source) {
  (void)context, (void)source;
  atomic_fetch_add(&callbacks_run, 1);
}

static void source_event_fn(void *context, apus_source source, const char *type, const char *id,
                            const char *data, size_t length) {
  (void)context, (void)source, (void)type, (void)id, (void)data, (void)length;
  atomic_fetch_add(&callbacks_run, 1);
}

static void source_error_fn(void *context, apus_source source, int32_t code, int32_t status,
                            int32_t again_ms) {
  (void)context, (void)source, (void)code, (void)status, (void)again_ms;
  atomic_fetch_add(&callbacks_run, 1);
}

static int64_t fetch_source_fn(void *context, apus_fetch fetch, void *buffer, size_t capacity) {
  (void)context, (void)fetch, (void)buffer, (void)capacity;
  atomic_fetch_add(&callbacks_run, 1);
  return 0;
}

static void fetch_response_fn(void *context, apus_fetch fetch, apus_response response) {
  (void)context, (void)fetch, (void)response;
  atomic_fetch_add(&callbacks_run, 1);
}

static void fetch_body_fn(void *context, apus_fetch fetch, const void *data, size_t length) {
  (void)context, (void)fetch, (void)data, (void)length;
  atomic_fetch_add(&callbacks_run, 1);
}

static int32_t origin_fn(void *context, apus_server server, const char *origin) {
  (void)context, (void)server, (void)origin;
  atomic_fetch_add(&callbacks_run, 1);
  return 0;
}

static void fetch_complete_fn(void *context, apus_fetch fetch, apus_response response,
                              int32_t result) {
  (void)context, (void)fetch, (void)response, (void)result;
  atomic_fetch_add(&callbacks_run, 1);
}

/* Descriptors that are valid, so that only the handle is wrong; and one that is
 * no socket. Whatever fails must leave them open. */
static int spare_listener, spare_connection, spare_pipe;

struct bad_handle_call {
  const char *name;
  int32_t kind; /* of the handle that it takes; 0: of any kind; -1: client or server */
  void (*call)(uint64_t handle);
};

#include "misuse_calls.h"

/* -------------------------------------------------------------------- handles */

#define HANDLES 1024

/* The live objects, and values that are no live object. */
static apus_server running, stopped;
static apus_request live_request;
static apus_writer live_writer;
static apus_upgrade live_upgrade;
static apus_channel live_channel, live_caller;
static apus_client live_client;
static apus_fetch live_fetch;
static apus_source live_source;
static apus_response live_response;
static uint64_t bad_handles[HANDLES];
static size_t bad_count;

static int is_live(uint64_t handle) {
  return handle == running || handle == stopped || handle == live_request ||
         handle == live_writer || handle == live_upgrade || handle == live_channel ||
         handle == live_caller || handle == live_client || handle == live_fetch ||
         handle == live_response || handle == live_source;
}

static void add_bad(uint64_t handle) {
  if (!is_live(handle) && bad_count < HANDLES) bad_handles[bad_count++] = handle;
}

static uint64_t next_random(uint64_t *state) {
  *state = *state * 6364136223846793005u + 1442695040888963407u;
  return *state ^ (*state >> 29);
}

static void add_forged(uint64_t live) {
  for (int bit = 0; bit < 64; bit++) add_bad(live ^ (1ull << bit));
  add_bad(live + 1);
  add_bad(live - 1);
  add_bad(live | 0xfff0000000000000ull);
  add_bad(~live);
}

static void make_bad_handles(uint64_t seed) {
  bad_count = 0;
  add_bad(0);
  add_bad(UINT64_MAX);
  add_bad(INT64_MAX);
  add_bad((uint64_t)INT64_MIN);
  for (uint64_t kind = 0; kind < 16; kind++) add_bad(kind << 48);
  for (uint64_t kind = 0; kind < 16; kind++) add_bad(kind << 48 | 0xffffffffffffull);
  for (int i = 0; i < 64; i++) add_bad(next_random(&seed));
  for (int i = 0; i < 64; i++) add_bad(next_random(&seed) & 0xfffffffffffffull);
  for (int i = 0; i < 8; i++) {
    apus_server server = apus_server_make();
    apus_request request = apus_request_parse("GET / HTTP/1.0\r\n\r\n", APUS_STRLEN, NULL);
    CHECK(server != 0 && request != 0);
    CHECK_INT(1, apus_server_destroy(server));
    CHECK_INT(1, apus_request_destroy(request));
    add_bad(server);
    add_bad(request);
  }
  add_forged(running);
  add_forged(stopped);
  add_forged(live_request);
  add_forged(live_caller);
  add_forged(live_client);
  add_forged(live_fetch);
  add_forged(live_source);
  add_forged(live_response);
  if (live_writer != 0) add_forged(live_writer);
}

/* Each function with each bad handle, and with live ones of other kinds. */
static void run_bad_handles(void) {
  const uint64_t live[] = {running,      stopped,       live_request, live_writer,
                           live_upgrade, live_channel,  live_caller,  live_client,
                           live_fetch,   live_response, live_source};
  const int32_t kinds[] = {APUS_KIND_SERVER,   APUS_KIND_SERVER,  APUS_KIND_REQUEST,
                           APUS_KIND_WRITER,   APUS_KIND_UPGRADE, APUS_KIND_CHANNEL,
                           APUS_KIND_CHANNEL,  APUS_KIND_CLIENT,  APUS_KIND_FETCH,
                           APUS_KIND_RESPONSE, APUS_KIND_SOURCE};
  for (size_t i = 0; i < sizeof bad_handle_calls / sizeof bad_handle_calls[0]; i++) {
    const struct bad_handle_call *call = &bad_handle_calls[i];
    for (size_t at = 0; at < bad_count; at++) {
      /* What was forged of another object may have become one since. */
      if (!is_live(bad_handles[at])) call->call(bad_handles[at]);
    }
    if (call->kind == 0) continue;
    for (size_t at = 0; at < sizeof live / sizeof live[0]; at++) {
      int fits = call->kind < 0 ? kinds[at] == APUS_KIND_SERVER || kinds[at] == APUS_KIND_CLIENT
                                : kinds[at] == call->kind;
      if (live[at] != 0 && !fits) call->call(live[at]);
    }
  }
}

/* --------------------------------------------------------------------- places */

static void *run_thread(void *context) {
  place = context;
  run_bad_handles();
  bad_arguments_of_none();
  bad_arguments_of_server(stopped);
  return NULL;
}

static void run_threads(void) {
  static char names[4][16] = {"thread 1", "thread 2", "thread 3", "thread 4"};
  pthread_t threads[4];
  for (int i = 0; i < 4; i++) {
    CHECK_INT(0, pthread_create(&threads[i], NULL, run_thread, names[i]));
  }
  for (int i = 0; i < 4; i++) CHECK_INT(0, pthread_join(threads[i], NULL));
}

static void writer_handler(void *context, apus_request request) {
  (void)context;
  place = "handler, with a writer";
  live_request = request;
  live_writer = apus_writer_make(request);
  CHECK(live_writer != 0);
  add_forged(live_writer);
  run_bad_handles();
  bad_arguments_of_writer(live_writer);
  CHECK_INT(0, apus_writer_write(live_writer, "written", 7));
  CHECK_INT(0, apus_writer_end(live_writer));
  CHECK_INT(1, apus_writer_destroy(live_writer));
  add_bad(live_writer);
  live_writer = 0;
}

/* With a ticket, and then with the channel that it becomes. */
static void upgrade_handler(void *context, apus_request request) {
  (void)context;
  place = "handler, with a ticket";
  live_request = request;
  live_upgrade = apus_upgrade_make(request);
  CHECK(live_upgrade != 0);
  add_forged(live_upgrade);
  run_bad_handles();
  bad_arguments_of_upgrade(live_upgrade);
  live_channel = apus_upgrade_accept(live_upgrade, "a");
  CHECK(live_channel != 0);
  apus_upgrade used = live_upgrade;
  live_upgrade = 0;
  place = "handler, with a channel";
  add_bad(used);
  add_forged(live_channel);
  run_bad_handles();
  bad_arguments_of_channel(live_channel);
  CHECK_INT(0, apus_channel_send_text(live_channel, "sent", 4));
  CHECK_INT(0, apus_channel_close(live_channel, 1000, "", 0));
  live_channel = 0;
}

static void request_handler(void *context, apus_request request) {
  uint64_t seed = *(uint64_t *)context;
  place = "handler";
  live_request = request;
  live_writer = 0;
  live_client = apus_client_make();
  live_caller = apus_channel_make(live_client);
  CHECK(live_client != 0 && live_caller != 0);
  live_fetch = apus_fetch_make(live_client, "GET", "http://127.0.0.1:1/");
  CHECK(live_fetch != 0);
  live_source = apus_source_make(live_client, "http://127.0.0.1:1/");
  CHECK(live_source != 0);
  make_bad_handles(seed);
  run_bad_handles();
  bad_arguments_of_caller(live_caller);
  bad_arguments_of_client(live_client);
  bad_arguments_of_fetch(live_fetch);
  bad_arguments_of_source(live_source);
  bad_arguments_of_response(live_response);
  bad_arguments_of_none();
  bad_arguments_of_server(stopped);
  bad_arguments_of_request(request);
  started_server(running);
  CHECK_INT(0, apus_reply_text(request, 200, "replied"));
}

static void hello_handler(void *context, apus_request request) {
  (void)context;
  CHECK_INT(0, apus_reply_text(request, 200, "hello"));
}

static void make_response(int32_t port) {
  char url[64];
  snprintf(url, sizeof url, "http://127.0.0.1:%d/hello", port);
  live_response = apus_get(url, NULL);
  CHECK(live_response != 0);
}

/* After all of that the server works, and has sent nothing that it should not. */
static void ask(struct app *app, const char *target, const char *body) {
  struct client client;
  struct reply reply;
  client_open(&client, app->port);
  client_get(&client, target);
  client_reply(&client, "GET", &reply);
  CHECK_INT(200, reply.status);
  CHECK_TEXT(body, reply.body);
  for (size_t i = 0; i < reply.field_count; i++) {
    CHECK(strncasecmp(reply.fields[i].name, "X-", 2) != 0);
  }
  CLIENT_QUIET(&client);
  reply_free(&reply);
  client_close(&client);
}

static void ask_channel(struct app *app) {
  struct client client;
  client_open(&client, app->port);
  ws_ask(&client, "/upgrade", "Sec-WebSocket-Protocol: a\r\n");
  ws_accepted(&client, "a");
  WS_EXPECT_TEXT(&client, "sent");
  WS_EXPECT_CLOSE(&client, 1000, "");
  ws_close(&client, 1000, "");
  CLIENT_ENDS(&client);
  client_close(&client);
}

static void make_spares(void) {
  int pair[2], pipes[2];
  struct sockaddr_in address = {.sin_family = AF_INET};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  spare_listener = socket(AF_INET, SOCK_STREAM, 0);
  CHECK_INT(0, bind(spare_listener, (struct sockaddr *)&address, sizeof address));
  CHECK_INT(0, listen(spare_listener, 1));
  CHECK_INT(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
  CHECK_INT(0, pipe(pipes));
  spare_connection = pair[0];
  spare_pipe = pipes[0];
}

static int is_open(int descriptor) {
  struct pollfd item = {.fd = descriptor};
  return poll(&item, 1, 0) >= 0 && (item.revents & POLLNVAL) == 0;
}

static int report(void) {
  long long made = atomic_load(&calls_made), right = atomic_load(&calls_right);
  CHECK(is_open(spare_listener) && is_open(spare_connection) && is_open(spare_pipe));
  CHECK_INT(0, atomic_load(&callbacks_run));
  CHECK_INT(0, apus_live_count(0));
  printf("misuse_test: %zu functions, calls run %lld, right %lld\n", (size_t)HEADER_FUNCTIONS, made,
         right);
  return made == right && made > 0 ? 0 : 1;
}

int main(int argc, char **argv) {
  uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
  struct app app;
  setvbuf(stdout, NULL, _IOLBF, 0);
  signal(SIGALRM, harness_alarm);
  alarm(HARNESS_WATCHDOG_S);
  make_spares();
  app_make(&app, MODE_WORKER);
  app_route(&app, APUS_GET, "/request", request_handler, &seed);
  app_route(&app, APUS_GET, "/writer", writer_handler, NULL);
  app_route(&app, APUS_GET, "/upgrade", upgrade_handler, NULL);
  app_route(&app, APUS_GET, "/hello", hello_handler, NULL);
  stopped = apus_server_make();
  CHECK_INT(0, apus_server_websocket(stopped, "/ws", NULL, NULL, NULL));
  running = app.server;
  harness_start(&app);
  make_response(app.port);
  live_request = apus_request_parse("GET / HTTP/1.1\r\nHost: a\r\n\r\n", APUS_STRLEN, NULL);
  apus_request parsed = live_request;
  CHECK(stopped != 0 && parsed != 0);
  make_bad_handles(seed);
  run_bad_handles();
  bad_arguments_of_none();
  bad_arguments_of_server(stopped);
  bad_arguments_of_parsed(parsed);
  run_threads();
  CHECK_INT(1, apus_request_destroy(parsed));
  ask(&app, "/request", "replied");
  ask(&app, "/writer", "written");
  ask_channel(&app);
  harness_stop(&app);
  CHECK_INT(1, apus_server_destroy(stopped));
  CHECK_INT(1, apus_client_destroy(live_client));
  CHECK_INT(0, apus_channel_is_alive(live_caller));
  CHECK_INT(0, apus_fetch_is_alive(live_fetch));
  CHECK_INT(0, apus_source_is_alive(live_source));
  CHECK_TEXT("hello", apus_response_body(live_response, NULL));
  CHECK_INT(1, apus_response_destroy(live_response));
  return report();
}
