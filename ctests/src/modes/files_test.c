/*
 * files_test.c - folders that are served and replies from files: paths, conditions,
 * ranges, forms that are compressed, listings, error pages, writers, and files that
 * change or shrink while they are sent.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "../helpers/harness.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define BIG (6 << 20)

static char root[64], outside[PATH_MAX + 8];
static unsigned char *big;

static const char *in_root(const char *name) {
  static _Thread_local char path[256];
  snprintf(path, sizeof path, "%s/%s", root, name);
  return path;
}

static void put(const char *name, const void *data, size_t length) {
  FILE *file = fopen(in_root(name), "wb");
  CHECK(file != NULL);
  CHECK_INT(length, fwrite(data, 1, length, file));
  CHECK_INT(0, fclose(file));
}

static void put_text(const char *name, const char *text) { put(name, text, strlen(text)); }

/* The folder of a case: some of everything, and a secret beside it. */
static void make_root(void) {
  static char text[5000];
  char whole[PATH_MAX];
  strcpy(root, "apus-files-XXXXXX");
  CHECK(mkdtemp(root) != NULL);
  /* What a link leads to is said from the top. */
  CHECK(realpath(root, whole) != NULL);
  snprintf(outside, sizeof outside, "%s.secret", whole);
  FILE *secret = fopen(outside, "wb");
  CHECK(secret != NULL);
  CHECK(fputs("secret", secret) >= 0);
  CHECK_INT(0, fclose(secret));
  CHECK_INT(0, mkdir(in_root("dir"), 0755));
  CHECK_INT(0, mkdir(in_root("empty"), 0755));
  put_text("file.txt", "0123456789");
  put_text("dir/index.html", "<p>index");
  put_text("sp ace&<.txt", "odd");
  put_text(".hidden", "hidden");
  put_text("script.js", "plain");
  put_text("script.js.gz", "as gzip");
  put_text("script.js.br", "as brotli");
  for (size_t i = 0; i < sizeof text; i++) text[i] = "abcdefgh\n"[i % 9];
  put("long.txt", text, sizeof text);
  big = malloc(BIG);
  CHECK(big != NULL);
  for (size_t i = 0; i < BIG; i++) big[i] = (unsigned char)(i * 2654435761u >> 13);
  put("big.bin", big, BIG);
  CHECK_INT(0, symlink(outside, in_root("link")));
  CHECK_INT(0, mkfifo(in_root("fifo"), 0644));
}

static void remove_root(void) {
  char command[PATH_MAX + 128];
  snprintf(command, sizeof command, "rm -rf '%s' '%s'", root, outside);
  CHECK_INT(0, system(command));
  free(big);
}

/* A server of the folder at "/", started. */
static int32_t serve(struct app *app, enum mode mode) {
  make_root();
  app_make(app, mode);
  int32_t folder = apus_server_serve_folder(app->server, "/", root);
  CHECK(folder >= 0);
  return folder;
}

static void done(struct app *app) {
  harness_stop(app);
  remove_root();
}

/* One request with fields of the caller's, and its reply. */
static void ask(struct client *client, const char *method, const char *target, const char *fields,
                struct reply *reply) {
  client_format(client, "%s %s HTTP/1.1\r\nHost: a\r\n%s\r\n", method, target, fields);
  client_reply(client, method, reply);
}

static void expect(struct client *client, const char *method, const char *target,
                   const char *fields, int status, const char *body) {
  struct reply reply;
  ask(client, method, target, fields, &reply);
  if (reply.status != status) harness_fail(__FILE__, __LINE__, "%s %d", target, reply.status);
  if (body != NULL) CHECK_TEXT(body, reply.body);
  reply_free(&reply);
}

static void test_paths(enum mode mode) {
  static const char *const missing[] = {
      "/none",      "/.hidden",    "/link",          "/fifo",           "/dir/none",
      "/file.txt/", "/file.txt/x", "//file.txt",     "/../file.txt",    "/dir/../file.txt",
      "/dir/..",    "/%2e%2e/x",   "/..%2ffile.txt", "/./file.txt",     "/dir%2findex.html",
      "/empty/",    "/dir//",      "/file.txt%0a",   "/dir/index.html/"};
  struct app app;
  struct client client;
  struct reply reply;
  serve(&app, mode);
  harness_start(&app);
  client_open(&client, app.port);
  for (int round = 0; round < 2; round++) {
    ask(&client, "GET", "/file.txt", "", &reply);
    CHECK_INT(200, reply.status);
    CHECK_TEXT("0123456789", reply.body);
    CHECK_TEXT("text/plain; charset=utf-8", reply_field(&reply, "Content-Type"));
    CHECK_TEXT("bytes", reply_field(&reply, "Accept-Ranges"));
    CHECK(reply_field(&reply, "ETag")[0] == '"');
    CHECK(reply_field(&reply, "Last-Modified") != NULL);
    CHECK(reply_field(&reply, "Vary") == NULL);
    CHECK(reply_field(&reply, "Cache-Control") == NULL);
    reply_free(&reply);
  }
  expect(&client, "GET", "/%66ile.txt?x=1", "", 200, "0123456789");
  expect(&client, "GET", "/sp%20ace%26%3C.txt", "", 200, "odd");
  expect(&client, "GET", "/dir/", "", 200, "<p>index");
  expect(&client, "GET", "/script.js", "Accept-Encoding: gzip, br\r\n", 200, "plain");
  ask(&client, "GET", "/dir?a=b", "", &reply);
  CHECK_INT(301, reply.status);
  CHECK_TEXT("/dir/?a=b", reply_field(&reply, "Location"));
  reply_free(&reply);
  for (size_t i = 0; i < sizeof missing / sizeof missing[0]; i++) {
    expect(&client, "GET", missing[i], "", 404, "Not Found");
  }
  ask(&client, "HEAD", "/big.bin", "", &reply);
  CHECK_INT(200, reply.status);
  CHECK_INT(BIG, reply.content_length);
  CHECK_TEXT("application/octet-stream", reply_field(&reply, "Content-Type"));
  reply_free(&reply);
  ask(&client, "POST", "/file.txt", "Content-Length: 0\r\n", &reply);
  CHECK_INT(405, reply.status);
  CHECK_TEXT("GET, HEAD, OPTIONS", reply_field(&reply, "Allow"));
  reply_free(&reply);
  expect(&client, "OPTIONS", "/file.txt", "", 204, "");
  expect(&client, "GET", "/file.txt", "Content-Length: 3\r\n\r\nabc", 200, NULL);
  CLIENT_QUIET(&client);
  client_close(&client);
  done(&app);
}

