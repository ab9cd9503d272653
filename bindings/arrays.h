// Values for JavaScript from C++ memory: typed arrays, numbers that may be missing.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "napi_setup.h"

namespace sluice::bindings {

/// Throws E_ARGUMENT where `count` elements exceed what one typed array holds (4 GiB in Node.js 20). V8 ends the
/// process when it cannot allocate a buffer, so every large one is allocated here.
void check_array_bytes(uint64_t count, size_t width);

/// A typed array over the vector's own memory, or a copy where the vector is small.
Napi::Value to_typed_array(Napi::Env env, std::vector<uint64_t>&& values);
Napi::Value to_typed_array(Napi::Env env, std::vector<int64_t>&& values);
Napi::Value to_typed_array(Napi::Env env, std::vector<float>&& values);
Napi::Value to_typed_array(Napi::Env env, std::vector<int32_t>&& values);
Napi::Value to_typed_array(Napi::Env env, std::vector<uint8_t>&& values);

/// A number, or null.
Napi::Value optional_value(Napi::Env env, const std::optional<double>& value);

}  // namespace sluice::bindings
