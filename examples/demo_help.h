/*
 * demo_help.h - what demo.c needs beside the library, so that demo.c is about the
 * library alone: text that grows, a checksum, a folder with a tone, and a clock that
 * runs jobs later.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DEMO_HELP_H
#define DEMO_HELP_H

#include <apus.h>
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* For what must succeed for the program to make sense. */
static int32_t need(int32_t result, const char *what) {
  if (result >= 0) return result;
  fprintf(stderr, "demo: %s: %s\n", what, apus_last_error_message());
  exit(1);
}

/* A number from the query, brought into a range. */
static int32_t number(apus_request request, const char *name, long least, long most, long none) {
  const char *text = apus_request_query_param(request, name, NULL);
  long value = text != NULL ? strtol(text, NULL, 10) : none;
  return (int32_t)(value < least ? least : value > most ? most : value);
}

/* ------------------------------------------------------------ text that grows
 *
 * A reply's body is bytes and a length, copied before the call returns, so any
 * way to make text will do. This one is POSIX's stream into memory. */

struct text {
  char *bytes;
  size_t length;
  FILE *out;
};

static FILE *text_open(struct text *text) {
  memset(text, 0, sizeof *text);
  return text->out = open_memstream(&text->bytes, &text->length);
}

static void text_reply(struct text *text, apus_request request, const char *type) {
  int whole = !ferror(text->out);
  if (fclose(text->out) == 0 && whole) {
    apus_reply(request, 200, type, text->bytes, text->length);
  } else {
    apus_reply_status(request, 503);
  }
  free(text->bytes);
}

/* ---------------------------------------------------------------- a checksum */

/* CRC-32 as in gzip and PNG, four bits at a time. */
static uint32_t crc32_add(uint32_t crc, const unsigned char *data, size_t length) {
  static const uint32_t table[16] = {
      0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
      0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
      0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
  };
  crc = ~crc;
  for (size_t i = 0; i < length; i++) {
    crc = table[(crc ^ data[i]) & 15] ^ crc >> 4;
    crc = table[(crc ^ data[i] >> 4) & 15] ^ crc >> 4;
  }
  return ~crc;
}

/* ------------------------------------------------------------------ the folder
 *
 * Of the program's own, for as long as it runs. */

struct folder {
  char path[32];
};

/* Little-endian, whatever the machine. */
static void put(FILE *out, uint32_t value, int bytes) {
  for (int i = 0; i < bytes; i++) fputc((int)(value >> (8 * i) & 255), out);
}

/* A minute of two notes by turns, eight bits and 8,000 times a second: 480,044 bytes. */
static void write_tone(FILE *out) {
  static const uint32_t steps[2] = {3604, 4290}; /* 440 and 524 Hz, of 65,536 a turn */
  const uint32_t rate = 8000, count = 60 * 8000;
  uint32_t phase = 0;
  fputs("RIFF", out), put(out, 36 + count, 4), fputs("WAVEfmt ", out);
  put(out, 16, 4), put(out, 1, 2), put(out, 1, 2), put(out, rate, 4), put(out, rate, 4);
  put(out, 1, 2), put(out, 8, 2), fputs("data", out), put(out, count, 4);
  for (uint32_t i = 0; i < count; i++) {
    phase = (phase + steps[i / 4000 % 2]) & 65535;
    uint32_t rise = phase < 32768 ? phase : 65535 - phase; /* a triangle: soft enough */
    fputc((int)(112 + rise / 1024), out);
  }
}

static void write_file(const struct folder *folder, const char *name, void (*write)(FILE *)) {
  char path[64];
  snprintf(path, sizeof path, "%s/%s", folder->path, name);
  FILE *out = fopen(path, "wbx");
  if (out == NULL) return;
  write(out);
  fclose(out);
}

static void write_note(FILE *out) {
  fputs("What is uploaded to this folder is gone when the demo ends.\n", out);
}

static void folder_make(struct folder *folder) {
  strcpy(folder->path, "/tmp/apus-demo-XXXXXX");
  if (mkdtemp(folder->path) == NULL) {
    fprintf(stderr, "demo: %s: %s\n", folder->path, strerror(errno));
    exit(1);
  }
  write_file(folder, "tone.wav", write_tone);
  write_file(folder, "note.txt", write_note);
}

