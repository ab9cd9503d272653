// How the records of a dataset are cut into checksum blocks and segment files, and where in a file what lies. All of it
// follows from a record's size alone, so that whoever reads computes what the writer did.
//
//   segment   64-byte header, then blocks of equal size, each in its place whether those before it are whole or not
//   block     64-byte header (block.h), records, timestamps (i64), labels (f32): each part with room for all rows of a
//             block, the whole filled up to a multiple of 64 bytes
#pragma once
#include <cstddef>
#include <cstdint>

namespace sluice {

inline constexpr uint64_t kSegmentHeaderBytes = 64;
inline constexpr uint64_t kBlockHeaderBytes = 64;

/// Rows of a block and of a segment are powers of two: the most that keep a block's records within 1 MiB and a segment's
/// within 1 GiB, at least one and at most kChunkRows and kRowsPerSegment. A block is read as a whole when one of its
/// records is touched for the first time, so a first batch of scattered large records reads little more than itself.
struct RecordLayout {
  explicit RecordLayout(size_t bytes);

  size_t record_bytes;
  unsigned block_bits, segment_bits;

  uint64_t block_rows() const { return uint64_t{1} << block_bits; }
  uint64_t segment_rows() const { return uint64_t{1} << segment_bits; }
  uint64_t blocks(uint64_t rows) const { return (rows + block_rows() - 1) >> block_bits; }
  uint64_t segments(uint64_t rows) const { return (rows + segment_rows() - 1) >> segment_bits; }
  uint64_t segment_of(uint64_t block) const { return block >> (segment_bits - block_bits); }
  /// Of block `block` when the dataset has `size` samples; the block holds one at least.
  uint64_t rows_of(uint64_t block, uint64_t size) const {
    const uint64_t left = size - (block << block_bits);
    return left < block_rows() ? left : block_rows();
  }

  uint64_t block_bytes() const { return (kBlockHeaderBytes + block_rows() * record_bytes + 7 + block_rows() * 12 + 63) / 64 * 64; }
  uint64_t segment_bytes() const { return kSegmentHeaderBytes + (segment_rows() >> block_bits) * block_bytes(); }
  /// Offsets in the block's segment file.
  uint64_t block_at(uint64_t block) const {
    const uint64_t in_segment = block & ((uint64_t{1} << (segment_bits - block_bits)) - 1);
    return kSegmentHeaderBytes + in_segment * block_bytes();
  }
  uint64_t records_at(uint64_t block) const { return block_at(block) + kBlockHeaderBytes; }
  uint64_t timestamps_at(uint64_t block) const { return (records_at(block) + block_rows() * record_bytes + 7) / 8 * 8; }
  uint64_t labels_at(uint64_t block) const { return timestamps_at(block) + block_rows() * 8; }
  uint64_t record_at(uint64_t key) const { return records_at(key >> block_bits) + (key & (block_rows() - 1)) * record_bytes; }
};

}  // namespace sluice
