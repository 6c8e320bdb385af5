/*
 * harness.h - what the C tests share: checks that say where and what, a raw
 * HTTP client that takes nothing on trust, and a server that is driven in any
 * of the four modes, so that one source tests them all.
 *
 * The client is deliberately not built from the library: it opens sockets
 * itself and parses each reply by the grammar of RFC 9112, failing the test on
 * the smallest slip. Everything here is bounded by one generous deadline, and
 * nothing here sleeps in the hope that something has happened meanwhile.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef APUS_CTESTS_HARNESS_H
#define APUS_CTESTS_HARNESS_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <apus.h>

#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* How long anything may take before the test counts as failed. */
#define HARNESS_DEADLINE_MS 20000
/* How long a whole test program may take. */
#define HARNESS_WATCHDOG_S 240

/* ------------------------------------------------------------------ checks */

static atomic_llong harness_checks;

/* Ends the process at once: other threads may be anywhere, so no exit hooks. */
static inline void harness_fail(const char *file, int line, const char *format, ...)
    __attribute__((noreturn, format(printf, 3, 4)));

static inline void harness_fail(const char *file, int line, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fprintf(stderr, "%s:%d: ", file, line);
  vfprintf(stderr, format, arguments);
  fprintf(stderr, "\n");
  va_end(arguments);
  fflush(stdout);
  fflush(stderr);
  _exit(1);
}

static inline void harness_check_int(const char *file, int line, const char *what,
                                     long long expected, long long got) {
  atomic_fetch_add(&harness_checks, 1);
  if (expected != got) {
    harness_fail(file, line, "%s: expected %lld, got %lld (last error: %s, %s)", what, expected,
                 got, apus_error_name(apus_last_error()), apus_last_error_message());
  }
}

static inline void harness_check_text(const char *file, int line, const char *what,
                                      const char *expected, const char *got) {
  atomic_fetch_add(&harness_checks, 1);
  if (got == NULL || strcmp(expected, got) != 0) {
    harness_fail(file, line, "%s: expected \"%s\", got %s%.2000s%s", what, expected,
                 got == NULL ? "" : "\"", got == NULL ? "NULL" : got, got == NULL ? "" : "\"");
  }
}

static inline void harness_check_bytes(const char *file, int line, const char *what,
                                       const void *expected, size_t expected_length,
                                       const void *got, size_t got_length) {
  atomic_fetch_add(&harness_checks, 1);
  if (expected_length != got_length) {
    harness_fail(file, line, "%s: expected %zu bytes, got %zu", what, expected_length, got_length);
  }
  for (size_t i = 0; i < got_length; i++) {
    if (((const unsigned char *)expected)[i] != ((const unsigned char *)got)[i]) {
      harness_fail(file, line, "%s: byte %zu differs", what, i);
    }
  }
}

#define CHECK(condition)                                                                \
  do {                                                                                  \
    atomic_fetch_add(&harness_checks, 1);                                               \
    if (!(condition)) {                                                                 \
      harness_fail(__FILE__, __LINE__, "not true: %s (last error: %s, %s)", #condition, \
                   apus_error_name(apus_last_error()), apus_last_error_message());      \
    }                                                                                   \
  } while (0)
