/*
 * writer_test.c - replies in pieces: chunked and counted, with trailers, from
 * other threads and after the handler; the high-water mark and on_drain; what
 * happens when the client leaves, or the host gives up half way.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "../helpers/harness.h"

static _Atomic apus_writer handed;
static atomic_int drops, refused, drains, closes;

static void count_drop(void *context) {
  CHECK(context == &drops);
  atomic_fetch_add(&drops, 1);
}

static void drop_refused(void *context) {
  (void)context;
  atomic_fetch_add(&refused, 1);
}

static void count_drain(void *context, apus_writer writer) {
  CHECK(context == &drops);
  CHECK_INT(1, apus_writer_is_alive(writer));
  atomic_fetch_add(&drains, 1);
}

/* By then the main thread may have destroyed the writer. */
static void count_close(void *context, apus_writer writer) {
  CHECK(context == &drops);
  CHECK_INT(0, apus_writer_is_connected(writer));
  atomic_fetch_add(&closes, 1);
}

static void reset_counts(void) {
  atomic_store(&handed, 0);
  atomic_store(&drops, 0);
  atomic_store(&drains, 0);
  atomic_store(&closes, 0);
}

/* Makes the writer, and leaves it to the main thread. */
static void hand_over(void *context, apus_request request) {
  (void)context;
  apus_writer writer = apus_writer_make(request);
  CHECK(writer != 0);
  CHECK_INT(0, apus_writer_on_drain(writer, count_drain, &drops, count_drop));
  CHECK_INT(0, apus_writer_on_close(writer, count_close, &drops, count_drop));
  atomic_store(&handed, writer);
}

static void hello_handler(void *context, apus_request request) {
  (void)context;
  CHECK_INT(0, apus_reply_text(request, 200, "hello"));
}

static void start_writers(struct app *app, enum mode mode) {
  reset_counts();
  app_make(app, mode);
  CHECK_INT(0, apus_server_set_high_water(app->server, 65536));
  app_route(app, APUS_GET, "/writer", hand_over, NULL);
  app_route(app, APUS_GET, "/hello", hello_handler, NULL);
  harness_start(app);
}

/* Asks for the writer, and takes it when the handler has made it. */
static apus_writer ask_writer(struct client *client, const char *request) {
  atomic_store(&handed, 0);
  client_text(client, request);
  EVENTUALLY(atomic_load(&handed) != 0);
  return atomic_load(&handed);
}

static const char get_writer[] = "GET /writer HTTP/1.1\r\nHost: a\r\n\r\n";

/* ------------------------------------------------------------- whole replies */

static void whole_handler(void *context, apus_request request) {
  (void)context;
  CHECK_INT(0, apus_reply_set_status(request, 201));
  CHECK_INT(0, apus_reply_set_header(request, "X-Before", "1"));
  apus_writer writer = apus_writer_make(request);
  CHECK(writer != 0);
  CHECK_INT(APUS_KIND_WRITER, apus_handle_kind(writer));
  CHECK_NONE(APUS_E_STATE, apus_writer_make(request));
  CHECK_CODE(APUS_E_STATE, apus_reply_text(request, 200, "no"));
  CHECK_INT(1, apus_writer_is_alive(writer));
  CHECK_INT(1, apus_writer_is_connected(writer));
  CHECK_TEXT("/whole", apus_request_path(request));
  CHECK_INT(0, apus_writer_set_status(writer, 202));
  CHECK_INT(0, apus_writer_set_header(writer, "Content-Type", "text/x-a"));
  CHECK_INT(0, apus_writer_add_header(writer, "X-Many", "1"));
  CHECK_INT(0, apus_writer_add_header(writer, "X-Many", "2"));
  CHECK_CODE(APUS_E_ARGUMENT, apus_writer_begin(writer, -2));
  CHECK_INT(0, apus_writer_begin(writer, -1));
  CHECK_CODE(APUS_E_STATE, apus_writer_begin(writer, -1));
  CHECK_CODE(APUS_E_STATE, apus_writer_set_status(writer, 200));
  CHECK_CODE(APUS_E_STATE, apus_writer_set_header(writer, "A", "b"));
  CHECK_CODE(APUS_E_STATE, apus_writer_add_header(writer, "A", "b"));
  CHECK_INT(0, apus_writer_write(writer, "one ", APUS_STRLEN));
  CHECK_INT(0, apus_writer_write(writer, NULL, 0));
  CHECK_INT(0, apus_writer_write(writer, "t\0o", 3));
  CHECK_CODE(APUS_E_ARGUMENT, apus_writer_write(writer, NULL, 1));
  CHECK_CODE(APUS_E_ARGUMENT, apus_writer_add_trailer(writer, "X", "a\r\nb"));
  CHECK_CODE(APUS_E_ARGUMENT, apus_writer_add_trailer(writer, "X Y", "a"));
  CHECK_INT(0, apus_writer_add_trailer(writer, "X-Sum", "abc"));
  CHECK_INT(0, apus_writer_add_trailer(writer, "X-More", "d e"));
  CHECK_INT(0, apus_writer_end(writer));
  CHECK_CODE(APUS_E_STATE, apus_writer_end(writer));
  CHECK_CODE(APUS_E_STATE, apus_writer_write(writer, "x", 1));
  CHECK_CODE(APUS_E_STATE, apus_writer_add_trailer(writer, "X-Late", "1"));
  CHECK_INT(0, apus_writer_is_connected(writer));
  CHECK_INT(1, apus_writer_is_alive(writer));
  CHECK_INT(1, apus_writer_destroy(writer));
  CHECK_INT(0, apus_writer_destroy(writer));
  CHECK_INT(0, apus_writer_is_alive(writer));
}

