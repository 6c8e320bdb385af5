/*
 * hygiene_test.c - what a host may expect of a guest in its process, while everything is
 * used and not just loaded (dlopen_test.c): signals, their masks, descriptors over exec,
 * forks, few descriptors, a thousand lives, nothing written, nothing changed.
 *
 * ctest: nosanitize
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "helpers/figures.h"
#include "helpers/usage.h"

#include <fcntl.h>
#include <locale.h>
#include <sys/resource.h>
#include <sys/wait.h>

static struct usage usage;

static void start(enum mode mode) {
  usage_make(&usage, mode);
  int32_t listener = apus_server_listen(usage.app.server, "127.0.0.1", 0);
  CHECK(listener >= 0);
  usage.app.port = apus_server_port(usage.app.server, listener);
  harness_drive(&usage.app);
}

/* ------------------------------------------------- what is not the library's */

struct host {
  struct sigaction actions[65];
  sigset_t mask;
  stack_t alternate;
  mode_t umask;
  struct rlimit descriptors;
  char folder[4096], locale[1024];
  uint64_t environment;
};

extern char **environ;

static void look(struct host *host) {
  memset(host, 0, sizeof *host);
  for (int number = 1; number <= 64; number++) sigaction(number, NULL, &host->actions[number]);
  pthread_sigmask(SIG_BLOCK, NULL, &host->mask);
  sigaltstack(NULL, &host->alternate);
  host->umask = umask(0);
  umask(host->umask);
  getrlimit(RLIMIT_NOFILE, &host->descriptors);
  CHECK(getcwd(host->folder, sizeof host->folder) != NULL);
  snprintf(host->locale, sizeof host->locale, "%s", setlocale(LC_ALL, NULL));
  for (char **at = environ; *at != NULL; at++) {
    host->environment = host->environment * 31 + (uintptr_t)*at;
    for (const char *byte = *at; *byte != '\0'; byte++) {
      host->environment = host->environment * 31 + (unsigned char)*byte;
    }
  }
}

static void compare(const struct host *one, const struct host *other) {
  for (int number = 1; number <= 64; number++) {
    CHECK(one->actions[number].sa_handler == other->actions[number].sa_handler);
    CHECK_INT(one->actions[number].sa_flags, other->actions[number].sa_flags);
    CHECK_INT(sigismember(&one->mask, number), sigismember(&other->mask, number));
  }
  CHECK(one->alternate.ss_sp == other->alternate.ss_sp);
  CHECK_INT(one->umask, other->umask);
  CHECK_INT(one->descriptors.rlim_cur, other->descriptors.rlim_cur);
  CHECK_TEXT(one->folder, other->folder);
  CHECK_TEXT(one->locale, other->locale);
  CHECK(one->environment == other->environment);
}

/* Whether all signals are blocked in each thread but this one: the host's come to the host.
 * A thread that was joined may be among them for a moment. */
static int are_sheltered(void) {
  char path[300], line[256];
  DIR *tasks = opendir("/proc/self/task");
  int others = 0, open = 0;
  CHECK(tasks != NULL);
  for (struct dirent *entry; (entry = readdir(tasks)) != NULL;) {
    int id = atoi(entry->d_name);
    if (id == 0 || id == getpid()) continue;
    snprintf(path, sizeof path, "/proc/self/task/%d/status", id);
    FILE *status = fopen(path, "r");
    if (status == NULL) continue;
    while (fgets(line, sizeof line, status) != NULL) {
      if (strncmp(line, "SigBlk:", 7) != 0) continue;
      unsigned long long blocked = strtoull(line + 7, NULL, 16);
      for (int number = 1; number < 32; number++) {
        if (number != SIGKILL && number != SIGSTOP) open += !(blocked >> (number - 1) & 1);
      }
      others++;
    }
    fclose(status);
  }
  closedir(tasks);
  return others >= 2 && open == 0;
}

static void ignore_signal(int number) { (void)number; }

