/*
 * request_test.c - what a handler can read of a request: every accessor, for a
 * request of a connection, one of HTTP/1.0, one in absolute form and one parsed
 * from bytes; and whose thread may read it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "../helpers/harness.h"

#define CHECK_VALUE(expected, length, call) \
  do {                                      \
    CHECK_TEXT((expected), (call));         \
    CHECK_INT(strlen(expected), (length));  \
  } while (0)

static int32_t expected_port;
static apus_server expected_server;

static void check_connection(apus_request request) {
  CHECK_TEXT("127.0.0.1", apus_request_client_ip(request));
  CHECK_INT(expected_port, apus_request_client_port(request));
  CHECK(apus_request_connection(request) >= 1);
  CHECK(apus_request_server(request) == expected_server);
  CHECK(apus_request_elapsed_us(request) >= 0);
  struct sockaddr_in address;
  socklen_t length = sizeof address;
  int32_t descriptor = apus_request_descriptor(request);
  CHECK(descriptor > 2);
  CHECK_INT(0, getpeername(descriptor, (struct sockaddr *)&address, &length));
  CHECK_INT(expected_port, ntohs(address.sin_port));
}

static void check_missing(apus_request request) {
  CHECK_NONE(APUS_E_NOT_FOUND, apus_request_header(request, "X-None", NULL));
  CHECK_NONE(APUS_E_ARGUMENT, apus_request_header(request, NULL, NULL));
  CHECK_NONE(APUS_E_NOT_FOUND, apus_request_trailer(request, "X-None", NULL));
  CHECK_NONE(APUS_E_NOT_FOUND, apus_request_param(request, "none", NULL));
  CHECK_NONE(APUS_E_ARGUMENT, apus_request_param(request, NULL, NULL));
  CHECK_NONE(APUS_E_NOT_FOUND, apus_request_query_param(request, "none", NULL));
  CHECK_NONE(APUS_E_ARGUMENT, apus_request_query_param(request, NULL, NULL));
  /* A failing call leaves its out-parameters alone. */
  const char *name = "untouched";
  const char *value = name;
  size_t length = 77;
  static const int32_t indices[] = {-1, 1000, INT32_MAX, INT32_MIN};
  for (size_t i = 0; i < sizeof indices / sizeof indices[0]; i++) {
    int32_t at = indices[i];
    CHECK_CODE(APUS_E_NOT_FOUND, apus_request_header_at(request, at, &name, &value, &length));
    CHECK_CODE(APUS_E_NOT_FOUND, apus_request_trailer_at(request, at, &name, &value, &length));
    CHECK_CODE(APUS_E_NOT_FOUND, apus_request_param_at(request, at, &name, &value, &length));
    CHECK_CODE(APUS_E_NOT_FOUND, apus_request_query_param_at(request, at, &name, &value, &length));
  }
  CHECK_NONE(APUS_E_NOT_FOUND, apus_request_header(request, "X-None", &length));
  CHECK_TEXT("untouched", name);
  CHECK_INT(77, length);
}

static void check_header_at(apus_request request, int32_t index, const char *name,
                            const char *value) {
  const char *got_name = NULL;
  const char *got_value = NULL;
  size_t length = 0;
  CHECK_INT(0, apus_request_header_at(request, index, &got_name, &got_value, &length));
  CHECK_TEXT(name, got_name);
  CHECK_VALUE(value, length, got_value);
  CHECK_INT(0, apus_request_header_at(request, index, NULL, NULL, NULL));
}

static void check_query_at(apus_request request, int32_t index, const char *name,
                           const char *value) {
  const char *got_name = NULL;
  const char *got_value = NULL;
  size_t length = 0;
  CHECK_INT(0, apus_request_query_param_at(request, index, &got_name, &got_value, &length));
  CHECK_TEXT(name, got_name);
  CHECK_VALUE(value, length, got_value);
}

