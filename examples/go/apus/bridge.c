/* bridge.c - callbacks from C into Go. A context is a cgo.Handle, an integer: what Go
 * points to may move, and may be collected. */
#include "bridge.h"

#include "_cgo_export.h"

static void drop(void *context) { goDrop((uintptr_t)context); }

static void on_request(void *context, apus_request request) {
  goRequest((uintptr_t)context, request);
}

static void on_events(void *context, apus_writer writer, apus_request request) {
  goEvents((uintptr_t)context, writer, request);
}

static void on_message(void *context, apus_channel channel, int32_t opcode, const void *data,
                       size_t length) {
  goMessage((uintptr_t)context, channel, opcode, (void *)data, length);
}

/* A route needs a function, or its channels are for apus_server_next(). */
static void on_open(void *context, apus_channel channel, apus_request request) {
  (void)context, (void)channel, (void)request;
}

int32_t bridge_route(apus_server server, int32_t method, const char *pattern, uintptr_t handle) {
  return apus_server_route(server, method, pattern, on_request, (void *)handle, drop);
}

int32_t bridge_events(apus_server server, const char *pattern, uintptr_t handle) {
  return apus_server_events(server, pattern, on_events, (void *)handle, drop);
}

int32_t bridge_websocket(apus_server server, const char *pattern) {
  return apus_server_websocket(server, pattern, on_open, NULL, NULL);
}

int32_t bridge_on_message(apus_server server, int32_t route, uintptr_t handle) {
  return apus_server_on_message(server, route, on_message, (void *)handle, drop);
}
