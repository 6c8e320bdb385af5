/*
 * serve.c - "apus serve": a folder, to whom it may concern.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "serve.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum {
  OPT_LISTEN = OPT_OWN,
  OPT_SERVE_CERT,
  OPT_SERVE_KEY,
  OPT_NO_LISTING,
  OPT_INDEX,
  OPT_HIDDEN,
  OPT_CORS,
  OPT_AUTH,
  OPT_CACHE,
  OPT_NOT_FOUND,
  OPT_NO_COMPRESSION,
  OPT_PRECOMPRESSED,
  OPT_UPLOAD,
  OPT_UPLOAD_PATH,
  OPT_MAX_UPLOAD,
  OPT_OVERWRITE,
  OPT_QUIET
};

static const struct option options[] = {
    {'l', "listen", "ADDRESS", "HOST:PORT, [::1]:PORT, :PORT (all addresses) or unix:PATH",
     OPT_LISTEN},
    {0, "cert", "FILE", "speak TLS by this certificate with its chain (PEM)", OPT_SERVE_CERT},
    {0, "key", "FILE", "the private key of --cert (PEM)", OPT_SERVE_KEY},
    {0, "auth", "NAME:PASSWORD", "ask for a name and a password (Basic)", OPT_AUTH},
    {0, "no-listing", NULL, "a folder without an index page is not found", OPT_NO_LISTING},
    {0, "index", "NAMES", "the index pages, with commas between (index.html)", OPT_INDEX},
    {0, "hidden", NULL, "serve names that start with a dot, too", OPT_HIDDEN},
    {0, "not-found", "FILE", "the page of what is not there", OPT_NOT_FOUND},
    {0, "cache-control", "VALUE", "the Cache-Control of files", OPT_CACHE},
    {0, "no-compression", NULL, "do not compress text on its way", OPT_NO_COMPRESSION},
    {0, "precompressed", NULL, "send NAME.br or NAME.gz for NAME to clients that take it",
     OPT_PRECOMPRESSED},
    {0, "cors", NULL, "let pages of all origins read it", OPT_CORS},
    {0, "upload", NULL, "take uploads into DIR: a page at /upload", OPT_UPLOAD},
    {0, "upload-path", "PATH", "the page of uploads is here", OPT_UPLOAD_PATH},
    {0, "max-upload", "SIZE", "the most bytes of one upload (1G)", OPT_MAX_UPLOAD},
    {0, "overwrite", NULL, "uploads may take the place of files", OPT_OVERWRITE},
    {'q', "quiet", NULL, "no access log", OPT_QUIET},
    {0, NULL, NULL, NULL, 0},
};

static const char about[] =
    "Serves the files of DIR (this folder, where none is given) at http://127.0.0.1:8080/,\n"
    "to this machine alone unless --listen says otherwise. Nothing outside of DIR is ever\n"
    "opened, nor what starts with a dot. The access log goes to standard output. Ctrl-C\n"
    "stops it, and lets transfers finish within five seconds.\n"
    "\n"
    "  apus serve site                         the folder site\n"
    "  apus serve -l :8000                     this folder, to the whole network\n"
    "  apus serve --cert c.pem --key k.pem     by https\n"
    "  apus serve --upload --auth me:secret    with uploads, for those who know\n"
    "  curl -T photo.jpg http://127.0.0.1:8080/upload/     an upload without a browser\n"
    "  apus get -F file=@photo.jpg 127.0.0.1:8080/upload   and another one";

/* ---- listeners */

/* The lengths of secrets may show, their contents must not. */
static int same(const char *a, const char *b) {
  return apus_equal(a, strlen(a), b, strlen(b)) == 1;
}

static void check_user(void *context, apus_request request) {
  const struct serve *serve = context;
  const char *user, *password;
  if (apus_request_basic(request, &user, &password) == APUS_OK) {
    int right = same(user, serve->user) & same(password, serve->password);
    if (right) return;
  }
  apus_reply_unauthorized(request, "Basic", "apus");
}

/* ---- the server */

