/*
 * url_test.c - section 13 of the header: URLs against a table of what browsers make
 * of them, references against that of RFC 3986, percent-encoding, queries, and buffers
 * of every size. A failing call must leave its buffer alone.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "helpers/harness.h"

#define IMPOSSIBLE ((size_t)-2)

struct pair {
  const char *url;
  const char *whole; /* NULL: no URL */
};

static const struct pair urls[] = {
    {"http://example.com", "http://example.com/"},
    {"https://example.com/", "https://example.com/"},
    {"HtTpS://ExAmPlE.cOm/AbC", "https://example.com/AbC"},
    {"ws://example.com/chat?room=1", "ws://example.com/chat?room=1"},
    {"wss://example.com:443/", "wss://example.com/"},
    {"http://example.com:80/a", "http://example.com/a"},
    {"https://example.com:80/a", "https://example.com:80/a"},
    {"http://example.com:8080/", "http://example.com:8080/"},
    {"http://example.com:008080/", "http://example.com:8080/"},
    {"http://example.com:/", "http://example.com/"},
    {"http://example.com:65535", "http://example.com:65535/"},
    {"http://example.com:1", "http://example.com:1/"},
    {"  http://example.com/\t\n", "http://example.com/"},
    {"\x01http://example.com/\x1f", "http://example.com/"},
    {"http:example.com", "http://example.com/"},
    {"http:/example.com/a", "http://example.com/a"},
    {"http:////example.com/a", "http://example.com/a"},
    {"http:\\\\example.com\\a\\b", "http://example.com/a/b"},
    {"http://example.com\\@evil.com/", "http://example.com/@evil.com/"},
    {"http://user:pass@example.com/", "http://user:pass@example.com/"},
    {"http://user@example.com", "http://user@example.com/"},
    {"http://:pass@example.com", "http://:pass@example.com/"},
    {"http://@example.com", "http://example.com/"},
    {"http://:@example.com", "http://example.com/"},
    {"http://a@b@example.com", "http://a%40b@example.com/"},
    {"http://a:b:c@example.com", "http://a:b%3Ac@example.com/"},
    {"http://a;b=c@example.com", "http://a%3Bb%3Dc@example.com/"},
    {"http://example.com./", "http://example.com./"},
    {"http://under_score.example/", "http://under_score.example/"},
    {"http://-a-.example/", "http://-a-.example/"},
    {"http://xn--n3h.example/", "http://xn--n3h.example/"},
    {"http://%65xample.com/", "http://example.com/"},
    {"http://EX%41MPLE.com/", "http://example.com/"},
    {"http://localhost", "http://localhost/"},
    {"http://a/b/c/../d", "http://a/b/d"},
    {"http://a/b/c/./d", "http://a/b/c/d"},
    {"http://a/b/c/..", "http://a/b/"},
    {"http://a/b/c/.", "http://a/b/c/"},
    {"http://a/../../..", "http://a/"},
    {"http://a/..b/.c/d..", "http://a/..b/.c/d.."},
    {"http://a/%2e%2E/b", "http://a/b"},
    {"http://a/b/%2e/c", "http://a/b/c"},
    {"http://a/b/.%2e/c", "http://a/c"},
    {"http://a/%2e%2e%2f", "http://a/%2e%2e%2f"},
    {"http://a//b//", "http://a//b//"},
    {"http://a//../b", "http://a/b"},
    {"http://a/%41%7e", "http://a/%41%7e"},
    {"http://a/\"<>`{}^", "http://a/%22%3C%3E%60%7B%7D%5E"},
    {"http://a/[]|'~", "http://a/[]|'~"},
    {"http://a/\xc3\xbc", "http://a/%C3%BC"},
    {"http://a/\xff", "http://a/%FF"},
    {"http://a?b", "http://a/?b"},
    {"http://a?", "http://a/?"},
    {"http://a#", "http://a/#"},
    {"http://a#b", "http://a/#b"},
    {"http://a/?b?c", "http://a/?b?c"},
    {"http://a/?b/../c", "http://a/?b/../c"},
    {"http://a/?'\"<>", "http://a/?%27%22%3C%3E"},
    {"http://a/?{}^`|\\", "http://a/?{}^`|\\"},
    {"http://a/?b#c#d", "http://a/?b#c#d"},
    {"http://a/#\"<>`'", "http://a/#%22%3C%3E%60'"},
    {"http://a/#?b", "http://a/#?b"},
    {"http://a/b;c=d,e", "http://a/b;c=d,e"},
    {"http://127.0.0.1", "http://127.0.0.1/"},
    {"http://127.0.0.1.", "http://127.0.0.1/"},
    {"http://127.1", "http://127.0.0.1/"},
    {"http://127.0.1", "http://127.0.0.1/"},
    {"http://0x7f.1", "http://127.0.0.1/"},
    {"http://0x7F.0.0.0x1", "http://127.0.0.1/"},
    {"http://0177.0.0.1", "http://127.0.0.1/"},
    {"http://2130706433", "http://127.0.0.1/"},
    {"http://0", "http://0.0.0.0/"},
    {"http://0x", "http://0.0.0.0/"},
    {"http://256", "http://0.0.1.0/"},
    {"http://4294967295", "http://255.255.255.255/"},
    {"http://192.168.257:81/a", "http://192.168.1.1:81/a"},
    {"http://%31%32%37.1", "http://127.0.0.1/"},
    {"http://1.2.3.4.example", "http://1.2.3.4.example/"},
    {"http://1a", "http://1a/"},
    {"http://0xg", "http://0xg/"},
    {"http://[::]", "http://[::]/"},
    {"http://[::1]:80", "http://[::1]/"},
    {"http://[::1]:81", "http://[::1]:81/"},
    {"http://[2001:0DB8::0001]", "http://[2001:db8::1]/"},
    {"http://[1:0:0:2:0:0:0:3]", "http://[1:0:0:2::3]/"},
    {"http://[1:0:2:0:3:0:4:0]", "http://[1:0:2:0:3:0:4:0]/"},
    {"http://[1:2:3:4:5:6:7::]", "http://[1:2:3:4:5:6:7:0]/"},
    {"http://[::ffff:192.168.0.1]", "http://[::ffff:c0a8:1]/"},
    {"http://[1:2:3:4:5:6:7:8]", "http://[1:2:3:4:5:6:7:8]/"},
    {"", NULL},
    {" ", NULL},
    {"/", NULL},
    {"//example.com", NULL},
    {"example.com", NULL},
    {"?a", NULL},
    {"#a", NULL},
    {"http", NULL},
    {"http:", NULL},
    {"http://", NULL},
    {"http:///", NULL},
    {"http://?a", NULL},
    {"http://#a", NULL},
    {"http://:80", NULL},
    {"http://a@", NULL},
    {"http://a@:80", NULL},
    {"1http://a", NULL},
    {"-http://a", NULL},
    {"ht tp://a", NULL},
    {"http://a b", NULL},
    {"http://a/b c", NULL},
    {"http://a/b\tc", NULL},
    {"http://a/b\nc", NULL},
    {"http://a/b\r\nHost: c", NULL},
    {"http://a/b\x7f", NULL},
    {"http://a/%", NULL},
    {"http://a/%1", NULL},
    {"http://a/%gg", NULL},
    {"http://a/?%", NULL},
    {"http://a:b", NULL},
    {"http://a:0", NULL},
    {"http://a:65536", NULL},
    {"http://a:-1", NULL},
    {"http://a:80:80", NULL},
    {"http://a:99999999999999999999999", NULL},
    {"http://a..b", NULL},
    {"http://.a", NULL},
    {"http://.", NULL},
    {"http://a%00b", NULL},
    {"http://a%2fb", NULL},
    {"http://a%20b", NULL},
    {"http://a<b", NULL},
    {"http://a|b", NULL},
    {"http://a^b", NULL},
    {"http://a*b", NULL},
    {"http://b\xc3\xbc"
     "cher.example",
     NULL},
    {"http://b%C3%BCcher.example", NULL},
    {"http://256.1.1.1", NULL},
    {"http://1.1.1.256", NULL},
    {"http://1.2.3.4.5", NULL},
    {"http://4294967296", NULL},
    {"http://08.1", NULL},
    {"http://a.1", NULL},
    {"http://1..2", NULL},
    {"http://[", NULL},
    {"http://[]", NULL},
    {"http://[::1", NULL},
    {"http://::1", NULL},
    {"http://[::1]a", NULL},
    {"http://[::1]:a", NULL},
    {"http://[1::2::3]", NULL},
    {"http://[1:2:3:4:5:6:7]", NULL},
    {"http://[1:2:3:4:5:6:7:8:9]", NULL},
    {"http://[::12345]", NULL},
    {"http://[::1%25lo]", NULL},
    {"http://[::1.2.3]", NULL},
};

