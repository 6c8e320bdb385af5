/*
 * routing_test.c - which handler gets a request, and what is answered where
 * there is none: precedence of patterns, parameters, any method by number or
 * name, 404, 405 with Allow, HEAD and OPTIONS of routes that do not name them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "../helpers/harness.h"

/* Replies with the route's name and its parameters: "name|key=value|...". */
static void tell(void *context, apus_request request) {
  char text[1024];
  int used = snprintf(text, sizeof text, "%s", (const char *)context);
  int32_t count = apus_request_param_count(request);
  CHECK(count >= 0);
  for (int32_t i = 0; i < count; i++) {
    const char *name = NULL;
    const char *value = NULL;
    size_t length = 0;
    CHECK_INT(0, apus_request_param_at(request, i, &name, &value, &length));
    CHECK_INT(strlen(value), length);
    CHECK_TEXT(value, apus_request_param(request, name, NULL));
    used += snprintf(text + used, sizeof text - (size_t)used, "|%s=%s", name, value);
  }
  CHECK_INT(0, apus_reply_text(request, 200, text));
}

/* Replies with the method as the library sees it. */
static void tell_method(void *context, apus_request request) {
  char text[128];
  (void)context;
  snprintf(text, sizeof text, "%d %s", (int)apus_request_method(request),
           apus_request_method_name(request));
  CHECK_INT(0, apus_reply_text(request, 200, text));
}

static void add(struct app *app, int32_t method, const char *pattern, const char *name) {
  app_route(app, method, pattern, tell, (void *)(uintptr_t)name);
}

static void ask(struct app *app, const char *method, const char *target, int status,
                const char *body) {
  struct client client;
  client_open(&client, app->port);
  client_format(&client, "%s %s HTTP/1.1\r\nHost: a\r\n\r\n", method, target);
  CLIENT_EXPECT(&client, method, status, body);
  CLIENT_QUIET(&client);
  client_close(&client);
}

struct question {
  const char *target;
  int status;
  const char *body;
};

static void test_precedence(enum mode mode) {
  static const struct question questions[] = {
      {"/", 200, "root"},
      {"/?a=b", 200, "root"},
      {"/a/b", 200, "literal"},
      {"/%61/%62", 200, "literal"},
      {"/a/z", 200, "param|x=z"},
      {"/a/b%62", 200, "param|x=bb"},
      {"/a/b/", 200, "rest|rest=b/"},
      {"/a/z/c", 200, "param-literal|x=z"},
      {"/a/", 200, "rest|rest="},
      {"/a/p/q/r", 200, "rest|rest=p/q/r"},
      {"/a/z/d", 200, "rest|rest=z/d"},
      {"/files/x/y%2Fz", 200, "files|*=x/y/z"},
      {"/files/", 200, "files|*="},
      {"/user/J%C3%BCrgen/post/a%2Fb", 200, "two|name=J\xc3\xbcrgen|id=a/b"},
      {"/user/a%20b/post/%25", 200, "two|name=a b|id=%"},
      {"/user//post/1", 404, NULL},
      {"/user/x/post/", 404, NULL},
      {"/user/x", 404, NULL},
      {"/a%2Fb", 404, NULL},
      {"/none", 404, NULL},
      {"/A/b", 404, NULL},
  };
  struct app app;
  app_make(&app, mode);
  /* The order of registration must not matter: the loosest come first. */
  add(&app, APUS_GET, "/a/*rest", "rest");
  add(&app, APUS_GET, "/a/:x", "param");
  add(&app, APUS_GET, "/a/b", "literal");
  add(&app, APUS_GET, "/a/:x/c", "param-literal");
  add(&app, APUS_GET, "/", "root");
  add(&app, APUS_GET, "/files/*", "files");
  add(&app, APUS_GET, "/user/:name/post/:id", "two");
  harness_start(&app);
  for (size_t i = 0; i < sizeof questions / sizeof questions[0]; i++) {
    ask(&app, "GET", questions[i].target, questions[i].status, questions[i].body);
  }
  harness_stop(&app);
}

