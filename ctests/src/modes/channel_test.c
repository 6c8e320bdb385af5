/*
 * channel_test.c - WebSocket channels: how they open, what goes over them in both
 * directions, how either end closes them, and what misuse gives.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "../helpers/ws.h"

static struct heard heard;
static atomic_int opens;

/* Opens with all listeners of the channel's own. */
static void open_listening(void *context, apus_channel channel, apus_request request) {
  heard_listen(context, channel);
  heard_open(context, channel, request);
}

static void start(struct app *app, enum mode mode, int echoes) {
  heard_reset(&heard);
  heard.echoes = echoes;
  app_make(app, mode);
  app_websocket(app, "/ws", open_listening, &heard);
  harness_start(app);
}

/* The channel's handle has ended by itself; a pulled one is the caller's. */
static void expect_gone(struct app *app, apus_channel channel) {
  if (app->mode == MODE_PULL) {
    EVENTUALLY(heard_count(&heard, 'c') > 0);
    CHECK_INT(APUS_STATE_CLOSED, apus_channel_state(channel));
    CHECK_INT(1, apus_channel_destroy(channel));
  }
  EVENTUALLY(!apus_channel_is_alive(channel));
  CHECK_CODE(APUS_E_HANDLE, apus_channel_state(channel));
  CHECK_INT(0, apus_channel_destroy(channel));
  EVENTUALLY(atomic_load(&heard.drops) == 5);
}

/* ----------------------------------------------------------------- the opening */

static void open_facts(void *context, apus_channel channel, apus_request request) {
  const char *const *subprotocol = context;
  CHECK_INT(APUS_KIND_CHANNEL, apus_handle_kind(channel));
  CHECK_TEXT("/room/a b", apus_channel_path(channel));
  CHECK_TEXT(*subprotocol, apus_channel_protocol(channel));
  CHECK_TEXT(WS_KEY, apus_channel_key(channel));
  CHECK_INT(APUS_ROLE_SERVER, apus_channel_role(channel));
  CHECK_INT(APUS_STATE_OPEN, apus_channel_state(channel));
  CHECK_INT(1, apus_channel_is_connected(channel));
  CHECK_INT(1, apus_channel_is_alive(channel));
  CHECK_INT(-1, apus_channel_last_pong_ms(channel));
  CHECK(apus_channel_id(channel) >= 1);
  if (request != 0) {
    CHECK_INT(1, apus_request_is_alive(request));
    CHECK_TEXT("/room/a b", apus_request_path(request));
    CHECK_TEXT("x=1", apus_request_query(request));
    CHECK_TEXT("a b", apus_request_param(request, "name", NULL));
    CHECK_TEXT("1", apus_request_query_param(request, "x", NULL));
    CHECK_TEXT("me", apus_request_header(request, "x-who", NULL));
    CHECK_INT(apus_channel_id(channel), apus_request_connection(request));
    CHECK_CODE(APUS_E_STATE, apus_reply_text(request, 200, "no"));
    CHECK_CODE(APUS_E_STATE, apus_request_defer(request));
    CHECK_NONE(APUS_E_STATE, apus_upgrade_make(request));
    CHECK_NONE(APUS_E_STATE, apus_writer_make(request));
  }
  CHECK_INT(0, apus_channel_send_text(channel, "hello", APUS_STRLEN));
  CHECK_INT(0, apus_set_tag(channel, "facts"));
  CHECK(apus_live_count(APUS_KIND_CHANNEL) >= 1);
  atomic_fetch_add(&opens, 1);
}

static void test_opening(enum mode mode) {
  static const char *subprotocol = "chat";
  struct app app;
  struct client client;
  atomic_store(&opens, 0);
  app_make(&app, mode);
  int32_t route = app_websocket(&app, "/room/:name", open_facts, &subprotocol);
  CHECK_INT(0, apus_server_set_protocols(app.server, route, "chat, superchat"));
  harness_start(&app);
  client_open(&client, app.port);
  ws_ask(&client, "/room/a%20b?x=1",
         "X-Who: me\r\nSec-WebSocket-Protocol: superchat, other\r\n"
         "Sec-WebSocket-Protocol: chat\r\n");
  ws_accepted(&client, "chat");
  WS_EXPECT_TEXT(&client, "hello");
  EVENTUALLY(atomic_load(&opens) == 1);
  CHECK_INT(1, apus_server_channel_count(app.server));
  ws_close(&client, 1000, "");
  WS_EXPECT_CLOSE(&client, 1000, "");
  CLIENT_ENDS(&client);
  client_close(&client);
  subprotocol = "";
  client_open(&client, app.port);
  ws_ask(&client, "/room/a%20b?x=1", "X-Who: me\r\nSec-WebSocket-Protocol: unknown\r\n");
  ws_accepted(&client, NULL);
  WS_EXPECT_TEXT(&client, "hello");
  client_close(&client);
  harness_stop(&app);
}

