// Files that clients send: unnamed while they arrive, named when they are whole.

#ifndef APUS_UPLOADS_H
#define APUS_UPLOADS_H

#include "files.h"

// What takes _GNU_SOURCE to see (system.h says why that is not defined).
extern int mkostemp(char *path, int flags);
extern ssize_t copy_file_range(int from, int64_t *from_offset, int to, int64_t *to_offset,
                               size_t count, unsigned flags);
extern int renameat2(int from_folder, const char *from, int to_folder, const char *to,
                     unsigned flags);
#define SYS_UNNAMED __O_TMPFILE
#define SYS_PLACE __O_PATH
#define SYS_KEEP_OLD 1u

// Whether a file system has no unnamed files.
static inline int sys_lacks_unnamed(int error) {
  return error == EOPNOTSUPP || error == EISDIR || error == EINVAL || error == ENOSYS;
}

// An unnamed file in a folder, to be written and read; or the negative error number.
static inline int32_t sys_upload_open(const char *folder) {
  int descriptor = open(folder, SYS_UNNAMED | O_RDWR | O_CLOEXEC, 0600);
  if (descriptor >= 0) return descriptor;
  if (!sys_lacks_unnamed(errno)) return -errno;
  char path[PATH_MAX];
  int length = snprintf(path, sizeof path, "%s/.apus-XXXXXX", folder);
  if (length < 0 || (size_t)length >= sizeof path) return -ENAMETOOLONG;
  descriptor = mkostemp(path, O_CLOEXEC);
  if (descriptor < 0) return -errno;
  unlink(path);
  return descriptor;
}

// Appends bytes of one file, from an offset on, to another: 0, or the negative error number.
static inline int32_t sys_file_append(int32_t from, int64_t offset, int64_t count, int32_t to) {
  char block[8192];  // the host's thread may have a small stack
  while (count > 0) {
    int64_t place = offset;
    size_t most = count < (1 << 30) ? (size_t)count : (size_t)1 << 30;
    ssize_t got = copy_file_range(from, &place, to, NULL, most, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno != EXDEV && errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP &&
        errno != EPERM)
      return -errno;
    if (got <= 0) {
      size_t size = most < sizeof block ? most : sizeof block;
      got = (ssize_t)sys_file_read(from, block, size, offset);
      if (got < 0) return (int32_t)got;
      if (got == 0) return -EIO;
      int32_t result = sys_file_write(to, block, (size_t)got);
      if (result < 0) return result;
    }
    offset += got;
    count -= got;
  }
  return 0;
}

// A folder as a place to make files in; or the negative error number.
static inline int32_t sys_place_open(const char *path) {
  int descriptor = open(path, SYS_PLACE | O_DIRECTORY | O_CLOEXEC);
  return descriptor < 0 ? -errno : descriptor;
}

// A new file in a folder: unnamed where `temporary` is NULL, else of that name; or the
// negative error number. One without a name gets it by way of /proc, which some jails lack.
static inline int32_t sys_saved_open(int32_t folder, const char *temporary) {
  if (temporary == NULL && access("/proc/self/fd", F_OK) < 0) return -errno;
  int descriptor =
      temporary == NULL
          ? openat(folder, ".", SYS_UNNAMED | O_WRONLY | O_CLOEXEC, 0666)
          : openat(folder, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
  return descriptor < 0 ? -errno : descriptor;
}

// Gives an unnamed file a name that is free: 0, or the negative error number.
static inline int32_t sys_saved_link(int32_t descriptor, int32_t folder, const char *name) {
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
  return linkat(AT_FDCWD, path, folder, name, AT_SYMLINK_FOLLOW) < 0 ? -errno : 0;
}

// Renames a file within a folder, over another one if it may: 0, or the negative error number.
static inline int32_t sys_saved_rename(int32_t folder, const char *from, const char *to,
                                       int32_t over) {
  if (over) return renameat(folder, from, folder, to) < 0 ? -errno : 0;
  if (renameat2(folder, from, folder, to, SYS_KEEP_OLD) == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS) return -errno;
  if (linkat(folder, from, folder, to, 0) < 0) return -errno;
  unlinkat(folder, from, 0);
  return 0;
}

static inline void sys_saved_remove(int32_t folder, const char *name) { unlinkat(folder, name, 0); }

#endif
