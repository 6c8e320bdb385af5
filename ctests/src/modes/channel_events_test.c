/*
 * channel_events_test.c - one thread that waits for many channels at once, without any
 * listener: what comes on them is events, of a server and of a client.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <poll.h>

#include "../helpers/ws.h"

enum { PEERS = 8, MESSAGES = 5 };

/* ------------------------------------------------------------------- a server */

/* Peers that send all at once, take the echoes, and close. */
static void *run_peers(void *context) {
  const struct app *app = context;
  struct client clients[PEERS];
  char text[32];
  for (int i = 0; i < PEERS; i++) ws_open(&clients[i], app->port, "/");
  for (int i = 0; i < PEERS; i++) {
    for (int k = 0; k < MESSAGES; k++) {
      snprintf(text, sizeof text, "%d of %d", k, i);
      ws_text(&clients[i], text);
    }
  }
  for (int i = 0; i < PEERS; i++) {
    for (int k = 0; k < MESSAGES; k++) {
      snprintf(text, sizeof text, "%d of %d", k, i);
      WS_EXPECT_TEXT(&clients[i], text);
    }
  }
  /* One that leaves without a word, and the last words of others. */
  for (int i = 0; i < PEERS; i++) {
    if (i > 0) {
      ws_text(&clients[i], "bye");
      ws_close(&clients[i], 1000, "");
      WS_EXPECT_TEXT(&clients[i], "bye");
      WS_EXPECT_CLOSE(&clients[i], 1000, "");
      CLIENT_ENDS(&clients[i]);
    }
    client_close(&clients[i]);
  }
  return NULL;
}

static void test_server(enum mode mode) {
  struct app app;
  apus_event event;
  pthread_t peers;
  app_make(&app, mode);
  int32_t route = apus_server_websocket(app.server, "/", NULL, NULL, NULL);
  CHECK(route >= 0);
  CHECK_INT(0, apus_server_set_channel_close_timeout(app.server, 86400000));
  harness_start_undriven(&app);
  if (mode == MODE_WORKER) {
    CHECK_CODE(APUS_E_STATE, apus_server_next(app.server, &event, 0));
    harness_stop(&app);
    return;
  }
  CHECK_INT(0, pthread_create(&peers, NULL, run_peers, &app));
  int channels = 0, messages = 0, closed = 0;
  while (closed < PEERS) {
    apus_message message;
    /* 0: a signal, or somebody who woke it. */
    int32_t taken = apus_server_next(app.server, &event, -1);
    CHECK(taken >= 0);
    if (taken == 0) continue;
    CHECK_INT(route, event.route);
    CHECK_INT(1, apus_channel_is_alive(event.handle));
    CHECK(apus_channel_id(event.handle) == event.connection);
    if (event.kind == APUS_EVENT_CHANNEL) {
      channels++;
      CHECK_CODE(APUS_E_ARGUMENT, apus_channel_set_events(event.handle, 2));
      CHECK_INT(0, apus_channel_set_events(event.handle, 1));
    } else if (event.kind == APUS_EVENT_MESSAGE) {
      int32_t result = apus_channel_recv(event.handle, &message, 0);
      CHECK(result == 1 || result == 0);
      if (result == 0) continue;
      messages++;
      CHECK_INT(0, apus_channel_send(event.handle, 1, 1, message.data, message.length));
    } else {
      CHECK_INT(APUS_EVENT_CLOSE, event.kind);
      closed++;
      CHECK_INT(APUS_E_CLOSED, apus_channel_recv(event.handle, &message, 0));
      CHECK_INT(1, apus_channel_destroy(event.handle));
    }
  }
  CHECK_INT(PEERS, channels);
  CHECK_INT(PEERS * MESSAGES + PEERS - 1, messages);
  CHECK_INT(0, pthread_join(peers, NULL));
  harness_stop(&app);
}

/* Reads until the end of the connection, and does not answer. */
static void *read_away(void *context) {
  struct client *client = context;
  char bytes[65536];
  while (recv(client->fd, bytes, sizeof bytes, 0) > 0) continue;
  return NULL;
}

