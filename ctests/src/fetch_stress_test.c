/*
 * fetch_stress_test.c - eight threads that make, start, send, wait for, pause, cancel and
 * destroy fetches and their clients at once, and callbacks that do the same: every call
 * gives a code that it may give, every context has its one drop, and nothing is left.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "helpers/harness.h"

#define THREADS 8
#define CLIENTS 4
#define FETCHES 12
#define RUN_MS 1500

static struct app app;
static char base[64];
static _Atomic apus_client clients[CLIENTS];
static _Atomic apus_fetch fetches[FETCHES];
static atomic_int stops, given, drops;
static atomic_llong calls, completes, responses, bytes;

/* ---- the peer */

static void hello(void *context, apus_request request) {
  (void)context;
  apus_reply_set_header(request, "Set-Cookie", "a=1; Path=/");
  apus_reply_text(request, 200, "Hello, world!");
}

static void echo(void *context, apus_request request) {
  (void)context;
  size_t length;
  const void *body = apus_request_body(request, &length);
  apus_reply_data(request, body, length);
}

static void stream(void *context, apus_request request) {
  (void)context;
  static char piece[1000];
  apus_writer writer = apus_writer_make(request);
  apus_writer_set_high_water(writer, 1 << 30);
  for (int i = 0; i < 300; i++) apus_writer_write(writer, piece, sizeof piece);
  apus_writer_end(writer);
  apus_writer_destroy(writer);
}

/* Never answers: the fetch ends by its time limit, or by somebody. */
static void silent(void *context, apus_request request) {
  (void)context;
  apus_request_defer(request);
}

static const char *const paths[] = {"/hello",  "/echo",    "/stream",
                                    "/silent", "/hello?b", "/nothing"};

/* ---- calls */

static void expect_allowed(int line, int64_t result) {
  atomic_fetch_add(&calls, 1);
  if (result >= 0) return;
  switch (result) {
    case APUS_E_HANDLE:
    case APUS_E_STATE:
    case APUS_E_THREAD:
    case APUS_E_FULL:
    case APUS_E_TIMEOUT:
    case APUS_E_CLOSED:
    case APUS_E_NOT_FOUND:
    case APUS_E_TOO_LARGE:
      return;
    default:
      harness_fail(__FILE__, line, "%lld: %s", (long long)result, apus_last_error_message());
  }
}

#define CALL(call) expect_allowed(__LINE__, (call))

static unsigned roll(unsigned *chance) {
  *chance = *chance * 1664525u + 1013904223u;
  return *chance >> 8;
}

/* ---- what fetches tell */

struct state {
  atomic_int inside;
  unsigned chance;
};

static void drop_state(void *context) {
  struct state *state = context;
  CHECK_INT(0, atomic_load(&state->inside));
  free(state);
  atomic_fetch_add(&drops, 1);
}

static struct state *make_state(unsigned chance) {
  struct state *state = calloc(1, sizeof *state);
  CHECK(state != NULL);
  state->chance = chance;
  atomic_fetch_add(&given, 1);
  return state;
}

/* What callbacks do with their own fetch, now and then. */
static void meddle(struct state *state, apus_fetch fetch) {
  atomic_fetch_add(&state->inside, 1);
  switch (roll(&state->chance) % 24) {
    case 0:
      CALL(apus_fetch_cancel(fetch));
      break;
    case 1:
      CALL(apus_fetch_destroy(fetch));
      break;
    case 2:
      CALL(apus_fetch_start(fetch));
      break;
    case 3:
      CALL(apus_fetch_pause(fetch));
      break;
    case 4:
      CALL(apus_fetch_wait(fetch, 0));
      break;
    default:
      break;
  }
  atomic_fetch_sub(&state->inside, 1);
}

static void on_response(void *context, apus_fetch fetch, apus_response response) {
  atomic_fetch_add(&responses, 1);
  CALL(apus_response_status(response));
  meddle(context, fetch);
}

static void on_body(void *context, apus_fetch fetch, const void *data, size_t length) {
  CHECK(data != NULL && length > 0);
  atomic_fetch_add(&bytes, (long long)length);
  meddle(context, fetch);
}

static void on_complete(void *context, apus_fetch fetch, apus_response response, int32_t result) {
  atomic_fetch_add(&completes, 1);
  CALL(result);
  if (result == 0) CALL(apus_response_body_bytes(response));
  meddle(context, fetch);
}

static int64_t source(void *context, apus_fetch fetch, void *buffer, size_t capacity) {
  struct state *state = context;
  meddle(state, fetch);
  if (roll(&state->chance) % 4 == 0) return 0;
  memset(buffer, 's', capacity / 4);
  return (int64_t)capacity / 4;
}

/* ---- what the threads do */

static void renew_client(unsigned *chance) {
  unsigned kind = roll(chance) % 3;
  apus_client client = apus_client_make();
  CHECK(client != 0);
  CALL(apus_client_set_workers(client, kind == 2 ? 0 : 1 + (int32_t)(roll(chance) % 2)));
  CALL(apus_client_set_dispatch(client, kind == 0 ? APUS_DISPATCH_WORKER : APUS_DISPATCH_TICK));
  CALL(apus_client_set_base_url(client, base));
  CALL(apus_client_set_total_timeout(client, 60));
  CALL(apus_client_set_max_connections(client, 3, 4, 8));
  CALL(apus_client_destroy(atomic_exchange(&clients[roll(chance) % CLIENTS], client)));
}

