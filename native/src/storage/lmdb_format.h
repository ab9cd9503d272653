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

/// The number at an offset of a page, a node or a meta page.
template <typename T>
T field(const uint8_t* bytes, size_t offset) {
  T value;
  std::memcpy(&value, bytes + offset, sizeof value);
  return value;
}

}  // namespace sluice::lmdb_format