/* Takes a part in a buffer that is exactly as large, and in each that is smaller. */
static void check_part(const char *url, int32_t part, const char *expected) {
  char big[512];
  size_t length = strlen(expected);
  CHECK_INT(length, apus_url_part(url, part, big, sizeof big));
  CHECK_TEXT(expected, big);
  char *exact = malloc(length + 1);
  CHECK(exact != NULL);
  CHECK_INT(length, apus_url_part(url, part, exact, length + 1));
  CHECK_TEXT(expected, exact);
  memset(exact, 0x77, length + 1);
  for (size_t size = 0; size <= length; size++) {
    CHECK_CODE(APUS_E_TOO_LARGE, apus_url_part(url, part, exact, size));
    CHECK_INT(0x77, exact[0]);
  }
  free(exact);
}

static void test_urls(enum mode mode) {
  (void)mode;
  CHECK(sizeof urls / sizeof urls[0] >= 120);
  for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
    const char *url = urls[i].url;
    char buffer[512] = "untouched";
    if (urls[i].whole == NULL) {
      if (apus_url_part(url, APUS_URL_WHOLE, buffer, sizeof buffer) != APUS_E_ARGUMENT) {
        harness_fail(__FILE__, __LINE__, "%s is %s", url, buffer);
      }
      CHECK_INT(APUS_E_ARGUMENT, apus_last_error());
      CHECK_TEXT("untouched", buffer);
      CHECK_CODE(APUS_E_ARGUMENT, apus_url_port(url));
      continue;
    }
    check_part(url, APUS_URL_WHOLE, urls[i].whole);
    check_part(urls[i].whole, APUS_URL_WHOLE, urls[i].whole);
    CHECK_INT(1, apus_url_same_origin(url, urls[i].whole));
    CHECK(strlen(urls[i].whole) < 3 * strlen(url) + 32);
  }
}

