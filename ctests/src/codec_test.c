/*
 * codec_test.c - frames, UTF-8 and close codes without a connection: against the
 * examples of RFC 6455, at the boundaries of lengths and of buffers, and with
 * whatever a call may be wrong in. A failing call must leave its outputs alone.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "helpers/harness.h"

#include <stddef.h>

#define IMPOSSIBLE ((size_t)-2)

/* RFC 6455 section 5.7. */
static const unsigned char hello[] = "Hello";
static const unsigned char key[4] = {0x37, 0xfa, 0x21, 0x3d};

/* A buffer of exactly that much, so that a sanitizer sees a byte too far. */
static unsigned char *filled(size_t size, int byte) {
  unsigned char *bytes = malloc(size == 0 ? 1 : size);
  CHECK(bytes != NULL);
  memset(bytes, byte, size);
  return bytes;
}

/* ------------------------------------------------------------------- frames */

struct example {
  const char *bytes;
  size_t count;
  int32_t opcode, final, masked, header_length;
  int64_t length;
};

static const struct example examples[] = {
    {"\x81\x05Hello", 7, 1, 1, 0, 2, 5},
    {"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", 11, 1, 1, 1, 6, 5},
    {"\x01\x03Hel", 5, 1, 0, 0, 2, 3},
    {"\x80\x02lo", 4, 0, 1, 0, 2, 2},
    {"\x89\x05Hello", 7, 9, 1, 0, 2, 5},
    {"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", 11, 10, 1, 1, 6, 5},
    {"\x82\x7e\x01\x00", 4, 2, 1, 0, 4, 256},
    {"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00", 10, 2, 1, 0, 10, 65536},
};

static void test_examples(enum mode mode) {
  (void)mode;
  CHECK_INT(64, sizeof(apus_frame));
  CHECK_INT(24, offsetof(apus_frame, length));
  for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++) {
    const struct example *example = &examples[i];
    apus_frame frame;
    memset(&frame, 0x55, sizeof frame);
    CHECK_INT(example->header_length, apus_frame_decode(example->bytes, example->count, &frame));
    CHECK_INT(example->opcode, frame.opcode);
    CHECK_INT(example->final, frame.final);
    CHECK_INT(0, frame.reserved_bits);
    CHECK_INT(example->masked, frame.masked);
    CHECK_INT(example->header_length, frame.header_length);
    CHECK_INT(example->length, frame.length);
    CHECK_BYTES(example->masked ? (const char *)key : "\0\0\0\0", 4, frame.mask, 4);
    for (int at = 0; at < 4; at++) CHECK_INT(0, frame.reserved[at]);
    CHECK_INT(example->header_length,
              apus_frame_decode(example->bytes, (size_t)example->header_length, NULL));
    CHECK_INT(example->length + example->header_length,
              apus_frame_length(example->length, example->masked));
    if (example->length > 5) continue;
    /* And back: the payload in clear, then written. */
    unsigned char payload[5], frame_bytes[16];
    memcpy(payload, example->bytes + example->header_length, (size_t)example->length);
    if (example->masked) {
      CHECK_INT(0, apus_frame_mask(frame.mask, 0, payload, (size_t)example->length));
    }
    if (example->length == 5) CHECK_BYTES(hello, 5, payload, 5);
    CHECK_INT(example->count,
              apus_frame_encode(frame.opcode, frame.final, frame.reserved_bits,
                                frame.masked ? frame.mask : NULL, payload, (size_t)example->length,
                                frame_bytes, sizeof frame_bytes));
    CHECK_BYTES(example->bytes, example->count, frame_bytes, example->count);
  }
}

/* Each length at which the header changes: written, cut and read again; with and
 * without a key; and into one byte too few. */
