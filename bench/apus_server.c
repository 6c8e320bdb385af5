/*
 * apus_server.c - the server under measurement, over the public header alone.
 *
 * Usage: apus_server PORT [worker|tick|threadless [FOLDER]]
 *
 *   worker      one worker thread, which runs the handler (the default)
 *   tick        one worker thread; the handler runs in main's apus_server_tick()
 *   threadless  no worker; main's apus_server_tick() does everything
 *
 * FOLDER is served under /files. SIGTERM or SIGINT ends it.
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

static void check(int32_t result, const char *what) {
  if (result >= 0) return;
  fprintf(stderr, "apus_server: %s: %s: %s\n", what, apus_error_name(result),
          apus_last_error_message());
  exit(1);
}

static void hello(void *context, apus_request request) {
  (void)context;
  apus_reply_set_header(request, "X-Bench", "1");
  apus_reply(request, 200, "text/plain", "Hello, World!", 13);
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
    fprintf(stderr, "usage: apus_server PORT [worker|tick|threadless]\n");
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
  check(apus_server_get(server, "/", hello, NULL, NULL), "get");
  if (argc > 3) check(apus_server_serve_folder(server, "/files", argv[3]), "serve_folder");
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
