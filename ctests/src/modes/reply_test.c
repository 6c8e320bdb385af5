/*
 * reply_test.c - what goes back at once: every function of the header's section
 * on replies, what the library adds to a reply and what it leaves out, and the
 * texts that it refuses, of which nothing may reach the wire.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "../helpers/harness.h"

static void ask(struct client *client, const char *method, const char *target,
                struct reply *reply) {
  client_format(client, "%s %s HTTP/1.1\r\nHost: a\r\n\r\n", method, target);
  client_reply(client, method, reply);
  CLIENT_QUIET(client);
}

/* One server with one GET route, asked once. */
static void ask_once(enum mode mode, apus_handler_fn handler, const char *method,
                     struct reply *reply) {
  struct app app;
  struct client client;
  app_make(&app, mode);
  app_route(&app, APUS_GET, "/x", handler, NULL);
  harness_start(&app);
  client_open(&client, app.port);
  ask(&client, method, "/x", reply);
  client_close(&client);
  harness_stop(&app);
}

static void set_handler(void *context, apus_request request) {
  (void)context;
  CHECK_INT(0, apus_reply_set_status(request, 203));
  CHECK_INT(0, apus_reply_set_header(request, "X-Set", "first"));
  CHECK_INT(0, apus_reply_set_header(request, "x-set", "second"));
  CHECK_INT(0, apus_reply_add_header(request, "X-Many", "1"));
  CHECK_INT(0, apus_reply_add_header(request, "x-many", "2"));
  CHECK_INT(0, apus_reply_add_header(request, "X-Many", "3"));
  CHECK_INT(0, apus_reply_set_header(request, "X-Empty", ""));
  CHECK_INT(0, apus_reply_set_header(request, "X-Bytes", "\xc3\xa4 \t\xff"));
  CHECK_INT(0, apus_reply_set_content_type(request, "application/x-first"));
  CHECK_INT(0, apus_reply_set_content_type(request, "application/x-second"));
  CHECK_INT(0, apus_reply_data(request, "a\0b", 3));
}

static void test_set(enum mode mode) {
  struct reply reply;
  size_t found;
  ask_once(mode, set_handler, "GET", &reply);
  CHECK_INT(203, reply.status);
  CHECK_INT(11, reply.version);
  CHECK_TEXT(apus_status_reason(203), reply.reason);
  CHECK_TEXT("second", reply_field(&reply, "X-Set"));
  reply_find(reply.fields, reply.field_count, "X-Many", &found);
  CHECK_INT(3, found);
  int order = 0;
  for (size_t i = 0; i < reply.field_count; i++) {
    if (strcasecmp(reply.fields[i].name, "X-Many") != 0) continue;
    CHECK_INT('1' + order++, reply.fields[i].value[0]);
  }
  CHECK_TEXT("", reply_field(&reply, "X-Empty"));
  CHECK_TEXT("\xc3\xa4 \t\xff", reply_field(&reply, "X-Bytes"));
  CHECK_TEXT("application/x-second", reply_field(&reply, "Content-Type"));
  CHECK_BYTES("a\0b", 3, reply.body, reply.body_length);
  CHECK_INT(3, reply.content_length);
  CHECK(reply_field(&reply, "Server") == NULL);
  reply_free(&reply);
}

/* The set that replaces added fields takes all of them away. */
static void replace_handler(void *context, apus_request request) {
  (void)context;
  CHECK_INT(0, apus_reply_add_header(request, "X-A", "1"));
  CHECK_INT(0, apus_reply_add_header(request, "X-B", "2"));
  CHECK_INT(0, apus_reply_add_header(request, "X-a", "3"));
  CHECK_INT(0, apus_reply_set_header(request, "X-A", "4"));
  CHECK_INT(0, apus_reply(request, 0, NULL, NULL, 0));
}

static void test_replace(enum mode mode) {
  struct reply reply;
  ask_once(mode, replace_handler, "GET", &reply);
  CHECK_INT(200, reply.status);
  CHECK_TEXT("4", reply_field(&reply, "X-A"));
  CHECK_TEXT("2", reply_field(&reply, "X-B"));
  CHECK(reply_field(&reply, "Content-Type") == NULL);
  CHECK_INT(0, reply.content_length);
  reply_free(&reply);
}

