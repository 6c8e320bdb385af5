/*
 * connection_test.c - one connection and what runs over it: bodies and their
 * limit, keep-alive and its end, HTTP/1.0, pipelining, half-close, urgent data,
 * Expect, refusals.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "../helpers/harness.h"

#define LIMIT 16384

static atomic_int handled;

static void echo_handler(void *context, apus_request request) {
  size_t length = 0;
  const void *body = apus_request_body(request, &length);
  (void)context;
  CHECK(body != NULL);
  atomic_fetch_add(&handled, 1);
  CHECK_INT(0, apus_reply(request, 200, "application/octet-stream", body, length));
}

static void name_handler(void *context, apus_request request) {
  (void)context;
  atomic_fetch_add(&handled, 1);
  CHECK_INT(0, apus_reply_text(request, 200, apus_request_param(request, "name", NULL)));
}

static void start_echo(struct app *app, enum mode mode) {
  atomic_store(&handled, 0);
  app_make(app, mode);
  CHECK_INT(0, apus_server_set_max_body(app->server, LIMIT));
  app_route(app, APUS_POST, "/echo", echo_handler, NULL);
  app_route(app, APUS_GET, "/name/:name", name_handler, NULL);
  harness_start(app);
}

static void post_counted(struct client *client, const char *body, size_t length) {
  client_format(client, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n", length);
  client_send_some(client, body, length);
}

static void post_chunked(struct client *client, const char *body, size_t length, size_t piece) {
  client_text(client, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (size_t at = 0; at < length; at += piece) {
    char head[32];
    size_t size = length - at < piece ? length - at : piece;
    snprintf(head, sizeof head, "%zX\r\n", size);
    client_send_some(client, head, strlen(head));
    client_send_some(client, body + at, size);
    client_send_some(client, "\r\n", 2);
  }
  client_send_some(client, "0\r\n\r\n", 5);
}

static void test_bodies(enum mode mode) {
  static char body[LIMIT + 1];
  static const size_t sizes[] = {0, 1, 2, 1000, 4096, LIMIT - 1, LIMIT};
  struct app app;
  struct client client;
  struct reply reply;
  for (size_t i = 0; i < sizeof body; i++) body[i] = (char)(i * 31 >> 3);
  start_echo(&app, mode);
  client_open(&client, app.port);
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    for (int chunked = 0; chunked < 3; chunked++) {
      if (chunked == 0) post_counted(&client, body, sizes[i]);
      if (chunked > 0) post_chunked(&client, body, sizes[i], chunked == 1 ? 777 : LIMIT);
      client_reply(&client, "POST", &reply);
      CHECK_INT(200, reply.status);
      CHECK_BYTES(body, sizes[i], reply.body, reply.body_length);
      reply_free(&reply);
    }
  }
  client_close(&client);
  harness_stop(&app);
}

static void expect_closed(struct client *client, int status) {
  struct reply reply;
  client_reply(client, "GET", &reply);
  CHECK_INT(status, reply.status);
  CHECK_TEXT("close", reply_field(&reply, "Connection"));
  reply_free(&reply);
  CLIENT_ENDS(client);
  client_close(client);
}

/* One byte more than the limit: 413, and the handler is not called. */
static void test_body_limit(enum mode mode) {
  static char body[LIMIT + 1];
  struct app app;
  struct client client;
  start_echo(&app, mode);
  memset(body, 'x', sizeof body);
  client_open(&client, app.port);
  post_counted(&client, body, sizeof body);
  expect_closed(&client, 413);
  client_open(&client, app.port);
  post_chunked(&client, body, sizeof body, 5000);
  expect_closed(&client, 413);
  client_open(&client, app.port);
  post_chunked(&client, body, sizeof body, sizeof body);
  expect_closed(&client, 413);
  CHECK_INT(0, atomic_load(&handled));
  EVENTUALLY(apus_server_counter(app.server, APUS_COUNT_REFUSED_BODY) == 3);
  harness_stop(&app);
}

