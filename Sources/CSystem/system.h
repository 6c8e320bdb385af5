// What Swift cannot say by itself, in both of its modes: the operating system's
// calls, memory that may fail, locks, and one thread-local block. Everything
// here is static inline, so that no C file needs building.
#ifndef APUS_SYSTEM_H
#define APUS_SYSTEM_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

// The Swift overlay of the C library is built without _GNU_SOURCE, and so must
// this be: what only that declares is declared here.
extern int accept4(int descriptor, struct sockaddr *address, socklen_t *length, int flags);
extern int sched_getaffinity(int process, size_t size, void *mask);

// ---- errno

static inline int32_t sys_errno(void) { return errno; }

// The operating system's sentence about an error number.
static inline const char *sys_error_text(int32_t number, char *buffer, size_t capacity) {
  return strerror_r(number, buffer, capacity) == 0 ? buffer : "unknown error";
}

// ---- memory; NULL when there is none, unlike Swift's own allocation

static inline void *sys_allocate(size_t size) { return malloc(size); }
static inline void *sys_allocate_zeroed(size_t size) { return calloc(1, size); }
static inline void *sys_reallocate(void *memory, size_t size) { return realloc(memory, size); }
static inline void sys_free(void *memory) { free(memory); }

// A number that nobody can foresee; where the kernel has none to give, one that few can.
static inline uint64_t sys_random_word(void) {
  uint64_t word = 0;
  if (getrandom(&word, sizeof word, GRND_NONBLOCK) == (ssize_t)sizeof word) return word;
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (uint64_t)now.tv_nsec * 0x9E3779B97F4A7C15u ^ (uintptr_t)&word ^ (uint64_t)now.tv_sec;
}

// Has the lines of so many bytes brought near, without waiting for them; any address will do.
static inline void sys_prefetch(const void *memory, size_t size) {
  const char *end = (const char *)memory + size;
  for (const char *line = (const char *)((uintptr_t)memory & ~(uintptr_t)63); line < end;
       line += 64) {
    __builtin_prefetch(line);
  }
}

// Copies bytes that do not overlap. Most are few: the names and values of fields.
static inline void sys_copy(void *to, const void *from, size_t count) {
  uint8_t *target = to;
  const uint8_t *source = from;
  struct sixteen {
    uint64_t words[2];
  } first, second, third, last;
  if (count > 64) {
    memcpy(target, source, count);
  } else if (count > 32) {
    memcpy(&first, source, 16);
    memcpy(&second, source + 16, 16);
    memcpy(&third, source + count - 32, 16);
    memcpy(&last, source + count - 16, 16);
    memcpy(target, &first, 16);
    memcpy(target + 16, &second, 16);
    memcpy(target + count - 32, &third, 16);
    memcpy(target + count - 16, &last, 16);
  } else if (count >= 16) {
    memcpy(&first, source, 16);
    memcpy(&last, source + count - 16, 16);
    memcpy(target, &first, 16);
    memcpy(target + count - 16, &last, 16);
  } else if (count >= 8) {
    uint64_t head, tail;
    memcpy(&head, source, 8);
    memcpy(&tail, source + count - 8, 8);
    memcpy(target, &head, 8);
    memcpy(target + count - 8, &tail, 8);
  } else if (count >= 4) {
    uint32_t head, tail;
    memcpy(&head, source, 4);
    memcpy(&tail, source + count - 4, 4);
    memcpy(target, &head, 4);
    memcpy(target + count - 4, &tail, 4);
  } else if (count > 0) {
    uint8_t head = source[0], middle = source[count / 2], tail = source[count - 1];
    target[0] = head;
    target[count / 2] = middle;
    target[count - 1] = tail;
  }
}

// A bit for each of sixteen lanes, the first one lowest: whether it is negative.
typedef signed char sys_lanes __attribute__((ext_vector_type(16)));
typedef _Bool sys_lane_mask __attribute__((ext_vector_type(16)));
static inline uint32_t sys_lane_bits(sys_lanes lanes) {
  return __builtin_bit_cast(uint16_t, __builtin_convertvector(lanes < 0, sys_lane_mask));
}

// ---- the thread's own block; one Swift function calls this, which is never
// ---- inlined, since each object file with a call has a block of its own

struct sys_thread {
  uint64_t request;  // the request whose callback runs here, or 0
  void *exchange;    // and its exchange
  void *frame;       // the innermost callback that runs here, or NULL
  void *loop;        // the loop that this thread runs, or NULL
  int32_t error;     // of the latest failing call
  char message[252];
};