static void test_ranges(enum mode mode) {
  struct app app;
  struct client client;
  struct reply reply;
  serve(&app, mode);
  harness_start(&app);
  client_open(&client, app.port);
  expect(&client, "GET", "/file.txt", "Range: bytes=2-4\r\n", 206, "234");
  expect(&client, "GET", "/file.txt", "Range: bytes=-3\r\n", 206, "789");
  expect(&client, "GET", "/file.txt", "Range: bytes=8-\r\n", 206, "89");
  expect(&client, "GET", "/file.txt", "Range: bytes=4-2\r\n", 200, "0123456789");
  expect(&client, "GET", "/file.txt", "Range: bytes=0-,0-\r\n", 200, "0123456789");
  expect(&client, "HEAD", "/file.txt", "Range: bytes=2-4\r\n", 200, "");
  ask(&client, "GET", "/file.txt", "Range: bytes=10-\r\n", &reply);
  CHECK_INT(416, reply.status);
  CHECK_TEXT("bytes */10", reply_field(&reply, "Content-Range"));
  reply_free(&reply);
  ask(&client, "GET", "/big.bin", "Range: bytes=1000000-3999999\r\n", &reply);
  CHECK_INT(206, reply.status);
  CHECK_TEXT("bytes 1000000-3999999/6291456", reply_field(&reply, "Content-Range"));
  CHECK_BYTES(big + 1000000, 3000000, reply.body, reply.body_length);
  reply_free(&reply);
  /* Several parts, of a file in memory and of one that is sent from the disk. */
  for (int round = 0; round < 2; round++) {
    ask(&client, "GET", round ? "/big.bin" : "/file.txt", "Range: bytes=0-1, 5-6,-2\r\n", &reply);
    CHECK_INT(206, reply.status);
    const char *type = reply_field(&reply, "Content-Type");
    CHECK(strncmp(type, "multipart/byteranges; boundary=", 31) == 0);
    char expected[1024];
    const char *part = round ? "application/octet-stream" : "text/plain; charset=utf-8";
    const unsigned char *data = round ? big : (const unsigned char *)"0123456789";
    size_t size = round ? BIG : 10, at = 0;
    size_t starts[3] = {0, 5, size - 2};
    for (int i = 0; i < 3; i++) {
      at +=
          (size_t)snprintf(expected + at, sizeof expected - at,
                           "%s--%s\r\nContent-Type: %s\r\nContent-Range: bytes %zu-%zu/%zu\r\n\r\n",
                           i ? "\r\n" : "", type + 31, part, starts[i], starts[i] + 1, size);
      memcpy(expected + at, data + starts[i], 2);
      at += 2;
    }
    at += (size_t)snprintf(expected + at, sizeof expected - at, "\r\n--%s--\r\n", type + 31);
    CHECK_BYTES(expected, at, reply.body, reply.body_length);
    reply_free(&reply);
  }
  client_close(&client);
  done(&app);
}

static void test_conditions(enum mode mode) {
  struct app app;
  struct client client;
  struct reply reply;
  char fields[512], tag[128], date[64];
  int32_t folder = serve(&app, mode);
  CHECK_INT(0, apus_server_set_folder_cache_control(app.server, folder, "max-age=60"));
  harness_start(&app);
  client_open(&client, app.port);
  ask(&client, "GET", "/file.txt", "", &reply);
  CHECK_TEXT("max-age=60", reply_field(&reply, "Cache-Control"));
  snprintf(tag, sizeof tag, "%s", reply_field(&reply, "ETag"));
  snprintf(date, sizeof date, "%s", reply_field(&reply, "Last-Modified"));
  reply_free(&reply);
  snprintf(fields, sizeof fields, "If-None-Match: \"x\", W/%s\r\n", tag);
  ask(&client, "GET", "/file.txt", fields, &reply);
  CHECK_INT(304, reply.status);
  CHECK_TEXT(tag, reply_field(&reply, "ETag"));
  CHECK_TEXT("max-age=60", reply_field(&reply, "Cache-Control"));
  CHECK(reply_field(&reply, "Content-Type") == NULL);
  reply_free(&reply);
  snprintf(fields, sizeof fields, "If-Modified-Since: %s\r\n", date);
  expect(&client, "HEAD", "/file.txt", fields, 304, "");
  snprintf(fields, sizeof fields, "If-None-Match: \"x\"\r\nIf-Modified-Since: %s\r\n", date);
  expect(&client, "GET", "/file.txt", fields, 200, "0123456789");
  expect(&client, "GET", "/file.txt", "If-Match: \"x\"\r\n", 412, NULL);
  expect(&client, "GET", "/file.txt", "If-Match: *\r\n", 200, NULL);
  /* A list may come in several fields. */
  snprintf(fields, sizeof fields, "If-Match: \"x\"\r\nIf-Match: \"y\", %s\r\n", tag);
  expect(&client, "GET", "/file.txt", fields, 200, "0123456789");
  snprintf(fields, sizeof fields, "If-None-Match: \"x\"\r\nif-none-match: %s\r\n", tag);
  expect(&client, "GET", "/file.txt", fields, 304, "");
  expect(&client, "GET", "/file.txt", "If-Match: \"x\"\r\nIf-Match: \"y\"\r\n", 412, NULL);
  expect(&client, "GET", "/file.txt", "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n", 412,
         NULL);
  snprintf(fields, sizeof fields, "Range: bytes=0-1\r\nIf-Range: %s\r\n", tag);
  expect(&client, "GET", "/file.txt", fields, 206, "01");
  expect(&client, "GET", "/file.txt", "Range: bytes=0-1\r\nIf-Range: \"x\"\r\n", 200, "0123456789");
  client_close(&client);
  done(&app);
}

