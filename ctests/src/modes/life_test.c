/*
 * life_test.c - servers that come and go: started, stopped and destroyed under
 * load, from outside, from other threads and from each of their own callbacks;
 * with requests pending; again and again. Each time everything comes back:
 * handles, threads, descriptors, and every drop exactly once. No callback
 * starts once destroy has returned.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "../helpers/harness.h"

/* What the repeating cases stop after: so many times, or so much time. */
#define REPEAT_MOST 120
#define REPEAT_MS 2500

/* One server's life; the context of all its callbacks. */
struct life {
  struct app app;
  atomic_int gone; /* destroy has returned, outside the callbacks */
  atomic_int registered, drops, calls, inside;
  int place; /* where the server ends itself, or -1 */
};

static void count_drop(void *context) { atomic_fetch_add(&((struct life *)context)->drops, 1); }

/* A pulled request is handled by the host's own loop, which no destroy waits for. */
static void entered(struct life *life) {
  if (!harness_pulled) CHECK_INT(0, atomic_load(&life->gone));
  atomic_fetch_add(&life->calls, 1);
}

/* A reply that a server on its way out may refuse. */
static void hello_handler(void *context, apus_request request) {
  entered(context);
  int32_t result = apus_reply_text(request, 200, "hello");
  CHECK(result == 0 || result == APUS_E_CLOSED || result == APUS_E_HANDLE);
}

static void connection_listener(void *context, apus_server server, uint64_t connection,
                                const char *peer, int32_t port) {
  (void)server;
  CHECK(connection >= 1 && port > 0 && peer[0] != '\0');
  entered(context);
}

static void receive_listener(void *context, apus_request request) {
  (void)request;
  entered(context);
}

static void replied_listener(void *context, apus_request request, int32_t status, uint64_t bytes) {
  (void)request;
  CHECK(status == 200 || status == 404 || status == 500 || status == 503);
  (void)bytes;
  entered(context);
}

static void life_make(struct life *life, enum mode mode) {
  memset(life, 0, sizeof *life);
  life->place = -1;
  app_make(&life->app, mode);
  CHECK_INT(0, apus_server_set_drain_timeout(life->app.server, 50));
}

static void life_route(struct life *life, const char *pattern, apus_handler_fn fn) {
  int32_t number = apus_server_get(life->app.server, pattern, fn, life, count_drop);
  app_keep_route(&life->app, number, fn, life);
  atomic_fetch_add(&life->registered, 1);
}

static void life_listeners(struct life *life) {
  apus_server server = life->app.server;
  CHECK_INT(0, apus_server_on_connect(server, connection_listener, life, count_drop));
  CHECK_INT(0, apus_server_on_disconnect(server, connection_listener, life, count_drop));
  CHECK_INT(0, apus_server_on_receive(server, receive_listener, life, count_drop));
  CHECK_INT(0, apus_server_on_reply(server, replied_listener, life, count_drop));
  atomic_fetch_add(&life->registered, 4);
}

static void life_join(struct life *life) {
  if (life->app.driven) CHECK_INT(0, pthread_join(life->app.driver, NULL));
  life->app.driven = 0;
}

/* The end of a life: the handle dead, every drop run, no callback after. */
static void life_over(struct life *life) {
  CHECK_INT(0, apus_server_is_alive(life->app.server));
  CHECK_CODE(APUS_E_HANDLE, apus_server_stop(life->app.server));
  CHECK_INT(0, apus_server_destroy(life->app.server));
  life_join(life);
  EVENTUALLY(atomic_load(&life->drops) == atomic_load(&life->registered));
  EVENTUALLY(apus_live_count(0) == 0);
}

/* ---------------------------------------------------------------------- load */

struct load {
  atomic_int port; /* 0: the server is away */
  atomic_int quit;
  atomic_llong replies;
  pthread_t thread;
};

/* Connects if it can: a server that is going away may refuse. */
static int load_connect(int port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  CHECK(fd >= 0);
  if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0) return fd;
  close(fd);
  return -1;
}

