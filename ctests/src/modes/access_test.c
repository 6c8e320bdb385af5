/*
 * access_test.c - what pages of other origins are told with every kind of reply, the
 * questions that they put first, and the credentials of a request.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "../helpers/harness.h"

#define ALLOW "Access-Control-Allow-"

static void ok_handler(void *context, apus_request request) {
  (void)context;
  CHECK_INT(0, apus_reply_text(request, 200, "ok"));
}

/* What most of the cases ask, and the field that a reply to it has to have. */
static void ask(struct client *client, const char *method, const char *target, const char *fields) {
  client_format(client, "%s %s HTTP/1.1\r\nHost: a\r\n%s\r\n", method, target, fields);
}

static void expect_field(const struct reply *reply, const char *name, const char *value) {
  const char *got = reply_field(reply, name);
  if (value != NULL) CHECK_TEXT(value, got);
  if (value == NULL) CHECK(got == NULL);
}

static void expect(struct client *client, const char *method, int status, const char *origin,
                   const char *vary) {
  struct reply reply;
  client_reply(client, method, &reply);
  CHECK_INT(status, reply.status);
  expect_field(&reply, ALLOW "Origin", origin);
  expect_field(&reply, "Vary", vary);
  CHECK(reply_field(&reply, ALLOW "Methods") == NULL);
  reply_free(&reply);
}

/* ------------------------------------------------------------------ a policy */

static void *late_reply(void *context) {
  CHECK_INT(0, apus_reply_text(*(apus_request *)context, 200, "late"));
  free(context);
  return NULL;
}

static void late_handler(void *context, apus_request request) {
  pthread_t thread;
  apus_request *kept = malloc(sizeof *kept);
  (void)context;
  CHECK(kept != NULL);
  *kept = request;
  app_defer(request);
  CHECK_INT(0, pthread_create(&thread, NULL, late_reply, kept));
  CHECK_INT(0, pthread_detach(thread));
}

static void pieces_handler(void *context, apus_request request) {
  (void)context;
  apus_writer writer = apus_writer_make(request);
  CHECK(writer != 0);
  CHECK_INT(0, apus_writer_write(writer, "pieces", 6));
  CHECK_INT(0, apus_writer_end(writer));
  CHECK_INT(1, apus_writer_destroy(writer));
}

static void own_handler(void *context, apus_request request) {
  (void)context;
  CHECK_INT(0, apus_reply_set_header(request, ALLOW "Origin", "http://own"));
  CHECK_INT(0, apus_reply_text(request, 200, "own"));
}

static atomic_int received;

static void receive_listener(void *context, apus_request request) {
  (void)context;
  (void)request;
  atomic_fetch_add(&received, 1);
}

static void make(struct app *app, enum mode mode) {
  app_make(app, mode);
  app_route(app, APUS_GET, "/", ok_handler, NULL);
  app_route(app, APUS_POST, "/", ok_handler, NULL);
  app_route(app, APUS_GET, "/late", late_handler, NULL);
  app_route(app, APUS_GET, "/pieces", pieces_handler, NULL);
  app_route(app, APUS_GET, "/own", own_handler, NULL);
  app_route(app, APUS_OPTIONS, "/options", ok_handler, NULL);
  app_route(app, APUS_GET, "/one/:of", ok_handler, NULL);
  CHECK_INT(0, apus_server_set_max_body(app->server, 100));
}

static void make_listed(struct app *app, enum mode mode) {
  make(app, mode);
  CHECK_INT(0, apus_server_set_cors_origins(app->server, "http://page, https://b.example:81"));
  CHECK_INT(0, apus_server_set_cors_credentials(app->server, 1));
  CHECK_INT(0, apus_server_set_cors_methods(app->server, "GET, PUT"));
  CHECK_INT(0, apus_server_set_cors_headers(app->server, "X-Mine, Authorization"));
  CHECK_INT(0, apus_server_set_cors_exposed(app->server, "X-Seen"));
  CHECK_INT(0, apus_server_set_cors_max_age(app->server, 60));
  atomic_store(&received, 0);
  CHECK_INT(0, apus_server_on_receive(app->server, receive_listener, NULL, NULL));
}

