/*
 * accept_test.c - several workers at the same listeners: each watches them, the
 * connections are shared out evenly, one that a callback blocks does not keep new
 * ones from the others, all pause and go on together when descriptors run short,
 * and a listener is closed when the last one has let go of it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "../helpers/calls.h"
#include "../helpers/harness.h"

#define WORKERS_MOST 4
#define BURST 24 /* can be divided by 1 to 4 */

static void hello_handler(void *context, apus_request request) {
  (void)context;
  int32_t result = apus_reply_text(request, 200, "hello");
  CHECK(result == 0 || result == APUS_E_CLOSED || result == APUS_E_HANDLE);
}

static pthread_mutex_t gate_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_opens = PTHREAD_COND_INITIALIZER;
static int gate_is_open;
static atomic_int blocked;

static void block_handler(void *context, apus_request request) {
  (void)context;
  pthread_mutex_lock(&gate_lock);
  atomic_fetch_add(&blocked, 1);
  while (!gate_is_open) pthread_cond_wait(&gate_opens, &gate_lock);
  pthread_mutex_unlock(&gate_lock);
  CHECK_INT(0, apus_reply_text(request, 200, "late"));
}

static void gate_set(int is_open) {
  pthread_mutex_lock(&gate_lock);
  gate_is_open = is_open;
  pthread_cond_broadcast(&gate_opens);
  pthread_mutex_unlock(&gate_lock);
}

/* Starts a server; returns how many workers it has. */
static int start_app(struct app *app, enum mode mode, int workers) {
  app_make(app, mode);
  if (mode == MODE_THREADLESS) workers = 1;
  if (mode != MODE_THREADLESS) CHECK_INT(0, apus_server_set_workers(app->server, workers));
  app_route(app, APUS_GET, "/hello", hello_handler, NULL);
  app_route(app, APUS_GET, "/block", block_handler, NULL);
  harness_start(app);
  return workers;
}

static void open_and_ask(struct client *clients, int count, int32_t port) {
  for (int i = 0; i < count; i++) {
    client_open(&clients[i], port);
    client_get(&clients[i], "/hello");
  }
}

static void expect_and_close(struct client *clients, int count) {
  for (int i = 0; i < count; i++) {
    CLIENT_EXPECT(&clients[i], "GET", 200, "hello");
    client_close(&clients[i]);
  }
}

/* How many of them something has come for. */
static int answered(const struct client *clients, int count) {
  struct pollfd items[BURST];
  CHECK(count <= BURST);
  for (int i = 0; i < count; i++) {
    items[i] = (struct pollfd){.fd = clients[i].fd, .events = POLLIN};
  }
  int result = poll(items, (nfds_t)count, 0);
  CHECK(result >= 0);
  return result;
}

/* Each worker has so many connections more than before. */
static void check_shares(const int *pollers, int count, const int *before, int more) {
  for (int i = 0; i < count; i++) {
    CHECK_INT(before[i] + more, calls_locked(&calls_given[pollers[i]]));
  }
}

/* ------------------------------------------------------------------- balance */

/* Whoever accepts, each worker gets its share, to the connection. */
static void test_balance(enum mode mode) {
  for (int wanted = 1; wanted <= WORKERS_MOST; wanted++) {
    struct app app;
    struct client clients[BURST];
    int pollers[WORKERS_MOST], before[WORKERS_MOST];
    int workers = start_app(&app, mode, wanted);
    CHECK_INT(workers, calls_pollers(pollers, WORKERS_MOST));
    CHECK_INT(workers > 1 ? workers : 0, calls_exclusive());
    for (int i = 0; i < workers; i++) before[i] = calls_locked(&calls_given[pollers[i]]);
    for (int round = 1; round <= 4; round++) {
      open_and_ask(clients, BURST, app.port);
      expect_and_close(clients, BURST);
      check_shares(pollers, workers, before, round * BURST / workers);
    }
    harness_stop(&app);
    CHECK_INT(0, calls_pollers(pollers, WORKERS_MOST));
  }
}

/* ------------------------------------------------------------------- blocked */

/* Each worker in turn is in a callback that does not return: of new connections
 * only its own share waits. */