static inline struct sys_thread *sys_thread_block(void) {
  static _Thread_local struct sys_thread block __attribute__((tls_model("initial-exec")));
  return &block;
}

// ---- locks and threads

typedef pthread_mutex_t sys_mutex;
typedef pthread_cond_t sys_condition;

static inline int32_t sys_mutex_make(sys_mutex *mutex) { return pthread_mutex_init(mutex, NULL); }
static inline void sys_mutex_end(sys_mutex *mutex) { pthread_mutex_destroy(mutex); }
static inline void sys_mutex_lock(sys_mutex *mutex) { pthread_mutex_lock(mutex); }
static inline int32_t sys_mutex_try(sys_mutex *mutex) { return pthread_mutex_trylock(mutex) == 0; }
static inline void sys_mutex_unlock(sys_mutex *mutex) { pthread_mutex_unlock(mutex); }

static inline int32_t sys_condition_make(sys_condition *condition) {
  pthread_condattr_t attributes;
  pthread_condattr_init(&attributes);
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  int32_t result = pthread_cond_init(condition, &attributes);
  pthread_condattr_destroy(&attributes);
  return result;
}
static inline void sys_condition_end(sys_condition *condition) { pthread_cond_destroy(condition); }
static inline void sys_condition_broadcast(sys_condition *condition) {
  pthread_cond_broadcast(condition);
}
// Waits until a time of the monotonic clock in microseconds, or for ever (-1).
static inline void sys_condition_wait(sys_condition *condition, sys_mutex *mutex, int64_t until) {
  if (until < 0) {
    pthread_cond_wait(condition, mutex);
    return;
  }
  struct timespec time = {until / 1000000, (until % 1000000) * 1000};
  pthread_cond_timedwait(condition, mutex, &time);
}

typedef pthread_t sys_thread_id;

// A thread with every signal blocked, so that the host's go to the host's.
static inline int32_t sys_thread_start(sys_thread_id *thread, void *(*run)(void *), void *context) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int32_t result = pthread_create(thread, NULL, run, context);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return result;
}
// Keeps the calling thread from ever being cancelled. Asynchronous cancellation that is
// disabled spares glibc before 2.41 two locked instructions around each system call that is a
// cancellation point, once the process has threads.
static inline void sys_thread_shield(void) {
  int before;
  pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
  pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &before);
}
static inline void sys_thread_join(sys_thread_id thread) { pthread_join(thread, NULL); }
static inline int32_t sys_thread_is_current(sys_thread_id thread) {
  return pthread_equal(thread, pthread_self());
}
static inline void sys_thread_detach(sys_thread_id thread) { pthread_detach(thread); }
static inline void sys_yield(void) { sched_yield(); }
static inline int32_t sys_processors(void) {
  uint64_t mask[128] = {0};
  int32_t count = 0;
  if (sched_getaffinity(0, sizeof mask, mask) >= 0) {
    for (size_t index = 0; index < 128; index++) count += __builtin_popcountll(mask[index]);
  }
  return count > 0 ? count : 1;
}
static inline int32_t sys_at_fork_child(void (*child)(void)) {
  return pthread_atfork(NULL, NULL, child);
}
static inline int32_t sys_at_exit(void (*end)(void)) { return atexit(end); }

// ---- clocks

static inline int64_t sys_monotonic_us(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (int64_t)time.tv_sec * 1000000 + time.tv_nsec / 1000;
}
static inline int64_t sys_wall_seconds(void) {
  struct timespec time;
  clock_gettime(CLOCK_REALTIME, &time);
  return (int64_t)time.tv_sec;
}

// ---- poller

static inline int32_t sys_epoll_make(void) { return epoll_create1(EPOLL_CLOEXEC); }
static inline int32_t sys_event_make(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }
static inline int32_t sys_timer_make(void) {
  return timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
}
// Readable from a time of the monotonic clock on, in microseconds; 0: never.
static inline void sys_timer_set(int32_t descriptor, int64_t time) {
  struct itimerspec spec = {{0, 0}, {time / 1000000, (time % 1000000) * 1000}};
  timerfd_settime(descriptor, TFD_TIMER_ABSTIME, &spec, NULL);
}
static inline void sys_event_signal(int32_t descriptor) {
  uint64_t one = 1;
  while (write(descriptor, &one, sizeof one) < 0 && errno == EINTR) {
  }
}
static inline void sys_event_clear(int32_t descriptor) {
  uint64_t value;
  while (read(descriptor, &value, sizeof value) < 0 && errno == EINTR) {
  }
}
// Waits for an eventfd or an epoll descriptor to be readable.
static inline int32_t sys_wait_readable(int32_t descriptor, int32_t timeout_ms) {
  struct pollfd entry = {descriptor, POLLIN, 0};
  return poll(&entry, 1, timeout_ms);
}

