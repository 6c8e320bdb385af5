/*
 * events.c - what streams of events cost the server: memory of those that are idle and of
 * those that are not read, and the time to hand an event to many.
 *
 * Usage: events CONNECTIONS EVENTS [bare]
 *
 * A child process serves, with one worker; this one has the clients. It prints, as a line
 * of names and numbers: kib, resident KiB for each idle connection; for each burst of 1 and
 * of 16 events the deliveries per second of the server's CPU time (rate1, rate16), the CPU
 * microseconds of each (us1, us16) and of those in the kernel (kernel1, kernel16); and for a
 * client that reads nothing while 40,000 events come, the KiB that it costs (stalled) where
 * its high-water mark is 64 KiB and nobody else waits for the same events.
 *
 * bare: the child is no server but a loop that sends as many bytes to each socket, one call
 * each: what an event for each costs at the least. It prints the rates and times alone.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#define _GNU_SOURCE
#include <apus.h>
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* As text: 100 bytes on the wire, with "data: " and its end. */
enum { SIZE = 92, CHUNK = 4 + 100 + 2 };
enum { STALLED = 64 };

static void die(const char *what) {
  perror(what);
  exit(1);
}

/* ------------------------------------------------------------------ the server */

struct order {
  char what; /* p, q: publish, m: memory, s: subscribers, t: time */
  int events, burst;
};

struct answer {
  long long number, other;
};

static apus_server server;

static void feed(void *context, apus_writer writer, apus_request request) {
  (void)context;
  const char *slow = apus_request_header(request, "X-Slow", NULL);
  if (slow) apus_writer_set_high_water(writer, 65536);
  if (slow) apus_writer_subscribe(writer, slow);
  apus_writer_subscribe(writer, slow ? "slow" : "news");
}

static long long resident(void) {
  long long size = 0, pages = 0;
  FILE *file = fopen("/proc/self/statm", "r");
  if (file == NULL || fscanf(file, "%lld %lld", &size, &pages) != 2) die("statm");
  fclose(file);
  return pages * sysconf(_SC_PAGESIZE);
}

static long long microseconds(struct timeval time) {
  return (long long)time.tv_sec * 1000000 + time.tv_usec;
}

static void publish(const struct order *order, const char *topic) {
  char data[SIZE + 1];
  memset(data, 'e', SIZE);
  data[SIZE] = '\0';
  for (int i = 0; i < order->burst; i++) {
    if (apus_server_publish_event(server, topic, NULL, NULL, data, SIZE) < 0) die("publish");
  }
}

static int serve(int orders, int answers) {
  server = apus_server_make();
  apus_server_set_workers(server, 1);
  apus_server_set_dispatch(server, APUS_DISPATCH_WORKER);
  apus_server_set_heartbeat(server, 0);
  apus_server_set_write_timeout(server, 0);
  apus_server_set_backlog(server, 4096);
  apus_server_events(server, "/feed", feed, NULL, NULL);
  if (apus_server_listen(server, "127.0.0.1", 0) < 0 || apus_server_start(server) < 0) {
    fprintf(stderr, "%s\n", apus_last_error_message());
    return 1;
  }
  struct answer answer = {apus_server_port(server, 0), 0};
  struct order order;
  do {
    if (write(answers, &answer, sizeof answer) != sizeof answer) return 1;
    if (read(orders, &order, sizeof order) != sizeof order) return 0;
    struct rusage usage;
    answer = (struct answer){0, 0};
    if (order.what == 'p') publish(&order, "news");
    if (order.what == 'q') {
      char topic[32];
      snprintf(topic, sizeof topic, "slow%d", order.events);
      publish(&order, topic);
    }
    if (order.what == 'm') answer.number = resident();
    if (order.what == 's') {
      answer.number = apus_server_subscriber_count(server, "news") +
                      apus_server_subscriber_count(server, "slow");
    }
    if (order.what == 't') {
      getrusage(RUSAGE_SELF, &usage);
      answer.number = microseconds(usage.ru_utime) + microseconds(usage.ru_stime);
      answer.other = microseconds(usage.ru_stime);
    }
  } while (1);
}

