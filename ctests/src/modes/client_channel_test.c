/*
 * client_channel_test.c - channels that make their connections themselves, on a host
 * in each of the modes, against a server of the library on workers.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "../helpers/harness.h"

/* ------------------------------------------------------------------ the peer */

static apus_server peer;
static int32_t peer_port;
static char url[128];
static _Atomic apus_channel peer_channel;
static atomic_int peer_opened, peer_closed, peer_messages;

static void peer_open(void *context, apus_channel channel, apus_request request) {
  (void)context;
  (void)request;
  atomic_store(&peer_channel, channel);
  atomic_fetch_add(&peer_opened, 1);
}

static void peer_message(void *context, apus_channel channel, int32_t opcode, const void *data,
                         size_t length) {
  (void)context;
  atomic_fetch_add(&peer_messages, 1);
  apus_channel_send_fragments(channel, opcode, data, length, length + 1);
}

static void peer_close(void *context, apus_channel channel, int32_t code, const char *text,
                       size_t length) {
  (void)context;
  (void)channel;
  (void)code;
  (void)text;
  (void)length;
  atomic_fetch_add(&peer_closed, 1);
}

/* Starts the peer: on a port of the system's choice, or on the one it had. */
static void peer_start(int32_t port) {
  peer = apus_server_make();
  CHECK(peer != 0);
  CHECK_INT(0, apus_server_set_workers(peer, 1));
  CHECK_INT(0, apus_server_set_dispatch(peer, APUS_DISPATCH_WORKER));
  CHECK_INT(0, apus_server_set_drain_timeout(peer, 0));
  int32_t route = apus_server_websocket(peer, "/echo", peer_open, NULL, NULL);
  CHECK(route >= 0);
  CHECK_INT(0, apus_server_on_message(peer, route, peer_message, NULL, NULL));
  CHECK_INT(0, apus_server_on_close(peer, route, peer_close, NULL, NULL));
  CHECK_INT(0, apus_server_set_protocols(peer, route, "second, first"));
  int32_t listener = apus_server_listen(peer, "127.0.0.1", port);
  CHECK(listener >= 0);
  peer_port = apus_server_port(peer, listener);
  CHECK_INT(0, apus_server_start(peer));
  snprintf(url, sizeof url, "ws://127.0.0.1:%d/echo", peer_port);
}

static void peer_stop(void) { CHECK_INT(1, apus_server_destroy(peer)); }

/* ------------------------------------------------------------------ the host */

static struct app app;

static void host_start(enum mode mode) {
  atomic_store(&peer_opened, 0);
  atomic_store(&peer_closed, 0);
  atomic_store(&peer_messages, 0);
  peer_start(0);
  app_make(&app, mode);
  harness_drive(&app);
}

static void host_end(void) {
  harness_stop(&app);
  peer_stop();
}

/* What a channel's listeners were told. */
struct told {
  atomic_int opened, messages, errors, closed, code, error, dropped;
  atomic_size_t length;
};

static void on_open(void *context, apus_channel channel) {
  struct told *told = context;
  (void)channel;
  CHECK_INT(atomic_load(&told->closed), 0);
  atomic_fetch_add(&told->opened, 1);
}

static void on_message(void *context, apus_channel channel, int32_t opcode, const void *data,
                       size_t length) {
  struct told *told = context;
  (void)channel;
  (void)opcode;
  CHECK_INT(0, ((const char *)data)[length]);
  atomic_store(&told->length, length);
  atomic_fetch_add(&told->messages, 1);
}

static void on_error(void *context, apus_channel channel, int32_t code, const char *text,
                     size_t length) {
  struct told *told = context;
  (void)channel;
  CHECK(length == strlen(text) && length > 0);
  /* As apus_channel_wait_open() says it. */
  if (code == APUS_E_IO) CHECK(strstr(text, "Connection refused") != NULL);
  atomic_store(&told->error, code);
  if (code == APUS_E_FULL) {
    atomic_fetch_add(&told->dropped, 1);
  } else {
    atomic_fetch_add(&told->errors, 1);
  }
}

static void on_close(void *context, apus_channel channel, int32_t code, const char *text,
                     size_t length) {
  struct told *told = context;
  (void)channel;
  CHECK(length == strlen(text));
  atomic_store(&told->code, code);
  atomic_fetch_add(&told->closed, 1);
}

static void on_drop(void *context) {
  struct told *told = context;
  atomic_fetch_add(&told->dropped, 0);
}

static apus_channel make(struct told *told) {
  apus_channel channel = apus_channel_make(app.server);
  CHECK(channel != 0);
  if (told != NULL) {
    memset(told, 0, sizeof *told);
    CHECK_INT(0, apus_channel_on_open(channel, on_open, told, on_drop));
    CHECK_INT(0, apus_channel_on_message(channel, on_message, told, NULL));
    CHECK_INT(0, apus_channel_on_error(channel, on_error, told, NULL));
    CHECK_INT(0, apus_channel_on_close(channel, on_close, told, NULL));
  }
  return channel;
}

static apus_channel open_to(const char *where, struct told *told) {
  apus_channel channel = make(told);
  CHECK_INT(0, apus_channel_open(channel, where));
  CHECK_INT(1, apus_channel_wait_open(channel, HARNESS_DEADLINE_MS));
  CHECK_INT(APUS_STATE_OPEN, apus_channel_state(channel));
  return channel;
}