static void test_all_replies(enum mode mode) {
  struct app app;
  struct client client;
  make_listed(&app, mode);
  harness_start(&app);
  client_open(&client, app.port);
  static const struct {
    const char *method, *target;
    int status;
    const char *origin;
  } replies[] = {
      {"GET", "/", 200, "http://page"},        {"HEAD", "/", 200, "http://page"},
      {"GET", "/nowhere", 404, "http://page"}, {"PUT", "/", 405, "http://page"},
      {"GET", "/late", 200, "http://page"},    {"GET", "/pieces", 200, "http://page"},
      {"GET", "/one/x", 200, "http://page"},   {"GET", "/own", 200, "http://own"},
      {"OPTIONS", "/", 204, "http://page"},    {"OPTIONS", "/options", 200, "http://page"},
      {"CONNECT", "a:1", 501, "http://page"},
  };
  for (size_t i = 0; i < sizeof replies / sizeof replies[0]; i++) {
    const char *own = strcmp(replies[i].origin, "http://own") == 0 ? "http://own" : NULL;
    const char *method = replies[i].method;
    ask(&client, method, replies[i].target, "Origin: http://page\r\n");
    expect(&client, method, replies[i].status, replies[i].origin, "Origin");
    ask(&client, method, replies[i].target, "Origin: http://other\r\n");
    expect(&client, method, replies[i].status, own, "Origin");
    ask(&client, method, replies[i].target, "");
    expect(&client, method, replies[i].status, own, "Origin");
    /* Several are none. */
    ask(&client, method, replies[i].target, "Origin: http://page\r\nOrigin: http://page\r\n");
    expect(&client, method, replies[i].status, own, "Origin");
  }
  client_close(&client);
  harness_stop(&app);
}

/* The other fields, and that nothing is said twice or to the wrong one. */
static void test_fields(enum mode mode) {
  struct app app;
  struct client client;
  struct reply reply;
  make_listed(&app, mode);
  harness_start(&app);
  client_open(&client, app.port);
  ask(&client, "GET", "/", "Origin: https://b.example:81\r\n");
  client_reply(&client, "GET", &reply);
  CHECK_TEXT("https://b.example:81", reply_field(&reply, ALLOW "Origin"));
  CHECK_TEXT("true", reply_field(&reply, ALLOW "Credentials"));
  CHECK_TEXT("X-Seen", reply_field(&reply, "Access-Control-Expose-Headers"));
  reply_free(&reply);
  ask(&client, "GET", "/", "Origin: null\r\n");
  client_reply(&client, "GET", &reply);
  CHECK(reply_field(&reply, ALLOW "Credentials") == NULL);
  CHECK(reply_field(&reply, "Access-Control-Expose-Headers") == NULL);
  reply_free(&reply);
  client_close(&client);
  harness_stop(&app);
}

/* A request that is refused: its page may see why, where its head was read. */
static void test_refusals(enum mode mode) {
  static const char *const bodies[] = {
      "Content-Length: 101\r\n\r\n",              /* refused with the head */
      "Transfer-Encoding: chunked\r\n\r\n65\r\n", /* and behind it */
  };
  struct app app;
  struct client client;
  make_listed(&app, mode);
  harness_start(&app);
  for (int i = 0; i < 2; i++) {
    for (int allowed = 0; allowed < 2; allowed++) {
      client_open(&client, app.port);
      client_format(&client, "POST / HTTP/1.1\r\nHost: a\r\nOrigin: http://%s\r\n%s",
                    allowed ? "page" : "other", bodies[i]);
      expect(&client, "POST", 413, allowed ? "http://page" : NULL, "Origin");
      client_close(&client);
    }
  }
  /* No request at all. */
  client_open(&client, app.port);
  client_text(&client, "GET / HTTP/9.9\r\nOrigin: http://page\r\n\r\n");
  expect(&client, "GET", 505, NULL, "Origin");
  client_close(&client);
  harness_stop(&app);
}

