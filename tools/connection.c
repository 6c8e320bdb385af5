/*
 * connection.c - what get, ws, sse and bench have in common: the options of connections,
 * and what is said when one fails.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <termios.h>
#include <unistd.h>

#include "tool.h"

const struct option connection_options[] = {
    {'H', "header", "'NAME: VALUE'", "send this header field; may be repeated", OPT_HEADER},
    {'u', "user", "NAME:PASSWORD", "who you are (Basic); asks where there is no password",
     OPT_USER},
    {'k', "insecure", NULL, "do not verify the server's certificate", OPT_INSECURE},
    {0, "cacert", "FILE", "trust the certificates in FILE (PEM), not the system's", OPT_CACERT},
    {0, "cert", "FILE", "show the server this certificate (PEM), with --key", OPT_CERT},
    {0, "key", "FILE", "the private key of --cert (PEM)", OPT_KEY},
    {0, "unix-socket", "PATH", "connect to a Unix socket, whatever the URL's host", OPT_UNIX},
    {0, "connect-timeout", "SEC", "give up connecting after so long", OPT_CONNECT_TIMEOUT},
    {0, NULL, NULL, NULL, 0},
};

void connection_init(struct connection *connection) {
  memset(connection, 0, sizeof *connection);
  connection->connect_ms = -1;
}

/* ---- credentials */

/* Reads a password from the terminal, which does not show it. */
static struct termios usual;

/* A signal that ends the program does not leave a terminal without an echo. */
static void give_echo_back(int number) {
  tcsetattr(STDIN_FILENO, TCSAFLUSH, &usual);
  raise(number);
}

static char *ask_password(const char *user) {
  static const int ends[] = {SIGINT, SIGTERM, SIGQUIT, SIGHUP};
  struct sigaction before[4],
      during = {.sa_handler = give_echo_back, .sa_flags = (int)SA_RESETHAND};
  char line[512];
  struct termios silent;
  if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &usual) < 0) return NULL;
  silent = usual;
  silent.c_lflag &= ~(tcflag_t)ECHO;
  for (int i = 0; i < 4; i++) {
    sigaction(ends[i], NULL, &before[i]);
    if (before[i].sa_handler != SIG_IGN) sigaction(ends[i], &during, NULL);
  }
  /* First this, which forgets what was typed before it is asked for. */
  tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
  fprintf(stderr, "Password of ");
  show_line(stderr, user, strlen(user));
  fprintf(stderr, ": ");
  fflush(stderr);
  char *read = fgets(line, sizeof line, stdin);
  tcsetattr(STDIN_FILENO, TCSAFLUSH, &usual);
  for (int i = 0; i < 4; i++) sigaction(ends[i], &before[i], NULL);
  fputc('\n', stderr);
  if (read == NULL) return NULL;
  line[strcspn(line, "\r\n")] = 0;
  return strdup(line);
}

static void take_user(struct connection *connection, const struct arguments *arguments) {
  char *text = strdup(arguments->value);
  if (text == NULL) out_of_memory();
  char *colon = strchr(text, ':');
  connection->user = text;
  if (colon != NULL) {
    *colon = 0;
    connection->password = colon + 1;
  } else {
    connection->password = ask_password(text);
    if (connection->password == NULL) {
      wrong_usage(arguments->command, "%s needs NAME:PASSWORD", arguments->shown);
    }
  }
}

/* ---- options */

static void take_header(struct connection *connection, const struct arguments *arguments) {
  const int room = sizeof connection->headers / sizeof connection->headers[0];
  if (strchr(arguments->value, ':') == NULL) {
    wrong_usage(arguments->command, "a header is 'NAME: VALUE', not '%s'", arguments->value);
  }
  if (connection->header_count == room) {
    wrong_usage(arguments->command, "%d headers at most can be sent", room);
  }
  connection->headers[connection->header_count++] = arguments->value;
}