/* A port at which nobody listens, and one at which nobody answers. */
static int32_t quiet_port(int *socket_out, int backlog) {
  struct sockaddr_in address = {.sin_family = AF_INET};
  socklen_t length = sizeof address;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  *socket_out = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  CHECK(*socket_out >= 0);
  CHECK_INT(0, bind(*socket_out, (struct sockaddr *)&address, length));
  if (backlog > 0) CHECK_INT(0, listen(*socket_out, backlog));
  CHECK_INT(0, getsockname(*socket_out, (struct sockaddr *)&address, &length));
  return ntohs(address.sin_port);
}

/* ----------------------------------------------------------------- the cases */

static void test_echo(enum mode mode) {
  struct told told;
  host_start(mode);
  apus_channel channel = open_to(url, &told);
  CHECK_INT(APUS_ROLE_CLIENT, apus_channel_role(channel));
  CHECK_INT(101, apus_channel_status(channel));
  CHECK_TEXT("/echo", apus_channel_path(channel));
  CHECK_TEXT("", apus_channel_protocol(channel));
  CHECK_INT(24, strlen(apus_channel_key(channel)));
  CHECK(apus_channel_server(channel) == app.server);
  EVENTUALLY(atomic_load(&told.opened) == 1);
  static char data[300000];
  memset(data, 'a', sizeof data);
  static const size_t lengths[] = {0, 1, 125, 126, 1000, 65535, 65536, 300000};
  for (int i = 0; i < 8; i++) {
    CHECK_INT(0, apus_channel_send_text(channel, data, lengths[i]));
    EVENTUALLY(atomic_load(&told.messages) == i + 1);
    CHECK_INT(lengths[i], atomic_load(&told.length));
  }
  CHECK_INT(0, apus_channel_close(channel, 1000, "bye", 3));
  EVENTUALLY(atomic_load(&told.closed) == 1);
  CHECK_INT(1000, atomic_load(&told.code));
  CHECK_INT(0, atomic_load(&told.errors));
  CHECK_INT(APUS_STATE_CLOSED, apus_channel_state(channel));
  CHECK_INT(APUS_E_CLOSED, apus_channel_send_text(channel, "x", 1));
  CHECK_INT(1, apus_channel_destroy(channel));
  host_end();
}

/* No listener in the whole life, and twice the same channel. */
static void test_recv(enum mode mode) {
  host_start(mode);
  apus_channel channel = make(NULL);
  apus_message message;
  CHECK_INT(APUS_E_CLOSED, apus_channel_recv(channel, &message, 0));
  CHECK_INT(APUS_E_CLOSED, apus_channel_wait_open(channel, 0));
  CHECK_INT(0, apus_channel_set_protocols(channel, "first, second"));
  for (int round = 0; round < 2; round++) {
    CHECK_INT(0, apus_channel_open(channel, url));
    CHECK_INT(APUS_E_STATE, apus_channel_open(channel, url));
    CHECK_INT(APUS_E_STATE, apus_channel_set_deflate(channel, 0));
    CHECK_INT(1, apus_channel_wait_open(channel, -1));
    CHECK_TEXT("second", apus_channel_protocol(channel));
    CHECK_INT(0, apus_channel_send_binary(channel, "12345", 5));
    CHECK_INT(1, apus_channel_recv(channel, &message, -1));
    CHECK_INT(2, message.opcode);
    CHECK_BYTES("12345", 5, message.data, message.length);
    CHECK_INT(0, apus_channel_recv(channel, &message, 0));
    CHECK_INT(0, apus_channel_close(channel, 4000, "", 0));
    CHECK_INT(APUS_E_CLOSED, apus_channel_recv(channel, &message, -1));
  }
  CHECK_INT(1, apus_channel_destroy(channel));
  host_end();
}

static void test_arguments(enum mode mode) {
  static const char *const urls[] = {"",
                                     "http://a/",
                                     "ftp://a/",
                                     "ws://",
                                     "a",
                                     "ws://u@a/",
                                     "ws://a/#",
                                     "ws://a/\x01/",
                                     "ws://\xc3\xa9/",
                                     "ws://a:0/",
                                     "ws://a:65536/",
                                     "ws://[::1/",
                                     "ws://a b",
                                     "ws://a/%",
                                     "ws://a/%zz",
                                     "ws://a/ b",
                                     "ws://a..b/",
                                     "ws://a/%00"};
  host_start(mode);
  apus_channel channel = make(NULL);
  for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
    CHECK_INT(APUS_E_ARGUMENT, apus_channel_open(channel, urls[i]));
  }
  CHECK_INT(APUS_E_ARGUMENT, apus_channel_open(channel, NULL));
  static const char *const names[] = {"Host",
                                      "uPgrade",
                                      "connection",
                                      "content-LENGTH",
                                      "Transfer-Encoding",
                                      "Sec-WebSocket-Key",
                                      "Origin",
                                      "sec-websocket-x",
                                      "a b",
                                      "",
                                      "a:",
                                      "a\r\n"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    CHECK_INT(APUS_E_ARGUMENT, apus_channel_add_header(channel, names[i], "x"));
  }
  CHECK_INT(APUS_E_ARGUMENT, apus_channel_add_header(channel, "a", "x\r\ny: z"));
  CHECK_INT(0, apus_channel_add_header(channel, "Authorization", "Bearer x"));
  CHECK_INT(APUS_E_ARGUMENT, apus_channel_set_protocols(channel, "a, a"));
  CHECK_INT(APUS_E_ARGUMENT, apus_channel_set_origin(channel, "a\n"));
  CHECK_INT(APUS_E_ARGUMENT, apus_channel_set_reconnect(channel, -2, 1, 1));
  CHECK_INT(APUS_E_ARGUMENT, apus_channel_set_reconnect(channel, 1, 0, 1));
  CHECK_INT(APUS_E_ARGUMENT, apus_channel_set_reconnect(channel, 1, 2, 1));
  CHECK_INT(APUS_E_ARGUMENT, apus_channel_set_reconnect(channel, 1, 86400001, INT32_MAX));
  CHECK_INT(APUS_E_ARGUMENT, apus_channel_set_queue_policy(channel, 3, 1));
  CHECK_INT(APUS_E_ARGUMENT, apus_channel_set_queue_policy(channel, APUS_QUEUE_KEEP, 0));
  CHECK_INT(APUS_E_ARGUMENT, apus_channel_set_max_message(channel, 0));
  CHECK_INT(APUS_E_ARGUMENT, apus_channel_set_frames(channel, 2));
  CHECK_INT(APUS_E_ARGUMENT, apus_channel_set_connect_timeout(channel, -1));
  CHECK_INT(APUS_E_UNSUPPORTED, apus_channel_subscribe(channel, "topic"));
  CHECK_INT(0, apus_channel_reset(channel));
  CHECK_INT(0, apus_channel_make(channel));
  CHECK_INT(APUS_E_HANDLE, apus_last_error());
  CHECK_INT(1, apus_channel_destroy(channel));
  CHECK_INT(APUS_E_HANDLE, apus_channel_open(channel, url));
  host_end();
}

