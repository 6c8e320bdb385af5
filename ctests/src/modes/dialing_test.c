/*
 * dialing_test.c - how channels come to their connections: names of several addresses,
 * of which some are dead, and the limits of that. This program has a resolver of its
 * own, which the library calls. Hence
 * ctest: nosanitize
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "../helpers/harness.h"

#include <netdb.h>

/* -------------------------------------------------------------- the resolver */

/* A name is addresses with "-" between, behind "slow-" where it is to wait. A host that
 * ends in a number is an address: "-x" stands behind. */
static atomic_int lookups, released;

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **found) {
  (void)service, (void)hints;
  struct addrinfo **end = found;
  char copy[256];
  *found = NULL;
  atomic_fetch_add(&lookups, 1);
  snprintf(copy, sizeof copy, "%s", name);
  for (char *rest = copy, *part; (part = strtok_r(rest, "-", &rest)) != NULL;) {
    if (strcmp(part, "slow") == 0) {
      while (!atomic_load(&released)) harness_breathe();
      continue;
    }
    if (strcmp(part, "x") == 0) continue;
    struct sockaddr_in *address = calloc(1, sizeof *address);
    address->sin_family = AF_INET;
    CHECK_INT(1, inet_pton(AF_INET, part, &address->sin_addr));
    struct addrinfo *entry = calloc(1, sizeof *entry);
    entry->ai_family = AF_INET;
    entry->ai_addrlen = sizeof *address;
    entry->ai_addr = (struct sockaddr *)address;
    *end = entry;
    end = &entry->ai_next;
  }
  return *found == NULL ? EAI_NONAME : 0;
}

void freeaddrinfo(struct addrinfo *entry) {
  while (entry != NULL) {
    struct addrinfo *next = entry->ai_next;
    free(entry->ai_addr);
    free(entry);
    entry = next;
  }
}

/* -------------------------------------------------------- the peer, the host */

static apus_server peer;
static int32_t peer_port;
static struct app app;
static atomic_int opened;
static atomic_size_t field;

static void peer_open(void *context, apus_channel channel, apus_request request) {
  (void)context, (void)channel;
  size_t length = 0;
  if (apus_request_header(request, "X", &length) != NULL) atomic_store(&field, length);
  atomic_fetch_add(&opened, 1);
}

static void begin(enum mode mode) {
  atomic_store(&opened, 0);
  atomic_store(&released, 0);
  atomic_store(&lookups, 0);
  peer = apus_server_make();
  CHECK_INT(0, apus_server_set_workers(peer, 1));
  CHECK_INT(0, apus_server_set_dispatch(peer, APUS_DISPATCH_WORKER));
  CHECK_INT(0, apus_server_set_drain_timeout(peer, 0));
  CHECK_INT(0, apus_server_set_max_head(peer, 64 * 1024));
  CHECK(apus_server_websocket(peer, "/", peer_open, NULL, NULL) >= 0);
  int32_t listener = apus_server_listen(peer, "127.0.0.1", 0);
  CHECK(listener >= 0);
  peer_port = apus_server_port(peer, listener);
  CHECK_INT(0, apus_server_start(peer));
  app_make(&app, mode);
  harness_drive(&app);
}

static void end(void) {
  harness_stop(&app);
  CHECK_INT(1, apus_server_destroy(peer));
}

static apus_channel open_to(const char *name) {
  char url[256];
  apus_channel channel = apus_channel_make(app.server);
  CHECK(channel != 0);
  snprintf(url, sizeof url, "ws://%s:%d/", name, peer_port);
  CHECK_INT(0, apus_channel_open(channel, url));
  return channel;
}

/* A socket at the peer's port of another address. */
static int socket_at(const char *host, int (*use)(int, const struct sockaddr *, socklen_t)) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)peer_port)};
  CHECK_INT(1, inet_pton(AF_INET, host, &address.sin_addr));
  int result = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  CHECK(result >= 0);
  CHECK(use(result, (struct sockaddr *)&address, sizeof address) == 0 || errno == EINPROGRESS);
  return result;
}

/* ----------------------------------------------------------------- the cases */

/* Nobody listens at the first three, and the fourth answers. */
static void test_refused(enum mode mode) {
  begin(mode);
  apus_channel channel = open_to("127.0.0.2-127.0.0.3-127.0.0.4-127.0.0.1-x");
  CHECK_INT(1, apus_channel_wait_open(channel, -1));
  CHECK_INT(1, atomic_load(&lookups));
  CHECK_INT(1, apus_channel_destroy(channel));
  channel = open_to("127.0.0.2-127.0.0.3-x");
  CHECK_INT(APUS_E_IO, apus_channel_wait_open(channel, -1));
  CHECK_INT(1, apus_channel_destroy(channel));
  end();
}

