/*
 * forms_test.c - forms of both kinds: read from a body in memory, and parsed as they
 * arrive, in memory and on the disk; every limit, a disk that is full, and uploads
 * that are saved under names that clients choose.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "../helpers/harness.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define TYPE "multipart/form-data; boundary=b"
#define DISPOSITION "Content-Disposition: form-data; "
#define PART(parameters) "--b\r\n" DISPOSITION parameters "\r\n\r\n"
#define LAST "\r\n--b--\r\n"

static atomic_int handled;

/* ---------------------------------------------------------------- the folder */

static char folder[64];

static void make_folder(void) {
  strcpy(folder, "apus-forms-XXXXXX");
  CHECK(mkdtemp(folder) != NULL);
}

static void path_in_folder(char *path, size_t size, const char *name) {
  CHECK(snprintf(path, size, "%s/%s", folder, name) < (int)size);
}

/* The files in the folder, the hidden ones too. */
static int count_files(void) {
  DIR *directory = opendir(folder);
  CHECK(directory != NULL);
  int count = -2;
  while (readdir(directory) != NULL) count++;
  closedir(directory);
  return count;
}

static void check_file(const char *name, const char *expected) {
  char path[512], text[512];
  path_in_folder(path, sizeof path, name);
  FILE *file = fopen(path, "r");
  CHECK(file != NULL);
  size_t length = fread(text, 1, sizeof text, file);
  fclose(file);
  CHECK_BYTES(expected, strlen(expected), text, length);
}

static void remove_file(const char *name) {
  char path[512];
  path_in_folder(path, sizeof path, name);
  CHECK_INT(0, unlink(path));
}

static void remove_folder(void) { CHECK_INT(0, rmdir(folder)); }

/* -------------------------------------------------------------------- routes */

static int32_t app_form(struct app *app, const char *pattern, apus_handler_fn fn, void *context) {
  apus_handler_fn given = app->mode == MODE_PULL ? NULL : fn;
  int32_t number = apus_server_route_form(app->server, APUS_POST, pattern, given, context, NULL);
  return app_keep_route(app, number, fn, context);
}

static void post(struct client *client, const char *path, const char *type, const void *body,
                 size_t length) {
  client_format(client,
                "POST %s HTTP/1.1\r\nHost: a\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n",
                path, type, length);
  client_send(client, body, length);
}

static void post_text(struct client *client, const char *path, const char *type, const char *body) {
  post(client, path, type, body, strlen(body));
}

static void expect_refused(struct client *client, int status) {
  struct reply reply;
  client_reply(client, "POST", &reply);
  CHECK_INT(status, reply.status);
  CHECK_TEXT("close", reply_field(&reply, "Connection"));
  reply_free(&reply);
  CLIENT_ENDS(client);
  client_close(client);
}

/* ------------------------------------------------------------------- reading */

static void check_part(apus_request request, int32_t index, const char *name, const char *file,
                       const char *type, const void *data, size_t count) {
  size_t length = 0;
  CHECK_TEXT(name, apus_request_part_name(request, index, &length));
  CHECK_INT(strlen(name), length);
  if (file == NULL) {
    CHECK_NONE(APUS_E_NOT_FOUND, apus_request_part_file_name(request, index, &length));
  } else {
    CHECK_TEXT(file, apus_request_part_file_name(request, index, &length));
    CHECK_INT(strlen(file), length);
  }
  CHECK_TEXT(type, apus_request_part_type(request, index, NULL));
  CHECK_INT(count, apus_request_part_length(request, index));
  const char *got = apus_request_part_data(request, index, &length);
  CHECK(got != NULL);
  CHECK_BYTES(data, count, got, length);
  CHECK_INT(0, got[length]);
  char buffer[8];
  CHECK_INT(count < 8 ? count : 8, apus_request_part_read(request, index, 0, buffer, 8));
  CHECK_INT(0, apus_request_part_read(request, index, (int64_t)count, buffer, 8));
  CHECK_INT(0, apus_request_part_read(request, index, INT64_MAX, buffer, 8));
  CHECK_CODE(APUS_E_ARGUMENT, apus_request_part_read(request, index, -1, buffer, 8));
  CHECK_CODE(APUS_E_ARGUMENT, apus_request_part_read(request, index, 0, NULL, 8));
}

static void check_no_part(apus_request request, int32_t index) {
  size_t length = 77;
  char byte;
  CHECK_NONE(APUS_E_NOT_FOUND, apus_request_part_name(request, index, &length));
  CHECK_NONE(APUS_E_NOT_FOUND, apus_request_part_file_name(request, index, &length));
  CHECK_NONE(APUS_E_NOT_FOUND, apus_request_part_type(request, index, &length));
  CHECK_NONE(APUS_E_NOT_FOUND, apus_request_part_header(request, index, "X-Y", &length));
  CHECK_NONE(APUS_E_NOT_FOUND, apus_request_part_data(request, index, &length));
  CHECK_CODE(APUS_E_NOT_FOUND, apus_request_part_length(request, index));
  CHECK_CODE(APUS_E_NOT_FOUND, apus_request_part_read(request, index, 0, &byte, 1));
  CHECK_NONE(APUS_E_NOT_FOUND, apus_request_part_save(request, index, "/tmp", "x", 0));
  CHECK_INT(77, length);
}

