/*
 * upgrade_test.c - from a request to a channel by a ticket: decided in the handler or
 * later by another thread, too late, or when the client has gone; and which pages
 * may.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "../helpers/ws.h"

static struct heard heard;
static _Atomic apus_upgrade handed;
static atomic_int handled;

static void listen_to(apus_channel channel) {
  CHECK(channel != 0);
  heard_listen(&heard, channel);
  atomic_store(&heard.channel, channel);
}

/* Takes a ticket, looks at all of it, and accepts. */
static void now_handler(void *context, apus_request request) {
  (void)context;
  CHECK_INT(0, apus_reply_set_header(request, "X-Set", "yes"));
  apus_upgrade upgrade = apus_upgrade_make(request);
  CHECK(upgrade != 0);
  CHECK_INT(APUS_KIND_UPGRADE, apus_handle_kind(upgrade));
  CHECK_INT(1, apus_upgrade_is_alive(upgrade));
  CHECK_NONE(APUS_E_STATE, apus_upgrade_make(request));
  CHECK_INT(2, apus_upgrade_protocol_count(upgrade));
  CHECK_TEXT("a", apus_upgrade_protocol_at(upgrade, 0));
  CHECK_TEXT("b", apus_upgrade_protocol_at(upgrade, 1));
  CHECK_NONE(APUS_E_NOT_FOUND, apus_upgrade_protocol_at(upgrade, 2));
  CHECK_NONE(APUS_E_NOT_FOUND, apus_upgrade_protocol_at(upgrade, -1));
  CHECK_CODE(APUS_E_ARGUMENT, apus_upgrade_set_frames(upgrade, 2));
  CHECK_INT(0, apus_upgrade_set_frames(upgrade, 0));
  CHECK_NONE(APUS_E_ARGUMENT, apus_upgrade_accept(upgrade, "c"));
  CHECK_NONE(APUS_E_ARGUMENT, apus_upgrade_accept(upgrade, "A"));
  CHECK_NONE(APUS_E_ARGUMENT, apus_upgrade_accept(upgrade, "a\r\nX: y"));
  CHECK_CODE(APUS_E_ARGUMENT, apus_upgrade_refuse(upgrade, 299));
  CHECK_CODE(APUS_E_ARGUMENT, apus_upgrade_refuse(upgrade, 600));
  apus_channel channel = apus_upgrade_accept(upgrade, "b");
  CHECK(channel != 0);
  CHECK_NONE(APUS_E_HANDLE, apus_upgrade_accept(upgrade, "b"));
  CHECK_CODE(APUS_E_HANDLE, apus_upgrade_refuse(upgrade, 403));
  CHECK_CODE(APUS_E_HANDLE, apus_upgrade_protocol_count(upgrade));
  CHECK_INT(0, apus_upgrade_is_alive(upgrade));
  CHECK_INT(0, apus_upgrade_destroy(upgrade));
  CHECK_NONE(app_replied_code(), apus_upgrade_make(request));
  CHECK_TEXT("b", apus_channel_protocol(channel));
  CHECK_TEXT("/now", apus_channel_path(channel));
  CHECK_INT(APUS_STATE_OPEN, apus_channel_state(channel));
  CHECK_INT(0, apus_channel_send_text(channel, "at once", APUS_STRLEN));
  listen_to(channel);
}

/* Leaves the ticket to the main thread. */
static void later_handler(void *context, apus_request request) {
  (void)context;
  apus_upgrade upgrade = apus_upgrade_make(request);
  CHECK(upgrade != 0);
  atomic_store(&handed, upgrade);
}

/* A handshake that is not sound is answered by the call; its code is noted. */
static void unsound_handler(void *context, apus_request request) {
  (void)context;
  CHECK(apus_upgrade_make(request) == 0);
  int code = apus_last_error();
  CHECK_CODE(app_replied_code(), apus_reply_text(request, 200, "no"));
  /* Nothing is left to be done. */
  harness_kept = 1;
  atomic_store(&handled, code);
}

static _Atomic apus_request held;