static void one_call_handler(void *context, apus_request request) {
  (void)context;
  CHECK_INT(0, apus_reply_set_status(request, 500));
  CHECK_INT(0, apus_reply_set_content_type(request, "text/x-other"));
  CHECK_INT(0, apus_reply(request, 299, "text/x-this", "until the NUL\0not this", APUS_STRLEN));
}

static void test_one_call(enum mode mode) {
  struct reply reply;
  ask_once(mode, one_call_handler, "GET", &reply);
  CHECK_INT(299, reply.status);
  CHECK_TEXT("", reply.reason);
  CHECK_TEXT("text/x-this", reply_field(&reply, "Content-Type"));
  CHECK_TEXT("until the NUL", reply.body);
  reply_free(&reply);
}

/* /kind/status: the short forms. */
static void kind_handler(void *context, apus_request request) {
  const char *kind = apus_request_param(request, "kind", NULL);
  int32_t status = atoi(apus_request_param(request, "status", NULL));
  (void)context;
  if (strcmp(kind, "text") == 0) {
    CHECK_INT(0, apus_reply_text(request, status, "a text"));
  } else if (strcmp(kind, "html") == 0) {
    CHECK_INT(0, apus_reply_html(request, status, "<p>"));
  } else if (strcmp(kind, "json") == 0) {
    CHECK_INT(0, apus_reply_json(request, status, "{\"a\":1}"));
  } else if (strcmp(kind, "redirect") == 0) {
    CHECK_INT(0, apus_reply_redirect(request, "/else?where=1", status));
  } else {
    CHECK_INT(0, apus_reply_status(request, status));
  }
}

static void test_short_forms(enum mode mode) {
  static const struct {
    const char *target;
    int status;
    const char *type, *body;
  } forms[] = {
      {"/text/0", 200, "text/plain; charset=utf-8", "a text"},
      {"/text/404", 404, "text/plain; charset=utf-8", "a text"},
      {"/html/0", 200, "text/html; charset=utf-8", "<p>"},
      {"/html/418", 418, "text/html; charset=utf-8", "<p>"},
      {"/json/201", 201, "application/json", "{\"a\":1}"},
      {"/status/200", 200, NULL, ""},
      {"/status/404", 404, "text/plain; charset=utf-8", "Not Found"},
      {"/status/503", 503, "text/plain; charset=utf-8", "Service Unavailable"},
      {"/text/599", 599, "text/plain; charset=utf-8", "a text"},
  };
  struct app app;
  struct client client;
  struct reply reply;
  app_make(&app, mode);
  app_route(&app, APUS_GET, "/:kind/:status", kind_handler, NULL);
  harness_start(&app);
  client_open(&client, app.port);
  for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
    ask(&client, "GET", forms[i].target, &reply);
    CHECK_INT(forms[i].status, reply.status);
    CHECK_TEXT(apus_status_reason(reply.status), reply.reason);
    CHECK_TEXT(forms[i].body, reply.body);
    CHECK_INT(strlen(forms[i].body), reply.content_length);
    if (forms[i].type != NULL) CHECK_TEXT(forms[i].type, reply_field(&reply, "Content-Type"));
    reply_free(&reply);
  }
  client_close(&client);
  harness_stop(&app);
}

static void test_redirect(enum mode mode) {
  static const int statuses[][2] = {{0, 302}, {301, 301}, {307, 307}, {308, 308}, {399, 399}};
  struct app app;
  struct client client;
  struct reply reply;
  app_make(&app, mode);
  app_route(&app, APUS_GET, "/:kind/:status", kind_handler, NULL);
  harness_start(&app);
  client_open(&client, app.port);
  for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
    char target[64];
    snprintf(target, sizeof target, "/redirect/%d", statuses[i][0]);
    ask(&client, "GET", target, &reply);
    CHECK_INT(statuses[i][1], reply.status);
    CHECK_TEXT("/else?where=1", reply_field(&reply, "Location"));
    reply_free(&reply);
  }
  client_close(&client);
  harness_stop(&app);
}

static void bodiless_handler(void *context, apus_request request) {
  int32_t status = atoi(apus_request_param(request, "status", NULL));
  (void)context;
  CHECK_INT(0, apus_reply(request, status, "text/plain", "not to be sent", APUS_STRLEN));
}