static void boundary(size_t length, const unsigned char *mask) {
  size_t header = (length <= 125 ? 2u : length <= 65535 ? 4u : 10u) + (mask ? 4u : 0u);
  size_t count = header + length;
  unsigned char *payload = filled(length, 'p');
  unsigned char *buffer = filled(count, 0xee);
  apus_frame frame;
  CHECK_INT(count, apus_frame_length((int64_t)length, mask != NULL));
  CHECK_CODE(APUS_E_TOO_LARGE,
             apus_frame_encode(2, 1, 0, mask, payload, length, buffer, count - 1));
  CHECK_CODE(APUS_E_TOO_LARGE, apus_frame_encode(2, 1, 0, mask, payload, length, NULL, 0));
  CHECK_CODE(APUS_E_TOO_LARGE,
             apus_frame_encode_header(2, 1, 0, mask, (int64_t)length, buffer, header - 1));
  for (size_t i = 0; i < count; i++) {
    if (buffer[i] != 0xee) harness_fail(__FILE__, __LINE__, "byte %zu was written", i);
  }
  CHECK_INT(count, apus_frame_encode(2, 1, 0, mask, payload, length, buffer, count));
  for (size_t cut = 0; cut < header; cut++) {
    memset(&frame, 0x55, sizeof frame);
    CHECK_INT(0, apus_frame_decode(buffer, cut, &frame));
    CHECK_INT(0x55555555, frame.opcode);
  }
  CHECK_INT(header, apus_frame_decode(buffer, header, &frame));
  CHECK_INT(length, frame.length);
  CHECK_INT(mask != NULL, frame.masked);
  /* The header alone is the same, and so is a payload that stood in its place. */
  unsigned char *other = filled(count, 0xdd);
  CHECK_INT(header, apus_frame_encode_header(2, 1, 0, mask, (int64_t)length, other, header));
  CHECK_BYTES(buffer, header, other, header);
  if (count > header) CHECK_INT(0xdd, other[header]);
  memcpy(other + header, payload, length);
  CHECK_INT(count, apus_frame_encode(2, 1, 0, mask, other + header, length, other, count));
  CHECK_BYTES(buffer, count, other, count);
  if (mask) CHECK_INT(0, apus_frame_mask(mask, 0, buffer + header, length));
  CHECK_BYTES(payload, length, buffer + header, length);
  free(payload);
  free(buffer);
  free(other);
}

static void test_boundaries(enum mode mode) {
  static const size_t lengths[] = {0,   1,   2,     124,   125,   126,  127,
                                   255, 256, 65534, 65535, 65536, 65537};
  (void)mode;
  for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
    boundary(lengths[i], NULL);
    boundary(lengths[i], key);
  }
}

/* Every first byte, with headers only: also what makes no sense. */
static void test_every_start(enum mode mode) {
  static const int64_t lengths[] = {0, 125, 126, 65535, 65536, 1ll << 32, INT64_MAX};
  (void)mode;
  for (int first = 0; first < 256; first++) {
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
      unsigned char buffer[APUS_FRAME_HEADER_SIZE];
      apus_frame frame;
      int32_t size =
          apus_frame_encode_header(first & 15, first >> 7, first >> 4 & 7, i % 2 ? key : NULL,
                                   lengths[i], buffer, sizeof buffer);
      CHECK(size >= 2 && size <= APUS_FRAME_HEADER_SIZE);
      CHECK_INT(first, buffer[0]);
      CHECK_INT(size, apus_frame_decode(buffer, (size_t)size, &frame));
      CHECK_INT(first & 15, frame.opcode);
      CHECK_INT(first >> 7, frame.final);
      CHECK_INT(first >> 4 & 7, frame.reserved_bits);
      CHECK_INT(lengths[i], frame.length);
      CHECK_INT(i % 2, frame.masked);
    }
  }
}

