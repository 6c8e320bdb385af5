/*
 * endings_test.c - how a reply and its connection come to an end: what goes out whole and
 * what is cut, so that no client takes half a reply for all of it or waits for more; whose
 * request ends with it; and what waits behind a reply that does not end.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "../helpers/harness.h"

static _Atomic apus_request kept[2];
static _Atomic apus_writer made;
static _Atomic apus_channel accepted;
static atomic_int calls, told, told_status, failed_code, failed_status;

static void hello_handler(void *context, apus_request request) {
  (void)context;
  CHECK_INT(0, apus_reply_text(request, 200, "hello"));
}

static void keep_handler(void *context, apus_request request) {
  (void)context;
  app_defer(request);
  atomic_store(&kept[atomic_fetch_add(&calls, 1)], request);
}

static void writer_handler(void *context, apus_request request) {
  (void)context;
  atomic_store(&made, apus_writer_make(request));
}

static void events_handler(void *context, apus_request request) {
  (void)context;
  atomic_store(&made, apus_writer_make_events(request));
}

static void note_reply(void *context, apus_request request, int32_t status, uint64_t bytes) {
  (void)context, (void)request, (void)bytes;
  atomic_store(&told_status, status);
  atomic_fetch_add(&told, 1);
}

static void note_failure(void *context, apus_server server, uint64_t connection, int32_t code,
                         int32_t status, const char *peer) {
  (void)context, (void)server, (void)connection, (void)peer;
  atomic_store(&failed_status, status);
  atomic_store(&failed_code, code);
}

static void make(struct app *app, enum mode mode) {
  atomic_store(&kept[0], 0);
  atomic_store(&kept[1], 0);
  atomic_store(&made, 0);
  atomic_store(&calls, 0);
  atomic_store(&told, 0);
  atomic_store(&failed_code, 0);
  app_make(app, mode);
  app_route(app, APUS_GET, "/hello", hello_handler, NULL);
  app_route(app, APUS_GET, "/keep", keep_handler, NULL);
  app_route(app, APUS_METHOD_ANY, "/writer", writer_handler, NULL);
  app_route(app, APUS_METHOD_ANY, "/events", events_handler, NULL);
  CHECK_INT(0, apus_server_on_reply(app->server, note_reply, NULL, NULL));
  CHECK_INT(0, apus_server_on_error(app->server, note_failure, NULL, NULL));
}

static apus_writer ask(struct client *client, const char *request) {
  atomic_store(&made, 0);
  client_text(client, request);
  EVENTUALLY(atomic_load(&made) != 0);
  return atomic_load(&made);
}

/* A HEAD of a stream of events gets the head, and nothing that is published. */
static void test_head_of_events(enum mode mode) {
  struct app app;
  struct client client;
  struct reply reply;
  make(&app, mode);
  harness_start(&app);
  client_open(&client, app.port);
  apus_writer writer = ask(&client, "HEAD /events HTTP/1.1\r\nHost: a\r\n\r\n");
  client_reply(&client, "HEAD", &reply);
  CHECK_INT(200, reply.status);
  reply_free(&reply);
  CHECK_INT(0, apus_writer_is_connected(writer));
  CHECK_CODE(APUS_E_CLOSED, apus_writer_event(writer, NULL, NULL, "data", APUS_STRLEN));
  CHECK_CODE(APUS_E_CLOSED, apus_writer_subscribe(writer, "topic"));
  CHECK_INT(0, apus_server_publish_event(app.server, "topic", NULL, NULL, "x", APUS_STRLEN));
  client_get(&client, "/hello");
  CLIENT_EXPECT(&client, "GET", 200, "hello");
  CHECK_INT(1, apus_writer_destroy(writer));
  CLIENT_QUIET(&client);
  client_close(&client);
  harness_stop(&app);
}

/* ------------------------------------------- a streamed route and an upgrade */

