/*
 * attack_run.c - a server, an honest client beside it, and those that attack it, each in
 * a process of its own; attack_test.py puts them together.
 *
 *   attack_run serve FOLDER       prints its port, and figures for each line of its input
 *   attack_run honest PORT        asks until its input ends, then prints its latencies
 *   attack_run ATTACK PORT COUNT  prints what came of it
 *
 * An attack by slowness ends when the server has ended each of its connections, and
 * fails where it does not within a minute; the others end with what they came to send.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replies.h"
#include "ws.h"

#include <fcntl.h>
#include <malloc.h>
#include <sys/resource.h>

#define HEADER_MS 2000
#define PATIENCE_MS 60000
#define LATENCIES 4000000

/* ---------------------------------------------------------------- the server */

static void large(void *context, apus_request request) {
  static char bytes[100000];
  (void)context;
  apus_reply(request, 200, "application/octet-stream", bytes, sizeof bytes);
}

static long status_kib(const char *name) {
  char line[256];
  long value = 0;
  FILE *file = fopen("/proc/self/status", "r");
  CHECK(file != NULL);
  while (fgets(line, sizeof line, file) != NULL) {
    if (strncmp(line, name, strlen(name)) == 0) value = atol(line + strlen(name) + 1);
  }
  fclose(file);
  return value;
}

static void print_figures(apus_server server) {
  static const struct {
    const char *name;
    int32_t counter;
  } counters[] = {
      {"connections", APUS_COUNT_CONNECTIONS},     {"accepted", APUS_COUNT_ACCEPTED},
      {"requests", APUS_COUNT_REQUESTS},           {"bytes_out", APUS_COUNT_BYTES_OUT},
      {"timed_out", APUS_COUNT_REFUSED_TIMEOUT},   {"cut_off", APUS_COUNT_TIMEOUT_WRITE},
      {"accept_pauses", APUS_COUNT_ACCEPT_PAUSES},
  };
  struct mallinfo2 memory = mallinfo2();
  printf(
      "{\"resident_kib\": %ld, \"peak_kib\": %ld, \"in_use_kib\": %zu, \"descriptors\": %d, "
      "\"handles\": %d",
      status_kib("VmRSS:"), status_kib("VmHWM:"), (memory.uordblks + memory.hblkhd) / 1024,
      harness_descriptors(), apus_live_count(0));
  for (size_t i = 0; i < sizeof counters / sizeof counters[0]; i++) {
    printf(", \"%s\": %lld", counters[i].name,
           (long long)apus_server_counter(server, counters[i].counter));
  }
  printf("}\n");
  fflush(stdout);
}

static void send_back(void *context, apus_channel channel, int32_t opcode, const void *data,
                      size_t length) {
  (void)context;
  apus_channel_send(channel, opcode, 1, data, length);
}

static int serve(const char *folder) {
  apus_server server = apus_server_make();
  char line[64];
  CHECK_INT(0, apus_server_set_workers(server, 2));
  CHECK_INT(0, apus_server_set_dispatch(server, APUS_DISPATCH_WORKER));
  CHECK_INT(0, apus_server_set_header_timeout(server, HEADER_MS));
  CHECK_INT(0, apus_server_set_body_timeout(server, HEADER_MS));
  CHECK_INT(0, apus_server_set_write_timeout(server, HEADER_MS));
  CHECK(apus_server_get(server, "/hello", reply_hello, NULL, NULL) >= 0);
  CHECK(apus_server_get(server, "/large", large, NULL, NULL) >= 0);
  CHECK(apus_server_post(server, "/echo", reply_echo, NULL, NULL) >= 0);
  CHECK(apus_server_serve_folder(server, "/f", folder) >= 0);
  int32_t route = apus_server_websocket(server, "/ws", NULL, NULL, NULL);
  CHECK_INT(0, apus_server_on_message(server, route, send_back, NULL, NULL));
  int32_t listener = apus_server_listen(server, "127.0.0.1", 0);
  CHECK_INT(0, apus_server_start(server));
  printf("%d\n", (int)apus_server_port(server, listener));
  fflush(stdout);
  while (fgets(line, sizeof line, stdin) != NULL) print_figures(server);
  CHECK_INT(0, apus_server_stop(server));
  CHECK_INT(1, apus_server_destroy(server));
  CHECK_INT(0, apus_live_count(0));
  return 0;
}

