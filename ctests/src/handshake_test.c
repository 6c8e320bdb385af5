/*
 * handshake_test.c - opening handshakes without a connection: keys and their
 * answers, what a request asks for, and whether a response opens the WebSocket, in
 * any pieces. A failing call must leave its outputs alone.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "helpers/harness.h"

#define IMPOSSIBLE ((size_t)-2)

/* RFC 6455 section 1.3. */
#define KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

/* --------------------------------------------------------------------- keys */

static void test_keys(enum mode mode) {
  static const char *const bad[] = {"",
                                    "x",
                                    "dGhlIHNhbXBsZSBub25jZQ=",
                                    "dGhlIHNhbXBsZSBub25jZQ==x",
                                    "dGhlIHNhbXBsZSBub25jZQ= ",
                                    "dGhlIHNhbXBsZSBub25jZQAA",
                                    "!GhlIHNhbXBsZSBub25jZQ=="};
  char buffer[40], key[APUS_HANDSHAKE_KEY_SIZE], other[APUS_HANDSHAKE_KEY_SIZE];
  (void)mode;
  memset(buffer, 0x55, sizeof buffer);
  CHECK_CODE(APUS_E_TOO_LARGE, apus_handshake_accept(KEY, buffer, 28));
  CHECK_CODE(APUS_E_TOO_LARGE, apus_handshake_accept(KEY, NULL, 0));
  CHECK_CODE(APUS_E_ARGUMENT, apus_handshake_accept(KEY, NULL, 29));
  CHECK_CODE(APUS_E_ARGUMENT, apus_handshake_accept(KEY, buffer, IMPOSSIBLE));
  CHECK_CODE(APUS_E_ARGUMENT, apus_handshake_accept(NULL, buffer, sizeof buffer));
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    CHECK_CODE(APUS_E_ARGUMENT, apus_handshake_accept(bad[i], buffer, sizeof buffer));
  }
  CHECK_INT(0x55, buffer[0]);
  CHECK_INT(28, apus_handshake_accept(KEY, buffer, APUS_HANDSHAKE_ACCEPT_SIZE));
  CHECK_TEXT(ACCEPT, buffer);
  CHECK_INT(0x55, buffer[29]);
  memset(key, 0x55, sizeof key);
  CHECK_CODE(APUS_E_TOO_LARGE, apus_handshake_make_key(key, 24));
  CHECK_CODE(APUS_E_ARGUMENT, apus_handshake_make_key(NULL, 25));
  CHECK_INT(0x55, key[0]);
  CHECK_INT(24, apus_handshake_make_key(key, sizeof key));
  CHECK_INT(24, strlen(key));
  CHECK_INT(24, apus_handshake_make_key(other, sizeof other));
  CHECK(strcmp(key, other) != 0);
  CHECK_INT(28, apus_handshake_accept(key, buffer, sizeof buffer));
}

/* ------------------------------------------------------------------ requests */

static apus_request parsed(const char *line, const char *fields) {
  char text[4096];
  snprintf(text, sizeof text, "%s\r\nHost: example.com:8080\r\n%s\r\n", line, fields);
  apus_request request = apus_request_parse(text, APUS_STRLEN, NULL);
  CHECK(request != 0);
  return request;
}

#define GET "GET /chat HTTP/1.1"
#define UPGRADE "Upgrade: websocket\r\nConnection: Upgrade\r\n"
#define VERSION "Sec-WebSocket-Version: 13\r\n"
#define WITH_KEY "Sec-WebSocket-Key: " KEY "\r\n"