/* ------------------------------------------------------ questions put before */

#define QUESTION "Origin: http://page\r\nAccess-Control-Request-Method: PUT\r\n"

static void expect_answer(struct client *client) {
  struct reply reply;
  client_reply(client, "OPTIONS", &reply);
  CHECK_INT(204, reply.status);
  CHECK_TEXT("http://page", reply_field(&reply, ALLOW "Origin"));
  CHECK_TEXT("true", reply_field(&reply, ALLOW "Credentials"));
  CHECK_TEXT("GET, PUT", reply_field(&reply, ALLOW "Methods"));
  CHECK_TEXT("X-Mine, Authorization", reply_field(&reply, ALLOW "Headers"));
  CHECK_TEXT("60", reply_field(&reply, "Access-Control-Max-Age"));
  CHECK_TEXT("Origin", reply_field(&reply, "Vary"));
  CHECK(reply_field(&reply, "Allow") == NULL);
  CHECK_TEXT("", reply.body);
  reply_free(&reply);
}

static void test_questions(enum mode mode) {
  static const char *const targets[] = {"/", "/options", "/nowhere", "/one/x", "*", "/%41?b=c"};
  struct app app;
  struct client client;
  make_listed(&app, mode);
  harness_start(&app);
  client_open(&client, app.port);
  for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
    ask(&client, "OPTIONS", targets[i], QUESTION "Access-Control-Request-Headers: x-mine\r\n");
    expect_answer(&client);
    /* From elsewhere. */
    ask(&client, "OPTIONS", targets[i],
        "origin: http://other\r\naccess-control-request-method: PUT\r\n");
    expect(&client, "OPTIONS", 403, NULL, "Origin");
  }
  CHECK_INT(0, atomic_load(&received));
  /* Neither of these is a question of that kind. */
  ask(&client, "OPTIONS", "/options", "Access-Control-Request-Method: PUT\r\n");
  expect(&client, "OPTIONS", 200, NULL, "Origin");
  ask(&client, "OPTIONS", "/options", "Origin: http://page\r\n");
  expect(&client, "OPTIONS", 200, "http://page", "Origin");
  ask(&client, "GET", "/", QUESTION);
  expect(&client, "GET", 200, "http://page", "Origin");
  EVENTUALLY(atomic_load(&received) == 3);
  /* Several at once, with others between, and one with a body: in their order. */
  client_text(
      &client,
      "GET / HTTP/1.1\r\nHost: a\r\nOrigin: http://page\r\n\r\n"
      "OPTIONS / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n" QUESTION
      "\r\nhello"
      "GET /late HTTP/1.1\r\nHost: a\r\nOrigin: http://page\r\n\r\n"
      "OPTIONS / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n" QUESTION
      "\r\n1\r\nx\r\n0\r\n\r\n"
      "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
      "OPTIONS / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" QUESTION "\r\n");
  expect(&client, "GET", 200, "http://page", "Origin");
  expect_answer(&client);
  expect(&client, "GET", 200, "http://page", "Origin");
  expect_answer(&client);
  expect(&client, "GET", 200, NULL, "Origin");
  expect_answer(&client);
  CHECK_INT(0, client_fill(&client));
  client_close(&client);
  CHECK_INT(0, apus_server_counter(app.server, APUS_COUNT_ERRORS));
  harness_stop(&app);
}

/* The I/O threads answer, also where nobody ticks or takes events. */
static void test_nobody_ticks(enum mode mode) {
  struct app app;
  struct client client;
  if (mode == MODE_THREADLESS) return;
  make_listed(&app, mode);
  int32_t listener = apus_server_listen(app.server, "127.0.0.1", 0);
  CHECK_INT(0, apus_server_start(app.server));
  client_open(&client, apus_server_port(app.server, listener));
  for (int i = 0; i < 3; i++) {
    ask(&client, "OPTIONS", "/", QUESTION);
    expect_answer(&client);
  }
  client_close(&client);
  CHECK_INT(1, apus_server_destroy(app.server));
}

