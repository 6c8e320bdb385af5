/*
 * get_output.c - where the answer to "apus get" goes: to standard output, where a
 * terminal gets no controls, or to a file, which may be gone on with.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "get.h"

/* ---- which file */

/* The end of the URL's path, as a file of this folder; NULL where that is none. */
static char *name_of(const char *url) {
  size_t capacity = 3 * strlen(url) + 32;
  char *path = malloc(capacity);
  if (path == NULL) out_of_memory();
  if (apus_url_part(url, APUS_URL_PATH, path, capacity) < 0) {
    free(path);
    return NULL;
  }
  const char *last = strrchr(path, '/') + 1;
  int64_t length = apus_percent_decode(last, strlen(last), APUS_PERCENT_PATH, path, capacity);
  int is_name = length > 0 && length < 256 && strcmp(path, ".") != 0 && strcmp(path, "..") != 0;
  for (int64_t i = 0; is_name && i < length; i++) {
    is_name = path[i] != '/' && (unsigned char)path[i] >= 0x20 && path[i] != 0x7F;
  }
  if (is_name) return path;
  free(path);
  return NULL;
}

void get_choose_output(struct get *get) {
  struct stat file;
  if (get->output != NULL && get->remote_name) wrong_usage(&get_command, "-o or -O, not both");
  get->filter = filter_to(stdout, 1);
  if (get->remote_name) {
    get->path = name_of(get->url);
    if (get->path == NULL) {
      wrong_usage(&get_command, "the URL ends without a file's name: -o FILE says one");
    }
  } else if (get->output != NULL && strcmp(get->output, "-") != 0) {
    get->path = strdup(get->output);
    if (get->path == NULL) out_of_memory();
  } else if (get->output != NULL) {
    get->filter.active = 0;
  }
  if (!get->resume) return;
  if (get->path == NULL) wrong_usage(&get_command, "-C needs a file: -o FILE, or -O");
  if (stat(get->path, &file) == 0) get->offset = file.st_size;
}

/* ---- the head */

static void fail(struct get *get, int code) {
  get->problem = code;
  apus_fetch_cancel(get->fetch);
}

static void print_head(apus_response response) {
  const char *name, *value, *reason = apus_response_reason(response);
  size_t length;
  int32_t version = apus_response_version(response), status = apus_response_status(response);
  const char *tone = status < 300 ? "1;32" : status < 400 ? "33" : "1;31";
  printf("HTTP/%d.%d %s%d ", version / 10, version % 10, colour(stdout, tone), status);
  show_line(stdout, reason, strlen(reason));
  printf("%s\n", colour(stdout, ""));
  for (int32_t i = 0; apus_response_header_at(response, i, &name, &value, &length) == 0; i++) {
    fputs(colour(stdout, "36"), stdout);
    show_line(stdout, name, strlen(name));
    printf("%s: ", colour(stdout, ""));
    show_line(stdout, value, length);
    putchar('\n');
  }
  putchar('\n');
}

/* Whether what comes is what is missing of the file. */
static int goes_on(const struct get *get, apus_response response) {
  const char *range = apus_response_header(response, "Content-Range", NULL);
  return range != NULL && strncasecmp(range, "bytes ", 6) == 0 &&
         strtoll(range + 6, NULL, 10) == (long long)get->offset;
}

/* A 416: all is there already, or the file is another one. */
static void take_no_range(struct get *get, apus_response response) {
  const char *range = apus_response_header(response, "Content-Range", NULL);
  if (range != NULL && strncmp(range, "bytes */", 8) == 0 &&
      strtoll(range + 8, NULL, 10) == (long long)get->offset) {
    remark("%s was complete already", get->path);
    get->is_complete = 1;
    apus_fetch_cancel(get->fetch);
    return;
  }
  complain("%s is not a part of what the server has; remove it, or leave -C out", get->path);
  fail(get, EXIT_STATUS);
}

