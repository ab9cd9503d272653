#include "base/crc32c.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/rng.h"

namespace sluice {
namespace {

/// The definition, bit by bit.
uint32_t reference(const uint8_t* data, size_t bytes) {
  uint32_t crc = ~0U;
  for (size_t i = 0; i < bytes; ++i) {
    crc ^= data[i];
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1U) != 0 ? 0x82f63b78U : 0U);
  }
  return ~crc;
}

TEST(Crc32c, BothPathsEqualTheDefinitionForEveryLengthAndAlignment) {
  std::vector<uint8_t> bytes(10'000);
  Rng rng(1);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(rng.next());
  std::vector<size_t> lengths{1023, 1024, 3071, 3072, 3073, 6143, 6144, 6151, 9991};  // around the interleaved streams' blocks
  for (size_t n = 0; n < 64; ++n) lengths.push_back(n);
  for (const size_t n : lengths) {
    for (size_t at = 0; at < 9; ++at) {
      const uint32_t expected = reference(bytes.data() + at, n);
      ASSERT_EQ(crc32c(bytes.data() + at, n), expected) << n << " bytes at " << at;
      ASSERT_EQ(crc32c_portable(bytes.data() + at, n), expected) << n << " bytes at " << at;
    }
  }
}

}  // namespace
}  // namespace sluice
