#include <apus.h>
#include <stdio.h>
#include <stdlib.h>

static void hello(void *context, apus_request request) {
  (void)context;
  apus_reply_text(request, 200, "Hello from C\n");
}

int main(int argc, char **argv) {
  apus_server server = apus_server_make();
  apus_server_get(server, "/", hello, NULL, NULL);
  if (apus_server_listen(server, "127.0.0.1", argc > 1 ? atoi(argv[1]) : 8080) >= 0) {
    fprintf(stderr, "http://127.0.0.1:%d/\n", apus_server_port(server, 0));
    if (apus_server_serve(server) == APUS_OK) return 0;
  }
  fprintf(stderr, "%s\n", apus_last_error_message());
  return 1;
}
