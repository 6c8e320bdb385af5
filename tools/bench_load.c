/*
 * bench_load.c - what the connections of "apus bench" do, over HTTP and over WebSocket.
 * The callbacks run on the threads that do the I/O.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <string.h>

#include "bench.h"

/* ---- HTTP: a fetch that is started again and again */

static void count_body(void *context, apus_fetch fetch, const void *data, size_t length) {
  struct lane *lane = context;
  (void)fetch, (void)data;
  atomic_fetch_add_explicit(&lane->bench->bytes, (int64_t)length, memory_order_relaxed);
}

static void begin_fetch(struct lane *lane) {
  if (!bench_take(lane->bench)) return;
  lane->began_us = now_us();
  if (apus_fetch_start(lane->handle) < 0) {
    bench_failed(lane, apus_last_error());
    atomic_store(&lane->rests, 1);
  }
}

static void end_fetch(void *context, apus_fetch fetch, apus_response response, int32_t result) {
  struct lane *lane = context;
  (void)fetch;
  if (result < 0) {
    bench_failed(lane, result);
    atomic_store(&lane->rests, 1);
    return;
  }
  int32_t status = apus_response_status(response);
  atomic_fetch_add_explicit(&lane->bench->statuses[status / 100], 1, memory_order_relaxed);
  if (status >= 400) atomic_fetch_add(&lane->bench->refused, 1);
  bench_answered(lane, 0);
  begin_fetch(lane);
}

static int make_fetch(struct lane *lane) {
  struct bench *bench = lane->bench;
  const struct connection *c = &bench->connection;
  const char *method = bench->method ? bench->method : bench->data ? "POST" : "GET";
  apus_fetch fetch = lane->handle = apus_fetch_make(bench->client, method, bench->url);
  if (fetch == 0) return complain_network(bench->url, apus_last_error(), NULL);
  apus_fetch_set_decoding(fetch, 0);
  apus_fetch_set_redirects(fetch, 0);
  apus_fetch_set_total_timeout(fetch, bench->timeout_ms);
  if (c->user != NULL) apus_fetch_set_basic(fetch, c->user, c->password);
  if (bench->data != NULL) {
    int typed = connection_has_header(c, "Content-Type");
    apus_fetch_set_body(fetch, bench->data, APUS_STRLEN,
                        typed ? NULL : "application/x-www-form-urlencoded");
  }
  apus_fetch_on_body(fetch, count_body, lane, NULL);
  apus_fetch_on_complete(fetch, end_fetch, lane, NULL);
  return connection_headers(c, fetch, apus_fetch_add_header);
}

/* ---- WebSocket: a message to an echo, and back */

static void send_message(struct lane *lane) {
  struct bench *bench = lane->bench;
  if (!bench_take(bench)) return;
  lane->began_us = now_us();
  int32_t result = apus_channel_send_binary(lane->handle, bench->message, (size_t)bench->size);
  if (result < 0) {
    bench_failed(lane, result);
    apus_channel_close(lane->handle, 1000, NULL, 0);
  }
}

static void opened(void *context, apus_channel channel) {
  (void)channel;
  send_message(context);
}

static void received(void *context, apus_channel channel, int32_t opcode, const void *data,
                     size_t length) {
  struct lane *lane = context;
  (void)channel, (void)opcode, (void)data;
  bench_answered(lane, length);
  send_message(lane);
}

static void closed(void *context, apus_channel channel, int32_t code, const char *reason,
                   size_t length) {
  struct lane *lane = context;
  (void)channel, (void)code, (void)reason, (void)length;
  int32_t result = apus_channel_wait_open(lane->handle, 0);
  int32_t status = apus_channel_status(lane->handle);
  if (status > 0 && status != 101) atomic_store(&lane->bench->handshake, status);
  bench_failed(lane, result < 0 && result != APUS_E_STATE ? result : APUS_E_CLOSED);
  atomic_store(&lane->rests, 1);
}

static int make_channel(struct lane *lane) {
  struct bench *bench = lane->bench;
  const struct connection *c = &bench->connection;
  apus_channel channel = lane->handle = apus_channel_make(bench->client);
  if (channel == 0) out_of_memory();
  apus_channel_set_deflate(channel, 0);
  apus_channel_set_ping(channel, bench->timeout_ms, 0);
  if (c->connect_ms >= 0) apus_channel_set_connect_timeout(channel, c->connect_ms);
  apus_channel_on_open(channel, opened, lane, NULL);
  apus_channel_on_message(channel, received, lane, NULL);
  apus_channel_on_close(channel, closed, lane, NULL);
  int result = connection_basic(c, channel, apus_channel_add_header);
  return result == EXIT_FINE ? connection_headers(c, channel, apus_channel_add_header) : result;
}

static void begin_channel(struct lane *lane) {
  if (atomic_load(&lane->bench->is_over)) return;
  if (apus_channel_open(lane->handle, lane->bench->url) < 0) {
    bench_failed(lane, apus_last_error());
    atomic_store(&lane->rests, 1);
  }
}

/* ---- both */

int bench_make_lanes(struct bench *bench) {
  size_t size = bench->size > 0 ? (size_t)bench->size : 1;
  bench->lanes = calloc((size_t)bench->connections, sizeof *bench->lanes);
  bench->message = malloc(size);
  if (bench->lanes == NULL || bench->message == NULL) out_of_memory();
  memset(bench->message, '*', size);
  apus_client_set_max_connections(bench->client, bench->connections, bench->connections,
                                  bench->connections + 1);
  for (int32_t i = 0; i < bench->connections; i++) {
    bench->lanes[i].bench = bench;
    int result =
        bench->is_websocket ? make_channel(&bench->lanes[i]) : make_fetch(&bench->lanes[i]);
    if (result != EXIT_FINE) return result;
  }
  return EXIT_FINE;
}

void bench_begin(struct lane *lane) {
  if (lane->bench->is_websocket) {
    begin_channel(lane);
  } else {
    begin_fetch(lane);
  }
}

void bench_end_lanes(struct bench *bench) {
  for (int32_t i = 0; i < bench->connections; i++) {
    if (bench->is_websocket) {
      apus_channel_destroy(bench->lanes[i].handle);
    } else {
      apus_fetch_destroy(bench->lanes[i].handle);
    }
  }
}
