/*
 * tls_test.c - a server with TLS in each of the modes, and on the same host a client
 * that asks it; certificates are made by the command line of openssl when the test runs.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "../helpers/harness.h"

static char folder[] = "apus-tls-XXXXXX";
static struct app app;
static char url[128];
static int is_made;

static void run_command(const char *command) {
  if (system(command) != 0) harness_fail(__FILE__, __LINE__, "failed: %s", command);
}

static const char *path_of(const char *name) {
  static _Thread_local char paths[4][256];
  static _Thread_local unsigned next;
  char *path = paths[next++ % 4];
  snprintf(path, sizeof paths[0], "%s/%s", folder, name);
  return path;
}

/* Self-signed ones, which a client may name as its CA. */
static void make_certificate(const char *name, const char *names) {
  char command[1024];
  snprintf(command, sizeof command,
           "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "
           "/CN=test -days 2 -addext subjectAltName=%s -keyout %s/%s.key -out %s/%s.crt "
           "2>/dev/null",
           names, folder, name, folder, name);
  run_command(command);
}

static void make_certificates(void) {
  if (is_made) return;
  CHECK(mkdtemp(folder) != NULL);
  is_made = 1;
  make_certificate("one", "DNS:localhost,IP:127.0.0.1");
  make_certificate("two", "DNS:localhost,IP:127.0.0.1");
  make_certificate("wrong", "DNS:elsewhere.test");
}

static void remove_certificates(void) {
  char command[128];
  snprintf(command, sizeof command, "rm -rf %s", folder);
  if (is_made) run_command(command);
}

/* ---------------------------------------------------------------- the server */

static void facts(void *context, apus_request request) {
  (void)context;
  char text[512];
  snprintf(text, sizeof text, "%s %s %s %d", apus_request_scheme(request),
           apus_request_tls_version(request), apus_request_tls_alpn(request),
           apus_request_tls_resumed(request));
  CHECK_NONE(APUS_E_NOT_FOUND, apus_request_peer_subject(request));
  CHECK_INT(APUS_E_NOT_FOUND, apus_request_peer_is_verified(request));
  apus_reply_text(request, 200, text);
}

static void plain_facts(void *context, apus_request request) {
  (void)context;
  CHECK_TEXT("http", apus_request_scheme(request));
  CHECK_NONE(APUS_E_NOT_FOUND, apus_request_tls_version(request));
  CHECK_INT(APUS_E_NOT_FOUND, apus_request_tls_resumed(request));
  apus_reply_text(request, 200, "plain");
}

static void echo(void *context, apus_request request) {
  (void)context;
  size_t length;
  const void *body = apus_request_body(request, &length);
  apus_reply_data(request, body, length);
}

/* Two megabytes in pieces. */
static void stream(void *context, apus_request request) {
  (void)context;
  static char piece[1000];
  memset(piece, 'p', sizeof piece);
  apus_writer writer = apus_writer_make(request);
  apus_writer_set_high_water(writer, 1 << 30);
  for (int i = 0; i < 2000; i++) apus_writer_write(writer, piece, sizeof piece);
  apus_writer_end(writer);
  apus_writer_destroy(writer);
}

static void app_begin(enum mode mode) {
  make_certificates();
  app_make(&app, mode);
  CHECK_CODE(APUS_E_NOT_FOUND, apus_server_set_listener_tls(app.server, 64, 0));
  CHECK_CODE(APUS_E_NOT_FOUND, apus_server_set_listener_tls(app.server, -1, 0));
  CHECK_CODE(APUS_E_STATE, apus_server_set_listener_tls(app.server, 0, 1));
  CHECK_INT(APUS_E_STATE, apus_server_listen_tls(app.server, "127.0.0.1", 0));
  CHECK_INT(0,
            apus_server_add_certificate(app.server, NULL, path_of("one.crt"), path_of("one.key")));
  app_route(&app, APUS_GET, "/facts", facts, NULL);
  app_route(&app, APUS_GET, "/plain", plain_facts, NULL);
  app_route(&app, APUS_POST, "/echo", echo, NULL);
  app_route(&app, APUS_GET, "/stream", stream, NULL);
  int32_t listener = apus_server_listen_tls(app.server, "127.0.0.1", 0);
  CHECK(listener >= 0);
  snprintf(url, sizeof url, "https://localhost:%d/", apus_server_port(app.server, listener));
  harness_start(&app);
}