static void test_impossible_lengths(enum mode mode) {
  static const struct {
    const char *bytes;
    size_t count;
    int32_t result;
  } headers[] = {
      {"\x82\x7e\x00\x7d", 4, APUS_E_PROTOCOL},
      {"\x82\x7e\x00\x00", 4, APUS_E_PROTOCOL},
      {"\x82\x7e\x00\x7e", 4, 4},
      {"\x82\x7e\xff\xff", 4, 4},
      {"\x82\x7f\0\0\0\0\0\0\xff\xff", 10, APUS_E_PROTOCOL},
      {"\x82\x7f\0\0\0\0\0\x01\0\0", 10, 10},
      {"\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff", 10, 10},
      {"\x82\x7f\x80\0\0\0\0\0\0\0", 10, APUS_E_PROTOCOL},
      {"\x82\xff\x80\0\0\0\0\0\0\0", 10, APUS_E_PROTOCOL},
      {"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff\1\2\3\4", 14, APUS_E_PROTOCOL},
      {"\x82\x7f\x80\0\0\0\0\0\0", 9, 0},
      {"", 0, 0},
  };
  (void)mode;
  for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
    apus_frame frame;
    memset(&frame, 0x55, sizeof frame);
    CHECK_INT(headers[i].result, apus_frame_decode(headers[i].bytes, headers[i].count, &frame));
    if (headers[i].result <= 0) CHECK_INT(0x55555555, frame.opcode);
    if (headers[i].result < 0) CHECK_INT(APUS_E_PROTOCOL, apus_last_error());
  }
  CHECK_CODE(APUS_E_ARGUMENT, apus_frame_length(-1, 0));
  CHECK_CODE(APUS_E_ARGUMENT, apus_frame_length(INT64_MIN, 1));
  CHECK_CODE(APUS_E_ARGUMENT, apus_frame_length(INT64_MAX, 0));
  CHECK_CODE(APUS_E_ARGUMENT, apus_frame_length(INT64_MAX - 9, 0));
  CHECK_INT(INT64_MAX, apus_frame_length(INT64_MAX - 10, 0));
  CHECK_CODE(APUS_E_ARGUMENT, apus_frame_length(INT64_MAX - 13, 1));
  CHECK_INT(INT64_MAX, apus_frame_length(INT64_MAX - 14, 1));
  CHECK_CODE(APUS_E_ARGUMENT, apus_frame_length(1, 2));
  CHECK_CODE(APUS_E_ARGUMENT, apus_frame_length(1, -1));
}

static void test_wrong_frames(enum mode mode) {
  static const int32_t extremes[] = {-1, INT32_MIN, INT32_MAX};
  unsigned char bytes[64] = "0123456789";
  (void)mode;
  CHECK_CODE(APUS_E_ARGUMENT, apus_frame_encode(16, 1, 0, NULL, "x", 1, bytes, 64));
  CHECK_CODE(APUS_E_ARGUMENT, apus_frame_encode(1, 2, 0, NULL, "x", 1, bytes, 64));
  CHECK_CODE(APUS_E_ARGUMENT, apus_frame_encode(1, 1, 8, NULL, "x", 1, bytes, 64));
  for (int i = 0; i < 3; i++) {
    CHECK_CODE(APUS_E_ARGUMENT, apus_frame_encode(extremes[i], 1, 0, NULL, "x", 1, bytes, 64));
    CHECK_CODE(APUS_E_ARGUMENT, apus_frame_encode(1, extremes[i], 0, NULL, "x", 1, bytes, 64));
    CHECK_CODE(APUS_E_ARGUMENT, apus_frame_encode(1, 1, extremes[i], NULL, "x", 1, bytes, 64));
    CHECK_CODE(APUS_E_ARGUMENT, apus_frame_encode_header(extremes[i], 1, 0, NULL, 1, bytes, 64));
  }
  CHECK_CODE(APUS_E_ARGUMENT, apus_frame_encode(1, 1, 0, NULL, NULL, 1, bytes, 64));
  CHECK_CODE(APUS_E_ARGUMENT, apus_frame_encode(1, 1, 0, NULL, NULL, APUS_STRLEN, bytes, 64));
  CHECK_CODE(APUS_E_ARGUMENT, apus_frame_encode(1, 1, 0, NULL, "x", IMPOSSIBLE, bytes, 64));
  CHECK_CODE(APUS_E_TOO_LARGE, apus_frame_encode(1, 1, 0, NULL, "x", SIZE_MAX / 2, bytes, 64));
  CHECK_CODE(APUS_E_ARGUMENT, apus_frame_encode(1, 1, 0, NULL, "x", 1, NULL, 64));
  CHECK_CODE(APUS_E_ARGUMENT, apus_frame_encode(1, 1, 0, NULL, "x", 1, bytes, IMPOSSIBLE));
  CHECK_CODE(APUS_E_ARGUMENT, apus_frame_encode_header(1, 1, 0, NULL, -1, bytes, 64));
  CHECK_CODE(APUS_E_ARGUMENT, apus_frame_encode_header(1, 1, 0, NULL, 1, NULL, 64));
  /* The payload may be at its place, or apart; and nowhere between. */
  for (size_t at = 0; at < 12; at++) {
    int64_t due = at == 2 || at >= 7 ? 7 : APUS_E_ARGUMENT;
    CHECK_INT(due, apus_frame_encode(1, 1, 0, NULL, bytes + at, 5, bytes, 64));
    memcpy(bytes, "0123456789", 11);
  }
  CHECK_TEXT("0123456789", (char *)bytes);
  CHECK_INT(2, apus_frame_encode(1, 1, 0, NULL, bytes + 1, 0, bytes, 64));
  CHECK_INT(7, apus_frame_encode(1, 1, 0, NULL, "Hello", APUS_STRLEN, bytes, 7));
  CHECK_BYTES("\x81\x05Hello", 7, bytes, 7);
  CHECK_INT(2, apus_frame_encode(9, 1, 0, NULL, NULL, 0, bytes, 2));
  CHECK_CODE(APUS_E_ARGUMENT, apus_frame_decode(NULL, 1, NULL));
  CHECK_CODE(APUS_E_ARGUMENT, apus_frame_decode(bytes, IMPOSSIBLE, NULL));
  CHECK_INT(0, apus_frame_decode(NULL, 0, NULL));
}

