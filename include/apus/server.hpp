/*
 * server.hpp - the server. Sections 4, 5, 10, 15, 16 and 19 of apus.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef APUS_SERVER_HPP
#define APUS_SERVER_HPP

#include <apus/base.hpp>
#include <apus/channel.hpp>
#include <apus/request.hpp>

namespace apus {

/* What a WebSocket route does; what is empty is not listened for. */
struct WebSocket {
  std::function<void(ChannelView, Request)> open;
  std::function<void(ChannelView, Message)> message;
  std::function<void(ChannelView, int32_t code, std::string_view reason)> close;
  std::string_view protocols; /* with commas, the preferred one first */
};

class Server : public detail::Owner<apus_server_destroy> {
 public:
  Server() : Owner(detail::made(apus_server_make())) {}

  /* Calls one of apus_server_set_*(), as in set(apus_server_set_max_body, 1024). */
  template <class... Parameters, class... Arguments>
  Server &set(int32_t (*setter)(apus_server, Parameters...), Arguments... arguments) {
    detail::check(setter(handle(), arguments...));
    return *this;
  }

  /* ---- listeners: each gives its index, for port() */

  int32_t listen(std::string_view host, int32_t port) {
    return detail::check(apus_server_listen(handle(), detail::text(host), port));
  }
  int32_t listen_tls(std::string_view host, int32_t port) {
    return detail::check(apus_server_listen_tls(handle(), detail::text(host), port));
  }
  int32_t listen_unix(std::string_view path) {
    return detail::check(apus_server_listen_unix(handle(), detail::text(path)));
  }
  /* For every name; apus_server_add_certificate() takes one. */
  Server &add_certificate(std::string_view chain, std::string_view key) {
    detail::check(
        apus_server_add_certificate(handle(), nullptr, detail::text(chain), detail::text(key)));
    return *this;
  }
  int32_t port(int32_t listener = 0) const {
    return detail::check(apus_server_port(handle(), listener));
  }

  /* ---- routes: a handler takes (Request, Reply) */

  template <class Handler>
  Server &route(std::string_view method, std::string_view pattern, Handler &&handler) {
    using Kept = std::decay_t<Handler>;
    const detail::text name(method), path(pattern);
    detail::check(apus_server_route_named(handle(), name, path, handle_request<Kept>,
                                          detail::context(std::forward<Handler>(handler)),
                                          detail::drop<Kept>));
    return *this;
  }
  template <class Handler>
  Server &get(std::string_view pattern, Handler &&handler) {
    return route("GET", pattern, std::forward<Handler>(handler));
  }
  template <class Handler>
  Server &post(std::string_view pattern, Handler &&handler) {
    return route("POST", pattern, std::forward<Handler>(handler));
  }
  template <class Handler>
  Server &put(std::string_view pattern, Handler &&handler) {
    return route("PUT", pattern, std::forward<Handler>(handler));
  }
  template <class Handler>
  Server &patch(std::string_view pattern, Handler &&handler) {
    return route("PATCH", pattern, std::forward<Handler>(handler));
  }
  template <class Handler>
  Server &del(std::string_view pattern, Handler &&handler) {
    return route("DELETE", pattern, std::forward<Handler>(handler));
  }
  template <class Handler>
  Server &any(std::string_view pattern, Handler &&handler) {
    using Kept = std::decay_t<Handler>;
    const detail::text path(pattern);
    detail::check(apus_server_any(handle(), path, handle_request<Kept>,
                                  detail::context(std::forward<Handler>(handler)),
                                  detail::drop<Kept>));
    return *this;
  }
  /* Sees each request before its route's handler, as (Request, Reply); a reply ends it. */
  template <class Handler>
  Server &on_receive(Handler &&handler) {
    using Kept = std::decay_t<Handler>;
    detail::check(apus_server_on_receive(handle(), handle_request<Kept>,
                                         detail::context(std::forward<Handler>(handler)),
                                         detail::drop<Kept>));
    return *this;
  }
  /* Takes (Writer, Request): a stream of events, which breaks off unless it is ended, kept
   * elsewhere or detached. */
  template <class Handler>
  Server &events(std::string_view pattern, Handler &&handler) {
    using Kept = std::decay_t<Handler>;
    const detail::text path(pattern);
    detail::check(apus_server_events(handle(), path, handle_events<Kept>,
                                     detail::context(std::forward<Handler>(handler)),
                                     detail::drop<Kept>));
    return *this;
  }
  Server &websocket(std::string_view pattern, WebSocket does) {
    const detail::text path(pattern), protocols(does.protocols);
    using Open = decltype(does.open);
    using Heard = decltype(does.message);
    using Closed = decltype(does.close);
    const bool opens = static_cast<bool>(does.open);
    const int32_t route = detail::check(apus_server_websocket(
        handle(), path, handle_open<Open>,
        detail::context(opens ? std::move(does.open) : [](ChannelView, Request) {}),
        detail::drop<Open>));
    if (does.message) {
      detail::check(apus_server_on_message(handle(), route, ChannelView::message<Heard>,
                                           detail::context(std::move(does.message)),
                                           detail::drop<Heard>));
    }
    if (does.close) {
      detail::check(apus_server_on_close(handle(), route, ChannelView::closed<Closed>,
                                         detail::context(std::move(does.close)),
                                         detail::drop<Closed>));
    }
    if (!does.protocols.empty()) {
      detail::check(apus_server_set_protocols(handle(), route, protocols));
    }
    return *this;
  }
  Server &folder(std::string_view prefix, std::string_view path) {
    detail::check(apus_server_serve_folder(handle(), detail::text(prefix), detail::text(path)));
    return *this;
  }

  /* ---- its life */

  void start() { detail::check(apus_server_start(handle())); }
  /* Serves until it is stopped by another thread or by a callback. */
  void serve() { detail::check(apus_server_serve(handle())); }
  void stop() { detail::check(apus_server_stop(handle())); }
  bool is_running() const { return apus_server_is_running(handle()) == 1; }
  /* Runs the callbacks that wait, on this thread. */
  int32_t tick(int32_t timeout_ms) { return detail::check(apus_server_tick(handle(), timeout_ms)); }
  int32_t event_fd() const { return detail::check(apus_server_event_fd(handle())); }
  void wake() { detail::check(apus_server_wake(handle())); }

  /* ---- to all of a topic */

  void publish(std::string_view topic, Message message) {
    detail::check(apus_server_publish(handle(), detail::text(topic),
                                      message.is_text ? APUS_OPCODE_TEXT : APUS_OPCODE_BINARY,
                                      message.data.data(), message.data.size(), 0));
  }

 private:
  template <class Kept>
  static void handle_request(void *context, apus_request request) {
    if (detail::run<Kept>(context, Request(request), Reply(request))) return;
    /* It threw. A request that was deferred is somebody else's by now. */
    if (apus_request_defer(request) != APUS_OK) return;
    apus_reply_status(request, 500);
    apus_request_destroy(request);
  }
  template <class Kept>
  static void handle_events(void *context, apus_writer writer, apus_request request) {
    detail::run<Kept>(context, Writer(writer), Request(request));
  }
  template <class Kept>
  static void handle_open(void *context, apus_channel channel, apus_request request) {
    if (!detail::run<Kept>(context, ChannelView(channel), Request(request))) {
      apus_channel_close(channel, 1011, nullptr, 0);
    }
  }
};

}  // namespace apus

#endif /* APUS_SERVER_HPP */
