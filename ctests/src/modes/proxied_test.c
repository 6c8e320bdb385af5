/*
 * proxied_test.c - what proxies in front tell of a request's client: in fields, where
 * they are trusted, and by the PROXY protocol in front of a connection.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "../helpers/harness.h"
#include "../helpers/ws.h"

#include <sys/un.h>

/* Says who the client is, and what it asked for. */
static void who_handler(void *context, apus_request request) {
  char text[256];
  const char *ip = apus_request_client_ip(request);
  (void)context;
  CHECK(ip != NULL);
  snprintf(text, sizeof text, "%s %d %s %s %d", ip, apus_request_client_port(request),
           apus_request_scheme(request), apus_request_host(request), apus_request_port(request));
  /* Asked again, it says the same. */
  CHECK_TEXT(ip, apus_request_client_ip(request));
  CHECK_INT(0, apus_reply_text(request, 200, text));
}

static void *who_late(void *context) {
  who_handler(NULL, *(apus_request *)context);
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
  CHECK_INT(0, pthread_create(&thread, NULL, who_late, kept));
  CHECK_INT(0, pthread_detach(thread));
}

static void make(struct app *app, enum mode mode, const char *trusted) {
  app_make(app, mode);
  app_route(app, APUS_GET, "/", who_handler, NULL);
  app_route(app, APUS_GET, "/late", late_handler, NULL);
  if (trusted != NULL) CHECK_INT(0, apus_server_trust_proxy(app->server, trusted));
}

static void ask(struct client *client, const char *target, const char *fields) {
  client_format(client, "GET %s HTTP/1.1\r\nHost: own.example:8080\r\n%s\r\n", target, fields);
}

static char own[128];

/* What is said of a client of whom nothing is told. */
static const char *own_words(const struct client *client) {
  snprintf(own, sizeof own, "127.0.0.1 %d http own.example 8080", client_port(client));
  return own;
}

/* ----------------------------------------------------------------- the fields */

static void test_x_forwarded(enum mode mode) {
  static const char *const targets[] = {"/", "/late"};
  struct app app;
  struct client client;
  make(&app, mode, "127.0.0.0/8");
  CHECK_INT(0, apus_server_trust_proxy(app.server, "10.0.0.0/8"));
  CHECK_INT(0, apus_server_trust_proxy(app.server, "fd00::/8"));
  harness_start(&app);
  client_open(&client, app.port);
  for (int i = 0; i < 2; i++) {
    ask(&client, targets[i], "");
    CLIENT_EXPECT(&client, "GET", 200, own_words(&client));
    ask(&client, targets[i], "X-Forwarded-For: 1.1.1.1, 192.0.2.1, fd00::1, 10.2.3.4\r\n");
    CLIENT_EXPECT(&client, "GET", 200, "192.0.2.1 0 http own.example 8080");
    ask(&client, targets[i],
        "X-Forwarded-For: [2001:DB8::0:1]:99\r\nX-Forwarded-Proto: https\r\n"
        "X-Forwarded-Host: a.example\r\n");
    CLIENT_EXPECT(&client, "GET", 200, "2001:db8::1 99 https a.example 443");
    /* Several fields are one list. */
    ask(&client, targets[i],
        "x-forwarded-for: 192.0.2.1\r\nX-Other: b\r\nX-FORWARDED-FOR: 10.0.0.1\r\n");
    CLIENT_EXPECT(&client, "GET", 200, "192.0.2.1 0 http own.example 8080");
    ask(&client, targets[i], "X-Forwarded-For: unknown\r\nX-Forwarded-Host: a:81\r\n");
    CLIENT_EXPECT(&client, "GET", 200, " 0 http a 81");
    /* The other family of fields is not read. */
    ask(&client, targets[i], "Forwarded: for=192.0.2.1;proto=https;host=a\r\n");
    CLIENT_EXPECT(&client, "GET", 200, own_words(&client));
    CHECK_INT(i, apus_server_counter(app.server, APUS_COUNT_BAD_FORWARDED));
    ask(&client, targets[i], "X-Forwarded-For: 192.0.2.1, none\r\n");
    CLIENT_EXPECT(&client, "GET", 200, own_words(&client));
    CHECK_INT(i + 1, apus_server_counter(app.server, APUS_COUNT_BAD_FORWARDED));
  }
  client_close(&client);
  harness_stop(&app);
}