// ---- sockets

struct sys_address {
  struct sockaddr_storage storage;
  uint32_t length;
};

// As much of an address as can be told: the path of a Unix socket is left out.
struct sys_kept_address {
  uint8_t bytes[sizeof(struct sockaddr_in6)];
};

static inline struct sys_kept_address sys_address_keep(const struct sys_address *address) {
  struct sys_kept_address kept;
  memset(&kept, 0, sizeof kept);
  int isUnix = address->storage.ss_family == AF_UNIX;
  memcpy(kept.bytes, &address->storage,
         isUnix ? sizeof address->storage.ss_family : sizeof kept.bytes);
  return kept;
}

static inline struct sys_address sys_address_kept(struct sys_kept_address kept) {
  struct sys_address address;
  memset(&address, 0, sizeof address);
  memcpy(&address.storage, kept.bytes, sizeof kept.bytes);
  address.length = sizeof kept.bytes;
  return address;
}

static inline int32_t sys_close(int32_t descriptor) { return close(descriptor); }

static inline int32_t sys_set_option(int32_t descriptor, int32_t level, int32_t name,
                                     int32_t value) {
  return setsockopt(descriptor, level, name, &value, sizeof value);
}

// Parses an address in text; 0 if it is one.
static inline int32_t sys_address_parse(struct sys_address *address, const char *host,
                                        uint16_t port) {
  memset(address, 0, sizeof *address);
  struct sockaddr_in *four = (struct sockaddr_in *)&address->storage;
  struct sockaddr_in6 *six = (struct sockaddr_in6 *)&address->storage;
  if (inet_pton(AF_INET, host, &four->sin_addr) == 1) {
    four->sin_family = AF_INET;
    four->sin_port = htons(port);
    address->length = sizeof *four;
    return 0;
  }
  char copy[INET6_ADDRSTRLEN + IF_NAMESIZE + 2];
  size_t length = strlen(host);
  if (length >= sizeof copy) return -1;
  memcpy(copy, host, length + 1);
  char *zone = strchr(copy, '%');
  if (zone) *zone = 0;
  if (inet_pton(AF_INET6, copy, &six->sin6_addr) != 1) return -1;
  if (zone) {
    six->sin6_scope_id = if_nametoindex(zone + 1);
    if (six->sin6_scope_id == 0) return -1;
  }
  six->sin6_family = AF_INET6;
  six->sin6_port = htons(port);
  address->length = sizeof *six;
  return 0;
}

static inline int32_t sys_address_unix(struct sys_address *address, const char *path) {
  memset(address, 0, sizeof *address);
  struct sockaddr_un *name = (struct sockaddr_un *)&address->storage;
  size_t length = strlen(path);
  if (length == 0 || length >= sizeof name->sun_path) return -1;
  name->sun_family = AF_UNIX;
  memcpy(name->sun_path, path, length + 1);
  address->length = (uint32_t)(offsetof(struct sockaddr_un, sun_path) + length + 1);
  return 0;
}

static inline int32_t sys_address_family(const struct sys_address *address) {
  return address->storage.ss_family;
}

// The port of an address; its text, without a port, into at least 46 bytes.
static inline int32_t sys_address_text(const struct sys_address *address, char *text) {
  text[0] = 0;
  if (address->storage.ss_family == AF_INET) {
    const struct sockaddr_in *four = (const struct sockaddr_in *)&address->storage;
    inet_ntop(AF_INET, &four->sin_addr, text, 46);
    return ntohs(four->sin_port);
  }
  if (address->storage.ss_family == AF_INET6) {
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)&address->storage;
    if (IN6_IS_ADDR_V4MAPPED(&six->sin6_addr)) {
      inet_ntop(AF_INET, &six->sin6_addr.s6_addr[12], text, 46);
    } else {
      inet_ntop(AF_INET6, &six->sin6_addr, text, 46);
    }
    return ntohs(six->sin6_port);
  }
  return 0;
}

