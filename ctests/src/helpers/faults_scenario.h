/*
 * faults_scenario.h - what faults_run.c does while one call fails: a server and a client,
 * and every use of them, each of which may fail, and is counted as right or not.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef APUS_CTESTS_FAULTS_SCENARIO_H
#define APUS_CTESTS_FAULTS_SCENARIO_H

#include "harness.h"

#include <sys/un.h>

#define BODY (200 * 1024)
#define PIECE (100 * 1024)
#define LIMIT_MS 4000

static char body[BODY + 1];
static char folder[256];

/* What one round came to. */
static struct round {
  long number;
  int hit, started, served, failed;
} now;

static struct app app;
static int32_t secure_port;
static apus_client client;

/* ----------------------------------------------------------------- handlers */

static inline void hello(void *context, apus_request request) {
  (void)context;
  apus_reply_text(request, 200, "hello");
}

static inline void echo(void *context, apus_request request) {
  size_t length = 0;
  (void)context;
  const void *data = apus_request_body(request, &length);
  apus_reply(request, 200, "application/octet-stream", data, length);
}

static inline void take_upload(void *context, apus_request request) {
  char path[300];
  (void)context;
  snprintf(path, sizeof path, "%s/uploads", folder);
  int32_t index = apus_request_form_find(request, "file", -1);
  const char *name = apus_request_part_save(request, index, path, "saved.bin", 1);
  snprintf(path, sizeof path, "%s/uploads/new.bin", folder);
  unlink(path);
  snprintf(path, sizeof path, "%s/uploads", folder);
  if (name != NULL) name = apus_request_part_save(request, index, path, "new.bin", 0);
  apus_reply_text(request, name == NULL ? 500 : 200, name == NULL ? "not saved" : "saved");
}

static inline void write_pieces(void *context, apus_request request) {
  (void)context;
  apus_writer writer = apus_writer_make(request);
  apus_writer_write(writer, body, 1000);
  apus_writer_write(writer, body, PIECE);
  apus_writer_end(writer);
  apus_writer_destroy(writer);
}

static inline void feed(void *context, apus_writer writer, apus_request request) {
  (void)context, (void)request;
  if (apus_writer_event(writer, NULL, "1", "one", 3) != 0 ||
      apus_writer_event(writer, NULL, "2", "two", 3) != 0) {
    apus_writer_abort(writer);
  }
  apus_writer_detach(writer);
}

static inline void send_back(void *context, apus_channel channel, int32_t opcode, const void *data,
                             size_t length) {
  (void)context;
  if (apus_channel_send(channel, opcode, 1, data, length) != 0) {
    apus_channel_close(channel, 1011, "", 0);
  }
}

/* -------------------------------------------------------------------- steps */

static inline void step(const char *name) { dprintf(1, "%ld %s\n", now.number, name); }

static inline void count(int right) { right ? now.served++ : now.failed++; }

/* A reply to what was sent already; whatever comes is well formed. */
static inline void take_reply(struct client *raw, int status, size_t least_body) {
  struct reply reply;
  int whole = client_try_reply(raw, "GET", &reply) == REPLY_WHOLE;
  if (whole && reply.status == status) CHECK(reply.body_length >= least_body);
  count(whole && reply.status == status);
  reply_free(&reply);
}

