/*
 * fetch_test.c - requests of a client, on a host in each of the modes: against a server
 * of the library on a worker, and against sockets that answer by a script.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "../helpers/harness.h"

#include <sys/stat.h>
#include <sys/un.h>

/* ------------------------------------------------------------------ the peer */

static apus_server peer;
static char base[64];
static atomic_int peer_connections, peer_requests;
static _Atomic apus_request peer_kept;

static void peer_connect(void *context, apus_server server, uint64_t connection,
                         const char *address, int32_t port) {
  (void)context;
  (void)server;
  (void)connection;
  (void)address;
  (void)port;
  atomic_fetch_add(&peer_connections, 1);
}

static void hello(void *context, apus_request request) {
  (void)context;
  atomic_fetch_add(&peer_requests, 1);
  apus_reply_set_header(request, "X-Name", "value");
  apus_reply_text(request, 200, "Hello, world!");
}

/* Gives back the method, some fields and the body. */
static void echo(void *context, apus_request request) {
  (void)context;
  atomic_fetch_add(&peer_requests, 1);
  const char *type = apus_request_header(request, "Content-Type", NULL);
  const char *accept = apus_request_header(request, "X-Mine", NULL);
  const char *who = apus_request_header(request, "Authorization", NULL);
  apus_reply_set_header(request, "X-Who", who != NULL ? who : "nobody");
  apus_reply_set_header(request, "X-Method", apus_request_method_name(request));
  apus_reply_set_header(request, "X-Type", type != NULL ? type : "none");
  apus_reply_set_header(request, "X-Mine", accept != NULL ? accept : "none");
  apus_reply_set_header(request, "X-Query", apus_request_query(request));
  size_t length;
  const void *body = apus_request_body(request, &length);
  apus_reply_data(request, body, length);
}

/* Answers when the test says so. */
static void later(void *context, apus_request request) {
  (void)context;
  apus_request_defer(request);
  atomic_store(&peer_kept, request);
}

static void wait_kept(void) { EVENTUALLY(atomic_load(&peer_kept) != 0); }

static void release_kept(void) {
  wait_kept();
  apus_reply_text(atomic_exchange(&peer_kept, 0), 200, "late");
}

/* A megabyte in pieces. */
static void stream(void *context, apus_request request) {
  (void)context;
  static char piece[1000];
  memset(piece, 'p', sizeof piece);
  apus_writer writer = apus_writer_make(request);
  apus_writer_set_high_water(writer, 1 << 30);
  apus_writer_add_trailer(writer, "X-Trailer", "at the end");
  for (int i = 0; i < 1000; i++) apus_writer_write(writer, piece, sizeof piece);
  apus_writer_end(writer);
  apus_writer_destroy(writer);
}

static void cookie(void *context, apus_request request) {
  (void)context;
  const char *sent = apus_request_header(request, "Cookie", NULL);
  apus_reply_set_header(request, "Set-Cookie", "a=1; Path=/");
  apus_reply_text(request, 200, sent != NULL ? sent : "none");
}

static void peer_start(void) {
  atomic_store(&peer_connections, 0);
  atomic_store(&peer_requests, 0);
  atomic_store(&peer_kept, 0);
  peer = apus_server_make();
  CHECK(peer != 0);
  CHECK_INT(0, apus_server_set_workers(peer, 1));
  CHECK_INT(0, apus_server_set_dispatch(peer, APUS_DISPATCH_WORKER));
  CHECK_INT(0, apus_server_set_drain_timeout(peer, 0));
  CHECK_INT(0, apus_server_on_connect(peer, peer_connect, NULL, NULL));
  CHECK(apus_server_route(peer, APUS_GET, "/hello", hello, NULL, NULL) >= 0);
  CHECK(apus_server_route(peer, APUS_METHOD_ANY, "/echo", echo, NULL, NULL) >= 0);
  CHECK(apus_server_route(peer, APUS_GET, "/later", later, NULL, NULL) >= 0);
  CHECK(apus_server_route(peer, APUS_GET, "/stream", stream, NULL, NULL) >= 0);
  CHECK(apus_server_route(peer, APUS_GET, "/cookie", cookie, NULL, NULL) >= 0);
  int32_t listener = apus_server_listen(peer, "127.0.0.1", 0);
  CHECK(listener >= 0);
  CHECK_INT(0, apus_server_start(peer));
  snprintf(base, sizeof base, "http://127.0.0.1:%d/", apus_server_port(peer, listener));
}

static void peer_stop(void) { CHECK_INT(1, apus_server_destroy(peer)); }

/* ------------------------------------------------------- a peer by a script */

struct script {
  int socket;
  const char *reply;
  /* How many connections it answers, and whether each stays open after its reply. */
  int count;
  int stays;
  atomic_int served;
  pthread_t thread;
  char url[64];
};

static void *script_run(void *context) {
  struct script *script = context;
  int kept[16];
  for (int i = 0; i < script->count; i++) {
    int descriptor = accept(script->socket, NULL, NULL);
    CHECK(descriptor >= 0);
    char head[4096];
    size_t length = 0;
    while (length < sizeof head - 1) {
      ssize_t got = recv(descriptor, head + length, sizeof head - 1 - length, 0);
      if (got <= 0) break;
      length += (size_t)got;
      head[length] = 0;
      if (strstr(head, "\r\n\r\n") != NULL) break;
    }
    send(descriptor, script->reply, strlen(script->reply), MSG_NOSIGNAL);
    atomic_fetch_add(&script->served, 1);
    kept[i] = script->stays ? descriptor : -1;
    if (!script->stays) close(descriptor);
  }
  for (int i = 0; i < script->count; i++) {
    char byte;
    if (kept[i] < 0) continue;
    while (recv(kept[i], &byte, 1, 0) > 0) continue;
    close(kept[i]);
  }
  return NULL;
}

static void script_start(struct script *script, const char *reply, int count, int stays) {
  struct sockaddr_in address = {.sin_family = AF_INET};
  socklen_t length = sizeof address;
  memset(script, 0, sizeof *script);
  script->reply = reply;
  script->count = count;
  script->stays = stays;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  script->socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  CHECK(script->socket >= 0);
  CHECK_INT(0, bind(script->socket, (struct sockaddr *)&address, length));
  CHECK_INT(0, listen(script->socket, 16));
  CHECK_INT(0, getsockname(script->socket, (struct sockaddr *)&address, &length));
  snprintf(script->url, sizeof script->url, "http://127.0.0.1:%d/", ntohs(address.sin_port));
  CHECK_INT(0, pthread_create(&script->thread, NULL, script_run, script));
}

static void script_end(struct script *script) {
  CHECK_INT(0, pthread_join(script->thread, NULL));
  CHECK_INT(script->count, atomic_load(&script->served));
  close(script->socket);
}

/* ------------------------------------------------------------------ the host */

static struct app app;

static void host_start(enum mode mode) {
  peer_start();
  app_make(&app, mode);
  harness_drive(&app);
}

static void host_end(void) {
  harness_stop(&app);
  peer_stop();
}

