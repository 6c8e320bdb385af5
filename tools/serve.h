/*
 * serve.h - what "apus serve" was asked for.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVE_H
#define SERVE_H

#include "tool.h"

struct serve {
  struct listening listening;
  const char *folder, *index, *cache_control, *not_found, *upload_path;
  char *user, *password;
  int64_t max_upload;
  int no_listing, cors, hidden, quiet, upload, overwrite, no_compression, precompressed;
  int descriptor; /* of the folder, for uploads */
};

/* Adds the routes that save what is sent. Returns an exit code. */
int add_uploads(struct serve *serve, apus_server server);

#endif /* SERVE_H */
