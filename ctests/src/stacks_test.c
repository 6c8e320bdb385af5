/*
 * stacks_test.c - host threads with small stacks, of 64 KiB, call every style of function:
 * one is a server without threads of its own, and so does all that a worker does; another
 * is a client without threads. The stacks are painted before, so that what was used can be
 * told after, and have no page behind them that may be touched.
 *
 * ctest: nosanitize
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "helpers/figures.h"
#include "helpers/usage.h"

#include <sys/mman.h>

#define STACK (64 * 1024)
#define PAINT 0xA5

struct painted {
  unsigned char *memory; /* a page that must not be touched, and the stack */
  size_t page;
  pthread_t thread;
};

static void start_painted(struct painted *painted, size_t size, void *(*run)(void *),
                          void *context) {
  pthread_attr_t attributes;
  painted->page = (size_t)sysconf(_SC_PAGESIZE);
  painted->memory = mmap(NULL, painted->page + size, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  CHECK(painted->memory != MAP_FAILED);
  CHECK_INT(0, mprotect(painted->memory, painted->page, PROT_NONE));
  memset(painted->memory + painted->page, PAINT, size);
  CHECK_INT(0, pthread_attr_init(&attributes));
  CHECK_INT(0, pthread_attr_setstack(&attributes, painted->memory + painted->page, size));
  CHECK_INT(0, pthread_create(&painted->thread, &attributes, run, context));
  CHECK_INT(0, pthread_attr_destroy(&attributes));
}

/* How many bytes of it were used, what libc keeps there for the thread included. */
static size_t end_painted(struct painted *painted, size_t size) {
  size_t clean = 0;
  CHECK_INT(0, pthread_join(painted->thread, NULL));
  while (clean < size && painted->memory[painted->page + clean] == PAINT) clean++;
  munmap(painted->memory, painted->page + size);
  return size - clean;
}

/* ------------------------------------------------------------------- styles */

static struct usage usage;

static void *do_nothing(void *context) { return context; }

static void *drive(void *context) {
  (void)context;
  return app_drive(&usage.app);
}

static void *ask(void *context) {
  (void)context;
  usage_ask(&usage, 0);
  return NULL;
}

static void *live(void *context) {
  struct usage *own = context;
  usage_make(own, MODE_WORKER);
  CHECK(apus_server_listen(own->app.server, "127.0.0.1", 0) >= 0);
  CHECK_INT(0, apus_server_start(own->app.server));
  CHECK_INT(0, apus_server_stop(own->app.server));
  CHECK_INT(1, apus_server_destroy(own->app.server));
  return NULL;
}

static void *write_text(void *context) {
  char text[256];
  (void)context;
  CHECK(apus_url_resolve("http://a/b/c?d", "../e?f#g", text, sizeof text) > 0);
  CHECK(apus_percent_encode("a b", 3, 0, text, sizeof text) > 0);
  apus_request request = apus_request_parse("GET /a?b=c HTTP/1.1\r\nHost: a\r\nCookie: a=b\r\n\r\n",
                                            APUS_STRLEN, NULL);
  CHECK(request != 0);
  CHECK_TEXT("c", apus_request_query_param(request, "b", NULL));
  CHECK_TEXT("b", apus_request_cookie(request, "a", NULL));
  CHECK_INT(1, apus_request_destroy(request));
  CHECK_NONE(APUS_E_HANDLE, apus_fetch_make(0, "GET", "http://a/"));
  return NULL;
}

static size_t depths[5];

static void report(int at, const char *what, size_t used) {
  printf("%s: %zu bytes of stack\n", what, used);
  depths[at] = used;
}

static size_t run_alone(void *(*run)(void *), void *context) {
  struct painted painted;
  start_painted(&painted, STACK, run, context);
  return end_painted(&painted, STACK);
}

static void write_figures(void) {
  FILE *file = figures_open("stacks");
  if (file == NULL) return;
  fprintf(file,
          "{\n \"stack\": %d,\n \"empty\": %zu,\n \"text\": %zu,\n \"life\": %zu,\n "
          "\"server\": %zu,\n \"client\": %zu\n}\n",
          STACK, depths[0], depths[1], depths[2], depths[3], depths[4]);
  fclose(file);
}

static void test_stacks(enum mode mode) {
  struct painted server, client;
  (void)mode;
  usage_folders(&usage);
  report(0, "a thread that does nothing", run_alone(do_nothing, NULL));
  report(1, "text, URLs, parsing", run_alone(write_text, NULL));
  struct usage own = usage;
  report(2, "the life of a server", run_alone(live, &own));
  usage_make(&usage, MODE_THREADLESS);
  int32_t listener = apus_server_listen(usage.app.server, "127.0.0.1", 0);
  CHECK(listener >= 0);
  usage.app.port = apus_server_port(usage.app.server, listener);
  CHECK_INT(0, apus_server_start(usage.app.server));
  start_painted(&server, STACK, drive, NULL);
  start_painted(&client, STACK, ask, NULL);
  report(4, "a client without threads", end_painted(&client, STACK));
  CHECK_INT(0, apus_server_stop(usage.app.server));
  report(3, "a server without threads", end_painted(&server, STACK));
  CHECK_INT(1, apus_server_destroy(usage.app.server));
  write_figures();
  usage_remove(&usage);
}

int main(void) {
  static const struct harness_case cases[] = {{"stacks", test_stacks}};
  return harness_run("stacks_test", MODE_THREADLESS, NULL, CASES(cases));
}