/* What the callbacks of a fetch were told. */
struct told {
  atomic_int heads, completes, drops, pieces;
  atomic_llong bytes;
  atomic_int status, result, has_response;
  atomic_int pauses;
};

static void on_response(void *context, apus_fetch fetch, apus_response response) {
  struct told *told = context;
  CHECK(apus_fetch_state(fetch) != APUS_FETCH_IDLE);
  atomic_store(&told->status, apus_response_status(response));
  atomic_fetch_add(&told->heads, 1);
}

static void on_body(void *context, apus_fetch fetch, const void *data, size_t length) {
  struct told *told = context;
  (void)data;
  atomic_fetch_add(&told->pieces, 1);
  atomic_fetch_add(&told->bytes, (long long)length);
  if (atomic_load(&told->pauses) > 0) {
    atomic_fetch_sub(&told->pauses, 1);
    apus_fetch_pause(fetch);
    apus_fetch_resume(fetch);
  }
}

static void on_complete(void *context, apus_fetch fetch, apus_response response, int32_t result) {
  struct told *told = context;
  (void)fetch;
  atomic_store(&told->result, result);
  atomic_store(&told->has_response, response != 0);
  atomic_fetch_add(&told->completes, 1);
}

static void on_drop(void *context) { atomic_fetch_add(&((struct told *)context)->drops, 1); }

static const char *at(const char *path) {
  static char url[256];
  snprintf(url, sizeof url, "%s%s", base, path);
  return url;
}

static apus_fetch make(const char *method, const char *path) {
  apus_fetch fetch = apus_fetch_make(app.server, method, at(path));
  CHECK(fetch != 0);
  return fetch;
}

static void tell(apus_fetch fetch, struct told *told) {
  memset(told, 0, sizeof *told);
  CHECK_INT(0, apus_fetch_on_response(fetch, on_response, told, on_drop));
  CHECK_INT(0, apus_fetch_on_complete(fetch, on_complete, told, on_drop));
}

/* ----------------------------------------------------------------- the cases */

static void test_get(enum mode mode) {
  host_start(mode);
  apus_fetch fetch = make("GET", "hello");
  CHECK_INT(APUS_KIND_FETCH, apus_handle_kind(fetch));
  CHECK_INT(APUS_FETCH_IDLE, apus_fetch_state(fetch));
  CHECK_CODE(APUS_E_STATE, apus_fetch_result(fetch));
  CHECK_NONE(APUS_E_NOT_FOUND, apus_fetch_response(fetch));
  CHECK_CODE(APUS_E_STATE, apus_fetch_pause(fetch));
  for (int i = 0; i < 10; i++) {
    apus_response response = apus_fetch_send(fetch);
    CHECK(response != 0);
    CHECK_INT(200, apus_response_status(response));
    CHECK_INT(11, apus_response_version(response));
    CHECK_TEXT("OK", apus_response_reason(response));
    CHECK_TEXT("value", apus_response_header(response, "x-NAME", NULL));
    CHECK_NONE(APUS_E_NOT_FOUND, apus_response_header(response, "x-other", NULL));
    size_t length;
    const char *body = apus_response_body(response, &length);
    CHECK_BYTES("Hello, world!", 13, body, length);
    CHECK_INT(13, apus_response_content_length(response));
    CHECK_INT(13, apus_response_body_bytes(response));
    CHECK_TEXT(at("hello"), apus_response_url(response));
    CHECK_INT(0, apus_response_redirects(response));
    char address[48];
    CHECK(apus_response_address(response, address, sizeof address) > 0);
    CHECK_TEXT("127.0.0.1", address);
    CHECK(apus_response_time_us(response, APUS_TIME_TOTAL) >= 0);
    CHECK(apus_response_time_us(response, APUS_TIME_FIRST_BYTE) >= 0);
    CHECK_INT(i == 0, apus_response_time_us(response, APUS_TIME_CONNECTED) >= 0);
    CHECK_INT(APUS_E_NOT_FOUND, apus_response_time_us(response, APUS_TIME_SECURED));
    const char *name, *value;
    int found = 0;
    for (int32_t k = 0; k < apus_response_header_count(response); k++) {
      CHECK_INT(0, apus_response_header_at(response, k, &name, &value, &length));
      CHECK_INT(strlen(value), length);
      found += strcmp(name, "X-Name") == 0;
    }
    CHECK_INT(1, found);
    CHECK_INT(0, apus_fetch_result(fetch));
    CHECK(response == apus_fetch_response(fetch));
  }
  /* One connection did for all. */
  CHECK_INT(1, atomic_load(&peer_connections));
  CHECK_INT(1, apus_fetch_destroy(fetch));
  CHECK_INT(0, apus_fetch_is_alive(fetch));
  host_end();
}

static void test_keep(enum mode mode) {
  host_start(mode);
  apus_fetch fetch = make("GET", "hello");
  apus_response first = apus_fetch_send(fetch);
  CHECK_INT(0, apus_response_keep(first));
  apus_response second = apus_fetch_send(fetch);
  CHECK(first != second);
  CHECK_INT(1, apus_response_is_alive(first));
  CHECK_TEXT("Hello, world!", apus_response_body(first, NULL));
  CHECK_INT(1, apus_fetch_destroy(fetch));
  CHECK_INT(0, apus_response_is_alive(second));
  host_end();
  CHECK_TEXT("Hello, world!", apus_response_body(first, NULL));
  CHECK_INT(1, apus_response_destroy(first));
  CHECK_INT(0, apus_response_destroy(first));
}

static void test_methods(enum mode mode) {
  static const char *const methods[] = {"GET",    "POST",    "PUT",  "PATCH",
                                        "DELETE", "OPTIONS", "X-ANY"};
  host_start(mode);
  apus_fetch fetch = make("GET", "echo");
  CHECK_INT(0, apus_fetch_add_query(fetch, "a b", "c&d"));
  CHECK_INT(0, apus_fetch_add_query(fetch, "e", "\xc3\xa4"));
  CHECK_INT(0, apus_fetch_add_header(fetch, "X-Mine", "first"));
  CHECK_INT(0, apus_fetch_set_header(fetch, "x-mine", "second"));
  for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
    CHECK_INT(0, apus_fetch_set_method(fetch, methods[i]));
    for (int with = 0; with < 2; with++) {
      if (with) CHECK_INT(0, apus_fetch_set_body(fetch, "the body", 8, "text/x-test"));
      apus_response response = apus_fetch_send(fetch);
      CHECK(response != 0);
      CHECK_TEXT(methods[i], apus_response_header(response, "X-Method", NULL));
      CHECK_TEXT("second", apus_response_header(response, "X-Mine", NULL));
      CHECK_TEXT("a+b=c%26d&e=%C3%A4", apus_response_header(response, "X-Query", NULL));
      CHECK_TEXT(with || i > 0 ? "text/x-test" : "none",
                 apus_response_header(response, "X-Type", NULL));
      CHECK_TEXT(with || i > 0 ? "the body" : "", apus_response_body(response, NULL));
    }
  }
  CHECK_INT(0, apus_fetch_set_method(fetch, "HEAD"));
  CHECK_INT(0, apus_fetch_set_body(fetch, NULL, 0, NULL));
  apus_response response = apus_fetch_send(fetch);
  CHECK(response != 0);
  CHECK_TEXT("", apus_response_body(response, NULL));
  CHECK_INT(1, atomic_load(&peer_connections));
  CHECK_INT(1, apus_fetch_destroy(fetch));
  host_end();
}

