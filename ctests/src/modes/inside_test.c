/*
 * inside_test.c - callbacks that reach further than their own request: contexts
 * that are replaced while their callback runs, drops that stop or destroy their
 * own server, callbacks of one server that tick another which then ends the
 * first, and requests that are let go of when their server runs anew.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "../helpers/harness.h"

static struct app app;
static _Atomic apus_writer handed;
static atomic_int entered, gate, drops, ended, way;

static void start_app(enum mode mode, apus_handler_fn handler) {
  atomic_store(&handed, 0);
  atomic_store(&entered, 0);
  atomic_store(&gate, 0);
  atomic_store(&drops, 0);
  atomic_store(&ended, 0);
  app_make(&app, mode);
  CHECK_INT(0, apus_server_set_drain_timeout(app.server, 0));
  app_route(&app, APUS_GET, "/", handler, NULL);
  harness_start(&app);
}

static void join_driver(void) {
  if (app.driven) CHECK_INT(0, pthread_join(app.driver, NULL));
  app.driven = 0;
}

/* ------------------------------------------------- replaced while it runs */

static void count_drop(void *context) {
  CHECK_INT(0, *(int *)context); /* no call of the function is under way */
  *(int *)context = -1;
  atomic_fetch_add(&drops, 1);
}

static void slow_close(void *context, apus_writer writer) {
  (void)writer;
  *(int *)context += 1;
  atomic_fetch_add(&entered, 1);
  while (!atomic_load(&gate)) harness_breathe();
  *(int *)context -= 1;
}

static void never(void *context, apus_writer writer) {
  (void)writer;
  harness_fail(__FILE__, __LINE__, "called: %p", context);
}

static int first, second, third;

static void slow_handler(void *context, apus_request request) {
  (void)context;
  apus_writer writer = apus_writer_make(request);
  CHECK(writer != 0);
  CHECK_INT(0, apus_writer_on_close(writer, slow_close, &first, count_drop));
  CHECK_INT(0, apus_writer_write(writer, "written", 7));
  CHECK_INT(0, apus_writer_end(writer));
  atomic_store(&handed, writer);
}

/* Twice: the first of them runs, the second was never called. */
static void test_replaced(enum mode mode) {
  struct client client;
  first = second = third = 0;
  start_app(mode, slow_handler);
  client_open(&client, app.port);
  client_get(&client, "/");
  EVENTUALLY(atomic_load(&entered) == 1);
  apus_writer writer = atomic_load(&handed);
  CHECK_INT(0, apus_writer_on_close(writer, never, &second, count_drop));
  CHECK_INT(0, atomic_load(&drops));
  CHECK_INT(0, apus_writer_on_close(writer, never, &third, count_drop));
  CHECK_INT(1, atomic_load(&drops));
  CHECK_INT(-1, second);
  atomic_store(&gate, 1);
  EVENTUALLY(atomic_load(&drops) == 2);
  CHECK_INT(-1, first);
  CHECK_INT(1, apus_writer_destroy(writer));
  EVENTUALLY(atomic_load(&drops) == 3);
  CLIENT_EXPECT(&client, "GET", 200, "written");
  client_close(&client);
  harness_stop(&app);
}

/* ------------------------------------------------------- ends in a drop */

enum { BY_STOP, BY_DESTROY, WAYS };

static void end_app(void) {
  if (atomic_load(&way) == BY_STOP) {
    int32_t result = apus_server_stop(app.server);
    CHECK(result == 0 || result == APUS_E_STATE);
    CHECK(apus_server_is_running(app.server) >= 0);
  } else {
    CHECK_INT(1, apus_server_destroy(app.server));
  }
  atomic_fetch_add(&ended, 1);
}

static void end_in_drop(void *context) {
  (void)context;
  end_app();
}

static void ignore_writer(void *context, apus_writer writer) {
  (void)context;
  (void)writer;
}

static void drop_handler(void *context, apus_request request) {
  (void)context;
  apus_writer writer = apus_writer_make(request);
  CHECK(writer != 0);
  CHECK_INT(0, apus_writer_on_close(writer, ignore_writer, NULL, end_in_drop));
  CHECK_INT(0, apus_writer_write(writer, "written", 7));
  atomic_store(&handed, writer);
}

static void finish_app(void) {
  EVENTUALLY(atomic_load(&ended) == 1);
  EVENTUALLY(apus_server_is_running(app.server) == 0);
  join_driver();
  CHECK_INT(atomic_load(&way) == BY_STOP ? 1 : 0, apus_server_destroy(app.server));
  EVENTUALLY(apus_live_count(0) == 0);
}

/* While it runs: the thread that drops is a worker's, or the one that ticks. */
static void test_drop_ends(enum mode mode) {
  for (int i = 0; i < WAYS; i++) {
    struct client client;
    atomic_store(&way, i);
    start_app(mode, drop_handler);
    client_open(&client, app.port);
    client_get(&client, "/");
    EVENTUALLY(atomic_load(&handed) != 0);
    CHECK_INT(0, apus_writer_end(atomic_load(&handed)));
    CHECK_INT(1, apus_writer_destroy(atomic_load(&handed)));
    finish_app();
    client_close(&client);
  }
}

