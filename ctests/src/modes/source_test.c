/*
 * source_test.c - sources of events, on a host in each of the modes: against sockets that
 * answer by a script, and against streams of the library's own server.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "../helpers/harness.h"

/* ------------------------------------------------------- a peer by a script */

#define MOST_REPLIES 16

/* Answers its connections one after the other with the replies, and closes each. */
struct script {
  int socket, count, holds;
  const char *replies[MOST_REPLIES];
  size_t lengths[MOST_REPLIES];
  char requests[MOST_REPLIES][1024];
  atomic_int served, released;
  pthread_t thread;
  int32_t port;
  char url[64];
};

static void serve_one(struct script *script, int fd, int number) {
  char *request = script->requests[number];
  size_t length = 0;
  while (strstr(request, "\r\n\r\n") == NULL) {
    ssize_t got = recv(fd, request + length, 1023 - length, 0);
    if (got <= 0) return;
    length += (size_t)got;
    request[length] = '\0';
  }
  const char *reply = script->replies[number];
  size_t left = script->lengths[number] != 0 ? script->lengths[number] : strlen(reply);
  while (left > 0) {
    /* In pieces of any size, so that lines are split. */
    size_t size = left < 7 ? left : 7;
    if (left > 4096) size = 4096;
    if (send(fd, reply, size, MSG_NOSIGNAL) < 0) break;
    reply += size;
    left -= size;
  }
  atomic_fetch_add(&script->served, 1);
  /* The last one may stay open until the test says so. */
  if (number == script->count - 1 && script->holds) EVENTUALLY(atomic_load(&script->released));
}

static void *serve_script(void *context) {
  struct script *script = context;
  for (int number = 0; number < script->count; number++) {
    int fd = accept(script->socket, NULL, NULL);
    if (fd < 0) break;
    serve_one(script, fd, number);
    close(fd);
  }
  return NULL;
}

static void script_add(struct script *script, const char *reply) {
  CHECK(script->count < MOST_REPLIES);
  script->replies[script->count++] = reply;
}

static void script_listen(struct script *script) {
  struct sockaddr_in address = {.sin_family = AF_INET};
  socklen_t length = sizeof address;
  memset(script, 0, sizeof *script);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  script->socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  CHECK(script->socket >= 0);
  CHECK_INT(0, bind(script->socket, (struct sockaddr *)&address, length));
  CHECK_INT(0, listen(script->socket, 16));
  CHECK_INT(0, getsockname(script->socket, (struct sockaddr *)&address, &length));
  script->port = ntohs(address.sin_port);
  snprintf(script->url, sizeof script->url, "http://127.0.0.1:%d/feed", script->port);
}

static void script_start(struct script *script) {
  CHECK_INT(0, pthread_create(&script->thread, NULL, serve_script, script));
}

static void script_end(struct script *script) {
  atomic_store(&script->released, 1);
  CHECK_INT(0, pthread_join(script->thread, NULL));
  close(script->socket);
}

#define HEAD "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
#define NO_MORE "HTTP/1.1 204 No Content\r\n\r\n"

/* ---------------------------------------------------------------- what was told */

struct told {
  atomic_int opened, events, errors, closed, drops;
  atomic_int code, status, again;
  char log[4096];
};

static struct app app;
static struct told told;

static void on_open(void *context, apus_source source) {
  CHECK(context == &told);
  CHECK_INT(APUS_KIND_SOURCE, apus_handle_kind(source));
  atomic_fetch_add(&told.opened, 1);
}

static void on_event(void *context, apus_source source, const char *type, const char *id,
                     const char *data, size_t length) {
  CHECK(context == &told);
  CHECK_INT(1, apus_source_is_alive(source));
  CHECK_INT(0, data[length]);
  size_t at = strlen(told.log);
  snprintf(told.log + at, sizeof told.log - at, "[%s|%s|%s]", type, id, data);
  atomic_fetch_add(&told.events, 1);
}