static int64_t source(void *context, apus_fetch fetch, void *buffer, size_t capacity) {
  int *left = context;
  (void)fetch;
  if (*left == -7) return -1;
  size_t count = *left < 50000 ? (size_t)*left : 50000;
  if (count > capacity) count = capacity;
  memset(buffer, 's', count);
  *left -= (int)count;
  return (int64_t)count;
}

static void test_upload(enum mode mode) {
  host_start(mode);
  size_t length;
  apus_fetch fetch = make("POST", "echo");
  int left = 333333;
  CHECK_INT(0, apus_fetch_set_body_source(fetch, -1, NULL, source, &left, NULL));
  apus_response response = apus_fetch_send(fetch);
  CHECK(response != 0);
  CHECK(apus_response_body(response, &length)[333332] == 's');
  CHECK_INT(333333, length);
  left = 200000;
  CHECK_INT(0, apus_fetch_set_body_source(fetch, left, NULL, source, &left, NULL));
  response = apus_fetch_send(fetch);
  CHECK(response != 0);
  apus_response_body(response, &length);
  CHECK_INT(200000, length);
  /* More or less than was said, or given up. */
  left = 10;
  CHECK_INT(0, apus_fetch_set_body_source(fetch, 11, NULL, source, &left, NULL));
  CHECK_NONE(APUS_E_ARGUMENT, apus_fetch_send(fetch));
  left = 12;
  CHECK_INT(0, apus_fetch_set_body_source(fetch, 11, NULL, source, &left, NULL));
  CHECK_NONE(APUS_E_ARGUMENT, apus_fetch_send(fetch));
  left = -7;
  CHECK_INT(0, apus_fetch_set_body_source(fetch, -1, NULL, source, &left, NULL));
  CHECK_NONE(APUS_E_CLOSED, apus_fetch_send(fetch));
  /* A file, and memory of some size. */
  char path[] = "apus-fetch-XXXXXX";
  int descriptor = mkstemp(path);
  CHECK(descriptor >= 0);
  static char data[500000];
  memset(data, 'f', sizeof data);
  CHECK_INT(sizeof data, write(descriptor, data, sizeof data));
  close(descriptor);
  CHECK_INT(0, apus_fetch_set_body_file(fetch, path, "text/plain"));
  response = apus_fetch_send(fetch);
  CHECK(response != 0);
  const char *body = apus_response_body(response, &length);
  CHECK_BYTES(data, sizeof data, body, length);
  CHECK_INT(0, unlink(path));
  CHECK_CODE(APUS_E_NOT_FOUND, apus_fetch_set_body_file(fetch, path, NULL));
  CHECK_CODE(APUS_E_IO, apus_fetch_set_body_file(fetch, "/tmp", NULL));
  CHECK_INT(0, apus_fetch_set_body(fetch, data, sizeof data, NULL));
  CHECK_INT(0, apus_fetch_set_expect(fetch, 1));
  response = apus_fetch_send(fetch);
  CHECK(response != 0);
  body = apus_response_body(response, &length);
  CHECK_BYTES(data, sizeof data, body, length);
  CHECK_INT(1, apus_fetch_destroy(fetch));
  host_end();
}

static void test_busy(enum mode mode) {
  host_start(mode);
  apus_fetch fetch = make("GET", "later");
  CHECK_INT(0, apus_fetch_start(fetch));
  CHECK_CODE(APUS_E_STATE, apus_fetch_start(fetch));
  CHECK_CODE(APUS_E_STATE, apus_fetch_set_expect(fetch, 1));
  release_kept();
  CHECK_INT(1, apus_fetch_wait(fetch, -1));
  CHECK_TEXT("late", apus_response_body(apus_fetch_response(fetch), NULL));
  CHECK_INT(0, apus_fetch_set_expect(fetch, 1));
  CHECK_INT(1, apus_fetch_destroy(fetch));
  host_end();
}

static void test_stream(enum mode mode) {
  struct told told;
  host_start(mode);
  apus_fetch fetch = make("GET", "stream");
  apus_response response = apus_fetch_send(fetch);
  CHECK(response != 0);
  size_t length;
  apus_response_body(response, &length);
  CHECK_INT(1000000, length);
  CHECK_INT(1, apus_response_trailer_count(response));
  CHECK_TEXT("at the end", apus_response_trailer(response, "x-trailer", NULL));
  tell(fetch, &told);
  CHECK_INT(0, apus_fetch_on_body(fetch, on_body, &told, on_drop));
  atomic_store(&told.pauses, 5);
  CHECK_INT(0, apus_fetch_start(fetch));
  EVENTUALLY(atomic_load(&told.completes) == 1);
  CHECK_INT(0, atomic_load(&told.result));
  CHECK_INT(1000000, atomic_load(&told.bytes));
  CHECK(atomic_load(&told.pieces) > 3);
  CHECK_INT(200, atomic_load(&told.status));
  CHECK_INT(1, atomic_load(&told.heads));
  CHECK_INT(1, apus_fetch_wait(fetch, -1));
  response = apus_fetch_response(fetch);
  CHECK_TEXT("", apus_response_body(response, NULL));
  CHECK_INT(1000000, apus_response_body_bytes(response));
  /* Collected again, but no more than a limit. */
  CHECK_INT(0, apus_fetch_on_body(fetch, NULL, NULL, NULL));
  EVENTUALLY(atomic_load(&told.drops) == 1);
  CHECK_INT(0, apus_fetch_set_max_body(fetch, 999999));
  CHECK_NONE(APUS_E_TOO_LARGE, apus_fetch_send(fetch));
  CHECK_INT(0, apus_fetch_set_max_body(fetch, 1000000));
  CHECK(apus_fetch_send(fetch) != 0);
  CHECK_INT(1, apus_fetch_destroy(fetch));
  EVENTUALLY(atomic_load(&told.drops) == 3);
  host_end();
}

/* What a socket holds when its peer has closed it comes whole, also after a pause. */
static void on_response_pause(void *context, apus_fetch fetch, apus_response response) {
  /* On a thread that ticks all of it may be in already. */
  int32_t result = apus_fetch_pause(fetch);
  CHECK(result == 0 || result == APUS_E_STATE);
  /* What follows resumes it. */
  on_response(context, fetch, response);
}

