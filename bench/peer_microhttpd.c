/*
 * peer_microhttpd.c - GNU libmicrohttpd: its own epoll thread, one of them. The
 * response object is made once and shared by all requests, which is the
 * library's fastest way.
 *
 * Usage: peer_microhttpd PORT
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <arpa/inet.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct MHD_Response *response;

static enum MHD_Result answer(void *context, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_size, void **request_context) {
  static int seen;
  (void)context, (void)url, (void)method, (void)version, (void)upload, (void)upload_size;
  /* The first call comes with the head, the second with the request whole. */
  if (*request_context == NULL) {
    *request_context = &seen;
    return MHD_YES;
  }
  return MHD_queue_response(connection, MHD_HTTP_OK, response);
}

int main(int argc, char **argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: peer_microhttpd PORT\n");
    return 2;
  }
  int port = atoi(argv[1]);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  static char body[] = "Hello, World!";
  response = MHD_create_response_from_buffer(13, body, MHD_RESPMEM_PERSISTENT);
  MHD_add_response_header(response, "X-Bench", "1");
  MHD_add_response_header(response, "Content-Type", "text/plain");
  struct MHD_Daemon *daemon =
      MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, (uint16_t)port, NULL, NULL, answer, NULL,
                       MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_CONNECTION_LIMIT, 15000u,
                       MHD_OPTION_LISTEN_BACKLOG_SIZE, 1024u, MHD_OPTION_END);
  if (daemon == NULL) {
    fprintf(stderr, "peer_microhttpd: cannot start\n");
    return 1;
  }
  printf("ready %d\n", port);
  fflush(stdout);
  for (;;) pause();
}
