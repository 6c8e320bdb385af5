/*
 * server_test.c - a server as a whole: many connections at once, counters,
 * limits lowered, Unix sockets, adopted descriptors, several listeners, IPv6.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "../helpers/harness.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/un.h>

static atomic_int handled;

static void name_handler(void *context, apus_request request) {
  (void)context;
  atomic_fetch_add(&handled, 1);
  CHECK_INT(0, apus_reply_text(request, 200, apus_request_param(request, "name", NULL)));
}

static void start_named(struct app *app, enum mode mode) {
  atomic_store(&handled, 0);
  app_make(app, mode);
  app_route(app, APUS_GET, "/name/:name", name_handler, NULL);
  harness_start(app);
}

static void expect_closed(struct client *client, int status) {
  struct reply reply;
  client_reply(client, "GET", &reply);
  CHECK_INT(status, reply.status);
  CHECK_TEXT("close", reply_field(&reply, "Connection"));
  reply_free(&reply);
  CLIENT_ENDS(client);
  client_close(client);
}

static void test_concurrent(enum mode mode) {
  enum { CLIENTS = 100, ROUNDS = 5 };
  struct app app;
  static struct client clients[CLIENTS];
  start_named(&app, mode);
  for (int i = 0; i < CLIENTS; i++) client_open(&clients[i], app.port);
  for (int round = 0; round < ROUNDS; round++) {
    for (int i = 0; i < CLIENTS; i++) {
      client_format(&clients[i], "GET /name/%d-%d HTTP/1.1\r\nHost: a\r\n\r\n", i, round);
    }
    for (int i = CLIENTS - 1; i >= 0; i--) {
      char expected[32];
      snprintf(expected, sizeof expected, "%d-%d", i, round);
      CLIENT_EXPECT(&clients[i], "GET", 200, expected);
    }
  }
  CHECK_INT(CLIENTS, apus_server_counter(app.server, APUS_COUNT_CONNECTIONS));
  CHECK_INT(CLIENTS, apus_server_counter(app.server, APUS_COUNT_ACCEPTED));
  for (int i = 0; i < CLIENTS; i++) client_close(&clients[i]);
  EVENTUALLY(apus_server_counter(app.server, APUS_COUNT_CONNECTIONS) == 0);
  CHECK_INT(CLIENTS * ROUNDS, atomic_load(&handled));
  harness_stop(&app);
}

static void test_counters(enum mode mode) {
  static const char good[] = "GET /name/x HTTP/1.1\r\nHost: a\r\n\r\n";
  struct app app;
  struct client client;
  start_named(&app, mode);
  apus_server server = app.server;
  for (int32_t i = 0; i <= APUS_COUNT_REFUSED_MESSAGE; i++) {
    CHECK_INT(0, apus_server_counter(server, i));
  }
  CHECK_CODE(APUS_E_ARGUMENT, apus_server_counter(server, -1));
  CHECK_CODE(APUS_E_ARGUMENT, apus_server_counter(server, APUS_COUNT_REFUSED_MESSAGE + 1));
  client_open(&client, app.port);
  for (int i = 0; i < 3; i++) {
    client_text(&client, good);
    CLIENT_EXPECT(&client, "GET", 200, "x");
  }
  EVENTUALLY(apus_server_counter(server, APUS_COUNT_REPLIES) == 3);
  EVENTUALLY(apus_server_counter(server, APUS_COUNT_REQUESTS) == 3);
  EVENTUALLY(apus_server_counter(server, APUS_COUNT_BYTES_IN) == 3 * (sizeof good - 1));
  EVENTUALLY(apus_server_counter(server, APUS_COUNT_BYTES_OUT) > 3 * 50);
  CHECK_INT(1, apus_server_counter(server, APUS_COUNT_CONNECTIONS));
  client_text(&client, "BAD\r\n\r\n");
  expect_closed(&client, 400);
  EVENTUALLY(apus_server_counter(server, APUS_COUNT_REFUSED_SYNTAX) == 1);
  EVENTUALLY(apus_server_counter(server, APUS_COUNT_CONNECTIONS) == 0);
  EVENTUALLY(apus_server_counter(server, APUS_COUNT_PENDING) == 0);
  CHECK_INT(0, apus_server_counter(server, APUS_COUNT_REFUSED_BODY));
  harness_stop(&app);
}

/* Lowered limits: the reaction at the limit and one past it, and its counter. */
static void test_limits(enum mode mode) {
  struct app app;
  struct client client;
  app_make(&app, mode);
  CHECK_INT(0, apus_server_set_max_request_line(app.server, 64));
  CHECK_INT(0, apus_server_set_max_head(app.server, 256));
  CHECK_INT(0, apus_server_set_max_fields(app.server, 3));
  app_route(&app, APUS_GET, "/name/:name", name_handler, NULL);
  harness_start(&app);
  client_open(&client, app.port);
  client_text(&client, "GET /name/x HTTP/1.1\r\nHost: a\r\nA: b\r\nC: d\r\n\r\n");
  CLIENT_EXPECT(&client, "GET", 200, "x");
  client_text(&client, "GET /name/x HTTP/1.1\r\nHost: a\r\nA: b\r\nC: d\r\nE: f\r\n\r\n");
  expect_closed(&client, 431);
  client_open(&client, app.port);
  client_format(&client, "GET /name/x HTTP/1.1\r\nHost: a\r\nA: %0300d\r\n\r\n", 1);
  expect_closed(&client, 431);
  client_open(&client, app.port);
  client_format(&client, "GET /name/%0100d HTTP/1.1\r\nHost: a\r\n\r\n", 1);
  expect_closed(&client, 414);
  EVENTUALLY(apus_server_counter(app.server, APUS_COUNT_REFUSED_HEAD) == 2);
  EVENTUALLY(apus_server_counter(app.server, APUS_COUNT_REFUSED_TARGET) == 1);
  harness_stop(&app);
}

