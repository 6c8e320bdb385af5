/*
 * client.hpp - requests to others, and their streams of events. Sections 12, 14 and 16 of
 * apus.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef APUS_CLIENT_HPP
#define APUS_CLIENT_HPP

#include <apus/base.hpp>

namespace apus {

/* What a server has answered. What it hands out is borrowed from it. */
class Response : public detail::Owner<apus_response_destroy> {
 public:
  using Owner::Owner;

  int32_t status() const { return detail::check(apus_response_status(handle())); }
  bool ok() const { return status() / 100 == 2; }
  std::string_view reason() const { return detail::present(apus_response_reason(handle())); }
  std::string_view url() const { return detail::present(apus_response_url(handle())); }
  std::string_view body() const { return *detail::found(apus_response_body, handle()); }
  std::optional<std::string_view> header(std::string_view name) const {
    const detail::text key(name);
    return detail::found(apus_response_header, handle(), static_cast<const char *>(key));
  }
  Fields headers() const {
    return detail::walk(handle(), apus_response_header_count, apus_response_header_at);
  }
};

/* A request that is built, and sent, maybe more than once. */
class Fetch : public detail::Owner<apus_fetch_destroy> {
 public:
  /* The host is a Client, or a Server that runs. */
  template <class Host>
  Fetch(const Host &host, std::string_view method, std::string_view url)
      : Owner(
            detail::made(apus_fetch_make(host.handle(), detail::text(method), detail::text(url)))) {
  }

  /* Calls one of apus_fetch_set_*(), as in set(apus_fetch_set_redirects, 0). */
  template <class... Parameters, class... Arguments>
  Fetch &set(int32_t (*setter)(apus_fetch, Parameters...), Arguments... arguments) {
    detail::check(setter(handle(), arguments...));
    return *this;
  }
  Fetch &header(std::string_view name, std::string_view value) {
    detail::check(apus_fetch_add_header(handle(), detail::text(name), detail::text(value)));
    return *this;
  }
  Fetch &query(std::string_view name, std::string_view value) {
    detail::check(apus_fetch_add_query(handle(), detail::text(name), detail::text(value)));
    return *this;
  }
  Fetch &field(std::string_view name, std::string_view value) {
    detail::check(apus_fetch_add_field(handle(), detail::text(name), detail::text(value)));
    return *this;
  }
  Fetch &body(std::string_view data, std::string_view type) {
    detail::check(apus_fetch_set_body(handle(), data.data(), data.size(), detail::text(type)));
    return *this;
  }

  /* Sends it, and waits for the whole answer. */
  Response send() { return kept(detail::made(apus_fetch_send(handle()))); }

  /* ---- or without waiting */

  /* Takes each piece of the body, a std::string_view, as it comes. */
  template <class Callable>
  Fetch &on_body(Callable &&callable) {
    using Kept = std::decay_t<Callable>;
    detail::check(apus_fetch_on_body(handle(), piece<Kept>,
                                     detail::context(std::forward<Callable>(callable)),
                                     detail::drop<Kept>));
    return *this;
  }
  /* Runs once, at the end: result() says what came of it. */
  template <class Callable>
  Fetch &on_complete(Callable &&callable) {
    using Kept = std::decay_t<Callable>;
    detail::check(apus_fetch_on_complete(handle(), complete<Kept>,
                                         detail::context(std::forward<Callable>(callable)),
                                         detail::drop<Kept>));
    return *this;
  }
  void start() { detail::check(apus_fetch_start(handle())); }
  bool wait(int32_t timeout_ms = -1) {
    return detail::check(apus_fetch_wait(handle(), timeout_ms)) == 1;
  }
  void cancel() { detail::check(apus_fetch_cancel(handle())); }
  /* The response of the latest run, or its error. */
  Response result() {
    detail::check(apus_fetch_result(handle()));
    return kept(detail::made(apus_fetch_response(handle())));
  }

 private:
  static Response kept(apus_response response) {
    detail::check(apus_response_keep(response));
    return Response(response);
  }
  template <class Kept>
  static void piece(void *context, apus_fetch fetch, const void *data, size_t length) {
    if (!detail::run<Kept>(context, std::string_view(static_cast<const char *>(data), length))) {
      apus_fetch_cancel(fetch);
    }
  }
  template <class Kept>
  static void complete(void *context, apus_fetch, apus_response, int32_t) {
    detail::run<Kept>(context);
  }
};

/* Keeps connections and cookies. */
class Client : public detail::Owner<apus_client_destroy> {
 public:
  Client() : Owner(detail::made(apus_client_make())) {}

  /* Calls one of apus_client_set_*(), as in set(apus_client_set_total_timeout, 5000). */
  template <class... Parameters, class... Arguments>
  Client &set(int32_t (*setter)(apus_client, Parameters...), Arguments... arguments) {
    detail::check(setter(handle(), arguments...));
    return *this;
  }
  Fetch fetch(std::string_view method, std::string_view url) { return Fetch(*this, method, url); }
  Response get(std::string_view url) { return fetch("GET", url).send(); }
  Response post(std::string_view url, std::string_view body, std::string_view type) {
    return fetch("POST", url).body(body, type).send();
  }

  /* Runs the callbacks that wait, on this thread. */
  int32_t tick(int32_t timeout_ms) { return detail::check(apus_client_tick(handle(), timeout_ms)); }
  int32_t event_fd() const { return detail::check(apus_client_event_fd(handle())); }
  void wake() { detail::check(apus_client_wake(handle())); }
};

/* One request over a connection of its own. */
inline Response get(std::string_view url) {
  return Response(detail::made(apus_get(detail::text(url), nullptr)));
}

/* An event that a source has brought, borrowed until its next one. */
struct SourceEvent {
  std::string_view type, id, data;
};

/* A stream of events that is connected anew when it ends. */
class Source : public detail::Owner<apus_source_destroy> {
 public:
  template <class Host>
  Source(const Host &host, std::string_view url)
      : Owner(detail::made(apus_source_make(host.handle(), detail::text(url)))) {}

  template <class... Parameters, class... Arguments>
  Source &set(int32_t (*setter)(apus_source, Parameters...), Arguments... arguments) {
    detail::check(setter(handle(), arguments...));
    return *this;
  }
  /* Takes a SourceEvent; next() is not for a source that has this. */
  template <class Callable>
  Source &on_event(Callable &&callable) {
    using Kept = std::decay_t<Callable>;
    detail::check(apus_source_on_event(handle(), event<Kept>,
                                       detail::context(std::forward<Callable>(callable)),
                                       detail::drop<Kept>));
    return *this;
  }
  Source &open() {
    detail::check(apus_source_open(handle()));
    return *this;
  }
  void close() { detail::check(apus_source_close(handle())); }
  /* Nothing when the time has passed; throws why it has closed for good. */
  std::optional<SourceEvent> next(int32_t timeout_ms = -1) {
    const char *type = nullptr, *id = nullptr, *data = nullptr;
    size_t length = 0;
    if (detail::check(apus_source_next(handle(), timeout_ms, &type, &id, &data, &length)) == 0) {
      return std::nullopt;
    }
    return SourceEvent{type, id, std::string_view(data, length)};
  }

 private:
  template <class Kept>
  static void event(void *context, apus_source, const char *type, const char *id, const char *data,
                    size_t length) {
    detail::run<Kept>(context, SourceEvent{type, id, std::string_view(data, length)});
  }
};

}  // namespace apus

#endif /* APUS_CLIENT_HPP */