static void test_process(enum mode ignored) {
  static struct host before, after;
  (void)ignored;
  signal(SIGUSR1, ignore_signal);
  signal(SIGUSR2, SIG_IGN);
  signal(SIGPIPE, SIG_DFL);
  look(&before);
  for (int mode = MODE_TICK; mode < MODE_COUNT; mode++) {
    if (mode == MODE_PULL) continue;
    start((enum mode)mode);
    if (mode == MODE_WORKER) EVENTUALLY(are_sheltered());
    usage_ask(&usage, 1);
    look(&after);
    compare(&before, &after);
    harness_stop(&usage.app);
    look(&after);
    compare(&before, &after);
  }
}

/* ---------------------------------------------------------------- SIGPIPE */

#define LEAVERS 300

/* Clients that leave in the middle of files, bodies and streams; at its default, one
 * SIGPIPE would end this process. */
static void test_broken_pipes(enum mode ignored) {
  static const char *const targets[] = {"/f/file.txt", "/f/small.txt", "/events", "/hello"};
  struct client clients[8];
  (void)ignored;
  signal(SIGPIPE, SIG_DFL);
  for (int mode = MODE_TICK; mode < MODE_COUNT; mode++) {
    if (mode == MODE_PULL) continue;
    start((enum mode)mode);
    for (int i = 0; i < LEAVERS; i += 8) {
      for (int k = 0; k < 8; k++) {
        client_open_small(&clients[k], usage.app.port, 4096);
        for (int times = 0; times < 4; times++) client_get(&clients[k], targets[k % 4]);
      }
      for (int k = 0; k < 8; k++) {
        if (k % 2 == 0) client_fill(&clients[k]);
        client_leave(&clients[k]);
      }
    }
    usage_ask(&usage, 1);
    harness_stop(&usage.app);
  }
}

/* ----------------------------------------------------------- exec and fork */

static int list_descriptors(void) {
  int found = 0;
  for (int fd = 3; fd < 4096; fd++) {
    char path[64], target[256];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(path, target, sizeof target - 1);
    if (length < 0) continue;
    target[length] = '\0';
    fprintf(stderr, "descriptor %d is open after exec: %s\n", fd, target);
    found++;
  }
  return found > 0;
}

static int run_self(const char *what, int output) {
  int status;
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    if (output >= 0 && (dup2(output, 1) < 0 || dup2(output, 2) < 0)) _exit(126);
    execl("/proc/self/exe", "hygiene_test", what, usage.folder, usage.uploads, (char *)NULL);
    _exit(127);
  }
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  return WEXITSTATUS(status);
}

/* A program that is run while there is everything a descriptor can be of. */
static void test_exec(enum mode ignored) {
  (void)ignored;
  for (int fd = 3; fd < 4096; fd++) { /* what was inherited is not the library's */
    int flags = fcntl(fd, F_GETFD);
    if (flags >= 0) fcntl(fd, F_SETFD, flags | FD_CLOEXEC);
  }
  for (int mode = MODE_TICK; mode < MODE_COUNT; mode++) {
    struct client slow, upload, idle;
    if (mode == MODE_PULL) continue;
    start((enum mode)mode);
    client_open_small(&slow, usage.app.port, 4096);
    client_get(&slow, "/f/file.txt");
    client_fill(&slow);
    client_open(&upload, usage.app.port);
    client_text(&upload,
                "POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 90000\r\n"
                "Content-Type: multipart/form-data; boundary=x\r\n\r\n"
                "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n");
    client_send(&upload, usage_body, 60000);
    client_open(&idle, usage.app.port);
    client_get(&idle, "/hello");
    CLIENT_EXPECT(&idle, "GET", 200, "hello");
    int before = harness_descriptors();
    CHECK(before > 10);
    CHECK_INT(0, run_self("list", -1));
    client_close(&slow);
    client_close(&upload);
    client_close(&idle);
    harness_stop(&usage.app);
  }
}

static apus_client kept_client;

static int refused(void) {
  apus_event event;
  if (apus_client_make() != 0 || apus_last_error() != APUS_E_FORK) return 1;
  if (apus_fetch_make(kept_client, "GET", "http://a/") != 0) return 2;
  if (apus_channel_make(kept_client) != 0 || apus_last_error() != APUS_E_FORK) return 3;
  if (apus_client_tick(kept_client, 0) != APUS_E_FORK) return 4;
  if (apus_server_listen(usage.app.server, NULL, 0) != APUS_E_FORK) return 5;
  if (apus_server_start(usage.app.server) != APUS_E_FORK) return 6;
  if (apus_server_next(usage.app.server, &event, 0) != APUS_E_FORK) return 7;
  if (apus_get("http://127.0.0.1:1/", NULL) != 0 || apus_last_error() != APUS_E_FORK) return 8;
  if (apus_client_destroy(kept_client) > 0) return 9;
  return 0;
}

