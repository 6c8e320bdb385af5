/*
 * forms_server.c - the server behind forms_peers_test.py: it tells what it has found
 * in a form, sets cookies of every kind, and gives back those that come.
 *
 *   forms_server mode folder
 *
 * Prints its port, serves until its standard input ends, and ends with 0. Uploads
 * wait in the folder once a form has more than 64 KiB.
 *
 *   POST /form       one line for each part: name, file name or "-", type, length and
 *                    the FNV-1a of the content, names in hexadecimal
 *   POST /buffered   the same of a body that is read whole
 *   POST /save       saves each file in the folder; the names, in hexadecimal
 *   GET /set         sets cookies
 *   GET /forget      has them forgotten
 *   GET /cookies     the cookies that came, as name=value lines; "signed" is checked
 *   GET /page        a form for browsers, sent by itself
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "harness.h"

static const char *folder;

struct text {
  char data[1 << 20];
  size_t length;
};

static void add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(struct text *text, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  int count =
      vsnprintf(text->data + text->length, sizeof text->data - text->length, format, arguments);
  va_end(arguments);
  CHECK(count >= 0 && text->length + (size_t)count < sizeof text->data);
  text->length += (size_t)count;
}

static void add_hex(struct text *text, const char *bytes, size_t length) {
  for (size_t i = 0; i < length; i++) add(text, "%02x", (unsigned char)bytes[i]);
  add(text, " ");
}

static void reply_with(apus_request request, struct text *text) {
  CHECK_INT(0, apus_reply(request, 200, "text/plain", text->data, text->length));
  free(text);
}

static struct text *new_text(void) {
  struct text *text = malloc(sizeof *text);
  CHECK(text != NULL);
  text->data[0] = 0;
  text->length = 0;
  return text;
}

static uint64_t sum_of(apus_request request, int32_t index) {
  static _Thread_local unsigned char block[65536];
  uint64_t sum = 0xcbf29ce484222325u;
  int64_t offset = 0, count;
  while ((count = apus_request_part_read(request, index, offset, block, sizeof block)) > 0) {
    for (int64_t i = 0; i < count; i++) sum = (sum ^ block[i]) * 0x100000001b3u;
    offset += count;
  }
  CHECK_INT(0, count);
  CHECK_INT(offset, apus_request_part_length(request, index));
  return sum;
}

static void form_handler(void *context, apus_request request) {
  (void)context;
  int32_t count = apus_request_form_count(request);
  if (count < 0) {
    apus_reply_text(request, 400, apus_last_error_message());
    return;
  }
  struct text *text = new_text();
  for (int32_t i = 0; i < count; i++) {
    size_t length = 0;
    const char *name = apus_request_part_name(request, i, &length);
    add_hex(text, name, length);
    const char *file = apus_request_part_file_name(request, i, &length);
    if (file == NULL) add(text, "- ");
    if (file != NULL) add_hex(text, file, length);
    add(text, "%s %lld %016llx\n", apus_request_part_type(request, i, NULL),
        (long long)apus_request_part_length(request, i), (unsigned long long)sum_of(request, i));
  }
  reply_with(request, text);
}

static void save_handler(void *context, apus_request request) {
  (void)context;
  struct text *text = new_text();
  int32_t count = apus_request_form_count(request);
  for (int32_t i = 0; i < count; i++) {
    if (apus_request_part_file_name(request, i, NULL) == NULL) continue;
    const char *name = apus_request_part_save(request, i, folder, NULL, 1);
    if (name == NULL) name = apus_error_name(apus_last_error());
    add_hex(text, name, strlen(name));
    add(text, "\n");
  }
  reply_with(request, text);
}

static void set_handler(void *context, apus_request request) {
  (void)context;
  CHECK_INT(0, apus_reply_set_cookie(request, "plain", "1", NULL, NULL, -1, -1, 0));
  CHECK_INT(0, apus_reply_set_cookie(request, "quoted", "\"a=b\"", NULL, "/", 3600, -1, 0));
  CHECK_INT(0, apus_reply_set_cookie(request, "full", "!#$%&'()*+-./:<=>?@[]^_`{|}~", NULL,
                                     "/cookies", 3600, 4102444800,
                                     APUS_COOKIE_HTTP_ONLY | APUS_COOKIE_SAME_SITE_LAX));
  CHECK_INT(0, apus_reply_set_cookie(request, "elsewhere", "x", NULL, "/elsewhere", -1, -1,
                                     APUS_COOKIE_SAME_SITE_STRICT));
  CHECK_INT(0, apus_reply_set_cookie(request, "gone", "x", NULL, "/", 0, -1, 0));
  CHECK_INT(0, apus_reply_set_cookie(request, "past", "x", NULL, "/", -1, 86400, 0));
  CHECK_INT(0, apus_reply_set_cookie(
                   request, "__Host-secure", "x", NULL, "/", -1, -1,
                   APUS_COOKIE_SECURE | APUS_COOKIE_PARTITIONED | APUS_COOKIE_SAME_SITE_NONE));
  CHECK_INT(0, apus_reply_set_cookie(request, "signed", "user", NULL, "/", 3600, -1,
                                     APUS_COOKIE_SIGNED | APUS_COOKIE_HTTP_ONLY));
  CHECK_INT(0, apus_reply_text(request, 200, "set"));
}

static void forget_handler(void *context, apus_request request) {
  (void)context;
  CHECK_INT(0, apus_reply_delete_cookie(request, "plain", NULL, NULL, 0));
  CHECK_INT(0, apus_reply_delete_cookie(request, "quoted", NULL, "/", 0));
  CHECK_INT(0, apus_reply_delete_cookie(request, "signed", NULL, "/", APUS_COOKIE_HTTP_ONLY));
  CHECK_INT(0, apus_reply_text(request, 200, "forgotten"));
}

static void cookies_handler(void *context, apus_request request) {
  (void)context;
  struct text *text = new_text();
  int32_t count = apus_request_cookie_count(request);
  for (int32_t i = 0; i < count; i++) {
    const char *name = NULL, *value = NULL;
    CHECK_INT(0, apus_request_cookie_at(request, i, &name, &value, NULL));
    if (strcmp(name, "signed") == 0) {
      value = apus_request_signed_cookie(request, "signed", 60, NULL);
      if (value == NULL) value = apus_error_name(apus_last_error());
    }
    add(text, "%s=%s\n", name, value);
  }
  reply_with(request, text);
}

/* A form with a file, posted by the form itself into a frame, and by fetch(). */
static void page_handler(void *context, apus_request request) {
  (void)context;
  CHECK_INT(
      0,
      apus_reply_html(
          request, 200,
          "<!doctype html><meta charset=utf-8><pre id=out></pre>"
          "<form method=post action=/form enctype=multipart/form-data target=frame>"
          "<input name='a \"b\" \xc3\xa4' value='1 \xe2\x82\xac'><textarea name=t>\nx\ny</textarea>"
          "<input type=file name=f multiple><input type=file name=none></form>"
          "<form method=post action=/form target=frame><input name='a&amp;b' value='\xc3\xa4 "
          "+'></form>"
          "<iframe name=frame></iframe><script>"
          "const forms = document.forms, frame = document.querySelector('iframe');"
          "const out = document.getElementById('out'), files = new DataTransfer();"
          "files.items.add(new File([new Uint8Array(100000)], 'z\"\xc3\xb6.bin', {type: 'a/b'}));"
          "files.items.add(new File(['text'], 'C:\\\\x.txt', {type: 'text/x'}));"
          "forms[0].f.files = files.files;"
          "const posted = form => new Promise(done => { frame.onload = () =>"
          " done(frame.contentDocument.body.innerText); form.submit(); });"
          "(async () => { const lines = [await posted(forms[0]),"
          " await (await fetch('/form', {method: 'POST', body: new FormData(forms[0])})).text(),"
          " await posted(forms[1])];"
          "await fetch('/set'); lines.push(await (await fetch('/cookies')).text());"
          "out.textContent = lines.map(line => line.trim()).join('\\n--\\n') + '\\nDONE'; })();"
          "</script>"));
}

