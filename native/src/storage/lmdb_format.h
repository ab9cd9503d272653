// LMDB 0.9's file format, as far as we read it without LMDB (lmdb.h, mdb.c: MDB_page, MDB_meta).
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace sluice::lmdb_format {

inline constexpr uint32_t kMagic = 0xBEEFC0DE;
inline constexpr uint32_t kVersion = 1;
inline constexpr size_t kPageHeader = 16;
inline constexpr size_t kMetaBytes = 136;
inline constexpr uint16_t kOverflowPage = 0x04;
inline constexpr uint64_t kMinPageBytes = 512, kMaxPageBytes = 32768;

constexpr bool is_page_size(uint64_t bytes) { return bytes >= kMinPageBytes && bytes <= kMaxPageBytes && (bytes & (bytes - 1)) == 0; }

inline constexpr size_t kNodeHeader = 8;
/// The most that a node takes in its page.
constexpr size_t most_node_bytes(size_t page_bytes) { return ((page_bytes - kPageHeader) / 2 & ~size_t{1}) - 2; }

/// The number at an offset of a page, a node or a meta page.
template <typename T>
T field(const uint8_t* bytes, size_t offset) {
  T value;
  std::memcpy(&value, bytes + offset, sizeof value);
  return value;
}

}  // namespace sluice::lmdb_format
