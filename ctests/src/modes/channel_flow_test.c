/*
 * channel_flow_test.c - what waits on a WebSocket channel: outgoing bytes up to the
 * high-water mark, messages up to a limit until somebody receives or listens, and
 * peers that say nothing.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "../helpers/ws.h"

static struct heard heard;

static void open_listening(void *context, apus_channel channel, apus_request request) {
  heard_listen(context, channel);
  heard_open(context, channel, request);
}

/* Nobody listens; the channel outlives its close. */
static void open_kept(void *context, apus_channel channel, apus_request request) {
  CHECK_INT(0, apus_channel_keep(channel));
  heard_open(context, channel, request);
}

static void start(struct app *app, enum mode mode) {
  heard_reset(&heard);
  app_make(app, mode);
  /* What a host does not take delays the answer to a close no longer. */
  CHECK_INT(0, apus_server_set_channel_close_timeout(app->server, 1000));
  app_websocket(app, "/ws", open_listening, &heard);
  app_websocket(app, "/kept", open_kept, &heard);
  harness_start(app);
}

/* ------------------------------------------------------------ the high-water mark */

static char piece[16384];

/* Sends until the mark is passed; returns how many went. */
static int fill(apus_channel channel) {
  int32_t result = 0;
  int count = 0;
  while (result == 0) {
    result = apus_channel_send_binary(channel, piece, sizeof piece);
    count += result == 0;
  }
  CHECK_INT(APUS_E_FULL, result);
  return count;
}

static void test_drain(enum mode mode) {
  struct app app;
  struct client client;
  start(&app, mode);
  client_open_small(&client, app.port, 32768);
  ws_ask(&client, "/ws", "");
  ws_accepted(&client, NULL);
  apus_channel channel = heard_opened(&heard);
  CHECK_INT(0, apus_channel_set_high_water(channel, 60000));
  for (int round = 0; round < 60; round++) {
    int count = fill(channel);
    CHECK(apus_channel_buffered(channel) <= 60000 + (int64_t)sizeof piece + 4);
    while (count-- > 0) WS_EXPECT(&client, WS_FINAL | APUS_OPCODE_BINARY, piece, sizeof piece);
    HEARD(&heard, round + 1, 'd', 0, "");
    EVENTUALLY(apus_channel_buffered(channel) == 0);
  }
  CHECK_INT(61, heard_count(&heard, 0));
  WS_SETTLED(&client);
  client_close(&client);
  harness_stop(&app);
}

static void test_close_when_full(enum mode mode) {
  struct app app;
  struct client client;
  start(&app, mode);
  client_open_small(&client, app.port, 32768);
  ws_ask(&client, "/ws", "");
  ws_accepted(&client, NULL);
  apus_channel channel = heard_opened(&heard);
  CHECK_INT(0, apus_channel_set_high_water(channel, 60000));
  CHECK_INT(0, apus_channel_set_close_when_full(channel, 1));
  int count = fill(channel);
  CHECK_CODE(APUS_E_CLOSED, apus_channel_send_binary(channel, piece, 1));
  CHECK_INT(APUS_STATE_CLOSING, apus_channel_state(channel));
  while (count-- > 0) WS_EXPECT(&client, WS_FINAL | APUS_OPCODE_BINARY, piece, sizeof piece);
  WS_CLOSED_WITH(&client, 1008);
  ws_close(&client, 1008, "");
  CLIENT_ENDS(&client);
  EVENTUALLY(heard_count(&heard, 'c') == 1);
  client_close(&client);
  harness_stop(&app);
}

/* ------------------------------------------------------------------- receiving */

static void expect_message(apus_channel channel, int opcode, const char *text) {
  apus_message message;
  memset(&message, 0x55, sizeof message);
  CHECK_INT(1, apus_channel_recv(channel, &message, HARNESS_DEADLINE_MS));
  CHECK_INT(opcode, message.opcode);
  CHECK_INT(1, message.final);
  CHECK_BYTES(text, strlen(text), message.data, message.length);
  CHECK_INT(0, ((const char *)message.data)[message.length]);
}