/* Whether a file is to be gone on with; -1 where the transfer is over. */
static int resumes(struct get *get, apus_response response) {
  if (get->offset == 0 || get->status == 200) {
    if (get->offset > 0) remark("the server sends all of it: %s begins anew", get->path);
    get->offset = 0;
    return 0;
  }
  if (get->status == 206 && goes_on(get, response)) return 1;
  if (get->status == 416) {
    take_no_range(get, response);
  } else {
    complain("%s: the answer is %d, not what is missing of %s; leave -C out to begin anew",
             get->url, (int)get->status, get->path);
    fail(get, get->status >= 400 ? EXIT_STATUS : EXIT_PROTOCOL);
  }
  return -1;
}

static void open_output(struct get *get, apus_response response) {
  int on = get->resume ? resumes(get, response) : 0;
  if (on < 0 || get->path == NULL) return;
  int flags = O_WRONLY | O_CREAT | O_CLOEXEC | (on ? O_APPEND : O_TRUNC);
  get->descriptor = open(get->path, flags, 0666);
  if (get->descriptor >= 0) return;
  complain("%s cannot be written: %s; -o says another file", get->path, strerror(errno));
  fail(get, EXIT_LOCAL);
}

static void expect(struct get *get, apus_response response) {
  int64_t length = apus_response_content_length(response);
  int is_coded = !get->raw && apus_response_header(response, "Content-Encoding", NULL) != NULL;
  get->progress.start = get->progress.done = get->offset;
  if (length >= 0 && !is_coded) get->progress.total = get->offset + length;
}

void get_response(void *context, apus_fetch fetch, apus_response response) {
  struct get *get = context;
  (void)fetch;
  get->status = apus_response_status(response);
  if (get->headers) print_head(response);
  if (get->fail && get->status >= 400 && !(get->resume && get->status == 416)) {
    complain("%s: %d %s", get->url, (int)get->status, apus_response_reason(response));
    fail(get, EXIT_STATUS);
    return;
  }
  if (!get->head) open_output(get, response);
  expect(get, response);
}

/* ---- the body */

static void write_file(struct get *get, const char *data, size_t length) {
  while (length > 0) {
    ssize_t written = write(get->descriptor, data, length);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      complain("%s cannot be written: %s", get->path, strerror(errno));
      fail(get, EXIT_LOCAL);
      return;
    }
    data += written;
    length -= (size_t)written;
  }
}

static void write_output(struct get *get, const void *data, size_t length) {
  if (get->filter.active && memchr(data, 0, length) != NULL) {
    complain("the body is binary: -o FILE saves it, '-o -' prints it as it is");
    fail(get, EXIT_LOCAL);
    return;
  }
  filter_write(&get->filter, data, length);
  if (fflush(stdout) != 0) {
    complain("the output cannot be written: %s", strerror(errno));
    fail(get, EXIT_LOCAL);
  }
}

void get_body(void *context, apus_fetch fetch, const void *data, size_t length) {
  struct get *get = context;
  (void)fetch;
  if (get->problem != EXIT_FINE || get->is_complete || length == 0) return;
  if (get->descriptor >= 0) {
    write_file(get, data, length);
  } else {
    write_output(get, data, length);
  }
  get->last_byte = ((const unsigned char *)data)[length - 1];
  get->progress.done += (int64_t)length;
  progress_draw(&get->progress);
}

void get_complete(void *context, apus_fetch fetch, apus_response response, int32_t result) {
  struct get *get = context;
  (void)fetch, (void)response, (void)result;
  get->is_done = 1;
}

int get_close_output(struct get *get) {
  if (get->filter.active && get->path == NULL) {
    filter_end(&get->filter);
    if (get->last_byte != 0 && get->last_byte != '\n') putchar('\n');
  }
  if (get->descriptor < 0) return EXIT_FINE;
  int result = close(get->descriptor);
  get->descriptor = -1;
  if (result == 0 || errno == EINTR) return EXIT_FINE;
  complain("%s cannot be written: %s", get->path, strerror(errno));
  return EXIT_LOCAL;
}
