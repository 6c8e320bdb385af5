/*
 * listening.c - what serve and echo have in common: where they listen, and their life.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tool.h"

void add_address(const struct arguments *arguments, struct listening *listening) {
  const int room = sizeof listening->addresses / sizeof listening->addresses[0];
  if (listening->count == room) {
    wrong_usage(arguments->command, "it listens on %d addresses at most", room);
  }
  listening->addresses[listening->count++] = arguments->value;
}

/* "8080", ":8080", "host:8080", "[::1]:8080": the host, to be freed, and the port; 0 where
 * it is none of these. */
static int split_address(const char *address, char **host, int32_t *port) {
  const char *colon = strrchr(address, ':');
  const char *digits = colon != NULL ? colon + 1 : address;
  char *end;
  long number = strtol(digits, &end, 10);
  if (end == digits || *end != 0 || number < 0 || number > 65535) return 0;
  size_t length = colon != NULL ? (size_t)(colon - address) : 0;
  const char *start = address;
  if (length > 1 && start[0] == '[' && start[length - 1] == ']') {
    start++;
    length -= 2;
  } else if (memchr(start, ':', length) != NULL) {
    return 0; /* an IPv6 address wants its brackets */
  }
  *port = (int32_t)number;
  *host = length > 0 ? strndup(start, length) : strdup(colon != NULL ? "*" : "127.0.0.1");
  if (*host == NULL) out_of_memory();
  return 1;
}

static int listen_on(apus_server server, const struct listening *listening, const char *address) {
  char *host;
  int32_t port, result;
  if (strncmp(address, "unix:", 5) == 0) {
    result = apus_server_listen_unix(server, address + 5);
  } else if (!split_address(address, &host, &port)) {
    complain("'%s' is no address to listen on: write HOST:PORT, [::1]:PORT or unix:PATH", address);
    return EXIT_USAGE;
  } else {
    result = listening->certificate != NULL ? apus_server_listen_tls(server, host, port)
                                            : apus_server_listen(server, host, port);
    free(host);
  }
  if (result >= 0) return EXIT_FINE;
  complain("%s: %s; --listen says another address", address, apus_last_error_message());
  return result == APUS_E_ARGUMENT ? EXIT_USAGE : EXIT_CONNECT;
}

int listen_all(apus_server server, const struct listening *listening, const char *otherwise) {
  if ((listening->certificate == NULL) != (listening->key == NULL)) {
    complain("--cert and --key go together: give both, or none");
    return EXIT_USAGE;
  }
  if (listening->certificate != NULL &&
      apus_server_add_certificate(server, NULL, listening->certificate, listening->key) < 0) {
    complain("--cert %s, --key %s: %s", listening->certificate, listening->key,
             apus_last_error_message());
    return apus_last_error() == APUS_E_TLS ? EXIT_TLS : EXIT_LOCAL;
  }
  if (listening->count == 0) return listen_on(server, listening, otherwise);
  for (int i = 0; i < listening->count; i++) {
    int result = listen_on(server, listening, listening->addresses[i]);
    if (result != EXIT_FINE) return result;
  }
  return EXIT_FINE;
}

static void print_address(apus_server server, int index, const char *address, const char *scheme,
                          const char *what) {
  char *host;
  int32_t port;
  flockfile(stderr);
  fprintf(stderr, "%s", what);
  if (strncmp(address, "unix:", 5) == 0) {
    fprintf(stderr, " at %s\n", address);
  } else if (split_address(address, &host, &port)) {
    int any = strcmp(host, "*") == 0 || strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
    const char *form = strchr(host, ':') != NULL && !any ? "[%s]" : "%s";
    fprintf(stderr, " at %s%s://", colour(stderr, "36"), scheme);
    fprintf(stderr, form, any ? "localhost" : host);
    fprintf(stderr, ":%d/%s%s\n", (int)apus_server_port(server, index), colour(stderr, ""),
            any ? ", and to whoever reaches this machine" : "");
    free(host);
  }
  funlockfile(stderr);
}

void print_addresses(apus_server server, const struct listening *listening, const char *what) {
  const char *scheme = listening->certificate != NULL ? "https" : "http";
  if (listening->count == 0) print_address(server, 0, "127.0.0.1:8080", scheme, what);
  for (int i = 0; i < listening->count; i++) {
    print_address(server, i, listening->addresses[i], scheme, what);
  }
}

void log_access(void *context, apus_server server, const char *line, size_t length) {
  (void)context, (void)server;
  while (length > 0 && (line[length - 1] == '\n' || line[length - 1] == '\r')) length--;
  flockfile(stdout);
  show_line(stdout, line, length);
  putchar('\n');
  fflush(stdout);
  funlockfile(stdout);
}

void stop_server(apus_server server) {
  /* The signal may have come before the start. */
  const struct timespec while_it_starts = {0, 10 * 1000 * 1000};
  while (apus_server_stop(server) == APUS_E_STATE) nanosleep(&while_it_starts, NULL);
}

int serve_on(apus_server server) {
  int32_t result = apus_server_serve(server);
  if (result < 0 && signal_seen() == 0) {
    complain("the server does not start: %s", apus_last_error_message());
    return EXIT_LOCAL;
  }
  if (is_terminal(stderr)) fputs("\nStopped\n", stderr);
  return EXIT_FINE;
}