/* --------------------------------------------------------- the honest client */

static double microseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static int by_size(const void *one, const void *other) {
  float a = *(const float *)one, b = *(const float *)other;
  return (a > b) - (a < b);
}

static int ask(int32_t port) {
  float *latencies = malloc(LATENCIES * sizeof *latencies);
  struct client client;
  struct pollfd input = {.fd = 0, .events = POLLIN};
  int count = 0, connects = 0;
  CHECK(latencies != NULL);
  for (; count < LATENCIES && poll(&input, 1, 0) == 0; count++) {
    double begun = microseconds();
    if (count % 20 == 0) {
      if (count > 0) client_close(&client);
      client_open(&client, port);
      connects++;
    }
    if (count % 5 == 4) {
      client_text(&client, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
    } else {
      client_get(&client, "/hello");
    }
    CLIENT_EXPECT(&client, "GET", 200, "hello");
    latencies[count] = (float)(microseconds() - begun);
  }
  CHECK(count > 0);
  client_close(&client);
  qsort(latencies, (size_t)count, sizeof *latencies, by_size);
  printf(
      "{\"requests\": %d, \"connects\": %d, \"p50_us\": %.0f, \"p90_us\": %.0f, "
      "\"p99_us\": %.0f, \"p999_us\": %.0f, \"most_us\": %.0f}\n",
      count, connects, latencies[count / 2], latencies[(size_t)count * 9 / 10],
      latencies[(size_t)count * 99 / 100], latencies[(size_t)count * 999 / 1000],
      latencies[count - 1]);
  free(latencies);
  return 0;
}

/* -------------------------------------------------------------- the attackers */

static struct client *attackers;
static int count, sent, ended, told;
static int32_t target;

static void open_all(int window, const char *text) {
  for (int i = 0; i < count; i++) {
    client_open_small(&attackers[i], target, window);
    client_text(&attackers[i], text);
    sent++;
  }
}

/* What the server has to say to one; takes none of it where it is not to be read. */
static void listen_to(struct client *client, int reads) {
  char bytes[512];
  struct pollfd entry = {.fd = client->fd, .events = reads ? POLLIN : 0};
  if (client->fd < 0 || poll(&entry, 1, 0) <= 0) return;
  ssize_t length = reads ? recv(client->fd, bytes, sizeof bytes, MSG_DONTWAIT) : 0;
  if (length > 0) {
    told += memmem(bytes, (size_t)length, " 408 ", 5) != NULL;
    return;
  }
  ended++;
  client_close(client);
}

/* Each sends a byte a round, if any, until the server has ended them all. */
static void wait_for_end(const char *drip, int reads) {
  int64_t limit = harness_now_ms() + PATIENCE_MS;
  size_t length = strlen(drip);
  for (size_t at = 0; ended < count; at++) {
    for (int i = 0; i < count; i++) {
      if (attackers[i].fd < 0) continue;
      if (length > 0) {
        send(attackers[i].fd, drip + at % length, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
        sent++;
      }
      listen_to(&attackers[i], reads);
    }
    if (harness_now_ms() > limit) {
      harness_fail(__FILE__, __LINE__, "%d of %d attackers are still served", count - ended, count);
    }
    poll(NULL, 0, 50); /* the pace of the attack */
  }
}

static void slow_heads(void) {
  open_all(0, "GET /hello HTTP/1.1\r\nHost: a\r\nX-Slow: ");
  wait_for_end("a", 1);
}

static void slow_bodies(void) {
  open_all(0, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nsome");
  wait_for_end("", 1);
}

static void slow_readers(void) {
  char text[2048] = "";
  for (int i = 0; i < 20; i++) {
    strcat(text, i % 2 == 0 ? "GET /large HTTP/1.1\r\nHost: a\r\n\r\n"
                            : "GET /f/file.bin HTTP/1.1\r\nHost: a\r\n\r\n");
  }
  open_all(4096, text);
  wait_for_end("", 0);
}

/* Pings as fast as the server takes them, whose pongs nobody reads. */
static void ping_flood(void) {
  static unsigned char pings[64 * 131];
  size_t size, at = 0;
  char payload[125];
  memset(payload, 'p', sizeof payload);
  unsigned char *ping = ws_frame(WS_FINAL | APUS_OPCODE_PING, payload, sizeof payload, &size);
  for (int i = 0; i < 64; i++, at += size) memcpy(pings + at, ping, size);
  for (int i = 0; i < count; i++) ws_open(&attackers[i], target, "/ws");
  for (int round = 0; round < 200; round++) {
    for (int i = 0; i < count; i++) {
      ssize_t took = send(attackers[i].fd, pings, at, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (took > 0) sent += (int)((size_t)took / size);
    }
  }
  free(ping);
  for (int i = 0; i < count; i++) client_leave(&attackers[i]);
}

/* Requests for a thousand ranges each, which overlap, of one file. */
static void range_flood(void) {
  static char text[8192];
  int length =
      snprintf(text, sizeof text, "GET /f/file.bin HTTP/1.1\r\nHost: a\r\nRange: bytes=0-");
  for (int i = 1; i < 1000; i++) {
    length += snprintf(text + length, sizeof text - (size_t)length, ",%d-", i);
  }
  snprintf(text + length, sizeof text - (size_t)length, "\r\n\r\n");
  for (int i = 0; i < count; i++) {
    struct reply reply;
    client_open(&attackers[0], target);
    client_text(&attackers[0], text);
    client_reply(&attackers[0], "GET", &reply);
    CHECK(reply.body_length <= 300000); /* never more than the file */
    sent++;
    ended++;
    reply_free(&reply);
    client_close(&attackers[0]);
  }
}

static void storm(void) {
  for (int i = 0; i < count * 10; i++) {
    client_open(&attackers[0], target);
    if (i % 3 == 0) client_text(&attackers[0], "GET /hello HTTP/1.1\r\nHo");
    client_leave(&attackers[0]);
    sent++;
  }
}

int main(int argc, char **argv) {
  static const struct {
    const char *name;
    void (*run)(void);
  } attacks[] = {{"slow_heads", slow_heads},     {"slow_bodies", slow_bodies},
                 {"slow_readers", slow_readers}, {"ping_flood", ping_flood},
                 {"range_flood", range_flood},   {"storm", storm}};
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  signal(SIGPIPE, SIG_DFL);
  if (argc == 3 && strcmp(argv[1], "serve") == 0) return serve(argv[2]);
  if (argc == 3 && strcmp(argv[1], "honest") == 0) return ask(atoi(argv[2]));
  if (argc != 4) return 2;
  target = atoi(argv[2]);
  count = atoi(argv[3]);
  attackers = calloc((size_t)count, sizeof *attackers);
  CHECK(attackers != NULL);
  double begun = microseconds();
  for (size_t i = 0; i < sizeof attacks / sizeof attacks[0]; i++) {
    if (strcmp(attacks[i].name, argv[1]) == 0) attacks[i].run();
  }
  CHECK(sent > 0);
  printf(
      "{\"attackers\": %d, \"sent\": %d, \"ended_by_server\": %d, \"told_408\": %d, "
      "\"seconds\": %.1f}\n",
      count, sent, ended, told, (microseconds() - begun) / 1e6);
  free(attackers);
  return 0;
}
