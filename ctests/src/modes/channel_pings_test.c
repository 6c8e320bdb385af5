/*
 * channel_pings_test.c - pings without end: each is answered while the peer takes the
 * answers, the newest alone once it does not, and above a rate the channel ends; and the
 * limits of messages.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "../helpers/ws.h"

enum { PINGS = 300 };

static struct heard heard;
static char piece[16384];

static void open_listening(void *context, apus_channel channel, apus_request request) {
  heard_listen(context, channel);
  heard_open(context, channel, request);
}

static apus_channel start(struct app *app, enum mode mode, int32_t most, struct client *client) {
  heard_reset(&heard);
  app_make(app, mode);
  CHECK_INT(0, apus_server_set_max_controls(app->server, most));
  app_websocket(app, "/ws", open_listening, &heard);
  harness_start(app);
  client_open_small(client, app->port, 32768);
  ws_ask(client, "/ws", "");
  ws_accepted(client, NULL);
  return heard_opened(&heard);
}

static void send_pings(struct client *client, int count) {
  for (int i = 0; i < count; i++) {
    char text[16];
    snprintf(text, sizeof text, "ping %d", i);
    ws_send(client, WS_FINAL | APUS_OPCODE_PING, text, strlen(text));
  }
}

static void expect_pong(struct client *client, int number) {
  char text[16];
  snprintf(text, sizeof text, "ping %d", number);
  WS_EXPECT(client, WS_FINAL | APUS_OPCODE_PONG, text, strlen(text));
}

static void test_each(enum mode mode) {
  struct app app;
  struct client client;
  start(&app, mode, 1000, &client);
  send_pings(&client, PINGS);
  for (int i = 0; i < PINGS; i++) expect_pong(&client, i);
  WS_SETTLED(&client);
  client_close(&client);
  harness_stop(&app);
}

/* Sends until even the kernel takes no more: what is left after two messages of the
 * peer's, and so two turns of the loop, stays. Returns how many pieces went. */
static int fill(apus_channel channel, struct client *client) {
  int count = 0;
  do {
    while (apus_channel_send_binary(channel, piece, sizeof piece) == 0) count++;
    CHECK_INT(APUS_E_FULL, apus_last_error());
    for (int i = 0; i < 2; i++) {
      int heard_before = heard_count(&heard, 'm');
      ws_text(client, "a turn");
      EVENTUALLY(heard_count(&heard, 'm') == heard_before + 1);
    }
  } while (apus_channel_buffered(channel) == 0);
  return count;
}

/* The next frame is the answer to a ping later than that one: to which? */
static int next_pong(struct client *client, int last) {
  struct ws_got got;
  int number = 0;
  CHECK(ws_read(client, &got));
  CHECK_INT(WS_FINAL | APUS_OPCODE_PONG, got.first);
  CHECK(got.length > 5 && got.length < 9 && memcmp(got.data, "ping ", 5) == 0);
  for (size_t i = 5; i < got.length; i++) number = number * 10 + got.data[i] - '0';
  CHECK(number > last);
  return number;
}

/* The peer takes nothing: all that waits for it is one answer. Sometimes the kernel finds
 * room for what waited, and so for answers behind it, late: such a round doesn't count. */
static void test_newest(enum mode mode) {
  struct app app;
  struct client client;
  apus_channel channel = start(&app, mode, 100000, &client);
  int rounds = 0;
  for (int held = 0; held < 3; rounds++) {
    CHECK(rounds < 100);
    int count = fill(channel, &client);
    int heard_before = heard_count(&heard, 'm');
    int64_t buffered_before = apus_channel_buffered(channel);
    send_pings(&client, PINGS);
    ws_text(&client, "behind the pings");
    EVENTUALLY(heard_count(&heard, 'm') == heard_before + 1);
    CHECK(apus_channel_buffered(channel) <= buffered_before);
    while (count-- > 0) WS_EXPECT(&client, WS_FINAL | APUS_OPCODE_BINARY, piece, sizeof piece);
    int number = next_pong(&client, -1);
    if (number == PINGS - 1) held++;
    while (number != PINGS - 1) number = next_pong(&client, number);
    EVENTUALLY(apus_channel_buffered(channel) == 0);
  }
  /* Then each again, an empty one too. */
  ws_send(&client, WS_FINAL | APUS_OPCODE_PING, "", 0);
  WS_EXPECT(&client, WS_FINAL | APUS_OPCODE_PONG, "", 0);
  WS_SETTLED(&client);
  client_close(&client);
  harness_stop(&app);
}

