/*
 * ws.h - a raw WebSocket client, not built from the library: it masks its frames by
 * hand, sends what it is told to, and takes from the server only what RFC 6455
 * allows. And a log of what listeners were told, in order.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef APUS_CTESTS_WS_H
#define APUS_CTESTS_WS_H

#include "harness.h"

#define WS_KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define WS_ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

/* ------------------------------------------------------------- the handshake */

/* Asks for a WebSocket; fields are further lines with their CRLF. */
static inline void ws_ask(struct client *client, const char *target, const char *fields) {
  client_format(client,
                "GET %s HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                "Sec-WebSocket-Key: " WS_KEY "\r\nSec-WebSocket-Version: 13\r\n%s\r\n",
                target, fields);
}

/* Takes the 101, whose subprotocol must be the one given, or none. */
static inline void ws_accepted(struct client *client, const char *subprotocol) {
  struct reply reply;
  client_reply(client, "GET", &reply);
  CHECK_INT(101, reply.status);
  CHECK_TEXT(WS_ACCEPT, reply_field(&reply, "Sec-WebSocket-Accept"));
  CHECK_TEXT("websocket", reply_field(&reply, "Upgrade"));
  CHECK(reply_lists(&reply, "Connection", "upgrade"));
  CHECK(reply_field(&reply, "Sec-WebSocket-Extensions") == NULL);
  const char *got = reply_field(&reply, "Sec-WebSocket-Protocol");
  if (subprotocol == NULL) {
    CHECK(got == NULL);
  } else {
    CHECK_TEXT(subprotocol, got);
  }
  reply_free(&reply);
}

static inline void ws_open(struct client *client, int32_t port, const char *target) {
  client_open(client, port);
  ws_ask(client, target, "");
  ws_accepted(client, NULL);
}

/* -------------------------------------------------------------------- frames */

#define WS_FINAL 0x80

/* A masked frame in memory, to be freed; first is FIN, RSV and opcode. */
static inline unsigned char *ws_frame(int first, const void *data, size_t length, size_t *size) {
  static const unsigned char key[4] = {0x37, 0xfa, 0x21, 0x3d};
  unsigned char *frame = malloc(length + 14);
  size_t at = 2;
  CHECK(frame != NULL);
  frame[0] = (unsigned char)first;
  frame[1] = (unsigned char)(0x80 | (length < 126 ? length : length < 65536 ? 126 : 127));
  if (length >= 126) {
    for (int shift = length < 65536 ? 8 : 56; shift >= 0; shift -= 8) {
      frame[at++] = (unsigned char)((uint64_t)length >> shift);
    }
  }
  memcpy(frame + at, key, 4);
  at += 4;
  for (size_t i = 0; i < length; i++) frame[at + i] = ((const unsigned char *)data)[i] ^ key[i % 4];
  *size = at + length;
  return frame;
}

static inline void ws_send(struct client *client, int first, const void *data, size_t length) {
  size_t size;
  unsigned char *frame = ws_frame(first, data, length, &size);
  client_send(client, frame, size);
  free(frame);
}

static inline void ws_text(struct client *client, const char *text) {
  ws_send(client, WS_FINAL | APUS_OPCODE_TEXT, text, strlen(text));
}

/* Sends a Close; code 0: without one. */
static inline void ws_close(struct client *client, int code, const char *reason) {
  char payload[256] = {(char)(code >> 8), (char)code};
  size_t length = code == 0 ? 0 : 2 + strlen(reason);
  if (code != 0) memcpy(payload + 2, reason, length - 2);
  ws_send(client, WS_FINAL | APUS_OPCODE_CLOSE, payload, length);
}

/* Waits for so many bytes; 0 if the peer ended first. */
static inline int ws_need(struct client *client, size_t count) {
  while (client->end - client->begin < count) {
    if (!client_fill(client)) return 0;
  }
  return 1;
}

struct ws_got {
  int first;
  size_t length;
  char *data; /* until the next is read */
};

/* Reads a frame, which is not masked and has its shortest length; 0 at the end. */
static inline int ws_read(struct client *client, struct ws_got *got) {
  if (!ws_need(client, 2)) {
    CHECK_INT(0, client->end - client->begin);
    return 0;
  }
  const unsigned char *head = (unsigned char *)client->data + client->begin;
  size_t size = head[1] < 126 ? 2 : head[1] == 126 ? 4 : 10;
  CHECK_INT(0, head[1] & 0x80);
  CHECK_INT(0, head[0] & 0x70);
  CHECK(ws_need(client, size));
  head = (unsigned char *)client->data + client->begin;
  got->first = head[0];
  got->length = head[1] & 0x7f;
  if (size > 2) {
    got->length = 0;
    for (size_t i = 2; i < size; i++) got->length = got->length << 8 | head[i];
    CHECK(got->length > (size == 4 ? 125u : 65535u));
  }
  CHECK(ws_need(client, size + got->length));
  got->data = client->data + client->begin + size;
  client->begin += size + got->length;
  return 1;
}

