/*
 * demo.c - a tour of the library: a page with live counters, a chat and a counter
 * that all open pages share, news as they happen, an echo, a reply that comes a
 * second later, one that comes in pieces, an upload that is taken as it arrives, and
 * a folder of files that a form adds to.
 *
 *   make demo            build the library and this, and run it
 *   build/demo [PORT]    8080 unless it is given; 0 is any free port
 *
 * Read it from the bottom: main() makes the server, add_routes() says which
 * function answers what. The handlers run on the library's worker threads, many
 * at a time, so that what they share needs a lock: the clock and the room have one.
 * demo_help.h has what is not about the library, demo_page.h and demo_script.h the
 * page as text.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#define _POSIX_C_SOURCE 200809L

#include <apus.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "demo_help.h"
#include "demo_page.h"
#include "demo_script.h"

/* ------------------------------------------------------------------- the page
 *
 * The context of a route is handed to its handler: one function serves every
 * asset. */

struct asset {
  const char *path, *type, *text;
};

static struct asset assets[] = {
    {"/", "text/html; charset=utf-8", demo_html},
    {"/demo.css", "text/css; charset=utf-8", demo_css},
    {"/demo.js", "text/javascript; charset=utf-8", demo_js},
    {"/icon.svg", "image/svg+xml", demo_icon},
};

static void send_asset(void *context, apus_request request) {
  const struct asset *asset = context;
  apus_reply(request, 200, asset->type, asset->text, APUS_STRLEN);
}

/* --------------------------------------------------------------- the counters
 *
 * A server counts what it does, from when it was made. */

static const struct {
  const char *name;
  int32_t counter;
} counters[] = {
    {"connections", APUS_COUNT_CONNECTIONS},
    {"accepted", APUS_COUNT_ACCEPTED},
    {"requests", APUS_COUNT_REQUESTS},
    {"replies", APUS_COUNT_REPLIES},
    {"bytes_in", APUS_COUNT_BYTES_IN},
    {"bytes_out", APUS_COUNT_BYTES_OUT},
    {"refused_syntax", APUS_COUNT_REFUSED_SYNTAX},
    {"refused_timeout", APUS_COUNT_REFUSED_TIMEOUT},
    {"refused_body", APUS_COUNT_REFUSED_BODY},
    {"refused_target", APUS_COUNT_REFUSED_TARGET},
    {"refused_head", APUS_COUNT_REFUSED_HEAD},
    {"refused_busy", APUS_COUNT_REFUSED_BUSY},
    {"timeout_idle", APUS_COUNT_TIMEOUT_IDLE},
    {"timeout_write", APUS_COUNT_TIMEOUT_WRITE},
    {"errors", APUS_COUNT_ERRORS},
    {"unheard", APUS_COUNT_UNHEARD},
};

static void send_counters(void *context, apus_request request) {
  (void)context;
  struct text text;
  apus_server server = apus_request_server(request);
  FILE *out = text_open(&text);
  if (out == NULL) return; /* a handler that does nothing sends 500 */
  fprintf(out, "{\"version\": \"%s\", \"handles\": %d", apus_version(), apus_live_count(0));
  for (size_t i = 0; i < sizeof counters / sizeof counters[0]; i++) {
    int64_t value = apus_server_counter(server, counters[i].counter);
    fprintf(out, ", \"%s\": %" PRId64, counters[i].name, value);
  }
  fprintf(out, "}\n");
  text_reply(&text, request, "application/json");
}

/* ------------------------------------------------------------------- the news
 *
 * Server-Sent Events: each open page reads a stream, whose writer is in a topic. The
 * topic keeps its latest events, so that a page that was away hears what it missed:
 * its browser says the id of the last one that it has. */

static const char news[] = "news";

/* Of the latest of them; it goes on from the time at which the demo began, so that an id of
 * an earlier run is none of this one. */
static atomic_llong last_id;

/* From any thread: when it was, and what. */
static void tell(apus_server server, const char *format, ...) {
  char id[24], line[400];
  int length = snprintf(line, sizeof line, "%lld\t", (long long)time(NULL));
  va_list values;
  va_start(values, format);
  vsnprintf(line + length, sizeof line - (size_t)length, format, values);
  va_end(values);
  snprintf(id, sizeof id, "%lld", (long long)atomic_fetch_add(&last_id, 1) + 1);
  apus_server_publish_event(server, news, NULL, id, line, APUS_STRLEN);
}

