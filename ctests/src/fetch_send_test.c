/*
 * fetch_send_test.c - apus_fetch_send() of a client with one thread, whose loop the caller
 * runs where nothing else goes on: that he does, and that others who come, cancel, stop and
 * destroy meanwhile find what they would have found otherwise.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "helpers/harness.h"

#define SENDS 400

static struct app app;
static char base[64];
static atomic_int silent_requests, here, elsewhere, completes;
static pthread_t caller;

static void hello(void *context, apus_request request) {
  (void)context;
  apus_reply_text(request, 200, "Hello, world!");
}

/* Is never answered. */
static void silent(void *context, apus_request request) {
  (void)context;
  apus_request_defer(request);
  atomic_fetch_add(&silent_requests, 1);
}

static void count_body(void *context, apus_fetch fetch, const void *data, size_t length) {
  (void)context, (void)fetch;
  CHECK_BYTES("Hello, world!", 13, data, length);
  atomic_fetch_add(pthread_equal(pthread_self(), caller) ? &here : &elsewhere, 1);
}

static void count_complete(void *context, apus_fetch fetch, apus_response response,
                           int32_t result) {
  /* The response may have ended: who waited may have started the fetch again. */
  (void)context, (void)fetch, (void)response;
  CHECK_INT(0, result);
  atomic_fetch_add(&completes, 1);
}

static apus_client start(enum mode mode, int32_t dispatch) {
  app_make(&app, mode);
  CHECK_INT(0, apus_server_set_drain_timeout(app.server, 0));
  app_route(&app, APUS_METHOD_ANY, "/hello", hello, NULL);
  app_route(&app, APUS_METHOD_ANY, "/silent", silent, NULL);
  harness_start(&app);
  snprintf(base, sizeof base, "http://127.0.0.1:%d/", app.port);
  atomic_store(&silent_requests, 0);
  atomic_store(&here, 0);
  atomic_store(&elsewhere, 0);
  atomic_store(&completes, 0);
  caller = pthread_self();
  apus_client client = apus_client_make();
  CHECK_INT(0, apus_client_set_dispatch(client, dispatch));
  CHECK_INT(0, apus_client_set_base_url(client, base));
  return client;
}

static void finish(apus_client client) {
  CHECK(apus_client_destroy(client) >= 0);
  harness_stop(&app);
}

static apus_fetch make(apus_client client, const char *path) {
  apus_fetch fetch = apus_fetch_make(client, "GET", path);
  CHECK(fetch != 0);
  return fetch;
}

static void send_well(apus_fetch fetch) {
  apus_response response = apus_fetch_send(fetch);
  CHECK_INT(200, response == 0 ? apus_last_error() : apus_response_status(response));
}

/* From the first answer on the loop may be had: sooner or later it was. */
static void lend(apus_client client) {
  apus_fetch fetch = make(client, "/hello");
  CHECK_INT(0, apus_fetch_on_body(fetch, count_body, NULL, NULL));
  for (int i = 0; i < 100000 && atomic_load(&here) == 0; i++) send_well(fetch);
  CHECK(atomic_load(&here) > 0);
  CHECK_INT(1, apus_fetch_destroy(fetch));
}

static void test_caller_runs_it(enum mode mode) {
  apus_client client = start(mode, APUS_DISPATCH_WORKER);
  lend(client);
  finish(client);
}

/* Callbacks of tick dispatch stay with the thread that ticks; without any it is as above. */
static void test_tick_dispatch(enum mode mode) {
  apus_client client = start(mode, APUS_DISPATCH_TICK);
  apus_fetch plain = make(client, "/hello"), told = make(client, "/hello");
  CHECK_INT(0, apus_fetch_on_body(told, count_body, NULL, NULL));
  CHECK_INT(0, apus_fetch_on_complete(told, count_complete, NULL, NULL));
  for (int i = 0; i < SENDS; i++) {
    send_well(plain);
    if (i % 4 != 0) continue;
    send_well(told);
    while (atomic_load(&completes) <= i / 4) CHECK(apus_client_tick(client, 100) >= 0);
  }
  CHECK_INT(SENDS / 4, atomic_load(&here));
  finish(client);
}

static void *send_many(void *context) {
  apus_fetch fetch = make(*(apus_client *)context, "/hello");
  for (int i = 0; i < SENDS; i++) send_well(fetch);
  CHECK_INT(1, apus_fetch_destroy(fetch));
  return NULL;
}

