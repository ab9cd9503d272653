#include "arrays.h"

#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "args.h"
#include "base/error.h"

namespace sluice::bindings {

namespace {

constexpr uint64_t kMaxArrayBytes = (uint64_t{1} << 32) - 1;
/// Below this a copy into V8's own memory is cheaper than an external buffer with its finalizer.
constexpr size_t kExternalBytes = size_t{64} << 10;

napi_value copied_buffer(Napi::Env env, const void* values, size_t bytes) {
  void* data = nullptr;
  napi_value buffer = nullptr;
  if (napi_create_arraybuffer(env, bytes, &data, &buffer) != napi_ok) throw Napi::Error::New(env);
  if (bytes > 0) std::memcpy(data, values, bytes);
  return buffer;
}

template <typename T>
napi_value buffer_of(Napi::Env env, std::vector<T>&& values) {
  const size_t bytes = values.size() * sizeof(T);
  if (bytes < kExternalBytes) return copied_buffer(env, values.data(), bytes);
  const auto finalize = [](napi_env, void*, void* vector) { delete static_cast<std::vector<T>*>(vector); };
  auto* owner = new std::vector<T>(std::move(values));  // the finalizer's from here on
  napi_value buffer = nullptr;
  const napi_status status = napi_create_external_arraybuffer(env, owner->data(), bytes, finalize, owner, &buffer);
  if (status == napi_no_external_buffers_allowed) {
    const std::unique_ptr<std::vector<T>> own(owner);
    return copied_buffer(env, own->data(), bytes);
  }
  if (status != napi_ok) throw Napi::Error::New(env);
  return buffer;
}

template <typename T>
Napi::Value typed_array_of(Napi::Env env, std::vector<T>&& values) {
  const size_t length = values.size();
  check_array_bytes(length, sizeof(T));
  napi_value array = nullptr;
  if (napi_create_typedarray(env, kArrayType<T>, length, buffer_of(env, std::move(values)), 0, &array) != napi_ok)
    throw Napi::Error::New(env);
  return {env, array};
}

}  // namespace

void check_array_bytes(uint64_t count, size_t width) {
  if (count <= kMaxArrayBytes / width) return;
  throw Error(code::kArgument, std::to_string(count) + " values do not fit one typed array of at most 4 GiB; ask for fewer at a time");
}

Napi::Value to_typed_array(Napi::Env env, std::vector<uint64_t>&& values) { return typed_array_of(env, std::move(values)); }
Napi::Value to_typed_array(Napi::Env env, std::vector<int64_t>&& values) { return typed_array_of(env, std::move(values)); }
Napi::Value to_typed_array(Napi::Env env, std::vector<float>&& values) { return typed_array_of(env, std::move(values)); }
Napi::Value to_typed_array(Napi::Env env, std::vector<int32_t>&& values) { return typed_array_of(env, std::move(values)); }
Napi::Value to_typed_array(Napi::Env env, std::vector<uint8_t>&& values) { return typed_array_of(env, std::move(values)); }

Napi::Value optional_value(Napi::Env env, const std::optional<double>& value) {
  if (!value) return env.Null();
  return Napi::Number::New(env, *value);
}

}  // namespace sluice::bindings