int connection_option(struct connection *connection, const struct arguments *arguments, int id) {
  switch (id) {
    case OPT_HEADER:
      take_header(connection, arguments);
      return 1;
    case OPT_USER:
      take_user(connection, arguments);
      return 1;
    case OPT_INSECURE:
      return connection->insecure = 1;
    case OPT_CACERT:
      return (connection->ca = arguments->value) != NULL;
    case OPT_CERT:
      return (connection->certificate = arguments->value) != NULL;
    case OPT_KEY:
      return (connection->key = arguments->value) != NULL;
    case OPT_UNIX:
      return (connection->unix_socket = arguments->value) != NULL;
    case OPT_PROXY:
      return (connection->proxy = arguments->value) != NULL;
    case OPT_CONNECT_TIMEOUT:
      connection->connect_ms = seconds_value(arguments);
      return 1;
    default:
      return 0;
  }
}

/* ---- setting up */

static int refused(const char *what, const char *value) {
  complain("%s %s: %s", what, value, apus_last_error_message());
  return apus_last_error() == APUS_E_ARGUMENT ? EXIT_USAGE : EXIT_LOCAL;
}

static int apply_proxy(const struct connection *connection, apus_client client) {
  if (connection->proxy != NULL) {
    if (*connection->proxy == 0) return EXIT_FINE;
    char *url = whole_url(connection->proxy, "http");
    int32_t result = apus_client_set_proxy(client, url);
    free(url);
    return result < 0 ? refused("--proxy", connection->proxy) : EXIT_FINE;
  }
  if (connection->unix_socket != NULL) return EXIT_FINE;
  int32_t result = apus_client_use_environment(client);
  if (result == APUS_OK || result == APUS_E_NOT_FOUND) return EXIT_FINE;
  complain("the proxy in the environment (http_proxy): %s; --proxy '' goes without",
           apus_last_error_message());
  return EXIT_USAGE;
}

int connection_apply(const struct connection *connection, apus_client client) {
  if ((connection->certificate == NULL) != (connection->key == NULL)) {
    complain("--cert and --key go together: give both, or none");
    return EXIT_USAGE;
  }
  if (connection->insecure) apus_client_set_verify(client, 0, 0);
  if (connection->ca != NULL && apus_client_add_ca_file(client, connection->ca) < 0) {
    return refused("--cacert", connection->ca);
  }
  if (connection->certificate != NULL &&
      apus_client_set_certificate(client, connection->certificate, connection->key) < 0) {
    return refused("--cert", connection->certificate);
  }
  if (connection->unix_socket != NULL &&
      apus_client_set_unix_socket(client, connection->unix_socket) < 0) {
    return refused("--unix-socket", connection->unix_socket);
  }
  if (connection->connect_ms >= 0) apus_client_set_connect_timeout(client, connection->connect_ms);
  return apply_proxy(connection, client);
}

/* "Name: value" as its two parts. */
static char *split_header(const char *header, const char **value) {
  size_t length = strcspn(header, ":");
  const char *rest = header + length + (header[length] == ':');
  while (*rest == ' ' || *rest == '\t') rest++;
  *value = rest;
  return strndup(header, length);
}

int connection_headers(const struct connection *connection, uint64_t handle, add_header_fn add) {
  for (int i = 0; i < connection->header_count; i++) {
    const char *value;
    char *name = split_header(connection->headers[i], &value);
    if (name == NULL) out_of_memory();
    int32_t result = add(handle, name, value);
    free(name);
    if (result < 0) {
      complain("the header '%s' cannot be sent: %s", connection->headers[i],
               apus_last_error_message());
      return EXIT_USAGE;
    }
  }
  return EXIT_FINE;
}

static int same_name(const char *one, const char *other) {
  size_t length = strcspn(one, ":");
  return strncasecmp(one, other, length) == 0 && other[length] == ':';
}

void connection_join_headers(struct connection *connection) {
  int kept = 0;
  for (int i = 0; i < connection->header_count; i++) {
    const char *header = connection->headers[i], *value;
    int at = 0;
    while (at < kept && !same_name(connection->headers[at], header)) at++;
    if (at == kept) {
      connection->headers[kept++] = header;
      continue;
    }
    struct text joined = {0}; /* stays, as the words of the command line do */
    char *name = split_header(header, &value);
    if (name == NULL) out_of_memory();
    text_print(&joined, "%s%s %s", connection->headers[at],
               strcasecmp(name, "Cookie") == 0 ? ";" : ",", value);
    connection->headers[at] = joined.bytes;
    free(name);
  }
  connection->header_count = kept;
}