static void test_receiving(enum mode mode) {
  struct app app;
  struct client client;
  apus_message message = {.opcode = 77};
  start(&app, mode);
  apus_channel channel = ws_pair(&client, app.port, "/kept", &heard);
  CHECK_INT(0, apus_channel_recv(channel, &message, 0));
  CHECK_INT(0, apus_channel_recv(channel, &message, 1));
  CHECK_INT(77, message.opcode);
  ws_text(&client, "one");
  ws_send(&client, WS_FINAL | APUS_OPCODE_BINARY, "", 0);
  expect_message(channel, APUS_OPCODE_TEXT, "one");
  expect_message(channel, APUS_OPCODE_BINARY, "");
  /* Cancelled before it waits: once. */
  CHECK_INT(0, apus_channel_cancel(channel));
  CHECK_INT(0, apus_channel_recv(channel, &message, -1));
  /* What came before the close is received after it. */
  ws_text(&client, "two");
  ws_send(&client, APUS_OPCODE_TEXT, "thr", 3);
  ws_send(&client, WS_FINAL | APUS_OPCODE_CONTINUE, "ee", 2);
  ws_close(&client, 1000, "");
  WS_EXPECT_CLOSE(&client, 1000, "");
  CLIENT_ENDS(&client);
  client_close(&client);
  EVENTUALLY(apus_channel_state(channel) == APUS_STATE_CLOSED);
  expect_message(channel, APUS_OPCODE_TEXT, "two");
  expect_message(channel, APUS_OPCODE_TEXT, "three");
  CHECK_CODE(APUS_E_CLOSED, apus_channel_recv(channel, &message, -1));
  CHECK_CODE(APUS_E_CLOSED, apus_channel_recv(channel, &message, 0));
  CHECK_INT(1, apus_channel_destroy(channel));
  CHECK_CODE(APUS_E_HANDLE, apus_channel_recv(channel, &message, 0));
  CHECK_CODE(APUS_E_HANDLE, apus_channel_cancel(channel));
  harness_stop(&app);
}

struct waiter {
  apus_channel channel;
  pthread_t thread;
  int32_t result, code;
  atomic_int started, done;
};

static void *wait_for_message(void *context) {
  struct waiter *waiter = context;
  apus_message message;
  atomic_store(&waiter->started, 1);
  /* Whoever asks whether this one waits may be in the way for a moment. */
  do {
    waiter->result = apus_channel_recv(waiter->channel, &message, -1);
    waiter->code = apus_last_error();
  } while (waiter->result == APUS_E_THREAD);
  atomic_store(&waiter->done, 1);
  return NULL;
}

static void start_waiter(struct waiter *waiter, apus_channel channel) {
  memset(waiter, 0, sizeof *waiter);
  waiter->channel = channel;
  CHECK_INT(0, pthread_create(&waiter->thread, NULL, wait_for_message, waiter));
  EVENTUALLY(atomic_load(&waiter->started));
}

static void expect_waited(struct waiter *waiter, int32_t result) {
  CHECK_INT(0, pthread_join(waiter->thread, NULL));
  CHECK_INT(result, waiter->result);
}

/* What ends a wait: a cancel, a message, the close, the end of the handle, and of
 * the server. */
static void test_waiting(enum mode mode) {
  struct app app;
  struct client client;
  struct waiter waiter;
  apus_message message;
  start(&app, mode);
  apus_channel channel = ws_pair(&client, app.port, "/kept", &heard);
  start_waiter(&waiter, channel);
  CHECK_INT(0, apus_channel_cancel(channel));
  expect_waited(&waiter, 0);
  start_waiter(&waiter, channel);
  /* Once it waits, nobody else may; until then this one times out. */
  EVENTUALLY(apus_channel_recv(channel, &message, 0) == APUS_E_THREAD);
  ws_text(&client, "come");
  expect_waited(&waiter, 1);
  start_waiter(&waiter, channel);
  ws_close(&client, 1000, "");
  expect_waited(&waiter, APUS_E_CLOSED);
  CHECK_INT(1, apus_channel_destroy(channel));
  client_close(&client);
  channel = ws_pair(&client, app.port, "/kept", &heard);
  start_waiter(&waiter, channel);
  EVENTUALLY(apus_channel_recv(channel, &message, 0) == APUS_E_THREAD);
  CHECK_INT(1, apus_channel_destroy(channel));
  expect_waited(&waiter, 0);
  WS_EXPECT_CLOSE(&client, 1001, "");
  client_close(&client);
  channel = ws_pair(&client, app.port, "/kept", &heard);
  start_waiter(&waiter, channel);
  EVENTUALLY(apus_channel_recv(channel, &message, 0) == APUS_E_THREAD);
  CHECK_INT(0, apus_server_stop(app.server));
  expect_waited(&waiter, APUS_E_CLOSED);
  client_close(&client);
  CHECK_INT(1, apus_channel_destroy(channel));
  if (app.driven) CHECK_INT(0, pthread_join(app.driver, NULL));
  CHECK_INT(1, apus_server_destroy(app.server));
}