/* ---------------------------------------------------------------- the client */

static apus_client asker_make(const char *ca) {
  apus_client client = apus_client_make();
  CHECK(client != 0);
  CHECK_INT(0, apus_client_set_dispatch(client, APUS_DISPATCH_WORKER));
  if (ca != NULL) CHECK_INT(0, apus_client_add_ca_file(client, path_of(ca)));
  return client;
}

static apus_fetch fetch_make(apus_client client, const char *method, const char *path) {
  char target[256];
  snprintf(target, sizeof target, "%s%s", url, path);
  apus_fetch fetch = apus_fetch_make(client, method, target);
  CHECK(fetch != 0);
  return fetch;
}

static void expect(apus_client client, const char *path, const char *body) {
  apus_fetch fetch = fetch_make(client, "GET", path);
  apus_response response = apus_fetch_send(fetch);
  if (response == 0) harness_fail(__FILE__, __LINE__, "%s", apus_last_error_message());
  CHECK_INT(200, apus_response_status(response));
  if (body != NULL) CHECK_TEXT(body, apus_response_body(response, NULL));
  CHECK_INT(1, apus_fetch_destroy(fetch));
}

static void expect_code(apus_client client, int32_t code) {
  apus_fetch fetch = fetch_make(client, "GET", "facts");
  CHECK_NONE(code, apus_fetch_send(fetch));
  CHECK(strchr(apus_last_error_message(), ';') != NULL);
  CHECK_INT(1, apus_fetch_destroy(fetch));
}

/* ----------------------------------------------------------------- the tests */

static void test_requests(enum mode mode) {
  app_begin(mode);
  apus_client client = asker_make("one.crt");
  expect(client, "facts", "https TLSv1.3 http/1.1 0");
  expect(client, "facts", "https TLSv1.3 http/1.1 0");
  CHECK_INT(1, apus_server_counter(app.server, APUS_COUNT_ACCEPTED));
  expect(client, "stream", NULL);
  apus_fetch fetch = fetch_make(client, "POST", "echo");
  static char body[600000];
  for (size_t i = 0; i < sizeof body; i++) body[i] = (char)(i * 7 % 251);
  CHECK_INT(0, apus_fetch_set_body(fetch, body, sizeof body, NULL));
  apus_response response = apus_fetch_send(fetch);
  CHECK(response != 0);
  size_t length;
  const char *got = apus_response_body(response, &length);
  CHECK_BYTES(body, sizeof body, got, length);
  CHECK_INT(APUS_E_NOT_FOUND, apus_response_time_us(response, APUS_TIME_SECURED));
  CHECK_INT(1, apus_fetch_destroy(fetch));
  CHECK_INT(0, apus_client_set_keep_alive(client, 0));
  expect(client, "facts", "https TLSv1.3 http/1.1 0");
  expect(client, "facts", "https TLSv1.3 http/1.1 1");
  fetch = fetch_make(client, "GET", "facts");
  response = apus_fetch_send(fetch);
  CHECK(apus_response_time_us(response, APUS_TIME_SECURED) >=
        apus_response_time_us(response, APUS_TIME_CONNECTED));
  CHECK_INT(1, apus_fetch_destroy(fetch));
  CHECK_INT(1, apus_client_destroy(client));
  harness_stop(&app);
}

/* Both kinds of listener, and a plain request at the wrong one. */
static void test_plain(enum mode mode) {
  app_begin(mode);
  struct client client;
  client_open(&client, app.port);
  client_get(&client, "/plain");
  CLIENT_EXPECT(&client, "GET", 200, "plain");
  client_close(&client);
  client_open(&client, apus_server_port(app.server, 0));
  client_get(&client, "/plain");
  CLIENT_EXPECT(&client, "GET", 400, "This port speaks HTTPS: use https://.");
  CLIENT_ENDS(&client);
  client_close(&client);
  harness_stop(&app);
}

static void test_verification(enum mode mode) {
  app_begin(mode);
  apus_client client = asker_make(NULL);
  expect_code(client, APUS_E_SELF_SIGNED);
  CHECK_INT(0, apus_client_set_verify(client, 0, 1));
  expect(client, "facts", NULL);
  CHECK_INT(0, apus_client_set_verify(client, 1, 1));
  expect_code(client, APUS_E_SELF_SIGNED);
  CHECK_INT(0, apus_client_add_ca_file(client, path_of("one.crt")));
  expect(client, "facts", NULL);
  CHECK_INT(0, apus_client_add_pin(client, "localhost",
                                   "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="));
  expect_code(client, APUS_E_PIN);
  CHECK_INT(1, apus_client_destroy(client));
  harness_stop(&app);
}