/* When it has stopped, on the thread that lets go of the writer. */
static void test_late_drop_ends(enum mode mode) {
  for (int i = 0; i < WAYS; i++) {
    struct client client;
    atomic_store(&way, i);
    start_app(mode, drop_handler);
    client_open(&client, app.port);
    client_get(&client, "/");
    EVENTUALLY(atomic_load(&handed) != 0);
    harness_halt(&app);
    CHECK_INT(1, apus_writer_destroy(atomic_load(&handed)));
    finish_app();
    client_close(&client);
  }
}

/* In the call that destroys it: by then it has no handle. */
static void call_in_drop(void *context) {
  (void)context;
  CHECK_INT(0, apus_server_destroy(app.server));
  CHECK_CODE(APUS_E_HANDLE, apus_server_stop(app.server));
  CHECK_CODE(APUS_E_HANDLE, apus_server_start(app.server));
  atomic_fetch_add(&ended, 1);
}

static void call_handler(void *context, apus_request request) {
  (void)context;
  apus_writer writer = apus_writer_make(request);
  CHECK(writer != 0);
  CHECK_INT(0, apus_writer_on_close(writer, ignore_writer, NULL, call_in_drop));
  atomic_store(&handed, writer);
}

static void test_drop_in_destroy(enum mode mode) {
  struct client client;
  start_app(mode, call_handler);
  client_open(&client, app.port);
  client_get(&client, "/");
  EVENTUALLY(atomic_load(&handed) != 0);
  CHECK_INT(1, apus_server_destroy(app.server));
  join_driver();
  EVENTUALLY(atomic_load(&ended) == 1);
  CHECK_INT(0, apus_live_count(0));
  client_close(&client);
}

/* ---------------------------------------------------- one inside another */

static apus_server other;

static void other_ticked(void *context, apus_server server) {
  (void)context;
  CHECK(server == other);
  end_app();
  CHECK_CODE(atomic_load(&way) == BY_STOP ? APUS_E_STATE : APUS_E_HANDLE,
             apus_server_tick(app.server, 0));
}

static void tick_other(void *context, apus_request request) {
  (void)context;
  CHECK_INT(1, apus_server_tick(other, 0));
  (void)apus_reply_text(request, 200, "ticked");
}

/* A callback that is two calls further out: the end comes when it is over. */
static void test_nested(enum mode mode) {
  if (mode == MODE_PULL) return; /* a pulled request is no callback */
  for (int i = 0; i < WAYS; i++) {
    struct client client;
    atomic_store(&way, i);
    other = apus_server_make();
    CHECK_INT(0, apus_server_set_workers(other, 0));
    CHECK_INT(0, apus_server_on_tick(other, other_ticked, NULL, NULL));
    CHECK_INT(0, apus_server_start(other));
    start_app(mode, tick_other);
    client_open(&client, app.port);
    client_get(&client, "/");
    EVENTUALLY(atomic_load(&ended) == 1);
    EVENTUALLY(apus_server_is_running(app.server) == 0);
    join_driver();
    CHECK_INT(i == BY_STOP ? 1 : 0, apus_server_destroy(app.server));
    CHECK_INT(1, apus_server_destroy(other));
    EVENTUALLY(apus_live_count(0) == 0);
    client_close(&client);
  }
}

/* ------------------------------------------- a request of the first start */

static _Atomic apus_request kept;

static void keep_handler(void *context, apus_request request) {
  (void)context;
  apus_request old = atomic_exchange(&kept, 0);
  if (old != 0) {
    CHECK_INT(1, apus_request_destroy(old));
    CHECK_INT(0, apus_reply_text(request, 200, "let go"));
    return;
  }
  app_defer(request);
  atomic_store(&kept, request);
}

/* Let go of by a callback of the second. */
static void test_kept(enum mode mode) {
  atomic_store(&kept, 0);
  start_app(mode, keep_handler);
  for (int i = 0; i < 20; i++) {
    struct client client, late;
    client_open(&client, app.port);
    client_get(&client, "/");
    EVENTUALLY(atomic_load(&kept) != 0);
    harness_halt(&app);
    client_close(&client);
    harness_start(&app);
    client_open(&late, app.port);
    client_get(&late, "/");
    CLIENT_EXPECT(&late, "GET", 200, "let go");
    client_close(&late);
    CHECK_INT(0, apus_live_count(APUS_KIND_REQUEST));
  }
  harness_stop(&app);
}

int main(int argc, char **argv) {
  static const struct harness_case cases[] = {
      {"replaced", test_replaced},
      {"drop_ends", test_drop_ends},
      {"late_drop_ends", test_late_drop_ends},
      {"drop_in_destroy", test_drop_in_destroy},
      {"nested", test_nested},
      {"kept", test_kept},
  };
  return harness_main("inside_test", argc, argv, CASES(cases));
}
