// Strict readers for what JavaScript passes. Each knows its path, so that every refusal reads the same:
//   [train] plan.batchSize: expected an integer from 1 to 1000000, got -3
//
// Reading a field may run JavaScript (getters, proxies), which may detach buffers and close handles. So read all
// fields first and call array() last; what array() returns is valid only until JavaScript runs again.
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "napi_setup.h"

namespace sluice::bindings {

/// Largest integer that a JavaScript number holds exactly with all below it.
inline constexpr uint64_t kMaxSafeInteger = (uint64_t{1} << 53) - 1;
inline constexpr size_t kMaxPathBytes = 4095;  // PATH_MAX without its NUL

using Entries = std::vector<std::pair<std::string, std::string>>;

template <typename T>
inline constexpr napi_typedarray_type kArrayType = napi_uint8_array;
template <>
inline constexpr napi_typedarray_type kArrayType<float> = napi_float32_array;
template <>
inline constexpr napi_typedarray_type kArrayType<int32_t> = napi_int32_array;
template <>
inline constexpr napi_typedarray_type kArrayType<int64_t> = napi_bigint64_array;
template <>
inline constexpr napi_typedarray_type kArrayType<uint64_t> = napi_biguint64_array;

/// One argument, or one field or element of it. All readers throw Error(E_ARGUMENT) unless said otherwise; what a
/// getter or proxy throws passes as it is.
class Arg {
 public:
  Arg(const char* op, std::string path, Napi::Value value) : op_(op), path_(std::move(path)), value_(value) {}

  /// Finite, in [min, max].
  double number(double min, double max) const;
  /// Finite and within the range of float.
  float real() const;
  uint64_t integer(uint64_t min, uint64_t max) const;
  uint32_t integer32(uint32_t min, uint32_t max) const { return static_cast<uint32_t>(integer(min, max)); }
  /// Milliseconds since 1970, any safe integer.
  int64_t time_ms() const;
  bool boolean() const;
  /// At most max_bytes of UTF-8, without NUL.
  std::string text(size_t min_bytes, size_t max_bytes) const;
  std::string path_text() const { return text(1, kMaxPathBytes); }
  /// The id of a training set: 32 lowercase hexadecimal digits, so no part of a path.
  std::string set_id() const;
  Napi::Function function() const;
  bool is_null() const { return value_.IsNull(); }

  Arg field(const char* name) const;
  bool has(const char* name) const;
  /// Elements of a plain array of at most `max`.
  std::vector<Arg> elements(size_t max) const;
  /// Own enumerable string properties of an object, all values strings of at most max_value_bytes.
  Entries dictionary(size_t max_entries, size_t max_key_bytes, size_t max_value_bytes) const;

  /// The value that one of the given names stands for.
  template <typename E, size_t N>
  E choice(const std::array<std::pair<const char*, E>, N>& names) const {
    const std::string given = value_.IsString() ? text(0, 64) : std::string();
    std::string expected;
    for (size_t i = 0; i < N; ++i) {
      if (value_.IsString() && given == names[i].first) return names[i].second;
      expected += (i == 0 ? "" : i + 1 == N ? " or " : ", ") + std::string("\"") + names[i].first + "\"";
    }
    fail(expected);
  }

  /// The elements of a typed array of exactly this type, neither detached nor over shared memory.
  template <typename T>
  std::span<const T> array() const {
    const RawArray raw = raw_array(kArrayType<T>, nullptr);
    return {static_cast<const T*>(raw.data), raw.length};
  }
  /// The same, of exactly this length.
  template <typename T>
  std::span<const T> array(size_t length) const {
    const RawArray raw = raw_array(kArrayType<T>, &length);
    return {static_cast<const T*>(raw.data), raw.length};
  }

  /// The open handle behind the value: E_ARGUMENT for anything else, E_CLOSED after close (see handles.h).
  template <typename H>
  std::shared_ptr<H> handle() const;

  const char* op() const { return op_; }
  const std::string& path() const { return path_; }
  Napi::Value value() const { return value_; }
  /// Throws "[op] path: expected <expected>, got <value>".
  [[noreturn]] void fail(const std::string& expected) const;

 private:
  struct RawArray {
    const void* data;
    size_t length;
  };
  RawArray raw_array(napi_typedarray_type type, const size_t* length) const;
  void require_object() const;

  const char* op_;  // a string literal
  std::string path_;
  Napi::Value value_;
};

}  // namespace sluice::bindings
