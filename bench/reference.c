/*
 * reference.c - the floor that the servers are measured against: one thread,
 * one epoll loop, one canned answer. It looks for nothing but the empty line
 * that ends a request's head, so it is no HTTP server; it is the cost of the
 * system calls that every server must make, and hardly anything else.
 *
 * Usage: reference PORT
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
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_EVENTS = 256, MAX_BATCH = 256, MAX_DESCRIPTORS = 1 << 20 };

/* A Date field stands here so that the answer is as long as the others'. */
static const char answer[] =
    "HTTP/1.1 200 OK\r\n"
    "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
    "X-Bench: 1\r\n"
    "Content-Type: text/plain\r\n"
    "Content-Length: 13\r\n"
    "\r\n"
    "Hello, World!";
enum { ANSWER_LENGTH = sizeof answer - 1 };

static char batch[MAX_BATCH * ANSWER_LENGTH]; /* the answer, many times over */
static uint8_t *matched; /* by descriptor: bytes of "\r\n\r\n" seen at the end */

static void die(const char *what) {
  perror(what);
  exit(1);
}

static int listen_on(int port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0) die("bind");
  if (listen(fd, 1024) != 0) die("listen");
  return fd;
}

/* Counts the ends of heads, also one that was split between two reads. */
static int count_heads(int fd, const char *data, ssize_t length) {
  static const char end[] = "\r\n\r\n";
  int heads = 0;
  ssize_t at = 0;
  int state = matched[fd];
  for (; at < length && state != 0; at++) {
    if (data[at] != end[state]) {
      state = data[at] == '\r';
      if (state == 0) break;
    } else if (++state == 4) {
      heads++;
      state = 0;
    }
  }
  const char *from = data + at, *limit = data + length, *found;
  while (from < limit && (found = memmem(from, (size_t)(limit - from), end, 4)) != NULL) {
    heads++;
    from = found + 4;
    state = 0;
  }
  if (from < limit) {
    for (state = 3; state > 0; state--)
      if (limit - from >= state && memcmp(limit - state, end, (size_t)state) == 0) break;
  }
  matched[fd] = (uint8_t)state;
  return heads;
}

/* Answers what one read brings. A peer that does not take its answers is cut
 * off: the loads that are run against this program always do. */
static void serve(int fd) {
  char input[16384];
  ssize_t got = recv(fd, input, sizeof input, 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) {
    close(fd);
    return;
  }
  int heads = count_heads(fd, input, got);
  while (heads > 0) {
    int now = heads < MAX_BATCH ? heads : MAX_BATCH;
    size_t length = (size_t)now * ANSWER_LENGTH;
    if (send(fd, batch, length, MSG_NOSIGNAL) != (ssize_t)length) {
      close(fd);
      return;
    }
    heads -= now;
  }
}

static void accept_one(int poller, int listener) {
  int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd < 0) return;
  if (fd >= MAX_DESCRIPTORS) {
    close(fd);
    return;
  }
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  matched[fd] = 0;
  struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
  if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) != 0) close(fd);
}

int main(int argc, char **argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: reference PORT\n");
    return 2;
  }
  int port = atoi(argv[1]);
  for (int i = 0; i < MAX_BATCH; i++) memcpy(batch + i * ANSWER_LENGTH, answer, ANSWER_LENGTH);
  matched = calloc(MAX_DESCRIPTORS, 1);
  if (matched == NULL) die("calloc");
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
  int listener = listen_on(port);
  int poller = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};
  epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
  printf("ready %d\n", port);
  fflush(stdout);
  for (;;) {
    struct epoll_event events[MAX_EVENTS];
    int count = epoll_wait(poller, events, MAX_EVENTS, -1);
    for (int i = 0; i < count; i++) {
      if (events[i].data.fd == listener)
        accept_one(poller, listener);
      else
        serve(events[i].data.fd);
    }
  }
}
