/*
 * hostile_server.c - the server behind hostile_test.py and peers_test.py: it
 * echoes, and it counts by the client's port which requests reached a handler,
 * so that a script can tell for each of many connections at once.
 *
 *   hostile_server [mode] [path of a Unix socket] [folder]
 *
 * Prints its port, serves until its standard input ends, and ends with 0.
 *
 *   GET /            200 "ok"
 *   POST /, PUT /put 200 and the body that came
 *   GET /canary      200 "canary", counted apart
 *   GET /count?port= handler calls and canaries of that client port (0: of the
 *                    Unix socket) since it was last asked, and both in all
 *   GET /chunks      200 in three chunks with a trailer
 *   GET /NAME        a file of the folder
 *   /ws              a WebSocket that sends back each message
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "harness.h"

#define PORTS 65536

static atomic_int calls[PORTS], canaries[PORTS];
static atomic_llong all_calls, all_canaries;

static void count_call(apus_request request) {
  int32_t port = apus_request_client_port(request);
  CHECK(port >= 0 && port < PORTS);
  atomic_fetch_add(&calls[port], 1);
  atomic_fetch_add(&all_calls, 1);
}

static void root_handler(void *context, apus_request request) {
  (void)context;
  count_call(request);
  apus_reply_text(request, 200, "ok");
}

static void echo_handler(void *context, apus_request request) {
  size_t length = 0;
  (void)context;
  count_call(request);
  const void *body = apus_request_body(request, &length);
  apus_reply(request, 200, "application/octet-stream", body, length);
}

static void canary_handler(void *context, apus_request request) {
  (void)context;
  int32_t port = apus_request_client_port(request);
  CHECK(port >= 0 && port < PORTS);
  atomic_fetch_add(&canaries[port], 1);
  atomic_fetch_add(&all_canaries, 1);
  apus_reply_text(request, 200, "canary");
}

static void count_handler(void *context, apus_request request) {
  char text[128];
  const char *port = apus_request_query_param(request, "port", NULL);
  int at = port == NULL ? 0 : atoi(port);
  (void)context;
  if (at < 0 || at >= PORTS) at = 0;
  snprintf(text, sizeof text, "%d %d %lld %lld", atomic_exchange(&calls[at], 0),
           atomic_exchange(&canaries[at], 0), (long long)atomic_load(&all_calls),
           (long long)atomic_load(&all_canaries));
  apus_reply_text(request, 200, text);
}

static void chunks_handler(void *context, apus_request request) {
  (void)context;
  apus_writer writer = apus_writer_make(request);
  if (writer == 0) return;
  apus_writer_write(writer, "one ", 4);
  apus_writer_write(writer, "two ", 4);
  apus_writer_write(writer, "three", 5);
  apus_writer_add_trailer(writer, "X-Trailer", "end");
  apus_writer_end(writer);
  apus_writer_destroy(writer);
}

/* A pulled channel comes without its request, and is not counted. */
static void open_handler(void *context, apus_channel channel, apus_request request) {
  (void)context, (void)channel;
  if (request != 0) count_call(request);
}

static void message_handler(void *context, apus_channel channel, int32_t opcode, const void *data,
                            size_t length) {
  (void)context;
  if (opcode == APUS_OPCODE_TEXT) {
    apus_channel_send_text(channel, data, length);
  } else {
    apus_channel_send_binary(channel, data, length);
  }
}

/* A pulled channel is ours. */
static void close_handler(void *context, apus_channel channel, int32_t code, const char *text,
                          size_t length) {
  const struct app *served = context;
  CHECK(code >= 1000 && text[length] == '\0');
  if (served->mode == MODE_PULL) apus_channel_destroy(channel);
}

int main(int argc, char **argv) {
  static struct app app;
  char byte;
  app_make(&app, harness_mode(argc > 1 ? argv[1] : "worker"));
  app_route(&app, APUS_GET, "/", root_handler, NULL);
  app_route(&app, APUS_POST, "/", echo_handler, NULL);
  app_route(&app, APUS_PUT, "/put", echo_handler, NULL);
  app_route(&app, APUS_GET, "/canary", canary_handler, NULL);
  app_route(&app, APUS_GET, "/count", count_handler, NULL);
  app_route(&app, APUS_GET, "/chunks", chunks_handler, NULL);
  int32_t route = app_websocket(&app, "/ws", open_handler, NULL);
  CHECK_INT(0, apus_server_on_message(app.server, route, message_handler, NULL, NULL));
  CHECK_INT(0, apus_server_on_close(app.server, route, close_handler, &app, NULL));
  if (argc > 2) CHECK_INT(0, apus_server_listen_unix(app.server, argv[2]));
  if (argc > 3) {
    int32_t folder = apus_server_serve_folder(app.server, "/", argv[3]);
    CHECK(folder >= 0);
    CHECK_INT(0, apus_server_set_folder_precompressed(app.server, folder, 1));
    CHECK_INT(0, apus_server_set_folder_compression(app.server, folder, 1));
    CHECK_INT(0, apus_server_set_folder_listing(app.server, folder, 1));
  }
  harness_start(&app);
  printf("%d\n", (int)app.port);
  fflush(stdout);
  while (read(0, &byte, 1) > 0) continue;
  harness_stop(&app);
  return 0;
}