/* Pipelines requests and reads what comes, until the server goes away. */
static void load_once(struct load *load, int fd) {
  static const char text[] =
      "GET /hello HTTP/1.1\r\nHost: a\r\n\r\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\n"
      "GET /hello HTTP/1.1\r\nHost: a\r\n\r\nGET /none HTTP/1.1\r\nHost: a\r\n\r\n";
  struct client client;
  struct reply reply;
  int whole = REPLY_WHOLE;
  client_adopt(&client, fd);
  for (int round = 0; round < 20 && whole == REPLY_WHOLE; round++) {
    if (atomic_load(&load->quit)) break;
    if (client_send_some(&client, text, sizeof text - 1) < sizeof text - 1) break;
    for (int i = 0; i < 4 && whole == REPLY_WHOLE; i++) {
      whole = client_try_reply(&client, "GET", &reply);
      if (whole == REPLY_WHOLE) {
        CHECK(reply.status == 200 || reply.status == 404 || reply.status >= 500);
        atomic_fetch_add(&load->replies, 1);
      }
      reply_free(&reply);
    }
  }
  client_close(&client);
}

static void *load_run(void *context) {
  struct load *load = context;
  while (!atomic_load(&load->quit)) {
    int port = atomic_load(&load->port);
    int fd = port == 0 ? -1 : load_connect(port);
    if (fd < 0) {
      harness_breathe();
    } else {
      load_once(load, fd);
    }
  }
  return NULL;
}

static void load_start(struct load *load) {
  memset(load, 0, sizeof *load);
  CHECK_INT(0, pthread_create(&load->thread, NULL, load_run, load));
}

static void load_stop(struct load *load) {
  atomic_store(&load->quit, 1);
  CHECK_INT(0, pthread_join(load->thread, NULL));
  CHECK(atomic_load(&load->replies) > 0);
}

/* ------------------------------------------------------------- under load */

static void *destroy_thread(void *context) {
  struct life *life = context;
  return (void *)(intptr_t)apus_server_destroy(life->app.server);
}

static void *stop_thread(void *context) {
  struct life *life = context;
  int32_t result = apus_server_stop(life->app.server);
  CHECK(result == 0 || result == APUS_E_STATE || result == APUS_E_HANDLE);
  return NULL;
}

/* Two threads destroy while two stop: exactly one of the first says 1. */
static void end_together(struct life *life) {
  pthread_t threads[4];
  intptr_t alive = 0;
  for (int i = 0; i < 4; i++) {
    void *(*run)(void *) = i % 2 == 0 ? destroy_thread : stop_thread;
    CHECK_INT(0, pthread_create(&threads[i], NULL, run, life));
  }
  for (int i = 0; i < 4; i++) {
    void *result = NULL;
    CHECK_INT(0, pthread_join(threads[i], &result));
    alive += (intptr_t)result;
  }
  CHECK_INT(1, alive);
}

static void end_life(struct life *life, int way) {
  apus_server server = life->app.server;
  switch (way) {
    case 0:
      CHECK_INT(0, apus_server_stop(server));
      CHECK_INT(0, apus_server_is_running(server));
      CHECK_CODE(APUS_E_STATE, apus_server_stop(server));
      CHECK_INT(1, apus_server_destroy(server));
      break;
    case 1:
      CHECK_INT(1, apus_server_destroy(server));
      break;
    default:
      end_together(life);
  }
}

static void test_under_load(enum mode mode) {
  struct load load;
  load_start(&load);
  int threads = harness_threads();
  int64_t limit = harness_now_ms() + REPEAT_MS;
  for (int i = 0; i < REPEAT_MOST && (i < 6 || harness_now_ms() < limit); i++) {
    struct life *life = calloc(1, sizeof *life);
    CHECK(life != NULL);
    life_make(life, mode);
    life_route(life, "/hello", hello_handler);
    life_listeners(life);
    harness_start(&life->app);
    long long before = atomic_load(&load.replies);
    atomic_store(&load.port, life->app.port);
    EVENTUALLY(atomic_load(&load.replies) >= before + 8);
    atomic_store(&load.port, 0);
    end_life(life, i % 3);
    atomic_store(&life->gone, 1);
    CHECK_INT(0, apus_live_count(0));
    life_over(life);
    EVENTUALLY(harness_threads() <= threads);
    free(life);
  }
  load_stop(&load);
}

