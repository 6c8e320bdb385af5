/*
 * peer_civetweb.c - civetweb. A worker thread of it serves one connection until
 * that closes, so it needs as many threads as there are connections: with one
 * thread, 64 connections would be served one after another. Head and body go
 * out in one write; civetweb's own functions would take one for each.
 *
 * Usage: peer_civetweb PORT [THREADS]
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <civetweb.h>
#include <stdio.h>
#include <unistd.h>

static int answer(struct mg_connection *connection, void *context) {
  static const char text[] =
      "HTTP/1.1 200 OK\r\n"
      "X-Bench: 1\r\n"
      "Content-Type: text/plain\r\n"
      "Content-Length: 13\r\n"
      "\r\n"
      "Hello, World!";
  (void)context;
  mg_write(connection, text, sizeof text - 1);
  return 200;
}

int main(int argc, char **argv) {
  if (argc < 2) {
    fprintf(stderr, "usage: peer_civetweb PORT [THREADS]\n");
    return 2;
  }
  char listener[64];
  snprintf(listener, sizeof listener, "127.0.0.1:%s", argv[1]);
  const char *options[] = {"listening_ports",
                           listener,
                           "num_threads",
                           argc > 2 ? argv[2] : "64",
                           "enable_keep_alive",
                           "yes",
                           "keep_alive_timeout_ms",
                           "60000",
                           "request_timeout_ms",
                           "60000",
                           "tcp_nodelay",
                           "1",
                           NULL};
  struct mg_callbacks callbacks = {0};
  mg_init_library(0);
  struct mg_context *context = mg_start(&callbacks, NULL, options);
  if (context == NULL) {
    fprintf(stderr, "peer_civetweb: cannot start\n");
    return 1;
  }
  mg_set_request_handler(context, "/", answer, NULL);
  printf("ready %s\n", argv[1]);
  fflush(stdout);
  for (;;) pause();
}