static void on_error(void *context, apus_source source, int32_t code, int32_t status,
                     int32_t again_ms) {
  CHECK(context == &told);
  CHECK_INT(APUS_KIND_SOURCE, apus_handle_kind(source));
  CHECK_INT(code, apus_last_error());
  CHECK(apus_last_error_message()[0] != '\0');
  atomic_store(&told.code, code);
  atomic_store(&told.status, status);
  atomic_store(&told.again, again_ms);
  atomic_fetch_add(&told.errors, 1);
  if (again_ms < 0) atomic_fetch_add(&told.closed, 1);
}

static void on_drop(void *context) {
  CHECK(context == &told);
  atomic_fetch_add(&told.drops, 1);
}

static void host_start(enum mode mode) {
  memset(&told, 0, sizeof told);
  app_make(&app, mode);
  harness_start(&app);
}

static apus_source make(const char *url) {
  apus_source source = apus_source_make(app.server, url);
  CHECK(source != 0);
  CHECK_INT(APUS_STATE_CLOSED, apus_source_state(source));
  CHECK_INT(0, apus_source_set_retry(source, 20, 200, -1));
  return source;
}

static apus_source make_listening(const char *url) {
  apus_source source = make(url);
  CHECK_INT(0, apus_source_on_open(source, on_open, &told, on_drop));
  CHECK_INT(0, apus_source_on_event(source, on_event, &told, on_drop));
  CHECK_INT(0, apus_source_on_error(source, on_error, &told, on_drop));
  return source;
}

/* The next event must be this. */
static void expect_next(apus_source source, const char *type, const char *id, const char *data) {
  const char *got_type, *got_id, *got_data;
  size_t length;
  CHECK_INT(1,
            apus_source_next(source, HARNESS_DEADLINE_MS, &got_type, &got_id, &got_data, &length));
  CHECK_TEXT(type, got_type);
  CHECK_TEXT(id, got_id);
  CHECK_TEXT(data, got_data);
  CHECK_INT(strlen(data), length);
}

static int32_t next_code(apus_source source, int32_t timeout) {
  return apus_source_next(source, timeout, NULL, NULL, NULL, NULL);
}

/* ------------------------------------------------------------------ the cases */

static void test_callbacks(enum mode mode) {
  struct script script;
  script_listen(&script);
  script_add(&script, HEAD
             ": hello\n\ndata: one\nid: 1\n\nevent: add\rdata: two\rdata: 2\r\r"
             "id: 2\ndata: three\n\ndata: lost");
  script_add(&script, HEAD "data: four\n\n");
  script_add(&script, NO_MORE);
  script_start(&script);
  host_start(mode);
  apus_source source = make_listening(script.url);
  CHECK_INT(0, apus_source_set_header(source, "X-Mine", "value"));
  CHECK_INT(0, apus_source_open(source));
  CHECK_CODE(APUS_E_STATE, apus_source_open(source));
  CHECK_CODE(APUS_E_STATE, apus_source_set_header(source, "X-Mine", "late"));
  CHECK_CODE(APUS_E_STATE, apus_source_set_retry(source, 1, 1, 1));
  CHECK_CODE(APUS_E_STATE, apus_source_on_open(source, on_open, &told, on_drop));
  CHECK_INT(1, atomic_load(&told.drops));
  CHECK_CODE(APUS_E_STATE, next_code(source, 0));
  EVENTUALLY(atomic_load(&told.closed) == 1);
  CHECK_TEXT("[message|1|one][add|1|two\n2][message|2|three][message|2|four]", told.log);
  CHECK_INT(2, atomic_load(&told.opened));
  CHECK_INT(3, atomic_load(&told.errors));
  CHECK_INT(APUS_E_CLOSED, atomic_load(&told.code));
  CHECK_INT(204, atomic_load(&told.status));
  CHECK_INT(APUS_STATE_CLOSED, apus_source_state(source));
  script_end(&script);
  CHECK(strstr(script.requests[0], "GET /feed HTTP/1.1\r\n") == script.requests[0]);
  CHECK(strstr(script.requests[0], "\r\nAccept: text/event-stream\r\n") != NULL);
  CHECK(strstr(script.requests[0], "\r\nCache-Control: no-store\r\n") != NULL);
  CHECK(strstr(script.requests[0], "\r\nX-Mine: value\r\n") != NULL);
  CHECK(strstr(script.requests[0], "Last-Event-ID") == NULL);
  CHECK(strstr(script.requests[1], "\r\nLast-Event-ID: 2\r\n") != NULL);
  CHECK(strstr(script.requests[1], "\r\nX-Mine: value\r\n") != NULL);
  CHECK(strstr(script.requests[2], "\r\nLast-Event-ID: 2\r\n") != NULL);
  CHECK_INT(1, apus_source_destroy(source));
  CHECK_INT(0, apus_source_destroy(source));
  EVENTUALLY(atomic_load(&told.drops) == 4);
  harness_stop(&app);
}