static void test_refused(enum mode mode) {
  struct told told;
  char where[128];
  int held;
  host_start(mode);
  apus_channel channel = make(&told);
  snprintf(where, sizeof where, "ws://127.0.0.1:%d/", quiet_port(&held, 0));
  CHECK_INT(0, apus_channel_open(channel, where));
  CHECK_INT(APUS_E_IO, apus_channel_wait_open(channel, -1));
  CHECK(strstr(apus_last_error_message(), "refused") != NULL);
  EVENTUALLY(atomic_load(&told.closed) == 1);
  CHECK_INT(1, atomic_load(&told.errors));
  CHECK_INT(APUS_E_IO, atomic_load(&told.error));
  CHECK_INT(1006, atomic_load(&told.code));
  close(held);
  /* 404 */
  snprintf(where, sizeof where, "ws://127.0.0.1:%d/none", peer_port);
  CHECK_INT(0, apus_channel_open(channel, where));
  CHECK_INT(APUS_E_PROTOCOL, apus_channel_wait_open(channel, -1));
  CHECK_INT(404, apus_channel_status(channel));
  EVENTUALLY(atomic_load(&told.closed) == 2);
  /* nobody answers */
  CHECK_INT(0, apus_channel_set_connect_timeout(channel, 50));
  snprintf(where, sizeof where, "ws://127.0.0.1:%d/", quiet_port(&held, 1));
  CHECK_INT(0, apus_channel_open(channel, where));
  CHECK_INT(0, apus_channel_wait_open(channel, 0));
  CHECK_INT(APUS_E_TIMEOUT, apus_channel_wait_open(channel, -1));
  EVENTUALLY(atomic_load(&told.closed) == 3);
  CHECK_INT(3, atomic_load(&told.errors));
  CHECK_INT(0, atomic_load(&told.opened));
  close(held);
  CHECK_INT(1, apus_channel_destroy(channel));
  host_end();
}

/* At each state, and at once again. */
static void test_reset(enum mode mode) {
  struct told told;
  char silent[128];
  int held;
  host_start(mode);
  snprintf(silent, sizeof silent, "ws://127.0.0.1:%d/", quiet_port(&held, 16));
  apus_channel channel = make(&told);
  for (int i = 0; i < 10; i++) {
    CHECK_INT(0, apus_channel_open(channel, i % 2 ? silent : url));
    CHECK_INT(0, apus_channel_reset(channel));
    CHECK_INT(APUS_STATE_CLOSED, apus_channel_state(channel));
  }
  EVENTUALLY(atomic_load(&told.closed) == 10);
  memset(&told, 0, sizeof told);
  CHECK_INT(0, apus_channel_open(channel, url));
  CHECK_INT(1, apus_channel_wait_open(channel, -1));
  EVENTUALLY(atomic_load(&told.opened) == 1);
  CHECK_INT(0, apus_channel_reset(channel));
  EVENTUALLY(atomic_load(&told.closed) == 1);
  CHECK_INT(1006, atomic_load(&told.code));
  memset(&told, 0, sizeof told);
  CHECK_INT(0, apus_channel_open(channel, url));
  CHECK_INT(1, apus_channel_wait_open(channel, -1));
  CHECK_INT(0, apus_channel_send_text(channel, "again", 5));
  EVENTUALLY(atomic_load(&told.messages) == 1);
  /* A close before it is open is a reset. */
  CHECK_INT(0, apus_channel_reset(channel));
  CHECK_INT(0, apus_channel_open(channel, silent));
  CHECK_INT(0, apus_channel_close(channel, 1000, "", 0));
  CHECK_INT(APUS_STATE_CLOSED, apus_channel_state(channel));
  EVENTUALLY(atomic_load(&told.closed) == 2);
  CHECK_INT(1, apus_channel_destroy(channel));
  close(held);
  host_end();
}

static int accept_by_hand(int held);