static void test_encodings(enum mode mode) {
  struct app app;
  struct client client;
  struct reply reply;
  char tag[128];
  int32_t folder = serve(&app, mode);
  CHECK_INT(0, apus_server_set_folder_precompressed(app.server, folder, 1));
  CHECK_INT(0, apus_server_set_folder_compression(app.server, folder, 1));
  harness_start(&app);
  client_open(&client, app.port);
  static const char *const accepts[][3] = {{"br, gzip", "br", "as brotli"},
                                           {"gzip", "gzip", "as gzip"},
                                           {"gzip;q=0, br;q=0", NULL, "plain"},
                                           {"identity, gzip;q=0.5", NULL, "plain"}};
  for (size_t i = 0; i < 4; i++) {
    char fields[128];
    snprintf(fields, sizeof fields, "Accept-Encoding: %s\r\n", accepts[i][0]);
    ask(&client, "GET", "/script.js", fields, &reply);
    const char *coding = reply_field(&reply, "Content-Encoding");
    CHECK((coding == NULL) == (accepts[i][1] == NULL));
    if (coding != NULL) CHECK_TEXT(accepts[i][1], coding);
    CHECK_TEXT("Accept-Encoding", reply_field(&reply, "Vary"));
    CHECK_TEXT("text/javascript; charset=utf-8", reply_field(&reply, "Content-Type"));
    CHECK_TEXT(accepts[i][2], reply.body);
    reply_free(&reply);
  }
  ask(&client, "GET", "/long.txt", "", &reply);
  CHECK_INT(5000, reply.body_length);
  CHECK_TEXT("Accept-Encoding", reply_field(&reply, "Vary"));
  snprintf(tag, sizeof tag, "%s", reply_field(&reply, "ETag"));
  reply_free(&reply);
  for (int round = 0; round < 2; round++) {
    ask(&client, "GET", "/long.txt", "Accept-Encoding: gzip\r\n", &reply);
    CHECK_TEXT("gzip", reply_field(&reply, "Content-Encoding"));
    CHECK(reply.body_length < 200 && (unsigned char)reply.body[0] == 0x1f);
    CHECK(strcmp(tag, reply_field(&reply, "ETag")) != 0);
    reply_free(&reply);
  }
  ask(&client, "GET", "/file.txt", "Accept-Encoding: gzip\r\n", &reply);
  CHECK(reply_field(&reply, "Content-Encoding") == NULL);
  reply_free(&reply);
  client_close(&client);
  done(&app);
}

static void test_listing(enum mode mode) {
  struct app app;
  struct client client;
  struct reply reply;
  int32_t folder = serve(&app, mode);
  CHECK_INT(0, apus_server_set_folder_listing(app.server, folder, 1));
  CHECK_INT(0, apus_server_set_folder_index(app.server, folder, "none.html, index.html"));
  harness_start(&app);
  client_open(&client, app.port);
  expect(&client, "GET", "/dir/", "", 200, "<p>index");
  ask(&client, "GET", "/", "", &reply);
  CHECK_INT(200, reply.status);
  CHECK_TEXT("text/html; charset=utf-8", reply_field(&reply, "Content-Type"));
  CHECK_TEXT("nosniff", reply_field(&reply, "X-Content-Type-Options"));
  CHECK(strstr(reply.body, "href=\"./sp%20ace%26%3C.txt\">sp ace&amp;&lt;.txt</a>") != NULL);
  CHECK(strstr(reply.body, "6.0 MiB") != NULL && strstr(reply.body, "10 B") != NULL);
  const char *dir = strstr(reply.body, "href=\"./dir/\"");
  const char *empty = strstr(reply.body, "href=\"./empty/\"");
  const char *first = strstr(reply.body, "href=\"./big.bin\"");
  CHECK(dir != NULL && empty > dir && first > empty);
  CHECK(strstr(reply.body, "hidden") == NULL && strstr(reply.body, "fifo") == NULL);
  CHECK(strstr(reply.body, "./link") == NULL);
  reply_free(&reply);
  ask(&client, "GET", "/empty/", "", &reply);
  CHECK(strstr(reply.body, "Nothing is in this folder") != NULL);
  reply_free(&reply);
  client_close(&client);
  done(&app);
}

static atomic_int heard;

static void listener(void *context, apus_request request) {
  (void)context;
  atomic_fetch_add(&heard, 1);
  CHECK_INT(0, apus_reply_set_header(request, "X-Heard", "yes"));
  CHECK_INT(0, apus_reply_add_header(request, "Vary", "Origin"));
  CHECK_INT(0, apus_reply_set_header(request, "cache-control", "no-store"));
  if (strcmp(apus_request_path(request), "/dir/index.html") == 0) {
    CHECK_INT(0, apus_reply_text(request, 403, "no"));
  }
}

/* Listeners come first, in the server's dispatch, and what they set stands. */
static void test_listeners(enum mode mode) {
  struct app app;
  struct client client;
  struct reply reply;
  int32_t folder = serve(&app, mode);
  atomic_store(&heard, 0);
  CHECK_INT(0, apus_server_set_folder_cache_control(app.server, folder, "max-age=60"));
  CHECK_INT(0, apus_server_set_folder_precompressed(app.server, folder, 1));
  CHECK_INT(0, apus_server_on_receive(app.server, listener, NULL, NULL));
  harness_start(&app);
  client_open(&client, app.port);
  client_get(&client, "/file.txt");
  client_get(&client, "/big.bin");
  client_get(&client, "/dir/index.html");
  client_get(&client, "/none");
  client_reply(&client, "GET", &reply);
  size_t found;
  CHECK_TEXT("0123456789", reply.body);
  CHECK_TEXT("yes", reply_field(&reply, "X-Heard"));
  CHECK_TEXT("no-store", reply_field(&reply, "Cache-Control"));
  reply_find(reply.fields, reply.field_count, "Vary", &found);
  CHECK_INT(2, found);
  reply_free(&reply);
  client_reply(&client, "GET", &reply);
  CHECK_BYTES(big, BIG, reply.body, reply.body_length);
  reply_free(&reply);
  client_reply(&client, "GET", &reply);
  CHECK_INT(403, reply.status);
  CHECK_TEXT("no", reply.body);
  reply_free(&reply);
  client_reply(&client, "GET", &reply);
  CHECK_INT(404, reply.status);
  reply_free(&reply);
  CHECK_INT(4, atomic_load(&heard));
  client_close(&client);
  done(&app);
}

