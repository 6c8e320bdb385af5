#include <apus.h>
#include <stdio.h>

int main(int argc, char **argv) {
  apus_response response = apus_get(argc > 1 ? argv[1] : "http://127.0.0.1:8080/", NULL);
  if (response == 0) return fprintf(stderr, "%s\n", apus_last_error_message()), 1;
  printf("%d %s", apus_response_status(response), apus_response_body(response, NULL));
  apus_response_destroy(response);
}
