/*
 * choices.c - reference.c in variants, one for each way in which an event loop
 * could have been built: how it is told of what arrived, and how connections get
 * to its threads.
 *
 * Usage: choices PORT READING PLACING THREADS
 *
 *   level      level-triggered: one read for each event, no matter what is left
 *   short      edge-triggered: reads until a read does not fill the buffer
 *   drain      edge-triggered: reads until the kernel has nothing more
 *
 *   handed     one listening socket; thread 0 accepts and hands connections round,
 *              by a queue and an eventfd for each thread
 *   any        the same, but whichever thread is awake accepts (EPOLLEXCLUSIVE)
 *   shared     as "any", but who accepts a connection keeps it
 *   reuseport  a listening socket for each thread; the kernel chooses by its hash
 *
 * An answer names the thread that gave it. A request for /stall has its thread
 * sleep before it answers, as a callback does that waits for a disk or a lock; one
 * for /calls is answered with the thread's system calls so far. The program ends
 * by itself after ten minutes in any case.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_EVENTS = 256, MAX_BATCH = 256, MAX_DESCRIPTORS = 1 << 20, MAX_THREADS = 16 };
enum { ACCEPTS_PER_TURN = 64, BACKLOG = 4096, QUEUE = 8192, STALL_MS = 50, TIME_LIMIT = 600 };
enum { LEVEL, SHORT, DRAIN };
enum { HANDED, ANY, SHARED, REUSEPORT };

/* A Date field stands here so that the answer is as long as a real one. */
static const char answer[] =
    "HTTP/1.1 200 OK\r\n"
    "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
    "X-Bench: 1\r\n"
    "X-Thread: ?\r\n"
    "Content-Type: text/plain\r\n"
    "Content-Length: 13\r\n"
    "\r\n"
    "Hello, World!";
enum { ANSWER_LENGTH = sizeof answer - 1 };

struct worker {
  int poller, listener;
  int wakeup; /* an eventfd: something is in the queue */
  pthread_mutex_t lock;
  int queued, queue[QUEUE]; /* descriptors handed over */
  unsigned long receives, sends, waits;
  char batch[MAX_BATCH * ANSWER_LENGTH]; /* the answer, many times over */
};

static struct worker *workers;
static int reading, placing, thread_count;
static uint8_t *matched; /* by descriptor: bytes of "\r\n\r\n" seen at the end */

static void die(const char *what) {
  perror(what);
  exit(1);
}

static int listen_on(int port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  int on = 1;
  setsockopt(fd, SOL_SOCKET, placing == REUSEPORT ? SO_REUSEPORT : SO_REUSEADDR, &on, sizeof on);
  if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0) die("bind");
  if (listen(fd, BACKLOG) != 0) die("listen");
  return fd;
}

static void watch(int poller, int fd, uint32_t events) {
  struct epoll_event event = {.events = events, .data.fd = fd};
  if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) != 0) die("epoll_ctl");
}

/* ---- requests */

/* Counts the ends of heads, also one that was split between two reads. */
static int count_heads(int fd, const char *data, ssize_t length) {
  static const char end[] = "\r\n\r\n";
  int heads = 0;
  ssize_t at = 0;
  int state = matched[fd];
  for (; at < length && state != 0; at++) {
    if (data[at] != end[state]) {
      state = data[at] == '\r';
      if (state == 0) break;
    } else if (++state == 4) {
      heads++;
      state = 0;
    }
  }
  const char *from = data + at, *limit = data + length, *found;
  while (from < limit && (found = memmem(from, (size_t)(limit - from), end, 4)) != NULL) {
    heads++;
    from = found + 4;
    state = 0;
  }
  if (from < limit) {
    for (state = 3; state > 0; state--)
      if (limit - from >= state && memcmp(limit - state, end, (size_t)state) == 0) break;
  }
  matched[fd] = (uint8_t)state;
  return heads;
}

/* Answers what one read has brought; false when the connection is to be closed. A
 * peer that does not take its answers is cut off: the loads that are run against
 * this program always do. */
static int reply(struct worker *worker, int fd, const char *data, ssize_t length) {
  if (length > 6 && memcmp(data, "GET /s", 6) == 0) {
    struct timespec time = {.tv_nsec = STALL_MS * 1000000L};
    nanosleep(&time, NULL);
  } else if (length > 6 && memcmp(data, "GET /c", 6) == 0) {
    dprintf(fd, "%lu %lu %lu\n", worker->receives, worker->sends, worker->waits);
    return 0;
  }
  int heads = count_heads(fd, data, length);
  while (heads > 0) {
    int now = heads < MAX_BATCH ? heads : MAX_BATCH;
    size_t size = (size_t)now * ANSWER_LENGTH;
    worker->sends++;
    if (send(fd, worker->batch, size, MSG_NOSIGNAL) != (ssize_t)size) return 0;
    heads -= now;
  }
  return 1;
}