#define FILE_BYTES "\0\xff\r\n\r\n--"

static const char mixed[] = "preamble\r\n" PART("name=\"a\"") "1\r\n" PART(
    "name=\"f\"; filename=\"x/y.bin\"\r\nContent-Type: a/b\r\nX-Y: z") FILE_BYTES
    "\r\n" PART("name=\"a\"") "2\r\n" PART("name=\"e\"; filename=\"\"") LAST "epilogue";

static void read_mixed(void *context, apus_request request) {
  int streamed = context != NULL;
  atomic_fetch_add(&handled, 1);
  CHECK_INT(4, apus_request_form_count(request));
  check_part(request, 0, "a", NULL, "text/plain", "1", 1);
  check_part(request, 1, "f", "x/y.bin", "a/b", FILE_BYTES, 8);
  check_part(request, 2, "a", NULL, "text/plain", "2", 1);
  check_part(request, 3, "e", "", "text/plain", "", 0);
  CHECK_TEXT("z", apus_request_part_header(request, 1, "x-y", NULL));
  CHECK_TEXT("a/b", apus_request_part_header(request, 1, "CONTENT-TYPE", NULL));
  CHECK_NONE(APUS_E_NOT_FOUND, apus_request_part_header(request, 0, "X-Y", NULL));
  CHECK_NONE(APUS_E_ARGUMENT, apus_request_part_header(request, 0, NULL, NULL));
  CHECK_INT(0, apus_request_form_find(request, "a", -1));
  CHECK_INT(2, apus_request_form_find(request, "a", 0));
  CHECK_CODE(APUS_E_NOT_FOUND, apus_request_form_find(request, "a", 2));
  CHECK_CODE(APUS_E_NOT_FOUND, apus_request_form_find(request, "a", INT32_MAX));
  CHECK_CODE(APUS_E_NOT_FOUND, apus_request_form_find(request, "A", -1));
  CHECK_CODE(APUS_E_NOT_FOUND, apus_request_form_find(request, "a", INT32_MIN));
  CHECK_CODE(APUS_E_ARGUMENT, apus_request_form_find(request, NULL, -1));
  size_t length = 0;
  CHECK_TEXT("1", apus_request_form_field(request, "a", &length));
  CHECK_INT(1, length);
  CHECK_NONE(APUS_E_NOT_FOUND, apus_request_form_field(request, "b", NULL));
  CHECK_NONE(APUS_E_ARGUMENT, apus_request_form_field(request, NULL, NULL));
  static const int32_t indices[] = {-1, 4, INT32_MAX, INT32_MIN};
  for (size_t i = 0; i < sizeof indices / sizeof indices[0]; i++)
    check_no_part(request, indices[i]);
  if (streamed) {
    CHECK_NONE(APUS_E_STATE, apus_request_body(request, NULL));
    CHECK(apus_request_body_length(request) != 0);
  } else {
    CHECK_BYTES(mixed, sizeof mixed - 1, apus_request_body(request, &length), sizeof mixed - 1);
  }
  CHECK_INT(0, apus_reply_text(request, 200, "read"));
}

static void read_pairs(void *context, apus_request request) {
  (void)context;
  size_t length = 0;
  atomic_fetch_add(&handled, 1);
  CHECK_INT(5, apus_request_form_count(request));
  check_part(request, 0, "a", NULL, "text/plain", "1 2", 3);
  check_part(request, 1, "b", NULL, "text/plain", "", 0);
  check_part(request, 2, "a", NULL, "text/plain", "\0&=", 3);
  check_part(request, 3, "", NULL, "text/plain", "x", 1);
  check_part(request, 4, "\xe9", NULL, "text/plain", "%zz", 3);
  CHECK_TEXT("1 2", apus_request_form_field(request, "a", &length));
  CHECK_INT(3, length);
  CHECK_BYTES("a=1+2&b&&a=%00%26%3D&=x&%e9=%zz", 31, apus_request_body(request, &length), 31);
  CHECK_INT(0, apus_reply_text(request, 200, "read"));
}

static void test_reading(enum mode mode) {
  static const char pairs[] = "a=1+2&b&&a=%00%26%3D&=x&%e9=%zz";
  static char streamed;
  struct app app;
  struct client client;
  app_make(&app, mode);
  app_route(&app, APUS_POST, "/mixed", read_mixed, NULL);
  app_route(&app, APUS_POST, "/pairs", read_pairs, NULL);
  app_form(&app, "/form", read_mixed, &streamed);
  app_form(&app, "/form-pairs", read_pairs, &streamed);
  harness_start(&app);
  client_open(&client, app.port);
  for (int round = 0; round < 2; round++) {
    const char *path = round == 0 ? "/mixed" : "/form";
    post(&client, path, TYPE, mixed, sizeof mixed - 1);
    CLIENT_EXPECT(&client, "POST", 200, "read");
    post_text(&client, round == 0 ? "/pairs" : "/form-pairs", "application/x-www-form-urlencoded",
              pairs);
    CLIENT_EXPECT(&client, "POST", 200, "read");
    /* A byte at a time, in chunks of one byte. */
    client_format(&client,
                  "POST %s HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; "
                  "boundary=\"b\"\r\nTransfer-Encoding: chunked\r\n\r\n",
                  path);
    for (size_t i = 0; i < sizeof mixed - 1; i++) {
      char chunk[6] = {'1', '\r', '\n', mixed[i], '\r', '\n'};
      client_send(&client, chunk, sizeof chunk);
    }
    client_text(&client, "0\r\n\r\n");
    CLIENT_EXPECT(&client, "POST", 200, "read");
  }
  client_close(&client);
  harness_stop(&app);
}

