/*
 * cookies_test.c - cookies of the server's side: read from requests, set in replies
 * with every attribute, at once and by writers, refused where browsers would not keep
 * them, and signed with keys that change.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "../helpers/harness.h"

#define FIRST_KEY "a first key of thirty-two bytes."
#define SECOND_KEY "a second key that is long enough"

/* ------------------------------------------------------------------- reading */

static void check_cookie(apus_request request, int32_t index, const char *name, const char *value) {
  const char *got_name = NULL;
  const char *got_value = NULL;
  size_t length = 0;
  CHECK_INT(0, apus_request_cookie_at(request, index, &got_name, &got_value, &length));
  CHECK_TEXT(name, got_name);
  CHECK_TEXT(value, got_value);
  CHECK_INT(strlen(value), length);
}

static void read_handler(void *context, apus_request request) {
  (void)context;
  size_t length = 77;
  CHECK_INT(6, apus_request_cookie_count(request));
  check_cookie(request, 0, "a", "1");
  check_cookie(request, 1, "b", "\"x y\"");
  check_cookie(request, 2, "a", "2");
  check_cookie(request, 3, "", "alone");
  check_cookie(request, 4, "c", "");
  check_cookie(request, 5, "d", "e=f,g");
  CHECK_TEXT("1", apus_request_cookie(request, "a", &length));
  CHECK_INT(1, length);
  CHECK_TEXT("", apus_request_cookie(request, "c", &length));
  CHECK_INT(0, length);
  length = 77;
  CHECK_NONE(APUS_E_NOT_FOUND, apus_request_cookie(request, "A", &length));
  CHECK_NONE(APUS_E_ARGUMENT, apus_request_cookie(request, NULL, &length));
  CHECK_CODE(APUS_E_NOT_FOUND, apus_request_cookie_at(request, 6, NULL, NULL, &length));
  CHECK_CODE(APUS_E_NOT_FOUND, apus_request_cookie_at(request, -1, NULL, NULL, &length));
  CHECK_INT(77, length);
  CHECK_NONE(APUS_E_STATE, apus_request_signed_cookie(request, "a", -1, &length));
  CHECK_CODE(APUS_E_STATE,
             apus_reply_set_cookie(request, "a", "b", NULL, NULL, -1, -1, APUS_COOKIE_SIGNED));
  CHECK_INT(0, apus_reply_text(request, 200, "read"));
}

static void count_handler(void *context, apus_request request) {
  CHECK_INT(*(int *)context, apus_request_cookie_count(request));
  CHECK_INT(0, apus_reply_text(request, 200, "counted"));
}

static void test_reading(enum mode mode) {
  struct app app;
  struct client client;
  int expected = 0;
  app_make(&app, mode);
  app_route(&app, APUS_GET, "/", read_handler, NULL);
  app_route(&app, APUS_GET, "/count", count_handler, &expected);
  harness_start(&app);
  client_open(&client, app.port);
  for (int i = 0; i < 2; i++) {
    client_text(&client,
                "GET / HTTP/1.1\r\nHost: a\r\nCookie: a=1; b=\"x y\";a=2; alone;;\r\n"
                "X-Y: z\r\ncookie: c=; d=e=f,g;\r\n\r\n");
    CLIENT_EXPECT(&client, "GET", 200, "read");
  }
  client_get(&client, "/count");
  CLIENT_EXPECT(&client, "GET", 200, "counted");
  /* As many as are kept, and one more. */
  expected = 180;
  for (int count = 180; count <= 181; count++) {
    client_text(&client, "GET /count HTTP/1.1\r\nHost: a\r\nCookie: a=b");
    for (int i = 1; i < count; i++) client_text(&client, "; a=b");
    client_text(&client, "\r\n\r\n");
    CLIENT_EXPECT(&client, "GET", 200, "counted");
  }
  client_close(&client);
  harness_stop(&app);
}

/* ------------------------------------------------------------------- setting */

/* What goes wrong, with a request or a writer: the same calls for both. */
struct setter {
  apus_request request;
  apus_writer writer;
};

static int32_t set(const struct setter *to, const char *name, const char *value, const char *domain,
                   const char *path, int64_t age, int64_t expires, int32_t flags) {
  if (to->writer != 0) {
    return apus_writer_set_cookie(to->writer, name, value, domain, path, age, expires, flags);
  }
  return apus_reply_set_cookie(to->request, name, value, domain, path, age, expires, flags);
}

static int32_t forget(const struct setter *to, const char *name, const char *domain,
                      const char *path, int32_t flags) {
  if (to->writer != 0) return apus_writer_delete_cookie(to->writer, name, domain, path, flags);
  return apus_reply_delete_cookie(to->request, name, domain, path, flags);
}

