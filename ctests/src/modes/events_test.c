/*
 * events_test.c - the server's streams of events: how they begin, what is written on
 * them, heartbeats, topics, histories, clients that read too slowly, and their end.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "../helpers/sse.h"
#include "../helpers/ws.h"

static _Atomic apus_writer handed;
static atomic_int drops, closes, misses, channels;

static void count_drop(void *context) {
  CHECK(context == &drops);
  atomic_fetch_add(&drops, 1);
}

static void count_close(void *context, apus_writer writer) {
  (void)context;
  CHECK_INT(0, apus_writer_is_connected(writer));
  atomic_fetch_add(&closes, 1);
}

static void count_missed(void *context, apus_writer writer) {
  CHECK(context == &drops);
  CHECK(apus_writer_missed(writer) > 0);
  atomic_fetch_add(&misses, 1);
}

static void hand_over(void *context, apus_writer writer, apus_request request) {
  CHECK(context == &drops);
  CHECK_INT(APUS_KIND_WRITER, apus_handle_kind(writer));
  CHECK_INT(1, apus_writer_is_connected(writer));
  CHECK_INT(APUS_GET, apus_request_method(request));
  CHECK_CODE(APUS_E_STATE, apus_writer_begin(writer, -1));
  CHECK_CODE(APUS_E_STATE, apus_writer_set_header(writer, "A", "b"));
  CHECK_CODE(APUS_E_STATE, apus_reply_text(request, 200, "no"));
  CHECK_INT(0, apus_writer_on_close(writer, count_close, &drops, NULL));
  const char *id = apus_request_last_event_id(request);
  if (apus_request_header(request, "Last-Event-ID", NULL) == NULL) {
    CHECK_NONE(APUS_E_NOT_FOUND, apus_request_last_event_id(request));
  } else {
    CHECK_INT(0, apus_writer_event(writer, "last", NULL, id, APUS_STRLEN));
  }
  atomic_store(&handed, writer);
}

/* Subscribes to the topic of the path, and destroys its writer when it has gone. */
static void end_writer(void *context, apus_writer writer) {
  (void)context;
  CHECK_INT(1, apus_writer_destroy(writer));
  atomic_fetch_add(&closes, 1);
}

static void subscribe(void *context, apus_writer writer, apus_request request) {
  (void)context;
  CHECK_INT(0, apus_writer_on_close(writer, end_writer, NULL, NULL));
  /* First: from the subscription on, what others publish may come at any time. */
  CHECK_INT(0, apus_writer_comment(writer, "in"));
  CHECK_INT(0, apus_writer_subscribe(writer, apus_request_param(request, "topic", NULL)));
  atomic_store(&handed, writer);
}

static void join(void *context, apus_channel channel, apus_request request) {
  (void)context, (void)request;
  CHECK_INT(0, apus_channel_subscribe(channel, "news"));
  atomic_fetch_add(&channels, 1);
}

/* Decides by itself, in an ordinary handler. */
static void decide(void *context, apus_request request) {
  (void)context;
  if (strcmp(apus_request_query(request), "no") == 0) {
    CHECK_INT(0, apus_reply_status(request, 204));
    CHECK_NONE(harness_pulled ? APUS_E_HANDLE : APUS_E_STATE, apus_writer_make_events(request));
    return;
  }
  CHECK_INT(0, apus_reply_set_header(request, "X-Own", "1"));
  CHECK_INT(0, apus_reply_set_header(request, "Cache-Control", "max-age=1"));
  apus_writer writer = apus_writer_make_events(request);
  CHECK(writer != 0);
  CHECK_NONE(APUS_E_STATE, apus_writer_make_events(request));
  CHECK_NONE(APUS_E_STATE, apus_writer_make(request));
  CHECK_INT(0, apus_writer_event(writer, NULL, NULL, "decided", APUS_STRLEN));
  CHECK_INT(0, apus_writer_end(writer));
  CHECK_INT(1, apus_writer_destroy(writer));
}