/* 204 and 304, by either form; HEAD. The harness refuses a Content-Length with
 * 204 and CLIENT_QUIET any byte of a body. */
static void test_bodiless(enum mode mode) {
  struct app app;
  struct client client;
  struct reply reply;
  app_make(&app, mode);
  app_route(&app, APUS_GET, "/data/:status", bodiless_handler, NULL);
  app_route(&app, APUS_GET, "/:kind/:status", kind_handler, NULL);
  harness_start(&app);
  client_open(&client, app.port);
  static const char *const targets[] = {"/data/204", "/data/304", "/status/204", "/status/304"};
  for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
    ask(&client, "GET", targets[i], &reply);
    CHECK_INT(i % 2 == 0 ? 204 : 304, reply.status);
    CHECK_INT(0, reply.body_length);
    reply_free(&reply);
  }
  ask(&client, "HEAD", "/text/200", &reply);
  CHECK_INT(200, reply.status);
  CHECK_INT(6, reply.content_length);
  CHECK_TEXT("text/plain; charset=utf-8", reply_field(&reply, "Content-Type"));
  reply_free(&reply);
  ask(&client, "HEAD", "/status/404", &reply);
  CHECK_INT(404, reply.status);
  CHECK_INT(9, reply.content_length);
  reply_free(&reply);
  client_close(&client);
  harness_stop(&app);
}

static void check_date(const char *date) {
  struct tm when;
  CHECK(date != NULL);
  CHECK_INT(29, strlen(date));
  const char *end = strptime(date, "%a, %d %b %Y %H:%M:%S GMT", &when);
  CHECK(end != NULL && *end == '\0');
  time_t now = time(NULL);
  time_t told = timegm(&when);
  CHECK(told >= now - 3600 && told <= now + 3600);
}

static void date_handler(void *context, apus_request request) {
  (void)context;
  CHECK_INT(0, apus_reply_set_header(request, "Date", "Sun, 06 Nov 1994 08:49:37 GMT"));
  CHECK_INT(0, apus_reply_set_header(request, "Server", "mine"));
  CHECK_INT(0, apus_reply_status(request, 200));
}

/* Date and Server are added where they are absent. */
static void test_added(enum mode mode) {
  struct app app;
  struct client client;
  struct reply reply;
  app_make(&app, mode);
  CHECK_CODE(APUS_E_ARGUMENT, apus_server_set_server_name(app.server, "a\r\nB: c"));
  CHECK_INT(0, apus_server_set_server_name(app.server, "Test/1.0"));
  app_route(&app, APUS_GET, "/own", date_handler, NULL);
  app_route(&app, APUS_GET, "/:kind/:status", kind_handler, NULL);
  harness_start(&app);
  client_open(&client, app.port);
  ask(&client, "GET", "/text/200", &reply);
  check_date(reply_field(&reply, "Date"));
  CHECK_TEXT("Test/1.0", reply_field(&reply, "Server"));
  reply_free(&reply);
  ask(&client, "GET", "/none", &reply);
  CHECK_INT(404, reply.status);
  check_date(reply_field(&reply, "Date"));
  reply_free(&reply);
  ask(&client, "GET", "/own", &reply);
  CHECK_TEXT("Sun, 06 Nov 1994 08:49:37 GMT", reply_field(&reply, "Date"));
  CHECK_TEXT("mine", reply_field(&reply, "Server"));
  reply_free(&reply);
  client_close(&client);
  harness_stop(&app);
}

static void refuse_fields(apus_request request) {
  static const char *const names[] = {NULL,  "",    " ",    "A B",   "A:",       "A\r\nB",
                                      "A\n", "A\r", "\x7f", "A\x01", "\xc3\xa4", "A\t"};
  static const char *const values[] = {NULL,    "a\r\nB: c", "a\nb",  "a\rb",  "\r",  "\n",
                                       "a\x01", "\x7f",      "a\x1f", "a\x0b", "\x08"};
  static const char *const framing[] = {"Content-Length", "transfer-encoding", "Trailer", "UPGRADE",
                                        "Keep-Alive"};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    CHECK_CODE(APUS_E_ARGUMENT, apus_reply_set_header(request, names[i], "x"));
    CHECK_CODE(APUS_E_ARGUMENT, apus_reply_add_header(request, names[i], "x"));
  }
  for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
    CHECK_CODE(APUS_E_ARGUMENT, apus_reply_set_header(request, "X-Bad", values[i]));
    CHECK_CODE(APUS_E_ARGUMENT, apus_reply_add_header(request, "X-Bad", values[i]));
    CHECK_CODE(APUS_E_ARGUMENT, apus_reply_set_content_type(request, values[i]));
  }
  for (size_t i = 0; i < sizeof framing / sizeof framing[0]; i++) {
    CHECK_CODE(APUS_E_ARGUMENT, apus_reply_set_header(request, framing[i], "1"));
    CHECK_CODE(APUS_E_ARGUMENT, apus_reply_add_header(request, framing[i], "chunked"));
  }
  CHECK_CODE(APUS_E_ARGUMENT, apus_reply_set_header(request, "Connection", "keep-alive"));
  CHECK_CODE(APUS_E_ARGUMENT, apus_reply_add_header(request, "Connection", "upgrade"));
}

