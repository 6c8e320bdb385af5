// Regular files: what a client sends from, and what it downloads to.

#ifndef APUS_FILES_H
#define APUS_FILES_H

#include "system.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

// Opens a regular file to be read, and gives its size; or the negative error number.
static inline int32_t sys_file_open(const char *path, int64_t *size) {
  int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  if (descriptor < 0) return -errno;
  struct stat about;
  int error = fstat(descriptor, &about) < 0 ? errno : S_ISREG(about.st_mode) ? 0 : EISDIR;
  if (error != 0) {
    close(descriptor);
    return -error;
  }
  *size = about.st_size;
  return descriptor;
}

// Reads at an offset; 0 at the end, or the negative error number.
static inline int64_t sys_file_read(int32_t descriptor, void *data, size_t count, int64_t offset) {
  ssize_t got;
  do got = pread(descriptor, data, count, offset);
  while (got < 0 && errno == EINTR);
  return got < 0 ? -errno : got;
}

// Makes a file that was not there; or the negative error number.
static inline int32_t sys_file_make(const char *path) {
  int descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
  return descriptor < 0 ? -errno : descriptor;
}

// Writes all of it: 0, or the negative error number.
static inline int32_t sys_file_write(int32_t descriptor, const void *data, size_t count) {
  const char *next = data;
  while (count > 0) {
    ssize_t put = write(descriptor, next, count);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return -errno;
    next += put;
    count -= (size_t)put;
  }
  return 0;
}

// Puts a file in the place of another: 0, or the negative error number.
static inline int32_t sys_file_rename(const char *from, const char *to) {
  return rename(from, to) < 0 ? -errno : 0;
}

// 0 where a path is that of a folder, or the negative error number.
static inline int32_t sys_folder_check(const char *path) {
  struct stat about;
  if (stat(path, &about) < 0) return -errno;
  return S_ISDIR(about.st_mode) ? 0 : -ENOTDIR;
}

// ---- the environment

static inline const char *sys_environment(const char *name) { return getenv(name); }

#endif
