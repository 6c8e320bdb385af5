/*
 * app.h - a server, and what drives it, in any of the four modes, so that one
 * source tests them all: tick, pull, worker, threadless.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef APUS_CTESTS_APP_H
#define APUS_CTESTS_APP_H

#include "check.h"

enum mode { MODE_TICK, MODE_PULL, MODE_WORKER, MODE_THREADLESS, MODE_COUNT };

static const char *const harness_mode_names[] = {"tick", "pull", "worker", "threadless"};

#define APP_ROUTES 64

struct app_route {
  apus_handler_fn fn;
  apus_open_fn open;
  void *context;
};

/* A server, and what drives it: make, add routes, start, stop. */
struct app {
  enum mode mode;
  apus_server server;
  int32_t port;
  int driven;
  pthread_t driver;
  struct app_route routes[APP_ROUTES];
};

/* What the pull loop knows about the request that it is handing to a handler:
 * whether it is doing so, and whether the handler kept the request. */
static _Thread_local int harness_pulled;
static _Thread_local int harness_kept;

/* One event of the pull mode: looked up and handed to the handler that the
 * other modes would have called. */
static inline void app_pulled(struct app *app, const apus_event *event) {
  CHECK(event->route >= 0 && event->route < APP_ROUTES);
  const struct app_route *route = &app->routes[event->route];
  if (event->kind == APUS_EVENT_CHANNEL) {
    CHECK(event->connection >= 1);
    if (route->open != NULL) route->open(route->context, event->handle, 0);
    return;
  }
  CHECK_INT(APUS_EVENT_REQUEST, event->kind);
  CHECK(app->routes[event->route].fn != NULL);
  /* Dead already only if another thread has destroyed the server meanwhile. */
  CHECK(apus_handle_kind(event->handle) == APUS_KIND_REQUEST || !apus_server_is_alive(app->server));
  CHECK(event->connection >= 1);
  harness_pulled = 1;
  harness_kept = 0;
  app->routes[event->route].fn(app->routes[event->route].context, event->handle);
  harness_pulled = 0;
  if (!harness_kept) apus_request_destroy(event->handle);
}

/* How a driving loop has to end: stopped, or destroyed. */
static inline void app_ended(int32_t result) {
  CHECK(result == APUS_E_STATE || result == APUS_E_HANDLE);
}

/* Whether a driving loop goes on. Another thread that stops the server may run
 * the callbacks meanwhile: APUS_E_THREAD, until it has stopped. */
static inline int app_goes_on(int32_t result) {
  if (result == APUS_E_THREAD) harness_breathe();
  return result >= 0 || result == APUS_E_THREAD;
}

static inline void *app_drive(void *context) {
  struct app *app = context;
  int32_t result = 0;
  do {
    if (app->mode == MODE_PULL) {
      apus_event event;
      result = apus_server_next(app->server, &event, -1);
      if (result == 1) app_pulled(app, &event);
    } else {
      result = apus_server_tick(app->server, -1);
    }
  } while (app_goes_on(result));
  app_ended(result);
  return NULL;
}

/* Makes the server of an app, stopped, with the options of its mode. */
static inline void app_make(struct app *app, enum mode mode) {
  memset(app, 0, sizeof *app);
  app->mode = mode;
  app->server = apus_server_make();
  CHECK(app->server != 0);
  CHECK_INT(0, apus_server_set_workers(app->server, mode == MODE_THREADLESS ? 0 : 2));
  int32_t dispatch = mode == MODE_WORKER ? APUS_DISPATCH_WORKER : APUS_DISPATCH_TICK;
  CHECK_INT(0, apus_server_set_dispatch(app->server, dispatch));
}

static inline int32_t app_keep_route(struct app *app, int32_t number, apus_handler_fn fn,
                                     void *context) {
  CHECK(number >= 0 && number < APP_ROUTES);
  app->routes[number] = (struct app_route){.fn = fn, .context = context};
  return number;
}

