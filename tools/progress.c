/*
 * progress.c - how far a transfer is: one line of standard error that is drawn anew ten
 * times a second, for transfers that take longer than a moment, on a terminal alone.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "tool.h"

enum { FIRST_US = 400000, AGAIN_US = 100000, BAR = 60 };

int64_t now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

const char *in_bytes(char *buffer, size_t capacity, double bytes) {
  static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  int unit = 0;
  while (bytes >= 1000 && unit < 4) {
    bytes /= 1024;
    unit++;
  }
  snprintf(buffer, capacity, unit == 0 || bytes >= 100 ? "%.0f %s" : "%.1f %s", bytes, units[unit]);
  return buffer;
}

void progress_begin(struct progress *progress, int wanted) {
  const char *type = getenv("TERM");
  int can = is_terminal(stderr) && type != NULL && *type != 0 && strcmp(type, "dumb") != 0;
  memset(progress, 0, sizeof *progress);
  progress->active = wanted && can;
  progress->total = -1;
  progress->began_us = now_us();
}

static int columns(void) {
  struct winsize size;
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0) return 80;
  return size.ws_col;
}

/* "45% [====      ] ": as wide as there is room beside the figures. */
static void draw_bar(const struct progress *progress, int room) {
  double part = progress->total > 0 ? (double)progress->done / (double)progress->total : 0;
  int width = room < BAR ? room : BAR;
  if (part > 1) part = 1;
  fprintf(stderr, "%3d%% ", (int)(part * 100));
  if (width < 5) return;
  fputs("[", stderr);
  fputs(colour(stderr, "32"), stderr);
  for (int i = 0; i < width; i++) fputc(i < (int)(part * width) ? '=' : ' ', stderr);
  fprintf(stderr, "%s] ", colour(stderr, ""));
}

static void draw(struct progress *progress, int64_t now) {
  char done[24], total[24], rate[24], left[24] = "", figures[128];
  double seconds = (double)(now - progress->began_us) / 1e6;
  double speed = seconds > 0 ? (double)(progress->done - progress->start) / seconds : 0;
  in_bytes(done, sizeof done, (double)progress->done);
  in_bytes(rate, sizeof rate, speed);
  if (progress->total >= 0) {
    int64_t rest = speed > 0 ? (int64_t)((double)(progress->total - progress->done) / speed) : 0;
    if (rest < 0 || rest > 359999) rest = 359999;
    snprintf(left, sizeof left, ", %" PRId64 ":%02" PRId64 " left", rest / 60, rest % 60);
    snprintf(figures, sizeof figures, "%s of %s, %s/s%s", done,
             in_bytes(total, sizeof total, (double)progress->total), rate, left);
  } else {
    snprintf(figures, sizeof figures, "%s, %s/s, %" PRId64 " s", done, rate, (int64_t)seconds);
  }
  fputc('\r', stderr);
  if (progress->total >= 0) draw_bar(progress, columns() - (int)strlen(figures) - 10);
  fprintf(stderr, "%.*s\033[K", columns() > 6 ? columns() - 6 : 1, figures);
  fflush(stderr);
  progress->drawn = 1;
  progress->drawn_us = now;
}

void progress_draw(struct progress *progress) {
  if (!progress->active) return;
  int64_t now = now_us();
  if (now - progress->began_us < FIRST_US || now - progress->drawn_us < AGAIN_US) return;
  draw(progress, now);
}

void progress_end(struct progress *progress) {
  if (!progress->active || !progress->drawn) return;
  draw(progress, now_us());
  fputc('\n', stderr);
  progress->active = 0;
}