static void test_next(enum mode mode) {
  struct script script;
  char id[8];
  script_listen(&script);
  script_add(&script, HEAD
             "\xef\xbb\xbf"
             "data: a\r\n\r\nid: x\ndata: b\xff\n\nid\ndata: c\n\nid: 7\n\n");
  script_add(&script, HEAD "data\n\n");
  script_add(&script, NO_MORE);
  script_start(&script);
  host_start(mode);
  apus_source source = make(script.url);
  CHECK_CODE(APUS_E_CLOSED, next_code(source, -1));
  CHECK_CODE(APUS_E_ARGUMENT, next_code(source, -2));
  CHECK_INT(0, apus_source_set_last_event_id(source, "given"));
  CHECK_INT(0, apus_source_open(source));
  expect_next(source, "message", "given", "a");
  expect_next(source, "message", "x", "b\xef\xbf\xbd");
  expect_next(source, "message", "", "c");
  expect_next(source, "message", "7", "");
  CHECK_CODE(APUS_E_CLOSED, next_code(source, -1));
  CHECK_CODE(APUS_E_CLOSED, next_code(source, 0));
  CHECK_INT(1, apus_source_last_event_id(source, id, sizeof id));
  CHECK_TEXT("7", id);
  script_end(&script);
  CHECK(strstr(script.requests[0], "\r\nLast-Event-ID: given\r\n") != NULL);
  CHECK(strstr(script.requests[1], "\r\nLast-Event-ID: 7\r\n") != NULL);
  CHECK_INT(1, apus_source_destroy(source));
  harness_stop(&app);
}

/* What is no stream of events closes it for good. */
static void check_refused(const char *reply, int32_t code, int32_t status) {
  struct script script;
  script_listen(&script);
  script_add(&script, reply);
  script_start(&script);
  apus_source source = make(script.url);
  CHECK_INT(0, apus_source_on_error(source, on_error, &told, NULL));
  int closed = atomic_load(&told.closed);
  CHECK_INT(0, apus_source_open(source));
  CHECK_CODE(code, next_code(source, -1));
  EVENTUALLY(atomic_load(&told.closed) == closed + 1);
  CHECK_INT(code, atomic_load(&told.code));
  CHECK_INT(status, atomic_load(&told.status));
  CHECK_INT(APUS_STATE_CLOSED, apus_source_state(source));
  script_end(&script);
  CHECK_INT(1, apus_source_destroy(source));
}

static void test_refused(enum mode mode) {
  host_start(mode);
  check_refused("HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n", APUS_E_PROTOCOL, 500);
  check_refused("HTTP/1.1 404 No\r\nContent-Type: text/event-stream\r\n\r\ndata: x\n\n",
                APUS_E_PROTOCOL, 404);
  check_refused("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\ndata: x\n\n", APUS_E_PROTOCOL,
                200);
  check_refused("HTTP/1.1 200 OK\r\nContent-Type: text/event-streams\r\n\r\ndata: x\n\n",
                APUS_E_PROTOCOL, 200);
  check_refused("HTTP/1.1 200 OK\r\n\r\ndata: x\n\n", APUS_E_PROTOCOL, 200);
  check_refused(NO_MORE, APUS_E_CLOSED, 204);
  check_refused("HTTP/1.1 205 Reset\r\nContent-Length: 0\r\n\r\n", APUS_E_PROTOCOL, 205);
  harness_stop(&app);
}

