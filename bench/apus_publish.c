/*
 * apus_publish.c - messages of 64 bytes from one to many, over the public header
 * alone: by apus_server_publish(), and by a loop that sends to each channel.
 *
 * Usage: apus_publish PORT
 *
 * The channels at "/" are those that are sent to. A text on the channel at
 * "/control" is an order: a letter, and how many messages everyone gets.
 *
 *   p, s  publish, or send to each, inside the callback that brings the order
 *   P, S  the same in another thread
 *
 * SIGTERM or SIGINT ends it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <apus.h>
#include <ctype.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_CHANNELS = 1 << 14, SIZE = 64 };

static apus_server server;
static char message[SIZE];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static apus_channel channels[MAX_CHANNELS];
static int channel_count;
static sem_t ordered; /* to the thread: there is an order in order_text */
static char order_text[16];
static atomic_int ending;

static int32_t check(int32_t result, const char *what) {
  if (result >= 0) return result;
  fprintf(stderr, "apus_publish: %s: %s: %s\n", what, apus_error_name(result),
          apus_last_error_message());
  exit(1);
}

static void on_open(void *context, apus_channel channel, apus_request request) {
  (void)context, (void)request;
  check(apus_channel_subscribe(channel, "all"), "subscribe");
  pthread_mutex_lock(&lock);
  if (channel_count < MAX_CHANNELS) channels[channel_count++] = channel;
  pthread_mutex_unlock(&lock);
}

static void on_close(void *context, apus_channel channel, int32_t code, const char *text,
                     size_t length) {
  (void)context, (void)code, (void)text, (void)length;
  pthread_mutex_lock(&lock);
  for (int i = 0; i < channel_count; i++) {
    if (channels[i] != channel) continue;
    channels[i] = channels[--channel_count];
    break;
  }
  pthread_mutex_unlock(&lock);
}

static void obey(const char *order) {
  int count = atoi(order + 1);
  if (tolower(order[0]) == 'p') {
    for (int i = 0; i < count; i++)
      check(apus_server_publish(server, "all", APUS_OPCODE_BINARY, message, SIZE, 0), "publish");
    return;
  }
  /* One that has gone meanwhile is an error to which nobody listens. */
  pthread_mutex_lock(&lock);
  for (int i = 0; i < count; i++)
    for (int at = 0; at < channel_count; at++)
      apus_channel_send_binary(channels[at], message, SIZE);
  pthread_mutex_unlock(&lock);
}

static void on_order(void *context, apus_channel channel, int32_t opcode, const void *data,
                     size_t length) {
  (void)context, (void)channel;
  if (opcode != APUS_OPCODE_TEXT || length >= sizeof order_text) return;
  /* The next order comes when this one is done, so one place is enough. */
  memcpy(order_text, data, length);
  order_text[length] = 0;
  if (isupper(order_text[0]))
    sem_post(&ordered);
  else
    obey(order_text);
}

static void nothing(void *context, apus_channel channel, apus_request request) {
  (void)context, (void)channel, (void)request;
}

static void *obey_in_thread(void *context) {
  (void)context;
  while (sem_wait(&ordered) == 0 && !atomic_load(&ending)) obey(order_text);
  return NULL;
}

int main(int argc, char **argv) {
  if (argc < 2) {
    fprintf(stderr, "usage: apus_publish PORT\n");
    return 2;
  }
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, NULL);
  for (int i = 0; i < SIZE; i++) message[i] = (char)('a' + i % 26);
  sem_init(&ordered, 0, 0);

  server = apus_server_make();
  if (server == 0) check(apus_last_error(), "make");
  check(apus_server_set_workers(server, 1), "set_workers");
  check(apus_server_set_dispatch(server, APUS_DISPATCH_WORKER), "set_dispatch");
  check(apus_server_listen(server, "127.0.0.1", atoi(argv[1])), "listen");
  int32_t route = check(apus_server_websocket(server, "/", on_open, NULL, NULL), "websocket");
  check(apus_server_on_close(server, route, on_close, NULL, NULL), "on_close");
  int32_t control =
      check(apus_server_websocket(server, "/control", nothing, NULL, NULL), "control");
  check(apus_server_on_message(server, control, on_order, NULL, NULL), "on_message");
  check(apus_server_start(server), "start");
  pthread_t publisher;
  if (pthread_create(&publisher, NULL, obey_in_thread, NULL) != 0) return 1;
  printf("ready %d\n", (int)apus_server_port(server, 0));
  fflush(stdout);

  int number;
  sigwait(&signals, &number);
  atomic_store(&ending, 1);
  sem_post(&ordered);
  pthread_join(publisher, NULL);
  apus_server_destroy(server);
  return 0;
}