/* The writer is a handle like others; this one is left to the library. */
static void watch_news(void *context, apus_writer writer, apus_request request) {
  (void)context, (void)request;
  apus_writer_subscribe(writer, news);
  apus_writer_detach(writer);
}

static void add_news(apus_server server) {
  atomic_store(&last_id, (long long)time(NULL) * 1000);
  need(apus_server_events(server, "/news", watch_news, NULL, NULL), "route");
  need(apus_server_set_topic_history(server, news, 20, 16384), "history");
}

/* ------------------------------------------------------------------- the room
 *
 * A WebSocket route: each open page has a channel, and all channels are in one
 * topic. The pages send "+", "-", or "say NAME TEXT" with tabs between, which goes
 * to all others as it is. All get "room PEOPLE COUNT TURN" when one of these
 * changes. Workers publish side by side: of two such lines, the one with the higher
 * turn holds. */

struct room {
  pthread_mutex_t lock;
  int64_t people, count, turn;
};

static const char topic[] = "room";

static void change(apus_server server, struct room *room, int people, int count) {
  char line[96];
  pthread_mutex_lock(&room->lock);
  room->people += people;
  room->count += count;
  int length = snprintf(line, sizeof line, "room\t%" PRId64 "\t%" PRId64 "\t%" PRId64, room->people,
                        room->count, ++room->turn);
  pthread_mutex_unlock(&room->lock);
  apus_server_publish(server, topic, APUS_OPCODE_TEXT, line, (size_t)length, 0);
  if (people != 0) tell(server, people > 0 ? "somebody came in" : "somebody left");
  if (count != 0) tell(server, "somebody counted %s", count > 0 ? "up" : "down");
}

static void join(void *context, apus_channel channel, apus_request request) {
  apus_channel_subscribe(channel, topic);
  change(apus_request_server(request), context, 1, 0);
}

/* The bytes of a message have a NUL behind them, so that they are a string too. */
static void hear(void *context, apus_channel channel, int32_t opcode, const void *data,
                 size_t length) {
  apus_server server = apus_channel_server(channel);
  if (opcode == APUS_OPCODE_TEXT && strncmp(data, "say\t", 4) == 0) {
    apus_server_publish(server, topic, opcode, data, length, channel);
  } else if (strcmp(data, "+") == 0) {
    change(server, context, 0, 1);
  } else if (strcmp(data, "-") == 0) {
    change(server, context, 0, -1);
  } else {
    apus_channel_close(channel, 1008, "say, + or -", APUS_STRLEN);
  }
}

/* Once for each that has joined, and in no topic by now. */
static void leave(void *context, apus_channel channel, int32_t code, const char *text,
                  size_t length) {
  (void)code, (void)text, (void)length;
  change(apus_channel_server(channel), context, -1, 0);
}

static void add_room(apus_server server) {
  static struct room room = {.lock = PTHREAD_MUTEX_INITIALIZER};
  int32_t route = need(apus_server_websocket(server, "/room", join, &room, NULL), "route");
  need(apus_server_on_message(server, route, hear, &room, NULL), "listener");
  need(apus_server_on_close(server, route, leave, &room, NULL), "listener");
  need(apus_server_set_max_message(server, 4096), "limit");
}

/* ------------------------------------------------------------------- the echo
 *
 * What a request hands out is borrowed until the handler returns, and ends with
 * a NUL. A name or value from the path or the query is decoded, so that it may
 * hold any byte: the length tells. */

static void print_value(FILE *out, const char *what, const char *name, const char *value,
                        size_t length) {
  fprintf(out, "%s %s = ", what, name);
  fwrite(value, 1, length, out);
  fputc('\n', out);
}

static void print_params(FILE *out, apus_request request) {
  const char *name, *value;
  size_t length;
  for (int32_t i = 0; apus_request_param_at(request, i, &name, &value, &length) == 0; i++) {
    print_value(out, "path", name, value, length);
  }
  for (int32_t i = 0; apus_request_query_param_at(request, i, &name, &value, &length) == 0; i++) {
    print_value(out, "query", name, value, length);
  }
  for (int32_t i = 0; apus_request_header_at(request, i, &name, &value, &length) == 0; i++) {
    print_value(out, "field", name, value, length);
  }
}