static void plain(void *context, apus_request request) {
  (void)context;
  apus_writer writer = apus_writer_make(request);
  CHECK_CODE(APUS_E_STATE, apus_writer_event(writer, NULL, NULL, "x", 1));
  CHECK_CODE(APUS_E_STATE, apus_writer_retry(writer, 1));
  CHECK_CODE(APUS_E_STATE, apus_writer_comment(writer, "x"));
  CHECK_CODE(APUS_E_STATE, apus_writer_subscribe(writer, "news"));
  CHECK_CODE(APUS_E_STATE, apus_writer_set_heartbeat(writer, 1));
  CHECK_CODE(APUS_E_STATE, apus_writer_set_close_when_slow(writer, 1));
  CHECK_CODE(APUS_E_STATE, apus_writer_missed(writer));
  CHECK_CODE(APUS_E_STATE, apus_writer_on_missed(writer, count_missed, &drops, count_drop));
  CHECK_INT(0, apus_writer_set_idle_timeout(writer, 150));
  CHECK_INT(0, apus_writer_on_close(writer, end_writer, NULL, NULL));
  CHECK_INT(0, apus_writer_write(writer, "piece", 5));
}

static void make(struct app *app, enum mode mode) {
  atomic_store(&handed, 0);
  atomic_store(&drops, 0);
  atomic_store(&closes, 0);
  atomic_store(&misses, 0);
  atomic_store(&channels, 0);
  app_make(app, mode);
  CHECK(apus_server_events(app->server, "/events", hand_over, &drops, count_drop) >= 0);
  CHECK(apus_server_events(app->server, "/topic/:topic", subscribe, NULL, NULL) >= 0);
  app_route(app, APUS_GET, "/decide", decide, NULL);
  app_route(app, APUS_GET, "/plain", plain, NULL);
}

static void start(struct app *app, enum mode mode) {
  make(app, mode);
  app_websocket(app, "/ws", join, NULL);
  harness_start(app);
}

static void open_topic(struct sse *sse, struct app *app, const char *topic, const char *id) {
  char target[64], field[64] = "";
  snprintf(target, sizeof target, "/topic/%s", topic);
  if (id != NULL) snprintf(field, sizeof field, "Last-Event-ID: %s\r\n", id);
  sse_open(sse, app->port, target, field);
}

static void publish(struct app *app, const char *id, const char *data) {
  CHECK_INT(0, apus_server_publish_event(app->server, "news", NULL, id, data, APUS_STRLEN));
}

/* Until the loops have seen to all that was asked for. */
#define MEMBERS(app, count) \
  EVENTUALLY(apus_server_subscriber_count((app)->server, "news") == (count))

/* ---------------------------------------------------------------- one stream */

static apus_writer take_writer(void) {
  EVENTUALLY(atomic_load(&handed) != 0);
  return atomic_exchange(&handed, 0);
}

static void test_writing(enum mode mode) {
  struct app app;
  struct sse sse;
  start(&app, mode);
  sse_open(&sse, app.port, "/events", "Last-Event-ID: 41\r\n");
  apus_writer writer = take_writer();
  SSE_EXPECT(&sse, "event: last\ndata: 41\n\n");
  CHECK_INT(0, apus_writer_event(writer, NULL, NULL, "hello", APUS_STRLEN));
  SSE_EXPECT(&sse, "data: hello\n\n");
  CHECK_INT(0, apus_writer_event(writer, "add", "42", "a\r\nb\nc\rd", APUS_STRLEN));
  SSE_EXPECT(&sse, "id: 42\nevent: add\ndata: a\ndata: b\ndata: c\ndata: d\n\n");
  CHECK_INT(0, apus_writer_event(writer, "", "", NULL, 0));
  SSE_EXPECT(&sse, "id:\ndata:\n\n");
  CHECK_INT(0, apus_writer_retry(writer, 2500));
  SSE_EXPECT(&sse, "retry: 2500\n\n");
  CHECK_INT(0, apus_writer_comment(writer, "one\ntwo"));
  SSE_EXPECT(&sse, ": one\n: two\n\n");
  CHECK_CODE(APUS_E_ARGUMENT, apus_writer_event(writer, "a\nb", NULL, "x", 1));
  CHECK_CODE(APUS_E_ARGUMENT, apus_writer_event(writer, NULL, "a\rb", "x", 1));
  CHECK_CODE(APUS_E_ARGUMENT, apus_writer_event(writer, NULL, NULL, "\xff", 1));
  CHECK_CODE(APUS_E_ARGUMENT, apus_writer_event(writer, NULL, NULL, NULL, 1));
  CHECK_CODE(APUS_E_ARGUMENT, apus_writer_retry(writer, -1));
  CHECK_CODE(APUS_E_ARGUMENT, apus_writer_comment(writer, NULL));
  CHECK_INT(0, apus_writer_missed(writer));
  CHECK_INT(0, apus_writer_end(writer));
  CHECK_CODE(APUS_E_STATE, apus_writer_event(writer, NULL, NULL, "x", 1));
  CHECK_CODE(APUS_E_STATE, apus_writer_subscribe(writer, "news"));
  SSE_ENDS(&sse);
  EVENTUALLY(atomic_load(&closes) == 1);
  CHECK_INT(1, apus_writer_destroy(writer));
  /* The connection goes on. */
  sse_ask(&sse, "/decide?no", "");
  CLIENT_EXPECT(&sse.client, "GET", 204, "");
  sse_close(&sse);
  harness_stop(&app);
  CHECK_INT(1, atomic_load(&drops));
}

