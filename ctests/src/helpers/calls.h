/*
 * calls.h - the library's calls to the kernel about listeners, seen and steered
 * from the test program: definitions in a program come before the C library's.
 * Who watches which listener, how often each poller is told of one, which poller
 * gets which accepted connection; and descriptors or threads that run short when
 * the test wants it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef APUS_CTESTS_CALLS_H
#define APUS_CTESTS_CALLS_H

#include "check.h"

#include <dlfcn.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>

#define CALLS_DESCRIPTORS 4096
#define CALLS_WATCHES 256

/* A poller that watches a listener. */
struct calls_watch {
  int poller, listener;
  uint32_t events;
  uint64_t token;
};

static pthread_mutex_t calls_lock = PTHREAD_MUTEX_INITIALIZER;
static struct calls_watch calls_watches[CALLS_WATCHES];
static int calls_watch_count;
static int calls_closed_listeners;
static char calls_accepted[CALLS_DESCRIPTORS];   /* accepted, and given to no poller yet */
static int calls_given[CALLS_DESCRIPTORS];       /* accepted connections by poller */
static atomic_int calls_told[CALLS_DESCRIPTORS]; /* events of listeners by poller */
static atomic_int calls_idle[CALLS_DESCRIPTORS]; /* waits without an event by poller */
static atomic_int calls_starving;                /* no descriptors are to be had */
static atomic_int calls_refused_watch;           /* the listener's n-th watch fails; 0: none */

static inline int calls_is_listener(int fd) {
  int value = 0;
  socklen_t length = sizeof value;
  return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &length) == 0 && value;
}

static inline void calls_forget(int poller, int listener) {
  for (int i = 0; i < calls_watch_count; i++) {
    if (calls_watches[i].poller != poller || calls_watches[i].listener != listener) continue;
    calls_watches[i] = calls_watches[--calls_watch_count];
    return;
  }
  harness_fail(__FILE__, __LINE__, "a listener is let go that was not watched");
}

int epoll_ctl(int poller, int operation, int fd, struct epoll_event *event) {
  int is_listener = calls_is_listener(fd);
  int adds = operation == EPOLL_CTL_ADD;
  if (is_listener && adds && atomic_load(&calls_refused_watch) > 0 &&
      atomic_fetch_sub(&calls_refused_watch, 1) == 1) {
    errno = ENOSPC;
    return -1;
  }
  pthread_mutex_lock(&calls_lock);
  if (is_listener && adds) {
    CHECK(calls_watch_count < CALLS_WATCHES);
    calls_watches[calls_watch_count++] =
        (struct calls_watch){poller, fd, event->events, event->data.u64};
  }
  if (is_listener && operation == EPOLL_CTL_DEL) calls_forget(poller, fd);
  if (!is_listener && adds && calls_accepted[fd]) {
    calls_accepted[fd] = 0;
    calls_given[poller]++;
  }
  int result = (int)syscall(SYS_epoll_ctl, poller, operation, fd, event);
  pthread_mutex_unlock(&calls_lock);
  return result;
}

static inline int calls_is_watched(int poller, uint64_t token) {
  int found = 0;
  pthread_mutex_lock(&calls_lock);
  for (int i = 0; i < calls_watch_count; i++) {
    found |= calls_watches[i].poller == poller && calls_watches[i].token == token;
  }
  pthread_mutex_unlock(&calls_lock);
  return found;
}

int epoll_wait(int poller, struct epoll_event *events, int capacity, int timeout) {
  long count = syscall(SYS_epoll_pwait, poller, events, capacity, timeout, NULL, 0);
  if (count == 0 && timeout != 0) atomic_fetch_add(&calls_idle[poller], 1);
  for (long i = 0; i < count; i++) {
    if (calls_is_watched(poller, events[i].data.u64)) atomic_fetch_add(&calls_told[poller], 1);
  }
  return (int)count;
}

int accept4(int fd, struct sockaddr *address, socklen_t *length, int flags) {
  if (!calls_is_listener(fd)) {
    harness_fail(__FILE__, __LINE__, "accepting from a descriptor that does not listen");
  }
  if (atomic_load(&calls_starving)) {
    errno = EMFILE;
    return -1;
  }
  pthread_mutex_lock(&calls_lock);
  int result = (int)syscall(SYS_accept4, fd, address, length, flags);
  CHECK(result < CALLS_DESCRIPTORS);
  if (result >= 0) calls_accepted[result] = 1;
  pthread_mutex_unlock(&calls_lock);
  return result;
}

int eventfd(unsigned value, int flags) {
  if (atomic_load(&calls_starving)) {
    errno = EMFILE;
    return -1;
  }
  return (int)syscall(SYS_eventfd2, value, flags);
}

/* A listener that is closed is watched by nobody. */
int close(int fd) {
  pthread_mutex_lock(&calls_lock);
  if (calls_is_listener(fd)) {
    for (int i = 0; i < calls_watch_count; i++) CHECK(calls_watches[i].listener != fd);
    calls_closed_listeners++;
  }
  if (fd >= 0 && fd < CALLS_DESCRIPTORS) calls_accepted[fd] = 0;
  int result = (int)syscall(SYS_close, fd);
  pthread_mutex_unlock(&calls_lock);
  return result;
}

/* A sanitizer needs pthread_create() for itself. */
#ifdef __has_feature
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define CALLS_KEEP_THREADS
#endif
#endif
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define CALLS_KEEP_THREADS
#endif

#ifndef CALLS_KEEP_THREADS
static _Thread_local int calls_refused_thread; /* the n-th thread from here fails; 0: none */

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                   void *context) {
  int (*create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
  if (calls_refused_thread > 0 && --calls_refused_thread == 0) return EAGAIN;
  *(void **)&create = dlsym(RTLD_NEXT, "pthread_create");
  return create(thread, attributes, run, context);
}
#endif

/* --------------------------------------------------------------- what was seen */

static inline int calls_locked(const int *value) {
  pthread_mutex_lock(&calls_lock);
  int result = *value;
  pthread_mutex_unlock(&calls_lock);
  return result;
}

/* The pollers that watch a listener, into an array; how many. */
static inline int calls_pollers(int *pollers, int capacity) {
  pthread_mutex_lock(&calls_lock);
  int count = calls_watch_count;
  CHECK(count <= capacity);
  for (int i = 0; i < count; i++) pollers[i] = calls_watches[i].poller;
  pthread_mutex_unlock(&calls_lock);
  return count;
}

/* How many watches are shared with others. */
static inline int calls_exclusive(void) {
  int count = 0;
  pthread_mutex_lock(&calls_lock);
  for (int i = 0; i < calls_watch_count; i++) {
    count += (calls_watches[i].events & EPOLLEXCLUSIVE) != 0;
  }
  pthread_mutex_unlock(&calls_lock);
  return count;
}

#endif /* APUS_CTESTS_CALLS_H */
