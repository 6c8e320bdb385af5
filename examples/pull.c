/*
 * pull.c - a server without callbacks: the program asks for the next request when
 * it wants one. For languages whose foreign functions cannot be called back, and
 * for programs that have a loop of their own.
 *
 *   pull [PORT]    8080 unless it is given; 0 is any free port
 *
 * GET /            a greeting
 * GET /hello/NAME  a greeting by name
 * POST /stop       ends the program
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <apus.h>
#include <stdio.h>
#include <stdlib.h>

/* A route without a function is delivered by apus_server_next() as its number. */
static int32_t route(apus_server server, int32_t method, const char *pattern) {
  return apus_server_route(server, method, pattern, NULL, NULL, NULL);
}

static void greet(apus_request request) {
  char text[128];
  const char *name = apus_request_param(request, "name", NULL);
  snprintf(text, sizeof text, "Hello %.100s\n", name != NULL ? name : "from C");
  apus_reply_text(request, 200, text);
}

int main(int argc, char **argv) {
  apus_server server = apus_server_make();
  int32_t root = route(server, APUS_GET, "/");
  int32_t hello = route(server, APUS_GET, "/hello/:name");
  int32_t stop = route(server, APUS_POST, "/stop");
  if (root < 0 || hello < 0 || stop < 0 ||
      apus_server_listen(server, "127.0.0.1", argc > 1 ? atoi(argv[1]) : 8080) < 0 ||
      apus_server_start(server) < 0) {
    fprintf(stderr, "%s\n", apus_last_error_message());
    return 1;
  }
  fprintf(stderr, "http://127.0.0.1:%d/\n", apus_server_port(server, 0));

  /* A request that was pulled is the caller's, until the reply. Paths without a
   * route, and other methods, have been answered with 404 and 405 already. */
  apus_event event;
  int is_over = 0;
  while (!is_over) {
    int32_t events = apus_server_next(server, &event, -1);
    if (events < 0) break;
    if (events == 0 || event.kind != APUS_EVENT_REQUEST) continue;
    if (event.route == stop) {
      is_over = 1;
      apus_reply_text(event.handle, 200, "Bye\n");
    } else {
      greet(event.handle);
    }
  }
  apus_server_stop(server);
  apus_server_destroy(server);
  return 0;
}