static void serve(struct worker *worker, int fd, uint32_t events) {
  char input[16384];
  /* The end of the peer's bytes makes no edge of its own when it came with the
   * last of them: a short read is then not the last. */
  int to_the_end = reading == DRAIN || (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
  for (;;) {
    worker->receives++;
    ssize_t got = recv(fd, input, sizeof input, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0 || !reply(worker, fd, input, got)) {
      close(fd);
      return;
    }
    if (reading == LEVEL || (got < (ssize_t)sizeof input && !to_the_end)) return;
  }
}

/* ---- connections */

/* Has a thread serve a connection from now on. */
static void adopt(struct worker *worker, int fd) {
  watch(worker->poller, fd, reading == LEVEL ? EPOLLIN : EPOLLIN | EPOLLRDHUP | EPOLLET);
}

static void mail(struct worker *to, int fd) {
  uint64_t one = 1;
  pthread_mutex_lock(&to->lock);
  int was_empty = to->queued == 0;
  int fits = to->queued < QUEUE;
  if (fits) to->queue[to->queued++] = fd;
  pthread_mutex_unlock(&to->lock);
  if (!fits) close(fd);
  if (was_empty && write(to->wakeup, &one, sizeof one) < 0) die("write");
}

static void take_mail(struct worker *worker) {
  static _Thread_local int taken[QUEUE];
  uint64_t sum;
  if (read(worker->wakeup, &sum, sizeof sum) < 0 && errno != EAGAIN) die("read");
  pthread_mutex_lock(&worker->lock);
  int count = worker->queued;
  memcpy(taken, worker->queue, (size_t)count * sizeof *taken);
  worker->queued = 0;
  pthread_mutex_unlock(&worker->lock);
  for (int i = 0; i < count; i++) adopt(worker, taken[i]);
}

static void accept_some(struct worker *worker) {
  static atomic_uint turn;
  for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
    int fd = accept4(worker->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    if (fd >= MAX_DESCRIPTORS) {
      close(fd);
      continue;
    }
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    matched[fd] = 0;
    struct worker *to = worker;
    if (placing == HANDED || placing == ANY)
      to = &workers[atomic_fetch_add(&turn, 1) % (unsigned)thread_count];
    if (to == worker)
      adopt(to, fd);
    else
      mail(to, fd);
  }
}

static void *run(void *argument) {
  struct worker *worker = argument;
  for (;;) {
    struct epoll_event events[MAX_EVENTS];
    worker->waits++;
    int count = epoll_wait(worker->poller, events, MAX_EVENTS, -1);
    for (int i = 0; i < count; i++) {
      int fd = events[i].data.fd;
      if (fd == worker->listener)
        accept_some(worker);
      else if (fd == worker->wakeup)
        take_mail(worker);
      else
        serve(worker, fd, events[i].events);
    }
  }
  return NULL;
}

/* ---- start */

static void prepare(int index, int port) {
  struct worker *worker = &workers[index];
  for (int i = 0; i < MAX_BATCH; i++) {
    char *copy = worker->batch + i * ANSWER_LENGTH;
    memcpy(copy, answer, ANSWER_LENGTH);
    *(char *)memchr(copy, '?', ANSWER_LENGTH) = "0123456789abcdef"[index];
  }
  pthread_mutex_init(&worker->lock, NULL);
  worker->poller = epoll_create1(EPOLL_CLOEXEC);
  worker->wakeup = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (worker->poller < 0 || worker->wakeup < 0) die("descriptors");
  watch(worker->poller, worker->wakeup, EPOLLIN);
  worker->listener = -1;
  if (index == 0 || placing == REUSEPORT)
    worker->listener = listen_on(port);
  else if (placing == ANY || placing == SHARED)
    worker->listener = workers[0].listener;
  uint32_t events = placing == ANY || placing == SHARED ? EPOLLIN | EPOLLEXCLUSIVE : EPOLLIN;
  if (worker->listener >= 0) watch(worker->poller, worker->listener, events);
}

/* The place of a word in a list that ends with NULL, or -1. */
static int find(const char *word, const char *const *list) {
  for (int i = 0; list[i] != NULL; i++)
    if (strcmp(word, list[i]) == 0) return i;
  return -1;
}

int main(int argc, char **argv) {
  static const char *const readings[] = {"level", "short", "drain", NULL};
  static const char *const placings[] = {"handed", "any", "shared", "reuseport", NULL};
  reading = argc == 5 ? find(argv[2], readings) : -1;
  placing = argc == 5 ? find(argv[3], placings) : -1;
  thread_count = argc == 5 ? atoi(argv[4]) : 0;
  if (reading < 0 || placing < 0 || thread_count < 1 || thread_count > MAX_THREADS) {
    fprintf(stderr,
            "usage: choices PORT level|short|drain handed|any|shared|reuseport THREADS (to 16)\n");
    return 2;
  }
  alarm(TIME_LIMIT);
  int port = atoi(argv[1]);
  matched = calloc(MAX_DESCRIPTORS, 1);
  workers = calloc((size_t)thread_count, sizeof *workers);
  if (matched == NULL || workers == NULL) die("calloc");
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
  for (int i = 0; i < thread_count; i++) prepare(i, port);
  printf("ready %d\n", port);
  fflush(stdout);
  for (int i = 1; i < thread_count; i++) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, run, &workers[i]) != 0) die("pthread_create");
  }
  run(&workers[0]);
}