/* -------------------------------------------------------- no form, or a bad one */

static void expect_code(void *context, apus_request request) {
  int32_t code = *(int32_t *)context;
  CHECK_CODE(code, apus_request_form_count(request));
  CHECK_CODE(code, apus_request_form_count(request));
  CHECK_CODE(code, apus_request_form_find(request, "a", -1));
  CHECK_NONE(code, apus_request_form_field(request, "a", NULL));
  CHECK_NONE(code, apus_request_part_name(request, 0, NULL));
  CHECK_NONE(code, apus_request_part_data(request, 0, NULL));
  CHECK_CODE(code, apus_request_part_length(request, 0));
  CHECK_NONE(code, apus_request_part_save(request, 0, "/tmp", "x", 0));
  CHECK_INT(0, apus_reply_status(request, 204));
}

static void count_handled(void *context, apus_request request) {
  (void)context;
  atomic_fetch_add(&handled, 1);
  CHECK_INT(0, apus_reply_text(request, 200, "handled"));
}

static void count_parts(void *context, apus_request request) {
  char text[16];
  (void)context;
  snprintf(text, sizeof text, "%d", apus_request_form_count(request));
  CHECK_INT(0, apus_reply_text(request, 200, text));
}

/* The same body to an ordinary route, and to one for forms. */
static void refuse_both(struct app *app, int32_t *code, int32_t expected, int status,
                        const char *type, const char *body, size_t length) {
  struct client client;
  *code = expected;
  client_open(&client, app->port);
  post(&client, "/code", type, body, length);
  CLIENT_EXPECT(&client, "POST", 204, "");
  post(&client, "/form", type, body, length);
  expect_refused(&client, status);
}

static char *many(const char *piece, int count, const char *last, size_t *length) {
  size_t size = strlen(piece);
  char *text = malloc(size * (size_t)count + strlen(last) + 1);
  CHECK(text != NULL);
  for (int i = 0; i < count; i++) memcpy(text + size * (size_t)i, piece, size);
  strcpy(text + size * (size_t)count, last);
  *length = strlen(text);
  return text;
}

static void test_bad_forms(enum mode mode) {
  static const char good[] = PART("name=a") "1" LAST;
  static const char *const bodies[] = {
      PART("name=a") "1\r\n",
      "--b\n" DISPOSITION "name=a\n\n1\n--b--\n",
      PART("name=a") "1\r\n--bc\r\n" LAST,
      ("--b\r\nContent-Type: a/b\r\n\r\n1" LAST),
      "x",
  };
  static const char *const types[] = {
      "multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=a/b",
      ("multipart/form-data; boundary="
       "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")};
  struct app app;
  int32_t code = 0;
  size_t length = 0;
  atomic_store(&handled, 0);
  app_make(&app, mode);
  app_route(&app, APUS_POST, "/code", expect_code, &code);
  app_form(&app, "/form", count_handled, NULL);
  harness_start(&app);
  for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
    refuse_both(&app, &code, APUS_E_PROTOCOL, 400, TYPE, bodies[i], strlen(bodies[i]));
  }
  for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
    refuse_both(&app, &code, APUS_E_PROTOCOL, 400, types[i], good, sizeof good - 1);
  }
  refuse_both(&app, &code, APUS_E_NOT_FOUND, 415, "text/plain", good, sizeof good - 1);
  refuse_both(&app, &code, APUS_E_NOT_FOUND, 415, "multipart/mixed; boundary=b", good,
              sizeof good - 1);
  char *parts = many("--b\r\n" DISPOSITION "name=a\r\n\r\n\r\n", 1001, "--b--", &length);
  refuse_both(&app, &code, APUS_E_TOO_LARGE, 413, TYPE, parts, length);
  free(parts);
  /* A thousand heads have a mebibyte together. */
  static char large_head[4096];
  char *filler = many("y", 3000, "", &length);
  snprintf(large_head, sizeof large_head, "--b\r\n" DISPOSITION "name=a\r\nX-Y: %s\r\n\r\n\r\n",
           filler);
  free(filler);
  parts = many(large_head, 400, "--b--", &length);
  refuse_both(&app, &code, APUS_E_TOO_LARGE, 413, TYPE, parts, length);
  free(parts);
  char *name = many("x", 1 << 20, "", &length);
  char *head = malloc(length + 256);
  CHECK(head != NULL);
  int size = sprintf(head, "%s%s%s", "--b\r\n" DISPOSITION "name=a; filename*=utf-8''", name,
                     "\r\n\r\n1" LAST);
  refuse_both(&app, &code, APUS_E_TOO_LARGE, 413, TYPE, head, (size_t)size);
  free(head);
  free(name);
  CHECK_INT(0, atomic_load(&handled));
  harness_stop(&app);
}