static void test_blocked(enum mode mode) {
  if (mode != MODE_WORKER) return; /* in the others no callback is a worker's */
  struct app app;
  struct client first[WORKERS_MOST], clients[BURST];
  int share = BURST / WORKERS_MOST;
  start_app(&app, mode, WORKERS_MOST);
  atomic_store(&blocked, 0);
  for (int i = 0; i < WORKERS_MOST; i++) { /* one after another: one for each worker */
    client_open(&first[i], app.port);
    client_get(&first[i], "/hello");
    CLIENT_EXPECT(&first[i], "GET", 200, "hello");
  }
  for (int i = 0; i < WORKERS_MOST; i++) {
    gate_set(0);
    client_get(&first[i], "/block");
    EVENTUALLY(atomic_load(&blocked) == i + 1);
    open_and_ask(clients, BURST, app.port);
    EVENTUALLY(answered(clients, BURST) == BURST - share);
    gate_set(1);
    expect_and_close(clients, BURST);
    CLIENT_EXPECT(&first[i], "GET", 200, "late");
  }
  for (int i = 0; i < WORKERS_MOST; i++) client_close(&first[i]);
  harness_stop(&app);
}

static void *stop_thread(void *context) {
  CHECK_INT(0, apus_server_stop(((struct app *)context)->server));
  return NULL;
}

/* The server stops: the others let go at once, the blocked worker when it can,
 * and only then the listener is closed. */
static void test_last_closes(enum mode mode) {
  if (mode != MODE_WORKER) return;
  struct app app;
  struct client client;
  pthread_t thread;
  int pollers[WORKERS_MOST];
  start_app(&app, mode, WORKERS_MOST);
  int closed = calls_locked(&calls_closed_listeners);
  atomic_store(&blocked, 0);
  gate_set(0);
  client_open(&client, app.port);
  client_get(&client, "/block");
  EVENTUALLY(atomic_load(&blocked) == 1);
  CHECK_INT(0, pthread_create(&thread, NULL, stop_thread, &app));
  EVENTUALLY(calls_pollers(pollers, WORKERS_MOST) == 1);
  CHECK_INT(closed, calls_locked(&calls_closed_listeners));
  CHECK_INT(app.port, apus_server_port(app.server, 0));
  gate_set(1);
  CHECK_INT(0, pthread_join(thread, NULL));
  CHECK_INT(closed + 1, calls_locked(&calls_closed_listeners));
  CHECK_INT(0, calls_pollers(pollers, WORKERS_MOST));
  CLIENT_EXPECT(&client, "GET", 200, "late");
  client_close(&client);
  CHECK_INT(1, apus_server_destroy(app.server));
}

/* --------------------------------------------------------------------- pause */

/* Connections wait and no descriptor is to be had: nobody watches, so nobody is
 * woken; who is connected is served. Then all go on, and the shares are even. */
static void pause_once(struct app *app, int workers, int round) {
  struct client inside, clients[BURST];
  int pollers[WORKERS_MOST], told[WORKERS_MOST], idle[WORKERS_MOST], before[WORKERS_MOST];
  client_open(&inside, app->port);
  client_get(&inside, "/hello");
  CLIENT_EXPECT(&inside, "GET", 200, "hello");
  CHECK_INT(workers, calls_pollers(pollers, WORKERS_MOST));
  for (int i = 0; i < workers; i++) before[i] = calls_locked(&calls_given[pollers[i]]);
  atomic_store(&calls_starving, 1);
  /* One that waits need not wake more than one worker: that tells the others. */
  open_and_ask(clients, 1, app->port);
  EVENTUALLY(apus_server_counter(app->server, APUS_COUNT_ACCEPT_PAUSES) == round);
  int left[WORKERS_MOST];
  EVENTUALLY(calls_pollers(left, WORKERS_MOST) == 0);
  open_and_ask(clients + 1, BURST - 1, app->port);
  for (int i = 0; i < workers; i++) {
    told[i] = atomic_load(&calls_told[pollers[i]]);
    idle[i] = atomic_load(&calls_idle[pollers[i]]);
  }
  for (int i = 0; i < workers; i++) EVENTUALLY(atomic_load(&calls_idle[pollers[i]]) >= idle[i] + 3);
  for (int i = 0; i < workers; i++) CHECK_INT(told[i], atomic_load(&calls_told[pollers[i]]));
  client_get(&inside, "/hello");
  CLIENT_EXPECT(&inside, "GET", 200, "hello");
  CHECK_INT(0, answered(clients, BURST));
  CHECK_INT(round, apus_server_counter(app->server, APUS_COUNT_ACCEPT_PAUSES));
  CHECK_INT(0, apus_server_is_accepting(app->server));
  atomic_store(&calls_starving, 0);
  EVENTUALLY(apus_server_is_accepting(app->server) == 1);
  expect_and_close(clients, BURST);
  EVENTUALLY(calls_pollers(left, WORKERS_MOST) == workers);
  check_shares(pollers, workers, before, BURST / workers);
  CHECK_INT(workers > 1 ? workers : 0, calls_exclusive());
  client_close(&inside);
}