/* In a running server: the next connection is shown the new one. */
static void test_replacement(enum mode mode) {
  app_begin(mode);
  apus_client one = asker_make("one.crt"), two = asker_make("two.crt");
  expect(one, "facts", NULL);
  expect_code(two, APUS_E_SELF_SIGNED);
  CHECK_INT(APUS_E_TLS,
            apus_server_add_certificate(app.server, NULL, path_of("two.crt"), path_of("one.key")));
  CHECK(strstr(apus_last_error_message(), "mismatch") != NULL);
  expect_code(two, APUS_E_SELF_SIGNED);
  CHECK_INT(0,
            apus_server_add_certificate(app.server, NULL, path_of("two.crt"), path_of("two.key")));
  expect(two, "facts", NULL);
  expect(one, "facts", NULL); /* over the connection that stands */
  CHECK_INT(0, apus_client_set_keep_alive(two, 0));
  CHECK_INT(0, apus_server_add_certificate(app.server, "localhost", path_of("wrong.crt"),
                                           path_of("wrong.key")));
  apus_client three = asker_make("wrong.crt");
  expect_code(three, APUS_E_WRONG_HOST);
  CHECK_INT(1, apus_client_destroy(one));
  CHECK_INT(1, apus_client_destroy(two));
  CHECK_INT(1, apus_client_destroy(three));
  harness_stop(&app);
}

static void test_settings(enum mode mode) {
  make_certificates();
  app_make(&app, mode);
  CHECK_INT(APUS_E_ARGUMENT, apus_server_set_tls_ciphers(app.server, "NO-SUCH-CIPHER"));
  CHECK_INT(APUS_E_ARGUMENT, apus_server_set_tls_suites(app.server, "NO-SUCH-SUITE"));
  CHECK_INT(APUS_E_ARGUMENT, apus_server_set_tls_groups(app.server, "P-1"));
  CHECK_INT(APUS_E_ARGUMENT, apus_server_set_tls_versions(app.server, 11, 13));
  CHECK_INT(APUS_E_ARGUMENT, apus_server_set_tls_versions(app.server, 13, 12));
  CHECK_INT(APUS_E_ARGUMENT, apus_server_set_client_certificates(app.server, 2, NULL));
  CHECK_INT(APUS_E_TLS, apus_server_set_client_certificates_memory(app.server, 2, "no", 2));
  CHECK_INT(APUS_E_ARGUMENT, apus_server_set_ticket_keys(app.server, "short", 5));
  CHECK_INT(0, apus_server_set_tls_versions(app.server, 12, 12));
  CHECK_INT(0, apus_server_set_tls_ciphers(app.server, "ECDHE-ECDSA-AES256-GCM-SHA384"));
  CHECK_INT(
      0, apus_server_add_certificate(app.server, "*.test", path_of("one.crt"), path_of("one.key")));
  CHECK_INT(APUS_E_STATE, apus_server_set_tls_versions(app.server, 12, 13));
  CHECK_INT(APUS_E_TLS, apus_server_add_certificate_memory(app.server, NULL, "no", 2, "no", 2));
  CHECK_INT(APUS_E_NOT_FOUND, apus_server_add_certificate_directory(app.server, NULL, folder));
  CHECK_INT(APUS_E_NOT_FOUND, apus_server_set_ocsp_file(app.server, "a.test", path_of("one.crt")));
  CHECK_INT(0, apus_server_rotate_ticket_keys(app.server));
  CHECK_INT(1, apus_server_destroy(app.server));
}

static void find_nothing_in_common(apus_client client) {
  apus_fetch fetch = fetch_make(client, "GET", "facts");
  CHECK_NONE(APUS_E_TLS, apus_fetch_send(fetch));
  CHECK_INT(1, apus_fetch_destroy(fetch));
}

/* What a file holds, and some text behind it; its length. */
static size_t read_with(const char *name, const char *behind, char *text, size_t size) {
  FILE *file = fopen(path_of(name), "r");
  CHECK(file != NULL);
  size_t length = fread(text, 1, size, file);
  fclose(file);
  CHECK(length > 0 && length + strlen(behind) < size);
  memcpy(text + length, behind, strlen(behind));
  return length + strlen(behind);
}