static void *serve_and_close(void *context) {
  int listener = *(int *)context;
  int descriptor = accept(listener, NULL, NULL);
  CHECK(descriptor >= 0);
  char head[4096];
  CHECK(recv(descriptor, head, sizeof head, 0) > 0);
  static char reply[100100];
  int length = snprintf(reply, sizeof reply, "HTTP/1.0 200 OK\r\n\r\n");
  memset(reply + length, 'u', 100000);
  CHECK_INT(length, send(descriptor, reply, (size_t)length, MSG_NOSIGNAL));
  CHECK_INT(100000, send(descriptor, reply + length, 100000, MSG_NOSIGNAL));
  close(descriptor);
  return NULL;
}

static void test_unix(enum mode mode) {
  struct told told;
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  char folder[] = "apus-fetch-XXXXXX";
  pthread_t thread;
  host_start(mode);
  CHECK(mkdtemp(folder) != NULL);
  snprintf(address.sun_path, sizeof address.sun_path, "%s/s", folder);
  int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  CHECK_INT(0, bind(listener, (struct sockaddr *)&address, sizeof address));
  CHECK_INT(0, listen(listener, 4));
  CHECK_INT(0, apus_client_set_unix_socket(app.server, address.sun_path));
  CHECK_INT(0, pthread_create(&thread, NULL, serve_and_close, &listener));
  apus_fetch fetch = apus_fetch_make(app.server, "GET", "http://any.example/");
  tell(fetch, &told);
  CHECK_INT(0, apus_fetch_on_response(fetch, on_response_pause, &told, on_drop));
  CHECK_INT(0, apus_fetch_on_body(fetch, on_body, &told, on_drop));
  CHECK_INT(0, apus_fetch_start(fetch));
  EVENTUALLY(atomic_load(&told.heads) == 1);
  CHECK_INT(0, pthread_join(thread, NULL));
  int32_t resumed = apus_fetch_resume(fetch);
  CHECK(resumed == 0 || (resumed == APUS_E_STATE && (mode == MODE_TICK || mode == MODE_PULL)));
  EVENTUALLY(atomic_load(&told.completes) == 1);
  CHECK_INT(0, atomic_load(&told.result));
  CHECK_INT(100000, atomic_load(&told.bytes));
  CHECK_INT(1, apus_fetch_destroy(fetch));
  close(listener);
  CHECK_INT(0, unlink(address.sun_path));
  CHECK_INT(0, rmdir(folder));
  host_end();
}