static inline void ws_expect_at(const char *file, int line, struct client *client, int first,
                                const void *data, size_t length) {
  struct ws_got got;
  if (!ws_read(client, &got)) harness_fail(file, line, "the connection ended");
  if (got.first != first) {
    harness_fail(file, line, "frame %02x of %zu bytes, expected %02x of %zu", got.first, got.length,
                 first, length);
  }
  harness_check_bytes(file, line, "a frame", data, length, got.data, got.length);
}

#define WS_EXPECT(client, first, data, length) \
  ws_expect_at(__FILE__, __LINE__, (client), (first), (data), (length))
#define WS_EXPECT_TEXT(client, text) \
  WS_EXPECT((client), WS_FINAL | APUS_OPCODE_TEXT, (text), strlen(text))

/* A Close of that code (0: none) and reason comes next. */
static inline void ws_expect_close_at(const char *file, int line, struct client *client, int code,
                                      const char *reason) {
  char payload[256] = {(char)(code >> 8), (char)code};
  size_t length = code == 0 ? 0 : 2 + strlen(reason);
  if (code != 0) memcpy(payload + 2, reason, length - 2);
  ws_expect_at(file, line, client, WS_FINAL | APUS_OPCODE_CLOSE, payload, length);
}

#define WS_EXPECT_CLOSE(client, code, reason) \
  ws_expect_close_at(__FILE__, __LINE__, (client), (code), (reason))

/* Reads a Close of a code and whatever reason, skipping other frames. */
#define WS_CLOSED_WITH(client, code)                                                          \
  do {                                                                                        \
    struct ws_got harness_got;                                                                \
    do {                                                                                      \
      CHECK(ws_read((client), &harness_got));                                                 \
    } while ((harness_got.first & 15) != APUS_OPCODE_CLOSE);                                  \
    CHECK(harness_got.length >= 2);                                                           \
    CHECK_INT((code),                                                                         \
              (unsigned char)harness_got.data[0] * 256 + (unsigned char)harness_got.data[1]); \
  } while (0)

/* What was sent before is through: the pong of a ping has come. */
#define WS_SETTLED(client)                                          \
  do {                                                              \
    ws_send((client), WS_FINAL | APUS_OPCODE_PING, "settled", 7);   \
    WS_EXPECT((client), WS_FINAL | APUS_OPCODE_PONG, "settled", 7); \
  } while (0)

/* ------------------------------------------------- what listeners were told */

#define HEARD_MOST 8192

struct heard_item {
  char kind; /* o m p c e d: open, message, pong, close, error, drain */
  int32_t number;
  size_t length;
  uint32_t sum; /* of all bytes */
  char text[48];
  apus_channel channel;
};

struct heard {
  pthread_mutex_t lock;
  int echoes;
  int count;
  struct heard_item items[HEARD_MOST];
  atomic_int drops;
  _Atomic apus_channel channel; /* the latest one that was opened */
};

static inline uint32_t ws_sum(const void *data, size_t length) {
  uint32_t sum = 2166136261u;
  for (size_t i = 0; i < length; i++) sum = (sum ^ ((const unsigned char *)data)[i]) * 16777619u;
  return sum;
}

static inline void heard_reset(struct heard *heard) {
  memset(heard, 0, sizeof *heard);
  pthread_mutex_init(&heard->lock, NULL);
}

static inline void heard_add(struct heard *heard, char kind, apus_channel channel, int32_t number,
                             const void *data, size_t length) {
  pthread_mutex_lock(&heard->lock);
  CHECK(heard->count < HEARD_MOST);
  struct heard_item *item = &heard->items[heard->count++];
  item->kind = kind;
  item->channel = channel;
  item->number = number;
  item->length = length;
  item->sum = ws_sum(data, length);
  if (length > 0) memcpy(item->text, data, length < 47 ? length : 47);
  pthread_mutex_unlock(&heard->lock);
}

static inline int heard_count(struct heard *heard, char kind) {
  int count = 0;
  pthread_mutex_lock(&heard->lock);
  for (int i = 0; i < heard->count; i++) count += kind == 0 || heard->items[i].kind == kind;
  pthread_mutex_unlock(&heard->lock);
  return count;
}