/* ---------------------------------------------------------------- the messages */

static void echo_sized(struct client *client, int opcode, size_t length) {
  char *data = malloc(length + 1);
  CHECK(data != NULL);
  for (size_t i = 0; i < length; i++) data[i] = (char)('a' + (i * 7 + length) % 26);
  ws_send(client, WS_FINAL | opcode, data, length);
  WS_EXPECT(client, WS_FINAL | opcode, data, length);
  free(data);
}

static void test_messages(enum mode mode) {
  static const size_t sizes[] = {0, 1, 125, 126, 127, 65535, 65536, 65537, 300000, 3 << 20};
  struct app app;
  struct client client;
  start(&app, mode, 1);
  apus_channel channel = ws_pair(&client, app.port, "/ws", &heard);
  CHECK_INT(0, apus_channel_set_high_water(channel, 64 << 20));
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    echo_sized(&client, APUS_OPCODE_TEXT, sizes[i]);
    echo_sized(&client, APUS_OPCODE_BINARY, sizes[i]);
  }
  /* In frames, with a ping and a pong between, cut within a character. */
  ws_send(&client, APUS_OPCODE_TEXT, "caf\xc3", 4);
  ws_send(&client, WS_FINAL | APUS_OPCODE_PING, "p", 1);
  WS_EXPECT(&client, WS_FINAL | APUS_OPCODE_PONG, "p", 1);
  ws_send(&client, APUS_OPCODE_CONTINUE, "", 0);
  ws_send(&client, WS_FINAL | APUS_OPCODE_PONG, "unasked", 7);
  ws_send(&client, WS_FINAL | APUS_OPCODE_CONTINUE, "\xa9!", 2);
  WS_EXPECT_TEXT(&client, "caf\xc3\xa9!");
  /* NULs are bytes like others. */
  ws_send(&client, WS_FINAL | APUS_OPCODE_TEXT, "a\0b", 3);
  WS_EXPECT(&client, WS_FINAL | APUS_OPCODE_TEXT, "a\0b", 3);
  CHECK(apus_channel_last_pong_ms(channel) >= 0);
  EVENTUALLY(heard_count(&heard, 'p') == 1);
  EVENTUALLY(apus_channel_buffered(channel) == 0);
  client_close(&client);
  EVENTUALLY(heard_count(&heard, 'c') == 1);
  expect_gone(&app, channel);
  harness_stop(&app);
}