static void count_drop(void *context) { ++*(int *)context; }

/* The log's function cannot change itself, and the library goes on. */
static void take_message(void *context, int32_t level, const char *text) {
  CHECK(level == APUS_LOG_WARNING || level == APUS_LOG_INFO);
  CHECK(strlen(text) > 0);
  int dropped = 0;
  CHECK_CODE(APUS_E_STATE, apus_set_log(take_message, &dropped, count_drop));
  CHECK_INT(1, dropped);
  atomic_fetch_add((atomic_int *)context, 1);
}

static void test_pause(enum mode mode) {
  struct app app;
  static atomic_int messages;
  CHECK_INT(0, apus_set_log(take_message, &messages, NULL));
  int workers = start_app(&app, mode, WORKERS_MOST);
  for (int round = 1; round <= 3; round++) pause_once(&app, workers, round);
  harness_stop(&app);
  CHECK_INT(0, apus_set_log(NULL, NULL, NULL));
  CHECK(atomic_load(&messages) >= 6);
}

/* It pauses when it stops. */
static void test_stop_in_pause(enum mode mode) {
  struct app app;
  struct client clients[BURST];
  int pollers[WORKERS_MOST];
  start_app(&app, mode, WORKERS_MOST);
  int closed = calls_locked(&calls_closed_listeners);
  atomic_store(&calls_starving, 1);
  open_and_ask(clients, BURST, app.port);
  EVENTUALLY(calls_pollers(pollers, WORKERS_MOST) == 0);
  harness_halt(&app);
  CHECK_INT(closed + 1, calls_locked(&calls_closed_listeners));
  for (int i = 0; i < BURST; i++) client_close(&clients[i]);
  atomic_store(&calls_starving, 0);
  harness_start(&app);
  open_and_ask(clients, BURST, app.port);
  expect_and_close(clients, BURST);
  harness_stop(&app);
}

/* The log's function is a callback like others: a stop from it waits for nobody. */
static void stop_from_log(void *context, int32_t level, const char *text) {
  (void)text;
  if (level == APUS_LOG_WARNING) CHECK_INT(0, apus_server_stop(((struct app *)context)->server));
}

static void test_stop_from_log(enum mode mode) {
  struct app app;
  struct client client;
  if (mode != MODE_WORKER) return;
  start_app(&app, mode, WORKERS_MOST);
  CHECK_INT(0, apus_set_log(stop_from_log, &app, NULL));
  atomic_store(&calls_starving, 1);
  open_and_ask(&client, 1, app.port);
  EVENTUALLY(apus_server_is_running(app.server) == 0);
  atomic_store(&calls_starving, 0);
  CHECK_INT(1, apus_server_destroy(app.server));
  CHECK_INT(0, apus_set_log(NULL, NULL, NULL));
  client_close(&client);
}

/* -------------------------------------------------------------- start and stop */

/* Connects and asks, again and again, whether anybody listens or not. */
struct load {
  atomic_int port, quit;
  pthread_t thread;
};

