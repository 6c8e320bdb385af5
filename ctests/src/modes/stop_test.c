/*
 * stop_test.c - how a server ends and begins again: what is pending when it
 * stops and how long that may take, deferred requests and writers that outlive
 * it, a second start, serving in the calling thread, destroying while callbacks
 * run elsewhere; and who may tick, when.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "../helpers/harness.h"

static void hello_handler(void *context, apus_request request) {
  (void)context;
  CHECK_INT(0, apus_reply_text(request, 200, "hello"));
}

static _Atomic apus_request deferred;
static _Atomic apus_writer handed;
static atomic_int drops;

static void count_drop(void *context) {
  (void)context;
  atomic_fetch_add(&drops, 1);
}

static void defer_handler(void *context, apus_request request) {
  (void)context;
  app_defer(request);
  atomic_store(&deferred, request);
}

static void ignore_writer(void *context, apus_writer writer) {
  (void)context;
  (void)writer;
}

static void writer_handler(void *context, apus_request request) {
  (void)context;
  apus_writer writer = apus_writer_make(request);
  CHECK(writer != 0);
  CHECK_INT(0, apus_writer_on_drain(writer, ignore_writer, NULL, count_drop));
  CHECK_INT(0, apus_writer_on_close(writer, ignore_writer, NULL, count_drop));
  CHECK_INT(0, apus_writer_write(writer, "begun", 5));
  atomic_store(&handed, writer);
}

static void start_app(struct app *app, enum mode mode, int32_t drain_ms) {
  atomic_store(&deferred, 0);
  atomic_store(&handed, 0);
  atomic_store(&drops, 0);
  app_make(app, mode);
  CHECK_INT(0, apus_server_set_drain_timeout(app->server, drain_ms));
  app_route(app, APUS_GET, "/hello", hello_handler, NULL);
  app_route(app, APUS_GET, "/defer", defer_handler, NULL);
  app_route(app, APUS_GET, "/writer", writer_handler, NULL);
  harness_start(app);
}

static void ask_deferred(struct app *app, struct client *client) {
  client_open(client, app->port);
  client_get(client, "/defer");
  EVENTUALLY(atomic_load(&deferred) != 0);
}

/* --------------------------------------------------------------------- drain */

static void *stop_thread(void *context) {
  CHECK_INT(0, apus_server_stop(((struct app *)context)->server));
  return NULL;
}

/* A request under way is answered while the server stops; an idle connection
 * is closed at once, which also shows that the stop has begun. */
static void test_drain(enum mode mode) {
  struct app app;
  struct client client, idle;
  pthread_t thread;
  start_app(&app, mode, 3600000);
  client_open(&idle, app.port);
  client_get(&idle, "/hello");
  CLIENT_EXPECT(&idle, "GET", 200, "hello");
  ask_deferred(&app, &client);
  CHECK_INT(0, pthread_create(&thread, NULL, stop_thread, &app));
  CLIENT_ENDS(&idle);
  client_close(&idle);
  CHECK_INT(1, apus_server_is_running(app.server));
  CHECK_CODE(APUS_E_STATE, apus_server_set_backlog(app.server, 10));
  CHECK_INT(0, apus_reply_text(atomic_load(&deferred), 200, "at last"));
  CLIENT_EXPECT(&client, "GET", 200, "at last");
  CLIENT_ENDS(&client);
  client_close(&client);
  CHECK_INT(0, pthread_join(thread, NULL));
  CHECK_INT(0, apus_server_is_running(app.server));
  if (app.driven) CHECK_INT(0, pthread_join(app.driver, NULL));
  CHECK_INT(1, apus_server_destroy(app.server));
}

/* A reply that never comes holds the stop up for the drain time limit only. */
static void test_drain_limit(enum mode mode) {
  struct app app;
  struct client client, second;
  for (int32_t drain_ms = 0; drain_ms <= 100; drain_ms += 50) {
    start_app(&app, mode, drain_ms);
    ask_deferred(&app, &client);
    client_open(&second, app.port);
    client_get(&second, "/writer");
    EVENTUALLY(atomic_load(&handed) != 0);
    harness_halt(&app);
    apus_request request = atomic_load(&deferred);
    apus_writer writer = atomic_load(&handed);
    struct reply reply;
    CHECK_INT(REPLY_NONE, client_try_reply(&client, "GET", &reply));
    CHECK(client_try_reply(&second, "GET", &reply) != REPLY_WHOLE);
    reply_free(&reply);
    client_close(&client);
    client_close(&second);
    CHECK_INT(0, apus_request_is_alive(request));
    CHECK_TEXT("/defer", apus_request_path(request));
    CHECK_CODE(APUS_E_CLOSED, apus_reply_text(request, 200, "late"));
    CHECK_INT(0, apus_writer_is_connected(writer));
    CHECK_INT(1, apus_writer_is_alive(writer));
    CHECK_CODE(APUS_E_CLOSED, apus_writer_write(writer, "late", 4));
    CHECK_INT(1, apus_writer_destroy(writer));
    CHECK_INT(1, apus_server_destroy(app.server));
    EVENTUALLY(atomic_load(&drops) == 2);
  }
}

