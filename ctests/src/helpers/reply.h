/*
 * reply.h - a parser of replies by the grammar of RFC 9112, which takes nothing
 * on trust: the smallest slip of the server fails the test.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef APUS_CTESTS_REPLY_H
#define APUS_CTESTS_REPLY_H

#include "client.h"

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

#endif /* APUS_CTESTS_REPLY_H */