// Copies the four or sixteen bytes of an address; their number, 0 where it is another.
static inline int32_t sys_address_bytes(const struct sys_address *address, uint8_t *bytes) {
  if (address->storage.ss_family == AF_INET) {
    memcpy(bytes, &((const struct sockaddr_in *)&address->storage)->sin_addr, 4);
    return 4;
  }
  if (address->storage.ss_family == AF_INET6) {
    memcpy(bytes, &((const struct sockaddr_in6 *)&address->storage)->sin6_addr, 16);
    return 16;
  }
  return 0;
}

// Makes an address of such bytes and a port; of none: that of a Unix socket.
static inline void sys_address_set(struct sys_address *address, const uint8_t *bytes, size_t count,
                                   uint16_t port) {
  memset(address, 0, sizeof *address);
  if (count == 4) {
    struct sockaddr_in *four = (struct sockaddr_in *)&address->storage;
    four->sin_family = AF_INET;
    four->sin_port = htons(port);
    memcpy(&four->sin_addr, bytes, 4);
    address->length = sizeof *four;
  } else if (count == 16) {
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)&address->storage;
    six->sin6_family = AF_INET6;
    six->sin6_port = htons(port);
    memcpy(&six->sin6_addr, bytes, 16);
    address->length = sizeof *six;
  } else {
    address->storage.ss_family = AF_UNIX;
    address->length = sizeof address->storage.ss_family;
  }
}

static inline int32_t sys_socket(int32_t family) {
  return socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}
static inline int32_t sys_bind(int32_t descriptor, const struct sys_address *address) {
  return bind(descriptor, (const struct sockaddr *)&address->storage, address->length);
}
static inline int32_t sys_connect(int32_t descriptor, const struct sys_address *address) {
  return connect(descriptor, (const struct sockaddr *)&address->storage, address->length);
}
// The addresses of a name, which may take long; 0: it has none, -1: that is not to be
// had now.
static inline int32_t sys_resolve(void *context, const char *name, uint16_t port,
                                  struct sys_address *addresses, int32_t capacity) {
  (void)context;
  struct addrinfo hints, *found = NULL;
  memset(&hints, 0, sizeof hints);
  hints.ai_socktype = SOCK_STREAM;
  int32_t result = getaddrinfo(name, NULL, &hints, &found);
  if (result == EAI_AGAIN || result == EAI_SYSTEM || result == EAI_MEMORY) return -1;
  if (result != 0) return 0;
  int32_t count = 0;
  for (struct addrinfo *entry = found; entry && count < capacity; entry = entry->ai_next) {
    struct sys_address *address = &addresses[count];
    memset(address, 0, sizeof *address);
    if (entry->ai_addrlen > sizeof address->storage) continue;
    memcpy(&address->storage, entry->ai_addr, entry->ai_addrlen);
    address->length = entry->ai_addrlen;
    if (entry->ai_family == AF_INET) {
      ((struct sockaddr_in *)&address->storage)->sin_port = htons(port);
    } else if (entry->ai_family == AF_INET6) {
      ((struct sockaddr_in6 *)&address->storage)->sin6_port = htons(port);
    } else {
      continue;
    }
    count++;
  }
  freeaddrinfo(found);
  return count;
}
static inline int32_t sys_listen(int32_t descriptor, int32_t backlog) {
  return listen(descriptor, backlog);
}
static inline int32_t sys_own_address(int32_t descriptor, struct sys_address *address) {
  socklen_t length = sizeof address->storage;
  memset(address, 0, sizeof *address);
  int32_t result = getsockname(descriptor, (struct sockaddr *)&address->storage, &length);
  address->length = length;
  return result;
}
static inline int32_t sys_peer_address(int32_t descriptor, struct sys_address *address) {
  socklen_t length = sizeof address->storage;
  memset(address, 0, sizeof *address);
  int32_t result = getpeername(descriptor, (struct sockaddr *)&address->storage, &length);
  address->length = length;
  return result;
}
// 1: a stream socket that listens, 0: a stream socket that does not, -1: another thing.
static inline int32_t sys_is_listener(int32_t descriptor) {
  int32_t value = 0;
  socklen_t length = sizeof value;
  if (getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &value, &length) != 0) return -1;
  if (value != SOCK_STREAM) return -1;
  length = sizeof value;
  if (getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &value, &length) != 0) return -1;
  return value != 0;
}
// Whether a socket has an address of its own, and no peer.
static inline int32_t sys_is_bound(int32_t descriptor) {
  union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un path;
    struct sockaddr_storage most;
  } address;
  socklen_t length = sizeof address;
  if (getpeername(descriptor, &address.any, &length) == 0) return 0;
  length = sizeof address;
  if (getsockname(descriptor, &address.any, &length) != 0) return 0;
  if (address.any.sa_family == AF_INET) return address.v4.sin_port != 0;
  if (address.any.sa_family == AF_INET6) return address.v6.sin6_port != 0;
  return address.any.sa_family == AF_UNIX && length > offsetof(struct sockaddr_un, sun_path);
}
static inline int32_t sys_make_nonblocking(int32_t descriptor) {
  int32_t flags = fcntl(descriptor, F_GETFL);
  if (flags < 0 || fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) < 0) return -1;
  flags = fcntl(descriptor, F_GETFD);
  return flags < 0 ? -1 : fcntl(descriptor, F_SETFD, flags | FD_CLOEXEC);
}
static inline int32_t sys_unlink(const char *path) { return unlink(path); }