int connection_basic(const struct connection *connection, uint64_t handle, add_header_fn add) {
  struct text pair = {0}, value = {0};
  if (connection->user == NULL) return EXIT_FINE;
  text_print(&pair, "%s:%s", connection->user, connection->password);
  text_print(&value, "Basic ");
  text_base64(&value, pair.bytes, pair.length);
  int32_t result = add(handle, "Authorization", value.bytes);
  text_free(&pair);
  text_free(&value);
  if (result >= 0) return EXIT_FINE;
  complain("--user: %s", apus_last_error_message());
  return EXIT_USAGE;
}

int connection_has_header(const struct connection *connection, const char *name) {
  size_t length = strlen(name);
  for (int i = 0; i < connection->header_count; i++) {
    const char *header = connection->headers[i];
    if (strncasecmp(header, name, length) == 0 && header[length] == ':') return 1;
  }
  return 0;
}

char *whole_url(const char *url, const char *scheme) {
  struct text text = {0};
  size_t head = strcspn(url, "/?#"); /* what comes behind may have a URL in it */
  int has_scheme = head > 0 && strncmp(url + head - 1, "://", 3) == 0;
  if (!has_scheme) text_print(&text, "%s://", scheme);
  text_add(&text, url, strlen(url));
  return text.bytes;
}

/* ---- failures */

int exit_of(int32_t code) {
  switch (code) {
    case APUS_OK:
      return EXIT_FINE;
    case APUS_E_ARGUMENT:
    case APUS_E_UNSUPPORTED:
      return EXIT_USAGE;
    case APUS_E_NOT_FOUND:
    case APUS_E_IO:
    case APUS_E_ADDRESS:
    case APUS_E_ADDRESS_IN_USE:
    case APUS_E_PERMISSION:
      return EXIT_CONNECT;
    case APUS_E_TIMEOUT:
      return EXIT_TIME;
    case APUS_E_MEMORY:
    case APUS_E_DESCRIPTORS:
    case APUS_E_FULL:
      return EXIT_LOCAL;
    default:
      return code <= APUS_E_TLS && code >= APUS_E_PIN ? EXIT_TLS : EXIT_PROTOCOL;
  }
}

const char *sentence_of(int32_t code) {
  if (code == APUS_E_IO) return "the connection cannot be made";
  if (code == APUS_E_NOT_FOUND) return "the host's name has no address";
  if (code == APUS_OK || code == APUS_E_CLOSED) return "the server has closed the connection";
  return apus_error_message(code);
}

/* What to do about it. */
static const char *advice(int32_t code) {
  switch (code) {
    case APUS_E_NOT_FOUND:
      return "check the name of the host";
    case APUS_E_IO:
      return "check that the server runs, and its port";
    case APUS_E_TIMEOUT:
      return "try again, or allow it more time";
    case APUS_E_SELF_SIGNED:
    case APUS_E_UNKNOWN_ISSUER:
      return "--cacert FILE trusts a certificate, -k trusts anybody";
    case APUS_E_WRONG_HOST:
    case APUS_E_EXPIRED:
    case APUS_E_NOT_YET_VALID:
    case APUS_E_WEAK:
    case APUS_E_CERTIFICATE:
      return "-k connects all the same, to whoever it is";
    case APUS_E_TLS:
      return "check that this port speaks TLS, and which versions";
    case APUS_E_ARGUMENT:
      return "a URL is such as http://localhost:8080/path";
    case APUS_E_UNSUPPORTED:
      return "check the URL's scheme";
    case APUS_E_CLOSED:
      return "try again, and look at the server's log";
    default:
      return NULL;
  }
}

int complain_network(const char *url, int32_t code, const char *sentence) {
  const char *what = sentence != NULL ? sentence : apus_last_error_message();
  const char *then = advice(code);
  complain("%s: %s%s%s", url, what, then != NULL ? "; " : "", then != NULL ? then : "");
  return exit_of(code);
}