/* What was on its way over the connection before is forgotten. */
static void test_reset_when_full(enum mode mode) {
  static char piece[16384];
  char where[128];
  int held, connections[2];
  int32_t result;
  host_start(mode);
  snprintf(where, sizeof where, "ws://127.0.0.1:%d/", quiet_port(&held, 4));
  apus_channel channel = make(NULL);
  CHECK_INT(0, apus_channel_set_ping(channel, 0, 0));
  CHECK_INT(0, apus_channel_open(channel, where));
  connections[0] = accept_by_hand(held);
  CHECK_INT(1, apus_channel_wait_open(channel, -1));
  /* Until it is full, and the loop has it all. */
  for (int i = 0; i < 20; i++) {
    while ((result = apus_channel_send_binary(channel, piece, sizeof piece)) == 0) continue;
    CHECK_INT(APUS_E_FULL, result);
    harness_breathe();
  }
  CHECK_INT(0, apus_channel_reset(channel));
  CHECK_INT(0, apus_channel_open(channel, where));
  connections[1] = accept_by_hand(held);
  CHECK_INT(1, apus_channel_wait_open(channel, -1));
  CHECK_INT(0, apus_channel_buffered(channel));
  CHECK_INT(0, apus_channel_send_binary(channel, piece, sizeof piece));
  CHECK_INT(1, apus_channel_destroy(channel));
  for (int i = 0; i < 2; i++) close(connections[i]);
  close(held);
  host_end();
}

/* Its own limits of what a server sends, and frames one by one. */
static void test_limits(enum mode mode) {
  static const char frames[] =
      "\x01\x01"
      "a\x00\x01"
      "b\x89\x00\x80\x01"
      "c";
  static const int codes[] = {1009, 1008, 1008};
  struct told told;
  char where[128];
  int held;
  host_start(mode);
  snprintf(where, sizeof where, "ws://127.0.0.1:%d/", quiet_port(&held, 4));
  for (int i = 0; i < 4; i++) {
    apus_channel channel = make(i < 3 ? &told : NULL);
    if (i == 0) CHECK_INT(0, apus_channel_set_max_message(channel, 2));
    if (i == 1) CHECK_INT(0, apus_channel_set_max_fragments(channel, 2));
    if (i == 2) CHECK_INT(0, apus_channel_set_max_controls(channel, 1));
    if (i == 3) CHECK_INT(0, apus_channel_set_frames(channel, 1));
    CHECK_INT(0, apus_channel_open(channel, where));
    int connection = accept_by_hand(held);
    CHECK_INT(1, apus_channel_wait_open(channel, -1));
    CHECK_INT(sizeof frames - 1, send(connection, frames, sizeof frames - 1, 0));
    if (i == 2) CHECK_INT(2, send(connection, "\x89\x00", 2, 0));
    if (i < 3) {
      EVENTUALLY(atomic_load(&told.closed) == 1);
      CHECK_INT(codes[i], atomic_load(&told.code));
    } else {
      apus_message frame;
      static const char *const texts[] = {"hi", "a", "b", "c"};
      for (int number = 0; number < 4; number++) {
        CHECK_INT(1, apus_channel_recv(channel, &frame, -1));
        CHECK_BYTES(texts[number], strlen(texts[number]), frame.data, frame.length);
        CHECK_INT(number == 0 || number == 3, frame.final);
      }
    }
    CHECK_INT(1, apus_channel_destroy(channel));
    close(connection);
  }
  close(held);
  host_end();
}

/* With the host: at each state of a channel. */
static void test_ends(enum mode mode) {
  char silent[128], refused[128];
  int held, none;
  for (int way = 0; way < 2; way++) {
    host_start(mode);
    snprintf(silent, sizeof silent, "ws://127.0.0.1:%d/", quiet_port(&held, 16));
    snprintf(refused, sizeof refused, "ws://127.0.0.1:%d/", quiet_port(&none, 0));
    apus_channel channels[5];
    struct told told[5];
    for (int i = 0; i < 5; i++) {
      channels[i] = make(&told[i]);
      CHECK_INT(0, apus_channel_set_reconnect(channels[i], -1, 60000, 60000));
    }
    CHECK_INT(0, apus_channel_open(channels[1], silent));
    CHECK_INT(0, apus_channel_open(channels[2], refused));
    CHECK_INT(0, apus_channel_open(channels[3], url));
    CHECK_INT(0, apus_channel_open(channels[4], "ws://localhost:1/"));
    CHECK_INT(1, apus_channel_wait_open(channels[3], -1));
    EVENTUALLY(atomic_load(&told[2].errors) == 1);
    CHECK_INT(APUS_STATE_CONNECTING, apus_channel_state(channels[2]));
    if (way == 0) {
      for (int i = 0; i < 5; i++) CHECK_INT(1, apus_channel_destroy(channels[i]));
      EVENTUALLY(atomic_load(&peer_closed) == 1);
    } else {
      harness_halt(&app);
      CHECK_INT(0, atomic_load(&told[0].closed));
      for (int i = 1; i < 5; i++) {
        CHECK_INT(1, atomic_load(&told[i].closed));
        CHECK_INT(APUS_STATE_CLOSED, apus_channel_state(channels[i]));
        CHECK_INT(APUS_E_STATE, apus_channel_open(channels[i], url));
      }
      /* The same channels on the server that runs anew. */
      harness_drive(&app);
      memset(told, 0, sizeof told);
      CHECK_INT(0, apus_channel_open(channels[0], url));
      CHECK_INT(0, apus_channel_open(channels[3], url));
      CHECK_INT(1, apus_channel_wait_open(channels[0], -1));
      CHECK_INT(1, apus_channel_wait_open(channels[3], -1));
    }
    host_end();
    close(held);
    close(none);
  }
}