/* As many parts, or fields, as the server is told to take. */
static void test_max_parts(enum mode mode) {
  static const char part[] = "--b\r\n" DISPOSITION "name=a\r\n\r\n\r\n";
  struct app app;
  struct client client;
  int32_t code = APUS_E_TOO_LARGE;
  size_t length = 0;
  atomic_store(&handled, 0);
  app_make(&app, mode);
  CHECK_INT(0, apus_server_set_max_parts(app.server, 3));
  app_route(&app, APUS_POST, "/code", expect_code, &code);
  app_route(&app, APUS_POST, "/counted", count_parts, NULL);
  app_form(&app, "/form", count_handled, NULL);
  harness_start(&app);
  CHECK_CODE(APUS_E_STATE, apus_server_set_max_parts(app.server, 4));
  char *body = many(part, 3, "--b--", &length);
  client_open(&client, app.port);
  post(&client, "/counted", TYPE, body, length);
  CLIENT_EXPECT(&client, "POST", 200, "3");
  post(&client, "/form", TYPE, body, length);
  CLIENT_EXPECT(&client, "POST", 200, "handled");
  post_text(&client, "/counted", "application/x-www-form-urlencoded", "a=1&b=2&c=3");
  CLIENT_EXPECT(&client, "POST", 200, "3");
  post_text(&client, "/code", "application/x-www-form-urlencoded", "a=1&b=2&c=3&d=4");
  CLIENT_EXPECT(&client, "POST", 204, "");
  client_close(&client);
  free(body);
  body = many(part, 4, "--b--", &length);
  refuse_both(&app, &code, APUS_E_TOO_LARGE, 413, TYPE, body, length);
  free(body);
  CHECK_INT(1, atomic_load(&handled));
  harness_stop(&app);
}

static void test_many_keys(enum mode mode) {
  struct app app;
  struct client client;
  int32_t code = APUS_E_TOO_LARGE;
  size_t length = 0;
  app_make(&app, mode);
  app_route(&app, APUS_POST, "/code", expect_code, &code);
  app_form(&app, "/form", expect_code, &code);
  harness_start(&app);
  client_open(&client, app.port);
  char *keys = many("k=v&", 100000, "", &length);
  post(&client, "/code", "application/x-www-form-urlencoded", keys, length);
  CLIENT_EXPECT(&client, "POST", 204, "");
  post(&client, "/form", "application/x-www-form-urlencoded", keys, length);
  CLIENT_EXPECT(&client, "POST", 204, "");
  free(keys);
  /* A body over the form's memory is refused before it is read. */
  client_text(&client,
              "POST /form HTTP/1.1\r\nHost: a\r\nContent-Type: "
              "application/x-www-form-urlencoded\r\nContent-Length: 1048577\r\n\r\n");
  expect_refused(&client, 413);
  harness_stop(&app);
}

