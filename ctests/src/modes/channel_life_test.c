/*
 * channel_life_test.c - the life of channels: their handles and who owns them, walks,
 * what ends inside callbacks and from other threads, servers that stop and end with
 * channels open, and all of that at once.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "../helpers/ws.h"

static struct heard heard;

static void open_listening(void *context, apus_channel channel, apus_request request) {
  heard_listen(context, channel);
  heard_open(context, channel, request);
}

static int32_t make(struct app *app, enum mode mode) {
  heard_reset(&heard);
  app_make(app, mode);
  int32_t route = app_websocket(app, "/ws", open_listening, &heard);
  app_websocket(app, "/quiet", heard_open, &heard);
  return route;
}

static void leave(struct client *client) {
  ws_close(client, 1000, "");
  WS_CLOSED_WITH(client, 1000);
  CLIENT_ENDS(client);
  client_close(client);
}

/* --------------------------------------------------------------- stale and forged */

static void check_dead(uint64_t handle) {
  apus_message message;
  CHECK_INT(0, apus_channel_is_alive(handle));
  CHECK_INT(0, apus_channel_is_connected(handle));
  CHECK_INT(0, apus_channel_destroy(handle));
  CHECK_CODE(APUS_E_HANDLE, apus_channel_keep(handle));
  CHECK_CODE(APUS_E_HANDLE, apus_channel_state(handle));
  CHECK_CODE(APUS_E_HANDLE, apus_channel_send_text(handle, "x", 1));
  CHECK_CODE(APUS_E_HANDLE, apus_channel_close(handle, 1000, "", 0));
  CHECK_CODE(APUS_E_HANDLE, apus_channel_buffered(handle));
  CHECK_CODE(APUS_E_HANDLE, apus_channel_recv(handle, &message, 0));
  CHECK_NONE(APUS_E_HANDLE, apus_channel_path(handle));
  CHECK_NONE(APUS_E_HANDLE, apus_channel_id(handle));
  /* Those of a channel that has just ended may be dropped meanwhile. */
  static struct heard refused;
  int drops = atomic_load(&refused.drops);
  CHECK_CODE(APUS_E_HANDLE, apus_channel_on_close(handle, heard_close, &refused, heard_drop));
  CHECK_INT(drops + 1, atomic_load(&refused.drops));
}

/* Inside a callback a channel's handle is no request's, nor a server's. */
static void mix_kinds(void *context, apus_channel channel, int32_t opcode, const void *data,
                      size_t length) {
  CHECK_CODE(APUS_E_HANDLE, apus_reply_text(channel, 200, "x"));
  CHECK_CODE(APUS_E_HANDLE, apus_request_defer(channel));
  CHECK_NONE(APUS_E_HANDLE, apus_request_path(channel));
  CHECK_NONE(APUS_E_HANDLE, apus_request_body(channel, NULL));
  CHECK_NONE(APUS_E_HANDLE, apus_upgrade_make(channel));
  CHECK_NONE(APUS_E_HANDLE, apus_writer_make(channel));
  CHECK_INT(0, apus_request_destroy(channel));
  CHECK_CODE(APUS_E_HANDLE, apus_writer_end(channel));
  CHECK_CODE(APUS_E_HANDLE, apus_server_stop(channel));
  CHECK_INT(1, apus_server_is_running(apus_channel_server(channel)));
  heard_add(context, 'm', channel, opcode, data, length);
}