static void check_whole(const struct reply *reply) {
  size_t found;
  CHECK_INT(202, reply->status);
  CHECK_INT(1, reply->chunked);
  CHECK_TEXT("1", reply_field(reply, "X-Before"));
  CHECK_TEXT("text/x-a", reply_field(reply, "Content-Type"));
  CHECK_TEXT("1", reply_find(reply->fields, reply->field_count, "X-Many", &found));
  CHECK_INT(2, found);
  CHECK_BYTES("one t\0o", 7, reply->body, reply->body_length);
  CHECK_INT(2, reply->trailer_count);
  CHECK_TEXT("abc", reply_trailer(reply, "X-Sum"));
  CHECK_TEXT("d e", reply_trailer(reply, "X-More"));
}

/* All within the handler, twice on one connection. */
static void test_whole(enum mode mode) {
  struct app app;
  struct client client;
  struct reply reply;
  app_make(&app, mode);
  app_route(&app, APUS_GET, "/whole", whole_handler, NULL);
  harness_start(&app);
  client_open(&client, app.port);
  for (int i = 0; i < 2; i++) {
    client_get(&client, "/whole");
    client_reply(&client, "GET", &reply);
    check_whole(&reply);
    reply_free(&reply);
  }
  client_close(&client);
  harness_stop(&app);
}

/* After the handler, from this thread: no length, a length, nothing at all. */
static void test_outliving(enum mode mode) {
  struct app app;
  struct client client;
  struct reply reply;
  start_writers(&app, mode);
  client_open(&client, app.port);
  apus_writer writer = ask_writer(&client, get_writer);
  CHECK_INT(0, apus_writer_write(writer, "implicit begin", APUS_STRLEN));
  CHECK_INT(0, apus_writer_end(writer));
  client_reply(&client, "GET", &reply);
  CHECK_INT(1, reply.chunked);
  CHECK_TEXT("implicit begin", reply.body);
  reply_free(&reply);
  EVENTUALLY(atomic_load(&closes) == 1);
  CHECK_INT(1, apus_writer_destroy(writer));
  EVENTUALLY(atomic_load(&drops) == 2);
  writer = ask_writer(&client, get_writer);
  CHECK_INT(0, apus_writer_begin(writer, 10));
  CHECK_CODE(APUS_E_STATE, apus_writer_add_trailer(writer, "X-Sum", "abc"));
  CHECK_INT(0, apus_writer_write(writer, "01234", 5));
  CHECK_CODE(APUS_E_TOO_LARGE, apus_writer_write(writer, "567890", 6));
  CHECK_INT(0, apus_writer_write(writer, "56789", 5));
  CHECK_CODE(APUS_E_TOO_LARGE, apus_writer_write(writer, "x", 1));
  CHECK_INT(0, apus_writer_end(writer));
  client_reply(&client, "GET", &reply);
  CHECK_INT(10, reply.content_length);
  CHECK_TEXT("0123456789", reply.body);
  reply_free(&reply);
  CHECK_INT(1, apus_writer_destroy(writer));
  writer = ask_writer(&client, get_writer);
  CHECK_INT(0, apus_writer_end(writer));
  client_reply(&client, "GET", &reply);
  CHECK_INT(200, reply.status);
  CHECK_INT(0, reply.content_length);
  reply_free(&reply);
  CHECK_INT(1, apus_writer_destroy(writer));
  client_close(&client);
  harness_stop(&app);
  CHECK_INT(6, atomic_load(&drops));
}

