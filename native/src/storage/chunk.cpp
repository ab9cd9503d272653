#include "storage/chunk.h"

#include "base/crc32c.h"
#include "base/error.h"

namespace sluice {

ChunkView parse_chunk(std::string_view value, size_t width, const std::string& name) {
  const auto* header = reinterpret_cast<const ChunkHeader*>(value.data());
  if (value.size() < kMinChunkBytes || header->magic != kChunkMagic || header->width != width || header->rows > kChunkRows ||
      chunk_bytes(header->rows, width) > value.size()) {
    throw Error(code::kCorrupt, name + " is damaged: its header makes no sense");
  }
  return {header, reinterpret_cast<const uint8_t*>(value.data()) + sizeof(ChunkHeader)};
}

uint32_t chunk_seed(ChunkKind kind, uint64_t chunk) {
  const uint64_t place[] = {static_cast<uint64_t>(kind), chunk};
  return crc32c(place, sizeof place);
}

void check_chunk(const ChunkView& chunk, uint32_t seed, const std::string& name) {
  if (crc32c(chunk.rows, size_t{chunk.header->rows} * chunk.header->width, seed) != chunk.header->crc) {
    throw Error(code::kCorrupt, name + " is damaged: its checksum does not match");
  }
}

}  // namespace sluice
