/*
 * channel.hpp - WebSockets of either end. Sections 10 and 12 of apus.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef APUS_CHANNEL_HPP
#define APUS_CHANNEL_HPP

#include <apus/base.hpp>

namespace apus {

/* A message, borrowed: inside a callback, or until the next receive. */
struct Message {
  std::string_view data;
  bool is_text;
};

/* A channel that the library, or a Channel, ends. */
class ChannelView {
 public:
  explicit ChannelView(apus_channel handle) noexcept : view_(handle) {}
  apus_channel handle() const noexcept { return view_; }

  bool is_open() const { return apus_channel_is_connected(view_) == 1; }
  std::string_view path() const { return detail::present(apus_channel_path(view_)); }
  std::string_view protocol() const { return detail::present(apus_channel_protocol(view_)); }

  void send(Message message) {
    if (!try_send(message)) throw error::last();
  }
  void send_text(std::string_view text) { send({text, true}); }
  void send_binary(std::string_view data) { send({data, false}); }
  /* false: above the high-water mark, and nothing was taken. */
  bool try_send(Message message) {
    const auto send = message.is_text ? apus_channel_send_text : apus_channel_send_binary;
    return detail::taken(send(view_, message.data.data(), message.data.size()));
  }
  void close(int32_t code = 1000, std::string_view reason = {}) {
    detail::check(apus_channel_close(view_, code, reason.data(), reason.size()));
  }
  void subscribe(std::string_view topic) {
    detail::check(apus_channel_subscribe(view_, detail::text(topic)));
  }
  void unsubscribe(std::string_view topic) {
    detail::check(apus_channel_unsubscribe(view_, detail::text(topic)));
  }

  /* ---- listeners; each is added to those that there are */

  /* Takes (ChannelView, Message). */
  template <class Callable>
  void on_message(Callable &&callable) {
    using Kept = std::decay_t<Callable>;
    detail::check(apus_channel_on_message(view_, message<Kept>,
                                          detail::context(std::forward<Callable>(callable)),
                                          detail::drop<Kept>));
  }
  /* Takes (ChannelView, int32_t code, std::string_view reason). */
  template <class Callable>
  void on_close(Callable &&callable) {
    using Kept = std::decay_t<Callable>;
    detail::check(apus_channel_on_close(view_, closed<Kept>,
                                        detail::context(std::forward<Callable>(callable)),
                                        detail::drop<Kept>));
  }
  /* Takes (ChannelView). */
  template <class Callable>
  void on_drain(Callable &&callable) {
    using Kept = std::decay_t<Callable>;
    detail::check(apus_channel_on_drain(
        view_, event<Kept>, detail::context(std::forward<Callable>(callable)), detail::drop<Kept>));
  }

 protected:
  friend class Server;

  /* What the library calls: whoever throws has the channel closed. */
  template <class Kept>
  static void message(void *context, apus_channel channel, int32_t opcode, const void *data,
                      size_t length) {
    const std::string_view bytes(static_cast<const char *>(data), length);
    if (!detail::run<Kept>(context, ChannelView(channel),
                           Message{bytes, opcode == APUS_OPCODE_TEXT})) {
      apus_channel_close(channel, 1011, nullptr, 0);
    }
  }
  template <class Kept>
  static void closed(void *context, apus_channel channel, int32_t code, const char *reason,
                     size_t length) {
    detail::run<Kept>(context, ChannelView(channel), code, std::string_view(reason, length));
  }
  template <class Kept>
  static void event(void *context, apus_channel channel) {
    if (!detail::run<Kept>(context, ChannelView(channel))) {
      apus_channel_close(channel, 1011, nullptr, 0);
    }
  }

  apus_channel view_;
};

/* A channel of one's own: the client's end, or a server's that was kept. Its end closes
 * it. */
class Channel : public ChannelView {
 public:
  /* The client's end, closed as yet; its host is a Client, or a Server that runs. */
  template <class Host>
  explicit Channel(const Host &host) : Channel(detail::made(apus_channel_make(host.handle()))) {}
  /* One of a server's, for longer than its close. */
  static Channel keep(ChannelView view) {
    detail::check(apus_channel_keep(view.handle()));
    return Channel(view.handle());
  }
  Channel(Channel &&other) noexcept
      : ChannelView(std::exchange(other.view_, 0)), owner_(std::move(other.owner_)) {}
  Channel &operator=(Channel &&other) noexcept {
    owner_ = std::move(other.owner_);
    view_ = owner_.handle();
    other.view_ = other.owner_.handle();
    return *this;
  }

  /* Calls one of apus_channel_set_*(), as in set(apus_channel_set_deflate, 0). */
  template <class... Parameters, class... Arguments>
  Channel &set(int32_t (*setter)(apus_channel, Parameters...), Arguments... arguments) {
    detail::check(setter(view_, arguments...));
    return *this;
  }
  Channel &add_header(std::string_view name, std::string_view value) {
    detail::check(apus_channel_add_header(view_, detail::text(name), detail::text(value)));
    return *this;
  }
  /* Begins to connect. */
  Channel &open(std::string_view url) {
    detail::check(apus_channel_open(view_, detail::text(url)));
    return *this;
  }
  /* false: the time has passed. Throws why it is closed. */
  bool wait_open(int32_t timeout_ms = -1) {
    return detail::check(apus_channel_wait_open(view_, timeout_ms)) == 1;
  }
  template <class Callable>
  void on_open(Callable &&callable) {
    using Kept = std::decay_t<Callable>;
    detail::check(apus_channel_on_open(
        view_, event<Kept>, detail::context(std::forward<Callable>(callable)), detail::drop<Kept>));
  }
  /* The next message; nothing when the time has passed, or the channel has closed. */
  std::optional<Message> receive(int32_t timeout_ms = -1) {
    apus_message message;
    const int32_t result = apus_channel_recv(view_, &message, timeout_ms);
    if (result == 0 || result == APUS_E_CLOSED) return std::nullopt;
    detail::check(result);
    const std::string_view bytes(static_cast<const char *>(message.data), message.length);
    return Message{bytes, message.opcode == APUS_OPCODE_TEXT};
  }

 private:
  explicit Channel(apus_channel handle) noexcept : ChannelView(handle), owner_(handle) {}

  detail::Owner<apus_channel_destroy> owner_;
};

}  // namespace apus

#endif /* APUS_CHANNEL_HPP */
