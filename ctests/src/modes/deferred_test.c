/*
 * deferred_test.c - requests that outlive their handlers: answered by other
 * threads, out of order, and received in order; how many of one connection may
 * wait at once; given up, or left by their clients. And the queues between the
 * threads at their limits.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "../helpers/harness.h"

/* ------------------------------------------------------- deferred replies */

#define DEFERRED 40

static _Atomic apus_request deferred[DEFERRED];
static atomic_int deferred_count, deferred_most;

static void defer_handler(void *context, apus_request request) {
  int index = atoi(apus_request_param(request, "index", NULL));
  (void)context;
  app_defer(request);
  atomic_store(&deferred[index], request);
  int now = atomic_fetch_add(&deferred_count, 1) + 1;
  if (now > atomic_load(&deferred_most)) atomic_store(&deferred_most, now);
}

static void start_deferring(struct app *app, enum mode mode, int32_t pipelined) {
  atomic_store(&deferred_count, 0);
  atomic_store(&deferred_most, 0);
  for (int i = 0; i < DEFERRED; i++) atomic_store(&deferred[i], 0);
  app_make(app, mode);
  CHECK_INT(0, apus_server_set_max_pipelined(app->server, pipelined));
  app_route(app, APUS_GET, "/defer/:index", defer_handler, NULL);
  harness_start(app);
}

static void reply_deferred(int index) {
  apus_request request = atomic_load(&deferred[index]);
  char text[64];
  CHECK_INT(1, apus_request_is_alive(request));
  snprintf(text, sizeof text, "%s", apus_request_path(request));
  atomic_fetch_sub(&deferred_count, 1);
  CHECK_INT(0, apus_reply_text(request, 200, text));
  CHECK_INT(0, apus_request_is_alive(request));
  CHECK_CODE(APUS_E_HANDLE, apus_reply_text(request, 200, "twice"));
  CHECK_INT(0, apus_request_destroy(request));
}

static void *reply_backwards(void *context) {
  (void)context;
  for (int i = DEFERRED - 1; i >= 0; i--) reply_deferred(i);
  return NULL;
}

static void ask_deferred(struct client *client) {
  for (int i = 0; i < DEFERRED; i++) {
    client_format(client, "GET /defer/%d HTTP/1.1\r\nHost: a\r\n\r\n", i);
  }
}

static void expect_deferred(struct client *client, int index) {
  char expected[32];
  snprintf(expected, sizeof expected, "/defer/%d", index);
  CLIENT_EXPECT(client, "GET", 200, expected);
}

/* Answered last first by another thread, and received first to last. */
static void test_deferred(enum mode mode) {
  struct app app;
  struct client client;
  pthread_t thread;
  start_deferring(&app, mode, 64);
  client_open(&client, app.port);
  ask_deferred(&client);
  EVENTUALLY(atomic_load(&deferred_count) == DEFERRED);
  CLIENT_QUIET(&client);
  CHECK_INT(DEFERRED, apus_live_count(APUS_KIND_REQUEST));
  CHECK_INT(0, pthread_create(&thread, NULL, reply_backwards, NULL));
  for (int i = 0; i < DEFERRED; i++) expect_deferred(&client, i);
  CHECK_INT(0, pthread_join(thread, NULL));
  EVENTUALLY(apus_live_count(APUS_KIND_REQUEST) == 0);
  client_close(&client);
  harness_stop(&app);
}

/* No more of one connection's requests wait at once than the limit allows. */
static void test_pipeline_limit(enum mode mode) {
  struct app app;
  struct client client;
  start_deferring(&app, mode, 4);
  client_open(&client, app.port);
  ask_deferred(&client);
  for (int i = 0; i < DEFERRED; i++) {
    EVENTUALLY(atomic_load(&deferred[i]) != 0);
    reply_deferred(i);
    expect_deferred(&client, i);
  }
  CHECK(atomic_load(&deferred_most) <= 4);
  client_close(&client);
  harness_stop(&app);
}