static void test_requests(enum mode mode) {
  static const struct {
    const char *line, *fields;
    int32_t is_upgrade, status;
  } requests[] = {
      {GET, UPGRADE VERSION WITH_KEY, 1, 0},
      {GET, "upgrade: h2c, WebSocket\r\nCONNECTION: keep-alive, upgrade\r\n" VERSION WITH_KEY, 1,
       0},
      {GET, UPGRADE VERSION WITH_KEY "Content-Length: 0\r\n", 1, 0},
      {GET, UPGRADE VERSION WITH_KEY "Sec-WebSocket-Extensions: foo; bar=1\r\n", 1, 0},
      {"GET / HTTP/1.0", UPGRADE VERSION WITH_KEY, 1, 400},
      {"POST / HTTP/1.1", UPGRADE VERSION WITH_KEY, 1, 405},
      {GET, "", 0, 426},
      {GET, "Upgrade: websocket\r\n" VERSION WITH_KEY, 0, 426},
      {GET, "Connection: Upgrade\r\n" VERSION WITH_KEY, 0, 426},
      {GET, "Upgrade: h2c\r\nConnection: Upgrade\r\n" VERSION WITH_KEY, 0, 426},
      {GET, UPGRADE WITH_KEY, 1, 426},
      {GET, UPGRADE WITH_KEY "Sec-WebSocket-Version: 8\r\n", 1, 426},
      {GET, UPGRADE WITH_KEY VERSION VERSION, 1, 400},
      {GET, UPGRADE VERSION, 1, 400},
      {GET, UPGRADE VERSION WITH_KEY WITH_KEY, 1, 400},
      {GET, UPGRADE VERSION "Sec-WebSocket-Key: abc\r\n", 1, 400},
      {GET, UPGRADE VERSION WITH_KEY "Sec-WebSocket-Protocol: a, a\r\n", 1, 400},
      {GET, UPGRADE VERSION WITH_KEY "Sec-WebSocket-Extensions: ;\r\n", 1, 400},
  };
  (void)mode;
  for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
    apus_request request = parsed(requests[i].line, requests[i].fields);
    CHECK_INT(requests[i].is_upgrade, apus_handshake_is_upgrade(request));
    CHECK_INT(requests[i].status, apus_handshake_check(request));
    if (requests[i].status > 0) {
      CHECK_INT(APUS_E_PROTOCOL, apus_last_error());
      CHECK(strlen(apus_last_error_message()) > 10);
    }
    CHECK_INT(1, apus_request_destroy(request));
  }
}

static void test_version_and_key(enum mode mode) {
  static const struct {
    const char *value;
    int32_t result;
  } versions[] = {
      {"13", 13},
      {"0", 0},
      {"255", 255},
      {"8", 8},
      {"256", APUS_E_PROTOCOL},
      {"013", APUS_E_PROTOCOL},
      {"-1", APUS_E_PROTOCOL},
      {"13, 8", APUS_E_PROTOCOL},
      {"", APUS_E_PROTOCOL},
      {"1x", APUS_E_PROTOCOL},
      {"1000", APUS_E_PROTOCOL},
      {"99999999999999999999", APUS_E_PROTOCOL},
  };
  char field[100];
  (void)mode;
  for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++) {
    snprintf(field, sizeof field, "Sec-WebSocket-Version: %s\r\n", versions[i].value);
    apus_request request = parsed(GET, field);
    CHECK_INT(versions[i].result, apus_handshake_version(request));
    CHECK_INT(1, apus_request_destroy(request));
  }
  apus_request request = parsed(GET, "");
  CHECK_CODE(APUS_E_NOT_FOUND, apus_handshake_version(request));
  CHECK_NONE(APUS_E_NOT_FOUND, apus_handshake_key(request));
  CHECK_INT(1, apus_request_destroy(request));
  request = parsed(GET, VERSION WITH_KEY);
  CHECK_TEXT(KEY, apus_handshake_key(request));
  CHECK_INT(1, apus_request_destroy(request));
  request = parsed(GET, VERSION VERSION WITH_KEY WITH_KEY);
  CHECK_CODE(APUS_E_PROTOCOL, apus_handshake_version(request));
  CHECK_NONE(APUS_E_PROTOCOL, apus_handshake_key(request));
  CHECK_INT(1, apus_request_destroy(request));
  request = parsed(GET, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ\r\n");
  CHECK_NONE(APUS_E_PROTOCOL, apus_handshake_key(request));
  CHECK_INT(1, apus_request_destroy(request));
}

