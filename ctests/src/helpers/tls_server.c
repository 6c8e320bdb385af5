/*
 * tls_server.c - a server with TLS for scripts: certificates and settings as arguments and,
 * while it runs, as lines of its input. Each is a word and what belongs to it:
 *
 *   add NAME CHAIN KEY      NAME is "-" for whatever no other is for
 *   folder NAME PATH        password TEXT      ocsp NAME PATH
 *   clients POLICY CA       versions LEAST MOST
 *   ciphers LIST            suites LIST        groups LIST
 *   period SECONDS          keys PATH          rotate
 *   header_timeout MS       keep_alive_timeout MS
 *   max_connections COUNT   counter NUMBER
 *   serve PATH              proxy MODE         (a folder as /files; the PROXY protocol)
 *   unix PATH                                  (a listener there, with TLS)
 *
 * Arguments come with "," between their parts; the last one is the port. Each line of the
 * input is answered by the result and the sentence; at its end the server stops.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <apus.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char password[256];
static int32_t proxy_mode;

static int32_t give_password(void *context, const char *name, char *buffer, size_t capacity) {
  (void)context;
  (void)name;
  size_t length = strlen(password);
  if (length == 0 || length > capacity) return -1;
  memcpy(buffer, password, length);
  return (int32_t)length;
}

static int32_t set_keys(apus_server server, const char *path) {
  char keys[240];
  FILE *file = fopen(path, "rb");
  if (file == NULL) return APUS_E_NOT_FOUND;
  size_t length = fread(keys, 1, sizeof keys, file);
  fclose(file);
  return apus_server_set_ticket_keys(server, keys, length);
}

static int32_t set_password(apus_server server, const char *text) {
  snprintf(password, sizeof password, "%s", text);
  return apus_server_set_tls_password(server, give_password, NULL, NULL);
}

static int32_t run(apus_server server, char *line, const char *breaks) {
  char empty[1] = "";
  char *parts[4] = {empty, empty, empty, empty};
  int count = 0;
  for (char *part = strtok(line, breaks); part != NULL && count < 4; part = strtok(NULL, breaks)) {
    parts[count++] = part;
  }
  const char *word = parts[0];
  const char *name = strcmp(parts[1], "-") == 0 ? NULL : parts[1];
  if (strcmp(word, "add") == 0) {
    return apus_server_add_certificate(server, name, parts[2], parts[3]);
  }
  if (strcmp(word, "folder") == 0) {
    return apus_server_add_certificate_directory(server, name, parts[2]);
  }
  if (strcmp(word, "password") == 0) return set_password(server, parts[1]);
  if (strcmp(word, "ocsp") == 0) return apus_server_set_ocsp_file(server, name, parts[2]);
  if (strcmp(word, "clients") == 0) {
    return apus_server_set_client_certificates(server, atoi(parts[1]), parts[2]);
  }
  if (strcmp(word, "versions") == 0) {
    return apus_server_set_tls_versions(server, atoi(parts[1]), atoi(parts[2]));
  }
  if (strcmp(word, "ciphers") == 0) return apus_server_set_tls_ciphers(server, parts[1]);
  if (strcmp(word, "suites") == 0) return apus_server_set_tls_suites(server, parts[1]);
  if (strcmp(word, "preference") == 0) {
    return apus_server_set_tls_preference(server, atoi(parts[1]));
  }
  if (strcmp(word, "groups") == 0) return apus_server_set_tls_groups(server, parts[1]);
  if (strcmp(word, "period") == 0) return apus_server_set_ticket_period(server, atoi(parts[1]));
  if (strcmp(word, "keys") == 0) return set_keys(server, parts[1]);
  if (strcmp(word, "rotate") == 0) return apus_server_rotate_ticket_keys(server);
  if (strcmp(word, "header_timeout") == 0) {
    return apus_server_set_header_timeout(server, atoi(parts[1]));
  }
  if (strcmp(word, "keep_alive_timeout") == 0) {
    return apus_server_set_keep_alive_timeout(server, atoi(parts[1]));
  }
  if (strcmp(word, "counter") == 0) return (int32_t)apus_server_counter(server, atoi(parts[1]));
  if (strcmp(word, "max_connections") == 0) {
    return apus_server_set_max_connections(server, atoi(parts[1]));
  }
  if (strcmp(word, "unix") == 0) {
    int32_t listener = apus_server_listen_unix(server, parts[1]);
    return listener < 0 ? listener : apus_server_set_listener_tls(server, listener, 1);
  }
  if (strcmp(word, "serve") == 0) return apus_server_serve_folder(server, "/files", parts[1]);
  if (strcmp(word, "proxy") == 0) return proxy_mode = atoi(parts[1]);
  return APUS_E_ARGUMENT;
}

static void hello(void *context, apus_request request) {
  (void)context;
  apus_reply_text(request, 200, "hello");
}

static void strict(void *context, apus_request request) {
  (void)context;
  apus_reply_set_header(request, "Strict-Transport-Security", "max-age=1000; includeSubDomains");
  apus_reply_text(request, 200, "strict");
}

/* What a browser does with it all: what it found comes back, for whoever asks. */
static const char page[] =
    "<!doctype html><title>TLS</title><script>\n"
    "(async () => {\n"
    "  const told = {secure: window.isSecureContext};\n"
    "  told.facts = await (await fetch('/facts')).text();\n"
    "  told.big = (await (await fetch('/big')).arrayBuffer()).byteLength;\n"
    "  told.echo = await new Promise((resolve) => {\n"
    "    const socket = new WebSocket('wss://' + location.host + '/ws');\n"
    "    socket.onopen = () => socket.send('over TLS');\n"
    "    socket.onmessage = (event) => resolve(event.data);\n"
    "    socket.onerror = () => resolve('failed');\n"
    "  });\n"
    "  await fetch('/told', {method: 'POST', body: JSON.stringify(told)});\n"
    "})();\n"
    "</script>\n";

