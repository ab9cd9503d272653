// One chunk value of the index: up to kChunkRows consecutive samples' values of one column, behind a checksum.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "storage/dataset.h"

namespace sluice {

struct ChunkHeader {
  uint32_t magic;
  uint32_t crc;    // CRC32C of the rows' bytes, begun with chunk_seed()
  uint32_t rows;
  uint32_t width;  // bytes of one value
};
static_assert(sizeof(ChunkHeader) == 16);

inline constexpr uint32_t kChunkMagic = 0x31434c53;  // "SLC1"
/// LMDB keeps a value this long in pages of its own, whatever their size (at most 32 KiB), behind a page header of 16
/// bytes: the rows are aligned to 16.
inline constexpr size_t kMinChunkBytes = 16384;

/// Bytes of a chunk value with so many rows.
constexpr size_t chunk_bytes(uint64_t rows, size_t width) {
  const size_t bytes = sizeof(ChunkHeader) + rows * width;
  return bytes < kMinChunkBytes ? kMinChunkBytes : bytes;
}

/// What a chunk's checksum begins with: its place. Sound bytes in a wrong place, where a damaged tree leads to, do not pass.
enum class ChunkKind : uint32_t { kTimestamp, kLabel, kPayload, kMetadata, kBlockTimestamps, kBlockLabels };
uint32_t chunk_seed(ChunkKind kind, uint64_t chunk);

struct ChunkView {
  const ChunkHeader* header;
  const uint8_t* rows;
};

/// Checks a value's shape: magic, width, rows against its length. The checksum is left to check_chunk().
ChunkView parse_chunk(std::string_view value, size_t width, const std::string& name);
/// E_CORRUPT unless the rows have the checksum of the header.
void check_chunk(const ChunkView& chunk, uint32_t seed, const std::string& name);

}  // namespace sluice