/* Every refusal leaves the request as it was, still to be replied to. */
static void refused_handler(void *context, apus_request request) {
  static const int32_t statuses[] = {0, 1, 99, 100, 101, 199, 600, 1000, -1, INT32_MIN, INT32_MAX};
  static const char *const locations[] = {NULL, "/a b", "/a\r\nB: c", "/\xc3\xa4", "/\x7f"};
  (void)context;
  refuse_fields(request);
  for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
    CHECK_CODE(APUS_E_ARGUMENT, apus_reply_set_status(request, statuses[i]));
    if (statuses[i] == 0) continue;
    CHECK_CODE(APUS_E_ARGUMENT, apus_reply(request, statuses[i], NULL, "x", 1));
    CHECK_CODE(APUS_E_ARGUMENT, apus_reply_text(request, statuses[i], "x"));
    CHECK_CODE(APUS_E_ARGUMENT, apus_reply_status(request, statuses[i]));
    CHECK_CODE(APUS_E_ARGUMENT, apus_reply_redirect(request, "/", statuses[i]));
  }
  CHECK_CODE(APUS_E_ARGUMENT, apus_reply_redirect(request, "/", 200));
  CHECK_CODE(APUS_E_ARGUMENT, apus_reply_redirect(request, "/", 400));
  for (size_t i = 0; i < sizeof locations / sizeof locations[0]; i++) {
    CHECK_CODE(APUS_E_ARGUMENT, apus_reply_redirect(request, locations[i], 0));
  }
  CHECK_CODE(APUS_E_ARGUMENT, apus_reply(request, 200, "a\nb", "x", 1));
  CHECK_CODE(APUS_E_ARGUMENT, apus_reply_data(request, NULL, 1));
  CHECK_CODE(APUS_E_ARGUMENT, apus_reply_data(request, NULL, APUS_STRLEN));
  CHECK_CODE(APUS_E_ARGUMENT, apus_reply_data(request, NULL, (size_t)-2));
  CHECK_CODE(APUS_E_ARGUMENT, apus_reply_text(request, 200, NULL));
  CHECK_CODE(APUS_E_ARGUMENT, apus_reply_html(request, 200, NULL));
  CHECK_CODE(APUS_E_ARGUMENT, apus_reply_json(request, 200, NULL));
  CHECK_INT(0, apus_reply_text(request, 200, "clean"));
}

static void test_refused(enum mode mode) {
  struct reply reply;
  ask_once(mode, refused_handler, "GET", &reply);
  CHECK_INT(200, reply.status);
  CHECK_TEXT("clean", reply.body);
  CHECK(reply_field(&reply, "X-Bad") == NULL);
  CHECK(reply_field(&reply, "Location") == NULL);
  CHECK(reply_field(&reply, "B") == NULL);
  CHECK_INT(5, reply.content_length);
  reply_free(&reply);
}

/* 64 KiB of fields are the limit; what was refused is not sent. */
static void large_handler(void *context, apus_request request) {
  char name[16];
  char value[1001];
  int32_t result = 0;
  int taken = 0;
  (void)context;
  memset(value, 'v', 1000);
  value[1000] = '\0';
  while (taken < 70) {
    snprintf(name, sizeof name, "X-%d", taken);
    result = apus_reply_add_header(request, name, value);
    if (result != 0) break;
    taken++;
  }
  CHECK_INT(APUS_E_TOO_LARGE, result);
  CHECK(taken >= 60 && taken <= 65);
  char text[16];
  snprintf(text, sizeof text, "%d", taken);
  CHECK_INT(0, apus_reply_data(request, text, APUS_STRLEN));
}