static void folder_remove(struct folder *folder) {
  char path[sizeof folder->path + 256];
  DIR *files = opendir(folder->path);
  for (struct dirent *file; files != NULL && (file = readdir(files)) != NULL;) {
    snprintf(path, sizeof path, "%s/%.255s", folder->path, file->d_name);
    if (file->d_name[0] != '.') unlink(path);
  }
  if (files != NULL) closedir(files);
  rmdir(folder->path);
}

/* ------------------------------------------------------------------ the clock
 *
 * A thread of the program's own, to show replies that are made elsewhere and
 * later. It holds a few jobs, each with the time when it is due. */

enum { MAX_JOBS = 64 };

struct job {
  int64_t due_ms;
  int (*run)(struct job *job); /* 1: again, at the new due_ms; 0: done */
  apus_request request;        /* of a reply that is due */
  apus_writer writer;          /* of a reply that goes on */
  int32_t next, last, every_ms;
};

struct clock {
  pthread_t thread;
  pthread_mutex_t lock;
  pthread_cond_t changed;
  int is_stopping;
  size_t count;
  struct job jobs[MAX_JOBS];
};

static int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Any thread. 0 when the table is full: a limit on everything. */
static int clock_add(struct clock *clock, const struct job *job) {
  pthread_mutex_lock(&clock->lock);
  int fits = clock->count < MAX_JOBS;
  if (fits) clock->jobs[clock->count++] = *job;
  pthread_cond_signal(&clock->changed);
  pthread_mutex_unlock(&clock->lock);
  return fits;
}

static void clock_wait(struct clock *clock, int64_t until_ms) {
  struct timespec until = {until_ms / 1000, until_ms % 1000 * 1000000};
  pthread_cond_timedwait(&clock->changed, &clock->lock, &until);
}

/* Runs the job that is due first, without the lock, or waits for it with the
 * lock. Only the clock's own thread takes jobs out, so an index stays valid. */
static void clock_turn(struct clock *clock) {
  size_t first = 0;
  for (size_t i = 1; i < clock->count; i++) {
    if (clock->jobs[i].due_ms < clock->jobs[first].due_ms) first = i;
  }
  struct job job = clock->jobs[first];
  if (job.due_ms > now_ms()) {
    clock_wait(clock, job.due_ms);
    return;
  }
  pthread_mutex_unlock(&clock->lock);
  int again = job.run(&job);
  pthread_mutex_lock(&clock->lock);
  clock->jobs[first] = again ? job : clock->jobs[--clock->count];
}

static void *clock_run(void *context) {
  struct clock *clock = context;
  pthread_mutex_lock(&clock->lock);
  while (!clock->is_stopping) {
    if (clock->count > 0) {
      clock_turn(clock);
    } else {
      pthread_cond_wait(&clock->changed, &clock->lock);
    }
  }
  pthread_mutex_unlock(&clock->lock);
  return NULL;
}

static void clock_start(struct clock *clock) {
  pthread_condattr_t attributes;
  pthread_condattr_init(&attributes);
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  pthread_cond_init(&clock->changed, &attributes);
  pthread_condattr_destroy(&attributes);
  pthread_mutex_init(&clock->lock, NULL);
  if (pthread_create(&clock->thread, NULL, clock_run, clock) != 0) {
    fprintf(stderr, "demo: no thread\n");
    exit(1);
  }
}

/* Jobs that are left belong to requests that the server has ended by then; to
 * end a handle that is dead already does no harm. */
static void clock_stop(struct clock *clock) {
  pthread_mutex_lock(&clock->lock);
  clock->is_stopping = 1;
  pthread_cond_signal(&clock->changed);
  pthread_mutex_unlock(&clock->lock);
  pthread_join(clock->thread, NULL);
  for (size_t i = 0; i < clock->count; i++) {
    apus_request_destroy(clock->jobs[i].request);
    apus_writer_destroy(clock->jobs[i].writer);
  }
  pthread_cond_destroy(&clock->changed);
  pthread_mutex_destroy(&clock->lock);
}

#endif
