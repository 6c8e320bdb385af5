/*
 * signals.c - Ctrl-C. The signals that end a program are blocked in every thread and
 * waited for in one, since what is to be done about them is not safe in a handler.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "tool.h"

static atomic_int seen;
static void (*stop_function)(void *context);
static void *stop_context;
static sigset_t signals;

static void *run_stop(void *context) {
  stop_function(context);
  return NULL;
}

static void *wait_for_signals(void *context) {
  (void)context;
  for (;;) {
    int number = 0;
    if (sigwait(&signals, &number) != 0) continue;
    if (atomic_exchange(&seen, number) != 0) _exit(128 + number);
    /* That may take its time, and the next signal is not to wait. */
    pthread_t thread;
    if (pthread_create(&thread, NULL, run_stop, stop_context) != 0) _exit(128 + number);
    pthread_detach(thread);
  }
  return NULL;
}

void watch_signals(void (*stop)(void *context), void *context) {
  pthread_t thread;
  stop_function = stop;
  stop_context = context;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, NULL);
  if (pthread_create(&thread, NULL, wait_for_signals, NULL) != 0) out_of_memory();
  pthread_detach(thread);
}

int signal_seen(void) { return atomic_load(&seen); }
