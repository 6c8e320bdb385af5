/*
 * ws_load.c - a load of WebSocket messages: CHANNELS channels, on each of them
 * DEPTH binary messages of SIZE bytes at once, masked, which the server echoes.
 *
 * Usage: ws_load PORT CHANNELS SIZE DEPTH (seconds|requests) NUMBER [step] [go=LETTER]
 *
 * A batch goes out in one write, and the next one when all of its echoes are
 * in. Every byte that comes is compared with what is due. The result is a line
 * of JSON. With "step", the channels are opened and used once each, "ready" is
 * printed, and each line on standard input runs the load once more.
 *
 * With "go=LETTER", the channels only listen. A further channel, /control, tells
 * the server by the text LETTER and DEPTH to send DEPTH messages of SIZE bytes to
 * each of them, and again when all have come; what has come is counted.
 *
 * The program ends by itself when two minutes pass without a step.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_CHANNELS = 10000, MAX_BATCH = 1 << 18, INPUT = 1 << 16, TIME_LIMIT = 120 };
enum { MAX_SIZE = 65535, MAX_HEADER = 8 };

struct channel {
  int fd;
  int awaited; /* messages to come */
  size_t at;   /* bytes of a frame seen at the end of what came */
};

static struct channel channels[MAX_CHANNELS];
static struct channel control = {.fd = -1};
static int channel_count, depth, poller, live;
static size_t size, sent_length, due_length; /* of a message, and of its frames */
static char *batch, *due;                    /* what is sent, and what must come, repeated */
static char go[32];                          /* the frame for the control channel */
static size_t go_length;
static int64_t unsent; /* messages still to be sent in this run */
static int64_t outstanding, echoes, received_bytes, lost;

static void die(const char *what) {
  perror(what);
  exit(1);
}

static void fail(const char *what) {
  fprintf(stderr, "ws_load: %s\n", what);
  exit(1);
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* Writes a frame, masked where there is a key; returns its length. */
static size_t put_frame(char *at, int opcode, const char *data, size_t length, const char *key) {
  char *start = at;
  *at++ = (char)(0x80 | opcode);
  if (length < 126) {
    *at++ = (char)(length | (key ? 0x80 : 0));
  } else {
    *at++ = (char)(126 | (key ? 0x80 : 0));
    *at++ = (char)(length >> 8);
    *at++ = (char)length;
  }
  if (key) {
    memcpy(at, key, 4);
    at += 4;
  }
  for (size_t i = 0; i < length; i++) *at++ = (char)(data[i] ^ (key ? key[i % 4] : 0));
  return (size_t)(at - start);
}

static void prepare(char letter) {
  static char data[MAX_SIZE];
  for (size_t i = 0; i < size; i++) data[i] = (char)('a' + i % 26);
  batch = malloc((size_t)depth * (size + MAX_HEADER));
  due = malloc(INPUT + 2 * (size + MAX_HEADER));
  if (batch == NULL || due == NULL) die("malloc");
  char *at = batch;
  for (int i = 0; i < depth; i++) {
    const char key[4] = {(char)(0x37 + i), (char)0xfa, 0x21, (char)(0x3d - i)};
    sent_length = put_frame(at, 2, data, size, key);
    at += sent_length;
  }
  due_length = put_frame(due, 2, data, size, NULL);
  for (size_t i = due_length; i < INPUT + due_length; i++) due[i] = due[i - due_length];
  char order[16];
  int length = snprintf(order, sizeof order, "%c%d", letter, depth);
  go_length = put_frame(go, 1, order, (size_t)length, "\x01\x02\x03\x04");
}

/* The key is the one of RFC 6455, and so is the answer to it. */
static void shake_hands(int fd, const char *path) {
  char text[1024];
  int length = snprintf(text, sizeof text,
                        "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
                        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
                        path);
  if (send(fd, text, (size_t)length, MSG_NOSIGNAL) != length) die("send");
  size_t got = 0;
  while (got < 4 || memcmp(text + got - 4, "\r\n\r\n", 4) != 0) {
    ssize_t more = recv(fd, text + got, sizeof text - 1 - got, 0);
    if (more <= 0) fail("no answer to the handshake");
    got += (size_t)more;
  }
  text[got] = 0;
  if (strncmp(text, "HTTP/1.1 101", 12) != 0 || !strstr(text, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="))
    fail("the handshake was refused");
}

static void open_channel(struct channel *channel, int port, const char *path) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
  if (fd < 0) die("socket");
  if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) die("connect");
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  /* A reset at the end leaves no port in TIME_WAIT. */
  struct linger linger = {.l_onoff = 1, .l_linger = 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
  shake_hands(fd, path);
  *channel = (struct channel){.fd = fd};
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = channel};
  if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) != 0) die("epoll_ctl");
  live++;
}

