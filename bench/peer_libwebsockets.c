/*
 * peer_libwebsockets.c - libwebsockets, one thread. Head and body go out in one
 * write, from the callback that brings the request.
 *
 * Usage: peer_libwebsockets PORT [poll|ev]
 *
 *   poll  the library's own loop
 *   ev    libev's epoll loop, where that plug-in is installed
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <libwebsockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int answer(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                  size_t length) {
  if (reason != LWS_CALLBACK_HTTP) return lws_callback_http_dummy(wsi, reason, user, in, length);
  unsigned char buffer[LWS_PRE + 1024];
  unsigned char *start = buffer + LWS_PRE, *at = start, *end = buffer + sizeof buffer;
  if (lws_add_http_common_headers(wsi, HTTP_STATUS_OK, "text/plain", 13, &at, end) ||
      lws_add_http_header_by_name(
          wsi, (const unsigned char *)"x-bench:", (const unsigned char *)"1", 1, &at, end) ||
      lws_finalize_http_header(wsi, &at, end))
    return 1;
  memcpy(at, "Hello, World!", 13);
  at += 13;
  int total = (int)(at - start);
  if (lws_write(wsi, start, (size_t)total, LWS_WRITE_HTTP_HEADERS) != total) return 1;
  return lws_http_transaction_completed(wsi) ? -1 : 0;
}

int main(int argc, char **argv) {
  if (argc < 2) {
    fprintf(stderr, "usage: peer_libwebsockets PORT [poll|ev]\n");
    return 2;
  }
  static const struct lws_protocols protocols[] = {{.name = "http", .callback = answer},
                                                   {.name = NULL}};
  lws_set_log_level(LLL_ERR, NULL);
  struct lws_context_creation_info info = {0};
  info.port = atoi(argv[1]);
  info.iface = "127.0.0.1";
  info.protocols = protocols;
  info.keepalive_timeout = 60;
  info.vhost_name = "127.0.0.1";
  if (argc > 2 && strcmp(argv[2], "ev") == 0) info.options |= LWS_SERVER_OPTION_LIBEV;
  struct lws_context *context = lws_create_context(&info);
  if (context == NULL) {
    fprintf(stderr, "peer_libwebsockets: cannot start\n");
    return 1;
  }
  printf("ready %s\n", argv[1]);
  fflush(stdout);
  while (lws_service(context, 0) >= 0) continue;
  lws_context_destroy(context);
  return 0;
}