/* What a destroyed server leaves behind is dead, and its callbacks dropped. */
static void test_dead_belongings(enum mode mode) {
  struct app app;
  struct client client, second;
  start_app(&app, mode, 3600000);
  ask_deferred(&app, &client);
  client_open(&second, app.port);
  client_get(&second, "/writer");
  EVENTUALLY(atomic_load(&handed) != 0);
  EVENTUALLY(apus_live_count(0) == 3);
  CHECK_INT(1, apus_server_destroy(app.server));
  CHECK_INT(0, apus_live_count(0));
  apus_request request = atomic_load(&deferred);
  apus_writer writer = atomic_load(&handed);
  CHECK_INT(0, apus_request_is_alive(request));
  CHECK_NONE(APUS_E_HANDLE, apus_request_path(request));
  CHECK_CODE(APUS_E_HANDLE, apus_reply_text(request, 200, "late"));
  CHECK_INT(0, apus_request_destroy(request));
  CHECK_INT(0, apus_writer_is_alive(writer));
  CHECK_CODE(APUS_E_HANDLE, apus_writer_write(writer, "late", 4));
  CHECK_INT(0, apus_writer_destroy(writer));
  EVENTUALLY(atomic_load(&drops) == 2);
  if (app.driven) CHECK_INT(0, pthread_join(app.driver, NULL));
  struct reply reply;
  CHECK(client_try_reply(&client, "GET", &reply) != REPLY_WHOLE);
  reply_free(&reply);
  CHECK(client_try_reply(&second, "GET", &reply) != REPLY_WHOLE);
  reply_free(&reply);
  client_close(&client);
  client_close(&second);
}

/* ------------------------------------------------------------------ again */

static void test_restart(enum mode mode) {
  struct app app;
  struct client client;
  int threads = harness_threads();
  int descriptors = harness_descriptors();
  start_app(&app, mode, 1000);
  for (int i = 0; i < 20; i++) {
    client_open(&client, app.port);
    client_get(&client, "/hello");
    CLIENT_EXPECT(&client, "GET", 200, "hello");
    harness_halt(&app);
    CLIENT_ENDS(&client);
    client_close(&client);
    EVENTUALLY(harness_threads() <= threads);
    /* What a stopped server may keep, its queue and its loops, does not add up. */
    EVENTUALLY(harness_descriptors() <= descriptors + 8);
    CHECK_CODE(APUS_E_STATE, apus_server_stop(app.server));
    CHECK_CODE(APUS_E_STATE, apus_server_event_fd(app.server));
    CHECK_INT(0, apus_server_set_backlog(app.server, 100 + i));
    harness_start(&app);
  }
  EVENTUALLY(apus_server_counter(app.server, APUS_COUNT_REPLIES) == 20);
  harness_stop(&app);
  EVENTUALLY(harness_descriptors() == descriptors);
}

/* ------------------------------------------------------------------- serve */

static void *serve_thread(void *context) {
  apus_server server = ((struct app *)context)->server;
  int32_t result = apus_server_serve(server);
  /* Or it comes when all is over: a thread may be slow to start. */
  CHECK(result == 0 || (result == APUS_E_HANDLE && !apus_server_is_alive(server)) ||
        (result == APUS_E_STATE && !apus_server_is_running(server)));
  return NULL;
}

static void stop_handler(void *context, apus_request request) {
  struct app *app = context;
  CHECK_CODE(APUS_E_STATE, apus_server_serve(app->server));
  CHECK_INT(0, apus_server_stop(app->server));
  CHECK_INT(0, apus_reply_text(request, 200, "stopping"));
}

