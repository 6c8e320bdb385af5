/*
 * channel_end_test.c - how channels end while the host has still to hear or to say
 * something: last words before a Close, peers that have gone while nothing is read, and
 * the limits that a server sets for all of its channels.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "../helpers/ws.h"

static struct heard heard;

/* Sends each message back, which must be possible. */
static void answer(void *context, apus_channel channel, int32_t opcode, const void *data,
                   size_t length) {
  heard_add(context, 'm', channel, opcode, data, length);
  CHECK_INT(0, apus_channel_send(channel, opcode, 1, data, length));
}

static void open_answering(void *context, apus_channel channel, apus_request request) {
  CHECK_INT(0, apus_channel_on_message(channel, answer, context, NULL));
  CHECK_INT(0, apus_channel_on_close(channel, heard_close, context, NULL));
  heard_open(context, channel, request);
}

static void open_waiting(void *context, apus_channel channel, apus_request request) {
  CHECK_INT(0, apus_channel_on_error(channel, heard_error, context, NULL));
  CHECK_INT(0, apus_channel_on_close(channel, heard_close, context, NULL));
  CHECK_INT(0, apus_channel_keep(channel));
  heard_open(context, channel, request);
}

static void make(struct app *app, enum mode mode) {
  heard_reset(&heard);
  app_make(app, mode);
  app_websocket(app, "/answers", open_answering, &heard);
  app_websocket(app, "/waits", open_waiting, &heard);
}

/* Two messages and a Close in one piece. */
static void send_last_words(struct client *client) {
  static const char *const words[] = {"one", "two"};
  unsigned char piece[256];
  size_t length = 0, size;
  for (int i = 0; i < 3; i++) {
    unsigned char *frame = i < 2 ? ws_frame(WS_FINAL | APUS_OPCODE_TEXT, words[i], 3, &size)
                                 : ws_frame(WS_FINAL | APUS_OPCODE_CLOSE, "\x0f\xa0", 2, &size);
    memcpy(piece + length, frame, size);
    length += size;
    free(frame);
  }
  client_send(client, piece, length);
}

/* RFC 6455 5.5.1: what a listener says to messages of before goes out, and then the Close. */
static void test_last_words(enum mode mode) {
  struct app app;
  struct client client;
  make(&app, mode);
  harness_start(&app);
  for (int round = 0; round < 20; round++) {
    apus_channel channel = ws_pair(&client, app.port, "/answers", &heard);
    send_last_words(&client);
    WS_EXPECT_TEXT(&client, "one");
    WS_EXPECT_TEXT(&client, "two");
    WS_EXPECT_CLOSE(&client, 4000, "");
    CLIENT_ENDS(&client);
    client_close(&client);
    HEARD(&heard, 4 * round + 3, 'c', 4000, "");
    if (mode == MODE_PULL) CHECK_INT(1, apus_channel_destroy(channel));
  }
  harness_stop(&app);
}

/* The same for who receives. */
static void test_received(enum mode mode) {
  struct app app;
  struct client client;
  apus_message message;
  make(&app, mode);
  harness_start(&app);
  apus_channel channel = ws_pair(&client, app.port, "/waits", &heard);
  uint64_t before = apus_server_counter(app.server, APUS_COUNT_BYTES_IN);
  send_last_words(&client);
  EVENTUALLY((uint64_t)apus_server_counter(app.server, APUS_COUNT_BYTES_IN) > before);
  for (int i = 0; i < 2; i++) {
    CHECK_INT(1, apus_channel_recv(channel, &message, -1));
    CHECK_INT(APUS_STATE_OPEN, apus_channel_state(channel));
    CHECK_INT(0, apus_channel_send(channel, 1, 1, message.data, message.length));
  }
  CHECK_INT(APUS_E_CLOSED, apus_channel_recv(channel, &message, -1));
  WS_EXPECT_TEXT(&client, "one");
  WS_EXPECT_TEXT(&client, "two");
  WS_EXPECT_CLOSE(&client, 4000, "");
  client_close(&client);
  /* The listener looks at the channel, on another thread maybe. */
  EVENTUALLY(heard_count(&heard, 'c') == 1);
  CHECK_INT(1, apus_channel_destroy(channel));
  harness_stop(&app);
}

/* A host that does not care: the peer is answered when the close time is over, or with the
 * channel's or the host's own close. */
static void test_unheard(enum mode mode) {
  struct app app;
  struct client client;
  for (int way = 0; way < 4; way++) {
    make(&app, mode);
    CHECK_INT(0, apus_server_set_channel_close_timeout(app.server, way == 0 ? 50 : 60000));
    harness_start(&app);
    apus_channel channel = ws_pair(&client, app.port, "/waits", &heard);
    uint64_t before = apus_server_counter(app.server, APUS_COUNT_BYTES_IN);
    send_last_words(&client);
    EVENTUALLY((uint64_t)apus_server_counter(app.server, APUS_COUNT_BYTES_IN) > before);
    if (way == 1) CHECK_INT(0, apus_channel_close(channel, 4001, "", 0));
    if (way == 2) CHECK_INT(1, apus_channel_destroy(channel));
    if (way == 3) harness_halt(&app);
    WS_CLOSED_WITH(&client, way == 1 ? 4001 : way == 3 ? 1001 : 4000);
    CLIENT_ENDS(&client);
    client_close(&client);
    if (way != 2) EVENTUALLY(heard_count(&heard, 'c') == 1);
    if (way != 2) CHECK_INT(1, apus_channel_destroy(channel));
    if (way == 3) CHECK_INT(1, apus_server_destroy(app.server));
    if (way != 3) harness_stop(&app);
  }
}

