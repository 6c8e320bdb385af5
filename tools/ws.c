/*
 * ws.c - "apus ws": a WebSocket, whose messages are lines.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ws.h"

#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
  OPT_PROTOCOL = OPT_OWN,
  OPT_ORIGIN,
  OPT_MESSAGE,
  OPT_BINARY,
  OPT_COUNT,
  OPT_STAY,
  OPT_PING,
  OPT_RECONNECT,
  OPT_MAX_MESSAGE,
  OPT_MAX_TIME,
  OPT_QUIET
};

static const struct option options[] = {
    {'s', "subprotocol", "NAMES", "offer these subprotocols, with commas between", OPT_PROTOCOL},
    {'o', "origin", "ORIGIN", "the page that this pretends to be", OPT_ORIGIN},
    {0, "message", "TEXT", "send TEXT before what is read; may be repeated", OPT_MESSAGE},
    {'b', "binary", NULL, "send lines as binary messages; print messages as bytes alone",
     OPT_BINARY},
    {'n', "count", "N", "end when N messages have come", OPT_COUNT},
    {0, "stay", NULL, "stay when the input ends, until the server closes", OPT_STAY},
    {0, "ping", "SECONDS", "ping a server that is silent so long; leave it when it stays so",
     OPT_PING},
    {0, "reconnect", NULL, "connect anew when the connection is lost", OPT_RECONNECT},
    {0, "max-message", "SIZE", "the most bytes of a message (16M)", OPT_MAX_MESSAGE},
    {'m', "max-time", "SECONDS", "give up after so long: exit code 5", OPT_MAX_TIME},
    {'q', "quiet", NULL, "no remarks about opening and closing", OPT_QUIET},
    {0, NULL, NULL, NULL, 0},
};

static const char about[] =
    "Connects to a WebSocket. Each line of the input is sent as a message, each message\n"
    "that comes is printed, with a newline behind it. At the end of the input, or by\n"
    "Ctrl-C, the WebSocket is closed; answers that come before the server's close are\n"
    "printed. On a terminal, controls in messages are escaped, and a line that begins\n"
    "with a slash is a command: /ping, /close [CODE [REASON]], /help; //x sends \"/x\".\n"
    "\n"
    "  apus ws ws://localhost:8080/chat              talk\n"
    "  echo hello | apus ws localhost:8080           send one message, see the answers\n"
    "  apus ws -n 1 --message ping localhost:8080    send one, wait for one\n"
    "  apus ws --stay wss://host/ticker </dev/null   just listen\n"
    "\n"
    "It ends with 0 where the server closes with 1000 or 1001, or without a code, and\n"
    "with 7 otherwise; with 4 where the server refuses to open a WebSocket.";

/* ---- listeners, in the tick */

static void opened(void *context, apus_channel channel) {
  struct ws *ws = context;
  const char *protocol = apus_channel_protocol(channel);
  /* Whatever filled the connection before. */
  ws->is_full = 0;
  if (!ws->quiet) {
    int has = protocol != NULL && *protocol != 0;
    remark("open%s%s", has ? ", subprotocol " : "", has ? protocol : "");
  }
  for (int i = 0; i < ws->message_count && !ws->was_open; i++) {
    const char *text = ws->messages[i];
    if (ws->binary) {
      apus_channel_send_binary(channel, text, APUS_STRLEN);
    } else if (apus_channel_send_text(channel, text, APUS_STRLEN) == APUS_E_ARGUMENT) {
      complain("a message is not UTF-8: -b sends it as it is");
    }
  }
  ws->was_open = ws->is_open = 1;
}

static void received(void *context, apus_channel channel, int32_t opcode, const void *data,
                     size_t length) {
  struct ws *ws = context;
  (void)channel;
  if (ws->count > 0 && ws->received >= ws->count) return;
  ws->received++;
  ws_print(ws, opcode, data, length);
  if (ws->count > 0 && ws->received >= ws->count) ws_leave(ws, 1000);
}

static void ponged(void *context, apus_channel channel, int32_t opcode, const void *data,
                   size_t length) {
  struct ws *ws = context;
  (void)channel, (void)opcode, (void)data, (void)length;
  if (ws->is_typed && !ws->quiet) remark("pong");
}

