/*
 * pipeline.c - a load of GET requests, DEPTH of them at once on each connection;
 * depth 1 is plain keep-alive. wrk cannot stop after an exact number of requests,
 * and its pipelining spends more on parsing than the servers do.
 *
 * Usage: pipeline PORT CONNECTIONS DEPTH (seconds|requests) NUMBER [step]
 *
 * A batch goes out in one write, and the next one when all of its replies are
 * in. A reply counts when its body, "Hello, World!", has come. The result is a
 * line of JSON. With "step", the connections are opened and used once each,
 * "ready" is printed, and each line on standard input runs the load once more;
 * so a tracer can look at the steady state alone. The program ends by itself
 * after two minutes in any case.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_CONNECTIONS = 1024, MAX_DEPTH = 256, TIME_LIMIT = 120 };

static const char request[] = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
static const char body[] = "Hello, World!";
enum { REQUEST_LENGTH = sizeof request - 1, BODY_LENGTH = sizeof body - 1 };

struct connection {
  int fd;
  int awaited; /* replies to come */
  int matched; /* bytes of the body seen at the end of what came */
};

static struct connection connections[MAX_CONNECTIONS];
static char batch[MAX_DEPTH * REQUEST_LENGTH];
static int connection_count, depth, poller, live;
static int64_t unsent; /* requests still to be sent in this run */
static int64_t replies, received_bytes, lost;

static void die(const char *what) {
  perror(what);
  exit(1);
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void open_connection(struct connection *connection, int port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
  if (fd < 0) die("socket");
  if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) die("connect");
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  /* A reset at the end leaves no port in TIME_WAIT. */
  struct linger linger = {.l_onoff = 1, .l_linger = 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
  *connection = (struct connection){.fd = fd};
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
  if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) != 0) die("epoll_ctl");
  live++;
}

static void lose(struct connection *connection) {
  lost += connection->awaited;
  close(connection->fd);
  connection->fd = -1;
  connection->awaited = 0;
  live--;
}

static void send_batch(struct connection *connection) {
  int count = unsent < depth ? (int)unsent : depth;
  if (count == 0) return;
  unsent -= count;
  connection->awaited = count;
  size_t length = (size_t)count * REQUEST_LENGTH;
  if (send(connection->fd, batch, length, MSG_NOSIGNAL) != (ssize_t)length) lose(connection);
}

/* Counts bodies, also one that was split between two reads. "H" stands in the
 * body once, so a mismatch starts over at most one byte back. */
static int count_bodies(struct connection *connection, const char *data, ssize_t length) {
  int count = 0, matched = connection->matched;
  ssize_t at = 0;
  for (; at < length && matched != 0; at++) {
    if (data[at] != body[matched]) {
      matched = data[at] == body[0];
    } else if (++matched == BODY_LENGTH) {
      count++;
      matched = 0;
    }
  }
  if (at < length) {
    const char *from = data + at, *limit = data + length, *found;
    while (from < limit && (found = memmem(from, (size_t)(limit - from), body, BODY_LENGTH))) {
      count++;
      from = found + BODY_LENGTH;
    }
    for (matched = BODY_LENGTH - 1; matched > 0; matched--)
      if (limit - from >= matched && memcmp(limit - matched, body, (size_t)matched) == 0) break;
  }
  connection->matched = matched;
  return count;
}

static void receive(struct connection *connection) {
  static char input[65536];
  if (connection->fd < 0) return;
  ssize_t got = recv(connection->fd, input, sizeof input, MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) {
    lose(connection);
    return;
  }
  int count = count_bodies(connection, input, got);
  received_bytes += got;
  replies += count;
  connection->awaited -= count;
  if (connection->awaited < 0) {
    fprintf(stderr, "pipeline: more replies than requests\n");
    exit(1);
  }
  if (connection->awaited == 0) send_batch(connection);
}

/* Runs until `count` requests are answered, or until the time is over and the
 * replies under way are in. */
static double run(int64_t count, double seconds) {
  double start = now(), end = start + seconds;
  unsent = count;
  replies = received_bytes = lost = 0;
  for (int i = 0; i < connection_count; i++)
    if (connections[i].fd >= 0) send_batch(&connections[i]);
  for (;;) {
    if (seconds > 0 && unsent > 0 && now() >= end) unsent = 0;
    int waiting = 0;
    for (int i = 0; i < connection_count && !waiting; i++) waiting = connections[i].awaited > 0;
    if (!waiting) break;
    struct epoll_event events[256];
    int ready = epoll_wait(poller, events, 256, 1000);
    for (int i = 0; i < ready; i++) receive(events[i].data.ptr);
  }
  return now() - start;
}

static void report(double seconds) {
  printf("{\"requests\": %lld, \"seconds\": %.6f, \"bytes\": %lld, \"lost\": %lld}\n",
         (long long)replies, seconds, (long long)received_bytes,
         (long long)lost + connection_count - live);
  fflush(stdout);
}

int main(int argc, char **argv) {
  int by_time = argc > 5 && strcmp(argv[4], "seconds") == 0;
  if (argc < 6 || (!by_time && strcmp(argv[4], "requests") != 0)) {
    fprintf(stderr, "usage: pipeline PORT CONNECTIONS DEPTH seconds|requests NUMBER [step]\n");
    return 2;
  }
  connection_count = atoi(argv[2]);
  depth = atoi(argv[3]);
  if (connection_count < 1 || connection_count > MAX_CONNECTIONS || depth < 1 ||
      depth > MAX_DEPTH) {
    fprintf(stderr, "pipeline: 1 to 1024 connections, 1 to 256 requests at once\n");
    return 2;
  }
  double seconds = by_time ? atof(argv[5]) : 0;
  int64_t count = by_time ? INT64_MAX / 2 : atoll(argv[5]);
  int stepwise = argc > 6 && strcmp(argv[6], "step") == 0;
  alarm(TIME_LIMIT);
  for (int i = 0; i < depth; i++) memcpy(batch + i * REQUEST_LENGTH, request, REQUEST_LENGTH);
  poller = epoll_create1(EPOLL_CLOEXEC);
  for (int i = 0; i < connection_count; i++) open_connection(&connections[i], atoi(argv[1]));
  if (!stepwise) {
    report(run(count, seconds));
    return 0;
  }
  run(connection_count * (int64_t)depth, 0);
  printf("ready\n");
  fflush(stdout);
  char line[16];
  while (fgets(line, sizeof line, stdin) != NULL) report(run(count, seconds));
  return 0;
}