/* A broken block behind whole ones is no end of the text. */
static void test_broken_blocks(enum mode mode) {
  static const char broken[] = "-----BEGIN CERTIFICATE-----\nMIIB!!!\n-----END CERTIFICATE-----\n";
  static const char note[] = "\nThat was all.\n";
  char chain[8192], key[8192];
  make_certificates();
  app_make(&app, mode);
  apus_client client = apus_client_make();
  size_t key_length = read_with("one.key", "", key, sizeof key);
  size_t length = read_with("one.crt", broken, chain, sizeof chain);
  CHECK_INT(APUS_E_TLS,
            apus_server_add_certificate_memory(app.server, NULL, chain, length, key, key_length));
  CHECK_INT(APUS_E_TLS, apus_server_set_client_certificates_memory(app.server, 2, chain, length));
  CHECK_INT(APUS_E_TLS, apus_client_add_ca_memory(client, chain, length));
  length = read_with("one.crt", note, chain, sizeof chain);
  CHECK_INT(0, apus_client_add_ca_memory(client, chain, length));
  CHECK_INT(0,
            apus_server_add_certificate_memory(app.server, NULL, chain, length, key, key_length));
  CHECK_INT(1, apus_client_destroy(client));
  CHECK_INT(1, apus_server_destroy(app.server));
}

/* What a client sets of the same kind; the server has a key for ECDSA and its defaults. */
static void test_client_settings(enum mode mode) {
  app_begin(mode);
  apus_client client = asker_make("one.crt");
  CHECK_INT(0, apus_client_set_keep_alive(client, 0));
  CHECK_INT(APUS_E_ARGUMENT, apus_client_set_tls_ciphers(client, "NO-SUCH-CIPHER"));
  CHECK_INT(APUS_E_ARGUMENT, apus_client_set_tls_suites(client, "NO-SUCH-SUITE"));
  CHECK_INT(APUS_E_ARGUMENT, apus_client_set_tls_groups(client, "P-1"));
  CHECK_INT(0, apus_client_set_tls_suites(client, "TLS_AES_256_GCM_SHA384"));
  expect(client, "facts", "https TLSv1.3 http/1.1 0");
  CHECK_INT(0, apus_client_set_tls_versions(client, 12, 12));
  CHECK_INT(0, apus_client_set_tls_ciphers(client, "ECDHE-RSA-AES256-GCM-SHA384"));
  find_nothing_in_common(client);
  CHECK_INT(0, apus_client_set_tls_ciphers(client, "ECDHE-ECDSA-AES256-GCM-SHA384"));
  expect(client, "facts", "https TLSv1.2 http/1.1 0");
  CHECK_INT(0, apus_client_set_tls_versions(client, 13, 13));
  CHECK_INT(0, apus_client_set_tls_groups(client, "P-521"));
  find_nothing_in_common(client);
  CHECK_INT(0, apus_client_set_tls_groups(client, "P-384"));
  expect(client, "facts", "https TLSv1.3 http/1.1 0");
  CHECK_INT(1, apus_client_destroy(client));
  harness_stop(&app);
}

/* Clients that leave in the middle of a handshake, and a stop meanwhile. */
static void test_leaving(enum mode mode) {
  app_begin(mode);
  struct client clients[20];
  for (int i = 0; i < 20; i++) {
    client_open(&clients[i], apus_server_port(app.server, 0));
    client_send(&clients[i], "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", (size_t)(i % 11) + 1);
    if (i % 2 == 0) client_leave(&clients[i]);
  }
  apus_client client = asker_make("one.crt");
  expect(client, "facts", NULL);
  CHECK_INT(1, apus_client_destroy(client));
  harness_stop(&app);
  for (int i = 1; i < 20; i += 2) client_close(&clients[i]);
}

int main(int argc, char **argv) {
  static const struct harness_case cases[] = {
      {"requests", test_requests},           {"plain", test_plain},
      {"verification", test_verification},   {"replacement", test_replacement},
      {"settings", test_settings},           {"client_settings", test_client_settings},
      {"broken_blocks", test_broken_blocks}, {"leaving", test_leaving},
  };
  atexit(remove_certificates);
  return harness_main("tls_test", argc, argv, CASES(cases));
}
