/*
 * echo.c - "apus echo": a server that says what it was asked, to test clients against.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tool.h"

enum {
  OPT_LISTEN = OPT_OWN,
  OPT_ECHO_CERT,
  OPT_ECHO_KEY,
  OPT_CORS,
  OPT_INTERVAL,
  OPT_MAX_BODY,
  OPT_QUIET
};

static const struct option options[] = {
    {'l', "listen", "ADDRESS", "HOST:PORT, [::1]:PORT, :PORT (all addresses) or unix:PATH",
     OPT_LISTEN},
    {0, "cert", "FILE", "speak TLS by this certificate with its chain (PEM)", OPT_ECHO_CERT},
    {0, "key", "FILE", "the private key of --cert (PEM)", OPT_ECHO_KEY},
    {0, "cors", NULL, "let pages of all origins read it", OPT_CORS},
    {0, "interval", "SECONDS", "the time between two events (1)", OPT_INTERVAL},
    {0, "max-body", "SIZE", "the most bytes of a body or a message (16M)", OPT_MAX_BODY},
    {'q', "quiet", NULL, "no access log", OPT_QUIET},
    {0, NULL, NULL, NULL, 0},
};

static const char about[] =
    "Answers every request with what it saw of it, as JSON: method, target, headers and\n"
    "body (in Base64 where it is not UTF-8). A WebSocket gets its messages back, on any\n"
    "path, with the first subprotocol that it offers. /events is a stream of events.\n"
    "\n"
    "  ?status=404   in the query: the status of the answer\n"
    "\n"
    "  apus echo                                   at http://127.0.0.1:8080/\n"
    "  apus get -d a=1 '127.0.0.1:8080/x?y=2'      see what get sends\n"
    "  apus ws 127.0.0.1:8080                      hear yourself\n"
    "  apus sse 127.0.0.1:8080/events              an event each second";

static const char topic[] = "events";
static int64_t max_body = 16 << 20;

/* ---- requests */

static void add_string(struct text *out, const char *name, const char *value) {
  text_print(out, "  \"%s\": ", name);
  text_json(out, value, strlen(value));
  text_add(out, ",\n", 2);
}

static void add_headers(struct text *out, apus_request request) {
  const char *name, *value, *comma = "";
  size_t length;
  text_print(out, "  \"headers\": [");
  for (int32_t i = 0; apus_request_header_at(request, i, &name, &value, &length) == 0; i++) {
    text_print(out, "%s\n    [", comma);
    text_json(out, name, strlen(name));
    text_add(out, ", ", 2);
    text_json(out, value, length);
    text_add(out, "]", 1);
    comma = ",";
  }
  text_print(out, "\n  ],\n");
}

static void add_body(struct text *out, apus_request request) {
  size_t length = 0;
  const void *body = apus_request_body(request, &length);
  if (body == NULL) length = 0;
  text_print(out, "  \"length\": %zu,\n", length);
  if (apus_utf8_is_valid(body != NULL ? body : "", length) == 1) {
    text_print(out, "  \"body\": ");
    text_json(out, body, length);
  } else {
    text_print(out, "  \"body_base64\": \"");
    text_base64(out, body, length);
    text_add(out, "\"", 1);
  }
}

static int32_t wanted_status(apus_request request) {
  const char *text = apus_request_query_param(request, "status", NULL);
  long status = text != NULL ? strtol(text, NULL, 10) : 200;
  return status >= 200 && status <= 599 ? (int32_t)status : 400;
}

static void describe(apus_request request) {
  struct text out = {0};
  text_add(&out, "{\n", 2);
  add_string(&out, "method", apus_request_method_name(request));
  add_string(&out, "target", apus_request_target(request));
  add_string(&out, "path", apus_request_path(request));
  add_string(&out, "query", apus_request_query(request));
  int32_t version = apus_request_version(request);
  text_print(&out, "  \"version\": \"%d.%d\",\n", version / 10, version % 10);
  add_string(&out, "scheme", apus_request_scheme(request));
  add_string(&out, "host", apus_request_host(request));
  add_string(&out, "client", apus_request_client_ip(request));
  text_print(&out, "  \"client_port\": %d,\n", (int)apus_request_client_port(request));
  add_headers(&out, request);
  add_body(&out, request);
  text_add(&out, "\n}\n", 3);
  apus_reply(request, wanted_status(request), "application/json", out.bytes, out.length);
  text_free(&out);
}

/* ---- WebSocket */

/* One that does not read what it sends is closed: nothing is dropped silently. */
static void send_back(void *context, apus_channel channel, int32_t opcode, const void *data,
                      size_t length) {
  (void)context;
  if (apus_channel_send(channel, opcode, 1, data, length) == APUS_E_FULL) {
    apus_channel_close(channel, 1008, "you do not read", APUS_STRLEN);
  }
}