static const char own_date[] = "Sun, 06 Nov 1994 08:49:37 GMT";

static void file_handler(void *context, apus_request request) {
  const char *name = apus_request_param(request, "name", NULL);
  (void)context;
  if (strcmp(name, "none") == 0) {
    CHECK_CODE(APUS_E_NOT_FOUND, apus_reply_file(request, in_root(name), NULL));
    CHECK_CODE(APUS_E_NOT_FOUND, apus_reply_file(request, root, NULL));
    CHECK_CODE(APUS_E_NOT_FOUND, apus_reply_file(request, in_root("fifo"), NULL));
  } else if (strcmp(name, "gone") == 0) {
    CHECK_CODE(APUS_E_NOT_FOUND, apus_reply_file(request, in_root(name), NULL));
    CHECK_INT(0, apus_reply_status(request, 410));
  } else if (strcmp(name, "never") == 0) {
    CHECK_CODE(APUS_E_NOT_FOUND, apus_reply_file(request, in_root(name), NULL));
    app_defer(request);
    CHECK_INT(1, apus_request_destroy(request));
  } else if (strcmp(name, "save") == 0) {
    CHECK_INT(0, apus_reply_attachment(request, in_root("big.bin"), "\xe2\x82\xac.bin", NULL));
  } else if (strcmp(name, "own") == 0) {
    CHECK_INT(0, apus_reply_set_header(request, "Content-Type", "text/x-mine"));
    CHECK_INT(0, apus_reply_file(request, in_root("file.txt"), NULL));
  } else if (strcmp(name, "weak") == 0 || strcmp(name, "strong") == 0) {
    CHECK_INT(0, apus_reply_set_header(request, "ETag", *name == 'w' ? "W/\"v7\"" : "\"v7\""));
    CHECK_INT(0, apus_reply_set_header(request, "Last-Modified", own_date));
    CHECK_INT(0, apus_reply_file(request, in_root("file.txt"), NULL));
  } else if (strcmp(name, "typed") == 0) {
    CHECK_INT(0, apus_reply_set_status(request, 201));
    CHECK_INT(0, apus_reply_file(request, in_root("file.txt"), "text/x-mine"));
  } else {
    CHECK_INT(0, apus_reply_file(request, in_root(name), NULL));
  }
}

static apus_request deferred;
static void *reply_later(void *context) {
  CHECK_INT(0, apus_reply_file(*(apus_request *)context, in_root("big.bin"), NULL));
  return NULL;
}

static void later_handler(void *context, apus_request request) {
  pthread_t thread;
  (void)context;
  deferred = request;
  app_defer(request);
  CHECK_INT(0, pthread_create(&thread, NULL, reply_later, &deferred));
  CHECK_INT(0, pthread_detach(thread));
}

/* What the host has set is what a client has, and what it asks about. */
static void check_own_tags(struct client *client) {
  static const struct {
    const char *name, *fields, *body;
    int status;
  } cases[] = {
      {"weak", "If-None-Match: \"x\", W/\"v7\"\r\n", "", 304},
      {"weak", "If-None-Match: \"v7\"\r\n", "", 304},
      {"strong", "If-None-Match: W/\"v7\"\r\n", "", 304},
      {"strong", "If-None-Match: \"v8\"\r\n", "0123456789", 200},
      {"weak", "If-Match: \"v7\"\r\n", NULL, 412},
      {"weak", "If-Match: *\r\n", "0123456789", 200},
      {"strong", "If-Match: \"v7\"\r\n", "0123456789", 200},
      {"weak", "Range: bytes=1-2\r\nIf-Range: W/\"v7\"\r\n", "0123456789", 200},
      {"strong", "Range: bytes=1-2\r\nIf-Range: \"v7\"\r\n", "12", 206},
      {"strong", "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n", "", 304},
      {"strong", "If-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n", "0123456789", 200},
      {"strong", "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n", NULL, 412},
  };
  struct reply reply;
  char target[32], tag[64], fields[128];
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    snprintf(target, sizeof target, "/reply/%s", cases[i].name);
    expect(client, "GET", target, cases[i].fields, cases[i].status, cases[i].body);
  }
  ask(client, "GET", "/reply/file.txt", "", &reply);
  snprintf(tag, sizeof tag, "%s", reply_field(&reply, "ETag"));
  reply_free(&reply);
  snprintf(fields, sizeof fields, "If-None-Match: %s\r\n", tag);
  ask(client, "GET", "/reply/strong", fields, &reply);
  CHECK_INT(200, reply.status);
  CHECK_TEXT("\"v7\"", reply_field(&reply, "ETag"));
  CHECK_TEXT(own_date, reply_field(&reply, "Last-Modified"));
  reply_free(&reply);
}

