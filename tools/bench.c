/*
 * bench.c - "apus bench": how many requests a second, and how soon their answers.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bench.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
  OPT_CONNECTIONS = OPT_OWN,
  OPT_REQUESTS,
  OPT_TIME,
  OPT_THREADS,
  OPT_METHOD,
  OPT_DATA,
  OPT_SIZE,
  OPT_TIMEOUT,
  OPT_JSON,
  OPT_QUIET
};

static const struct option options[] = {
    {'c', "connections", "N", "so many at once (10)", OPT_CONNECTIONS},
    {'n', "requests", "N", "end behind N requests", OPT_REQUESTS},
    {'t', "time", "SECONDS", "end after so long (10, without -n)", OPT_TIME},
    {0, "threads", "N", "threads that make the load (1)", OPT_THREADS},
    {'X', "method", "METHOD", "the requests' method", OPT_METHOD},
    {'d', "data", "DATA", "send DATA by POST, as a form", OPT_DATA},
    {0, "size", "N", "of WebSocket messages, in bytes (32)", OPT_SIZE},
    {0, "timeout", "SECONDS", "for one answer; then it counts as an error (10)", OPT_TIMEOUT},
    {'j', "json", NULL, "print the report as JSON", OPT_JSON},
    {'q', "quiet", NULL, "nothing on the terminal meanwhile", OPT_QUIET},
    {0, NULL, NULL, NULL, 0},
};

static const char about[] =
    "Asks a server for the same thing again and again, over connections that each wait for\n"
    "one answer before they ask anew, and reports requests a second and how long answers\n"
    "took. For ws:// and wss:// it sends messages to a server that echoes them. Put load on\n"
    "hosts of your own alone.\n"
    "\n"
    "  apus bench http://localhost:8080/                 ten connections, ten seconds\n"
    "  apus bench -c 100 -n 100000 localhost:8080/       a hundred thousand requests\n"
    "  apus bench --size 1000 ws://localhost:8080/       messages of 1000 bytes, there and back\n"
    "\n"
    "It shares the machine with a server on localhost, and an answer that is late holds\n"
    "back the next request of its connection: figures of such a load flatter a server that\n"
    "stalls. It ends with 7 where a request failed, and with 4 where one was refused.";

/* ---- counting */

int bench_take(struct bench *bench) {
  if (atomic_load_explicit(&bench->is_over, memory_order_relaxed)) return 0;
  int64_t number = atomic_fetch_add(&bench->issued, 1);
  if (!bench->has_limit || number < bench->limit) return 1;
  atomic_fetch_sub(&bench->issued, 1);
  return 0;
}

void bench_answered(struct lane *lane, size_t bytes) {
  struct bench *bench = lane->bench;
  if (atomic_load_explicit(&bench->is_over, memory_order_relaxed)) return;
  histogram_add(&bench->times, now_us() - lane->began_us);
  atomic_fetch_add_explicit(&bench->answered, 1, memory_order_relaxed);
  atomic_fetch_add_explicit(&bench->bytes, (int64_t)bytes, memory_order_relaxed);
  int64_t finished = atomic_fetch_add(&bench->finished, 1) + 1;
  if (bench->has_limit && finished >= bench->limit) apus_client_wake(bench->client);
}

void bench_failed(struct lane *lane, int32_t code) {
  struct bench *bench = lane->bench;
  if (atomic_load(&bench->is_over)) return;
  int32_t kind = code < 0 && code > -ERROR_KINDS ? -code : 0;
  atomic_fetch_add(&bench->errors[kind], 1);
  int64_t finished = atomic_fetch_add(&bench->finished, 1) + 1;
  if (bench->has_limit && finished >= bench->limit) apus_client_wake(bench->client);
}

int64_t bench_errors(const struct bench *bench) {
  int64_t sum = 0;
  for (int i = 0; i < ERROR_KINDS; i++) sum += atomic_load(&bench->errors[i]);
  return sum;
}

/* ---- the run */

static void stop(void *context) { apus_client_wake(((struct bench *)context)->client); }

/* Lanes that failed begin anew here, so that a server that refuses is asked in bursts of
 * their number and not without pause. */
static void begin_resting(struct bench *bench) {
  for (int32_t i = 0; i < bench->connections; i++) {
    struct lane *lane = &bench->lanes[i];
    if (atomic_exchange(&lane->rests, 0)) bench_begin(lane);
  }
}

static void draw(const struct bench *bench, int64_t now, int clear) {
  if (bench->quiet || !is_terminal(stderr)) return;
  if (clear) {
    fputs("\r\033[K", stderr);
    return;
  }
  fprintf(stderr, "\r%5.1f s  %" PRId64 " answers, %" PRId64 " errors\033[K",
          (double)(now - bench->began_us) / 1e6, atomic_load(&bench->answered),
          bench_errors(bench));
}

