/*
 * jitter_shim.c - to be preloaded: threads sleep at random places, so that they meet in
 * orders that a quiet machine hardly ever shows. A place is each lock and unlock of a
 * mutex, and each wait for events; one in $JITTER of them (60) sleeps, up to $JITTER_US
 * microseconds (200). $JITTER_SEED varies the places.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>

typedef int mutex_call(pthread_mutex_t *mutex);
typedef int wait_call(int poller, struct epoll_event *events, int most, int timeout);

static mutex_call *next_lock, *next_unlock;
static wait_call *next_wait;
static unsigned one_in, longest;
static atomic_ulong next_thread;
static __thread uint64_t state;

static unsigned setting(const char *name, unsigned usual) {
  const char *text = getenv(name);
  return text == NULL ? usual : (unsigned)strtoul(text, NULL, 10);
}

/* What is found here by whichever thread comes first is the same for all. */
static void find(void) {
  if (next_wait != NULL) return;
  one_in = setting("JITTER", 60);
  longest = setting("JITTER_US", 200);
  next_lock = (mutex_call *)dlsym(RTLD_NEXT, "pthread_mutex_lock");
  next_unlock = (mutex_call *)dlsym(RTLD_NEXT, "pthread_mutex_unlock");
  next_wait = (wait_call *)dlsym(RTLD_NEXT, "epoll_wait");
}

__attribute__((constructor)) static void prepare(void) { find(); }

/* splitmix64, from a state of each thread's own. */
static unsigned chance(void) {
  if (state == 0) {
    state = (atomic_fetch_add(&next_thread, 1) + 1) * 0x9E3779B97F4A7C15u;
    state ^= setting("JITTER_SEED", 0) * 0xD6E8FEB86659FD93u;
  }
  uint64_t z = state += 0x9E3779B97F4A7C15u;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
  z = (z ^ z >> 27) * 0x94D049BB133111EBu;
  return (unsigned)(z >> 33);
}

static void maybe_sleep(void) {
  if (one_in == 0 || longest == 0 || chance() % one_in != 0) return;
  struct timespec pause = {0, (long)(chance() % longest) * 1000};
  nanosleep(&pause, NULL);
}

int pthread_mutex_lock(pthread_mutex_t *mutex) {
  find();
  maybe_sleep();
  return next_lock(mutex);
}

int pthread_mutex_unlock(pthread_mutex_t *mutex) {
  find();
  int result = next_unlock(mutex);
  maybe_sleep();
  return result;
}

int epoll_wait(int poller, struct epoll_event *events, int most, int timeout) {
  find();
  maybe_sleep();
  return next_wait(poller, events, most, timeout);
}