static void test_protocols(enum mode mode) {
  char name[16], many[1200] = "Sec-WebSocket-Protocol: a";
  (void)mode;
  apus_request request = parsed(GET,
                                "Sec-WebSocket-Protocol: chat, superchat\r\n"
                                "sec-websocket-protocol: ,third\r\n");
  CHECK_INT(3, apus_handshake_protocol_count(request));
  CHECK_INT(4, apus_handshake_protocol_at(request, 0, name, sizeof name));
  CHECK_TEXT("chat", name);
  CHECK_INT(9, apus_handshake_protocol_at(request, 1, name, 6));
  CHECK_TEXT("super", name);
  CHECK_INT(5, apus_handshake_protocol_at(request, 2, name, 6));
  CHECK_TEXT("third", name);
  CHECK_INT(5, apus_handshake_protocol_at(request, 2, name, 1));
  CHECK_TEXT("", name);
  strcpy(name, "as before");
  CHECK_CODE(APUS_E_NOT_FOUND, apus_handshake_protocol_at(request, 3, name, sizeof name));
  CHECK_CODE(APUS_E_NOT_FOUND, apus_handshake_protocol_at(request, -1, name, sizeof name));
  CHECK_CODE(APUS_E_ARGUMENT, apus_handshake_protocol_at(request, 0, NULL, sizeof name));
  CHECK_CODE(APUS_E_ARGUMENT, apus_handshake_protocol_at(request, 0, name, 0));
  CHECK_CODE(APUS_E_ARGUMENT, apus_handshake_protocol_at(request, 0, name, IMPOSSIBLE));
  CHECK_TEXT("as before", name);
  CHECK_INT(1, apus_request_destroy(request));
  request = parsed(GET, "");
  CHECK_INT(0, apus_handshake_protocol_count(request));
  CHECK_CODE(APUS_E_NOT_FOUND, apus_handshake_protocol_at(request, 0, name, sizeof name));
  CHECK_INT(1, apus_request_destroy(request));
  static const char *const bad[] = {"", ",", "a, a", "a b", "a;b", "\xc3\xa4"};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    char field[64];
    snprintf(field, sizeof field, "Sec-WebSocket-Protocol: %s\r\n", bad[i]);
    request = parsed(GET, field);
    CHECK_CODE(APUS_E_PROTOCOL, apus_handshake_protocol_count(request));
    CHECK_CODE(APUS_E_PROTOCOL, apus_handshake_protocol_at(request, 0, name, sizeof name));
    CHECK_INT(1, apus_request_destroy(request));
  }
  for (int i = 1; i < 101; i++) {
    size_t length = strlen(many);
    snprintf(many + length, sizeof many - length, ",p%d", i);
    if (i < 99) continue;
    char field[1210];
    snprintf(field, sizeof field, "%s\r\n", many);
    request = parsed(GET, field);
    CHECK_INT(i == 99 ? 100 : APUS_E_PROTOCOL, apus_handshake_protocol_count(request));
    CHECK_INT(1, apus_request_destroy(request));
  }
}

static void test_origins(enum mode mode) {
  static const struct {
    const char *origin;
    int32_t policy;
    const char *list;
    int32_t result;
  } origins[] = {
      {NULL, APUS_ORIGIN_SAME, NULL, 0},
      {NULL, APUS_ORIGIN_LIST, "", 0},
      {"http://example.com:8080", APUS_ORIGIN_SAME, NULL, 0},
      {"https://EXAMPLE.com:8080", APUS_ORIGIN_SAME, NULL, 0},
      {"http://example.com", APUS_ORIGIN_SAME, NULL, 403},
      {"http://evil.example:8080", APUS_ORIGIN_SAME, NULL, 403},
      {"null", APUS_ORIGIN_SAME, NULL, 403},
      {"", APUS_ORIGIN_SAME, NULL, 403},
      {"http://evil.example", APUS_ORIGIN_ANY, NULL, 0},
      {"https://a.example", APUS_ORIGIN_LIST, "https://b.example, https://a.example", 0},
      {"null", APUS_ORIGIN_LIST, "https://b.example, null", 0},
      {"https://a.example", APUS_ORIGIN_LIST, "https://b.example", 403},
      {"http://example.com:8080", APUS_ORIGIN_LIST, "https://b.example", 403},
      {"https://a.example", APUS_ORIGIN_LIST, "", 403},
      {"https://a.example", APUS_ORIGIN_LIST, NULL, APUS_E_ARGUMENT},
      {"https://a.example", APUS_ORIGIN_LIST, "a.example", APUS_E_ARGUMENT},
      {"https://a.example", APUS_ORIGIN_LIST, "https://a.example/path", APUS_E_ARGUMENT},
      {"https://a.example", 3, NULL, APUS_E_ARGUMENT},
      {"https://a.example", -1, NULL, APUS_E_ARGUMENT},
      {"https://a.example", INT32_MIN, NULL, APUS_E_ARGUMENT},
  };
  (void)mode;
  for (size_t i = 0; i < sizeof origins / sizeof origins[0]; i++) {
    char field[100] = "";
    if (origins[i].origin) snprintf(field, sizeof field, "Origin: %s\r\n", origins[i].origin);
    apus_request request = parsed(GET, field);
    CHECK_INT(origins[i].result,
              apus_handshake_check_origin(request, origins[i].policy, origins[i].list));
    if (origins[i].result > 0) CHECK_INT(APUS_E_PERMISSION, apus_last_error());
    if (origins[i].result < 0) CHECK_INT(APUS_E_ARGUMENT, apus_last_error());
    CHECK_INT(1, apus_request_destroy(request));
  }
}

