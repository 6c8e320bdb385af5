/*
 * apus_tls.c - the server of bench/tls.py: one worker, TLS, a small answer and a folder.
 *
 *   apus_tls CHAIN KEY FOLDER
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <apus.h>
#include <stdio.h>
#include <unistd.h>

static void hello(void *context, apus_request request) {
  (void)context;
  apus_reply_text(request, 200, "Hello, world!");
}

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  apus_server server = apus_server_make();
  apus_server_set_workers(server, 1);
  apus_server_set_dispatch(server, APUS_DISPATCH_WORKER);
  apus_server_set_keep_alive_timeout(server, 600000);
  if (apus_server_add_certificate(server, NULL, argv[1], argv[2]) < 0) {
    fprintf(stderr, "%s\n", apus_last_error_message());
    return 1;
  }
  apus_server_get(server, "/", hello, NULL, NULL);
  apus_server_serve_folder(server, "/", argv[3]);
  int32_t listener = apus_server_listen_tls(server, "127.0.0.1", 0);
  apus_server_start(server);
  printf("%d\n", apus_server_port(server, listener));
  fflush(stdout);
  for (;;) pause();
}
