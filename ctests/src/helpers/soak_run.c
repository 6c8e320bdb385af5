/*
 * soak_run.c - a server and a client under load for long, in one process, and what loads
 * the server in another, which calls nothing of the library. Resident memory,
 * descriptors, threads and live handles are sampled, and a line is laid through each by
 * least squares, behind the first third. Prints all of it as JSON.
 *
 *   soak_run FOLDER SLICES HOSTILE
 *
 * FOLDER as for faults_run. A slice is a connection with 100 requests, ten at a time, a
 * WebSocket with ten messages, and a connection that sends the next of the hostile cases:
 * HOSTILE is a file of them, each a byte that is 1 behind a WebSocket's handshake, four
 * bytes of length, the lowest first, and the bytes. Ends with 1 where a reply is wrong.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replies.h"
#include "ws.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define LOADERS 4
#define REQUESTS 100
#define BATCH 10
#define MESSAGES 10
#define SAMPLES 20000

static char folder[256];

/* ------------------------------------------------------------------ the load */

struct hostile {
  int is_websocket;
  size_t length;
  const char *bytes;
};

static struct hostile *cases;
static long case_count;
static atomic_long *done; /* slices, in memory that both processes see */

static void read_cases(const char *path) {
  FILE *file = fopen(path, "rb");
  unsigned char head[5];
  CHECK(file != NULL);
  while (fread(head, 1, 5, file) == 5) {
    size_t length = head[1] | head[2] << 8 | head[3] << 16 | (size_t)head[4] << 24;
    char *bytes = malloc(length + 1);
    cases = realloc(cases, (size_t)(case_count + 1) * sizeof *cases);
    CHECK(bytes != NULL && cases != NULL);
    CHECK_INT(length, fread(bytes, 1, length, file));
    cases[case_count++] = (struct hostile){head[0], length, bytes};
  }
  fclose(file);
  CHECK(case_count > 100);
}

static void load_requests(int32_t port) {
  static const char *const requests[BATCH] = {
      "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET /hello?a=b&c=d HTTP/1.1\r\nHost: a\r\nUser-Agent: soak\r\nAccept: */*\r\n\r\n",
      "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
      "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
      "GET /hello HTTP/1.1\r\nHost: a\r\nCookie: a=b; c=d\r\n\r\n",
      "GET /f/small.txt HTTP/1.1\r\nHost: a\r\nRange: bytes=0-4\r\n\r\n",
      "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET /pieces HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n",
  };
  struct client client;
  client_open(&client, port);
  for (int i = 0; i < REQUESTS; i += BATCH) {
    char text[2048] = "";
    for (int k = 0; k < BATCH; k++) strcat(text, requests[k]);
    client_text(&client, text);
    for (int k = 0; k < BATCH; k++) {
      CLIENT_EXPECT(&client, "GET", k == 9 ? 404 : k == 5 ? 206 : 200, k == 9 ? NULL : "hello");
    }
  }
  client_close(&client);
}

static void load_messages(int32_t port) {
  static char text[3000];
  struct client client;
  ws_open(&client, port, "/ws");
  if (text[0] == '\0') memset(text, 'a', sizeof text);
  for (int i = 0; i < MESSAGES; i++) {
    ws_send(&client, WS_FINAL | APUS_OPCODE_BINARY, text, i == 0 ? sizeof text : 20);
  }
  for (int i = 0; i < MESSAGES; i++) {
    WS_EXPECT(&client, WS_FINAL | APUS_OPCODE_BINARY, text, i == 0 ? sizeof text : 20);
  }
  ws_close(&client, 1000, "");
  WS_EXPECT_CLOSE(&client, 1000, "");
  client_close(&client);
}

/* What comes of it is tested elsewhere; here it comes to an end. */
static void load_hostile(int32_t port, long number) {
  const struct hostile *one = &cases[number % case_count];
  struct client client;
  if (one->is_websocket) {
    ws_open(&client, port, "/ws");
  } else {
    client_open(&client, port);
  }
  client_send_some(&client, one->bytes, one->length);
  if (number % 3 == 0) return client_leave(&client);
  shutdown(client.fd, SHUT_WR);
  while (client_fill(&client)) client.begin = client.end;
  client_close(&client);
}

