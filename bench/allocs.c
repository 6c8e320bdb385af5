/*
 * allocs.c - counts a program's allocations; to be preloaded:
 *
 *   ALLOCS_FILE=/tmp/counts LD_PRELOAD=./allocs.so program ...
 *
 * The counters stand in the file itself, which is mapped shared: four numbers of
 * 64 bits, the calls of malloc, calloc, realloc, and of the aligned ones. So they
 * can be read at any time, without a signal to the program (nginx has another
 * use for SIGUSR1) and without its help.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* glibc's own names for the functions that are replaced here. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

struct counts {
  uint64_t malloc, calloc, realloc, aligned;
};

static struct counts early;
static struct counts *counts = &early;

#define COUNT(which) __atomic_fetch_add(&counts->which, 1, __ATOMIC_RELAXED)

__attribute__((constructor)) static void map_counts(void) {
  const char *path = getenv("ALLOCS_FILE");
  if (path == NULL) return;
  int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return;
  if (ftruncate(fd, sizeof *counts) == 0) {
    void *memory = mmap(NULL, sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory != MAP_FAILED) counts = memory;
  }
  close(fd);
}

void *malloc(size_t size) {
  COUNT(malloc);
  return __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
  COUNT(calloc);
  return __libc_calloc(count, size);
}

void *realloc(void *old, size_t size) {
  COUNT(realloc);
  return __libc_realloc(old, size);
}

void *reallocarray(void *old, size_t count, size_t size) {
  size_t total;
  if (__builtin_mul_overflow(count, size, &total)) {
    errno = ENOMEM;
    return NULL;
  }
  COUNT(realloc);
  return __libc_realloc(old, total);
}

void *memalign(size_t alignment, size_t size) {
  COUNT(aligned);
  return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
  COUNT(aligned);
  return __libc_memalign(alignment, size);
}

int posix_memalign(void **result, size_t alignment, size_t size) {
  if (alignment < sizeof(void *) || (alignment & (alignment - 1)) != 0) return EINVAL;
  COUNT(aligned);
  void *memory = __libc_memalign(alignment, size);
  if (memory == NULL) return ENOMEM;
  *result = memory;
  return 0;
}