/* What it sends, whole, in frames and frame by frame. */
static void test_sending(enum mode mode) {
  struct app app;
  struct client client;
  start(&app, mode, 0);
  apus_channel channel = ws_pair(&client, app.port, "/ws", &heard);
  CHECK_INT(0, apus_channel_send_text(channel, "t", APUS_STRLEN));
  WS_EXPECT_TEXT(&client, "t");
  CHECK_INT(0, apus_channel_send_binary(channel, NULL, 0));
  WS_EXPECT(&client, WS_FINAL | APUS_OPCODE_BINARY, "", 0);
  CHECK_INT(0, apus_channel_send_fragments(channel, APUS_OPCODE_TEXT, "abcde", 5, 2));
  WS_EXPECT(&client, APUS_OPCODE_TEXT, "ab", 2);
  WS_EXPECT(&client, APUS_OPCODE_CONTINUE, "cd", 2);
  WS_EXPECT(&client, WS_FINAL | APUS_OPCODE_CONTINUE, "e", 1);
  CHECK_INT(0, apus_channel_send_fragments(channel, APUS_OPCODE_BINARY, "abcd", 4, 4));
  WS_EXPECT(&client, WS_FINAL | APUS_OPCODE_BINARY, "abcd", 4);
  CHECK_INT(0, apus_channel_send_fragments(channel, APUS_OPCODE_BINARY, "", 0, 1));
  WS_EXPECT(&client, WS_FINAL | APUS_OPCODE_BINARY, "", 0);
  CHECK_INT(0, apus_channel_send_fragments(channel, APUS_OPCODE_TEXT, "\xe2\x82\xac", 3, 1));
  WS_EXPECT(&client, APUS_OPCODE_TEXT, "\xe2", 1);
  WS_EXPECT(&client, APUS_OPCODE_CONTINUE, "\x82", 1);
  WS_EXPECT(&client, WS_FINAL | APUS_OPCODE_CONTINUE, "\xac", 1);
  CHECK_INT(0, apus_channel_send(channel, APUS_OPCODE_TEXT, 0, "a\xc3", 2));
  CHECK_INT(0, apus_channel_ping(channel, "in", 2));
  CHECK_INT(0, apus_channel_send(channel, APUS_OPCODE_PONG, 1, "out", 3));
  CHECK_CODE(APUS_E_ARGUMENT, apus_channel_send_text(channel, "x", 1));
  CHECK_CODE(APUS_E_ARGUMENT, apus_channel_send_binary(channel, "x", 1));
  CHECK_CODE(APUS_E_ARGUMENT, apus_channel_send(channel, APUS_OPCODE_TEXT, 1, "x", 1));
  CHECK_CODE(APUS_E_ARGUMENT, apus_channel_send_fragments(channel, 1, "xyz", 3, 1));
  CHECK_CODE(APUS_E_ARGUMENT, apus_channel_send(channel, APUS_OPCODE_CONTINUE, 1, "", 0));
  CHECK_CODE(APUS_E_ARGUMENT, apus_channel_send(channel, APUS_OPCODE_CONTINUE, 0, "\xff", 1));
  CHECK_INT(0, apus_channel_send(channel, APUS_OPCODE_CONTINUE, 1, "\xa9", 1));
  CHECK_INT(0, apus_channel_send_text(channel, "after", 5));
  WS_EXPECT(&client, APUS_OPCODE_TEXT, "a\xc3", 2);
  WS_EXPECT(&client, WS_FINAL | APUS_OPCODE_PING, "in", 2);
  WS_EXPECT(&client, WS_FINAL | APUS_OPCODE_PONG, "out", 3);
  WS_EXPECT(&client, WS_FINAL | APUS_OPCODE_CONTINUE, "\xa9", 1);
  WS_EXPECT_TEXT(&client, "after");
  ws_send(&client, WS_FINAL | APUS_OPCODE_PONG, "in", 2);
  HEARD(&heard, 1, 'p', APUS_OPCODE_PONG, "in");
  client_close(&client);
  harness_stop(&app);
}

/* -------------------------------------------------------------------- the close */

static void test_peer_closes(enum mode mode) {
  static const struct {
    int sent;
    const char *reason;
    int told;
  } cases[] = {{1000, "", 1000},    {1000, "bye", 1000}, {1001, "gr\xc3\xbc\xc3\x9f", 1001},
               {3000, "", 3000},    {4999, "z", 4999},   {0, "", 1005},
               {1014, "gate", 1014}};
  struct app app;
  struct client client;
  start(&app, mode, 1);
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    heard_reset(&heard);
    heard.echoes = 1;
    apus_channel channel = ws_pair(&client, app.port, "/ws", &heard);
    ws_text(&client, "last");
    WS_EXPECT_TEXT(&client, "last");
    ws_close(&client, cases[i].sent, cases[i].reason);
    /* What comes behind a Close does not count. */
    client_send_some(&client, "\x81\x80\0\0\0\0", 6);
    WS_EXPECT_CLOSE(&client, cases[i].sent, "");
    CLIENT_ENDS(&client);
    client_close(&client);
    HEARD(&heard, 1, 'm', APUS_OPCODE_TEXT, "last");
    HEARD(&heard, 2, 'c', cases[i].told, cases[i].reason);
    expect_gone(&app, channel);
    CHECK_INT(3, heard_count(&heard, 0));
  }
  harness_stop(&app);
}

/* The connection breaks, or ends, without a Close. */
static void test_peer_leaves(enum mode mode) {
  struct app app;
  struct client client;
  start(&app, mode, 0);
  for (int i = 0; i < 4; i++) {
    heard_reset(&heard);
    apus_channel channel = ws_pair(&client, app.port, "/ws", &heard);
    if (i == 1) client_send(&client, "\x81\x85\x01", 3);
    if (i < 3) shutdown(client.fd, SHUT_WR);
    if (i == 2) CLIENT_ENDS(&client);
    i == 3 ? client_leave(&client) : client_close(&client);
    EVENTUALLY(heard_count(&heard, 'c') == 1);
    int index = heard_count(&heard, 'e') + 1;
    HEARD(&heard, index, 'c', 1006, "");
    expect_gone(&app, channel);
  }
  harness_stop(&app);
}