static void test_masks(enum mode mode) {
  unsigned char bytes[300], plain[300];
  (void)mode;
  for (size_t i = 0; i < sizeof plain; i++) plain[i] = (unsigned char)(i * 7 + 3);
  /* In pieces, cut anywhere, it is the same as at once. */
  for (size_t cut = 0; cut <= sizeof plain; cut++) {
    memcpy(bytes, plain, sizeof plain);
    CHECK_INT(0, apus_frame_mask(key, 0, bytes, cut));
    CHECK_INT(0, apus_frame_mask(key, cut, bytes + cut, sizeof bytes - cut));
    for (size_t i = 0; i < sizeof plain; i++) {
      if (bytes[i] != (plain[i] ^ key[i % 4])) harness_fail(__FILE__, __LINE__, "cut at %zu", cut);
    }
  }
  memcpy(bytes, "Hello", 6);
  CHECK_INT(0, apus_frame_mask(key, UINT64_MAX, bytes, APUS_STRLEN));
  for (size_t i = 0; i < 5; i++) CHECK_INT(hello[i] ^ key[(i + 3) % 4], bytes[i]);
  CHECK_INT(0, bytes[5]);
  CHECK_INT(0, apus_frame_mask(key, 0, NULL, 0));
  CHECK_CODE(APUS_E_ARGUMENT, apus_frame_mask(NULL, 0, bytes, 1));
  CHECK_CODE(APUS_E_ARGUMENT, apus_frame_mask(key, 0, NULL, 1));
  CHECK_CODE(APUS_E_ARGUMENT, apus_frame_mask(key, 0, NULL, APUS_STRLEN));
  CHECK_CODE(APUS_E_ARGUMENT, apus_frame_mask(key, 0, bytes, IMPOSSIBLE));
  CHECK_CODE(APUS_E_ARGUMENT, apus_frame_make_mask(NULL));
  /* 32 equal ones come once in 2^992. */
  int different = 0;
  unsigned char first[4], next[5] = {0, 0, 0, 0, 0xee};
  CHECK_INT(0, apus_frame_make_mask(first));
  for (int i = 0; i < 32; i++) {
    CHECK_INT(0, apus_frame_make_mask(next));
    different += memcmp(first, next, 4) != 0;
  }
  CHECK(different > 0);
  CHECK_INT(0xee, next[4]);
}

/* ------------------------------------------------------------------- checks */

/* RFC 6455 section 5 once more. */
static int is_allowed(const apus_frame *frame, int32_t role, int32_t in_message,
                      int32_t compressed) {
  int control = frame->opcode >= 8;
  if (frame->masked != (role == APUS_ROLE_SERVER)) return 0;
  if (frame->reserved_bits != 0 &&
      (frame->reserved_bits != 4 || !compressed || frame->opcode == 0 || frame->opcode > 2)) {
    return 0;
  }
  if (apus_opcode_name(frame->opcode) == NULL) return 0;
  if (control) return frame->final && frame->length <= 125;
  return (frame->opcode == 0) == (in_message != 0);
}

