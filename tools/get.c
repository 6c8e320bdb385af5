/*
 * get.c - "apus get": one request, whose answer goes to standard output or a file.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "get.h"

enum {
  OPT_OUTPUT = OPT_OWN,
  OPT_REMOTE_NAME,
  OPT_INCLUDE,
  OPT_HEAD,
  OPT_METHOD,
  OPT_DATA,
  OPT_DATA_FILE,
  OPT_JSON,
  OPT_FORM,
  OPT_FAIL,
  OPT_RESUME,
  OPT_FOLLOW,
  OPT_NO_REDIRECT,
  OPT_MAX_REDIRECTS,
  OPT_MAX_TIME,
  OPT_RETRY,
  OPT_COMPRESSED,
  OPT_RAW,
  OPT_BEARER,
  OPT_DIGEST,
  OPT_ANY_AUTH,
  OPT_QUIET,
  OPT_VERBOSE
};

static const struct option options[] = {
    {'o', "output", "FILE", "write the body to FILE; '-o -': to a terminal as it is", OPT_OUTPUT},
    {'O', "remote-name", NULL, "write it to a file named like the end of the URL", OPT_REMOTE_NAME},
    {'C', "continue", NULL, "go on where the file ends", OPT_RESUME},
    {'i', "include", NULL, "print the status and the headers, too", OPT_INCLUDE},
    {'I', "head", NULL, "ask for the headers alone (HEAD)", OPT_HEAD},
    {'f', "fail", NULL, "a status from 400 on is a failure: exit code 4, no body", OPT_FAIL},
    {'X', "method", "METHOD", "the request's method", OPT_METHOD},
    {'d', "data", "DATA", "send DATA by POST, as a form; several are joined by '&'", OPT_DATA},
    {0, "data-file", "FILE", "send a file; '-': standard input", OPT_DATA_FILE},
    {0, "json", "DATA", "send DATA as application/json", OPT_JSON},
    {'F', "form", "NAME=VALUE", "a part of a form; NAME=@FILE;type=TYPE sends a file", OPT_FORM},
    {'L', "location", NULL, "follow redirects: the default", OPT_FOLLOW},
    {0, "no-redirect", NULL, "show a redirect and do not follow it", OPT_NO_REDIRECT},
    {0, "max-redirects", "N", "follow so many redirects (10)", OPT_MAX_REDIRECTS},
    {'m', "max-time", "SECONDS", "give up after so long: exit code 5", OPT_MAX_TIME},
    {0, "retry", "N", "try so often again where no connection is made", OPT_RETRY},
    {0, "compressed", NULL, "ask for compressed bodies, and decode them: the default",
     OPT_COMPRESSED},
    {0, "raw", NULL, "do not ask for compressed bodies, and decode nothing", OPT_RAW},
    {0, "bearer", "TOKEN", "send a token (Authorization: Bearer)", OPT_BEARER},
    {0, "digest", NULL, "use --user for Digest", OPT_DIGEST},
    {0, "anyauth", NULL, "use --user for whatever the server asks for", OPT_ANY_AUTH},
    {'x', "proxy", "URL", "the proxy, in place of http_proxy; '': none", OPT_PROXY},
    {'s', "quiet", NULL, "no progress bar", OPT_QUIET},
    {'v', "verbose", NULL, "say where it came from, and how long it took", OPT_VERBOSE},
    {0, NULL, NULL, NULL, 0},
};

static const char about[] =
    "Sends one request and prints the body of the answer. Redirects are followed, bodies\n"
    "are asked for compressed and decoded. A transfer to a file has a progress bar on a\n"
    "terminal; controls in a body are escaped there.\n"
    "\n"
    "  apus get localhost:8080/              print a page\n"
    "  apus get -O https://host/big.iso      download it to big.iso\n"
    "  apus get -C -O https://host/big.iso   go on with a download that broke off\n"
    "  apus get -i -d name=Ada URL           post a form, show the headers, too\n"
    "  apus get -F file=@photo.jpg URL       upload a file by a form\n"
    "  apus get -X PUT --data-file f URL     upload a file as it is\n"
    "  apus get -f -s URL || echo failed     in a script";

/* ---- the command line */

static void take_data(struct get *get, const char *value) {
  if (get->has_data) text_add(&get->data, "&", 1);
  text_add(&get->data, value, strlen(value));
  get->has_data = 1;
}

static void take_part(struct get *get, const struct arguments *arguments) {
  const int room = sizeof get->parts / sizeof get->parts[0];
  const char *equals = strchr(arguments->value, '=');
  if (equals == NULL || equals == arguments->value) {
    wrong_usage(&get_command, "-F needs NAME=VALUE or NAME=@FILE, not '%s'", arguments->value);
  }
  if (get->part_count == room) wrong_usage(&get_command, "a form has %d parts at most", room);
  get->parts[get->part_count++] = arguments->value;
}

static void take_switch(struct get *get, int id) {
  if (id == OPT_REMOTE_NAME) get->remote_name = 1;
  if (id == OPT_INCLUDE) get->headers = 1;
  if (id == OPT_HEAD) get->head = get->headers = 1;
  if (id == OPT_FAIL) get->fail = 1;
  if (id == OPT_RESUME) get->resume = get->raw = 1;
  if (id == OPT_FOLLOW && get->redirects == 0) get->redirects = 10;
  if (id == OPT_NO_REDIRECT) get->redirects = 0;
  if (id == OPT_RAW) get->raw = 1;
  if (id == OPT_COMPRESSED) get->raw = get->resume;
  if (id == OPT_DIGEST) get->digest = 1;
  if (id == OPT_ANY_AUTH) get->any_auth = 1;
  if (id == OPT_QUIET) get->quiet = 1;
  if (id == OPT_VERBOSE) get->verbose = 1;
}