static void echo(void *context, apus_request request) {
  (void)context;
  struct text text;
  size_t length;
  const void *body = apus_request_body(request, &length);
  FILE *out = text_open(&text);
  if (out == NULL) return;
  fprintf(out, "%s %s\n", apus_request_method_name(request), apus_request_path(request));
  print_params(out, request);
  fprintf(out, "body %zu bytes\n\n", length);
  fwrite(body, 1, length, out);
  text_reply(&text, request, "text/plain; charset=utf-8");
}

/* ----------------------------------------------------------- a deferred reply
 *
 * apus_request_defer() keeps a request past its handler, for any thread. The
 * worker is free at once: however many wait, none of them holds a thread. */

/* On the clock's thread. A client that has left in the meantime makes this give
 * APUS_E_CLOSED, and the request ends all the same. */
static int answer_now(struct job *job) {
  char line[80];
  int64_t waited_ms = apus_request_elapsed_us(job->request) / 1000;
  snprintf(line, sizeof line, "answered after %" PRId64 " ms by another thread\n", waited_ms);
  apus_reply_text(job->request, 200, line);
  return 0;
}

static void answer_later(void *context, apus_request request) {
  struct job job = {.due_ms = now_ms() + 1000, .run = answer_now, .request = request};
  if (apus_request_defer(request) < 0) return;
  if (!clock_add(context, &job)) apus_reply_status(request, 503);
}

/* ----------------------------------------------------------- a streamed reply
 *
 * A writer sends a reply in pieces, from any thread, for as long as it likes. */

/* On the clock's thread. */
static int count_on(struct job *job) {
  char line[16];
  int length = snprintf(line, sizeof line, "%d\n", job->next);
  int32_t result = apus_writer_write(job->writer, line, (size_t)length);
  job->due_ms += job->every_ms;
  /* A client that reads too slowly: nothing was taken, so try the same again. */
  if (result == APUS_E_FULL) return 1;
  if (result == APUS_OK && job->next++ < job->last) return 1;
  if (result == APUS_OK) apus_writer_end(job->writer);
  apus_writer_destroy(job->writer);
  return 0;
}

static void count_slowly(void *context, apus_request request) {
  struct job job = {.due_ms = now_ms(), .run = count_on, .next = 1};
  job.last = number(request, "to", 1, 1000, 10);
  job.every_ms = number(request, "every", 1, 1000, 200);
  apus_reply_set_content_type(request, "text/plain; charset=utf-8");
  job.writer = apus_writer_make(request);
  if (job.writer == 0 || clock_add(context, &job)) return;
  apus_writer_set_status(job.writer, 503);
  apus_writer_end(job.writer);
  apus_writer_destroy(job.writer);
}

/* ------------------------------------------------------------------ an upload
 *
 * The handler of a streamed route runs when the head is in, and asks for the
 * body piece by piece: it never is in memory as a whole. */

struct upload {
  uint64_t bytes, pieces;
  uint32_t crc;
};

static void take_piece(void *context, apus_request request, const void *data, size_t length,
                       int32_t last) {
  struct upload *upload = context;
  char json[128];
  if (last < 0) { /* the client has left: nobody to answer, but a handle to end */
    apus_request_destroy(request);
    return;
  }
  upload->crc = crc32_add(upload->crc, data, length);
  upload->bytes += length;
  upload->pieces += length > 0;
  if (last == 0) return;
  snprintf(json, sizeof json,
           "{\"bytes\": %" PRIu64 ", \"pieces\": %" PRIu64 ", \"crc32\": \"%08" PRIx32 "\"}\n",
           upload->bytes, upload->pieces, upload->crc);
  tell(apus_request_server(request), "an upload of %" PRIu64 " bytes was taken", upload->bytes);
  apus_reply_json(request, 200, json);
}

/* The drop function, free() here, runs once after the last call of take_piece,
 * and also if there never is one. */
static void take_upload(void *context, apus_request request) {
  (void)context;
  struct upload *upload = calloc(1, sizeof *upload);
  if (upload != NULL) apus_request_on_body(request, take_piece, upload, free);
}

/* ------------------------------------------------------------------ the files
 *
 * A folder is served by the library itself. What a form brings is parsed as it
 * arrives: small parts are kept in memory and large ones in files without a name,
 * until the handler says where they go. Names are the client's, and made safe. */

