// The payload records of a dataset: segment files of fixed-width records (see layout.h) behind a 64-byte header.
#pragma once
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <vector>

#include "base/file.h"
#include "storage/layout.h"

namespace sluice {

inline constexpr uint64_t kSegmentHeaderBytes = 64;

class Segments {
 public:
  Segments(std::string folder, size_t record_bytes) : folder_(std::move(folder)), layout_(record_bytes) {}

  const RecordLayout& layout() const { return layout_; }

  /// Writes records of keys [first, first + rows). Bytes behind the committed end, left by a crash, are overwritten.
  void write(uint64_t first, uint64_t rows, const uint8_t* records);
  /// Makes the records of keys [first, first + rows) durable.
  void sync(uint64_t first, uint64_t rows) const;

  /// Addresses of the first record of every segment that holds keys below `size`, mapped and checked: E_CORRUPT when a
  /// file is missing, shorter than its records need, or not ours. Addresses stay valid as long as this object.
  std::vector<const uint8_t*> map(uint64_t size);

  std::string path(uint64_t segment) const;

 private:
  void create(uint64_t segment) const;
  void check_header(const File& file, uint64_t segment) const;

  std::string folder_;
  RecordLayout layout_;
  std::mutex mutex_;
  std::deque<Mapping> mappings_;  // of whole segments: a file that grows fills its mapping
};

}  // namespace sluice