static void test_heads(enum mode mode) {
  struct app app;
  struct sse sse;
  struct reply reply;
  start(&app, mode);
  struct client client;
  client_open(&client, app.port);
  client_text(&client, "HEAD /events HTTP/1.1\r\nHost: a\r\n\r\n");
  client_reply(&client, "HEAD", &reply);
  CHECK_INT(200, reply.status);
  CHECK_TEXT("text/event-stream", reply_field(&reply, "Content-Type"));
  reply_free(&reply);
  client_get(&client, "/decide");
  client_reply(&client, "GET", &reply);
  CHECK_TEXT("1", reply_field(&reply, "X-Own"));
  CHECK_TEXT("no-store", reply_field(&reply, "Cache-Control"));
  CHECK_TEXT("data: decided\n\n", reply.body);
  reply_free(&reply);
  client_text(&client, "POST /events HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
  client_reply(&client, "POST", &reply);
  CHECK_INT(405, reply.status);
  reply_free(&reply);
  client_close(&client);
  CHECK_INT(0, atomic_load(&handed));
  /* HTTP/1.0 knows no chunks. */
  sse_begin(&sse);
  sse.chunked = 0;
  client_open(&sse.client, app.port);
  client_text(&sse.client, "GET /topic/news HTTP/1.0\r\n\r\n");
  sse_head(&sse);
  SSE_EXPECT(&sse, ": in\n\n");
  MEMBERS(&app, 1);
  publish(&app, "1", "old");
  SSE_EXPECT(&sse, "id: 1\ndata: old\n\n");
  CHECK_INT(0, apus_writer_end(take_writer()));
  SSE_ENDS(&sse);
  sse_close(&sse);
  harness_stop(&app);
}

/* Comments come by themselves while nothing is written. */
static void test_heartbeat(enum mode mode) {
  struct app app;
  struct sse sse, other;
  make(&app, mode);
  CHECK_CODE(APUS_E_ARGUMENT, apus_server_set_heartbeat(app.server, -1));
  CHECK_INT(0, apus_server_set_heartbeat(app.server, 100));
  harness_start(&app);
  CHECK_CODE(APUS_E_STATE, apus_server_set_heartbeat(app.server, 1));
  sse_open(&sse, app.port, "/events", "");
  apus_writer writer = take_writer();
  for (int i = 0; i < 3; i++) SSE_EXPECT(&sse, ":\n\n");
  CHECK_INT(0, apus_writer_set_heartbeat(writer, 0));
  /* What was due may have gone already; the next event is then behind it. */
  CHECK_INT(0, apus_writer_event(writer, NULL, NULL, "x", 1));
  char *block = sse_block(&sse);
  while (strcmp(block, ":\n\n") == 0) {
    free(block);
    block = sse_block(&sse);
  }
  CHECK_TEXT("data: x\n\n", block);
  free(block);
  /* While another one gets its beats this one gets none. */
  sse_open(&other, app.port, "/topic/news", "");
  SSE_EXPECT(&other, ": in\n\n");
  for (int i = 0; i < 4; i++) SSE_EXPECT(&other, ":\n\n");
  CHECK_INT(0, apus_writer_event(writer, NULL, NULL, "y", 1));
  SSE_EXPECT(&sse, "data: y\n\n");
  CHECK_INT(0, apus_writer_set_heartbeat(writer, 100));
  SSE_EXPECT(&sse, ":\n\n");
  CHECK_INT(1, apus_writer_destroy(writer));
  sse_close(&sse);
  sse_close(&other);
  EVENTUALLY(atomic_load(&closes) >= 1);
  harness_stop(&app);
}

/* A writer that nobody writes on ends; heartbeats do not keep it. */
static void test_idle(enum mode mode) {
  struct app app;
  struct sse sse;
  struct client client;
  struct reply reply;
  make(&app, mode);
  CHECK_INT(0, apus_server_set_heartbeat(app.server, 50));
  harness_start(&app);
  sse_open(&sse, app.port, "/events", "");
  apus_writer writer = take_writer();
  CHECK_CODE(APUS_E_ARGUMENT, apus_writer_set_idle_timeout(writer, -1));
  CHECK_INT(0, apus_writer_set_idle_timeout(writer, 400));
  for (char *block; (block = sse_block(&sse)) != NULL; free(block)) CHECK_TEXT(":\n\n", block);
  EVENTUALLY(atomic_load(&closes) == 1);
  CHECK_INT(0, apus_writer_is_connected(writer));
  CHECK_CODE(APUS_E_CLOSED, apus_writer_event(writer, NULL, NULL, "x", 1));
  CHECK_INT(1, apus_writer_destroy(writer));
  sse_close(&sse);
  /* A writer of any kind. */
  client_open(&client, app.port);
  client_get(&client, "/plain");
  int result = client_try_reply(&client, "GET", &reply);
  CHECK(result == REPLY_CUT);
  reply_free(&reply);
  EVENTUALLY(atomic_load(&closes) == 2);
  client_close(&client);
  harness_stop(&app);
  CHECK_INT(2, atomic_load(&drops)); /* the route's, and the one that plain() refused */
}

/* -------------------------------------------------------------------- topics */

static void test_topics(enum mode mode) {
  struct app app;
  struct sse first, second, elsewhere;
  struct client ws;
  start(&app, mode);
  open_topic(&first, &app, "news", NULL);
  apus_writer writer = take_writer();
  open_topic(&second, &app, "news", NULL);
  open_topic(&elsewhere, &app, "other", NULL);
  ws_open(&ws, app.port, "/ws");
  SSE_EXPECT(&first, ": in\n\n");
  SSE_EXPECT(&second, ": in\n\n");
  SSE_EXPECT(&elsewhere, ": in\n\n");
  MEMBERS(&app, 3);
  publish(&app, "1", "one\ntwo");
  CHECK_INT(0, apus_server_publish(app.server, "news", APUS_OPCODE_TEXT, "text", 4, writer));
  CHECK_INT(0, apus_server_publish(app.server, "news", APUS_OPCODE_BINARY, "bin", 3, 0));
  CHECK_INT(0, apus_server_publish_event(app.server, "news", "typed", NULL, "", 0));
  SSE_EXPECT(&first, "id: 1\ndata: one\ndata: two\n\n");
  SSE_EXPECT(&first, "event: typed\ndata:\n\n");
  SSE_EXPECT(&second, "id: 1\ndata: one\ndata: two\n\n");
  SSE_EXPECT(&second, "data: text\n\n");
  SSE_EXPECT(&second, "event: typed\ndata:\n\n");
  WS_EXPECT(&ws, WS_FINAL | APUS_OPCODE_TEXT, "one\ntwo", 7);
  WS_EXPECT(&ws, WS_FINAL | APUS_OPCODE_TEXT, "text", 4);
  WS_EXPECT(&ws, WS_FINAL | APUS_OPCODE_BINARY, "bin", 3);
  WS_EXPECT(&ws, WS_FINAL | APUS_OPCODE_TEXT, "", 0);
  CHECK_CODE(APUS_E_ARGUMENT,
             apus_server_publish_event(app.server, "nobody", "a\nb", NULL, "x", 1));
  CHECK_INT(0, apus_writer_subscribe(writer, "news")); /* it is in it already */
  CHECK_INT(0, apus_writer_subscribe(writer, "other"));
  CHECK_INT(0, apus_writer_unsubscribe(writer, "news"));
  CHECK_INT(0, apus_writer_unsubscribe(writer, "never"));
  CHECK_CODE(APUS_E_ARGUMENT, apus_writer_subscribe(writer, ""));
  CHECK_CODE(APUS_E_ARGUMENT, apus_writer_subscribe(writer, NULL));
  MEMBERS(&app, 2);
  publish(&app, NULL, "not for the first");
  CHECK_INT(0, apus_server_publish_event(app.server, "other", NULL, NULL, "x", 1));
  SSE_EXPECT(&first, "data: x\n\n");
  SSE_EXPECT(&elsewhere, "data: x\n\n");
  SSE_EXPECT(&second, "data: not for the first\n\n");
  client_leave(&second.client);
  MEMBERS(&app, 1);
  CHECK_INT(0, apus_writer_end(writer));
  SSE_ENDS(&first);
  EVENTUALLY(apus_server_subscriber_count(app.server, "other") == 1);
  sse_close(&first);
  sse_close(&second);
  sse_close(&elsewhere);
  client_close(&ws);
  harness_stop(&app);
}

/* ------------------------------------------------------------------ histories */

static void expect_ids(struct sse *sse, int from, int to) {
  char text[64];
  SSE_EXPECT(sse, ": in\n\n");
  for (int id = from; id <= to; id++) {
    snprintf(text, sizeof text, "id: %d\ndata: event %d\n\n", id, id);
    SSE_EXPECT(sse, text);
  }
}

static void publish_ids(struct app *app, int from, int to) {
  char id[16], data[32];
  for (int i = from; i <= to; i++) {
    snprintf(id, sizeof id, "%d", i);
    snprintf(data, sizeof data, "event %d", i);
    publish(app, id, data);
  }
}

/* What a client gets that has had an event, up to one that is published then. */
static void check_replay(struct app *app, const char *last, int from, int to, const char *next) {
  struct sse sse;
  open_topic(&sse, app, "news", last);
  MEMBERS(app, 1);
  CHECK_INT(0, apus_server_publish(app->server, "news", APUS_OPCODE_TEXT, next, strlen(next), 0));
  expect_ids(&sse, from, to);
  char text[64];
  snprintf(text, sizeof text, "data: %s\n\n", next);
  SSE_EXPECT(&sse, text);
  sse_close(&sse);
  MEMBERS(app, 0);
}

static void test_history(enum mode mode) {
  struct app app;
  make(&app, mode);
  CHECK_CODE(APUS_E_ARGUMENT, apus_server_set_topic_history(app.server, "", 1, 1));
  CHECK_CODE(APUS_E_ARGUMENT, apus_server_set_topic_history(app.server, "news", -1, 1));
  CHECK_CODE(APUS_E_ARGUMENT, apus_server_set_topic_history(app.server, "news", 1, -1));
  CHECK_INT(0, apus_server_set_topic_history(app.server, "news", 0, 0));
  CHECK_INT(0, apus_server_set_topic_history(app.server, "news", 10, 1 << 20));
  harness_start(&app);
  publish_ids(&app, 1, 8);
  check_replay(&app, "5", 6, 8, "a"); /* what is published then is kept, too: */
  check_replay(&app, "8", 1, 0, "a"); /* that first one, before the second */
  harness_stop(&app);
}

static void test_history_limits(enum mode mode) {
  struct app app;
  struct sse sse;
  start(&app, mode);
  CHECK_INT(0, apus_server_set_topic_history(app.server, "news", 10, 1 << 20));
  publish_ids(&app, 1, 25);
  /* The id is too old, or unknown: all that is kept. */
  open_topic(&sse, &app, "news", "3");
  expect_ids(&sse, 16, 25);
  sse_close(&sse);
  open_topic(&sse, &app, "news", "unknown");
  expect_ids(&sse, 16, 25);
  sse_close(&sse);
  open_topic(&sse, &app, "news", "15");
  expect_ids(&sse, 16, 25);
  sse_close(&sse);
  open_topic(&sse, &app, "news", "24");
  expect_ids(&sse, 25, 25);
  sse_close(&sse);
  /* Nothing for who has had none. */
  MEMBERS(&app, 0);
  open_topic(&sse, &app, "news", NULL);
  MEMBERS(&app, 1);
  publish_ids(&app, 26, 26);
  expect_ids(&sse, 26, 26);
  sse_close(&sse);
  CHECK_INT(0, apus_server_set_topic_history(app.server, "news", 4, 1 << 20));
  open_topic(&sse, &app, "news", "1");
  expect_ids(&sse, 23, 26);
  sse_close(&sse);
  /* "id: 26\ndata: event 26\n\n" is 23 bytes, as a chunk 29, and 192 beyond. */
  CHECK_INT(0, apus_server_set_topic_history(app.server, "news", 4, 2 * (29 + 192)));
  open_topic(&sse, &app, "news", "1");
  expect_ids(&sse, 25, 26);
  sse_close(&sse);
  CHECK_INT(0, apus_server_set_topic_history(app.server, "news", 0, 0));
  MEMBERS(&app, 0);
  open_topic(&sse, &app, "news", "1");
  MEMBERS(&app, 1);
  publish_ids(&app, 27, 27);
  expect_ids(&sse, 27, 27);
  sse_close(&sse);
  harness_stop(&app);
}

/* An event that is larger than all that is kept leaves nothing of what was before it: that
 * would have a hole, and be sent twice. */
static void test_history_large(enum mode mode) {
  static char huge[4000];
  struct app app;
  struct sse sse;
  memset(huge, 'x', sizeof huge - 1);
  start(&app, mode);
  CHECK_INT(0, apus_server_set_topic_history(app.server, "news", 10, 3 * (29 + 192)));
  publish_ids(&app, 11, 12);
  publish(&app, "13", huge);
  publish_ids(&app, 14, 14);
  open_topic(&sse, &app, "news", "13");
  expect_ids(&sse, 14, 14);
  sse_close(&sse);
  MEMBERS(&app, 0);
  publish(&app, "15", huge);
  open_topic(&sse, &app, "news", "15");
  MEMBERS(&app, 1);
  publish_ids(&app, 16, 16);
  expect_ids(&sse, 16, 16);
  sse_close(&sse);
  harness_stop(&app);
}

/* The id that a client says is kept as long as its stream; too long a one is as unknown. */
static void test_long_id(enum mode mode) {
  enum { LONGEST = 4096 };
  static char id[LONGEST + 2], fields[LONGEST + 64];
  struct app app;
  start(&app, mode);
  CHECK_INT(0, apus_server_set_topic_history(app.server, "news", 10, 1 << 20));
  for (int extra = 0; extra < 2; extra++) {
    struct sse sse;
    memset(id, 'x', LONGEST);
    id[LONGEST] = extra ? 'x' : '\0';
    publish_ids(&app, 1, 1);
    publish(&app, id, "long");
    publish_ids(&app, 2, 2);
    snprintf(fields, sizeof fields, "Last-Event-ID: %s\r\n", id);
    sse_begin(&sse);
    client_open(&sse.client, app.port);
    client_format(&sse.client, "GET /topic/news HTTP/1.1\r\nHost: a\r\n");
    client_text(&sse.client, fields);
    client_text(&sse.client, "\r\n");
    sse_head(&sse);
    SSE_EXPECT(&sse, ": in\n\n");
    if (extra) SSE_EXPECT(&sse, "id: 1\ndata: event 1\n\n");
    if (extra) free(sse_block(&sse));
    SSE_EXPECT(&sse, "id: 2\ndata: event 2\n\n");
    sse_close(&sse);
    MEMBERS(&app, 0);
    CHECK_INT(0, apus_server_set_topic_history(app.server, "news", 0, 0));
    CHECK_INT(0, apus_server_set_topic_history(app.server, "news", 10, 1 << 20));
  }
  harness_stop(&app);
}

/* Who has left a topic and joins it again on one stream has had what is kept. */
static void test_rejoin(enum mode mode) {
  struct app app;
  struct sse sse;
  start(&app, mode);
  CHECK_INT(0, apus_server_set_topic_history(app.server, "news", 10, 1 << 20));
  CHECK_INT(0, apus_server_set_topic_history(app.server, "other", 10, 1 << 20));
  publish_ids(&app, 1, 3);
  CHECK_INT(0, apus_server_publish_event(app.server, "other", NULL, "o", "other", 5));
  open_topic(&sse, &app, "news", "1");
  expect_ids(&sse, 2, 3);
  apus_writer writer = take_writer();
  for (int i = 0; i < 2; i++) {
    CHECK_INT(0, apus_writer_unsubscribe(writer, "news"));
    publish(&app, NULL, "missed");
    CHECK_INT(0, apus_writer_subscribe(writer, "news"));
    publish(&app, NULL, "next");
    SSE_EXPECT(&sse, "data: next\n\n");
  }
  CHECK_INT(0, apus_writer_subscribe(writer, "other"));
  SSE_EXPECT(&sse, "id: o\ndata: other\n\n");
  sse_close(&sse);
  harness_stop(&app);
}

#define RACE_EVENTS 6000

static void *publish_all(void *context) {
  publish_ids(context, 1001, 1000 + RACE_EVENTS);
  return NULL;
}

/* Clients come while events are published: none is lost, and none comes twice. */
static void test_replay_meanwhile(enum mode mode) {
  struct app app;
  pthread_t publisher;
  start(&app, mode);
  CHECK_INT(0, apus_server_set_topic_history(app.server, "news", 100000, 1 << 24));
  publish_ids(&app, 1, 1000);
  CHECK_INT(0, pthread_create(&publisher, NULL, publish_all, &app));
  enum { CLIENTS = 12 };
  struct sse clients[CLIENTS];
  for (int i = 0; i < CLIENTS; i++) {
    char last[16];
    snprintf(last, sizeof last, "%d", 900 + i);
    open_topic(&clients[i], &app, "news", last);
  }
  for (int i = 0; i < CLIENTS; i++) {
    expect_ids(&clients[i], 901 + i, 1000 + RACE_EVENTS);
    sse_close(&clients[i]);
  }
  CHECK_INT(0, pthread_join(publisher, NULL));
  harness_stop(&app);
}

/* --------------------------------------------------------------- slow readers */

static char large[2000];

/* Publishes until a slow one has missed something; returns the last id. */
static int overwhelm(struct app *app, apus_writer slow, struct sse *fast) {
  char id[16], text[2100];
  int number = 0;
  while (apus_writer_missed(slow) == 0 && number < 20000) {
    snprintf(id, sizeof id, "%d", ++number);
    publish(app, id, large);
    snprintf(text, sizeof text, "id: %d\ndata: %s\n\n", number, large);
    SSE_EXPECT(fast, text);
    CHECK(apus_writer_buffered(slow) <= 65536 + 2 * (int64_t)sizeof text);
  }
  CHECK(apus_writer_missed(slow) > 0);
  return number;
}

static void test_slow(enum mode mode) {
  struct app app;
  struct sse fast, slow;
  memset(large, 'x', sizeof large - 1);
  start(&app, mode);
  sse_begin(&slow);
  client_open_small(&slow.client, app.port, 4096);
  sse_ask(&slow, "/topic/news", "");
  sse_head(&slow);
  SSE_EXPECT(&slow, ": in\n\n");
  apus_writer writer = take_writer();
  CHECK_INT(0, apus_writer_set_high_water(writer, 65536));
  CHECK_INT(0, apus_writer_on_missed(writer, count_missed, &drops, count_drop));
  open_topic(&fast, &app, "news", NULL);
  SSE_EXPECT(&fast, ": in\n\n");
  MEMBERS(&app, 2);
  int last = overwhelm(&app, writer, &fast);
  EVENTUALLY(atomic_load(&misses) > 0);
  /* What it still gets is whole, in order, and ends with the latest. */
  int gaps = 0, before = 0, got = 0;
  while (before < last) {
    char *block = sse_block(&slow);
    CHECK(block != NULL);
    int id = atoi(block + 4);
    CHECK(id > before);
    gaps += id != before + 1;
    got++;
    before = id;
    free(block);
  }
  int64_t missed = apus_writer_missed(writer);
  CHECK_INT(missed, apus_server_counter(app.server, APUS_COUNT_UNHEARD));
  CHECK_INT(1, gaps);
  CHECK_INT(last, got + missed);
  publish(&app, "next", "again");
  SSE_EXPECT(&slow, "id: next\ndata: again\n\n");
  CHECK_INT(missed, apus_writer_missed(writer));
  sse_close(&slow);
  sse_close(&fast);
  EVENTUALLY(atomic_load(&closes) == 2);
  harness_stop(&app);
  CHECK_INT(2, atomic_load(&drops)); /* the route's and on_missed's */
}

/* The other policy: it is closed. */
static void test_slow_closes(enum mode mode) {
  struct app app;
  struct sse slow;
  memset(large, 'x', sizeof large - 1);
  make(&app, mode);
  CHECK_CODE(APUS_E_ARGUMENT, apus_server_set_close_when_slow(app.server, 2));
  CHECK_INT(0, apus_server_set_close_when_slow(app.server, 1));
  CHECK_INT(0, apus_server_set_high_water(app.server, 65536));
  harness_start(&app);
  sse_begin(&slow);
  client_open_small(&slow.client, app.port, 4096);
  sse_ask(&slow, "/topic/news", "");
  sse_head(&slow);
  MEMBERS(&app, 1);
  for (int i = 0; i < 20000 && atomic_load(&closes) == 0; i++) {
    publish(&app, NULL, large);
    if (i % 64 == 0) harness_breathe();
  }
  EVENTUALLY(atomic_load(&closes) == 1);
  MEMBERS(&app, 0);
  sse_close(&slow);
  harness_stop(&app);
}

/* More in one go than is kept for a client: one that reads misses nothing. */
static void test_burst(enum mode mode) {
  struct app app;
  struct sse sse;
  memset(large, 'x', sizeof large - 1);
  start(&app, mode);
  CHECK_INT(0, apus_server_set_topic_history(app.server, "news", 1000, 1 << 22));
  for (int i = 0; i < 1000; i++) publish(&app, i == 0 ? "0" : NULL, large);
  open_topic(&sse, &app, "news", "0");
  SSE_EXPECT(&sse, ": in\n\n");
  char text[2100];
  snprintf(text, sizeof text, "data: %s\n\n", large);
  for (int i = 1; i < 1000; i++) SSE_EXPECT(&sse, text);
  CHECK_INT(0, apus_writer_missed(take_writer()));
  sse_close(&sse);
  EVENTUALLY(atomic_load(&closes) == 1);
  harness_stop(&app);
}

/* ------------------------------------------------------------------------ ends */

/* A stop ends streams that would never end by themselves, and cleanly. */
static void test_stop(enum mode mode) {
  struct app app;
  struct sse sse, other;
  start(&app, mode);
  CHECK_CODE(APUS_E_STATE, apus_server_events(app.server, "/late", hand_over, &drops, count_drop));
  CHECK_INT(1, atomic_load(&drops));
  sse_open(&sse, app.port, "/events", "");
  apus_writer writer = take_writer();
  open_topic(&other, &app, "news", NULL);
  SSE_EXPECT(&other, ": in\n\n");
  MEMBERS(&app, 1);
  CHECK_INT(0, apus_writer_event(writer, NULL, NULL, "last words", APUS_STRLEN));
  harness_halt(&app);
  SSE_EXPECT(&sse, "data: last words\n\n");
  SSE_ENDS(&sse);
  SSE_ENDS(&other);
  CHECK_INT(1, apus_writer_is_alive(writer));
  int32_t code = apus_writer_event(writer, NULL, NULL, "x", 1);
  CHECK(code == APUS_E_CLOSED || code == APUS_E_STATE);
  CHECK_INT(1, apus_writer_destroy(writer));
  sse_close(&sse);
  sse_close(&other);
  CHECK_INT(1, apus_server_destroy(app.server));
  CHECK_INT(2, atomic_load(&drops));
}

/* Destroying a writer breaks its stream off: nobody takes it for whole. */
static void test_destroy(enum mode mode) {
  struct app app;
  struct sse sse;
  start(&app, mode);
  open_topic(&sse, &app, "news", NULL);
  SSE_EXPECT(&sse, ": in\n\n");
  MEMBERS(&app, 1);
  CHECK_INT(1, apus_writer_destroy(take_writer()));
  SSE_ENDS(&sse);
  MEMBERS(&app, 0);
  publish(&app, NULL, "nobody");
  sse_close(&sse);
  /* And the server's end takes writers with it. */
  open_topic(&sse, &app, "news", NULL);
  SSE_EXPECT(&sse, ": in\n\n");
  harness_stop(&app);
  sse_close(&sse);
}

/* One that is left to the library ends with its client, or with its reply. */
static void test_detach(enum mode mode) {
  struct app app;
  struct sse sse;
  start(&app, mode);
  for (int ends = 0; ends < 2; ends++) {
    open_topic(&sse, &app, "news", NULL);
    SSE_EXPECT(&sse, ": in\n\n");
    apus_writer writer = take_writer();
    CHECK_INT(0, apus_writer_detach(writer));
    CHECK_INT(0, apus_writer_event(writer, NULL, NULL, "still here", APUS_STRLEN));
    SSE_EXPECT(&sse, "data: still here\n\n");
    CHECK_INT(1, apus_writer_is_alive(writer));
    if (ends) {
      CHECK_INT(0, apus_writer_end(writer));
      SSE_ENDS(&sse);
    } else {
      sse_close(&sse);
    }
    EVENTUALLY(atomic_load(&closes) == ends + 1);
    EVENTUALLY(!apus_writer_is_alive(writer));
    CHECK_CODE(APUS_E_HANDLE, apus_writer_detach(writer));
    if (ends) sse_close(&sse);
  }
  harness_stop(&app);
}

static const struct harness_case cases[] = {
    {"writing", test_writing},
    {"heads", test_heads},
    {"heartbeat", test_heartbeat},
    {"idle", test_idle},
    {"topics", test_topics},
    {"history", test_history},
    {"history_limits", test_history_limits},
    {"history_large", test_history_large},
    {"long_id", test_long_id},
    {"rejoin", test_rejoin},
    {"replay_meanwhile", test_replay_meanwhile},
    {"slow", test_slow},
    {"slow_closes", test_slow_closes},
    {"burst", test_burst},
    {"stop", test_stop},
    {"destroy", test_destroy},
    {"detach", test_detach},
};

int main(int argc, char **argv) { return harness_main("events_test", argc, argv, CASES(cases)); }