/* What has come before is told as well; what is not wanted any more is not. */
static void test_late(enum mode mode) {
  struct app app;
  struct client client;
  apus_event event;
  apus_message message;
  if (mode != MODE_PULL) return;
  app_make(&app, mode);
  CHECK(apus_server_websocket(app.server, "/", NULL, NULL, NULL) >= 0);
  harness_start_undriven(&app);
  client_open(&client, app.port);
  ws_ask(&client, "/", "");
  CHECK_INT(1, apus_server_next(app.server, &event, -1));
  CHECK_INT(APUS_EVENT_CHANNEL, event.kind);
  apus_channel channel = event.handle;
  ws_accepted(&client, NULL);
  ws_text(&client, "early");
  WS_SETTLED(&client);
  CHECK_INT(0, apus_server_next(app.server, &event, 0));
  CHECK_INT(0, apus_channel_set_events(channel, 1));
  CHECK_INT(1, apus_server_next(app.server, &event, -1));
  CHECK_INT(APUS_EVENT_MESSAGE, event.kind);
  CHECK(event.handle == channel);
  CHECK_INT(1, apus_channel_recv(channel, &message, 0));
  CHECK_INT(0, apus_channel_set_events(channel, 0));
  ws_text(&client, "quiet");
  WS_SETTLED(&client);
  CHECK_INT(0, apus_server_next(app.server, &event, 0));
  CHECK_INT(1, apus_channel_recv(channel, &message, 0));
  CHECK_INT(1, apus_channel_destroy(channel));
  client_close(&client);
  harness_stop(&app);
}

/* The next event, which is of that kind and of that channel, or of one that is new. */
static void expect_event(const struct app *app, int32_t kind, apus_channel *channel) {
  apus_event event;
  while (apus_server_next(app->server, &event, -1) == 0) continue;
  CHECK_INT(kind, event.kind);
  if (kind == APUS_EVENT_CHANNEL) *channel = event.handle;
  CHECK(event.handle == *channel);
}

/* Without threads it is the host who does the I/O; there is nothing to be taken yet. */
static void wait_closed(const struct app *app, apus_channel channel) {
  apus_event event;
  while (apus_channel_state(channel) != APUS_STATE_CLOSED) {
    if (app->mode == MODE_THREADLESS) CHECK_INT(0, apus_server_next(app->server, &event, 0));
    harness_breathe();
  }
}

/* A client's channel, by the first event that is taken. */
static apus_channel take_channel(struct app *app, struct client *client) {
  apus_event event;
  client_open(client, app->port);
  ws_ask(client, "/", "");
  while (apus_server_next(app->server, &event, -1) == 0) continue;
  CHECK_INT(APUS_EVENT_CHANNEL, event.kind);
  ws_accepted(client, NULL);
  return event.handle;
}

/* A peer that has gone before the events were asked for, while its close was on its way (0)
 * and once that was told (1): what it has left and its end come nevertheless. */
