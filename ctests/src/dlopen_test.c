// What loading the library does to its host: nothing that can be seen. Loads
// it with dlopen, so that this program must not be linked to it, and compares
// signals, descriptors, threads, environment and output before and after; and the same where
// variables ask a Swift runtime to tell of crashes.
//
// ctest: nosanitize
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static int checks;
static int failures;
static FILE *report;

#define CHECK(condition, ...)                                 \
  do {                                                        \
    checks++;                                                 \
    if (!(condition)) {                                       \
      failures++;                                             \
      fprintf(report, "line %d: %s: ", __LINE__, #condition); \
      fprintf(report, __VA_ARGS__);                           \
      fputc('\n', report);                                    \
    }                                                         \
  } while (0)

// What a library could change in its host without being asked.
struct host {
  struct sigaction actions[65];
  sigset_t mask;
  stack_t alternate;
  mode_t umask;
  int descriptors;
  int threads;
  uint64_t environment;
};

static int count_entries(const char *folder) {
  DIR *dir = opendir(folder);
  if (dir == NULL) {
    return -1;
  }
  int count = 0;
  while (readdir(dir) != NULL) {
    count++;
  }
  closedir(dir);
  return count - 2;
}

// FNV-1a over the variables and where they lie.
static uint64_t hash_environment(void) {
  uint64_t hash = 14695981039346656037u;
  for (char **variable = environ; *variable != NULL; variable++) {
    hash = (hash ^ (uintptr_t)*variable) * 1099511628211u;
    for (const char *byte = *variable; *byte != '\0'; byte++) {
      hash = (hash ^ (unsigned char)*byte) * 1099511628211u;
    }
  }
  return hash;
}

static void look(struct host *host) {
  memset(host, 0, sizeof *host);
  for (int number = 1; number <= 64; number++) {
    sigaction(number, NULL, &host->actions[number]);
  }
  sigprocmask(SIG_BLOCK, NULL, &host->mask);
  sigaltstack(NULL, &host->alternate);
  host->umask = umask(0);
  umask(host->umask);
  host->descriptors = count_entries("/proc/self/fd");
  host->threads = count_entries("/proc/self/task");
  host->environment = hash_environment();
}

// Signal by signal: the kernel fills but the front of a set.
static int same_set(const sigset_t *one, const sigset_t *other) {
  for (int number = 1; number <= 64; number++) {
    if (sigismember(one, number) != sigismember(other, number)) {
      return 0;
    }
  }
  return 1;
}

static int same_action(const struct sigaction *one, const struct sigaction *other) {
  return one->sa_handler == other->sa_handler && one->sa_flags == other->sa_flags &&
         same_set(&one->sa_mask, &other->sa_mask);
}

static void compare(const char *when, const struct host *before) {
  struct host now;
  look(&now);
  for (int number = 1; number <= 64; number++) {
    CHECK(same_action(&before->actions[number], &now.actions[number]), "%s: signal %d", when,
          number);
  }
  CHECK(same_set(&before->mask, &now.mask), "%s", when);
  CHECK(before->alternate.ss_sp == now.alternate.ss_sp, "%s", when);
  CHECK(before->umask == now.umask, "%s", when);
  CHECK(before->descriptors == now.descriptors, "%s: %d, then %d", when, before->descriptors,
        now.descriptors);
  CHECK(before->threads == now.threads, "%s: %d, then %d", when, before->threads, now.threads);
  CHECK(before->environment == now.environment, "%s", when);
}

static double milliseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

// The few functions that need no header here.
static void use(void *library, const char *when) {
  const char *(*version)(void) = (const char *(*)(void))dlsym(library, "apus_version");
  int32_t (*abi)(void) = (int32_t(*)(void))dlsym(library, "apus_abi_version");
  uint64_t (*make)(void) = (uint64_t(*)(void))dlsym(library, "apus_server_make");
  int32_t (*workers)(uint64_t, int32_t) =
      (int32_t(*)(uint64_t, int32_t))dlsym(library, "apus_server_set_workers");
  int32_t (*destroy)(uint64_t) = (int32_t(*)(uint64_t))dlsym(library, "apus_server_destroy");
  CHECK(version != NULL && abi != NULL && make != NULL && workers != NULL && destroy != NULL,
        "%s: a function is missing", when);
  if (failures > 0) {
    return;
  }
  CHECK(version()[0] >= '0' && version()[0] <= '9', "%s: version %s", when, version());
  CHECK(abi() == 1, "%s: ABI %d", when, (int)abi());
  uint64_t server = make();
  CHECK(server != 0, "%s", when);
  CHECK(workers(server, 4) == 0, "%s", when);
  CHECK(destroy(server) == 1, "%s", when);
  CHECK(destroy(server) <= 0, "%s: a second destroy", when);
}

// The same in a process of its own, where a variable is set.
static void test_with(const char *name, const char *value) {
  fflush(report);
  pid_t child = fork();
  if (child == 0) {
    dup2(fileno(report), STDOUT_FILENO);
    dup2(fileno(report), STDERR_FILENO);
    setenv(name, value, 1);
    setenv("DLOPEN_TEST_IS_INNER", "1", 1);
    execl("/proc/self/exe", "dlopen_test", (char *)NULL);
    _exit(3);
  }
  int status = -1;
  CHECK(child > 0 && waitpid(child, &status, 0) == child, "%s", name);
  CHECK(status == 0, "with %s=%s: status %d", name, value, status);
}

int main(void) {
  const char *path = getenv("APUS_LIBRARY");
  // stdout and stderr go to a file, which must stay empty; the report goes to
  // where stdout led before.
  report = fdopen(dup(STDOUT_FILENO), "w");
  FILE *caught = tmpfile();
  if (path == NULL || report == NULL || caught == NULL) {
    fprintf(stderr, "APUS_LIBRARY is not set, or there is no room for a file\n");
    return 2;
  }
  dup2(fileno(caught), STDOUT_FILENO);
  dup2(fileno(caught), STDERR_FILENO);
  // A disposition of the host's own must survive too.
  signal(SIGPIPE, SIG_DFL);
  signal(SIGUSR1, SIG_IGN);

  CHECK(dlopen(path, RTLD_NOW | RTLD_NOLOAD) == NULL, "the library is loaded already");
  struct host before;
  look(&before);

  double start = milliseconds();
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  double loaded = milliseconds();
  CHECK(library != NULL, "%s", dlerror());
  if (library != NULL) {
    compare("after dlopen", &before);
    use(library, "first load");
    compare("after use", &before);

    // The library stays mapped (NODELETE), so an address of it stays good.
    const char *(*version)(void) = (const char *(*)(void))dlsym(library, "apus_version");
    CHECK(dlclose(library) == 0, "%s", dlerror());
    compare("after dlclose", &before);
    if (version != NULL) {
      CHECK(version()[0] != '\0', "after dlclose");
    }
    for (int round = 0; round < 10; round++) {
      void *again = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
      CHECK(again != NULL, "%s", dlerror());
      if (again == NULL) {
        break;
      }
      CHECK(dlsym(again, "apus_version") == (void *)version, "the library has moved");
      use(again, "reload");
      CHECK(dlclose(again) == 0, "%s", dlerror());
    }
    compare("after ten reloads", &before);
  }

  fflush(NULL);
  struct stat written;
  CHECK(fstat(fileno(caught), &written) == 0 && written.st_size == 0,
        "%ld bytes on stdout or stderr", (long)written.st_size);
  if (getenv("DLOPEN_TEST_IS_INNER") == NULL) {
    test_with("SWIFT_BACKTRACE", "enable=yes");
    test_with("SWIFT_BACKTRACE", "enable=yes,swift-backtrace=/bin/true");
    test_with("SWIFT_BACKTRACE", "no such setting");
    test_with("SWIFT_DEBUG_HELP_ENVIRONMENT", "YES");
    test_with("SWIFT_DEBUG_NO_SUCH_VARIABLE", "YES");
  }
  fprintf(report, "dlopen took %.2f ms; %d checks, %d failed\n", loaded - start, checks, failures);
  fclose(report);
  return failures == 0 ? 0 : 1;
}