static void check_refused(const struct setter *to) {
  static const char *const names[] = {"", "a b", "a=b", "a;", "a\r", "a\n", "a\x7f", "\xc3\xa4"};
  static const char *const values[] = {"a b",  "a;b", "a,b",   "a\\b",     "a\"b",
                                       "\r\n", "\n",  "a\x7f", "\xc3\xa4", "a\tb"};
  static const char *const domains[] = {".a", "a..b", "a;b", "a\r\nX: y", "a b", "\xc3\xa4"};
  static const char *const paths[] = {"a", "/;b", "/\r\nX: y", "/\n", "/\x01", "/\xc3\xa4"};
  static const int32_t flags[] = {128, -1, INT32_MIN, INT32_MAX, 16, 4, 16 | 32 | 1, 32 | 64};
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
  for (size_t i = 0; i < COUNT(names); i++) {
    CHECK_CODE(APUS_E_ARGUMENT, set(to, names[i], "b", NULL, NULL, -1, -1, 0));
    CHECK_CODE(APUS_E_ARGUMENT, forget(to, names[i], NULL, NULL, 0));
  }
  for (size_t i = 0; i < COUNT(values); i++) {
    CHECK_CODE(APUS_E_ARGUMENT, set(to, "a", values[i], NULL, NULL, -1, -1, 0));
    CHECK_CODE(APUS_E_ARGUMENT, set(to, "a", values[i], NULL, NULL, -1, -1, APUS_COOKIE_SIGNED));
  }
  CHECK_CODE(APUS_E_ARGUMENT, set(to, "a", "\"b\"", NULL, NULL, -1, -1, APUS_COOKIE_SIGNED));
  for (size_t i = 0; i < COUNT(domains); i++) {
    CHECK_CODE(APUS_E_ARGUMENT, set(to, "a", "b", domains[i], NULL, -1, -1, 0));
    CHECK_CODE(APUS_E_ARGUMENT, forget(to, "a", domains[i], NULL, 0));
  }
  for (size_t i = 0; i < COUNT(paths); i++) {
    CHECK_CODE(APUS_E_ARGUMENT, set(to, "a", "b", NULL, paths[i], -1, -1, 0));
  }
  for (size_t i = 0; i < COUNT(flags); i++) {
    CHECK_CODE(APUS_E_ARGUMENT, set(to, "a", "b", NULL, NULL, -1, -1, flags[i]));
  }
  CHECK_CODE(APUS_E_ARGUMENT, set(to, NULL, "b", NULL, NULL, -1, -1, 0));
  CHECK_CODE(APUS_E_ARGUMENT, set(to, "a", NULL, NULL, NULL, -1, -1, 0));
  CHECK_CODE(APUS_E_ARGUMENT, set(to, "a", "b", NULL, NULL, -2, -1, 0));
  CHECK_CODE(APUS_E_ARGUMENT, set(to, "a", "b", NULL, NULL, INT64_MAX, -1, 0));
  CHECK_CODE(APUS_E_ARGUMENT, set(to, "a", "b", NULL, NULL, -1, -2, 0));
  CHECK_CODE(APUS_E_ARGUMENT, set(to, "a", "b", NULL, NULL, -1, 253402300800, 0));
  CHECK_CODE(APUS_E_ARGUMENT, set(to, "__Secure-a", "b", NULL, "/", -1, -1, 0));
  CHECK_CODE(APUS_E_ARGUMENT, set(to, "__Host-a", "b", NULL, "/", -1, -1, 0));
  CHECK_CODE(APUS_E_ARGUMENT, set(to, "__host-a", "b", NULL, "/x", -1, -1, APUS_COOKIE_SECURE));
  CHECK_CODE(APUS_E_ARGUMENT, set(to, "__Host-a", "b", "a.b", "/", -1, -1, APUS_COOKIE_SECURE));
  CHECK_CODE(APUS_E_ARGUMENT, set(to, "__Host-a", "b", NULL, NULL, -1, -1, APUS_COOKIE_SECURE));
  static char large[4200];
  memset(large, 'x', 4096);
  CHECK_CODE(APUS_E_TOO_LARGE, set(to, "a", large, NULL, NULL, -1, -1, 0));
  large[0] = '/';
  CHECK_CODE(APUS_E_TOO_LARGE, set(to, "a", "b", NULL, large, -1, -1, 0));
}

static void check_set(const struct setter *to) {
  check_refused(to);
  CHECK_INT(0, set(to, "a", "b", NULL, NULL, -1, -1, 0));
  CHECK_INT(0, set(to, "c", "\"d\"", "example.com", "/x", 60, 784111777,
                   APUS_COOKIE_SECURE | APUS_COOKIE_HTTP_ONLY | APUS_COOKIE_PARTITIONED |
                       APUS_COOKIE_SAME_SITE_NONE));
  CHECK_INT(
      0, set(to, "__Host-e", "", "", "/", 0, 0, APUS_COOKIE_SECURE | APUS_COOKIE_SAME_SITE_STRICT));
  CHECK_INT(0, forget(to, "f", "example.com", "/x", APUS_COOKIE_SAME_SITE_LAX));
}

