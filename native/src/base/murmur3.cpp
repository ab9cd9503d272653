#include "base/murmur3.h"

#include <cstdio>
#include <cstring>

namespace sluice {

namespace {

constexpr uint64_t kC1 = 0x87c37b91114253d5ULL;
constexpr uint64_t kC2 = 0x4cf5ad432745937fULL;

constexpr uint64_t rotl(uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }

constexpr uint64_t finish(uint64_t k) {
  k = (k ^ (k >> 33)) * 0xff51afd7ed558ccdULL;
  k = (k ^ (k >> 33)) * 0xc4ceb9fe1a85ec53ULL;
  return k ^ (k >> 33);
}

constexpr uint64_t first(uint64_t k1) { return rotl(k1 * kC1, 31) * kC2; }
constexpr uint64_t second(uint64_t k2) { return rotl(k2 * kC2, 33) * kC1; }

}  // namespace

void Murmur3::mix(uint64_t k1, uint64_t k2) {
  h1_ = (rotl(h1_ ^ first(k1), 27) + h2_) * 5 + 0x52dce729;
  h2_ = (rotl(h2_ ^ second(k2), 31) + h1_) * 5 + 0x38495ab5;
}

void Murmur3::update(const void* data, size_t bytes) {
  const auto* at = static_cast<const uint8_t*>(data);
  length_ += bytes;
  for (; bytes >= 16; at += 16, bytes -= 16) {
    uint64_t words[2];
    std::memcpy(words, at, sizeof words);
    mix(words[0], words[1]);
  }
  uint8_t tail[16] = {};
  if (bytes > 0) std::memcpy(tail, at, bytes);
  std::memcpy(&tail1_, tail, 8);
  std::memcpy(&tail2_, tail + 8, 8);
}

std::string Murmur3::hex() const {
  uint64_t h1 = h1_ ^ first(tail1_);
  uint64_t h2 = h2_ ^ second(tail2_);
  h1 ^= length_;
  h2 ^= length_;
  h1 += h2;
  h2 += h1;
  h1 = finish(h1);
  h2 = finish(h2);
  h1 += h2;
  h2 += h1;
  char text[33];
  std::snprintf(text, sizeof text, "%016llx%016llx", static_cast<unsigned long long>(h1), static_cast<unsigned long long>(h2));
  return text;
}

}  // namespace sluice