static void full_handler(void *context, apus_request request) {
  size_t length = 0;
  (void)context;
  CHECK_INT(1, apus_request_is_alive(request));
  CHECK_INT(APUS_POST, apus_request_method(request));
  CHECK_TEXT("POST", apus_request_method_name(request));
  CHECK_TEXT("/full/a%20b?x=1&y=%26+z&x=2&empty&=v&%zz=%", apus_request_target(request));
  CHECK_TEXT("/full/a b", apus_request_path(request));
  CHECK_TEXT("x=1&y=%26+z&x=2&empty&=v&%zz=%", apus_request_query(request));
  CHECK_INT(11, apus_request_version(request));
  CHECK_TEXT("http", apus_request_scheme(request));
  CHECK_TEXT("example.org", apus_request_host(request));
  CHECK_INT(8081, apus_request_port(request));
  CHECK_INT(6, apus_request_header_count(request));
  CHECK_VALUE("one", length, apus_request_header(request, "x-tWICE", &length));
  check_header_at(request, 0, "Host", "example.org:8081");
  check_header_at(request, 1, "X-Twice", "one");
  check_header_at(request, 2, "x-empty", "");
  check_header_at(request, 3, "X-TWICE", "two \t words");
  check_header_at(request, 4, "X-Bytes", "\xe9\xff");
  check_header_at(request, 5, "Content-Length", "11");
  CHECK_INT(0, apus_request_trailer_count(request));
  CHECK_BYTES("hello\0world", 11, apus_request_body(request, &length), 11);
  CHECK_INT(11, length);
  CHECK_INT(0, ((const char *)apus_request_body(request, NULL))[11]);
  CHECK_INT(11, apus_request_body_length(request));
  CHECK_INT(1, apus_request_param_count(request));
  CHECK_VALUE("a b", length, apus_request_param(request, "name", &length));
  CHECK_INT(6, apus_request_query_param_count(request));
  CHECK_VALUE("1", length, apus_request_query_param(request, "x", &length));
  check_query_at(request, 0, "x", "1");
  check_query_at(request, 1, "y", "& z");
  check_query_at(request, 2, "x", "2");
  check_query_at(request, 3, "empty", "");
  check_query_at(request, 4, "", "v");
  check_query_at(request, 5, "%zz", "%");
  check_connection(request);
  check_missing(request);
  CHECK_INT(0, apus_reply_text(request, 200, "checked"));
}

static void test_full(enum mode mode) {
  static const char head[] =
      "POST /full/a%20b?x=1&y=%26+z&x=2&empty&=v&%zz=% HTTP/1.1\r\n"
      "Host: example.org:8081\r\nX-Twice: one\r\nx-empty:\r\nX-TWICE: \t two \t words \t\r\n"
      "X-Bytes: \xe9\xff\r\nContent-Length: 11\r\n\r\nhello\0world";
  struct app app;
  struct client client;
  app_make(&app, mode);
  app_route(&app, APUS_POST, "/full/:name", full_handler, NULL);
  harness_start(&app);
  client_open(&client, app.port);
  expected_port = client_port(&client);
  expected_server = app.server;
  for (int i = 0; i < 3; i++) {
    client_send(&client, head, sizeof head - 1);
    CLIENT_EXPECT(&client, "POST", 200, "checked");
  }
  client_close(&client);
  harness_stop(&app);
}

static void bare_handler(void *context, apus_request request) {
  size_t length = 99;
  (void)context;
  CHECK_INT(APUS_GET, apus_request_method(request));
  CHECK_TEXT("/bare", apus_request_target(request));
  CHECK_TEXT("", apus_request_query(request));
  CHECK_INT(10, apus_request_version(request));
  CHECK_TEXT("", apus_request_host(request));
  CHECK_INT(80, apus_request_port(request));
  CHECK_INT(0, apus_request_header_count(request));
  CHECK_INT(0, apus_request_param_count(request));
  CHECK_INT(0, apus_request_query_param_count(request));
  CHECK_TEXT("", apus_request_body(request, &length));
  CHECK_INT(0, length);
  CHECK_INT(0, apus_request_body_length(request));
  CHECK_INT(0, apus_reply_text(request, 200, "bare"));
}

static void test_bare(enum mode mode) {
  struct app app;
  struct client client;
  app_make(&app, mode);
  app_route(&app, APUS_GET, "/bare", bare_handler, NULL);
  harness_start(&app);
  client_open(&client, app.port);
  client_text(&client, "GET /bare HTTP/1.0\r\n\r\n");
  CLIENT_EXPECT(&client, "GET", 200, "bare");
  CLIENT_ENDS(&client);
  client_close(&client);
  harness_stop(&app);
}

