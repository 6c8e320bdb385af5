/*
 * peer_h2o.c - h2o as a library, with its own event loop and a handler in C.
 * (The h2o program cannot give a canned answer without mruby or a file.)
 *
 * Usage: peer_h2o PORT
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#define H2O_USE_EPOLL 1
#include <arpa/inet.h>
#include <h2o.h>
#include <h2o/http1.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static h2o_globalconf_t config;
static h2o_context_t context;
static h2o_accept_ctx_t accept_context;

static int answer(h2o_handler_t *handler, h2o_req_t *request) {
  static h2o_generator_t generator = {NULL, NULL};
  (void)handler;
  request->res.status = 200;
  request->res.reason = "OK";
  request->res.content_length = 13;
  h2o_add_header(&request->pool, &request->res.headers, H2O_TOKEN_CONTENT_TYPE, NULL,
                 H2O_STRLIT("text/plain"));
  h2o_add_header_by_str(&request->pool, &request->res.headers, H2O_STRLIT("x-bench"), 0, NULL,
                        H2O_STRLIT("1"));
  h2o_start_response(request, &generator);
  h2o_iovec_t body = {H2O_STRLIT("Hello, World!")};
  h2o_send(request, &body, 1, H2O_SEND_STATE_FINAL);
  return 0;
}

static void on_accept(h2o_socket_t *listener, const char *error) {
  if (error != NULL) return;
  /* Some at a time, as the h2o program does it. */
  for (int i = 0; i < 10; i++) {
    h2o_socket_t *socket = h2o_evloop_socket_accept(listener);
    if (socket == NULL) break;
    h2o_accept(&accept_context, socket);
  }
}

int main(int argc, char **argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: peer_h2o PORT\n");
    return 2;
  }
  signal(SIGPIPE, SIG_IGN);
  int port = atoi(argv[1]);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 1024) != 0) {
    perror("peer_h2o: listen");
    return 1;
  }
  h2o_config_init(&config);
  config.http1.req_timeout = 60000;
  h2o_hostconf_t *host =
      h2o_config_register_host(&config, h2o_iovec_init(H2O_STRLIT("default")), 65535);
  h2o_pathconf_t *path = h2o_config_register_path(host, "/", 0);
  h2o_handler_t *handler = h2o_create_handler(path, sizeof *handler);
  handler->on_req = answer;
  h2o_context_init(&context, h2o_evloop_create(), &config);
  accept_context.ctx = &context;
  accept_context.hosts = config.hosts;
  h2o_socket_t *listener = h2o_evloop_socket_create(context.loop, fd, H2O_SOCKET_FLAG_DONT_READ);
  h2o_socket_read_start(listener, on_accept);
  printf("ready %d\n", port);
  fflush(stdout);
  for (;;) h2o_evloop_run(context.loop, INT32_MAX); /* also after an interrupted wait */
}
