/*
 * idle.c - what an idle keep-alive connection or WebSocket channel costs a server
 * in memory: opens N connections, sends one GET or one message on each, reads the
 * replies, and compares the resident memory of the server's processes before and
 * after.
 *
 * Usage: idle PORT N (http|websocket|deflate) PID...
 *
 * The connections come from several addresses of 127.0.0.0/8, so that they do
 * not use up the ports. Memory that the kernel holds for sockets is in no
 * process's RSS and is not counted. The result is a line of JSON. The program
 * ends by itself after two minutes in any case.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { PER_ADDRESS = 5000, SETTLE_SECONDS = 2, TIME_LIMIT = 120 };

static void die(const char *what) {
  perror(what);
  exit(1);
}

/* The resident memory of a process in KiB, from /proc/PID/status. */
static long resident(const char *pid) {
  char path[64], line[256];
  snprintf(path, sizeof path, "/proc/%s/status", pid);
  FILE *file = fopen(path, "re");
  if (file == NULL) die(path);
  long size = 0;
  while (fgets(line, sizeof line, file) != NULL)
    if (sscanf(line, "VmRSS: %ld", &size) == 1) break;
  fclose(file);
  return size;
}

static long resident_of_all(char **pids) {
  long sum = 0;
  for (; *pids != NULL; pids++) sum += resident(*pids);
  return sum;
}

static int open_connection(int index, int port) {
  struct sockaddr_in from = {.sin_family = AF_INET};
  from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + (uint32_t)(index / PER_ADDRESS));
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
  if (fd < 0) die("socket");
  setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  /* A reset at the end leaves no port in TIME_WAIT. */
  struct linger linger = {.l_onoff = 1, .l_linger = 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
  struct timeval limit = {.tv_sec = 10};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  if (bind(fd, (struct sockaddr *)&from, sizeof from) != 0) die("bind");
  if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0) die("connect");
  return fd;
}

/* Reads up to a text, and says whether another one came before it. */
static int read_until(int fd, const char *end, const char *wanted) {
  char reply[4096];
  size_t length = 0;
  while (length < sizeof reply) {
    ssize_t got = recv(fd, reply + length, sizeof reply - length, 0);
    if (got <= 0) return 0;
    length += (size_t)got;
    if (memmem(reply, length, end, strlen(end)) != NULL)
      return memmem(reply, length, wanted, strlen(wanted)) != NULL;
  }
  return 0;
}

/* Reads a frame of at most 125 bytes. */
static int read_frame(int fd) {
  unsigned char frame[127];
  size_t length = 0;
  while (length < 2 || length < 2u + frame[1]) {
    ssize_t got = recv(fd, frame + length, sizeof frame - length, 0);
    if (got <= 0) return 0;
    length += (size_t)got;
  }
  return length == 2u + frame[1] && (frame[0] & 15) == 2;
}

static void send_all(int fd, const void *data, size_t length) {
  if (send(fd, data, length, MSG_NOSIGNAL) != (ssize_t)length) die("send");
}

/* One request and its reply on each connection. */
static int use_http(const int *descriptors, int count) {
  static const char request[] = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
  static const char body[] = "Hello, World!";
  int answered = 0;
  for (int i = 0; i < count; i++) send_all(descriptors[i], request, sizeof request - 1);
  for (int i = 0; i < count; i++) answered += read_until(descriptors[i], body, body);
  return answered;
}

/* A handshake on each connection, then a message that is echoed. The mask is zero,
 * so that the bytes can stand here as they are. */
static int use_channels(const int *descriptors, int count, int deflate) {
  static const char plain[] = "\x82\x8d\0\0\0\0Hello, World!";
  static const char deflated[] =
      "\xc2\x8f\0\0\0\0\xf2\x48\xcd\xc9\xc9\xd7\x51\x08\xcf\x2f\xca\x49\x51\x04\0";
  char request[512];
  snprintf(request, sizeof request,
           "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
           "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n%s"
           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
           deflate ? "Sec-WebSocket-Extensions: permessage-deflate\r\n" : "");
  int answered = 0;
  for (int i = 0; i < count; i++) send_all(descriptors[i], request, strlen(request));
  for (int i = 0; i < count; i++)
    if (!read_until(descriptors[i], "\r\n\r\n", deflate ? "permessage-deflate" : " 101 ")) return 0;
  for (int i = 0; i < count; i++)
    send_all(descriptors[i], deflate ? deflated : plain,
             deflate ? sizeof deflated - 1 : sizeof plain - 1);
  for (int i = 0; i < count; i++) answered += read_frame(descriptors[i]);
  return answered;
}

static int is_open(int fd) {
  char byte;
  return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

int main(int argc, char **argv) {
  int deflate = argc > 3 && strcmp(argv[3], "deflate") == 0;
  int http = argc > 3 && strcmp(argv[3], "http") == 0;
  if (argc < 5 || (!deflate && !http && strcmp(argv[3], "websocket") != 0)) {
    fprintf(stderr, "usage: idle PORT N http|websocket|deflate PID...\n");
    return 2;
  }
  alarm(TIME_LIMIT);
  int port = atoi(argv[1]), count = atoi(argv[2]);
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
  int *descriptors = calloc((size_t)count, sizeof *descriptors);
  if (count < 1 || descriptors == NULL) return 2;

  long before = resident_of_all(argv + 4);
  int still_open = 0;
  for (int i = 0; i < count; i++) descriptors[i] = open_connection(i, port);
  int answered = http ? use_http(descriptors, count) : use_channels(descriptors, count, deflate);
  sleep(SETTLE_SECONDS);
  long after = resident_of_all(argv + 4);
  for (int i = 0; i < count; i++) still_open += is_open(descriptors[i]);
  printf(
      "{\"connections\": %d, \"answered\": %d, \"open\": %d, \"before_kib\": %ld, "
      "\"after_kib\": %ld, \"bytes_each\": %.1f}\n",
      count, answered, still_open, before, after, (double)(after - before) * 1024 / count);
  return answered == count && still_open == count ? 0 : 1;
}
