/*
 * flow_test.c - a writer against a client that does not read, and then does:
 * APUS_E_FULL takes nothing, on_drain says when to go on, the amount buffered
 * is told, and every byte arrives once and in order. Pumped from on_drain
 * itself, from a thread that waits for it, and from many threads at once.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "../helpers/harness.h"

#define TOTAL (12 << 20)
#define PIECE 5000

static _Atomic apus_writer handed;
static atomic_int drains, closes, drops, fulls;

static void count_drop(void *context) {
  (void)context;
  atomic_fetch_add(&drops, 1);
}

static void count_close(void *context, apus_writer writer) {
  (void)context;
  CHECK_INT(0, apus_writer_is_connected(writer));
  atomic_fetch_add(&closes, 1);
}

static void hand_over(void *context, apus_request request) {
  (void)context;
  apus_writer writer = apus_writer_make(request);
  CHECK(writer != 0);
  CHECK_INT(0, apus_writer_on_close(writer, count_close, NULL, count_drop));
  atomic_store(&handed, writer);
}

static void start_writers(struct app *app, enum mode mode) {
  atomic_store(&drains, 0);
  atomic_store(&closes, 0);
  atomic_store(&drops, 0);
  atomic_store(&fulls, 0);
  app_make(app, mode);
  CHECK_INT(0, apus_server_set_high_water(app->server, 100000));
  app_route(app, APUS_GET, "/writer", hand_over, NULL);
  harness_start(app);
}

static apus_writer ask_writer(struct app *app, struct client *client) {
  atomic_store(&handed, 0);
  client_open_small(client, app->port, 16384);
  client_get(client, "/writer");
  EVENTUALLY(atomic_load(&handed) != 0);
  return atomic_load(&handed);
}

static unsigned char pattern(size_t at) { return (unsigned char)((at * 2654435761u) >> 11); }

/* Reads the reply and checks each byte of it. */
static void expect_pattern(struct client *client, size_t total) {
  struct reply reply;
  client_reply(client, "GET", &reply);
  CHECK_INT(200, reply.status);
  CHECK_INT(total, reply.body_length);
  for (size_t i = 0; i < total; i++) {
    if ((unsigned char)reply.body[i] != pattern(i)) {
      harness_fail(__FILE__, __LINE__, "byte %zu of %zu differs", i, total);
    }
  }
  reply_free(&reply);
}

/* ------------------------------------------------------------ from on_drain */

static atomic_size_t pumped;

/* Writes until the writer is full, or all is written: then ends it. A piece that
 * was refused is written again, whole, when on_drain says so. The first pump
 * runs on the test's thread, the others in the callback; they never overlap in
 * their writes, because a refusal is the last thing that a pump does. */
static void pump(apus_writer writer) {
  char piece[PIECE];
  for (;;) {
    size_t at = atomic_load(&pumped);
    if (at == TOTAL) break;
    size_t size = TOTAL - at < PIECE ? TOTAL - at : PIECE;
    for (size_t i = 0; i < size; i++) piece[i] = (char)pattern(at + i);
    int32_t result = apus_writer_write(writer, piece, size);
    if (result != 0) {
      CHECK_INT(APUS_E_FULL, result);
      atomic_fetch_add(&fulls, 1);
      return;
    }
    atomic_store(&pumped, at + size);
  }
  CHECK_INT(0, apus_writer_end(writer));
}

static void pump_on_drain(void *context, apus_writer writer) {
  CHECK(context == &drains);
  atomic_fetch_add(&drains, 1);
  pump(writer);
}

static void test_drain_pump(enum mode mode) {
  struct app app;
  struct client client;
  start_writers(&app, mode);
  apus_writer writer = ask_writer(&app, &client);
  CHECK_INT(0, apus_writer_on_drain(writer, pump_on_drain, &drains, count_drop));
  atomic_store(&pumped, 0);
  pump(writer);
  EVENTUALLY(atomic_load(&fulls) >= 1);
  CHECK(atomic_load(&pumped) < TOTAL);
  expect_pattern(&client, TOTAL);
  EVENTUALLY(atomic_load(&closes) == 1);
  CHECK(atomic_load(&drains) >= 1);
  CHECK_INT(atomic_load(&fulls), atomic_load(&drains));
  CHECK_INT(1, apus_writer_destroy(writer));
  client_close(&client);
  harness_stop(&app);
  CHECK_INT(2, atomic_load(&drops));
}