static void test_keep_alive(enum mode mode) {
  struct app app;
  struct client client;
  struct reply reply;
  start_echo(&app, mode);
  client_open(&client, app.port);
  for (int i = 0; i < 200; i++) {
    client_get(&client, "/name/again");
    client_reply(&client, "GET", &reply);
    CHECK_INT(200, reply.status);
    CHECK(!reply_lists(&reply, "Connection", "close"));
    reply_free(&reply);
  }
  CHECK_INT(1, apus_server_counter(app.server, APUS_COUNT_ACCEPTED));
  /* Connection: close, in any case and among others, is the last request. */
  client_text(&client,
              "GET /name/last HTTP/1.1\r\nHost: a\r\nConnection: x, CLOSE\r\n\r\n"
              "GET /name/ignored HTTP/1.1\r\nHost: a\r\n\r\n");
  expect_closed(&client, 200);
  CHECK_INT(201, atomic_load(&handled));
  harness_stop(&app);
}

static void test_http10(enum mode mode) {
  struct app app;
  struct client client;
  struct reply reply;
  start_echo(&app, mode);
  client_open(&client, app.port);
  client_text(&client, "GET /name/old HTTP/1.0\r\n\r\n");
  client_reply(&client, "GET", &reply);
  CHECK_TEXT("old", reply.body);
  reply_free(&reply);
  CLIENT_ENDS(&client);
  client_close(&client);
  client_open(&client, app.port);
  for (int i = 0; i < 3; i++) {
    client_text(&client, "GET /name/old HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
    client_reply(&client, "GET", &reply);
    CHECK_TEXT("old", reply.body);
    CHECK(reply_lists(&reply, "Connection", "keep-alive"));
    CHECK_INT(3, reply.content_length);
    reply_free(&reply);
  }
  client_text(&client, "GET /name/old HTTP/1.0\r\n\r\n");
  CLIENT_EXPECT(&client, "GET", 200, "old");
  CLIENT_ENDS(&client);
  client_close(&client);
  harness_stop(&app);
}

static void test_pipelining(enum mode mode) {
  enum { REQUESTS = 50 };
  struct app app;
  struct client client;
  char text[REQUESTS * 64];
  size_t used = 0;
  start_echo(&app, mode);
  for (int i = 0; i < REQUESTS; i++) {
    used += (size_t)snprintf(text + used, sizeof text - used,
                             "GET /name/%d HTTP/1.1\r\nHost: a\r\n\r\n", i);
  }
  for (int round = 0; round < 10; round++) {
    client_open(&client, app.port);
    client_send(&client, text, used);
    for (int i = 0; i < REQUESTS; i++) {
      char expected[16];
      snprintf(expected, sizeof expected, "%d", i);
      CLIENT_EXPECT(&client, "GET", 200, expected);
    }
    CLIENT_QUIET(&client);
    client_close(&client);
  }
  CHECK_INT(10 * REQUESTS, atomic_load(&handled));
  harness_stop(&app);
}

/* Requests with bodies, counted and chunked, back to back in one write. */
static void test_mixed_pipeline(enum mode mode) {
  struct app app;
  struct client client;
  start_echo(&app, mode);
  client_open(&client, app.port);
  client_text(&client,
              "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\none"
              "\r\nGET /name/two HTTP/1.1\r\nHost: a\r\n\r\n"
              "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
              "3\r\nthr\r\n2\r\nee\r\n0\r\n\r\n"
              "GET /none HTTP/1.1\r\nHost: a\r\n\r\n"
              "HEAD /name/five HTTP/1.1\r\nHost: a\r\n\r\n"
              "GET /name/six HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  CLIENT_EXPECT(&client, "POST", 200, "one");
  CLIENT_EXPECT(&client, "GET", 200, "two");
  CLIENT_EXPECT(&client, "POST", 200, "three");
  CLIENT_EXPECT(&client, "GET", 404, NULL);
  CLIENT_EXPECT(&client, "HEAD", 200, NULL);
  CLIENT_EXPECT(&client, "GET", 200, "six");
  CLIENT_ENDS(&client);
  client_close(&client);
  harness_stop(&app);
}

/* A good request before a bad one is answered before the refusal. */
static void test_good_then_bad(enum mode mode) {
  struct app app;
  struct client client;
  start_echo(&app, mode);
  client_open(&client, app.port);
  client_text(&client,
              "GET /name/good HTTP/1.1\r\nHost: a\r\n\r\n"
              "GARBAGE\r\n\r\nGET /name/never HTTP/1.1\r\nHost: a\r\n\r\n");
  CLIENT_EXPECT(&client, "GET", 200, "good");
  expect_closed(&client, 400);
  CHECK_INT(1, atomic_load(&handled));
  harness_stop(&app);
}

static void test_half_close(enum mode mode) {
  struct app app;
  struct client client;
  start_echo(&app, mode);
  client_open(&client, app.port);
  client_text(&client,
              "GET /name/a HTTP/1.1\r\nHost: a\r\n\r\n"
              "GET /name/b HTTP/1.1\r\nHost: a\r\n\r\n");
  CHECK_INT(0, shutdown(client.fd, SHUT_WR));
  CLIENT_EXPECT(&client, "GET", 200, "a");
  CLIENT_EXPECT(&client, "GET", 200, "b");
  CLIENT_ENDS(&client);
  client_close(&client);
  /* Inside a body: the request never becomes whole, and no handler sees it. */
  client_open(&client, app.port);
  client_text(&client, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf");
  CHECK_INT(0, shutdown(client.fd, SHUT_WR));
  struct reply reply;
  int result = client_try_reply(&client, "POST", &reply);
  CHECK(result == REPLY_NONE || (result == REPLY_WHOLE && reply.status == 400));
  reply_free(&reply);
  client_close(&client);
  CHECK_INT(2, atomic_load(&handled));
  harness_stop(&app);
}

static void expect_maybe_after_100(struct client *client, const char *body) {
  struct reply reply;
  client_reply(client, "POST", &reply);
  if (reply.status == 100) {
    reply_free(&reply);
    client_reply(client, "POST", &reply);
  }
  CHECK_INT(200, reply.status);
  CHECK_TEXT(body, reply.body);
  reply_free(&reply);
}

static void test_expect(enum mode mode) {
  struct app app;
  struct client client;
  start_echo(&app, mode);
  client_open(&client, app.port);
  client_text(&client,
              "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\n"
              "Content-Length: 5\r\n\r\n");
  CLIENT_EXPECT(&client, "POST", 100, "");
  CLIENT_QUIET(&client);
  client_text(&client, "hello");
  CLIENT_EXPECT(&client, "POST", 200, "hello");
  client_text(&client,
              "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
              "Transfer-Encoding: chunked\r\n\r\n");
  CLIENT_EXPECT(&client, "POST", 100, "");
  client_text(&client, "5\r\nhello\r\n0\r\n\r\n");
  CLIENT_EXPECT(&client, "POST", 200, "hello");
  /* A client that does not wait, or has no body, may be spared the 100. */
  client_text(&client,
              "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
              "Content-Length: 5\r\n\r\nhello");
  expect_maybe_after_100(&client, "hello");
  client_text(&client, "GET /name/x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n");
  expect_maybe_after_100(&client, "x");
  client_text(&client,
              "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
              "Content-Length: 16385\r\n\r\n");
  expect_closed(&client, 413);
  client_open(&client, app.port);
  client_text(&client,
              "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: a-miracle\r\n"
              "Content-Length: 5\r\n\r\n");
  expect_closed(&client, 417);
  harness_stop(&app);
}

static atomic_int gate_entered, gate_open;

static void gate_handler(void *context, apus_request request) {
  (void)context;
  atomic_store(&gate_entered, 1);
  EVENTUALLY(atomic_load(&gate_open));
  CHECK_INT(0, apus_reply_text(request, 200, "open"));
}

/* Sends one byte of urgent data: no part of the stream unless more of it comes before it was
 * passed. */
static void send_urgent(struct client *client) {
  CHECK_INT(1, send(client->fd, "!", 1, MSG_OOB | MSG_NOSIGNAL));
}

/* RFC 9293 3.8.5: a read stops in front of urgent data. All of it comes while the server is
 * busy, with the end behind it or not. */
static void test_urgent(enum mode mode) {
  struct app app;
  struct client client, other;
  atomic_store(&handled, 0);
  app_make(&app, mode);
  if (mode != MODE_THREADLESS) CHECK_INT(0, apus_server_set_workers(app.server, 1));
  app_route(&app, APUS_POST, "/echo", echo_handler, NULL);
  app_route(&app, APUS_GET, "/gate", gate_handler, NULL);
  harness_start(&app);
  client_open(&client, app.port);
  post_counted(&client, "first", 5);
  CLIENT_EXPECT(&client, "POST", 200, "first");
  for (int ends = 0; ends < 2; ends++) {
    atomic_store(&gate_entered, 0);
    atomic_store(&gate_open, 0);
    client_open(&other, app.port);
    client_get(&other, "/gate");
    EVENTUALLY(atomic_load(&gate_entered));
    client_text(&client, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01234");
    send_urgent(&client);
    client_text(&client, "56789");
    post_counted(&client, "and another", 11);
    if (ends) CHECK_INT(0, shutdown(client.fd, SHUT_WR));
    atomic_store(&gate_open, 1);
    CLIENT_EXPECT(&other, "GET", 200, "open");
    client_close(&other);
    CLIENT_EXPECT(&client, "POST", 200, "0123456789");
    CLIENT_EXPECT(&client, "POST", 200, "and another");
  }
  CLIENT_ENDS(&client);
  client_close(&client);
  CHECK_INT(5, atomic_load(&handled));
  harness_stop(&app);
}

/* ------------------------------------------------------------------- ends elsewhere */

/* Whether the server has nothing to do: its descriptor says so. */
static int is_idle(struct app *app) {
  struct pollfd entry = {apus_server_event_fd(app->server), POLLIN, 0};
  CHECK(apus_server_tick(app->server, 0) >= 0);
  return poll(&entry, 1, 0) == 0;
}

/* A socket that somebody else has, too, as has any process that was just forked: once its
 * connection has ended the server hears no more of it. */
static void test_held_elsewhere(enum mode mode) {
  struct app app;
  struct client client;
  int ends[2];
  if (mode != MODE_THREADLESS) return;
  app_make(&app, mode);
  app_route(&app, APUS_METHOD_ANY, "/echo", echo_handler, NULL);
  harness_start_undriven(&app);
  for (int way = 0; way < 3; way++) {
    CHECK_INT(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
    int held = dup(ends[1]);
    CHECK(held >= 0);
    client_adopt(&client, ends[0]);
    CHECK_INT(0, apus_server_adopt_connection(app.server, ends[1]));
    if (way > 0) client_text(&client, "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
    int64_t replies = apus_server_counter(app.server, APUS_COUNT_REPLIES);
    EVENTUALLY((apus_server_tick(app.server, 0),
                apus_server_counter(app.server, APUS_COUNT_REPLIES) == replies + (way > 0) &&
                    apus_server_counter(app.server, APUS_COUNT_CONNECTIONS) == 1));
    if (way == 2) client_text(&client, "no request\r\n\r\n");
    client_close(&client);
    EVENTUALLY((apus_server_tick(app.server, 0),
                apus_server_counter(app.server, APUS_COUNT_CONNECTIONS) == 0));
    EVENTUALLY(is_idle(&app));
    CHECK_INT(0, close(held));
  }
  harness_stop(&app);
}

int main(int argc, char **argv) {
  static const struct harness_case cases[] = {
      {"bodies", test_bodies},
      {"body_limit", test_body_limit},
      {"keep_alive", test_keep_alive},
      {"http10", test_http10},
      {"pipelining", test_pipelining},
      {"mixed_pipeline", test_mixed_pipeline},
      {"good_then_bad", test_good_then_bad},
      {"half_close", test_half_close},
      {"urgent", test_urgent},
      {"held_elsewhere", test_held_elsewhere},
      {"expect", test_expect},
  };
  return harness_main("connection_test", argc, argv, CASES(cases));
}