/* The item at an index, once it is there. */
static inline struct heard_item heard_at(struct heard *heard, int index) {
  struct heard_item item;
  EVENTUALLY(heard_count(heard, 0) > index);
  pthread_mutex_lock(&heard->lock);
  item = heard->items[index];
  pthread_mutex_unlock(&heard->lock);
  return item;
}

#define HEARD(heard, index, what, value, words)                \
  do {                                                         \
    struct heard_item harness_item = heard_at((heard), index); \
    CHECK_INT((what), harness_item.kind);                      \
    CHECK_INT((value), harness_item.number);                   \
    CHECK_TEXT((words), harness_item.text);                    \
  } while (0)

static inline void heard_message(void *context, apus_channel channel, int32_t opcode,
                                 const void *data, size_t length) {
  struct heard *heard = context;
  CHECK_INT(0, ((const char *)data)[length]);
  CHECK_INT(1, apus_channel_is_alive(channel));
  heard_add(heard, 'm', channel, opcode, data, length);
  if (!heard->echoes) return;
  int32_t result = opcode == APUS_OPCODE_TEXT ? apus_channel_send_text(channel, data, length)
                                              : apus_channel_send_binary(channel, data, length);
  CHECK(result == 0 || result == APUS_E_CLOSED || result == APUS_E_FULL || result == APUS_E_HANDLE);
}

static inline void heard_pong(void *context, apus_channel channel, int32_t opcode, const void *data,
                              size_t length) {
  CHECK_INT(0, ((const char *)data)[length]);
  heard_add(context, 'p', channel, opcode, data, length);
}

static inline void heard_close(void *context, apus_channel channel, int32_t code, const char *text,
                               size_t length) {
  CHECK_INT(0, text[length]);
  CHECK_INT(APUS_STATE_CLOSED, apus_channel_state(channel));
  heard_add(context, 'c', channel, code, text, length);
}

static inline void heard_error(void *context, apus_channel channel, int32_t code, const char *text,
                               size_t length) {
  CHECK(length > 0 && text[length] == 0);
  heard_add(context, 'e', channel, code, text, length);
}

static inline void heard_drain(void *context, apus_channel channel) {
  heard_add(context, 'd', channel, 0, "", 0);
}

static inline void heard_open(void *context, apus_channel channel, apus_request request) {
  struct heard *heard = context;
  (void)request;
  heard_add(heard, 'o', channel, 0, "", 0);
  atomic_store(&heard->channel, channel);
}

static inline void heard_drop(void *context) {
  atomic_fetch_add(&((struct heard *)context)->drops, 1);
}

/* All listeners of a channel's own; each has a drop function. */
static inline void heard_listen(struct heard *heard, apus_channel channel) {
  CHECK_INT(0, apus_channel_on_message(channel, heard_message, heard, heard_drop));
  CHECK_INT(0, apus_channel_on_pong(channel, heard_pong, heard, heard_drop));
  CHECK_INT(0, apus_channel_on_close(channel, heard_close, heard, heard_drop));
  CHECK_INT(0, apus_channel_on_error(channel, heard_error, heard, heard_drop));
  CHECK_INT(0, apus_channel_on_drain(channel, heard_drain, heard, heard_drop));
}

/* Waits for the channel that a client has just opened. */
static inline apus_channel heard_opened(struct heard *heard) {
  EVENTUALLY(atomic_load(&heard->channel) != 0);
  return atomic_exchange(&heard->channel, 0);
}

/* Connects, and gives the server's end. */
static inline apus_channel ws_pair(struct client *client, int32_t port, const char *target,
                                   struct heard *heard) {
  ws_open(client, port, target);
  return heard_opened(heard);
}

/* A channel of a server without threads is received from without waiting, and nobody else does
 * anything: a message, an answer, and the client's end. */
static inline void ws_polled(struct client *client, apus_channel channel) {
  apus_message message;
  int32_t result;
  ws_text(client, "polled");
  while ((result = apus_channel_recv(channel, &message, 0)) == 0) harness_breathe();
  CHECK_INT(1, result);
  CHECK_BYTES("polled", 6, message.data, message.length);
  CHECK_INT(0, apus_channel_send_text(channel, "answer", 6));
  CHECK_INT(0, apus_channel_recv(channel, &message, 0));
  WS_EXPECT_TEXT(client, "answer");
  client_close(client);
  while ((result = apus_channel_recv(channel, &message, 0)) == 0) harness_breathe();
  CHECK_INT(APUS_E_CLOSED, result);
  CHECK_INT(1, apus_channel_destroy(channel));
}

#endif /* APUS_CTESTS_WS_H */
