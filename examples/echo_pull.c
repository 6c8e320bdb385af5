/*
 * echo_pull.c - a WebSocket echo without callbacks: a plain loop takes the channels,
 * and a plain loop in a thread of its own takes the messages of each.
 *
 *   echo_pull [PORT]    8080 unless it is given; 0 is any free port
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <apus.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* Messages go back as they came, until the peer closes, or sends without reading:
 * then the channel is above its high-water mark, and to end it here closes it. */
static void *echo(void *context) {
  apus_channel *channel = context;
  apus_message message;
  while (apus_channel_recv(*channel, &message, -1) == 1) {
    if (apus_channel_send(*channel, message.opcode, 1, message.data, message.length) < 0) break;
  }
  apus_channel_destroy(*channel);
  free(channel);
  return NULL;
}

/* A channel that was pulled is the caller's, until it is destroyed. */
static void start_echo(apus_channel handle) {
  pthread_t thread;
  apus_channel *channel = malloc(sizeof *channel);
  if (channel != NULL) *channel = handle;
  if (channel != NULL && pthread_create(&thread, NULL, echo, channel) == 0) {
    pthread_detach(thread);
    return;
  }
  apus_channel_destroy(handle);
  free(channel);
}

int main(int argc, char **argv) {
  apus_server server = apus_server_make();
  /* A route without a function is delivered by apus_server_next(). */
  if (apus_server_websocket(server, "/echo", NULL, NULL, NULL) < 0 ||
      apus_server_listen(server, "127.0.0.1", argc > 1 ? atoi(argv[1]) : 8080) < 0 ||
      apus_server_start(server) < 0) {
    fprintf(stderr, "%s\n", apus_last_error_message());
    return 1;
  }
  fprintf(stderr, "http://127.0.0.1:%d/\n", apus_server_port(server, 0));

  apus_event event;
  int32_t events;
  while ((events = apus_server_next(server, &event, -1)) >= 0) {
    if (events == 1 && event.kind == APUS_EVENT_CHANNEL) start_echo(event.handle);
  }
  apus_server_destroy(server);
  return 0;
}
