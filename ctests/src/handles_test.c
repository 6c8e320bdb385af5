/*
 * handles_test.c - what a handle is: 52 bits with the kind on top, never 0,
 * never used twice, through a double and back; the walk over the live ones,
 * tags, leak reports on demand and at exit; what is left of it in the child of
 * a fork; and what the library may not do to its process.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "helpers/harness.h"

#include <fcntl.h>
#include <sys/wait.h>

static const char *own_path;

static apus_request parse(void) {
  apus_request request = apus_request_parse("GET / HTTP/1.0\r\n\r\n", APUS_STRLEN, NULL);
  CHECK(request != 0);
  return request;
}

static void check_shape(uint64_t handle, int32_t kind) {
  CHECK(handle != 0);
  CHECK(handle < 1ull << 52);
  CHECK_INT(kind, handle >> 48);
  CHECK_INT(kind, apus_handle_kind(handle));
  CHECK((uint64_t)(double)handle == handle);
  CHECK((uint64_t)(int64_t)handle == handle);
}

static void test_shape(enum mode mode) {
  (void)mode;
  apus_server server = apus_server_make();
  apus_request request = parse();
  check_shape(server, APUS_KIND_SERVER);
  check_shape(request, APUS_KIND_REQUEST);
  CHECK_INT(1, apus_server_is_alive(server));
  CHECK_INT(0, apus_server_is_alive(request));
  CHECK_INT(0, apus_server_is_alive(0));
  CHECK_INT(0, apus_request_is_alive(server));
  CHECK_INT(0, apus_writer_is_alive(server));
  CHECK_INT(APUS_E_HANDLE, apus_handle_kind(0));
  CHECK_CODE(APUS_E_HANDLE, apus_server_set_workers(request, 1));
  CHECK_INT(0, apus_server_destroy(request));
  CHECK_INT(1, apus_request_destroy(request));
  CHECK_INT(1, apus_server_destroy(server));
  CHECK_INT(0, apus_server_destroy(server));
  CHECK_CODE(APUS_E_HANDLE, apus_handle_kind(server));
  CHECK_CODE(APUS_E_HANDLE, apus_server_set_workers(server, 1));
  /* The handle is looked at first, whatever else is wrong. */
  CHECK_CODE(APUS_E_HANDLE, apus_channel_on_open(server, NULL, NULL, NULL));
  CHECK_CODE(APUS_E_HANDLE, apus_channel_on_message(server, NULL, NULL, NULL));
  CHECK_CODE(APUS_E_HANDLE, apus_channel_on_error(server, NULL, NULL, NULL));
  CHECK_CODE(APUS_E_HANDLE, apus_channel_recv(server, NULL, -2));
  CHECK_CODE(APUS_E_HANDLE, apus_server_on_message(server, -1, NULL, NULL, NULL));
  CHECK_CODE(APUS_E_HANDLE, apus_request_on_body(request, NULL, NULL, NULL));
}

static int compare(const void *left, const void *right) {
  uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
  return a < b ? -1 : a > b;
}

#define CYCLES 100000

/* No handle comes twice, not even after a hundred thousand others. */
static void test_cycles(enum mode mode) {
  uint64_t *handles = malloc(2 * CYCLES * sizeof *handles);
  (void)mode;
  CHECK(handles != NULL);
  for (size_t i = 0; i < CYCLES; i++) {
    handles[2 * i] = apus_server_make();
    handles[2 * i + 1] = parse();
    CHECK_INT(1, apus_server_destroy(handles[2 * i]));
    CHECK_INT(1, apus_request_destroy(handles[2 * i + 1]));
  }
  for (size_t i = 0; i < 2 * CYCLES; i += 997) {
    CHECK_INT(APUS_E_HANDLE, apus_handle_kind(handles[i]));
  }
  qsort(handles, 2 * CYCLES, sizeof *handles, compare);
  for (size_t i = 1; i < 2 * CYCLES; i++) {
    if (handles[i] == handles[i - 1]) {
      harness_fail(__FILE__, __LINE__, "handle %#llx came twice", (unsigned long long)handles[i]);
    }
  }
  free(handles);
}

#define SERVERS 10
#define REQUESTS 7