static long slices;
static int32_t load_port;

static void *load(void *context) {
  (void)context;
  for (long number; (number = atomic_fetch_add(&done[1], 1)) < slices;) {
    load_requests(load_port);
    load_messages(load_port);
    load_hostile(load_port, number);
    atomic_fetch_add(&done[0], 1);
  }
  return NULL;
}

static pid_t start_load(int32_t port) {
  pthread_t loaders[LOADERS];
  pid_t child = fork();
  CHECK(child >= 0);
  if (child > 0) return child;
  load_port = port;
  for (int i = 0; i < LOADERS; i++) CHECK_INT(0, pthread_create(&loaders[i], NULL, load, NULL));
  for (int i = 0; i < LOADERS; i++) CHECK_INT(0, pthread_join(loaders[i], NULL));
  _exit(0);
}

/* ---------------------------------------------------------------- the server */

static void pieces(void *context, apus_request request) {
  (void)context;
  apus_writer writer = apus_writer_make(request);
  apus_writer_write(writer, "hel", 3);
  apus_writer_write(writer, "lo", 2);
  apus_writer_end(writer);
  apus_writer_destroy(writer);
}

static void back(void *context, apus_channel channel, int32_t opcode, const void *data,
                 size_t length) {
  (void)context;
  apus_channel_send(channel, opcode, 1, data, length);
}

static apus_server make_server(int32_t *port, int32_t *secure) {
  apus_server server = apus_server_make();
  CHECK_INT(0, apus_server_set_workers(server, 2));
  CHECK_INT(0, apus_server_set_dispatch(server, APUS_DISPATCH_WORKER));
  CHECK(apus_server_get(server, "/hello", reply_hello, NULL, NULL) >= 0);
  CHECK(apus_server_get(server, "/", reply_hello, NULL, NULL) >= 0);
  CHECK(apus_server_post(server, "/", reply_echo, NULL, NULL) >= 0);
  CHECK(apus_server_post(server, "/echo", reply_echo, NULL, NULL) >= 0);
  CHECK(apus_server_get(server, "/pieces", pieces, NULL, NULL) >= 0);
  CHECK(apus_server_serve_folder(server, "/f", folder) >= 0);
  int32_t route = apus_server_websocket(server, "/ws", NULL, NULL, NULL);
  CHECK_INT(0, apus_server_on_message(server, route, back, NULL, NULL));
  CHECK_INT(0, apus_server_add_certificate_directory(server, NULL, folder));
  int32_t plain = apus_server_listen(server, "127.0.0.1", 0);
  int32_t tls = apus_server_listen_tls(server, "127.0.0.1", 0);
  *port = apus_server_port(server, plain);
  *secure = apus_server_port(server, tls);
  return server;
}

/* ------------------------------------------------------- the library's client */

static atomic_int is_over;
static atomic_long fetches;
static char urls[2][64];

static void *fetch_all(void *context) {
  char path[300];
  (void)context;
  apus_client client = apus_client_make();
  snprintf(path, sizeof path, "%s/ca.crt", folder);
  CHECK_INT(0, apus_client_add_ca_file(client, path));
  for (int i = 0; !atomic_load(&is_over); i++) {
    CHECK_INT(0, apus_client_set_keep_alive(client, i % 8 != 0));
    apus_fetch fetch = apus_fetch_make(client, "GET", urls[i % 2]);
    apus_response response = apus_fetch_send(fetch);
    CHECK(response != 0);
    CHECK_INT(200, apus_response_status(response));
    CHECK_INT(1, apus_fetch_destroy(fetch));
    atomic_fetch_add(&fetches, 1);
    harness_breathe();
  }
  CHECK_INT(1, apus_client_destroy(client));
  return NULL;
}

/* ------------------------------------------------------------------ samples */

struct sample {
  double at; /* slices done */
  double values[4];
};

static const char *const names[4] = {"resident_kib", "descriptors", "threads", "handles"};
static struct sample samples[SAMPLES];
static int sample_count;