static void take_option(struct get *get, const struct arguments *arguments, int id) {
  switch (id) {
    case OPT_OUTPUT:
      get->output = arguments->value;
      break;
    case OPT_METHOD:
      get->method = arguments->value;
      break;
    case OPT_DATA:
      take_data(get, arguments->value);
      break;
    case OPT_DATA_FILE:
      get->data_file = arguments->value;
      break;
    case OPT_JSON:
      get->json = arguments->value;
      break;
    case OPT_FORM:
      take_part(get, arguments);
      break;
    case OPT_MAX_REDIRECTS:
      get->redirects = count_value(arguments, 0, 100);
      break;
    case OPT_MAX_TIME:
      get->time_ms = seconds_value(arguments);
      break;
    case OPT_RETRY:
      get->retries = count_value(arguments, 0, 100);
      break;
    case OPT_BEARER:
      get->bearer = arguments->value;
      break;
    case ARG_WORD:
      take_word(arguments, &get->url_word, "URL");
      break;
    default:
      take_switch(get, id);
  }
}

static void take_options(struct get *get, int count, char **words) {
  int id;
  struct arguments arguments = arguments_of(&get_command, count, words);
  connection_init(&get->connection);
  get->redirects = 10;
  get->descriptor = -1;
  while ((id = next_argument(&arguments)) != ARG_END) {
    if (!connection_option(&get->connection, &arguments, id)) take_option(get, &arguments, id);
  }
  if (get->url_word == NULL) wrong_usage(&get_command, "which URL?");
  int bodies = get->has_data + (get->data_file != NULL) + (get->json != NULL);
  if (bodies + (get->part_count > 0) > 1) {
    wrong_usage(&get_command, "one of -d, --data-file, --json and -F is enough");
  }
}

/* ---- the run */

static void stop(void *context) {
  struct get *get = context;
  apus_client_wake(get->client);
}

static void run_until_done(struct get *get) {
  while (!get->is_done) {
    if (apus_client_tick(get->client, get->progress.active ? 100 : 1000) < 0) break;
    progress_draw(&get->progress);
    if (signal_seen() != 0) apus_fetch_cancel(get->fetch);
  }
  progress_end(&get->progress);
}

static void print_time(const char *what, apus_response response, int which) {
  int64_t us = apus_response_time_us(response, which);
  if (us >= 0) fprintf(stderr, "  %-12s %8.1f ms\n", what, (double)us / 1000);
}

static void print_story(struct get *get) {
  char address[64];
  apus_response response = apus_fetch_response(get->fetch);
  if (response == 0) return;
  int32_t port = apus_response_address(response, address, sizeof address);
  fprintf(stderr, "%d from %s port %d, ", (int)apus_response_status(response), address, (int)port);
  fprintf(stderr, "%d redirects, %" PRId64 " bytes\n", (int)apus_response_redirects(response),
          apus_response_body_bytes(response));
  print_time("resolved", response, APUS_TIME_RESOLVED);
  print_time("connected", response, APUS_TIME_CONNECTED);
  print_time("secured", response, APUS_TIME_SECURED);
  print_time("first byte", response, APUS_TIME_FIRST_BYTE);
  print_time("all of it", response, APUS_TIME_TOTAL);
}

/* What became of it, as an exit code; says why where it failed. */
static int conclude(struct get *get) {
  int closed = get_close_output(get);
  if (signal_seen() != 0) {
    if (get->descriptor >= 0 || get->path != NULL) remark("interrupted; -C goes on from there");
    return 128 + signal_seen();
  }
  if (get->problem != EXIT_FINE) return get->problem;
  if (get->is_complete) return EXIT_FINE;
  if (get->is_late) {
    return complain_network(get->url, APUS_E_TIMEOUT, sentence_of(APUS_E_TIMEOUT));
  }
  int32_t result = apus_fetch_result(get->fetch);
  if (result == APUS_OK) return closed;
  int code = complain_network(get->url, result, NULL);
  /* The connection stood, and broke: another thing than none at all. */
  return code == EXIT_CONNECT && get->status != 0 ? EXIT_PROTOCOL : code;
}

static int run(const struct command *command, int count, char **words) {
  static struct get get;
  (void)command;
  take_options(&get, count, words);
  get.url = whole_url(get.url_word, "http");
  get_choose_output(&get);
  get.client = apus_client_make();
  if (get.client == 0 || apus_client_set_workers(get.client, 0) < 0) out_of_memory();
  watch_signals(stop, &get);
  int result = get_prepare(&get);
  if (result == EXIT_FINE) {
    progress_begin(&get.progress, !get.quiet && (get.path != NULL || !is_terminal(stdout)));
    get.began_us = now_us();
    if (apus_fetch_start(get.fetch) < 0) {
      result = complain_network(get.url, apus_last_error(), NULL);
    } else {
      run_until_done(&get);
      result = conclude(&get);
      if (get.verbose) print_story(&get);
    }
  }
  apus_fetch_destroy(get.fetch);
  apus_client_destroy(get.client);
  text_free(&get.data);
  free(get.url);
  free(get.path);
  return result;
}

const struct command get_command = {
    "get", "[OPTION...] URL", "send a request: downloads, forms, uploads",
    about, options,           connection_options,
    run,
};
