// The system as the library sees it, save the calls that reach outside: those are the
// simulator's, which stands in for the network, the poller, the clocks and the threads.
// Nothing of the library changes for that: it is compiled with this in place of
// Sources/CSystem/system.h.
#ifndef APUS_SYSTEM_CALLS_H
#define APUS_SYSTEM_CALLS_H

#define sys_allocate host_sys_allocate
#define sys_allocate_zeroed host_sys_allocate_zeroed
#define sys_reallocate host_sys_reallocate
#define sys_free host_sys_free
#define sys_condition_wait host_sys_condition_wait
#define sys_thread_start host_sys_thread_start
#define sys_thread_join host_sys_thread_join
#define sys_thread_is_current host_sys_thread_is_current
#define sys_thread_detach host_sys_thread_detach
#define sys_yield host_sys_yield
#define sys_monotonic_us host_sys_monotonic_us
#define sys_wall_seconds host_sys_wall_seconds
#define sys_epoll_make host_sys_epoll_make
#define sys_event_make host_sys_event_make
#define sys_timer_make host_sys_timer_make
#define sys_timer_set host_sys_timer_set
#define sys_event_signal host_sys_event_signal
#define sys_event_clear host_sys_event_clear
#define sys_wait_readable host_sys_wait_readable
#define sys_close host_sys_close
#define sys_set_option host_sys_set_option
#define sys_socket host_sys_socket
#define sys_bind host_sys_bind
#define sys_connect host_sys_connect
#define sys_resolve host_sys_resolve
#define sys_listen host_sys_listen
#define sys_own_address host_sys_own_address
#define sys_peer_address host_sys_peer_address
#define sys_is_listener host_sys_is_listener
#define sys_make_nonblocking host_sys_make_nonblocking
#define sys_descriptor_limit host_sys_descriptor_limit
#define sys_accept host_sys_accept
#define sys_dial host_sys_dial
#define sys_dial_result host_sys_dial_result
#define sys_receive host_sys_receive
#define sys_is_quiet host_sys_is_quiet
#define sys_send host_sys_send
#define sys_send_ahead host_sys_send_ahead
#define sys_send_file host_sys_send_file
#define sys_shutdown_write host_sys_shutdown_write
#define sys_end host_sys_end
#define sys_poll_control host_sys_poll_control
#define sys_poll_wait host_sys_poll_wait
#define sys_now_us host_sys_now_us
#define sys_wall host_sys_wall

#include "../../Sources/CSystem/system.h"

#undef sys_allocate
#undef sys_allocate_zeroed
#undef sys_reallocate
#undef sys_free
#undef sys_condition_wait
#undef sys_thread_start
#undef sys_thread_join
#undef sys_thread_is_current
#undef sys_thread_detach
#undef sys_yield
#undef sys_monotonic_us
#undef sys_wall_seconds
#undef sys_epoll_make
#undef sys_event_make
#undef sys_timer_make
#undef sys_timer_set
#undef sys_event_signal
#undef sys_event_clear
#undef sys_wait_readable
#undef sys_close
#undef sys_set_option
#undef sys_socket
#undef sys_bind
#undef sys_connect
#undef sys_resolve
#undef sys_listen
#undef sys_own_address
#undef sys_peer_address
#undef sys_is_listener
#undef sys_make_nonblocking
#undef sys_descriptor_limit
#undef sys_accept
#undef sys_dial
#undef sys_dial_result
#undef sys_receive
#undef sys_is_quiet
#undef sys_send
#undef sys_send_ahead
#undef sys_send_file
#undef sys_shutdown_write
#undef sys_end
#undef sys_poll_control
#undef sys_poll_wait
#undef sys_now_us
#undef sys_wall

void *sys_allocate(size_t size);
void *sys_allocate_zeroed(size_t size);
void *sys_reallocate(void *memory, size_t size);
void sys_free(void *memory);
void sys_condition_wait(sys_condition *condition, sys_mutex *mutex, int64_t until);
int32_t sys_thread_start(sys_thread_id *thread, void *(*run)(void *), void *context);
void sys_thread_join(sys_thread_id thread);
int32_t sys_thread_is_current(sys_thread_id thread);
void sys_thread_detach(sys_thread_id thread);
void sys_yield(void);
int64_t sys_monotonic_us(void);
int64_t sys_wall_seconds(void);
int32_t sys_epoll_make(void);
int32_t sys_event_make(void);
int32_t sys_timer_make(void);
void sys_timer_set(int32_t descriptor, int64_t time);
void sys_event_signal(int32_t descriptor);
void sys_event_clear(int32_t descriptor);
int32_t sys_wait_readable(int32_t descriptor, int32_t timeout_ms);
int32_t sys_close(int32_t descriptor);
int32_t sys_set_option(int32_t descriptor, int32_t level, int32_t name, int32_t value);
int32_t sys_socket(int32_t family);
int32_t sys_bind(int32_t descriptor, const struct sys_address *address);
int32_t sys_connect(int32_t descriptor, const struct sys_address *address);
int32_t sys_resolve(void *context, const char *name, uint16_t port, struct sys_address *addresses,
                    int32_t capacity);
int32_t sys_listen(int32_t descriptor, int32_t backlog);
int32_t sys_own_address(int32_t descriptor, struct sys_address *address);
int32_t sys_peer_address(int32_t descriptor, struct sys_address *address);
int32_t sys_is_listener(int32_t descriptor);
int32_t sys_make_nonblocking(int32_t descriptor);
int64_t sys_descriptor_limit(void);
int32_t sys_accept(void *context, int32_t listener, struct sys_address *address);
int32_t sys_dial(void *context, const struct sys_address *address);
int32_t sys_dial_result(void *context, int32_t descriptor);
int64_t sys_receive(void *context, int32_t descriptor, void *data, size_t capacity);
int32_t sys_is_quiet(void *context, int32_t descriptor);
int64_t sys_send(void *context, int32_t descriptor, const void *first, size_t first_length,
                 const void *second, size_t second_length);
int64_t sys_send_ahead(void *context, int32_t descriptor, const void *data, size_t length);
int64_t sys_send_file(void *context, int32_t descriptor, int32_t file, int64_t offset, size_t count,
                      int32_t is_guarded);
int32_t sys_shutdown_write(void *context, int32_t descriptor);
void sys_end(void *context, int32_t descriptor, int32_t reset);
int32_t sys_poll_control(void *context, int32_t poller, int32_t operation, int32_t descriptor,
                         uint32_t events, uint64_t token);
int32_t sys_poll_wait(void *context, int32_t poller, struct epoll_event *events, int32_t capacity,
                      int32_t timeout_ms);
int64_t sys_now_us(void *context);
int64_t sys_wall(void *context);

static inline void sys_event_set_token(struct epoll_event *event, uint64_t token) {
  event->data.u64 = token;
}

#endif