static void test_file(enum mode mode) {
  host_start(mode);
  char folder[] = "apus-fetch-XXXXXX", path[64];
  CHECK(mkdtemp(folder) != NULL);
  snprintf(path, sizeof path, "%s/file", folder);
  apus_fetch fetch = make("GET", "stream");
  CHECK_INT(0, apus_fetch_set_output_file(fetch, path));
  for (int i = 0; i < 2; i++) {
    apus_response response = apus_fetch_send(fetch);
    CHECK(response != 0);
    CHECK_TEXT("", apus_response_body(response, NULL));
    struct stat about;
    CHECK_INT(0, stat(path, &about));
    CHECK_INT(1000000, about.st_size);
    CHECK_INT(1, harness_count_entries(folder));
  }
  CHECK_INT(0, unlink(path));
  /* What is cut short, or no success, leaves nothing. */
  struct script script;
  script_start(&script, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", 1, 0);
  CHECK_INT(0, apus_fetch_set_url(fetch, script.url));
  CHECK_NONE(APUS_E_CLOSED, apus_fetch_send(fetch));
  script_end(&script);
  CHECK_INT(0, apus_fetch_set_url(fetch, at("nothing")));
  apus_response response = apus_fetch_send(fetch);
  CHECK_INT(404, apus_response_status(response));
  CHECK_INT(0, harness_count_entries(folder));
  struct stat about;
  CHECK_INT(0, mkfifo(path, 0600));
  CHECK_INT(0, apus_fetch_set_output_file(fetch, path));
  CHECK_INT(0, apus_fetch_set_url(fetch, at("stream")));
  CHECK_NONE(APUS_E_ARGUMENT, apus_fetch_send(fetch));
  CHECK_INT(0, lstat(path, &about));
  CHECK(S_ISFIFO(about.st_mode));
  CHECK_INT(1, harness_count_entries(folder));
  CHECK_INT(0, unlink(path));
  CHECK_INT(0, apus_fetch_set_output_file(fetch, "/nowhere/at/all"));
  CHECK_INT(0, apus_fetch_set_url(fetch, at("hello")));
  CHECK_NONE(APUS_E_NOT_FOUND, apus_fetch_send(fetch));
  CHECK_INT(1, apus_fetch_destroy(fetch));
  CHECK_INT(0, rmdir(folder));
  host_end();
}

static void *cancel_from_here(void *context) {
  wait_kept();
  CHECK_INT(0, apus_fetch_cancel(*(apus_fetch *)context));
  return NULL;
}

static void test_cancel(enum mode mode) {
  struct told told;
  host_start(mode);
  apus_fetch fetch = make("GET", "later");
  tell(fetch, &told);
  CHECK_INT(0, apus_fetch_start(fetch));
  CHECK_INT(0, apus_fetch_wait(fetch, 0));
  wait_kept();
  CHECK_INT(0, apus_fetch_cancel(fetch));
  CHECK_INT(1, apus_fetch_wait(fetch, -1));
  CHECK_INT(APUS_E_CLOSED, apus_fetch_result(fetch));
  EVENTUALLY(atomic_load(&told.completes) == 1);
  CHECK_INT(APUS_E_CLOSED, atomic_load(&told.result));
  CHECK_INT(0, atomic_load(&told.has_response));
  apus_request_destroy(atomic_exchange(&peer_kept, 0));
  /* By another thread, while this one waits. */
  pthread_t thread;
  CHECK_INT(0, pthread_create(&thread, NULL, cancel_from_here, &fetch));
  CHECK_NONE(APUS_E_CLOSED, apus_fetch_send(fetch));
  CHECK_INT(0, pthread_join(thread, NULL));
  apus_request_destroy(atomic_exchange(&peer_kept, 0));
  /* At once, and the end of it while it runs. */
  CHECK_INT(0, apus_fetch_start(fetch));
  CHECK_INT(0, apus_fetch_cancel(fetch));
  CHECK_INT(1, apus_fetch_wait(fetch, -1));
  CHECK_INT(0, apus_fetch_start(fetch));
  CHECK_INT(1, apus_fetch_destroy(fetch));
  EVENTUALLY(atomic_load(&told.drops) == 2);
  host_end();
}

static void test_limits(enum mode mode) {
  host_start(mode);
  apus_fetch fetch = make("GET", "later");
  CHECK_INT(0, apus_fetch_set_response_timeout(fetch, 300));
  CHECK_NONE(APUS_E_TIMEOUT, apus_fetch_send(fetch));
  wait_kept();
  apus_request_destroy(atomic_exchange(&peer_kept, 0));
  CHECK_INT(0, apus_fetch_set_response_timeout(fetch, 0));
  CHECK_INT(0, apus_fetch_set_total_timeout(fetch, 300));
  CHECK_NONE(APUS_E_TIMEOUT, apus_fetch_send(fetch));
  wait_kept();
  apus_request_destroy(atomic_exchange(&peer_kept, 0));
  CHECK_INT(0, apus_fetch_set_total_timeout(fetch, 0));
  struct script script;
  script_start(&script, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", 1, 1);
  CHECK_INT(0, apus_fetch_set_url(fetch, script.url));
  CHECK_INT(0, apus_fetch_set_idle_timeout(fetch, 300));
  CHECK_NONE(APUS_E_TIMEOUT, apus_fetch_send(fetch));
  script_end(&script);
  /* Nobody listens, and nobody answers. */
  int quiet;
  struct sockaddr_in address = {.sin_family = AF_INET};
  socklen_t length = sizeof address;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  quiet = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  CHECK_INT(0, bind(quiet, (struct sockaddr *)&address, length));
  CHECK_INT(0, getsockname(quiet, (struct sockaddr *)&address, &length));
  char url[64];
  snprintf(url, sizeof url, "http://127.0.0.1:%d/", ntohs(address.sin_port));
  CHECK_INT(0, apus_fetch_set_url(fetch, url));
  CHECK_INT(0, apus_fetch_set_retries(fetch, 2, 1));
  CHECK_NONE(APUS_E_IO, apus_fetch_send(fetch));
  close(quiet);
  CHECK_INT(1, apus_fetch_destroy(fetch));
  host_end();
}

/* An idle connection that the server closes: the next request takes another one. */
static void test_stale(enum mode mode) {
  struct script script;
  host_start(mode);
  script_start(&script, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 3, 0);
  apus_fetch fetch = apus_fetch_make(app.server, "GET", script.url);
  for (int i = 0; i < 3; i++) {
    apus_response response = apus_fetch_send(fetch);
    CHECK(response != 0);
    CHECK_TEXT("ok", apus_response_body(response, NULL));
  }
  script_end(&script);
  CHECK_INT(1, apus_fetch_destroy(fetch));
  host_end();
}

static void test_pool(enum mode mode) {
  enum { COUNT = 30 };
  apus_fetch fetches[COUNT];
  struct told told[COUNT];
  host_start(mode);
  CHECK_INT(0, apus_client_set_max_connections(app.server, 3, 100, 1000));
  for (int i = 0; i < COUNT; i++) {
    fetches[i] = make("GET", "hello");
    tell(fetches[i], &told[i]);
  }
  for (int i = 0; i < COUNT; i++) CHECK_INT(0, apus_fetch_start(fetches[i]));
  for (int i = 0; i < COUNT; i++) {
    CHECK_INT(1, apus_fetch_wait(fetches[i], -1));
    CHECK_INT(0, apus_fetch_result(fetches[i]));
  }
  for (int i = 0; i < COUNT; i++) EVENTUALLY(atomic_load(&told[i].completes) == 1);
  CHECK_INT(COUNT, atomic_load(&peer_requests));
  CHECK(atomic_load(&peer_connections) <= 3);
  /* No room, and nobody may wait. */
  CHECK_INT(0, apus_client_set_max_connections(app.server, 1, 1, 1));
  int full = 0;
  for (int i = 0; i < COUNT; i++) CHECK_INT(0, apus_fetch_set_url(fetches[i], at("later")));
  for (int i = 0; i < 4; i++) CHECK_INT(0, apus_fetch_start(fetches[i]));
  wait_kept();
  EVENTUALLY((apus_fetch_state(fetches[2]) == APUS_FETCH_DONE) +
                 (apus_fetch_state(fetches[3]) == APUS_FETCH_DONE) ==
             2);
  for (int i = 0; i < 4; i++) full += apus_fetch_result(fetches[i]) == APUS_E_FULL;
  CHECK_INT(2, full);
  release_kept();
  CHECK_INT(1, apus_fetch_wait(fetches[0], -1));
  release_kept();
  CHECK_INT(1, apus_fetch_wait(fetches[1], -1));
  CHECK_TEXT("late", apus_response_body(apus_fetch_response(fetches[1]), NULL));
  for (int i = 0; i < COUNT; i++) CHECK_INT(1, apus_fetch_destroy(fetches[i]));
  host_end();
}

/* The client ends while fetches run: each hears of it, or of nothing. */
static void test_destroy(enum mode mode) {
  struct told told[3];
  apus_fetch fetches[3];
  host_start(mode);
  for (int i = 0; i < 3; i++) {
    fetches[i] = make("GET", "later");
    tell(fetches[i], &told[i]);
    CHECK_INT(0, apus_fetch_start(fetches[i]));
  }
  wait_kept();
  harness_stop(&app);
  for (int i = 0; i < 3; i++) {
    CHECK_INT(0, apus_fetch_is_alive(fetches[i]));
    EVENTUALLY(atomic_load(&told[i].drops) == 2);
    CHECK(atomic_load(&told[i].completes) <= 1);
  }
  peer_stop();
}

static void again(void *context, apus_fetch fetch, apus_response response, int32_t result) {
  atomic_int *left = context;
  CHECK_INT(0, result);
  CHECK_INT(200, apus_response_status(response));
  if (atomic_fetch_sub(left, 1) > 1) {
    CHECK_INT(0, apus_fetch_start(fetch));
  } else {
    CHECK_INT(1, apus_fetch_destroy(fetch));
  }
}

/* Started anew, and destroyed, in its own callback. */
static void test_again(enum mode mode) {
  atomic_int left = 50;
  host_start(mode);
  apus_fetch fetch = make("GET", "hello");
  CHECK_INT(0, apus_fetch_on_complete(fetch, again, &left, NULL));
  CHECK_INT(0, apus_fetch_start(fetch));
  EVENTUALLY(!apus_fetch_is_alive(fetch));
  CHECK_INT(0, atomic_load(&left));
  CHECK_INT(50, atomic_load(&peer_requests));
  host_end();
}

static void test_client(enum mode mode) {
  static const int32_t workers[] = {1, 1, 2, 0};
  peer_start();
  apus_client client = apus_client_make();
  CHECK_INT(0, apus_client_set_workers(client, workers[mode]));
  CHECK_INT(0, apus_client_set_base_url(client, base));
  CHECK_INT(0, apus_client_set_header(client, "X-Mine", "client's"));
  CHECK_CODE(APUS_E_ARGUMENT, apus_client_set_base_url(client, "/relative"));
  CHECK_CODE(APUS_E_ARGUMENT, apus_client_set_header(client, "Content-Length", "1"));
  apus_fetch fetch = apus_fetch_make(client, "GET", "echo?a=b");
  CHECK(fetch != 0);
  apus_response response = apus_fetch_send(fetch);
  CHECK(response != 0);
  CHECK_TEXT("client's", apus_response_header(response, "X-Mine", NULL));
  CHECK_TEXT("a=b", apus_response_header(response, "X-Query", NULL));
  CHECK_INT(0, apus_fetch_set_header(fetch, "X-Mine", "own"));
  response = apus_fetch_send(fetch);
  CHECK_TEXT("own", apus_response_header(response, "X-Mine", NULL));
  /* Who it is, for all fetches that have nothing of their own. */
  CHECK_TEXT("nobody", apus_response_header(response, "X-Who", NULL));
  CHECK_INT(0, apus_client_set_bearer(client, "token"));
  CHECK_TEXT("nobody", apus_response_header(apus_fetch_send(fetch), "X-Who", NULL));
  CHECK_INT(1, apus_fetch_destroy(fetch));
  fetch = apus_fetch_make(client, "GET", "echo?a=b");
  CHECK_TEXT("Bearer token", apus_response_header(apus_fetch_send(fetch), "X-Who", NULL));
  CHECK_INT(0, apus_client_set_basic(client, "user", "word"));
  CHECK_TEXT("Bearer token", apus_response_header(apus_fetch_send(fetch), "X-Who", NULL));
  CHECK_INT(1, apus_fetch_destroy(fetch));
  fetch = apus_fetch_make(client, "GET", "echo?a=b");
  CHECK_TEXT("Basic dXNlcjp3b3Jk", apus_response_header(apus_fetch_send(fetch), "X-Who", NULL));
  CHECK_INT(0, apus_fetch_set_bearer(fetch, "own"));
  CHECK_TEXT("Bearer own", apus_response_header(apus_fetch_send(fetch), "X-Who", NULL));
  CHECK_INT(0, apus_fetch_set_basic(fetch, "a", "b"));
  CHECK_TEXT("Basic YTpi", apus_response_header(apus_fetch_send(fetch), "X-Who", NULL));
  /* These wait until they are asked. */
  CHECK_INT(0, apus_fetch_set_digest(fetch, "a", "b"));
  CHECK_TEXT("nobody", apus_response_header(apus_fetch_send(fetch), "X-Who", NULL));
  CHECK_INT(0, apus_fetch_set_credentials(fetch, NULL, NULL));
  CHECK_TEXT("Basic dXNlcjp3b3Jk", apus_response_header(apus_fetch_send(fetch), "X-Who", NULL));
  CHECK_INT(0, apus_client_set_digest(client, "a", "b"));
  CHECK_INT(1, apus_fetch_destroy(fetch));
  fetch = apus_fetch_make(client, "GET", "echo?a=b");
  CHECK_TEXT("nobody", apus_response_header(apus_fetch_send(fetch), "X-Who", NULL));
  CHECK_INT(0, apus_client_set_credentials(client, NULL, NULL));
  /* What fetches have from their client, unless they set it. */
  CHECK_INT(0, apus_client_set_max_body(client, 3));
  CHECK_INT(0, apus_client_set_connect_timeout(client, 5000));
  CHECK_INT(0, apus_client_set_response_timeout(client, 5000));
  CHECK_INT(0, apus_client_set_idle_timeout(client, 5000));
  CHECK_INT(0, apus_client_set_redirects(client, 0));
  CHECK_INT(0, apus_client_set_decoding(client, 0));
  apus_fetch limited = apus_fetch_make(client, "GET", "hello");
  CHECK_NONE(APUS_E_TOO_LARGE, apus_fetch_send(limited));
  CHECK_INT(0, apus_fetch_set_max_body(limited, 13));
  CHECK_INT(0, apus_fetch_set_connect_timeout(limited, 0));
  CHECK_INT(0, apus_fetch_set_decoding(limited, 1));
  CHECK(apus_fetch_send(limited) != 0);
  /* A proxy at which nobody listens, but for what the list has. */
  CHECK_INT(0, setenv("http_proxy", "http://127.0.0.1:1", 1));
  CHECK_INT(0, setenv("no_proxy", "127.0.0.0/8", 1));
  CHECK_INT(0, apus_client_use_environment(client));
  CHECK(apus_fetch_send(limited) != 0);
  CHECK_INT(0, apus_client_set_no_proxy(client, NULL));
  CHECK_NONE(APUS_E_IO, apus_fetch_send(limited));
  CHECK_INT(0, apus_client_set_proxy(client, NULL));
  CHECK_INT(0, unsetenv("http_proxy"));
  CHECK_INT(0, unsetenv("no_proxy"));
  CHECK_CODE(APUS_E_NOT_FOUND, apus_client_use_environment(client));
  CHECK_INT(1, apus_fetch_destroy(limited));
  /* The jar. */
  CHECK_INT(0, apus_client_cookie_count(client));
  CHECK_INT(0, apus_fetch_set_url(fetch, "/cookie"));
  CHECK_TEXT("none", apus_response_body(apus_fetch_send(fetch), NULL));
  CHECK_INT(1, apus_client_cookie_count(client));
  CHECK_TEXT("a=1", apus_response_body(apus_fetch_send(fetch), NULL));
  char text[256];
  CHECK_INT(1, apus_client_cookie(client, base, "a", text, sizeof text));
  CHECK_TEXT("1", text);
  CHECK_INT(0, apus_client_add_cookie(client, base, "b=2"));
  CHECK_CODE(APUS_E_ARGUMENT, apus_client_add_cookie(client, base, "b=2; Domain=other.example"));
  CHECK_TEXT("a=1; b=2", apus_response_body(apus_fetch_send(fetch), NULL));
  CHECK(apus_client_cookie_at(client, 0, text, sizeof text) > 10);
  CHECK_CODE(APUS_E_NOT_FOUND, apus_client_cookie_at(client, 2, text, sizeof text));
  char lines[512];
  int32_t count = apus_client_export_cookies(client, lines, sizeof lines);
  CHECK(count > 50 && count < (int32_t)sizeof lines);
  CHECK_INT(0, apus_client_clear_cookies(client));
  CHECK_TEXT("none", apus_response_body(apus_fetch_send(fetch), NULL));
  CHECK_INT(0, apus_client_clear_cookies(client));
  CHECK_INT(2, apus_client_import_cookies(client, lines, (size_t)count));
  CHECK_TEXT("a=1; b=2", apus_response_body(apus_fetch_send(fetch), NULL));
  CHECK_INT(1, apus_client_destroy(client));
  CHECK_INT(0, apus_fetch_is_alive(fetch));
  peer_stop();
}

static void test_one_line(enum mode mode) {
  (void)mode;
  peer_start();
  apus_response response = apus_get(at("hello"), NULL);
  CHECK(response != 0);
  CHECK_TEXT("Hello, world!", apus_response_body(response, NULL));
  CHECK_INT(1, apus_response_destroy(response));
  response = apus_post(at("echo"), "Content-Type: a/b\nX-Mine: c", "data", APUS_STRLEN);
  CHECK(response != 0);
  CHECK_TEXT("data", apus_response_body(response, NULL));
  CHECK_TEXT("a/b", apus_response_header(response, "X-Type", NULL));
  CHECK_TEXT("c", apus_response_header(response, "X-Mine", NULL));
  CHECK_INT(1, apus_response_destroy(response));
  for (int i = 0; i < 5; i++) {
    static const char *const methods[] = {"DELETE", "DELETE", "PUT", "PATCH", "HEAD"};
    response = i == 0   ? apus_http("DELETE", at("echo"), NULL, NULL, 0)
               : i == 1 ? apus_delete(at("echo"), NULL)
               : i == 2 ? apus_put(at("echo"), NULL, "put", 3)
               : i == 3 ? apus_patch(at("echo"), NULL, "patch", 5)
                        : apus_head(at("echo"), NULL);
    CHECK(response != 0);
    CHECK_TEXT(methods[i], apus_response_header(response, "X-Method", NULL));
    CHECK_TEXT(i == 2 ? "put" : i == 3 ? "patch" : "", apus_response_body(response, NULL));
    CHECK_INT(1, apus_response_destroy(response));
  }
  static const char *const fields[] = {"a", "1 &", "b", "\xc3\xa4", NULL};
  response = apus_post_form(at("echo"), NULL, fields, NULL);
  CHECK(response != 0);
  CHECK_TEXT("a=1+%26&b=%C3%A4", apus_response_body(response, NULL));
  CHECK_TEXT("application/x-www-form-urlencoded", apus_response_header(response, "X-Type", NULL));
  CHECK_INT(1, apus_response_destroy(response));
  char path[] = "/tmp/apus-form-XXXXXX";
  int file = mkstemp(path);
  CHECK(file >= 0 && write(file, "content", 7) == 7);
  CHECK_INT(0, close(file));
  const char *files[] = {"file", path, NULL};
  response = apus_post_form(at("echo"), "X-Mine: d", fields, files);
  CHECK(response != 0);
  CHECK(strstr(apus_response_header(response, "X-Type", NULL), "multipart/form-data; ") != NULL);
  CHECK_TEXT("d", apus_response_header(response, "X-Mine", NULL));
  const char *body = apus_response_body(response, NULL);
  CHECK(strstr(body, "name=\"a\"\r\n\r\n1 &\r\n") != NULL);
  CHECK(strstr(body, "name=\"file\"; filename=\"apus-form-") != NULL);
  CHECK(strstr(body, "\r\n\r\ncontent\r\n") != NULL);
  CHECK_INT(1, apus_response_destroy(response));
  CHECK_INT(0, unlink(path));
  CHECK_NONE(APUS_E_NOT_FOUND, apus_post_form(at("echo"), NULL, fields, files));
  static const char *const odd[] = {"a", "1", "b", NULL};
  CHECK_NONE(APUS_E_ARGUMENT, apus_post_form(at("echo"), NULL, odd, NULL));
  response = apus_post_form(at("echo"), NULL, NULL, NULL);
  CHECK_TEXT("", apus_response_body(response, NULL));
  CHECK_INT(1, apus_response_destroy(response));
  CHECK_NONE(APUS_E_ARGUMENT, apus_get("nonsense", NULL));
  CHECK_NONE(APUS_E_ARGUMENT, apus_get(at("hello"), "no colon"));
  CHECK_NONE(APUS_E_NOT_FOUND, apus_get("http://no-such-host.invalid/", NULL));
  peer_stop();
}

static void test_arguments(enum mode mode) {
  static const char *const urls[] = {"",
                                     "a",
                                     "//a/",
                                     "http://",
                                     "http://a:99999/",
                                     "ws://a/",
                                     "http://a b/",
                                     "http://a/\r\nX: y",
                                     "http://[::1/"};
  static const char *const methods[] = {"", "A B", "GET\r\n", "CONNECT", "G\xc3\x84T"};
  host_start(mode);
  for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
    CHECK_NONE(APUS_E_ARGUMENT, apus_fetch_make(app.server, "GET", urls[i]));
  }
  static const char *const others[] = {"ftp://a/", "file:///etc/passwd", "javascript:0"};
  for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
    CHECK_NONE(APUS_E_UNSUPPORTED, apus_fetch_make(app.server, "GET", others[i]));
  }
  for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
    CHECK_NONE(APUS_E_ARGUMENT, apus_fetch_make(app.server, methods[i], base));
  }
  apus_fetch fetch = make("GET", "hello");
  CHECK_CODE(APUS_E_ARGUMENT, apus_fetch_add_header(fetch, "A b", "c"));
  CHECK_CODE(APUS_E_ARGUMENT, apus_fetch_add_header(fetch, "A", "c\r\nd: e"));
  CHECK_CODE(APUS_E_ARGUMENT, apus_fetch_add_header(fetch, "Transfer-Encoding", "chunked"));
  CHECK_CODE(APUS_E_ARGUMENT, apus_fetch_set_body(fetch, "a", 1, "a\r\nb"));
  CHECK_CODE(APUS_E_ARGUMENT, apus_fetch_set_url(fetch, "nonsense"));
  CHECK_CODE(APUS_E_ARGUMENT, apus_fetch_wait(fetch, -2));
  CHECK_CODE(APUS_E_ARGUMENT, apus_fetch_set_redirects(fetch, 101));
  CHECK_CODE(APUS_E_ARGUMENT, apus_fetch_set_total_timeout(fetch, -1));
  CHECK_CODE(APUS_E_ARGUMENT, apus_fetch_set_max_body(fetch, -1));
  CHECK_INT(0, apus_fetch_set_url(fetch, "https://127.0.0.1:1/"));
  CHECK_NONE(APUS_E_IO, apus_fetch_send(fetch));
  CHECK_INT(1, apus_fetch_destroy(fetch));
  host_end();
}

