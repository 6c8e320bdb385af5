/*
 * upload.c - uploads of "apus serve": by the form of a page, or by PUT. A file appears in
 * the folder when it is whole, under a name that leaves no folder and hides nothing.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "serve.h"

static const char page_start[] =
    "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">"
    "<meta name=\"viewport\" content=\"width=device-width\"><title>Upload</title>"
    "<style>body{font:1rem/1.5 system-ui,sans-serif;max-width:36rem;margin:3rem auto;"
    "padding:0 1rem;color-scheme:light dark}input,button{font:inherit}</style>"
    "<h1>Upload</h1>";
static const char page_form[] =
    "<form method=\"post\" enctype=\"multipart/form-data\">"
    "<p><label>Files <input type=\"file\" name=\"file\" multiple required></label>"
    "<p><button>Upload</button></form><p><a href=\"/\">What is there</a>";

/* ---- what an upload may be */

/* Pages of other origins could send forms here by way of a visitor's browser. */
static int is_refused(apus_request request) {
  if (apus_handshake_check_origin(request, APUS_ORIGIN_SAME, NULL) == 0) return 0;
  apus_reply_text(request, 403, "Uploads are for pages of this server alone.\n");
  return 1;
}

static int is_good_name(const char *name, size_t length) {
  if (length == 0 || length > 255 || name[0] == '.') return 0;
  for (size_t i = 0; i < length; i++) {
    unsigned char c = (unsigned char)name[i];
    if (c < 0x20 || c == 0x7F || c == '/' || c == '\\') return 0;
  }
  return 1;
}

static int status_of(int32_t code) {
  switch (code) {
    case APUS_E_STATE:
      return 409;
    case APUS_E_FULL:
      return 507;
    case APUS_E_ARGUMENT:
    case APUS_E_PROTOCOL:
    case APUS_E_NOT_FOUND:
      return 400;
    case APUS_E_TOO_LARGE:
      return 413;
    case APUS_E_PERMISSION:
      return 403;
    default:
      return 500;
  }
}

/* ---- by a form */