int main(int argc, char **argv) {
  static struct app app;
  char byte;
  CHECK_INT(3, argc);
  folder = argv[2];
  app_make(&app, harness_mode(argv[1]));
  CHECK_INT(0, apus_server_set_form_memory(app.server, 65536));
  CHECK_INT(0, apus_server_set_max_form(app.server, -1));
  CHECK_INT(0, apus_server_set_upload_folder(app.server, folder));
  CHECK_INT(0, apus_server_add_cookie_key(app.server, "thirty-two bytes are good enough", 32));
  CHECK(apus_server_route_form(app.server, APUS_POST, "/form", form_handler, NULL, NULL) >= 0);
  CHECK(apus_server_route_form(app.server, APUS_POST, "/save", save_handler, NULL, NULL) >= 0);
  app_route(&app, APUS_POST, "/buffered", form_handler, NULL);
  app_route(&app, APUS_GET, "/set", set_handler, NULL);
  app_route(&app, APUS_GET, "/forget", forget_handler, NULL);
  app_route(&app, APUS_GET, "/cookies", cookies_handler, NULL);
  app_route(&app, APUS_GET, "/page", page_handler, NULL);
  harness_start(&app);
  printf("%d\n", (int)app.port);
  fflush(stdout);
  while (read(0, &byte, 1) > 0) continue;
  harness_stop(&app);
  return 0;
}
