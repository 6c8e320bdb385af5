/*
 * late_test.c - what comes a moment too late: somebody who wants to hear of room that
 * there is already, clients that have left before their request is kept, streams of
 * events that open behind a stop, and replies that somebody waits for while the thread
 * that has written them waits itself.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "../helpers/ws.h"

static struct heard heard;
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static _Atomic uint64_t handed;
static atomic_int drained, gated;

static void start(struct app *app, enum mode mode) {
  heard_reset(&heard);
  atomic_store(&handed, 0);
  atomic_store(&drained, 0);
  atomic_store(&gated, 0);
  app_make(app, mode);
}

/* The thread that ticks is in here, and what comes meanwhile queues up. */
static void gate_handler(void *context, apus_request request) {
  (void)context;
  atomic_store(&gated, 1);
  pthread_mutex_lock(&gate);
  pthread_mutex_unlock(&gate);
  CHECK_INT(0, apus_reply_text(request, 200, "through"));
}

static void close_gate(struct client *client, int32_t port) {
  pthread_mutex_lock(&gate);
  client_open(client, port);
  client_get(client, "/gate");
  EVENTUALLY(atomic_load(&gated));
}

static void open_gate(struct client *client) {
  pthread_mutex_unlock(&gate);
  CLIENT_EXPECT(client, "GET", 200, "through");
  client_close(client);
}

/* -------------------------------------------------------- room that is there already */

static void take_all(struct client *client, int64_t (*buffered)(uint64_t), uint64_t handle) {
  static char block[65536];
  int64_t deadline = harness_now_ms() + HARNESS_DEADLINE_MS;
  while (buffered(handle) > 0) {
    CHECK(harness_now_ms() < deadline);
    ssize_t got = recv(client->fd, block, sizeof block, MSG_DONTWAIT);
    if (got <= 0) harness_breathe();
  }
}

static void count_drain(void *context, uint64_t handle) {
  CHECK_INT(atomic_load(&handed), handle);
  atomic_fetch_add((atomic_int *)context, 1);
}

static void writer_handler(void *context, apus_request request) {
  (void)context;
  apus_writer writer = apus_writer_make(request);
  CHECK_INT(0, apus_writer_set_high_water(writer, 60000));
  atomic_store(&handed, writer);
}

static char piece[16384];

static void test_writer_room(enum mode mode) {
  struct app app;
  struct client client;
  int32_t result = 0;
  start(&app, mode);
  app_route(&app, APUS_GET, "/", writer_handler, NULL);
  harness_start(&app);
  client_open_small(&client, app.port, 32768);
  client_get(&client, "/");
  EVENTUALLY(atomic_load(&handed) != 0);
  apus_writer writer = atomic_load(&handed);
  while (result == 0) result = apus_writer_write(writer, piece, sizeof piece);
  CHECK_INT(APUS_E_FULL, result);
  take_all(&client, apus_writer_buffered, writer);
  CHECK_INT(0, apus_writer_on_drain(writer, count_drain, &drained, NULL));
  EVENTUALLY(atomic_load(&drained) == 1);
  /* Heard once: it was one refusal. */
  CHECK_INT(0, apus_writer_on_drain(writer, count_drain, &drained, NULL));
  CHECK_INT(0, apus_writer_abort(writer));
  client_close(&client);
  harness_stop(&app);
  CHECK_INT(1, atomic_load(&drained));
}

static void open_kept(void *context, apus_channel channel, apus_request request) {
  CHECK_INT(0, apus_channel_set_high_water(channel, 60000));
  CHECK_INT(0, apus_channel_on_close(channel, heard_close, context, heard_drop));
  heard_open(context, channel, request);
}

