/*
 * access_server.c - the server behind access_peers_test.py.
 *
 *   access_server mode socket [name=value]...
 *
 * Listens on a TCP port, on one whose connections begin with a PROXY header, and on
 * the Unix socket; prints both ports, serves until its standard input ends, and ends
 * with 0. The names are those in the table below.
 *
 *   GET /who        200 and, in lines, what is known of the client
 *   ANY /data       200 "data" with X-Seen, and the cookie and the method that came
 *   GET /events     200 and an event, as a stream of events
 *   GET /basic      200 for "Aladdin" and "open sesame", else 401
 *   GET /bearer     200 for the token "abc", else 401
 *   GET /           200 and a page
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "harness.h"

static int32_t set_credentials(apus_server server, const char *value) {
  return apus_server_set_cors_credentials(server, atoi(value));
}

static int32_t set_forwarded(apus_server server, const char *value) {
  return apus_server_set_forwarded_fields(server, atoi(value));
}

static int32_t ask_origin(void *context, apus_server server, const char *origin) {
  (void)server;
  return strcmp(origin, context) == 0;
}

static int32_t set_check(apus_server server, const char *value) {
  return apus_server_set_cors_check(server, ask_origin, strdup(value), free);
}

static const struct {
  const char *name;
  int32_t (*set)(apus_server server, const char *value);
} options[] = {
    {"origins", apus_server_set_cors_origins}, {"check", set_check},
    {"methods", apus_server_set_cors_methods}, {"headers", apus_server_set_cors_headers},
    {"exposed", apus_server_set_cors_exposed}, {"credentials", set_credentials},
    {"trust", apus_server_trust_proxy},        {"forwarded", set_forwarded},
};

static void who_handler(void *context, apus_request request) {
  char text[512];
  (void)context;
  snprintf(text, sizeof text, "%s\n%d\n%s\n%s\n%d\n", apus_request_client_ip(request),
           apus_request_client_port(request), apus_request_scheme(request),
           apus_request_host(request), apus_request_port(request));
  apus_reply_text(request, 200, text);
}

static void data_handler(void *context, apus_request request) {
  char text[512];
  const char *cookie = apus_request_header(request, "Cookie", NULL);
  (void)context;
  snprintf(text, sizeof text, "data %s %s", apus_request_method_name(request),
           cookie == NULL ? "" : cookie);
  apus_reply_set_header(request, "X-Seen", "seen");
  apus_reply_set_header(request, "X-Unseen", "unseen");
  apus_reply_text(request, 200, text);
}

static void events_handler(void *context, apus_request request) {
  (void)context;
  apus_reply_set_content_type(request, "text/event-stream");
  apus_writer writer = apus_writer_make(request);
  apus_writer_write(writer, "data: told\n\n", APUS_STRLEN);
  apus_writer_end(writer);
  apus_writer_destroy(writer);
}

static void basic_handler(void *context, apus_request request) {
  const char *user, *password;
  (void)context;
  if (apus_request_basic(request, &user, &password) == 0 &&
      apus_equal(user, APUS_STRLEN, "Aladdin", APUS_STRLEN) == 1 &&
      apus_equal(password, APUS_STRLEN, "open s\xc3\xa9same", APUS_STRLEN) == 1) {
    apus_reply_text(request, 200, "come in");
  } else {
    apus_reply_unauthorized(request, "Basic", "the \"cave\"");
  }
}

static void bearer_handler(void *context, apus_request request) {
  size_t length = 0;
  (void)context;
  const char *token = apus_request_bearer(request, &length);
  if (token != NULL && apus_equal(token, length, "abc", 3) == 1) {
    apus_reply_text(request, 200, "come in");
  } else {
    apus_reply_unauthorized(request, "Bearer", "cave");
  }
}

static void page_handler(void *context, apus_request request) {
  (void)context;
  apus_reply_html(request, 200, "<!doctype html><title>page</title>");
}

static void set_option(apus_server server, const char *text) {
  const char *value = strchr(text, '=');
  CHECK(value != NULL);
  for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
    size_t length = strlen(options[i].name);
    if (length == (size_t)(value - text) && strncmp(text, options[i].name, length) == 0) {
      CHECK_INT(0, options[i].set(server, value + 1));
      return;
    }
  }
  harness_fail(__FILE__, __LINE__, "no option %s", text);
}

int main(int argc, char **argv) {
  static struct app app;
  char byte;
  CHECK(argc > 2);
  app_make(&app, harness_mode(argv[1]));
  for (int i = 3; i < argc; i++) set_option(app.server, argv[i]);
  app_route(&app, APUS_GET, "/who", who_handler, NULL);
  app_route(&app, APUS_METHOD_ANY, "/data", data_handler, NULL);
  app_route(&app, APUS_GET, "/events", events_handler, NULL);
  app_route(&app, APUS_GET, "/basic", basic_handler, NULL);
  app_route(&app, APUS_GET, "/bearer", bearer_handler, NULL);
  app_route(&app, APUS_GET, "/", page_handler, NULL);
  CHECK_INT(0, apus_server_listen(app.server, NULL, 0));
  CHECK_INT(1, apus_server_listen(app.server, "127.0.0.1", 0));
  CHECK_INT(2, apus_server_listen_unix(app.server, argv[2]));
  CHECK_INT(0, apus_server_set_proxy_protocol(app.server, 1, APUS_PROXY_REQUIRED));
  printf("%d %d\n", apus_server_port(app.server, 0), apus_server_port(app.server, 1));
  fflush(stdout);
  harness_drive(&app);
  while (read(0, &byte, 1) > 0) continue;
  harness_stop(&app);
  return 0;
}