/* -------------------------------------------------------------- other policies */

static void test_off(enum mode mode) {
  struct app app;
  struct client client;
  struct reply reply;
  make(&app, mode);
  CHECK_INT(0, apus_server_set_cors_origins(app.server, "*"));
  CHECK_INT(0, apus_server_set_cors_origins(app.server, NULL));
  harness_start(&app);
  client_open(&client, app.port);
  ask(&client, "GET", "/", "Origin: http://page\r\n");
  expect(&client, "GET", 200, NULL, NULL);
  ask(&client, "OPTIONS", "/options", QUESTION);
  expect(&client, "OPTIONS", 200, NULL, NULL);
  ask(&client, "OPTIONS", "/", QUESTION);
  client_reply(&client, "OPTIONS", &reply);
  CHECK_INT(204, reply.status);
  CHECK(reply_lists(&reply, "Allow", "POST"));
  reply_free(&reply);
  client_close(&client);
  harness_stop(&app);
}

static void test_any(enum mode mode) {
  struct app app;
  struct client client;
  struct reply reply;
  make(&app, mode);
  CHECK_INT(0, apus_server_set_cors_origins(app.server, "*"));
  CHECK_INT(0, apus_server_set_cors_methods(app.server, "*"));
  CHECK_INT(0, apus_server_set_cors_headers(app.server, "*"));
  /* All origins, and credentials: never both. */
  CHECK_CODE(APUS_E_ARGUMENT, apus_server_set_cors_credentials(app.server, 1));
  CHECK_INT(0, apus_server_set_cors_origins(app.server, ""));
  CHECK_INT(0, apus_server_set_cors_credentials(app.server, 1));
  CHECK_CODE(APUS_E_ARGUMENT, apus_server_set_cors_origins(app.server, "*"));
  CHECK_CODE(APUS_E_ARGUMENT, apus_server_set_cors_exposed(app.server, "*"));
  CHECK_INT(0, apus_server_set_cors_credentials(app.server, 0));
  CHECK_INT(0, apus_server_set_cors_origins(app.server, "*"));
  harness_start(&app);
  client_open(&client, app.port);
  ask(&client, "GET", "/", "Origin: http://page\r\n");
  expect(&client, "GET", 200, "*", NULL);
  ask(&client, "GET", "/nowhere", "");
  expect(&client, "GET", 404, "*", NULL);
  ask(&client, "OPTIONS", "/",
      "Origin: http://page\r\nAccess-Control-Request-Method: PURGE\r\n"
      "Access-Control-Request-Headers: x-a,authorization\r\n");
  client_reply(&client, "OPTIONS", &reply);
  CHECK_TEXT("*", reply_field(&reply, ALLOW "Origin"));
  CHECK_TEXT("PURGE", reply_field(&reply, ALLOW "Methods"));
  CHECK_TEXT("x-a,authorization", reply_field(&reply, ALLOW "Headers"));
  CHECK(reply_field(&reply, ALLOW "Credentials") == NULL);
  reply_free(&reply);
  client_text(&client, "\1\r\n\r\n");
  expect(&client, "GET", 400, "*", NULL);
  client_close(&client);
  harness_stop(&app);
}

static atomic_int asked, dropped;

static int32_t check_origin(void *context, apus_server server, const char *origin) {
  CHECK_TEXT("context", (const char *)context);
  CHECK_INT(1, apus_server_is_alive(server));
  atomic_fetch_add(&asked, 1);
  /* Only 1 is yes. */
  return strcmp(origin, "http://page") == 0 ? 1 : strcmp(origin, "http://two") == 0 ? 2 : 0;
}

static void drop_check(void *context) {
  CHECK(context != NULL);
  atomic_fetch_add(&dropped, 1);
}

