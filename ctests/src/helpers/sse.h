/*
 * sse.h - a raw reader of event streams, not built from the library: it takes the head
 * of the reply and its chunks apart, and compares what is in them byte by byte.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef APUS_CTESTS_SSE_H
#define APUS_CTESTS_SSE_H

#include "harness.h"

struct sse {
  struct client client;
  int chunked;
  /* What has come and was not compared. */
  char *text;
  size_t begin, end, capacity;
};

static inline void sse_ask(struct sse *sse, const char *target, const char *fields) {
  client_format(&sse->client, "GET %s HTTP/1.1\r\nHost: a\r\n%s\r\n", target, fields);
}

/* Takes the head, which must be that of an event stream. */
static inline void sse_head(struct sse *sse) {
  char *line = client_line(&sse->client);
  CHECK_TEXT("HTTP/1.1 200 OK", line);
  free(line);
  int types = 0, stores = 0, buffers = 0, chunks = 0;
  while ((line = client_line(&sse->client)) != NULL && *line != '\0') {
    types += strcmp(line, "Content-Type: text/event-stream") == 0;
    stores += strcmp(line, "Cache-Control: no-store") == 0;
    buffers += strcmp(line, "X-Accel-Buffering: no") == 0;
    chunks += strcmp(line, "Transfer-Encoding: chunked") == 0;
    CHECK(strncmp(line, "Content-Length", 14) != 0);
    free(line);
  }
  CHECK(line != NULL);
  free(line);
  CHECK_INT(1, types);
  CHECK_INT(1, stores);
  CHECK_INT(1, buffers);
  CHECK_INT(sse->chunked, chunks);
}

static inline void sse_begin(struct sse *sse) {
  memset(sse, 0, sizeof *sse);
  sse->chunked = 1;
}

static inline void sse_open(struct sse *sse, int32_t port, const char *target, const char *fields) {
  sse_begin(sse);
  client_open(&sse->client, port);
  sse_ask(sse, target, fields);
  sse_head(sse);
}

static inline void sse_close(struct sse *sse) {
  client_close(&sse->client);
  free(sse->text);
}

static inline void sse_keep(struct sse *sse, const char *data, size_t length) {
  if (sse->end + length > sse->capacity) {
    sse->capacity = (sse->end + length) * 2;
    sse->text = realloc(sse->text, sse->capacity);
    CHECK(sse->text != NULL);
  }
  memcpy(sse->text + sse->end, data, length);
  sse->end += length;
}

/* Takes one chunk; 0 at the end of the stream, which must be a clean one. */
static inline int sse_chunk(struct sse *sse) {
  struct client *client = &sse->client;
  if (!sse->chunked) {
    if (client->begin == client->end && !client_fill(client)) return 0;
    sse_keep(sse, client->data + client->begin, client->end - client->begin);
    client->begin = client->end;
    return 1;
  }
  char *line = client_line(client);
  if (line == NULL) return 0;
  char *rest;
  size_t length = strtoul(line, &rest, 16);
  CHECK(rest != line && *rest == '\0');
  free(line);
  while (client->end - client->begin < length + 2) CHECK_INT(1, client_fill(client));
  sse_keep(sse, client->data + client->begin, length);
  CHECK_BYTES("\r\n", 2, client->data + client->begin + length, 2);
  client->begin += length + 2;
  return length > 0;
}

/* The next event, comment or time, up to its blank line, to be freed; NULL at the end. */
static inline char *sse_block(struct sse *sse) {
  for (;;) {
    char *start = sse->text + sse->begin;
    char *end = sse->end > sse->begin ? memmem(start, sse->end - sse->begin, "\n\n", 2) : NULL;
    if (end != NULL) {
      size_t length = (size_t)(end + 2 - start);
      char *block = malloc(length + 1);
      CHECK(block != NULL);
      memcpy(block, start, length);
      block[length] = '\0';
      sse->begin += length;
      return block;
    }
    if (sse->begin > 65536) {
      memmove(sse->text, start, sse->end - sse->begin);
      sse->end -= sse->begin;
      sse->begin = 0;
    }
    if (!sse_chunk(sse)) return NULL;
  }
}

static inline void sse_expect_at(const char *file, int line, struct sse *sse, const char *text) {
  char *block = sse_block(sse);
  harness_check_text(file, line, "the next block", text, block);
  free(block);
}
#define SSE_EXPECT(sse, text) sse_expect_at(__FILE__, __LINE__, (sse), (text))

/* The stream ends here. */
#define SSE_ENDS(sse) CHECK(sse_block(sse) == NULL)

#endif /* APUS_CTESTS_SSE_H */