struct talk {
  struct client client;
  int32_t port;
};

static void *talk_alone(void *context) {
  struct talk *talk = context;
  ws_open(&talk->client, talk->port, "/kept");
  ws_text(&talk->client, "one");
  WS_EXPECT_TEXT(&talk->client, "two");
  ws_close(&talk->client, 1000, "");
  WS_EXPECT_CLOSE(&talk->client, 1000, "");
  CLIENT_ENDS(&talk->client);
  return NULL;
}

/* Without threads whoever waits does the work, and nobody else is there to wake it. */
static void test_alone(enum mode mode) {
  struct app app;
  struct talk talk;
  pthread_t thread;
  apus_message message;
  if (mode != MODE_THREADLESS) return;
  heard_reset(&heard);
  app_make(&app, mode);
  app_websocket(&app, "/kept", open_kept, &heard);
  int32_t listener = apus_server_listen(app.server, "127.0.0.1", 0);
  talk.port = apus_server_port(app.server, listener);
  CHECK_INT(0, apus_server_start(app.server));
  CHECK_INT(0, pthread_create(&thread, NULL, talk_alone, &talk));
  while (atomic_load(&heard.channel) == 0) CHECK(apus_server_tick(app.server, -1) >= 0);
  apus_channel channel = heard_opened(&heard);
  CHECK_INT(1, apus_channel_recv(channel, &message, -1));
  CHECK_BYTES("one", 3, message.data, message.length);
  CHECK_INT(0, apus_channel_send_text(channel, "two", 3));
  CHECK_CODE(APUS_E_CLOSED, apus_channel_recv(channel, &message, -1));
  CHECK_INT(1, apus_channel_destroy(channel));
  while (apus_server_counter(app.server, APUS_COUNT_CONNECTIONS) > 0) {
    CHECK(apus_server_tick(app.server, 10) >= 0);
  }
  CHECK_INT(0, pthread_join(thread, NULL));
  client_close(&talk.client);
  harness_stop(&app);
}

/* The wake-up reaches whoever waits, whatever the thread that drives is at. */
static void test_woken(enum mode mode) {
  enum { ROUNDS = 1500 };
  struct app app;
  struct client client;
  struct waiter waiter;
  start(&app, mode);
  apus_channel channel = ws_pair(&client, app.port, "/kept", &heard);
  for (int round = 0; round < ROUNDS; round++) {
    start_waiter(&waiter, channel);
    if (round % 2 == 0) {
      CHECK_INT(0, apus_channel_cancel(channel));
      expect_waited(&waiter, 0);
    } else {
      ws_text(&client, "come");
      expect_waited(&waiter, 1);
    }
  }
  CHECK_INT(1, apus_channel_destroy(channel));
  client_close(&client);
  harness_stop(&app);
}

/* Asks in its callback, and waits there for the answer: what it has said goes out
 * meanwhile. On the thread that would bring the answer it may not wait. */
static void open_asking(void *context, apus_channel channel, apus_request request) {
  apus_message message;
  struct app *app = context;
  int may = app->mode == MODE_TICK || app->mode == MODE_PULL;
  CHECK_INT(0, apus_channel_send_text(channel, "who?", 4));
  int32_t result = apus_channel_recv(channel, &message, HARNESS_DEADLINE_MS);
  CHECK_INT(may ? 1 : APUS_E_STATE, result);
  if (may) CHECK_BYTES("me", 2, message.data, message.length);
  heard_open(&heard, channel, request);
}

