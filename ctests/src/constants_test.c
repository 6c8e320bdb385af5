/*
 * constants_test.c - the numbers that are promised: methods and their names both
 * ways, status codes and the reason phrases of IANA's registry, opcodes, kinds,
 * result codes, versions. All of it by value: these can't change any more.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "helpers/harness.h"

static void test_methods(enum mode mode) {
  static const char *const names[] = {
      "DELETE",     "GET",      "HEAD",       "POST",     "PUT",    "CONNECT",   "OPTIONS",
      "TRACE",      "COPY",     "LOCK",       "MKCOL",    "MOVE",   "PROPFIND",  "PROPPATCH",
      "SEARCH",     "UNLOCK",   "BIND",       "REBIND",   "UNBIND", "ACL",       "REPORT",
      "MKACTIVITY", "CHECKOUT", "MERGE",      "M-SEARCH", "NOTIFY", "SUBSCRIBE", "UNSUBSCRIBE",
      "PATCH",      "PURGE",    "MKCALENDAR", "LINK",     "UNLINK", "SOURCE"};
  static const char *const others[] = {"FOO",  "get", "Get", "MSEARCH",
                                       "GETT", "GE",  "x",   "!#$%&'*+-.^_`|~"};
  static const char *const bad[] = {"",     " ",        "G T", "GET ",  " GET", "G\n",
                                    "\x7f", "\xc3\xa4", "G,",  "(GET)", "GET/"};
  (void)mode;
  CHECK_INT(34, sizeof names / sizeof names[0]);
  CHECK_INT(33, APUS_SOURCE);
  CHECK_INT(24, APUS_MSEARCH);
  for (int32_t i = 0; i < 34; i++) {
    CHECK_TEXT(names[i], apus_method_name(i));
    CHECK_INT(i, apus_method_number(names[i]));
  }
  for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
    CHECK_INT(APUS_METHOD_OTHER, apus_method_number(others[i]));
  }
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    CHECK_CODE(APUS_E_ARGUMENT, apus_method_number(bad[i]));
  }
  CHECK_CODE(APUS_E_ARGUMENT, apus_method_number(NULL));
  CHECK_NONE(APUS_E_NOT_FOUND, apus_method_name(34));
  CHECK_NONE(APUS_E_NOT_FOUND, apus_method_name(-1));
  CHECK_NONE(APUS_E_NOT_FOUND, apus_method_name(INT32_MIN));
}

struct phrase {
  int32_t status;
  const char *reason;
};

static const struct phrase registry[] = {
    {100, "Continue"},
    {101, "Switching Protocols"},
    {102, "Processing"},
    {103, "Early Hints"},
    {104, "Upload Resumption Supported"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {203, "Non-Authoritative Information"},
    {204, "No Content"},
    {205, "Reset Content"},
    {206, "Partial Content"},
    {207, "Multi-Status"},
    {208, "Already Reported"},
    {226, "IM Used"},
    {300, "Multiple Choices"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {305, "Use Proxy"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {402, "Payment Required"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {407, "Proxy Authentication Required"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {423, "Locked"},
    {424, "Failed Dependency"},
    {425, "Too Early"},
    {426, "Upgrade Required"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {451, "Unavailable For Legal Reasons"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {506, "Variant Also Negotiates"},
    {507, "Insufficient Storage"},
    {508, "Loop Detected"},
    {510, "Not Extended"},
    {511, "Network Authentication Required"},
};

static void test_statuses(enum mode mode) {
  /* Outside the registry, but in use: a phrase, whichever. */
  static const int32_t unregistered[] = {306, 418, 444, 499, 599};
  (void)mode;
  for (size_t i = 0; i < sizeof registry / sizeof registry[0]; i++) {
    CHECK_TEXT(registry[i].reason, apus_status_reason(registry[i].status));
  }
  for (size_t i = 0; i < sizeof unregistered / sizeof unregistered[0]; i++) {
    CHECK(apus_status_reason(unregistered[i])[0] != '\0');
  }
  for (int32_t status = 100; status <= 599; status++) {
    CHECK(apus_status_reason(status) != NULL);
  }
  CHECK_TEXT("", apus_status_reason(199));
  CHECK_TEXT("", apus_status_reason(299));
  CHECK_TEXT("", apus_status_reason(598));
  CHECK_NONE(APUS_E_NOT_FOUND, apus_status_reason(99));
  CHECK_NONE(APUS_E_NOT_FOUND, apus_status_reason(600));
  CHECK_NONE(APUS_E_NOT_FOUND, apus_status_reason(0));
  CHECK_NONE(APUS_E_NOT_FOUND, apus_status_reason(-200));
}

