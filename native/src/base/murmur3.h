// MurmurHash3, x64, 128 bits (Appleby, 2011, public domain algorithm): names content; no defence against forgery.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

namespace sluice {

/// Takes data in pieces whose lengths are multiples of 16, except the last one.
class Murmur3 {
 public:
  void update(const void* data, size_t bytes);
  /// 32 hexadecimal digits of everything so far.
  std::string hex() const;

 private:
  void mix(uint64_t k1, uint64_t k2);
  uint64_t h1_ = 0;
  uint64_t h2_ = 0;
  uint64_t length_ = 0;
  uint64_t tail1_ = 0;
  uint64_t tail2_ = 0;
};

}  // namespace sluice
