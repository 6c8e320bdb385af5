/*
 * text.c - text that grows, and the three ways in which it is written for others: JSON,
 * HTML and Base64.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "tool.h"

void out_of_memory(void) {
  complain("there is not enough memory");
  exit(EXIT_LOCAL);
}

void text_add(struct text *text, const void *data, size_t length) {
  if (text->capacity - text->length <= length) {
    size_t capacity = text->capacity * 2 + length + 64;
    char *bytes = realloc(text->bytes, capacity);
    if (bytes == NULL) out_of_memory();
    text->bytes = bytes;
    text->capacity = capacity;
  }
  if (length > 0) memcpy(text->bytes + text->length, data, length);
  text->length += length;
  text->bytes[text->length] = 0;
}

void text_print(struct text *text, const char *format, ...) {
  va_list values, again;
  va_start(values, format);
  va_copy(again, values);
  int length = vsnprintf(NULL, 0, format, values);
  va_end(values);
  if (length < 0) out_of_memory();
  char *line = malloc((size_t)length + 1);
  if (line == NULL) out_of_memory();
  vsnprintf(line, (size_t)length + 1, format, again);
  va_end(again);
  text_add(text, line, (size_t)length);
  free(line);
}

void text_free(struct text *text) {
  free(text->bytes);
  memset(text, 0, sizeof *text);
}

/* ---- JSON: controls of both sets and direction marks are escaped, so that a line of it
 * is safe on a terminal; a byte that is not UTF-8 becomes U+FFFD. */

static size_t character(const unsigned char *bytes, size_t left, uint32_t *value) {
  size_t size = *bytes < 0x80 ? 1 : *bytes < 0xE0 ? 2 : *bytes < 0xF0 ? 3 : 4;
  *value = 0xFFFD;
  if (size > left || apus_utf8_is_valid(bytes, size) != 1) return 1;
  *value = size == 1 ? bytes[0] : bytes[0] & (0x7Fu >> size);
  for (size_t i = 1; i < size; i++) *value = *value << 6 | (bytes[i] & 63u);
  return size;
}

static int is_escaped(uint32_t c) {
  return c < 0x20 || (c >= 0x7F && c <= 0x9F) || c == 0x61C || (c >= 0x200E && c <= 0x200F) ||
         (c >= 0x2028 && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069) || c == 0xFEFF || c == 0xFFFD;
}

void text_json(struct text *text, const void *data, size_t length) {
  const unsigned char *bytes = data;
  text_add(text, "\"", 1);
  for (size_t i = 0; i < length;) {
    uint32_t value;
    size_t size = character(bytes + i, length - i, &value);
    if (value == '"' || value == '\\') {
      text_print(text, "\\%c", (int)value);
    } else if (value == '\n') {
      text_add(text, "\\n", 2);
    } else if (is_escaped(value)) {
      text_print(text, "\\u%04x", (unsigned)value);
    } else {
      text_add(text, bytes + i, size);
    }
    i += size;
  }
  text_add(text, "\"", 1);
}

void text_html(struct text *text, const char *data) {
  for (; *data != 0; data++) {
    switch (*data) {
      case '<':
        text_add(text, "&lt;", 4);
        break;
      case '>':
        text_add(text, "&gt;", 4);
        break;
      case '&':
        text_add(text, "&amp;", 5);
        break;
      case '"':
        text_add(text, "&quot;", 6);
        break;
      case '\'':
        text_add(text, "&#39;", 5);
        break;
      default:
        text_add(text, data, 1);
    }
  }
}

void text_base64(struct text *text, const void *data, size_t length) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const unsigned char *bytes = data;
  text_add(text, "", 0);
  for (size_t i = 0; i < length; i += 3) {
    size_t left = length - i;
    uint32_t group = (uint32_t)bytes[i] << 16;
    if (left > 1) group |= (uint32_t)bytes[i + 1] << 8;
    if (left > 2) group |= bytes[i + 2];
    char four[4] = {digits[group >> 18], digits[group >> 12 & 63],
                    left > 1 ? digits[group >> 6 & 63] : '=', left > 2 ? digits[group & 63] : '='};
    text_add(text, four, 4);
  }
}

/* ---- files */

void text_read_file(struct text *text, const char *path) {
  char buffer[65536];
  size_t length;
  FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
  if (file == NULL) {
    complain("%s cannot be read: %s", path, strerror(errno));
    exit(EXIT_LOCAL);
  }
  text_add(text, "", 0);
  while ((length = fread(buffer, 1, sizeof buffer, file)) > 0) text_add(text, buffer, length);
  if (ferror(file)) {
    complain("%s cannot be read: %s", path, strerror(errno));
    exit(EXIT_LOCAL);
  }
  if (file != stdin) fclose(file);
}