static int count_walk(int32_t kind) {
  int count = 0;
  for (uint64_t at = 0; (at = apus_live_next(kind, at)) != 0; count++) {
    CHECK(count < 1000);
    CHECK(kind == 0 || apus_handle_kind(at) == kind);
  }
  return count;
}

static void test_walk(enum mode mode) {
  apus_server servers[SERVERS];
  apus_request requests[REQUESTS];
  (void)mode;
  CHECK_INT(0, count_walk(0));
  for (int i = 0; i < SERVERS; i++) servers[i] = apus_server_make();
  for (int i = 0; i < REQUESTS; i++) requests[i] = parse();
  CHECK_INT(SERVERS, apus_live_count(APUS_KIND_SERVER));
  CHECK_INT(REQUESTS, apus_live_count(APUS_KIND_REQUEST));
  CHECK_INT(0, apus_live_count(APUS_KIND_WRITER));
  CHECK_INT(SERVERS + REQUESTS, apus_live_count(0));
  CHECK_CODE(APUS_E_ARGUMENT, apus_live_count(-1));
  CHECK_CODE(APUS_E_ARGUMENT, apus_live_count(10));
  CHECK_INT(SERVERS, count_walk(APUS_KIND_SERVER));
  CHECK_INT(REQUESTS, count_walk(APUS_KIND_REQUEST));
  CHECK_INT(0, count_walk(APUS_KIND_CHANNEL));
  CHECK_INT(SERVERS + REQUESTS, count_walk(0));
  for (int i = 0; i < SERVERS; i++) { /* each of them is met */
    uint64_t at = 0;
    while ((at = apus_live_next(APUS_KIND_SERVER, at)) != servers[i]) CHECK(at != 0);
  }
  /* A walk goes on from a place that has died meanwhile. */
  int count = 0;
  for (uint64_t at = 0; (at = apus_live_next(APUS_KIND_SERVER, at)) != 0; count++) {
    CHECK_INT(1, apus_server_destroy(at));
  }
  CHECK_INT(SERVERS, count);
  for (int i = 0; i < REQUESTS; i++) CHECK_INT(1, apus_request_destroy(requests[i]));
}

static void test_tags(enum mode mode) {
  char buffer[128];
  char longest[101];
  (void)mode;
  apus_server server = apus_server_make();
  CHECK_INT(0, apus_tag(server, buffer, sizeof buffer));
  CHECK_TEXT("", buffer);
  CHECK_INT(0, apus_set_tag(server, "main.c:12"));
  CHECK_INT(9, apus_tag(server, buffer, sizeof buffer));
  CHECK_TEXT("main.c:12", buffer);
  CHECK_INT(9, apus_tag(server, buffer, 5));
  CHECK_TEXT("main", buffer);
  CHECK_INT(9, apus_tag(server, buffer, 1));
  CHECK_TEXT("", buffer);
  CHECK_CODE(APUS_E_ARGUMENT, apus_tag(server, NULL, 10));
  memset(longest, 'x', 100);
  longest[100] = '\0';
  CHECK_INT(0, apus_set_tag(server, longest));
  CHECK_INT(63, apus_tag(server, buffer, sizeof buffer));
  CHECK_INT(63, strlen(buffer));
  CHECK_INT(0, apus_set_tag(server, NULL));
  CHECK_INT(0, apus_tag(server, buffer, sizeof buffer));
  CHECK_INT(1, apus_server_destroy(server));
  CHECK_CODE(APUS_E_HANDLE, apus_set_tag(server, "dead"));
  CHECK_CODE(APUS_E_HANDLE, apus_tag(server, buffer, sizeof buffer));
  server = apus_server_make();
  CHECK_INT(0, apus_tag(server, buffer, sizeof buffer));
  CHECK_INT(1, apus_server_destroy(server));
}

static int leaks;

static void take_leak(void *context, uint64_t handle, int32_t kind, uint32_t index,
                      uint32_t generation, int64_t age_ms, const char *tag) {
  const uint64_t *expected = context;
  CHECK(handle == expected[0] || handle == expected[1]);
  CHECK_INT(kind, apus_handle_kind(handle));
  CHECK_INT(handle == expected[0] ? APUS_KIND_SERVER : APUS_KIND_REQUEST, kind);
  CHECK(index < 1u << 31 && generation < 1u << 31);
  CHECK(age_ms >= 0 && age_ms < 3600000);
  CHECK_TEXT(handle == expected[0] ? "a server" : "a request", tag);
  leaks++;
}

