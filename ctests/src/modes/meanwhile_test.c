/*
 * meanwhile_test.c - what other threads do in the meantime: while one ticks and its callback
 * takes its time, while one would wait for itself, and while a server that has stopped is
 * set up for its next start.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "../helpers/ws.h"

/* ------------------------------------------- a thread that ticks, and others meanwhile */

static struct heard heard;
static _Atomic uint64_t handed;
static atomic_int sent, taken;

static void make(struct app *app, enum mode mode) {
  heard_reset(&heard);
  atomic_store(&handed, 0);
  app_make(app, mode);
}

static void writer_handler(void *context, apus_request request) {
  (void)context;
  apus_writer writer = apus_writer_make(request);
  CHECK_INT(0, apus_writer_set_high_water(writer, 60000));
  atomic_store(&handed, writer);
}

/* Sends, and goes on when the test has got what another thread sends behind that. */
static void sending_handler(void *context, apus_request request) {
  CHECK_INT(0, apus_channel_send_text(atomic_load((_Atomic uint64_t *)context), "first", 5));
  atomic_store(&sent, 1);
  EVENTUALLY(atomic_load(&taken) != 0);
  CHECK_INT(0, apus_reply_text(request, 200, "sent"));
}

static void writing_handler(void *context, apus_request request) {
  CHECK_INT(0, apus_writer_write(atomic_load((_Atomic uint64_t *)context), "first", 5));
  atomic_store(&sent, 1);
  EVENTUALLY(atomic_load(&taken) != 0);
  CHECK_INT(0, apus_reply_text(request, 200, "sent"));
}

/* What the thread that ticks has to say may wait for the end of its callbacks; what others
 * say does not. */
static void test_hurried(enum mode mode) {
  struct app app;
  struct client client, other;
  struct reply reply;
  if (mode != MODE_TICK) return;
  make(&app, mode);
  app_websocket(&app, "/ws", heard_open, &heard);
  app_route(&app, APUS_GET, "/send", sending_handler, &handed);
  app_route(&app, APUS_GET, "/writer", writer_handler, NULL);
  app_route(&app, APUS_GET, "/write", writing_handler, &handed);
  harness_start(&app);
  for (int way = 0; way < 2; way++) {
    atomic_store(&sent, 0);
    atomic_store(&taken, 0);
    if (way == 0) {
      atomic_store(&handed, ws_pair(&client, app.port, "/ws", &heard));
    } else {
      atomic_store(&handed, 0);
      client_open(&client, app.port);
      client_get(&client, "/writer");
      EVENTUALLY(atomic_load(&handed) != 0);
    }
    client_open(&other, app.port);
    client_get(&other, way == 0 ? "/send" : "/write");
    EVENTUALLY(atomic_load(&sent) != 0);
    if (way == 0) {
      CHECK_INT(0, apus_channel_send_text(atomic_load(&handed), "second", 6));
      WS_EXPECT_TEXT(&client, "first");
      WS_EXPECT_TEXT(&client, "second");
    } else {
      CHECK_INT(0, apus_writer_write(atomic_load(&handed), "second", 6));
      CHECK_INT(0, apus_writer_end(atomic_load(&handed)));
      client_reply(&client, "GET", &reply);
      CHECK_INT(200, reply.status);
      CHECK_BYTES("firstsecond", 11, reply.body, reply.body_length);
      reply_free(&reply);
    }
    atomic_store(&taken, 1);
    CLIENT_EXPECT(&other, "GET", 200, "sent");
    client_close(&other);
    client_close(&client);
  }
  harness_stop(&app);
}

static void count_piece(void *context, apus_fetch fetch, const void *data, size_t length) {
  (void)fetch, (void)data;
  atomic_fetch_add((atomic_int *)context, (int)length);
}

/* Waits, in a callback of its client, for a fetch whose body would be told on this thread. */
static void wait_in_vain(void *context, apus_fetch fetch, apus_response response, int32_t result) {
  apus_fetch *another = context;
  (void)fetch, (void)response;
  CHECK_INT(0, result);
  CHECK_INT(0, apus_fetch_start(*another));
  CHECK_INT(0, apus_fetch_wait(*another, 0));
  CHECK_CODE(APUS_E_STATE, apus_fetch_wait(*another, -1));
}

static void test_vain_wait(enum mode mode) {
  struct app app;
  char url[64];
  atomic_int got = 0;
  if (mode != MODE_TICK) return;
  make(&app, mode);
  app_route(&app, APUS_GET, "/body", app_body_handler, NULL);
  harness_start(&app);
  apus_client client = apus_client_make();
  snprintf(url, sizeof url, "http://127.0.0.1:%d/body", app.port);
  apus_fetch fetch = apus_fetch_make(client, "GET", url);
  apus_fetch another = apus_fetch_make(client, "GET", url);
  CHECK_INT(0, apus_fetch_on_body(another, count_piece, &got, NULL));
  CHECK_INT(0, apus_fetch_on_complete(fetch, wait_in_vain, &another, NULL));
  CHECK(apus_fetch_send(fetch) != 0);
  CHECK_INT(1, apus_fetch_wait(another, -1));
  CHECK_INT(APP_BODY, atomic_load(&got));
  CHECK_INT(1, apus_fetch_destroy(fetch));
  CHECK_INT(1, apus_fetch_destroy(another));
  CHECK_INT(1, apus_client_destroy(client));
  harness_stop(&app);
}

