/*
 * terminal.c - what goes to a terminal. Bytes of a peer's could move its cursor, change
 * its title or hide text there; so none of them reaches it as a control.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tool.h"

const char *complaint_name = "";

int is_terminal(FILE *stream) { return isatty(fileno(stream)); }

int has_colours(FILE *stream) {
  const char *no_colour = getenv("NO_COLOR"), *type = getenv("TERM");
  if (no_colour != NULL && *no_colour != 0) return 0;
  if (type == NULL || *type == 0 || strcmp(type, "dumb") == 0) return 0;
  return is_terminal(stream);
}

const char *colour(FILE *stream, const char *code) {
  static const char *const known[][2] = {
      {"", "\033[0m"},        {"1", "\033[1m"},   {"2", "\033[2m"},
      {"1;31", "\033[1;31m"}, {"32", "\033[32m"}, {"33", "\033[33m"},
      {"36", "\033[36m"},     {"31", "\033[31m"}, {"1;32", "\033[1;32m"},
  };
  if (!has_colours(stream)) return "";
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
    if (strcmp(known[i][0], code) == 0) return known[i][1];
  }
  return "";
}

/* ---- the filter */

struct filter filter_to(FILE *out, int lines) {
  struct filter filter = {.out = out, .active = is_terminal(out), .lines = lines};
  return filter;
}

/* How many bytes a character has by its first one; 0: none begins so. */
static int size_of(unsigned char first) {
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF) return 2;
  if (first >= 0xE0 && first <= 0xEF) return 3;
  return first >= 0xF0 && first <= 0xF4 ? 4 : 0;
}

/* Controls of the second set, and what turns the direction of text or ends a line. */
static int is_obeyed(uint32_t c) {
  return (c >= 0x80 && c <= 0x9F) || c == 0x61C || (c >= 0x200E && c <= 0x200F) ||
         (c >= 0x2028 && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069) || c == 0xFEFF;
}

static void put_escaped(struct filter *filter) {
  for (int i = 0; i < filter->held_count; i++) fprintf(filter->out, "\\x%02x", filter->held[i]);
}

/* One character below 0x80. */
static void put_ascii(struct filter *filter, unsigned char c) {
  if (filter->carriage && c != '\n') fputs("\\r", filter->out);
  filter->carriage = 0;
  if (filter->lines && (c == '\n' || c == '\t')) {
    fputc(c, filter->out);
  } else if (filter->lines && c == '\r') {
    filter->carriage = 1; /* whether it ends a line shows with the next one */
  } else if (c == '\n' || c == '\r' || c == '\t') {
    fputs(c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t", filter->out);
  } else if (c < 0x20 || c == 0x7F) {
    fprintf(filter->out, "\\x%02x", c);
  } else {
    fputc(c, filter->out);
  }
}

/* What is held is whole, or will never be. */
static void put_held(struct filter *filter, int whole) {
  uint32_t c = 0;
  if (filter->held_count > 0 && filter->carriage) {
    fputs("\\r", filter->out);
    filter->carriage = 0;
  }
  if (whole && filter->held_count == 2) {
    c = (filter->held[0] & 31u) << 6 | (filter->held[1] & 63u);
  } else if (whole && filter->held_count == 3) {
    c = (filter->held[0] & 15u) << 12 | (filter->held[1] & 63u) << 6 | (filter->held[2] & 63u);
  }
  if (whole && is_obeyed(c)) {
    fprintf(filter->out, "\\u{%x}", (unsigned)c);
  } else if (whole && apus_utf8_is_valid(filter->held, (size_t)filter->held_count) == 1) {
    fwrite(filter->held, 1, (size_t)filter->held_count, filter->out);
  } else {
    put_escaped(filter);
  }
  filter->held_count = 0;
}

static void put_byte(struct filter *filter, unsigned char byte) {
  if (filter->held_count > 0 && (byte & 0xC0) != 0x80) put_held(filter, 0);
  if (byte < 0x80) {
    put_ascii(filter, byte);
    return;
  }
  filter->held[filter->held_count++] = byte;
  int size = size_of(filter->held[0]);
  if (size == 0) {
    put_held(filter, 0);
  } else if (filter->held_count == size) {
    put_held(filter, 1);
  }
}

void filter_write(struct filter *filter, const void *data, size_t length) {
  const unsigned char *bytes = data;
  if (!filter->active) {
    fwrite(data, 1, length, filter->out);
    return;
  }
  for (size_t i = 0; i < length; i++) put_byte(filter, bytes[i]);
}

void filter_end(struct filter *filter) {
  put_held(filter, 0);
  if (filter->carriage) fputs("\\r", filter->out);
  filter->carriage = 0;
}

static void show(FILE *out, const void *data, size_t length, int lines) {
  struct filter filter = filter_to(out, lines);
  filter_write(&filter, data, length);
  filter_end(&filter);
}

void show_text(FILE *out, const void *data, size_t length) { show(out, data, length, 1); }
void show_line(FILE *out, const void *data, size_t length) { show(out, data, length, 0); }

/* ---- messages */

static void say(const char *code, const char *mark, const char *format, va_list values) {
  char line[2048];
  int length = vsnprintf(line, sizeof line, format, values);
  if (length < 0) return;
  if ((size_t)length >= sizeof line) length = (int)sizeof line - 1;
  flockfile(stderr);
  fprintf(stderr, "%s%s%s%s%s: ", colour(stderr, code), mark, *complaint_name ? " " : "",
          complaint_name, colour(stderr, ""));
  /* A log or a pipe may well end on a terminal: controls are escaped for them, too. */
  struct filter filter = {.out = stderr, .active = 1};
  filter_write(&filter, line, (size_t)length);
  filter_end(&filter);
  fputc('\n', stderr);
  funlockfile(stderr);
}

void complain(const char *format, ...) {
  va_list values;
  va_start(values, format);
  say("1;31", "apus", format, values);
  va_end(values);
}

void remark(const char *format, ...) {
  va_list values;
  va_start(values, format);
  say("2", "apus", format, values);
  va_end(values);
}
