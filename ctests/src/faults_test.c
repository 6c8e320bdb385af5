/*
 * faults_test.c - what the system refuses, and threads that are held up at the
 * worst moment: this program has functions of libc of its own, which the library
 * calls. Memory that is asked for can be refused, and threads; and a thread can
 * be made to stand still behind each of its unlocks in turn, while others go on.
 *
 * A sanitizer has such functions, too: hence
 * ctest: nosanitize
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "helpers/harness.h"

#include <dlfcn.h>
#include <malloc.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);

/* The allocation of this thread that fails, counted down to; 0: none. */
static _Thread_local int memory_fails;
/* Every reallocation of this size fails, on all threads; 0: none. */
static _Atomic size_t size_fails;
/* The thread's start that fails, and the unlock behind which this one waits. */
static _Thread_local int thread_fails, unlock_waits;
/* How many locks this thread holds. */
static _Thread_local int locks;
static atomic_int waiting, released;

static int is_due(int *count) { return *count > 0 && --*count == 0; }

void *malloc(size_t size) {
  if (!is_due(&memory_fails)) return __libc_malloc(size);
  errno = ENOMEM;
  return NULL;
}

void *calloc(size_t count, size_t size) {
  if (!is_due(&memory_fails)) return __libc_calloc(count, size);
  errno = ENOMEM;
  return NULL;
}

void *realloc(void *old, size_t size) {
  if (!is_due(&memory_fails) && (size == 0 || size != atomic_load(&size_fails))) {
    return __libc_realloc(old, size);
  }
  errno = ENOMEM;
  return NULL;
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                   void *context) {
  int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *) = NULL;
  *(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
  return is_due(&thread_fails) ? EAGAIN : real(thread, attributes, run, context);
}

/* The system's function of a name, looked up once. */
#define CALL_REAL(name, mutex)                   \
  static int (*_Atomic real)(pthread_mutex_t *); \
  int (*found)(pthread_mutex_t *) = real;        \
  if (found == NULL) {                           \
    *(void **)&found = dlsym(RTLD_NEXT, name);   \
    real = found;                                \
  }                                              \
  int result = found(mutex)

int pthread_mutex_lock(pthread_mutex_t *mutex) {
  CALL_REAL("pthread_mutex_lock", mutex);
  locks += result == 0;
  return result;
}

int pthread_mutex_trylock(pthread_mutex_t *mutex) {
  CALL_REAL("pthread_mutex_trylock", mutex);
  locks += result == 0;
  return result;
}

/* A thread that holds another lock is not held up: whoever waits for that would wait for
 * ever. */
int pthread_mutex_unlock(pthread_mutex_t *mutex) {
  CALL_REAL("pthread_mutex_unlock", mutex);
  locks -= result == 0;
  if (locks == 0 && is_due(&unlock_waits)) {
    atomic_store(&waiting, 1);
    while (!atomic_load(&released)) harness_breathe();
  }
  return result;
}

/* ------------------------------------------------------- held up on its way */

#define MOST_UNLOCKS 16

static atomic_ullong target; /* what the thread that is held up works on */
static atomic_int drops, over;

static void count_drop(void *context) {
  (void)context;
  atomic_fetch_add(&drops, 1);
}

static void ignore_writer(void *context, apus_writer writer) {
  (void)context;
  (void)writer;
}

static void keep_request(void *context, apus_request request) {
  (void)context;
  app_defer(request);
  atomic_store(&target, request);
}

static void keep_writer(void *context, apus_request request) {
  (void)context;
  apus_writer writer = apus_writer_make(request);
  CHECK(writer != 0);
  CHECK_INT(0, apus_writer_on_close(writer, ignore_writer, NULL, count_drop));
  atomic_store(&target, writer);
}

static void *let_go(void *context) {
  uint64_t handle = atomic_load(&target);
  unlock_waits = *(int *)context;
  if (apus_handle_kind(handle) == APUS_KIND_WRITER) {
    CHECK_INT(1, apus_writer_destroy(handle));
  } else {
    CHECK_INT(1, apus_request_destroy(handle));
  }
  unlock_waits = 0;
  atomic_store(&over, 1);
  return NULL;
}