static inline void step_requests(void) {
  struct client raw;
  char head[256];
  step("requests");
  client_open(&raw, app.port);
  snprintf(head, sizeof head, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
  client_send_some(&raw, head, strlen(head));
  take_reply(&raw, 200, 5);
  snprintf(head, sizeof head, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", BODY);
  client_send_some(&raw, head, strlen(head));
  client_send_some(&raw, body, BODY);
  take_reply(&raw, 200, BODY);
  snprintf(head, sizeof head, "GET /pieces HTTP/1.1\r\nHost: a\r\n\r\n");
  client_send_some(&raw, head, strlen(head));
  take_reply(&raw, 200, 1000 + PIECE);
  client_close(&raw);
}

static inline void step_files(void) {
  static const char *const targets[] = {"/f/file.bin", "/f/text.txt", "/f/missing", "/f/"};
  step("files");
  for (int i = 0; i < 4; i++) {
    struct client raw;
    char head[256];
    client_open(&raw, app.port);
    snprintf(head, sizeof head, "GET %s HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n",
             targets[i]);
    client_send_some(&raw, head, strlen(head));
    take_reply(&raw, i == 2 ? 404 : 200, 0);
    client_close(&raw);
  }
}

static inline void step_upload(void) {
  struct client raw;
  char head[512];
  static const char part[] =
      "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n";
  static const char end[] = "\r\n--x--\r\n";
  step("upload");
  client_open(&raw, app.port);
  snprintf(head, sizeof head,
           "POST /upload HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=x\r\n"
           "Content-Length: %zu\r\n\r\n%s",
           strlen(part) + PIECE + strlen(end), part);
  client_send_some(&raw, head, strlen(head));
  client_send_some(&raw, body, PIECE);
  client_send_some(&raw, end, strlen(end));
  take_reply(&raw, 200, 5);
  client_close(&raw);
}

/* A connection that the host has made, and one by a Unix socket. */
static inline void step_adopted(void) {
  for (int is_adopted = 0; is_adopted < 2; is_adopted++) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct client raw;
    int ends[2];
    step(is_adopted ? "adopted" : "unix");
    if (is_adopted) {
      CHECK_INT(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
      if (apus_server_adopt_connection(app.server, ends[1]) != 0) {
        close(ends[0]);
        close(ends[1]);
        count(0);
        continue;
      }
    } else {
      char path[300];
      snprintf(path, sizeof path, "%s/uploads/socket", folder);
      CHECK(strlen(path) < sizeof address.sun_path);
      strcpy(address.sun_path, path);
      ends[0] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
      CHECK_INT(0, connect(ends[0], (struct sockaddr *)&address, sizeof address));
    }
    client_adopt(&raw, ends[0]);
    client_send_some(&raw, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n", 34);
    take_reply(&raw, 200, 5);
    client_close(&raw);
  }
}

/* Events by a raw client, which leaves after the second. */
static inline void step_events(void) {
  struct client raw;
  step("events");
  client_open(&raw, app.port);
  client_send_some(&raw, "GET /events HTTP/1.1\r\nHost: a\r\n\r\n", 35);
  int found = 0;
  while (!found && client_fill(&raw)) {
    found = memmem(raw.data, raw.end, "two\n\n", 5) != NULL;
  }
  count(found);
  client_close(&raw);
}

/* A channel of the client's end: deflated, masked, both ways. */
static inline void step_channel(void) {
  char url[64];
  apus_message message;
  step("channel");
  apus_channel channel = apus_channel_make(client);
  if (channel == 0) return count(0);
  snprintf(url, sizeof url, "ws://localhost:%d/ws", app.port);
  apus_channel_set_connect_timeout(channel, LIMIT_MS);
  int right = apus_channel_open(channel, url) == 0 && apus_channel_wait_open(channel, 10000) == 1;
  for (int i = 0; right && i < 2; i++) {
    size_t length = i == 0 ? 10 : PIECE;
    right = apus_channel_send_text(channel, body, length) == 0 &&
            apus_channel_recv(channel, &message, 10000) == 1;
    if (right) CHECK_BYTES(body, length, message.data, message.length);
  }
  count(right);
  apus_channel_close(channel, 1000, "", 0);
  apus_channel_destroy(channel);
}

static inline void fetch_one(const char *url, const char *file, int is_output) {
  apus_fetch fetch = apus_fetch_make(client, file != NULL && !is_output ? "POST" : "GET", url);
  if (fetch == 0) return count(0);
  apus_fetch_set_total_timeout(fetch, LIMIT_MS);
  int32_t result = 0;
  if (file != NULL) {
    result = is_output ? apus_fetch_set_output_file(fetch, file)
                       : apus_fetch_set_body_file(fetch, file, NULL);
  }
  apus_response response = result == 0 ? apus_fetch_send(fetch) : 0;
  if (result == 0 && response == 0) CHECK(apus_last_error() < 0);
  count(response != 0 && apus_response_status(response) == 200);
  apus_fetch_destroy(fetch);
}

static inline void step_fetch(void) {
  char url[64], path[300];
  step("fetch");
  snprintf(url, sizeof url, "http://localhost:%d/hello", app.port);
  fetch_one(url, NULL, 0);
  snprintf(url, sizeof url, "http://localhost:%d/echo", app.port);
  snprintf(path, sizeof path, "%s/file.bin", folder);
  fetch_one(url, path, 0);
  snprintf(url, sizeof url, "http://127.0.0.1:%d/f/text.txt", app.port);
  snprintf(path, sizeof path, "%s/uploads/fetched.txt", folder);
  fetch_one(url, path, 1);
  step("tls");
  snprintf(url, sizeof url, "https://localhost:%d/hello", secure_port);
  fetch_one(url, NULL, 0);
  snprintf(url, sizeof url, "https://localhost:%d/f/file.bin", secure_port);
  fetch_one(url, NULL, 0);
}

static inline void step_source(void) {
  char url[64];
  const char *type, *data, *id;
  size_t length;
  step("source");
  snprintf(url, sizeof url, "http://127.0.0.1:%d/events", app.port);
  apus_source source = apus_source_make(client, url);
  if (source == 0) return count(0);
  apus_source_set_retry(source, 20, 50, 3);
  int right = apus_source_open(source) == 0 &&
              apus_source_next(source, 10000, &type, &id, &data, &length) == 1;
  count(right);
  apus_source_destroy(source);
}

/* --------------------------------------------------------------- the server */

static inline int set_up_server(enum mode mode) {
  char path[300];
  memset(&app, 0, sizeof app);
  app.mode = mode;
  app.server = apus_server_make();
  if (app.server == 0) return 0;
  apus_server server = app.server;
  apus_server_set_workers(server, mode == MODE_THREADLESS ? 0 : 2);
  apus_server_set_dispatch(server, mode == MODE_WORKER ? APUS_DISPATCH_WORKER : APUS_DISPATCH_TICK);
  apus_server_set_header_timeout(server, LIMIT_MS);
  apus_server_set_body_timeout(server, LIMIT_MS);
  apus_server_set_write_timeout(server, LIMIT_MS);
  apus_server_set_drain_timeout(server, 500);
  apus_server_set_channel_close_timeout(server, 500);
  apus_server_set_form_memory(server, 1024);
  snprintf(path, sizeof path, "%s/uploads", folder);
  apus_server_set_upload_folder(server, path);
  int32_t files = apus_server_serve_folder(server, "/f", folder);
  if (files < 0) return 0;
  apus_server_set_folder_compression(server, files, 1);
  apus_server_set_folder_listing(server, files, 1);
  int32_t channels = apus_server_websocket(server, "/ws", NULL, NULL, NULL);
  if (apus_server_get(server, "/hello", hello, NULL, NULL) < 0 ||
      apus_server_post(server, "/echo", echo, NULL, NULL) < 0 ||
      apus_server_get(server, "/pieces", write_pieces, NULL, NULL) < 0 ||
      apus_server_events(server, "/events", feed, NULL, NULL) < 0 ||
      apus_server_route_form(server, APUS_POST, "/upload", take_upload, NULL, NULL) < 0 ||
      channels < 0 || apus_server_on_message(server, channels, send_back, NULL, NULL) < 0) {
    return 0;
  }
  return apus_server_add_certificate_directory(server, NULL, folder) == 0;
}

static inline int start_server(void) {
  int32_t plain = apus_server_listen(app.server, "127.0.0.1", 0);
  int32_t secure = apus_server_listen_tls(app.server, "127.0.0.1", 0);
  char path[300];
  snprintf(path, sizeof path, "%s/uploads/socket", folder);
  if (plain < 0 || secure < 0 || apus_server_listen_unix(app.server, path) < 0) return 0;
  app.port = apus_server_port(app.server, plain);
  secure_port = apus_server_port(app.server, secure);
  /* Its own port may not have been told: then nobody can come. */
  if (app.port == 0 || secure_port == 0) return 0;
  if (apus_server_start(app.server) != 0) return 0;
  app.driven = app.mode != MODE_WORKER;
  if (app.driven) CHECK_INT(0, pthread_create(&app.driver, NULL, app_drive, &app));
  return 1;
}

static inline int set_up_client(void) {
  char path[300];
  client = apus_client_make();
  if (client == 0) return 0;
  apus_client_set_dispatch(client, APUS_DISPATCH_WORKER);
  apus_client_set_connect_timeout(client, LIMIT_MS);
  apus_client_set_channel_close_timeout(client, 500);
  snprintf(path, sizeof path, "%s/ca.crt", folder);
  return apus_client_add_ca_file(client, path) == 0;
}

/* A server that did not start says why, and can be tried again. */
static inline int begin(enum mode mode) {
  step("begin");
  if (!set_up_server(mode)) return 0;
  if (start_server()) return 1;
  CHECK(apus_last_error() < 0 || app.port == 0 || secure_port == 0);
  return 0;
}

static inline void end(void) {
  step("end");
  if (app.server != 0 && apus_server_is_running(app.server)) {
    CHECK_INT(0, apus_server_stop(app.server));
    if (app.driven) CHECK_INT(0, pthread_join(app.driver, NULL));
  }
  if (app.server != 0) CHECK_INT(1, apus_server_destroy(app.server));
  if (client != 0) CHECK_INT(1, apus_client_destroy(client));
  app.server = client = 0;
}

#endif /* APUS_CTESTS_FAULTS_SCENARIO_H */