static void check_after(const struct setter *to) {
  CHECK_CODE(APUS_E_STATE, set(to, "a", "b", NULL, NULL, -1, -1, 0));
  CHECK_CODE(APUS_E_STATE, forget(to, "a", NULL, NULL, 0));
}

static void reply_handler(void *context, apus_request request) {
  struct setter to = {.request = request};
  (void)context;
  check_set(&to);
  CHECK_INT(0, apus_reply_text(request, 200, "set"));
  CHECK_CODE(app_replied_code(), set(&to, "a", "b", NULL, NULL, -1, -1, 0));
  CHECK_CODE(app_replied_code(), forget(&to, "a", NULL, NULL, 0));
}

static void writer_handler(void *context, apus_request request) {
  struct setter to = {.writer = apus_writer_make(request)};
  (void)context;
  CHECK(to.writer != 0);
  check_set(&to);
  CHECK_CODE(APUS_E_STATE, apus_reply_set_cookie(request, "a", "b", NULL, NULL, -1, -1, 0));
  CHECK_INT(0, apus_writer_begin(to.writer, 3));
  check_after(&to);
  CHECK_INT(0, apus_writer_write(to.writer, "set", 3));
  CHECK_INT(0, apus_writer_end(to.writer));
  check_after(&to);
  CHECK_INT(1, apus_writer_destroy(to.writer));
}

static void test_setting(enum mode mode) {
  static const char *const lines[] = {
      "a=b",
      "c=\"d\"; Domain=example.com; Path=/x; Max-Age=60; Expires=Sun, 06 Nov 1994 08:49:37 GMT; "
      "Secure; HttpOnly; SameSite=None; Partitioned",
      "__Host-e=; Path=/; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Secure; "
      "SameSite=Strict",
      "f=; Domain=example.com; Path=/x; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; "
      "SameSite=Lax",
  };
  static const char *const paths[] = {"/reply", "/writer"};
  struct app app;
  struct client client;
  struct reply reply;
  app_make(&app, mode);
  CHECK_INT(0, apus_server_add_cookie_key(app.server, FIRST_KEY, APUS_STRLEN));
  app_route(&app, APUS_GET, "/reply", reply_handler, NULL);
  app_route(&app, APUS_GET, "/writer", writer_handler, NULL);
  harness_start(&app);
  client_open(&client, app.port);
  for (int i = 0; i < 2; i++) {
    client_get(&client, paths[i]);
    client_reply(&client, "GET", &reply);
    CHECK_INT(200, reply.status);
    size_t found = 0;
    for (size_t k = 0; k < reply.field_count; k++) {
      if (strcasecmp(reply.fields[k].name, "Set-Cookie") != 0) continue;
      CHECK(found < 4);
      CHECK_TEXT(lines[found], reply.fields[k].value);
      found++;
    }
    CHECK_INT(4, found);
    reply_free(&reply);
  }
  client_close(&client);
  harness_stop(&app);
}

/* ------------------------------------------------------------------- signing */

static char cookie[512];

static void sign_handler(void *context, apus_request request) {
  (void)context;
  CHECK_INT(0, apus_reply_set_cookie(request, "sid", "user.1", NULL, "/", 60, -1,
                                     APUS_COOKIE_SIGNED | APUS_COOKIE_HTTP_ONLY));
  CHECK_INT(0, apus_reply_text(request, 200, "signed"));
}

/* The reply is what the cookie has, or its code. */
static void check_handler(void *context, apus_request request) {
  (void)context;
  size_t length = 77;
  CHECK_NONE(APUS_E_ARGUMENT, apus_request_signed_cookie(request, NULL, -1, &length));
  CHECK_NONE(APUS_E_ARGUMENT, apus_request_signed_cookie(request, "sid", -2, &length));
  CHECK_NONE(APUS_E_NOT_FOUND, apus_request_signed_cookie(request, "none", -1, &length));
  CHECK_INT(77, length);
  const char *value = apus_request_signed_cookie(request, "sid", 3600, &length);
  if (value != NULL) CHECK_INT(strlen(value), length);
  if (value == NULL) value = apus_error_name(apus_last_error());
  CHECK_INT(0, apus_reply_text(request, 200, value));
}

