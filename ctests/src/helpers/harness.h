/*
 * harness.h - what the C tests share: checks, a raw client with a strict parser
 * of replies, a server in any mode, and the main function that runs the cases.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef APUS_CTESTS_HARNESS_H
#define APUS_CTESTS_HARNESS_H

#include "app.h"
#include "check.h"
#include "client.h"
#include "reply.h"

struct harness_case {
  const char *name;
  void (*run)(enum mode mode);
};

static inline void harness_alarm(int number) {
  static const char text[] = "the watchdog ended the test: it hangs\n";
  (void)number;
  if (write(2, text, sizeof text - 1) < 0) _exit(3);
  _exit(2);
}

static inline enum mode harness_mode(const char *name) {
  for (int mode = 0; mode < MODE_COUNT; mode++) {
    if (strcmp(name, harness_mode_names[mode]) == 0) return (enum mode)mode;
  }
  harness_fail(__FILE__, __LINE__, "no such mode: %s", name);
}

/* Runs all cases, or the one that only names. After each of them no handle is
 * left: whatever a case made has ended with its server. */
static inline void *harness_no_work(void *context) { return context; }

/* A sanitizer starts a thread of its own with the first that a program starts;
 * it must be there before any are counted. */
static inline void harness_first_thread(void) {
  pthread_t thread;
  CHECK_INT(0, pthread_create(&thread, NULL, harness_no_work, NULL));
  CHECK_INT(0, pthread_join(thread, NULL));
}

static inline int harness_run(const char *name, enum mode mode, const char *only,
                              const struct harness_case *cases, size_t count) {
  int run = 0;
  harness_first_thread();
  setvbuf(stdout, NULL, _IOLBF, 0);
  signal(SIGALRM, harness_alarm);
  alarm(HARNESS_WATCHDOG_S);
  for (size_t i = 0; i < count; i++) {
    if (only != NULL && strcmp(only, cases[i].name) != 0) continue;
    printf("%s\n", cases[i].name);
    cases[i].run(mode);
    CHECK_INT(0, apus_live_count(0));
    run++;
  }
  CHECK(run > 0);
  printf("%s: cases run %d, right %d (%lld checks)\n", name, run, run,
         (long long)atomic_load(&harness_checks));
  return 0;
}

/* The main function of a program that takes a mode, and maybe a case. */
static inline int harness_main(const char *name, int argc, char **argv,
                               const struct harness_case *cases, size_t count) {
  char label[128];
  const char *mode = argc > 1 ? argv[1] : "tick";
  snprintf(label, sizeof label, "%s %s", name, mode);
  return harness_run(label, harness_mode(mode), argc > 2 ? argv[2] : NULL, cases, count);
}

#define CASES(array) (array), sizeof(array) / sizeof((array)[0])

#endif /* APUS_CTESTS_HARNESS_H */