static void hold_handler(void *context, apus_request request) {
  (void)context;
  app_defer(request);
  atomic_store(&held, request);
}

/* Joins a topic before there is a connection. */
static void joining_handler(void *context, apus_request request) {
  (void)context;
  apus_channel channel = apus_upgrade_accept(apus_upgrade_make(request), NULL);
  CHECK(channel != 0);
  CHECK_INT(0, apus_channel_subscribe(channel, "room"));
  listen_to(channel);
}

static void hello_handler(void *context, apus_request request) {
  (void)context;
  apus_reply_text(request, 200, "hello");
}

static void make(struct app *app, enum mode mode) {
  heard_reset(&heard);
  atomic_store(&handed, 0);
  atomic_store(&held, 0);
  app_make(app, mode);
  app_route(app, APUS_GET, "/now", now_handler, NULL);
  app_route(app, APUS_GET, "/later", later_handler, NULL);
  app_route(app, APUS_METHOD_ANY, "/unsound", unsound_handler, NULL);
  app_route(app, APUS_GET, "/hello", hello_handler, NULL);
  app_route(app, APUS_GET, "/hold", hold_handler, NULL);
  app_route(app, APUS_GET, "/joining", joining_handler, NULL);
}

static apus_upgrade take_ticket(void) {
  EVENTUALLY(atomic_load(&handed) != 0);
  return atomic_exchange(&handed, 0);
}

static apus_upgrade ask_ticket(struct client *client, int32_t port) {
  client_open(client, port);
  ws_ask(client, "/later", "Sec-WebSocket-Protocol: a, b\r\n");
  return take_ticket();
}

static void finish(struct client *client) {
  ws_close(client, 1000, "");
  WS_EXPECT_CLOSE(client, 1000, "");
  CLIENT_ENDS(client);
  client_close(client);
}

/* ------------------------------------------------------------------ in the handler */

static void test_now(enum mode mode) {
  struct app app;
  struct client client;
  struct reply reply;
  make(&app, mode);
  harness_start(&app);
  client_open(&client, app.port);
  /* A request before it is answered before it. */
  client_get(&client, "/hello");
  ws_ask(&client, "/now", "Sec-WebSocket-Protocol: a, b\r\n");
  CLIENT_EXPECT(&client, "GET", 200, "hello");
  client_reply(&client, "GET", &reply);
  CHECK_INT(101, reply.status);
  CHECK_TEXT("yes", reply_field(&reply, "X-Set"));
  CHECK_TEXT("b", reply_field(&reply, "Sec-WebSocket-Protocol"));
  reply_free(&reply);
  WS_EXPECT_TEXT(&client, "at once");
  ws_text(&client, "well");
  HEARD(&heard, 0, 'm', APUS_OPCODE_TEXT, "well");
  finish(&client);
  HEARD(&heard, 1, 'c', 1000, "");
  EVENTUALLY(atomic_load(&heard.drops) == 5);
  EVENTUALLY(apus_server_channel_count(app.server) == 0);
  EVENTUALLY(apus_live_count(APUS_KIND_CHANNEL) == 0);
  harness_stop(&app);
}

/* The reply before its own is long in coming: what is asked for meanwhile counts. */
static void test_joining(enum mode mode) {
  struct app app;
  struct client client, other;
  struct reply reply;
  make(&app, mode);
  atomic_store(&held, 0);
  harness_start(&app);
  client_open(&client, app.port);
  client_get(&client, "/hold");
  ws_ask(&client, "/joining", "");
  apus_channel channel = heard_opened(&heard);
  EVENTUALLY(atomic_load(&held) != 0);
  /* Its worker, whichever of the two, has seen all that came before. */
  for (int i = 0; i < 4; i++) {
    client_open(&other, app.port);
    client_get(&other, "/hello");
    CLIENT_EXPECT(&other, "GET", 200, "hello");
    client_close(&other);
  }
  CHECK_INT(0, apus_reply_text(atomic_load(&held), 200, "held"));
  CLIENT_EXPECT(&client, "GET", 200, "held");
  client_reply(&client, "GET", &reply);
  CHECK_INT(101, reply.status);
  reply_free(&reply);
  EVENTUALLY(apus_server_subscriber_count(app.server, "room") == 1);
  CHECK_INT(0, apus_server_publish(app.server, "room", APUS_OPCODE_TEXT, "hello", 5, 0));
  WS_EXPECT_TEXT(&client, "hello");
  CHECK_INT(0, apus_channel_unsubscribe(channel, "room"));
  EVENTUALLY(apus_server_subscriber_count(app.server, "room") == 0);
  CHECK_INT(0, apus_server_publish(app.server, "room", APUS_OPCODE_TEXT, "nobody", 6, 0));
  WS_SETTLED(&client);
  finish(&client);
  harness_stop(&app);
}

