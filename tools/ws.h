/*
 * ws.h - one conversation of "apus ws".
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef WS_H
#define WS_H

#include "tool.h"

struct ws {
  /* asked for */
  struct connection connection;
  const char *url_word, *protocols, *origin;
  const char *messages[64]; /* of --message */
  int message_count, binary, stay, reconnect, quiet;
  int32_t ping_ms, count, time_ms;
  int64_t max_message;
  /* under way */
  char *url;
  apus_client client;
  apus_channel channel;
  struct text input; /* what was read and not sent */
  int input_ended, is_typed, is_full, was_open, is_open, is_closed, is_leaving, is_late;
  int32_t received, code;
  int32_t error; /* the latest failure, and its sentence */
  char sentence[256], reason[128];
};

/* Reads what there is of standard input; then sends the lines that are whole, as far as
 * the channel takes them. */
void ws_read_input(struct ws *ws);
void ws_send_input(struct ws *ws);
void ws_leave(struct ws *ws, int32_t code);
/* Prints a message. */
void ws_print(struct ws *ws, int32_t opcode, const void *data, size_t length);

#endif /* WS_H */