/* What was set can be read again. */
static void test_read(enum mode mode) {
  char text[256];
  host_start(mode);
  apus_fetch fetch = make("GET", "echo");
  CHECK_INT(3, apus_fetch_method(fetch, text, sizeof text));
  CHECK_TEXT("GET", text);
  CHECK_INT(0, apus_fetch_set_method(fetch, "PROPFIND"));
  CHECK_CODE(APUS_E_TOO_LARGE, apus_fetch_method(fetch, text, 8));
  CHECK_INT(8, apus_fetch_method(fetch, text, 9));
  CHECK_TEXT("PROPFIND", text);
  CHECK_INT((int)strlen(base) + 4, apus_fetch_url(fetch, text, sizeof text));
  CHECK_TEXT(at("echo"), text);
  CHECK_INT(0, apus_fetch_add_query(fetch, "a b", "c&d"));
  CHECK(apus_fetch_url(fetch, text, sizeof text) > 0);
  CHECK_TEXT(at("echo?a+b=c%26d"), text);
  CHECK_CODE(APUS_E_NOT_FOUND, apus_fetch_header(fetch, "X-Mine", text, sizeof text));
  CHECK_INT(0, apus_fetch_add_header(fetch, "x-mine", "one"));
  CHECK_INT(0, apus_fetch_add_header(fetch, "X-Mine", "two"));
  CHECK_INT(3, apus_fetch_header(fetch, "X-MINE", text, sizeof text));
  CHECK_TEXT("one", text);
  CHECK_CODE(APUS_E_ARGUMENT, apus_fetch_header(fetch, NULL, text, sizeof text));
  CHECK_CODE(APUS_E_ARGUMENT, apus_fetch_header(fetch, "X-Mine", NULL, 9));
  CHECK_INT(1, apus_fetch_destroy(fetch));
  CHECK_CODE(APUS_E_HANDLE, apus_fetch_url(fetch, text, sizeof text));
  /* Behind a base URL. */
  apus_client client = apus_client_make();
  CHECK_INT(0, apus_client_set_base_url(client, "http://a.example/b/"));
  fetch = apus_fetch_make(client, "GET", "../c?d");
  CHECK(apus_fetch_url(fetch, text, sizeof text) > 0);
  CHECK_TEXT("http://a.example/c?d", text);
  CHECK_INT(1, apus_client_destroy(client));
  host_end();
}