/* Given up without a reply: 500. A client that leaves: its replies fail. */
static void test_deferred_ends(enum mode mode) {
  struct app app;
  struct client client;
  start_deferring(&app, mode, 64);
  client_open(&client, app.port);
  client_get(&client, "/defer/0");
  EVENTUALLY(atomic_load(&deferred[0]) != 0);
  CHECK_INT(1, apus_request_destroy(atomic_load(&deferred[0])));
  CHECK_INT(0, apus_request_destroy(atomic_load(&deferred[0])));
  CLIENT_EXPECT(&client, "GET", 500, NULL);
  client_close(&client);
  client_open(&client, app.port);
  client_get(&client, "/defer/1");
  client_get(&client, "/defer/2");
  EVENTUALLY(atomic_load(&deferred[2]) != 0);
  client_leave(&client);
  apus_request first = atomic_load(&deferred[1]);
  apus_request second = atomic_load(&deferred[2]);
  EVENTUALLY(apus_request_is_alive(first) == 0 && apus_request_is_alive(second) == 0);
  CHECK_TEXT("/defer/1", apus_request_path(first));
  CHECK_CODE(APUS_E_CLOSED, apus_reply_set_header(first, "A", "b"));
  CHECK_CODE(APUS_E_CLOSED, apus_reply_text(first, 200, "late"));
  CHECK_NONE(APUS_E_HANDLE, apus_request_path(first));
  CHECK_INT(1, apus_request_destroy(second));
  CHECK_INT(0, apus_live_count(APUS_KIND_REQUEST));
  harness_stop(&app);
}

/* ------------------------------------------------------- queues at limits */

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static void gate_handler(void *context, apus_request request) {
  (void)context;
  pthread_mutex_lock(&gate);
  pthread_mutex_unlock(&gate);
  CHECK_INT(0, apus_reply_text(request, 200, "through"));
}

/* Clients that post while the handler stands still: some are turned away, each
 * is answered, and each refusal is counted. */
static void check_pending(enum mode mode, int32_t events, int64_t bytes) {
  enum { CLIENTS = 20, BODY = 6000 };
  static struct client clients[CLIENTS];
  static char body[BODY];
  struct app app;
  struct reply reply;
  int through = 0, refused = 0;
  app_make(&app, mode);
  CHECK_INT(0, apus_server_set_max_pending(app.server, events));
  CHECK_INT(0, apus_server_set_max_pending_bytes(app.server, bytes));
  app_route(&app, APUS_POST, "/echo", gate_handler, NULL);
  harness_start(&app);
  pthread_mutex_lock(&gate);
  for (int i = 0; i < CLIENTS; i++) {
    client_open(&clients[i], app.port);
    client_format(&clients[i], "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n",
                  BODY);
    client_send_some(&clients[i], body, BODY);
  }
  EVENTUALLY(apus_server_counter(app.server, APUS_COUNT_REFUSED_BUSY) >= 1);
  pthread_mutex_unlock(&gate);
  for (int i = 0; i < CLIENTS; i++) {
    client_reply(&clients[i], "POST", &reply);
    CHECK(reply.status == 200 || reply.status == 503);
    through += reply.status == 200;
    refused += reply.status == 503;
    reply_free(&reply);
    client_close(&clients[i]);
  }
  CHECK(through >= 1 && refused >= 1);
  EVENTUALLY(apus_server_counter(app.server, APUS_COUNT_REFUSED_BUSY) == refused);
  harness_stop(&app);
}

/* Only where requests queue for another thread is there a queue to fill. */
static void test_pending(enum mode mode) {
  if (mode != MODE_TICK && mode != MODE_PULL) return;
  check_pending(mode, 4, 1 << 20);
  check_pending(mode, 1000, 20000);
}

int main(int argc, char **argv) {
  static const struct harness_case cases[] = {
      {"deferred", test_deferred},
      {"pipeline_limit", test_pipeline_limit},
      {"deferred_ends", test_deferred_ends},
      {"pending", test_pending},
  };
  return harness_main("deferred_test", argc, argv, CASES(cases));
}