static void test_reconnects(enum mode mode) {
  struct told told;
  host_start(mode);
  int32_t port = peer_port;
  apus_channel channel = make(&told);
  CHECK_INT(0, apus_channel_set_reconnect(channel, -1, 1, 20));
  CHECK_INT(0, apus_channel_set_queue_policy(channel, APUS_QUEUE_KEEP, 300));
  CHECK_INT(0, apus_channel_open(channel, url));
  CHECK_INT(1, apus_channel_wait_open(channel, -1));
  for (int round = 1; round <= 3; round++) {
    EVENTUALLY(atomic_load(&told.opened) == round);
    int errors = atomic_load(&told.errors);
    peer_stop();
    int held = harness_hold_port(port);
    EVENTUALLY(atomic_load(&told.errors) >= errors + 2);
    CHECK_INT(APUS_STATE_CONNECTING, apus_channel_state(channel));
    /* 64 and 36 bytes each: three of them go in. */
    for (int i = 0; i < 3; i++) {
      CHECK_INT(0, apus_channel_send_binary(channel, "abcdefghijklmnopqrstuvwxyz0123456789", 36));
    }
    CHECK_INT(APUS_E_FULL, apus_channel_send_binary(channel, "", 0));
    CHECK_INT(APUS_E_ARGUMENT, apus_channel_send_text(channel, "\xff", 1));
    CHECK_INT(APUS_E_STATE, apus_channel_ping(channel, "", 0));
    peer_start(port);
    close(held);
    CHECK_INT(1, apus_channel_wait_open(channel, -1));
    EVENTUALLY(atomic_load(&told.messages) == 3 * round);
    CHECK_INT(0, atomic_load(&told.closed));
  }
  /* A close by the other end that is meant is one. */
  EVENTUALLY(atomic_load(&told.opened) == 4);
  CHECK_INT(0, apus_channel_close(atomic_load(&peer_channel), 4001, "enough", 6));
  EVENTUALLY(atomic_load(&told.closed) == 1);
  CHECK_INT(4001, atomic_load(&told.code));
  CHECK_INT(APUS_STATE_CLOSED, apus_channel_state(channel));
  CHECK_INT(1, apus_channel_destroy(channel));
  host_end();
}

/* Sends frames in one piece, with a ping among them, and waits for its pong: what came with
 * the ping was looked at. */
static void send_looked_at(int connection, const char *frames, size_t length) {
  char got[6];
  CHECK_INT(length, send(connection, frames, length, 0));
  CHECK_INT(sizeof got, recv(connection, got, sizeof got, MSG_WAITALL));
  CHECK_INT(0x8a, (unsigned char)got[0]);
}

/* The peer has closed, and is not answered as there is a message to be received: a close of
 * the host's own then is for good, and so is a final code of the peer's. */
static void test_closed_for_good(enum mode mode) {
  static const char leaving[] = "\x89\x00\x88\x02\x03\xe9", final[] = "\x89\x00\x88\x02\x0f\xa1";
  static char piece[1 << 20];
  struct linger at_once = {.l_onoff = 1, .l_linger = 0};
  struct told told;
  char where[128];
  int held;
  host_start(mode);
  snprintf(where, sizeof where, "ws://127.0.0.1:%d/", quiet_port(&held, 4));
  for (int way = 0; way < 3; way++) {
    apus_channel channel = make(NULL);
    memset(&told, 0, sizeof told);
    CHECK_INT(0, apus_channel_on_error(channel, on_error, &told, NULL));
    CHECK_INT(0, apus_channel_on_close(channel, on_close, &told, NULL));
    CHECK_INT(0, apus_channel_set_reconnect(channel, -1, 1, 1));
    CHECK_INT(0, apus_channel_set_high_water(channel, 1));
    CHECK_INT(0, apus_channel_set_close_when_full(channel, 1));
    CHECK_INT(0, apus_channel_open(channel, where));
    int connection = accept_by_hand(held);
    CHECK_INT(1, apus_channel_wait_open(channel, -1));
    send_looked_at(connection, way == 1 ? final : leaving, 6);
    CHECK_INT(APUS_STATE_OPEN, apus_channel_state(channel));
    if (way == 0) CHECK_INT(0, apus_channel_close(channel, 1000, "", 0));
    while (way == 2 && apus_channel_send_binary(channel, piece, sizeof piece) == 0) continue;
    CHECK_INT(way == 1 ? APUS_STATE_OPEN : APUS_STATE_CLOSING, apus_channel_state(channel));
    CHECK_INT(0, setsockopt(connection, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once));
    close(connection);
    EVENTUALLY(atomic_load(&told.closed) + atomic_load(&told.errors) >= 1);
    CHECK_INT(0, atomic_load(&told.errors));
    CHECK_INT(way == 1 ? 4001 : 1001, atomic_load(&told.code));
    CHECK_INT(APUS_STATE_CLOSED, apus_channel_state(channel));
    CHECK_INT(1, apus_channel_destroy(channel));
  }
  close(held);
  host_end();
}

/* A listener that drops the connection, and wants none of its messages any more. */
struct dropper {
  const char *where; /* to be opened anew at once; NULL: not */
  atomic_int dropped, late;
};

static void drop_connection(void *context, apus_channel channel, int32_t opcode, const void *data,
                            size_t length) {
  struct dropper *dropper = context;
  (void)opcode;
  if (length == 4 && memcmp(data, "late", 4) == 0) atomic_fetch_add(&dropper->late, 1);
  if (length != 4 || memcmp(data, "drop", 4) != 0) return;
  CHECK_INT(0, apus_channel_reset(channel));
  if (dropper->where != NULL) CHECK_INT(0, apus_channel_open(channel, dropper->where));
  atomic_fetch_add(&dropper->dropped, 1);
}