static void test_leak_report(enum mode mode) {
  (void)mode;
  uint64_t handles[2] = {apus_server_make(), parse()};
  CHECK_INT(0, apus_set_tag(handles[0], "a server"));
  CHECK_INT(0, apus_set_tag(handles[1], "a request"));
  leaks = 0;
  CHECK_INT(2, apus_leak_report(take_leak, handles));
  CHECK_INT(2, leaks);
  CHECK_CODE(APUS_E_ARGUMENT, apus_leak_report(NULL, NULL));
  CHECK_INT(1, apus_server_destroy(handles[0]));
  CHECK_INT(1, apus_request_destroy(handles[1]));
  CHECK_INT(0, apus_leak_report(take_leak, handles));
}

/* ------------------------------------------------------------------- at exit */

/* The life of the program when it is called as a leaking one. */
static int leak_and_return(const char *descriptor) {
  if (apus_leak_report_at_exit(-2) != APUS_E_ARGUMENT) return 2;
  if (apus_leak_report_at_exit(atoi(descriptor)) != 0) return 3;
  apus_server first = apus_server_make();
  apus_server second = apus_server_make();
  apus_server third = apus_server_make();
  apus_set_tag(first, "first-of-leak");
  apus_set_tag(second, "second-of-leak");
  return apus_server_destroy(third) == 1 ? 0 : 4;
}

/* Runs this program as a leaking one; what it wrote goes into text. */
static void run_leaking(const char *descriptor, char *text, size_t capacity) {
  int pipes[2], status = 0;
  size_t used = 0;
  CHECK_INT(0, pipe(pipes));
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    dup2(pipes[1], 9);
    execl(own_path, own_path, "leak", descriptor, (char *)NULL);
    _exit(127);
  }
  close(pipes[1]);
  for (ssize_t count; (count = read(pipes[0], text + used, capacity - 1 - used)) > 0;) {
    used += (size_t)count;
  }
  text[used] = '\0';
  close(pipes[0]);
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  CHECK_INT(0, WEXITSTATUS(status));
}

static void test_leak_at_exit(enum mode mode) {
  char text[4096];
  int lines = 0;
  (void)mode;
  run_leaking("9", text, sizeof text);
  for (const char *at = text; *at != '\0'; at++) lines += *at == '\n';
  CHECK_INT(2, lines);
  /* Kind, index, generation, age and tag. */
  static const char *const tags[] = {"first-of-leak", "second-of-leak"};
  for (int i = 0; i < 2; i++) {
    unsigned index, generation, age;
    char tag[32] = "", *line = i == 0 ? text : strchr(text, '\n') + 1;
    CHECK_INT(4, sscanf(line,
                        "apus: still alive: server index %u generation %u age %u ms tag "
                        "\"%31[^\"]\"\n",
                        &index, &generation, &age, tag));
    CHECK_INT(i, index);
    CHECK_INT(1, generation);
    CHECK(age < 1000 * HARNESS_DEADLINE_MS);
    CHECK_TEXT(tags[i], tag);
  }
  run_leaking("-1", text, sizeof text);
  CHECK_TEXT("", text);
}

/* ---------------------------------------------------------------------- fork */

static void hello_handler(void *context, apus_request request) {
  (void)context;
  CHECK_INT(0, apus_reply_text(request, 200, "hello"));
}

/* What the child of a fork may still do: nothing, and no harm. */
static int child_of_fork(apus_server server) {
  char buffer[8];
  if (apus_server_make() != 0 || apus_last_error() != APUS_E_FORK) return 1;
  if (apus_server_set_workers(server, 1) != APUS_E_FORK) return 2;
  if (apus_server_stop(server) != APUS_E_FORK) return 3;
  if (apus_server_counter(server, 0) != APUS_E_FORK) return 4;
  if (apus_server_tick(server, 0) != APUS_E_FORK) return 5;
  if (apus_server_is_alive(server) > 0) return 6;
  if (apus_server_is_running(server) > 0) return 7;
  if (apus_server_destroy(server) > 0) return 8;
  if (apus_request_parse("GET / HTTP/1.0\r\n\r\n", APUS_STRLEN, NULL) != 0) return 9;
  if (apus_tag(server, buffer, sizeof buffer) != APUS_E_FORK) return 10;
  if (strcmp(apus_error_name(APUS_E_FORK), "APUS_E_FORK") != 0) return 11;
  return 0;
}