/* A request without a body, or of another method. */
static void test_no_body(enum mode mode) {
  struct app app;
  struct client client;
  int32_t code = APUS_E_NOT_FOUND;
  app_make(&app, mode);
  app_form(&app, "/form", expect_code, &code);
  harness_start(&app);
  client_open(&client, app.port);
  client_text(&client, "POST /form HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
  CLIENT_EXPECT(&client, "POST", 204, "");
  client_get(&client, "/form");
  CLIENT_EXPECT(&client, "GET", 405, "Method Not Allowed");
  client_close(&client);
  harness_stop(&app);
}

/* A request from bytes has a form too. */
static void test_parsed(enum mode mode) {
  static const char text[] =
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n"
      "Content-Length: 7\r\n\r\na=1&b=2";
  (void)mode;
  apus_request request = apus_request_parse(text, sizeof text - 1, NULL);
  CHECK(request != 0);
  CHECK_INT(2, apus_request_form_count(request));
  CHECK_TEXT("2", apus_request_form_field(request, "b", NULL));
  CHECK_INT(1, apus_request_destroy(request));
}

/* -------------------------------------------------------------------- limits */

struct upload {
  atomic_llong length;
  atomic_ullong sum;
};

static uint64_t add_sum(uint64_t sum, const unsigned char *data, size_t length) {
  for (size_t i = 0; i < length; i++) sum = (sum ^ data[i]) * 0x100000001b3u;
  return sum;
}

static void read_upload(void *context, apus_request request) {
  struct upload *upload = context;
  static _Thread_local unsigned char block[70001];
  uint64_t sum = 0xcbf29ce484222325u;
  int64_t offset = 0;
  int32_t last = apus_request_form_count(request) - 1;
  atomic_fetch_add(&handled, 1);
  for (;;) {
    int64_t count = apus_request_part_read(request, last, offset, block, sizeof block);
    CHECK(count >= 0);
    if (count == 0) break;
    sum = add_sum(sum, block, (size_t)count);
    offset += count;
  }
  CHECK_INT(offset, apus_request_part_length(request, last));
  atomic_store(&upload->length, offset);
  atomic_store(&upload->sum, sum);
  CHECK_INT(0, apus_reply_text(request, 200, "uploaded"));
}

static void begin_upload(struct client *client, int64_t length) {
  static const char head[] = PART("name=\"f\"; filename=\"f\"");
  client_format(client,
                "POST /form HTTP/1.1\r\nHost: a\r\nContent-Type: " TYPE
                "\r\nContent-Length: %lld\r\n\r\n%s",
                (long long)(sizeof head - 1 + length + sizeof LAST - 1), head);
}

/* Sends so many bytes of a file, and the end of the form; the server may leave. */
static uint64_t send_upload(struct client *client, int64_t length) {
  static unsigned char block[100003];
  uint64_t sum = 0xcbf29ce484222325u;
  for (int64_t at = 0; at < length;) {
    size_t size = length - at < (int64_t)sizeof block ? (size_t)(length - at) : sizeof block;
    for (size_t i = 0; i < size; i++) block[i] = (unsigned char)((uint64_t)(at + (int64_t)i) >> 3);
    for (size_t i = 0; i + 80 < size; i += 1000) memcpy(block + i, "\r\n--a\r\r\n-", 9);
    sum = add_sum(sum, block, size);
    if (client_send_some(client, block, size) < size) return 0;
    at += (int64_t)size;
  }
  client_send_some(client, LAST, sizeof LAST - 1);
  return sum;
}

/* On either side of each limit. */
static void test_limits(enum mode mode) {
  enum { WHOLE = 300000, ONE = 200000, MEMORY = 65536 };
  static const int64_t sizes[] = {0, 1, MEMORY - 2, MEMORY - 1, MEMORY, MEMORY + 1, ONE};
  struct app app;
  struct client client;
  struct upload upload;
  make_folder();
  atomic_store(&handled, 0);
  app_make(&app, mode);
  CHECK_INT(0, apus_server_set_max_form(app.server, WHOLE));
  CHECK_INT(0, apus_server_set_max_part(app.server, ONE));
  CHECK_INT(0, apus_server_set_form_memory(app.server, MEMORY));
  CHECK_INT(0, apus_server_set_upload_folder(app.server, folder));
  CHECK_INT(0, apus_server_set_max_body(app.server, 1000));
  app_form(&app, "/form", read_upload, &upload);
  app_route(&app, APUS_POST, "/other", count_handled, NULL);
  harness_start(&app);
  client_open(&client, app.port);
  begin_upload(&client, 1);
  send_upload(&client, 1);
  CLIENT_EXPECT(&client, "POST", 200, "uploaded");
  int before = harness_descriptors();
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    begin_upload(&client, sizes[i]);
    uint64_t sum = send_upload(&client, sizes[i]);
    CLIENT_EXPECT(&client, "POST", 200, "uploaded");
    CHECK_INT(sizes[i], atomic_load(&upload.length));
    CHECK(sum == atomic_load(&upload.sum));
    CHECK_INT(0, count_files());
  }
  EVENTUALLY(harness_descriptors() == before);
  begin_upload(&client, ONE + 1);
  send_upload(&client, ONE + 1);
  expect_refused(&client, 413);
  client_open(&client, app.port);
  begin_upload(&client, WHOLE);
  expect_refused(&client, 413);
  /* In chunks the length is not known beforehand. */
  client_open(&client, app.port);
  client_text(&client, "POST /form HTTP/1.1\r\nHost: a\r\nContent-Type: " TYPE
                       "\r\nTransfer-Encoding: chunked\r\n\r\n493e1\r\n");
  send_upload(&client, WHOLE + 1);
  expect_refused(&client, 413);
  /* What other routes take has not grown, and 100 (Continue) is not sent. */
  client_open(&client, app.port);
  client_text(&client,
              "POST /other HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
              "Content-Length: 1001\r\n\r\n");
  expect_refused(&client, 413);
  client_open(&client, app.port);
  client_text(&client,
              "POST /form HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
              "Content-Type: text/plain\r\nContent-Length: 10\r\n\r\n");
  expect_refused(&client, 415);
  /* A client that leaves, in the middle of what is on the disk. */
  client_open(&client, app.port);
  begin_upload(&client, ONE);
  static char block[MEMORY + 1000];
  client_send(&client, block, sizeof block);
  EVENTUALLY(harness_descriptors() > before);
  client_leave(&client);
  EVENTUALLY(apus_server_counter(app.server, APUS_COUNT_CONNECTIONS) == 0);
  EVENTUALLY(harness_descriptors() < before);
  CHECK_INT(0, count_files());
  CHECK_INT(1 + sizeof sizes / sizeof sizes[0], atomic_load(&handled));
  harness_stop(&app);
  remove_folder();
}

static _Atomic apus_writer kept;

static void keep_events(void *context, apus_request request) {
  (void)context;
  CHECK_INT(200000, apus_request_part_length(request, 0));
  atomic_store(&kept, apus_writer_make_events(request));
  CHECK_INT(0, apus_writer_event(atomic_load(&kept), NULL, NULL, "here", APUS_STRLEN));
}

static void keep_pieces(void *context, apus_request request) {
  (void)context;
  CHECK_INT(200000, apus_request_part_length(request, 0));
  atomic_store(&kept, apus_writer_make(request));
  CHECK_INT(0, apus_writer_write(atomic_load(&kept), "here", 4));
}