struct parts {
  const char *url;
  const char *part[12];
};

static const struct parts parts[] = {
    {"HTTP://us%65r:p%40ss@[::1]:81/a%20b?c#d",
     {"http://us%65r:p%40ss@[::1]:81/a%20b?c#d", "http", "user", "p@ss", "::1", "81", "/a%20b", "c",
      "d", "[::1]:81", "http://[::1]:81", "/a%20b?c"}},
    {"wss://a", {"wss://a/", "wss", NULL, NULL, "a", "443", "/", NULL, NULL, "a", "wss://a", "/"}},
    {"https://u@a:8443?#",
     {"https://u@a:8443/?#", "https", "u", "", "a", "8443", "/", "", "", "a:8443", "https://a:8443",
      "/?"}},
    {"ws://:p@a/b#c?d",
     {"ws://:p@a/b#c?d", "ws", "", "p", "a", "80", "/b", NULL, "c?d", "a", "ws://a", "/b"}},
};

static void test_parts(enum mode mode) {
  (void)mode;
  for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
    for (int32_t part = 0; part < 12; part++) {
      const char *expected = parts[i].part[part];
      if (expected != NULL) {
        check_part(parts[i].url, part, expected);
      } else {
        char buffer[16] = "untouched";
        CHECK_CODE(APUS_E_NOT_FOUND, apus_url_part(parts[i].url, part, buffer, sizeof buffer));
        CHECK_TEXT("untouched", buffer);
      }
    }
    CHECK_INT(atoi(parts[i].part[APUS_URL_PORT]), apus_url_port(parts[i].url));
  }
  char buffer[8];
  CHECK_CODE(APUS_E_ARGUMENT, apus_url_part("http://a", -1, buffer, sizeof buffer));
  CHECK_CODE(APUS_E_ARGUMENT, apus_url_part("http://a", 12, buffer, sizeof buffer));
  CHECK_CODE(APUS_E_ARGUMENT, apus_url_part("http://a", 0, NULL, 8));
  CHECK_CODE(APUS_E_ARGUMENT, apus_url_part("http://a", 0, buffer, IMPOSSIBLE));
  CHECK_CODE(APUS_E_UNSUPPORTED, apus_url_part("ftp://a", 0, buffer, sizeof buffer));
  CHECK_CODE(APUS_E_UNSUPPORTED, apus_url_port("localhost:80"));
}