static void front(void *context, apus_request request) {
  (void)context;
  apus_reply_set_header(request, "Strict-Transport-Security", "max-age=31536000");
  apus_reply_set_header(request, "X-Content-Type-Options", "nosniff");
  apus_reply(request, 200, "text/html; charset=utf-8", page, sizeof page - 1);
}

static pthread_mutex_t told_lock = PTHREAD_MUTEX_INITIALIZER;
static char told_text[8192];
static apus_request told_asker;

static void tell(void *context, apus_request request) {
  (void)context;
  size_t length;
  const char *body = apus_request_body(request, &length);
  pthread_mutex_lock(&told_lock);
  snprintf(told_text, sizeof told_text, "%.*s", (int)length, body);
  if (told_asker != 0) apus_reply_text(told_asker, 200, told_text);
  told_asker = 0;
  pthread_mutex_unlock(&told_lock);
  apus_reply_text(request, 200, "");
}

static void told(void *context, apus_request request) {
  (void)context;
  pthread_mutex_lock(&told_lock);
  if (told_text[0] != '\0') {
    apus_reply_text(request, 200, told_text);
  } else if (apus_request_defer(request) == 0) {
    told_asker = request;
  }
  pthread_mutex_unlock(&told_lock);
}

static const char *known(const char *text) { return text != NULL ? text : "-"; }

static void facts(void *context, apus_request request) {
  (void)context;
  char text[8192];
  snprintf(text, sizeof text,
           "client=%s\nscheme=%s\nport=%d\nversion=%s\ncipher=%s\nname=%s\nalpn=%s\nresumed=%"
           "d\nsubject=%s\n"
           "issuer=%s\nnames=%s\nfingerprint=%s\nverified=%d\nproblem=%s\n",
           known(apus_request_client_ip(request)), apus_request_scheme(request),
           apus_request_port(request), known(apus_request_tls_version(request)),
           known(apus_request_tls_cipher(request)), known(apus_request_tls_name(request)),
           known(apus_request_tls_alpn(request)), apus_request_tls_resumed(request),
           known(apus_request_peer_subject(request)), known(apus_request_peer_issuer(request)),
           known(apus_request_peer_names(request)), known(apus_request_peer_fingerprint(request)),
           apus_request_peer_is_verified(request), known(apus_request_peer_problem(request)));
  apus_reply_text(request, 200, text);
}

#define BIG (10 << 20)

static void big(void *context, apus_request request) { apus_reply_data(request, context, BIG); }

static void echo(void *context, apus_request request) {
  (void)context;
  size_t length;
  const void *body = apus_request_body(request, &length);
  apus_reply_data(request, body, length);
}

static void message(void *context, apus_channel channel, int32_t opcode, const void *data,
                    size_t length) {
  (void)context;
  apus_channel_send(channel, opcode, 1, data, length);
}

static void listen_and_say(apus_server server, const char *port) {
  int32_t listener = apus_server_listen_tls(server, "127.0.0.1", atoi(port));
  if (listener < 0) {
    printf("%d %s\n", listener, apus_last_error_message());
    exit(1);
  }
  apus_server_set_proxy_protocol(server, listener, proxy_mode);
  printf("serving at https://127.0.0.1:%d\n", apus_server_port(server, listener));
  fflush(stdout);
}

int main(int argc, char **argv) {
  static char bytes[BIG];
  for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (char)('a' + i % 23);
  apus_server server = apus_server_make();
  apus_server_set_workers(server, 2);
  apus_server_set_dispatch(server, APUS_DISPATCH_WORKER);
  apus_server_set_drain_timeout(server, 100);
  apus_server_set_max_body(server, 64 << 20);
  for (int i = 1; i < argc - 1; i++) {
    int32_t result = run(server, argv[i], ",");
    if (result < 0) {
      printf("%d %s\n", result, apus_last_error_message());
      return 1;
    }
  }
  apus_server_get(server, "/", front, NULL, NULL);
  apus_server_get(server, "/told", told, NULL, NULL);
  apus_server_post(server, "/told", tell, NULL, NULL);
  apus_server_get(server, "/hello", hello, NULL, NULL);
  apus_server_get(server, "/strict", strict, NULL, NULL);
  apus_server_get(server, "/facts", facts, NULL, NULL);
  apus_server_get(server, "/big", big, bytes, NULL);
  apus_server_post(server, "/echo", echo, NULL, NULL);
  int32_t channels = apus_server_websocket(server, "/ws", NULL, NULL, NULL);
  apus_server_on_message(server, channels, message, NULL, NULL);
  listen_and_say(server, argv[argc - 1]);
  apus_server_start(server);
  char line[4096];
  while (fgets(line, sizeof line, stdin) != NULL) {
    line[strcspn(line, "\n")] = 0;
    int32_t result = run(server, line, " ");
    printf("%d %s\n", result, result < 0 ? apus_last_error_message() : "");
    fflush(stdout);
  }
  return apus_server_destroy(server) == 1 ? 0 : 1;
}