/* The file of an upload goes with its request, however long the reply goes on. */
static void test_long_reply(enum mode mode) {
  static const apus_handler_fn handlers[] = {keep_events, keep_pieces};
  for (size_t i = 0; i < 2; i++) {
    struct app app;
    struct client client;
    make_folder();
    app_make(&app, mode);
    CHECK_INT(0, apus_server_set_form_memory(app.server, 1000));
    CHECK_INT(0, apus_server_set_upload_folder(app.server, folder));
    /* A limit of none, taken back. */
    app_form(&app, "/form", handlers[i], NULL);
    CHECK_INT(0, apus_server_set_max_form(app.server, 0));
    CHECK_INT(0, apus_server_set_max_form(app.server, 64 << 20));
    CHECK_INT(0, apus_server_set_max_body(app.server, 1000));
    app_route(&app, APUS_POST, "/other", count_handled, NULL);
    harness_start(&app);
    client_open(&client, app.port);
    post_text(&client, "/other", "text/plain", "a");
    CLIENT_EXPECT(&client, "POST", 200, "handled");
    int before = harness_descriptors();
    begin_upload(&client, 200000);
    send_upload(&client, 200000);
    char *line = NULL;
    do {
      free(line);
      line = client_line(&client);
      CHECK(line != NULL);
    } while (*line != '\0');
    free(line);
    EVENTUALLY(harness_descriptors() == before);
    CHECK_INT(0, apus_writer_end(atomic_load(&kept)));
    CHECK_INT(1, apus_writer_destroy(atomic_load(&kept)));
    client_close(&client);
    harness_stop(&app);
    remove_folder();
  }
}

/* 200 MiB, of which hardly anything is in memory. */
static void test_large_upload(enum mode mode) {
  enum { LARGE = 200 << 20 };
  struct app app;
  struct client client;
  struct upload upload;
  struct rusage before, after;
  make_folder();
  app_make(&app, mode);
  CHECK_INT(0, apus_server_set_max_form(app.server, -1));
  CHECK_INT(0, apus_server_set_upload_folder(app.server, folder));
  app_form(&app, "/form", read_upload, &upload);
  harness_start(&app);
  client_open(&client, app.port);
  getrusage(RUSAGE_SELF, &before);
  begin_upload(&client, LARGE);
  uint64_t sum = send_upload(&client, LARGE);
  CLIENT_EXPECT(&client, "POST", 200, "uploaded");
  getrusage(RUSAGE_SELF, &after);
  CHECK_INT(LARGE, atomic_load(&upload.length));
  CHECK(sum == atomic_load(&upload.sum));
  /* Kilobytes: the form's megabyte twice, and buffers. */
  printf("200 MiB grew the process by %ld KiB\n", after.ru_maxrss - before.ru_maxrss);
  CHECK(after.ru_maxrss - before.ru_maxrss < 16 * 1024);
  client_close(&client);
  harness_stop(&app);
  remove_folder();
}

/* -------------------------------------------------------------- no room left */

/* No file may be longer than that: what a full disk is to a file. */
static void limit_files(rlim_t bytes) {
  struct rlimit limit = {.rlim_cur = bytes, .rlim_max = RLIM_INFINITY};
  CHECK_INT(0, setrlimit(RLIMIT_FSIZE, &limit));
}

static void save_in_full(void *context, apus_request request) {
  (void)context;
  atomic_fetch_add(&handled, 1);
  CHECK_NONE(APUS_E_FULL, apus_request_part_save(request, 0, folder, "full", 0));
  CHECK_NONE(APUS_E_FULL, apus_request_part_save(request, 0, folder, "full", 1));
  CHECK_INT(0, count_files());
  CHECK_INT(0, apus_reply_status(request, 507));
}

static void test_full_disk(enum mode mode) {
  enum { LIMIT = 100000 };
  struct app app;
  struct client client;
  make_folder();
  signal(SIGXFSZ, SIG_IGN);
  atomic_store(&handled, 0);
  app_make(&app, mode);
  CHECK_INT(0, apus_server_set_form_memory(app.server, 1000));
  CHECK_INT(0, apus_server_set_upload_folder(app.server, folder));
  app_form(&app, "/form", count_handled, NULL);
  app_route(&app, APUS_POST, "/save", save_in_full, NULL);
  harness_start(&app);
  limit_files(LIMIT);
  client_open(&client, app.port);
  begin_upload(&client, 3 * LIMIT);
  send_upload(&client, 3 * LIMIT);
  expect_refused(&client, 507);
  CHECK_INT(0, atomic_load(&handled));
  CHECK_INT(0, count_files());
  /* Just as much as there is room for. */
  client_open(&client, app.port);
  begin_upload(&client, LIMIT);
  send_upload(&client, LIMIT);
  CLIENT_EXPECT(&client, "POST", 200, "handled");
  size_t length = 0;
  char *body = many("x", 2 * LIMIT, LAST, &length);
  static const char head[] = PART("name=f");
  client_format(&client,
                "POST /save HTTP/1.1\r\nHost: a\r\nContent-Type: " TYPE
                "\r\nContent-Length: %zu\r\n\r\n%s",
                length + sizeof head - 1, head);
  client_send(&client, body, length);
  CLIENT_EXPECT(&client, "POST", 507, "Insufficient Storage");
  free(body);
  limit_files(RLIM_INFINITY);
  client_close(&client);
  harness_stop(&app);
  remove_folder();
}