/* ------------------------------------------------- the loop that is no server */

static int *sockets, socket_count;

static void welcome(int listener) {
  static const char head[] = "HTTP/1.1 200 OK\r\n\r\n";
  char request[512];
  int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
  if (fd < 0 || recv(fd, request, sizeof request, 0) <= 0) die("accept");
  if (send(fd, head, sizeof head - 1, MSG_NOSIGNAL) < 0) die("head");
  sockets = realloc(sockets, (size_t)(socket_count + 1) * sizeof *sockets);
  sockets[socket_count++] = fd;
}

/* How many there are, without those that have been closed. */
static int count_sockets(void) {
  char byte;
  int left = 0;
  for (int i = 0; i < socket_count; i++) {
    ssize_t got = recv(sockets[i], &byte, 1, MSG_DONTWAIT | MSG_PEEK);
    if (got < 0 && errno == EAGAIN) {
      sockets[left++] = sockets[i];
    } else {
      close(sockets[i]);
    }
  }
  return socket_count = left;
}

static void send_each(int times) {
  char chunk[CHUNK];
  memset(chunk, 'e', sizeof chunk);
  for (int turn = 0; turn < times; turn++) {
    for (int i = 0; i < socket_count; i++) {
      if (send(sockets[i], chunk, sizeof chunk, MSG_NOSIGNAL) != sizeof chunk) die("send");
    }
  }
}

static int serve_bare(int orders, int answers) {
  struct sockaddr_in at = {.sin_family = AF_INET};
  socklen_t length = sizeof at;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (bind(listener, (struct sockaddr *)&at, sizeof at) != 0 || listen(listener, 4096) != 0 ||
      getsockname(listener, (struct sockaddr *)&at, &length) != 0) {
    die("listen");
  }
  struct answer answer = {ntohs(at.sin_port), 0};
  struct order order;
  struct pollfd waits[2] = {{orders, POLLIN, 0}, {listener, POLLIN, 0}};
  do {
    if (write(answers, &answer, sizeof answer) != sizeof answer) return 1;
    while (poll(waits, 2, -1) > 0 && !(waits[0].revents & POLLIN)) welcome(listener);
    if (read(orders, &order, sizeof order) != sizeof order) return 0;
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    answer = (struct answer){microseconds(usage.ru_utime) + microseconds(usage.ru_stime),
                             microseconds(usage.ru_stime)};
    if (order.what == 'p') send_each(order.burst);
    if (order.what == 's') answer = (struct answer){count_sockets(), 0};
  } while (1);
}

/* ----------------------------------------------------------------- the clients */

static int order_pipe[2], answer_pipe[2], poller;
static int *descriptors;

static struct answer receive_answer(void) {
  struct answer answer;
  if (read(answer_pipe[0], &answer, sizeof answer) != sizeof answer) die("the server has gone");
  return answer;
}

static struct answer ask(char what, int events, int burst) {
  struct order order = {what, events, burst};
  if (write(order_pipe[1], &order, sizeof order) != sizeof order) die("order");
  return receive_answer();
}

static int open_one(int port, const char *fields, int receive_buffer) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) die("socket");
  struct linger linger = {.l_onoff = 1, .l_linger = 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
  if (receive_buffer > 0) {
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
  }
  if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0) die("connect");
  char request[256];
  int length = snprintf(request, sizeof request, "GET /feed HTTP/1.1\r\nHost: a\r\n%s\r\n", fields);
  if (send(fd, request, (size_t)length, MSG_NOSIGNAL) != length) die("send");
  return fd;
}

static void take_head(int fd) {
  char head[2048];
  size_t length = 0;
  while (memmem(head, length, "\r\n\r\n", 4) == NULL) {
    ssize_t got = recv(fd, head + length, sizeof head - length, 0);
    if (got <= 0) die("head");
    length += (size_t)got;
  }
}

static void wait_members(int count) {
  while (ask('s', 0, 0).number != count) usleep(1000);
}