/* serve starts, drives and returns: stopped from outside, by a handler, or
 * destroyed. There are no pulled requests in it. */
static void test_serve(enum mode mode) {
  if (mode == MODE_PULL) return;
  for (int way = 0; way < 9; way++) {
    struct app app;
    struct client client;
    pthread_t thread;
    app_make(&app, mode);
    app_route(&app, APUS_GET, "/hello", hello_handler, NULL);
    app_route(&app, APUS_GET, "/stop", stop_handler, &app);
    CHECK_INT(0, apus_server_listen(app.server, "127.0.0.1", 0));
    app.port = apus_server_port(app.server, 0);
    if (way / 3 == 1) CHECK_INT(0, apus_server_start(app.server));
    CHECK_INT(0, pthread_create(&thread, NULL, serve_thread, &app));
    client_open(&client, app.port);
    client_get(&client, "/hello");
    CLIENT_EXPECT(&client, "GET", 200, "hello");
    if (way % 3 == 0) {
      CHECK_INT(0, apus_server_stop(app.server));
    } else if (way % 3 == 1) {
      client_get(&client, "/stop");
      CLIENT_EXPECT(&client, "GET", 200, "stopping");
    } else {
      CHECK_INT(1, apus_server_destroy(app.server));
    }
    CLIENT_ENDS(&client);
    client_close(&client);
    CHECK_INT(0, pthread_join(thread, NULL));
    CHECK_INT(0, apus_server_is_running(app.server));
    CHECK_INT(way % 3 == 2 ? 0 : 1, apus_server_destroy(app.server));
  }
}

/* ------------------------------------------------- destroy waits for callbacks */

static atomic_int handler_in, handler_out, gate_open, gone;

static void slow_handler(void *context, apus_request request) {
  (void)context;
  (void)request;
  CHECK_INT(0, atomic_load(&gone));
  atomic_fetch_add(&handler_in, 1);
  while (!atomic_load(&gate_open)) harness_breathe();
  atomic_fetch_add(&handler_out, 1);
}

static void *destroy_thread(void *context) {
  CHECK_INT(1, apus_server_destroy(((struct app *)context)->server));
  atomic_store(&gone, 1);
  CHECK_INT(atomic_load(&handler_in), atomic_load(&handler_out));
  return NULL;
}

/* Destroyed while handlers run on other threads: it returns after them. */
static void test_waits(enum mode mode) {
  if (mode == MODE_PULL) return; /* a pulled request is no callback */
  for (int round = 0; round < 10; round++) {
    struct app app;
    struct client clients[8];
    pthread_t thread;
    atomic_store(&handler_in, 0);
    atomic_store(&handler_out, 0);
    atomic_store(&gate_open, 0);
    atomic_store(&gone, 0);
    app_make(&app, mode);
    app_route(&app, APUS_GET, "/slow", slow_handler, NULL);
    harness_start(&app);
    for (int i = 0; i < 8; i++) {
      client_open(&clients[i], app.port);
      client_get(&clients[i], "/slow");
    }
    EVENTUALLY(atomic_load(&handler_in) >= 1);
    CHECK_INT(0, pthread_create(&thread, NULL, destroy_thread, &app));
    for (int i = 0; i < round; i++) harness_breathe();
    atomic_store(&gate_open, 1);
    CHECK_INT(0, pthread_join(thread, NULL));
    if (app.driven) CHECK_INT(0, pthread_join(app.driver, NULL));
    for (int i = 0; i < 8; i++) client_close(&clients[i]);
  }
}

/* ------------------------------------------------------------- who may tick */

static void *tick_thread(void *context) {
  apus_server server = *(apus_server *)context;
  int32_t result;
  do {
    result = apus_server_tick(server, -1);
  } while (app_goes_on(result));
  app_ended(result);
  return NULL;
}

static void *next_thread(void *context) {
  apus_server server = *(apus_server *)context;
  apus_event event;
  int32_t result;
  do {
    result = apus_server_next(server, &event, -1);
    if (result == 1) CHECK_INT(0, apus_reply_text(event.handle, 200, "pulled"));
  } while (app_goes_on(result));
  app_ended(result);
  return NULL;
}

static void check_stopped(apus_server server) {
  apus_event event;
  CHECK_CODE(APUS_E_STATE, apus_server_tick(server, 0));
  CHECK_CODE(APUS_E_STATE, apus_server_next(server, &event, 0));
  CHECK_CODE(APUS_E_STATE, apus_server_event_fd(server));
  CHECK_CODE(APUS_E_STATE, apus_server_wake(server));
  CHECK_CODE(APUS_E_STATE, apus_server_stop(server));
  CHECK_INT(0, apus_server_is_running(server));
}

