/*
 * check.h - checks that say where they failed, what was expected and what came,
 * and end the process; conditions that have to come true within one generous
 * deadline; and figures of the process from /proc. Nothing here sleeps in the
 * hope that something has happened meanwhile.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef APUS_CTESTS_CHECK_H
#define APUS_CTESTS_CHECK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <apus.h>

#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* How long anything may take before the test counts as failed. */
#define HARNESS_DEADLINE_MS 60000
/* How long a whole test program may take. */
#define HARNESS_WATCHDOG_S 240

static atomic_llong harness_checks;

/* Ends the process at once: other threads may be anywhere, so no exit hooks. */
static inline void harness_fail(const char *file, int line, const char *format, ...)
    __attribute__((noreturn, format(printf, 3, 4)));

static inline void harness_fail(const char *file, int line, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fprintf(stderr, "%s:%d: ", file, line);
  vfprintf(stderr, format, arguments);
  fprintf(stderr, "\n");
  va_end(arguments);
  fflush(stdout);
  fflush(stderr);
  _exit(1);
}

static inline void harness_check_int(const char *file, int line, const char *what,
                                     long long expected, long long got) {
  atomic_fetch_add(&harness_checks, 1);
  if (expected != got) {
    harness_fail(file, line, "%s: expected %lld, got %lld (last error: %s, %s)", what, expected,
                 got, apus_error_name(apus_last_error()), apus_last_error_message());
  }
}

static inline void harness_check_text(const char *file, int line, const char *what,
                                      const char *expected, const char *got) {
  atomic_fetch_add(&harness_checks, 1);
  if (got == NULL || strcmp(expected, got) != 0) {
    harness_fail(file, line, "%s: expected \"%s\", got %s%.2000s%s", what, expected,
                 got == NULL ? "" : "\"", got == NULL ? "NULL" : got, got == NULL ? "" : "\"");
  }
}

static inline void harness_check_bytes(const char *file, int line, const char *what,
                                       const void *expected, size_t expected_length,
                                       const void *got, size_t got_length) {
  atomic_fetch_add(&harness_checks, 1);
  if (expected_length != got_length) {
    harness_fail(file, line, "%s: expected %zu bytes, got %zu", what, expected_length, got_length);
  }
  for (size_t i = 0; i < got_length; i++) {
    if (((const unsigned char *)expected)[i] != ((const unsigned char *)got)[i]) {
      harness_fail(file, line, "%s: byte %zu differs", what, i);
    }
  }
}

#define CHECK(condition)                                                                \
  do {                                                                                  \
    atomic_fetch_add(&harness_checks, 1);                                               \
    if (!(condition)) {                                                                 \
      harness_fail(__FILE__, __LINE__, "not true: %s (last error: %s, %s)", #condition, \
                   apus_error_name(apus_last_error()), apus_last_error_message());      \
    }                                                                                   \
  } while (0)
#define CHECK_INT(expected, got) \
  harness_check_int(__FILE__, __LINE__, #got, (long long)(expected), (long long)(got))
#define CHECK_TEXT(expected, got) harness_check_text(__FILE__, __LINE__, #got, (expected), (got))
#define CHECK_BYTES(expected, expected_length, got, got_length) \
  harness_check_bytes(__FILE__, __LINE__, #got, (expected), (expected_length), (got), (got_length))
/* A call that fails: its result, and the thread's last error, are the code. */
#define CHECK_CODE(code, call)            \
  do {                                    \
    CHECK_INT((code), (call));            \
    CHECK_INT((code), apus_last_error()); \
  } while (0)
/* A call that returns 0 or NULL and leaves the code. */
#define CHECK_NONE(code, call)            \
  do {                                    \
    CHECK((call) == 0);                   \
    CHECK_INT((code), apus_last_error()); \
  } while (0)

static inline int64_t harness_now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Lets others run for a moment, between two looks at a condition. */
static inline void harness_breathe(void) {
  struct timespec moment = {0, 500000};
  nanosleep(&moment, NULL);
}

/* Looks until the condition holds; fails after the deadline. */
#define EVENTUALLY(condition)                                                  \
  do {                                                                         \
    int64_t harness_limit = harness_now_ms() + HARNESS_DEADLINE_MS;            \
    while (!(condition)) {                                                     \
      if (harness_now_ms() > harness_limit) {                                  \
        harness_fail(__FILE__, __LINE__, "did not come true: %s", #condition); \
      }                                                                        \
      harness_breathe();                                                       \
    }                                                                          \
    atomic_fetch_add(&harness_checks, 1);                                      \
  } while (0)

/* ------------------------------------------------- the process, from /proc */

static inline int harness_count_entries(const char *path) {
  DIR *directory = opendir(path);
  if (directory == NULL) harness_fail(__FILE__, __LINE__, "cannot read %s", path);
  int count = 0;
  for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
    if (entry->d_name[0] != '.') count++;
  }
  closedir(directory);
  return count;
}

/* Holds a port that a listener had: until the socket is closed nobody is given it, and it
 * refuses connections, but who binds it by SO_REUSEADDR has it. */
static inline int harness_hold_port(int32_t port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  int on = 1, held = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  CHECK(held >= 0);
  CHECK_INT(0, setsockopt(held, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on));
  CHECK_INT(0, bind(held, (struct sockaddr *)&address, sizeof address));
  return held;
}

/* The descriptors of this process (one of them is the directory's own). */
static inline int harness_descriptors(void) { return harness_count_entries("/proc/self/fd"); }
/* A thread is counted for a moment after it was joined: compare with <=. */
static inline int harness_threads(void) { return harness_count_entries("/proc/self/task"); }

#endif /* APUS_CTESTS_CHECK_H */
