/*
 * client_figures.h - what the clients measure of themselves: time, CPU and memory from a
 * mark on, written as one line of JSON.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef APUS_BENCH_CLIENT_FIGURES_H
#define APUS_BENCH_CLIENT_FIGURES_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

/* A request of each kind before anything is measured. */
#define WARM_UP 500

struct figures {
  double start, user, system;
  long resident;
};

static inline double seconds_of(struct timeval time) {
  return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static inline double now_seconds(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* A line of /proc/self/status, in KiB. */
static inline long status_kib(const char *name) {
  char line[256];
  long value = 0;
  FILE *file = fopen("/proc/self/status", "r");
  while (file != NULL && fgets(line, sizeof line, file) != NULL) {
    if (strncmp(line, name, strlen(name)) == 0) value = atol(line + strlen(name));
  }
  if (file != NULL) fclose(file);
  return value;
}

static inline void figures_mark(struct figures *figures) {
  struct rusage used;
  getrusage(RUSAGE_SELF, &used);
  figures->user = seconds_of(used.ru_utime);
  figures->system = seconds_of(used.ru_stime);
  figures->resident = status_kib("VmRSS:");
  figures->start = now_seconds(CLOCK_MONOTONIC);
}

static inline void figures_say(const struct figures *mark, long long requests, long long bytes) {
  struct rusage used;
  double seconds = now_seconds(CLOCK_MONOTONIC) - mark->start;
  getrusage(RUSAGE_SELF, &used);
  double user = seconds_of(used.ru_utime) - mark->user;
  double system = seconds_of(used.ru_stime) - mark->system;
  printf(
      "{\"requests\": %lld, \"bytes\": %lld, \"seconds\": %.6f, \"user\": %.6f, "
      "\"system\": %.6f, \"before_kib\": %ld, \"after_kib\": %ld, \"peak_kib\": %ld}\n",
      requests, bytes, seconds, user, system, mark->resident, status_kib("VmRSS:"),
      status_kib("VmHWM:"));
}

static inline void fail(const char *what) {
  fprintf(stderr, "%s\n", what);
  exit(1);
}

#endif
