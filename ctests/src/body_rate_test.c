/*
 * body_rate_test.c - the time in which the server itself does not read a body counts
 * for none of a body's time limits: before its handler has run, while too much of it
 * waits for its handler, and while a 100 (Continue) is due. The test ticks the server
 * itself, and so decides for how long; another body, which stalls, tells by its 408 that
 * a limit has passed for all that were there before it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "helpers/harness.h"

enum { LIMIT_MS = 500, LENGTH = 100000 };

static struct app app;
static size_t taken;

static void take_piece(void *context, apus_request request, const void *data, size_t length,
                       int32_t last) {
  (void)context, (void)data;
  taken += length;
  if (last == 1) CHECK_INT(0, apus_reply_text(request, 200, "taken"));
  if (last == -1) CHECK_INT(1, apus_request_destroy(request));
}

static void stream_handler(void *context, apus_request request) {
  (void)context;
  CHECK_INT(0, apus_request_on_body(request, take_piece, NULL, NULL));
}

static void root_handler(void *context, apus_request request) {
  (void)context;
  CHECK_INT(0, apus_reply_text(request, 200, "ok"));
}

static void start(void) {
  memset(&app, 0, sizeof app);
  taken = 0;
  app_make(&app, MODE_TICK);
  CHECK_INT(0, apus_server_set_workers(app.server, 1));
  CHECK_INT(0, apus_server_set_high_water(app.server, 1024));
  CHECK_INT(0, apus_server_set_body_timeout(app.server, LIMIT_MS));
  CHECK_INT(0, apus_server_set_body_rate(app.server, 1000, LIMIT_MS));
  app_stream(&app, APUS_POST, "/stream", stream_handler, NULL);
  app_route(&app, APUS_POST, "/", root_handler, NULL);
  CHECK_INT(0, apus_server_listen(app.server, "127.0.0.1", 0));
  app.port = apus_server_port(app.server, 0);
  CHECK_INT(0, apus_server_start(app.server));
}

static void stop(void) {
  CHECK_INT(0, apus_server_stop(app.server));
  CHECK_INT(1, apus_server_destroy(app.server));
}

/* Waits, without a tick, until a body that stalls is refused; twice, so that the limit
 * has passed by far. */
static void pass_limit(void) {
  for (int i = 0; i < 2; i++) {
    struct client client;
    struct reply reply;
    client_open(&client, app.port);
    client_text(&client, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n");
    client_reply(&client, "POST", &reply);
    CHECK_INT(408, reply.status);
    reply_free(&reply);
    client_close(&client);
  }
}

static void tick_until_heard(const struct client *client) {
  struct pollfd item = {.fd = client->fd, .events = POLLIN};
  EVENTUALLY(apus_server_tick(app.server, 0) >= 0 && poll(&item, 1, 1) > 0);
}

static void send_body(struct client *client) {
  static char body[LENGTH];
  client_send(client, body, sizeof body);
}

static void expect_taken(struct client *client) {
  struct reply reply;
  tick_until_heard(client);
  client_reply(client, "POST", &reply);
  CHECK_INT(200, reply.status);
  CHECK_INT(LENGTH, taken);
  reply_free(&reply);
  client_close(client);
  stop();
}

/* The handler runs late. */
static void test_handler(enum mode mode) {
  struct client client;
  (void)mode;
  start();
  client_open(&client, app.port);
  client_format(&client, "POST /stream HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", LENGTH);
  send_body(&client);
  pass_limit();
  expect_taken(&client);
}

/* What has come is taken late, and the rest is not read before. */
static void test_high_water(enum mode mode) {
  struct client client;
  (void)mode;
  start();
  client_open(&client, app.port);
  client_format(&client, "POST /stream HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", LENGTH);
  EVENTUALLY(apus_server_tick(app.server, 10) > 0);
  send_body(&client);
  pass_limit();
  expect_taken(&client);
}

/* The client waits for a 100, and the handler that it takes runs late. */
static void test_continue(enum mode mode) {
  static const char due[] = "HTTP/1.1 100 Continue\r\n\r\n";
  char got[sizeof due] = "";
  struct client client;
  (void)mode;
  start();
  client_open(&client, app.port);
  client_format(&client,
                "POST /stream HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
                "Content-Length: %d\r\n\r\n",
                LENGTH);
  pass_limit();
  tick_until_heard(&client);
  CHECK_INT(sizeof due - 1, recv(client.fd, got, sizeof due - 1, MSG_WAITALL));
  CHECK_TEXT(due, got);
  send_body(&client);
  expect_taken(&client);
}

int main(void) {
  static const struct harness_case cases[] = {
      {"handler", test_handler},
      {"high_water", test_high_water},
      {"continue", test_continue},
  };
  return harness_run("body_rate_test", MODE_TICK, NULL, CASES(cases));
}