static void test_asking(enum mode mode) {
  struct app app;
  struct client client;
  heard_reset(&heard);
  app_make(&app, mode);
  app_websocket(&app, "/ask", open_asking, &app);
  harness_start(&app);
  ws_open(&client, app.port, "/ask");
  WS_EXPECT_TEXT(&client, "who?");
  ws_text(&client, "me");
  heard_opened(&heard);
  client_close(&client);
  harness_stop(&app);
}

/* Sends so many messages of a size, each with its number in front. */
struct flood {
  struct client *client;
  int count;
  size_t size;
  pthread_t thread;
};

static void *send_flood(void *context) {
  struct flood *flood = context;
  char *data = calloc(1, flood->size + 1);
  CHECK(data != NULL);
  for (int i = 0; i < flood->count; i++) {
    snprintf(data, flood->size, "%d", i);
    ws_send(flood->client, WS_FINAL | APUS_OPCODE_BINARY, data, flood->size);
  }
  free(data);
  return NULL;
}

static void start_flood(struct flood *flood, struct client *client, int count, size_t size) {
  *flood = (struct flood){.client = client, .count = count, .size = size};
  CHECK_INT(0, pthread_create(&flood->thread, NULL, send_flood, flood));
}

/* Messages that nobody takes: reading stops, and goes on as they are received. */
static void test_inbox_limit(enum mode mode) {
  enum { SIZE = 256 * 1024, COUNT = 64 };
  struct app app;
  struct client client;
  struct flood flood;
  apus_message message;
  start(&app, mode);
  apus_channel channel = ws_pair(&client, app.port, "/kept", &heard);
  start_flood(&flood, &client, COUNT, SIZE);
  /* Four of them are as much as may wait. */
  EVENTUALLY(apus_server_counter(app.server, APUS_COUNT_BYTES_IN) >= 4 * (SIZE + 14));
  /* The peer is not silent while nobody listens to it. */
  CHECK_INT(0, apus_channel_set_ping(channel, 1, 0));
  for (int i = 0; i < 600; i++) harness_breathe();
  CHECK_INT(0, apus_channel_set_ping(channel, 0, 0));
  for (int i = 0; i < COUNT; i++) {
    int64_t most = 2 * 1024 * 1024 + (int64_t)i * (SIZE + 14);
    CHECK(apus_server_counter(app.server, APUS_COUNT_BYTES_IN) < most);
    CHECK_INT(1, apus_channel_recv(channel, &message, HARNESS_DEADLINE_MS));
    CHECK_INT(SIZE, message.length);
    CHECK_INT(i, atoi(message.data));
  }
  CHECK_INT(0, pthread_join(flood.thread, NULL));
  CHECK_INT(0, apus_channel_recv(channel, &message, 0));
  client_close(&client);
  EVENTUALLY(apus_channel_state(channel) == APUS_STATE_CLOSED);
  CHECK_INT(1, apus_channel_destroy(channel));
  harness_stop(&app);
}

/* A listener that comes late hears all that waited, in order, and what follows. */
static void test_late_listener(enum mode mode) {
  enum { COUNT = 3000 };
  struct app app;
  struct client client;
  struct flood flood;
  apus_message message;
  start(&app, mode);
  for (int round = 0; round < 4; round++) {
    heard_reset(&heard);
    apus_channel channel = ws_pair(&client, app.port, "/kept", &heard);
    start_flood(&flood, &client, COUNT, 100);
    CHECK_INT(1, apus_channel_recv(channel, &message, HARNESS_DEADLINE_MS));
    CHECK_INT(0, atoi(message.data));
    heard_listen(&heard, channel);
    CHECK_INT(0, pthread_join(flood.thread, NULL));
    ws_close(&client, 1000, "");
    WS_EXPECT_CLOSE(&client, 1000, "");
    CLIENT_ENDS(&client);
    client_close(&client);
    EVENTUALLY(heard_count(&heard, 'c') == 1);
    CHECK_INT(COUNT - 1, heard_count(&heard, 'm'));
    for (int i = 1; i < COUNT; i++) CHECK_INT(i, atoi(heard_at(&heard, i).text));
    CHECK_INT('c', heard_at(&heard, COUNT).kind);
    CHECK_CODE(APUS_E_CLOSED, apus_channel_recv(channel, &message, 0));
    CHECK_INT(1, apus_channel_destroy(channel));
    EVENTUALLY(atomic_load(&heard.drops) == 5);
  }
  harness_stop(&app);
}