static void test_gone(enum mode mode) {
  struct app app;
  struct client client;
  apus_event event;
  apus_message message;
  apus_channel channel = 0;
  int pair[2];
  if (mode == MODE_WORKER) return;
  app_make(&app, mode);
  CHECK(apus_server_websocket(app.server, "/", NULL, NULL, NULL) >= 0);
  harness_start_undriven(&app);
  for (int way = 0; way < 2; way++) {
    channel = take_channel(&app, &client);
    ws_text(&client, "early");
    client_close(&client);
    wait_closed(&app, channel);
    if (mode != MODE_THREADLESS) {
      EVENTUALLY(apus_server_counter(app.server, APUS_COUNT_PENDING) == 1);
    }
    if (way == 1) CHECK_INT(0, apus_server_next(app.server, &event, 0));
    CHECK_INT(0, apus_channel_set_events(channel, 1));
    CHECK_INT(0, apus_channel_set_events(channel, 1));
    expect_event(&app, APUS_EVENT_MESSAGE, &channel);
    CHECK_INT(1, apus_channel_recv(channel, &message, 0));
    CHECK_BYTES("early", 5, message.data, message.length);
    expect_event(&app, APUS_EVENT_CLOSE, &channel);
    CHECK_INT(0, apus_channel_set_events(channel, 1));
    CHECK_INT(0, apus_server_next(app.server, &event, 0));
    CHECK_INT(1, apus_channel_destroy(channel));
  }
  CHECK_INT(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
  channel = apus_channel_adopt(app.server, pair[0], APUS_ROLE_SERVER, "/");
  CHECK(channel != 0);
  close(pair[1]);
  wait_closed(&app, channel);
  CHECK_INT(0, apus_channel_set_events(channel, 1));
  expect_event(&app, APUS_EVENT_CLOSE, &channel);
  CHECK_INT(1, apus_channel_destroy(channel));
  harness_stop(&app);
}

/* There is room again. */
static void test_drain(enum mode mode) {
  static char piece[65536];
  struct app app;
  struct client client;
  apus_event event;
  pthread_t reader;
  int32_t result;
  int written = 0, drained = 0;
  if (mode == MODE_WORKER) return;
  app_make(&app, mode);
  CHECK(apus_server_websocket(app.server, "/", NULL, NULL, NULL) >= 0);
  harness_start_undriven(&app);
  apus_channel channel = take_channel(&app, &client);
  CHECK_INT(0, apus_channel_set_events(channel, 1));
  while ((result = apus_channel_send(channel, 2, 1, piece, sizeof piece)) == 0) {
    written++;
    /* Without threads the I/O is done here. */
    CHECK(apus_server_next(app.server, &event, 0) == 0);
  }
  CHECK_INT(APUS_E_FULL, result);
  CHECK_INT(0, pthread_create(&reader, NULL, read_away, &client));
  while (drained == 0) {
    if (apus_server_next(app.server, &event, -1) == 0) continue;
    CHECK_INT(APUS_EVENT_DRAIN, event.kind);
    CHECK(event.handle == channel);
    drained++;
  }
  CHECK(written > 0);
  CHECK_INT(0, apus_channel_send_text(channel, "last", 4));
  CHECK_INT(1, apus_channel_destroy(channel));
  while (apus_server_channel_count(app.server) > 0) apus_server_next(app.server, &event, 10);
  CHECK_INT(0, pthread_join(reader, NULL));
  client_close(&client);
  harness_stop(&app);
}

/* Without threads, who takes events and receives without waiting does the I/O by that. */
static void test_polled(enum mode mode) {
  struct app app;
  struct client client;
  if (mode != MODE_THREADLESS) return;
  app_make(&app, mode);
  CHECK(apus_server_websocket(app.server, "/", NULL, NULL, NULL) >= 0);
  harness_start_undriven(&app);
  apus_channel channel = take_channel(&app, &client);
  ws_polled(&client, channel);
  harness_stop(&app);
}

static int32_t is_readable(int fd) {
  struct pollfd entry = {.fd = fd, .events = POLLIN};
  return poll(&entry, 1, 10000);
}

/* A wake-up that comes while something else is waited for is kept for who ticks or takes,
 * and for who watches the descriptor. */
static void test_woken(enum mode mode) {
  struct app app;
  struct client client;
  apus_event event;
  apus_message message;
  if (mode != MODE_THREADLESS && mode != MODE_PULL) return;
  app_make(&app, mode);
  CHECK(apus_server_websocket(app.server, "/", NULL, NULL, NULL) >= 0);
  harness_start_undriven(&app);
  apus_channel channel = take_channel(&app, &client);
  for (int32_t timeout = 0; timeout < 40; timeout += 20) {
    CHECK_INT(0, apus_server_wake(app.server));
    CHECK_INT(0, apus_channel_recv(channel, &message, timeout));
    CHECK_INT(1, is_readable(apus_server_event_fd(app.server)));
    CHECK_INT(0, apus_server_next(app.server, &event, -1));
    CHECK_INT(0, apus_server_wake(app.server));
    CHECK_INT(0, apus_channel_recv(channel, &message, timeout));
    CHECK_INT(1, is_readable(apus_server_event_fd(app.server)));
    CHECK_INT(0, apus_server_tick(app.server, -1));
  }
  ws_text(&client, "after");
  CHECK_INT(1, apus_channel_recv(channel, &message, -1));
  CHECK_INT(1, apus_channel_destroy(channel));
  client_close(&client);
  harness_stop(&app);
}

static void stop_listener(void *context, apus_request request) {
  const struct app *app = context;
  if (strcmp(apus_request_path(request), "/stop") != 0) return;
  CHECK_INT(0, apus_reply_text(request, 200, "stops"));
  CHECK_INT(0, apus_server_stop(app->server));
}

/* A stop from a callback: the ends of channels whose peers are silent are told too, before
 * the server counts as stopped. */
static void test_stop(enum mode mode) {
  enum { SILENT = 3 };
  struct app app;
  struct client clients[SILENT], stopper;
  apus_event event;
  int channels = 0, closed = 0;
  if (mode == MODE_WORKER) return;
  app_make(&app, mode);
  CHECK_INT(0, apus_server_set_drain_timeout(app.server, 1000));
  CHECK_INT(0, apus_server_set_channel_close_timeout(app.server, 86400000));
  CHECK(apus_server_websocket(app.server, "/", NULL, NULL, NULL) >= 0);
  CHECK_INT(0, apus_server_on_receive(app.server, stop_listener, &app, NULL));
  harness_start_undriven(&app);
  for (int i = 0; i < SILENT; i++) {
    client_open(&clients[i], app.port);
    ws_ask(&clients[i], "/", "");
  }
  while (channels < SILENT) {
    if (apus_server_next(app.server, &event, -1) == 0) continue;
    CHECK_INT(APUS_EVENT_CHANNEL, event.kind);
    CHECK_INT(0, apus_channel_set_events(event.handle, 1));
    channels++;
  }
  client_open(&stopper, app.port);
  client_text(&stopper, "GET /stop HTTP/1.1\r\nHost: a\r\n\r\n");
  while (closed < SILENT) {
    int32_t taken = apus_server_next(app.server, &event, -1);
    CHECK(taken >= 0);
    if (taken == 0) continue;
    CHECK_INT(APUS_EVENT_CLOSE, event.kind);
    CHECK_INT(1, apus_channel_destroy(event.handle));
    closed++;
  }
  while (apus_server_next(app.server, &event, -1) >= 0) continue;
  CHECK_INT(0, apus_server_is_running(app.server));
  CLIENT_EXPECT(&stopper, "GET", 200, "stops");
  client_close(&stopper);
  for (int i = 0; i < SILENT; i++) client_close(&clients[i]);
  CHECK_INT(1, apus_server_destroy(app.server));
}

/* ------------------------------------------------------------------- a client */

static void echo(void *context, apus_channel channel, int32_t opcode, const void *data,
                 size_t length) {
  (void)context;
  apus_channel_send(channel, opcode, 1, data, length);
}

static void test_client(enum mode mode) {
  char url[64];
  apus_event event;
  apus_message message;
  apus_server peer = apus_server_make();
  CHECK_INT(0, apus_server_set_workers(peer, 1));
  CHECK_INT(0, apus_server_set_dispatch(peer, APUS_DISPATCH_WORKER));
  int32_t route = apus_server_websocket(peer, "/", NULL, NULL, NULL);
  CHECK_INT(0, apus_server_on_message(peer, route, echo, NULL, NULL));
  int32_t listener = apus_server_listen(peer, "127.0.0.1", 0);
  snprintf(url, sizeof url, "ws://127.0.0.1:%d/", apus_server_port(peer, listener));
  CHECK_INT(0, apus_server_start(peer));
  apus_client client = apus_client_make();
  if (mode == MODE_THREADLESS) CHECK_INT(0, apus_client_set_workers(client, 0));
  if (mode == MODE_WORKER) CHECK_INT(0, apus_client_set_dispatch(client, APUS_DISPATCH_WORKER));
  if (mode == MODE_WORKER) CHECK_CODE(APUS_E_STATE, apus_client_next(client, &event, 0));
  for (int i = 0; mode != MODE_WORKER && i < PEERS; i++) {
    apus_channel channel = apus_channel_make(client);
    CHECK(channel != 0);
    CHECK_INT(0, apus_channel_set_events(channel, 1));
    CHECK_INT(0, apus_channel_open(channel, url));
  }
  int opened = 0, messages = 0, closed = 0;
  while (mode != MODE_WORKER && closed < PEERS) {
    int32_t taken = apus_client_next(client, &event, -1);
    CHECK(taken >= 0);
    if (taken == 0) continue;
    if (event.kind == APUS_EVENT_OPEN) {
      opened++;
      CHECK_INT(APUS_STATE_OPEN, apus_channel_state(event.handle));
      CHECK_INT(0, apus_channel_send_text(event.handle, "hello", 5));
    } else if (event.kind == APUS_EVENT_MESSAGE) {
      CHECK_INT(1, apus_channel_recv(event.handle, &message, 0));
      messages++;
      CHECK_INT(0, apus_channel_close(event.handle, 1000, "", 0));
    } else {
      CHECK_INT(APUS_EVENT_CLOSE, event.kind);
      closed++;
      CHECK_INT(APUS_STATE_CLOSED, apus_channel_state(event.handle));
      CHECK_INT(1, apus_channel_destroy(event.handle));
    }
  }
  CHECK_INT(closed, opened);
  CHECK_INT(closed, messages);
  CHECK_INT(1, apus_client_destroy(client));
  CHECK_INT(1, apus_server_destroy(peer));
}

static void count_close(void *context, apus_channel channel, int32_t code, const char *text,
                        size_t length) {
  (void)channel;
  (void)code;
  (void)text;
  (void)length;
  atomic_fetch_add((atomic_int *)context, 1);
}

/* A client's channel that has closed before its events were asked for: so too, but not once
 * it was opened anew. */
static void test_closed_before(enum mode mode) {
  char url[64];
  struct app app;
  apus_event event;
  apus_message message;
  atomic_int closed = 0;
  if (mode == MODE_WORKER) return;
  app_make(&app, MODE_WORKER);
  CHECK(apus_server_websocket(app.server, "/", NULL, NULL, NULL) >= 0);
  harness_start(&app);
  snprintf(url, sizeof url, "ws://127.0.0.1:%d/", app.port);
  apus_client client = apus_client_make();
  if (mode == MODE_THREADLESS) CHECK_INT(0, apus_client_set_workers(client, 0));
  for (int way = 0; way < 2; way++) {
    apus_channel channel = apus_channel_make(client);
    atomic_store(&closed, 0);
    CHECK_INT(0, apus_channel_on_close(channel, count_close, &closed, NULL));
    CHECK_INT(0, apus_channel_open(channel, url));
    CHECK_INT(1, apus_channel_wait_open(channel, -1));
    CHECK_INT(0, apus_channel_close(channel, 1000, "", 0));
    CHECK_INT(APUS_E_CLOSED, apus_channel_recv(channel, &message, -1));
    while (atomic_load(&closed) == 0) CHECK_INT(0, apus_client_next(client, &event, 1));
    CHECK_INT(0, apus_channel_set_events(channel, 1));
    if (way == 1) CHECK_INT(0, apus_channel_open(channel, url));
    while (apus_client_next(client, &event, -1) == 0) continue;
    CHECK_INT(way == 0 ? APUS_EVENT_CLOSE : APUS_EVENT_OPEN, event.kind);
    CHECK(event.handle == channel);
    CHECK_INT(1, apus_channel_destroy(channel));
  }
  CHECK_INT(1, apus_client_destroy(client));
  harness_stop(&app);
}

/* A run that was reset while nobody was told of it: its close is not the next one's. */
static void test_reset_before(enum mode mode) {
  char url[64];
  struct app app;
  apus_event event;
  if (mode != MODE_THREADLESS) return;
  app_make(&app, MODE_WORKER);
  CHECK(apus_server_websocket(app.server, "/", NULL, NULL, NULL) >= 0);
  harness_start(&app);
  snprintf(url, sizeof url, "ws://127.0.0.1:%d/", app.port);
  apus_client client = apus_client_make();
  CHECK_INT(0, apus_client_set_workers(client, 0));
  apus_channel channel = apus_channel_make(client);
  CHECK_INT(0, apus_channel_open(channel, url));
  CHECK_INT(0, apus_channel_reset(channel));
  CHECK_INT(0, apus_channel_open(channel, url));
  CHECK(apus_client_tick(client, 0) >= 0);
  CHECK_INT(0, apus_channel_set_events(channel, 1));
  while (apus_client_next(client, &event, -1) == 0) continue;
  CHECK_INT(APUS_EVENT_OPEN, event.kind);
  CHECK_INT(1, apus_channel_destroy(channel));
  CHECK_INT(1, apus_client_destroy(client));
  harness_stop(&app);
}

static void end_client(void *context, apus_fetch fetch, apus_response response, int32_t result) {
  const apus_client *client = context;
  (void)fetch;
  (void)response;
  (void)result;
  CHECK_INT(1, apus_client_destroy(*client));
}

/* A callback that runs inside a wait destroys the client: the wait ends. */
static void test_destroyed(enum mode mode) {
  struct app app;
  char url[64], page[64];
  apus_event event;
  apus_message message;
  if (mode != MODE_THREADLESS) return;
  app_make(&app, MODE_WORKER);
  CHECK(apus_server_websocket(app.server, "/", NULL, NULL, NULL) >= 0);
  harness_start(&app);
  snprintf(url, sizeof url, "ws://127.0.0.1:%d/", app.port);
  snprintf(page, sizeof page, "http://127.0.0.1:%d/page", app.port);
  apus_client client = apus_client_make();
  CHECK_INT(0, apus_client_set_workers(client, 0));
  apus_channel channel = apus_channel_make(client);
  CHECK_INT(0, apus_channel_set_events(channel, 1));
  CHECK_INT(0, apus_channel_open(channel, url));
  while (apus_client_next(client, &event, -1) == 0) continue;
  CHECK_INT(APUS_EVENT_OPEN, event.kind);
  apus_fetch fetch = apus_fetch_make(client, "GET", page);
  CHECK_INT(0, apus_fetch_on_complete(fetch, end_client, &client, NULL));
  CHECK_INT(0, apus_fetch_start(fetch));
  CHECK(apus_channel_recv(channel, &message, -1) < 0);
  CHECK_INT(0, apus_client_is_alive(client));
  harness_stop(&app);
}

static void ignore_complete(void *context, apus_fetch fetch, apus_response response,
                            int32_t result) {
  (void)context;
  (void)fetch;
  (void)response;
  (void)result;
}

static void hello(void *context, apus_request request) {
  (void)context;
  apus_reply_text(request, 200, "hello");
}

/* A call that waits before the first event was taken leaves them all to be taken. */
static void test_before(enum mode mode) {
  char url[64], page[64];
  apus_event event;
  apus_message message;
  if (mode == MODE_WORKER) return;
  apus_server peer = apus_server_make();
  CHECK_INT(0, apus_server_set_workers(peer, 1));
  CHECK_INT(0, apus_server_set_dispatch(peer, APUS_DISPATCH_WORKER));
  int32_t route = apus_server_websocket(peer, "/", NULL, NULL, NULL);
  CHECK_INT(0, apus_server_on_message(peer, route, echo, NULL, NULL));
  CHECK(apus_server_get(peer, "/page", hello, NULL, NULL) >= 0);
  int32_t port = apus_server_port(peer, apus_server_listen(peer, "127.0.0.1", 0));
  snprintf(url, sizeof url, "ws://127.0.0.1:%d/", port);
  snprintf(page, sizeof page, "http://127.0.0.1:%d/page", port);
  CHECK_INT(0, apus_server_start(peer));
  apus_client client = apus_client_make();
  if (mode == MODE_THREADLESS) CHECK_INT(0, apus_client_set_workers(client, 0));
  apus_channel channel = apus_channel_make(client);
  CHECK_INT(0, apus_channel_set_events(channel, 1));
  CHECK_INT(0, apus_channel_open(channel, url));
  CHECK_INT(1, apus_channel_wait_open(channel, -1));
  CHECK_INT(0, apus_channel_send_text(channel, "hello", 5));
  for (int i = 0; i < 5; i++) {
    apus_fetch fetch = apus_fetch_make(client, "GET", page);
    CHECK_INT(0, apus_fetch_on_complete(fetch, ignore_complete, NULL, NULL));
    CHECK(apus_fetch_send(fetch) != 0);
    CHECK_INT(1, apus_fetch_destroy(fetch));
  }
  while (apus_client_next(client, &event, -1) == 0) continue;
  CHECK_INT(APUS_EVENT_OPEN, event.kind);
  while (apus_client_next(client, &event, -1) == 0) continue;
  CHECK_INT(APUS_EVENT_MESSAGE, event.kind);
  CHECK_INT(1, apus_channel_recv(channel, &message, 0));
  CHECK_INT(1, apus_client_destroy(client));
  CHECK_INT(1, apus_server_destroy(peer));
}

static void count_received(void *context, apus_request request) {
  (void)request;
  atomic_fetch_add((atomic_int *)context, 1);
}

/* A request, and two that would be channels. */
static void ask_all(const struct app *app, struct client clients[3]) {
  for (int i = 0; i < 3; i++) {
    client_open(&clients[i], app->port);
    if (i == 0) client_text(&clients[i], "GET /pulled HTTP/1.1\r\nHost: a\r\n\r\n");
    if (i > 0) ws_ask(&clients[i], "/channel", "");
  }
}

/* Without threads, a call that waits before the first event was taken serves meanwhile what
 * has a function, and leaves the rest to be taken: also where there is no route at all. */
static void test_untaken(enum mode mode) {
  struct app app;
  struct client clients[3];
  char page[64];
  apus_event event;
  apus_message message;
  if (mode != MODE_THREADLESS) return;
  for (int way = 0; way < 2; way++) {
    int requests = 0, channels = 0, messages = 0, closed = 0;
    atomic_int received = 0;
    int pair[2];
    app_make(&app, mode);
    if (way == 0) {
      CHECK(apus_server_get(app.server, "/pulled", NULL, NULL, NULL) >= 0);
      CHECK(apus_server_get(app.server, "/page", hello, NULL, NULL) >= 0);
      CHECK(apus_server_websocket(app.server, "/channel", NULL, NULL, NULL) >= 0);
    }
    CHECK_INT(0, apus_server_on_receive(app.server, count_received, &received, NULL));
    harness_start_undriven(&app);
    ask_all(&app, clients);
    CHECK_INT(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    apus_channel other = apus_channel_adopt(app.server, pair[0], APUS_ROLE_SERVER, "/");
    /* Each call does a turn of I/O. */
    while (apus_server_counter(app.server, APUS_COUNT_PENDING) < 3) {
      CHECK_INT(0, apus_channel_recv(other, &message, 10));
    }
    if (way == 0) {
      /* A message on each of the channels, of which one ends. */
      for (int i = 1; i < 3; i++) {
        ws_accepted(&clients[i], NULL);
        ws_text(&clients[i], "early");
      }
      int64_t open = apus_server_counter(app.server, APUS_COUNT_CONNECTIONS);
      client_close(&clients[2]);
      while (apus_server_counter(app.server, APUS_COUNT_CONNECTIONS) == open) {
        CHECK_INT(0, apus_channel_recv(other, &message, 10));
      }
      snprintf(page, sizeof page, "http://127.0.0.1:%d/page", app.port);
      apus_fetch fetch = apus_fetch_make(app.server, "GET", page);
      CHECK(apus_fetch_send(fetch) != 0);
      CHECK_INT(1, apus_fetch_destroy(fetch));
    }
    while (requests + channels < 3) {
      if (apus_server_next(app.server, &event, -1) == 0) continue;
      if (event.kind == APUS_EVENT_REQUEST) {
        requests++;
        CHECK_INT(0, apus_reply_text(event.handle, 200, "taken"));
      } else if (event.kind == APUS_EVENT_CHANNEL) {
        channels++;
        CHECK_INT(1, apus_channel_is_alive(event.handle));
        CHECK_INT(0, apus_channel_set_events(event.handle, 1));
      }
    }
    CHECK_INT(way == 0 ? 1 : 3, requests);
    /* Also those that waited, once each. */
    CHECK_INT(way == 0 ? 4 : 3, atomic_load(&received));
    while (way == 0 && messages + closed < 3) {
      if (apus_server_next(app.server, &event, -1) == 0) continue;
      if (event.kind == APUS_EVENT_MESSAGE) {
        messages++;
        CHECK_INT(1, apus_channel_recv(event.handle, &message, 0));
      } else {
        CHECK_INT(APUS_EVENT_CLOSE, event.kind);
        closed++;
      }
    }
    CHECK_INT(way == 0 ? 2 : 0, messages);
    CHECK_INT(1, apus_channel_destroy(other));
    CHECK_INT(1, apus_server_destroy(app.server));
    for (int i = 0; i < 3; i++) {
      if (way == 1 || i < 2) client_close(&clients[i]);
    }
    close(pair[1]);
  }
}

int main(int argc, char **argv) {
  static const struct harness_case cases[] = {{"server", test_server},
                                              {"late", test_late},
                                              {"drain", test_drain},
                                              {"before", test_before},
                                              {"reset before", test_reset_before},
                                              {"polled", test_polled},
                                              {"woken", test_woken},
                                              {"stop", test_stop},
                                              {"client", test_client},
                                              {"destroyed", test_destroyed},
                                              {"gone", test_gone},
                                              {"closed before", test_closed_before},
                                              {"untaken", test_untaken}};
  return harness_main("channel_events_test", argc, argv, cases, sizeof cases / sizeof *cases);
}