static void test_replies(enum mode mode) {
  struct app app;
  struct client client;
  struct reply reply;
  make_root();
  app_make(&app, mode);
  app_route(&app, APUS_GET, "/reply/:name", file_handler, NULL);
  app_route(&app, APUS_PUT, "/reply/:name", file_handler, NULL);
  app_route(&app, APUS_GET, "/later", later_handler, NULL);
  harness_start(&app);
  client_open(&client, app.port);
  /* Nobody answers where a file is missing. */
  expect(&client, "GET", "/reply/none", "", 404, "Not Found");
  expect(&client, "GET", "/reply/never", "", 404, "Not Found");
  expect(&client, "GET", "/reply/gone", "", 410, "Gone");
  expect(&client, "GET", "/reply/link", "", 200, "secret");
  expect(&client, "GET", "/reply/file.txt", "Range: bytes=1-2\r\n", 206, "12");
  expect(&client, "GET", "/reply/file.txt", "If-None-Match: *\r\n", 304, "");
  check_own_tags(&client);
  /* What was to be done has been done when its reply is made. */
  expect(&client, "PUT", "/reply/file.txt", "If-Match: \"x\"\r\nContent-Length: 0\r\n", 200,
         "0123456789");
  expect(&client, "PUT", "/reply/file.txt", "If-None-Match: *\r\nContent-Length: 0\r\n", 200,
         "0123456789");
  ask(&client, "GET", "/reply/typed", "Range: bytes=1-2\r\n", &reply);
  CHECK_INT(201, reply.status);
  CHECK_TEXT("text/x-mine", reply_field(&reply, "Content-Type"));
  CHECK_TEXT("0123456789", reply.body);
  reply_free(&reply);
  ask(&client, "GET", "/reply/own", "Range: bytes=1-2,4-5\r\n", &reply);
  CHECK_INT(206, reply.status);
  CHECK(strncmp(reply_field(&reply, "Content-Type"), "multipart/byteranges", 20) == 0);
  CHECK(strstr(reply.body, "\r\nContent-Type: text/x-mine\r\nContent-Range: bytes 4-5/10\r\n"));
  reply_free(&reply);
  ask(&client, "GET", "/reply/save", "", &reply);
  CHECK_TEXT("attachment; filename=\"_.bin\"; filename*=UTF-8''%E2%82%AC.bin",
             reply_field(&reply, "Content-Disposition"));
  CHECK_BYTES(big, BIG, reply.body, reply.body_length);
  reply_free(&reply);
  ask(&client, "HEAD", "/reply/save", "", &reply);
  CHECK_INT(BIG, reply.content_length);
  reply_free(&reply);
  client_get(&client, "/later");
  client_get(&client, "/reply/big.bin");
  client_get(&client, "/reply/file.txt");
  for (int i = 0; i < 2; i++) {
    client_reply(&client, "GET", &reply);
    CHECK_INT(200, reply.status);
    CHECK_BYTES(big, BIG, reply.body, reply.body_length);
    reply_free(&reply);
  }
  client_reply(&client, "GET", &reply);
  CHECK_TEXT("0123456789", reply.body);
  reply_free(&reply);
  client_close(&client);
  done(&app);
}

static void compressed_handler(void *context, apus_request request) {
  static char text[3000];
  (void)context;
  memset(text, 'a', sizeof text - 1);
  const char *kind = apus_request_param(request, "kind", NULL);
  CHECK_INT(0, apus_reply_set_compression(request, 1));
  if (strcmp(kind, "text") == 0) {
    CHECK_INT(0, apus_reply_set_attachment(request, "a \"b\".txt"));
    CHECK_INT(0, apus_reply_text(request, 200, text));
  }
  if (strcmp(kind, "short") == 0) CHECK_INT(0, apus_reply_text(request, 200, "short"));
  if (strcmp(kind, "image") == 0) CHECK_INT(0, apus_reply(request, 200, "image/png", text, 2999));
  if (strcmp(kind, "a_file") == 0) CHECK_INT(0, apus_reply_file(request, in_root("a.html"), NULL));
}

/* Pieces of a writer: "pieces" without a length, "counted" with one, "empty" without any,
 * "file" with a stretch of a file first, "image" of a type that does not gain. */
static void pieces_handler(void *context, apus_request request) {
  static char text[3000];
  (void)context;
  memset(text, 'a', sizeof text);
  const char *kind = apus_request_param(request, "kind", NULL);
  CHECK_INT(0, apus_reply_set_compression(request, 1));
  CHECK_INT(0, apus_reply_set_header(request, "Content-Type",
                                     strcmp(kind, "image") == 0 ? "image/png" : "text/plain"));
  apus_writer writer = apus_writer_make(request);
  CHECK(writer != 0);
  if (strcmp(kind, "counted") == 0) CHECK_INT(0, apus_writer_begin(writer, 9000));
  if (strcmp(kind, "file") == 0) {
    CHECK_INT(0, apus_writer_file(writer, in_root("file.txt"), 0, -1));
  } else if (strcmp(kind, "empty") != 0) {
    for (int i = 0; i < 3; i++) CHECK_INT(0, apus_writer_write(writer, text, sizeof text));
  }
  if (strcmp(apus_request_query(request), "packed") == 0) {
    CHECK_CODE(APUS_E_STATE, apus_writer_file(writer, in_root("file.txt"), 0, -1));
    CHECK_INT(0, apus_writer_add_trailer(writer, "X-Sum", "abc"));
  }
  CHECK_INT(0, apus_writer_end(writer));
  CHECK_INT(1, apus_writer_destroy(writer));
}