#define CHECK_INT(expected, got) \
  harness_check_int(__FILE__, __LINE__, #got, (long long)(expected), (long long)(got))
#define CHECK_TEXT(expected, got) harness_check_text(__FILE__, __LINE__, #got, (expected), (got))
#define CHECK_BYTES(expected, expected_length, got, got_length) \
  harness_check_bytes(__FILE__, __LINE__, #got, (expected), (expected_length), (got), (got_length))
/* A call that fails: its result, and the thread's last error, are the code. */
#define CHECK_CODE(code, call)            \
  do {                                    \
    CHECK_INT((code), (call));            \
    CHECK_INT((code), apus_last_error()); \
  } while (0)
/* A call that returns 0 or NULL and leaves the code. */
#define CHECK_NONE(code, call)            \
  do {                                    \
    CHECK((call) == 0);                   \
    CHECK_INT((code), apus_last_error()); \
  } while (0)

static inline int64_t harness_now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Lets others run for a moment, between two looks at a condition. */
static inline void harness_breathe(void) {
  struct timespec moment = {0, 500000};
  nanosleep(&moment, NULL);
}

/* Looks until the condition holds; fails after the deadline. */
#define EVENTUALLY(condition)                                                  \
  do {                                                                         \
    int64_t harness_limit = harness_now_ms() + HARNESS_DEADLINE_MS;            \
    while (!(condition)) {                                                     \
      if (harness_now_ms() > harness_limit) {                                  \
        harness_fail(__FILE__, __LINE__, "did not come true: %s", #condition); \
      }                                                                        \
      harness_breathe();                                                       \
    }                                                                          \
    atomic_fetch_add(&harness_checks, 1);                                      \
  } while (0)

/* ------------------------------------------------- the process, from /proc */

static inline int harness_count_entries(const char *path) {
  DIR *directory = opendir(path);
  if (directory == NULL) harness_fail(__FILE__, __LINE__, "cannot read %s", path);
  int count = 0;
  for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
    if (entry->d_name[0] != '.') count++;
  }
  closedir(directory);
  return count;
}

/* The descriptors of this process (one of them is the directory's own). */
static inline int harness_descriptors(void) { return harness_count_entries("/proc/self/fd"); }
static inline int harness_threads(void) { return harness_count_entries("/proc/self/task"); }

/* ------------------------------------------------------------------ client */

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

/* Connects to 127.0.0.1; a receive_buffer above 0 keeps the window small. */
static inline void client_open_small(struct client *client, int32_t port, int receive_buffer) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  CHECK(fd >= 0);
  if (receive_buffer > 0) {
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
  }
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int result = connect(fd, (struct sockaddr *)&address, sizeof address);
  if (result != 0) harness_fail(__FILE__, __LINE__, "connect: %s", strerror(errno));
  client_adopt(client, fd);
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

/* ------------------------------------------------------------------ replies */

#define REPLY_FIELDS 256

struct reply_field {
  char *name; /* owns the line */
  char *value;
};

struct reply {
  int version; /* 10 or 11 */
  int status;
  char reason[256];
  struct reply_field fields[REPLY_FIELDS];
  size_t field_count;
  struct reply_field trailers[REPLY_FIELDS];
  size_t trailer_count;
  char *body; /* a NUL follows */
  size_t body_length, body_capacity;
  int chunked, until_close;
  int64_t content_length; /* -1: no such field */
};

/* How much of a reply there was. */
enum { REPLY_CUT = -1, REPLY_NONE = 0, REPLY_WHOLE = 1 };

static inline void reply_free(struct reply *reply) {
  for (size_t i = 0; i < reply->field_count; i++) free(reply->fields[i].name);
  for (size_t i = 0; i < reply->trailer_count; i++) free(reply->trailers[i].name);
  free(reply->body);
  memset(reply, 0, sizeof *reply);
}

static inline const char *reply_find(const struct reply_field *fields, size_t count,
                                     const char *name, size_t *found) {
  const char *value = NULL;
  *found = 0;
  for (size_t i = 0; i < count; i++) {
    if (strcasecmp(fields[i].name, name) != 0) continue;
    if (value == NULL) value = fields[i].value;
    (*found)++;
  }
  return value;
}

/* The value of a field that is there at most once, or NULL. */
static inline const char *reply_field(const struct reply *reply, const char *name) {
  size_t found;
  const char *value = reply_find(reply->fields, reply->field_count, name, &found);
  if (found > 1) harness_fail(__FILE__, __LINE__, "%zu fields %s", found, name);
  return value;
}

static inline const char *reply_trailer(const struct reply *reply, const char *name) {
  size_t found;
  return reply_find(reply->trailers, reply->trailer_count, name, &found);
}

/* Whether a comma-separated field holds a token (case ignored). */
static inline int reply_lists(const struct reply *reply, const char *name, const char *token) {
  const char *value = reply_field(reply, name);
  size_t length = strlen(token);
  while (value != NULL && *value != '\0') {
    value += strspn(value, ", \t");
    size_t item = strcspn(value, ", \t");
    if (item == length && strncasecmp(value, token, length) == 0) return 1;
    value += item;
  }
  return 0;
}

static inline int harness_is_token(unsigned char byte) {
  return isalnum(byte) || (byte != 0 && strchr("!#$%&'*+-.^_`|~", byte) != NULL);
}

/* The next line without its CRLF, to be freed; NULL if the peer ended first. A
 * CR or LF anywhere else, or a NUL, is a failure (RFC 9112 section 2.2). */
static inline char *client_line(struct client *client) {
  size_t seen = 0;
  for (;;) {
    const char *start = client->data + client->begin;
    size_t length = client->end - client->begin;
    const char *end = length > seen ? memchr(start + seen, '\n', length - seen) : NULL;
    if (end != NULL) {
      size_t size = (size_t)(end - start);
      if (size == 0 || start[size - 1] != '\r') {
        harness_fail(__FILE__, __LINE__, "a line of a reply ends in a bare LF");
      }
      size--;
      if (memchr(start, '\r', size) != NULL || memchr(start, '\0', size) != NULL) {
        harness_fail(__FILE__, __LINE__, "CR or NUL inside a line of a reply");
      }
      char *line = malloc(size + 1);
      CHECK(line != NULL);
      memcpy(line, start, size);
      line[size] = '\0';
      client->begin += size + 2;
      return line;
    }
    seen = length;
    if (length > (1 << 20)) harness_fail(__FILE__, __LINE__, "a line of over a megabyte");
    if (!client_fill(client)) return NULL;
  }
}

/* status-line = HTTP-version SP status-code SP [ reason-phrase ] */
static inline void reply_parse_status(struct reply *reply, const char *line) {
  unsigned minor;
  int valid = strncmp(line, "HTTP/1.", 7) == 0 && isdigit((unsigned char)line[7]) &&
              line[8] == ' ' && isdigit((unsigned char)line[9]) &&
              isdigit((unsigned char)line[10]) && isdigit((unsigned char)line[11]) &&
              line[12] == ' ';
  if (!valid) harness_fail(__FILE__, __LINE__, "not a status line: \"%s\"", line);
  minor = (unsigned)(line[7] - '0');
  if (minor > 1) harness_fail(__FILE__, __LINE__, "a reply of HTTP/1.%u", minor);
  reply->version = 10 + (int)minor;
  reply->status = atoi(line + 9);
  if (reply->status < 100 || reply->status > 599) {
    harness_fail(__FILE__, __LINE__, "status %d", reply->status);
  }
  for (const char *at = line + 13; *at != '\0'; at++) {
    if ((unsigned char)*at < ' ' || *at == 127) {
      harness_fail(__FILE__, __LINE__, "control character in the reason phrase");
    }
  }
  snprintf(reply->reason, sizeof reply->reason, "%s", line + 13);
}

/* field-line = field-name ":" OWS field-value OWS; takes the line over. */
static inline void reply_parse_field(struct reply_field *fields, size_t *count, char *line) {
  size_t length = 0;
  while (harness_is_token((unsigned char)line[length])) length++;
  if (length == 0 || line[length] != ':') {
    harness_fail(__FILE__, __LINE__, "not a field line: \"%s\"", line);
  }
  if (*count == REPLY_FIELDS) harness_fail(__FILE__, __LINE__, "too many fields in a reply");
  line[length] = '\0';
  char *value = line + length + 1;
  value += strspn(value, " \t");
  size_t size = strlen(value);
  while (size > 0 && (value[size - 1] == ' ' || value[size - 1] == '\t')) value[--size] = '\0';
  for (size_t i = 0; i < size; i++) {
    unsigned char byte = (unsigned char)value[i];
    if ((byte < ' ' && byte != '\t') || byte == 127) {
      harness_fail(__FILE__, __LINE__, "control character in field %s", line);
    }
  }
  fields[*count].name = line;
  fields[*count].value = value;
  (*count)++;
}

/* Field lines up to the empty one; 0 if the peer ended first. */
static inline int reply_read_fields(struct client *client, struct reply_field *fields,
                                    size_t *count) {
  for (;;) {
    char *line = client_line(client);
    if (line == NULL) return 0;
    if (line[0] == '\0') {
      free(line);
      return 1;
    }
    reply_parse_field(fields, count, line);
  }
}

/* The two fields that frame a message, each at most once, never both. */
static inline void reply_parse_framing(struct reply *reply) {
  const char *length = reply_field(reply, "Content-Length");
  const char *coding = reply_field(reply, "Transfer-Encoding");
  reply->content_length = -1;
  if (length != NULL) {
    if (length[0] == '\0' || strspn(length, "0123456789") != strlen(length) ||
        strlen(length) > 15) {
      harness_fail(__FILE__, __LINE__, "Content-Length: %s", length);
    }
    reply->content_length = atoll(length);
  }
  if (coding != NULL && strcmp(coding, "chunked") != 0) {
    harness_fail(__FILE__, __LINE__, "Transfer-Encoding: %s", coding);
  }
  reply->chunked = coding != NULL;
  int both = length != NULL && coding != NULL;
  int bare = reply->status < 200 || reply->status == 204;
  if (both || (bare && (length != NULL || coding != NULL)) ||
      (reply->version == 10 && coding != NULL)) {
    harness_fail(__FILE__, __LINE__, "a reply of status %d is framed wrongly", reply->status);
  }
}

/* Moves up to count bytes into the body; 0 if the peer ended first. */
static inline int reply_take(struct client *client, struct reply *reply, uint64_t count) {
  while (count > 0) {
    size_t have = client->end - client->begin;
    if (have == 0) {
      if (!client_fill(client)) return 0;
      continue;
    }
    size_t piece = have < count ? have : (size_t)count;
    if (reply->body_length + piece + 1 > reply->body_capacity) {
      reply->body_capacity = (reply->body_length + piece) * 2 + 1024;
      reply->body = realloc(reply->body, reply->body_capacity);
      CHECK(reply->body != NULL);
    }
    memcpy(reply->body + reply->body_length, client->data + client->begin, piece);
    reply->body_length += piece;
    reply->body[reply->body_length] = '\0';
    client->begin += piece;
    count -= piece;
  }
  return 1;
}

/* chunk = 1*HEXDIG CRLF data CRLF: the server has no use for extensions. */
static inline int reply_read_chunks(struct client *client, struct reply *reply) {
  for (;;) {
    char *line = client_line(client);
    if (line == NULL) return 0;
    size_t digits = strspn(line, "0123456789abcdefABCDEF");
    if (digits == 0 || digits > 12 || line[digits] != '\0') {
      harness_fail(__FILE__, __LINE__, "chunk size \"%s\"", line);
    }
    uint64_t size = strtoull(line, NULL, 16);
    free(line);
    if (size == 0) return reply_read_fields(client, reply->trailers, &reply->trailer_count);
    if (!reply_take(client, reply, size)) return 0;
    line = client_line(client);
    if (line == NULL) return 0;
    if (line[0] != '\0') harness_fail(__FILE__, __LINE__, "no CRLF after a chunk");
    free(line);
  }
}

static inline int reply_read_body(struct client *client, struct reply *reply, const char *method) {
  reply->body = calloc(1, 1);
  reply->body_capacity = 1;
  int none = strcmp(method, "HEAD") == 0 || reply->status < 200 || reply->status == 204 ||
             reply->status == 304;
  if (none) return 1;
  if (reply->chunked) return reply_read_chunks(client, reply);
  if (reply->content_length >= 0) {
    return reply_take(client, reply, (uint64_t)reply->content_length);
  }
  reply->until_close = 1;
  reply_take(client, reply, UINT64_MAX);
  return 1;
}

/* Reads one reply, interim or final, to a request of the method. */
static inline int client_try_reply(struct client *client, const char *method, struct reply *reply) {
  memset(reply, 0, sizeof *reply);
  if (client->begin == client->end && !client_fill(client)) return REPLY_NONE;
  char *line = client_line(client);
  if (line == NULL) return REPLY_CUT;
  reply_parse_status(reply, line);
  free(line);
  if (!reply_read_fields(client, reply->fields, &reply->field_count)) return REPLY_CUT;
  reply_parse_framing(reply);
  return reply_read_body(client, reply, method) ? REPLY_WHOLE : REPLY_CUT;
}

/* Reads one reply, which has to be whole. */
static inline void client_reply(struct client *client, const char *method, struct reply *reply) {
  CHECK_INT(REPLY_WHOLE, client_try_reply(client, method, reply));
}

/* Reads a reply and checks its status and, unless body is NULL, its body. */
static inline void client_expect_at(const char *file, int line, struct client *client,
                                    const char *method, int status, const char *body) {
  struct reply reply;
  int result = client_try_reply(client, method, &reply);
  if (result != REPLY_WHOLE) {
    harness_fail(file, line, "expected a reply of %d, got %s", status,
                 result == REPLY_CUT ? "half a reply" : "the end of the connection");
  }
  harness_check_int(file, line, "status", status, reply.status);
  if (body != NULL) harness_check_text(file, line, "body", body, reply.body);
  reply_free(&reply);
}

#define CLIENT_EXPECT(client, method, status, body) \
  client_expect_at(__FILE__, __LINE__, (client), (method), (status), (body))

/* --------------------------------------------------------------------- app */

enum mode { MODE_TICK, MODE_PULL, MODE_WORKER, MODE_THREADLESS, MODE_COUNT };

static const char *const harness_mode_names[] = {"tick", "pull", "worker", "threadless"};

#define APP_ROUTES 64

struct app_route {
  apus_handler_fn fn;
  void *context;
};

/* A server, and what drives it: make, add routes, start, stop. */
struct app {
  enum mode mode;
  apus_server server;
  int32_t port;
  int driven;
  pthread_t driver;
  struct app_route routes[APP_ROUTES];
};

/* What the pull loop knows about the request that it is handing to a handler:
 * whether it is doing so, and whether the handler kept the request. */
static _Thread_local int harness_pulled;
static _Thread_local int harness_kept;

/* One event of the pull mode: looked up and handed to the handler that the
 * other modes would have called. */
static inline void app_pulled(struct app *app, const apus_event *event) {
  CHECK_INT(APUS_EVENT_REQUEST, event->kind);
  CHECK(event->route >= 0 && event->route < APP_ROUTES);
  CHECK(app->routes[event->route].fn != NULL);
  /* Dead already only if another thread has destroyed the server meanwhile. */
  CHECK(apus_handle_kind(event->handle) == APUS_KIND_REQUEST || !apus_server_is_alive(app->server));
  CHECK(event->connection >= 1);
  harness_pulled = 1;
  harness_kept = 0;
  app->routes[event->route].fn(app->routes[event->route].context, event->handle);
  harness_pulled = 0;
  if (!harness_kept) apus_request_destroy(event->handle);
}

/* How a driving loop has to end: stopped, or destroyed. */
static inline void app_ended(int32_t result) {
  CHECK(result == APUS_E_STATE || result == APUS_E_HANDLE);
}

/* Whether a driving loop goes on. Another thread that stops the server may run
 * the callbacks meanwhile: APUS_E_THREAD, until it has stopped. */
static inline int app_goes_on(int32_t result) {
  if (result == APUS_E_THREAD) harness_breathe();
  return result >= 0 || result == APUS_E_THREAD;
}

static inline void *app_drive(void *context) {
  struct app *app = context;
  int32_t result = 0;
  do {
    if (app->mode == MODE_PULL) {
      apus_event event;
      result = apus_server_next(app->server, &event, -1);
      if (result == 1) app_pulled(app, &event);
    } else {
      result = apus_server_tick(app->server, -1);
    }
  } while (app_goes_on(result));
  app_ended(result);
  return NULL;
}

/* Makes the server of an app, stopped, with the options of its mode. */
static inline void app_make(struct app *app, enum mode mode) {
  memset(app, 0, sizeof *app);
  app->mode = mode;
  app->server = apus_server_make();
  CHECK(app->server != 0);
  CHECK_INT(0, apus_server_set_workers(app->server, mode == MODE_THREADLESS ? 0 : 2));
  int32_t dispatch = mode == MODE_WORKER ? APUS_DISPATCH_WORKER : APUS_DISPATCH_TICK;
  CHECK_INT(0, apus_server_set_dispatch(app->server, dispatch));
}

static inline int32_t app_keep_route(struct app *app, int32_t number, apus_handler_fn fn,
                                     void *context) {
  CHECK(number >= 0 && number < APP_ROUTES);
  app->routes[number] = (struct app_route){fn, context};
  return number;
}

/* Adds a route; in pull mode the server gets no function at all. */
static inline int32_t app_route(struct app *app, int32_t method, const char *pattern,
                                apus_handler_fn fn, void *context) {
  apus_handler_fn given = app->mode == MODE_PULL ? NULL : fn;
  int32_t number = apus_server_route(app->server, method, pattern, given, context, NULL);
  return app_keep_route(app, number, fn, context);
}

static inline int32_t app_route_named(struct app *app, const char *method, const char *pattern,
                                      apus_handler_fn fn, void *context) {
  apus_handler_fn given = app->mode == MODE_PULL ? NULL : fn;
  int32_t number = apus_server_route_named(app->server, method, pattern, given, context, NULL);
  return app_keep_route(app, number, fn, context);
}

/* Adds a streamed route: its handler is a callback in each of the modes. */
static inline int32_t app_stream(struct app *app, int32_t method, const char *pattern,
                                 apus_handler_fn fn, void *context) {
  int32_t number = apus_server_route_stream(app->server, method, pattern, fn, context, NULL);
  return app_keep_route(app, number, fn, context);
}

/* Starts the server, which has its listeners, and what drives it. */
static inline void harness_drive(struct app *app) {
  CHECK_INT(0, apus_server_start(app->server));
  app->driven = app->mode != MODE_WORKER;
  if (app->driven) CHECK_INT(0, pthread_create(&app->driver, NULL, app_drive, app));
}

static inline void harness_start(struct app *app) {
  int32_t listener = apus_server_listen(app->server, "127.0.0.1", 0);
  CHECK(listener >= 0);
  app->port = apus_server_port(app->server, listener);
  CHECK(app->port > 0 && app->port < 65536);
  harness_drive(app);
}

/* Stops the server from outside, and waits for its driver. */
static inline void harness_halt(struct app *app) {
  CHECK_INT(0, apus_server_stop(app->server));
  if (app->driven) CHECK_INT(0, pthread_join(app->driver, NULL));
  app->driven = 0;
  CHECK_INT(0, apus_server_is_running(app->server));
}

/* The same, and the end of the server. */
static inline void harness_stop(struct app *app) {
  harness_halt(app);
  CHECK_INT(1, apus_server_destroy(app->server));
  CHECK_INT(0, apus_server_is_alive(app->server));
}

/* Defers in a handler. A pulled request is the caller's already. */
static inline void app_defer(apus_request request) {
  CHECK_INT(harness_pulled ? APUS_E_STATE : APUS_OK, apus_request_defer(request));
  harness_kept = 1;
}

/* What a second reply gives inside the handler: a request that is the caller's
 * dies with its reply, another one lives until its handler returns. */
static inline int32_t app_replied_code(void) {
  return harness_pulled ? APUS_E_HANDLE : APUS_E_STATE;
}

/* -------------------------------------------------------------------- main */

struct harness_case {
  const char *name;
  void (*run)(enum mode mode);
};

static inline void harness_alarm(int number) {
  static const char text[] = "the watchdog ended the test: it hangs\n";
  (void)number;
  if (write(2, text, sizeof text - 1) < 0) _exit(3);
  _exit(2);
}

static inline enum mode harness_mode(const char *name) {
  for (int mode = 0; mode < MODE_COUNT; mode++) {
    if (strcmp(name, harness_mode_names[mode]) == 0) return (enum mode)mode;
  }
  harness_fail(__FILE__, __LINE__, "no such mode: %s", name);
}

/* Runs all cases, or the one that only names. After each of them no handle is
 * left: whatever a case made has ended with its server. */
static inline void *harness_no_work(void *context) { return context; }

/* A sanitizer starts a thread of its own with the first that a program starts;
 * it must be there before any are counted. */
static inline void harness_first_thread(void) {
  pthread_t thread;
  CHECK_INT(0, pthread_create(&thread, NULL, harness_no_work, NULL));
  CHECK_INT(0, pthread_join(thread, NULL));
}

static inline int harness_run(const char *name, enum mode mode, const char *only,
                              const struct harness_case *cases, size_t count) {
  int run = 0;
  harness_first_thread();
  setvbuf(stdout, NULL, _IOLBF, 0);
  signal(SIGALRM, harness_alarm);
  alarm(HARNESS_WATCHDOG_S);
  for (size_t i = 0; i < count; i++) {
    if (only != NULL && strcmp(only, cases[i].name) != 0) continue;
    printf("%s\n", cases[i].name);
    cases[i].run(mode);
    CHECK_INT(0, apus_live_count(0));
    run++;
  }
  CHECK(run > 0);
  printf("%s: cases run %d, right %d (%lld checks)\n", name, run, run,
         (long long)atomic_load(&harness_checks));
  return 0;
}

/* The main function of a program that takes a mode, and maybe a case. */
static inline int harness_main(const char *name, int argc, char **argv,
                               const struct harness_case *cases, size_t count) {
  char label[128];
  const char *mode = argc > 1 ? argv[1] : "tick";
  snprintf(label, sizeof label, "%s %s", name, mode);
  return harness_run(label, harness_mode(mode), argc > 2 ? argv[2] : NULL, cases, count);
}

#define CASES(array) (array), sizeof(array) / sizeof((array)[0])

#endif /* APUS_CTESTS_HARNESS_H */
