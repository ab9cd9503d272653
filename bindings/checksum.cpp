// Checksums of bytes that TypeScript reads: native/src/base/crc32c.h.
#include "base/crc32c.h"

#include "guard.h"
#include "module.h"

namespace sluice::bindings {

namespace {

// C++: uint32_t crc32c(const void* data, size_t bytes, uint32_t seed)
// TS:  crc32c(bytes: Uint8Array): number;
Napi::Value checksum(Call& call) {
  const std::span<const uint8_t> bytes = call.arg(0, "bytes").array<uint8_t>();
  return Napi::Number::New(call.env(), crc32c(bytes.data(), bytes.size()));
}

}  // namespace

void define_checksum(Napi::Object exports) { define<checksum>(exports, "crc32c"); }

}  // namespace sluice::bindings
