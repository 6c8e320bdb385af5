/*
 * poll_test.c - a server inside a foreign event loop: poll() on the server's
 * descriptor is all that drives it, and tick or next is only called when the
 * descriptor is readable, and never waits. With workers and without; also the
 * library's own time limits have to come through in this way.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "helpers/harness.h"

struct loop {
  struct app app;
  int pulling;
  atomic_int quit, ticks;
  pthread_t thread;
};

static void hello_handler(void *context, apus_request request) {
  (void)context;
  CHECK_INT(0, apus_reply_text(request, 200, apus_request_path(request)));
}

/* Takes what is there, without waiting. */
static void take_all(struct loop *loop) {
  apus_event event;
  if (!loop->pulling) {
    CHECK(apus_server_tick(loop->app.server, 0) >= 0);
    return;
  }
  int32_t result;
  while ((result = apus_server_next(loop->app.server, &event, 0)) == 1) {
    app_pulled(&loop->app, &event);
  }
  CHECK_INT(0, result);
}

/* A loop such as libuv's, asyncio's or a game's: one poll, then what is due.
 * The poll is for ever: a descriptor that stays silent shows as a hang. */
static void *run_loop(void *context) {
  struct loop *loop = context;
  int32_t descriptor = apus_server_event_fd(loop->app.server);
  CHECK(descriptor > 2);
  while (!atomic_load(&loop->quit)) {
    struct pollfd item = {.fd = descriptor, .events = POLLIN};
    int count = poll(&item, 1, -1);
    if (count < 0 && errno == EINTR) continue;
    CHECK_INT(1, count);
    CHECK_INT(POLLIN, item.revents);
    take_all(loop);
    atomic_fetch_add(&loop->ticks, 1);
  }
  return NULL;
}

static void start_loop(struct loop *loop, int workers, int pulling, int32_t idle_ms) {
  memset(loop, 0, sizeof *loop);
  loop->pulling = pulling;
  app_make(&loop->app, pulling ? MODE_PULL : MODE_TICK);
  CHECK_INT(0, apus_server_set_workers(loop->app.server, workers));
  CHECK_INT(0, apus_server_set_keep_alive_timeout(loop->app.server, idle_ms));
  app_route(&loop->app, APUS_GET, "/*", hello_handler, NULL);
  CHECK_CODE(APUS_E_STATE, apus_server_event_fd(loop->app.server));
  CHECK_INT(0, apus_server_listen(loop->app.server, "127.0.0.1", 0));
  loop->app.port = apus_server_port(loop->app.server, 0);
  CHECK_INT(0, apus_server_start(loop->app.server));
  CHECK_INT(0, pthread_create(&loop->thread, NULL, run_loop, loop));
}

static void stop_loop(struct loop *loop) {
  atomic_store(&loop->quit, 1);
  CHECK_INT(0, apus_server_wake(loop->app.server));
  CHECK_INT(0, pthread_join(loop->thread, NULL));
  harness_stop(&loop->app);
}

/* With nothing to do the descriptor falls silent: a loop on it does not spin. A
 * few ticks, for a timer of the library's own, are no spinning. */
static void check_silent(struct loop *loop) {
  struct pollfd item = {.fd = apus_server_event_fd(loop->app.server), .events = POLLIN};
  EVENTUALLY(poll(&item, 1, 0) == 0);
  int before = atomic_load(&loop->ticks);
  for (int i = 0; i < 10; i++) poll(&item, 1, 5);
  CHECK(atomic_load(&loop->ticks) < before + 40);
}

static void check_requests(struct loop *loop) {
  enum { CLIENTS = 20, ROUNDS = 20 };
  static struct client clients[CLIENTS];
  for (int i = 0; i < CLIENTS; i++) client_open(&clients[i], loop->app.port);
  for (int round = 0; round < ROUNDS; round++) {
    for (int i = 0; i < CLIENTS; i++) {
      client_format(&clients[i], "GET /%d/%d HTTP/1.1\r\nHost: a\r\n\r\n", i, round);
    }
    for (int i = 0; i < CLIENTS; i++) {
      char expected[32];
      snprintf(expected, sizeof expected, "/%d/%d", i, round);
      CLIENT_EXPECT(&clients[i], "GET", 200, expected);
    }
    if (round % 5 == 0) check_silent(loop);
  }
  for (int i = 0; i < CLIENTS; i++) client_close(&clients[i]);
}

static void test_requests(enum mode mode) {
  (void)mode;
  for (int way = 0; way < 4; way++) {
    struct loop loop;
    start_loop(&loop, way % 2 == 0 ? 2 : 0, way / 2, 60000);
    check_requests(&loop);
    stop_loop(&loop);
  }
}

/* A time limit passes while nothing else happens. */
static void test_time_limits(enum mode mode) {
  (void)mode;
  for (int way = 0; way < 4; way++) {
    struct loop loop;
    struct client client;
    start_loop(&loop, way % 2 == 0 ? 2 : 0, way / 2, 500);
    client_open(&client, loop.app.port);
    client_get(&client, "/x");
    CLIENT_EXPECT(&client, "GET", 200, "/x");
    CLIENT_ENDS(&client);
    client_close(&client);
    EVENTUALLY(apus_server_counter(loop.app.server, APUS_COUNT_TIMEOUT_IDLE) == 1);
    stop_loop(&loop);
  }
}

/* One thread that is client and server at once: nothing ever waits for the
 * other, because there are no threads at all. */
static void test_single_thread(enum mode mode) {
  struct loop loop;
  struct client client;
  int threads = harness_threads();
  memset(&loop, 0, sizeof loop);
  app_make(&loop.app, MODE_THREADLESS);
  app_route(&loop.app, APUS_GET, "/*", hello_handler, NULL);
  CHECK_INT(0, apus_server_listen(loop.app.server, "127.0.0.1", 0));
  loop.app.port = apus_server_port(loop.app.server, 0);
  CHECK_INT(0, apus_server_start(loop.app.server));
  CHECK(harness_threads() <= threads);
  int32_t descriptor = apus_server_event_fd(loop.app.server);
  client_open(&client, loop.app.port);
  for (int i = 0; i < 50; i++) {
    client_get(&client, "/alone");
    int answered = 0;
    while (!answered) {
      struct pollfd items[2] = {{.fd = descriptor, .events = POLLIN},
                                {.fd = client.fd, .events = POLLIN}};
      CHECK(poll(items, 2, HARNESS_DEADLINE_MS) > 0);
      if (items[0].revents != 0) take_all(&loop);
      answered = items[1].revents != 0;
    }
    CLIENT_EXPECT(&client, "GET", 200, "/alone");
  }
  client_close(&client);
  (void)mode;
  CHECK_INT(0, apus_server_stop(loop.app.server));
  CHECK_INT(1, apus_server_destroy(loop.app.server));
}

int main(void) {
  static const struct harness_case cases[] = {
      {"requests", test_requests},
      {"time_limits", test_time_limits},
      {"single_thread", test_single_thread},
  };
  return harness_run("poll_test", MODE_TICK, NULL, CASES(cases));
}
