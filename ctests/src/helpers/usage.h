/*
 * usage.h - one of everything: a server with requests, bodies, files, uploads, events and
 * WebSockets, plain and over TLS, and a client that asks for all of it. For tests that
 * watch what that does to the process.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef APUS_CTESTS_USAGE_H
#define APUS_CTESTS_USAGE_H

#include "harness.h"

#define USAGE_BODY (200 * 1024)
#define USAGE_PIECE (100 * 1024)

struct usage {
  struct app app;
  int32_t secure_port;
  char folder[64], uploads[64];
};

static char usage_body[USAGE_BODY + 1];

static inline void usage_run(const char *format, const char *argument) {
  char command[1024];
  snprintf(command, sizeof command, format, argument, argument, argument, argument);
  if (system(command) != 0) harness_fail(__FILE__, __LINE__, "failed: %s", command);
}

/* A folder to serve, with a certificate in it, and one for uploads, in memory and so on
 * another file system. */
static inline void usage_folders(struct usage *usage) {
  memset(usage, 0, sizeof *usage);
  memset(usage_body, 'a', USAGE_BODY);
  strcpy(usage->folder, "apus-usage-XXXXXX");
  strcpy(usage->uploads, "/dev/shm/apus-usage-XXXXXX");
  CHECK(mkdtemp(usage->folder) != NULL);
  if (mkdtemp(usage->uploads) == NULL) strcpy(usage->uploads, usage->folder);
  usage_run(
      "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=test "
      "-days 2 -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout %s/server.key "
      "-out %s/server.crt 2>/dev/null && head -c 300000 /dev/zero | tr '\\0' x >%s/file.txt && "
      "head -c 30000 /dev/zero | tr '\\0' x >%s/small.txt",
      usage->folder);
}

static inline void usage_remove(struct usage *usage) {
  usage_run("rm -rf %s", usage->folder);
  if (strcmp(usage->uploads, usage->folder) != 0) usage_run("rm -rf %s", usage->uploads);
}

/* --------------------------------------------------------------- the server */

static inline void usage_hello(void *context, apus_request request) {
  (void)context;
  apus_reply_text(request, 200, "hello");
}

static inline void usage_echo(void *context, apus_request request) {
  size_t length = 0;
  (void)context;
  const void *data = apus_request_body(request, &length);
  apus_reply(request, 200, "application/octet-stream", data, length);
}

static inline void usage_upload(void *context, apus_request request) {
  struct usage *usage = context;
  int32_t index = apus_request_form_find(request, "file", -1);
  const char *name = apus_request_part_save(request, index, usage->folder, "saved.txt", 1);
  CHECK(name != NULL);
  apus_reply_text(request, 200, name);
}

static inline void usage_events(void *context, apus_writer writer, apus_request request) {
  (void)context, (void)request;
  apus_writer_event(writer, NULL, "1", "one", 3);
  apus_writer_detach(writer);
}

static inline void usage_back(void *context, apus_channel channel, int32_t opcode, const void *data,
                              size_t length) {
  (void)context;
  apus_channel_send(channel, opcode, 1, data, length);
}

static inline void usage_make(struct usage *usage, enum mode mode) {
  struct app *app = &usage->app;
  CHECK(mode != MODE_PULL);
  app_make(app, mode);
  apus_server server = app->server;
  CHECK_INT(0, apus_server_set_form_memory(server, 1024));
  CHECK_INT(0, apus_server_set_upload_folder(server, usage->uploads));
  int32_t folder = apus_server_serve_folder(server, "/f", usage->folder);
  CHECK(folder >= 0);
  CHECK_INT(0, apus_server_set_folder_compression(server, folder, 1));
  CHECK_INT(0, apus_server_set_folder_listing(server, folder, 1));
  CHECK(apus_server_get(server, "/hello", usage_hello, NULL, NULL) >= 0);
  CHECK(apus_server_post(server, "/echo", usage_echo, NULL, NULL) >= 0);
  CHECK(apus_server_route_form(server, APUS_POST, "/upload", usage_upload, usage, NULL) >= 0);
  CHECK(apus_server_events(server, "/events", usage_events, NULL, NULL) >= 0);
  int32_t route = apus_server_websocket(server, "/ws", NULL, NULL, NULL);
  CHECK_INT(0, apus_server_on_message(server, route, usage_back, NULL, NULL));
  CHECK_INT(0, apus_server_add_certificate_directory(server, NULL, usage->folder));
  int32_t listener = apus_server_listen_tls(server, "127.0.0.1", 0);
  CHECK(listener >= 0);
  usage->secure_port = apus_server_port(server, listener);
}

