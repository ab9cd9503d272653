#include "base/crc32c.h"

#include <array>
#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace sluice {

namespace {

constexpr uint32_t kPolynomial = 0x82f63b78U;  // reflected

constexpr std::array<uint32_t, 256> make_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1U) != 0 ? kPolynomial : 0U);
    table[i] = crc;
  }
  return table;
}

uint32_t by_table(uint32_t crc, const uint8_t* data, size_t bytes) {
  static constexpr std::array<uint32_t, 256> kTable = make_table();
  for (size_t i = 0; i < bytes; ++i) crc = kTable[(crc ^ data[i]) & 0xffU] ^ (crc >> 8);
  return crc;
}

#if defined(__x86_64__)

/// crc of (what `crc` stands for) followed by `zeros` zero bytes, as a product in GF(2): lets streams be joined.
uint32_t times_matrix(const std::array<uint32_t, 32>& matrix, uint32_t vector) {
  uint32_t sum = 0;
  for (size_t i = 0; vector != 0; vector >>= 1, ++i) sum ^= (vector & 1U) != 0 ? matrix[i] : 0U;
  return sum;
}

constexpr size_t kBlock = 1024;  // bytes of each of the three interleaved streams

/// The operator that appends kBlock zero bytes, as four tables of 256.
std::array<std::array<uint32_t, 256>, 4> make_shift() {
  std::array<uint32_t, 32> op{};
  op[0] = kPolynomial;
  for (size_t i = 1; i < 32; ++i) op[i] = 1U << (i - 1);  // one zero bit
  for (size_t bits = 1; bits < 8 * kBlock; bits *= 2) {
    std::array<uint32_t, 32> square{};
    for (size_t i = 0; i < 32; ++i) square[i] = times_matrix(op, op[i]);
    op = square;
  }
  std::array<std::array<uint32_t, 256>, 4> tables{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    for (size_t t = 0; t < 4; ++t) tables[t][byte] = times_matrix(op, byte << (8 * t));
  }
  return tables;
}

uint32_t shift_block(uint32_t crc) {
  static const auto kTables = make_shift();
  return kTables[0][crc & 0xffU] ^ kTables[1][(crc >> 8) & 0xffU] ^ kTables[2][(crc >> 16) & 0xffU] ^ kTables[3][crc >> 24];
}

uint64_t word(const uint8_t* data) {
  uint64_t value;
  std::memcpy(&value, data, sizeof value);
  return value;
}

/// The instruction has a latency of three cycles: three independent streams keep it busy.
__attribute__((target("sse4.2"))) uint32_t by_instruction(uint32_t crc, const uint8_t* data, size_t bytes) {
  uint64_t a = crc;
  for (; bytes >= 3 * kBlock; data += 3 * kBlock, bytes -= 3 * kBlock) {
    uint64_t b = 0;
    uint64_t c = 0;
    for (size_t i = 0; i < kBlock; i += 8) {
      a = _mm_crc32_u64(a, word(data + i));
      b = _mm_crc32_u64(b, word(data + kBlock + i));
      c = _mm_crc32_u64(c, word(data + 2 * kBlock + i));
    }
    a = shift_block(shift_block(static_cast<uint32_t>(a)) ^ static_cast<uint32_t>(b)) ^ static_cast<uint32_t>(c);
  }
  for (; bytes >= 8; data += 8, bytes -= 8) a = _mm_crc32_u64(a, word(data));
  auto rest = static_cast<uint32_t>(a);
  for (; bytes > 0; ++data, --bytes) rest = _mm_crc32_u8(rest, *data);
  return rest;
}

#endif

}  // namespace

uint32_t crc32c(const void* data, size_t bytes, uint32_t seed) {
  const auto* at = static_cast<const uint8_t*>(data);
#if defined(__x86_64__)
  static const bool instruction = __builtin_cpu_supports("sse4.2") != 0;
  if (instruction) return ~by_instruction(~seed, at, bytes);
#endif
  return crc32c_portable(at, bytes, seed);
}

uint32_t crc32c_portable(const void* data, size_t bytes, uint32_t seed) { return ~by_table(~seed, static_cast<const uint8_t*>(data), bytes); }

}  // namespace sluice