/* Zero, forged, stale, and of another kind. */
static void test_handles(enum mode mode) {
  (void)mode;
  apus_server server = apus_server_make();
  apus_request live = parsed(GET, UPGRADE), stale = parsed(GET, UPGRADE);
  CHECK_INT(1, apus_request_destroy(stale));
  uint64_t handles[70] = {0, UINT64_MAX, stale, server, live + 1, ~live};
  for (int bit = 0; bit < 64; bit++) handles[6 + bit] = live ^ 1ull << bit;
  for (size_t i = 0; i < 70; i++) {
    char name[8] = "before";
    CHECK_CODE(APUS_E_HANDLE, apus_handshake_is_upgrade(handles[i]));
    CHECK_CODE(APUS_E_HANDLE, apus_handshake_check(handles[i]));
    CHECK_CODE(APUS_E_HANDLE, apus_handshake_check_origin(handles[i], 0, NULL));
    CHECK_CODE(APUS_E_HANDLE, apus_handshake_version(handles[i]));
    CHECK_NONE(APUS_E_HANDLE, apus_handshake_key(handles[i]));
    CHECK_CODE(APUS_E_HANDLE, apus_handshake_protocol_count(handles[i]));
    CHECK_CODE(APUS_E_HANDLE, apus_handshake_protocol_at(handles[i], 0, name, sizeof name));
    CHECK_TEXT("before", name);
  }
  CHECK_INT(1, apus_handshake_is_upgrade(live));
  CHECK_INT(1, apus_request_destroy(live));
  CHECK_INT(1, apus_server_destroy(server));
}

/* ----------------------------------------------------------------- responses */

#define SWITCHING "HTTP/1.1 101 Switching Protocols\r\n"
#define ANSWER "Sec-WebSocket-Accept: " ACCEPT "\r\n"

/* The result for all bytes; and in pieces: 0 until it comes, once and for all. */
static int32_t response(const char *text, const char *protocols, int32_t *protocol) {
  size_t length = strlen(text);
  int32_t due = apus_handshake_check_response(text, length, KEY, protocols, protocol);
  for (size_t cut = 0; cut <= length; cut++) {
    char *piece = malloc(cut + 1);
    CHECK(piece != NULL);
    memcpy(piece, text, cut);
    int32_t got = apus_handshake_check_response(piece, cut, KEY, protocols, NULL);
    CHECK(got == 0 || got == due);
    if (due > 0) CHECK_INT(cut >= (size_t)due ? due : 0, got);
    free(piece);
  }
  return due;
}