static void test_check(enum mode mode) {
  static const int64_t lengths[] = {0, 125, 126, 65536, INT64_MAX};
  int sound = 0;
  (void)mode;
  for (int32_t bits = 0; bits < 4096; bits++) {
    apus_frame frame = {.opcode = bits & 15,
                        .final = bits >> 4 & 1,
                        .reserved_bits = bits >> 5 & 7,
                        .masked = bits >> 8 & 1};
    int32_t role = bits >> 9 & 1, in_message = bits >> 10 & 1, compressed = bits >> 11 & 1;
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
      frame.length = lengths[i];
      int allowed = is_allowed(&frame, role, in_message, compressed);
      int32_t got = apus_frame_check(&frame, role, in_message, compressed);
      CHECK_INT(allowed ? 0 : 1002, got);
      if (!allowed) CHECK_INT(APUS_E_PROTOCOL, apus_last_error());
      if (!allowed) CHECK(strlen(apus_last_error_message()) > 10);
      sound += allowed;
    }
  }
  CHECK(sound > 0);
  apus_frame frame = {.opcode = 1, .final = 1};
  CHECK_CODE(APUS_E_ARGUMENT, apus_frame_check(NULL, 0, 0, 0));
  CHECK_CODE(APUS_E_ARGUMENT, apus_frame_check(&frame, 2, 0, 0));
  CHECK_CODE(APUS_E_ARGUMENT, apus_frame_check(&frame, -1, 0, 0));
  CHECK_CODE(APUS_E_ARGUMENT, apus_frame_check(&frame, 0, 2, 0));
  CHECK_CODE(APUS_E_ARGUMENT, apus_frame_check(&frame, 0, 0, -1));
  frame.length = -1;
  CHECK_CODE(APUS_E_ARGUMENT, apus_frame_check(&frame, 0, 0, 0));
  frame = (apus_frame){.opcode = 16};
  CHECK_CODE(APUS_E_ARGUMENT, apus_frame_check(&frame, 0, 0, 0));
  frame = (apus_frame){.masked = 2};
  CHECK_CODE(APUS_E_ARGUMENT, apus_frame_check(&frame, 0, 0, 0));
}

static void test_utf8(enum mode mode) {
  static const char *const good[] = {"",
                                     "plain",
                                     "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5",
                                     "\xc2\x80",
                                     "\xdf\xbf",
                                     "\xe0\xa0\x80",
                                     "\xed\x9f\xbf",
                                     "\xee\x80\x80",
                                     "\xef\xbf\xbf",
                                     "\xf0\x90\x80\x80",
                                     "\xf4\x8f\xbf\xbf"};
  static const char *const bad[] = {
      "\x80",     "\xc0\x80",         "\xc1\xbf",         "\xc2", "\xe0\x9f\xbf", "\xed\xa0\x80",
      "\xe2\x82", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5", "\xff",         "a\xce"};
  (void)mode;
  for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
    CHECK_INT(1, apus_utf8_is_valid(good[i], APUS_STRLEN));
  }
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    CHECK_INT(0, apus_utf8_is_valid(bad[i], APUS_STRLEN));
  }
  CHECK_INT(1, apus_utf8_is_valid("a\0b", 3));
  CHECK_INT(1, apus_utf8_is_valid(NULL, 0));
  CHECK_CODE(APUS_E_ARGUMENT, apus_utf8_is_valid(NULL, 1));
  CHECK_CODE(APUS_E_ARGUMENT, apus_utf8_is_valid(NULL, APUS_STRLEN));
  CHECK_CODE(APUS_E_ARGUMENT, apus_utf8_is_valid("", IMPOSSIBLE));
}

/* ------------------------------------------------------------- close payloads */

static void close_both_ways(int32_t code, const char *reason, size_t length) {
  unsigned char *buffer = filled(length + 2, 0xee);
  int32_t found = 77;
  CHECK_CODE(APUS_E_TOO_LARGE, apus_close_encode(code, reason, length, buffer, length + 1));
  CHECK_INT(0xee, buffer[0]);
  CHECK_INT(length + 2, apus_close_encode(code, reason, length, buffer, length + 2));
  CHECK_INT(code, buffer[0] << 8 | buffer[1]);
  CHECK_BYTES(reason, length, buffer + 2, length);
  CHECK_INT(0, apus_close_decode(buffer, length + 2, &found));
  CHECK_INT(code, found);
  CHECK_INT(0, apus_close_decode(buffer, length + 2, NULL));
  free(buffer);
}