static void plain_stream(void *context, apus_request request) {
  (void)context;
  CHECK_INT(0, apus_reply_text(request, 200, "plain"));
}

static void accept_stream(void *context, apus_request request) {
  (void)context;
  apus_upgrade upgrade = apus_upgrade_make(request);
  CHECK(upgrade != 0);
  apus_channel channel = apus_upgrade_accept(upgrade, NULL);
  CHECK(channel != 0);
  CHECK_INT(0, apus_channel_send_text(channel, "hi", 2));
  atomic_store(&accepted, channel);
}

#define UPGRADE "Host: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
#define HANDSHAKE \
  UPGRADE "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"

/* A request that asks for another protocol is like others where its route is streamed. */
static void test_streamed_upgrade(enum mode mode) {
  static const char message[] = "\x81\x02hi";
  struct app app;
  struct client client;
  struct reply reply;
  make(&app, mode);
  app_stream(&app, APUS_METHOD_ANY, "/plain", plain_stream, NULL);
  app_stream(&app, APUS_GET, "/accept", accept_stream, NULL);
  harness_start(&app);
  client_open(&client, app.port);
  client_text(&client, "GET /plain HTTP/1.1\r\n" UPGRADE "\r\n");
  CLIENT_EXPECT(&client, "GET", 200, "plain");
  client_text(&client, "POST /plain HTTP/1.1\r\n" UPGRADE "Content-Length: 4\r\n\r\nbody");
  CLIENT_EXPECT(&client, "POST", 200, "plain");
  client_text(&client, "GET /accept HTTP/1.1\r\n" HANDSHAKE);
  client_reply(&client, "GET", &reply);
  CHECK_INT(101, reply.status);
  reply_free(&reply);
  while (client.end - client.begin < 4) CHECK_INT(1, client_fill(&client));
  CHECK_BYTES(message, 4, client.data + client.begin, client.end - client.begin);
  CHECK_INT(1, apus_channel_destroy(atomic_load(&accepted)));
  client_close(&client);
  harness_stop(&app);
}

/* ---------------------------------------------------------- behind another one */

static char megabyte[1 << 20];

static void large_handler(void *context, apus_request request) {
  (void)context;
  atomic_fetch_add(&calls, 1);
  CHECK_INT(0, apus_reply(request, 200, "text/plain", megabyte, sizeof megabyte));
}

/* What waits behind a reply that does not end is held up by the high-water mark. */
static void test_waiting(enum mode mode) {
  enum { BEHIND = 20 };
  struct app app;
  struct client client;
  struct reply reply;
  memset(megabyte, 'm', sizeof megabyte);
  make(&app, mode);
  app_route(&app, APUS_GET, "/large", large_handler, NULL);
  harness_start(&app);
  client_open(&client, app.port);
  apus_writer writer = ask(&client, "GET /writer HTTP/1.1\r\nHost: a\r\n\r\n");
  CHECK_INT(0, apus_writer_begin(writer, 5));
  for (int i = 0; i < BEHIND; i++) client_get(&client, "/large");
  EVENTUALLY(atomic_load(&calls) > 0);
  /* The server has seen to all that came before this one. */
  struct client other;
  client_open(&other, app.port);
  client_get(&other, "/hello");
  CLIENT_EXPECT(&other, "GET", 200, "hello");
  client_close(&other);
  CHECK(atomic_load(&calls) <= 2);
  CHECK_INT(0, apus_writer_write(writer, "first", 5));
  CHECK_INT(0, apus_writer_end(writer));
  CLIENT_EXPECT(&client, "GET", 200, "first");
  for (int i = 0; i < BEHIND; i++) {
    client_reply(&client, "GET", &reply);
    CHECK_INT(200, reply.status);
    CHECK_INT(sizeof megabyte, reply.content_length);
    reply_free(&reply);
  }
  CHECK_INT(BEHIND, atomic_load(&calls));
  CHECK_INT(1, apus_writer_destroy(writer));
  client_close(&client);
  harness_stop(&app);
}