/* The longest URL, and one byte more. */
static void test_longest(enum mode mode) {
  (void)mode;
  size_t most = 64 * 1024;
  char *url = malloc(most + 2), *buffer = malloc(3 * most + 32);
  CHECK(url != NULL && buffer != NULL);
  memset(url, '"', most + 1);
  memcpy(url, "http://a/", 9);
  url[most + 1] = 0;
  CHECK_CODE(APUS_E_TOO_LARGE, apus_url_part(url, APUS_URL_WHOLE, buffer, 3 * most + 32));
  url[most] = 0;
  CHECK_INT(9 + 3 * (most - 9), apus_url_part(url, APUS_URL_WHOLE, buffer, 3 * most + 32));
  free(url);
  free(buffer);
}

static const struct pair references[] = {
    {"g", "http://a/b/c/g"},
    {"./g", "http://a/b/c/g"},
    {"g/", "http://a/b/c/g/"},
    {"/g", "http://a/g"},
    {"//g", "http://g/"},
    {"?y", "http://a/b/c/d;p?y"},
    {"g?y", "http://a/b/c/g?y"},
    {"#s", "http://a/b/c/d;p?q#s"},
    {"g#s", "http://a/b/c/g#s"},
    {"g?y#s", "http://a/b/c/g?y#s"},
    {";x", "http://a/b/c/;x"},
    {"g;x", "http://a/b/c/g;x"},
    {"g;x?y#s", "http://a/b/c/g;x?y#s"},
    {"", "http://a/b/c/d;p?q"},
    {".", "http://a/b/c/"},
    {"./", "http://a/b/c/"},
    {"..", "http://a/b/"},
    {"../", "http://a/b/"},
    {"../g", "http://a/b/g"},
    {"../..", "http://a/"},
    {"../../", "http://a/"},
    {"../../g", "http://a/g"},
    {"../../../g", "http://a/g"},
    {"../../../../g", "http://a/g"},
    {"/./g", "http://a/g"},
    {"/../g", "http://a/g"},
    {"g.", "http://a/b/c/g."},
    {".g", "http://a/b/c/.g"},
    {"g..", "http://a/b/c/g.."},
    {"..g", "http://a/b/c/..g"},
    {"./../g", "http://a/b/g"},
    {"./g/.", "http://a/b/c/g/"},
    {"g/./h", "http://a/b/c/g/h"},
    {"g/../h", "http://a/b/c/h"},
    {"g;x=1/./y", "http://a/b/c/g;x=1/y"},
    {"g;x=1/../y", "http://a/b/c/y"},
    {"g?y/./x", "http://a/b/c/g?y/./x"},
    {"g?y/../x", "http://a/b/c/g?y/../x"},
    {"g#s/./x", "http://a/b/c/g#s/./x"},
    {"g#s/../x", "http://a/b/c/g#s/../x"},
    {"http:g", "http://a/b/c/g"},
    {"https:g", "https://g/"},
    {"https://u@x:1/y", "https://u@x:1/y"},
    {"\\g\\h", "http://a/g/h"},
    {"g h?i j", "http://a/b/c/g%20h?i%20j"},
    {"100%", "http://a/b/c/100%"},
    {"\xc3\xbc", "http://a/b/c/%C3%BC"},
    {"//", NULL},
    {"//g:0", NULL},
    {"g\nh", NULL},
    {"//g h", NULL},
};