static void test_type(enum mode mode) {
  struct script script;
  script_listen(&script);
  script_add(&script,
             "HTTP/1.1 200 OK\r\nContent-Type: Text/Event-Stream ; charset=UTF-8\r\n"
             "Transfer-Encoding: chunked\r\n\r\n9\r\ndata: one\r\n2\r\n\n\n\r\n0\r\n\r\n");
  script_add(&script, NO_MORE);
  script_start(&script);
  host_start(mode);
  apus_source source = make(script.url);
  CHECK_INT(0, apus_source_open(source));
  expect_next(source, "message", "", "one");
  CHECK_CODE(APUS_E_CLOSED, next_code(source, -1));
  script_end(&script);
  CHECK_INT(1, apus_source_destroy(source));
  harness_stop(&app);
}

/* Redirections are followed each time, from the first URL on. */
static void test_redirected(enum mode mode) {
  struct script script;
  script_listen(&script);
  const char *away =
      "HTTP/1.1 307 Away\r\nLocation: /other\r\nContent-Length: 0\r\n"
      "Connection: close\r\n\r\n";
  script_add(&script, away);
  script_add(&script, HEAD "id: 1\ndata: x\n\n");
  script_add(&script, away);
  script_add(&script, NO_MORE);
  script_start(&script);
  host_start(mode);
  apus_source source = make(script.url);
  CHECK_INT(0, apus_source_open(source));
  expect_next(source, "message", "1", "x");
  CHECK_CODE(APUS_E_CLOSED, next_code(source, -1));
  script_end(&script);
  CHECK(strncmp(script.requests[0], "GET /feed ", 10) == 0);
  CHECK(strncmp(script.requests[1], "GET /other ", 11) == 0);
  CHECK(strncmp(script.requests[2], "GET /feed ", 10) == 0);
  CHECK(strncmp(script.requests[3], "GET /other ", 11) == 0);
  CHECK(strstr(script.requests[3], "\r\nLast-Event-ID: 1\r\n") != NULL);
  CHECK_INT(1, apus_source_destroy(source));
  harness_stop(&app);
}

/* Nobody listens: as often as it may. And what is no HTTP is tried again as well. */
static void test_attempts(enum mode mode) {
  struct script script;
  script_listen(&script);
  close(script.socket);
  int held = harness_hold_port(script.port);
  host_start(mode);
  apus_source source = make_listening(script.url);
  CHECK_INT(0, apus_source_set_retry(source, 0, 50, 3));
  CHECK_INT(0, apus_source_open(source));
  EVENTUALLY(atomic_load(&told.closed) == 1);
  CHECK_INT(4, atomic_load(&told.errors));
  CHECK_INT(APUS_E_IO, atomic_load(&told.code));
  CHECK_INT(0, atomic_load(&told.status));
  CHECK_INT(0, atomic_load(&told.opened));
  CHECK_INT(1, apus_source_destroy(source));
  close(held);
  script_listen(&script);
  script_add(&script, "garbage\r\n\r\n");
  script_add(&script, "");
  script_add(&script, HEAD "retry: 7\nid: 3\ndata: at last\n\n");
  script_add(&script, NO_MORE);
  script_start(&script);
  source = make_listening(script.url);
  CHECK_INT(0, apus_source_open(source));
  EVENTUALLY(atomic_load(&told.events) == 1);
  EVENTUALLY(atomic_load(&told.closed) == 2);
  CHECK_TEXT("[message|3|at last]", told.log);
  script_end(&script);
  CHECK_INT(1, apus_source_destroy(source));
  harness_stop(&app);
}