/* Behind a reset no message of the connection of before is told, though it has come. */
static void test_reset_in_message(enum mode mode) {
  static const char frames[] =
      "\x81\x04"
      "drop"
      "\x81\x04"
      "late"
      "\x81\x04"
      "late";
  struct dropper dropper;
  struct told told;
  char where[128];
  int held;
  host_start(mode);
  snprintf(where, sizeof where, "ws://127.0.0.1:%d/", quiet_port(&held, 4));
  for (int way = 0; way < 2; way++) {
    memset(&dropper, 0, sizeof dropper);
    memset(&told, 0, sizeof told);
    apus_channel channel = make(NULL);
    CHECK_INT(0, apus_channel_on_message(channel, on_message, &told, NULL));
    CHECK_INT(0, apus_channel_on_message(channel, drop_connection, &dropper, NULL));
    CHECK_INT(0, apus_channel_on_close(channel, on_close, &told, NULL));
    CHECK_INT(0, apus_channel_open(channel, where));
    int connection = accept_by_hand(held), other = -1;
    EVENTUALLY(atomic_load(&told.messages) == 1);
    if (way == 1) dropper.where = where;
    CHECK_INT(sizeof frames - 1, send(connection, frames, sizeof frames - 1, 0));
    if (way == 1) other = accept_by_hand(held);
    EVENTUALLY(atomic_load(&told.closed) == 1);
    if (way == 1) {
      EVENTUALLY(atomic_load(&told.messages) == 3);
      CHECK_INT(2, send(other, "\x81\x00", 2, 0));
      EVENTUALLY(atomic_load(&told.messages) == 4);
    }
    CHECK_INT(way == 1 ? 4 : 2, atomic_load(&told.messages));
    CHECK_INT(1, atomic_load(&dropper.dropped));
    CHECK_INT(0, atomic_load(&dropper.late));
    CHECK_INT(1, apus_channel_destroy(channel));
    close(connection);
    if (other >= 0) close(other);
  }
  close(held);
  host_end();
}

static void test_gives_up(enum mode mode) {
  struct told told;
  char where[128];
  int held;
  host_start(mode);
  snprintf(where, sizeof where, "ws://127.0.0.1:%d/", quiet_port(&held, 0));
  apus_channel channel = make(&told);
  CHECK_INT(0, apus_channel_set_reconnect(channel, 3, 1, 4));
  CHECK_INT(0, apus_channel_set_queue_policy(channel, APUS_QUEUE_DROP, 140));
  CHECK_INT(0, apus_channel_open(channel, where));
  for (int i = 0; i < 10; i++) apus_channel_send_binary(channel, "12345", 5);
  CHECK_INT(APUS_E_IO, apus_channel_wait_open(channel, -1));
  EVENTUALLY(atomic_load(&told.closed) == 1);
  CHECK_INT(4, atomic_load(&told.errors));
  CHECK_INT(1, apus_channel_destroy(channel));
  close(held);
  host_end();
}

static void test_drops(enum mode mode) {
  struct told told;
  host_start(mode);
  int32_t port = peer_port;
  apus_channel channel = make(&told);
  CHECK_INT(0, apus_channel_set_reconnect(channel, -1, 1, 20));
  CHECK_INT(0, apus_channel_set_queue_policy(channel, APUS_QUEUE_DROP, 2 * 65));
  peer_stop();
  int held = harness_hold_port(port);
  CHECK_INT(0, apus_channel_open(channel, url));
  EVENTUALLY(atomic_load(&told.errors) >= 2);
  CHECK_INT(0, apus_channel_send_text(channel, "a", 1));
  CHECK_INT(0, apus_channel_send_text(channel, "b", 1));
  CHECK_INT(0, apus_channel_dropped(channel));
  CHECK_INT(0, apus_channel_send_text(channel, "c", 1));
  CHECK_INT(1, apus_channel_dropped(channel));
  EVENTUALLY(atomic_load(&told.dropped) == 1);
  CHECK_INT(APUS_E_FULL, apus_channel_send_text(channel,
                                                "0123456789012345678901234567890123456789"
                                                "0123456789012345678901234567890123456789",
                                                80));
  peer_start(port);
  close(held);
  CHECK_INT(1, apus_channel_wait_open(channel, -1));
  EVENTUALLY(atomic_load(&told.messages) == 2);
  CHECK_INT(2, atomic_load(&peer_messages));
  CHECK_INT(1, apus_channel_destroy(channel));
  host_end();
}

static void test_names(enum mode mode) {
  struct told told;
  char where[128];
  host_start(mode);
  snprintf(where, sizeof where, "ws://localhost:%d/echo?a=b", peer_port);
  apus_channel channel = open_to(where, &told);
  CHECK_INT(0, apus_channel_send_text(channel, "name", 4));
  EVENTUALLY(atomic_load(&told.messages) == 1);
  CHECK_INT(0, apus_channel_reset(channel));
  CHECK_INT(0, apus_channel_open(channel, "ws://name.invalid/"));
  int32_t result = apus_channel_wait_open(channel, -1);
  CHECK(result == APUS_E_NOT_FOUND);
  EVENTUALLY(atomic_load(&told.closed) == 2);
  /* Destroyed while it looks up. */
  for (int i = 0; i < 20; i++) {
    apus_channel other = make(NULL);
    CHECK_INT(0, apus_channel_open(other, where));
    if (i % 2) CHECK_INT(0, apus_channel_reset(other));
    CHECK_INT(1, apus_channel_destroy(other));
  }
  CHECK_INT(1, apus_channel_destroy(channel));
  host_end();
}