/* Forked inside a handler, and outside, while clients are served. */
static void fork_handler(void *context, apus_request request) {
  int status = -1;
  (void)context;
  pid_t child = fork();
  if (child == 0) _exit(apus_reply_text(request, 200, "no") == APUS_E_FORK ? refused() : 20);
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  CHECK_INT(0, WEXITSTATUS(status));
  apus_reply_text(request, 200, "forked");
}

static void test_fork(enum mode ignored) {
  (void)ignored;
  for (int mode = MODE_TICK; mode < MODE_COUNT; mode++) {
    struct client client;
    int status;
    if (mode == MODE_PULL) continue;
    usage_make(&usage, (enum mode)mode);
    CHECK(apus_server_get(usage.app.server, "/fork", fork_handler, NULL, NULL) >= 0);
    int32_t listener = apus_server_listen(usage.app.server, "127.0.0.1", 0);
    usage.app.port = apus_server_port(usage.app.server, listener);
    harness_drive(&usage.app);
    kept_client = apus_client_make();
    client_open(&client, usage.app.port);
    for (int i = 0; i < 5; i++) {
      client_get(&client, "/fork");
      CLIENT_EXPECT(&client, "GET", 200, "forked");
      pid_t child = fork();
      if (child == 0) _exit(refused());
      CHECK(waitpid(child, &status, 0) == child);
      CHECK_INT(0, status);
      client_get(&client, "/hello");
      CLIENT_EXPECT(&client, "GET", 200, "hello");
    }
    client_close(&client);
    usage_ask(&usage, 1);
    CHECK_INT(1, apus_client_destroy(kept_client));
    harness_stop(&usage.app);
  }
}

/* ------------------------------------------------------------ a thousand lives */

#define LIVES 1000
#define WARM 200