/* The parent's server goes on serving, whatever its child calls. */
static void test_fork(enum mode mode) {
  (void)mode;
  for (int each = 0; each < MODE_COUNT; each++) {
    struct app app;
    struct client client;
    int status = 0;
    app_make(&app, (enum mode)each);
    app_route(&app, APUS_GET, "/", hello_handler, NULL);
    harness_start(&app);
    client_open(&client, app.port);
    client_get(&client, "/");
    CLIENT_EXPECT(&client, "GET", 200, "hello");
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) _exit(child_of_fork(app.server));
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    CHECK_INT(0, WEXITSTATUS(status));
    for (int i = 0; i < 3; i++) {
      client_get(&client, "/");
      CLIENT_EXPECT(&client, "GET", 200, "hello");
    }
    client_close(&client);
    client_open(&client, app.port);
    client_get(&client, "/");
    CLIENT_EXPECT(&client, "GET", 200, "hello");
    client_close(&client);
    harness_stop(&app);
  }
}

/* ------------------------------------------------------------- a good guest */

/* No signal handler is installed, and every descriptor closes on exec. */
static void test_guest(enum mode mode) {
  struct sigaction before[32], after;
  char inherited[1024] = "";
  (void)mode;
  for (int number = 1; number < 32; number++) sigaction(number, NULL, &before[number]);
  for (int fd = 0; fd < 1024; fd++) inherited[fd] = fcntl(fd, F_GETFD) >= 0;
  for (int each = 0; each < MODE_COUNT; each++) {
    struct app app;
    struct client client;
    app_make(&app, (enum mode)each);
    app_route(&app, APUS_GET, "/", hello_handler, NULL);
    harness_start(&app);
    client_open(&client, app.port);
    client_get(&client, "/");
    CLIENT_EXPECT(&client, "GET", 200, "hello");
    for (int fd = 0; fd < 1024; fd++) {
      int flags = fcntl(fd, F_GETFD);
      if (flags >= 0 && !inherited[fd]) CHECK((flags & FD_CLOEXEC) != 0);
    }
    client_close(&client);
    harness_stop(&app);
  }
  for (int number = 1; number < 32; number++) {
    CHECK_INT(0, sigaction(number, NULL, &after));
    CHECK(before[number].sa_handler == after.sa_handler);
  }
}

static atomic_int messages, log_drops;

static void take_message(void *context, int32_t level, const char *text) {
  CHECK(context == &messages);
  CHECK(level >= APUS_LOG_ERROR && level <= APUS_LOG_DEBUG);
  CHECK(text != NULL && text[0] != '\0');
  atomic_fetch_add(&messages, 1);
}

static void drop_log(void *context) {
  CHECK(context == &messages);
  atomic_fetch_add(&log_drops, 1);
}

static void test_log(enum mode mode) {
  (void)mode;
  CHECK_INT(0, apus_set_log(take_message, &messages, drop_log));
  CHECK_INT(0, apus_set_log(take_message, &messages, drop_log));
  EVENTUALLY(atomic_load(&log_drops) == 1);
  struct app app;
  app_make(&app, MODE_WORKER);
  app_route(&app, APUS_GET, "/", hello_handler, NULL);
  harness_start(&app);
  harness_stop(&app);
  CHECK_INT(0, apus_set_log(NULL, NULL, NULL));
  EVENTUALLY(atomic_load(&log_drops) == 2);
  printf("%d messages\n", atomic_load(&messages));
}

int main(int argc, char **argv) {
  static const struct harness_case cases[] = {
      {"shape", test_shape},
      {"cycles", test_cycles},
      {"walk", test_walk},
      {"tags", test_tags},
      {"leak_report", test_leak_report},
      {"leak_at_exit", test_leak_at_exit},
      {"fork", test_fork},
      {"guest", test_guest},
      {"log", test_log},
  };
  own_path = "/proc/self/exe";
  if (argc == 3 && strcmp(argv[1], "leak") == 0) return leak_and_return(argv[2]);
  return harness_run("handles_test", MODE_TICK, argc > 1 ? argv[1] : NULL, CASES(cases));
}