static int set_folder(const struct serve *serve, apus_server server) {
  int32_t folder = apus_server_serve_folder(server, "/", serve->folder);
  if (folder < 0) {
    complain("%s cannot be served: %s", serve->folder, apus_last_error_message());
    return EXIT_LOCAL;
  }
  apus_server_set_folder_listing(server, folder, !serve->no_listing);
  apus_server_set_folder_hidden(server, folder, serve->hidden);
  apus_server_set_folder_compression(server, folder, !serve->no_compression);
  apus_server_set_folder_precompressed(server, folder, serve->precompressed);
  if (serve->index != NULL && apus_server_set_folder_index(server, folder, serve->index) < 0) {
    wrong_usage(&serve_command, "--index %s: %s", serve->index, apus_last_error_message());
  }
  if (serve->cache_control != NULL &&
      apus_server_set_folder_cache_control(server, folder, serve->cache_control) < 0) {
    wrong_usage(&serve_command, "--cache-control: %s", apus_last_error_message());
  }
  if (serve->not_found != NULL && apus_server_set_error_page(server, 404, serve->not_found) < 0) {
    complain("--not-found %s: %s", serve->not_found, apus_last_error_message());
    return EXIT_LOCAL;
  }
  return EXIT_FINE;
}

static int set_up(struct serve *serve, apus_server server) {
  apus_server_set_dispatch(server, APUS_DISPATCH_WORKER);
  if (serve->cors) apus_server_set_cors_origins(server, "*");
  if (serve->user != NULL) apus_server_on_receive(server, check_user, serve, NULL);
  if (!serve->quiet) apus_server_on_access(server, log_access, NULL, NULL);
  int result = set_folder(serve, server);
  if (result == EXIT_FINE && serve->upload) result = add_uploads(serve, server);
  if (result == EXIT_FINE) result = listen_all(server, &serve->listening, "127.0.0.1:8080");
  return result;
}

static void stop(void *context) { stop_server(*(apus_server *)context); }

/* ---- the command line */

static void take_auth(struct serve *serve, const struct arguments *arguments) {
  char *text = strdup(arguments->value), *colon = text != NULL ? strchr(text, ':') : NULL;
  if (colon == NULL || colon == text) {
    wrong_usage(&serve_command, "--auth needs NAME:PASSWORD, not '%s'", arguments->value);
  }
  *colon = 0;
  serve->user = text;
  serve->password = colon + 1;
}

static void take_switch(struct serve *serve, int id) {
  if (id == OPT_NO_LISTING) serve->no_listing = 1;
  if (id == OPT_HIDDEN) serve->hidden = 1;
  if (id == OPT_CORS) serve->cors = 1;
  if (id == OPT_NO_COMPRESSION) serve->no_compression = 1;
  if (id == OPT_PRECOMPRESSED) serve->precompressed = 1;
  if (id == OPT_UPLOAD) serve->upload = 1;
  if (id == OPT_OVERWRITE) serve->overwrite = 1;
  if (id == OPT_QUIET) serve->quiet = 1;
}

static void take_option(struct serve *serve, const struct arguments *arguments, int id) {
  const char *value = arguments->value;
  if (id == OPT_LISTEN) {
    add_address(arguments, &serve->listening);
  } else if (id == OPT_SERVE_CERT) {
    serve->listening.certificate = value;
  } else if (id == OPT_SERVE_KEY) {
    serve->listening.key = value;
  } else if (id == OPT_AUTH) {
    take_auth(serve, arguments);
  } else if (id == OPT_INDEX) {
    serve->index = value;
  } else if (id == OPT_CACHE) {
    serve->cache_control = value;
  } else if (id == OPT_NOT_FOUND) {
    serve->not_found = value;
  } else if (id == OPT_UPLOAD_PATH) {
    serve->upload_path = value;
    serve->upload = 1;
  } else if (id == OPT_MAX_UPLOAD) {
    serve->max_upload = size_value(arguments);
  } else if (id == ARG_WORD) {
    take_word(arguments, &serve->folder, "folder");
  } else {
    take_switch(serve, id);
  }
}

static int run(const struct command *command, int count, char **words) {
  static struct serve serve = {.upload_path = "/upload", .max_upload = 1 << 30, .descriptor = -1};
  static apus_server server;
  struct arguments arguments = arguments_of(command, count, words);
  struct text what = {0};
  int id;
  while ((id = next_argument(&arguments)) != ARG_END) take_option(&serve, &arguments, id);
  if (serve.folder == NULL) serve.folder = ".";
  signal(SIGPIPE, SIG_IGN); /* a reader of the log that leaves does not end the server */
  server = apus_server_make();
  if (server == 0) out_of_memory();
  watch_signals(stop, &server);
  int result = set_up(&serve, server);
  if (result == EXIT_FINE) {
    text_print(&what, "Serving %s", serve.folder);
    if (serve.upload) text_print(&what, " (uploads: %s)", serve.upload_path);
    print_addresses(server, &serve.listening, what.bytes);
    result = serve_on(server);
  }
  apus_server_destroy(server);
  text_free(&what);
  free(serve.user);
  return result;
}

const struct command serve_command = {
    "serve", "[OPTION...] [DIR]", "serve a folder, and take uploads", about, options, NULL, run,
};