static void test_references(enum mode mode) {
  (void)mode;
  char buffer[256];
  for (size_t i = 0; i < sizeof references / sizeof references[0]; i++) {
    const char *reference = references[i].url, *whole = references[i].whole;
    strcpy(buffer, "untouched");
    if (whole == NULL) {
      CHECK_CODE(APUS_E_ARGUMENT,
                 apus_url_resolve("http://a/b/c/d;p?q", reference, buffer, sizeof buffer));
      CHECK_TEXT("untouched", buffer);
      continue;
    }
    size_t length = strlen(whole);
    CHECK_CODE(APUS_E_TOO_LARGE, apus_url_resolve("http://a/b/c/d;p?q", reference, buffer, length));
    CHECK_TEXT("untouched", buffer);
    CHECK_INT(length, apus_url_resolve("http://a/b/c/d;p?q", reference, buffer, length + 1));
    CHECK_TEXT(whole, buffer);
  }
  /* Over the base that it comes from. */
  strcpy(buffer, "http://a/b");
  CHECK_INT(12, apus_url_resolve(buffer, "c/d", buffer, sizeof buffer));
  CHECK_TEXT("http://a/c/d", buffer);
  CHECK_CODE(APUS_E_UNSUPPORTED, apus_url_resolve("http://a", "g:h", buffer, sizeof buffer));
  CHECK_CODE(APUS_E_UNSUPPORTED, apus_url_resolve("file:///a", "g", buffer, sizeof buffer));
  CHECK_CODE(APUS_E_ARGUMENT, apus_url_resolve("a", "g", buffer, sizeof buffer));
  CHECK_CODE(APUS_E_ARGUMENT, apus_url_resolve(NULL, "g", buffer, sizeof buffer));
}

static void test_origins(enum mode mode) {
  (void)mode;
  CHECK_INT(1, apus_url_same_origin("http://a/b?c", "HTTP://u:p@A:80/#d"));
  CHECK_INT(1, apus_url_same_origin("http://0x7f.1", "http://127.0.0.1"));
  CHECK_INT(0, apus_url_same_origin("http://a", "https://a"));
  CHECK_INT(0, apus_url_same_origin("http://a", "http://a:81"));
  CHECK_INT(0, apus_url_same_origin("http://a", "http://b"));
  CHECK_INT(0, apus_url_same_origin("http://a", "ws://a"));
  CHECK_CODE(APUS_E_ARGUMENT, apus_url_same_origin("http://a", "a"));
  CHECK_CODE(APUS_E_UNSUPPORTED, apus_url_same_origin("ftp://a", "ftp://a"));
}

struct encoded {
  int32_t set;
  const char *bytes;
  size_t length;
  const char *text;
};

static const struct encoded encodeds[] = {
    {APUS_PERCENT_COMPONENT, "", 0, ""},
    {APUS_PERCENT_COMPONENT, "a b/c?d=e&f+g~h", 15, "a%20b%2Fc%3Fd%3De%26f%2Bg~h"},
    {APUS_PERCENT_COMPONENT, "\0\x7f\xff%", 4, "%00%7F%FF%25"},
    {APUS_PERCENT_PATH, "/a b/c:d@e;f=g?h", 16, "/a%20b/c:d@e;f=g%3Fh"},
    {APUS_PERCENT_QUERY, "a=b&c d/?#", 10, "a=b&c%20d/?%23"},
    {APUS_PERCENT_FORM, "a b+c*d-e.f_g~", 14, "a+b%2Bc*d-e.f_g%7E"},
};