// Which file a path names: told apart from all others as long as it is there.
struct sys_file_id {
  uint64_t device, number;
};
// 1 if that is a socket; no link is followed.
static inline int32_t sys_socket_file(const char *path, struct sys_file_id *id) {
  struct stat status;
  if (lstat(path, &status) != 0 || !S_ISSOCK(status.st_mode)) return 0;
  id->device = (uint64_t)status.st_dev;
  id->number = (uint64_t)status.st_ino;
  return 1;
}
// Removes a socket's file, unless the path names another one by now.
static inline void sys_remove_socket(const char *path, struct sys_file_id id) {
  struct sys_file_id now;
  if (sys_socket_file(path, &now) && now.device == id.device && now.number == id.number) {
    unlink(path);
  }
}
// The folder that paths start from, into a buffer; 0, or the negative error number.
static inline int32_t sys_current_folder(char *buffer, size_t size) {
  return getcwd(buffer, size) != NULL ? 0 : -errno;
}
// Closes with a reset: the peer learns at once, and nothing lingers.
static inline void sys_reset(int32_t descriptor) {
  struct linger linger = {1, 0};
  setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
  close(descriptor);
}
// The soft limit on descriptors.
static inline int64_t sys_descriptor_limit(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024;
  return limit.rlim_cur > INT32_MAX ? INT32_MAX : (int64_t)limit.rlim_cur;
}
static inline int64_t sys_write(int32_t descriptor, const void *data, size_t length) {
  return write(descriptor, data, length);
}

// ---- the calls that a simulated network replaces; -errno on failure

