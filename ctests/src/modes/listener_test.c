/*
 * listener_test.c - the listeners of a server: connections come and go exactly
 * once, on_receive forms a chain that may reply early, on_reply, on_error,
 * on_tick, the access log; each called in the order of registration, with drop
 * run exactly once.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "../helpers/harness.h"

#include <regex.h>

static atomic_int connects, disconnects, drops;

static void count_drop(void *context) {
  (void)context;
  atomic_fetch_add(&drops, 1);
}

static void hello_handler(void *context, apus_request request) {
  (void)context;
  CHECK_INT(0, apus_reply_text(request, 200, "hello"));
}

/* --------------------------------------------------------------- connections */

#define CONNECTIONS 300

/* The ids of connections, of which nothing is known but that they differ. */
static pthread_mutex_t ids_lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
  uint64_t id;
  int32_t port;
  int closed;
} ids[CONNECTIONS];
static int id_count;
static apus_server expected_server;

/* The place of a connection among those seen, or how many there are. */
static int find_id(uint64_t id) {
  int at = 0;
  while (at < id_count && ids[at].id != id) at++;
  return at;
}

static void connect_listener(void *context, apus_server server, uint64_t connection,
                             const char *peer, int32_t port) {
  CHECK(context == &ids);
  CHECK(server == expected_server);
  CHECK(connection >= 1);
  CHECK_TEXT("127.0.0.1", peer);
  CHECK(port > 0 && port < 65536);
  pthread_mutex_lock(&ids_lock);
  CHECK_INT(id_count, find_id(connection));
  CHECK(id_count < CONNECTIONS);
  ids[id_count].id = connection;
  ids[id_count].port = port;
  ids[id_count++].closed = 0;
  pthread_mutex_unlock(&ids_lock);
  atomic_fetch_add(&connects, 1);
}

static void disconnect_listener(void *context, apus_server server, uint64_t connection,
                                const char *peer, int32_t port) {
  CHECK(context == &ids);
  CHECK(server == expected_server);
  CHECK_TEXT("127.0.0.1", peer);
  pthread_mutex_lock(&ids_lock);
  int at = find_id(connection);
  CHECK(at < id_count);
  CHECK_INT(ids[at].port, port);
  CHECK_INT(0, ids[at].closed);
  ids[at].closed = 1;
  pthread_mutex_unlock(&ids_lock);
  atomic_fetch_add(&disconnects, 1);
}