static int is_over(const struct bench *bench, int64_t now) {
  if (signal_seen() != 0) return 1;
  if (bench->time_ms > 0 && now - bench->began_us >= (int64_t)bench->time_ms * 1000) return 1;
  return bench->has_limit && atomic_load(&bench->finished) >= bench->limit;
}

/* Nothing but failures, as often as there are connections: there is no server. */
static int is_hopeless(const struct bench *bench) {
  return atomic_load(&bench->answered) == 0 && bench_errors(bench) >= bench->connections;
}

static void run_load(struct bench *bench) {
  int64_t now = bench->began_us = now_us();
  for (int32_t i = 0; i < bench->connections; i++) bench_begin(&bench->lanes[i]);
  while (!is_over(bench, now) && !is_hopeless(bench)) {
    int64_t left = 100;
    if (bench->time_ms > 0) left = bench->time_ms - (now - bench->began_us) / 1000;
    apus_client_tick(bench->client, (int32_t)(left < 100 ? (left > 1 ? left : 1) : 100));
    begin_resting(bench);
    now = now_us();
    draw(bench, now, 0);
  }
  atomic_store(&bench->is_over, 1);
  bench->ended_us = now_us();
  draw(bench, now, 1);
}

/* Says why nothing was to be had; returns the exit code. */
static int complain_hopeless(const struct bench *bench) {
  int32_t code = APUS_E_CLOSED, status = atomic_load(&bench->handshake);
  int64_t most = 0;
  if (status > 0) {
    complain("%s: the server answers %d, and opens no WebSocket; check the path", bench->url,
             (int)status);
    return EXIT_STATUS;
  }
  for (int i = 1; i < ERROR_KINDS; i++) {
    if (atomic_load(&bench->errors[i]) <= most) continue;
    most = atomic_load(&bench->errors[i]);
    code = -i;
  }
  return complain_network(bench->url, code, sentence_of(code));
}

static int measure(struct bench *bench) {
  int result = connection_apply(&bench->connection, bench->client);
  if (result == EXIT_FINE) result = bench_make_lanes(bench);
  if (result != EXIT_FINE) return result;
  run_load(bench);
  int hopeless = is_hopeless(bench);
  if (hopeless) {
    result = complain_hopeless(bench);
  } else {
    bench_report(bench);
    if (bench_errors(bench) > 0) result = EXIT_PROTOCOL;
    if (result == EXIT_FINE && atomic_load(&bench->refused) > 0) result = EXIT_STATUS;
  }
  bench_end_lanes(bench);
  return result;
}

/* ---- the command line */

static void take_option(struct bench *bench, const struct arguments *arguments, int id) {
  if (id == OPT_CONNECTIONS) bench->connections = count_value(arguments, 1, 10000);
  if (id == OPT_REQUESTS) {
    bench->limit = count_value(arguments, 1, INT32_MAX);
    bench->has_limit = 1;
  }
  if (id == OPT_TIME) bench->time_ms = seconds_value(arguments);
  if (id == OPT_THREADS) bench->threads = count_value(arguments, 1, 64);
  if (id == OPT_METHOD) bench->method = arguments->value;
  if (id == OPT_DATA) bench->data = arguments->value;
  if (id == OPT_SIZE) bench->size = count_value(arguments, 0, 16 << 20);
  if (id == OPT_TIMEOUT) bench->timeout_ms = seconds_value(arguments);
  if (id == OPT_JSON) bench->json = 1;
  if (id == OPT_QUIET) bench->quiet = 1;
  if (id == ARG_WORD) take_word(arguments, &bench->url_word, "URL");
}

static int run(const struct command *command, int count, char **words) {
  static struct bench bench = {.connections = 10, .threads = 1, .timeout_ms = 10000, .size = 32};
  struct arguments arguments = arguments_of(command, count, words);
  int id;
  connection_init(&bench.connection);
  while ((id = next_argument(&arguments)) != ARG_END) {
    if (!connection_option(&bench.connection, &arguments, id)) take_option(&bench, &arguments, id);
  }
  if (bench.url_word == NULL) wrong_usage(command, "which URL?");
  if (!bench.has_limit && bench.time_ms == 0) bench.time_ms = 10000;
  if (bench.has_limit && bench.limit < bench.connections) bench.connections = bench.limit;
  bench.url = whole_url(bench.url_word, "http");
  bench.is_websocket = strncmp(bench.url, "ws://", 5) == 0 || strncmp(bench.url, "wss://", 6) == 0;
  bench.connection.proxy = ""; /* it would be the proxy that is measured */
  bench.client = apus_client_make();
  if (bench.client == 0) out_of_memory();
  apus_client_set_workers(bench.client, bench.threads);
  apus_client_set_dispatch(bench.client, APUS_DISPATCH_WORKER);
  watch_signals(stop, &bench);
  int result = measure(&bench);
  apus_client_destroy(bench.client);
  free(bench.lanes);
  free(bench.message);
  free(bench.url);
  return result;
}

const struct command bench_command = {
    "bench", "[OPTION...] URL", "measure a server", about, options, connection_options, run,
};