/* ----------------------------------------------- other sockets and addresses */

/* A socket file that nobody listens on any more. */
static void leave_stale(const struct sockaddr_un *address) {
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  CHECK_INT(0, bind(fd, (const struct sockaddr *)address, sizeof *address));
  close(fd);
  CHECK_INT(0, access(address->sun_path, F_OK));
}

static void test_unix(enum mode mode) {
  char folder[] = "apus-test-XXXXXX";
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  struct app app;
  struct client client;
  CHECK(mkdtemp(folder) != NULL);
  snprintf(address.sun_path, sizeof address.sun_path, "%s/socket", folder);
  app_make(&app, mode);
  app_route(&app, APUS_GET, "/name/:name", name_handler, NULL);
  leave_stale(&address);
  CHECK_INT(0, apus_server_listen_unix(app.server, address.sun_path));
  CHECK_CODE(APUS_E_ADDRESS_IN_USE, apus_server_listen_unix(app.server, address.sun_path));
  char longest[200];
  memset(longest, 'x', sizeof longest);
  longest[0] = '/';
  longest[108] = '\0';
  CHECK_CODE(APUS_E_ARGUMENT, apus_server_listen_unix(app.server, longest));
  CHECK_CODE(APUS_E_ARGUMENT, apus_server_listen_unix(app.server, NULL));
  CHECK_INT(0, apus_server_port(app.server, 0));
  CHECK_CODE(APUS_E_NOT_FOUND, apus_server_port(app.server, 1));
  CHECK_CODE(APUS_E_NOT_FOUND, apus_server_port(app.server, -1));
  harness_drive(&app);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  CHECK_INT(0, connect(fd, (struct sockaddr *)&address, sizeof address));
  client_adopt(&client, fd);
  client_get(&client, "/name/unix");
  CLIENT_EXPECT(&client, "GET", 200, "unix");
  client_close(&client);
  harness_stop(&app);
  CHECK_INT(-1, access(address.sun_path, F_OK));
  CHECK_INT(0, rmdir(folder));
}

