/* bridge.h - what Go registers: the library's functions with a Go handle as context. */
#ifndef BRIDGE_H
#define BRIDGE_H

#include <apus.h>

int32_t bridge_route(apus_server server, int32_t method, const char *pattern, uintptr_t handle);
int32_t bridge_events(apus_server server, const char *pattern, uintptr_t handle);
int32_t bridge_websocket(apus_server server, const char *pattern);
int32_t bridge_on_message(apus_server server, int32_t route, uintptr_t handle);

#endif
