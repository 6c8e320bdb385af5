/*
 * apus_ws.c - the WebSocket server under measurement, over the public header
 * alone: it echoes messages.
 *
 * Usage: apus_ws PORT [worker|tick|threadless]
 *
 *   worker      one worker thread, which runs the listener (the default)
 *   tick        one worker thread; the listener runs in main's apus_server_tick()
 *   threadless  no worker; main's apus_server_tick() does everything
 *
 * SIGTERM or SIGINT ends it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <apus.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static apus_server server;
static atomic_int ending;

static int32_t check(int32_t result, const char *what) {
  if (result >= 0) return result;
  fprintf(stderr, "apus_ws: %s: %s: %s\n", what, apus_error_name(result),
          apus_last_error_message());
  exit(1);
}

/* Without a function for it, the open channel would be an event to take. */
static void on_open(void *context, apus_channel channel, apus_request request) {
  (void)context, (void)channel, (void)request;
}

static void echo(void *context, apus_channel channel, int32_t opcode, const void *data,
                 size_t length) {
  (void)context;
  apus_channel_send(channel, opcode, 1, data, length);
}

/* Waits for the signal that ends the program, which every thread blocks. */
static void *wait_for_end(void *signals) {
  int number;
  sigwait(signals, &number);
  atomic_store(&ending, 1);
  apus_server_wake(server);
  return NULL;
}

int main(int argc, char **argv) {
  const char *mode = argc > 2 ? argv[2] : "worker";
  int worker = strcmp(mode, "worker") == 0;
  int threadless = strcmp(mode, "threadless") == 0;
  if (argc < 2 || (!worker && !threadless && strcmp(mode, "tick") != 0)) {
    fprintf(stderr, "usage: apus_ws PORT [worker|tick|threadless]\n");
    return 2;
  }
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, NULL);

  server = apus_server_make();
  if (server == 0) check(apus_last_error(), "make");
  check(apus_server_set_workers(server, threadless ? 0 : 1), "set_workers");
  check(apus_server_set_dispatch(server, worker ? APUS_DISPATCH_WORKER : APUS_DISPATCH_TICK),
        "set_dispatch");
  check(apus_server_listen(server, "127.0.0.1", atoi(argv[1])), "listen");
  int32_t route = check(apus_server_websocket(server, "/", on_open, NULL, NULL), "websocket");
  check(apus_server_on_message(server, route, echo, NULL, NULL), "on_message");
  check(apus_server_start(server), "start");
  printf("ready %d\n", (int)apus_server_port(server, 0));
  fflush(stdout);

  if (worker) {
    int number;
    sigwait(&signals, &number);
  } else {
    pthread_t waiter;
    if (pthread_create(&waiter, NULL, wait_for_end, &signals) != 0) return 1;
    while (!atomic_load(&ending)) {
      int32_t result = apus_server_tick(server, -1);
      if (result < 0) check(result, "tick");
    }
    pthread_join(waiter, NULL);
  }
  apus_server_destroy(server);
  return 0;
}
