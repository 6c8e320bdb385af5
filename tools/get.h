/*
 * get.h - one transfer of "apus get": what was asked for, and where it is.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef GET_H
#define GET_H

#include "tool.h"

struct get {
  /* asked for */
  struct connection connection;
  const char *url_word, *method, *output;
  const char *parts[64]; /* of -F */
  const char *data_file, *json;
  struct text data; /* of -d, joined */
  int part_count, has_data, remote_name, headers, head, fail, resume, raw, quiet, verbose;
  int digest, any_auth;
  int32_t redirects, retries, time_ms;
  const char *bearer;
  /* under way */
  char *url, *path; /* path: the file that is written, or NULL: standard output */
  apus_client client;
  apus_fetch fetch;
  int descriptor; /* of the file, once it is open; -1 */
  int64_t offset; /* where it goes on */
  int64_t began_us;
  struct filter filter;
  struct progress progress;
  int is_done, is_complete, is_late, last_byte;
  int problem; /* an exit code that is told already */
  int32_t status;
};

/* Builds the request. Returns an exit code. */
int get_prepare(struct get *get);
/* Where the body goes, from the options; ends the program where that makes no sense. */
void get_choose_output(struct get *get);
/* The callbacks of the fetch. */
void get_response(void *context, apus_fetch fetch, apus_response response);
void get_body(void *context, apus_fetch fetch, const void *data, size_t length);
void get_complete(void *context, apus_fetch fetch, apus_response response, int32_t result);
/* Closes the output. Returns an exit code. */
int get_close_output(struct get *get);

#endif /* GET_H */