/* Replies "version host port path query target". */
static void where_handler(void *context, apus_request request) {
  char text[1024];
  (void)context;
  snprintf(text, sizeof text, "%d %s %d %s %s %s", (int)apus_request_version(request),
           apus_request_host(request), (int)apus_request_port(request), apus_request_path(request),
           apus_request_query(request), apus_request_target(request));
  CHECK_INT(0, apus_reply_text(request, 200, text));
}

static void test_targets(enum mode mode) {
  static const struct {
    const char *target, *version, *host, *body;
  } forms[] = {
      {"http://example.com:81/x?y=1", "1.1", "example.com:81",
       "11 example.com 81 /x y=1 http://example.com:81/x?y=1"},
      {"http://example.com/", "1.1", "example.com", "11 example.com 80 /  http://example.com/"},
      {"HTTP://example.com/x", "1.1", "example.com", "11 example.com 80 /x  HTTP://example.com/x"},
      {"/x?", "1.1", "[::1]:8080", "11 [::1] 8080 /x  /x?"},
      {"/x?a?b/c", "1.1", "a", "11 a 80 /x a?b/c /x?a?b/c"},
      {"/x%2fy/%7e", "1.9", "a:", "11 a 80 /x/y/~  /x%2fy/%7e"},
      {"/x;p=1,2/@:!$&'()*+=~", "1.0", "b",
       "10 b 80 /x;p=1,2/@:!$&'()*+=~  "
       "/x;p=1,2/@:!$&'()*+=~"},
  };
  struct app app;
  struct client client;
  app_make(&app, mode);
  app_route(&app, APUS_GET, "/*", where_handler, NULL);
  harness_start(&app);
  for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
    client_open(&client, app.port);
    client_format(&client, "GET %s HTTP/%s\r\nHost: %s\r\n\r\n", forms[i].target, forms[i].version,
                  forms[i].host);
    CLIENT_EXPECT(&client, "GET", 200, forms[i].body);
    client_close(&client);
  }
  harness_stop(&app);
}

static void star_handler(void *context, apus_request request) {
  (void)context;
  CHECK_TEXT("*", apus_request_path(request));
  CHECK_TEXT("*", apus_request_target(request));
  CHECK_INT(APUS_OPTIONS, apus_request_method(request));
  CHECK_INT(0, apus_reply_text(request, 200, "star"));
}