/* ----------------------------------------------------------- from a thread */

struct waiter {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  int drained;
  apus_writer writer;
};

static void tell_waiter(void *context, apus_writer writer) {
  struct waiter *waiter = context;
  CHECK(writer == waiter->writer);
  atomic_fetch_add(&drains, 1);
  pthread_mutex_lock(&waiter->lock);
  waiter->drained = 1;
  pthread_cond_signal(&waiter->changed);
  pthread_mutex_unlock(&waiter->lock);
}

static void *write_waiting(void *context) {
  struct waiter *waiter = context;
  char piece[PIECE];
  for (size_t at = 0; at < TOTAL;) {
    size_t size = TOTAL - at < PIECE ? TOTAL - at : PIECE;
    for (size_t i = 0; i < size; i++) piece[i] = (char)pattern(at + i);
    int32_t result = apus_writer_write(waiter->writer, piece, size);
    if (result == 0) {
      at += size;
      continue;
    }
    CHECK_INT(APUS_E_FULL, result);
    atomic_fetch_add(&fulls, 1);
    pthread_mutex_lock(&waiter->lock);
    while (!waiter->drained) pthread_cond_wait(&waiter->changed, &waiter->lock);
    waiter->drained = 0;
    pthread_mutex_unlock(&waiter->lock);
  }
  CHECK_INT(0, apus_writer_end(waiter->writer));
  return NULL;
}

static void test_thread_pump(enum mode mode) {
  struct app app;
  struct client client;
  struct waiter waiter = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0};
  pthread_t thread;
  start_writers(&app, mode);
  waiter.writer = ask_writer(&app, &client);
  CHECK_INT(0, apus_writer_on_drain(waiter.writer, tell_waiter, &waiter, count_drop));
  CHECK_INT(0, apus_writer_begin(waiter.writer, TOTAL));
  CHECK_INT(0, pthread_create(&thread, NULL, write_waiting, &waiter));
  EVENTUALLY(atomic_load(&fulls) >= 1);
  expect_pattern(&client, TOTAL);
  CHECK_INT(0, pthread_join(thread, NULL));
  EVENTUALLY(atomic_load(&closes) == 1);
  CHECK_INT(atomic_load(&fulls), atomic_load(&drains));
  CHECK_INT(1, apus_writer_destroy(waiter.writer));
  client_close(&client);
  harness_stop(&app);
}

/* ------------------------------------------------------------ marks, amounts */

static void count_drain(void *context, apus_writer writer) {
  (void)context;
  (void)writer;
  atomic_fetch_add(&drains, 1);
}