static void test_check(enum mode mode) {
  struct app app;
  struct client client;
  static char context[] = "context";
  make(&app, mode);
  atomic_store(&asked, 0);
  atomic_store(&dropped, 0);
  CHECK_INT(0, apus_server_set_cors_check(app.server, check_origin, context, drop_check));
  CHECK_INT(0, apus_server_set_cors_check(app.server, NULL, context, drop_check));
  CHECK_INT(2, atomic_load(&dropped));
  CHECK_INT(0, apus_server_set_cors_check(app.server, check_origin, context, drop_check));
  harness_start(&app);
  CHECK_CODE(APUS_E_STATE,
             apus_server_set_cors_check(app.server, check_origin, context, drop_check));
  CHECK_INT(3, atomic_load(&dropped));
  client_open(&client, app.port);
  ask(&client, "GET", "/", "Origin: http://page\r\n");
  expect(&client, "GET", 200, "http://page", "Origin");
  ask(&client, "GET", "/", "Origin: http://two\r\n");
  expect(&client, "GET", 200, NULL, "Origin");
  ask(&client, "GET", "/", "");
  expect(&client, "GET", 200, NULL, "Origin");
  ask(&client, "OPTIONS", "/", "Origin: http://a\r\nAccess-Control-Request-Method: GET\r\n");
  expect(&client, "OPTIONS", 403, NULL, "Origin");
  CHECK_INT(3, atomic_load(&asked));
  client_close(&client);
  harness_stop(&app);
  CHECK_INT(4, atomic_load(&dropped));
}

/* ----------------------------------------------------------------- credentials */

static void basic_handler(void *context, apus_request request) {
  char text[128];
  const char *user = "untouched";
  const char *password = "untouched";
  (void)context;
  int32_t result = apus_request_basic(request, &user, &password);
  if (result < 0) CHECK_TEXT("untouched", user);
  if (result == 0) CHECK_INT(0, apus_request_basic(request, NULL, NULL));
  if (result == 0 && apus_equal(user, APUS_STRLEN, "Aladdin", 7) == 1 &&
      apus_equal(password, strlen(password), "open sesame", APUS_STRLEN) == 1) {
    CHECK_INT(0, apus_reply_text(request, 200, "come in"));
    return;
  }
  snprintf(text, sizeof text, "%d", result);
  CHECK_INT(0, apus_reply_set_header(request, "X-Result", text));
  CHECK_INT(0, apus_reply_add_header(request, "WWW-Authenticate", "Other x=y"));
  CHECK_INT(0, apus_reply_unauthorized(request, "Basic", "the \"cave\" \\"));
  CHECK(apus_reply_unauthorized(request, "Basic", "again") < 0);
}

static void bearer_handler(void *context, apus_request request) {
  size_t length = 77;
  (void)context;
  const char *token = apus_request_bearer(request, &length);
  if (token == NULL) {
    char text[16];
    CHECK_INT(77, length);
    snprintf(text, sizeof text, "%d", apus_last_error());
    CHECK_INT(0, apus_reply_set_header(request, "X-Result", text));
    CHECK_CODE(APUS_E_ARGUMENT, apus_reply_unauthorized(request, "Bea rer", "a"));
    CHECK_CODE(APUS_E_ARGUMENT, apus_reply_unauthorized(request, "Bearer", "a\r\nb"));
    CHECK_CODE(APUS_E_ARGUMENT, apus_reply_unauthorized(request, "Bearer", NULL));
    CHECK_CODE(APUS_E_ARGUMENT, apus_reply_unauthorized(request, NULL, "a"));
    CHECK_INT(0, apus_reply_unauthorized(request, "Bearer", "cave"));
    return;
  }
  CHECK_INT(strlen(token), length);
  CHECK_INT(0, apus_reply_text(request, 200, token));
}