static void upgrade(apus_request request) {
  apus_upgrade ticket = apus_upgrade_make(request);
  if (ticket == 0) return; /* no sound handshake, and answered */
  const char *protocol = NULL;
  if (apus_upgrade_protocol_count(ticket) > 0) protocol = apus_upgrade_protocol_at(ticket, 0);
  apus_channel channel = apus_upgrade_accept(ticket, protocol);
  if (channel == 0) return;
  apus_channel_set_high_water(channel, 4 * max_body + (1 << 20));
  apus_channel_on_message(channel, send_back, NULL, NULL);
}

static void answer(void *context, apus_request request) {
  (void)context;
  if (apus_handshake_is_upgrade(request) == 1) {
    upgrade(request);
  } else {
    describe(request);
  }
}

/* ---- events */

static void greet(void *context, apus_writer writer, apus_request request) {
  (void)context;
  struct text line = {0};
  const char *last = apus_request_last_event_id(request);
  text_print(&line, "{\"last_event_id\": ");
  text_json(&line, last != NULL ? last : "", last != NULL ? strlen(last) : 0);
  text_add(&line, "}", 1);
  apus_writer_event(writer, "hello", NULL, line.bytes, line.length);
  apus_writer_subscribe(writer, topic);
  apus_writer_detach(writer);
  text_free(&line);
}

static void publish_on(apus_server server, int32_t interval_ms) {
  char id[24], data[80];
  int64_t due = now_us();
  for (long long number = 1;;) {
    int64_t left = (due - now_us() + 999) / 1000;
    if (apus_server_tick(server, left > 0 ? (int32_t)left : 0) < 0) return;
    if (now_us() < due) continue;
    due += (int64_t)interval_ms * 1000;
    snprintf(id, sizeof id, "%lld", number);
    snprintf(data, sizeof data, "{\"number\": %lld, \"time\": %lld}", number++,
             (long long)time(NULL));
    apus_server_publish_event(server, topic, NULL, id, data, APUS_STRLEN);
  }
}

/* ---- the server */

static void set_up(apus_server server, int cors, int quiet) {
  apus_server_set_dispatch(server, APUS_DISPATCH_WORKER);
  apus_server_set_max_body(server, max_body);
  apus_server_set_max_message(server, max_body > 0 ? max_body : 1);
  apus_server_set_origin_policy(server, APUS_ORIGIN_ANY, NULL);
  if (cors) apus_server_set_cors_origins(server, "*");
  if (!quiet) apus_server_on_access(server, log_access, NULL, NULL);
  apus_server_any(server, "/*", answer, NULL, NULL);
  apus_server_events(server, "/events", greet, NULL, NULL);
  apus_server_set_topic_history(server, topic, 100, 1 << 16);
}

static void stop(void *context) { stop_server(*(apus_server *)context); }

static int run(const struct command *command, int count, char **words) {
  static struct listening listening;
  static apus_server server;
  int32_t interval_ms = 1000;
  int id, cors = 0, quiet = 0;
  struct arguments arguments = arguments_of(command, count, words);
  while ((id = next_argument(&arguments)) != ARG_END) {
    if (id == OPT_LISTEN) add_address(&arguments, &listening);
    if (id == OPT_ECHO_CERT) listening.certificate = arguments.value;
    if (id == OPT_ECHO_KEY) listening.key = arguments.value;
    if (id == OPT_CORS) cors = 1;
    if (id == OPT_INTERVAL) interval_ms = seconds_value(&arguments);
    if (id == OPT_MAX_BODY) max_body = size_value(&arguments);
    if (id == OPT_QUIET) quiet = 1;
    if (id == ARG_WORD) wrong_usage(command, "there is no need for '%s'", arguments.value);
  }
  signal(SIGPIPE, SIG_IGN);
  server = apus_server_make();
  if (server == 0) out_of_memory();
  watch_signals(stop, &server);
  set_up(server, cors, quiet);
  int result = listen_all(server, &listening, "127.0.0.1:8080");
  if (result == EXIT_FINE && apus_server_start(server) < 0) {
    complain("the server does not start: %s", apus_last_error_message());
    result = EXIT_LOCAL;
  }
  if (result == EXIT_FINE) {
    print_addresses(server, &listening, "Echoing");
    publish_on(server, interval_ms);
  }
  apus_server_destroy(server);
  return result;
}

const struct command echo_command = {
    "echo", "[OPTION...]", "a server that says what it was asked", about, options, NULL, run,
};