static void test_channel_room(enum mode mode) {
  struct app app;
  struct client client;
  int32_t result = 0;
  start(&app, mode);
  app_websocket(&app, "/", open_kept, &heard);
  harness_start(&app);
  client_open_small(&client, app.port, 32768);
  ws_ask(&client, "/", "");
  ws_accepted(&client, NULL);
  apus_channel channel = heard_opened(&heard);
  atomic_store(&handed, channel);
  while (result == 0) result = apus_channel_send_binary(channel, piece, sizeof piece);
  CHECK_INT(APUS_E_FULL, result);
  take_all(&client, apus_channel_buffered, channel);
  CHECK_INT(0, apus_channel_on_drain(channel, count_drain, &drained, NULL));
  EVENTUALLY(atomic_load(&drained) == 1);
  client_close(&client);
  harness_stop(&app);
  CHECK_INT(1, atomic_load(&drained));
}

/* Frames of a message that is not whole hold up what is published meanwhile, up to the
 * mark, and not the message itself. */
static void test_published_meanwhile(enum mode mode) {
  struct app app;
  struct client client;
  start(&app, mode);
  app_websocket(&app, "/", open_kept, &heard);
  harness_start(&app);
  apus_channel channel = ws_pair(&client, app.port, "/", &heard);
  CHECK_INT(0, apus_channel_subscribe(channel, "room"));
  EVENTUALLY(apus_server_subscriber_count(app.server, "room") == 1);
  CHECK_INT(0, apus_channel_send(channel, APUS_OPCODE_TEXT, 0, "a", 1));
  for (int i = 0; i < 10; i++) {
    CHECK_INT(0,
              apus_server_publish(app.server, "room", APUS_OPCODE_BINARY, piece, sizeof piece, 0));
  }
  EVENTUALLY(apus_server_counter(app.server, APUS_COUNT_UNHEARD) == 6);
  CHECK_INT(0, apus_channel_send(channel, APUS_OPCODE_CONTINUE, 1, "b", 1));
  WS_EXPECT(&client, APUS_OPCODE_TEXT, "a", 1);
  WS_EXPECT(&client, WS_FINAL | APUS_OPCODE_CONTINUE, "b", 1);
  for (int i = 0; i < 4; i++) {
    WS_EXPECT(&client, WS_FINAL | APUS_OPCODE_BINARY, piece, sizeof piece);
  }
  client_close(&client);
  harness_stop(&app);
}

/* One whose reply its client has, whole. */
static apus_writer writer_that_ended(struct app *app, enum mode mode, struct client *client) {
  start(app, mode);
  app_route(app, APUS_GET, "/", writer_handler, NULL);
  harness_start(app);
  client_open(client, app->port);
  client_get(client, "/");
  EVENTUALLY(atomic_load(&handed) != 0);
  apus_writer writer = atomic_load(&handed);
  CHECK_INT(0, apus_writer_write(writer, "all", 3));
  CHECK_INT(0, apus_writer_end(writer));
  CLIENT_EXPECT(client, "GET", 200, "all");
  return writer;
}

/* Whoever asks to hear of a writer's end once it is over hears of it. */
static void test_writer_end(enum mode mode) {
  struct app app;
  struct client client;
  apus_writer writer = writer_that_ended(&app, mode, &client);
  EVENTUALLY(apus_server_counter(app.server, APUS_COUNT_REPLIES) == 1);
  for (int i = 0; i < 20; i++) harness_breathe();
  CHECK_INT(0, apus_writer_on_close(writer, count_drain, &drained, NULL));
  EVENTUALLY(atomic_load(&drained) == 1);
  CHECK_INT(1, apus_writer_destroy(writer));
  client_close(&client);
  harness_stop(&app);
  CHECK_INT(1, atomic_load(&drained));
}

/* The same once the server has stopped: nobody will tell. */
static void test_writer_end_stopped(enum mode mode) {
  struct app app;
  struct client client;
  apus_writer writer = writer_that_ended(&app, mode, &client);
  client_close(&client);
  harness_halt(&app);
  int32_t result = apus_writer_on_close(writer, count_drain, &drained, NULL);
  CHECK(result == 0 || result == APUS_E_CLOSED);
  CHECK_INT(1, apus_writer_destroy(writer));
  CHECK_INT(1, apus_server_destroy(app.server));
}

