/*
 * ws_reference.c - the floor of the WebSocket servers: one thread, one epoll
 * loop, and frames that are unmasked and sent back, all those of one read in one
 * send. It checks nothing, answers any handshake with the one key that the loads
 * send, and knows no control frames: it is no WebSocket server, but the cost of
 * the system calls and of unmasking.
 *
 * A text is an order: "sN" sends N messages of 64 bytes to all other channels,
 * each by a send of its own, and "pN" sends them with one send for each channel.
 *
 * Usage: ws_reference PORT
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

enum { MAX_EVENTS = 256, MAX_DESCRIPTORS = 1 << 20, INPUT = 1 << 18, STASH = 1 << 17 };
enum { PUBLISHED = 64, FRAME = PUBLISHED + 2, MAX_BURST = 1024 };

struct peer {
  uint8_t is_open;
  uint32_t stashed; /* bytes of a frame that is not whole yet */
  char *stash;
};

static struct peer *peers; /* by descriptor */
static int highest;
static char input[INPUT + STASH], output[INPUT + STASH], burst[MAX_BURST * FRAME];

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

static void drop(int fd) {
  free(peers[fd].stash);
  peers[fd] = (struct peer){0};
  close(fd);
}

/* A peer that does not take what it is sent is cut off: the loads always do. */
static void transmit(int fd, const char *data, size_t length) {
  if (send(fd, data, length, MSG_NOSIGNAL) != (ssize_t)length) drop(fd);
}

static void unmask(char *to, const char *from, size_t length, uint32_t key) {
  uint64_t wide = (uint64_t)key << 32 | key, word;
  size_t at = 0;
  for (; at + 8 <= length; at += 8) {
    memcpy(&word, from + at, 8);
    word ^= wide;
    memcpy(to + at, &word, 8);
  }
  for (; at < length; at++) to[at] = (char)(from[at] ^ (char)(key >> at % 4 * 8));
}

static void publish(int from, const char *order, size_t length) {
  char text[16] = {0};
  memcpy(text, order, length < sizeof text ? length : sizeof text - 1);
  int count = atoi(text + 1);
  if (count < 1 || count > MAX_BURST) return;
  size_t at_once = text[0] == 'p' ? (size_t)count : 1;
  for (size_t sent = 0; sent < (size_t)count; sent += at_once)
    for (int fd = 0; fd <= highest; fd++)
      if (peers[fd].is_open && fd != from) transmit(fd, burst, at_once * FRAME);
}

/* Answers all frames that are whole; returns the bytes that they were. */
static size_t echo(int fd, const char *data, size_t length) {
  size_t at = 0, out = 0;
  for (;;) {
    size_t left = length - at, header = 2;
    const uint8_t *frame = (const uint8_t *)data + at;
    if (left < 2) break;
    size_t size = frame[1] & 127;
    if (size == 126) {
      header = 4;
      if (left < 4) break;
      size = (size_t)frame[2] << 8 | frame[3];
    }
    if (left < header + 4 + size) break;
    uint32_t key;
    memcpy(&key, frame + header, 4);
    memcpy(output + out, frame, header);
    output[out + 1] &= 127;
    unmask(output + out + header, data + at + header + 4, size, key);
    if ((frame[0] & 15) == 1)
      publish(fd, output + out + header, size);
    else
      out += header + size;
    at += header + 4 + size;
  }
  if (out > 0) transmit(fd, output, out);
  return at;
}

static void shake_hands(int fd, size_t length) {
  static const char answer[] =
      "HTTP/1.1 101 Switching Protocols\r\n"
      "Upgrade: websocket\r\n"
      "Connection: Upgrade\r\n"
      "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
      "\r\n";
  if (length < 4 || memcmp(input + length - 4, "\r\n\r\n", 4) != 0) {
    drop(fd);
    return;
  }
  peers[fd].is_open = 1;
  if (fd > highest) highest = fd;
  transmit(fd, answer, sizeof answer - 1);
}

static void serve(int fd) {
  struct peer *peer = &peers[fd];
  if (peer->stashed) memcpy(input, peer->stash, peer->stashed);
  ssize_t got = recv(fd, input + peer->stashed, INPUT, 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) {
    drop(fd);
    return;
  }
  size_t length = peer->stashed + (size_t)got;
  if (!peer->is_open) {
    shake_hands(fd, length);
    return;
  }
  size_t used = echo(fd, input, length);
  if (!peer->is_open) return;
  peer->stashed = (uint32_t)(length - used);
  if (peer->stashed == 0) return;
  if (peer->stash == NULL) peer->stash = malloc(STASH);
  if (peer->stash == NULL || peer->stashed > STASH)
    drop(fd);
  else
    memcpy(peer->stash, input + used, peer->stashed);
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
  struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
  if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) != 0) close(fd);
}

int main(int argc, char **argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: ws_reference PORT\n");
    return 2;
  }
  int port = atoi(argv[1]);
  for (int i = 0; i < MAX_BURST; i++) {
    char *frame = burst + i * FRAME;
    frame[0] = (char)0x82;
    frame[1] = PUBLISHED;
    for (int byte = 0; byte < PUBLISHED; byte++) frame[2 + byte] = (char)('a' + byte % 26);
  }
  peers = calloc(MAX_DESCRIPTORS, sizeof *peers);
  if (peers == NULL) die("calloc");
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