static void failed(void *context, apus_channel channel, int32_t error, const char *text,
                   size_t length) {
  struct ws *ws = context;
  (void)length;
  ws->is_open = apus_channel_is_connected(channel);
  ws->error = error;
  snprintf(ws->sentence, sizeof ws->sentence, "%s", text);
  if (ws->reconnect && !ws->quiet && !ws->is_open) remark("%s; trying anew", text);
}

static void drained(void *context, apus_channel channel) {
  struct ws *ws = context;
  (void)channel;
  ws->is_full = 0;
}

static void closed(void *context, apus_channel channel, int32_t code, const char *reason,
                   size_t length) {
  struct ws *ws = context;
  (void)channel, (void)length;
  ws->is_closed = 1;
  ws->is_open = 0;
  ws->code = code;
  snprintf(ws->reason, sizeof ws->reason, "%s", reason);
}

/* ---- the run */

void ws_leave(struct ws *ws, int32_t code) {
  if (ws->is_leaving) return;
  ws->is_leaving = 1;
  if (ws->is_open) {
    apus_channel_close(ws->channel, code, NULL, 0);
  } else {
    apus_channel_reset(ws->channel);
  }
}

static void stop(void *context) {
  struct ws *ws = context;
  apus_client_wake(ws->client);
}

/* Input is read while there is something to do with it. */
static int reads_input(const struct ws *ws) {
  return ws->is_open && !ws->input_ended && !ws->is_full && !ws->is_leaving;
}

static void run_until_closed(struct ws *ws) {
  int64_t deadline = ws->time_ms > 0 ? now_us() + (int64_t)ws->time_ms * 1000 : INT64_MAX;
  int event = apus_client_event_fd(ws->client);
  while (!ws->is_closed) {
    struct pollfd watched[2] = {{.fd = event, .events = POLLIN}};
    watched[1].fd = reads_input(ws) ? STDIN_FILENO : -1;
    watched[1].events = POLLIN;
    int64_t left = (deadline - now_us()) / 1000 + 1;
    poll(watched, 2, ws->time_ms > 0 && left < 1000 ? (int)(left > 0 ? left : 0) : 1000);
    if (apus_client_tick(ws->client, 0) < 0) return;
    if (watched[1].revents != 0 && reads_input(ws)) ws_read_input(ws);
    ws_send_input(ws);
    if (signal_seen() != 0) ws_leave(ws, 1000);
    if (now_us() >= deadline && !ws->is_leaving) {
      ws->is_late = 1;
      ws_leave(ws, 1000);
    }
  }
}

/* What became of it, as an exit code; says why where it failed. */
static int conclude(struct ws *ws) {
  fflush(stdout);
  if (ws->is_late) {
    complain("%s: not done after %g s; --max-time allows it more", ws->url, ws->time_ms / 1000.0);
    return EXIT_TIME;
  }
  if (!ws->was_open && signal_seen() == 0) {
    int32_t status = apus_channel_status(ws->channel);
    if (status > 0 && status != 101) {
      complain("%s: the server answers %d, and opens no WebSocket; check the path", ws->url,
               (int)status);
      return EXIT_STATUS;
    }
    return complain_network(ws->url, ws->error, ws->sentence);
  }
  if (ws->is_leaving) return EXIT_FINE;
  int fine = ws->code == 1000 || ws->code == 1001 || ws->code == 1005;
  if (fine && ws->quiet) return EXIT_FINE;
  const char *colon = *ws->reason != 0 ? ": " : "";
  if (fine) {
    remark("closed by the server (%d)%s%s", (int)ws->code, colon, ws->reason);
    return EXIT_FINE;
  }
  complain(ws->code == 1006 ? "%s: the connection broke (%d)%s%s" : "%s: closed with %d%s%s",
           ws->url, (int)ws->code, colon, ws->reason);
  return EXIT_PROTOCOL;
}