static void test_handles(enum mode mode) {
  struct app app;
  struct client client;
  int32_t route = make(&app, mode);
  CHECK_INT(0, apus_server_on_message(app.server, route, mix_kinds, &heard, heard_drop));
  CHECK_INT(0, apus_server_on_close(app.server, route, heard_close, &heard, heard_drop));
  CHECK_CODE(APUS_E_ARGUMENT, apus_server_on_close(app.server, route, NULL, &heard, heard_drop));
  CHECK_CODE(APUS_E_ARGUMENT,
             apus_server_on_message(app.server, 99, mix_kinds, &heard, heard_drop));
  CHECK_INT(2, atomic_load(&heard.drops));
  CHECK_CODE(APUS_E_ARGUMENT, apus_server_set_protocols(app.server, route, "a, a"));
  CHECK_CODE(APUS_E_ARGUMENT, apus_server_set_protocols(app.server, route, "a b"));
  CHECK_CODE(APUS_E_ARGUMENT, apus_server_set_protocols(app.server, route, NULL));
  CHECK_CODE(APUS_E_ARGUMENT, apus_server_set_protocols(app.server, -1, "a"));
  harness_start(&app);
  CHECK_CODE(APUS_E_STATE,
             apus_server_on_message(app.server, route, mix_kinds, &heard, heard_drop));
  CHECK_CODE(APUS_E_STATE, apus_server_set_protocols(app.server, route, "a"));
  CHECK_INT(3, atomic_load(&heard.drops));
  apus_channel channel = ws_pair(&client, app.port, "/ws", &heard);
  ws_text(&client, "mix");
  /* The route's listeners first, then its own. */
  HEARD(&heard, 1, 'm', APUS_OPCODE_TEXT, "mix");
  HEARD(&heard, 2, 'm', APUS_OPCODE_TEXT, "mix");
  check_dead(0);
  check_dead(app.server);
  check_dead(channel ^ (1ull << 24));
  check_dead(channel ^ 1);
  check_dead((channel & ~(15ull << 48)) | (uint64_t)APUS_KIND_REQUEST << 48);
  check_dead(UINT64_MAX);
  leave(&client);
  HEARD(&heard, 3, 'c', 1000, "");
  HEARD(&heard, 4, 'c', 1000, "");
  if (mode == MODE_PULL) CHECK_INT(1, apus_channel_destroy(channel));
  EVENTUALLY(!apus_channel_is_alive(channel));
  check_dead(channel);
  harness_stop(&app);
  check_dead(channel);
}

/* ---------------------------------------------------------------- keep and destroy */

static void destroy_inside(void *context, apus_channel channel, int32_t opcode, const void *data,
                           size_t length) {
  heard_message(context, channel, opcode, data, length);
  CHECK_INT(1, apus_channel_destroy(channel));
  CHECK_INT(0, apus_channel_destroy(channel));
  CHECK_CODE(APUS_E_HANDLE, apus_channel_send_text(channel, "x", 1));
}

static void open_destroying(void *context, apus_channel channel, apus_request request) {
  CHECK_INT(0, apus_channel_on_message(channel, destroy_inside, context, heard_drop));
  open_listening(context, channel, request);
}

/* A destroyed channel tells no more: no message, and no close. */
static void test_destroy_inside(enum mode mode) {
  struct app app;
  struct client client;
  heard_reset(&heard);
  app_make(&app, mode);
  app_websocket(&app, "/ws", open_destroying, &heard);
  harness_start(&app);
  for (int i = 0; i < 20; i++) {
    heard_reset(&heard);
    apus_channel channel = ws_pair(&client, app.port, "/ws", &heard);
    for (int k = 0; k < 5; k++) ws_text(&client, "go");
    WS_EXPECT_CLOSE(&client, 1001, "");
    EVENTUALLY(!apus_channel_is_alive(channel));
    client_close(&client);
    EVENTUALLY(atomic_load(&heard.drops) == 6);
    CHECK_INT(2, heard_count(&heard, 0));
    HEARD(&heard, 1, 'm', APUS_OPCODE_TEXT, "go");
  }
  EVENTUALLY(apus_server_channel_count(app.server) == 0);
  harness_stop(&app);
}

static void keep_at_close(void *context, apus_channel channel, int32_t code, const char *text,
                          size_t length) {
  heard_close(context, channel, code, text, length);
  CHECK_INT(0, apus_channel_keep(channel));
  atomic_store(&((struct heard *)context)->channel, channel);
}

static void open_keeping(void *context, apus_channel channel, apus_request request) {
  CHECK_INT(0, apus_channel_on_close(channel, keep_at_close, context, heard_drop));
  heard_open(context, channel, request);
}