/* Below its mark a writer takes any piece whole; above it none at all. */
static void test_mark(enum mode mode) {
  struct app app;
  struct client client;
  char *data = malloc(TOTAL + TOTAL);
  CHECK(data != NULL);
  for (size_t i = 0; i < TOTAL + TOTAL; i++) data[i] = (char)pattern(i);
  start_writers(&app, mode);
  apus_writer writer = ask_writer(&app, &client);
  CHECK_INT(0, apus_writer_on_drain(writer, count_drain, NULL, NULL));
  CHECK_CODE(APUS_E_ARGUMENT, apus_writer_set_high_water(writer, 0));
  CHECK_CODE(APUS_E_ARGUMENT, apus_writer_set_high_water(writer, -1));
  CHECK_CODE(APUS_E_ARGUMENT, apus_writer_set_high_water(writer, (1LL << 53) + 1));
  CHECK_INT(0, apus_writer_set_high_water(writer, 1));
  CHECK_INT(0, apus_writer_set_high_water(writer, 1LL << 53));
  CHECK_INT(0, apus_writer_set_high_water(writer, 1024));
  CHECK_INT(0, apus_writer_buffered(writer));
  CHECK_INT(0, apus_writer_begin(writer, TOTAL + TOTAL));
  CHECK_INT(0, apus_writer_write(writer, data, TOTAL + TOTAL - 1));
  for (int i = 0; i < 3; i++) {
    CHECK(apus_writer_buffered(writer) > 1024);
    CHECK_CODE(APUS_E_FULL, apus_writer_write(writer, "x", 1));
  }
  CHECK_INT(0, atomic_load(&drains));
  int64_t limit = harness_now_ms() + HARNESS_DEADLINE_MS;
  while (atomic_load(&drains) == 0) {
    if (client_wait(client.fd, POLLIN, harness_now_ms() + 5)) client_fill(&client);
    CHECK(harness_now_ms() < limit && !client.ended);
  }
  CHECK_INT(0, apus_writer_write(writer, data + TOTAL + TOTAL - 1, 1));
  CHECK_INT(0, apus_writer_end(writer));
  expect_pattern(&client, TOTAL + TOTAL);
  EVENTUALLY(atomic_load(&closes) == 1);
  CHECK_INT(1, atomic_load(&drains));
  CHECK_INT(1, apus_writer_destroy(writer));
  client_close(&client);
  harness_stop(&app);
  free(data);
}

/* ------------------------------------------------- ends within the callbacks */

static void destroy_on_close(void *context, apus_writer writer) {
  (void)context;
  CHECK_INT(1, apus_writer_destroy(writer));
  CHECK_INT(0, apus_writer_is_alive(writer));
  atomic_fetch_add(&closes, 1);
}

static void end_in_handler(void *context, apus_request request) {
  (void)context;
  apus_writer writer = apus_writer_make(request);
  CHECK(writer != 0);
  CHECK_INT(0, apus_writer_on_close(writer, destroy_on_close, NULL, count_drop));
  CHECK_INT(0, apus_writer_write(writer, "body", 4));
  CHECK_INT(0, apus_writer_end(writer));
}

static void destroy_on_drain(void *context, apus_writer writer) {
  (void)context;
  CHECK_INT(1, apus_writer_destroy(writer));
  atomic_fetch_add(&drains, 1);
}

static void test_destroy_inside(enum mode mode) {
  struct app app;
  struct client client;
  struct reply reply;
  static char piece[1 << 20];
  start_writers(&app, mode);
  apus_writer writer = ask_writer(&app, &client);
  CHECK_INT(0, apus_writer_on_drain(writer, destroy_on_drain, NULL, count_drop));
  int32_t result;
  while ((result = apus_writer_write(writer, piece, sizeof piece)) == 0) continue;
  CHECK_INT(APUS_E_FULL, result);
  CHECK_INT(REPLY_CUT, client_try_reply(&client, "GET", &reply));
  reply_free(&reply);
  client_close(&client);
  EVENTUALLY(atomic_load(&drains) == 1 && atomic_load(&drops) == 2);
  CHECK_INT(0, atomic_load(&closes));
  harness_stop(&app);
  app_make(&app, mode);
  app_route(&app, APUS_GET, "/", end_in_handler, NULL);
  harness_start(&app);
  client_open(&client, app.port);
  for (int i = 1; i <= 20; i++) {
    client_get(&client, "/");
    CLIENT_EXPECT(&client, "GET", 200, "body");
    EVENTUALLY(atomic_load(&closes) == i && atomic_load(&drops) == 2 + i);
  }
  CHECK_INT(0, apus_live_count(APUS_KIND_WRITER));
  client_close(&client);
  harness_stop(&app);
}

