/*
 * unload_test.c - the library is unloaded, as far as its host can do that, while a server's
 * threads run and clients are served; and loaded again, a hundred times. This program is
 * not linked to it.
 *
 * ctest: nosanitize
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROUNDS 100

#define CHECK(condition)                                                        \
  do {                                                                          \
    if (!(condition)) {                                                         \
      fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition); \
      _exit(1);                                                                 \
    }                                                                           \
  } while (0)

static void *library;
static uint64_t (*make)(void);
static int32_t (*set_workers)(uint64_t, int32_t);
static int32_t (*set_dispatch)(uint64_t, int32_t);
static int32_t (*get)(uint64_t, const char *, void (*)(void *, uint64_t), void *, void *);
static int32_t (*listen_on)(uint64_t, const char *, int32_t);
static int32_t (*port_of)(uint64_t, int32_t);
static int32_t (*start)(uint64_t);
static int32_t (*stop)(uint64_t);
static int32_t (*destroy)(uint64_t);
static int32_t (*reply)(uint64_t, int32_t, const char *);

#define FIND(pointer, name)                      \
  do {                                           \
    *(void **)&(pointer) = dlsym(library, name); \
    CHECK((pointer) != NULL);                    \
  } while (0)

static void load(void) {
  library = dlopen(getenv("APUS_LIBRARY"), RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) fprintf(stderr, "%s\n", dlerror());
  CHECK(library != NULL);
  FIND(make, "apus_server_make");
  FIND(set_workers, "apus_server_set_workers");
  FIND(set_dispatch, "apus_server_set_dispatch");
  FIND(get, "apus_server_get");
  FIND(listen_on, "apus_server_listen");
  FIND(port_of, "apus_server_port");
  FIND(start, "apus_server_start");
  FIND(stop, "apus_server_stop");
  FIND(destroy, "apus_server_destroy");
  FIND(reply, "apus_reply_text");
}

static void hello(void *context, uint64_t request) {
  (void)context;
  reply(request, 200, "hello");
}

static int open_client(int32_t port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
  return fd;
}

static void ask(int fd) {
  static const char request[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
  char text[1024];
  size_t length = 0;
  CHECK(send(fd, request, strlen(request), MSG_NOSIGNAL) == (ssize_t)strlen(request));
  do {
    ssize_t count = recv(fd, text + length, sizeof text - 1 - length, 0);
    CHECK(count > 0);
    length += (size_t)count;
    text[length] = '\0';
  } while (strstr(text, "\r\n\r\nhello") == NULL);
  CHECK(strncmp(text, "HTTP/1.1 200 ", 13) == 0);
}

int main(void) {
  if (getenv("APUS_LIBRARY") == NULL) return 2;
  CHECK(dlopen(getenv("APUS_LIBRARY"), RTLD_NOW | RTLD_NOLOAD) == NULL);
  alarm(120);
  for (int round = 0; round < ROUNDS; round++) {
    load();
    uint64_t server = make();
    CHECK(server != 0);
    CHECK(set_workers(server, 2) == 0 && set_dispatch(server, 1) == 0);
    CHECK(get(server, "/", hello, NULL, NULL) >= 0);
    CHECK(listen_on(server, "127.0.0.1", 0) == 0);
    int32_t port = port_of(server, 0);
    CHECK(start(server) == 0);
    int kept = open_client(port);
    ask(kept);
    CHECK(dlclose(library) == 0);
    ask(kept); /* by threads whose code nobody holds any more */
    int fresh = open_client(port);
    ask(fresh);
    load();
    CHECK(stop(server) == 0);
    CHECK(destroy(server) == 1);
    CHECK(dlclose(library) == 0);
    close(kept);
    close(fresh);
  }
  printf("unload_test: %d times\n", ROUNDS);
  return 0;
}
