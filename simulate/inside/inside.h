// What the simulator asks of the library's insides, and is asked by what looks at them.
#ifndef APUS_INSIDE_H
#define APUS_INSIDE_H

#include <stddef.h>
#include <stdint.h>

// The loop that runs on this thread, if it waits by this poller; or NULL.
void *inside_loop(int32_t poller);

// Frees the places of so many handles in their order, where none is live.
void inside_slots(int32_t count);

// Looks at all timers of a loop, where none may have been due before a time, in microseconds.
// Returns how many there are, and what is wrong with them, or NULL, in words.
int64_t inside_timers(void *loop, int64_t time, const char **problem);

// What the connections of a loop buffer, and all that a client of it has under way: each is
// held against its configured limit.
struct inside_buffers_sum {
  int64_t connections;
  int64_t exchanges;  // of connections, and those that wait to be used again
  int64_t bytes;      // of memory, of all buffers that were found
  const char *problem;
  int64_t found;  // where there is a problem: so much, and not more than
  int64_t most;
};

// `piece`: the largest that the host hands over at once.
void inside_buffers(void *loop, int64_t piece, struct inside_buffers_sum *sum);

// Whether memory of the library's begins there, of that size, that was not given back.
int32_t simulate_is_live(const void *memory, size_t size);

// What is known of the peer at a connection's descriptor, or -1: the most that the replies
// have together which may be behind the mark, and its largest message.
int64_t simulate_replies(int32_t descriptor);
int64_t simulate_message(int32_t descriptor);

#endif
