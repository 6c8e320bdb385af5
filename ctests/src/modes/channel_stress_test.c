/*
 * channel_stress_test.c - eight threads that send, receive, close, keep, destroy and
 * walk at once, while clients come and go: every channel has its one close, every
 * context its one drop, and nothing is left.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "../helpers/ws.h"

#define WORKERS 8
#define CLIENTS 4
#define ROUNDS 120

static struct app app;
static atomic_int opened, drops, stops;
static atomic_llong told, sent;

struct state {
  atomic_int closes;
};

static void drop_state(void *context) {
  struct state *state = context;
  CHECK(atomic_load(&state->closes) <= 1);
  free(state);
  atomic_fetch_add(&drops, 1);
}

static void on_close(void *context, apus_channel channel, int32_t code, const char *text,
                     size_t length) {
  struct state *state = context;
  (void)channel;
  CHECK(code >= 1000 && text[length] == 0);
  CHECK_INT(0, atomic_fetch_add(&state->closes, 1));
}

static void on_message(void *context, apus_channel channel, int32_t opcode, const void *data,
                       size_t length) {
  (void)context;
  CHECK(opcode == APUS_OPCODE_TEXT || opcode == APUS_OPCODE_BINARY);
  atomic_fetch_add(&told, 1);
  apus_channel_send_binary(channel, data, length);
}

static void on_open(void *context, apus_channel channel, apus_request request) {
  (void)context, (void)request;
  struct state *state = calloc(1, sizeof *state);
  CHECK(state != NULL);
  if (atomic_fetch_add(&opened, 1) % 3 != 0) {
    apus_channel_on_message(channel, on_message, NULL, NULL);
  }
  /* Another thread may have destroyed it already: then the drop has run. */
  int32_t result = apus_channel_on_close(channel, on_close, state, drop_state);
  CHECK(result == 0 || result == APUS_E_HANDLE);
}

static int allowed(int64_t result) {
  return result >= 0 || result == APUS_E_HANDLE || result == APUS_E_CLOSED ||
         result == APUS_E_FULL || result == APUS_E_THREAD || result == APUS_E_ARGUMENT;
}

/* One of many things that may be done with a channel of somebody else. */
static void meddle(apus_channel channel, unsigned chance) {
  static char data[3000];
  apus_message message;
  int64_t result = 0;
  switch (chance % 16) {
    case 0:
      result = apus_channel_close(channel, 1000, "bye", 3);
      break;
    case 1:
      result = apus_channel_destroy(channel);
      break;
    case 2:
      result = apus_channel_ping(channel, "p", 1);
      break;
    case 3:
      result = apus_channel_recv(channel, &message, 1);
      break;
    case 4:
      result = apus_channel_cancel(channel);
      break;
    case 5:
      result = apus_channel_buffered(channel);
      break;
    case 6:
      result = apus_channel_set_ping(channel, 50 + (int32_t)(chance % 500), 0);
      break;
    case 7:
      result = apus_channel_set_high_water(channel, 2000 + chance % 5000);
      break;
    case 8:
      result = apus_channel_on_message(channel, on_message, NULL, NULL);
      break;
    case 9:
      result = apus_channel_path(channel) == NULL ? APUS_E_HANDLE : 0;
      break;
    case 10:
      result = apus_channel_send_fragments(channel, 2, data, 3000, 700);
      break;
    case 11:
      result = apus_channel_state(channel);
      break;
    default:
      result = apus_channel_send_binary(channel, data, chance % 3000);
      break;
  }
  if (!allowed(result))
    harness_fail(__FILE__, __LINE__, "%u: %lld", chance % 16, (long long)result);
  atomic_fetch_add(&sent, 1);
}

static void *walk(void *context) {
  unsigned chance = (unsigned)(uintptr_t)context * 2654435761u;
  while (!atomic_load(&stops)) {
    apus_channel channel = 0;
    while ((channel = apus_server_next_channel(app.server, channel)) != 0) {
      chance = chance * 1664525u + 1013904223u;
      meddle(channel, chance >> 8);
    }
    harness_breathe();
  }
  return NULL;
}

/* A client that comes, says something, and goes in one of three ways. */
static void *visit(void *context) {
  unsigned number = (unsigned)(uintptr_t)context;
  for (unsigned round = 0; round < ROUNDS; round++) {
    struct client client;
    client_open(&client, app.port);
    ws_ask(&client, "/ws", "");
    ws_accepted(&client, NULL);
    for (int i = 0; i < 8; i++) {
      size_t size;
      unsigned char *frame = ws_frame(WS_FINAL | APUS_OPCODE_TEXT, "hello", 5, &size);
      size_t done = client_send_some(&client, frame, size);
      free(frame);
      if (done < size) break;
    }
    unsigned way = (number + round) % 3;
    if (way == 0) {
      unsigned char close_frame[] = {0x88, 0x80, 1, 2, 3, 4};
      client_send_some(&client, close_frame, sizeof close_frame);
      while (client_fill(&client)) client.begin = client.end;
    }
    way == 1 ? client_leave(&client) : client_close(&client);
  }
  return NULL;
}

static void test_all_at_once(enum mode mode) {
  pthread_t workers[WORKERS], clients[CLIENTS];
  atomic_store(&opened, 0);
  atomic_store(&drops, 0);
  atomic_store(&stops, 0);
  app_make(&app, mode);
  CHECK_INT(0, apus_server_set_drain_timeout(app.server, 200));
  app_websocket(&app, "/ws", on_open, NULL);
  harness_start(&app);
  for (uintptr_t i = 0; i < WORKERS; i++) {
    CHECK_INT(0, pthread_create(&workers[i], NULL, walk, (void *)(i + 1)));
  }
  for (uintptr_t i = 0; i < CLIENTS; i++) {
    CHECK_INT(0, pthread_create(&clients[i], NULL, visit, (void *)i));
  }
  for (int i = 0; i < CLIENTS; i++) CHECK_INT(0, pthread_join(clients[i], NULL));
  /* The end comes upon some of it. */
  struct client last[CLIENTS];
  for (int i = 0; i < CLIENTS; i++) ws_open(&last[i], app.port, "/ws");
  harness_halt(&app);
  atomic_store(&stops, 1);
  for (int i = 0; i < WORKERS; i++) CHECK_INT(0, pthread_join(workers[i], NULL));
  for (int i = 0; i < CLIENTS; i++) client_close(&last[i]);
  CHECK_INT(1, apus_server_destroy(app.server));
  CHECK_INT(atomic_load(&opened), atomic_load(&drops));
  CHECK(atomic_load(&told) > 0 && atomic_load(&sent) > 0);
}

int main(int argc, char **argv) {
  static const struct harness_case cases[] = {{"all_at_once", test_all_at_once}};
  return harness_main("channel_stress_test", argc, argv, CASES(cases));
}