static void test_unsound(enum mode mode) {
  static const struct {
    const char *request;
    int status, code;
  } cases[] = {
      {"GET /unsound HTTP/1.1\r\nHost: a\r\n\r\n", 426, APUS_E_PROTOCOL},
      {"POST /unsound HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nUpgrade: websocket\r\n"
       "Connection: upgrade\r\n\r\n",
       405, APUS_E_PROTOCOL},
      {"GET /unsound HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
       "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short\r\n\r\n",
       400, APUS_E_PROTOCOL},
      {"GET /unsound HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
       "Sec-WebSocket-Version: 12\r\nSec-WebSocket-Key: " WS_KEY "\r\n\r\n",
       426, APUS_E_PROTOCOL},
      {"GET /unsound HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
       "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " WS_KEY "\r\n"
       "Origin: https://evil.example\r\n\r\n",
       403, APUS_E_PERMISSION},
  };
  struct app app;
  struct client client;
  struct reply reply;
  make(&app, mode);
  harness_start(&app);
  client_open(&client, app.port);
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    atomic_store(&handled, 0);
    client_text(&client, cases[i].request);
    client_get(&client, "/hello");
    client_reply(&client, "GET", &reply);
    CHECK_INT(cases[i].status, reply.status);
    if (reply.status == 426) CHECK_TEXT("13", reply_field(&reply, "Sec-WebSocket-Version"));
    if (reply.status == 405) CHECK_TEXT("GET", reply_field(&reply, "Allow"));
    reply_free(&reply);
    CLIENT_EXPECT(&client, "GET", 200, "hello");
    EVENTUALLY(atomic_load(&handled) == cases[i].code);
  }
  client_close(&client);
  harness_stop(&app);
  static const char text[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
  apus_request parsed = apus_request_parse(text, APUS_STRLEN, NULL);
  CHECK_NONE(APUS_E_CLOSED, apus_upgrade_make(parsed));
  CHECK_INT(1, apus_request_destroy(parsed));
}

/* ------------------------------------------------------------------ another thread */

static void test_later(enum mode mode) {
  struct app app;
  struct client client;
  make(&app, mode);
  harness_start(&app);
  apus_upgrade upgrade = ask_ticket(&client, app.port);
  CHECK_TEXT("b", apus_upgrade_protocol_at(upgrade, 1));
  CLIENT_QUIET(&client);
  apus_channel channel = apus_upgrade_accept(upgrade, NULL);
  CHECK(channel != 0);
  CHECK_INT(0, apus_channel_send_text(channel, "x", 1));
  CHECK_INT(0, apus_channel_close(channel, 1000, "", 0));
  CHECK_INT(0, apus_upgrade_is_alive(upgrade));
  ws_accepted(&client, NULL);
  WS_EXPECT_TEXT(&client, "x");
  WS_EXPECT_CLOSE(&client, 1000, "");
  ws_close(&client, 1000, "");
  CLIENT_ENDS(&client);
  client_close(&client);
  /* Refused, and given up: the connection goes on. */
  upgrade = ask_ticket(&client, app.port);
  CHECK_INT(0, apus_upgrade_refuse(upgrade, 403));
  CHECK_INT(0, apus_upgrade_is_alive(upgrade));
  CLIENT_EXPECT(&client, "GET", 403, NULL);
  ws_ask(&client, "/later", "");
  upgrade = take_ticket();
  client_get(&client, "/hello");
  CHECK_INT(1, apus_upgrade_destroy(upgrade));
  CHECK_INT(0, apus_upgrade_destroy(upgrade));
  CLIENT_EXPECT(&client, "GET", 500, NULL);
  CLIENT_EXPECT(&client, "GET", 200, "hello");
  client_close(&client);
  /* Destroyed as soon as it is there: the client hears of both. */
  upgrade = ask_ticket(&client, app.port);
  channel = apus_upgrade_accept(upgrade, "a");
  CHECK_INT(1, apus_channel_destroy(channel));
  ws_accepted(&client, "a");
  WS_EXPECT_CLOSE(&client, 1001, "");
  client_close(&client);
  harness_stop(&app);
}

