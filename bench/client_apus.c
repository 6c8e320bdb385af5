/*
 * client_apus.c - GETs by the library: one after the other, many in flight, or one whose
 * body is counted as it comes.
 *
 *   client_apus blocking|worker|threadless URL COUNT IN_FLIGHT
 *
 * blocking: one worker, and this thread waits. worker: callbacks on the worker.
 * threadless: this thread does it all. IN_FLIGHT 0 counts the bytes of the bodies and
 * keeps none of them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "client_figures.h"

#include <apus.h>
#include <stdatomic.h>

static atomic_llong left, bytes;
static atomic_int running;

static void must(int32_t result) {
  if (result < 0) fail(apus_last_error_message());
}

static void count(void *context, apus_fetch fetch, const void *data, size_t length) {
  (void)context, (void)fetch, (void)data;
  atomic_fetch_add(&bytes, (long long)length);
}

static void complete(void *context, apus_fetch fetch, apus_response response, int32_t result) {
  (void)context;
  if (result != 0 || apus_response_status(response) != 200) fail("a fetch failed");
  if (atomic_fetch_sub(&left, 1) > 0) {
    must(apus_fetch_start(fetch));
  } else {
    atomic_fetch_sub(&running, 1);
  }
}

static apus_fetch make(apus_client client, const char *url) {
  apus_fetch fetch = apus_fetch_make(client, "GET", url);
  if (fetch == 0) fail(apus_last_error_message());
  must(apus_fetch_set_decoding(fetch, 0));
  return fetch;
}

static void one_by_one(apus_fetch fetch, long long number) {
  for (long long i = 0; i < number; i++) {
    apus_response response = apus_fetch_send(fetch);
    if (response == 0 || apus_response_status(response) != 200) fail(apus_last_error_message());
  }
}

static void in_flight(apus_client client, apus_fetch *fetches, int depth, long long number,
                      int is_threadless) {
  atomic_store(&left, number - depth);
  atomic_store(&running, depth);
  for (int i = 0; i < depth; i++) must(apus_fetch_start(fetches[i]));
  while (atomic_load(&running) > 0) {
    if (is_threadless) {
      must(apus_client_tick(client, 100));
    } else {
      struct timespec moment = {0, 1000000};
      nanosleep(&moment, NULL);
    }
  }
}

int main(int argc, char **argv) {
  if (argc != 5) fail("usage: client_apus blocking|worker|threadless URL COUNT IN_FLIGHT");
  int is_threadless = strcmp(argv[1], "threadless") == 0;
  long long number = atoll(argv[3]);
  int depth = atoi(argv[4]);
  struct figures mark;
  apus_client client = apus_client_make();
  must(apus_client_set_workers(client, is_threadless ? 0 : 1));
  must(apus_client_set_dispatch(client, APUS_DISPATCH_WORKER));
  if (depth <= 1) {
    apus_fetch fetch = make(client, argv[2]);
    if (depth == 0) must(apus_fetch_on_body(fetch, count, NULL, NULL));
    if (depth > 0) one_by_one(fetch, WARM_UP);
    figures_mark(&mark);
    one_by_one(fetch, number);
  } else {
    apus_fetch fetches[1024];
    if (depth > 1024) fail("at most 1024 in flight");
    for (int i = 0; i < depth; i++) {
      fetches[i] = make(client, argv[2]);
      must(apus_fetch_on_complete(fetches[i], complete, NULL, NULL));
    }
    in_flight(client, fetches, depth, WARM_UP, is_threadless);
    figures_mark(&mark);
    in_flight(client, fetches, depth, number, is_threadless);
  }
  figures_say(&mark, number, atomic_load(&bytes));
  apus_client_destroy(client);
  return 0;
}