static void test_host_closes(enum mode mode) {
  static const int codes[] = {1000, 1001, 1002, 1003, 1007, 1011, 1012, 1014, 3000, 4999, 0};
  struct app app;
  struct client client;
  start(&app, mode, 0);
  for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
    heard_reset(&heard);
    apus_channel channel = ws_pair(&client, app.port, "/ws", &heard);
    const char *reason = codes[i] == 0 ? "" : "that's it";
    CHECK_INT(0, apus_channel_send_text(channel, "before", APUS_STRLEN));
    CHECK_INT(0, apus_channel_close(channel, codes[i], reason, APUS_STRLEN));
    CHECK_CODE(APUS_E_CLOSED, apus_channel_close(channel, 1000, "", 0));
    CHECK_CODE(APUS_E_CLOSED, apus_channel_send_text(channel, "after", APUS_STRLEN));
    CHECK_CODE(APUS_E_CLOSED, apus_channel_ping(channel, "", 0));
    CHECK_INT(0, apus_channel_is_connected(channel));
    CHECK_INT(APUS_STATE_CLOSING, apus_channel_state(channel));
    WS_EXPECT_TEXT(&client, "before");
    WS_EXPECT_CLOSE(&client, codes[i], reason);
    /* The peer may say something yet, before it agrees. */
    ws_text(&client, "wait");
    HEARD(&heard, 1, 'm', APUS_OPCODE_TEXT, "wait");
    ws_close(&client, codes[i] == 0 ? 4000 : codes[i], "ok");
    CLIENT_ENDS(&client);
    client_close(&client);
    HEARD(&heard, 2, 'c', codes[i] == 0 ? 4000 : codes[i], "ok");
    expect_gone(&app, channel);
  }
  /* A peer that does not answer is cut off. */
  heard_reset(&heard);
  apus_channel channel = ws_pair(&client, app.port, "/ws", &heard);
  CHECK_INT(0, apus_channel_close(channel, 1000, "", 0));
  WS_EXPECT_CLOSE(&client, 1000, "");
  CHECK_INT(0, client_fill(&client));
  HEARD(&heard, 1, 'c', 1006, "");
  client_close(&client);
  expect_gone(&app, channel);
  harness_stop(&app);
}

/* ------------------------------------------------------------------- the misuse */

static void misuse_sending(apus_channel channel) {
  static char blob[200];
  static const char *const bad[] = {
      "\xff", "a\x80", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82"};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    CHECK_CODE(APUS_E_ARGUMENT, apus_channel_send_text(channel, bad[i], APUS_STRLEN));
    CHECK_CODE(APUS_E_ARGUMENT, apus_channel_send(channel, 1, 1, bad[i], strlen(bad[i])));
    CHECK_CODE(APUS_E_ARGUMENT, apus_channel_send_fragments(channel, 1, bad[i], strlen(bad[i]), 1));
    CHECK_CODE(APUS_E_ARGUMENT, apus_channel_close(channel, 1000, bad[i], APUS_STRLEN));
  }
  CHECK_CODE(APUS_E_ARGUMENT, apus_channel_send_text(channel, NULL, 1));
  CHECK_CODE(APUS_E_ARGUMENT, apus_channel_send_binary(channel, NULL, APUS_STRLEN));
  CHECK_CODE(APUS_E_ARGUMENT, apus_channel_send_binary(channel, "", (size_t)-2));
  for (int opcode = -1; opcode <= 17; opcode++) {
    int known = opcode == 1 || opcode == 2 || opcode == 9 || opcode == 10;
    if (!known) CHECK_CODE(APUS_E_ARGUMENT, apus_channel_send(channel, opcode, 1, "", 0));
    if (opcode < 1 || opcode > 2) {
      CHECK_CODE(APUS_E_ARGUMENT, apus_channel_send_fragments(channel, opcode, "a", 1, 1));
    }
  }
  CHECK_CODE(APUS_E_ARGUMENT, apus_channel_send(channel, 1, 2, "a", 1));
  CHECK_CODE(APUS_E_ARGUMENT, apus_channel_send(channel, 9, 0, "a", 1));
  CHECK_CODE(APUS_E_ARGUMENT, apus_channel_send(channel, 9, 1, blob, 126));
  CHECK_CODE(APUS_E_ARGUMENT, apus_channel_send_fragments(channel, 1, "a", 1, 0));
  CHECK_CODE(APUS_E_ARGUMENT, apus_channel_ping(channel, blob, 126));
  CHECK_CODE(APUS_E_ARGUMENT, apus_channel_pong(channel, blob, 126));
  CHECK_CODE(APUS_E_ARGUMENT, apus_channel_ping(channel, NULL, 1));
}

