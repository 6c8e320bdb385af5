/*
 * base.hpp - what the other headers of apus.hpp share: errors, handles that end with their
 * scope, callables as callbacks.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef APUS_BASE_HPP
#define APUS_BASE_HPP

#include <apus.h>

#include <atomic>
#include <exception>
#include <functional>
#include <iostream>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace apus {

/* What a call that failed says: one of APUS_E_*, and a sentence. */
class error : public std::runtime_error {
 public:
  error(int32_t code, const std::string &message) : std::runtime_error(message), code_(code) {}
  static error last() { return error(apus_last_error(), apus_last_error_message()); }
  int32_t code() const noexcept { return code_; }
  const char *name() const noexcept { return apus_error_name(code_); }

 private:
  int32_t code_;
};

/* Takes what a callback has thrown; it must not throw itself. */
using exception_fn = void (*)(const std::exception_ptr &thrown) noexcept;

namespace detail {

inline void report(const std::exception_ptr &thrown) noexcept {
  try {
    std::rethrow_exception(thrown);
  } catch (const std::exception &e) {
    std::cerr << "apus: a callback failed: " << e.what() << std::endl;
  } catch (...) {
    std::cerr << "apus: a callback failed" << std::endl;
  }
}

inline std::atomic<exception_fn> &reporter() {
  static std::atomic<exception_fn> fn{report};
  return fn;
}

template <class Number>
Number check(Number result) {
  if (result < 0) throw error::last();
  return result;
}

inline uint64_t made(uint64_t handle) {
  if (handle == 0) throw error::last();
  return handle;
}

/* Text that the library wants with a NUL behind it, and none inside. */
class text {
 public:
  text(std::string_view from) : text_(from) {
    if (text_.find('\0') != std::string::npos) throw error(APUS_E_ARGUMENT, "a NUL inside text");
  }
  operator const char *() const { return text_.c_str(); }

 private:
  std::string text_;
};

/* A result that may be missing, of a function with a length as its last argument. */
template <class Get, class... Arguments>
std::optional<std::string_view> found(Get get, Arguments... arguments) {
  size_t length = 0;
  const void *data = get(arguments..., &length);
  if (data != nullptr) return std::string_view(static_cast<const char *>(data), length);
  if (apus_last_error() == APUS_E_NOT_FOUND) return std::nullopt;
  throw error::last();
}

inline std::string_view present(const char *text) {
  if (text == nullptr) throw error::last();
  return text;
}

using fields = std::vector<std::pair<std::string_view, std::string_view>>;

template <class Count, class At>
fields walk(uint64_t handle, Count count, At at) {
  fields all;
  const int32_t end = check(count(handle));
  for (int32_t index = 0; index < end; index++) {
    const char *name = nullptr, *value = nullptr;
    size_t length = 0;
    check(at(handle, index, &name, &value, &length));
    all.emplace_back(name, std::string_view(value, length));
  }
  return all;
}

/* false: full, and nothing was taken. */
inline bool taken(int32_t result) {
  if (result == APUS_E_FULL) return false;
  return check(result) >= 0;
}

/* A callable as the library keeps it: its context, and what ends that. */
template <class Callable>
void *context(Callable &&callable) {
  return new std::decay_t<Callable>(std::forward<Callable>(callable));
}

template <class Callable>
void drop(void *context) {
  delete static_cast<Callable *>(context);
}

/* Calls what a context holds; false if it has thrown, which is reported. */
template <class Callable, class... Arguments>
bool run(void *context, Arguments &&...arguments) noexcept {
  try {
    (*static_cast<Callable *>(context))(std::forward<Arguments>(arguments)...);
    return true;
  } catch (...) {
    reporter().load()(std::current_exception());
    return false;
  }
}

/* A handle that ends with its scope. */
template <int32_t (*Destroy)(uint64_t)>
class Owner {
 public:
  explicit Owner(uint64_t handle = 0) noexcept : handle_(handle) {}
  Owner(Owner &&other) noexcept : handle_(std::exchange(other.handle_, 0)) {}
  Owner &operator=(Owner &&other) noexcept {
    if (this != &other) reset(std::exchange(other.handle_, 0));
    return *this;
  }
  ~Owner() { reset(); }
  uint64_t handle() const noexcept { return handle_; }
  explicit operator bool() const noexcept { return handle_ != 0; }
  uint64_t release() noexcept { return std::exchange(handle_, 0); }
  void reset(uint64_t handle = 0) noexcept {
    if (handle_ != 0) Destroy(handle_);
    handle_ = handle;
  }

 private:
  uint64_t handle_;
};

}  // namespace detail

/* Has fn told what callbacks throw, in place of std::cerr. */
inline void on_exception(exception_fn fn) { detail::reporter() = fn ? fn : detail::report; }

using Fields = detail::fields;

}  // namespace apus

#endif /* APUS_BASE_HPP */