/* The first says nothing at all: its queue of connections is full. */
static void test_silent(enum mode mode) {
  int fillers[16], silent = -1;
  begin(mode);
  int listener = socket_at("127.0.0.5", bind);
  CHECK_INT(0, listen(listener, 0));
  for (int i = 0; i < 16; i++) {
    fillers[i] = socket_at("127.0.0.5", connect);
    struct pollfd poller = {.fd = fillers[i], .events = POLLOUT};
    if (poll(&poller, 1, 0) == 0) silent = i;
  }
  CHECK(silent >= 0);
  apus_channel channel = open_to("127.0.0.5-127.0.0.1-x");
  CHECK_INT(1, apus_channel_wait_open(channel, -1));
  CHECK_INT(1, apus_channel_destroy(channel));
  /* Alone it takes until the time limit. */
  channel = apus_channel_make(app.server);
  CHECK_INT(0, apus_channel_set_connect_timeout(channel, 50));
  char url[64];
  snprintf(url, sizeof url, "ws://127.0.0.5:%d/", peer_port);
  CHECK_INT(0, apus_channel_open(channel, url));
  CHECK_INT(APUS_E_TIMEOUT, apus_channel_wait_open(channel, -1));
  CHECK_INT(1, apus_channel_destroy(channel));
  for (int i = 0; i < 16; i++) close(fillers[i]);
  close(listener);
  end();
}

#define MOST_LOOKUPS 64

/* As many names at a time, and one more. */
static void test_lookups(enum mode mode) {
  apus_channel channels[MOST_LOOKUPS];
  begin(mode);
  for (int i = 0; i < MOST_LOOKUPS; i++) channels[i] = open_to("slow-127.0.0.1-x");
  EVENTUALLY(atomic_load(&lookups) == MOST_LOOKUPS);
  apus_channel another = open_to("127.0.0.9-127.0.0.1-x");
  CHECK_INT(APUS_E_FULL, apus_channel_wait_open(another, -1));
  CHECK_INT(MOST_LOOKUPS, atomic_load(&lookups));
  /* An address is no name. */
  apus_channel literal = open_to("127.0.0.1");
  CHECK_INT(1, apus_channel_wait_open(literal, -1));
  CHECK_INT(0, apus_channel_wait_open(channels[0], 0));
  atomic_store(&released, 1);
  for (int i = 0; i < MOST_LOOKUPS; i++) {
    CHECK_INT(1, apus_channel_wait_open(channels[i], -1));
    CHECK_INT(1, apus_channel_destroy(channels[i]));
  }
  /* There is room again once the threads have gone. */
  char url[64];
  snprintf(url, sizeof url, "ws://127.0.0.8-127.0.0.1-x:%d/", peer_port);
  CHECK_INT(0, apus_channel_set_reconnect(another, -1, 1, 10));
  CHECK_INT(0, apus_channel_open(another, url));
  CHECK_INT(1, apus_channel_wait_open(another, -1));
  CHECK_INT(1, apus_channel_destroy(another));
  CHECK_INT(1, apus_channel_destroy(literal));
  end();
}

/* The resolver is at it while the host goes. */
static void test_ends(enum mode mode) {
  begin(mode);
  open_to("slow-127.0.0.1-x");
  apus_channel channel = open_to("slow-127.0.0.1-x");
  EVENTUALLY(atomic_load(&lookups) == 2);
  CHECK_INT(1, apus_channel_destroy(channel));
  end();
  CHECK_INT(0, atomic_load(&opened));
  atomic_store(&released, 1);
}

#define MOST_FIELDS (32 * 1024)

static void test_fields(enum mode mode) {
  static char value[MOST_FIELDS + 1];
  char url[64];
  begin(mode);
  snprintf(url, sizeof url, "ws://127.0.0.1:%d/", peer_port);
  memset(value, 'v', MOST_FIELDS);
  apus_channel channel = apus_channel_make(app.server);
  CHECK_INT(APUS_E_TOO_LARGE, apus_channel_add_header(channel, "X", value));
  CHECK_INT(0, apus_channel_add_header(channel, "X", value + 1));
  CHECK_INT(APUS_E_TOO_LARGE, apus_channel_add_header(channel, "Y", ""));
  CHECK_INT(0, apus_channel_open(channel, url));
  CHECK_INT(1, apus_channel_wait_open(channel, -1));
  EVENTUALLY(atomic_load(&opened) == 1);
  CHECK_INT(MOST_FIELDS - 1, atomic_load(&field));
  CHECK_INT(1, apus_channel_destroy(channel));
  end();
}

int main(int argc, char **argv) {
  static const struct harness_case cases[] = {
      {"refused", test_refused}, {"silent", test_silent}, {"lookups", test_lookups},
      {"ends", test_ends},       {"fields", test_fields},
  };
  return harness_main("dialing_test", argc, argv, cases, sizeof cases / sizeof *cases);
}
