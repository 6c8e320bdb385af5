// Regular files: what a client sends from, what it downloads to, and what a server serves.

#ifndef APUS_FILES_H
#define APUS_FILES_H

#include "system.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

extern long syscall(long number, ...);

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

// Whether a path names a device, a FIFO or a socket.
static inline int32_t sys_file_is_special(const char *path) {
  struct stat facts;
  return stat(path, &facts) == 0 && !S_ISREG(facts.st_mode) && !S_ISDIR(facts.st_mode);
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

// What writing has not told yet (a network's file system, a quota) closing does, of any
// descriptor of the file: 0, or the negative error number.
static inline int32_t sys_file_settle(int32_t descriptor) {
  int copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
  // Without a descriptor to spare nobody can say.
  if (copy < 0) return 0;
  return close(copy) < 0 && errno != EINTR ? -errno : 0;
}

// Puts a file in the place of another: 0, or the negative error number.
static inline int32_t sys_file_rename(const char *from, const char *to) {
  return rename(from, to) < 0 ? -errno : 0;
}

// ---- what is below a folder, and nothing else

struct sys_file_facts {
  int64_t size;
  int64_t seconds, nanoseconds;   // of its last change
  int64_t changed, changed_part;  // the same of what is told of it, which nobody can set
  uint64_t device, number;
  int32_t kind;  // 1: a regular file, 2: a folder, 0: another thing
};

static inline void sys_file_tell(const struct stat *about, struct sys_file_facts *facts) {
  facts->size = about->st_size;
  facts->seconds = about->st_mtim.tv_sec;
  facts->nanoseconds = about->st_mtim.tv_nsec;
  facts->changed = about->st_ctim.tv_sec;
  facts->changed_part = about->st_ctim.tv_nsec;
  facts->device = (uint64_t)about->st_dev;
  facts->number = (uint64_t)about->st_ino;
  facts->kind = S_ISREG(about->st_mode) ? 1 : S_ISDIR(about->st_mode) ? 2 : 0;
}

// The facts of what was opened; what is neither file nor folder is closed again.
static inline int32_t sys_file_checked(int descriptor, struct sys_file_facts *facts) {
  if (descriptor < 0) return -errno;
  struct stat about;
  int error = fstat(descriptor, &about) < 0 ? errno : 0;
  if (error == 0) {
    sys_file_tell(&about, facts);
    if (facts->kind == 0) error = ENOENT;
  }
  if (error == 0) return descriptor;
  close(descriptor);
  return -error;
}

static inline int32_t sys_folder_open(const char *path) {
  int descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  return descriptor < 0 ? -errno : descriptor;
}

// A file or a folder by the host's own path.
static inline int32_t sys_file_find(const char *path, struct sys_file_facts *facts) {
  return sys_file_checked(open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), facts);
}

// The kernel walks: no step leaves the folder, by whatever link or rename.
static inline int32_t sys_open_beneath(int32_t folder, const char *path,
                                       struct sys_file_facts *facts) {
  struct {
    uint64_t flags, mode, resolve;
  } how = {O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0, 0x08 | 0x02};
  long descriptor = -1;
  // A rename beside it may be told as EAGAIN, without anything being wrong.
  for (int attempt = 0; attempt < 8; attempt++) {
    descriptor = syscall(437, folder, path, &how, sizeof how);
    if (descriptor >= 0 || (errno != EAGAIN && errno != EINTR)) break;
  }
  return sys_file_checked((int)descriptor, facts);
}

// The same step by step, for kernels without openat2: no link is followed at all.
static inline int32_t sys_open_walking(int32_t folder, const char *path,
                                       struct sys_file_facts *facts) {
  int at = folder;
  char name[256];
  while (1) {
    const char *end = strchr(path, '/');
    size_t length = end ? (size_t)(end - path) : strlen(path);
    int error = length >= sizeof name ? ENAMETOOLONG : 0;
    int next = -1;
    if (error == 0) {
      memcpy(name, path, length);
      name[length] = 0;
      if (strcmp(name, "..") == 0) error = ENOENT;
    }
    if (error == 0) {
      int flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW;
      next = openat(at, name, end ? flags | O_DIRECTORY : flags);
      if (next < 0) error = errno;
    }
    if (at != folder) close(at);
    if (error != 0) return -error;
    if (!end) return sys_file_checked(next, facts);
    at = next;
    path = end + 1;
  }
}

// Walks a folder's names: its own descriptor of the folder, or NULL.
static inline void *sys_names_open(int32_t folder) {
  int copy = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *names = copy < 0 ? NULL : fdopendir(copy);
  if (!names && copy >= 0) close(copy);
  return names;
}
// The next name, borrowed until the one after; NULL at the end.
static inline const char *sys_names_next(void *names) {
  struct dirent *entry = readdir(names);
  return entry ? entry->d_name : NULL;
}
static inline void sys_names_close(void *names) { closedir(names); }

// The facts of a name in a folder, not of what it links to; -2: it is a link.
static inline int32_t sys_name_facts(int32_t folder, const char *name,
                                     struct sys_file_facts *facts) {
  struct stat about;
  if (fstatat(folder, name, &about, AT_SYMLINK_NOFOLLOW) < 0) return -1;
  if (S_ISLNK(about.st_mode)) return -2;
  sys_file_tell(&about, facts);
  return 0;
}

// ---- the environment

static inline const char *sys_environment(const char *name) { return getenv(name); }

#endif
