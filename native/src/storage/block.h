// What is known about the bytes of one checksum block of a segment: kept in the index, which decides, and once more at the
// block's head, so that an index that was lost can be made from the segments alone.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "storage/layout.h"

namespace sluice {

/// Checksums of the first `rows` rows, each CRC32C begun with the block's place (chunk_seed()), so that they grow with it.
struct BlockSums {
  uint32_t rows = 0;
  uint32_t generation = 0;  // how often the block was written anew
  uint32_t records = 0, timestamps = 0, labels = 0;
  bool operator==(const BlockSums&) const = default;
};

/// Of a block without rows.
BlockSums begun_sums(uint64_t block);
/// With `rows` more rows behind those it has.
BlockSums extended(BlockSums sums, const RecordLayout& layout, uint64_t rows, const void* records, const void* timestamps, const void* labels);

/// The same where `records` is the checksum of the records with those rows already, as for records that lie in files.
BlockSums extended(BlockSums sums, uint64_t rows, uint32_t records, const void* timestamps, const void* labels);

/// As the index keeps it. parse: nothing where the entry is damaged.
std::string block_entry(const BlockSums& sums, uint64_t block);
std::optional<BlockSums> parse_block_entry(std::string_view entry, uint64_t block);

/// Generation of a segment's file, by segment, where it is not 0: how often it was replaced.
using SegmentGenerations = std::map<uint64_t, uint32_t>;
/// As the index keeps one. parse: nothing where the entry is damaged.
std::string generation_entry(uint64_t segment, uint32_t generation);
std::optional<std::pair<uint64_t, uint32_t>> parse_generation(std::string_view key, std::string_view value);

/// As the block begins. A header may be torn by a crash during an append, and then says nothing.
struct BlockHeader {
  char magic[8];
  uint64_t first_key;
  uint64_t record_bytes;
  BlockSums sums;
  uint8_t reserved[16];
  uint32_t crc;  // of the fields above
};
static_assert(sizeof(BlockHeader) == kBlockHeaderBytes);

BlockHeader block_header(const BlockSums& sums, uint64_t block, const RecordLayout& layout);
/// The header's sums; nothing where it is not that of this block.
std::optional<BlockSums> parse_block_header(const BlockHeader& header, uint64_t block, const RecordLayout& layout);

}  // namespace sluice