/* ------------------------------------------------------- what queues for another thread */

static void defer_handler(void *context, apus_request request) {
  (void)context;
  app_defer(request);
  atomic_store(&handed, request);
}

/* Its client has left before its handler ran. */
static void test_left(enum mode mode) {
  struct app app;
  struct client first, client;
  if (mode != MODE_TICK) return;
  start(&app, mode);
  app_route(&app, APUS_GET, "/gate", gate_handler, NULL);
  app_route(&app, APUS_GET, "/defer", defer_handler, NULL);
  harness_start(&app);
  close_gate(&first, app.port);
  client_open(&client, app.port);
  client_get(&client, "/defer");
  EVENTUALLY(apus_server_counter(app.server, APUS_COUNT_REQUESTS) == 2);
  CHECK_INT(0, shutdown(client.fd, SHUT_WR));
  /* Served by the same two workers in turn: each has seen what came before. */
  for (int i = 0; i < 4; i++) {
    struct client other;
    client_open(&other, app.port);
    client_text(&other, "GET / HTTP/1.1\r\n\r\n");
    CLIENT_EXPECT(&other, "GET", 400, NULL);
    client_close(&other);
  }
  open_gate(&first);
  EVENTUALLY(atomic_load(&handed) != 0);
  apus_request request = atomic_load(&handed);
  /* An error of this thread's is not taken for that of the question. */
  while (apus_server_tick(app.server, 0) != APUS_E_THREAD) harness_breathe();
  EVENTUALLY(!apus_request_is_alive(request));
  CLIENT_ENDS(&client);
  apus_request_destroy(request);
  client_close(&client);
  harness_stop(&app);
}

static void hello_handler(void *context, apus_request request) {
  (void)context;
  CHECK_INT(0, apus_reply_text(request, 200, "first"));
}

/* Asks a server whose answer comes once somebody has the reply before this one. */
static void asking_handler(void *context, apus_request request) {
  apus_response response = apus_get(context, NULL);
  CHECK_INT(204, apus_response_status(response));
  CHECK_INT(1, apus_response_destroy(response));
  CHECK_INT(0, apus_reply_text(request, 200, "second"));
}

static int make_listener(char *url, size_t size) {
  struct sockaddr_in address = {.sin_family = AF_INET};
  socklen_t length = sizeof address;
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  CHECK_INT(0, bind(listener, (struct sockaddr *)&address, sizeof address));
  CHECK_INT(0, listen(listener, 8));
  CHECK_INT(0, getsockname(listener, (struct sockaddr *)&address, &length));
  snprintf(url, size, "http://127.0.0.1:%d/", ntohs(address.sin_port));
  return listener;
}

