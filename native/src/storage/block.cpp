#include "storage/block.h"

#include <cstddef>
#include <cstring>

#include "base/crc32c.h"
#include "storage/chunk.h"

namespace sluice {

namespace {

constexpr char kBlockMagic[8] = {'S', 'L', 'B', 'L', 'K', '3', '\n', '\0'};

struct Entry {
  BlockSums sums;
  uint32_t crc;  // of the block's number and the sums
};

uint32_t entry_crc(const BlockSums& sums, uint64_t block) { return crc32c(&sums, sizeof sums, crc32c(&block, sizeof block)); }

}  // namespace

BlockSums begun_sums(uint64_t block) {
  return {0, 0, chunk_seed(ChunkKind::kPayload, block), chunk_seed(ChunkKind::kBlockTimestamps, block), chunk_seed(ChunkKind::kBlockLabels, block)};
}

BlockSums extended(BlockSums sums, const RecordLayout& layout, uint64_t rows, const void* records, const void* timestamps, const void* labels) {
  return extended(sums, rows, crc32c(records, rows * layout.record_bytes, sums.records), timestamps, labels);
}

BlockSums extended(BlockSums sums, uint64_t rows, uint32_t records, const void* timestamps, const void* labels) {
  sums.rows += static_cast<uint32_t>(rows);
  sums.records = records;
  sums.timestamps = crc32c(timestamps, rows * 8, sums.timestamps);
  sums.labels = crc32c(labels, rows * 4, sums.labels);
  return sums;
}

std::string block_entry(const BlockSums& sums, uint64_t block) {
  const Entry entry{sums, entry_crc(sums, block)};
  return {reinterpret_cast<const char*>(&entry), sizeof entry};
}

std::optional<BlockSums> parse_block_entry(std::string_view bytes, uint64_t block) {
  Entry entry;
  if (bytes.size() != sizeof entry) return std::nullopt;
  std::memcpy(&entry, bytes.data(), sizeof entry);
  if (entry.crc != entry_crc(entry.sums, block)) return std::nullopt;
  return entry.sums;
}

std::string generation_entry(uint64_t segment, uint32_t generation) {
  const uint64_t place[] = {segment, generation};
  const uint32_t values[] = {generation, crc32c(place, sizeof place)};
  return {reinterpret_cast<const char*>(values), sizeof values};
}

std::optional<std::pair<uint64_t, uint32_t>> parse_generation(std::string_view key, std::string_view value) {
  uint64_t segment = 0;
  uint32_t generation = 0;
  if (key.size() != sizeof segment || value.size() != 2 * sizeof generation) return std::nullopt;
  std::memcpy(&segment, key.data(), sizeof segment);
  std::memcpy(&generation, value.data(), sizeof generation);
  if (value != generation_entry(segment, generation)) return std::nullopt;
  return std::pair{segment, generation};
}

BlockHeader block_header(const BlockSums& sums, uint64_t block, const RecordLayout& layout) {
  BlockHeader header{};
  std::memcpy(header.magic, kBlockMagic, sizeof kBlockMagic);
  header.first_key = block << layout.block_bits;
  header.record_bytes = layout.record_bytes;
  header.sums = sums;
  header.crc = crc32c(&header, offsetof(BlockHeader, crc));
  return header;
}

std::optional<BlockSums> parse_block_header(const BlockHeader& header, uint64_t block, const RecordLayout& layout) {
  const bool ours = std::memcmp(header.magic, kBlockMagic, sizeof kBlockMagic) == 0 && header.crc == crc32c(&header, offsetof(BlockHeader, crc)) &&
                    header.first_key == block << layout.block_bits && header.record_bytes == layout.record_bytes && header.sums.rows <= layout.block_rows();
  if (!ours) return std::nullopt;
  return header.sums;
}

}  // namespace sluice
