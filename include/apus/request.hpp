/*
 * request.hpp - what a client has sent, and what goes back: at once, later, in pieces, as
 * events. Sections 6 to 8 and 16 of apus.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef APUS_REQUEST_HPP
#define APUS_REQUEST_HPP

#include <apus/base.hpp>

namespace apus {

/* A reply in pieces, from any thread; unless it ended, its end breaks the reply off. */
class Writer : public detail::Owner<apus_writer_destroy> {
 public:
  using Owner::Owner;

  bool is_connected() const { return apus_writer_is_connected(handle()) == 1; }
  Writer &begin(int64_t length = -1) {
    detail::check(apus_writer_begin(handle(), length));
    return *this;
  }
  /* false: above the high-water mark, and nothing was taken. */
  bool try_write(std::string_view data) {
    return detail::taken(apus_writer_write(handle(), data.data(), data.size()));
  }
  Writer &write(std::string_view data) {
    detail::check(apus_writer_write(handle(), data.data(), data.size()));
    return *this;
  }
  void end() { detail::check(apus_writer_end(handle())); }
  /* Leaves it to the library, which ends it with its client. */
  void detach() {
    detail::check(apus_writer_detach(handle()));
    release();
  }
  /* Runs when what waited has fallen to half of the mark. The callable of both takes (Writer &),
   * lent for as long as it runs, or nothing. */
  template <class Callable>
  Writer &on_drain(Callable &&callable) {
    return hear(apus_writer_on_drain, std::forward<Callable>(callable));
  }
  template <class Callable>
  Writer &on_close(Callable &&callable) {
    return hear(apus_writer_on_close, std::forward<Callable>(callable));
  }

  /* ---- of events alone */

  /* event "": "message"; id nothing: as before. */
  Writer &event(std::string_view data, std::string_view event = {},
                std::optional<std::string_view> id = std::nullopt) {
    if (!try_event(data, event, id)) throw error::last();
    return *this;
  }
  bool try_event(std::string_view data, std::string_view event = {},
                 std::optional<std::string_view> id = std::nullopt) {
    const detail::text type(event), mark(id.value_or(""));
    return detail::taken(apus_writer_event(
        handle(), type, id ? static_cast<const char *>(mark) : nullptr, data.data(), data.size()));
  }
  Writer &subscribe(std::string_view topic) {
    detail::check(apus_writer_subscribe(handle(), detail::text(topic)));
    return *this;
  }

 private:
  template <class Callable>
  Writer &hear(int32_t (*set)(apus_writer, apus_writer_fn, void *, apus_drop_fn),
               Callable &&callable) {
    using Kept = std::decay_t<Callable>;
    detail::check(set(handle(), heard<Kept>, detail::context(std::forward<Callable>(callable)),
                      detail::drop<Kept>));
    return *this;
  }
  template <class Kept>
  static void heard(void *context, apus_writer handle) {
    if constexpr (std::is_invocable_v<Kept &, Writer &>) {
      Writer writer(handle);
      detail::run<Kept>(context, writer);
      if (writer.handle() == handle) writer.release();
    } else {
      detail::run<Kept>(context);
    }
  }
};

/* A view of a request: good until its handler returns, or a Deferred ends. */
class Request {
 public:
  explicit Request(apus_request handle) noexcept : handle_(handle) {}
  apus_request handle() const noexcept { return handle_; }

  std::string_view method() const { return detail::present(apus_request_method_name(handle_)); }
  std::string_view target() const { return detail::present(apus_request_target(handle_)); }
  std::string_view path() const { return detail::present(apus_request_path(handle_)); }
  std::string_view query() const { return detail::present(apus_request_query(handle_)); }
  std::string_view scheme() const { return detail::present(apus_request_scheme(handle_)); }
  std::string_view host() const { return detail::present(apus_request_host(handle_)); }
  std::string_view client_ip() const { return detail::present(apus_request_client_ip(handle_)); }
  std::string_view body() const { return *detail::found(apus_request_body, handle_); }

  std::optional<std::string_view> header(std::string_view name) const {
    const detail::text key(name);
    return detail::found(apus_request_header, handle_, static_cast<const char *>(key));
  }
  /* A parameter of the route's pattern. */
  std::optional<std::string_view> param(std::string_view name) const {
    const detail::text key(name);
    return detail::found(apus_request_param, handle_, static_cast<const char *>(key));
  }
  std::optional<std::string_view> query_param(std::string_view name) const {
    const detail::text key(name);
    return detail::found(apus_request_query_param, handle_, static_cast<const char *>(key));
  }
  Fields headers() const {
    return detail::walk(handle_, apus_request_header_count, apus_request_header_at);
  }
  Fields params() const {
    return detail::walk(handle_, apus_request_param_count, apus_request_param_at);
  }
  Fields query_params() const {
    return detail::walk(handle_, apus_request_query_param_count, apus_request_query_param_at);
  }

 private:
  apus_request handle_;
};

/* A view of the reply that a request is due. */
class Reply {
 public:
  explicit Reply(apus_request handle) noexcept : handle_(handle) {}

  Reply &set_status(int32_t status) {
    detail::check(apus_reply_set_status(handle_, status));
    return *this;
  }
  Reply &set_header(std::string_view name, std::string_view value) {
    detail::check(apus_reply_set_header(handle_, detail::text(name), detail::text(value)));
    return *this;
  }
  Reply &add_header(std::string_view name, std::string_view value) {
    detail::check(apus_reply_add_header(handle_, detail::text(name), detail::text(value)));
    return *this;
  }

  /* ---- these complete it */

  void text(std::string_view body, int32_t status = 200) {
    data(body, "text/plain; charset=utf-8", status);
  }
  void html(std::string_view body, int32_t status = 200) {
    data(body, "text/html; charset=utf-8", status);
  }
  void json(std::string_view body, int32_t status = 200) { data(body, "application/json", status); }
  void data(std::string_view body, std::string_view type, int32_t status = 200) {
    detail::check(apus_reply(handle_, status, detail::text(type), body.data(), body.size()));
  }
  void status(int32_t status) { detail::check(apus_reply_status(handle_, status)); }
  void redirect(std::string_view location, int32_t status = 302) {
    detail::check(apus_reply_redirect(handle_, detail::text(location), status));
  }
  void file(std::string_view path) {
    detail::check(apus_reply_file(handle_, detail::text(path), nullptr));
  }

  /* ---- or these take it in hand */

  Writer writer() { return Writer(detail::made(apus_writer_make(handle_))); }
  Writer events() { return Writer(detail::made(apus_writer_make_events(handle_))); }

 private:
  apus_request handle_;
};

/* A request that outlives its handler, for any thread. One that ends without a reply gets
 * 500. */
class Deferred : public detail::Owner<apus_request_destroy> {
 public:
  explicit Deferred(Request request) : Owner(deferred(request)) {}
  Request request() const { return Request(handle()); }
  Reply reply() const { return Reply(handle()); }

 private:
  static apus_request deferred(Request request) {
    detail::check(apus_request_defer(request.handle()));
    return request.handle();
  }
};

}  // namespace apus

#endif /* APUS_REQUEST_HPP */