/* A folder that is not there takes no upload. */
static void test_no_folder(enum mode mode) {
  struct app app;
  struct client client;
  app_make(&app, mode);
  CHECK_INT(0, apus_server_set_form_memory(app.server, 0));
  CHECK_INT(0, apus_server_set_upload_folder(app.server, "/nowhere/at/all"));
  app_form(&app, "/form", count_handled, NULL);
  harness_start(&app);
  client_open(&client, app.port);
  begin_upload(&client, 1);
  send_upload(&client, 1);
  expect_refused(&client, 500);
  harness_stop(&app);
}

/* -------------------------------------------------------------------- saving */

/* Each part's content says what its saving must come to: a name, or a code. */
static void save_parts(void *context, apus_request request) {
  (void)context;
  int32_t count = apus_request_form_count(request);
  for (int32_t i = 0; i < count; i++) {
    const char *expected = apus_request_part_data(request, i, NULL);
    CHECK(expected != NULL);
    if (expected[0] == '!') {
      CHECK_NONE(APUS_E_ARGUMENT, apus_request_part_save(request, i, folder, NULL, 0));
      CHECK_INT(0, count_files());
      continue;
    }
    CHECK_TEXT(expected, apus_request_part_save(request, i, folder, NULL, 0));
    check_file(expected, expected);
    CHECK_INT(1, count_files());
    CHECK_NONE(APUS_E_STATE, apus_request_part_save(request, i, folder, NULL, 0));
    CHECK_TEXT(expected, apus_request_part_save(request, i, folder, NULL, 1));
    check_file(expected, expected);
    CHECK_INT(1, count_files());
    remove_file(expected);
  }
  CHECK_INT(0, apus_reply_text(request, 200, "saved"));
}

static void test_names(enum mode mode) {
#define FILE_PART(parameters, content) PART("name=f; " parameters) content "\r\n"
  static const char body[] = FILE_PART("filename=\"a.txt\"", "a.txt")
      FILE_PART("filename=\"../../b\"", "b") FILE_PART("filename=\"/etc/passwd\"", "passwd")
          FILE_PART("filename=\"C:\\d\\e.txt\"", "e.txt") FILE_PART("filename=\"..\\..\\g\"", "g")
              FILE_PART("filename=\".h\"", ".h")
                  FILE_PART("filename*=utf-8''%2e%2e%2f%e2%82%ac", "\xe2\x82\xac")
                      FILE_PART("filename=\"\xff\"", "\xff") FILE_PART("filename=\"\"", "!")
                          FILE_PART("filename=\".\"", "!") FILE_PART("filename=\"..\"", "!")
                              FILE_PART("filename=\"a/..\"", "!") FILE_PART("filename=\"a/\"", "!")
                                  FILE_PART("filename=\"C:\"", "!")
                                      FILE_PART("filename=\"a%0d%0ab\"", "!")
                                          FILE_PART("filename*=utf-8''a%01", "!")
                                              FILE_PART("filename*=utf-8''%7f", "!")
                                                  PART("name=f") "!" LAST;
  struct app app;
  struct client client;
  make_folder();
  app_make(&app, mode);
  app_route(&app, APUS_POST, "/save", save_parts, NULL);
  app_form(&app, "/form", save_parts, NULL);
  harness_start(&app);
  client_open(&client, app.port);
  post(&client, "/save", TYPE, body, sizeof body - 1);
  CLIENT_EXPECT(&client, "POST", 200, "saved");
  post(&client, "/form", TYPE, body, sizeof body - 1);
  CLIENT_EXPECT(&client, "POST", 200, "saved");
  client_close(&client);
  harness_stop(&app);
  remove_folder();
}

/* What is on the disk, under names of the host's. */
static void save_from_disk(void *context, apus_request request) {
  static const char *const bad[] = {"", ".", "..", "a/b", "/a", "a\\b", "a\n", "\x7f"};
  (void)context;
  size_t length = 0;
  CHECK_NONE(APUS_E_TOO_LARGE, apus_request_part_data(request, 0, &length));
  CHECK_NONE(APUS_E_TOO_LARGE, apus_request_form_field(request, "f", &length));
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    CHECK_NONE(APUS_E_ARGUMENT, apus_request_part_save(request, 0, folder, bad[i], 0));
  }
  char name[257];
  memset(name, 'x', 256);
  name[256] = 0;
  CHECK_NONE(APUS_E_ARGUMENT, apus_request_part_save(request, 0, folder, name, 0));
  CHECK_NONE(APUS_E_ARGUMENT, apus_request_part_save(request, 0, NULL, "a", 0));
  CHECK_NONE(APUS_E_ARGUMENT, apus_request_part_save(request, 0, folder, "a", 2));
  CHECK_NONE(APUS_E_NOT_FOUND, apus_request_part_save(request, 0, "/nowhere/at/all", "a", 0));
  CHECK_NONE(APUS_E_NOT_FOUND, apus_request_part_save(request, 0, "/etc/passwd", "a", 0));
  CHECK_INT(0, count_files());
  CHECK_TEXT(name + 1, apus_request_part_save(request, 0, folder, name + 1, 0));
  check_file(name + 1, "on the disk");
  remove_file(name + 1);
  /* A link of that name, to a place outside, is not followed. */
  char path[128];
  path_in_folder(path, sizeof path, "link");
  CHECK_INT(0, symlink("/tmp/apus-forms-outside", path));
  CHECK_NONE(APUS_E_STATE, apus_request_part_save(request, 0, folder, "link", 0));
  CHECK_TEXT("link", apus_request_part_save(request, 0, folder, "link", 1));
  check_file("link", "on the disk");
  struct stat about;
  CHECK_INT(0, lstat(path, &about));
  CHECK(S_ISREG(about.st_mode));
  CHECK_INT(-1, lstat("/tmp/apus-forms-outside", &about));
  remove_file("link");
  CHECK_TEXT("x", apus_request_part_save(request, 1, folder, "x", 0));
  check_file("x", "small");
  remove_file("x");
  CHECK_INT(0, apus_reply_text(request, 200, "saved"));
}