static void test_percent(enum mode mode) {
  (void)mode;
  char buffer[64];
  for (size_t i = 0; i < sizeof encodeds / sizeof encodeds[0]; i++) {
    const struct encoded *it = &encodeds[i];
    size_t length = strlen(it->text);
    memset(buffer, 'x', sizeof buffer);
    CHECK_CODE(APUS_E_TOO_LARGE,
               apus_percent_encode(it->bytes, it->length, it->set, buffer, length));
    CHECK_INT('x', buffer[0]);
    CHECK_INT(length, apus_percent_encode(it->bytes, it->length, it->set, buffer, length + 1));
    CHECK_TEXT(it->text, buffer);
    CHECK_INT('x', buffer[length + 1]);
    /* And back, where it stands. */
    CHECK_INT(it->length,
              apus_percent_decode(buffer, APUS_STRLEN, it->set, buffer, it->length + 1));
    CHECK_BYTES(it->bytes, it->length, buffer, it->length);
    CHECK_INT(0, buffer[it->length]);
  }
  CHECK_INT(5, apus_percent_encode("a b c", APUS_STRLEN, APUS_PERCENT_FORM, buffer, 64));
  CHECK_INT(2, apus_percent_decode("+%", 2, APUS_PERCENT_FORM, buffer, sizeof buffer));
  CHECK_TEXT(" %", buffer);
  CHECK_INT(1, apus_percent_decode("+", 1, APUS_PERCENT_QUERY, buffer, sizeof buffer));
  CHECK_TEXT("+", buffer);
  static const char *const wrong[] = {"%", "%1", "%zz", "a%4", "%%41"};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    for (int32_t set = 0; set < 3; set++) {
      CHECK_CODE(APUS_E_ARGUMENT,
                 apus_percent_decode(wrong[i], APUS_STRLEN, set, buffer, sizeof buffer));
    }
  }
  CHECK_CODE(APUS_E_ARGUMENT, apus_percent_encode("a", 1, 4, buffer, sizeof buffer));
  CHECK_CODE(APUS_E_ARGUMENT, apus_percent_decode("a", 1, -1, buffer, sizeof buffer));
  CHECK_CODE(APUS_E_ARGUMENT, apus_percent_encode("a", IMPOSSIBLE, 0, buffer, sizeof buffer));
  CHECK_CODE(APUS_E_ARGUMENT, apus_percent_encode(NULL, 1, 0, buffer, sizeof buffer));
  CHECK_CODE(APUS_E_ARGUMENT, apus_percent_encode("a", 1, 0, NULL, 8));
  CHECK_CODE(APUS_E_TOO_LARGE, apus_percent_encode("a", 1, 0, NULL, 0));
}

static void test_query(enum mode mode) {
  (void)mode;
  char buffer[40] = "";
  CHECK_INT(3, apus_query_append(buffer, sizeof buffer, "a", "1", APUS_STRLEN));
  CHECK_INT(14, apus_query_append(buffer, sizeof buffer, "b c", "&=", 2));
  CHECK_TEXT("a=1&b+c=%26%3D", buffer);
  CHECK_INT(17, apus_query_append(buffer, sizeof buffer, "d", NULL, 0));
  CHECK_TEXT("a=1&b+c=%26%3D&d=", buffer);
  /* The last byte that fits, and one more. */
  CHECK_CODE(APUS_E_TOO_LARGE, apus_query_append(buffer, 21, "e", "5", 2));
  CHECK_CODE(APUS_E_TOO_LARGE, apus_query_append(buffer, 21, "e", "5", 1));
  CHECK_TEXT("a=1&b+c=%26%3D&d=", buffer);
  CHECK_INT(21, apus_query_append(buffer, 22, "e", "5", 1));
  CHECK_TEXT("a=1&b+c=%26%3D&d=&e=5", buffer);
  strcpy(buffer, "/search?");
  CHECK_INT(11, apus_query_append(buffer, sizeof buffer, "q", "x", 1));
  CHECK_INT(13, apus_query_append(buffer, sizeof buffer, "", "", 0));
  CHECK_TEXT("/search?q=x&=", buffer);
  strcpy(buffer, "a=1&");
  CHECK_INT(7, apus_query_append(buffer, sizeof buffer, "b", "2", 1));
  CHECK_TEXT("a=1&b=2", buffer);
  /* Its own text as a value. */
  CHECK_INT(23, apus_query_append(buffer, sizeof buffer, "c", buffer, APUS_STRLEN));
  CHECK_TEXT("a=1&b=2&c=a%3D1%26b%3D2", buffer);
  memset(buffer, 'x', sizeof buffer);
  CHECK_CODE(APUS_E_ARGUMENT, apus_query_append(buffer, sizeof buffer, "a", "1", 1));
  CHECK_CODE(APUS_E_ARGUMENT, apus_query_append(NULL, 8, "a", "1", 1));
  CHECK_CODE(APUS_E_TOO_LARGE, apus_query_append(NULL, 0, "a", "1", 1));
  CHECK_CODE(APUS_E_ARGUMENT, apus_query_append(buffer, IMPOSSIBLE, "a", "1", 1));
}

int main(void) {
  static const struct harness_case cases[] = {
      {"urls", test_urls},       {"parts", test_parts},
      {"longest", test_longest}, {"references", test_references},
      {"origins", test_origins}, {"percent", test_percent},
      {"query", test_query},
  };
  return harness_run("url_test", MODE_TICK, NULL, CASES(cases));
}