/* A route that matches is found, even where a closer literal leads nowhere. */
static void test_backtracking(enum mode mode) {
  struct app app;
  app_make(&app, mode);
  add(&app, APUS_GET, "/a/b/deep", "deep");
  add(&app, APUS_GET, "/a/:x/c", "param");
  add(&app, APUS_GET, "/*all", "all");
  harness_start(&app);
  ask(&app, "GET", "/a/b/deep", 200, "deep");
  ask(&app, "GET", "/a/b/c", 200, "param|x=b");
  ask(&app, "GET", "/a/b/x", 200, "all|all=a/b/x");
  ask(&app, "GET", "/", 200, "all|all=");
  harness_stop(&app);
}

static void test_methods(enum mode mode) {
  struct app app;
  app_make(&app, mode);
  app_route(&app, APUS_PURGE, "/number", tell_method, NULL);
  app_route(&app, APUS_MSEARCH, "/search", tell_method, NULL);
  app_route_named(&app, "FOO", "/name", tell_method, NULL);
  app_route_named(&app, "REPORT", "/known", tell_method, NULL);
  app_route(&app, APUS_METHOD_ANY, "/any", tell_method, NULL);
  app_route(&app, APUS_GET, "/mixed", tell_method, NULL);
  app_route(&app, APUS_METHOD_ANY, "/mixed", tell, (void *)(uintptr_t) "any");
  harness_start(&app);
  ask(&app, "PURGE", "/number", 200, "29 PURGE");
  ask(&app, "M-SEARCH", "/search", 200, "24 M-SEARCH");
  ask(&app, "FOO", "/name", 200, "-1 FOO");
  ask(&app, "REPORT", "/known", 200, "20 REPORT");
  ask(&app, "BAR", "/any", 200, "-1 BAR");
  ask(&app, "!#$%&'*+-.^_`|~09", "/any", 200, "-1 !#$%&'*+-.^_`|~09");
  ask(&app, "DELETE", "/any", 200, "0 DELETE");
  ask(&app, "HEAD", "/any", 200, NULL);
  ask(&app, "GET", "/mixed", 200, "1 GET");
  ask(&app, "PUT", "/mixed", 200, "any");
  /* Methods are case-sensitive, RFC 9110 section 9.1. */
  ask(&app, "foo", "/name", 405, NULL);
  ask(&app, "get", "/mixed", 200, "any");
  harness_stop(&app);
}

/* Every one of the 34 methods by its number; CONNECT needs another target. */
static void test_all_numbers(enum mode mode) {
  struct app app;
  app_make(&app, mode);
  for (int32_t method = 0; method <= APUS_SOURCE; method++) {
    app_route(&app, method, "/x", tell_method, NULL);
  }
  harness_start(&app);
  for (int32_t method = 0; method <= APUS_SOURCE; method++) {
    if (method == APUS_CONNECT) continue;
    char expected[64];
    const char *name = apus_method_name(method);
    snprintf(expected, sizeof expected, "%d %s", (int)method, name);
    ask(&app, name, "/x", 200, method == APUS_HEAD ? NULL : expected);
  }
  harness_stop(&app);
}

static void read_allow(struct app *app, const char *method, const char *target,
                       struct reply *reply) {
  struct client client;
  client_open(&client, app->port);
  client_format(&client, "%s %s HTTP/1.1\r\nHost: a\r\n\r\n", method, target);
  client_reply(&client, method, reply);
  CHECK(reply_field(reply, "Allow") != NULL);
  CLIENT_QUIET(&client);
  client_close(&client);
}

static void test_allow(enum mode mode) {
  struct app app;
  struct reply reply;
  app_make(&app, mode);
  add(&app, APUS_GET, "/got", "got");
  add(&app, APUS_POST, "/posted", "posted");
  add(&app, APUS_PUT, "/posted", "put");
  app_route_named(&app, "FOO", "/posted", tell, (void *)(uintptr_t) "foo");
  harness_start(&app);
  read_allow(&app, "POST", "/got", &reply);
  CHECK_INT(405, reply.status);
  CHECK(reply_lists(&reply, "Allow", "GET") && reply_lists(&reply, "Allow", "HEAD"));
  CHECK(!reply_lists(&reply, "Allow", "POST"));
  reply_free(&reply);
  read_allow(&app, "GET", "/posted", &reply);
  CHECK_INT(405, reply.status);
  CHECK(reply_lists(&reply, "Allow", "POST") && reply_lists(&reply, "Allow", "PUT"));
  CHECK(reply_lists(&reply, "Allow", "FOO") && !reply_lists(&reply, "Allow", "GET"));
  CHECK(!reply_lists(&reply, "Allow", "HEAD"));
  reply_free(&reply);
  ask(&app, "HEAD", "/posted", 405, NULL);
  harness_stop(&app);
}