static inline int32_t sys_accept(void *context, int32_t listener, struct sys_address *address) {
  (void)context;
  socklen_t length = sizeof address->storage;
  int32_t result = accept4(listener, (struct sockaddr *)&address->storage, &length,
                           SOCK_CLOEXEC | SOCK_NONBLOCK);
  address->length = length;
  return result < 0 ? -errno : result;
}
// A new socket that connects to an address: writable once that has come out.
static inline int32_t sys_dial(void *context, const struct sys_address *address) {
  (void)context;
  int32_t descriptor = sys_socket(address->storage.ss_family);
  if (descriptor < 0) return -errno;
  if (sys_connect(descriptor, address) < 0 && errno != EINPROGRESS) {
    int32_t number = errno;
    close(descriptor);
    return -number;
  }
  return descriptor;
}
// What has come of that; 0: it is connected.
static inline int32_t sys_dial_result(void *context, int32_t descriptor) {
  (void)context;
  int32_t value = 0;
  socklen_t length = sizeof value;
  if (getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &value, &length) != 0) return -errno;
  return -value;
}
static inline int64_t sys_receive(void *context, int32_t descriptor, void *data, size_t capacity) {
  (void)context;
  ssize_t result = recv(descriptor, data, capacity, 0);
  return result < 0 ? -errno : result;
}
// Whether nothing has come that was not read, not even the peer's end.
static inline int32_t sys_is_quiet(void *context, int32_t descriptor) {
  (void)context;
  char byte;
  return recv(descriptor, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}
// Sends up to two pieces.
static inline int64_t sys_send(void *context, int32_t descriptor, const void *first,
                               size_t first_length, const void *second, size_t second_length) {
  (void)context;
  ssize_t result;
  if (second_length == 0) {
    result = send(descriptor, first, first_length, MSG_NOSIGNAL);
  } else {
    struct iovec pieces[2] = {{(void *)first, first_length}, {(void *)second, second_length}};
    struct msghdr message = {0};
    message.msg_iov = pieces;
    message.msg_iovlen = 2;
    result = sendmsg(descriptor, &message, MSG_NOSIGNAL);
  }
  return result < 0 ? -errno : result;
}
// Sends bytes that a stretch of a file follows: they share its first packet.
static inline int64_t sys_send_ahead(void *context, int32_t descriptor, const void *data,
                                     size_t length) {
  (void)context;
  ssize_t result = send(descriptor, data, length, MSG_NOSIGNAL | MSG_MORE);
  return result < 0 ? -errno : result;
}
// Sends from a file. The kernel knows no MSG_NOSIGNAL here: on a thread of the host's
// SIGPIPE is held back meanwhile, and taken away if it came.
static inline int64_t sys_send_file(void *context, int32_t descriptor, int32_t file, int64_t offset,
                                    size_t count, int32_t is_guarded) {
  (void)context;
  sigset_t broken, before;
  if (is_guarded) {
    sigemptyset(&broken);
    sigaddset(&broken, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &broken, &before);
  }
  off_t place = offset;
  ssize_t result = sendfile(descriptor, file, &place, count);
  int number = result < 0 ? errno : 0;
  if (is_guarded && !sigismember(&before, SIGPIPE)) {
    struct timespec none = {0, 0};
    if (number == EPIPE) {
      while (sigtimedwait(&broken, NULL, &none) < 0 && errno == EINTR) {
      }
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
  }
  return number ? -number : result;
}
static inline int32_t sys_shutdown_write(void *context, int32_t descriptor) {
  (void)context;
  return shutdown(descriptor, SHUT_WR);
}
static inline void sys_end(void *context, int32_t descriptor, int32_t reset) {
  (void)context;
  if (reset) {
    sys_reset(descriptor);
  } else {
    close(descriptor);
  }
}
static inline int32_t sys_poll_control(void *context, int32_t poller, int32_t operation,
                                       int32_t descriptor, uint32_t events, uint64_t token) {
  (void)context;
  struct epoll_event event;
  memset(&event, 0, sizeof event);
  event.events = events;
  event.data.u64 = token;
  return epoll_ctl(poller, operation, descriptor, &event) < 0 ? -errno : 0;
}
static inline int32_t sys_poll_wait(void *context, int32_t poller, struct epoll_event *events,
                                    int32_t capacity, int32_t timeout_ms) {
  (void)context;
  int32_t result = epoll_wait(poller, events, capacity, timeout_ms);
  return result < 0 ? -errno : result;
}
static inline int64_t sys_now_us(void *context) {
  (void)context;
  return sys_monotonic_us();
}
static inline int64_t sys_wall(void *context) {
  (void)context;
  return sys_wall_seconds();
}

static inline uint64_t sys_event_token(const struct epoll_event *event) { return event->data.u64; }

// Constants that Swift imports in other types, or not at all.
static const uint32_t SYS_POLL_IN = EPOLLIN;
static const uint32_t SYS_POLL_OUT = EPOLLOUT;
static const uint32_t SYS_POLL_ERROR = EPOLLERR;
static const uint32_t SYS_POLL_HANGUP = EPOLLHUP;
static const uint32_t SYS_POLL_PEER_END = EPOLLRDHUP;
static const uint32_t SYS_POLL_URGENT = EPOLLPRI;
static const uint32_t SYS_POLL_EDGE = EPOLLET;
static const uint32_t SYS_POLL_EXCLUSIVE = EPOLLEXCLUSIVE;
static const int32_t SYS_POLL_ADD = EPOLL_CTL_ADD;
static const int32_t SYS_POLL_DELETE = EPOLL_CTL_DEL;
static const int32_t SYS_POLL_CHANGE = EPOLL_CTL_MOD;
static const int32_t SYS_FAMILY_UNIX = AF_UNIX;
static const int32_t SYS_FAMILY_IPV6 = AF_INET6;
static const int32_t SYS_LEVEL_SOCKET = SOL_SOCKET;
static const int32_t SYS_LEVEL_TCP = IPPROTO_TCP;
static const int32_t SYS_LEVEL_IPV6 = IPPROTO_IPV6;

#endif