static void misuse_closing(apus_channel channel) {
  static const int codes[] = {-1,   1,    999,  1004, 1005,  1006,  1015,
                              1016, 2000, 2999, 5000, 65536, 66536, INT32_MIN};
  char reason[200];
  memset(reason, 'r', sizeof reason);
  for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
    CHECK_CODE(APUS_E_ARGUMENT, apus_channel_close(channel, codes[i], "", 0));
  }
  CHECK_CODE(APUS_E_ARGUMENT, apus_channel_close(channel, 1000, reason, 124));
  CHECK_CODE(APUS_E_ARGUMENT, apus_channel_close(channel, 1000, NULL, 3));
  CHECK_CODE(APUS_E_ARGUMENT, apus_channel_close(channel, 0, "no code", APUS_STRLEN));
  CHECK_CODE(APUS_E_ARGUMENT, apus_channel_set_high_water(channel, 0));
  CHECK_CODE(APUS_E_ARGUMENT, apus_channel_set_high_water(channel, (1ll << 40) + 1));
  CHECK_CODE(APUS_E_ARGUMENT, apus_channel_set_close_when_full(channel, 2));
  CHECK_CODE(APUS_E_ARGUMENT, apus_channel_set_ping(channel, -1, 0));
  CHECK_CODE(APUS_E_ARGUMENT, apus_channel_set_ping(channel, 0, 86400001));
  CHECK_CODE(APUS_E_ARGUMENT, apus_channel_on_message(channel, NULL, &heard, heard_drop));
  CHECK_CODE(APUS_E_ARGUMENT, apus_channel_on_pong(channel, NULL, &heard, heard_drop));
  CHECK_CODE(APUS_E_ARGUMENT, apus_channel_on_close(channel, NULL, &heard, heard_drop));
  CHECK_CODE(APUS_E_ARGUMENT, apus_channel_on_error(channel, NULL, &heard, heard_drop));
  CHECK_CODE(APUS_E_ARGUMENT, apus_channel_on_drain(channel, NULL, &heard, heard_drop));
  CHECK_INT(5, atomic_load(&heard.drops));
  CHECK_CODE(APUS_E_ARGUMENT, apus_channel_recv(channel, NULL, 0));
  apus_message message;
  CHECK_CODE(APUS_E_ARGUMENT, apus_channel_recv(channel, &message, -2));
}

/* Each gives its code, and leaves nothing on the wire. */
static void test_misuse(enum mode mode) {
  char payload[126];
  struct app app;
  struct client client;
  start(&app, mode, 0);
  apus_channel channel = ws_pair(&client, app.port, "/ws", &heard);
  misuse_sending(channel);
  misuse_closing(channel);
  WS_SETTLED(&client);
  CHECK_INT(0, apus_channel_buffered(channel));
  memset(payload, 'p', sizeof payload);
  CHECK_INT(0, apus_channel_ping(channel, payload, 125));
  WS_EXPECT(&client, WS_FINAL | APUS_OPCODE_PING, payload, 125);
  payload[123] = '\0';
  CHECK_INT(0, apus_channel_close(channel, 4000, payload, 123));
  WS_EXPECT_CLOSE(&client, 4000, payload);
  ws_close(&client, 4000, "");
  CLIENT_ENDS(&client);
  client_close(&client);
  harness_stop(&app);
}

int main(int argc, char **argv) {
  static const struct harness_case cases[] = {
      {"opening", test_opening},         {"messages", test_messages},
      {"sending", test_sending},         {"peer_closes", test_peer_closes},
      {"peer_leaves", test_peer_leaves}, {"host_closes", test_host_closes},
      {"misuse", test_misuse},
  };
  return harness_main("channel_test", argc, argv, CASES(cases));
}