static void hold_up(pthread_t *thread, void *(*run)(void *), int *unlock) {
  atomic_store(&waiting, 0);
  atomic_store(&released, 0);
  atomic_store(&over, 0);
  CHECK_INT(0, pthread_create(thread, NULL, run, unlock));
  EVENTUALLY(atomic_load(&waiting) || atomic_load(&over));
}

static void go_on(pthread_t thread) {
  atomic_store(&released, 1);
  CHECK_INT(0, pthread_join(thread, NULL));
}

/* Whoever lets go of a request stands still somewhere on his way, while the
 * server stops, frees what it can, and starts again. */
static void check_let_go(enum mode mode, apus_handler_fn handler, int has_stopped) {
  int most = handler == keep_writer ? 1 : 0;
  for (int unlock = 1; unlock <= MOST_UNLOCKS; unlock++) {
    struct app app;
    struct client client;
    pthread_t thread;
    atomic_store(&target, 0);
    atomic_store(&drops, 0);
    app_make(&app, mode);
    CHECK_INT(0, apus_server_set_drain_timeout(app.server, 0));
    app_route(&app, APUS_GET, "/", handler, NULL);
    harness_start(&app);
    client_open(&client, app.port);
    client_get(&client, "/");
    EVENTUALLY(atomic_load(&target) != 0);
    if (has_stopped) harness_halt(&app);
    hold_up(&thread, let_go, &unlock);
    if (!has_stopped) harness_halt(&app);
    for (int i = 0; i < 2; i++) {
      harness_start(&app);
      harness_halt(&app);
    }
    go_on(thread);
    client_close(&client);
    CHECK_INT(1, apus_server_destroy(app.server));
    CHECK_INT(most, atomic_load(&drops));
  }
}

static void test_let_go(enum mode mode) {
  (void)mode;
  for (int i = MODE_TICK; i <= MODE_THREADLESS; i++) {
    for (int has_stopped = 0; has_stopped < 2; has_stopped++) {
      if (i != MODE_PULL) check_let_go((enum mode)i, keep_writer, has_stopped);
      check_let_go((enum mode)i, keep_request, has_stopped);
    }
  }
}

/* ---------------------------------------------------------- a start that fails */

static void hello_handler(void *context, apus_request request) {
  (void)context;
  CHECK_INT(0, apus_reply_text(request, 200, "hello"));
}

static void *start_badly(void *context) {
  unlock_waits = *(int *)context;
  thread_fails = 2;
  int32_t result = apus_server_start(atomic_load(&target));
  CHECK(result == APUS_E_IO || result == APUS_E_STATE);
  unlock_waits = thread_fails = 0;
  atomic_store(&over, 1);
  return NULL;
}

/* Its second worker gets no thread, and while that is taken back another thread
 * starts the server, or does not; then it serves in any case. */
static void test_start_fails(enum mode mode) {
  for (int unlock = 1; unlock <= MOST_UNLOCKS; unlock++) {
    struct app app;
    struct client client;
    pthread_t thread;
    app_make(&app, mode);
    app_route(&app, APUS_GET, "/", hello_handler, NULL);
    CHECK_INT(0, apus_server_listen(app.server, "127.0.0.1", 0));
    atomic_store(&target, app.server);
    hold_up(&thread, start_badly, &unlock);
    int32_t result = apus_server_start(app.server);
    CHECK(result == 0 || result == APUS_E_STATE);
    go_on(thread);
    if (result == 0) {
      CHECK_INT(1, apus_server_is_running(app.server));
      CHECK_INT(0, apus_server_stop(app.server));
    }
    harness_start(&app);
    client_open(&client, app.port);
    client_get(&client, "/");
    CLIENT_EXPECT(&client, "GET", 200, "hello");
    client_close(&client);
    harness_stop(&app);
  }
}

/* ------------------------------------------------------ memory that runs out */