static void renew_fetch(unsigned *chance) {
  apus_client client = atomic_load(&clients[roll(chance) % CLIENTS]);
  const char *path = paths[roll(chance) % (sizeof paths / sizeof paths[0])];
  unsigned kind = roll(chance);
  apus_fetch fetch = apus_fetch_make(client, kind % 2 ? "GET" : "POST", path);
  if (fetch == 0) return CALL(apus_last_error());
  if (kind % 4 == 0) CALL(apus_fetch_set_body(fetch, "body", 4, NULL));
  if (kind % 4 == 2) {
    CALL(apus_fetch_set_body_source(fetch, -1, NULL, source, make_state(kind), drop_state));
  }
  if (kind % 3 == 0) CALL(apus_fetch_on_response(fetch, on_response, make_state(kind), drop_state));
  if (kind % 5 < 2) CALL(apus_fetch_on_body(fetch, on_body, make_state(kind), drop_state));
  if (kind % 7 < 4) CALL(apus_fetch_on_complete(fetch, on_complete, make_state(kind), drop_state));
  CALL(apus_fetch_destroy(atomic_exchange(&fetches[roll(chance) % FETCHES], fetch)));
}

/* What is borrowed is safe only once the response is this thread's. */
static void read_response(apus_fetch fetch) {
  apus_response response = apus_fetch_response(fetch);
  if (response == 0 || apus_response_keep(response) != 0) return CALL(apus_last_error());
  size_t length = 0;
  const char *body = apus_response_body(response, &length);
  CHECK(body == NULL || body[length] == 0);
  CALL(apus_response_status(response));
  CALL(apus_response_destroy(response));
}

static void act(unsigned *chance) {
  apus_fetch fetch = atomic_load(&fetches[roll(chance) % FETCHES]);
  apus_client client = atomic_load(&clients[roll(chance) % CLIENTS]);
  char text[256];
  switch (roll(chance) % 20) {
    case 0:
      if (roll(chance) % 8 == 0) renew_client(chance);
      break;
    case 1:
    case 2:
      return renew_fetch(chance);
    case 3:
    case 4:
    case 5:
      return CALL(apus_fetch_start(fetch));
    case 6:
      if (apus_fetch_send(fetch) == 0) CALL(apus_last_error());
      break;
    case 7:
      return CALL(apus_fetch_cancel(fetch));
    case 8:
      return CALL(apus_fetch_pause(fetch));
    case 9:
      return CALL(apus_fetch_resume(fetch));
    case 10:
      return CALL(apus_fetch_wait(fetch, (int32_t)(roll(chance) % 5)));
    case 11:
      return read_response(fetch);
    case 12:
      return CALL(apus_fetch_set_header(fetch, "X-A", "b"));
    case 13:
      return CALL(apus_fetch_result(fetch));
    case 14:
      return CALL(apus_fetch_destroy(fetch));
    case 15:
      CALL(apus_client_cookie_at(client, 0, text, sizeof text));
      return CALL(apus_client_clear_cookies(client));
    case 16:
      return CALL(apus_fetch_set_url(fetch, paths[roll(chance) % 6]));
    default:
      return CALL(apus_client_tick(client, (int32_t)(roll(chance) % 3)));
  }
}

static void *run(void *context) {
  unsigned chance = (unsigned)(uintptr_t)context * 2654435761u;
  while (!atomic_load(&stops)) act(&chance);
  return NULL;
}

static void test_all_at_once(enum mode mode) {
  pthread_t threads[THREADS];
  app_make(&app, mode);
  CHECK_INT(0, apus_server_set_drain_timeout(app.server, 0));
  app_route(&app, APUS_METHOD_ANY, "/hello", hello, NULL);
  app_route(&app, APUS_METHOD_ANY, "/echo", echo, NULL);
  app_route(&app, APUS_METHOD_ANY, "/stream", stream, NULL);
  app_route(&app, APUS_METHOD_ANY, "/silent", silent, NULL);
  harness_start(&app);
  snprintf(base, sizeof base, "http://127.0.0.1:%d/", app.port);
  unsigned chance = 1;
  for (int i = 0; i < 4 * CLIENTS; i++) renew_client(&chance);
  int64_t end = harness_now_ms() + RUN_MS;
  for (uintptr_t i = 0; i < THREADS; i++) {
    CHECK_INT(0, pthread_create(&threads[i], NULL, run, (void *)(i + 1)));
  }
  while (harness_now_ms() < end) harness_breathe();
  /* Each limit is short, and a machine may be slow. */
  EVENTUALLY(atomic_load(&completes) > 0 && atomic_load(&responses) > 0 && atomic_load(&bytes) > 0);
  /* The end of some clients comes upon what runs. */
  CHECK(apus_client_destroy(atomic_load(&clients[0])) >= 0);
  atomic_store(&stops, 1);
  for (int i = 0; i < THREADS; i++) CHECK_INT(0, pthread_join(threads[i], NULL));
  for (int i = 0; i < FETCHES / 2; i++) apus_fetch_destroy(atomic_load(&fetches[i]));
  for (int i = 0; i < CLIENTS; i++) apus_client_destroy(atomic_load(&clients[i]));
  for (int i = 0; i < FETCHES; i++) CHECK_INT(0, apus_fetch_is_alive(atomic_load(&fetches[i])));
  EVENTUALLY(atomic_load(&drops) == atomic_load(&given));
  EVENTUALLY(apus_live_count(APUS_KIND_RESPONSE) == 0);
  harness_stop(&app);
  printf("calls %lld, completes %lld, contexts %d\n", (long long)atomic_load(&calls),
         (long long)atomic_load(&completes), atomic_load(&given));
}

int main(void) {
  static const struct harness_case cases[] = {{"all_at_once", test_all_at_once}};
  return harness_run("fetch_stress_test", MODE_WORKER, NULL, cases, 1);
}
