/*
 * topics_test.c - topics in the order in which things are asked for: who joins gets what the
 * same thread publishes next, wherever that thread is, and how little else is promised.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "../helpers/sse.h"
#include "../helpers/ws.h"

static struct heard heard;
static _Atomic apus_writer handed;
static struct app *running;

static int32_t publish(struct app *app, const char *topic, const char *text) {
  return apus_server_publish(app->server, topic, APUS_OPCODE_TEXT, text, strlen(text), 0);
}

static int64_t members(struct app *app, const char *topic) {
  return apus_server_subscriber_count(app->server, topic);
}

static void hand_over(void *context, apus_writer writer, apus_request request) {
  (void)context, (void)request;
  CHECK_INT(0, apus_writer_comment(writer, "in"));
  atomic_store(&handed, writer);
}

static void make(struct app *app, enum mode mode) {
  heard_reset(&heard);
  atomic_store(&handed, 0);
  running = app;
  app_make(app, mode);
  CHECK(apus_server_events(app->server, "/events", hand_over, NULL, NULL) >= 0);
}

static apus_writer take_writer(void) {
  EVENTUALLY(atomic_load(&handed) != 0);
  return atomic_exchange(&handed, 0);
}

/* ------------------------------------------------------------------ one thread */

/* Until something holds, on this thread, which the server has alone. */
#define TICKED(app, condition) EVENTUALLY((apus_server_tick((app)->server, 0), (condition)))

static void tick_through(struct app *app) {
  for (int i = 0; i < 8; i++) CHECK(apus_server_tick(app->server, 0) >= 0);
}

/* Joins, or leaves, and publishes at once; so does a writer. */
static void on_word(void *context, apus_channel channel, int32_t opcode, const void *data,
                    size_t length) {
  (void)opcode, (void)length;
  apus_writer writer = *(apus_writer *)context;
  if (strcmp(data, "join") == 0) {
    CHECK_INT(0, apus_channel_subscribe(channel, "room"));
    CHECK_INT(0, apus_writer_subscribe(writer, "room"));
  } else {
    CHECK_INT(0, publish(running, "room", "before"));
    CHECK_INT(0, apus_channel_unsubscribe(channel, "room"));
    CHECK_INT(0, apus_writer_unsubscribe(writer, "room"));
  }
  CHECK_INT(0, publish(running, "room", data));
}

/* Within a turn of the loop in which other mail has come already. */
static void test_own_turn(enum mode mode) {
  struct app app;
  struct sse sse;
  struct client client;
  if (mode != MODE_THREADLESS) return;
  make(&app, mode);
  app_websocket(&app, "/", heard_open, &heard);
  harness_start_undriven(&app);
  client_open(&client, app.port);
  ws_ask(&client, "/", "");
  sse_begin(&sse);
  client_open(&sse.client, app.port);
  sse_ask(&sse, "/events", "");
  TICKED(&app, atomic_load(&handed) != 0 && atomic_load(&heard.channel) != 0);
  apus_writer writer = take_writer();
  apus_channel channel = heard_opened(&heard);
  CHECK_INT(0, apus_channel_on_message(channel, on_word, &writer, NULL));
  CHECK_INT(0, apus_channel_subscribe(channel, "other"));
  TICKED(&app, members(&app, "other") == 1);
  tick_through(&app);
  ws_accepted(&client, NULL);
  sse_head(&sse);
  SSE_EXPECT(&sse, ": in\n\n");
  const char *words[] = {"join", "leave"};
  for (int i = 0; i < 2; i++) {
    ws_text(&client, words[i]);
    CHECK_INT(0, publish(&app, "other", "first"));
    TICKED(&app, members(&app, "room") == (i == 0 ? 2 : 0));
    CHECK_INT(0, publish(&app, "other", "last"));
    tick_through(&app);
    WS_EXPECT_TEXT(&client, "first");
    WS_EXPECT_TEXT(&client, i == 0 ? "join" : "before");
    WS_EXPECT_TEXT(&client, "last");
    SSE_EXPECT(&sse, i == 0 ? "data: join\n\n" : "data: before\n\n");
  }
  CHECK_INT(0, apus_writer_event(writer, NULL, NULL, "end", 3));
  tick_through(&app);
  SSE_EXPECT(&sse, "data: end\n\n");
  CHECK_INT(1, apus_writer_destroy(writer));
  client_close(&client);
  sse_close(&sse);
  CHECK_INT(0, apus_server_stop(app.server));
  CHECK_INT(1, apus_server_destroy(app.server));
}

/* --------------------------------------------------------------- other threads */

static struct client listening;
static _Atomic apus_channel speaking;
static atomic_int spoken;

static void *join_and_publish(void *context) {
  CHECK_INT(0, apus_channel_subscribe(atomic_load(&speaking), "room"));
  CHECK_INT(0, publish(context, "room", "elsewhere"));
  return NULL;
}