/* Kept in its last callback, it can still be asked. */
static void test_keep(enum mode mode) {
  struct app app;
  struct client client;
  heard_reset(&heard);
  app_make(&app, mode);
  app_websocket(&app, "/ws", open_keeping, &heard);
  harness_start(&app);
  apus_channel channel = ws_pair(&client, app.port, "/ws", &heard);
  leave(&client);
  CHECK_INT((int64_t)channel, (int64_t)heard_opened(&heard));
  CHECK_INT(1, apus_channel_is_alive(channel));
  CHECK_INT(APUS_STATE_CLOSED, apus_channel_state(channel));
  CHECK_TEXT("/ws", apus_channel_path(channel));
  CHECK_CODE(APUS_E_CLOSED, apus_channel_send_text(channel, "x", 1));
  CHECK_CODE(APUS_E_CLOSED, apus_channel_close(channel, 1000, "", 0));
  CHECK_INT(0, apus_channel_buffered(channel));
  CHECK_INT(1, apus_server_channel_count(app.server));
  harness_halt(&app);
  CHECK_INT(1, apus_channel_is_alive(channel));
  CHECK_INT((int64_t)app.server, (int64_t)apus_channel_server(channel));
  CHECK_INT(0, atomic_load(&heard.drops));
  CHECK_INT(1, apus_channel_destroy(channel));
  CHECK_INT(1, atomic_load(&heard.drops));
  CHECK_INT(1, heard_count(&heard, 'c'));
  CHECK_INT(1, apus_server_destroy(app.server));
}

/* ---------------------------------------------------------------------------- walks */

static void test_walk(enum mode mode) {
  enum { COUNT = 40 };
  struct app app;
  struct client clients[COUNT];
  apus_channel channels[COUNT];
  int seen[COUNT] = {0};
  make(&app, mode);
  harness_start(&app);
  CHECK_INT(0, apus_server_next_channel(app.server, 0));
  for (int i = 0; i < COUNT; i++) channels[i] = ws_pair(&clients[i], app.port, "/quiet", &heard);
  CHECK_INT(COUNT, apus_server_channel_count(app.server));
  int walked = 0;
  for (apus_channel at = 0; (at = apus_server_next_channel(app.server, at)) != 0; walked++) {
    for (int i = 0; i < COUNT; i++) seen[i] += channels[i] == at;
    CHECK_INT(0, apus_channel_send_text(at, "all", 3));
  }
  CHECK_INT(COUNT, walked);
  for (int i = 0; i < COUNT; i++) {
    CHECK_INT(1, seen[i]);
    WS_EXPECT_TEXT(&clients[i], "all");
    leave(&clients[i]);
    if (mode == MODE_PULL) CHECK_INT(1, apus_channel_destroy(channels[i]));
  }
  EVENTUALLY(apus_server_channel_count(app.server) == 0);
  CHECK_INT(0, apus_server_next_channel(app.server, 0));
  CHECK_NONE(APUS_E_HANDLE, apus_server_next_channel(channels[0], 0));
  harness_stop(&app);
}

/* ----------------------------------------------------------------- stop and destroy */

