/*
 * bench.h - a load: connections that each ask, wait for the answer and ask again.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdatomic.h>

#include "tool.h"

/* Times in microseconds, exact below 64 and to within 1.6 % from there on. */
enum { STEPS = 64, BUCKETS = 40 * STEPS };
struct histogram {
  _Atomic int64_t counts[BUCKETS];
  _Atomic int64_t number, sum, most;
};
void histogram_add(struct histogram *histogram, int64_t us);
/* The time that so many of a hundred took at most. */
int64_t histogram_percentile(const struct histogram *histogram, double percent);

struct bench;

/* One connection. What is under way on it belongs to the thread that has its callbacks. */
struct lane {
  struct bench *bench;
  uint64_t handle; /* a fetch, or a channel */
  int64_t began_us;
  atomic_int rests; /* it failed, and is to be begun anew */
};

enum { ERROR_KINDS = 32 };

struct bench {
  /* asked for */
  struct connection connection;
  const char *url_word, *method, *data;
  int32_t connections, threads, limit, time_ms, timeout_ms, size;
  int json, quiet, has_limit, is_websocket;
  /* under way */
  char *url;
  apus_client client;
  struct lane *lanes;
  char *message;                            /* of size bytes, for WebSocket */
  atomic_int is_over, handshake;            /* handshake: the status of one that was refused */
  _Atomic int64_t issued, finished;         /* finished: answered or failed */
  _Atomic int64_t answered, bytes, refused; /* refused: a status from 400 on */
  _Atomic int64_t errors[ERROR_KINDS];      /* by the negative of their code */
  _Atomic int64_t statuses[6];              /* by their hundreds */
  int64_t began_us, ended_us;
  struct histogram times;
};

/* Whether another request is due; it counts as issued then. */
int bench_take(struct bench *bench);
void bench_answered(struct lane *lane, size_t bytes);
void bench_failed(struct lane *lane, int32_t code);
int64_t bench_errors(const struct bench *bench);
/* Prepares the lanes. Returns an exit code. */
int bench_make_lanes(struct bench *bench);
/* Begins, or begins anew, what a lane does. */
void bench_begin(struct lane *lane);
void bench_end_lanes(struct bench *bench);
/* The report, on standard output. */
void bench_report(const struct bench *bench);

#endif /* BENCH_H */
