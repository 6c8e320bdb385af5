/*
 * stream_test.c - streamed routes: the handler runs when the head is in, and
 * takes the body as it arrives. Large uploads summed, uploads that break off,
 * bodies that nobody asks for, Expect: 100-continue, limits. In pull mode the
 * callbacks of streamed routes run inside apus_server_next().
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "../helpers/harness.h"

#define LARGE (64LL << 20)

/* What is known of one upload; the handler's request finds it as its context. */
struct upload {
  uint64_t sum;
  int64_t length;
  atomic_int entered, lasts, broken, drops;
  int64_t announced;
  int late; /* reply from another thread, after the last piece */
  _Atomic apus_request request;
};

static uint64_t add_sum(uint64_t sum, const unsigned char *data, size_t length) {
  for (size_t i = 0; i < length; i++) sum = (sum ^ data[i]) * 0x100000001b3u;
  return sum;
}

static void drop_upload(void *context) { atomic_fetch_add(&((struct upload *)context)->drops, 1); }

static void take_piece(void *context, apus_request request, const void *data, size_t length,
                       int32_t last) {
  struct upload *upload = context;
  char text[64];
  CHECK(last == 0 || last == 1 || last == -1);
  CHECK_INT(0, atomic_load(&upload->lasts) + atomic_load(&upload->broken));
  if (last == -1) {
    CHECK_INT(0, length);
    CHECK_INT(0, apus_request_is_alive(request));
    CHECK_CODE(APUS_E_CLOSED, apus_reply_text(request, 200, "nobody"));
    apus_request_destroy(request);
    atomic_store(&upload->broken, 1);
    return;
  }
  CHECK(last == 1 || length > 0);
  upload->sum = add_sum(upload->sum, data, length);
  upload->length += (int64_t)length;
  if (last == 0) return;
  if (upload->late) {
    atomic_store(&upload->request, request);
  } else {
    snprintf(text, sizeof text, "%lld %016llx", (long long)upload->length,
             (unsigned long long)upload->sum);
    CHECK_INT(0, apus_reply_text(request, 200, text));
  }
  atomic_store(&upload->lasts, 1);
}

static atomic_int refused_drops;

static void count_refused(void *context) {
  (void)context;
  atomic_fetch_add(&refused_drops, 1);
}

static void stream_handler(void *context, apus_request request) {
  struct upload *upload = context;
  size_t length = 77;
  upload->announced = apus_request_body_length(request);
  CHECK_TEXT("/up", apus_request_path(request));
  CHECK_INT(0, apus_request_trailer_count(request));
  apus_request_body(request, &length);
  CHECK(length == 0 || length == 77);
  atomic_store(&refused_drops, 0);
  CHECK_CODE(APUS_E_ARGUMENT, apus_request_on_body(request, NULL, upload, count_refused));
  CHECK_INT(1, atomic_load(&refused_drops));
  CHECK_INT(0, apus_request_on_body(request, take_piece, upload, drop_upload));
  CHECK_CODE(APUS_E_STATE, apus_request_on_body(request, take_piece, upload, NULL));
  atomic_store(&upload->entered, 1);
}

static void reset_upload(struct upload *upload) {
  memset(upload, 0, sizeof *upload);
  upload->sum = 0xcbf29ce484222325u;
}

static void start_stream(struct app *app, enum mode mode, struct upload *upload) {
  reset_upload(upload);
  app_make(app, mode);
  CHECK_INT(0, apus_server_set_max_body(app->server, LARGE));
  app_stream(app, APUS_POST, "/up", stream_handler, upload);
  harness_start(app);
}

/* ------------------------------------------------------------------- uploads */

static void fill_block(unsigned char *block, size_t size, uint64_t seed) {
  for (size_t i = 0; i < size; i++) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    block[i] = (unsigned char)(seed >> 56);
  }
}

