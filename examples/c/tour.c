/*
 * tour.c - server and client in one program: tour serve | get URL | ws URL TEXT
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <apus.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int fail(void) {
  fprintf(stderr, "tour: %s\n", apus_last_error_message());
  return 1;
}

static void hello(void *context, apus_request request) {
  (void)context;
  size_t length;
  const char *name = apus_request_param(request, "name", &length);
  char *text = malloc(length + sizeof "Hello, !\n");
  if (text == NULL) return; /* without a reply the client gets 500 */
  sprintf(text, "Hello, %s!\n", name);
  apus_reply_text(request, 200, text);
  free(text);
}

static void failing(void *context, apus_request request) {
  (void)context;
  fprintf(stderr, "tour: this handler always fails: %s\n", apus_request_path(request));
}

static void events(void *context, apus_writer writer, apus_request request) {
  (void)context, (void)request;
  for (int number = 1; number <= 3; number++) {
    char id[8], data[16];
    snprintf(id, sizeof id, "%d", number);
    snprintf(data, sizeof data, "tick %d", number);
    apus_writer_event(writer, NULL, id, data, APUS_STRLEN);
  }
  apus_writer_end(writer);
  apus_writer_destroy(writer);
}

static void opened(void *context, apus_channel channel, apus_request request) {
  (void)context, (void)channel, (void)request;
}

static void echo(void *context, apus_channel channel, int32_t opcode, const void *data,
                 size_t length) {
  (void)context;
  apus_channel_send(channel, opcode, 1, data, length);
}

/* Serves until standard input ends. */
static int serve(void) {
  apus_server server = apus_server_make();
  apus_server_get(server, "/hello/:name", hello, NULL, NULL);
  apus_server_get(server, "/fail", failing, NULL, NULL);
  apus_server_events(server, "/events", events, NULL, NULL);
  int32_t route = apus_server_websocket(server, "/echo", opened, NULL, NULL);
  apus_server_on_message(server, route, echo, NULL, NULL);
  if (apus_server_listen(server, "127.0.0.1", 0) < 0 || apus_server_start(server) < 0) {
    return fail();
  }
  printf("http://127.0.0.1:%d/\n", apus_server_port(server, 0));
  fflush(stdout);
  struct pollfd watched[] = {{0, POLLIN, 0}, {apus_server_event_fd(server), POLLIN, 0}};
  while (poll(watched, 2, -1) > 0 || errno == EINTR) {
    char bytes[512];
    if (watched[0].revents != 0 && read(0, bytes, sizeof bytes) <= 0) break;
    apus_server_tick(server, 0); /* runs the handlers, on this thread */
  }
  apus_server_stop(server);
  apus_server_destroy(server);
  return 0;
}

static int get(const char *url) {
  apus_response response = apus_get(url, NULL);
  if (response == 0) return fail();
  size_t length;
  const char *body = apus_response_body(response, &length);
  fwrite(body, 1, length, stdout);
  apus_response_destroy(response);
  return 0;
}

static int ws(const char *url, const char *text) {
  apus_client client = apus_client_make();
  apus_channel channel = apus_channel_make(client);
  apus_message message;
  int32_t result = apus_channel_open(channel, url);
  if (result == APUS_OK) result = apus_channel_wait_open(channel, -1);
  if (result == 1) result = apus_channel_send_text(channel, text, APUS_STRLEN);
  if (result == APUS_OK) result = apus_channel_recv(channel, &message, -1);
  if (result == 1) {
    printf("%.*s\n", (int)message.length, (const char *)message.data);
    apus_channel_close(channel, 1000, NULL, 0);
    apus_channel_recv(channel, &message, -1); /* until the peer has answered that */
  }
  int status = result < 0 ? fail() : 0;
  apus_client_destroy(client); /* and with it the channel */
  return status;
}

int main(int argc, char **argv) {
  if (argc == 2 && strcmp(argv[1], "serve") == 0) return serve();
  if (argc == 3 && strcmp(argv[1], "get") == 0) return get(argv[2]);
  if (argc == 4 && strcmp(argv[1], "ws") == 0) return ws(argv[2], argv[3]);
  fprintf(stderr, "usage: tour serve | get URL | ws URL TEXT\n");
  return 2;
}