static void send_page(void *context, apus_request request) {
  (void)context;
  struct text page = {0};
  text_print(&page, "%s%s", page_start, page_form);
  apus_reply_set_header(request, "Content-Security-Policy",
                        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'");
  apus_reply(request, 200, "text/html; charset=utf-8", page.bytes, page.length);
  text_free(&page);
}

static int wants_html(apus_request request) {
  const char *accept = apus_request_header(request, "Accept", NULL);
  return accept != NULL && strstr(accept, "text/html") != NULL;
}

/* What was saved, as a page or as lines, and what went wrong behind that. */
static void send_outcome(apus_request request, int status, const struct text *names,
                         const char *problem) {
  struct text out = {0};
  int html = wants_html(request);
  text_add(&out, "", 0);
  if (html) {
    text_print(&out, "%s<pre>", page_start);
    text_html(&out, names->bytes);
    if (problem != NULL) text_html(&out, problem);
    text_print(&out, "</pre>%s", page_form);
  } else {
    text_print(&out, "%s%s%s", names->bytes, problem != NULL ? problem : "",
               problem != NULL ? "\n" : "");
  }
  apus_reply(request, status, html ? "text/html; charset=utf-8" : "text/plain; charset=utf-8",
             out.bytes, out.length);
  text_free(&out);
}

/* Saves one part: 0, or the status that says why not. */
static int save_part(const struct serve *serve, apus_request request, int32_t index,
                     const char *file_name, size_t length, struct text *names) {
  const char *base = file_name;
  for (size_t i = 0; i < length; i++) {
    if (file_name[i] == '/' || file_name[i] == '\\') base = file_name + i + 1;
  }
  if (!is_good_name(base, length - (size_t)(base - file_name))) return 400;
  const char *name = apus_request_part_save(request, index, serve->folder, base, serve->overwrite);
  if (name == NULL) return status_of(apus_last_error());
  text_print(names, "saved %s\n", name);
  return 0;
}

static const char *problem_of(int status) {
  switch (status) {
    case 400:
      return "a name or a form that is not taken";
    case 409:
      return "there is a file of that name already";
    case 413:
      return "the upload is too large";
    case 507:
      return "the disk is full";
    default:
      return "the file cannot be saved";
  }
}

static void take_form(void *context, apus_request request) {
  const struct serve *serve = context;
  struct text names = {0};
  size_t length;
  int status = 0, files = 0;
  if (is_refused(request)) return;
  text_add(&names, "", 0);
  int32_t count = apus_request_form_count(request);
  for (int32_t i = 0; i < count && status == 0; i++) {
    const char *file_name = apus_request_part_file_name(request, i, &length);
    if (file_name == NULL || length == 0) continue; /* a field, or no file was chosen */
    files++;
    status = save_part(serve, request, i, file_name, length, &names);
  }
  if (status == 0 && files == 0) status = 400;
  send_outcome(request, status == 0 ? 201 : status, &names,
               status == 0 ? NULL : problem_of(status));
  text_free(&names);
}

/* ---- by PUT */

struct put {
  const struct serve *serve;
  int descriptor, failed;
  char temporary[64], name[256];
};

static void drop_put(void *context) {
  struct put *put = context;
  if (put->descriptor >= 0) {
    close(put->descriptor);
    unlinkat(put->serve->descriptor, put->temporary, 0);
  }
  free(put);
}

static int status_of_system(int number) {
  if (number == EEXIST || number == EISDIR || number == ENOTEMPTY) return 409;
  if (number == ENOSPC || number == EDQUOT) return 507;
  return number == EACCES || number == EPERM || number == EROFS ? 403 : 500;
}

static int write_all(int descriptor, const char *data, size_t length) {
  while (length > 0) {
    ssize_t written = write(descriptor, data, length);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return status_of_system(errno);
    data += written;
    length -= (size_t)written;
  }
  return 0;
}

/* Gives the file its name: 0, or the status that says why not. */
static int publish(struct put *put) {
  int folder = put->serve->descriptor;
  int result = put->serve->overwrite ? renameat(folder, put->temporary, folder, put->name)
                                     : linkat(folder, put->temporary, folder, put->name, 0);
  int problem = result == 0 ? 0 : status_of_system(errno);
  if (!put->serve->overwrite || problem != 0) unlinkat(folder, put->temporary, 0);
  if (close(put->descriptor) != 0 && problem == 0) problem = 500;
  put->descriptor = -1;
  return problem;
}

static void take_piece(void *context, apus_request request, const void *data, size_t length,
                       int32_t last) {
  struct put *put = context;
  if (last < 0) {
    apus_request_destroy(request);
    return;
  }
  if (put->failed == 0) put->failed = write_all(put->descriptor, data, length);
  if (last == 0) return;
  int status = put->failed != 0 ? put->failed : publish(put);
  struct text names = {0};
  text_add(&names, "", 0);
  if (status == 0) text_print(&names, "saved %s\n", put->name);
  send_outcome(request, status == 0 ? 201 : status, &names,
               status == 0 ? NULL : problem_of(status));
  text_free(&names);
}

static void take_put(void *context, apus_request request) {
  static atomic_uint number;
  const struct serve *serve = context;
  size_t length;
  const char *name = apus_request_param(request, "name", &length);
  if (is_refused(request)) return;
  if (name == NULL || !is_good_name(name, length) ||
      apus_request_header(request, "Content-Range", NULL) != NULL) {
    apus_reply_text(request, 400, "That is no name for a file here, or a part of one.\n");
    return;
  }
  struct put *put = calloc(1, sizeof *put);
  if (put == NULL) return; /* a handler that does nothing sends 500 */
  put->serve = serve;
  memcpy(put->name, name, length);
  int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
  /* Another server's of that number, or one that was killed, may have left its own. */
  for (int attempt = 0; attempt < 1000; attempt++) {
    snprintf(put->temporary, sizeof put->temporary, ".apus-upload-%d-%u", (int)getpid(),
             atomic_fetch_add(&number, 1));
    put->descriptor = openat(serve->descriptor, put->temporary, flags, 0666);
    if (put->descriptor >= 0 || errno != EEXIST) break;
  }
  if (put->descriptor < 0) {
    apus_reply_status(request, status_of_system(errno));
    free(put);
    return;
  }
  apus_request_on_body(request, take_piece, put, drop_put);
}

/* ---- */

int add_uploads(struct serve *serve, apus_server server) {
  struct text pattern = {0};
  size_t length = strlen(serve->upload_path);
  if (serve->upload_path[0] != '/' || length < 2 || serve->upload_path[length - 1] == '/') {
    wrong_usage(&serve_command, "--upload-path is such as /upload, not '%s'", serve->upload_path);
  }
  serve->descriptor = open(serve->folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (serve->descriptor < 0) {
    complain("%s takes no uploads: %s", serve->folder, strerror(errno));
    return EXIT_LOCAL;
  }
  apus_server_set_max_form(server, serve->max_upload);
  apus_server_set_max_body(server, serve->max_upload);
  apus_server_set_upload_folder(server, serve->folder);
  text_print(&pattern, "%s/:name", serve->upload_path);
  const char *path = serve->upload_path;
  int bad = apus_server_get(server, path, send_page, serve, NULL) < 0 ||
            apus_server_route_form(server, APUS_POST, path, take_form, serve, NULL) < 0 ||
            apus_server_route_stream(server, APUS_PUT, pattern.bytes, take_put, serve, NULL) < 0;
  text_free(&pattern);
  if (!bad) return EXIT_FINE;
  complain("--upload-path %s: %s", path, apus_last_error_message());
  return EXIT_USAGE;
}