/* What it sends may go when it returns; a thread joins the channel and publishes before. */
static void on_speech(void *context, apus_channel channel, int32_t opcode, const void *data,
                      size_t length) {
  (void)opcode, (void)data, (void)length;
  pthread_t thread;
  atomic_store(&speaking, channel);
  CHECK_INT(0, apus_channel_send_text(channel, "sent", 4));
  CHECK_INT(0, pthread_create(&thread, NULL, join_and_publish, context));
  CHECK_INT(0, pthread_join(thread, NULL));
  WS_EXPECT_TEXT(&listening, "elsewhere");
  atomic_store(&spoken, 1);
}

static void test_other_thread(enum mode mode) {
  struct app app;
  struct client client;
  /* In the others this thread would wait for itself. */
  if (mode != MODE_TICK && mode != MODE_PULL) return;
  make(&app, mode);
  atomic_store(&spoken, 0);
  CHECK_INT(0, apus_server_set_workers(app.server, 1));
  app_websocket(&app, "/", heard_open, &heard);
  harness_start(&app);
  CHECK_INT(0, apus_channel_subscribe(ws_pair(&listening, app.port, "/", &heard), "room"));
  EVENTUALLY(members(&app, "room") == 1);
  apus_channel channel = ws_pair(&client, app.port, "/", &heard);
  CHECK_INT(0, apus_channel_on_message(channel, on_speech, &app, NULL));
  ws_text(&client, "go");
  WS_EXPECT_TEXT(&client, "sent");
  EVENTUALLY(atomic_load(&spoken) == 1);
  CHECK_INT(2, members(&app, "room"));
  CHECK_INT(0, publish(&app, "room", "end"));
  WS_EXPECT_TEXT(&client, "elsewhere");
  WS_EXPECT_TEXT(&client, "end");
  client_close(&client);
  client_close(&listening);
  harness_stop(&app);
}

/* ------------------------------------------------------- before there is a channel */

static _Atomic apus_request held;
static atomic_int welcomed;

static void hold_handler(void *context, apus_request request) {
  (void)context;
  app_defer(request);
  atomic_store(&held, request);
}

/* Accepts, joins, and tells everybody, itself as well. */
static void welcome_handler(void *context, apus_request request) {
  apus_channel channel = apus_upgrade_accept(apus_upgrade_make(request), NULL);
  CHECK(channel != 0);
  CHECK_INT(0, apus_channel_subscribe(channel, "room"));
  CHECK_INT(0, publish(context, "room", "welcome"));
  atomic_fetch_add(&welcomed, 1);
}

static void test_accepting(enum mode mode) {
  struct app app;
  struct client client;
  make(&app, mode);
  atomic_store(&welcomed, 0);
  app_route(&app, APUS_GET, "/hold", hold_handler, NULL);
  app_route(&app, APUS_GET, "/welcome", welcome_handler, &app);
  harness_start(&app);
  for (int i = 0; i < 50; i++) {
    client_open(&client, app.port);
    ws_ask(&client, "/welcome", "");
    ws_accepted(&client, NULL);
    WS_EXPECT_TEXT(&client, "welcome");
    client_close(&client);
    EVENTUALLY(members(&app, "room") == 0);
  }
  /* Its reply waits for another one. */
  client_open(&client, app.port);
  client_get(&client, "/hold");
  EVENTUALLY(atomic_load(&held) != 0);
  ws_ask(&client, "/welcome", "");
  EVENTUALLY(members(&app, "room") == 1 && atomic_load(&welcomed) == 51);
  CHECK_INT(0, publish(&app, "room", "second"));
  CHECK_INT(0, apus_reply_text(atomic_load(&held), 200, "held"));
  CLIENT_EXPECT(&client, "GET", 200, "held");
  ws_accepted(&client, NULL);
  WS_EXPECT_TEXT(&client, "welcome");
  WS_EXPECT_TEXT(&client, "second");
  client_close(&client);
  EVENTUALLY(members(&app, "room") == 0);
  /* It has gone before: so has the member. */
  atomic_store(&held, 0);
  client_open(&client, app.port);
  client_get(&client, "/hold");
  EVENTUALLY(atomic_load(&held) != 0);
  ws_ask(&client, "/welcome", "");
  EVENTUALLY(members(&app, "room") == 1);
  client_leave(&client);
  EVENTUALLY(members(&app, "room") == 0);
  CHECK_INT(1, apus_request_destroy(atomic_load(&held)));
  client_close(&client);
  harness_stop(&app);
}

/* ---------------------------------------------------------------- full channels */

static char large[16384];

static void open_small(void *context, apus_channel channel, apus_request request) {
  CHECK_INT(0, apus_channel_set_high_water(channel, 60000));
  CHECK_INT(0, apus_channel_subscribe(channel, "room"));
  CHECK_INT(0, apus_channel_on_error(channel, heard_error, context, NULL));
  heard_open(context, channel, request);
}

static void hello_handler(void *context, apus_request request) {
  (void)context;
  CHECK_INT(0, apus_reply_text(request, 200, "hello"));
}

static int64_t unheard(struct app *app) {
  return apus_server_counter(app->server, APUS_COUNT_UNHEARD);
}