/* Nobody decides: 408, and the ticket is over. */
static void test_too_late(enum mode mode) {
  struct app app;
  struct client client;
  struct reply reply;
  make(&app, mode);
  CHECK_INT(0, apus_server_set_upgrade_timeout(app.server, 150));
  harness_start(&app);
  for (int glued = 0; glued < 2; glued++) {
    apus_upgrade upgrade = ask_ticket(&client, app.port);
    if (glued) ws_text(&client, "early");
    client_reply(&client, "GET", &reply);
    CHECK_INT(408, reply.status);
    CHECK(reply_lists(&reply, "Connection", "close"));
    reply_free(&reply);
    EVENTUALLY(!apus_upgrade_is_alive(upgrade));
    CHECK_NONE(APUS_E_HANDLE, apus_upgrade_accept(upgrade, NULL));
    CHECK_INT(0, client_fill(&client));
    client_close(&client);
  }
  harness_stop(&app);
}

/* The time begins with the ticket, and not with its request. */
static void test_late_ticket(enum mode mode) {
  enum { LIMIT_MS = 3000 };
  struct timespec longer = {.tv_sec = 3, .tv_nsec = 300000000}, shorter = {.tv_nsec = 300000000};
  struct app app;
  struct client client;
  make(&app, mode);
  CHECK_INT(0, apus_server_set_upgrade_timeout(app.server, LIMIT_MS));
  harness_start(&app);
  client_open(&client, app.port);
  ws_ask(&client, "/hold", "");
  EVENTUALLY(atomic_load(&held) != 0);
  apus_request request = atomic_exchange(&held, 0);
  nanosleep(&longer, NULL);
  apus_upgrade upgrade = apus_upgrade_make(request);
  CHECK(upgrade != 0);
  nanosleep(&shorter, NULL);
  listen_to(apus_upgrade_accept(upgrade, NULL));
  ws_accepted(&client, NULL);
  finish(&client);
  harness_stop(&app);
}

/* Frames that come before the answer wait for it, few and many. */
static void test_glued(enum mode mode) {
  static char data[300000];
  static const size_t sizes[] = {5, 70000, sizeof data};
  struct app app;
  struct client client;
  make(&app, mode);
  harness_start(&app);
  memset(data, 'g', sizeof data);
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    heard_reset(&heard);
    apus_upgrade upgrade = ask_ticket(&client, app.port);
    ws_text(&client, "first");
    ws_send(&client, WS_FINAL | APUS_OPCODE_BINARY, data, sizes[i]);
    ws_send(&client, WS_FINAL | APUS_OPCODE_PING, "glue", 4);
    CHECK_INT(1, apus_upgrade_is_alive(upgrade));
    listen_to(apus_upgrade_accept(upgrade, NULL));
    ws_accepted(&client, NULL);
    WS_EXPECT(&client, WS_FINAL | APUS_OPCODE_PONG, "glue", 4);
    HEARD(&heard, 0, 'm', APUS_OPCODE_TEXT, "first");
    CHECK_INT(sizes[i], heard_at(&heard, 1).length);
    CHECK_INT(ws_sum(data, sizes[i]), heard_at(&heard, 1).sum);
    finish(&client);
    HEARD(&heard, 2, 'c', 1000, "");
    EVENTUALLY(atomic_load(&heard.drops) == 5);
  }
  harness_stop(&app);
}

