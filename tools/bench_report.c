/*
 * bench_report.c - the figures of "apus bench".
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>

#include "bench.h"

/* ---- the histogram: each power of two has 64 buckets */

static int bucket_of(int64_t us) {
  if (us < STEPS) return us < 0 ? 0 : (int)us;
  int shift = 63 - __builtin_clzll((unsigned long long)us) - 6;
  int bucket = (shift + 1) * STEPS + (int)(us >> shift) - STEPS;
  return bucket < BUCKETS ? bucket : BUCKETS - 1;
}

/* The longest time that a bucket stands for. */
static int64_t time_of(int bucket) {
  if (bucket < STEPS) return bucket;
  int shift = bucket / STEPS - 1;
  return ((int64_t)(bucket % STEPS + STEPS + 1) << shift) - 1;
}

void histogram_add(struct histogram *histogram, int64_t us) {
  atomic_fetch_add_explicit(&histogram->counts[bucket_of(us)], 1, memory_order_relaxed);
  atomic_fetch_add_explicit(&histogram->number, 1, memory_order_relaxed);
  atomic_fetch_add_explicit(&histogram->sum, us, memory_order_relaxed);
  int64_t most = atomic_load(&histogram->most);
  while (us > most && !atomic_compare_exchange_weak(&histogram->most, &most, us)) continue;
}

int64_t histogram_percentile(const struct histogram *histogram, double percent) {
  int64_t number = atomic_load(&histogram->number), seen = 0;
  int64_t most = atomic_load(&histogram->most);
  double wanted = (double)number * percent / 100;
  for (int i = 0; i < BUCKETS; i++) {
    seen += atomic_load(&histogram->counts[i]);
    if ((double)seen >= wanted && seen > 0) return time_of(i) < most ? time_of(i) : most;
  }
  return most;
}

/* ---- the report */

static const double percents[] = {50, 75, 90, 99, 99.9};
enum { PERCENTS = sizeof percents / sizeof percents[0] };

static void print_errors(const struct bench *bench, const char *format) {
  const char *comma = "";
  for (int i = 0; i < ERROR_KINDS; i++) {
    int64_t count = atomic_load(&bench->errors[i]);
    if (count == 0) continue;
    fputs(comma, stdout);
    printf(format, apus_error_name(-i), count);
    comma = ", ";
  }
}

static void print_json(const struct bench *bench, double seconds, double mean) {
  const struct histogram *times = &bench->times;
  printf("{\"seconds\": %.3f, \"connections\": %d, \"answers\": %" PRId64 ", \"errors\": %" PRId64
         ", \"refused\": %" PRId64 ", \"bytes\": %" PRId64
         ", \"per_second\": %.1f, \"mean_us\": %.1f",
         seconds, (int)bench->connections, atomic_load(&bench->answered), bench_errors(bench),
         atomic_load(&bench->refused), atomic_load(&bench->bytes),
         (double)atomic_load(&bench->answered) / seconds, mean);
  for (int i = 0; i < PERCENTS; i++) {
    printf(", \"p%g_us\": %" PRId64, percents[i], histogram_percentile(times, percents[i]));
  }
  printf(", \"max_us\": %" PRId64 ", \"by_error\": {", atomic_load(&times->most));
  print_errors(bench, "\"%s\": %" PRId64);
  printf("}}\n");
}

static void print_time(const char *what, double us) {
  printf("  %-9s %10.3f ms\n", what, us / 1000);
}

void bench_report(const struct bench *bench) {
  const struct histogram *times = &bench->times;
  char bytes[24], rate[24], what[16];
  double seconds = (double)(bench->ended_us - bench->began_us) / 1e6;
  if (seconds <= 0) seconds = 1e-6;
  int64_t answered = atomic_load(&bench->answered), number = atomic_load(&times->number);
  double mean = number > 0 ? (double)atomic_load(&times->sum) / (double)number : 0;
  double all = (double)atomic_load(&bench->bytes);
  if (bench->json) {
    print_json(bench, seconds, mean);
    return;
  }
  printf("%" PRId64 " %s in %.2f s over %d connections\n", answered,
         bench->is_websocket ? "messages there and back" : "answers", seconds,
         (int)bench->connections);
  printf("  %.0f a second, bodies of %s, %s/s\n", (double)answered / seconds,
         in_bytes(bytes, sizeof bytes, all), in_bytes(rate, sizeof rate, all / seconds));
  printf("Time to an answer\n");
  print_time("mean", mean);
  for (int i = 0; i < PERCENTS; i++) {
    snprintf(what, sizeof what, "%g %%", percents[i]);
    print_time(what, (double)histogram_percentile(times, percents[i]));
  }
  print_time("longest", (double)atomic_load(&times->most));
  for (int i = 1; i < 6; i++) {
    int64_t count = atomic_load(&bench->statuses[i]);
    if (count > 0 && i != 2) printf("%" PRId64 " answers have status %dxx\n", count, i);
  }
  if (bench_errors(bench) > 0) {
    printf("%" PRId64 " errors: ", bench_errors(bench));
    print_errors(bench, "%s %" PRId64);
    printf("\n");
  }
}