static void test_opcodes(enum mode mode) {
  static const char *const names[16] = {"CONTINUE", "TEXT", "BINARY", NULL,   NULL,  NULL,
                                        NULL,       NULL,   "CLOSE",  "PING", "PONG"};
  (void)mode;
  for (int32_t opcode = 0; opcode < 16; opcode++) {
    CHECK_INT(opcode >= 8, apus_opcode_is_control(opcode));
    if (names[opcode] != NULL) CHECK_TEXT(names[opcode], apus_opcode_name(opcode));
    if (names[opcode] == NULL) CHECK_NONE(APUS_E_NOT_FOUND, apus_opcode_name(opcode));
  }
  CHECK_NONE(APUS_E_NOT_FOUND, apus_opcode_name(16));
  CHECK_NONE(APUS_E_NOT_FOUND, apus_opcode_name(-1));
  CHECK_CODE(APUS_E_ARGUMENT, apus_opcode_is_control(16));
  CHECK_CODE(APUS_E_ARGUMENT, apus_opcode_is_control(-1));
  CHECK_INT(10, APUS_OPCODE_PONG);
  CHECK_INT(9, APUS_OPCODE_PING);
  CHECK_INT(8, APUS_OPCODE_CLOSE);
}

static void test_errors(enum mode mode) {
  static const char *const names[] = {"APUS_OK",
                                      "APUS_E_HANDLE",
                                      "APUS_E_ARGUMENT",
                                      "APUS_E_STATE",
                                      "APUS_E_MEMORY",
                                      "APUS_E_THREAD",
                                      "APUS_E_FULL",
                                      "APUS_E_TIMEOUT",
                                      "APUS_E_CLOSED",
                                      "APUS_E_PROTOCOL",
                                      "APUS_E_IO",
                                      "APUS_E_TOO_LARGE",
                                      "APUS_E_NOT_FOUND",
                                      "APUS_E_ADDRESS_IN_USE",
                                      "APUS_E_PERMISSION",
                                      "APUS_E_ADDRESS",
                                      "APUS_E_FORK",
                                      "APUS_E_DESCRIPTORS",
                                      "APUS_E_UNSUPPORTED",
                                      "APUS_E_TLS",
                                      "APUS_E_CERTIFICATE",
                                      "APUS_E_EXPIRED",
                                      "APUS_E_NOT_YET_VALID",
                                      "APUS_E_SELF_SIGNED",
                                      "APUS_E_UNKNOWN_ISSUER",
                                      "APUS_E_WRONG_HOST",
                                      "APUS_E_REVOKED",
                                      "APUS_E_WEAK",
                                      "APUS_E_PIN"};
  const int32_t count = sizeof names / sizeof names[0];
  (void)mode;
  CHECK_INT(29, count);
  CHECK_INT(-28, APUS_E_PIN);
  for (int32_t i = 0; i < count; i++) {
    CHECK_TEXT(names[i], apus_error_name(-i));
    CHECK(apus_error_message(-i) != NULL && apus_error_message(-i)[0] != '\0');
    for (int32_t other = 0; other < i; other++) {
      CHECK(strcmp(apus_error_message(-i), apus_error_message(-other)) != 0);
    }
  }
  static const int32_t unknown[] = {1, -29, -1000, INT32_MIN, INT32_MAX};
  for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
    CHECK_TEXT("APUS_E_UNKNOWN", apus_error_name(unknown[i]));
    CHECK(apus_error_message(unknown[i]) != NULL);
  }
}

static void *fresh_thread(void *context) {
  (void)context;
  CHECK_INT(APUS_OK, apus_last_error());
  CHECK(apus_last_error_message() != NULL);
  CHECK_INT(APUS_E_HANDLE, apus_server_start(0));
  CHECK_INT(APUS_E_HANDLE, apus_last_error());
  return NULL;
}

/* The last error is the thread's own, and a success leaves it alone. */
static void test_last_error(enum mode mode) {
  pthread_t thread;
  (void)mode;
  CHECK_NONE(APUS_E_NOT_FOUND, apus_method_name(99));
  CHECK(strlen(apus_last_error_message()) > 0);
  CHECK_INT(0, pthread_create(&thread, NULL, fresh_thread, NULL));
  CHECK_INT(0, pthread_join(thread, NULL));
  CHECK_TEXT("GET", apus_method_name(1));
  CHECK_INT(APUS_E_NOT_FOUND, apus_last_error());
  CHECK_CODE(APUS_E_ARGUMENT, apus_opcode_is_control(99));
}

static void test_versions(enum mode mode) {
  char text[32];
  (void)mode;
  snprintf(text, sizeof text, "%d.%d.%d", APUS_VERSION_MAJOR, APUS_VERSION_MINOR,
           APUS_VERSION_PATCH);
  CHECK_TEXT(APUS_VERSION_STRING, text);
  CHECK_TEXT(APUS_VERSION_STRING, apus_version());
  CHECK_INT(APUS_ABI_VERSION, apus_abi_version());
  CHECK_INT(1, APUS_KIND_SERVER);
  CHECK_INT(4, APUS_KIND_WRITER);
  CHECK_INT(5, APUS_KIND_REQUEST);
  CHECK_INT(8, APUS_KIND_SOURCE);
  CHECK_INT(0, APUS_ROLE_CLIENT);
  CHECK_INT(1, APUS_ROLE_SERVER);
  CHECK_INT(3, APUS_STATE_CLOSED);
  CHECK(APUS_STRLEN == SIZE_MAX);
}

int main(void) {
  static const struct harness_case cases[] = {
      {"methods", test_methods}, {"statuses", test_statuses},     {"opcodes", test_opcodes},
      {"errors", test_errors},   {"last_error", test_last_error}, {"versions", test_versions},
  };
  return harness_run("constants_test", MODE_TICK, NULL, CASES(cases));
}