/* Sends length bytes, in chunks or not; returns their sum. */
static uint64_t send_body(struct client *client, int64_t length, int chunked) {
  static unsigned char block[100003];
  uint64_t sum = 0xcbf29ce484222325u;
  for (int64_t at = 0; at < length;) {
    size_t size = length - at < (int64_t)sizeof block ? (size_t)(length - at) : sizeof block;
    fill_block(block, size, (uint64_t)at);
    sum = add_sum(sum, block, size);
    if (chunked) client_format(client, "%zx\r\n", size);
    client_send(client, block, size);
    if (chunked) client_text(client, "\r\n");
    at += (int64_t)size;
  }
  if (chunked) client_text(client, "0\r\n\r\n");
  return sum;
}

static uint64_t post(struct client *client, int64_t length, int chunked) {
  if (chunked) {
    client_text(client, "POST /up HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
  } else {
    client_format(client, "POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: %lld\r\n\r\n",
                  (long long)length);
  }
  return send_body(client, length, chunked);
}

static void upload_once(struct client *client, struct upload *upload, int64_t length, int chunked) {
  char expected[64];
  reset_upload(upload);
  uint64_t sum = post(client, length, chunked);
  snprintf(expected, sizeof expected, "%lld %016llx", (long long)length, (unsigned long long)sum);
  CLIENT_EXPECT(client, "POST", 200, expected);
  CHECK_INT(chunked ? -1 : length, upload->announced);
  EVENTUALLY(atomic_load(&upload->drops) == 1);
  CHECK_INT(1, atomic_load(&upload->lasts));
  CHECK_INT(0, atomic_load(&upload->broken));
}

static void test_large(enum mode mode) {
  struct app app;
  struct client client;
  struct upload upload;
  start_stream(&app, mode, &upload);
  client_open(&client, app.port);
  upload_once(&client, &upload, LARGE, 0);
  upload_once(&client, &upload, LARGE / 4, 1);
  client_close(&client);
  harness_stop(&app);
}

static void test_sizes(enum mode mode) {
  static const int64_t sizes[] = {0, 1, 2, 1000, 65536, 300007};
  struct app app;
  struct client client;
  struct upload upload;
  start_stream(&app, mode, &upload);
  client_open(&client, app.port);
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    upload_once(&client, &upload, sizes[i], 0);
    upload_once(&client, &upload, sizes[i], 1);
  }
  client_close(&client);
  harness_stop(&app);
}

/* Where no more than one request may wait, that one's body is still read to its end. */
static void test_alone(enum mode mode) {
  struct app app;
  struct client client;
  struct upload upload;
  reset_upload(&upload);
  app_make(&app, mode);
  CHECK_INT(0, apus_server_set_max_pipelined(app.server, 1));
  CHECK_INT(0, apus_server_set_high_water(app.server, 1024));
  app_stream(&app, APUS_POST, "/up", stream_handler, &upload);
  harness_start(&app);
  client_open(&client, app.port);
  for (int chunked = 0; chunked < 2; chunked++) {
    upload_once(&client, &upload, 10, chunked);
    upload_once(&client, &upload, 300007, chunked);
  }
  client_close(&client);
  harness_stop(&app);
}

/* The reply may come long after the last piece, from another thread. */
static void test_late(enum mode mode) {
  struct app app;
  struct client client;
  struct upload upload;
  start_stream(&app, mode, &upload);
  upload.late = 1;
  client_open(&client, app.port);
  post(&client, 5000, 0);
  EVENTUALLY(atomic_load(&upload.lasts) == 1);
  CLIENT_QUIET(&client);
  CHECK_TEXT("POST", apus_request_method_name(atomic_load(&upload.request)));
  CHECK_INT(0, apus_reply_text(atomic_load(&upload.request), 200, "late"));
  CLIENT_EXPECT(&client, "POST", 200, "late");
  client_close(&client);
  harness_stop(&app);
}

/* ------------------------------------------------------------ broken uploads */