/* The wait is what the stream says, and up to a half more; but not over the most. */
static void check_wait(const char *reply, int32_t low, int32_t high) {
  struct script script;
  script_listen(&script);
  script_add(&script, reply);
  script_start(&script);
  apus_source source = make_listening(script.url);
  CHECK_INT(0, apus_source_set_retry(source, 30000, 40000, -1));
  int errors = atomic_load(&told.errors);
  CHECK_INT(0, apus_source_open(source));
  EVENTUALLY(atomic_load(&told.errors) == errors + 1);
  CHECK(atomic_load(&told.again) >= low && atomic_load(&told.again) <= high);
  CHECK_INT(APUS_STATE_CONNECTING, apus_source_state(source));
  script_end(&script);
  /* It waits, and ends without waiting. */
  CHECK_INT(0, apus_source_close(source));
  CHECK_INT(APUS_STATE_CLOSED, apus_source_state(source));
  CHECK_INT(1, apus_source_destroy(source));
  CHECK_INT(errors + 1, atomic_load(&told.errors));
}

static void test_waits(enum mode mode) {
  host_start(mode);
  check_wait(HEAD, 30000, 45000);
  check_wait(HEAD "retry: 10000\n\n", 10000, 15000);
  check_wait(HEAD "retry: 99999999\n\n", 40000, 60000);
  check_wait("", 30000, 45000);
  harness_stop(&app);
}

static void test_too_large(enum mode mode) {
  struct script script;
  script_listen(&script);
  script_add(&script, HEAD "data: 0123456789\n\ndata: 0123456789\ndata: 01234567890123456\n\n");
  script_start(&script);
  host_start(mode);
  apus_source source = make(script.url);
  CHECK_CODE(APUS_E_ARGUMENT, apus_source_set_max_event(source, 0));
  CHECK_INT(0, apus_source_set_max_event(source, 25));
  CHECK_INT(0, apus_source_open(source));
  expect_next(source, "message", "", "0123456789");
  CHECK_CODE(APUS_E_TOO_LARGE, next_code(source, -1));
  script_end(&script);
  CHECK_INT(1, apus_source_destroy(source));
  harness_stop(&app);
}

/* ---------------------------------------------------------------------- its end */

struct waiter {
  apus_source source;
  atomic_int started, result;
  pthread_t thread;
};

static void *wait_next(void *context) {
  struct waiter *waiter = context;
  atomic_store(&waiter->started, 1);
  atomic_store(&waiter->result, next_code(waiter->source, -1));
  return NULL;
}

static void waiter_start(struct waiter *waiter, apus_source source) {
  memset(waiter, 0, sizeof *waiter);
  waiter->source = source;
  CHECK_INT(0, pthread_create(&waiter->thread, NULL, wait_next, waiter));
  EVENTUALLY(atomic_load(&waiter->started));
}

static int waiter_end(struct waiter *waiter) {
  CHECK_INT(0, pthread_join(waiter->thread, NULL));
  return atomic_load(&waiter->result);
}

static void test_ends(enum mode mode) {
  struct script script;
  struct waiter waiter;
  script_listen(&script);
  script_add(&script, HEAD "data: first\n\n");
  script_add(&script, HEAD "data: second\n\n");
  script.holds = 1;
  script_start(&script);
  host_start(mode);
  apus_source source = make(script.url);
  CHECK_INT(0, apus_source_open(source));
  expect_next(source, "message", "", "first");
  expect_next(source, "message", "", "second");
  CHECK_INT(0, next_code(source, 0));
  CHECK_INT(0, next_code(source, 1));
  CHECK_INT(APUS_STATE_OPEN, apus_source_state(source));
  waiter_start(&waiter, source);
  CHECK_INT(0, apus_source_cancel(source));
  CHECK_INT(0, waiter_end(&waiter));
  CHECK_INT(0, apus_source_cancel(source));
  CHECK_INT(0, next_code(source, -1));
  waiter_start(&waiter, source);
  CHECK_INT(0, apus_source_close(source));
  CHECK_INT(APUS_E_CLOSED, waiter_end(&waiter));
  CHECK_INT(APUS_STATE_CLOSED, apus_source_state(source));
  CHECK_INT(0, apus_source_close(source));
  script_end(&script);
  /* It may be opened anew, and destroyed while somebody waits. */
  script_listen(&script);
  script_add(&script, HEAD "data: third\n\n");
  script.holds = 1;
  script_start(&script);
  EVENTUALLY(apus_source_set_last_event_id(source, "") == 0);
  apus_source other = make(script.url);
  CHECK_INT(0, apus_source_open(other));
  expect_next(other, "message", "", "third");
  EVENTUALLY(apus_source_open(source) == 0);
  waiter_start(&waiter, other);
  CHECK_INT(1, apus_source_destroy(other));
  int result = waiter_end(&waiter);
  CHECK(result == APUS_E_CLOSED || result == APUS_E_HANDLE);
  CHECK_INT(1, apus_source_destroy(source));
  script_end(&script);
  harness_stop(&app);
}