static void *load_run(void *context) {
  struct load *load = context;
  struct sockaddr_in address = {.sin_family = AF_INET};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  while (!atomic_load(&load->quit)) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0);
    address.sin_port = htons((uint16_t)atomic_load(&load->port));
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0) {
      struct client client;
      struct reply reply;
      client_adopt(&client, fd);
      static const char text[] = "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n";
      client_send_some(&client, text, sizeof text - 1);
      client_try_reply(&client, "GET", &reply);
      reply_free(&reply);
      client_leave(&client);
    } else {
      close(fd);
      harness_breathe();
    }
  }
  return NULL;
}

static void load_start(struct load *loads, int count, int32_t port) {
  for (int i = 0; i < count; i++) {
    atomic_store(&loads[i].quit, 0);
    atomic_store(&loads[i].port, port);
    CHECK_INT(0, pthread_create(&loads[i].thread, NULL, load_run, &loads[i]));
  }
}

static void load_stop(struct load *loads, int count) {
  for (int i = 0; i < count; i++) atomic_store(&loads[i].quit, 1);
  for (int i = 0; i < count; i++) CHECK_INT(0, pthread_join(loads[i].thread, NULL));
}

static void test_restarts(enum mode mode) {
  struct app app;
  struct load loads[3];
  int pollers[WORKERS_MOST];
  start_app(&app, mode, WORKERS_MOST);
  load_start(loads, 3, app.port);
  for (int i = 0; i < 40; i++) {
    long long target = apus_server_counter(app.server, APUS_COUNT_REPLIES) + 5;
    EVENTUALLY(apus_server_counter(app.server, APUS_COUNT_REPLIES) >= target);
    harness_halt(&app);
    CHECK_INT(0, calls_pollers(pollers, WORKERS_MOST));
    harness_start(&app);
    for (int k = 0; k < 3; k++) atomic_store(&loads[k].port, app.port);
  }
  harness_halt(&app);
  load_stop(loads, 3);
  CHECK_INT(1, apus_server_destroy(app.server));
}

/* A start that fails half way leaves nobody at the listener, which waits for another one. */
static void start_failing(enum mode mode, int watch, int thread) {
  struct app app;
  struct load load;
  int pollers[WORKERS_MOST];
  int descriptors = harness_descriptors();
  app_make(&app, mode);
  if (mode != MODE_THREADLESS) CHECK_INT(0, apus_server_set_workers(app.server, WORKERS_MOST));
  app_route(&app, APUS_GET, "/hello", hello_handler, NULL);
  CHECK_INT(0, apus_server_listen(app.server, "127.0.0.1", 0));
  app.port = apus_server_port(app.server, 0);
  load_start(&load, 1, app.port);
  atomic_store(&calls_refused_watch, watch);
#ifndef CALLS_KEEP_THREADS
  calls_refused_thread = thread;
#else
  (void)thread;
#endif
  CHECK_CODE(APUS_E_IO, apus_server_start(app.server));
  CHECK_INT(0, calls_pollers(pollers, WORKERS_MOST));
  CHECK_INT(0, apus_server_is_running(app.server));
  CHECK_INT(app.port, apus_server_port(app.server, 0));
  struct client client;
  harness_drive(&app);
  load_stop(&load, 1);
  client_open(&client, app.port);
  client_get(&client, "/hello");
  CLIENT_EXPECT(&client, "GET", 200, "hello");
  client_close(&client);
  harness_stop(&app);
  EVENTUALLY(harness_descriptors() == descriptors);
}

static void test_failed_start(enum mode mode) {
  int workers = mode == MODE_THREADLESS ? 1 : WORKERS_MOST;
  for (int i = 1; i <= workers; i++) start_failing(mode, i, 0);
#ifndef CALLS_KEEP_THREADS
  for (int i = 1; i <= workers && mode != MODE_THREADLESS; i++) start_failing(mode, 0, i);
#endif
}

int main(int argc, char **argv) {
  static const struct harness_case cases[] = {
      {"balance", test_balance},
      {"blocked", test_blocked},
      {"last_closes", test_last_closes},
      {"pause", test_pause},
      {"stop_in_pause", test_stop_in_pause},
      {"stop_from_log", test_stop_from_log},
      {"restarts", test_restarts},
      {"failed_start", test_failed_start},
  };
  return harness_main("accept_test", argc, argv, CASES(cases));
}