static void test_responses(enum mode mode) {
  static const char *const bad[] = {
      "HTTP/1.1 200 OK\r\n" UPGRADE ANSWER "\r\n",
      "HTTP/1.1 401 \r\n\r\n",
      "HTTP/1.0 101 x\r\n" UPGRADE ANSWER "\r\n",
      SWITCHING UPGRADE "\r\n",
      SWITCHING "Upgrade: websocket\r\n" ANSWER "\r\n",
      SWITCHING "Connection: upgrade\r\n" ANSWER "\r\n",
      SWITCHING "Upgrade: websocket, x\r\nConnection: upgrade\r\n" ANSWER "\r\n",
      SWITCHING UPGRADE ANSWER ANSWER "\r\n",
      SWITCHING UPGRADE "Sec-WebSocket-Accept: S3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
      SWITCHING UPGRADE ANSWER "Sec-WebSocket-Protocol: other\r\n\r\n",
      SWITCHING UPGRADE ANSWER "Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: a\r\n\r\n",
      SWITCHING UPGRADE ANSWER "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
      SWITCHING "Upgrade : websocket\r\n\r\n",
      SWITCHING " folded: x\r\n\r\n",
      SWITCHING "A: b\n\r\n",
      "HTTP/1.1 101 a\nb",
      "HTTP/1.1 101 a\rb",
      "HTTP/1.1 101\r\n" UPGRADE ANSWER "\r\n",
      "HTTP/1.1 1011 x\r\n",
      "HTTP/1.1 099 x\r\n",
      "HTTP/1.1 600 x\r\n",
      "HTTP/1.1  101 x\r\n",
      "HTTP/2.0 101 x\r\n",
      "http/1.1 101 x\r\n",
      "\x81\x05Hello",
      "HTTP/1.1 100 x\r\nA b\r\n",
  };
  static const char plain[] = SWITCHING UPGRADE ANSWER "\r\n";
  int32_t protocol = 77;
  (void)mode;
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    if (response(bad[i], "a, b", &protocol) != APUS_E_PROTOCOL) {
      harness_fail(__FILE__, __LINE__, "response %zu is let through", i);
    }
    CHECK_INT(APUS_E_PROTOCOL, apus_last_error());
    CHECK_INT(77, protocol);
  }
  CHECK_INT(sizeof plain - 1, response(plain, NULL, &protocol));
  CHECK_INT(-1, protocol);
  CHECK_INT(sizeof plain - 1,
            response(SWITCHING UPGRADE ANSWER "\r\n\x81\x05Hello", "a", &protocol));
  CHECK_INT(-1, protocol);
  static const char chosen[] =
      "HTTP/1.9 101 \r\nsec-websocket-protocol: b\r\nupgrade: WebSocket\r\n"
      "connection: keep-alive, Upgrade\r\nX-Other:\t\r\n" ANSWER "\r\n";
  CHECK_INT(sizeof chosen - 1, response(chosen, "a,b", &protocol));
  CHECK_INT(1, protocol);
  CHECK_INT(APUS_E_PROTOCOL, response(chosen, "", &protocol));
  static const char early[] =
      "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 \r\n\r\n" SWITCHING UPGRADE ANSWER
      "\r\n";
  CHECK_INT(sizeof early - 1, response(early, NULL, &protocol));
  CHECK_INT(APUS_E_PROTOCOL, response("HTTP/1.1 103 x\r\n\r\nHTTP/1.1 404 x\r\n", NULL, NULL));
}

static void test_response_arguments(enum mode mode) {
  static const char *const lists[] = {",", "a,a", "a b", " ", "a;"};
  static const char good[] = SWITCHING UPGRADE ANSWER "\r\n";
  int32_t protocol = 77;
  (void)mode;
  CHECK_CODE(APUS_E_ARGUMENT, apus_handshake_check_response(NULL, 1, KEY, NULL, &protocol));
  CHECK_CODE(APUS_E_ARGUMENT,
             apus_handshake_check_response(good, IMPOSSIBLE, KEY, NULL, &protocol));
  CHECK_CODE(APUS_E_ARGUMENT, apus_handshake_check_response(good, 9, NULL, NULL, &protocol));
  CHECK_CODE(APUS_E_ARGUMENT, apus_handshake_check_response(good, 9, "key", NULL, &protocol));
  for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
    CHECK_CODE(APUS_E_ARGUMENT, apus_handshake_check_response(good, 9, KEY, lists[i], &protocol));
  }
  CHECK_INT(0, apus_handshake_check_response(NULL, 0, KEY, NULL, &protocol));
  CHECK_INT(77, protocol);
  CHECK_INT(sizeof good - 1,
            apus_handshake_check_response(good, APUS_STRLEN, KEY, NULL, &protocol));
}