static void check_pieces(struct client *client) {
  static const char *const plain[] = {"/pieces/counted", "/pieces/image"};
  struct reply reply;
  ask(client, "GET", "/pieces/pieces?packed", "Accept-Encoding: gzip\r\n", &reply);
  CHECK_INT(1, reply.chunked);
  CHECK_TEXT("gzip", reply_field(&reply, "Content-Encoding"));
  CHECK_TEXT("Accept-Encoding", reply_field(&reply, "Vary"));
  CHECK(reply.body_length < 200 && (unsigned char)reply.body[0] == 0x1f);
  CHECK_TEXT("abc", reply_trailer(&reply, "X-Sum"));
  reply_free(&reply);
  ask(client, "GET", "/pieces/pieces", "", &reply);
  CHECK(reply_field(&reply, "Content-Encoding") == NULL);
  CHECK_TEXT("Accept-Encoding", reply_field(&reply, "Vary"));
  CHECK_INT(9000, reply.body_length);
  reply_free(&reply);
  ask(client, "HEAD", "/pieces/pieces", "Accept-Encoding: gzip\r\n", &reply);
  CHECK_INT(200, reply.status);
  CHECK_TEXT("Accept-Encoding", reply_field(&reply, "Vary"));
  reply_free(&reply);
  for (int i = 0; i < 2; i++) {
    ask(client, "GET", plain[i], "Accept-Encoding: gzip\r\n", &reply);
    CHECK(reply_field(&reply, "Content-Encoding") == NULL);
    CHECK_INT(9000, reply.body_length);
    reply_free(&reply);
  }
  ask(client, "GET", "/pieces/empty", "Accept-Encoding: gzip\r\n", &reply);
  CHECK(reply_field(&reply, "Content-Encoding") == NULL);
  CHECK_INT(0, reply.content_length);
  reply_free(&reply);
  ask(client, "GET", "/pieces/file", "Accept-Encoding: gzip\r\n", &reply);
  CHECK(reply_field(&reply, "Content-Encoding") == NULL);
  CHECK_TEXT("0123456789", reply.body);
  reply_free(&reply);
}

static void test_compression(enum mode mode) {
  struct app app;
  struct client client;
  struct reply reply;
  make_root();
  app_make(&app, mode);
  app_route(&app, APUS_GET, "/:kind", compressed_handler, NULL);
  app_route(&app, APUS_GET, "/pieces/:kind", pieces_handler, NULL);
  harness_start(&app);
  client_open(&client, app.port);
  ask(&client, "GET", "/text", "Accept-Encoding: gzip\r\n", &reply);
  CHECK_TEXT("gzip", reply_field(&reply, "Content-Encoding"));
  CHECK_TEXT("Accept-Encoding", reply_field(&reply, "Vary"));
  CHECK_TEXT("attachment; filename=\"a _b_.txt\"; filename*=UTF-8''a%20%22b%22.txt",
             reply_field(&reply, "Content-Disposition"));
  CHECK(reply.body_length < 100 && (unsigned char)reply.body[0] == 0x1f);
  reply_free(&reply);
  ask(&client, "GET", "/text", "", &reply);
  CHECK(reply_field(&reply, "Content-Encoding") == NULL);
  CHECK_TEXT("Accept-Encoding", reply_field(&reply, "Vary"));
  CHECK_INT(2999, reply.body_length);
  reply_free(&reply);
  ask(&client, "HEAD", "/text", "Accept-Encoding: gzip\r\n", &reply);
  CHECK_INT(200, reply.status);
  CHECK_INT(-1, reply.content_length);
  reply_free(&reply);
  static const char *const plain[] = {"/short", "/image"};
  for (int i = 0; i < 2; i++) {
    ask(&client, "GET", plain[i], "Accept-Encoding: gzip\r\n", &reply);
    CHECK(reply_field(&reply, "Content-Encoding") == NULL);
    CHECK(reply_field(&reply, "Vary") == NULL);
    reply_free(&reply);
  }
  /* A file's tag is that of the file as it is. */
  char page[3000];
  memset(page, 'a', sizeof page);
  put("a.html", page, sizeof page);
  for (int i = 0; i < 2; i++) {
    ask(&client, i ? "HEAD" : "GET", "/a_file", "Accept-Encoding: gzip\r\n", &reply);
    CHECK(reply_field(&reply, "Content-Encoding") == NULL);
    CHECK(reply_field(&reply, "ETag") != NULL);
    CHECK_INT(sizeof page, reply.content_length);
    reply_free(&reply);
  }
  check_pieces(&client);
  client_close(&client);
  done(&app);
}

/* "/writer/counted" and "/writer/chunked": text, a file, text, the file's end, text. */
static void writer_handler(void *context, apus_request request) {
  (void)context;
  int counted = strcmp(apus_request_param(request, "form", NULL), "counted") == 0;
  apus_writer writer = apus_writer_make(request);
  CHECK(writer != 0);
  CHECK_INT(0, apus_writer_set_high_water(writer, 1LL << 40));
  if (counted) CHECK_INT(0, apus_writer_begin(writer, 3 + BIG + 3 + 100 + 3));
  CHECK_CODE(APUS_E_NOT_FOUND, apus_writer_file(writer, in_root("none"), 0, -1));
  CHECK_CODE(APUS_E_ARGUMENT, apus_writer_file(writer, in_root("file.txt"), 5, 6));
  CHECK_CODE(APUS_E_ARGUMENT, apus_writer_file(writer, in_root("file.txt"), 11, -1));
  CHECK_INT(0, apus_writer_write(writer, "one", 3));
  CHECK_INT(0, apus_writer_file(writer, in_root("big.bin"), 0, -1));
  CHECK(apus_writer_buffered(writer) >= 0);
  CHECK_INT(0, apus_writer_write(writer, "two", 3));
  CHECK_INT(0, apus_writer_file(writer, in_root("big.bin"), BIG - 100, 100));
  CHECK_INT(0, apus_writer_file(writer, in_root("file.txt"), 10, -1));
  if (counted) CHECK_CODE(APUS_E_TOO_LARGE, apus_writer_file(writer, in_root("file.txt"), 0, 4));
  CHECK_INT(0, apus_writer_write(writer, "end", 3));
  CHECK_INT(0, apus_writer_end(writer));
  CHECK_CODE(APUS_E_STATE, apus_writer_file(writer, in_root("file.txt"), 0, -1));
  CHECK_INT(1, apus_writer_destroy(writer));
}