/* Peers are told that the server goes away; each channel has its one close. */
static void test_stop(enum mode mode) {
  enum { COUNT = 8 };
  struct app app;
  struct client clients[COUNT];
  make(&app, mode);
  for (int round = 0; round < 6; round++) {
    heard_reset(&heard);
    if (round > 0) app.port = 0;
    harness_start(&app);
    for (int i = 0; i < COUNT; i++) ws_pair(&clients[i], app.port, "/ws", &heard);
    pthread_t thread;
    CHECK_INT(0, pthread_create(&thread, NULL, (void *(*)(void *))(void *)harness_halt, &app));
    for (int i = 0; i < COUNT; i++) {
      WS_EXPECT_CLOSE(&clients[i], 1001, "");
      ws_close(&clients[i], 1001, "");
      CHECK_INT(0, client_fill(&clients[i]));
      client_close(&clients[i]);
    }
    CHECK_INT(0, pthread_join(thread, NULL));
    CHECK_INT(COUNT, heard_count(&heard, 'c'));
    CHECK_INT(COUNT, heard_count(&heard, 'o'));
    for (int i = 0; i < 2 * COUNT; i++) {
      struct heard_item item = heard_at(&heard, i);
      if (item.kind == 'c') CHECK_INT(1001, item.number);
      if (mode == MODE_PULL && item.kind == 'c') CHECK_INT(1, apus_channel_destroy(item.channel));
    }
    CHECK_INT(5 * COUNT, atomic_load(&heard.drops));
    CHECK_INT(0, apus_live_count(APUS_KIND_CHANNEL));
  }
  CHECK_INT(1, apus_server_destroy(app.server));
}

/* The end of a server ends its channels, kept or not; peers hear of it. */
static void test_destroy(enum mode mode) {
  for (int round = 0; round < 6; round++) {
    struct app app;
    struct client first, second;
    make(&app, mode);
    harness_start(&app);
    apus_channel kept = ws_pair(&first, app.port, "/ws", &heard);
    CHECK_INT(0, apus_channel_keep(kept));
    apus_channel other = ws_pair(&second, app.port, "/quiet", &heard);
    CHECK_INT(1, apus_server_destroy(app.server));
    if (app.driven) CHECK_INT(0, pthread_join(app.driver, NULL));
    CHECK_INT(0, apus_channel_is_alive(kept));
    CHECK_INT(0, apus_channel_is_alive(other));
    CHECK_INT(0, heard_count(&heard, 'c'));
    CHECK_INT(5, atomic_load(&heard.drops));
    WS_EXPECT_CLOSE(&first, 1001, "");
    WS_EXPECT_CLOSE(&second, 1001, "");
    client_close(&first);
    client_close(&second);
  }
}

static void destroy_server(void *context, apus_channel channel, int32_t opcode, const void *data,
                           size_t length) {
  heard_message(context, channel, opcode, data, length);
  CHECK_INT(1, apus_server_destroy(apus_channel_server(channel)));
  CHECK_CODE(APUS_E_HANDLE, apus_channel_send_text(channel, "x", 1));
}

static void open_ending(void *context, apus_channel channel, apus_request request) {
  CHECK_INT(0, apus_channel_keep(channel));
  heard_listen(context, channel);
  CHECK_INT(0, apus_channel_on_message(channel, destroy_server, context, heard_drop));
  heard_open(context, channel, request);
}

static void test_destroy_server_inside(enum mode mode) {
  for (int round = 0; round < 10; round++) {
    struct app app;
    struct client first, second;
    heard_reset(&heard);
    app_make(&app, mode);
    app_websocket(&app, "/ws", open_ending, &heard);
    harness_start(&app);
    ws_pair(&first, app.port, "/ws", &heard);
    ws_pair(&second, app.port, "/ws", &heard);
    ws_text(&second, "end it");
    client_send_some(&second, "\x81\x80\0\0\0\0", 6);
    while (client_fill(&first)) continue;
    while (client_fill(&second)) continue;
    client_close(&first);
    client_close(&second);
    if (app.driven) CHECK_INT(0, pthread_join(app.driver, NULL));
    EVENTUALLY(apus_live_count(0) == 0);
    EVENTUALLY(atomic_load(&heard.drops) == 12);
    CHECK_INT(0, heard_count(&heard, 'c'));
    CHECK_INT(2, heard_count(&heard, 'm'));
  }
}

int main(int argc, char **argv) {
  static const struct harness_case cases[] = {
      {"handles", test_handles},
      {"destroy_inside", test_destroy_inside},
      {"keep", test_keep},
      {"walk", test_walk},
      {"stop", test_stop},
      {"destroy", test_destroy},
      {"destroy_server_inside", test_destroy_server_inside},
  };
  return harness_main("channel_life_test", argc, argv, CASES(cases));
}
