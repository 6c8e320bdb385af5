/*
 * chat.c - a chat: what one WebSocket client says, all others hear.
 *
 *   chat [PORT]    8080 unless it is given; 0 is any free port
 *
 * In the console of a browser, on any page of http://127.0.0.1:8080 (its 404 will
 * do, for other pages may not open channels: apus_server_set_origin_policy()):
 *
 *   chat = new WebSocket('ws://127.0.0.1:8080/chat')
 *   chat.onmessage = event => console.log(event.data)
 *   chat.send('Hello')
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <apus.h>
#include <stdio.h>
#include <stdlib.h>

static void join(void *context, apus_channel channel, apus_request request) {
  (void)context, (void)request;
  apus_channel_subscribe(channel, "room");
  apus_channel_send_text(channel, "Welcome", APUS_STRLEN);
}

static void say(void *context, apus_channel channel, int32_t opcode, const void *data,
                size_t length) {
  (void)context;
  apus_server_publish(apus_channel_server(channel), "room", opcode, data, length, channel);
}

static int32_t add_chat(apus_server server) {
  int32_t route = apus_server_websocket(server, "/chat", join, NULL, NULL);
  return route < 0 ? route : apus_server_on_message(server, route, say, NULL, NULL);
}

int main(int argc, char **argv) {
  apus_server server = apus_server_make();
  if (add_chat(server) == APUS_OK &&
      apus_server_listen(server, "127.0.0.1", argc > 1 ? atoi(argv[1]) : 8080) >= 0) {
    fprintf(stderr, "http://127.0.0.1:%d/\n", apus_server_port(server, 0));
    if (apus_server_serve(server) == APUS_OK) return 0;
  }
  fprintf(stderr, "%s\n", apus_last_error_message());
  return 1;
}