static void test_writer(enum mode mode) {
  static const char *const forms[] = {"/writer/counted", "/writer/chunked"};
  struct app app;
  struct client client;
  struct reply reply;
  make_root();
  app_make(&app, mode);
  app_route(&app, APUS_GET, "/writer/:form", writer_handler, NULL);
  harness_start(&app);
  for (int small = 0; small < 2; small++) {
    client_open_small(&client, app.port, small ? 16384 : 0);
    for (int i = 0; i < 2; i++) {
      ask(&client, "GET", forms[i], "", &reply);
      CHECK_INT(3 + BIG + 3 + 100 + 3, reply.body_length);
      CHECK_INT(i, reply.chunked);
      CHECK(memcmp(reply.body, "one", 3) == 0 && memcmp(reply.body + 3, big, BIG) == 0);
      CHECK(memcmp(reply.body + 3 + BIG, "two", 3) == 0);
      CHECK(memcmp(reply.body + 6 + BIG, big + BIG - 100, 100) == 0);
      CHECK_TEXT("end", reply.body + 106 + BIG);
      reply_free(&reply);
      ask(&client, "HEAD", forms[i], "", &reply);
      CHECK_INT(200, reply.status);
      reply_free(&reply);
    }
    CLIENT_QUIET(&client);
    client_close(&client);
  }
  done(&app);
}

/* A client that does not read is none that others wait for; one that leaves costs
 * nothing; and a stop ends what goes on. */
static void test_slow_readers(enum mode mode) {
  struct app app;
  struct client slow[4], quick;
  struct reply reply;
  int before = harness_descriptors();
  serve(&app, mode);
  CHECK_INT(0, apus_server_set_drain_timeout(app.server, 50));
  harness_start(&app);
  for (int i = 0; i < 4; i++) {
    client_open_small(&slow[i], app.port, 8192);
    client_get(&slow[i], "/big.bin");
    CHECK(client_fill(&slow[i]));
  }
  client_open(&quick, app.port);
  for (int i = 0; i < 20; i++) {
    ask(&quick, "GET", "/big.bin", "", &reply);
    CHECK_BYTES(big, BIG, reply.body, reply.body_length);
    reply_free(&reply);
  }
  client_reply(&slow[0], "GET", &reply);
  CHECK_BYTES(big, BIG, reply.body, reply.body_length);
  reply_free(&reply);
  client_leave(&slow[1]);
  expect(&quick, "GET", "/file.txt", "", 200, "0123456789");
  harness_halt(&app);
  CHECK_INT(REPLY_CUT, client_try_reply(&slow[2], "GET", &reply));
  reply_free(&reply);
  for (int i = 0; i < 4; i++) {
    if (i != 1) client_close(&slow[i]);
  }
  client_close(&quick);
  CHECK_INT(1, apus_server_destroy(app.server));
  remove_root();
  CHECK_INT(before, harness_descriptors());
}

/* Asks for a file until it holds that. */
static void until(struct client *client, const char *text) {
  struct reply reply;
  int64_t limit = harness_now_ms() + HARNESS_DEADLINE_MS;
  for (int changed = 0; !changed;) {
    CHECK(harness_now_ms() < limit);
    ask(client, "GET", "/file.txt", "", &reply);
    changed = strcmp(reply.body, text) == 0;
    reply_free(&reply);
    harness_breathe();
  }
}

/* A file that is cut short while it is sent closes the connection: the client can
 * tell. One that is replaced is seen, in a while. */
static void test_changes(enum mode mode) {
  struct app app;
  struct client client;
  struct reply reply;
  serve(&app, mode);
  harness_start(&app);
  client_open_small(&client, app.port, 8192);
  client_get(&client, "/big.bin");
  CHECK(client_fill(&client));
  CHECK_INT(0, truncate(in_root("big.bin"), 100));
  CHECK_INT(REPLY_CUT, client_try_reply(&client, "GET", &reply));
  reply_free(&reply);
  client_close(&client);
  client_open(&client, app.port);
  expect(&client, "GET", "/file.txt", "", 200, "0123456789");
  char made[256];
  put_text("new", "another");
  snprintf(made, sizeof made, "%s", in_root("new"));
  CHECK_INT(0, rename(made, in_root("file.txt")));
  until(&client, "another");
  /* Also one whose time was set back. */
  struct stat about;
  CHECK_INT(0, stat(in_root("file.txt"), &about));
  int file = open(in_root("file.txt"), O_WRONLY | O_CLOEXEC);
  CHECK_INT(7, pwrite(file, "ANOTHER", 7, 0));
  struct timespec times[2] = {about.st_atim, about.st_mtim};
  CHECK_INT(0, futimens(file, times));
  close(file);
  until(&client, "ANOTHER");
  CHECK_INT(0, unlink(in_root("file.txt")));
  int64_t limit = harness_now_ms() + HARNESS_DEADLINE_MS;
  for (int status = 200; status != 404;) {
    CHECK(harness_now_ms() < limit);
    ask(&client, "GET", "/file.txt", "", &reply);
    status = reply.status;
    reply_free(&reply);
    harness_breathe();
  }
  client_close(&client);
  done(&app);
}

/* Files that are kept open leave the host what is reserved for it, and clients theirs. */
static void test_descriptors(enum mode mode) {
  enum { FILES = 40, RESERVE = 20 };
  struct app app;
  struct client client, other;
  struct reply reply;
  struct rlimit before, limit;
  char name[32];
  serve(&app, mode);
  for (int i = 0; i < FILES; i++) {
    snprintf(name, sizeof name, "open-%d.bin", i);
    put(name, big, 40000);
  }
  if (mode != MODE_THREADLESS) CHECK_INT(0, apus_server_set_workers(app.server, 1));
  CHECK_INT(0, apus_server_set_descriptor_reserve(app.server, RESERVE));
  CHECK_INT(0, getrlimit(RLIMIT_NOFILE, &before));
  limit = before;
  limit.rlim_cur = (rlim_t)harness_descriptors() + FILES + 12;
  CHECK_INT(0, setrlimit(RLIMIT_NOFILE, &limit));
  harness_start(&app);
  client_open(&client, app.port);
  for (int i = 0; i < 3 * FILES; i++) {
    snprintf(name, sizeof name, "/open-%d.bin", i % FILES);
    ask(&client, "HEAD", name, "", &reply);
    CHECK_INT(200, reply.status);
    CHECK_INT(40000, reply.content_length);
    reply_free(&reply);
    if (i % FILES == FILES - 1) {
      CHECK(harness_descriptors() < (int)limit.rlim_cur - RESERVE / 2);
      client_open(&other, app.port);
      expect(&other, "GET", "/file.txt", "", 200, "0123456789");
      client_close(&other);
    }
  }
  client_close(&client);
  CHECK_INT(0, setrlimit(RLIMIT_NOFILE, &before));
  done(&app);
}

