// The payload of a dataset: segment files of checksum blocks (see layout.h). Blocks hold timestamps and labels, too: the
// index can be made from them.
#pragma once
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "base/file.h"
#include "storage/block.h"
#include "storage/layout.h"

namespace sluice {

/// Rows of one block, behind the `before` rows that it has already. records: null where they lie in files.
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
  std::vector<const uint8_t*> map(uint64_t size, const SegmentGenerations& generations);

  /// A segment that was replaced has its generation in its name: NNNNNNNN.G.seg.
  std::string path(uint64_t segment, uint32_t generation) const;
  std::string path(uint64_t segment, const SegmentGenerations& generations) const { return path(segment, generation_of(segment, generations)); }
  static uint32_t generation_of(uint64_t segment, const SegmentGenerations& generations) {
    const auto entry = generations.find(segment);
    return entry == generations.end() ? 0 : entry->second;
  }
  const std::string& folder() const { return folder_; }
  /// The segment's file for writing, created when missing.
  File open_for_writing(uint64_t segment, const SegmentGenerations& generations) const;
  /// Whether the file begins as this segment does.
  bool is_header_sound(const File& file, uint64_t segment) const;
  void write_header(const File& file, uint64_t segment) const;
  /// Writes the segment's file anew from pieces: starts with the header.
  void begin_file(AtomicFile& file, uint64_t segment) const;
  /// Bytes of the segment's file that samples up to `size` need.
  uint64_t bytes_needed(uint64_t segment, uint64_t size) const;

 private:
  void check_header(const File& file, uint64_t segment) const;

  std::string folder_;
  RecordLayout layout_;
  std::mutex mutex_;
  // Of whole segments by number and generation: a file that grows fills its mapping, and one that was replaced stays for
  // whoever reads it.
  std::map<std::pair<uint64_t, uint32_t>, Mapping> mappings_;
};

/// The rows of an append on their way into the files.
class SegmentWriter {
 public:
  SegmentWriter(const Segments& segments, SegmentGenerations generations) : segments_(segments), generations_(std::move(generations)) {}
  /// Writes rows and then the block's header; bytes behind the committed end, left by a crash, are overwritten. `sums`: of
  /// the block with these rows.
  void add(const BlockRows& rows, const BlockSums& sums);
  /// Makes what was added durable.
  void sync() const;

 private:
  const Segments& segments_;
  SegmentGenerations generations_;
  std::vector<std::pair<uint64_t, File>> files_;  // by segment, in the order of writing
};

}  // namespace sluice