static void test_large_head(enum mode mode) {
  struct reply reply;
  ask_once(mode, large_handler, "GET", &reply);
  int fields = 0;
  for (size_t i = 0; i < reply.field_count; i++) {
    fields += strncmp(reply.fields[i].name, "X-", 2) == 0;
  }
  CHECK_INT(atoi(reply.body), fields);
  reply_free(&reply);
}

static void twice_handler(void *context, apus_request request) {
  (void)context;
  CHECK_INT(0, apus_reply_text(request, 200, "once"));
  int32_t code = app_replied_code();
  CHECK_CODE(code, apus_reply_text(request, 200, "twice"));
  CHECK_CODE(code, apus_reply_set_status(request, 201));
  CHECK_CODE(code, apus_reply_set_header(request, "A", "b"));
  CHECK_CODE(code, apus_reply_redirect(request, "/", 0));
  CHECK_CODE(code, apus_request_defer(request));
  CHECK_NONE(code, apus_writer_make(request));
}

static void nothing_handler(void *context, apus_request request) {
  (void)context;
  (void)request;
}

static void close_handler(void *context, apus_request request) {
  (void)context;
  CHECK_INT(0, apus_reply_set_header(request, "Connection", "close"));
  CHECK_INT(0, apus_reply_text(request, 200, "closing"));
}

static void test_once(enum mode mode) {
  struct app app;
  struct client client;
  struct reply reply;
  app_make(&app, mode);
  app_route(&app, APUS_GET, "/twice", twice_handler, NULL);
  app_route(&app, APUS_GET, "/nothing", nothing_handler, NULL);
  app_route(&app, APUS_GET, "/close", close_handler, NULL);
  harness_start(&app);
  client_open(&client, app.port);
  client_get(&client, "/twice");
  CLIENT_EXPECT(&client, "GET", 200, "once");
  client_get(&client, "/nothing");
  CLIENT_EXPECT(&client, "GET", 500, NULL);
  client_close(&client);
  client_open(&client, app.port);
  client_get(&client, "/close");
  client_reply(&client, "GET", &reply);
  CHECK_TEXT("close", reply_field(&reply, "Connection"));
  CHECK_TEXT("closing", reply.body);
  reply_free(&reply);
  CLIENT_ENDS(&client);
  client_close(&client);
  harness_stop(&app);
}

#define BIG (24 << 20)

static void big_handler(void *context, apus_request request) {
  CHECK_INT(0, apus_reply(request, 200, "application/octet-stream", context, BIG));
  memset(context, 0, 4096); /* the bytes were copied, or are gone */
}

/* A body far beyond every buffer, to a client with a small window. */
static void test_big(enum mode mode) {
  struct app app;
  struct client client;
  struct reply reply;
  unsigned char *data = malloc(BIG);
  CHECK(data != NULL);
  for (size_t i = 0; i < BIG; i++) data[i] = (unsigned char)(i * 2654435761u >> 13);
  app_make(&app, mode);
  app_route(&app, APUS_GET, "/big", big_handler, data);
  harness_start(&app);
  client_open_small(&client, app.port, 32768);
  client_get(&client, "/big");
  client_reply(&client, "GET", &reply);
  CHECK_INT(BIG, reply.body_length);
  for (size_t i = 0; i < BIG; i++) {
    if ((unsigned char)reply.body[i] != (unsigned char)(i * 2654435761u >> 13)) {
      harness_fail(__FILE__, __LINE__, "byte %zu of the body differs", i);
    }
  }
  reply_free(&reply);
  client_close(&client);
  harness_stop(&app);
  free(data);
}

int main(int argc, char **argv) {
  static const struct harness_case cases[] = {
      {"set", test_set},
      {"replace", test_replace},
      {"one_call", test_one_call},
      {"short_forms", test_short_forms},
      {"redirect", test_redirect},
      {"bodiless", test_bodiless},
      {"added", test_added},
      {"refused", test_refused},
      {"large_head", test_large_head},
      {"once", test_once},
      {"big", test_big},
  };
  return harness_main("reply_test", argc, argv, CASES(cases));
}
