/*
 * faults_run.c - one scenario, again and again, while one call of the library's to libc
 * fails: the first, then the second, and so on until the scenario no longer gets to the
 * one that is due. Run with faults_shim.so preloaded, by faults_sweep_test.py:
 *
 *   faults_run MODE FOLDER FUNCTION ERROR [FROM [MOST]]
 *
 * FOLDER has file.bin, text.txt, server.crt, server.key, ca.crt and a folder "uploads".
 * ERROR is a number, as the shim takes it. For "memory", FAULTS_LEAST, FAULTS_MOST and
 * FAULTS_SCOPE tell the sizes and whose calls; FAULTS_BURST how many fail in a row.
 *
 * Each round makes a server and a client, uses both in every way, and ends both. What
 * fails may fail, and must say so: no reply is malformed, nothing hangs, a new request
 * then succeeds, and no descriptor, thread or handle is left.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "faults.h"
#include "faults_scenario.h"

#include <dlfcn.h>
#include <malloc.h>

#define ROUND_S 30 /* a round that takes longer hangs */

static __typeof__(&faults_arm) shim_arm;
static __typeof__(&faults_hits) shim_hits;
static __typeof__(&faults_bad_closes) shim_bad_closes;
static __typeof__(&faults_sizes) shim_sizes;
static __typeof__(&faults_scope) shim_scope;

/* Nothing fails any more: then nothing does. */
static void honest(void) {
  struct client raw;
  step("honest");
  client_open(&raw, app.port);
  client_get(&raw, "/hello");
  CLIENT_EXPECT(&raw, "GET", 200, "hello");
  client_format(&raw, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
  CLIENT_EXPECT(&raw, "POST", 200, "abc");
  client_close(&raw);
  client_open(&raw, app.port);
  client_get(&raw, "/f/file.bin");
  CLIENT_EXPECT(&raw, "GET", 200, NULL);
  client_close(&raw);
}

static void run_round(enum mode mode) {
  now.started = begin(mode);
  if (now.started) {
    step_requests();
    step_files();
    step_upload();
    step_adopted();
    step_events();
    if (set_up_client()) {
      step_channel();
      step_fetch();
      step_source();
    }
  }
  if (shim_hits() > 0) {
    shim_arm(NULL, 0, 0, 0);
    now.hit = 1;
    if (!now.started) {
      end();
      CHECK(begin(mode));
    }
    honest();
    end();
  } else { /* it may still come */
    end();
    now.hit = shim_hits() > 0;
    shim_arm(NULL, 0, 0, 0);
  }
}

/* ------------------------------------------------------------------- driver */

static void find_shim(void) {
  *(void **)&shim_arm = dlsym(RTLD_DEFAULT, "faults_arm");
  *(void **)&shim_hits = dlsym(RTLD_DEFAULT, "faults_hits");
  *(void **)&shim_bad_closes = dlsym(RTLD_DEFAULT, "faults_bad_closes");
  *(void **)&shim_sizes = dlsym(RTLD_DEFAULT, "faults_sizes");
  *(void **)&shim_scope = dlsym(RTLD_DEFAULT, "faults_scope");
  if (shim_arm == NULL || shim_bad_closes == NULL) {
    harness_fail(__FILE__, __LINE__, "faults_shim.so is not preloaded");
  }
}

static long number_of(const char *name, long otherwise) {
  const char *text = getenv(name);
  return text == NULL ? otherwise : atol(text);
}

static size_t memory_in_use(void) {
  struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

int main(int argc, char **argv) {
  if (argc < 5) return 2;
  find_shim();
  enum mode mode = harness_mode(argv[1]);
  snprintf(folder, sizeof folder, "%s", argv[2]);
  int failure = atoi(argv[4]);
  long from = argc > 5 ? atol(argv[5]) : 1, most = argc > 6 ? atol(argv[6]) : 100000;
  memset(body, 'a', BODY);
  signal(SIGPIPE, SIG_DFL);
  signal(SIGALRM, harness_alarm);
  alarm(ROUND_S);
  shim_sizes((size_t)number_of("FAULTS_LEAST", 0), (size_t)number_of("FAULTS_MOST", 0));
  shim_scope((int)number_of("FAULTS_SCOPE", FAULTS_OF_APUS));
  CHECK(shim_arm(NULL, 0, 0, 0) > 0);

  /* One round without a fault: all of it succeeds, and what is kept for good is made. */
  now = (struct round){0};
  run_round(mode);
  int steps = now.served;
  CHECK_INT(0, now.failed);
  CHECK_INT(1, now.started);
  int descriptors = harness_descriptors(), threads = harness_threads();
  size_t memory = 0;
  long injected = 0, unstarted = 0, failed = 0, unharmed = 0, number = from;
  int64_t slowest = 0;
  for (; number < from + most; number++) {
    int64_t begun = harness_now_ms();
    alarm(ROUND_S);
    now = (struct round){.number = number};
    CHECK(shim_arm(argv[3], number, number_of("FAULTS_BURST", 1), failure) > 0);
    run_round(mode);
    CHECK_INT(0, apus_live_count(0));
    CHECK_INT(0, shim_bad_closes());
    EVENTUALLY(harness_descriptors() <= descriptors);
    EVENTUALLY(harness_threads() <= threads);
    int64_t taken = harness_now_ms() - begun;
    if (taken > 1500) dprintf(1, "slow %ld %lld\n", number, (long long)taken);
    if (taken > slowest) slowest = taken;
    if (!now.hit) break;
    injected++;
    unstarted += !now.started;
    failed += now.failed;
    unharmed += now.started && now.served == steps && now.failed == 0;
    if (injected == 10) memory = memory_in_use();
  }
  double grown = injected > 20 ? ((double)memory_in_use() - (double)memory) / (injected - 10) : 0;
  printf(
      "{\"injected\": %ld, \"unstarted\": %ld, \"steps_failed\": %ld, \"unharmed\": %ld, "
      "\"slowest_ms\": %lld, \"bytes_a_round\": %.1f}\n",
      injected, unstarted, failed, unharmed, (long long)slowest, grown);
  return 0;
}