static void test_forwarded(enum mode mode) {
  struct app app;
  struct client client;
  make(&app, mode, "127.0.0.1");
  CHECK_INT(0, apus_server_set_forwarded_fields(app.server, APUS_FORWARDED_STANDARD));
  harness_start(&app);
  client_open(&client, app.port);
  ask(&client, "/",
      "Forwarded: for=1.1.1.1, for=\"[2001:db8::1]:99\";proto=https;host=\"a.example:444\"\r\n"
      "Forwarded: for=127.0.0.1\r\n");
  CLIENT_EXPECT(&client, "GET", 200, "2001:db8::1 99 https a.example 444");
  ask(&client, "/", "Forwarded: for=_hidden;proto=https\r\n");
  CLIENT_EXPECT(&client, "GET", 200, " 0 https own.example 8080");
  ask(&client, "/", "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\n");
  CLIENT_EXPECT(&client, "GET", 200, own_words(&client));
  ask(&client, "/", "Forwarded: for=192.0.2.1;proto=https;host=\"a b\"\r\n");
  CLIENT_EXPECT(&client, "GET", 200, own_words(&client));
  CHECK_INT(1, apus_server_counter(app.server, APUS_COUNT_BAD_FORWARDED));
  client_close(&client);
  harness_stop(&app);
}

static void test_untrusted(enum mode mode) {
  static const char *const trusted[] = {NULL, "10.0.0.0/8", "unix", "::1", "127.0.0.2"};
  for (size_t i = 0; i < sizeof trusted / sizeof trusted[0]; i++) {
    struct app app;
    struct client client;
    make(&app, mode, trusted[i]);
    harness_start(&app);
    client_open(&client, app.port);
    ask(&client, "/",
        "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: a\r\n");
    CLIENT_EXPECT(&client, "GET", 200, own_words(&client));
    ask(&client, "/", "X-Forwarded-For: none\r\nForwarded: none\r\n");
    CLIENT_EXPECT(&client, "GET", 200, own_words(&client));
    CHECK_INT(0, apus_server_counter(app.server, APUS_COUNT_BAD_FORWARDED));
    client_close(&client);
    harness_stop(&app);
  }
}

