/*
 * client.h - a raw client of HTTP over sockets, deliberately not built from the
 * library: it sends what it is told to, byte for byte.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef APUS_CTESTS_CLIENT_H
#define APUS_CTESTS_CLIENT_H

#include "check.h"

/* A connection and what has been received on it but not used yet. */
struct client {
  int fd;
  int ended; /* the peer has closed, or reset, its side */
  int reset; /* it was a reset */
  char *data;
  size_t begin, end, capacity;
};

static inline void client_adopt(struct client *client, int fd) {
  memset(client, 0, sizeof *client);
  client->fd = fd;
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

/*
 * Connects to 127.0.0.1; a receive_buffer above 0 keeps the window small. One that
 * the peer resets before connect() has returned is a connection that was reset.
 */
static inline void client_open_small(struct client *client, int32_t port, int receive_buffer) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  CHECK(fd >= 0);
  if (receive_buffer > 0) {
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
  }
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int result = connect(fd, (struct sockaddr *)&address, sizeof address);
  int reset = result != 0 && (errno == ECONNRESET || errno == ECONNABORTED || errno == EPIPE);
  if (result != 0 && !reset) harness_fail(__FILE__, __LINE__, "connect: %s", strerror(errno));
  client_adopt(client, fd);
  client->ended = client->reset = reset;
}

static inline void client_open(struct client *client, int32_t port) {
  client_open_small(client, port, 0);
}

static inline void client_close(struct client *client) {
  if (client->fd >= 0) close(client->fd);
  free(client->data);
  memset(client, 0, sizeof *client);
  client->fd = -1;
}

/* Leaves with a reset: nobody can take that for a half-close. */
static inline void client_leave(struct client *client) {
  struct linger linger = {.l_onoff = 1, .l_linger = 0};
  setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
  client_close(client);
}

static inline int32_t client_port(const struct client *client) {
  struct sockaddr_in address;
  socklen_t length = sizeof address;
  CHECK_INT(0, getsockname(client->fd, (struct sockaddr *)&address, &length));
  return ntohs(address.sin_port);
}

/* Waits for a socket; 0 when the deadline has passed. */
static inline int client_wait(int fd, short events, int64_t limit) {
  for (;;) {
    int64_t left = limit - harness_now_ms();
    if (left < 0) return 0;
    struct pollfd item = {.fd = fd, .events = events};
    int result = poll(&item, 1, (int)left + 1);
    if (result > 0) return 1;
    if (result < 0 && errno != EINTR) return 0;
  }
}

/* Sends what the peer takes; returns how much that was before it left. */
static inline size_t client_send_some(struct client *client, const void *data, size_t length) {
  int64_t limit = harness_now_ms() + HARNESS_DEADLINE_MS;
  size_t done = 0;
  while (done < length) {
    ssize_t count =
        send(client->fd, (const char *)data + done, length - done, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count >= 0) {
      done += (size_t)count;
      limit = harness_now_ms() + HARNESS_DEADLINE_MS;
    } else if (errno == EAGAIN) {
      if (!client_wait(client->fd, POLLOUT, limit)) {
        harness_fail(__FILE__, __LINE__, "the peer takes nothing");
      }
    } else if (errno != EINTR) {
      break;
    }
  }
  return done;
}

static inline void client_send(struct client *client, const void *data, size_t length) {
  CHECK_INT(length, client_send_some(client, data, length));
}

static inline void client_text(struct client *client, const char *text) {
  client_send(client, text, strlen(text));
}

static inline void client_format(struct client *client, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static inline void client_format(struct client *client, const char *format, ...) {
  char text[8192];
  va_list arguments;
  va_start(arguments, format);
  int length = vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  CHECK(length >= 0 && (size_t)length < sizeof text);
  client_send(client, text, (size_t)length);
}

static inline void client_get(struct client *client, const char *target) {
  client_format(client, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", target);
}

static inline void client_room(struct client *client) {
  if (client->begin == client->end) client->begin = client->end = 0;
  if (client->end < client->capacity) return;
  if (client->begin > 0) {
    memmove(client->data, client->data + client->begin, client->end - client->begin);
    client->end -= client->begin;
    client->begin = 0;
    return;
  }
  client->capacity = client->capacity == 0 ? 65536 : client->capacity * 2;
  client->data = realloc(client->data, client->capacity);
  CHECK(client->data != NULL);
}

/* Receives something; 0 at the end. */
static inline int client_fill(struct client *client) {
  if (client->ended) return 0;
  client_room(client);
  for (;;) {
    if (!client_wait(client->fd, POLLIN, harness_now_ms() + HARNESS_DEADLINE_MS)) {
      harness_fail(__FILE__, __LINE__, "nothing came from the server within the deadline");
    }
    ssize_t count =
        recv(client->fd, client->data + client->end, client->capacity - client->end, MSG_DONTWAIT);
    if (count > 0) {
      client->end += (size_t)count;
      return 1;
    }
    if (count < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    client->reset = count < 0;
    client->ended = 1;
    return 0;
  }
}

/* The peer closes now, having sent nothing more. */
#define CLIENT_ENDS(client)                        \
  do {                                             \
    CHECK_INT(0, (client)->end - (client)->begin); \
    CHECK_INT(0, client_fill(client));             \
    CHECK_INT(0, (client)->reset);                 \
  } while (0)

/* Nothing has come that was not used. */
#define CLIENT_QUIET(client)                                                      \
  do {                                                                            \
    char harness_byte;                                                            \
    CHECK_INT(0, (client)->end - (client)->begin);                                \
    CHECK_INT(-1, recv((client)->fd, &harness_byte, 1, MSG_PEEK | MSG_DONTWAIT)); \
  } while (0)

#endif /* APUS_CTESTS_CLIENT_H */
