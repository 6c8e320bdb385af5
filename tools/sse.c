/*
 * sse.c - "apus sse": a stream of events, as text or as lines of JSON.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tool.h"

enum {
  OPT_LAST_ID = OPT_OWN,
  OPT_JSON,
  OPT_COUNT,
  OPT_ONCE,
  OPT_RETRY,
  OPT_MAX_TIME,
  OPT_PLAIN,
  OPT_QUIET
};

static const struct option options[] = {
    {0, "last-event-id", "ID", "go on behind this event", OPT_LAST_ID},
    {'j', "json", NULL, "print each event as one line of JSON: type, id, data", OPT_JSON},
    {'d', "data", NULL, "print the data of events alone", OPT_PLAIN},
    {'n', "count", "N", "end when N events have come", OPT_COUNT},
    {0, "once", NULL, "end when the stream ends, and do not connect anew", OPT_ONCE},
    {0, "retry", "N", "give up after N failures in a row (first connection: 1, then: never)",
     OPT_RETRY},
    {'m', "max-time", "SECONDS", "give up after so long: exit code 5", OPT_MAX_TIME},
    {'x', "proxy", "URL", "the proxy, in place of http_proxy; '': none", OPT_PROXY},
    {'q', "quiet", NULL, "no remarks about connections", OPT_QUIET},
    {0, NULL, NULL, NULL, 0},
};

static const char about[] =
    "Watches a stream of Server-Sent Events and prints what comes. When the stream ends\n"
    "it connects anew and goes on behind the last event, as browsers do. Ctrl-C ends it.\n"
    "\n"
    "  apus sse http://localhost:8080/news            watch\n"
    "  apus sse --json -n 10 URL | jq .data           ten events, to a program\n"
    "  apus sse --last-event-id 17 URL                what came behind event 17\n"
    "\n"
    "It ends with 4 where the server refuses, and with 7 where what it sends is no stream\n"
    "of events, or --once and the connection breaks.";

struct sse {
  struct connection connection;
  const char *url_word, *last_id;
  int json, plain, once, quiet, has_retries;
  int32_t count, retries, time_ms;
  char *url;
  apus_client client;
  apus_source source;
  int was_open, is_done;
  int32_t received, error, status;
};

/* ---- listeners, in the tick */

static void print_json(const char *type, const char *id, const char *data, size_t length) {
  struct text line = {0};
  text_print(&line, "{\"type\": ");
  text_json(&line, type, strlen(type));
  text_print(&line, ", \"id\": ");
  text_json(&line, id, strlen(id));
  text_print(&line, ", \"data\": ");
  text_json(&line, data, length);
  text_add(&line, "}\n", 2);
  fwrite(line.bytes, 1, line.length, stdout);
  text_free(&line);
}

static void print_named(const char *name, const char *value) {
  if (*value == 0) return;
  printf("%s%s: ", colour(stdout, "36"), name);
  show_line(stdout, value, strlen(value));
  printf("%s\n", colour(stdout, ""));
}

/* As they stand in the stream, but for the data, which has its newlines. */
static void print_event(const char *type, const char *id, const char *data, size_t length) {
  print_named("id", id);
  if (strcmp(type, "message") != 0) print_named("event", type);
  show_text(stdout, data, length);
  fputs("\n\n", stdout);
}

static void take_event(void *context, apus_source source, const char *type, const char *id,
                       const char *data, size_t length) {
  struct sse *sse = context;
  (void)source;
  if (sse->is_done) return;
  if (sse->json) {
    print_json(type, id, data, length);
  } else if (sse->plain) {
    show_text(stdout, data, length);
    putchar('\n');
  } else {
    print_event(type, id, data, length);
  }
  fflush(stdout);
  sse->received++;
  if (sse->count > 0 && sse->received >= sse->count) sse->is_done = 1;
}

static void opened(void *context, apus_source source) {
  struct sse *sse = context;
  (void)source;
  if (sse->was_open && !sse->quiet) remark("connected anew");
  sse->was_open = 1;
}

static void failed(void *context, apus_source source, int32_t code, int32_t status,
                   int32_t again_ms) {
  struct sse *sse = context;
  (void)source;
  sse->error = code;
  sse->status = status;
  int gives_up = again_ms < 0 || sse->once || (!sse->was_open && !sse->has_retries);
  if (gives_up) {
    sse->is_done = 1;
  } else if (!sse->quiet) {
    remark("%s: %s; connecting anew in %.1f s", sse->url, sentence_of(code), again_ms / 1000.0);
  }
}

/* ---- the run */

static void stop(void *context) { apus_client_wake(((struct sse *)context)->client); }