/* A file that has taken the place of a listener's is left alone. */
static void test_unix_names(enum mode mode) {
  char folder[] = "apus-test-XXXXXX", name[64], first[4096];
  if (mode != MODE_THREADLESS) return;
  CHECK(mkdtemp(folder) != NULL);
  CHECK(getcwd(first, sizeof first) != NULL);
  snprintf(name, sizeof name, "%s/socket", folder);
  apus_server server = apus_server_make(), next = apus_server_make();
  CHECK_INT(0, apus_server_listen_unix(server, name));
  CHECK_INT(0, unlink(name));
  CHECK_INT(0, apus_server_listen_unix(next, name));
  CHECK_INT(1, apus_server_destroy(server));
  CHECK_INT(0, access(name, F_OK));
  /* From another folder, too, its own is what it removes. */
  CHECK_INT(0, chdir(folder));
  CHECK_INT(0, mkdir(folder, 0700));
  int fd = open(name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
  CHECK(fd >= 0);
  CHECK_INT(0, close(fd));
  CHECK_INT(1, apus_server_destroy(next));
  CHECK_INT(-1, access("socket", F_OK));
  CHECK_INT(0, unlink(name));
  CHECK_INT(0, rmdir(folder));
  CHECK_INT(0, chdir(first));
  CHECK_INT(0, rmdir(folder));
}

static void test_adopted(enum mode mode) {
  struct app app;
  struct client client;
  int pair[2];
  app_make(&app, mode);
  app_route(&app, APUS_GET, "/name/:name", name_handler, NULL);
  CHECK_CODE(APUS_E_ARGUMENT, apus_server_adopt_listener(app.server, -1));
  CHECK_INT(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
  CHECK_CODE(APUS_E_ARGUMENT, apus_server_adopt_listener(app.server, pair[0]));
  /* One that listens, and one that is only bound; not one that is neither. */
  for (int i = 0; i < 2; i++) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK_CODE(APUS_E_ARGUMENT, apus_server_adopt_listener(app.server, fd));
    CHECK_INT(0, bind(fd, (struct sockaddr *)&address, sizeof address));
    if (i == 0) CHECK_INT(0, listen(fd, 16));
    CHECK_INT(i, apus_server_adopt_listener(app.server, fd));
    CHECK(apus_server_port(app.server, i) > 0);
  }
  CHECK_CODE(APUS_E_STATE, apus_server_adopt_connection(app.server, pair[0]));
  harness_drive(&app);
  for (int i = 0; i < 2; i++) {
    client_open(&client, apus_server_port(app.server, i));
    client_get(&client, "/name/listener");
    CLIENT_EXPECT(&client, "GET", 200, "listener");
    client_close(&client);
  }
  CHECK_CODE(APUS_E_ARGUMENT, apus_server_adopt_connection(app.server, -1));
  CHECK_INT(0, apus_server_adopt_connection(app.server, pair[0]));
  client_adopt(&client, pair[1]);
  client_get(&client, "/name/connection");
  CLIENT_EXPECT(&client, "GET", 200, "connection");
  harness_halt(&app);
  CLIENT_ENDS(&client);
  client_close(&client);
  CHECK_INT(1, apus_server_destroy(app.server));
}

static void test_listeners(enum mode mode) {
  struct app app;
  struct client client;
  int32_t ports[3];
  app_make(&app, mode);
  app_route(&app, APUS_GET, "/name/:name", name_handler, NULL);
  CHECK_CODE(APUS_E_ARGUMENT, apus_server_listen(app.server, "127.0.0.1", -1));
  CHECK_CODE(APUS_E_ARGUMENT, apus_server_listen(app.server, "127.0.0.1", 65536));
  CHECK_CODE(APUS_E_ARGUMENT, apus_server_listen(app.server, "not an address", 0));
  CHECK_CODE(APUS_E_ADDRESS, apus_server_listen(app.server, "192.0.2.1", 0));
  for (int i = 0; i < 3; i++) {
    static const char *const hosts[] = {"127.0.0.1", "localhost", NULL};
    CHECK_INT(i, apus_server_listen(app.server, hosts[i], 0));
    ports[i] = apus_server_port(app.server, i);
  }
  CHECK_CODE(APUS_E_ADDRESS_IN_USE, apus_server_listen(app.server, "127.0.0.1", ports[0]));
  harness_drive(&app);
  CHECK_CODE(APUS_E_STATE, apus_server_listen(app.server, "127.0.0.1", 0));
  CHECK_CODE(APUS_E_STATE, apus_server_start(app.server));
  for (int i = 0; i < 3; i++) {
    if (i == 1) continue; /* localhost may be ::1 */
    client_open(&client, ports[i]);
    client_get(&client, "/name/listener");
    CLIENT_EXPECT(&client, "GET", 200, "listener");
    client_close(&client);
  }
  harness_stop(&app);
}

/* Two servers on one port, where both want that; a third that doesn't may not. */
static void test_shared_port(enum mode mode) {
  struct app app;
  struct client client;
  apus_server other = apus_server_make(), third = apus_server_make();
  app_make(&app, mode);
  app_route(&app, APUS_GET, "/name/:name", name_handler, NULL);
  CHECK_INT(0, apus_server_set_reuse_port(app.server, 1));
  CHECK_INT(0, apus_server_set_reuse_port(other, 1));
  harness_start(&app);
  CHECK_INT(0, apus_server_listen(other, "127.0.0.1", app.port));
  CHECK_CODE(APUS_E_ADDRESS_IN_USE, apus_server_listen(third, "127.0.0.1", app.port));
  CHECK_INT(1, apus_server_destroy(other));
  CHECK_INT(1, apus_server_destroy(third));
  client_open(&client, app.port);
  client_get(&client, "/name/shared");
  CLIENT_EXPECT(&client, "GET", 200, "shared");
  client_close(&client);
  harness_stop(&app);
}

static int have_ipv6(void) {
  struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
  int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int result = fd < 0 ? -1 : bind(fd, (struct sockaddr *)&address, sizeof address);
  if (fd >= 0) close(fd);
  return result == 0;
}

/* Connects to 127.0.0.1 only to see whether somebody listens there. */
static int somebody_listens(int32_t port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int result = connect(fd, (struct sockaddr *)&address, sizeof address);
  close(fd);
  return result == 0;
}

/* Serves on ::, and tells whether 127.0.0.1 is answered on the same port. */
static int serve_ipv6(enum mode mode, int32_t dual) {
  struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
  struct app app;
  struct client client;
  app_make(&app, mode);
  CHECK_INT(0, apus_server_set_dual_stack(app.server, dual));
  app_route(&app, APUS_GET, "/name/:name", name_handler, NULL);
  CHECK_INT(0, apus_server_listen(app.server, "::", 0));
  app.port = apus_server_port(app.server, 0);
  harness_drive(&app);
  address.sin6_port = htons((uint16_t)app.port);
  int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  CHECK_INT(0, connect(fd, (struct sockaddr *)&address, sizeof address));
  client_adopt(&client, fd);
  client_get(&client, "/name/six");
  CLIENT_EXPECT(&client, "GET", 200, "six");
  client_close(&client);
  int answered = somebody_listens(app.port);
  harness_stop(&app);
  return answered;
}

/* Another process may by chance listen on the IPv4 port of the same number, so
 * that one silence in several tries is what an IPv6-only listener must show. */
static void test_ipv6(enum mode mode) {
  if (!have_ipv6()) {
    printf("no IPv6 here: nothing checked\n");
    return;
  }
  CHECK_INT(1, serve_ipv6(mode, 1));
  int silent = 0;
  for (int i = 0; i < 5 && !silent; i++) silent = !serve_ipv6(mode, 0);
  CHECK(silent);
}

int main(int argc, char **argv) {
  static const struct harness_case cases[] = {
      {"concurrent", test_concurrent},
      {"counters", test_counters},
      {"limits", test_limits},
      {"unix", test_unix},
      {"unix_names", test_unix_names},
      {"adopted", test_adopted},
      {"listeners", test_listeners},
      {"shared_port", test_shared_port},
      {"ipv6", test_ipv6},
  };
  return harness_main("server_test", argc, argv, CASES(cases));
}