/* Ends a connection in one of the ways in which connections end. */
static void use_connection(struct client *client, int way) {
  switch (way) {
    case 0:
      client_get(client, "/");
      CLIENT_EXPECT(client, "GET", 200, "hello");
      client_close(client);
      return;
    case 1:
      client_leave(client);
      return;
    case 2:
      client_text(client, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
      CLIENT_EXPECT(client, "GET", 200, "hello");
      CLIENT_ENDS(client);
      client_close(client);
      return;
    case 3:
      client_text(client, "BAD\r\n\r\n");
      CLIENT_EXPECT(client, "GET", 400, NULL);
      client_close(client);
      return;
    case 4:
      client_text(client, "GET / HTT");
      client_leave(client);
      return;
    default:
      client_get(client, "/");
      client_close(client);
  }
}

static void test_connections(enum mode mode) {
  static struct client last[CONNECTIONS];
  struct app app;
  atomic_store(&connects, 0);
  atomic_store(&disconnects, 0);
  atomic_store(&drops, 0);
  id_count = 0;
  app_make(&app, mode);
  expected_server = app.server;
  app_route(&app, APUS_GET, "/", hello_handler, NULL);
  CHECK_INT(0, apus_server_on_connect(app.server, connect_listener, &ids, count_drop));
  CHECK_INT(0, apus_server_on_disconnect(app.server, disconnect_listener, &ids, count_drop));
  harness_start(&app);
  int accepted = CONNECTIONS - 20;
  for (int i = 0; i < accepted; i++) {
    client_open(&last[i], app.port);
    EVENTUALLY(atomic_load(&connects) == i + 1);
    use_connection(&last[i], i % 6);
  }
  EVENTUALLY(atomic_load(&connects) == accepted && atomic_load(&disconnects) == accepted);
  /* Those that the server itself closes when it stops have ended as well. */
  for (int i = 0; i < 20; i++) {
    client_open(&last[i], app.port);
    client_get(&last[i], "/");
    CLIENT_EXPECT(&last[i], "GET", 200, "hello");
  }
  harness_halt(&app);
  CHECK_INT(CONNECTIONS, atomic_load(&connects));
  CHECK_INT(CONNECTIONS, atomic_load(&disconnects));
  for (int i = 0; i < 20; i++) {
    CLIENT_ENDS(&last[i]);
    client_close(&last[i]);
  }
  CHECK_INT(0, atomic_load(&drops));
  CHECK_INT(1, apus_server_destroy(app.server));
  CHECK_INT(2, atomic_load(&drops));
}

/* ---------------------------------------------------------------- on_receive */

static atomic_int seen[4];

static void first_listener(void *context, apus_request request) {
  (void)context;
  atomic_fetch_add(&seen[0], 1);
  CHECK_INT(0, apus_reply_set_header(request, "X-First", "1"));
  CHECK_INT(0, apus_reply_add_header(request, "X-Order", "first"));
}

static void second_listener(void *context, apus_request request) {
  (void)context;
  atomic_fetch_add(&seen[1], 1);
  CHECK_INT(0, apus_reply_add_header(request, "X-Order", "second"));
  if (strcmp(apus_request_path(request), "/early") == 0) {
    CHECK_INT(0, apus_reply_text(request, 403, "early"));
  }
}

static _Atomic apus_request deferred;

static void third_listener(void *context, apus_request request) {
  (void)context;
  atomic_fetch_add(&seen[2], 1);
  if (strcmp(apus_request_path(request), "/deferred") == 0) {
    CHECK_INT(0, apus_request_defer(request));
    atomic_store(&deferred, request);
  }
}

static void counted_handler(void *context, apus_request request) {
  atomic_fetch_add(&seen[3], 1);
  hello_handler(context, request);
}

static void check_seen(int first, int second, int third, int handler) {
  CHECK_INT(first, atomic_load(&seen[0]));
  CHECK_INT(second, atomic_load(&seen[1]));
  CHECK_INT(third, atomic_load(&seen[2]));
  CHECK_INT(handler, atomic_load(&seen[3]));
}

static void check_order(const struct reply *reply) {
  const char *expected[] = {"first", "second"};
  int index = 0;
  CHECK_TEXT("1", reply_field(reply, "X-First"));
  for (size_t i = 0; i < reply->field_count; i++) {
    if (strcasecmp(reply->fields[i].name, "X-Order") != 0) continue;
    CHECK(index < 2);
    CHECK_TEXT(expected[index++], reply->fields[i].value);
  }
  CHECK_INT(2, index);
}

static void chain_ask(struct client *client, const char *target, int status, const char *body) {
  struct reply reply;
  client_get(client, target);
  client_reply(client, "GET", &reply);
  CHECK_INT(status, reply.status);
  if (body != NULL) CHECK_TEXT(body, reply.body);
  check_order(&reply);
  reply_free(&reply);
}

static void test_receive(enum mode mode) {
  struct app app;
  struct client client;
  for (int i = 0; i < 4; i++) atomic_store(&seen[i], 0);
  atomic_store(&deferred, 0);
  app_make(&app, mode);
  for (int32_t i = 0; i < 2; i++) {
    static const char *const patterns[] = {"/", "/:name"};
    app_route(&app, APUS_GET, patterns[i], counted_handler, NULL);
  }
  CHECK_INT(0, apus_server_on_receive(app.server, first_listener, NULL, NULL));
  CHECK_INT(0, apus_server_on_receive(app.server, second_listener, NULL, NULL));
  CHECK_INT(0, apus_server_on_receive(app.server, third_listener, NULL, NULL));
  harness_start(&app);
  client_open(&client, app.port);
  chain_ask(&client, "/", 200, "hello");
  check_seen(1, 1, 1, 1);
  chain_ask(&client, "/early", 403, "early");
  check_seen(2, 2, 1, 1);
  /* Listeners see what no route matches. */
  client_get(&client, "/no/route");
  CLIENT_EXPECT(&client, "GET", 404, NULL);
  check_seen(3, 3, 2, 1);
  client_get(&client, "/deferred");
  EVENTUALLY(atomic_load(&deferred) != 0);
  CHECK_INT(0, apus_reply_text(atomic_load(&deferred), 200, "later"));
  CLIENT_EXPECT(&client, "GET", 200, "later");
  check_seen(4, 4, 3, 1);
  client_close(&client);
  harness_stop(&app);
}

/* ------------------------------------------------------------ reply and error */

static atomic_int replied, failed, failed_code, failed_status;
static atomic_int order_of_reply;

static void replied_listener(void *context, apus_request request, int32_t status,
                             uint64_t body_bytes) {
  (void)context;
  CHECK_INT(0, atomic_load(&order_of_reply));
  atomic_store(&order_of_reply, 1);
  CHECK_TEXT("/said", apus_request_path(request));
  CHECK_TEXT("b", apus_request_header(request, "A", NULL));
  CHECK_INT(200, status);
  CHECK_INT(5, body_bytes);
}

static void second_replied_listener(void *context, apus_request request, int32_t status,
                                    uint64_t body_bytes) {
  (void)context;
  (void)body_bytes;
  CHECK_INT(1, atomic_load(&order_of_reply));
  atomic_store(&order_of_reply, 0);
  CHECK_INT(200, status);
  CHECK_INT(APUS_GET, apus_request_method(request));
  atomic_fetch_add(&replied, 1);
}

static void defer_handler(void *context, apus_request request) {
  (void)context;
  app_defer(request);
  CHECK_INT(0, apus_reply_text(request, 200, "hello"));
}

static void test_reply(enum mode mode) {
  struct app app;
  struct client client;
  atomic_store(&replied, 0);
  atomic_store(&order_of_reply, 0);
  app_make(&app, mode);
  app_route(&app, APUS_GET, "/said", mode == MODE_TICK ? defer_handler : hello_handler, NULL);
  CHECK_INT(0, apus_server_on_reply(app.server, replied_listener, NULL, NULL));
  CHECK_INT(0, apus_server_on_reply(app.server, second_replied_listener, NULL, NULL));
  harness_start(&app);
  client_open(&client, app.port);
  for (int i = 0; i < 20; i++) {
    client_text(&client, "GET /said HTTP/1.1\r\nHost: a\r\nA: b\r\n\r\n");
    CLIENT_EXPECT(&client, "GET", 200, "hello");
  }
  EVENTUALLY(atomic_load(&replied) == 20);
  client_close(&client);
  harness_stop(&app);
  CHECK_INT(20, atomic_load(&replied));
}

static char failed_message[256];

static void failed_listener(void *context, apus_server server, uint64_t connection, int32_t code,
                            int32_t status, const char *peer) {
  (void)context;
  CHECK(server == expected_server);
  CHECK(connection >= 1);
  CHECK_TEXT("127.0.0.1", peer);
  /* The sentence that its client reads. */
  CHECK_INT(code, apus_last_error());
  snprintf(failed_message, sizeof failed_message, "%s", apus_last_error_message());
  atomic_store(&failed_code, code);
  atomic_store(&failed_status, status);
  atomic_fetch_add(&failed, 1);
}

static void test_error(enum mode mode) {
  static const struct {
    const char *bytes;
    int32_t code, status;
  } failures[] = {
      {"BAD\r\n\r\n", APUS_E_PROTOCOL, 400},
      {"GET / HTTP/2.0\r\nHost: a\r\n\r\n", APUS_E_PROTOCOL, 505},
      {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 101\r\n\r\n", APUS_E_TOO_LARGE, 413},
      {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n", APUS_E_PROTOCOL, 501},
  };
  struct app app;
  struct client client;
  struct reply reply;
  atomic_store(&failed, 0);
  app_make(&app, mode);
  expected_server = app.server;
  CHECK_INT(0, apus_server_set_max_body(app.server, 100));
  app_route(&app, APUS_GET, "/", hello_handler, NULL);
  app_route(&app, APUS_POST, "/", hello_handler, NULL);
  CHECK_INT(0, apus_server_on_error(app.server, failed_listener, NULL, NULL));
  harness_start(&app);
  for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++) {
    client_open(&client, app.port);
    client_text(&client, failures[i].bytes);
    client_reply(&client, "GET", &reply);
    CHECK_INT(failures[i].status, reply.status);
    EVENTUALLY(atomic_load(&failed) == (int)i + 1);
    CHECK(strlen(failed_message) > 20);
    CHECK(strncmp(failed_message, reply.body, strlen(failed_message)) == 0);
    reply_free(&reply);
    CHECK_INT(failures[i].code, atomic_load(&failed_code));
    CHECK_INT(failures[i].status, atomic_load(&failed_status));
    client_close(&client);
  }
  harness_stop(&app);
}

/* ------------------------------------------------------------ ticks and lines */

static atomic_int ticks;

static void tick_listener(void *context, apus_server server) {
  (void)context;
  CHECK(server == expected_server);
  CHECK_INT(1, apus_server_is_running(server));
  CHECK_CODE(APUS_E_STATE, apus_server_tick(server, 0));
  atomic_fetch_add(&ticks, 1);
}

/* With worker dispatch a tick only runs this listener. */
static void test_tick(enum mode mode) {
  struct app app;
  struct client client;
  if (mode == MODE_PULL) return;
  atomic_store(&ticks, 0);
  app_make(&app, mode);
  expected_server = app.server;
  app_route(&app, APUS_GET, "/", hello_handler, NULL);
  CHECK_INT(0, apus_server_on_tick(app.server, tick_listener, NULL, NULL));
  harness_start(&app);
  client_open(&client, app.port);
  client_get(&client, "/");
  CLIENT_EXPECT(&client, "GET", 200, "hello");
  if (mode == MODE_WORKER) {
    for (int i = 1; i <= 3; i++) {
      CHECK_INT(0, apus_server_tick(app.server, 0));
      CHECK_INT(i, atomic_load(&ticks));
    }
  } else {
    EVENTUALLY(atomic_load(&ticks) >= 1);
    int before = atomic_load(&ticks);
    CHECK_INT(0, apus_server_wake(app.server));
    EVENTUALLY(atomic_load(&ticks) > before);
  }
  client_close(&client);
  harness_stop(&app);
}

static pthread_mutex_t lines_lock = PTHREAD_MUTEX_INITIALIZER;
static char lines[8][1024];
static int line_count;

static void access_listener(void *context, apus_server server, const char *line, size_t length) {
  (void)context;
  CHECK(server == expected_server);
  CHECK_INT(strlen(line), length);
  CHECK(length < sizeof lines[0]);
  pthread_mutex_lock(&lines_lock);
  CHECK(line_count < 8);
  strcpy(lines[line_count++], line);
  pthread_mutex_unlock(&lines_lock);
}

static int count_lines(void) {
  pthread_mutex_lock(&lines_lock);
  int count = line_count;
  pthread_mutex_unlock(&lines_lock);
  return count;
}

static void match_line(const char *line, const char *rest) {
  char pattern[512];
  regex_t regex;
  snprintf(pattern, sizeof pattern,
           "^127\\.0\\.0\\.1 - - \\[[0-3][0-9]/[A-Z][a-z]{2}/[0-9]{4}:[0-2][0-9]:[0-5][0-9]:"
           "[0-6][0-9] [+-][0-9]{4}\\] %s$",
           rest);
  CHECK_INT(0, regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB));
  if (regexec(&regex, line, 0, NULL, 0) != 0) {
    harness_fail(__FILE__, __LINE__, "access line \"%s\" does not match %s", line, rest);
  }
  regfree(&regex);
}

/* What a client put into a field cannot forge a field or a line of the log. */
static void test_access(enum mode mode) {
  struct app app;
  struct client client;
  line_count = 0;
  app_make(&app, mode);
  expected_server = app.server;
  app_route(&app, APUS_GET, "/", hello_handler, NULL);
  CHECK_INT(0, apus_server_on_access(app.server, access_listener, NULL, NULL));
  harness_start(&app);
  client_open(&client, app.port);
  client_text(&client,
              "GET /?q=%20 HTTP/1.1\r\nHost: a\r\nReferer: http://from/\r\n"
              "User-Agent: agent (x; y)/1.0\r\n\r\n");
  CLIENT_EXPECT(&client, "GET", 200, "hello");
  EVENTUALLY(count_lines() == 1);
  client_text(&client, "GET /none HTTP/1.1\r\nHost: a\r\n\r\n");
  CLIENT_EXPECT(&client, "GET", 404, NULL);
  EVENTUALLY(count_lines() == 2);
  client_text(&client, "HEAD / HTTP/1.1\r\nHost: a\r\nUser-Agent: \"quote\" \\ end\r\n\r\n");
  CLIENT_EXPECT(&client, "HEAD", 200, NULL);
  EVENTUALLY(count_lines() == 3);
  client_close(&client);
  harness_stop(&app);
  match_line(lines[0],
             "\"GET /\\?q=%20 HTTP/1\\.1\" 200 5 \"http://from/\" "
             "\"agent \\(x; y\\)/1\\.0\"");
  match_line(lines[1], "\"GET /none HTTP/1\\.1\" 404 [0-9]+ \"-\" \"-\"");
  match_line(lines[2], "\"HEAD / HTTP/1\\.1\" 200 (0|-) \"-\" \".*\"");
  CHECK(strstr(lines[2], " \"\"quote\"") == NULL);
}

/* Late or wrong registrations: the code, and drop. */
static void test_registration(enum mode mode) {
  struct app app;
  app_make(&app, mode);
  atomic_store(&drops, 0);
  apus_server server = app.server;
  CHECK_CODE(APUS_E_ARGUMENT, apus_server_on_connect(server, NULL, NULL, count_drop));
  CHECK_CODE(APUS_E_ARGUMENT, apus_server_on_disconnect(server, NULL, NULL, count_drop));
  CHECK_CODE(APUS_E_ARGUMENT, apus_server_on_receive(server, NULL, NULL, count_drop));
  CHECK_CODE(APUS_E_ARGUMENT, apus_server_on_reply(server, NULL, NULL, count_drop));
  CHECK_CODE(APUS_E_ARGUMENT, apus_server_on_error(server, NULL, NULL, count_drop));
  CHECK_CODE(APUS_E_ARGUMENT, apus_server_on_tick(server, NULL, NULL, count_drop));
  CHECK_CODE(APUS_E_ARGUMENT, apus_server_on_access(server, NULL, NULL, count_drop));
  CHECK_INT(7, atomic_load(&drops));
  harness_start(&app);
  CHECK_CODE(APUS_E_STATE, apus_server_on_connect(server, connect_listener, NULL, count_drop));
  CHECK_CODE(APUS_E_STATE, apus_server_on_tick(server, tick_listener, NULL, count_drop));
  CHECK_CODE(APUS_E_STATE, apus_server_on_access(server, access_listener, NULL, count_drop));
  CHECK_INT(10, atomic_load(&drops));
  harness_stop(&app);
  CHECK_INT(10, atomic_load(&drops));
}

int main(int argc, char **argv) {
  static const struct harness_case cases[] = {
      {"connections", test_connections},
      {"receive", test_receive},
      {"reply", test_reply},
      {"error", test_error},
      {"tick", test_tick},
      {"access", test_access},
      {"registration", test_registration},
  };
  return harness_main("listener_test", argc, argv, CASES(cases));
}