/* One thread that starts many, and takes their ends one by one. */
static void test_pulled(enum mode mode) {
  enum { FETCHES = 12 };
  apus_fetch fetches[FETCHES];
  apus_event event;
  int done = 0, failed = 0;
  if (mode == MODE_WORKER) return;
  peer_start();
  apus_client client = apus_client_make();
  CHECK_INT(0, apus_client_set_workers(client, mode == MODE_THREADLESS ? 0 : 1));
  for (int i = 0; i < FETCHES; i++) {
    fetches[i] = apus_fetch_make(client, "GET", i == 7 ? "http://127.0.0.1:1/" : at("hello"));
    CHECK_CODE(APUS_E_ARGUMENT, apus_fetch_set_events(fetches[i], -1));
    CHECK_INT(0, apus_fetch_set_events(fetches[i], 1));
    CHECK_INT(0, apus_fetch_start(fetches[i]));
  }
  while (done < FETCHES) {
    int32_t result = apus_client_next(client, &event, -1);
    CHECK(result >= 0);
    if (result == 0) continue;
    CHECK_INT(APUS_EVENT_FETCH, event.kind);
    CHECK_INT(APUS_FETCH_DONE, apus_fetch_state(event.handle));
    done++;
    if (apus_fetch_result(event.handle) < 0) {
      CHECK(event.handle == fetches[7]);
      failed++;
    } else {
      const char *body = apus_response_body(apus_fetch_response(event.handle), NULL);
      CHECK_TEXT("Hello, world!", body);
    }
    CHECK_INT(1, apus_fetch_destroy(event.handle));
  }
  CHECK_INT(1, failed);
  CHECK_INT(0, apus_client_next(client, &event, 0));
  /* Without the wish there is none; and one that is waited for has ended by then. */
  apus_fetch fetch = apus_fetch_make(client, "GET", at("hello"));
  CHECK(apus_fetch_send(fetch) != 0);
  CHECK_INT(0, apus_client_next(client, &event, 0));
  CHECK_INT(1, apus_client_destroy(client));
  peer_stop();
}