/* ------------------------------------------------------------- the client has left */

static void test_client_left(enum mode mode) {
  struct app app;
  struct client client;
  make(&app, mode);
  harness_start(&app);
  for (int i = 0; i < 60; i++) {
    apus_upgrade upgrade = ask_ticket(&client, app.port);
    if (i % 3 == 1) ws_text(&client, "glued");
    i % 2 == 0 ? client_leave(&client) : client_close(&client);
    if (i < 8 && i % 2 == 0) {
      int64_t limit = harness_now_ms() + HARNESS_DEADLINE_MS;
      int32_t count;
      while ((count = apus_upgrade_protocol_count(upgrade)) == 2) {
        harness_breathe();
        CHECK(harness_now_ms() < limit);
      }
      CHECK(count == APUS_E_CLOSED);
      CHECK_NONE(APUS_E_HANDLE, apus_upgrade_accept(upgrade, NULL));
      continue;
    }
    /* It may or may not have been noticed. */
    apus_channel channel = apus_upgrade_accept(upgrade, i % 4 == 3 ? "a" : NULL);
    if (channel == 0) CHECK_INT(APUS_E_CLOSED, apus_last_error());
    CHECK_INT(0, apus_upgrade_is_alive(upgrade));
  }
  EVENTUALLY(apus_server_channel_count(app.server) == 0);
  EVENTUALLY(apus_live_count(APUS_KIND_CHANNEL) == 0);
  CHECK_INT(0, apus_live_count(APUS_KIND_UPGRADE));
  harness_stop(&app);
}

/* ------------------------------------------------------------------- frame by frame */

static void test_frames(enum mode mode) {
  struct app app;
  struct client client;
  apus_message message;
  make(&app, mode);
  harness_start(&app);
  apus_upgrade upgrade = ask_ticket(&client, app.port);
  CHECK_INT(0, apus_upgrade_set_frames(upgrade, 1));
  apus_channel channel = apus_upgrade_accept(upgrade, NULL);
  CHECK(channel != 0);
  CHECK_INT(0, apus_channel_keep(channel));
  ws_accepted(&client, NULL);
  static const struct {
    int opcode, final;
    const char *text;
  } frames[] = {{1, 0, "a\xc3"}, {0, 0, ""},  {0, 1, "\xa9z"},
                {2, 1, "whole"}, {1, 0, "x"}, {0, 1, ""}};
  for (int half = 0; half < 2; half++) {
    if (half == 1) heard_listen(&heard, channel);
    for (size_t i = 0; i < sizeof frames / sizeof frames[0]; i++) {
      int first = (frames[i].final ? WS_FINAL : 0) | frames[i].opcode;
      ws_send(&client, first, frames[i].text, strlen(frames[i].text));
      if (half == 1) {
        HEARD(&heard, (int)i, 'm', frames[i].opcode, frames[i].text);
        continue;
      }
      CHECK_INT(1, apus_channel_recv(channel, &message, HARNESS_DEADLINE_MS));
      CHECK_INT(frames[i].opcode, message.opcode);
      CHECK_INT(frames[i].final, message.final);
      CHECK_TEXT(frames[i].text, (const char *)message.data);
    }
  }
  ws_send(&client, APUS_OPCODE_TEXT, "\xff", 1);
  WS_CLOSED_WITH(&client, 1007);
  client_close(&client);
  EVENTUALLY(heard_count(&heard, 'c') == 1);
  CHECK_INT(1, apus_channel_destroy(channel));
  harness_stop(&app);
}

/* ---------------------------------------------------------------- a server that ends */