static void answer_one(int listener) {
  struct client peer;
  client_adopt(&peer, accept(listener, NULL, NULL));
  CHECK_INT(1, client_fill(&peer));
  client_text(&peer, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
  client_close(&peer);
}

static void test_written_before_waiting(enum mode mode) {
  struct app app;
  struct client gated_client, first, second;
  char url[64];
  if (mode != MODE_TICK) return;
  int listener = make_listener(url, sizeof url);
  start(&app, mode);
  app_route(&app, APUS_GET, "/gate", gate_handler, NULL);
  app_route(&app, APUS_GET, "/first", hello_handler, NULL);
  app_route(&app, APUS_GET, "/second", asking_handler, url);
  harness_start(&app);
  close_gate(&gated_client, app.port);
  client_open(&first, app.port);
  client_get(&first, "/first");
  EVENTUALLY(apus_server_counter(app.server, APUS_COUNT_PENDING) == 1);
  client_open(&second, app.port);
  client_get(&second, "/second");
  EVENTUALLY(apus_server_counter(app.server, APUS_COUNT_PENDING) == 2);
  open_gate(&gated_client);
  CLIENT_EXPECT(&first, "GET", 200, "first");
  answer_one(listener);
  CLIENT_EXPECT(&second, "GET", 200, "second");
  client_close(&first);
  client_close(&second);
  harness_stop(&app);
  close(listener);
}

static void open_events(void *context, apus_writer writer, apus_request request) {
  (void)context;
  (void)request;
  atomic_store(&handed, writer);
}

static void *stop_server(void *context) {
  struct app *app = context;
  CHECK_INT(0, apus_server_stop(app->server));
  return NULL;
}

/* One worker, and a stop that waits for longer than any test does. */
static void start_gated(struct app *app, enum mode mode) {
  start(app, mode);
  CHECK_INT(0, apus_server_set_workers(app->server, 1));
  CHECK_INT(0, apus_server_set_drain_timeout(app->server, 10 * HARNESS_DEADLINE_MS));
  app_route(app, APUS_GET, "/gate", gate_handler, NULL);
}

/* Once a request waits behind the gate; the worker has begun to stop by the end. */
static pthread_t begin_stop(struct app *app, struct client *idle) {
  pthread_t thread;
  EVENTUALLY(apus_server_counter(app->server, APUS_COUNT_PENDING) == 1);
  CHECK_INT(0, pthread_create(&thread, NULL, stop_server, app));
  CLIENT_ENDS(idle);
  return thread;
}

/* The next server has the name of a Unix socket while this one still has clients. */
static void test_successor(enum mode mode) {
  struct app app;
  struct client client, idle;
  char path[] = "late-test-XXXXXX";
  pthread_t thread;
  start(&app, mode);
  CHECK(mkdtemp(path) != NULL);
  char name[64];
  snprintf(name, sizeof name, "%s/socket", path);
  CHECK_INT(0, apus_server_set_drain_timeout(app.server, 10 * HARNESS_DEADLINE_MS));
  app_route(&app, APUS_GET, "/", writer_handler, NULL);
  CHECK(apus_server_listen_unix(app.server, name) >= 0);
  harness_start(&app);
  client_open(&idle, app.port);
  client_open(&client, app.port);
  client_get(&client, "/");
  EVENTUALLY(atomic_load(&handed) != 0);
  apus_writer writer = atomic_load(&handed);
  CHECK_INT(0, apus_writer_write(writer, "first", 5));
  CHECK_INT(0, pthread_create(&thread, NULL, stop_server, &app));
  CLIENT_ENDS(&idle);
  EVENTUALLY(access(name, F_OK) != 0);
  apus_server next = apus_server_make();
  CHECK(apus_server_listen_unix(next, name) >= 0);
  CHECK_INT(0, apus_writer_end(writer));
  CLIENT_EXPECT(&client, "GET", 200, "first");
  CHECK_INT(0, pthread_join(thread, NULL));
  if (app.driven) CHECK_INT(0, pthread_join(app.driver, NULL));
  apus_writer_destroy(writer);
  client_close(&client);
  client_close(&idle);
  CHECK_INT(1, apus_server_destroy(app.server));
  CHECK_INT(0, access(name, F_OK));
  CHECK_INT(1, apus_server_destroy(next));
  CHECK(access(name, F_OK) != 0);
  CHECK_INT(0, rmdir(path));
}

/* Its client is told at once to come back, elsewhere maybe: the stop need not wait. */
static void test_events_behind_a_stop(enum mode mode) {
  struct app app;
  struct client gated_client, idle, client;
  struct reply reply;
  if (mode != MODE_TICK) return;
  start_gated(&app, mode);
  CHECK(apus_server_events(app.server, "/events", open_events, NULL, NULL) >= 0);
  harness_start(&app);
  client_open(&idle, app.port);
  close_gate(&gated_client, app.port);
  client_open(&client, app.port);
  client_get(&client, "/events");
  pthread_t thread = begin_stop(&app, &idle);
  open_gate(&gated_client);
  client_reply(&client, "GET", &reply);
  CHECK_INT(200, reply.status);
  reply_free(&reply);
  CHECK_INT(0, pthread_join(thread, NULL));
  CHECK_INT(0, pthread_join(app.driver, NULL));
  CHECK(apus_writer_is_connected(atomic_load(&handed)) != 1);
  client_close(&client);
  client_close(&idle);
  CHECK_INT(1, apus_server_destroy(app.server));
}

/* Who takes requests by himself is between two of them as a stop begins: those that wait
 * are still his. */
static void test_queue_behind_a_stop(enum mode mode) {
  struct app app;
  struct client gated_client, idle, client;
  if (mode != MODE_PULL) return;
  start_gated(&app, mode);
  app_route(&app, APUS_GET, "/first", hello_handler, NULL);
  harness_start(&app);
  client_open(&idle, app.port);
  close_gate(&gated_client, app.port);
  client_open(&client, app.port);
  client_get(&client, "/first");
  pthread_t thread = begin_stop(&app, &idle);
  for (int i = 0; i < 20; i++) harness_breathe();
  CHECK_INT(1, apus_server_counter(app.server, APUS_COUNT_PENDING));
  open_gate(&gated_client);
  CLIENT_EXPECT(&client, "GET", 200, "first");
  CHECK_INT(0, pthread_join(thread, NULL));
  CHECK_INT(0, pthread_join(app.driver, NULL));
  client_close(&client);
  client_close(&idle);
  CHECK_INT(1, apus_server_destroy(app.server));
}

/* He stops the server himself: nobody comes for what waits. */
static void test_missed(enum mode mode) {
  struct app app;
  struct client client;
  apus_event event;
  if (mode != MODE_PULL) return;
  start(&app, mode);
  app_route(&app, APUS_GET, "/", hello_handler, NULL);
  harness_start_undriven(&app);
  client_open(&client, app.port);
  client_get(&client, "/");
  CHECK_INT(1, apus_server_next(app.server, &event, HARNESS_DEADLINE_MS));
  app_pulled(&app, &event);
  CLIENT_EXPECT(&client, "GET", 200, "first");
  client_get(&client, "/");
  EVENTUALLY(apus_server_counter(app.server, APUS_COUNT_PENDING) == 1);
  CHECK_INT(0, apus_server_stop(app.server));
  CLIENT_EXPECT(&client, "GET", 503, NULL);
  client_close(&client);
  CHECK_INT(1, apus_server_destroy(app.server));
}

/* ------------------------------------------------- waits of who takes events by himself */

static void open_talking(void *context, apus_channel channel, apus_request request) {
  CHECK_INT(0, apus_channel_send_text(channel, "one", 3));
  heard_open(context, channel, request);
}

static void count_body(void *context, apus_fetch fetch, const void *data, size_t length) {
  (void)fetch;
  (void)data;
  *(size_t *)context += length;
}

static void expect_event(apus_client client, int32_t kind, apus_channel channel) {
  apus_event event;
  int64_t deadline = harness_now_ms() + HARNESS_DEADLINE_MS;
  /* It may have been woken for something that is over. */
  while (apus_client_next(client, &event, 1000) == 0) CHECK(harness_now_ms() < deadline);
  CHECK_INT(kind, event.kind);
  CHECK_INT(channel, event.handle);
}

static void count_complete(void *context, apus_fetch fetch, apus_response response,
                           int32_t result) {
  (void)fetch;
  CHECK(response != 0);
  CHECK_INT(0, result);
  *(int *)context += 1;
}

/* Who waits for a fetch has had its callbacks by then, the last of them too. */
static void test_told_by_then(enum mode mode) {
  struct app app;
  char url[64];
  start(&app, mode);
  app_route(&app, APUS_GET, "/body", app_body_handler, NULL);
  harness_start(&app);
  apus_client client = apus_client_make();
  CHECK_INT(0, apus_client_set_workers(client, mode == MODE_THREADLESS ? 0 : 1));
  snprintf(url, sizeof url, "http://127.0.0.1:%d/body", app.port);
  for (int round = 0; round < 40; round++) {
    size_t got = 0;
    int completed = 0;
    apus_fetch fetch = apus_fetch_make(client, "GET", url);
    CHECK_INT(0, apus_fetch_on_body(fetch, count_body, &got, NULL));
    CHECK_INT(0, apus_fetch_on_complete(fetch, count_complete, &completed, NULL));
    CHECK(apus_fetch_send(fetch) != 0);
    CHECK_INT(APP_BODY, got);
    CHECK_INT(1, completed);
    CHECK_INT(1, apus_fetch_destroy(fetch));
  }
  CHECK_INT(1, apus_client_destroy(client));
  harness_stop(&app);
}

/* A fetch is waited for between two events: its callbacks are called, and the events are
 * still there behind it. */
static void test_wait_between_events(enum mode mode) {
  struct app app;
  apus_message message;
  char url[64];
  size_t got = 0;
  start(&app, mode);
  app_route(&app, APUS_GET, "/body", app_body_handler, NULL);
  app_websocket(&app, "/ws", open_talking, &heard);
  harness_start(&app);
  apus_client client = apus_client_make();
  CHECK_INT(0, apus_client_set_workers(client, mode == MODE_THREADLESS ? 0 : 1));
  apus_channel channel = apus_channel_make(client);
  CHECK_INT(0, apus_channel_set_events(channel, 1));
  snprintf(url, sizeof url, "ws://127.0.0.1:%d/ws", app.port);
  CHECK_INT(0, apus_channel_open(channel, url));
  expect_event(client, APUS_EVENT_OPEN, channel);
  apus_channel served = heard_opened(&heard);
  snprintf(url, sizeof url, "http://127.0.0.1:%d/body", app.port);
  for (int round = 1; round <= 3; round++) {
    apus_fetch fetch = apus_fetch_make(client, "GET", url);
    CHECK_INT(0, apus_fetch_on_body(fetch, count_body, &got, NULL));
    CHECK(apus_fetch_send(fetch) != 0);
    CHECK_INT(1, apus_fetch_destroy(fetch));
    CHECK_INT((size_t)round * APP_BODY, got);
  }
  expect_event(client, APUS_EVENT_MESSAGE, channel);
  CHECK_INT(1, apus_channel_recv(channel, &message, 0));
  CHECK_BYTES("one", 3, message.data, message.length);
  CHECK_INT(0, apus_channel_close(served, 1000, NULL, 0));
  apus_fetch fetch = apus_fetch_make(client, "GET", url);
  CHECK_INT(0, apus_fetch_on_body(fetch, count_body, &got, NULL));
  CHECK(apus_fetch_send(fetch) != 0);
  CHECK_INT(1, apus_fetch_destroy(fetch));
  expect_event(client, APUS_EVENT_CLOSE, channel);
  CHECK_INT(1, apus_channel_destroy(channel));
  CHECK_INT(1, apus_client_destroy(client));
  harness_stop(&app);
}

int main(int argc, char **argv) {
  static const struct harness_case cases[] = {
      {"writer_room", test_writer_room},
      {"channel_room", test_channel_room},
      {"published_meanwhile", test_published_meanwhile},
      {"writer_end", test_writer_end},
      {"writer_end_stopped", test_writer_end_stopped},
      {"left", test_left},
      {"successor", test_successor},
      {"written_before_waiting", test_written_before_waiting},
      {"events_behind_a_stop", test_events_behind_a_stop},
      {"queue_behind_a_stop", test_queue_behind_a_stop},
      {"missed", test_missed},
      {"told_by_then", test_told_by_then},
      {"wait_between_events", test_wait_between_events},
  };
  return harness_main("late_test", argc, argv, CASES(cases));
}