static void ignore_body(void *context, apus_fetch fetch, const void *data, size_t length) {
  (void)context;
  (void)fetch;
  (void)data;
  (void)length;
}

/* Calls that wait, and run callbacks meanwhile, leave the ends of others to be taken: before
 * the first event was, and later. An end of a run that is no longer the latest is none. */
static void test_pulled_beside(enum mode mode) {
  enum { FETCHES = 4 };
  apus_fetch fetches[FETCHES];
  apus_event event;
  if (mode == MODE_WORKER) return;
  peer_start();
  apus_client client = apus_client_make();
  CHECK_INT(0, apus_client_set_workers(client, mode == MODE_THREADLESS ? 0 : 1));
  for (int round = 0; round < 6; round++) {
    for (int i = 0; i < FETCHES; i++) {
      fetches[i] = apus_fetch_make(client, "GET", at("hello"));
      CHECK_INT(0, apus_fetch_set_events(fetches[i], 1));
      CHECK_INT(0, apus_fetch_start(fetches[i]));
    }
    apus_fetch other = apus_fetch_make(client, "GET", at("hello"));
    CHECK_INT(0, apus_fetch_on_body(other, ignore_body, NULL, NULL));
    CHECK(apus_fetch_send(other) != 0);
    for (int i = 0; i < FETCHES; i++) CHECK_INT(1, apus_fetch_wait(fetches[i], -1));
    /* Runs anew, or is gone: in both cases one end less. */
    CHECK_INT(0, apus_fetch_start(fetches[0]));
    CHECK_INT(1, apus_fetch_destroy(fetches[1]));
    for (int left = FETCHES - 1; left > 0;) {
      if (apus_client_next(client, &event, -1) == 0) continue;
      CHECK_INT(APUS_EVENT_FETCH, event.kind);
      CHECK_INT(APUS_FETCH_DONE, apus_fetch_state(event.handle));
      CHECK_INT(1, apus_fetch_destroy(event.handle));
      CHECK_INT(1, apus_fetch_destroy(other));
      other = apus_fetch_make(client, "GET", at("hello"));
      CHECK(apus_fetch_send(other) != 0);
      left--;
    }
    CHECK_INT(1, apus_fetch_destroy(other));
  }
  while (apus_client_next(client, &event, 0) == 1) harness_fail(__FILE__, __LINE__, "one more");
  CHECK_INT(1, apus_client_destroy(client));
  peer_stop();
}

/* The end comes behind the fetch's own callbacks, which have had all by then. */
static void test_pulled_behind(enum mode mode) {
  apus_event event;
  if (mode == MODE_WORKER) return;
  peer_start();
  apus_client client = apus_client_make();
  CHECK_INT(0, apus_client_set_workers(client, mode == MODE_THREADLESS ? 0 : 1));
  for (int round = 0; round < 30; round++) {
    struct told told;
    memset(&told, 0, sizeof told);
    apus_fetch fetch = apus_fetch_make(client, "GET", at("stream"));
    CHECK_INT(0, apus_fetch_on_body(fetch, on_body, &told, NULL));
    CHECK_INT(0, apus_fetch_on_complete(fetch, on_complete, &told, NULL));
    CHECK_INT(0, apus_fetch_set_events(fetch, 1));
    CHECK_INT(0, apus_fetch_start(fetch));
    while (apus_client_next(client, &event, -1) == 0) continue;
    CHECK_INT(APUS_EVENT_FETCH, event.kind);
    CHECK_INT(1, atomic_load(&told.completes));
    CHECK(atomic_load(&told.bytes) == 1000000);
    CHECK_INT(1, apus_fetch_destroy(fetch));
  }
  CHECK_INT(1, apus_client_destroy(client));
  peer_stop();
}

static const struct harness_case cases[] = {
    {"pulled_behind", test_pulled_behind},
    {"pulled_beside", test_pulled_beside},
    {"read", test_read},
    {"pulled", test_pulled},
    {"get", test_get},
    {"keep", test_keep},
    {"methods", test_methods},
    {"upload", test_upload},
    {"busy", test_busy},
    {"stream", test_stream},
    {"file", test_file},
    {"cancel", test_cancel},
    {"limits", test_limits},
    {"stale", test_stale},
    {"pool", test_pool},
    {"destroy", test_destroy},
    {"again", test_again},
    {"unix", test_unix},
    {"client", test_client},
    {"one_line", test_one_line},
    {"arguments", test_arguments},
};

int main(int argc, char **argv) { return harness_main("fetch_test", argc, argv, CASES(cases)); }