/* NULL ends a callback, and another one takes its place: drop each time. */
static void test_replaced(enum mode mode) {
  struct app app;
  struct client client;
  start_writers(&app, mode);
  apus_writer writer = ask_writer(&app, &client);
  CHECK_INT(0, apus_writer_on_drain(writer, pump_on_drain, &drains, count_drop));
  CHECK_INT(0, apus_writer_on_drain(writer, pump_on_drain, &drains, count_drop));
  EVENTUALLY(atomic_load(&drops) == 1);
  CHECK_INT(0, apus_writer_on_drain(writer, NULL, NULL, NULL));
  EVENTUALLY(atomic_load(&drops) == 2);
  CHECK_INT(0, apus_writer_on_close(writer, NULL, &drops, count_drop));
  EVENTUALLY(atomic_load(&drops) == 4);
  CHECK_INT(0, apus_writer_end(writer));
  CLIENT_EXPECT(&client, "GET", 200, "");
  CHECK_INT(1, apus_writer_destroy(writer));
  client_close(&client);
  harness_stop(&app);
  CHECK_INT(4, atomic_load(&drops));
  CHECK_INT(0, atomic_load(&closes));
}

/* --------------------------------------------------- many writers, a broadcast */

#define CLIENTS 40
#define THREADS 4
#define EACH 50

static _Atomic apus_writer writers[CLIENTS];
static atomic_int writer_count;

static void collect_handler(void *context, apus_request request) {
  (void)context;
  apus_writer writer = apus_writer_make(request);
  CHECK(writer != 0);
  atomic_store(&writers[atomic_fetch_add(&writer_count, 1)], writer);
}

/* Every thread writes lines to every writer: no line is cut by another. */
static void *broadcast(void *context) {
  char line[64];
  for (int i = 0; i < EACH; i++) {
    int length = snprintf(line, sizeof line, "thread %d line %d\n", *(int *)context, i);
    for (int at = 0; at < CLIENTS; at++) {
      CHECK_INT(0, apus_writer_write(atomic_load(&writers[at]), line, (size_t)length));
    }
  }
  return NULL;
}

static void expect_lines(struct client *client) {
  struct reply reply;
  int next[THREADS] = {0};
  int thread, line, used;
  client_reply(client, "GET", &reply);
  for (const char *at = reply.body; *at != '\0'; at += used) {
    used = 0;
    CHECK(sscanf(at, "thread %d line %d%n", &thread, &line, &used) == 2);
    CHECK(at[used++] == '\n');
    CHECK(thread >= 0 && thread < THREADS);
    CHECK_INT(next[thread]++, line);
  }
  for (int i = 0; i < THREADS; i++) CHECK_INT(EACH, next[i]);
  reply_free(&reply);
}

static void test_broadcast(enum mode mode) {
  static struct client clients[CLIENTS];
  struct app app;
  pthread_t threads[THREADS];
  int numbers[THREADS];
  atomic_store(&writer_count, 0);
  app_make(&app, mode);
  app_route(&app, APUS_GET, "/", collect_handler, NULL);
  harness_start(&app);
  for (int i = 0; i < CLIENTS; i++) {
    atomic_store(&writers[i], 0);
    client_open(&clients[i], app.port);
    client_get(&clients[i], "/");
  }
  for (int i = 0; i < CLIENTS; i++) EVENTUALLY(atomic_load(&writers[i]) != 0);
  for (int i = 0; i < THREADS; i++) {
    numbers[i] = i;
    CHECK_INT(0, pthread_create(&threads[i], NULL, broadcast, &numbers[i]));
  }
  for (int i = 0; i < THREADS; i++) CHECK_INT(0, pthread_join(threads[i], NULL));
  for (int i = 0; i < CLIENTS; i++) {
    CHECK_INT(0, apus_writer_end(atomic_load(&writers[i])));
    CHECK_INT(1, apus_writer_destroy(atomic_load(&writers[i])));
  }
  for (int i = 0; i < CLIENTS; i++) {
    expect_lines(&clients[i]);
    client_close(&clients[i]);
  }
  harness_stop(&app);
}

int main(int argc, char **argv) {
  static const struct harness_case cases[] = {
      {"drain_pump", test_drain_pump},
      {"thread_pump", test_thread_pump},
      {"mark", test_mark},
      {"destroy_inside", test_destroy_inside},
      {"replaced", test_replaced},
      {"broadcast", test_broadcast},
  };
  return harness_main("flow_test", argc, argv, CASES(cases));
}