static void test_unix(enum mode mode) {
  char path[108];
  snprintf(path, sizeof path, "/tmp/apus-proxied-%d.socket", (int)getpid());
  for (int i = 0; i < 2; i++) {
    struct app app;
    struct client client;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    make(&app, mode, i == 0 ? "unix" : "0.0.0.0/0");
    CHECK(apus_server_listen_unix(app.server, path) >= 0);
    harness_drive(&app);
    memcpy(address.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_INT(0, connect(fd, (struct sockaddr *)&address, sizeof address));
    client_adopt(&client, fd);
    ask(&client, "/", "X-Forwarded-For: 192.0.2.1\r\n");
    CLIENT_EXPECT(&client, "GET", 200,
                  i == 0 ? "192.0.2.1 0 http own.example 8080" : " 0 http own.example 8080");
    client_close(&client);
    harness_stop(&app);
  }
}

static char access_line[512];
static atomic_int lines;

static void access_listener(void *context, apus_server server, const char *line, size_t length) {
  (void)context;
  (void)server;
  CHECK(length < sizeof access_line);
  memcpy(access_line, line, length + 1);
  atomic_fetch_add(&lines, 1);
}

static void test_access_log(enum mode mode) {
  static const char *const targets[] = {"/", "/late", "/nowhere"};
  struct app app;
  struct client client;
  make(&app, mode, "127.0.0.1");
  atomic_store(&lines, 0);
  CHECK_INT(0, apus_server_on_access(app.server, access_listener, NULL, NULL));
  harness_start(&app);
  client_open(&client, app.port);
  for (int i = 0; i < 3; i++) {
    ask(&client, targets[i], "X-Forwarded-For: 192.0.2.77\r\n");
    CLIENT_EXPECT(&client, "GET", i < 2 ? 200 : 404, NULL);
    EVENTUALLY(atomic_load(&lines) == i + 1);
    CHECK(strncmp(access_line, "192.0.2.77 - - [", 16) == 0);
  }
  ask(&client, "/", "X-Forwarded-For: unknown\r\n");
  CLIENT_EXPECT(&client, "GET", 200, NULL);
  EVENTUALLY(atomic_load(&lines) == 4);
  CHECK(strncmp(access_line, "- - - [", 7) == 0);
  client_close(&client);
  harness_stop(&app);
}

/* A page of the host that was asked for may open a WebSocket: of the proxy's, that is. */
static void test_websocket(enum mode mode) {
  static const char fields[] = "Origin: https://shop.example\r\nX-Forwarded-Host: shop.example\r\n";
  for (int trusts = 0; trusts < 2; trusts++) {
    struct app app;
    struct client client;
    make(&app, mode, trusts ? "127.0.0.1" : "127.0.0.2");
    app_websocket(&app, "/ws", NULL, NULL);
    harness_start(&app);
    client_open(&client, app.port);
    ws_ask(&client, "/ws", fields);
    if (trusts) {
      ws_accepted(&client, NULL);
      ws_close(&client, 1000, "");
      WS_CLOSED_WITH(&client, 1000);
    } else {
      CLIENT_EXPECT(&client, "GET", 403, NULL);
    }
    client_close(&client);
    harness_stop(&app);
  }
}

/* One that came by https is not for a page that did not, as somebody on its way may have
 * written that; without a word of who is trusted nobody knows. */
static void test_websocket_scheme(enum mode mode) {
  static const struct {
    const char *fields;
    int accepted;
  } pages[] = {
      {"Origin: https://a\r\nX-Forwarded-Proto: https\r\n", 1},
      {"Origin: https://a:443\r\nX-Forwarded-Proto: wss\r\n", 1},
      {"Origin: http://a\r\nX-Forwarded-Proto: https\r\n", 0},
      {"Origin: http://a:443\r\nX-Forwarded-Proto: https\r\n", 0},
      {"Origin: http://a\r\nX-Forwarded-Proto: http\r\n", 1},
      {"Origin: http://a\r\n", 1},
      {"Origin: https://a\r\n", 1},
  };
  struct app app;
  make(&app, mode, "127.0.0.1");
  app_websocket(&app, "/ws", NULL, NULL);
  harness_start(&app);
  for (size_t i = 0; i < sizeof pages / sizeof pages[0]; i++) {
    struct client client;
    client_open(&client, app.port);
    ws_ask(&client, "/ws", pages[i].fields);
    if (pages[i].accepted) {
      ws_accepted(&client, NULL);
      ws_close(&client, 1000, "");
      WS_CLOSED_WITH(&client, 1000);
    } else {
      CLIENT_EXPECT(&client, "GET", 403, NULL);
    }
    client_close(&client);
  }
  harness_stop(&app);
}

/* --------------------------------------------------------- the PROXY protocol */

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define V1 "PROXY TCP4 192.0.2.1 10.0.0.1 4711 80\r\n"
#define V2 SIGNATURE "\x21\x11\0\x0f\xc0\0\x02\x02\x0a\0\0\x01\x12\x67\0\x50\x04\0\0"
#define V2_IPV6                                                                          \
  SIGNATURE                                                                              \
  "\x21\x21\0\x24\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0" \
  "\0\x01\xff\xff\0\x50"
#define LOCAL SIGNATURE "\x20\0\0\0"
#define REQUEST "GET / HTTP/1.1\r\nHost: own.example:8080\r\n\r\n"

static const struct {
  const char *bytes;
  size_t count;
  const char *words; /* NULL: the connection's own */
} headers[] = {
    {V1 REQUEST, sizeof V1 REQUEST - 1, "192.0.2.1 4711 http own.example 8080"},
    {V2 REQUEST, sizeof V2 REQUEST - 1, "192.0.2.2 4711 http own.example 8080"},
    {V2_IPV6 REQUEST, sizeof V2_IPV6 REQUEST - 1, "2001:db8::1 65535 http own.example 8080"},
    {LOCAL REQUEST, sizeof LOCAL REQUEST - 1, NULL},
    {"PROXY UNKNOWN\r\n" REQUEST, sizeof "PROXY UNKNOWN\r\n" REQUEST - 1, NULL},
};

#define HEADERS (sizeof headers / sizeof headers[0])

static void start_proxied(struct app *app, int32_t mode) {
  int32_t listener = apus_server_listen(app->server, "127.0.0.1", 0);
  CHECK(listener >= 0);
  app->port = apus_server_port(app->server, listener);
  CHECK_CODE(APUS_E_NOT_FOUND, apus_server_set_proxy_protocol(app->server, listener + 1, mode));
  CHECK_CODE(APUS_E_NOT_FOUND, apus_server_set_proxy_protocol(app->server, -1, mode));
  CHECK_CODE(APUS_E_ARGUMENT, apus_server_set_proxy_protocol(app->server, listener, 3));
  CHECK_INT(0, apus_server_set_proxy_protocol(app->server, listener, mode));
  harness_drive(app);
  CHECK_CODE(APUS_E_STATE, apus_server_set_proxy_protocol(app->server, listener, mode));
}

static void expect_words(struct client *client, size_t header) {
  const char *words = headers[header].words;
  CLIENT_EXPECT(client, "GET", 200, words == NULL ? own_words(client) : words);
}

/* Split at each byte, in two pieces that arrive one after the other: the first is in
 * when the server has taken it. */
static void test_splits(enum mode mode) {
  struct app app;
  struct client client;
  int64_t sent = 0;
  make(&app, mode, NULL);
  start_proxied(&app, APUS_PROXY_REQUIRED);
  for (size_t i = 0; i < HEADERS; i++) {
    for (size_t split = 0; split <= headers[i].count; split++) {
      client_open(&client, app.port);
      client_send(&client, headers[i].bytes, split);
      sent += (int64_t)split;
      EVENTUALLY(apus_server_counter(app.server, APUS_COUNT_BYTES_IN) == sent);
      client_send(&client, headers[i].bytes + split, headers[i].count - split);
      expect_words(&client, i);
      /* The next request of the connection has no header. */
      client_text(&client, REQUEST);
      expect_words(&client, i);
      client_close(&client);
      sent += (int64_t)(headers[i].count - split + strlen(REQUEST));
    }
    /* Byte by byte. */
    client_open(&client, app.port);
    for (size_t at = 0; at < headers[i].count; at++) client_send(&client, headers[i].bytes + at, 1);
    expect_words(&client, i);
    client_close(&client);
    sent += (int64_t)headers[i].count;
  }
  CHECK_INT(0, apus_server_counter(app.server, APUS_COUNT_REFUSED_PROXY));
  harness_stop(&app);
}

static atomic_int connects, disconnects, failures;
static char connected_peer[64];

static void connect_listener(void *context, apus_server server, uint64_t connection,
                             const char *peer, int32_t port) {
  (void)server;
  CHECK(connection >= 1);
  if (context == NULL) {
    snprintf(connected_peer, sizeof connected_peer, "%s %d", peer, port);
    atomic_fetch_add(&connects, 1);
  } else {
    CHECK_TEXT("192.0.2.1", peer);
    CHECK_INT(4711, port);
    atomic_fetch_add(&disconnects, 1);
  }
}

static void failed_listener(void *context, apus_server server, uint64_t connection, int32_t code,
                            int32_t status, const char *peer) {
  (void)context;
  (void)server;
  (void)connection;
  (void)peer;
  CHECK(code == APUS_E_PROTOCOL || code == APUS_E_TIMEOUT);
  CHECK_INT(0, status);
  atomic_fetch_add(&failures, 1);
}

/* Nothing is said to who does not say it right. */
static void test_refused(enum mode mode) {
  static const struct {
    const char *bytes;
    size_t count;
  } bad[] = {
      {REQUEST, sizeof REQUEST - 1},
      {"\r\n", 3},
      {"PROXY TCP4 192.0.2.1 10.0.0.1 4711\r\n", 36},
      {"PROXY TCP4 192.0.2.1\n", 21},
      {SIGNATURE "\x21\x11\0\x04\x01\x02\x03\x04", 20},
      {SIGNATURE "\x21\x11\xff\xff", 16},
      {SIGNATURE "\x31\x11\0\0", 16},
      {"\x16\x03\x01\x02", 4},
  };
  struct app app;
  struct client client;
  make(&app, mode, NULL);
  atomic_store(&connects, 0);
  atomic_store(&disconnects, 0);
  atomic_store(&failures, 0);
  CHECK_INT(0, apus_server_on_connect(app.server, connect_listener, NULL, NULL));
  CHECK_INT(0, apus_server_on_disconnect(app.server, connect_listener, &app, NULL));
  CHECK_INT(0, apus_server_on_error(app.server, failed_listener, NULL, NULL));
  CHECK_INT(0, apus_server_set_header_timeout(app.server, 1000));
  start_proxied(&app, APUS_PROXY_REQUIRED);
  int count = sizeof bad / sizeof bad[0];
  for (int i = 0; i < count; i++) {
    client_open(&client, app.port);
    client_send_some(&client, bad[i].bytes, bad[i].count);
    CHECK_INT(0, client_fill(&client));
    client_close(&client);
    CHECK_INT(i + 1, apus_server_counter(app.server, APUS_COUNT_REFUSED_PROXY));
  }
  /* Who says half of it, or nothing, has until the time limit. */
  for (int i = 0; i < 2; i++) {
    client_open(&client, app.port);
    client_send(&client, V1, i * 20);
    CHECK_INT(0, client_fill(&client));
    client_close(&client);
  }
  EVENTUALLY(atomic_load(&failures) == count + 2);
  CHECK_INT(count + 2, apus_server_counter(app.server, APUS_COUNT_REFUSED_PROXY));
  /* Who goes before that is no failure. */
  client_open(&client, app.port);
  client_send(&client, V1, 20);
  client_close(&client);
  CHECK_INT(0, atomic_load(&connects));
  client_open(&client, app.port);
  client_send(&client, V1 REQUEST, sizeof V1 REQUEST - 1);
  expect_words(&client, 0);
  EVENTUALLY(atomic_load(&connects) == 1);
  CHECK_TEXT("192.0.2.1 4711", connected_peer);
  client_close(&client);
  EVENTUALLY(atomic_load(&disconnects) == 1);
  CHECK_INT(1, atomic_load(&connects));
  CHECK_INT(count + 2, atomic_load(&failures));
  harness_stop(&app);
}

static void test_optional(enum mode mode) {
  struct app app;
  struct client client;
  make(&app, mode, "127.0.0.1");
  start_proxied(&app, APUS_PROXY_OPTIONAL);
  for (size_t i = 0; i < HEADERS; i++) {
    client_open(&client, app.port);
    client_send(&client, headers[i].bytes, headers[i].count);
    expect_words(&client, i);
    client_close(&client);
  }
  /* Without one, also where what comes begins likewise. */
  client_open(&client, app.port);
  client_send(&client, "P", 1);
  client_text(&client, "ROPFIND / HTTP/1.1\r\nHost: a\r\n\r\n");
  CLIENT_EXPECT(&client, "PROPFIND", 405, NULL);
  client_text(&client, REQUEST);
  CLIENT_EXPECT(&client, "GET", 200, own_words(&client));
  client_close(&client);
  client_open(&client, app.port);
  client_text(&client, "\r\n" REQUEST);
  CLIENT_EXPECT(&client, "GET", 200, own_words(&client));
  client_close(&client);
  /* It is asked about the new address whether more is believed. */
  client_open(&client, app.port);
  client_text(&client, V1);
  ask(&client, "/", "X-Forwarded-For: 198.51.100.1\r\n");
  CLIENT_EXPECT(&client, "GET", 200, headers[0].words);
  client_close(&client);
  client_open(&client, app.port);
  client_text(&client, "PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n");
  ask(&client, "/", "X-Forwarded-For: 198.51.100.1\r\n");
  CLIENT_EXPECT(&client, "GET", 200, "198.51.100.1 0 http own.example 8080");
  client_close(&client);
  harness_stop(&app);
  /* Who is not trusted must not: for him it is no HTTP. */
  make(&app, mode, "10.0.0.0/8");
  start_proxied(&app, APUS_PROXY_OPTIONAL);
  client_open(&client, app.port);
  client_text(&client, V1 REQUEST);
  CLIENT_EXPECT(&client, "GET", 400, NULL);
  client_close(&client);
  harness_stop(&app);
}

/* A server stops, and is full, while headers are due. */
static void test_life(enum mode mode) {
  struct app app;
  struct client clients[3];
  make(&app, mode, NULL);
  CHECK_INT(0, apus_server_set_max_connections(app.server, 2));
  start_proxied(&app, APUS_PROXY_REQUIRED);
  for (int i = 0; i < 2; i++) {
    client_open(&clients[i], app.port);
    client_send(&clients[i], V1, 10);
  }
  EVENTUALLY(apus_server_counter(app.server, APUS_COUNT_BYTES_IN) == 20);
  client_open(&clients[2], app.port);
  client_text(&clients[2], V1 REQUEST);
  CLIENT_EXPECT(&clients[2], "GET", 503, NULL);
  client_close(&clients[2]);
  static const char whole[] = V1 REQUEST;
  client_send(&clients[0], whole + 10, sizeof whole - 11);
  expect_words(&clients[0], 0);
  harness_halt(&app);
  for (int i = 0; i < 2; i++) {
    CHECK_INT(0, client_fill(&clients[i]));
    client_close(&clients[i]);
  }
  CHECK_INT(1, apus_server_destroy(app.server));
}

static void test_networks(enum mode mode) {
  (void)mode;
  static const char *const bad[] = {"",     "10.0.0.0/33", "::/129",         "localhost", "10.0.0",
                                    "Unix", "[::1]",       "10.0.0.0/8 , a", "1.2.3.4/",  "unix "};
  apus_server server = apus_server_make();
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    CHECK_CODE(APUS_E_ARGUMENT, apus_server_trust_proxy(server, bad[i]));
  }
  CHECK_CODE(APUS_E_ARGUMENT, apus_server_trust_proxy(server, NULL));
  for (int i = 0; i < 256; i++) CHECK_INT(0, apus_server_trust_proxy(server, "10.0.0.1"));
  CHECK_CODE(APUS_E_FULL, apus_server_trust_proxy(server, "10.0.0.1"));
  CHECK_INT(0, apus_server_trust_proxy(server, "unix"));
  CHECK_CODE(APUS_E_ARGUMENT, apus_server_set_forwarded_fields(server, 2));
  CHECK_CODE(APUS_E_ARGUMENT, apus_server_set_forwarded_fields(server, -1));
  CHECK_INT(1, apus_server_destroy(server));
}

static const struct harness_case cases[] = {
    {"x_forwarded", test_x_forwarded},
    {"forwarded", test_forwarded},
    {"untrusted", test_untrusted},
    {"unix", test_unix},
    {"access_log", test_access_log},
    {"splits", test_splits},
    {"refused", test_refused},
    {"optional", test_optional},
    {"life", test_life},
    {"networks", test_networks},
    {"websocket", test_websocket},
    {"websocket_scheme", test_websocket_scheme},
};

int main(int argc, char **argv) { return harness_main("proxied", argc, argv, CASES(cases)); }