static void test_saving(enum mode mode) {
  static const char body[] = PART("name=f") "on the disk\r\n" PART("name=s") "small" LAST;
  struct app app;
  struct client client;
  make_folder();
  app_make(&app, mode);
  CHECK_INT(0, apus_server_set_form_memory(app.server, 8));
  CHECK_INT(0, apus_server_set_upload_folder(app.server, folder));
  app_form(&app, "/form", save_from_disk, NULL);
  harness_start(&app);
  client_open(&client, app.port);
  for (int i = 0; i < 2; i++) {
    post(&client, "/form", TYPE, body, sizeof body - 1);
    CLIENT_EXPECT(&client, "POST", 200, "saved");
  }
  client_close(&client);
  harness_stop(&app);
  remove_folder();
}

/* ------------------------------------------------------------------ deferring */

static _Atomic(apus_request) kept;

static void keep_request(void *context, apus_request request) {
  (void)context;
  app_defer(request);
  atomic_store(&kept, request);
}

/* Another thread reads a form whose handler has returned. */
static void test_deferred(enum mode mode) {
  static const char body[] = PART("name=f") "on the disk\r\n" PART("name=s") "small" LAST;
  struct app app;
  struct client client;
  make_folder();
  atomic_store(&kept, 0);
  app_make(&app, mode);
  CHECK_INT(0, apus_server_set_form_memory(app.server, 8));
  CHECK_INT(0, apus_server_set_upload_folder(app.server, folder));
  app_form(&app, "/form", keep_request, NULL);
  harness_start(&app);
  client_open(&client, app.port);
  for (int round = 0; round < 2; round++) {
    atomic_store(&kept, 0);
    post(&client, "/form", TYPE, body, sizeof body - 1);
    EVENTUALLY(atomic_load(&kept) != 0);
    apus_request request = atomic_load(&kept);
    CHECK_INT(2, apus_request_form_count(request));
    CHECK_TEXT("small", apus_request_form_field(request, "s", NULL));
    /* The client has gone before it is saved, once. */
    if (round == 1) {
      client_leave(&client);
      EVENTUALLY(apus_server_counter(app.server, APUS_COUNT_CONNECTIONS) == 0);
    }
    CHECK_TEXT("kept", apus_request_part_save(request, 0, folder, "kept", 0));
    check_file("kept", "on the disk");
    remove_file("kept");
    if (round == 0) {
      CHECK_INT(0, apus_reply_text(request, 200, "late"));
      CLIENT_EXPECT(&client, "POST", 200, "late");
    } else {
      CHECK_INT(1, apus_request_destroy(request));
    }
    CHECK_CODE(APUS_E_HANDLE, apus_request_form_count(request));
  }
  harness_stop(&app);
  remove_folder();
}

static atomic_int drops;

static void count_drop(void *context) {
  (void)context;
  atomic_fetch_add(&drops, 1);
}

/* The context of a route, and of one that could not be. */
static void test_registering(enum mode mode) {
  struct app app;
  atomic_store(&drops, 0);
  app_make(&app, mode);
  apus_server server = app.server;
  CHECK_INT(0, apus_server_route_form(server, APUS_POST, "/f", count_handled, &app, count_drop));
  CHECK_CODE(APUS_E_STATE, apus_server_route_form(server, APUS_POST, "/f", NULL, &app, count_drop));
  CHECK_INT(1, atomic_load(&drops));
  CHECK_CODE(APUS_E_ARGUMENT, apus_server_route_form(server, 77, "/g", NULL, &app, count_drop));
  CHECK_INT(2, atomic_load(&drops));
  harness_start(&app);
  CHECK_CODE(APUS_E_STATE, apus_server_route_form(server, APUS_POST, "/h", NULL, &app, count_drop));
  CHECK_INT(3, atomic_load(&drops));
  harness_stop(&app);
  CHECK_INT(4, atomic_load(&drops));
}

int main(int argc, char **argv) {
  static const struct harness_case cases[] = {
      {"reading", test_reading},
      {"bad forms", test_bad_forms},
      {"max parts", test_max_parts},
      {"many keys", test_many_keys},
      {"no body", test_no_body},
      {"parsed", test_parsed},
      {"limits", test_limits},
      {"long reply", test_long_reply},
      {"saving", test_saving},
      {"names", test_names},
      {"deferred", test_deferred},
      {"full disk", test_full_disk},
      {"no folder", test_no_folder},
      {"registering", test_registering},
      {"large upload", test_large_upload},
  };
  return harness_main("forms", argc, argv, CASES(cases));
}