static void destroy_inside(void *context, apus_source source, const char *type, const char *id,
                           const char *data, size_t length) {
  (void)type, (void)id, (void)length;
  CHECK_TEXT("1", data);
  CHECK_INT(1, apus_source_destroy(source));
  CHECK_TEXT("1", data);
  atomic_fetch_add((atomic_int *)context, 1);
}

/* Inside its own callback, and with its host. */
static void test_destroyed(enum mode mode) {
  struct script script;
  script_listen(&script);
  script_add(&script, HEAD "data: 1\n\ndata: 2\n\ndata: 3\n\n");
  script.holds = 1;
  script_start(&script);
  host_start(mode);
  atomic_int inside = 0;
  apus_source source = make(script.url);
  CHECK_INT(0, apus_source_on_event(source, destroy_inside, &inside, NULL));
  CHECK_INT(0, apus_source_open(source));
  EVENTUALLY(atomic_load(&inside) == 1);
  CHECK_INT(0, apus_source_is_alive(source));
  script_end(&script);
  /* One that waits to connect, and one that was never opened. */
  source = make_listening(script.url);
  apus_source idle = make_listening(script.url);
  CHECK_INT(0, apus_source_set_retry(source, 30000, 60000, -1));
  CHECK_INT(0, apus_source_open(source));
  EVENTUALLY(atomic_load(&told.errors) == 1);
  harness_stop(&app);
  CHECK_INT(0, apus_source_is_alive(source));
  CHECK_INT(0, apus_source_is_alive(idle));
  CHECK_INT(6, atomic_load(&told.drops));
  CHECK_INT(1, atomic_load(&inside));
}

/* ------------------------------------------------------- the library's own server */

#define MANY 5000

static _Atomic apus_writer fed;
static char padding[1000];

static void feed(void *context, apus_writer writer, apus_request request) {
  (void)context, (void)request;
  CHECK_INT(0, apus_writer_subscribe(writer, "news"));
  atomic_store(&fed, writer);
}

static void write_many(apus_writer writer) {
  char id[16], data[1100];
  memset(padding, 'p', sizeof padding - 1);
  for (int i = 1; i <= MANY; i++) {
    snprintf(id, sizeof id, "%d", i);
    snprintf(data, sizeof data, "%d %s", i, padding);
    int32_t result;
    while ((result = apus_writer_event(writer, NULL, id, data, APUS_STRLEN)) == APUS_E_FULL) {
      harness_breathe();
    }
    CHECK_INT(0, result);
  }
}

static void *write_all(void *context) {
  write_many(*(apus_writer *)context);
  return NULL;
}

/* More than waits for a host that takes nothing: the server is held up, and all of it
 * comes in the end. */