static void take_sample(void) {
  long pages = 0, resident = 0;
  FILE *file = fopen("/proc/self/statm", "r");
  CHECK(file != NULL && fscanf(file, "%ld %ld", &pages, &resident) == 2);
  fclose(file);
  if (sample_count == SAMPLES) return;
  samples[sample_count++] =
      (struct sample){(double)atomic_load(&done[0]),
                      {(double)(resident * (sysconf(_SC_PAGESIZE) / 1024)), harness_descriptors(),
                       harness_threads(), apus_live_count(0)}};
}

/* How much the line through a value rises from the first to the last sample. */
static double rise(int value, int from) {
  double n = 0, x = 0, y = 0, xx = 0, xy = 0;
  for (int i = from; i < sample_count; i++) {
    n++;
    x += samples[i].at;
    y += samples[i].values[value];
    xx += samples[i].at * samples[i].at;
    xy += samples[i].at * samples[i].values[value];
  }
  double width = n * xx - x * x;
  if (n < 3 || width == 0) return 0;
  return (n * xy - x * y) / width * (samples[sample_count - 1].at - samples[from].at);
}

static void print_figures(double seconds, apus_server server) {
  int from = 0;
  while (from < sample_count && samples[from].at < (double)slices / 3) from++;
  printf(
      "{\"slices\": %ld, \"requests\": %ld, \"messages\": %ld, \"hostile\": %ld, "
      "\"connects\": %lld, \"fetches\": %ld, \"seconds\": %.1f, \"samples\": %d,\n",
      slices, slices * REQUESTS, slices * MESSAGES, slices,
      (long long)apus_server_counter(server, APUS_COUNT_ACCEPTED), atomic_load(&fetches), seconds,
      sample_count - from);
  for (int i = 0; i < 4; i++) {
    double least = 1e18, most = 0;
    for (int k = from; k < sample_count; k++) {
      if (samples[k].values[i] < least) least = samples[k].values[i];
      if (samples[k].values[i] > most) most = samples[k].values[i];
    }
    printf(
        " \"%s\": {\"first\": %.0f, \"last\": %.0f, \"least\": %.0f, \"most\": %.0f, "
        "\"rise\": %.2f}%s\n",
        names[i], samples[from].values[i], samples[sample_count - 1].values[i], least, most,
        rise(i, from), i == 3 ? "}" : ",");
  }
}

int main(int argc, char **argv) {
  int32_t port, secure;
  pthread_t fetcher;
  int status = 0;
  if (argc != 4) return 2;
  snprintf(folder, sizeof folder, "%s", argv[1]);
  slices = atol(argv[2]);
  read_cases(argv[3]);
  done = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(done != MAP_FAILED);
  signal(SIGPIPE, SIG_DFL);
  int before = harness_descriptors();
  apus_server server = make_server(&port, &secure);
  snprintf(urls[0], sizeof urls[0], "http://localhost:%d/hello", port);
  snprintf(urls[1], sizeof urls[1], "https://localhost:%d/hello", secure);
  pid_t child = start_load(port);
  CHECK_INT(0, apus_server_start(server));
  CHECK_INT(0, pthread_create(&fetcher, NULL, fetch_all, NULL));
  int64_t begun = harness_now_ms();
  while (waitpid(child, &status, WNOHANG) == 0) {
    take_sample();
    struct timespec pause = {0, 100000000}; /* between samples */
    nanosleep(&pause, NULL);
  }
  take_sample();
  double seconds = (double)(harness_now_ms() - begun) / 1000;
  atomic_store(&is_over, 1);
  CHECK_INT(0, pthread_join(fetcher, NULL));
  CHECK_INT(0, status);
  CHECK_INT(slices, atomic_load(&done[0]));
  EVENTUALLY(apus_server_counter(server, APUS_COUNT_CONNECTIONS) == 0);
  print_figures(seconds, server);
  CHECK_INT(0, apus_server_stop(server));
  CHECK_INT(1, apus_server_destroy(server));
  CHECK_INT(0, apus_live_count(0));
  EVENTUALLY(harness_descriptors() <= before);
  return 0;
}
