/*
 * tls_load.c - connections with TLS 1.3, one after the other or all at once.
 *
 *   tls_load PORT full COUNT      a handshake and a request each
 *   tls_load PORT resumed COUNT   the same, each taking up the session of the one before
 *   tls_load PORT hold COUNT      keeps them open, idle, until its input ends
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static SSL_SESSION *latest;

static int keep(SSL *ssl, SSL_SESSION *session) {
  (void)ssl;
  SSL_SESSION_free(latest);
  latest = session;
  return 1;
}

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static SSL *ask(SSL_CTX *context, int port, int resumes) {
  static const char request[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int descriptor = socket(AF_INET, SOCK_STREAM, 0), one = 1;
  if (descriptor < 0) fail("socket");
  if (connect(descriptor, (struct sockaddr *)&address, sizeof address) < 0) fail("connect");
  setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  SSL *ssl = SSL_new(context);
  SSL_set_fd(ssl, descriptor);
  SSL_set_tlsext_host_name(ssl, "localhost");
  if (resumes && latest != NULL) SSL_set_session(ssl, latest);
  char reply[4096];
  if (SSL_connect(ssl) != 1 || SSL_write(ssl, request, sizeof request - 1) <= 0 ||
      SSL_read(ssl, reply, sizeof reply) <= 0) {
    fail("TLS");
  }
  return ssl;
}

static void leave(SSL *ssl) {
  int descriptor = SSL_get_fd(ssl);
  SSL_shutdown(ssl);
  SSL_free(ssl);
  close(descriptor);
}

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  int port = atoi(argv[1]), count = atoi(argv[3]), resumed = 0;
  int resumes = strcmp(argv[2], "resumed") == 0, holds = strcmp(argv[2], "hold") == 0;
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  SSL_CTX *context = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
  SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256");
  SSL_CTX_set1_groups_list(context, "X25519");
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(context, keep);
  if (resumes) leave(ask(context, port, 0));
  for (int i = 0; i < count; i++) {
    SSL *ssl = ask(context, port, resumes);
    resumed += SSL_session_reused(ssl);
    if (!holds) leave(ssl);
  }
  printf("%d connections, %d resumed\n", count, resumed);
  fflush(stdout);
  if (holds) {
    while (getchar() != EOF) continue;
  }
  return 0;
}