static void answer_at_length(void *context, apus_channel channel, int32_t opcode, const void *data,
                             size_t length) {
  (void)context, (void)opcode, (void)data, (void)length;
  CHECK_INT(0, apus_channel_send_binary(channel, piece, sizeof piece));
}

static void open_answering(void *context, apus_channel channel, apus_request request) {
  (void)context, (void)request;
  CHECK_INT(0, apus_channel_set_high_water(channel, 1));
  CHECK_INT(0, apus_channel_set_close_when_full(channel, 1));
  CHECK_INT(0, apus_channel_on_message(channel, answer_at_length, NULL, NULL));
}

/* A ping behind a message whose answer fills the channel: it is answered all the same. */
static void test_behind(enum mode mode) {
  struct app app;
  struct client client;
  if (mode != MODE_WORKER && mode != MODE_THREADLESS) return;
  app_make(&app, mode);
  app_websocket(&app, "/ws", open_answering, NULL);
  harness_start(&app);
  client_open(&client, app.port);
  ws_ask(&client, "/ws", "");
  ws_accepted(&client, NULL);
  for (int i = 0; i < 3; i++) {
    /* In one piece. */
    static const char both[] = "\x81\x83maskmsg\x89\x81mask!";
    client_send(&client, both, sizeof both - 1);
    WS_EXPECT(&client, WS_FINAL | APUS_OPCODE_BINARY, piece, sizeof piece);
    char pong = '!' ^ 'm';
    WS_EXPECT(&client, WS_FINAL | APUS_OPCODE_PONG, &pong, 1);
  }
  client_close(&client);
  harness_stop(&app);
}

/* Each limit has its code, and is counted. */
static void test_limits(enum mode mode) {
  static const struct {
    const char *frames;
    size_t length;
    int code;
  } cases[] = {
      {"\x81\x8bmaskhello world", 17, 1009},
      {"\x01\x81maska\x00\x81maskb\x80\x81maskc", 21, 1008},
  };
  struct app app;
  struct client client;
  app_make(&app, mode);
  CHECK_INT(0, apus_server_set_max_message(app.server, 10));
  CHECK_INT(0, apus_server_set_max_fragments(app.server, 2));
  heard_reset(&heard);
  app_websocket(&app, "/ws", open_listening, &heard);
  harness_start(&app);
  for (int i = 0; i < 2; i++) {
    ws_pair(&client, app.port, "/ws", &heard);
    client_send(&client, cases[i].frames, cases[i].length);
    WS_CLOSED_WITH(&client, cases[i].code);
    client_close(&client);
    EVENTUALLY(apus_server_counter(app.server, APUS_COUNT_REFUSED_MESSAGE) == i + 1);
  }
  harness_stop(&app);
}

static void test_rate(enum mode mode) {
  struct app app;
  struct client client;
  start(&app, mode, 3, &client);
  /* In one piece, so that they are of one second. */
  static const char pings[] = "\x89\x80mask\x8a\x80mask\x89\x80mask\x89\x80mask";
  client_send(&client, pings, sizeof pings - 1);
  for (int i = 0; i < 2; i++) WS_EXPECT(&client, WS_FINAL | APUS_OPCODE_PONG, "", 0);
  WS_CLOSED_WITH(&client, 1008);
  ws_close(&client, 1008, "");
  CLIENT_ENDS(&client);
  EVENTUALLY(heard_count(&heard, 'c') == 1);
  EVENTUALLY(apus_server_counter(app.server, APUS_COUNT_REFUSED_MESSAGE) == 1);
  client_close(&client);
  harness_stop(&app);
}

int main(int argc, char **argv) {
  static const struct harness_case cases[] = {
      {"each", test_each},     {"newest", test_newest}, {"behind", test_behind},
      {"limits", test_limits}, {"rate", test_rate},
  };
  return harness_main("channel_pings_test", argc, argv, CASES(cases));
}