/* Takes a connection and its handshake, by hand; the first message is glued to it. */
static int accept_by_hand(int held) {
  char buffer[4096], accept_value[32], reply[512];
  int connection = accept(held, NULL, NULL);
  CHECK(connection >= 0);
  size_t have = 0;
  while (have < 4 || memcmp(buffer + have - 4, "\r\n\r\n", 4) != 0) {
    ssize_t count = recv(connection, buffer + have, sizeof buffer - 1 - have, 0);
    CHECK(count > 0);
    have += (size_t)count;
    buffer[have] = 0;
  }
  char *key = strstr(buffer, "Sec-WebSocket-Key: ");
  CHECK(key != NULL);
  key[19 + 24] = 0;
  CHECK_INT(28, apus_handshake_accept(key + 19, accept_value, sizeof accept_value));
  int length = snprintf(reply, sizeof reply,
                        "HTTP/1.1 101 \r\nUpgrade: WebSocket\r\nConnection: x, Upgrade\r\n"
                        "Sec-WebSocket-Accept: %s\r\n\r\n\x81\x02hi",
                        accept_value);
  CHECK_INT(length, send(connection, reply, (size_t)length, 0));
  return connection;
}

/* A peer that is there no more says nothing, no FIN and no RST: that is noticed, and where
 * it is wanted the connection is made anew. */
static void test_silence(enum mode mode) {
  struct told told;
  char where[128];
  int held;
  host_start(mode);
  snprintf(where, sizeof where, "ws://127.0.0.1:%d/", quiet_port(&held, 4));
  apus_channel channel = make(&told);
  CHECK_INT(0, apus_channel_set_ping(channel, 100, 500));
  CHECK_INT(0, apus_channel_open(channel, where));
  int connection = accept_by_hand(held);
  CHECK_INT(1, apus_channel_wait_open(channel, -1));
  EVENTUALLY(atomic_load(&told.messages) == 1);
  EVENTUALLY(atomic_load(&told.closed) == 1);
  CHECK_INT(1006, atomic_load(&told.code));
  CHECK_INT(APUS_E_TIMEOUT, atomic_load(&told.error));
  close(connection);
  /* Three peers that fall silent one after the other, and one that closes. */
  CHECK_INT(0, apus_channel_set_reconnect(channel, -1, 1, 10));
  memset(&told, 0, sizeof told);
  CHECK_INT(0, apus_channel_open(channel, where));
  int connections[3];
  for (int i = 0; i < 3; i++) {
    connections[i] = accept_by_hand(held);
    EVENTUALLY(atomic_load(&told.opened) == i + 1);
    EVENTUALLY(atomic_load(&told.messages) == i + 1);
  }
  connection = accept_by_hand(held);
  EVENTUALLY(atomic_load(&told.messages) == 4);
  CHECK_INT(0, atomic_load(&told.closed));
  CHECK_INT(4, send(connection, "\x88\x02\x03\xe8", 4, 0));
  EVENTUALLY(atomic_load(&told.closed) == 1);
  CHECK_INT(1000, atomic_load(&told.code));
  CHECK_INT(6, atomic_load(&told.errors));
  CHECK_INT(4, atomic_load(&told.opened));
  CHECK_INT(1, apus_channel_destroy(channel));
  for (int i = 0; i < 3; i++) close(connections[i]);
  close(connection);
  close(held);
  host_end();
}

/* ------------------------------------------------------------------- adopting */

