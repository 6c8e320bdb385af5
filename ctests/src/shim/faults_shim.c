/*
 * faults_shim.c - to be preloaded: the functions of libc that the library calls, each of
 * which can be made to fail. faults_arm() names one, and which of its calls from now on
 * is to fail with what; only calls that come from the code of libapus.so (or, if so
 * wished, of OpenSSL and zlib) count, so that a test's own go on as ever.
 *
 * FAULT_SHORT as the error stands for a call that succeeds, with one byte only; a poller
 * that tells of an arrival once is told of the rest, as if that came later. A close
 * that fails has closed, as Linux has it. Left alone are reads and writes of eight bytes,
 * which are those of an eventfd, and an epoll_ctl that removes: they cannot fail so.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#define _GNU_SOURCE
#include "../helpers/faults.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <unistd.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

/* ------------------------------------------------------------ what is armed */

static _Atomic(const char *) armed;  /* the function; NULL: none */
static atomic_long first_due, count; /* which call of it, and how many there were */
static atomic_long hits, burst, bad_closes;
static atomic_int error;
static atomic_size_t least, most; /* of memory: the sizes that count */
static atomic_int scope;

#define RANGES 32
static struct range {
  uintptr_t begin, end;
  int scope;
} ranges[RANGES];
static int range_count;

static int scope_of(const char *name) {
  if (strstr(name, "libapus.so") != NULL) return FAULTS_OF_APUS;
  if (strstr(name, "libssl.so") || strstr(name, "libcrypto.so")) return FAULTS_OF_OPENSSL;
  if (strstr(name, "libz.so") != NULL) return FAULTS_OF_ZLIB;
  return 0;
}

static int note_object(struct dl_phdr_info *info, size_t size, void *context) {
  int which = scope_of(info->dlpi_name);
  (void)size, (void)context;
  for (int i = 0; which != 0 && i < info->dlpi_phnum && range_count < RANGES; i++) {
    if (info->dlpi_phdr[i].p_type != PT_LOAD || !(info->dlpi_phdr[i].p_flags & PF_X)) continue;
    uintptr_t begin = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
    ranges[range_count++] = (struct range){begin, begin + info->dlpi_phdr[i].p_memsz, which};
  }
  return 0;
}

int faults_arm(const char *name, long number, long times, int failure) {
  if (range_count == 0) dl_iterate_phdr(note_object, NULL);
  atomic_store(&armed, NULL);
  atomic_store(&count, 0);
  atomic_store(&hits, 0);
  atomic_store(&first_due, number);
  atomic_store(&burst, times);
  atomic_store(&error, failure);
  atomic_store(&armed, name);
  return range_count;
}

void faults_sizes(size_t from, size_t to) {
  atomic_store(&least, from);
  atomic_store(&most, to);
}

void faults_scope(int which) { atomic_store(&scope, which); }
long faults_hits(void) { return atomic_load(&hits); }
long faults_bad_closes(void) { return atomic_load(&bad_closes); }

static int comes_from(void *caller) {
  int wanted = atomic_load(&scope);
  for (int i = 0; i < range_count; i++) {
    if ((uintptr_t)caller >= ranges[i].begin && (uintptr_t)caller < ranges[i].end) {
      return (ranges[i].scope & (wanted == 0 ? FAULTS_OF_APUS : wanted)) != 0;
    }
  }
  return 0;
}

/* What this call is to fail with, or 0. */
static int due(const char *name, void *caller) {
  const char *wanted = atomic_load(&armed);
  if (wanted == NULL || strcmp(wanted, name) != 0 || !comes_from(caller)) return 0;
  long number = atomic_fetch_add(&count, 1) + 1;
  long begin = atomic_load(&first_due);
  if (number < begin || number >= begin + atomic_load(&burst)) return 0;
  atomic_fetch_add(&hits, 1);
  return atomic_load(&error);
}

/* ---------------------------------------------------------------- the calls */