static void expect_challenge(struct client *client, const char *challenge, int32_t result) {
  struct reply reply;
  char text[16];
  int found = 0;
  client_reply(client, "GET", &reply);
  CHECK_INT(401, reply.status);
  snprintf(text, sizeof text, "%d", result);
  CHECK_TEXT(text, reply_field(&reply, "X-Result"));
  for (size_t i = 0; i < reply.field_count; i++) {
    found += strcasecmp(reply.fields[i].name, "WWW-Authenticate") == 0 &&
             strcmp(reply.fields[i].value, challenge) == 0;
  }
  CHECK_INT(1, found);
  reply_free(&reply);
}

static void test_credentials(enum mode mode) {
  static const char basic[] = "Basic realm=\"the \\\"cave\\\" \\\\\", charset=\"UTF-8\"";
  struct app app;
  struct client client;
  app_make(&app, mode);
  app_route(&app, APUS_GET, "/basic", basic_handler, NULL);
  app_route(&app, APUS_GET, "/bearer", bearer_handler, NULL);
  harness_start(&app);
  client_open(&client, app.port);
  ask(&client, "GET", "/basic", "Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n");
  CLIENT_EXPECT(&client, "GET", 200, "come in");
  ask(&client, "GET", "/basic", "");
  expect_challenge(&client, basic, APUS_E_NOT_FOUND);
  ask(&client, "GET", "/basic", "Authorization: Bearer abc\r\n");
  expect_challenge(&client, basic, APUS_E_NOT_FOUND);
  ask(&client, "GET", "/basic", "Authorization: Basic abc\r\n");
  expect_challenge(&client, basic, APUS_E_PROTOCOL);
  ask(&client, "GET", "/basic", "Authorization: Basic Og==\r\nAuthorization: Basic Og==\r\n");
  expect_challenge(&client, basic, APUS_E_PROTOCOL);
  ask(&client, "GET", "/basic", "Authorization: Basic Og==\r\n");
  expect_challenge(&client, basic, 0);
  ask(&client, "GET", "/bearer", "Authorization: bearer a.b~c==\r\n");
  CLIENT_EXPECT(&client, "GET", 200, "a.b~c==");
  ask(&client, "GET", "/bearer", "Authorization: Basic Og==\r\n");
  expect_challenge(&client, "Bearer realm=\"cave\"", APUS_E_NOT_FOUND);
  ask(&client, "GET", "/bearer", "Authorization: Bearer a,b\r\n");
  expect_challenge(&client, "Bearer realm=\"cave\"", APUS_E_PROTOCOL);
  client_close(&client);
  harness_stop(&app);
}

static void test_equal(enum mode mode) {
  (void)mode;
  CHECK_INT(1, apus_equal("", 0, "", 0));
  CHECK_INT(1, apus_equal(NULL, 0, NULL, 0));
  CHECK_INT(1, apus_equal(NULL, 0, "", APUS_STRLEN));
  CHECK_INT(1, apus_equal("a\0b", 3, "a\0b", 3));
  CHECK_INT(0, apus_equal("a\0b", 3, "a\0c", 3));
  CHECK_INT(1, apus_equal("a\0b", APUS_STRLEN, "a\0c", APUS_STRLEN));
  CHECK_INT(0, apus_equal("abc", 3, "abcd", 4));
  CHECK_INT(0, apus_equal("abcd", 4, "abc", 3));
  CHECK_INT(0, apus_equal("", 0, "a", 1));
  CHECK_INT(0, apus_equal("a", 1, "", 0));
  CHECK_INT(0, apus_equal("abc", 3, "xbc", 3));
  CHECK_CODE(APUS_E_ARGUMENT, apus_equal(NULL, 1, "a", 1));
  CHECK_CODE(APUS_E_ARGUMENT, apus_equal("a", 1, NULL, APUS_STRLEN));
}

static const struct harness_case cases[] = {
    {"all replies", test_all_replies},
    {"fields", test_fields},
    {"refusals", test_refusals},
    {"questions", test_questions},
    {"nobody ticks", test_nobody_ticks},
    {"off", test_off},
    {"any", test_any},
    {"check", test_check},
    {"credentials", test_credentials},
    {"equal", test_equal},
};

int main(int argc, char **argv) { return harness_main("access", argc, argv, CASES(cases)); }