static void test_options(enum mode mode) {
  struct app app;
  struct reply reply;
  app_make(&app, mode);
  add(&app, APUS_GET, "/got", "got");
  add(&app, APUS_POST, "/posted", "posted");
  add(&app, APUS_GET, "/own", "own");
  add(&app, APUS_OPTIONS, "/own", "own options");
  harness_start(&app);
  read_allow(&app, "OPTIONS", "/got", &reply);
  CHECK(reply.status == 200 || reply.status == 204);
  CHECK(reply_lists(&reply, "Allow", "GET") && reply_lists(&reply, "Allow", "HEAD"));
  CHECK(reply_lists(&reply, "Allow", "OPTIONS") && !reply_lists(&reply, "Allow", "POST"));
  reply_free(&reply);
  read_allow(&app, "OPTIONS", "/posted", &reply);
  CHECK(reply_lists(&reply, "Allow", "POST") && !reply_lists(&reply, "Allow", "GET"));
  reply_free(&reply);
  read_allow(&app, "OPTIONS", "*", &reply);
  CHECK(reply.status == 200 || reply.status == 204);
  CHECK(reply_lists(&reply, "Allow", "GET") && reply_lists(&reply, "Allow", "POST"));
  reply_free(&reply);
  ask(&app, "OPTIONS", "/own", 200, "own options");
  harness_stop(&app);
}

static void test_head(enum mode mode) {
  struct app app;
  struct client client;
  struct reply reply;
  app_make(&app, mode);
  add(&app, APUS_GET, "/got", "got");
  add(&app, APUS_GET, "/both", "both");
  add(&app, APUS_HEAD, "/both", "head of both");
  harness_start(&app);
  client_open(&client, app.port);
  client_text(&client, "HEAD /got HTTP/1.1\r\nHost: a\r\n\r\n");
  client_reply(&client, "HEAD", &reply);
  CHECK_INT(200, reply.status);
  CHECK_INT(3, reply.content_length);
  CHECK_TEXT("text/plain; charset=utf-8", reply_field(&reply, "Content-Type"));
  reply_free(&reply);
  /* A body after the head of a HEAD would come before this reply. */
  client_text(&client, "HEAD /both HTTP/1.1\r\nHost: a\r\n\r\n");
  client_reply(&client, "HEAD", &reply);
  CHECK_INT(12, reply.content_length);
  reply_free(&reply);
  client_get(&client, "/got");
  CLIENT_EXPECT(&client, "GET", 200, "got");
  client_close(&client);
  harness_stop(&app);
}

static atomic_int drops;

static void count_drop(void *context) {
  CHECK(context == &drops);
  atomic_fetch_add(&drops, 1);
}

static int32_t try_route(apus_server server, int32_t method, const char *pattern) {
  return apus_server_route(server, method, pattern, tell, &drops, count_drop);
}

/* Refused registrations: the code, and drop exactly once before the return. */
static void test_registration(enum mode mode) {
  struct app app;
  app_make(&app, mode);
  apus_server server = app.server;
  atomic_store(&drops, 0);
  CHECK_INT(0, try_route(server, APUS_GET, "/a/:x"));
  CHECK_INT(1, try_route(server, APUS_POST, "/a/:x"));
  CHECK_INT(2, try_route(server, APUS_GET, "/a"));
  CHECK_INT(0, atomic_load(&drops));
  CHECK_CODE(APUS_E_STATE, try_route(server, APUS_GET, "/a/:other"));
  CHECK_INT(1, atomic_load(&drops));
  CHECK_CODE(APUS_E_ARGUMENT, try_route(server, APUS_GET, NULL));
  CHECK_CODE(APUS_E_ARGUMENT, try_route(server, APUS_GET, ""));
  CHECK_CODE(APUS_E_ARGUMENT, try_route(server, APUS_GET, "a"));
  CHECK_CODE(APUS_E_ARGUMENT, try_route(server, APUS_GET, "/*rest/more"));
  CHECK_CODE(APUS_E_ARGUMENT, try_route(server, 34, "/b"));
  CHECK_CODE(APUS_E_ARGUMENT, try_route(server, APUS_METHOD_OTHER, "/b"));
  CHECK_CODE(APUS_E_ARGUMENT, try_route(server, -3, "/b"));
  CHECK_INT(8, atomic_load(&drops));
  static const char *const names[] = {NULL,  "",         "A B",
                                      "A\n", "\xc3\xa4", "ABCDEFGHIJKLMNOPQRSTUVWXYZ1234567"};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    CHECK_CODE(APUS_E_ARGUMENT,
               apus_server_route_named(server, names[i], "/b", tell, &drops, count_drop));
  }
  CHECK_INT(14, atomic_load(&drops));
  CHECK_CODE(APUS_E_ARGUMENT,
             apus_server_route_stream(server, APUS_POST, "/s", NULL, &drops, count_drop));
  CHECK_INT(15, atomic_load(&drops));
  CHECK_INT(3, try_route(server, APUS_METHOD_ANY, "/b"));
  /* What is never called may be dropped at once. */
  CHECK_INT(4, apus_server_websocket(server, "/w", NULL, &drops, count_drop));
  harness_start(&app);
  CHECK_CODE(APUS_E_STATE, try_route(server, APUS_GET, "/late"));
  harness_stop(&app);
  CHECK_INT(21, atomic_load(&drops));
}