static long resident_kib(void) {
  long pages = 0, resident = 0;
  FILE *file = fopen("/proc/self/statm", "r");
  CHECK(file != NULL && fscanf(file, "%ld %ld", &pages, &resident) == 2);
  fclose(file);
  return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

static long lives_growth[MODE_COUNT];

static void test_lives(enum mode ignored) {
  (void)ignored;
  for (int mode = MODE_TICK; mode < MODE_COUNT; mode++) {
    long descriptors = 0, threads = 0, resident = 0;
    if (mode == MODE_PULL) continue;
    for (int i = 0; i < LIVES; i++) {
      struct app app;
      struct client client;
      app_make(&app, (enum mode)mode);
      CHECK(apus_server_get(app.server, "/", usage_hello, NULL, NULL) >= 0);
      harness_start(&app);
      client_open(&client, app.port);
      client_get(&client, "/");
      CLIENT_EXPECT(&client, "GET", 200, "hello");
      client_close(&client);
      harness_stop(&app);
      if (i != WARM) continue;
      descriptors = harness_descriptors();
      threads = harness_threads();
      resident = resident_kib();
    }
    CHECK_INT(0, apus_live_count(0));
    CHECK_INT(descriptors, harness_descriptors());
    EVENTUALLY(harness_threads() <= threads);
    lives_growth[mode] = resident_kib() - resident;
    printf("%s: %d lives, %ld KiB more after the last than after %d\n", harness_mode_names[mode],
           LIVES, lives_growth[mode], WARM);
    CHECK(lives_growth[mode] < 4096);
  }
}

/* -------------------------------------------------------------- re-run as this */

/* With 32 descriptors, of which 8 stay free: more clients than there is room for wait
 * for others to leave, and each is served. */
#define STARVED 40
static int starve(void) {
  struct rlimit limit = {.rlim_cur = 32, .rlim_max = 4096};
  static struct client clients[STARVED];
  int status;
  app_make(&usage.app, MODE_WORKER);
  CHECK(apus_server_get(usage.app.server, "/", usage_hello, NULL, NULL) >= 0);
  CHECK_INT(0, apus_server_set_descriptor_reserve(usage.app.server, 8));
  int32_t listener = apus_server_listen(usage.app.server, "127.0.0.1", 0);
  int32_t port = apus_server_port(usage.app.server, listener);
  pid_t asker = fork(); /* it has descriptors of its own, and calls nothing of the library */
  if (asker == 0) {
    for (int round = 0; round < 5; round++) {
      for (int i = 0; i < STARVED; i++) {
        client_open(&clients[i], port);
        client_get(&clients[i], "/");
      }
      for (int i = 0; i < STARVED; i++) { /* in order: none can be passed over */
        CLIENT_EXPECT(&clients[i], "GET", 200, "hello");
        client_close(&clients[i]);
      }
    }
    _exit(0);
  }
  CHECK_INT(0, setrlimit(RLIMIT_NOFILE, &limit));
  CHECK_INT(0, apus_server_start(usage.app.server));
  CHECK(waitpid(asker, &status, 0) == asker);
  CHECK_INT(0, status);
  CHECK_INT(5 * STARVED, apus_server_counter(usage.app.server, APUS_COUNT_REPLIES));
  CHECK(apus_server_counter(usage.app.server, APUS_COUNT_ACCEPT_PAUSES) > 0);
  CHECK_INT(0, apus_server_stop(usage.app.server));
  CHECK_INT(1, apus_server_destroy(usage.app.server));
  return 0;
}

static void test_starved(enum mode ignored) {
  (void)ignored;
  CHECK_INT(0, run_self("starve", -1));
}

/* Use and misuse, in a process whose output is caught. */
static int be_quiet(void) {
  struct client client;
  for (int mode = MODE_TICK; mode < MODE_COUNT; mode++) {
    if (mode == MODE_PULL) continue;
    start((enum mode)mode);
    usage_ask(&usage, 1);
    client_open(&client, usage.app.port);
    client_text(&client, "this is no request\r\n\r\n");
    CLIENT_EXPECT(&client, "GET", 400, NULL);
    client_close(&client);
    client_open(&client, usage.secure_port);
    client_text(&client, "\x16\x03\x01 this is no handshake either, and is long enough\r\n\r\n");
    while (client_fill(&client)) continue;
    client_close(&client);
    CHECK(apus_server_listen(0, "nowhere", 70000) < 0);
    CHECK(apus_get("http://no.such.host.invalid/", NULL) == 0);
    harness_stop(&usage.app);
  }
  CHECK(apus_server_make() != 0); /* left alive until the exit */
  return 0;
}

static void test_quiet(enum mode ignored) {
  (void)ignored;
  FILE *caught = tmpfile();
  CHECK(caught != NULL);
  CHECK_INT(0, run_self("quiet", fileno(caught)));
  fseek(caught, 0, SEEK_END);
  CHECK_INT(0, ftell(caught));
  fclose(caught);
}

static void write_figures(void) {
  FILE *file = figures_open("hygiene");
  if (file == NULL) return;
  fprintf(file,
          "{\n \"lives\": %d,\n \"growth_kib\": {\"tick\": %ld, \"worker\": %ld, "
          "\"threadless\": %ld},\n \"checks\": %lld\n}\n",
          3 * LIVES, lives_growth[MODE_TICK], lives_growth[MODE_WORKER],
          lives_growth[MODE_THREADLESS], (long long)atomic_load(&harness_checks));
  fclose(file);
}

int main(int argc, char **argv) {
  static const struct harness_case cases[] = {
      {"process", test_process}, {"broken_pipes", test_broken_pipes},
      {"exec", test_exec},       {"fork", test_fork},
      {"lives", test_lives},     {"starved", test_starved},
      {"quiet", test_quiet},
  };
  if (argc == 4) {
    memset(usage_body, 'a', USAGE_BODY);
    snprintf(usage.folder, sizeof usage.folder, "%s", argv[2]);
    snprintf(usage.uploads, sizeof usage.uploads, "%s", argv[3]);
    if (strcmp(argv[1], "list") == 0) return list_descriptors();
    if (strcmp(argv[1], "starve") == 0) return starve();
    return be_quiet();
  }
  usage_folders(&usage);
  int result = harness_run("hygiene_test", MODE_TICK, argc > 1 ? argv[1] : NULL, CASES(cases));
  write_figures();
  usage_remove(&usage);
  return result;
}