/* --------------------------------------------------------------- the client */

static inline void usage_fetch(apus_client client, const char *method, const char *url,
                               const char *file) {
  apus_fetch fetch = apus_fetch_make(client, method, url);
  CHECK(fetch != 0);
  if (file != NULL) CHECK_INT(0, apus_fetch_add_file(fetch, "file", file, NULL, NULL));
  if (file == NULL && strcmp(method, "POST") == 0) {
    CHECK_INT(0, apus_fetch_set_body(fetch, usage_body, USAGE_BODY, NULL));
  }
  apus_response response = apus_fetch_send(fetch);
  CHECK(response != 0);
  CHECK_INT(200, apus_response_status(response));
  CHECK_INT(1, apus_fetch_destroy(fetch));
}

static inline void usage_channel(apus_client client, const char *url) {
  apus_message message;
  apus_channel channel = apus_channel_make(client);
  CHECK(channel != 0);
  CHECK_INT(0, apus_channel_open(channel, url));
  CHECK_INT(1, apus_channel_wait_open(channel, HARNESS_DEADLINE_MS));
  for (int i = 0; i < 2; i++) {
    size_t length = i == 0 ? 10 : USAGE_PIECE;
    CHECK_INT(0, apus_channel_send_text(channel, usage_body, length));
    CHECK_INT(1, apus_channel_recv(channel, &message, HARNESS_DEADLINE_MS));
    CHECK_BYTES(usage_body, length, message.data, message.length);
  }
  CHECK_INT(0, apus_channel_close(channel, 1000, "", 0));
  CHECK_INT(1, apus_channel_destroy(channel));
}

static inline void usage_source(apus_client client, const char *url) {
  const char *type, *id, *data;
  size_t length;
  apus_source source = apus_source_make(client, url);
  CHECK(source != 0);
  CHECK_INT(0, apus_source_open(source));
  CHECK_INT(1, apus_source_next(source, HARNESS_DEADLINE_MS, &type, &id, &data, &length));
  CHECK_TEXT("one", data);
  CHECK_INT(1, apus_source_destroy(source));
}

/* Everything, twice: plain and over TLS; and what fails. */
static inline void usage_ask(struct usage *usage, int32_t workers) {
  char url[128], path[128];
  apus_client client = apus_client_make();
  CHECK(client != 0);
  CHECK_INT(0, apus_client_set_workers(client, workers));
  snprintf(path, sizeof path, "%s/server.crt", usage->folder);
  CHECK_INT(0, apus_client_add_ca_file(client, path));
  snprintf(path, sizeof path, "%s/file.txt", usage->folder);
  for (int secure = 0; secure < 2; secure++) {
    const char *s = secure ? "s" : "";
    int port = secure ? usage->secure_port : usage->app.port;
    snprintf(url, sizeof url, "http%s://localhost:%d/hello", s, port);
    usage_fetch(client, "GET", url, NULL);
    snprintf(url, sizeof url, "http%s://localhost:%d/echo", s, port);
    usage_fetch(client, "POST", url, NULL);
    snprintf(url, sizeof url, "http%s://localhost:%d/upload", s, port);
    usage_fetch(client, "POST", url, path);
    snprintf(url, sizeof url, "http%s://localhost:%d/f/file.txt", s, port);
    usage_fetch(client, "GET", url, NULL);
    snprintf(url, sizeof url, "http%s://localhost:%d/f/small.txt", s, port);
    usage_fetch(client, "GET", url, NULL);
    snprintf(url, sizeof url, "http%s://localhost:%d/f/", s, port);
    usage_fetch(client, "GET", url, NULL);
    snprintf(url, sizeof url, "ws%s://localhost:%d/ws", s, port);
    usage_channel(client, url);
    snprintf(url, sizeof url, "http%s://localhost:%d/events", s, port);
    usage_source(client, url);
  }
  CHECK_INT(1, apus_client_destroy(client));
  CHECK_NONE(APUS_E_IO, apus_get("http://127.0.0.1:1/", NULL));
}

#endif /* APUS_CTESTS_USAGE_H */