/* Nobody asks anything: only the making and the unmaking. */
static void test_empty(enum mode mode) {
  int threads = harness_threads();
  int descriptors = harness_descriptors();
  int64_t limit = harness_now_ms() + REPEAT_MS;
  for (int i = 0; i < 300 && (i < 6 || harness_now_ms() < limit); i++) {
    struct life life;
    life_make(&life, mode);
    life_route(&life, "/hello", hello_handler);
    life_listeners(&life);
    if (i % 4 != 0) harness_start(&life.app);
    if (i % 4 == 2) CHECK_INT(0, apus_server_stop(life.app.server));
    CHECK_INT(1, apus_server_destroy(life.app.server));
    life_over(&life);
  }
  EVENTUALLY(harness_threads() <= threads);
  EVENTUALLY(harness_descriptors() == descriptors);
}

/* --------------------------------------------------- from its own callbacks */

enum place {
  PLACE_HANDLER,
  PLACE_CONNECT,
  PLACE_RECEIVE,
  PLACE_REPLY,
  PLACE_TICK,
  PLACE_ACCESS,
  PLACE_BODY,
  PLACE_CLOSE,
  PLACE_DISCONNECT,
  PLACE_ERROR,
  PLACE_COUNT
};

static atomic_int end_by_stop;

/* Ends the server if this is the place; what the callback may do after that. */
static void end_here(struct life *life, enum place place) {
  entered(life);
  if (life->place != (int)place) return;
  apus_server server = life->app.server;
  if (atomic_load(&end_by_stop)) {
    int32_t result = apus_server_stop(server);
    CHECK(result == 0 || (result == APUS_E_STATE && atomic_load(&life->inside) > 0));
    CHECK_INT(1, apus_server_is_alive(server));
  } else {
    int32_t result = apus_server_destroy(server);
    CHECK_INT(atomic_load(&life->inside) == 0 ? 1 : 0, result);
    CHECK_INT(0, apus_server_is_alive(server));
    CHECK_CODE(APUS_E_HANDLE, apus_server_tick(server, 0));
  }
  atomic_fetch_add(&life->inside, 1);
}

static void place_handler(void *context, apus_request request) {
  end_here(context, PLACE_HANDLER);
  int32_t result = apus_reply_text(request, 200, "hello");
  CHECK(result == 0 || result == APUS_E_CLOSED || result == APUS_E_HANDLE);
}

static void place_connect(void *context, apus_server server, uint64_t connection, const char *peer,
                          int32_t port) {
  end_here(context, PLACE_CONNECT);
  (void)server;
  CHECK(connection >= 1 && port > 0 && strcmp(peer, "127.0.0.1") == 0);
}

static void place_disconnect(void *context, apus_server server, uint64_t connection,
                             const char *peer, int32_t port) {
  end_here(context, PLACE_DISCONNECT);
  (void)server;
  CHECK(connection >= 1 && port > 0 && strcmp(peer, "127.0.0.1") == 0);
}

static void place_receive(void *context, apus_request request) {
  end_here(context, PLACE_RECEIVE);
  (void)apus_request_path(request);
}

static void place_reply(void *context, apus_request request, int32_t status, uint64_t bytes) {
  end_here(context, PLACE_REPLY);
  (void)apus_request_path(request);
  (void)status;
  (void)bytes;
}

static void place_tick(void *context, apus_server server) {
  struct life *life = context;
  if (atomic_load(&life->calls) < 2) return;
  end_here(life, PLACE_TICK);
  (void)server;
}

static void place_access(void *context, apus_server server, const char *line, size_t length) {
  end_here(context, PLACE_ACCESS);
  (void)server;
  CHECK_INT(length, strlen(line));
}

static void place_error(void *context, apus_server server, uint64_t connection, int32_t code,
                        int32_t status, const char *peer) {
  end_here(context, PLACE_ERROR);
  (void)server;
  CHECK(connection >= 1 && code < 0 && status >= 0 && peer[0] != '\0');
}

static void place_piece(void *context, apus_request request, const void *data, size_t length,
                        int32_t last) {
  (void)data;
  (void)length;
  end_here(context, PLACE_BODY);
  if (last == 1) apus_reply_text(request, 200, "taken");
  if (last == -1) apus_request_destroy(request);
}