/* The client leaves half way: last is -1, once, and the request is dead. */
static void test_leaves(enum mode mode) {
  struct app app;
  struct client client;
  struct upload upload;
  start_stream(&app, mode, &upload);
  for (int i = 0; i < 10; i++) {
    reset_upload(&upload);
    client_open(&client, app.port);
    if (i % 2 == 0) {
      client_text(&client, "POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nhalf");
    } else {
      client_text(&client,
                  "POST /up HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                  "4\r\nhalf\r\n10\r\nno");
    }
    EVENTUALLY(atomic_load(&upload.entered) == 1);
    client_leave(&client);
    EVENTUALLY(atomic_load(&upload.broken) == 1);
    EVENTUALLY(atomic_load(&upload.drops) == 1);
    CHECK_INT(0, atomic_load(&upload.lasts));
    EVENTUALLY(apus_live_count(APUS_KIND_REQUEST) == 0);
  }
  harness_stop(&app);
}

static atomic_int begun, ends_whole, ends_broken, ends_dropped;

static void take_ignoring(void *context, apus_request request, const void *data, size_t length,
                          int32_t last) {
  (void)context;
  (void)data;
  (void)length;
  if (last == 1) {
    atomic_fetch_add(&ends_whole, 1);
    int32_t result = apus_reply_text(request, 200, "whole");
    CHECK(result == 0 || result == APUS_E_CLOSED);
  } else if (last == -1) {
    atomic_fetch_add(&ends_broken, 1);
    apus_request_destroy(request);
  }
}

static void count_ignoring(void *context) {
  (void)context;
  atomic_fetch_add(&ends_dropped, 1);
}

static void ignoring_handler(void *context, apus_request request) {
  (void)context;
  atomic_fetch_add(&begun, 1);
  int32_t result = apus_request_on_body(request, take_ignoring, NULL, count_ignoring);
  CHECK(result == 0 || result == APUS_E_CLOSED);
  if (result != 0) atomic_fetch_add(&ends_broken, 1);
}

static void reset_ignoring(void) {
  atomic_store(&begun, 0);
  atomic_store(&ends_whole, 0);
  atomic_store(&ends_broken, 0);
  atomic_store(&ends_dropped, 0);
}

/* Clients that leave at once: each upload that a handler saw has one end. */
static void test_leaves_at_once(enum mode mode) {
  static const char text[] = "POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nhalf";
  struct app app;
  struct client client;
  reset_ignoring();
  app_make(&app, mode);
  app_stream(&app, APUS_POST, "/up", ignoring_handler, NULL);
  harness_start(&app);
  for (size_t i = 0; i < 300; i++) {
    client_open(&client, app.port);
    client_send_some(&client, text, sizeof text - 1 - i % 6);
    client_leave(&client);
  }
  client_open(&client, app.port);
  client_send(&client, text, sizeof text - 1);
  CLIENT_EXPECT(&client, "POST", 200, "whole");
  client_close(&client);
  EVENTUALLY(apus_server_counter(app.server, APUS_COUNT_CONNECTIONS) == 0);
  EVENTUALLY(atomic_load(&ends_whole) + atomic_load(&ends_broken) == atomic_load(&begun));
  EVENTUALLY(atomic_load(&ends_dropped) == atomic_load(&begun));
  EVENTUALLY(apus_live_count(APUS_KIND_REQUEST) == 0);
  harness_stop(&app);
}

/* What breaks the grammar, or the limit of make_small(). */
static const char *const bodies[] = {
    "4\r\ngood\r\nzz\r\nbad\r\n", "4\r\ngoodXX0\r\n\r\n",
    "4\r\ngood\r\n65\r\n", /* 105 bytes of 100 */
};

static void make_small(struct app *app, enum mode mode) {
  app_make(app, mode);
  CHECK_INT(0, apus_server_set_max_body(app->server, 100));
  app_stream(app, APUS_POST, "/up", ignoring_handler, NULL);
}

/* After the handler was called: never the last piece, the callback told once, the
 * connection ended. */
static void test_malformed(enum mode mode) {
  struct app app;
  struct client client;
  struct reply reply;
  make_small(&app, mode);
  harness_start(&app);
  for (int i = 0; i < 3; i++) {
    reset_ignoring();
    client_open(&client, app.port);
    client_text(&client, "POST /up HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    EVENTUALLY(atomic_load(&begun) == 1);
    client_send_some(&client, bodies[i], strlen(bodies[i]));
    if (client_try_reply(&client, "POST", &reply) == REPLY_WHOLE) {
      CHECK_INT(i == 2 ? 413 : 400, reply.status);
      CHECK(reply_lists(&reply, "Connection", "close"));
      CLIENT_ENDS(&client);
    }
    reply_free(&reply);
    client_close(&client);
    EVENTUALLY(atomic_load(&ends_broken) == 1);
    EVENTUALLY(apus_live_count(APUS_KIND_REQUEST) == 0);
    CHECK_INT(0, atomic_load(&ends_whole));
  }
  harness_stop(&app);
}

static _Atomic apus_request waiting;

static void wait_handler(void *context, apus_request request) {
  (void)context;
  app_defer(request);
  atomic_store(&waiting, request);
}

/* The same while a request before it is not answered: it is, with more than the kernel takes
 * at once, and then comes the refusal. */
static void test_malformed_behind(enum mode mode) {
  static char large[8 << 20];
  struct app app;
  struct client client;
  struct reply reply;
  make_small(&app, mode);
  app_route(&app, APUS_GET, "/wait", wait_handler, NULL);
  harness_start(&app);
  memset(large, 'a', sizeof large - 1);
  for (int i = 0; i < 3; i++) {
    reset_ignoring();
    atomic_store(&waiting, 0);
    client_open(&client, app.port);
    client_text(&client, "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
    EVENTUALLY(atomic_load(&waiting) != 0);
    client_text(&client, "POST /up HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    EVENTUALLY(atomic_load(&begun) == 1);
    client_text(&client, bodies[i]);
    EVENTUALLY(atomic_load(&ends_broken) == 1);
    CHECK_INT(0, apus_reply_text(atomic_load(&waiting), 200, large));
    CLIENT_EXPECT(&client, "GET", 200, large);
    client_reply(&client, "POST", &reply);
    CHECK_INT(i == 2 ? 413 : 400, reply.status);
    CHECK(reply_lists(&reply, "Connection", "close"));
    reply_free(&reply);
    CLIENT_ENDS(&client);
    client_close(&client);
    EVENTUALLY(apus_live_count(APUS_KIND_REQUEST) == 0);
    CHECK_INT(0, atomic_load(&ends_whole));
  }
  harness_stop(&app);
}

/* --------------------------------------------------------- bodies unasked for */

static void unasking_handler(void *context, apus_request request) {
  (void)context;
  CHECK_INT(0, apus_reply_text(request, 202, "unread"));
}

static void whole_handler(void *context, apus_request request) {
  (void)context;
  atomic_store(&refused_drops, 0);
  CHECK_CODE(APUS_E_STATE, apus_request_on_body(request, take_ignoring, NULL, count_refused));
  CHECK_INT(1, atomic_load(&refused_drops));
  CHECK_INT(0, apus_reply_text(request, 200, "not streamed"));
}

static void test_unasked(enum mode mode) {
  struct app app;
  struct client client;
  struct upload upload;
  reset_upload(&upload);
  app_make(&app, mode);
  app_stream(&app, APUS_POST, "/up", unasking_handler, NULL);
  app_route(&app, APUS_POST, "/whole", whole_handler, NULL);
  harness_start(&app);
  client_open(&client, app.port);
  for (int i = 0; i < 4; i++) {
    post(&client, 300000, i % 2);
    client_text(&client, "POST /whole HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
    CLIENT_EXPECT(&client, "POST", 202, "unread");
    CLIENT_EXPECT(&client, "POST", 200, "not streamed");
  }
  client_close(&client);
  harness_stop(&app);
}

static atomic_int told_replies, told_status;

static void replied_early(void *context, apus_request request, int32_t status, uint64_t sent) {
  (void)context;
  CHECK_TEXT("/up", apus_request_path(request));
  CHECK(sent > 0);
  atomic_store(&told_status, status);
  atomic_fetch_add(&told_replies, 1);
}

/* A reply that goes out before its body is in is told of, also when the body never comes. */
static void test_early(enum mode mode) {
  struct app app;
  struct client client;
  atomic_store(&told_replies, 0);
  app_make(&app, mode);
  app_stream(&app, APUS_POST, "/up", unasking_handler, NULL);
  CHECK_INT(0, apus_server_on_reply(app.server, replied_early, NULL, NULL));
  harness_start(&app);
  for (int i = 1; i <= 5; i++) {
    client_open(&client, app.port);
    client_text(&client, "POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nnine");
    CLIENT_EXPECT(&client, "POST", 202, "unread");
    CHECK_INT(i - 1, atomic_load(&told_replies));
    client_close(&client);
    EVENTUALLY(atomic_load(&told_replies) == i);
    CHECK_INT(202, atomic_load(&told_status));
  }
  harness_stop(&app);
  CHECK_INT(5, atomic_load(&told_replies));
}

static void test_expect(enum mode mode) {
  struct app app;
  struct client client;
  struct reply reply;
  struct upload upload;
  start_stream(&app, mode, &upload);
  client_open(&client, app.port);
  client_text(&client,
              "POST /up HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
              "Content-Length: 5\r\n\r\n");
  CLIENT_EXPECT(&client, "POST", 100, "");
  CLIENT_QUIET(&client);
  client_text(&client, "hello");
  client_reply(&client, "POST", &reply);
  CHECK_INT(200, reply.status);
  CHECK_INT(0, strncmp(reply.body, "5 ", 2));
  reply_free(&reply);
  client_close(&client);
  harness_stop(&app);
  /* A handler that does not want the body spares the client sending it. */
  app_make(&app, mode);
  app_stream(&app, APUS_POST, "/up", unasking_handler, NULL);
  harness_start(&app);
  client_open(&client, app.port);
  client_text(&client,
              "POST /up HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
              "Content-Length: 5\r\n\r\n");
  CLIENT_EXPECT(&client, "POST", 202, "unread");
  client_close(&client);
  harness_stop(&app);
}

static void parallel_handler(void *context, apus_request request) {
  CHECK_INT(0, apus_request_on_body(request, take_piece, context, drop_upload));
}

/* Many uploads at once, each summed on its own. */
static void test_parallel(enum mode mode) {
  enum { CLIENTS = 16 };
  static struct client clients[CLIENTS];
  static struct upload uploads[CLIENTS];
  struct app app;
  app_make(&app, mode);
  for (int i = 0; i < CLIENTS; i++) {
    reset_upload(&uploads[i]);
    char pattern[16];
    snprintf(pattern, sizeof pattern, "/up%d", i);
    app_stream(&app, APUS_PUT, pattern, parallel_handler, &uploads[i]);
  }
  harness_start(&app);
  for (int i = 0; i < CLIENTS; i++) {
    client_open(&clients[i], app.port);
    client_format(&clients[i], "PUT /up%d HTTP/1.1\r\nHost: a\r\nContent-Length: 40000\r\n\r\n", i);
  }
  for (int piece = 0; piece < 40; piece++) {
    char data[1000];
    for (int i = 0; i < CLIENTS; i++) {
      memset(data, piece + i, sizeof data);
      client_send(&clients[i], data, sizeof data);
    }
  }
  for (int i = 0; i < CLIENTS; i++) {
    uint64_t sum = 0xcbf29ce484222325u;
    char data[1000], expected[64];
    for (int piece = 0; piece < 40; piece++) {
      memset(data, piece + i, sizeof data);
      sum = add_sum(sum, (unsigned char *)data, sizeof data);
    }
    snprintf(expected, sizeof expected, "40000 %016llx", (unsigned long long)sum);
    CLIENT_EXPECT(&clients[i], "PUT", 200, expected);
    client_close(&clients[i]);
  }
  harness_stop(&app);
}

int main(int argc, char **argv) {
  static const struct harness_case cases[] = {
      {"large", test_large},         {"sizes", test_sizes},
      {"alone", test_alone},         {"late", test_late},
      {"leaves", test_leaves},       {"leaves_at_once", test_leaves_at_once},
      {"malformed", test_malformed}, {"malformed_behind", test_malformed_behind},
      {"unasked", test_unasked},     {"early", test_early},
      {"expect", test_expect},       {"parallel", test_parallel},
  };
  return harness_main("stream_test", argc, argv, CASES(cases));
}