static void test_held_up(enum mode mode) {
  pthread_t writer_thread;
  char url[64], id[16];
  apus_server peer = apus_server_make();
  CHECK_INT(0, apus_server_set_workers(peer, 1));
  CHECK_INT(0, apus_server_set_dispatch(peer, APUS_DISPATCH_WORKER));
  CHECK_INT(0, apus_server_set_heartbeat(peer, 50));
  CHECK(apus_server_events(peer, "/feed", feed, NULL, NULL) >= 0);
  CHECK(apus_server_listen(peer, "127.0.0.1", 0) >= 0);
  CHECK_INT(0, apus_server_start(peer));
  CHECK_INT(0, apus_server_set_topic_history(peer, "news", 100, 1 << 20));
  snprintf(url, sizeof url, "http://127.0.0.1:%d/feed", apus_server_port(peer, 0));
  host_start(mode);
  atomic_store(&fed, 0);
  apus_source source = make(url);
  CHECK_INT(0, apus_source_open(source));
  EVENTUALLY(atomic_load(&fed) != 0);
  apus_writer writer = atomic_exchange(&fed, 0);
  CHECK_INT(0, pthread_create(&writer_thread, NULL, write_all, &writer));
  for (int i = 1; i <= MANY; i++) {
    const char *got_id, *data;
    CHECK_INT(1, apus_source_next(source, HARNESS_DEADLINE_MS, NULL, &got_id, &data, NULL));
    snprintf(id, sizeof id, "%d", i);
    CHECK_TEXT(id, got_id);
    CHECK_INT(i, atoi(data));
  }
  CHECK_INT(0, pthread_join(writer_thread, NULL));
  /* The stream breaks off; what is published meanwhile is not lost. */
  CHECK_INT(0, apus_server_publish_event(peer, "news", NULL, "a", "before", APUS_STRLEN));
  expect_next(source, "message", "a", "before");
  CHECK_INT(1, apus_writer_destroy(writer));
  for (int i = 0; i < 50; i++) {
    snprintf(id, sizeof id, "b%d", i);
    CHECK_INT(0, apus_server_publish_event(peer, "news", "add", id, id, APUS_STRLEN));
  }
  for (int i = 0; i < 50; i++) {
    snprintf(id, sizeof id, "b%d", i);
    expect_next(source, "add", id, id);
  }
  CHECK_INT(1, apus_source_destroy(source));
  CHECK_INT(1, apus_server_destroy(peer));
  harness_stop(&app);
}

/* On a client of its own, which nobody ticks. */
static void test_client(enum mode mode) {
  struct script script;
  script_listen(&script);
  script_add(&script, HEAD "data: one\n\n");
  script_add(&script, HEAD "data: two\n\n");
  script.holds = 1;
  script_start(&script);
  apus_client client = apus_client_make();
  CHECK_INT(0, apus_client_set_workers(client, mode == MODE_THREADLESS ? 0 : 1));
  if (mode == MODE_WORKER) {
    CHECK_INT(0, apus_client_set_dispatch(client, APUS_DISPATCH_WORKER));
  }
  apus_source source = apus_source_make(client, script.url);
  CHECK(source != 0);
  CHECK_INT(0, apus_source_set_retry(source, 1, 1, -1));
  CHECK_INT(0, apus_source_open(source));
  expect_next(source, "message", "", "one");
  expect_next(source, "message", "", "two");
  CHECK_INT(0, next_code(source, 10));
  CHECK_INT(1, apus_client_destroy(client));
  CHECK_INT(0, apus_source_is_alive(source));
  CHECK_CODE(APUS_E_HANDLE, next_code(source, -1));
  script_end(&script);
}

/* One thread that takes events by itself: one for each event of a stream, and one for the
 * end. Those of a callback are none. */
