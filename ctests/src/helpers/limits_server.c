/*
 * limits_server.c - the server behind timeouts_test.py: one with limits so short
 * and small that a script can run into them.
 *
 *   limits_server mode [name=value]...
 *
 * The names are those in the table below, and nofile, the process's own limit on
 * descriptors. Prints its port, serves until its standard input ends, and ends
 * with 0.
 *
 *   GET /            200 "ok"
 *   POST /           200 and the body that came
 *   GET /bytes/:n    200 and n bytes
 *   GET /counter/:n  200 and that counter of the server
 *   POST /stream     200 and the length of a body that was taken in pieces
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "harness.h"

#include <sys/resource.h>

enum { GRACE_MS = 500 };

static int32_t set_body_rate(apus_server server, int32_t bytes_per_second) {
  return apus_server_set_body_rate(server, bytes_per_second, GRACE_MS);
}

static const struct {
  const char *name;
  int32_t (*set)(apus_server server, int32_t value);
} options[] = {
    {"workers", apus_server_set_workers},
    {"max_connections", apus_server_set_max_connections},
    {"max_pipelined", apus_server_set_max_pipelined},
    {"max_pending", apus_server_set_max_pending},
    {"reserve", apus_server_set_descriptor_reserve},
    {"header_ms", apus_server_set_header_timeout},
    {"body_ms", apus_server_set_body_timeout},
    {"body_rate", set_body_rate},
    {"write_ms", apus_server_set_write_timeout},
    {"keep_alive_ms", apus_server_set_keep_alive_timeout},
};

static void root_handler(void *context, apus_request request) {
  (void)context;
  apus_reply_text(request, 200, "ok");
}

static void echo_handler(void *context, apus_request request) {
  size_t length = 0;
  (void)context;
  const void *body = apus_request_body(request, &length);
  apus_reply(request, 200, "application/octet-stream", body, length);
}

static void bytes_handler(void *context, apus_request request) {
  static char bytes[16 << 20];
  long count = atol(apus_request_param(request, "n", NULL));
  (void)context;
  if (count < 0 || count > (long)sizeof bytes) count = 0;
  apus_reply(request, 200, "application/octet-stream", bytes, (size_t)count);
}

static void counter_handler(void *context, apus_request request) {
  char text[32];
  struct app *app = context;
  int32_t counter = atoi(apus_request_param(request, "n", NULL));
  snprintf(text, sizeof text, "%lld", (long long)apus_server_counter(app->server, counter));
  apus_reply_text(request, 200, text);
}

static void take_piece(void *context, apus_request request, const void *data, size_t length,
                       int32_t last) {
  char text[32];
  (void)data;
  *(size_t *)context += length;
  snprintf(text, sizeof text, "%zu", *(size_t *)context);
  if (last == 1) apus_reply_text(request, 200, text);
  if (last == -1) apus_request_destroy(request);
}

static void stream_handler(void *context, apus_request request) {
  (void)context;
  size_t *length = calloc(1, sizeof *length);
  if (length != NULL) apus_request_on_body(request, take_piece, length, free);
}

static void set_option(apus_server server, const char *text) {
  size_t length = strcspn(text, "=");
  CHECK(text[length] == '=');
  int32_t value = atoi(text + length + 1);
  if (strncmp(text, "nofile", length) == 0) {
    struct rlimit limit = {.rlim_cur = (rlim_t)value, .rlim_max = (rlim_t)value};
    CHECK_INT(0, setrlimit(RLIMIT_NOFILE, &limit));
    return;
  }
  for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
    if (strlen(options[i].name) == length && strncmp(text, options[i].name, length) == 0) {
      CHECK_INT(0, options[i].set(server, value));
      return;
    }
  }
  harness_fail(__FILE__, __LINE__, "no option %s", text);
}

int main(int argc, char **argv) {
  static struct app app;
  char byte;
  CHECK(argc > 1);
  app_make(&app, harness_mode(argv[1]));
  for (int i = 2; i < argc; i++) set_option(app.server, argv[i]);
  app_route(&app, APUS_GET, "/", root_handler, NULL);
  app_route(&app, APUS_POST, "/", echo_handler, NULL);
  app_route(&app, APUS_GET, "/bytes/:n", bytes_handler, NULL);
  app_route(&app, APUS_GET, "/counter/:n", counter_handler, &app);
  app_stream(&app, APUS_POST, "/stream", stream_handler, NULL);
  harness_start(&app);
  printf("%d\n", (int)app.port);
  fflush(stdout);
  while (read(0, &byte, 1) > 0) continue;
  harness_stop(&app);
  return 0;
}
