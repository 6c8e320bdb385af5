/*
 * get_request.c - the request of "apus get", built of its options.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "get.h"

/* ---- bodies */

/* The Content-Type that goes with a body, unless there is a header that says it. */
static const char *type_of(const struct get *get, const char *type) {
  return connection_has_header(&get->connection, "Content-Type") ? NULL : type;
}

static int64_t read_input(void *context, apus_fetch fetch, void *buffer, size_t capacity) {
  struct get *get = context;
  struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
  (void)fetch;
  /* Signals are blocked on this thread, and the library has no turn: it looks for those, and
   * for the time, while it waits. */
  while (poll(&input, 1, 100) <= 0) {
    if (signal_seen() != 0) return -1;
    if (get->time_ms > 0 && now_us() - get->began_us >= (int64_t)get->time_ms * 1000) {
      get->is_late = 1;
      return -1;
    }
  }
  return read(STDIN_FILENO, buffer, capacity);
}

static int set_file(struct get *get) {
  const char *type = type_of(get, "application/octet-stream");
  int32_t result = strcmp(get->data_file, "-") == 0
                       ? apus_fetch_set_body_source(get->fetch, -1, type, read_input, get, NULL)
                       : apus_fetch_set_body_file(get->fetch, get->data_file, type);
  if (result == APUS_OK) return EXIT_FINE;
  complain("%s cannot be sent: %s", get->data_file, apus_last_error_message());
  return EXIT_LOCAL;
}

/* Takes ";name=value" off the end of a text; NULL where it has none. */
static char *take_suffix(char *text, const char *name) {
  struct text wanted = {0};
  text_print(&wanted, ";%s=", name);
  char *found = strstr(text, wanted.bytes), *value = NULL;
  if (found != NULL) {
    char *start = found + wanted.length, *end = start + strcspn(start, ";");
    value = strndup(start, (size_t)(end - start));
    memmove(found, end, strlen(end) + 1);
  }
  text_free(&wanted);
  return value;
}

static int add_file(struct get *get, const char *name, char *path) {
  char *type = take_suffix(path, "type"), *file_name = take_suffix(path, "filename");
  int32_t result = apus_fetch_add_file(get->fetch, name, path, file_name, type);
  free(type);
  free(file_name);
  if (result == APUS_OK) return EXIT_FINE;
  complain("%s cannot be sent: %s", path, apus_last_error_message());
  return EXIT_LOCAL;
}

static int add_part(struct get *get, const char *part) {
  const char *equals = strchr(part, '=');
  char *name = strndup(part, (size_t)(equals - part)), *value = strdup(equals + 1);
  int result = EXIT_FINE;
  if (name == NULL || value == NULL) out_of_memory();
  if (value[0] == '@') {
    result = add_file(get, name, value + 1);
  } else if (apus_fetch_add_part(get->fetch, name, value, APUS_STRLEN, NULL, NULL) < 0) {
    complain("the form's part %s cannot be sent: %s", name, apus_last_error_message());
    result = EXIT_USAGE;
  }
  free(name);
  free(value);
  return result;
}

static int set_body(struct get *get) {
  int32_t result = APUS_OK;
  for (int i = 0; i < get->part_count; i++) {
    int added = add_part(get, get->parts[i]);
    if (added != EXIT_FINE) return added;
  }
  if (get->data_file != NULL) return set_file(get);
  if (get->has_data) {
    result = apus_fetch_set_body(get->fetch, get->data.bytes, get->data.length,
                                 type_of(get, "application/x-www-form-urlencoded"));
  } else if (get->json != NULL) {
    result =
        apus_fetch_set_body(get->fetch, get->json, APUS_STRLEN, type_of(get, "application/json"));
  }
  if (result == APUS_OK) return EXIT_FINE;
  complain("the data cannot be sent: %s", apus_last_error_message());
  return EXIT_LOCAL;
}

/* ---- the rest */

static const char *method_of(const struct get *get) {
  int has_body = get->has_data || get->data_file != NULL || get->json != NULL;
  if (get->method != NULL) return get->method;
  if (get->head) return "HEAD";
  return has_body || get->part_count > 0 ? "POST" : "GET";
}

static int set_credentials(struct get *get) {
  const struct connection *c = &get->connection;
  int32_t result = APUS_OK;
  if (c->user != NULL) {
    result = get->any_auth ? apus_fetch_set_credentials(get->fetch, c->user, c->password)
             : get->digest ? apus_fetch_set_digest(get->fetch, c->user, c->password)
                           : apus_fetch_set_basic(get->fetch, c->user, c->password);
  }
  if (result == APUS_OK && get->bearer != NULL) {
    result = apus_fetch_set_bearer(get->fetch, get->bearer);
  }
  if (result == APUS_OK) return EXIT_FINE;
  complain("the credentials cannot be sent: %s", apus_last_error_message());
  return EXIT_USAGE;
}

static int set_headers(struct get *get) {
  char range[64];
  if (get->json != NULL && !connection_has_header(&get->connection, "Accept")) {
    apus_fetch_set_header(get->fetch, "Accept", "application/json, */*;q=0.1");
  }
  if (get->offset > 0) {
    snprintf(range, sizeof range, "bytes=%lld-", (long long)get->offset);
    apus_fetch_set_header(get->fetch, "Range", range);
  }
  return connection_headers(&get->connection, get->fetch, apus_fetch_add_header);
}

int get_prepare(struct get *get) {
  int result = connection_apply(&get->connection, get->client);
  if (result != EXIT_FINE) return result;
  get->fetch = apus_fetch_make(get->client, method_of(get), get->url);
  if (get->fetch == 0) return complain_network(get->url, apus_last_error(), NULL);
  apus_fetch_set_redirects(get->fetch, get->redirects);
  apus_fetch_set_total_timeout(get->fetch, get->time_ms);
  apus_fetch_set_decoding(get->fetch, !get->raw);
  if (get->retries > 0) apus_fetch_set_retries(get->fetch, get->retries, 1000);
  apus_fetch_on_response(get->fetch, get_response, get, NULL);
  apus_fetch_on_body(get->fetch, get_body, get, NULL);
  apus_fetch_on_complete(get->fetch, get_complete, get, NULL);
  if (result == EXIT_FINE) result = set_credentials(get);
  if (result == EXIT_FINE) result = set_headers(get);
  if (result == EXIT_FINE) result = set_body(get);
  return result;
}