/* Each allocation of a route's making fails once; then the route is made. */
static void test_routes(enum mode mode) {
  struct app app;
  app_make(&app, mode);
  for (int number = 0; number < 40; number++) {
    char pattern[64];
    int32_t result = APUS_E_MEMORY;
    snprintf(pattern, sizeof pattern, number % 2 == 0 ? "/a/route/%d" : "/a/:name/%d", number);
    for (int fails = 1; result == APUS_E_MEMORY; fails++) {
      memory_fails = fails;
      result = apus_server_get(app.server, pattern, hello_handler, NULL, NULL);
      memory_fails = 0;
    }
    CHECK_INT(number, app_keep_route(&app, result, hello_handler, NULL));
  }
  harness_start(&app);
  for (int number = 0; number < 40; number++) {
    struct client client;
    client_open(&client, app.port);
    client_format(&client, "GET /a/%s/%d HTTP/1.1\r\nHost: a\r\n\r\n",
                  number % 2 == 0 ? "route" : "other", number);
    CLIENT_EXPECT(&client, "GET", 200, "hello");
    client_close(&client);
  }
  harness_stop(&app);
}

#define WRITERS 12

static _Atomic apus_writer writers[WRITERS];
static atomic_int writer_count, closes;

static void count_close(void *context, apus_writer writer) {
  (void)context;
  atomic_fetch_add(&closes, 1);
  CHECK_INT(1, apus_writer_destroy(writer));
}

static void many_writers(void *context, apus_request request) {
  (void)context;
  apus_writer writer = apus_writer_make(request);
  CHECK(writer != 0);
  CHECK_INT(0, apus_writer_on_close(writer, count_close, NULL, count_drop));
  atomic_store(&writers[atomic_fetch_add(&writer_count, 1)], writer);
}

/* A turn with more events than there is memory for: they come all the same. */
static void test_events(enum mode mode) {
  struct app app;
  struct client client;
  atomic_store(&drops, 0);
  app_make(&app, mode);
  app_route(&app, APUS_GET, "/", many_writers, NULL);
  harness_start(&app);
  client_open(&client, app.port);
  for (int i = 0; i < WRITERS; i++) {
    client_get(&client, "/");
    EVENTUALLY(atomic_load(&writer_count) == i + 1);
  }
  atomic_store(&size_fails, 8 * 16); /* a list of four events that grows */
  client_leave(&client);
  EVENTUALLY(atomic_load(&closes) == WRITERS);
  atomic_store(&size_fails, 0);
  EVENTUALLY(atomic_load(&drops) == WRITERS);
  harness_stop(&app);
}

/* Any allocation may fail of those that a URL takes. */
static void test_urls(enum mode mode) {
  static const char *const pairs[][3] = {
      {"http://example.com/a", "/b", "http://example.com/b"},
      {"http://example.com/a/b", "../c?d#e", "http://example.com/c?d#e"},
      {"http://a/", "https://[2001:db8::1]:8080/x", "https://[2001:db8::1]:8080/x"},
      {"http://[::1]/", "//u:p@[::2]/", "http://u:p@[::2]/"}};
  (void)mode;
  for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
    char text[200];
    int32_t result = APUS_E_MEMORY;
    int fails = 1;
    for (; result == APUS_E_MEMORY; fails++) {
      memory_fails = fails;
      result = apus_url_resolve(pairs[i][0], pairs[i][1], text, sizeof text);
      memory_fails = 0;
    }
    CHECK_INT(strlen(pairs[i][2]), result);
    CHECK_TEXT(pairs[i][2], text);
    CHECK(fails > 3);
  }
}

int main(void) {
  static const struct harness_case cases[] = {
      {"let_go", test_let_go}, {"start_fails", test_start_fails},
      {"routes", test_routes}, {"events", test_events},
      {"urls", test_urls},
  };
  mallopt(M_PERTURB, 0xA5); /* what was freed is not what it was */
  return harness_run("faults_test", MODE_TICK, getenv("FAULTS_CASE"), CASES(cases));
}