/* The peer has closed its socket without a word, and nobody reads. */
static void test_gone(enum mode mode) {
  enum { MESSAGES = 3 };
  struct app app;
  struct client client;
  apus_message message;
  for (int way = 0; way < 2; way++) {
    make(&app, mode);
    CHECK_INT(0, apus_server_set_channel_inbox(app.server, 1));
    CHECK_INT(0, apus_server_set_ping_interval(app.server, 0));
    harness_start(&app);
    apus_channel channel = ws_pair(&client, app.port, "/waits", &heard);
    for (int i = 0; i < MESSAGES; i++) ws_text(&client, "unread");
    CHECK_INT(0, shutdown(client.fd, SHUT_WR));
    if (way == 0) {
      CHECK_INT(0, apus_channel_set_ping(channel, 100, 0));
      /* As long as a silent peer has: the host takes nothing. */
      HEARD(&heard, 1, 'e', APUS_E_CLOSED, "the peer has gone, and the host takes nothing");
      HEARD(&heard, 2, 'c', 1006, "");
      CHECK_INT(1, apus_channel_recv(channel, &message, 0));
    } else {
      /* Who takes his time gets all of it. */
      for (int i = 0; i < MESSAGES; i++) {
        CHECK_INT(1, apus_channel_recv(channel, &message, -1));
        CHECK_BYTES("unread", 6, message.data, message.length);
      }
      HEARD(&heard, 1, 'c', 1006, "");
    }
    CHECK_INT(APUS_E_CLOSED, apus_channel_recv(channel, &message, -1));
    CHECK_INT(1, apus_channel_destroy(channel));
    client_close(&client);
    harness_stop(&app);
  }
}

/* Without threads and without a driver it is the receiving that brings the messages, also
 * where it does not wait. */
static void test_polling(enum mode mode) {
  struct app app;
  struct client client;
  apus_message message;
  if (mode != MODE_THREADLESS) return;
  make(&app, mode);
  harness_start_undriven(&app);
  client_open(&client, app.port);
  ws_ask(&client, "/waits", "");
  while (atomic_load(&heard.channel) == 0) CHECK(apus_server_tick(app.server, -1) >= 0);
  ws_accepted(&client, NULL);
  apus_channel channel = heard_opened(&heard);
  CHECK_INT(0, apus_channel_recv(channel, &message, 0));
  ws_polled(&client, channel);
  harness_stop(&app);
}

/* What the server sets for all of its channels. */
static void test_limits(enum mode mode) {
  static const int64_t wrong[] = {0, -1, INT64_MIN, (INT64_C(1) << 40) + 1, INT64_MAX};
  struct app app;
  struct client client;
  make(&app, mode);
  for (int i = 0; i < 5; i++) {
    CHECK_CODE(APUS_E_ARGUMENT, apus_server_set_channel_high_water(app.server, wrong[i]));
    CHECK_CODE(APUS_E_ARGUMENT, apus_server_set_channel_inbox(app.server, wrong[i]));
  }
  CHECK_CODE(APUS_E_ARGUMENT, apus_server_set_channel_close_timeout(app.server, 0));
  CHECK_CODE(APUS_E_ARGUMENT, apus_server_set_channel_close_timeout(app.server, 86400001));
  CHECK_INT(0, apus_server_set_channel_high_water(app.server, INT64_C(1) << 40));
  CHECK_INT(0, apus_server_set_channel_high_water(app.server, 1));
  CHECK_INT(0, apus_server_set_channel_close_timeout(app.server, 100));
  harness_start(&app);
  CHECK_CODE(APUS_E_STATE, apus_server_set_channel_high_water(app.server, 1));
  apus_channel channel = ws_pair(&client, app.port, "/waits", &heard);
  /* Whole, in spite of the mark; behind it there is no room while the client reads nothing. */
  static char data[4 << 20];
  int32_t result = 0;
  int sent = 0;
  while ((result = apus_channel_send_binary(channel, data, sizeof data)) == 0 && sent < 64) sent++;
  CHECK_INT(APUS_E_FULL, result);
  CHECK(sent >= 1 && sent < 64);
  /* The peer does not answer, and is cut off: the Close does not even get through. */
  CHECK_INT(0, apus_channel_close(channel, 1000, "", 0));
  EVENTUALLY(heard_count(&heard, 'c') == 1);
  CHECK_INT(1, apus_channel_destroy(channel));
  client_close(&client);
  apus_client host = apus_client_make();
  for (int i = 0; i < 5; i++) {
    CHECK_CODE(APUS_E_ARGUMENT, apus_client_set_channel_high_water(host, wrong[i]));
    CHECK_CODE(APUS_E_ARGUMENT, apus_client_set_channel_inbox(host, wrong[i]));
  }
  CHECK_CODE(APUS_E_ARGUMENT, apus_client_set_channel_close_timeout(host, 0));
  CHECK_INT(0, apus_client_set_channel_high_water(host, 1));
  CHECK_INT(0, apus_client_set_channel_inbox(host, 1));
  CHECK_INT(0, apus_client_set_channel_close_timeout(host, 1));
  CHECK_INT(1, apus_client_destroy(host));
  harness_stop(&app);
}

int main(int argc, char **argv) {
  static const struct harness_case cases[] = {
      {"last words", test_last_words}, {"received", test_received},
      {"unheard", test_unheard},       {"gone", test_gone},
      {"polling", test_polling},       {"limits", test_limits},
  };
  return harness_main("channel_end_test", argc, argv, cases, sizeof cases / sizeof *cases);
}