/* The system's own function, as real() or another name. */
#define REAL(type, name, parameters) REAL_AS(real, type, name, parameters)
#define REAL_AS(as, type, name, parameters)       \
  static type(*_Atomic as##_kept) parameters;     \
  type(*as) parameters = atomic_load(&as##_kept); \
  if ((as) == NULL) {                             \
    *(void **)&(as) = dlsym(RTLD_NEXT, #name);    \
    atomic_store(&as##_kept, as);                 \
  }
#define CALLER __builtin_return_address(0)

/* One that gives -1 and an error where it fails. */
#define FAILS(type, name, parameters, arguments) \
  type name parameters {                         \
    REAL(type, name, parameters)                 \
    int fault = due(#name, CALLER);              \
    if (fault <= 0) return real arguments;       \
    errno = fault;                               \
    return -1;                                   \
  }

#define CUT(size) (fault < 0 && (size) > 0 ? 1 : (size))

FAILS(int, accept4, (int fd, struct sockaddr *at, socklen_t *size, int flags),
      (fd, at, size, flags))
FAILS(int, bind, (int fd, const struct sockaddr *at, socklen_t size), (fd, at, size))
FAILS(int, connect, (int fd, const struct sockaddr *at, socklen_t size), (fd, at, size))
FAILS(int, listen, (int fd, int backlog), (fd, backlog))
FAILS(int, socket, (int family, int type, int protocol), (family, type, protocol))
FAILS(int, getsockname, (int fd, struct sockaddr *at, socklen_t *size), (fd, at, size))
FAILS(int, getpeername, (int fd, struct sockaddr *at, socklen_t *size), (fd, at, size))
FAILS(int, getsockopt, (int fd, int level, int name, void *value, socklen_t *size),
      (fd, level, name, value, size))
FAILS(int, setsockopt, (int fd, int level, int name, const void *value, socklen_t size),
      (fd, level, name, value, size))
FAILS(int, shutdown, (int fd, int how), (fd, how))
FAILS(int, epoll_create1, (int flags), (flags))
FAILS(int, epoll_wait, (int poller, struct epoll_event *events, int room, int timeout),
      (poller, events, room, timeout))
FAILS(int, eventfd, (unsigned int value, int flags), (value, flags))
FAILS(int, timerfd_create, (clockid_t clock, int flags), (clock, flags))
FAILS(int, poll, (struct pollfd * entries, nfds_t number, int timeout), (entries, number, timeout))
FAILS(int, fstat, (int fd, struct stat *about), (fd, about))
FAILS(int, unlink, (const char *path), (path))
FAILS(int, rename, (const char *from, const char *to), (from, to))
FAILS(int, linkat, (int from, const char *old, int to, const char *new, int flags),
      (from, old, to, new, flags))
FAILS(int, renameat2, (int from, const char *old, int to, const char *new, unsigned int flags),
      (from, old, to, new, flags))
FAILS(ssize_t, copy_file_range,
      (int from, off64_t *at, int to, off64_t *there, size_t size, unsigned int flags),
      (from, at, to, there, CUT(size), flags))
FAILS(ssize_t, pread, (int fd, void *data, size_t size, off_t at), (fd, data, CUT(size), at))
FAILS(ssize_t, send, (int fd, const void *data, size_t size, int flags),
      (fd, data, CUT(size), flags))
FAILS(ssize_t, sendfile, (int to, int from, off_t *at, size_t size), (to, from, at, CUT(size)))

/* Where a descriptor is watched, if once for each arrival (EPOLLET). */
#define WATCHES 4096
static struct watch {
  int poller;
  struct epoll_event event;
} watches[WATCHES];
static pthread_mutex_t watches_lock = PTHREAD_MUTEX_INITIALIZER;

int epoll_ctl(int poller, int operation, int fd, struct epoll_event *event) {
  REAL(int, epoll_ctl, (int, int, int, struct epoll_event *))
  int fault = operation == EPOLL_CTL_DEL ? 0 : due("epoll_ctl", CALLER);
  if (fault <= 0) {
    if (fd >= 0 && fd < WATCHES && comes_from(CALLER)) {
      pthread_mutex_lock(&watches_lock);
      watches[fd].event.events = operation == EPOLL_CTL_DEL ? 0 : event->events;
      if (event != NULL) watches[fd].event.data = event->data;
      watches[fd].poller = poller;
      pthread_mutex_unlock(&watches_lock);
    }
    return real(poller, operation, fd, event);
  }
  errno = fault;
  return -1;
}

ssize_t recv(int fd, void *data, size_t size, int flags) {
  REAL(ssize_t, recv, (int, void *, size_t, int))
  REAL_AS(control, int, epoll_ctl, (int, int, int, struct epoll_event *))
  int fault = due("recv", CALLER);
  if (fault == 0) return real(fd, data, size, flags);
  if (fault > 0) {
    errno = fault;
    return -1;
  }
  ssize_t result = real(fd, data, size > 0 ? 1 : 0, flags);
  pthread_mutex_lock(&watches_lock);
  if (fd >= 0 && fd < WATCHES && (watches[fd].event.events & EPOLLET)) {
    int number = errno;
    control(watches[fd].poller, EPOLL_CTL_MOD, fd, &watches[fd].event);
    errno = number;
  }
  pthread_mutex_unlock(&watches_lock);
  return result;
}

int close(int fd) {
  REAL(int, close, (int))
  int fault = due("close", CALLER);
  int result = real(fd);
  if (result < 0 && fd >= 0 && errno == EBADF && comes_from(CALLER))
    atomic_fetch_add(&bad_closes, 1);
  if (fault <= 0) return result;
  errno = fault;
  return -1;
}

ssize_t read(int fd, void *data, size_t size) {
  REAL(ssize_t, read, (int, void *, size_t))
  int fault = size == 8 ? 0 : due("read", CALLER);
  if (fault <= 0) return real(fd, data, CUT(size));
  errno = fault;
  return -1;
}

ssize_t write(int fd, const void *data, size_t size) {
  REAL(ssize_t, write, (int, const void *, size_t))
  int fault = size == 8 ? 0 : due("write", CALLER);
  if (fault <= 0) return real(fd, data, CUT(size));
  errno = fault;
  return -1;
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
  REAL(ssize_t, sendmsg, (int, const struct msghdr *, int))
  int fault = due("sendmsg", CALLER);
  if (fault == 0 || (fault < 0 && message->msg_iovlen == 0)) return real(fd, message, flags);
  errno = fault;
  if (fault > 0) return -1;
  struct msghdr shorter = *message;
  struct iovec piece = {message->msg_iov[0].iov_base, CUT(message->msg_iov[0].iov_len)};
  shorter.msg_iov = &piece;
  shorter.msg_iovlen = 1;
  return real(fd, &shorter, flags);
}

/* Its errors are of another kind: EAI_*, negative, as they are. */
int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **found) {
  REAL(int, getaddrinfo, (const char *, const char *, const struct addrinfo *, struct addrinfo **))
  int fault = due("getaddrinfo", CALLER);
  return fault != 0 ? fault : real(name, service, hints, found);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *how, void *(*run)(void *),
                   void *context) {
  REAL(int, pthread_create, (pthread_t *, const pthread_attr_t *, void *(*)(void *), void *))
  int fault = due("pthread_create", CALLER);
  return fault > 0 ? fault : real(thread, how, run, context);
}

/* The last argument of those that may make files. */
#define MODE_OF(flags)                              \
  va_list more;                                     \
  va_start(more, flags);                            \
  mode_t mode = (mode_t)va_arg(more, unsigned int); \
  va_end(more)

int open(const char *path, int flags, ...) {
  REAL(int, open, (const char *, int, ...))
  MODE_OF(flags);
  int fault = due("open", CALLER);
  if (fault <= 0) return real(path, flags, mode);
  errno = fault;
  return -1;
}

int openat(int folder, const char *path, int flags, ...) {
  REAL(int, openat, (int, const char *, int, ...))
  MODE_OF(flags);
  int fault = due("openat", CALLER);
  if (fault <= 0) return real(folder, path, flags, mode);
  errno = fault;
  return -1;
}

/* openat2, by its number. */
long syscall(long number, ...) {
  REAL(long, syscall, (long, ...))
  va_list more;
  va_start(more, number);
  long a = va_arg(more, long), b = va_arg(more, long), c = va_arg(more, long);
  long d = va_arg(more, long), e = va_arg(more, long), f = va_arg(more, long);
  va_end(more);
  int fault = due("syscall", CALLER);
  if (fault <= 0) return real(number, a, b, c, d, e, f);
  errno = fault;
  return -1;
}

/* ------------------------------------------------------------------- memory */

static int no_memory(size_t size, void *caller) {
  if (atomic_load(&armed) == NULL || size < atomic_load(&least)) return 0;
  if (atomic_load(&most) != 0 && size > atomic_load(&most)) return 0;
  if (due("memory", caller) == 0) return 0;
  errno = ENOMEM;
  return 1;
}

void *malloc(size_t size) {
  if (no_memory(size, __builtin_return_address(0))) return NULL;
  return __libc_malloc(size);
}

void *calloc(size_t number, size_t size) {
  size_t whole;
  if (__builtin_mul_overflow(number, size, &whole)) whole = SIZE_MAX;
  if (no_memory(whole, __builtin_return_address(0))) return NULL;
  return __libc_calloc(number, size);
}

void *realloc(void *old, size_t size) {
  if (no_memory(size, __builtin_return_address(0))) return NULL;
  return __libc_realloc(old, size);
}

int posix_memalign(void **result, size_t alignment, size_t size) {
  if (no_memory(size, __builtin_return_address(0))) return ENOMEM;
  void *memory = __libc_memalign(alignment, size);
  if (memory == NULL) return ENOMEM;
  *result = memory;
  return 0;
}

void *aligned_alloc(size_t alignment, size_t size) {
  if (no_memory(size, __builtin_return_address(0))) return NULL;
  return __libc_memalign(alignment, size);
}
