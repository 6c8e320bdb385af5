/*
 * client_curl.c - the same by libcurl: one easy handle that is used again and again, or a
 * multi handle with many.
 *
 *   client_curl URL COUNT IN_FLIGHT
 *
 * IN_FLIGHT 0 is a download, and -1 one with a buffer of 64 KiB in place of libcurl's 16.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "client_figures.h"

#include <curl/curl.h>

static long long bytes;

static size_t take(char *data, size_t size, size_t count, void *context) {
  (void)data, (void)context;
  bytes += (long long)(size * count);
  return size * count;
}

static CURL *make(const char *url) {
  CURL *easy = curl_easy_init();
  if (easy == NULL) fail("no handle");
  curl_easy_setopt(easy, CURLOPT_URL, url);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take);
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
  return easy;
}

static void expect_ok(CURL *easy, CURLcode result) {
  long status = 0;
  curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
  if (result != CURLE_OK || status != 200) fail(curl_easy_strerror(result));
}

static void one_by_one(CURL *easy, long long number) {
  for (long long i = 0; i < number; i++) expect_ok(easy, curl_easy_perform(easy));
}

static void in_flight(CURLM *multi, CURL **handles, int depth, long long number) {
  long long left = number - depth, done = 0;
  for (int i = 0; i < depth; i++) curl_multi_add_handle(multi, handles[i]);
  while (done < number) {
    int running, messages;
    if (curl_multi_perform(multi, &running) != CURLM_OK) fail("curl_multi_perform");
    for (CURLMsg *message; (message = curl_multi_info_read(multi, &messages)) != NULL;) {
      if (message->msg != CURLMSG_DONE) continue;
      CURL *easy = message->easy_handle;
      expect_ok(easy, message->data.result);
      done++;
      curl_multi_remove_handle(multi, easy);
      if (left-- > 0) curl_multi_add_handle(multi, easy);
    }
    if (done < number) curl_multi_poll(multi, NULL, 0, 100, NULL);
  }
}

int main(int argc, char **argv) {
  if (argc != 4) fail("usage: client_curl URL COUNT IN_FLIGHT");
  long long number = atoll(argv[2]);
  int depth = atoi(argv[3]);
  struct figures mark;
  curl_global_init(CURL_GLOBAL_DEFAULT);
  if (depth <= 1) {
    CURL *easy = make(argv[1]);
    if (depth < 0) curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, 64 * 1024L);
    if (depth > 0) one_by_one(easy, WARM_UP);
    bytes = 0;
    figures_mark(&mark);
    one_by_one(easy, number);
  } else {
    CURL *handles[1024];
    if (depth > 1024) fail("at most 1024 in flight");
    CURLM *multi = curl_multi_init();
    curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long)depth);
    for (int i = 0; i < depth; i++) handles[i] = make(argv[1]);
    in_flight(multi, handles, depth, WARM_UP);
    bytes = 0;
    figures_mark(&mark);
    in_flight(multi, handles, depth, number);
  }
  figures_say(&mark, number, bytes);
  return 0;
}