static void test_close(enum mode mode) {
  char reason[125], buffer[APUS_CLOSE_SIZE], longest[126];
  int32_t code = 77;
  (void)mode;
  memset(reason, 'r', sizeof reason);
  memset(longest, 'r', sizeof longest);
  for (int32_t number = -2; number < 70000; number++) {
    int valid = (number >= 1000 && number <= 1003) || (number >= 1007 && number <= 1014) ||
                (number >= 3000 && number <= 4999);
    CHECK_INT(valid, apus_close_is_valid(number));
    if (number < 0 || number > 65535) continue;
    unsigned char payload[2] = {(unsigned char)(number >> 8), (unsigned char)number};
    code = 77;
    CHECK_INT(valid ? 0 : 1002, apus_close_decode(payload, 2, &code));
    CHECK_INT(valid ? number : 77, code);
  }
  CHECK_INT(0, apus_close_is_valid(INT32_MIN));
  CHECK_INT(0, apus_close_is_valid(65536 + 1000));
  close_both_ways(1000, "", 0);
  close_both_ways(1001, "bye", 3);
  close_both_ways(4999, reason, 123);
  CHECK_INT(0, apus_close_encode(0, NULL, 0, NULL, 0));
  CHECK_INT(0, apus_close_decode(NULL, 0, &code));
  CHECK_INT(1005, code);
  CHECK_INT(5, apus_close_encode(1000, "bye", APUS_STRLEN, buffer, sizeof buffer));
  code = 77;
  CHECK_CODE(APUS_E_ARGUMENT, apus_close_encode(1000, reason, 124, buffer, sizeof buffer));
  CHECK_CODE(APUS_E_ARGUMENT, apus_close_encode(1000, "\xff", 1, buffer, sizeof buffer));
  CHECK_CODE(APUS_E_ARGUMENT, apus_close_encode(0, "r", 1, buffer, sizeof buffer));
  CHECK_CODE(APUS_E_ARGUMENT, apus_close_encode(1005, NULL, 0, buffer, sizeof buffer));
  CHECK_CODE(APUS_E_ARGUMENT, apus_close_encode(66536, NULL, 0, buffer, sizeof buffer));
  CHECK_CODE(APUS_E_ARGUMENT, apus_close_encode(-1000, NULL, 0, buffer, sizeof buffer));
  CHECK_CODE(APUS_E_ARGUMENT, apus_close_encode(1000, NULL, 1, buffer, sizeof buffer));
  CHECK_CODE(APUS_E_ARGUMENT, apus_close_encode(1000, NULL, 0, NULL, 2));
  CHECK_CODE(APUS_E_TOO_LARGE, apus_close_encode(1000, NULL, 0, NULL, 0));
  CHECK_INT(1002, apus_close_decode("\x03", 1, &code));
  CHECK_INT(1007, apus_close_decode("\x03\xe8\xff", 3, &code));
  CHECK_INT(APUS_E_PROTOCOL, apus_last_error());
  memcpy(longest, "\x03\xe8", 2);
  CHECK_INT(1002, apus_close_decode(longest, 126, &code));
  CHECK_CODE(APUS_E_ARGUMENT, apus_close_decode(NULL, 2, &code));
  CHECK_CODE(APUS_E_ARGUMENT, apus_close_decode(buffer, IMPOSSIBLE, &code));
  CHECK_INT(77, code);
}

int main(void) {
  static const struct harness_case cases[] = {
      {"examples", test_examples},
      {"boundaries", test_boundaries},
      {"every_start", test_every_start},
      {"impossible_lengths", test_impossible_lengths},
      {"wrong_frames", test_wrong_frames},
      {"masks", test_masks},
      {"check", test_check},
      {"utf8", test_utf8},
      {"close", test_close},
  };
  return harness_run("codec_test", MODE_TICK, NULL, CASES(cases));
}