static void count_told(void *context, apus_request request, int32_t status, uint64_t bytes) {
  CHECK_INT(200, status);
  CHECK_INT(5, bytes);
  CHECK_TEXT("/writer", apus_request_path(request));
  atomic_fetch_add((atomic_int *)context, 1);
}

/* The request of a writer is live again for those who hear of the reply, and for them
 * alone: not for as long as somebody keeps the writer. */
static void test_told(enum mode mode) {
  struct app app;
  struct client client;
  struct reply reply;
  atomic_int told = 0;
  reset_counts();
  app_make(&app, mode);
  app_route(&app, APUS_GET, "/writer", hand_over, NULL);
  CHECK_INT(0, apus_server_on_reply(app.server, count_told, &told, NULL));
  harness_start(&app);
  client_open(&client, app.port);
  apus_writer writer = ask_writer(&client, get_writer);
  CHECK_INT(0, apus_writer_write(writer, "hello", 5));
  CHECK_INT(0, apus_writer_end(writer));
  client_reply(&client, "GET", &reply);
  CHECK_TEXT("hello", reply.body);
  reply_free(&reply);
  EVENTUALLY(atomic_load(&told) == 1);
  EVENTUALLY(apus_live_count(APUS_KIND_REQUEST) == 0);
  CHECK_INT(1, apus_writer_is_alive(writer));
  CHECK_INT(1, apus_writer_destroy(writer));
  client_close(&client);
  harness_stop(&app);
}

static void test_bodiless(enum mode mode) {
  struct app app;
  struct client client;
  struct reply reply;
  start_writers(&app, mode);
  client_open(&client, app.port);
  apus_writer writer = ask_writer(&client, "HEAD /writer HTTP/1.1\r\nHost: a\r\n\r\n");
  CHECK_INT(0, apus_writer_begin(writer, -1));
  CHECK_INT(0, apus_writer_write(writer, "not to be sent", APUS_STRLEN));
  CHECK_INT(0, apus_writer_end(writer));
  client_reply(&client, "HEAD", &reply);
  CHECK_INT(200, reply.status);
  reply_free(&reply);
  CHECK_INT(1, apus_writer_destroy(writer));
  writer = ask_writer(&client, "HEAD /writer HTTP/1.1\r\nHost: a\r\n\r\n");
  CHECK_INT(0, apus_writer_begin(writer, 3));
  CHECK_INT(0, apus_writer_write(writer, "abc", 3));
  CHECK_INT(0, apus_writer_end(writer));
  client_reply(&client, "HEAD", &reply);
  CHECK_INT(3, reply.content_length);
  reply_free(&reply);
  CHECK_INT(1, apus_writer_destroy(writer));
  writer = ask_writer(&client, get_writer);
  CHECK_INT(0, apus_writer_set_status(writer, 204));
  CHECK_INT(0, apus_writer_end(writer));
  CLIENT_EXPECT(&client, "GET", 204, "");
  CHECK_INT(1, apus_writer_destroy(writer));
  client_get(&client, "/hello");
  CLIENT_EXPECT(&client, "GET", 200, "hello");
  CLIENT_QUIET(&client);
  client_close(&client);
  harness_stop(&app);
}