static void test_pulled(enum mode mode) {
  struct script scripts[3];
  apus_source sources[3];
  int taken[3] = {0}, ended = 0;
  apus_event event;
  if (mode == MODE_WORKER) return;
  memset(&told, 0, sizeof told);
  apus_client client = apus_client_make();
  CHECK_INT(0, apus_client_set_workers(client, mode == MODE_THREADLESS ? 0 : 1));
  for (int i = 0; i < 3; i++) {
    script_listen(&scripts[i]);
    script_add(&scripts[i], HEAD "data: one\n\ndata: two\n\n");
    script_add(&scripts[i], HEAD "data: three\n\n");
    script_add(&scripts[i], NO_MORE);
    script_start(&scripts[i]);
    sources[i] = apus_source_make(client, scripts[i].url);
    CHECK(sources[i] != 0);
    CHECK_INT(0, apus_source_set_retry(sources[i], 1, 1, -1));
    CHECK_CODE(APUS_E_ARGUMENT, apus_source_set_events(sources[i], 2));
    CHECK_INT(0, apus_source_set_events(sources[i], 1));
  }
  CHECK_INT(0, apus_source_on_event(sources[2], on_event, &told, on_drop));
  for (int i = 0; i < 3; i++) CHECK_INT(0, apus_source_open(sources[i]));
  CHECK_CODE(APUS_E_STATE, apus_source_set_events(sources[0], 0));
  while (ended < 3) {
    static const char *const texts[] = {"one", "two", "three"};
    int32_t result = apus_client_next(client, &event, -1);
    CHECK(result >= 0);
    if (result == 0) continue;
    CHECK_INT(APUS_EVENT_SOURCE, event.kind);
    CHECK_INT(-1, event.route);
    int i = event.handle == sources[0] ? 0 : event.handle == sources[1] ? 1 : 2;
    CHECK(event.handle == sources[i]);
    if (i < 2 && taken[i] < 3) {
      const char *data;
      CHECK_INT(1, apus_source_next(sources[i], 0, NULL, NULL, &data, NULL));
      CHECK_TEXT(texts[taken[i]++], data);
    } else {
      CHECK_INT(APUS_STATE_CLOSED, apus_source_state(sources[i]));
      CHECK_CODE(i < 2 ? APUS_E_CLOSED : APUS_E_STATE, next_code(sources[i], 0));
      ended++;
    }
  }
  CHECK_INT(3, atomic_load(&told.events));
  /* Nothing is left, nor comes of one that the host closes. */
  CHECK_INT(0, apus_client_next(client, &event, 0));
  for (int i = 0; i < 3; i++) script_end(&scripts[i]);
  CHECK_INT(1, apus_client_destroy(client));
}

/* Whoever takes all there is at each event misses nothing either. */
static void test_pulled_at_once(enum mode mode) {
  enum { EVENTS = 200 };
  static char stream[16 * EVENTS + 128];
  struct script scripts[2];
  apus_source sources[2];
  apus_event event;
  int taken[2] = {0}, ended = 0;
  if (mode == MODE_WORKER) return;
  strcpy(stream, HEAD);
  for (int i = 0; i < EVENTS; i++) strcat(stream, "data: x\n\n");
  apus_client client = apus_client_make();
  CHECK_INT(0, apus_client_set_workers(client, mode == MODE_THREADLESS ? 0 : 1));
  for (int i = 0; i < 2; i++) {
    script_listen(&scripts[i]);
    script_add(&scripts[i], stream);
    script_add(&scripts[i], NO_MORE);
    script_start(&scripts[i]);
    sources[i] = apus_source_make(client, scripts[i].url);
    CHECK_INT(0, apus_source_set_retry(sources[i], 1, 1, -1));
    CHECK_INT(0, apus_source_set_events(sources[i], 1));
    CHECK_INT(0, apus_source_open(sources[i]));
  }
  while (ended < 2) {
    int32_t result;
    if (apus_client_next(client, &event, -1) == 0) continue;
    CHECK_INT(APUS_EVENT_SOURCE, event.kind);
    int i = event.handle == sources[0] ? 0 : 1;
    while ((result = next_code(sources[i], 0)) == 1) taken[i]++;
    if (result == 0) continue;
    CHECK_INT(APUS_E_CLOSED, result);
    CHECK_INT(EVENTS, taken[i]);
    ended++;
  }
  CHECK_INT(0, apus_client_next(client, &event, 0));
  for (int i = 0; i < 2; i++) script_end(&scripts[i]);
  CHECK_INT(1, apus_client_destroy(client));
}

static const struct harness_case cases[] = {
    {"pulled_at_once", test_pulled_at_once},
    {"pulled", test_pulled},
    {"callbacks", test_callbacks},
    {"next", test_next},
    {"refused", test_refused},
    {"type", test_type},
    {"redirected", test_redirected},
    {"attempts", test_attempts},
    {"waits", test_waits},
    {"too_large", test_too_large},
    {"ends", test_ends},
    {"destroyed", test_destroyed},
    {"held_up", test_held_up},
    {"client", test_client},
};

int main(int argc, char **argv) { return harness_main("source_test", argc, argv, CASES(cases)); }
