/*
 * channel_server.c - the server behind websocket_test.py: channels that echo, chat,
 * ping and close.
 *
 *   channel_server [mode] [1: with compression]
 *
 * Prints its port, serves until its standard input ends, and ends with 0.
 *
 *   /                a page for a browser
 *   /echo            sends back each message; speaks the subprotocol "echo"
 *   /fragments       the same in frames of 8000 bytes
 *   /chat            sends each message to all channels of /chat
 *   /ping            pings with "hello", and sends "pong TEXT" for each pong
 *   /close/CODE      sends "bye" and closes with the code and the reason "as asked"
 *   /closes          the code and the reason of each close of /echo so far, by lines
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "harness.h"

static struct app app;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char closes[65536];

static void check_sent(int32_t result) {
  CHECK(result == 0 || result == APUS_E_CLOSED || result == APUS_E_FULL || result == APUS_E_HANDLE);
}

static void echo(void *context, apus_channel channel, int32_t opcode, const void *data,
                 size_t length) {
  size_t size = context == NULL ? length + 1 : 8000;
  check_sent(apus_channel_send_fragments(channel, opcode, data, length, size));
}

static void chat(void *context, apus_channel channel, int32_t opcode, const void *data,
                 size_t length) {
  (void)context, (void)channel;
  CHECK_INT(APUS_OPCODE_TEXT, opcode);
  for (apus_channel at = 0; (at = apus_server_next_channel(app.server, at)) != 0;) {
    const char *path = apus_channel_path(at);
    if (path != NULL && strcmp(path, "/chat") == 0) {
      check_sent(apus_channel_send_text(at, data, length));
    }
  }
}

static void pong(void *context, apus_channel channel, int32_t opcode, const void *data,
                 size_t length) {
  char text[160];
  (void)context;
  CHECK_INT(APUS_OPCODE_PONG, opcode);
  int count = snprintf(text, sizeof text, "pong %.*s", (int)length, (const char *)data);
  check_sent(apus_channel_send_text(channel, text, (size_t)count));
}

/* A pulled channel is ours. */
static void ended(void *context, apus_channel channel, int32_t code, const char *text,
                  size_t length) {
  if (context != NULL) {
    pthread_mutex_lock(&lock);
    size_t used = strlen(closes);
    snprintf(closes + used, sizeof closes - used, "%d %s\n", (int)code, text);
    pthread_mutex_unlock(&lock);
  }
  CHECK_INT(0, text[length]);
  if (app.mode == MODE_PULL) apus_channel_destroy(channel);
}

static void open_roomy(void *context, apus_channel channel, apus_request request) {
  (void)context, (void)request;
  apus_channel_set_high_water(channel, 1 << 26);
}

static void open_ping(void *context, apus_channel channel, apus_request request) {
  (void)context, (void)request;
  apus_channel_on_pong(channel, pong, NULL, NULL);
  check_sent(apus_channel_ping(channel, "hello", 5));
}

static void open_close(void *context, apus_channel channel, apus_request request) {
  (void)context, (void)request;
  const char *path = apus_channel_path(channel);
  if (path == NULL) return;
  check_sent(apus_channel_send_text(channel, "bye", 3));
  int code = atoi(path + strlen("/close/"));
  check_sent(apus_channel_close(channel, code, code == 0 ? "" : "as asked", APUS_STRLEN));
}

static void tell_closes(void *context, apus_request request) {
  (void)context;
  pthread_mutex_lock(&lock);
  apus_reply_text(request, 200, closes);
  pthread_mutex_unlock(&lock);
}

static void page(void *context, apus_request request) {
  (void)context;
  apus_reply_html(request, 200, "<!doctype html><title>channels</title>");
}

static int32_t add(const char *pattern, apus_open_fn open, apus_message_fn message, void *context) {
  int32_t route = app_websocket(&app, pattern, open, NULL);
  if (message != NULL) {
    CHECK_INT(0, apus_server_on_message(app.server, route, message, context, NULL));
  }
  void *told = strcmp(pattern, "/echo") == 0 ? &app : NULL;
  CHECK_INT(0, apus_server_on_close(app.server, route, ended, told, NULL));
  return route;
}

int main(int argc, char **argv) {
  char byte;
  app_make(&app, harness_mode(argc > 1 ? argv[1] : "worker"));
  CHECK_INT(0, apus_server_set_deflate(app.server, argc > 2 && strcmp(argv[2], "1") == 0));
  int32_t route = add("/echo", open_roomy, echo, NULL);
  CHECK_INT(0, apus_server_set_protocols(app.server, route, "echo"));
  add("/fragments", open_roomy, echo, &app);
  add("/chat", NULL, chat, NULL);
  add("/ping", open_ping, NULL, NULL);
  add("/close/:code", open_close, NULL, NULL);
  app_route(&app, APUS_GET, "/closes", tell_closes, NULL);
  app_route(&app, APUS_GET, "/", page, NULL);
  harness_start(&app);
  printf("%d\n", (int)app.port);
  fflush(stdout);
  while (read(0, &byte, 1) > 0) continue;
  harness_stop(&app);
  return 0;
}