static void *start_many(void *context) {
  apus_client client = *(apus_client *)context;
  apus_fetch fetch = make(client, "/hello"), cut = make(client, "/silent");
  CHECK_INT(0, apus_fetch_on_complete(fetch, count_complete, NULL, NULL));
  for (int i = 0; i < SENDS; i++) {
    CHECK_INT(0, apus_fetch_start(fetch));
    if (i % 8 == 0) {
      CHECK_INT(0, apus_fetch_start(cut));
      CHECK_INT(0, apus_fetch_cancel(cut));
      CHECK_INT(1, apus_fetch_wait(cut, -1));
      CHECK_INT(APUS_E_CLOSED, apus_fetch_result(cut));
    }
    CHECK_INT(1, apus_fetch_wait(fetch, -1));
    CHECK_INT(0, apus_fetch_result(fetch));
  }
  return NULL;
}

static void test_others_come(enum mode mode) {
  pthread_t threads[4];
  apus_client client = start(mode, APUS_DISPATCH_WORKER);
  lend(client);
  for (int i = 0; i < 4; i++) {
    CHECK_INT(0, pthread_create(&threads[i], NULL, i < 2 ? send_many : start_many, &client));
  }
  for (int i = 0; i < 4; i++) CHECK_INT(0, pthread_join(threads[i], NULL));
  /* on_complete is told after whoever waits was woken. */
  EVENTUALLY(atomic_load(&completes) == 2 * SENDS);
  finish(client);
}

/* ---- ends that come while the caller is in the loop */

static void *send_silent(void *context) {
  CHECK_INT(0, (long long)apus_fetch_send(*(apus_fetch *)context));
  return (void *)(intptr_t)apus_last_error();
}

static void send_in_thread(apus_client client, apus_fetch *fetch, pthread_t *thread) {
  int before = atomic_load(&silent_requests);
  lend(client);
  *fetch = make(client, "/silent");
  CHECK_INT(0, pthread_create(thread, NULL, send_silent, fetch));
  EVENTUALLY(atomic_load(&silent_requests) > before);
}

static int32_t join(pthread_t thread) {
  void *code;
  CHECK_INT(0, pthread_join(thread, &code));
  return (int32_t)(intptr_t)code;
}

static void test_cancelled(enum mode mode) {
  pthread_t thread;
  apus_fetch fetch;
  apus_client client = start(mode, APUS_DISPATCH_WORKER);
  for (int i = 0; i < 10; i++) {
    send_in_thread(client, &fetch, &thread);
    CHECK_INT(0, apus_fetch_cancel(fetch));
    CHECK_INT(APUS_E_CLOSED, join(thread));
    CHECK_INT(1, apus_fetch_destroy(fetch));
    atomic_store(&here, 0);
  }
  finish(client);
}

static void test_client_destroyed(enum mode mode) {
  pthread_t thread;
  apus_fetch fetch;
  apus_client client = start(mode, APUS_DISPATCH_WORKER);
  send_in_thread(client, &fetch, &thread);
  CHECK_INT(1, apus_client_destroy(client));
  int32_t code = join(thread);
  CHECK(code == APUS_E_CLOSED || code == APUS_E_HANDLE);
  finish(client);
}

static void test_time_passes(enum mode mode) {
  apus_client client = start(mode, APUS_DISPATCH_WORKER);
  lend(client);
  apus_fetch fetch = make(client, "/silent");
  CHECK_INT(0, apus_fetch_set_total_timeout(fetch, 50));
  CHECK_INT(0, (long long)apus_fetch_send(fetch));
  CHECK_INT(APUS_E_TIMEOUT, apus_last_error());
  finish(client);
}

/* Somebody sees to what is left when the caller has gone. */
static void test_left_alone(enum mode mode) {
  apus_client client = start(mode, APUS_DISPATCH_WORKER);
  CHECK_INT(0, apus_client_set_idle_connection_timeout(client, 100));
  lend(client);
  CHECK(apus_server_counter(app.server, APUS_COUNT_ACCEPTED) > 0);
  EVENTUALLY(apus_server_counter(app.server, APUS_COUNT_CONNECTIONS) == 0);
  finish(client);
}

int main(void) {
  static const struct harness_case cases[] = {
      {"caller_runs_it", test_caller_runs_it},
      {"tick_dispatch", test_tick_dispatch},
      {"others_come", test_others_come},
      {"cancelled", test_cancelled},
      {"client_destroyed", test_client_destroyed},
      {"time_passes", test_time_passes},
      {"left_alone", test_left_alone},
  };
  return harness_run("fetch_send_test", MODE_WORKER, NULL, CASES(cases));
}