static void start_signed(struct app *app, enum mode mode, const char *first, const char *second) {
  app_make(app, mode);
  if (first != NULL) CHECK_INT(0, apus_server_add_cookie_key(app->server, first, APUS_STRLEN));
  if (second != NULL) CHECK_INT(0, apus_server_add_cookie_key(app->server, second, APUS_STRLEN));
  app_route(app, APUS_GET, "/sign", sign_handler, NULL);
  app_route(app, APUS_GET, "/check", check_handler, NULL);
  harness_start(app);
}

static void expect_check(struct client *client, const char *field, const char *expected) {
  client_format(client, "GET /check HTTP/1.1\r\nHost: a\r\nCookie: %s\r\n\r\n", field);
  CLIENT_EXPECT(client, "GET", 200, expected);
}

static void take_cookie(struct client *client) {
  struct reply reply;
  client_get(client, "/sign");
  client_reply(client, "GET", &reply);
  const char *line = reply_field(&reply, "Set-Cookie");
  CHECK(line != NULL);
  size_t length = strcspn(line, ";");
  CHECK(length < sizeof cookie);
  memcpy(cookie, line, length);
  cookie[length] = 0;
  CHECK_TEXT("; Path=/; Max-Age=60; HttpOnly", line + length);
  CHECK(strncmp(cookie, "sid=user.1.", 11) == 0);
  reply_free(&reply);
}

static void check_signed(struct client *client) {
  char field[1200];
  expect_check(client, cookie, "user.1");
  expect_check(client, "a=b", "APUS_E_NOT_FOUND");
  expect_check(client, "sid=user.1", "APUS_E_PROTOCOL");
  expect_check(client, "sid=", "APUS_E_PROTOCOL");
  expect_check(client, "sid=user.1.1700000000.", "APUS_E_PROTOCOL");
  snprintf(field, sizeof field, "sid=forged; %s", cookie);
  expect_check(client, field, "user.1");
  /* The signature is of this name alone, and of each character. */
  snprintf(field, sizeof field, "sie%s; sid=x%s", cookie + 3, cookie + 4);
  expect_check(client, field, "APUS_E_PROTOCOL");
  for (size_t i = 4; cookie[i] != 0; i++) {
    strcpy(field, cookie);
    field[i] = field[i] == 'A' ? 'B' : 'A';
    expect_check(client, field, "APUS_E_PROTOCOL");
  }
}

static void test_signing(enum mode mode) {
  struct app app;
  struct client client;
  start_signed(&app, mode, FIRST_KEY, NULL);
  client_open(&client, app.port);
  take_cookie(&client);
  check_signed(&client);
  /* Of 2023, signed by the first key: too old. */
  expect_check(&client, "sid=user.1.1700000000.tChAvak1vf0cU_roAYLR75ZZn7Vqq1pwWJj_hPbLPB8",
               "APUS_E_TIMEOUT");
  CHECK_CODE(APUS_E_STATE, apus_server_add_cookie_key(app.server, SECOND_KEY, APUS_STRLEN));
  client_close(&client);
  harness_stop(&app);
  /* A new key in front of the old one, and then without it. */
  start_signed(&app, mode, SECOND_KEY, FIRST_KEY);
  client_open(&client, app.port);
  expect_check(&client, cookie, "user.1");
  client_close(&client);
  harness_stop(&app);
  start_signed(&app, mode, SECOND_KEY, NULL);
  client_open(&client, app.port);
  expect_check(&client, cookie, "APUS_E_PROTOCOL");
  take_cookie(&client);
  expect_check(&client, cookie, "user.1");
  client_close(&client);
  harness_stop(&app);
}

static void test_keys(enum mode mode) {
  static const char key[1025];
  struct app app;
  app_make(&app, mode);
  CHECK_CODE(APUS_E_ARGUMENT, apus_server_add_cookie_key(app.server, NULL, 32));
  CHECK_CODE(APUS_E_ARGUMENT, apus_server_add_cookie_key(app.server, NULL, 0));
  CHECK_CODE(APUS_E_ARGUMENT, apus_server_add_cookie_key(app.server, key, 15));
  CHECK_CODE(APUS_E_ARGUMENT, apus_server_add_cookie_key(app.server, key, 1025));
  CHECK_CODE(APUS_E_ARGUMENT, apus_server_add_cookie_key(app.server, key, (size_t)-2));
  CHECK_INT(0, apus_server_add_cookie_key(app.server, key, 16));
  for (int i = 1; i < 16; i++) CHECK_INT(0, apus_server_add_cookie_key(app.server, key, 1024));
  CHECK_CODE(APUS_E_FULL, apus_server_add_cookie_key(app.server, key, 16));
  CHECK_INT(1, apus_server_destroy(app.server));
}

int main(int argc, char **argv) {
  static const struct harness_case cases[] = {
      {"reading", test_reading},
      {"setting", test_setting},
      {"signing", test_signing},
      {"keys", test_keys},
  };
  return harness_main("cookies", argc, argv, CASES(cases));
}
