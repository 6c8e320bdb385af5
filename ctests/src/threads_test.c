/*
 * threads_test.c - eight threads that call everything on handles which they
 * share: deferred requests, writers, servers, walks, tags, counters, while
 * others make and destroy them and clients come and go. Made for a sanitizer:
 * it asks only that nothing crashes and that each result is one that its
 * function may give.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "helpers/harness.h"

#define THREADS 8
/* What each caller does at least, and how many pairs of servers come and go. */
#define ROUNDS 20000
#define GENERATIONS 30
#define SHARED 32

static _Atomic uint64_t requests[SHARED], writers[SHARED];
static _Atomic uint64_t servers[2];
static atomic_uint request_at, writer_at;
static atomic_int quit, port, generations;
static atomic_llong calls, taken;

/* The result is 0 or more, or a code of the list. */
#define LEGAL(call)                                                          \
  do {                                                                       \
    long long legal_result = (long long)(call);                              \
    atomic_fetch_add(&calls, 1);                                             \
    if (legal_result < APUS_E_PIN) {                                         \
      harness_fail(__FILE__, __LINE__, "%s gave %lld", #call, legal_result); \
    }                                                                        \
  } while (0)

static uint32_t random_next(uint32_t *state) {
  *state = *state * 1664525u + 1013904223u;
  return *state >> 8;
}

/* --------------------------------------------------- what makes the handles */

/* What another handle's place was taken from has an end, too. */
static void share_request(uint64_t handle) {
  uint64_t old = atomic_exchange(&requests[atomic_fetch_add(&request_at, 1) % SHARED], handle);
  if (old != 0) LEGAL(apus_request_destroy(old));
}

static void share_writer(uint64_t handle) {
  uint64_t old = atomic_exchange(&writers[atomic_fetch_add(&writer_at, 1) % SHARED], handle);
  if (old != 0) LEGAL(apus_writer_destroy(old));
}

static void defer_handler(void *context, apus_request request) {
  (void)context;
  if (apus_request_defer(request) == 0) share_request(request);
}

static void ignore_writer(void *context, apus_writer writer) {
  (void)context;
  LEGAL(apus_writer_is_connected(writer));
}

static void writer_handler(void *context, apus_request request) {
  (void)context;
  apus_writer writer = apus_writer_make(request);
  if (writer == 0) return;
  LEGAL(apus_writer_on_drain(writer, ignore_writer, NULL, NULL));
  LEGAL(apus_writer_on_close(writer, ignore_writer, NULL, NULL));
  share_writer(writer);
}

static void events_handler(void *context, apus_writer writer, apus_request request) {
  (void)context, (void)request;
  LEGAL(apus_writer_on_missed(writer, ignore_writer, NULL, NULL));
  LEGAL(apus_writer_subscribe(writer, "topic"));
  share_writer(writer);
}

static void hello_handler(void *context, apus_request request) {
  (void)context;
  LEGAL(apus_reply_text(request, 200, "hello"));
}

/* A request's handle dies with its reply, and lives again for those who hear of it. */
static void hear_reply(void *context, apus_request request, int32_t status, uint64_t bytes) {
  (void)context, (void)status, (void)bytes;
  LEGAL(apus_request_is_alive(request));
  LEGAL(apus_request_destroy(request));
}

static apus_server make_server(int32_t dispatch) {
  apus_server server = apus_server_make();
  CHECK(server != 0);
  CHECK_INT(0, apus_server_set_workers(server, 2));
  CHECK_INT(0, apus_server_set_dispatch(server, dispatch));
  CHECK_INT(0, apus_server_set_drain_timeout(server, 20));
  CHECK(apus_server_get(server, "/defer", defer_handler, NULL, NULL) >= 0);
  CHECK(apus_server_get(server, "/writer", writer_handler, NULL, NULL) >= 0);
  CHECK(apus_server_get(server, "/hello", hello_handler, NULL, NULL) >= 0);
  CHECK(apus_server_events(server, "/events", events_handler, NULL, NULL) >= 0);
  CHECK_INT(0, apus_server_on_reply(server, hear_reply, NULL, NULL));
  CHECK_INT(0, apus_server_listen(server, "127.0.0.1", 0));
  CHECK_INT(0, apus_server_start(server));
  return server;
}

/* ----------------------------------------------------- what uses the handles */

/* What works is counted: how often an object was met that was alive. */
static void count_taken(int32_t result) {
  LEGAL(result);
  if (result == 0) atomic_fetch_add(&taken, 1);
}

static void use_request(uint32_t *state) {
  apus_request request = atomic_load(&requests[random_next(state) % SHARED]);
  LEGAL(apus_request_is_alive(request));
  LEGAL(apus_handle_kind(request));
  LEGAL(apus_reply_set_header(request, "X-Thread", "1"));
  LEGAL(apus_reply_add_header(request, "X-Thread", "2"));
  LEGAL(apus_reply_set_status(request, 201));
  if (random_next(state) % 3 == 0) count_taken(apus_reply_text(request, 200, "shared"));
  if (random_next(state) % 5 == 0) LEGAL(apus_request_destroy(request));
  if (random_next(state) % 7 == 0) {
    apus_writer writer = apus_writer_make(request);
    if (writer != 0) share_writer(writer);
  }
}

static void use_writer(uint32_t *state) {
  apus_writer writer = atomic_load(&writers[random_next(state) % SHARED]);
  LEGAL(apus_writer_is_alive(writer));
  LEGAL(apus_writer_is_connected(writer));
  LEGAL(apus_writer_set_header(writer, "X-Thread", "1"));
  count_taken(apus_writer_write(writer, "piece", 5));
  LEGAL(apus_writer_buffered(writer));
  LEGAL(apus_writer_set_high_water(writer, 1000 + random_next(state) % 100000));
  if (random_next(state) % 4 == 0) LEGAL(apus_writer_on_drain(writer, ignore_writer, NULL, NULL));
  if (random_next(state) % 4 == 0) LEGAL(apus_writer_on_close(writer, NULL, NULL, NULL));
  if (random_next(state) % 4 == 0) LEGAL(apus_writer_event(writer, NULL, NULL, "event", 5));
  if (random_next(state) % 8 == 0) LEGAL(apus_writer_unsubscribe(writer, "topic"));
  if (random_next(state) % 8 == 0) LEGAL(apus_writer_subscribe(writer, "topic"));
  if (random_next(state) % 6 == 0) LEGAL(apus_writer_add_trailer(writer, "X-Sum", "1"));
  if (random_next(state) % 8 == 0) LEGAL(apus_writer_end(writer));
  if (random_next(state) % 16 == 0) LEGAL(apus_writer_abort(writer));
  if (random_next(state) % 8 == 0) LEGAL(apus_writer_destroy(writer));
}

static void use_server(uint32_t *state) {
  char news[4000];
  apus_server server = atomic_load(&servers[random_next(state) % 2]);
  LEGAL(apus_server_is_alive(server));
  LEGAL(apus_server_is_running(server));
  LEGAL(apus_server_port(server, 0));
  LEGAL(apus_server_event_fd(server));
  LEGAL(apus_server_wake(server));
  LEGAL(apus_server_set_max_body(server, 1000));
  memset(news, 110, sizeof news);
  LEGAL(apus_server_publish_event(server, "topic", NULL, NULL, news, sizeof news));
  LEGAL(apus_server_tick(server, 0));
  for (int32_t i = 0; i <= APUS_COUNT_UNHEARD; i++) LEGAL(apus_server_counter(server, i));
}

static void take_leak(void *context, uint64_t handle, int32_t kind, uint32_t index,
                      uint32_t generation, int64_t age_ms, const char *tag) {
  (void)context, (void)index, (void)generation, (void)age_ms;
  CHECK(handle != 0 && kind >= APUS_KIND_SERVER && kind <= APUS_KIND_SOURCE && tag != NULL);
}

static void use_walk(uint32_t *state) {
  char tag[64];
  int most = 10000;
  for (uint64_t at = 0; (at = apus_live_next(0, at)) != 0 && most > 0; most--) {
    LEGAL(apus_handle_kind(at));
    if (random_next(state) % 4 == 0) LEGAL(apus_set_tag(at, "walked over"));
    LEGAL(apus_tag(at, tag, sizeof tag));
  }
  LEGAL(apus_live_count(0));
  LEGAL(apus_leak_report(take_leak, NULL));
}

static void use_parser(void) {
  apus_request request = apus_request_parse("GET /a?b=c HTTP/1.0\r\n\r\n", APUS_STRLEN, NULL);
  CHECK(request != 0);
  CHECK_TEXT("/a", apus_request_path(request));
  CHECK_TEXT("c", apus_request_query_param(request, "b", NULL));
  CHECK_INT(1, apus_request_destroy(request));
}

static void *run_calls(void *context) {
  uint32_t state = (uint32_t)(uintptr_t)context;
  for (int i = 0; i < ROUNDS || atomic_load(&generations) < GENERATIONS; i++) {
    if (i % 16 == 0) harness_breathe();
    switch (random_next(&state) % 8) {
      case 0:
      case 1:
      case 2:
        use_request(&state);
        break;
      case 3:
      case 4:
      case 5:
        use_writer(&state);
        break;
      case 6:
        use_server(&state);
        break;
      default:
        use_parser();
        if (i % 8 == 0) use_walk(&state);
    }
  }
  return NULL;
}

/* -------------------------------------------------------------------- clients */

/* Connects if it can: a server that is going away may refuse. */
static int try_connect(void) {
  struct sockaddr_in address = {.sin_family = AF_INET};
  address.sin_port = htons((uint16_t)atomic_load(&port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  /* A port that was given up may be somebody else's. */
  if (address.sin_port == 0) return -1;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  CHECK(fd >= 0);
  if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0) return fd;
  close(fd);
  return -1;
}

/* Asks for everything, reads what comes for a moment, and leaves in a hurry. */
static void *run_client(void *context) {
  static const char text[] =
      "GET /hello HTTP/1.1\r\nHost: a\r\n\r\nGET /defer HTTP/1.1\r\nHost: a\r\n\r\n"
      "GET /writer HTTP/1.1\r\nHost: a\r\n\r\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\n";
  static const char events[] = "GET /events HTTP/1.1\r\nHost: a\r\n\r\n";
  char buffer[4096];
  uint32_t state = (uint32_t)(uintptr_t)context;
  while (!atomic_load(&quit)) {
    int fd = try_connect();
    if (fd < 0) {
      harness_breathe();
      continue;
    }
    struct client client;
    client_adopt(&client, fd);
    if (random_next(&state) % 3 == 0) {
      client_send_some(&client, events, sizeof events - 1);
    } else {
      client_send_some(&client, text, sizeof text - 1);
    }
    for (int i = 0; i < 4; i++) {
      if (!client_wait(fd, POLLIN, harness_now_ms() + 2)) continue;
      if (recv(fd, buffer, sizeof buffer, MSG_DONTWAIT) == 0) break;
    }
    if (random_next(&state) % 2 == 0) client_leave(&client);
    if (client.fd >= 0) client_close(&client);
  }
  return NULL;
}

/* Servers come and go under all that; tick's own thread goes with them. */
static void *run_servers(void *context) {
  (void)context;
  while (!atomic_load(&quit)) {
    apus_server server = make_server(APUS_DISPATCH_WORKER);
    apus_server ticked = make_server(APUS_DISPATCH_TICK);
    atomic_store(&servers[0], server);
    atomic_store(&servers[1], ticked);
    for (int i = 0; i < 60 && !atomic_load(&quit); i++) {
      atomic_store(&port, apus_server_port(i % 2 == 0 ? server : ticked, 0));
      LEGAL(apus_server_tick(ticked, 1));
    }
    atomic_store(&port, 0);
    LEGAL(apus_server_stop(ticked));
    CHECK_INT(1, apus_server_destroy(server));
    CHECK_INT(1, apus_server_destroy(ticked));
    atomic_fetch_add(&generations, 1);
  }
  return NULL;
}

static void test_everything(enum mode mode) {
  pthread_t callers[THREADS], clients[2], maker;
  (void)mode;
  CHECK_INT(0, pthread_create(&maker, NULL, run_servers, NULL));
  EVENTUALLY(atomic_load(&port) > 0);
  for (uintptr_t i = 0; i < 2; i++) {
    CHECK_INT(0, pthread_create(&clients[i], NULL, run_client, (void *)(i + 1)));
  }
  for (uintptr_t i = 0; i < THREADS; i++) {
    CHECK_INT(0, pthread_create(&callers[i], NULL, run_calls, (void *)(i + 100)));
  }
  for (int i = 0; i < THREADS; i++) CHECK_INT(0, pthread_join(callers[i], NULL));
  atomic_store(&quit, 1);
  for (int i = 0; i < 2; i++) CHECK_INT(0, pthread_join(clients[i], NULL));
  CHECK_INT(0, pthread_join(maker, NULL));
  for (int i = 0; i < SHARED; i++) {
    LEGAL(apus_request_destroy(atomic_load(&requests[i])));
    LEGAL(apus_writer_destroy(atomic_load(&writers[i])));
  }
  CHECK(atomic_load(&taken) > 0);
  printf("%lld calls, %lld replies and pieces taken, %d pairs of servers\n",
         (long long)atomic_load(&calls), (long long)atomic_load(&taken), atomic_load(&generations));
}

int main(void) {
  static const struct harness_case cases[] = {{"everything", test_everything}};
  return harness_run("threads_test", MODE_TICK, NULL, CASES(cases));
}
