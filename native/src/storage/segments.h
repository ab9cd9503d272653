// The payload of a dataset: segment files of checksum blocks (see layout.h). Blocks hold timestamps and labels, too: the
// index can be made from them.
#pragma once
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <vector>

#include "base/file.h"
#include "storage/block.h"
#include "storage/layout.h"

namespace sluice {

/// Rows of one block, behind the `before` rows that it has already.
struct BlockRows {
  uint64_t block, before, rows;
  const uint8_t* records;
  const int64_t* timestamps;
  const float* labels;
};

class Segments {
 public:
  Segments(std::string folder, size_t record_bytes) : folder_(std::move(folder)), layout_(record_bytes) {}

  const RecordLayout& layout() const { return layout_; }

  /// Addresses of every segment file that holds keys below `size`, mapped and checked: E_CORRUPT when one is missing,
  /// shorter than its records need, or not ours. Addresses stay valid as long as this object.
  std::vector<const uint8_t*> map(uint64_t size);

  std::string path(uint64_t segment) const;
  /// The segment's file for writing, created when missing.
  File open_for_writing(uint64_t segment) const;
  /// Whether the file begins as this segment does.
  bool is_header_sound(const File& file, uint64_t segment) const;
  void write_header(const File& file, uint64_t segment) const;
  /// Bytes of the segment's file that samples up to `size` need.
  uint64_t bytes_needed(uint64_t segment, uint64_t size) const;

 private:
  void create(uint64_t segment) const;
  void check_header(const File& file, uint64_t segment) const;

  std::string folder_;
  RecordLayout layout_;
  std::mutex mutex_;
  std::deque<Mapping> mappings_;  // of whole segments: a file that grows fills its mapping
};

/// The rows of an append on their way into the files.
class SegmentWriter {
 public:
  explicit SegmentWriter(const Segments& segments) : segments_(segments) {}
  /// Writes rows and then the block's header; bytes behind the committed end, left by a crash, are overwritten. `sums`: of
  /// the block with these rows.
  void add(const BlockRows& rows, const BlockSums& sums);
  /// Makes what was added durable.
  void sync() const;

 private:
  const Segments& segments_;
  std::vector<std::pair<uint64_t, File>> files_;  // by segment, in the order of writing
};

}  // namespace sluice
