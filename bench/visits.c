/*
 * visits.c - a load of connections that make one request each: opens one, sends a
 * GET, reads the answer, and opens the next in its place.
 *
 * Usage: visits PORT COUNT AT_ONCE
 *
 * With AT_ONCE equal to COUNT, all are open at the same time. The result is a line
 * of JSON: the time it took, and for each connection in the order of opening the
 * thread that answered it, as the server's field X-Thread has it. The program ends
 * by itself after two minutes in any case.
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
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_COUNT = 1000000, MAX_AT_ONCE = 8192, TIME_LIMIT = 120 };

static const char request[] = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
static const char field[] = "X-Thread: ";

static int poller, port, count, opened, answered;
static char *threads; /* by the order of opening */

static void die(const char *what) {
  perror(what);
  exit(1);
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void open_next(void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) die("socket");
  if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) die("connect");
  /* A reset at the end leaves no port in TIME_WAIT. */
  struct linger linger = {.l_onoff = 1, .l_linger = 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
  struct epoll_event event = {.events = EPOLLIN};
  event.data.u64 = (uint64_t)(uint32_t)fd << 32 | (uint32_t)opened++;
  if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) != 0) die("epoll_ctl");
  if (send(fd, request, sizeof request - 1, MSG_NOSIGNAL) < 0) die("send");
}

/* An answer is short enough to come in one piece. */
static void receive(int fd, int index) {
  char input[4096];
  ssize_t got = recv(fd, input, sizeof input, MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) die("recv");
  const char *found = memmem(input, (size_t)got, field, sizeof field - 1);
  if (found == NULL || memmem(input, (size_t)got, "Hello, World!", 13) == NULL) {
    fprintf(stderr, "visits: not the answer that was expected\n");
    exit(1);
  }
  threads[index] = found[sizeof field - 1];
  answered++;
  if (opened == count) return; /* the last ones stay open until the end */
  close(fd);
  open_next();
}

int main(int argc, char **argv) {
  int at_once = argc == 4 ? atoi(argv[3]) : 0;
  count = argc == 4 ? atoi(argv[2]) : 0;
  if (at_once < 1 || at_once > MAX_AT_ONCE || count < at_once || count > MAX_COUNT) {
    fprintf(stderr, "usage: visits PORT COUNT AT_ONCE, up to 1000000 and 8192\n");
    return 2;
  }
  alarm(TIME_LIMIT);
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
  port = atoi(argv[1]);
  threads = calloc((size_t)count + 1, 1);
  poller = epoll_create1(EPOLL_CLOEXEC);
  if (threads == NULL || poller < 0) die("start");
  double start = now();
  for (int i = 0; i < at_once; i++) open_next();
  while (answered < count) {
    struct epoll_event events[256];
    int ready = epoll_wait(poller, events, 256, 1000);
    for (int i = 0; i < ready; i++)
      receive((int)(events[i].data.u64 >> 32), (int)(uint32_t)events[i].data.u64);
  }
  printf("{\"requests\": %d, \"seconds\": %.6f, \"threads\": \"%s\"}\n", answered, now() - start,
         threads);
  return 0;
}