static int conclude(struct sse *sse, int late) {
  int enough = sse->count > 0 && sse->received >= sse->count;
  if (enough || signal_seen() != 0) return EXIT_FINE;
  if (late) {
    complain("%s: not done after %g s; --max-time allows it more", sse->url, sse->time_ms / 1000.0);
    return EXIT_TIME;
  }
  if (sse->status == 204 || (sse->once && sse->was_open && sse->error == APUS_OK)) return EXIT_FINE;
  if (sse->once && sse->was_open && sse->error == APUS_E_CLOSED && sse->status == 200) {
    return EXIT_FINE;
  }
  if (sse->status != 0 && sse->status != 200) {
    complain("%s: the server answers %d %s; check the path", sse->url, (int)sse->status,
             apus_status_reason(sse->status) ? apus_status_reason(sse->status) : "");
    return EXIT_STATUS;
  }
  if (sse->status == 200 && sse->error == APUS_E_PROTOCOL) {
    complain("%s: what the server sends is no stream of events (text/event-stream)", sse->url);
    return EXIT_PROTOCOL;
  }
  return complain_network(sse->url, sse->error, sentence_of(sse->error));
}

static int watch(struct sse *sse) {
  int64_t deadline = sse->time_ms > 0 ? now_us() + (int64_t)sse->time_ms * 1000 : INT64_MAX;
  int late = 0;
  while (!sse->is_done && signal_seen() == 0 && !late) {
    int64_t left = (deadline - now_us()) / 1000 + 1;
    int32_t wait_ms = left > 1000 ? 1000 : left < 0 ? 0 : (int32_t)left;
    if (apus_client_tick(sse->client, wait_ms) < 0) break;
    late = now_us() >= deadline && !sse->is_done;
  }
  apus_source_close(sse->source);
  return conclude(sse, late);
}

static int set_up(struct sse *sse) {
  struct connection *c = &sse->connection;
  int result = connection_apply(c, sse->client);
  if (result != EXIT_FINE) return result;
  if (c->user != NULL && apus_client_set_credentials(sse->client, c->user, c->password) < 0) {
    complain("--user: %s", apus_last_error_message());
    return EXIT_USAGE;
  }
  sse->source = apus_source_make(sse->client, sse->url);
  if (sse->source == 0) return complain_network(sse->url, apus_last_error(), NULL);
  if (sse->last_id != NULL && apus_source_set_last_event_id(sse->source, sse->last_id) < 0) {
    complain("--last-event-id: %s", apus_last_error_message());
    return EXIT_USAGE;
  }
  if (sse->has_retries) apus_source_set_retry(sse->source, 3000, 60000, sse->retries);
  apus_source_on_open(sse->source, opened, sse, NULL);
  apus_source_on_event(sse->source, take_event, sse, NULL);
  apus_source_on_error(sse->source, failed, sse, NULL);
  connection_join_headers(c);
  return connection_headers(c, sse->source, apus_source_set_header);
}

static void take_option(struct sse *sse, const struct arguments *arguments, int id) {
  if (id == OPT_LAST_ID) sse->last_id = arguments->value;
  if (id == OPT_JSON) sse->json = 1;
  if (id == OPT_PLAIN) sse->plain = 1;
  if (id == OPT_COUNT) sse->count = count_value(arguments, 1, INT32_MAX);
  if (id == OPT_ONCE) sse->once = 1;
  if (id == OPT_MAX_TIME) sse->time_ms = seconds_value(arguments);
  if (id == OPT_QUIET) sse->quiet = 1;
  if (id == OPT_RETRY) {
    sse->retries = count_value(arguments, 1, 1000000);
    sse->has_retries = 1;
  }
  if (id == ARG_WORD) take_word(arguments, &sse->url_word, "URL");
}

static int run(const struct command *command, int count, char **words) {
  static struct sse sse;
  struct arguments arguments = arguments_of(command, count, words);
  int id;
  connection_init(&sse.connection);
  while ((id = next_argument(&arguments)) != ARG_END) {
    if (!connection_option(&sse.connection, &arguments, id)) take_option(&sse, &arguments, id);
  }
  if (sse.url_word == NULL) wrong_usage(command, "which URL?");
  sse.url = whole_url(sse.url_word, "http");
  sse.client = apus_client_make();
  if (sse.client == 0 || apus_client_set_workers(sse.client, 0) < 0) out_of_memory();
  watch_signals(stop, &sse);
  int result = set_up(&sse);
  if (result == EXIT_FINE && apus_source_open(sse.source) < 0) {
    result = complain_network(sse.url, apus_last_error(), NULL);
  } else if (result == EXIT_FINE) {
    result = watch(&sse);
  }
  apus_source_destroy(sse.source);
  apus_client_destroy(sse.client);
  free(sse.url);
  return result;
}

const struct command sse_command = {
    "sse", "[OPTION...] URL", "watch a stream of events", about, options, connection_options, run,
};