static void stream_handler(void *context, apus_request request) {
  (void)context;
  app_defer(request);
}

static void test_options(enum mode mode) {
  struct app app;
  struct client client;
  struct reply reply;
  int32_t folder = serve(&app, mode);
  int32_t other = apus_server_serve_folder(app.server, "/static", root);
  CHECK(other > folder);
  CHECK_CODE(APUS_E_STATE, apus_server_serve_folder(app.server, "/static/", root));
  CHECK_CODE(APUS_E_NOT_FOUND, apus_server_serve_folder(app.server, "/a", in_root("none")));
  CHECK_CODE(APUS_E_NOT_FOUND, apus_server_serve_folder(app.server, "/a", in_root("file.txt")));
  CHECK_CODE(APUS_E_ARGUMENT, apus_server_serve_folder(app.server, "/:a", root));
  CHECK_CODE(APUS_E_ARGUMENT, apus_server_serve_folder(app.server, "a", root));
  CHECK_CODE(APUS_E_ARGUMENT, apus_server_set_folder_listing(app.server, 99, 1));
  CHECK_CODE(APUS_E_ARGUMENT, apus_server_set_folder_index(app.server, folder, "a/b"));
  CHECK_CODE(APUS_E_ARGUMENT,
             apus_server_set_folder_index(app.server, folder, "1,2,3,4,5,6,7,8,9"));
  CHECK_INT(0, apus_server_set_folder_hidden(app.server, other, 1));
  CHECK_INT(0, apus_server_set_folder_index(app.server, other, NULL));
  put_text("404.html", "<h1>not here");
  CHECK_INT(0, apus_server_set_error_page(app.server, 404, in_root("file.txt")));
  CHECK_INT(0, apus_server_set_error_page(app.server, 404, in_root("404.html")));
  CHECK_INT(0, apus_server_set_error_page(app.server, 405, in_root("404.html")));
  CHECK_INT(0, apus_server_set_error_page(app.server, 405, NULL));
  CHECK_CODE(APUS_E_NOT_FOUND, apus_server_set_error_page(app.server, 500, in_root("none")));
  CHECK_INT(0, apus_server_set_error_page(app.server, 400, in_root("404.html")));
  CHECK(apus_server_route_stream(app.server, APUS_POST, "/stream", stream_handler, NULL, NULL) > 0);
  harness_start(&app);
  CHECK_CODE(APUS_E_STATE, apus_server_serve_folder(app.server, "/b", root));
  client_open(&client, app.port);
  expect(&client, "GET", "/static/.hidden", "", 200, "hidden");
  expect(&client, "GET", "/static/dir/", "", 404, NULL);
  ask(&client, "GET", "/static", "", &reply);
  CHECK_INT(301, reply.status);
  CHECK_TEXT("/static/", reply_field(&reply, "Location"));
  reply_free(&reply);
  ask(&client, "GET", "/none", "", &reply);
  CHECK_INT(404, reply.status);
  CHECK_TEXT("<h1>not here", reply.body);
  CHECK_TEXT("text/html; charset=utf-8", reply_field(&reply, "Content-Type"));
  reply_free(&reply);
  expect(&client, "POST", "/none", "Content-Length: 0\r\n", 405, "Method Not Allowed");
  /* Also in a handler's place, whose request goes wrong. */
  ask(&client, "POST", "/stream", "Transfer-Encoding: chunked\r\n\r\nno size\r\n", &reply);
  CHECK_INT(400, reply.status);
  CHECK_TEXT("<h1>not here", reply.body);
  CHECK_TEXT("text/html; charset=utf-8", reply_field(&reply, "Content-Type"));
  reply_free(&reply);
  client_close(&client);
  done(&app);
}

/* More files, and more bytes, than are kept: each is what it should be, every time. */
static void test_many(enum mode mode) {
  static char data[30000];
  struct app app;
  struct client client;
  struct reply reply;
  char name[64];
  int before = harness_descriptors();
  serve(&app, mode);
  CHECK_INT(0, apus_server_set_workers(app.server, mode == MODE_THREADLESS ? 0 : 1));
  for (int i = 0; i < 600; i++) {
    snprintf(name, sizeof name, "many-%d", i);
    memset(data, 'a' + i % 26, sizeof data);
    data[0] = (char)i;
    put(name, data, i % 3 == 2 ? 20000 : sizeof data);
  }
  harness_start(&app);
  client_open(&client, app.port);
  for (int i = 0; i < 1500; i++) {
    int which = i * 7 % 600;
    snprintf(name, sizeof name, "/many-%d", which);
    ask(&client, "GET", name, "Accept-Encoding: gzip\r\n", &reply);
    CHECK_INT(which % 3 == 2 ? 20000 : 30000, reply.body_length);
    CHECK_INT((char)which, reply.body[0]);
    CHECK_INT('a' + which % 26, reply.body[reply.body_length - 1]);
    reply_free(&reply);
  }
  client_close(&client);
  harness_stop(&app);
  remove_root();
  CHECK_INT(before, harness_descriptors());
}

int main(int argc, char **argv) {
  static const struct harness_case cases[] = {
      {"paths", test_paths},           {"ranges", test_ranges},
      {"conditions", test_conditions}, {"encodings", test_encodings},
      {"listing", test_listing},       {"listeners", test_listeners},
      {"replies", test_replies},       {"compression", test_compression},
      {"writer", test_writer},         {"slow_readers", test_slow_readers},
      {"changes", test_changes},       {"descriptors", test_descriptors},
      {"options", test_options},       {"many", test_many},
  };
  return harness_main("files_test", argc, argv, CASES(cases));
}
