// SipHash-1-3 (Aumasson and Bernstein, 2012): a keyed hash of short texts, whose collisions nobody can choose who does not know the key.
#pragma once
#include <cstddef>
#include <cstdint>

namespace sluice {

struct SipKey {
  uint64_t low = 0, high = 0;
};

uint64_t siphash(const SipKey& key, const void* data, size_t bytes);

}  // namespace sluice