/* The seven short forms register what they say. */
static void test_short_forms(enum mode mode) {
  typedef int32_t (*short_form)(apus_server, const char *, apus_handler_fn, void *, apus_drop_fn);
  static const struct {
    short_form form;
    const char *method;
  } forms[] = {
      {apus_server_get, "GET"}, {apus_server_head, "HEAD"},   {apus_server_post, "POST"},
      {apus_server_put, "PUT"}, {apus_server_patch, "PATCH"}, {apus_server_delete, "DELETE"},
  };
  struct app app;
  app_make(&app, mode);
  for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
    int32_t number = forms[i].form(app.server, "/x", tell_method, NULL, NULL);
    CHECK_INT(i, number);
    app_keep_route(&app, number, tell_method, NULL);
  }
  int32_t number = apus_server_any(app.server, "/y", tell_method, NULL, NULL);
  app_keep_route(&app, number, tell_method, NULL);
  harness_start(&app);
  for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
    char expected[32];
    const char *method = forms[i].method;
    snprintf(expected, sizeof expected, "%d %s", (int)apus_method_number(method), method);
    ask(&app, method, "/x", 200, strcmp(method, "HEAD") == 0 ? NULL : expected);
  }
  ask(&app, "TRACE", "/x", 405, NULL);
  ask(&app, "LOCK", "/y", 200, "9 LOCK");
  harness_stop(&app);
}

static void *pull_anything(void *context) {
  apus_server server = *(apus_server *)context;
  apus_event event;
  int32_t result;
  do {
    result = apus_server_next(server, &event, -1);
    if (result != 1) continue;
    CHECK_INT(APUS_EVENT_REQUEST, event.kind);
    CHECK_INT(-1, event.route);
    CHECK_INT(0, apus_reply_text(event.handle, 200, apus_request_path(event.handle)));
  } while (app_goes_on(result));
  app_ended(result);
  return NULL;
}

/* Without any route: 404, except that the pull API gets every request. */
static void test_no_routes(enum mode mode) {
  struct app app;
  struct client client;
  app_make(&app, mode == MODE_PULL ? MODE_WORKER : mode);
  if (mode == MODE_PULL) {
    CHECK_INT(0, apus_server_set_dispatch(app.server, APUS_DISPATCH_TICK));
  }
  harness_start(&app);
  if (mode == MODE_PULL) {
    app.driven = 1;
    CHECK_INT(0, pthread_create(&app.driver, NULL, pull_anything, &app.server));
  }
  client_open(&client, app.port);
  client_get(&client, "/what%20ever");
  CLIENT_EXPECT(&client, "GET", mode == MODE_PULL ? 200 : 404,
                mode == MODE_PULL ? "/what ever" : NULL);
  client_close(&client);
  harness_stop(&app);
}

int main(int argc, char **argv) {
  static const struct harness_case cases[] = {
      {"precedence", test_precedence},
      {"backtracking", test_backtracking},
      {"methods", test_methods},
      {"all_numbers", test_all_numbers},
      {"allow", test_allow},
      {"options", test_options},
      {"head", test_head},
      {"registration", test_registration},
      {"short_forms", test_short_forms},
      {"no_routes", test_no_routes},
  };
  return harness_main("routing_test", argc, argv, CASES(cases));
}