/* Starts a fetch, and goes on when another thread has waited for its end. */
static void start_another(void *context, apus_fetch fetch, apus_response response, int32_t result) {
  (void)fetch, (void)response;
  CHECK_INT(0, result);
  CHECK_INT(0, apus_fetch_start(*(apus_fetch *)context));
  atomic_store(&sent, 1);
  EVENTUALLY(atomic_load(&taken) != 0);
}

static void *wait_for_another(void *context) {
  EVENTUALLY(atomic_load(&sent) != 0);
  CHECK_INT(1, apus_fetch_wait(*(apus_fetch *)context, -1));
  atomic_store(&taken, 1);
  return NULL;
}

/* What the thread that ticks has begun waits no longer than somebody waits for it. */
static void test_waited_for(enum mode mode) {
  struct app app;
  char url[64];
  pthread_t thread;
  if (mode != MODE_WORKER) return;
  make(&app, mode);
  app_route(&app, APUS_GET, "/body", app_body_handler, NULL);
  harness_start(&app);
  atomic_store(&sent, 0);
  atomic_store(&taken, 0);
  apus_client client = apus_client_make();
  snprintf(url, sizeof url, "http://127.0.0.1:%d/body", app.port);
  apus_fetch fetch = apus_fetch_make(client, "GET", url);
  apus_fetch another = apus_fetch_make(client, "GET", url);
  CHECK_INT(0, apus_fetch_on_complete(fetch, start_another, &another, NULL));
  CHECK_INT(0, pthread_create(&thread, NULL, wait_for_another, &another));
  CHECK(apus_fetch_send(fetch) != 0);
  CHECK_INT(0, pthread_join(thread, NULL));
  CHECK_INT(1, apus_fetch_destroy(fetch));
  CHECK_INT(1, apus_fetch_destroy(another));
  CHECK_INT(1, apus_client_destroy(client));
  harness_stop(&app);
}

/* ------------------------------------------------------------- a server that has stopped */

static _Atomic apus_request many[16];
static atomic_int kept;

static void keep_handler(void *context, apus_request request) {
  (void)context;
  app_defer(request);
  int index = atomic_fetch_add(&kept, 1);
  CHECK(index < 16);
  atomic_store(&many[index], request);
}

static void *use_kept(void *context) {
  (void)context;
  for (int i = 0; i < 16; i++) {
    apus_request request = atomic_load(&many[i]);
    CHECK_NONE(APUS_E_NOT_FOUND, apus_request_signed_cookie(request, "name", -1, NULL));
    CHECK_TEXT("b", apus_request_host(request));
    CHECK_INT(1, apus_request_destroy(request));
  }
  atomic_store(&taken, 1);
  return NULL;
}

/* Requests that were kept, while their server is set up for another start. */
static void test_set_up_anew(enum mode mode) {
  static const char key[] = "a key of thirty-two bytes, or so";
  char folder[] = "meanwhile-test-XXXXXX", page[64];
  struct app app;
  struct client clients[16];
  pthread_t thread;
  CHECK(mkdtemp(folder) != NULL);
  snprintf(page, sizeof page, "%s/page.txt", folder);
  FILE *file = fopen(page, "w");
  CHECK(file != NULL && fputs("wrong", file) >= 0 && fclose(file) == 0);
  make(&app, mode);
  atomic_store(&kept, 0);
  CHECK_INT(0, apus_server_set_error_page(app.server, 500, page));
  CHECK_INT(0, apus_server_add_cookie_key(app.server, key, sizeof key - 1));
  CHECK_INT(0, apus_server_trust_proxy(app.server, "127.0.0.0/8"));
  CHECK_INT(0, apus_server_set_drain_timeout(app.server, 1));
  app_route(&app, APUS_GET, "/", keep_handler, NULL);
  harness_start(&app);
  for (int i = 0; i < 16; i++) {
    client_open(&clients[i], app.port);
    client_text(&clients[i], "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Host: b\r\n\r\n");
    EVENTUALLY(atomic_load(&kept) == i + 1);
  }
  harness_halt(&app);
  atomic_store(&taken, 0);
  CHECK_INT(0, pthread_create(&thread, NULL, use_kept, NULL));
  for (int i = 0; i < 30 || !atomic_load(&taken); i++) {
    char network[64];
    snprintf(network, sizeof network, "10.0.%d.0/24", i);
    CHECK_INT(0, apus_server_set_error_page(app.server, 500, page));
    if (i < 30) CHECK_INT(0, apus_server_trust_proxy(app.server, network));
    if (i < 3) CHECK_INT(0, apus_server_add_cookie_key(app.server, key, sizeof key - 1));
  }
  CHECK_INT(0, pthread_join(thread, NULL));
  for (int i = 0; i < 16; i++) client_close(&clients[i]);
  CHECK_INT(1, apus_server_destroy(app.server));
  CHECK_INT(0, remove(page));
  CHECK_INT(0, remove(folder));
}

int main(int argc, char **argv) {
  static const struct harness_case cases[] = {
      {"hurried", test_hurried},
      {"vain_wait", test_vain_wait},
      {"waited_for", test_waited_for},
      {"set_up_anew", test_set_up_anew},
  };
  return harness_main("meanwhile_test", argc, argv, CASES(cases));
}
