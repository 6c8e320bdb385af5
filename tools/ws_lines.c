/*
 * ws_lines.c - the two directions of "apus ws": lines of the input become messages, and
 * messages become lines of the output.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ws.h"

/* ---- input */

void ws_read_input(struct ws *ws) {
  char buffer[65536];
  ssize_t length = read(STDIN_FILENO, buffer, sizeof buffer);
  if (length > 0) text_add(&ws->input, buffer, (size_t)length);
  if (length == 0 || (length < 0 && errno != EINTR && errno != EAGAIN)) ws->input_ended = 1;
}

static void close_by_command(struct ws *ws, const char *words) {
  char *end;
  long code = strtol(words, &end, 10);
  if (end == words) code = 1000;
  while (*end == ' ') end++;
  if (apus_channel_close(ws->channel, (int32_t)code, end, APUS_STRLEN) < 0) {
    complain("it cannot be closed so: %s", apus_last_error_message());
    return;
  }
  ws->is_leaving = 1;
}

/* A line of a terminal's that begins with one slash. */
static void obey(struct ws *ws, const char *line) {
  if (strncmp(line, "/ping", 5) == 0) {
    apus_channel_ping(ws->channel, NULL, 0);
  } else if (strncmp(line, "/close", 6) == 0) {
    close_by_command(ws, line + 6);
  } else {
    remark("/ping, /close [CODE [REASON]]; //text sends /text; Ctrl-D or Ctrl-C ends");
  }
}

/* 0 where the channel is full: the line is for later. */
static int send_line(struct ws *ws, const char *line, size_t length) {
  if (ws->is_typed && length > 0 && line[0] == '/') {
    if (length < 2 || line[1] != '/') {
      char *copy = strndup(line, length);
      if (copy == NULL) out_of_memory();
      obey(ws, copy);
      free(copy);
      return 1;
    }
    line++;
    length--;
  }
  int32_t result = ws->binary ? apus_channel_send_binary(ws->channel, line, length)
                              : apus_channel_send_text(ws->channel, line, length);
  if (result == APUS_E_ARGUMENT) complain("a line is not UTF-8: -b sends it as it is");
  if (result == APUS_E_STATE) return 0;
  ws->is_full = result == APUS_E_FULL;
  return !ws->is_full;
}

void ws_send_input(struct ws *ws) {
  size_t sent = 0;
  while (ws->is_open && !ws->is_leaving && !ws->is_full && sent < ws->input.length) {
    const char *start = ws->input.bytes + sent;
    const char *newline = memchr(start, '\n', ws->input.length - sent);
    if (newline == NULL && !ws->input_ended) break;
    size_t length = newline != NULL ? (size_t)(newline - start) : ws->input.length - sent;
    size_t taken = length + (newline != NULL);
    if (!ws->binary && length > 0 && start[length - 1] == '\r') length--;
    if (!send_line(ws, start, length)) break;
    sent += taken;
  }
  if (sent > 0) {
    memmove(ws->input.bytes, ws->input.bytes + sent, ws->input.length - sent);
    ws->input.length -= sent;
  }
  int all = ws->input_ended && ws->input.length == 0;
  if (all && ws->is_open && !ws->stay && ws->count == 0) ws_leave(ws, 1000);
}

/* ---- output */

static void print_bytes(const unsigned char *bytes, size_t length) {
  enum { SHOWN = 64 };
  printf("%s(%zu bytes)%s", colour(stdout, "33"), length, colour(stdout, ""));
  for (size_t i = 0; i < length && i < SHOWN; i++) printf(" %02x", bytes[i]);
  fputs(length > SHOWN ? " ...\n" : "\n", stdout);
}

void ws_print(struct ws *ws, int32_t opcode, const void *data, size_t length) {
  int terminal = is_terminal(stdout);
  if (terminal && ws->is_typed) printf("%s< %s", colour(stdout, "36"), colour(stdout, ""));
  if (terminal && opcode == APUS_OPCODE_BINARY) {
    print_bytes(data, length);
  } else {
    show_text(stdout, data, length);
    if (terminal || !ws->binary) putchar('\n');
  }
  fflush(stdout);
}