/* Adds a route; in pull mode the server gets no function at all. */
static inline int32_t app_route(struct app *app, int32_t method, const char *pattern,
                                apus_handler_fn fn, void *context) {
  apus_handler_fn given = app->mode == MODE_PULL ? NULL : fn;
  int32_t number = apus_server_route(app->server, method, pattern, given, context, NULL);
  return app_keep_route(app, number, fn, context);
}

static inline int32_t app_route_named(struct app *app, const char *method, const char *pattern,
                                      apus_handler_fn fn, void *context) {
  apus_handler_fn given = app->mode == MODE_PULL ? NULL : fn;
  int32_t number = apus_server_route_named(app->server, method, pattern, given, context, NULL);
  return app_keep_route(app, number, fn, context);
}

/* Adds a streamed route: its handler is a callback in each of the modes. */
static inline int32_t app_stream(struct app *app, int32_t method, const char *pattern,
                                 apus_handler_fn fn, void *context) {
  int32_t number = apus_server_route_stream(app->server, method, pattern, fn, context, NULL);
  return app_keep_route(app, number, fn, context);
}

/* Adds a route for WebSockets; pulled channels are handed over without a request. */
static inline int32_t app_websocket(struct app *app, const char *pattern, apus_open_fn open,
                                    void *context) {
  apus_open_fn given = app->mode == MODE_PULL ? NULL : open;
  int32_t number = apus_server_websocket(app->server, pattern, given, context, NULL);
  CHECK(number >= 0 && number < APP_ROUTES);
  app->routes[number] = (struct app_route){.open = open, .context = context};
  return number;
}

/* Starts the server, which has its listeners, and what drives it. */
static inline void harness_drive(struct app *app) {
  CHECK_INT(0, apus_server_start(app->server));
  app->driven = app->mode != MODE_WORKER;
  if (app->driven) CHECK_INT(0, pthread_create(&app->driver, NULL, app_drive, app));
}

static inline void app_listen(struct app *app) {
  int32_t listener = apus_server_listen(app->server, "127.0.0.1", 0);
  CHECK(listener >= 0);
  app->port = apus_server_port(app->server, listener);
  CHECK(app->port > 0 && app->port < 65536);
}

static inline void harness_start(struct app *app) {
  app_listen(app);
  harness_drive(app);
}

/* The same where the test itself takes the events. */
static inline void harness_start_undriven(struct app *app) {
  app_listen(app);
  CHECK_INT(0, apus_server_start(app->server));
}

/* A handler whose body comes in several pieces: zeros. */
enum { APP_BODY = 1 << 20 };

static inline void app_body_handler(void *context, apus_request request) {
  char *body = calloc(1, APP_BODY);
  (void)context;
  CHECK(body != NULL);
  CHECK_INT(0, apus_reply_data(request, body, APP_BODY));
  free(body);
}

/* Stops the server from outside, and waits for its driver. */
static inline void harness_halt(struct app *app) {
  CHECK_INT(0, apus_server_stop(app->server));
  if (app->driven) CHECK_INT(0, pthread_join(app->driver, NULL));
  app->driven = 0;
  CHECK_INT(0, apus_server_is_running(app->server));
  CHECK_INT(0, apus_server_is_accepting(app->server));
}

/* The same, and the end of the server. */
static inline void harness_stop(struct app *app) {
  harness_halt(app);
  CHECK_INT(1, apus_server_destroy(app->server));
  CHECK_INT(0, apus_server_is_alive(app->server));
}

/* Defers in a handler. A pulled request is the caller's already. */
static inline void app_defer(apus_request request) {
  CHECK_INT(harness_pulled ? APUS_E_STATE : APUS_OK, apus_request_defer(request));
  harness_kept = 1;
}

/* What a second reply gives inside the handler: a request that is the caller's
 * dies with its reply, another one lives until its handler returns. */
static inline int32_t app_replied_code(void) {
  return harness_pulled ? APUS_E_HANDLE : APUS_E_STATE;
}

#endif /* APUS_CTESTS_APP_H */