/* One that is given up does not take the whole one before it along. */
static void test_given_up_behind(enum mode mode) {
  struct app app;
  struct client client;
  make(&app, mode);
  harness_start(&app);
  client_open(&client, app.port);
  client_get(&client, "/keep");
  EVENTUALLY(atomic_load(&kept[0]) != 0);
  apus_writer writer = ask(&client, "GET /writer HTTP/1.1\r\nHost: a\r\n\r\n");
  CHECK_INT(1, apus_writer_destroy(writer));
  CHECK_INT(0, apus_reply_text(atomic_load(&kept[0]), 200, "whole"));
  CLIENT_EXPECT(&client, "GET", 200, "whole");
  CLIENT_ENDS(&client);
  client_close(&client);
  harness_stop(&app);
}

/* --------------------------------------------------------- whole, or cut short */

static void refusing_stream(void *context, apus_request request) {
  (void)context;
  CHECK_INT(0, apus_reply_text(request, 401, "who are you?"));
}

/* A reply that went out before its request was in stays whole when that goes wrong. */
static void test_early_reply(enum mode mode) {
  struct app app;
  struct client client;
  make(&app, mode);
  app_stream(&app, APUS_POST, "/up", refusing_stream, NULL);
  harness_start(&app);
  for (int i = 1; i <= 5; i++) {
    client_open(&client, app.port);
    client_text(&client, "POST /up HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    CLIENT_EXPECT(&client, "POST", 401, "who are you?");
    client_text(&client, "no chunk\r\n");
    CLIENT_ENDS(&client);
    EVENTUALLY(atomic_load(&told) == i && atomic_load(&failed_code) == APUS_E_PROTOCOL);
    CHECK_INT(401, atomic_load(&told_status));
    CHECK_INT(0, atomic_load(&failed_status));
    client_close(&client);
  }
  harness_stop(&app);
}

/* An HTTP/1.0 client takes an orderly end for the end of the body. One that has closed its
 * side counts as gone, but not where the request was pulled. */
static void test_cut_short(enum mode mode) {
  struct app app;
  struct client client;
  make(&app, mode);
  harness_start(&app);
  for (int way = 0; way < 2; way++) {
    client_open(&client, app.port);
    apus_writer writer = ask(&client, "GET /writer HTTP/1.0\r\n\r\n");
    CHECK_INT(0, apus_writer_write(writer, "half a ", 7));
    while (client.end < 7 || memcmp(client.data + client.end - 7, "half a ", 7) != 0) {
      CHECK_INT(1, client_fill(&client));
    }
    if (way == 0) CHECK_INT(0, shutdown(client.fd, SHUT_WR));
    if (way == 1) CHECK_INT(0, apus_writer_set_idle_timeout(writer, 1));
    int is_whole = way == 0 && mode == MODE_PULL;
    if (is_whole) CHECK_INT(0, apus_writer_end(writer));
    CHECK_INT(0, client_fill(&client));
    CHECK_INT(!is_whole, client.reset);
    EVENTUALLY(apus_writer_is_connected(writer) == 0);
    CHECK_INT(1, apus_writer_destroy(writer));
    client_close(&client);
  }
  harness_stop(&app);
}

/* The limit of a writer runs before its head, too. */
static void test_idle_before_head(enum mode mode) {
  struct app app;
  struct client client;
  make(&app, mode);
  harness_start(&app);
  client_open(&client, app.port);
  apus_writer writer = ask(&client, "GET /writer HTTP/1.1\r\nHost: a\r\n\r\n");
  CHECK_INT(0, apus_writer_set_idle_timeout(writer, 1));
  CLIENT_ENDS(&client);
  EVENTUALLY(apus_writer_is_connected(writer) == 0);
  CHECK_INT(1, apus_writer_destroy(writer));
  client_close(&client);
  harness_stop(&app);
}

/* ------------------------------------------------------------- whose it is */

/* What is buffered is the writer's until its reply has gone to the connection. */
static void test_buffered(enum mode mode) {
  struct app app;
  struct client client;
  make(&app, mode);
  harness_start(&app);
  client_open(&client, app.port);
  apus_writer writer = ask(&client, "GET /writer HTTP/1.1\r\nHost: a\r\n\r\n");
  CHECK_INT(0, apus_writer_write(writer, "hello", 5));
  CHECK_INT(0, apus_writer_end(writer));
  CLIENT_EXPECT(&client, "GET", 200, "hello");
  EVENTUALLY(apus_writer_buffered(writer) == 0);
  CHECK_INT(1, apus_writer_destroy(writer));
  client_close(&client);
  harness_stop(&app);
}

/* A request that was kept ends with its reply, also with one by a writer or a ticket. */
static void test_kept(enum mode mode) {
  struct app app;
  struct client client;
  make(&app, mode);
  harness_start(&app);
  client_open(&client, app.port);
  client_get(&client, "/keep");
  EVENTUALLY(atomic_load(&kept[0]) != 0);
  apus_request request = atomic_load(&kept[0]);
  apus_writer writer = apus_writer_make(request);
  CHECK_INT(0, apus_writer_write(writer, "hello", 5));
  CHECK_TEXT("/keep", apus_request_path(request));
  CHECK_INT(0, apus_writer_end(writer));
  CHECK_NONE(APUS_E_HANDLE, apus_request_path(request));
  CHECK_INT(0, apus_request_destroy(request));
  CHECK_INT(1, apus_writer_destroy(writer));
  CLIENT_EXPECT(&client, "GET", 200, "hello");
  client_text(&client, "GET /keep HTTP/1.1\r\n" HANDSHAKE);
  EVENTUALLY(atomic_load(&kept[1]) != 0);
  request = atomic_load(&kept[1]);
  apus_upgrade upgrade = apus_upgrade_make(request);
  CHECK(upgrade != 0);
  CHECK_NONE(APUS_E_STATE, apus_writer_make(request));
  CHECK_NONE(APUS_E_STATE, apus_writer_make_events(request));
  CHECK_INT(0, apus_upgrade_refuse(upgrade, 403));
  CHECK_NONE(APUS_E_HANDLE, apus_request_path(request));
  CLIENT_EXPECT(&client, "GET", 403, NULL);
  EVENTUALLY(apus_live_count(APUS_KIND_REQUEST) == 0);
  client_close(&client);
  harness_stop(&app);
}

/* What the library ends by itself leaves a kept request, and what that has lent, alone. */
static void test_kept_by_the_host(enum mode mode) {
  struct app app;
  struct client client;
  make(&app, mode);
  harness_start(&app);
  client_open(&client, app.port);
  client_get(&client, "/keep");
  EVENTUALLY(atomic_load(&kept[0]) != 0);
  apus_request request = atomic_load(&kept[0]);
  const char *path = apus_request_path(request);
  apus_writer writer = apus_writer_make(request);
  CHECK_INT(0, apus_writer_write(writer, "hello", 5));
  CHECK_INT(0, apus_writer_detach(writer));
  client_leave(&client);
  EVENTUALLY(apus_writer_is_alive(writer) == 0);
  CHECK_INT(0, apus_request_is_alive(request));
  CHECK_TEXT("/keep", path);
  CHECK_TEXT("/keep", apus_request_path(request));
  CHECK_INT(1, apus_request_destroy(request));
  harness_stop(&app);
}

static void count_piece(void *context, apus_request request, const void *data, size_t length,
                        int32_t last) {
  (void)context, (void)data, (void)length;
  if (last == 0) return;
  CHECK_INT(1, last);
  CHECK_INT(1, apus_request_destroy(request));
  atomic_fetch_add(&calls, 1);
}

static void early_stream(void *context, apus_request request) {
  (void)context;
  CHECK_INT(0, apus_request_on_body(request, count_piece, NULL, NULL));
  apus_writer writer = apus_writer_make(request);
  CHECK_INT(0, apus_writer_write(writer, "early", 5));
  CHECK_INT(0, apus_writer_end(writer));
  CHECK_INT(1, apus_writer_destroy(writer));
}

/* Whoever takes a body hears of its end also when a writer has answered before. */
static void test_body_behind(enum mode mode) {
  struct app app;
  struct client client;
  make(&app, mode);
  app_stream(&app, APUS_POST, "/early", early_stream, NULL);
  harness_start(&app);
  client_open(&client, app.port);
  for (int i = 1; i <= 3; i++) {
    client_text(&client, "POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\nhalf");
    CLIENT_EXPECT(&client, "POST", 200, "early");
    client_text(&client, "half");
    EVENTUALLY(atomic_load(&calls) == i);
  }
  EVENTUALLY(apus_live_count(APUS_KIND_REQUEST) == 0);
  client_close(&client);
  harness_stop(&app);
}

/* No trailer frames the message, and none is left out without a word. */
static void test_trailers(enum mode mode) {
  static const char *const wrong[] = {"Transfer-Encoding", "content-length", "Host", "Trailer"};
  struct app app;
  struct client client;
  struct reply reply;
  make(&app, mode);
  harness_start(&app);
  client_open(&client, app.port);
  apus_writer writer = ask(&client, "GET /writer HTTP/1.1\r\nHost: a\r\n\r\n");
  for (int i = 0; i < 4; i++) {
    CHECK_CODE(APUS_E_ARGUMENT, apus_writer_add_trailer(writer, wrong[i], "1"));
  }
  CHECK_INT(0, apus_writer_add_trailer(writer, "X-Sum", "1"));
  CHECK_CODE(APUS_E_STATE, apus_writer_begin(writer, 5));
  memset(megabyte, 'm', sizeof megabyte);
  megabyte[65000] = '\0';
  CHECK_INT(0, apus_writer_add_trailer(writer, "X-Long", megabyte));
  CHECK_CODE(APUS_E_TOO_LARGE, apus_writer_add_trailer(writer, "X-Longer", megabyte));
  CHECK_INT(0, apus_writer_end(writer));
  client_reply(&client, "GET", &reply);
  CHECK_INT(200, reply.status);
  reply_free(&reply);
  CHECK_INT(1, apus_writer_destroy(writer));
  /* RFC 9110 section 15.3.6: nothing behind a 205, and it says so. */
  writer = ask(&client, "GET /writer HTTP/1.1\r\nHost: a\r\n\r\n");
  CHECK_INT(0, apus_writer_set_status(writer, 205));
  CHECK_INT(0, apus_writer_begin(writer, -1));
  CHECK_CODE(APUS_E_TOO_LARGE, apus_writer_write(writer, "x", 1));
  CHECK_INT(0, apus_writer_end(writer));
  client_reply(&client, "GET", &reply);
  CHECK_INT(205, reply.status);
  CHECK_INT(0, reply.content_length);
  reply_free(&reply);
  CHECK_INT(1, apus_writer_destroy(writer));
  client_close(&client);
  harness_stop(&app);
}

int main(int argc, char **argv) {
  static const struct harness_case cases[] = {
      {"head_of_events", test_head_of_events},
      {"streamed_upgrade", test_streamed_upgrade},
      {"waiting", test_waiting},
      {"given_up_behind", test_given_up_behind},
      {"early_reply", test_early_reply},
      {"cut_short", test_cut_short},
      {"idle_before_head", test_idle_before_head},
      {"buffered", test_buffered},
      {"kept", test_kept},
      {"kept_by_the_host", test_kept_by_the_host},
      {"body_behind", test_body_behind},
      {"trailers", test_trailers},
  };
  return harness_main("endings_test", argc, argv, CASES(cases));
}
