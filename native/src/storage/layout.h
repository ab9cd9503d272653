// How the records of a dataset are cut into checksum blocks and segment files. Both follow from a record's size alone, so
// that whoever reads computes what the writer did.
#pragma once
#include <cstddef>
#include <cstdint>

namespace sluice {

/// Rows of a block and of a segment are powers of two: the most that keep a block within 1 MiB and a segment within
/// 1 GiB, at least one and at most kChunkRows and kRowsPerSegment. A block is read as a whole when one of its records is
/// touched for the first time, so a first batch of scattered large records reads little more than itself.
struct RecordLayout {
  explicit RecordLayout(size_t bytes);

  size_t record_bytes;
  unsigned block_bits, segment_bits;

  uint64_t block_rows() const { return uint64_t{1} << block_bits; }
  uint64_t segment_rows() const { return uint64_t{1} << segment_bits; }
  uint64_t blocks(uint64_t rows) const { return (rows + block_rows() - 1) >> block_bits; }
  uint64_t segments(uint64_t rows) const { return (rows + segment_rows() - 1) >> segment_bits; }
};

}  // namespace sluice