static void lose(struct channel *channel) {
  if (channel == &control) fail("the control channel was closed");
  lost += channel->awaited;
  outstanding -= channel->awaited;
  close(channel->fd);
  channel->fd = -1;
  channel->awaited = 0;
  live--;
}

static void send_batch(struct channel *channel) {
  int count = unsent < depth ? (int)unsent : depth;
  if (count == 0) return;
  unsent -= count;
  channel->awaited = count;
  outstanding += count;
  size_t length = (size_t)count * sent_length;
  if (send(channel->fd, batch, length, MSG_NOSIGNAL) != (ssize_t)length) lose(channel);
}

/* Has the server send a burst to everyone. */
static void send_go(void) {
  if (unsent <= 0) return;
  unsent -= (int64_t)depth * live;
  for (int i = 0; i < channel_count; i++) {
    if (channels[i].fd < 0) continue;
    channels[i].awaited = depth;
    outstanding += depth;
  }
  if (send(control.fd, go, go_length, MSG_NOSIGNAL) != (ssize_t)go_length) die("send");
}

static void receive(struct channel *channel) {
  static char input[INPUT];
  if (channel->fd < 0) return;
  ssize_t got = recv(channel->fd, input, sizeof input, MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) {
    lose(channel);
    return;
  }
  if (memcmp(input, due + channel->at, (size_t)got) != 0) fail("not what was sent");
  size_t end = channel->at + (size_t)got;
  int count = (int)(end / due_length);
  channel->at = end % due_length;
  received_bytes += got;
  echoes += count;
  channel->awaited -= count;
  outstanding -= count;
  if (channel->awaited < 0) fail("more messages than are due");
  if (control.fd < 0 && channel->awaited == 0) send_batch(channel);
}

/* Runs until `count` messages have come, or until the time is over and what is
 * under way is in. */
static double run(int64_t count, double seconds) {
  double start = now(), end = start + seconds;
  unsent = count;
  echoes = received_bytes = lost = 0;
  for (int i = 0; i < channel_count && control.fd < 0; i++)
    if (channels[i].fd >= 0) send_batch(&channels[i]);
  for (;;) {
    if (seconds > 0 && unsent > 0 && now() >= end) unsent = 0;
    if (outstanding == 0 && control.fd >= 0) send_go();
    if (outstanding == 0) break;
    struct epoll_event events[256];
    int ready = epoll_wait(poller, events, 256, 1000);
    for (int i = 0; i < ready; i++) receive(events[i].data.ptr);
  }
  return now() - start;
}

static void report(double seconds) {
  printf("{\"requests\": %lld, \"seconds\": %.6f, \"bytes\": %lld, \"lost\": %lld}\n",
         (long long)echoes, seconds, (long long)received_bytes,
         (long long)lost + channel_count + (control.fd >= 0) - live);
  fflush(stdout);
}

static void read_arguments(int argc, char **argv) {
  channel_count = atoi(argv[2]);
  size = (size_t)atoi(argv[3]);
  depth = atoi(argv[4]);
  if (channel_count < 1 || channel_count > MAX_CHANNELS || size < 1 || size > MAX_SIZE ||
      depth < 1 || (size_t)depth * (size + MAX_HEADER) > MAX_BATCH) {
    fail("1 to 10000 channels, 1 to 65535 bytes, 256 KiB at once");
  }
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
  char letter = 0;
  for (int i = 7; i < argc; i++)
    if (strncmp(argv[i], "go=", 3) == 0) letter = argv[i][3];
  prepare(letter);
  poller = epoll_create1(EPOLL_CLOEXEC);
  for (int i = 0; i < channel_count; i++) open_channel(&channels[i], atoi(argv[1]), "/");
  if (letter) open_channel(&control, atoi(argv[1]), "/control");
}

int main(int argc, char **argv) {
  int by_time = argc > 6 && strcmp(argv[5], "seconds") == 0;
  if (argc < 7 || (!by_time && strcmp(argv[5], "requests") != 0)) {
    fprintf(stderr,
            "usage: ws_load PORT CHANNELS SIZE DEPTH seconds|requests NUMBER [step] "
            "[go=LETTER]\n");
    return 2;
  }
  double seconds = by_time ? atof(argv[6]) : 0;
  int64_t count = by_time ? INT64_MAX / 2 : atoll(argv[6]);
  int stepwise = argc > 7 && strcmp(argv[7], "step") == 0;
  alarm(TIME_LIMIT);
  read_arguments(argc, argv);
  if (!stepwise) {
    report(run(count, seconds));
    return 0;
  }
  run(channel_count * (int64_t)depth, 0);
  printf("ready\n");
  fflush(stdout);
  char line[16];
  while (fgets(line, sizeof line, stdin) != NULL) {
    alarm(TIME_LIMIT);
    report(run(count, seconds));
  }
  return 0;
}