static void place_stream(void *context, apus_request request) {
  struct life *life = context;
  entered(life);
  atomic_fetch_add(&life->registered, 1); /* before the call: its drop may come at once */
  int32_t result = apus_request_on_body(request, place_piece, life, count_drop);
  CHECK(result == 0 || result == APUS_E_CLOSED || result == APUS_E_HANDLE);
}

static void place_close(void *context, apus_writer writer) {
  end_here(context, PLACE_CLOSE);
  apus_writer_destroy(writer);
}

static void place_writer(void *context, apus_request request) {
  struct life *life = context;
  entered(life);
  apus_writer writer = apus_writer_make(request);
  if (writer == 0) return;
  atomic_fetch_add(&life->registered, 1);
  apus_writer_on_close(writer, place_close, life, count_drop);
  apus_writer_write(writer, "written", APUS_STRLEN);
  apus_writer_end(writer);
}

static void place_make(struct life *life, enum mode mode, enum place place) {
  life_make(life, mode);
  life->place = (int)place;
  apus_server server = life->app.server;
  life_route(life, "/hello", place_handler);
  life_route(life, "/writer", place_writer);
  app_stream(&life->app, APUS_POST, "/up", place_stream, life);
  CHECK_INT(0, apus_server_on_connect(server, place_connect, life, count_drop));
  CHECK_INT(0, apus_server_on_disconnect(server, place_disconnect, life, count_drop));
  CHECK_INT(0, apus_server_on_receive(server, place_receive, life, count_drop));
  CHECK_INT(0, apus_server_on_reply(server, place_reply, life, count_drop));
  CHECK_INT(0, apus_server_on_tick(server, place_tick, life, count_drop));
  CHECK_INT(0, apus_server_on_access(server, place_access, life, count_drop));
  CHECK_INT(0, apus_server_on_error(server, place_error, life, count_drop));
  atomic_fetch_add(&life->registered, 7);
  harness_start(&life->app);
}

/* Sends what brings the server to each of the places, and reads to the end. */
static void place_ask(struct life *life) {
  static const char text[] =
      "GET /hello HTTP/1.1\r\nHost: a\r\n\r\nGET /writer HTTP/1.1\r\nHost: a\r\n\r\n"
      "POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbodyGARBAGE\r\n\r\n";
  struct client client;
  struct reply reply;
  int fd = load_connect(life->app.port);
  if (fd < 0) return;
  client_adopt(&client, fd);
  client_send_some(&client, text, sizeof text - 1);
  for (int whole = REPLY_WHOLE; whole == REPLY_WHOLE;) {
    whole = client_try_reply(&client, "GET", &reply);
    reply_free(&reply);
  }
  client_close(&client);
}

/* Outside the tick there is no such callback; pulled requests are not inside
 * a callback, so that stop may wait for them up to the drain time limit. */
static int place_exists(enum mode mode, enum place place) {
  return place != PLACE_TICK || mode == MODE_TICK || mode == MODE_THREADLESS;
}

static void test_from_inside(enum mode mode) {
  int threads = harness_threads();
  int descriptors = harness_descriptors();
  for (int round = 0; round < 6; round++) {
    atomic_store(&end_by_stop, round % 2);
    for (int place = 0; place < PLACE_COUNT; place++) {
      struct life life;
      if (!place_exists(mode, (enum place)place)) continue;
      place_make(&life, mode, (enum place)place);
      place_ask(&life);
      EVENTUALLY(atomic_load(&life.inside) >= 1);
      if (round % 2 == 1) {
        EVENTUALLY(apus_server_is_running(life.app.server) == 0);
        CHECK_INT(1, apus_server_destroy(life.app.server));
      }
      life_over(&life);
    }
  }
  EVENTUALLY(harness_threads() <= threads);
  EVENTUALLY(harness_descriptors() == descriptors);
}

int main(int argc, char **argv) {
  static const struct harness_case cases[] = {
      {"empty", test_empty},
      {"under_load", test_under_load},
      {"from_inside", test_from_inside},
  };
  return harness_main("life_test", argc, argv, CASES(cases));
}
