/*
 * peer_ws_libwebsockets.c - libwebsockets as an echo server, one thread, its own
 * loop. A message goes back from the callback that brings it, which is cheaper
 * than asking for a callback when the socket can be written. One that comes in
 * pieces is put together first.
 *
 * Usage: peer_ws_libwebsockets PORT [deflate]
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <libwebsockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LARGEST = 1 << 16 };

struct session {
  size_t length; /* of the pieces in buffer */
  unsigned char *buffer;
};

static int echo(struct lws *wsi, const unsigned char *data, size_t length) {
  static unsigned char output[LWS_PRE + LARGEST];
  int kind = lws_frame_is_binary(wsi) ? LWS_WRITE_BINARY : LWS_WRITE_TEXT;
  memcpy(output + LWS_PRE, data, length);
  return lws_write(wsi, output + LWS_PRE, length, kind) < (int)length ? -1 : 0;
}

static int receive(struct lws *wsi, struct session *session, void *data, size_t length) {
  int whole = lws_is_final_fragment(wsi) && lws_remaining_packet_payload(wsi) == 0;
  if (session->length + length > LARGEST) return -1;
  if (whole && session->length == 0) return echo(wsi, data, length);
  if (session->buffer == NULL) session->buffer = malloc(LARGEST);
  if (session->buffer == NULL) return -1;
  memcpy(session->buffer + session->length, data, length);
  session->length += length;
  if (!whole) return 0;
  int result = echo(wsi, session->buffer, session->length);
  session->length = 0;
  return result;
}

static int serve(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                 size_t length) {
  struct session *session = user;
  switch (reason) {
    case LWS_CALLBACK_ESTABLISHED:
      *session = (struct session){0};
      return 0;
    case LWS_CALLBACK_RECEIVE:
      return receive(wsi, session, in, length);
    case LWS_CALLBACK_CLOSED:
      free(session->buffer);
      return 0;
    default:
      return lws_callback_http_dummy(wsi, reason, user, in, length);
  }
}

int main(int argc, char **argv) {
  if (argc < 2) {
    fprintf(stderr, "usage: peer_ws_libwebsockets PORT [deflate]\n");
    return 2;
  }
  static const struct lws_protocols protocols[] = {
      {.name = "echo", .callback = serve, .per_session_data_size = sizeof(struct session)},
      {.name = NULL}};
  static const struct lws_extension extensions[] = {
      {"permessage-deflate", lws_extension_callback_pm_deflate, "permessage-deflate"},
      {NULL, NULL, NULL}};
  lws_set_log_level(LLL_ERR, NULL);
  struct lws_context_creation_info info = {0};
  info.port = atoi(argv[1]);
  info.iface = "127.0.0.1";
  info.protocols = protocols;
  info.keepalive_timeout = 60;
  info.vhost_name = "127.0.0.1";
  info.pt_serv_buf_size = 1 << 17; /* so that a message comes in one piece, as a rule */
  if (argc > 2 && strcmp(argv[2], "deflate") == 0) info.extensions = extensions;
  struct lws_context *context = lws_create_context(&info);
  if (context == NULL) {
    fprintf(stderr, "peer_ws_libwebsockets: cannot start\n");
    return 1;
  }
  printf("ready %s\n", argv[1]);
  fflush(stdout);
  while (lws_service(context, 0) >= 0) continue;
  lws_context_destroy(context);
  return 0;
}