/* Reads what is there until so many bytes have come. */
static void drain(long long bytes) {
  static char buffer[65536];
  struct epoll_event events[512];
  while (bytes > 0) {
    int count = epoll_wait(poller, events, 512, 20000);
    if (count <= 0) die("nothing comes any more");
    for (int i = 0; i < count; i++) {
      ssize_t got = recv(events[i].data.fd, buffer, sizeof buffer, MSG_DONTWAIT);
      if (got > 0) bytes -= got;
      if (got == 0) die("a stream has ended");
    }
  }
}

static void measure(int connections, int events, int burst) {
  struct answer before = ask('t', 0, 0);
  int rounds = events / burst;
  for (int round = 0; round < rounds; round++) {
    ask('p', 0, burst);
    drain((long long)connections * burst * CHUNK);
  }
  struct answer after = ask('t', 0, 0);
  double deliveries = (double)rounds * burst * connections;
  double time = (double)(after.number - before.number);
  printf("rate%d %.0f us%d %.3f kernel%d %.3f ", burst, deliveries / (time / 1e6), burst,
         time / deliveries, burst, (double)(after.other - before.other) / deliveries);
  fflush(stdout);
}

/* What waits in the server for those that do not read, beside others that do. Each has a
 * topic of its own: what several wait for they would share. */
static void stall(int connections, int first, int last, int *slow, int port) {
  for (int i = first; i < last; i++) {
    char field[32];
    snprintf(field, sizeof field, "X-Slow: slow%d\r\n", i);
    slow[i] = open_one(port, field, 4096);
    take_head(slow[i]);
    wait_members(connections + i + 1);
  }
}

static void flood(int connections, int stalled) {
  for (int round = 0; round < 400; round++) {
    for (int i = 0; i < stalled; i++) {
      ask('q', i, 100);
      /* This comes behind the others. */
      ask('p', 0, 1);
      drain((long long)connections * CHUNK);
    }
    ask('p', 0, 100);
    drain((long long)connections * 100 * CHUNK);
  }
}

static void measure_stalled(int port, int connections) {
  int slow[STALLED + 1];
  /* The first one shows what the loop makes once, and keeps. */
  stall(connections, 0, 1, slow, port);
  flood(connections, 1);
  stall(connections, 1, STALLED + 1, slow, port);
  long long before = ask('m', 0, 0).number;
  flood(connections, STALLED + 1);
  long long after = ask('m', 0, 0).number;
  printf("stalled %.1f\n", (double)(after - before) / 1024 / STALLED);
  for (int i = 0; i <= STALLED; i++) close(slow[i]);
}

int main(int argc, char **argv) {
  int connections = argc > 1 ? atoi(argv[1]) : 1000;
  int events = argc > 2 ? atoi(argv[2]) : 160;
  int is_bare = argc > 3;
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  if (pipe(order_pipe) != 0 || pipe(answer_pipe) != 0) die("pipe");
  pid_t child = fork();
  if (child < 0) die("fork");
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    _exit((is_bare ? serve_bare : serve)(order_pipe[0], answer_pipe[1]));
  }
  int port = (int)receive_answer().number;
  descriptors = calloc((size_t)connections, sizeof *descriptors);
  poller = epoll_create1(EPOLL_CLOEXEC);
  /* Beside a first one, so that what is made once is not counted. */
  int first = open_one(port, "", 0);
  take_head(first);
  wait_members(1);
  long long before = ask('m', 0, 0).number;
  for (int i = 0; i < connections; i++) {
    descriptors[i] = open_one(port, "", 0);
    take_head(descriptors[i]);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = descriptors[i]};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, descriptors[i], &event) != 0) die("epoll_ctl");
  }
  wait_members(connections + 1);
  close(first);
  wait_members(connections);
  /* Each has had an event, and is idle again. */
  ask('p', 0, 1);
  drain((long long)connections * CHUNK);
  long long after = ask('m', 0, 0).number;
  if (!is_bare) printf("kib %.3f ", (double)(after - before) / connections / 1024);
  measure(connections, events, 1);
  if (is_bare) return 0;
  measure(connections, events, 16);
  int few = connections < 100 ? connections : 100;
  for (int i = few; i < connections; i++) close(descriptors[i]);
  wait_members(few);
  measure_stalled(port, few);
  kill(child, SIGKILL);
  return 0;
}