/* OPTIONS * is seen by listeners before the library answers it. */
static void test_star(enum mode mode) {
  struct app app;
  struct client client;
  app_make(&app, mode);
  CHECK_INT(0, apus_server_on_receive(app.server, star_handler, NULL, NULL));
  harness_start(&app);
  client_open(&client, app.port);
  client_text(&client, "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
  CLIENT_EXPECT(&client, "OPTIONS", 200, "star");
  client_close(&client);
  harness_stop(&app);
}

static void trailer_handler(void *context, apus_request request) {
  size_t length = 0;
  const char *name = NULL;
  const char *value = NULL;
  (void)context;
  CHECK_BYTES("hello world", 11, apus_request_body(request, &length), 11);
  CHECK_INT(11, length);
  CHECK_INT(11, apus_request_body_length(request));
  CHECK_INT(2, apus_request_trailer_count(request));
  CHECK_VALUE("abc", length, apus_request_trailer(request, "x-sum", &length));
  CHECK_INT(0, apus_request_trailer_at(request, 1, &name, &value, &length));
  CHECK_TEXT("X-More", name);
  CHECK_VALUE("d e", length, value);
  /* Trailer fields are never merged into the header fields. */
  CHECK_NONE(APUS_E_NOT_FOUND, apus_request_header(request, "X-Sum", NULL));
  CHECK_INT(2, apus_request_header_count(request));
  CHECK_INT(0, apus_reply_text(request, 200, "trailers"));
}

static void test_trailers(enum mode mode) {
  struct app app;
  struct client client;
  app_make(&app, mode);
  app_route(&app, APUS_POST, "/t", trailer_handler, NULL);
  harness_start(&app);
  client_open(&client, app.port);
  client_text(&client,
              "POST /t HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
              "6;ext=1;q=\"a b\"\r\nhello \r\n05\r\nworld\r\n0\r\nX-Sum: abc\r\n"
              "X-More: \td e \r\n\r\n");
  CLIENT_EXPECT(&client, "POST", 200, "trailers");
  client_close(&client);
  harness_stop(&app);
}

static void *read_foreign(void *context) {
  apus_request request = *(apus_request *)context;
  CHECK(apus_request_method(request) < APUS_METHOD_OTHER);
  CHECK_INT(APUS_E_THREAD, apus_last_error());
  CHECK_NONE(APUS_E_THREAD, apus_request_path(request));
  CHECK_NONE(APUS_E_THREAD, apus_request_header(request, "Host", NULL));
  CHECK_NONE(APUS_E_THREAD, apus_request_body(request, NULL));
  CHECK_NONE(APUS_E_THREAD, apus_request_connection(request));
  CHECK_CODE(APUS_E_THREAD, apus_reply_text(request, 200, "foreign"));
  CHECK_CODE(APUS_E_THREAD, apus_request_defer(request));
  CHECK_NONE(APUS_E_THREAD, apus_writer_make(request));
  CHECK_INT(1, apus_request_is_alive(request));
  return NULL;
}

static void *read_own(void *context) {
  CHECK_TEXT("/own", apus_request_path(*(apus_request *)context));
  return NULL;
}

static void join_thread(void *(*run)(void *), void *context) {
  pthread_t thread;
  CHECK_INT(0, pthread_create(&thread, NULL, run, context));
  CHECK_INT(0, pthread_join(thread, NULL));
}

static void thread_handler(void *context, apus_request request) {
  (void)context;
  if (!harness_pulled) {
    join_thread(read_foreign, &request);
    CHECK_CODE(APUS_E_STATE, apus_request_destroy(request));
  }
  app_defer(request);
  join_thread(read_own, &request);
  CHECK_CODE(APUS_E_STATE, apus_request_defer(request));
  CHECK_INT(0, apus_reply_text(request, 200, "own"));
}

/* A request is its handler's thread's, until it is deferred. */
static void test_threads(enum mode mode) {
  struct app app;
  struct client client;
  app_make(&app, mode);
  app_route(&app, APUS_GET, "/own", thread_handler, NULL);
  harness_start(&app);
  client_open(&client, app.port);
  client_get(&client, "/own");
  CLIENT_EXPECT(&client, "GET", 200, "own");
  client_close(&client);
  harness_stop(&app);
}

static _Atomic apus_request kept_handle;

static void keep_handle(void *context, apus_request request) {
  (void)context;
  CHECK_INT(0, apus_reply_text(request, 200, "kept"));
  atomic_store(&kept_handle, request);
}

/* The handle is dead once the handler has returned, on every thread. */
static void test_dead(enum mode mode) {
  struct app app;
  struct client client;
  app_make(&app, mode);
  app_route(&app, APUS_GET, "/x", keep_handle, NULL);
  harness_start(&app);
  client_open(&client, app.port);
  client_get(&client, "/x");
  CLIENT_EXPECT(&client, "GET", 200, "kept");
  EVENTUALLY(atomic_load(&kept_handle) != 0);
  apus_request request = atomic_load(&kept_handle);
  EVENTUALLY(apus_handle_kind(request) == APUS_E_HANDLE);
  CHECK_INT(INT32_MIN, apus_request_method(request));
  CHECK_INT(APUS_E_HANDLE, apus_last_error());
  CHECK_NONE(APUS_E_HANDLE, apus_request_path(request));
  CHECK_CODE(APUS_E_HANDLE, apus_reply_text(request, 200, "late"));
  CHECK_INT(0, apus_request_is_alive(request));
  CHECK_INT(0, apus_request_destroy(request));
  client_close(&client);
  harness_stop(&app);
}

static void check_parsed(apus_request request) {
  size_t length = 0;
  CHECK_INT(APUS_KIND_REQUEST, apus_handle_kind(request));
  CHECK_INT(APUS_PUT, apus_request_method(request));
  CHECK_TEXT("/p%20q?a=1", apus_request_target(request));
  CHECK_TEXT("/p q", apus_request_path(request));
  CHECK_TEXT("a=1", apus_request_query(request));
  CHECK_TEXT("host", apus_request_host(request));
  CHECK_VALUE("host", length, apus_request_header(request, "HOST", &length));
  CHECK_VALUE("1", length, apus_request_query_param(request, "a", &length));
  CHECK_BYTES("abc", 3, apus_request_body(request, &length), 3);
  CHECK_VALUE("yes", length, apus_request_trailer(request, "T", &length));
  CHECK_INT(0, apus_request_param_count(request));
  CHECK_TEXT("", apus_request_client_ip(request));
  CHECK_INT(0, apus_request_client_port(request));
  CHECK_INT(0, apus_request_connection(request));
  CHECK_INT(0, apus_request_server(request));
  CHECK_CODE(APUS_E_CLOSED, apus_request_descriptor(request));
  CHECK_CODE(APUS_E_CLOSED, apus_reply_set_status(request, 200));
  CHECK_CODE(APUS_E_CLOSED, apus_reply_set_header(request, "A", "b"));
  CHECK_CODE(APUS_E_CLOSED, apus_reply_text(request, 200, "x"));
}

/* From bytes, without a connection; independent of the mode. */
static void test_parse(enum mode mode) {
  static const char text[] =
      "PUT /p%20q?a=1 HTTP/1.1\r\nHost: host\r\nTransfer-Encoding: chunked\r\n\r\n"
      "3\r\nabc\r\n0\r\nT: yes\r\n\r\nGET / HTTP/1.1\r\n";
  size_t whole = sizeof text - 1 - strlen("GET / HTTP/1.1\r\n");
  size_t consumed = 0;
  (void)mode;
  apus_request request = apus_request_parse(text, APUS_STRLEN, &consumed);
  CHECK(request != 0);
  CHECK_INT(whole, consumed);
  check_parsed(request);
  CHECK_INT(1, apus_live_count(APUS_KIND_REQUEST));
  CHECK_INT(1, apus_request_destroy(request));
  CHECK_INT(0, apus_request_destroy(request));
  CHECK_NONE(APUS_E_HANDLE, apus_request_path(request));
  /* Each shorter piece is the beginning of a request, and no more than that. */
  consumed = 77;
  for (size_t length = 0; length < whole; length++) {
    char *piece = malloc(length == 0 ? 1 : length);
    CHECK(piece != NULL);
    memcpy(piece, text, length);
    CHECK_NONE(APUS_E_STATE, apus_request_parse(piece, length, &consumed));
    free(piece);
  }
  CHECK_INT(77, consumed);
}

static void *make_text(const char *head, size_t length) {
  char *text = malloc(length + 1);
  CHECK(text != NULL);
  memset(text, 'a', length);
  text[length] = '\0';
  memcpy(text, head, strlen(head));
  return text;
}

static void test_parse_refused(enum mode mode) {
  static const char *const malformed[] = {
      "GET / HTTP/1.1\r\n\r\n",
      "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET / HTTP/1.1\nHost: a\n\n",
      "GET / HTTP/1.1\r\nHost: a\r\nA : b\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\nx",
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
  };
  (void)mode;
  for (size_t i = 0; i < sizeof malformed / sizeof malformed[0]; i++) {
    CHECK_NONE(APUS_E_PROTOCOL, apus_request_parse(malformed[i], APUS_STRLEN, NULL));
  }
  CHECK_NONE(APUS_E_ARGUMENT, apus_request_parse(NULL, 1, NULL));
  CHECK_NONE(APUS_E_ARGUMENT, apus_request_parse(NULL, APUS_STRLEN, NULL));
  char *line = make_text("GET /", 9000);
  CHECK_NONE(APUS_E_TOO_LARGE, apus_request_parse(line, APUS_STRLEN, NULL));
  free(line);
  char *head = make_text("GET / HTTP/1.1\r\nHost: a\r\nA: ", 33000);
  CHECK_NONE(APUS_E_TOO_LARGE, apus_request_parse(head, APUS_STRLEN, NULL));
  free(head);
  CHECK_NONE(APUS_E_TOO_LARGE,
             apus_request_parse("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 8388609\r\n\r\n",
                                APUS_STRLEN, NULL));
}

int main(int argc, char **argv) {
  static const struct harness_case cases[] = {
      {"full", test_full}, {"bare", test_bare},         {"targets", test_targets},
      {"star", test_star}, {"trailers", test_trailers}, {"threads", test_threads},
      {"dead", test_dead}, {"parse", test_parse},       {"parse_refused", test_parse_refused},
  };
  return harness_main("request_test", argc, argv, CASES(cases));
}