/* The head at its limit and one byte past it; the fields likewise. */
static void test_response_limits(enum mode mode) {
  static const char front[] = SWITCHING UPGRADE ANSWER "X: ";
  size_t limit = 32 * 1024, start = sizeof front - 1;
  char *text = malloc(limit + 2);
  (void)mode;
  CHECK(text != NULL);
  for (size_t past = 0; past < 2; past++) {
    size_t length = limit + past;
    memset(text, 'x', length);
    memcpy(text, front, start);
    memcpy(text + length - 4, "\r\n\r\n", 4);
    CHECK_INT(past ? APUS_E_TOO_LARGE : (int32_t)limit,
              apus_handshake_check_response(text, length, KEY, NULL, NULL));
  }
  memset(text + start, 'x', limit + 1 - start);
  CHECK_INT(0, apus_handshake_check_response(text, limit, KEY, NULL, NULL));
  CHECK_CODE(APUS_E_TOO_LARGE, apus_handshake_check_response(text, limit + 1, KEY, NULL, NULL));
  for (int fields = 100; fields <= 101; fields++) {
    size_t length = (size_t)sprintf(text, SWITCHING UPGRADE ANSWER);
    for (int i = 3; i < fields; i++) length += (size_t)sprintf(text + length, "A: b\r\n");
    length += (size_t)sprintf(text + length, "\r\n");
    CHECK_INT(fields > 100 ? APUS_E_TOO_LARGE : (int32_t)length,
              apus_handshake_check_response(text, length, KEY, NULL, NULL));
  }
  free(text);
}

/* ------------------------------------------------------------- inside a handler */

/* The same functions on a request that has a connection, on its thread and another. */
static void *other_thread(void *context) {
  apus_request request = *(apus_request *)context;
  CHECK_CODE(APUS_E_THREAD, apus_handshake_check(request));
  CHECK_NONE(APUS_E_THREAD, apus_handshake_key(request));
  return NULL;
}

static void handler(void *context, apus_request request) {
  char name[8], accept[APUS_HANDSHAKE_ACCEPT_SIZE];
  pthread_t thread;
  (void)context;
  CHECK_INT(1, apus_handshake_is_upgrade(request));
  CHECK_INT(0, apus_handshake_check(request));
  CHECK_INT(13, apus_handshake_version(request));
  CHECK_INT(403, apus_handshake_check_origin(request, APUS_ORIGIN_SAME, NULL));
  CHECK_INT(1, apus_handshake_protocol_count(request));
  CHECK_INT(4, apus_handshake_protocol_at(request, 0, name, sizeof name));
  CHECK_INT(28, apus_handshake_accept(apus_handshake_key(request), accept, sizeof accept));
  CHECK_INT(0, pthread_create(&thread, NULL, other_thread, &request));
  CHECK_INT(0, pthread_join(thread, NULL));
  CHECK_INT(0, apus_reply_text(request, 200, accept));
}

static void test_handler(enum mode mode) {
  struct app app;
  struct client client;
  struct reply reply;
  app_make(&app, mode);
  app_route(&app, APUS_GET, "/chat", handler, NULL);
  harness_start(&app);
  client_open(&client, app.port);
  client_text(
      &client, GET
      "\r\nHost: a\r\nOrigin: http://b\r\nSec-WebSocket-Protocol: chat\r\n" UPGRADE VERSION WITH_KEY
      "\r\n");
  client_reply(&client, "GET", &reply);
  CHECK_INT(200, reply.status);
  CHECK_TEXT(ACCEPT, reply.body);
  reply_free(&reply);
  client_close(&client);
  harness_stop(&app);
}

int main(void) {
  static const struct harness_case cases[] = {
      {"keys", test_keys},
      {"requests", test_requests},
      {"version_and_key", test_version_and_key},
      {"protocols", test_protocols},
      {"origins", test_origins},
      {"handles", test_handles},
      {"responses", test_responses},
      {"response_arguments", test_response_arguments},
      {"response_limits", test_response_limits},
      {"handler", test_handler},
  };
  return harness_run("handshake_test", MODE_WORKER, NULL, CASES(cases));
}
