#include "base/siphash.h"

#include <bit>
#include <cstring>

namespace sluice {

namespace {

struct State {
  uint64_t v0, v1, v2, v3;

  void round() {
    v0 += v1;
    v1 = std::rotl(v1, 13) ^ v0;
    v0 = std::rotl(v0, 32);
    v2 += v3;
    v3 = std::rotl(v3, 16) ^ v2;
    v0 += v3;
    v3 = std::rotl(v3, 21) ^ v0;
    v2 += v1;
    v1 = std::rotl(v1, 17) ^ v2;
    v2 = std::rotl(v2, 32);
  }

  void add(uint64_t word) {
    v3 ^= word;
    round();
    v0 ^= word;
  }
};

}  // namespace

uint64_t siphash(const SipKey& key, const void* data, size_t bytes) {
  State state{key.low ^ 0x736f6d6570736575, key.high ^ 0x646f72616e646f6d, key.low ^ 0x6c7967656e657261, key.high ^ 0x7465646279746573};
  const auto* at = static_cast<const uint8_t*>(data);
  const uint8_t* whole = at + bytes / 8 * 8;
  for (; at != whole; at += 8) {
    uint64_t word;
    std::memcpy(&word, at, sizeof word);
    state.add(word);
  }
  uint64_t rest = static_cast<uint64_t>(bytes) << 56;
  for (size_t i = 0; i < bytes % 8; ++i) rest |= static_cast<uint64_t>(whole[i]) << (8 * i);
  state.add(rest);
  state.v2 ^= 0xff;
  for (int i = 0; i < 3; ++i) state.round();
  return state.v0 ^ state.v1 ^ state.v2 ^ state.v3;
}

}  // namespace sluice