/* One thread at a time ticks or pulls; the others are told so. */
static void test_one_at_a_time(enum mode mode) {
  struct app app;
  apus_event event;
  pthread_t thread;
  app_make(&app, mode);
  app_route(&app, APUS_GET, "/hello", hello_handler, NULL);
  check_stopped(app.server);
  CHECK(apus_server_listen(app.server, "127.0.0.1", 0) == 0);
  CHECK_INT(0, apus_server_start(app.server));
  CHECK_INT(0, apus_server_tick(app.server, 0));
  CHECK_CODE(APUS_E_ARGUMENT, apus_server_tick(app.server, -2));
  if (mode == MODE_WORKER) {
    CHECK_CODE(APUS_E_STATE, apus_server_next(app.server, &event, 0));
  } else {
    CHECK_INT(0, apus_server_next(app.server, &event, 0));
    CHECK_CODE(APUS_E_ARGUMENT, apus_server_next(app.server, &event, -2));
  }
  /* Woken beforehand, a wait returns at once. */
  CHECK_INT(0, apus_server_wake(app.server));
  CHECK_INT(0, apus_server_tick(app.server, -1));
  void *(*run)(void *) = mode == MODE_PULL ? next_thread : tick_thread;
  CHECK_INT(0, pthread_create(&thread, NULL, run, &app.server));
  EVENTUALLY(apus_server_tick(app.server, 0) == APUS_E_THREAD);
  if (mode != MODE_WORKER) {
    EVENTUALLY(apus_server_next(app.server, &event, 0) == APUS_E_THREAD);
  }
  CHECK_INT(0, apus_server_stop(app.server));
  CHECK_INT(0, pthread_join(thread, NULL));
  check_stopped(app.server);
  CHECK_INT(1, apus_server_destroy(app.server));
}

/* The frozen event: its layout, and what next leaves in it. */
static void test_event(enum mode mode) {
  struct app app;
  struct client client;
  apus_event event;
  CHECK_INT(64, sizeof event);
  CHECK_INT(8, offsetof(apus_event, handle));
  CHECK_INT(16, offsetof(apus_event, connection));
  CHECK_INT(24, offsetof(apus_event, reserved));
  if (mode == MODE_WORKER || mode == MODE_TICK) return;
  app_make(&app, mode); /* pulled, with workers and without */
  int32_t first = app_route(&app, APUS_GET, "/first", hello_handler, NULL);
  int32_t second = app_route(&app, APUS_GET, "/second", hello_handler, NULL);
  CHECK(apus_server_listen(app.server, "127.0.0.1", 0) == 0);
  app.port = apus_server_port(app.server, 0);
  CHECK_INT(0, apus_server_start(app.server));
  client_open(&client, app.port);
  client_get(&client, "/second");
  client_get(&client, "/first");
  for (int i = 0; i < 2; i++) {
    memset(&event, 0x55, sizeof event);
    EVENTUALLY(apus_server_next(app.server, &event, 100) == 1);
    CHECK_INT(APUS_EVENT_REQUEST, event.kind);
    CHECK_INT(i == 0 ? second : first, event.route);
    CHECK(event.connection == apus_request_connection(event.handle));
    CHECK_CODE(APUS_E_STATE, apus_request_defer(event.handle));
    CHECK_INT(0, apus_reply_text(event.handle, 200, i == 0 ? "2" : "1"));
  }
  app.driven = mode == MODE_THREADLESS;
  if (app.driven) CHECK_INT(0, pthread_create(&app.driver, NULL, app_drive, &app));
  CLIENT_EXPECT(&client, "GET", 200, "2");
  CLIENT_EXPECT(&client, "GET", 200, "1");
  client_close(&client);
  harness_stop(&app);
}

int main(int argc, char **argv) {
  static const struct harness_case cases[] = {
      {"drain", test_drain},
      {"drain_limit", test_drain_limit},
      {"dead_belongings", test_dead_belongings},
      {"restart", test_restart},
      {"serve", test_serve},
      {"waits", test_waits},
      {"one_at_a_time", test_one_at_a_time},
      {"event", test_event},
  };
  return harness_main("stop_test", argc, argv, CASES(cases));
}