/* ------------------------------------------------- a host that is slower than peers */

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static void slow_message(void *context, apus_channel channel, int32_t opcode, const void *data,
                         size_t length) {
  pthread_mutex_lock(&gate);
  pthread_mutex_unlock(&gate);
  heard_message(context, channel, opcode, data, length);
}

static void open_slow(void *context, apus_channel channel, apus_request request) {
  CHECK_INT(0, apus_channel_on_message(channel, slow_message, context, heard_drop));
  CHECK_INT(0, apus_channel_on_close(channel, heard_close, context, heard_drop));
  heard_open(context, channel, request);
}

/* What one peer sends does not fill the queue, nor end its channel. */
static void test_slow_host(enum mode mode) {
  enum { COUNT = 7000 };
  struct app app;
  struct client client;
  struct flood flood;
  heard_reset(&heard);
  app_make(&app, mode);
  CHECK_INT(0, apus_server_set_max_pending(app.server, 2000));
  app_websocket(&app, "/slow", open_slow, &heard);
  harness_start(&app);
  ws_pair(&client, app.port, "/slow", &heard);
  pthread_mutex_lock(&gate);
  start_flood(&flood, &client, COUNT, 8);
  if (mode != MODE_WORKER && mode != MODE_THREADLESS) {
    EVENTUALLY(apus_server_counter(app.server, APUS_COUNT_PENDING) > 900);
  }
  pthread_mutex_unlock(&gate);
  CHECK_INT(0, pthread_join(flood.thread, NULL));
  WS_SETTLED(&client);
  EVENTUALLY(heard_count(&heard, 'm') == COUNT);
  for (int i = 0; i < COUNT; i++) CHECK_INT(i, atoi(heard_at(&heard, i + 1).text));
  ws_close(&client, 1000, "");
  WS_EXPECT_CLOSE(&client, 1000, "");
  HEARD(&heard, COUNT + 1, 'c', 1000, "");
  client_close(&client);
  harness_stop(&app);
}

/* ------------------------------------------------------------------ silent peers */

/* Pings, and gives up who does not answer, whatever the two limits are. */
static void test_silence(enum mode mode) {
  static const int32_t limits[][2] = {{300, 0}, {300, 300}, {700, 300}, {100, 700}};
  struct app app;
  struct client silent, other;
  start(&app, mode);
  for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
    heard_reset(&heard);
    apus_channel channel = ws_pair(&silent, app.port, "/ws", &heard);
    ws_open(&other, app.port, "/kept");
    HEARD(&heard, 1, 'o', 0, "");
    CHECK_INT(0, apus_channel_set_ping(channel, limits[i][0], limits[i][1]));
    WS_EXPECT(&silent, WS_FINAL | APUS_OPCODE_PING, "", 0);
    ws_send(&silent, WS_FINAL | APUS_OPCODE_PONG, "", 0);
    HEARD(&heard, 2, 'p', APUS_OPCODE_PONG, "");
    CHECK(apus_channel_last_pong_ms(channel) >= 0);
    WS_EXPECT(&silent, WS_FINAL | APUS_OPCODE_PING, "", 0);
    /* Others are served meanwhile. */
    WS_SETTLED(&other);
    HEARD(&heard, 3, 'e', APUS_E_TIMEOUT, "the peer does not answer pings");
    HEARD(&heard, 4, 'c', 1006, "");
    CHECK_INT(0, client_fill(&silent));
    client_close(&silent);
    client_close(&other);
    EVENTUALLY(mode == MODE_PULL || !apus_channel_is_alive(channel));
  }
  harness_stop(&app);
}

int main(int argc, char **argv) {
  static const struct harness_case cases[] = {
      {"drain", test_drain},
      {"close_when_full", test_close_when_full},
      {"receiving", test_receiving},
      {"waiting", test_waiting},
      {"alone", test_alone},
      {"woken", test_woken},
      {"asking", test_asking},
      {"inbox_limit", test_inbox_limit},
      {"late_listener", test_late_listener},
      {"slow_host", test_slow_host},
      {"silence", test_silence},
  };
  return harness_main("channel_flow_test", argc, argv, CASES(cases));
}