/* HTTP/1.0 knows no chunks: the body goes up to the close. */
static void test_http10(enum mode mode) {
  struct app app;
  struct client client;
  struct reply reply;
  start_writers(&app, mode);
  for (int keep = 0; keep < 2; keep++) {
    client_open(&client, app.port);
    apus_writer writer =
        ask_writer(&client, keep ? "GET /writer HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
                                 : "GET /writer HTTP/1.0\r\n\r\n");
    CHECK_INT(0, apus_writer_write(writer, "one ", 4));
    CHECK_INT(0, apus_writer_write(writer, "two", 3));
    CHECK_INT(0, apus_writer_end(writer));
    client_reply(&client, "GET", &reply);
    CHECK_INT(0, reply.chunked);
    CHECK_INT(1, reply.until_close);
    CHECK(!reply_lists(&reply, "Connection", "keep-alive"));
    CHECK_TEXT("one two", reply.body);
    reply_free(&reply);
    CHECK_INT(0, client.reset);
    CHECK_INT(1, apus_writer_destroy(writer));
    client_close(&client);
  }
  /* With a length there is no need to close. */
  client_open(&client, app.port);
  apus_writer writer =
      ask_writer(&client, "GET /writer HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  CHECK_INT(0, apus_writer_begin(writer, 3));
  CHECK_INT(0, apus_writer_write(writer, "abc", 3));
  CHECK_INT(0, apus_writer_end(writer));
  client_reply(&client, "GET", &reply);
  CHECK_TEXT("abc", reply.body);
  CHECK(reply_lists(&reply, "Connection", "keep-alive"));
  reply_free(&reply);
  CHECK_INT(1, apus_writer_destroy(writer));
  client_get(&client, "/hello");
  CLIENT_EXPECT(&client, "GET", 200, "hello");
  client_close(&client);
  harness_stop(&app);
}

/* What is asked behind a slow writer waits its turn. */
static void test_turns(enum mode mode) {
  struct app app;
  struct client client;
  char first[6] = "";
  start_writers(&app, mode);
  client_open(&client, app.port);
  apus_writer writer = ask_writer(&client,
                                  "GET /writer HTTP/1.1\r\nHost: a\r\n\r\n"
                                  "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
  CHECK_INT(0, apus_writer_begin(writer, 10));
  CHECK_INT(0, apus_writer_write(writer, "01234", 5));
  do { /* the piece arrives before the reply is complete */
    while (client.end < 5) CHECK_INT(1, client_fill(&client));
    memcpy(first, client.data + client.end - 5, 5);
  } while (strcmp(first, "01234") != 0 && client_fill(&client));
  CHECK_INT(0, apus_writer_write(writer, "56789", 5));
  CHECK_INT(0, apus_writer_end(writer));
  CLIENT_EXPECT(&client, "GET", 200, "0123456789");
  CLIENT_EXPECT(&client, "GET", 200, "hello");
  CHECK_INT(1, apus_writer_destroy(writer));
  client_close(&client);
  harness_stop(&app);
}

/* ------------------------------------------------------------ breaking off */

/* Each way to give a reply up half way, and what its client may not see. */
static void break_off(struct app *app, int way) {
  struct client client;
  struct reply reply;
  client_open(&client, app->port);
  apus_writer writer = ask_writer(&client, get_writer);
  CHECK_INT(0, apus_writer_begin(writer, way % 2 == 0 ? -1 : 100));
  CHECK_INT(0, apus_writer_write(writer, "a piece", APUS_STRLEN));
  if (way < 2) {
    CHECK_INT(1, apus_writer_destroy(writer));
  } else if (way < 4) {
    CHECK_INT(0, apus_writer_abort(writer));
    CHECK_INT(0, apus_writer_is_connected(writer));
    int32_t code = apus_writer_write(writer, "x", 1);
    CHECK(code == APUS_E_CLOSED || code == APUS_E_STATE);
    CHECK_INT(1, apus_writer_destroy(writer));
  } else { /* fewer bytes than the length */
    CHECK_CODE(APUS_E_STATE, apus_writer_end(writer));
    CHECK_INT(1, apus_writer_destroy(writer));
  }
  int result = client_try_reply(&client, "GET", &reply);
  CHECK(result == REPLY_CUT || result == REPLY_NONE);
  reply_free(&reply);
  client_close(&client);
}

static void test_broken_off(enum mode mode) {
  struct app app;
  struct client client;
  struct reply reply;
  start_writers(&app, mode);
  for (int i = 0; i < 5; i++) break_off(&app, i == 4 ? 5 : i);
  /* Before a byte of it has gone, too. */
  client_open(&client, app.port);
  apus_writer writer = ask_writer(&client, get_writer);
  CHECK_INT(1, apus_writer_destroy(writer));
  int result = client_try_reply(&client, "GET", &reply);
  CHECK(result != REPLY_WHOLE || reply.status == 500);
  reply_free(&reply);
  client_close(&client);
  EVENTUALLY(atomic_load(&drops) == 12);
  harness_stop(&app);
  CHECK_INT(12, atomic_load(&drops));
}

/* A client that leaves: the writer is dead, and on_close comes once. */
static void test_client_leaves(enum mode mode) {
  struct app app;
  struct client client;
  start_writers(&app, mode);
  for (int begun = 0; begun < 2; begun++) {
    reset_counts();
    client_open(&client, app.port);
    apus_writer writer = ask_writer(&client, get_writer);
    if (begun) CHECK_INT(0, apus_writer_write(writer, "a piece", APUS_STRLEN));
    client_leave(&client);
    EVENTUALLY(apus_writer_is_connected(writer) == 0);
    EVENTUALLY(atomic_load(&closes) == 1);
    CHECK_INT(1, apus_writer_is_alive(writer));
    CHECK_CODE(APUS_E_CLOSED, apus_writer_write(writer, "x", 1));
    CHECK_CODE(APUS_E_CLOSED, apus_writer_end(writer));
    CHECK_CODE(APUS_E_CLOSED, apus_writer_abort(writer));
    CHECK_CODE(APUS_E_CLOSED, apus_writer_set_status(writer, 200));
    CHECK_CODE(APUS_E_CLOSED, apus_writer_set_header(writer, "A", "b"));
    CHECK_CODE(APUS_E_CLOSED, apus_writer_begin(writer, -1));
    CHECK_CODE(APUS_E_CLOSED, apus_writer_add_trailer(writer, "A", "b"));
    CHECK_CODE(APUS_E_CLOSED, apus_writer_set_high_water(writer, 1000));
    CHECK(apus_writer_buffered(writer) <= 0);
    atomic_store(&refused, 0);
    CHECK_CODE(APUS_E_CLOSED, apus_writer_on_drain(writer, count_drain, &drops, drop_refused));
    CHECK_CODE(APUS_E_CLOSED, apus_writer_on_close(writer, count_close, &drops, drop_refused));
    CHECK_INT(2, atomic_load(&refused));
    CHECK_INT(1, apus_writer_destroy(writer));
    EVENTUALLY(atomic_load(&drops) == 2);
    CHECK_INT(1, atomic_load(&closes));
  }
  harness_stop(&app);
  CHECK_INT(2, atomic_load(&drops));
  CHECK_INT(1, atomic_load(&closes));
}

/* A client that leaves while the writer writes on: the writer learns of it by
 * a code, and never by anything else. */
static void test_leaves_while_writing(enum mode mode) {
  struct app app;
  struct client client;
  static char piece[4096];
  start_writers(&app, mode);
  for (int i = 0; i < 20; i++) {
    reset_counts();
    client_open(&client, app.port);
    apus_writer writer = ask_writer(&client, get_writer);
    client_close(&client);
    int32_t result = 0;
    int64_t limit = harness_now_ms() + HARNESS_DEADLINE_MS;
    while (result == 0 || result == APUS_E_FULL) {
      result = apus_writer_write(writer, piece, sizeof piece);
      if (result == APUS_E_FULL) harness_breathe();
      CHECK(harness_now_ms() < limit);
    }
    CHECK_INT(APUS_E_CLOSED, result);
    EVENTUALLY(atomic_load(&closes) == 1);
    CHECK_INT(1, apus_writer_destroy(writer));
    EVENTUALLY(atomic_load(&drops) == 2);
  }
  harness_stop(&app);
}

static atomic_int has_read_all;

static void *read_all(void *context) {
  struct client *client = context;
  char bytes[65536];
  size_t length = 0;
  ssize_t got;
  while ((got = recv(client->fd, bytes, sizeof bytes, 0)) > 0) length += (size_t)got;
  CHECK_INT(0, got);
  atomic_store(&has_read_all, 1);
  return (void *)length;
}

/* Without callbacks: room and the end are events. */
static void test_pulled(enum mode mode) {
  enum { PIECE = 32768, PIECES = 400 };
  static char piece[PIECE];
  struct app app;
  struct client client, leaver;
  apus_event event;
  apus_writer writer = 0, left = 0;
  pthread_t reader;
  int written = 0, drained = 0, result = 0;
  void *length;
  if (mode == MODE_WORKER) return;
  atomic_store(&has_read_all, 0);
  app_make(&app, mode);
  CHECK(apus_server_get(app.server, "/:name", NULL, NULL, NULL) >= 0);
  harness_start_undriven(&app);
  client_open(&client, app.port);
  client_open(&leaver, app.port);
  client_text(&client, "GET /all HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  client_text(&leaver, "GET /left HTTP/1.1\r\nHost: a\r\n\r\n");
  CHECK_INT(0, pthread_create(&reader, NULL, read_all, &client));
  for (int ended = 0; ended < 2;) {
    int32_t taken = apus_server_next(app.server, &event, -1);
    CHECK(taken >= 0);
    if (taken == 0) continue;
    if (event.kind == APUS_EVENT_END) {
      CHECK(event.handle == writer || event.handle == left);
      CHECK_INT(0, apus_writer_is_connected(event.handle));
      CHECK_INT(1, apus_writer_destroy(event.handle));
      ended++;
      continue;
    }
    if (event.kind == APUS_EVENT_REQUEST) {
      int all = strcmp(apus_request_param(event.handle, "name", NULL), "all") == 0;
      apus_writer made = apus_writer_make(event.handle);
      CHECK(made != 0);
      CHECK_CODE(APUS_E_ARGUMENT, apus_writer_set_events(made, 2));
      CHECK_INT(0, apus_writer_set_events(made, 1));
      CHECK_INT(1, apus_request_destroy(event.handle));
      if (!all) {
        left = made;
        CHECK_INT(0, apus_writer_write(left, "begun", 5));
        client_close(&leaver);
        continue;
      }
      writer = made;
      CHECK_INT(0, apus_writer_set_high_water(writer, 2 * PIECE));
    } else {
      CHECK_INT(APUS_EVENT_DRAIN, event.kind);
      CHECK(event.handle == writer);
      drained++;
    }
    while (written < PIECES && (result = apus_writer_write(writer, piece, PIECE)) == 0) written++;
    if (written == PIECES) CHECK_INT(0, apus_writer_end(writer));
    if (written < PIECES) CHECK_INT(APUS_E_FULL, result);
  }
  CHECK(drained >= 1);
  /* The rest is with the connection by now. Without threads the I/O is done here. */
  while (!atomic_load(&has_read_all)) CHECK_INT(0, apus_server_next(app.server, &event, 1));
  CHECK_INT(0, pthread_join(reader, &length));
  CHECK((size_t)length > (size_t)PIECE * PIECES);
  client_close(&client);
  CHECK_INT(0, apus_server_next(app.server, &event, 0));
  harness_stop(&app);
}

/* Takes the end of a writer, or none: none that came before another request has. */
static void expect_ends(apus_server server, struct client *client, int expected) {
  apus_event event;
  int ends = 0;
  client_text(client, "GET /mark HTTP/1.1\r\nHost: a\r\n\r\n");
  for (int marks = 0; marks == 0 || ends < expected;) {
    if (apus_server_next(server, &event, -1) == 0) continue;
    if (event.kind == APUS_EVENT_REQUEST) {
      marks++;
      CHECK_INT(0, apus_reply_text(event.handle, 200, "mark"));
    } else {
      CHECK_INT(APUS_EVENT_END, event.kind);
      ends++;
    }
  }
  CHECK_INT(expected, ends);
  CHECK_INT(0, apus_server_next(server, &event, 0));
}

/* The end is told once to each: the callback, and who takes events; whichever was set first,
 * and also where it was set late. A tick does not take it away. */
static void test_ends_pulled(enum mode mode) {
  struct app app;
  struct client client;
  apus_event event;
  if (mode == MODE_WORKER) return;
  for (int way = 0; way < 4; way++) {
    reset_counts();
    app_make(&app, mode);
    CHECK(apus_server_get(app.server, "/:name", NULL, NULL, NULL) >= 0);
    harness_start_undriven(&app);
    client_open(&client, app.port);
    client_text(&client, "GET /all HTTP/1.1\r\nHost: a\r\n\r\n");
    while (apus_server_next(app.server, &event, -1) == 0) continue;
    apus_writer writer = apus_writer_make(event.handle);
    CHECK_INT(1, apus_request_destroy(event.handle));
    if (way < 2) CHECK_INT(0, apus_writer_on_close(writer, count_close, &drops, count_drop));
    if (way != 1) CHECK_INT(0, apus_writer_set_events(writer, 1));
    CHECK_INT(0, apus_writer_end(writer));
    if (way == 2) CHECK(apus_server_tick(app.server, 20) >= 0);
    if (way == 3) CHECK_INT(0, apus_writer_set_events(writer, 0));
    expect_ends(app.server, &client, way == 0 || way == 2);
    if (way == 1 || way == 3) CHECK_INT(0, apus_writer_set_events(writer, 1));
    if (way == 1 || way == 3) expect_ends(app.server, &client, 1);
    while (way < 2 && atomic_load(&closes) == 0)
      CHECK_INT(0, apus_server_next(app.server, &event, 1));
    CHECK_INT(way < 2 ? 1 : 0, atomic_load(&closes));
    CHECK_INT(0, apus_writer_set_events(writer, 0));
    CHECK_INT(0, apus_writer_set_events(writer, 1));
    expect_ends(app.server, &client, 0);
    CHECK_INT(1, apus_writer_destroy(writer));
    client_close(&client);
    harness_stop(&app);
  }
}

static void *stop_it(void *context) {
  const struct app *app = context;
  CHECK_INT(0, apus_server_stop(app->server));
  return NULL;
}

/* A stop by another thread leaves the ends of all to who takes them. */
static void test_ends_at_stop(enum mode mode) {
  enum { WRITERS = 5 };
  struct app app;
  struct client clients[WRITERS];
  apus_writer writers[WRITERS];
  apus_event event;
  pthread_t stopper;
  int made = 0, ends = 0;
  if (mode == MODE_WORKER) return;
  app_make(&app, mode);
  CHECK_INT(0, apus_server_set_drain_timeout(app.server, 10000));
  CHECK(apus_server_get(app.server, "/:name", NULL, NULL, NULL) >= 0);
  harness_start_undriven(&app);
  for (int i = 0; i < WRITERS; i++) {
    client_open(&clients[i], app.port);
    client_text(&clients[i], "GET /all HTTP/1.1\r\nHost: a\r\n\r\n");
  }
  while (made < WRITERS) {
    if (apus_server_next(app.server, &event, -1) == 0) continue;
    writers[made] = apus_writer_make(event.handle);
    CHECK_INT(1, apus_request_destroy(event.handle));
    CHECK_INT(0, apus_writer_set_events(writers[made++], 1));
  }
  for (int i = 0; i < WRITERS; i++) CHECK_INT(0, apus_writer_end(writers[i]));
  CHECK_INT(0, pthread_create(&stopper, NULL, stop_it, &app));
  while (ends < WRITERS) {
    int32_t taken = apus_server_next(app.server, &event, -1);
    CHECK(taken >= 0);
    if (taken == 0) continue;
    CHECK_INT(APUS_EVENT_END, event.kind);
    CHECK_INT(1, apus_writer_destroy(event.handle));
    ends++;
  }
  while (apus_server_next(app.server, &event, -1) >= 0) continue;
  CHECK_INT(0, pthread_join(stopper, NULL));
  for (int i = 0; i < WRITERS; i++) client_close(&clients[i]);
  CHECK_INT(1, apus_server_destroy(app.server));
}

int main(int argc, char **argv) {
  static const struct harness_case cases[] = {
      {"pulled", test_pulled},
      {"ends_pulled", test_ends_pulled},
      {"ends_at_stop", test_ends_at_stop},
      {"whole", test_whole},
      {"outliving", test_outliving},
      {"told", test_told},
      {"bodiless", test_bodiless},
      {"http10", test_http10},
      {"turns", test_turns},
      {"broken_off", test_broken_off},
      {"client_leaves", test_client_leaves},
      {"leaves_while_writing", test_leaves_while_writing},
  };
  return harness_main("writer_test", argc, argv, CASES(cases));
}
