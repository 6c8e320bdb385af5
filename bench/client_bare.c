/*
 * client_bare.c - the floor: a fixed request on kept sockets, and no more of HTTP than
 * where a response ends. One socket blocks; many are watched by epoll.
 *
 *   client_bare PORT PATH COUNT IN_FLIGHT
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "client_figures.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFFER (64 * 1024)

static char request[512];
static size_t request_length;
static long long bytes;

static int dial(int port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  int one = 1, peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(peer, (struct sockaddr *)&address, sizeof address) != 0) fail("connect");
  setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  return peer;
}

static void ask(int peer) {
  if (send(peer, request, request_length, MSG_NOSIGNAL) != (ssize_t)request_length) fail("send");
}

/* One response, whose head comes whole in the first read. */
static void take(int peer, char *buffer) {
  ssize_t got = recv(peer, buffer, BUFFER - 1, 0);
  if (got <= 0) fail("the server closed");
  buffer[got] = 0;
  char *end = strstr(buffer, "\r\n\r\n"), *field = strcasestr(buffer, "\r\nContent-Length:");
  if (end == NULL || field == NULL || strncmp(buffer, "HTTP/1.1 200", 12) != 0) fail("no 200");
  long long left = atoll(field + 17) - (buffer + got - (end + 4));
  bytes += atoll(field + 17);
  while (left > 0) {
    got = recv(peer, buffer, BUFFER, 0);
    if (got <= 0) fail("the server closed");
    left -= got;
  }
}

static void one_by_one(int peer, long long number) {
  static char buffer[BUFFER];
  for (long long i = 0; i < number; i++) {
    ask(peer);
    take(peer, buffer);
  }
}

static void in_flight(int poller, const int *peers, int depth, long long number) {
  static char buffer[BUFFER];
  struct epoll_event events[256];
  long long left = number - depth, done = 0;
  for (int i = 0; i < depth; i++) ask(peers[i]);
  while (done < number) {
    int count = epoll_wait(poller, events, 256, -1);
    for (int i = 0; i < count; i++) {
      take(events[i].data.fd, buffer);
      done++;
      if (left-- > 0) ask(events[i].data.fd);
    }
  }
}

int main(int argc, char **argv) {
  if (argc != 5) fail("usage: client_bare PORT PATH COUNT IN_FLIGHT");
  int port = atoi(argv[1]), depth = atoi(argv[4]);
  long long number = atoll(argv[3]);
  struct figures mark;
  request_length = (size_t)snprintf(request, sizeof request,
                                    "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n", argv[2], port);
  if (depth <= 1) {
    int peer = dial(port);
    if (depth > 0) one_by_one(peer, WARM_UP);
    figures_mark(&mark);
    bytes = 0;
    one_by_one(peer, number);
  } else {
    int peers[1024], poller = epoll_create1(EPOLL_CLOEXEC);
    if (depth > 1024) fail("at most 1024 in flight");
    for (int i = 0; i < depth; i++) {
      peers[i] = dial(port);
      struct epoll_event event = {.events = EPOLLIN, .data.fd = peers[i]};
      epoll_ctl(poller, EPOLL_CTL_ADD, peers[i], &event);
    }
    in_flight(poller, peers, depth, WARM_UP);
    figures_mark(&mark);
    bytes = 0;
    in_flight(poller, peers, depth, number);
  }
  figures_say(&mark, number, bytes);
  return 0;
}
