/*
 * parse_requests.c - what the library makes of bytes, for differential_test.py: its
 * input is cases, each a length in four bytes (the highest first) and so many bytes;
 * its output a line for each:
 *
 *   METHOD,TARGET,BODY,NAME:VALUE;NAME:VALUE,END ...|STATE SENTENCE
 *
 * with a word for each request that is whole, in hexadecimal but for END, which is
 * where it ends. STATE is "ok" where the bytes are used up or the connection ends,
 * "more" where a request is not whole, and else "bad".
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "check.h"

#include <stdbool.h>

#define LONGEST (1 << 20)

static void put(const void *data, size_t length) {
  const unsigned char *bytes = data;
  for (size_t i = 0; i < length; i++) printf("%02x", bytes[i]);
}

static void put_text(const char *text) { put(text, strlen(text)); }

/* Whether one of the fields of a name lists a word, in any case. */
static bool lists(apus_request request, const char *wanted, const char *word) {
  const char *name, *value;
  for (int32_t i = 0; apus_request_header_at(request, i, &name, &value, NULL) >= 0; i++) {
    if (strcasecmp(name, wanted) != 0) continue;
    while (*value != '\0') {
      size_t count = strcspn(value, ", \t");
      if (count == strlen(word) && strncasecmp(value, word, count) == 0) return true;
      value += count;
      value += strspn(value, ", \t");
    }
  }
  return false;
}

/* Whether the connection ends behind a request. */
static bool is_last(apus_request request) {
  if (lists(request, "connection", "close")) return true;
  return apus_request_version(request) < 11 && !lists(request, "connection", "keep-alive");
}

static void put_request(apus_request request, size_t end) {
  const char *name, *value;
  size_t length = 0;
  put_text(apus_request_method_name(request));
  putchar(',');
  put_text(apus_request_target(request));
  putchar(',');
  const void *body = apus_request_body(request, &length);
  put(body, length);
  putchar(',');
  for (int32_t i = 0; apus_request_header_at(request, i, &name, &value, &length) >= 0; i++) {
    if (i > 0) putchar(';');
    put_text(name);
    putchar(':');
    put(value, length);
  }
  printf(",%zu ", end);
}

static void take(const unsigned char *bytes, size_t count) {
  size_t place = 0;
  const char *state = "ok", *sentence = "";
  while (place < count) {
    size_t consumed = 0;
    apus_request request = apus_request_parse(bytes + place, count - place, &consumed);
    if (request == 0) {
      state = apus_last_error() == APUS_E_STATE ? "more" : "bad";
      sentence = apus_last_error_message();
      break;
    }
    CHECK(consumed > 0 && consumed <= count - place);
    place += consumed;
    put_request(request, place);
    bool ends = is_last(request);
    CHECK_INT(1, apus_request_destroy(request));
    if (ends) break;
  }
  printf("|%s %s\n", state, sentence);
  fflush(stdout);
}

int main(void) {
  unsigned char head[4];
  while (fread(head, 1, 4, stdin) == 4) {
    size_t count = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
    CHECK(count <= LONGEST);
    /* Memory of its own size, so that a sanitizer sees what is read past it. */
    unsigned char *bytes = malloc(count > 0 ? count : 1);
    CHECK(bytes != NULL && fread(bytes, 1, count, stdin) == count);
    take(bytes, count);
    free(bytes);
  }
  return 0;
}