/* What a channel misses while nobody ticks does not take the place of requests. */
static void test_missed(enum mode mode) {
  enum { PENDING = 16, MOST = 100000 };
  struct app app;
  struct client slow, client;
  if (mode != MODE_TICK) return;
  make(&app, mode);
  CHECK_INT(0, apus_server_set_max_pending(app.server, PENDING));
  app_websocket(&app, "/", open_small, &heard);
  app_route(&app, APUS_GET, "/hello", hello_handler, NULL);
  harness_start_undriven(&app);
  client_open_small(&slow, app.port, 4096);
  ws_ask(&slow, "/", "");
  TICKED(&app, members(&app, "room") == 1);
  tick_through(&app);
  for (int round = 1; round <= 2; round++) {
    int64_t before = unheard(&app);
    for (int i = 0; i < MOST && unheard(&app) < before + 4 * PENDING; i++) {
      int32_t result =
          apus_server_publish(app.server, "room", APUS_OPCODE_BINARY, large, sizeof large, 0);
      /* Where the workers have had no time for what was published before. */
      CHECK(result == 0 || result == APUS_E_FULL);
      if (result != 0 || i % 64 == 63) harness_breathe();
    }
    /* The channel leaves behind all that was published: no more of it comes after that. */
    CHECK_INT(0, apus_channel_unsubscribe(atomic_load(&heard.channel), "room"));
    EVENTUALLY(members(&app, "room") == 0);
    CHECK(unheard(&app) >= before + 4 * PENDING);
    int64_t replies = apus_server_counter(app.server, APUS_COUNT_REPLIES);
    client_open(&client, app.port);
    client_get(&client, "/hello");
    TICKED(&app, apus_server_counter(app.server, APUS_COUNT_REPLIES) > replies);
    CLIENT_EXPECT(&client, "GET", 200, "hello");
    client_close(&client);
    /* All of them are told by one. */
    TICKED(&app, heard_count(&heard, 'e') >= round);
    tick_through(&app);
    CHECK_INT(round, heard_count(&heard, 'e'));
    CHECK_INT(0, apus_channel_subscribe(atomic_load(&heard.channel), "room"));
    EVENTUALLY(members(&app, "room") == 1);
  }
  client_close(&slow);
  CHECK_INT(0, apus_server_stop(app.server));
  CHECK_INT(1, apus_server_destroy(app.server));
}

/* ---------------------------------------------------------------- busy workers */

static atomic_int blocked;

static void block_handler(void *context, apus_request request) {
  (void)context;
  atomic_store(&blocked, 1);
  EVENTUALLY(atomic_load(&blocked) == 2);
  CHECK_INT(0, apus_reply_text(request, 200, "blocked"));
}

/* What is published while a worker is busy is bounded; one message always may. */
static void test_under_way(enum mode mode) {
  enum { MIB = 1 << 20, LARGE = 65 * MIB };
  struct app app;
  struct client member, client;
  if (mode != MODE_WORKER) return;
  char *bytes = calloc(1, LARGE);
  CHECK(bytes != NULL);
  make(&app, mode);
  atomic_store(&blocked, 0);
  CHECK_INT(0, apus_server_set_workers(app.server, 1));
  app_websocket(&app, "/", heard_open, &heard);
  app_route(&app, APUS_GET, "/block", block_handler, NULL);
  harness_start(&app);
  apus_channel channel = ws_pair(&member, app.port, "/", &heard);
  CHECK_INT(0, apus_channel_subscribe(channel, "room"));
  EVENTUALLY(members(&app, "room") == 1);
  client_open(&client, app.port);
  client_get(&client, "/block");
  EVENTUALLY(atomic_load(&blocked) == 1);
  int count = 0;
  int32_t result = 0;
  while (count < 128 && result == 0) {
    result = apus_server_publish(app.server, "room", APUS_OPCODE_BINARY, bytes, MIB, channel);
    count += result == 0;
  }
  CHECK_INT(APUS_E_FULL, result);
  CHECK_INT(63, count);
  CHECK_CODE(APUS_E_FULL, apus_server_publish_event(app.server, "room", NULL, NULL, bytes, MIB));
  CHECK_INT(0, publish(&app, "room", "small"));
  atomic_store(&blocked, 2);
  CLIENT_EXPECT(&client, "GET", 200, "blocked");
  WS_EXPECT_TEXT(&member, "small");
  CHECK_INT(0, apus_server_publish(app.server, "room", APUS_OPCODE_BINARY, bytes, LARGE, channel));
  EVENTUALLY(publish(&app, "room", "end") == 0);
  WS_EXPECT_TEXT(&member, "end");
  client_close(&client);
  client_close(&member);
  harness_stop(&app);
  free(bytes);
}

static const struct harness_case cases[] = {
    {"own_turn", test_own_turn}, {"other_thread", test_other_thread}, {"accepting", test_accepting},
    {"missed", test_missed},     {"under_way", test_under_way},
};

int main(int argc, char **argv) { return harness_main("topics_test", argc, argv, CASES(cases)); }