/* Both ends of a pair, and the misuse of it. */
static void test_adopted(enum mode mode) {
  struct told told[2];
  int pair[2], held;
  host_start(mode);
  CHECK_INT(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
  quiet_port(&held, 1);
  const int wrong[] = {-1, held, INT32_MAX, 1 << 20};
  for (int i = 0; i < 4; i++) {
    CHECK_INT(0, apus_channel_adopt(app.server, wrong[i], APUS_ROLE_CLIENT, "/"));
    CHECK_INT(APUS_E_ARGUMENT, apus_last_error());
  }
  CHECK_INT(0, apus_channel_adopt(app.server, pair[0], 2, "/"));
  CHECK_INT(APUS_E_ARGUMENT, apus_last_error());
  CHECK_INT(0, apus_channel_adopt(0, pair[0], APUS_ROLE_CLIENT, "/"));
  CHECK_INT(APUS_E_HANDLE, apus_last_error());
  apus_channel ends[2];
  for (int round = 0; round < 3; round++) {
    if (round > 0) CHECK_INT(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    for (int i = 0; i < 2; i++) {
      ends[i] = apus_channel_adopt(app.server, pair[i], i, i == 0 ? NULL : "/adopted");
      CHECK(ends[i] != 0);
      CHECK_INT(i, apus_channel_role(ends[i]));
      CHECK_INT(APUS_STATE_OPEN, apus_channel_state(ends[i]));
      memset(&told[i], 0, sizeof told[i]);
      CHECK_INT(0, apus_channel_on_message(ends[i], on_message, &told[i], NULL));
      CHECK_INT(0, apus_channel_on_close(ends[i], on_close, &told[i], NULL));
    }
    CHECK_TEXT("", apus_channel_path(ends[0]));
    CHECK_TEXT("/adopted", apus_channel_path(ends[1]));
    for (int i = 1; i <= 10; i++) {
      CHECK_INT(0, apus_channel_send_text(ends[0], "to the server", 13));
      CHECK_INT(0, apus_channel_send_text(ends[1], "to the client", 13));
    }
    EVENTUALLY(atomic_load(&told[0].messages) == 10 && atomic_load(&told[1].messages) == 10);
    CHECK_INT(APUS_E_STATE, apus_channel_open(ends[0], url));
    CHECK_INT(APUS_E_STATE, apus_channel_reset(ends[1]));
    if (round == 0) {
      CHECK_INT(0, apus_channel_close(ends[0], 1000, "", 0));
      EVENTUALLY(atomic_load(&told[0].closed) == 1 && atomic_load(&told[1].closed) == 1);
      CHECK_INT(1000, atomic_load(&told[1].code));
    } else if (round == 1) {
      CHECK_INT(1, apus_channel_destroy(ends[1]));
      EVENTUALLY(atomic_load(&told[0].closed) == 1);
      CHECK_INT(1001, atomic_load(&told[0].code));
      CHECK_INT(1, apus_channel_destroy(ends[0]));
      continue;
    } else {
      harness_halt(&app);
      CHECK_INT(1, atomic_load(&told[0].closed));
      CHECK_INT(1, atomic_load(&told[1].closed));
    }
    for (int i = 0; i < 2; i++) CHECK_INT(1, apus_channel_destroy(ends[i]));
  }
  CHECK_INT(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
  CHECK_INT(0, apus_channel_adopt(app.server, pair[0], 0, NULL));
  CHECK_INT(APUS_E_STATE, apus_last_error());
  close(pair[0]);
  close(pair[1]);
  close(held);
  CHECK_INT(1, apus_server_destroy(app.server));
  peer_stop();
}

/* --------------------------------------------------------------- many threads */

static atomic_int echoed;

static void *work(void *context) {
  (void)context;
  char text[64];
  apus_message message;
  for (int i = 0; i < 10; i++) {
    apus_channel channel = apus_channel_make(app.server);
    CHECK(channel != 0);
    CHECK_INT(0, apus_channel_open(channel, url));
    if (i % 5 == 4) CHECK_INT(0, apus_channel_reset(channel));
    if (i % 5 == 4) CHECK_INT(0, apus_channel_open(channel, url));
    CHECK_INT(1, apus_channel_wait_open(channel, -1));
    for (int round = 0; round < 20; round++) {
      int length = snprintf(text, sizeof text, "%d %d", i, round);
      CHECK_INT(0, apus_channel_send_text(channel, text, (size_t)length));
      CHECK_INT(1, apus_channel_recv(channel, &message, -1));
      CHECK_BYTES(text, (size_t)length, message.data, message.length);
      atomic_fetch_add(&echoed, 1);
    }
    if (i % 2) CHECK_INT(0, apus_channel_close(channel, 1000, "", 0));
    CHECK_INT(1, apus_channel_destroy(channel));
  }
  return NULL;
}

static void test_threads(enum mode mode) {
  pthread_t threads[8];
  host_start(mode);
  atomic_store(&echoed, 0);
  for (int i = 0; i < 8; i++) CHECK_INT(0, pthread_create(&threads[i], NULL, work, NULL));
  for (int i = 0; i < 8; i++) CHECK_INT(0, pthread_join(threads[i], NULL));
  CHECK_INT(8 * 10 * 20, atomic_load(&echoed));
  host_end();
}

/* ------------------------------------------------------------------- a client */

static void test_client(enum mode mode) {
  struct told told;
  atomic_store(&peer_closed, 0);
  peer_start(0);
  apus_client client = apus_client_make();
  CHECK(client != 0);
  CHECK_INT(APUS_KIND_CLIENT, apus_handle_kind(client));
  CHECK_INT(APUS_E_HANDLE, apus_server_start(client));
  CHECK_INT(0, apus_server_is_alive(client));
  CHECK_INT(APUS_E_HANDLE, apus_client_tick(peer, 0));
  CHECK_INT(0, apus_client_destroy(peer));
  CHECK_INT(APUS_E_ARGUMENT, apus_client_set_workers(client, 257));
  CHECK_INT(APUS_E_ARGUMENT, apus_client_set_dispatch(client, 2));
  if (mode == MODE_THREADLESS) CHECK_INT(0, apus_client_set_workers(client, 0));
  if (mode == MODE_WORKER) CHECK_INT(0, apus_client_set_dispatch(client, APUS_DISPATCH_WORKER));
  memset(&told, 0, sizeof told);
  apus_channel channel = apus_channel_make(client);
  CHECK(channel != 0);
  CHECK_INT(0, apus_channel_on_open(channel, on_open, &told, NULL));
  CHECK_INT(0, apus_channel_open(channel, url));
  CHECK_INT(APUS_E_STATE, apus_client_set_workers(client, 2));
  CHECK_INT(1, apus_channel_wait_open(channel, -1));
  CHECK(apus_client_event_fd(client) >= 0);
  while (mode != MODE_WORKER && atomic_load(&told.opened) == 0) {
    CHECK(apus_client_tick(client, -1) >= 0);
  }
  CHECK_INT(0, apus_client_wake(client));
  EVENTUALLY(atomic_load(&told.opened) == 1);
  apus_message message;
  CHECK_INT(0, apus_channel_send_text(channel, "client", 6));
  CHECK_INT(1, apus_channel_recv(channel, &message, -1));
  CHECK_BYTES("client", 6, message.data, message.length);
  CHECK_INT(1, apus_client_is_alive(client));
  CHECK_INT(1, apus_client_destroy(client));
  CHECK_INT(0, apus_client_is_alive(client));
  CHECK_INT(0, apus_channel_is_alive(channel));
  EVENTUALLY(atomic_load(&peer_closed) == 1);
  peer_stop();
}

int main(int argc, char **argv) {
  static const struct harness_case cases[] = {
      {"echo", test_echo},
      {"recv", test_recv},
      {"arguments", test_arguments},
      {"refused", test_refused},
      {"reset", test_reset},
      {"reset when full", test_reset_when_full},
      {"limits", test_limits},
      {"ends", test_ends},
      {"client", test_client},
      {"names", test_names},
      {"silence", test_silence},
      {"reconnects", test_reconnects},
      {"gives up", test_gives_up},
      {"drops", test_drops},
      {"adopted", test_adopted},
      {"threads", test_threads},
      {"closed for good", test_closed_for_good},
      {"reset in message", test_reset_in_message},
  };
  return harness_main("client_channel_test", argc, argv, cases, sizeof cases / sizeof *cases);
}