/* Tickets that nobody has decided end with the server. */
static void test_server_ends(enum mode mode) {
  for (int i = 0; i < 3; i++) {
    struct app app;
    struct client client;
    make(&app, mode);
    CHECK_INT(0, apus_server_set_drain_timeout(app.server, 50));
    harness_start(&app);
    apus_upgrade upgrade = ask_ticket(&client, app.port);
    if (i == 0) harness_halt(&app);
    if (i == 1) CHECK_INT(0, apus_server_stop(app.server));
    if (i < 2) CHECK_NONE(APUS_E_CLOSED, apus_upgrade_accept(upgrade, NULL));
    CHECK_INT(1, apus_server_destroy(app.server));
    if (app.driven) CHECK_INT(0, pthread_join(app.driver, NULL));
    CHECK_INT(0, apus_upgrade_is_alive(upgrade));
    CHECK_NONE(APUS_E_HANDLE, apus_upgrade_accept(upgrade, NULL));
    client_close(&client);
  }
}

/* ------------------------------------------------------------------------- origins */

static int status_for(int32_t port, const char *origin) {
  char fields[256] = "";
  struct client client;
  struct reply reply;
  if (origin != NULL) snprintf(fields, sizeof fields, "Origin: %s\r\n", origin);
  client_open(&client, port);
  ws_ask(&client, "/ws", fields);
  client_reply(&client, "GET", &reply);
  int status = reply.status;
  reply_free(&reply);
  client_close(&client);
  return status;
}

static void test_origins(enum mode mode) {
  static const struct {
    const char *origin;
    int same, any, list;
  } cases[] = {{NULL, 101, 101, 101},
               {"http://a", 101, 101, 403},
               {"https://A", 101, 101, 403},
               {"http://a:80", 101, 101, 403},
               {"http://a:8080", 403, 101, 403},
               {"http://a.b", 403, 101, 403},
               {"http://a/", 403, 101, 403},
               {"http://u@a", 403, 101, 403},
               {"null", 403, 101, 101},
               {"https://example.com", 403, 101, 101},
               {"http://example.com", 403, 101, 403},
               {"https://example.com:8443", 403, 101, 403},
               {"https://example.com.evil", 403, 101, 403},
               {"http://b:81", 403, 101, 101},
               {"nonsense", 403, 101, 403},
               {"", 403, 101, 403}};
  for (int policy = 0; policy < 3; policy++) {
    struct app app;
    app_make(&app, mode);
    apus_server server = app.server;
    app_websocket(&app, "/ws", NULL, NULL);
    CHECK_CODE(APUS_E_ARGUMENT, apus_server_set_origin_policy(server, 3, NULL));
    CHECK_CODE(APUS_E_ARGUMENT, apus_server_set_origin_policy(server, -1, NULL));
    CHECK_CODE(APUS_E_ARGUMENT, apus_server_set_origin_policy(server, 2, NULL));
    CHECK_CODE(APUS_E_ARGUMENT, apus_server_set_origin_policy(server, 2, "example.com"));
    CHECK_CODE(APUS_E_ARGUMENT, apus_server_set_origin_policy(server, 2, "https://a.b/c"));
    CHECK_CODE(APUS_E_ARGUMENT, apus_server_set_origin_policy(server, 2, "https://"));
    const char *list = policy == 2 ? "https://example.com, null,http://b:81" : NULL;
    CHECK_INT(0, apus_server_set_origin_policy(server, policy, list));
    harness_start(&app);
    CHECK_CODE(APUS_E_STATE, apus_server_set_origin_policy(server, 0, NULL));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
      int want = policy == 0 ? cases[i].same : policy == 1 ? cases[i].any : cases[i].list;
      int got = status_for(app.port, cases[i].origin);
      if (want != got) {
        harness_fail(__FILE__, __LINE__, "policy %d, origin %s: %d", policy, cases[i].origin, got);
      }
    }
    harness_stop(&app);
  }
}

int main(int argc, char **argv) {
  static const struct harness_case cases[] = {
      {"now", test_now},           {"joining", test_joining},
      {"unsound", test_unsound},   {"later", test_later},
      {"too_late", test_too_late}, {"late_ticket", test_late_ticket},
      {"glued", test_glued},       {"client_left", test_client_left},
      {"frames", test_frames},     {"server_ends", test_server_ends},
      {"origins", test_origins},
  };
  return harness_main("upgrade_test", argc, argv, CASES(cases));
}