static int set_up(struct ws *ws) {
  int result = connection_apply(&ws->connection, ws->client);
  if (result != EXIT_FINE) return result;
  apus_channel channel = ws->channel = apus_channel_make(ws->client);
  if (channel == 0) out_of_memory();
  if (ws->protocols != NULL && apus_channel_set_protocols(channel, ws->protocols) < 0) {
    complain("--subprotocol %s: %s", ws->protocols, apus_last_error_message());
    return EXIT_USAGE;
  }
  if (ws->origin != NULL && apus_channel_set_origin(channel, ws->origin) < 0) {
    complain("--origin %s: %s", ws->origin, apus_last_error_message());
    return EXIT_USAGE;
  }
  if (ws->ping_ms > 0) apus_channel_set_ping(channel, ws->ping_ms, 0);
  if (ws->max_message > 0) apus_channel_set_max_message(channel, ws->max_message);
  if (ws->reconnect) apus_channel_set_reconnect(channel, -1, 500, 30000);
  if (ws->connection.connect_ms > 0) {
    apus_channel_set_connect_timeout(channel, ws->connection.connect_ms);
  }
  result = connection_basic(&ws->connection, channel, apus_channel_add_header);
  if (result != EXIT_FINE) return result;
  apus_channel_on_open(channel, opened, ws, NULL);
  apus_channel_on_message(channel, received, ws, NULL);
  apus_channel_on_pong(channel, ponged, ws, NULL);
  apus_channel_on_error(channel, failed, ws, NULL);
  apus_channel_on_drain(channel, drained, ws, NULL);
  apus_channel_on_close(channel, closed, ws, NULL);
  return connection_headers(&ws->connection, channel, apus_channel_add_header);
}

/* ---- the command line */

static void take_option(struct ws *ws, const struct arguments *arguments, int id) {
  const int room = sizeof ws->messages / sizeof ws->messages[0];
  if (id == OPT_PROTOCOL) ws->protocols = arguments->value;
  if (id == OPT_ORIGIN) ws->origin = arguments->value;
  if (id == OPT_BINARY) ws->binary = 1;
  if (id == OPT_COUNT) ws->count = count_value(arguments, 1, INT32_MAX);
  if (id == OPT_STAY) ws->stay = 1;
  if (id == OPT_PING) ws->ping_ms = seconds_value(arguments);
  if (id == OPT_RECONNECT) ws->reconnect = 1;
  if (id == OPT_MAX_MESSAGE) ws->max_message = size_value(arguments);
  if (id == OPT_MAX_TIME) ws->time_ms = seconds_value(arguments);
  if (id == OPT_QUIET) ws->quiet = 1;
  if (id == OPT_MESSAGE) {
    if (ws->message_count == room) wrong_usage(&ws_command, "--message goes %d times", room);
    ws->messages[ws->message_count++] = arguments->value;
  }
  if (id == ARG_WORD) take_word(arguments, &ws->url_word, "URL");
}

/* A page's URL stands for the WebSocket at the same place. */
static char *websocket_url(const char *word) {
  struct text text = {0};
  if (strncmp(word, "http://", 7) != 0 && strncmp(word, "https://", 8) != 0) {
    return whole_url(word, "ws");
  }
  text_print(&text, "ws%s", word + 4);
  return text.bytes;
}

static int run(const struct command *command, int count, char **words) {
  static struct ws ws;
  struct arguments arguments = arguments_of(command, count, words);
  int id;
  connection_init(&ws.connection);
  while ((id = next_argument(&arguments)) != ARG_END) {
    if (!connection_option(&ws.connection, &arguments, id)) take_option(&ws, &arguments, id);
  }
  if (ws.url_word == NULL) wrong_usage(command, "which URL?");
  ws.url = websocket_url(ws.url_word);
  ws.connection.proxy = ""; /* channels have none */
  ws.is_typed = isatty(STDIN_FILENO);
  ws.client = apus_client_make();
  if (ws.client == 0) out_of_memory();
  watch_signals(stop, &ws);
  int result = set_up(&ws);
  if (result == EXIT_FINE && apus_channel_open(ws.channel, ws.url) < 0) {
    result = complain_network(ws.url, apus_last_error(), NULL);
  } else if (result == EXIT_FINE) {
    run_until_closed(&ws);
    result = conclude(&ws);
  }
  apus_channel_destroy(ws.channel);
  apus_client_destroy(ws.client);
  text_free(&ws.input);
  free(ws.url);
  return result;
}

const struct command ws_command = {
    "ws",  "[OPTION...] URL", "talk to a WebSocket, line by line",
    about, options,           connection_options,
    run,
};