static void save_files(void *context, apus_request request) {
  const struct folder *folder = context;
  size_t length;
  for (int32_t i = 0; i < apus_request_form_count(request); i++) {
    const char *file_name = apus_request_part_file_name(request, i, &length);
    if (file_name == NULL || length == 0) continue; /* a field, or no file was chosen */
    const char *name = apus_request_part_save(request, i, folder->path, NULL, 1);
    if (name == NULL) {
      apus_reply_text(request, apus_last_error() == APUS_E_FULL ? 507 : 400,
                      apus_last_error_message());
      return;
    }
    tell(apus_request_server(request), "%s was saved", name);
  }
  apus_reply_redirect(request, "/files/", 303);
}

static void add_files(apus_server server, struct folder *folder) {
  int32_t number = need(apus_server_serve_folder(server, "/files", folder->path), "folder");
  need(apus_server_set_folder_listing(server, number, 1), "listing");
  need(apus_server_route_form(server, APUS_POST, "/save", save_files, folder, NULL), "route");
  need(apus_server_set_upload_folder(server, folder->path), "folder");
}

/* ----------------------------------------------------------------- the server */

/* Sees each request before its handler, and sets fields for its reply. The folder has
 * fields of its own, and its listing a style in the page. */
static void add_fields(void *context, apus_request request) {
  (void)context;
  if (strncmp(apus_request_path(request), "/files", 6) == 0) return;
  apus_reply_set_header(request, "Cache-Control", "no-store");
  apus_reply_set_header(request, "X-Content-Type-Options", "nosniff");
  apus_reply_set_header(request, "Content-Security-Policy", "default-src 'self'");
}

static void print_log(void *context, int32_t level, const char *text) {
  (void)context;
  fprintf(stderr, "apus [%d] %s\n", level, text);
}

static void add_routes(apus_server server, struct clock *clock, struct folder *folder) {
  for (size_t i = 0; i < sizeof assets / sizeof assets[0]; i++) {
    need(apus_server_get(server, assets[i].path, send_asset, &assets[i], NULL), "route");
  }
  need(apus_server_on_receive(server, add_fields, NULL, NULL), "listener");
  add_room(server);
  add_news(server);
  add_files(server, folder);
  need(apus_server_get(server, "/api/counters", send_counters, NULL, NULL), "route");
  need(apus_server_any(server, "/api/echo/:name", echo, NULL, NULL), "route");
  need(apus_server_get(server, "/slow", answer_later, clock, NULL), "route");
  need(apus_server_get(server, "/count", count_slowly, clock, NULL), "route");
  need(apus_server_route_stream(server, APUS_POST, "/upload", take_upload, NULL, NULL), "route");
}

static apus_server start_server(int32_t port, struct clock *clock, struct folder *folder) {
  apus_server server = apus_server_make();
  if (server == 0) need(apus_last_error(), "make");
  need(apus_server_set_dispatch(server, APUS_DISPATCH_WORKER), "dispatch");
  need(apus_server_set_max_body(server, 64 << 20), "limit");
  add_routes(server, clock, folder);
  need(apus_server_listen(server, "127.0.0.1", port), "listen");
  need(apus_server_start(server), "start");
  return server;
}

/* Blocks the signals that end the program in this thread and in those that it
 * starts, so that main() can wait for them. To stop a server from within a
 * signal handler is not safe; from an ordinary thread it is. */
static sigset_t block_signals(void) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, NULL);
  return signals;
}

int main(int argc, char **argv) {
  static struct clock clock;
  static struct folder folder;
  int signal_number;
  sigset_t signals = block_signals();
  need(apus_set_log(print_log, NULL, NULL), "log");
  folder_make(&folder);
  clock_start(&clock);
  apus_server server = start_server(argc > 1 ? atoi(argv[1]) : 8080, &clock, &folder);
  printf("Apus %s serves http://127.0.0.1:%d/ until Ctrl-C\n", apus_version(),
         apus_server_port(server, 0));
  fflush(stdout);

  sigwait(&signals, &signal_number);
  printf("Stopping: requests under way get up to five seconds\n");
  fflush(stdout);
  apus_server_stop(server);
  clock_stop(&clock);
  apus_server_destroy(server);
  folder_remove(&folder);
  printf("Stopped, with %d handles left\n", apus_live_count(0));
  return 0;
}
