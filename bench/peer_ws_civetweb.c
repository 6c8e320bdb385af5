/*
 * peer_ws_civetweb.c - civetweb as an echo server. A thread of it serves one
 * channel until that closes, so it needs as many as there are channels.
 *
 * Usage: peer_ws_civetweb PORT [THREADS]
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <civetweb.h>
#include <stdio.h>
#include <unistd.h>

static int accept_all(const struct mg_connection *connection, void *context) {
  (void)connection, (void)context;
  return 0;
}

static void nothing(struct mg_connection *connection, void *context) {
  (void)connection, (void)context;
}

static void closed(const struct mg_connection *connection, void *context) {
  (void)connection, (void)context;
}

static int echo(struct mg_connection *connection, int first_byte, char *data, size_t length,
                void *context) {
  (void)context;
  int opcode = first_byte & 15;
  if (opcode != MG_WEBSOCKET_OPCODE_TEXT && opcode != MG_WEBSOCKET_OPCODE_BINARY) return 1;
  return mg_websocket_write(connection, opcode, data, length) > 0;
}

int main(int argc, char **argv) {
  if (argc < 2) {
    fprintf(stderr, "usage: peer_ws_civetweb PORT [THREADS]\n");
    return 2;
  }
  char listener[64];
  snprintf(listener, sizeof listener, "127.0.0.1:%s", argv[1]);
  const char *options[] = {"listening_ports",
                           listener,
                           "num_threads",
                           argc > 2 ? argv[2] : "64",
                           "websocket_timeout_ms",
                           "60000",
                           "request_timeout_ms",
                           "60000",
                           "tcp_nodelay",
                           "1",
                           NULL};
  struct mg_callbacks callbacks = {0};
  if (!(mg_init_library(MG_FEATURES_WEBSOCKET) & MG_FEATURES_WEBSOCKET)) {
    fprintf(stderr, "peer_ws_civetweb: built without WebSocket\n");
    return 1;
  }
  struct mg_context *context = mg_start(&callbacks, NULL, options);
  if (context == NULL) {
    fprintf(stderr, "peer_ws_civetweb: cannot start\n");
    return 1;
  }
  mg_set_websocket_handler(context, "/", accept_all, nothing, echo, closed, NULL);
  printf("ready %s\n", argv[1]);
  fflush(stdout);
  for (;;) pause();
}
