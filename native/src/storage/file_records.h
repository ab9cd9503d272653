// Reading the files that spans name: mapped, for training, or a piece at a time, for indexing and checks.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/guarded_mapping.h"
#include "storage/file_span.h"
#include "storage/file_values.h"
#include "storage/layout.h"

namespace sluice {

/// What tells that a file is the same as a moment ago.
struct FileIdentity {
  uint64_t device = 0, inode = 0, size = 0;
  int64_t changed = 0;  // nanoseconds since 1970
  bool operator==(const FileIdentity&) const = default;
};
/// E_NOT_FOUND, E_IO.
FileIdentity identity_of(const std::string& path);
/// "" or "; changed since: …", the files that are not as they were when their rows were taken up.
std::string changes_of(const FileLayout& layout);

/// Mappings of files, shared by the snapshots of a dataset.
class FileMaps {
 public:
  struct Mapped {
    Mapped(const File& file, const FileIdentity& as, uint32_t number) : identity(as), version(number), mapping(file, as.size) {}
    FileIdentity identity;
    uint32_t version;  // greater than that of every earlier one
    GuardedMapping mapping;
  };
  /// The file as it is now. E_NOT_FOUND, E_IO.
  std::shared_ptr<const Mapped> open(const std::string& path);

 private:
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<const Mapped>> maps_;
  uint32_t versions_ = 0;
};

/// A span whose files are mapped. Any number of threads may read.
class MappedSpan {
 public:
  /// E_NOT_FOUND where a file is missing, E_CORRUPT where it is too short.
  MappedSpan(const FileSpan& span, const Schema& schema, FileMaps& maps);

  const FileSpan& span() const { return span_; }
  /// Of the newest of its files.
  uint32_t version() const { return version_; }
  /// Checksum of the bytes of `rows` rows from key `first` on, begun with `seed`: file after file. E_CORRUPT when a file was cut off.
  uint32_t checksum(uint64_t first, uint64_t rows, uint32_t seed) const;
  /// Sends for what assemble() reads of these keys.
  void prefetch(const uint64_t* keys, size_t n) const;
  /// The records of n keys, 64 at most. E_CORRUPT when a file was cut off meanwhile.
  void assemble(const uint64_t* keys, size_t n, uint8_t* const* records) const;

 private:
  void check_whole() const;

  FileSpan span_;
  RecordPlan plan_;
  std::vector<std::shared_ptr<const FileMaps::Mapped>> files_;
  std::vector<const uint8_t*> bases_;  // of row 0
  uint32_t version_ = 0;
};

/// The files of a layout, open for reading pieces of them. Any number of threads may read.
class OpenFiles {
 public:
  /// E_NOT_FOUND, E_IO.
  explicit OpenFiles(const FileLayout& layout);
  /// Rows [row, row + rows) of file number `file`. E_CORRUPT at an early end.
  void read(size_t file, uint64_t row, uint64_t rows, std::vector<uint8_t>& bytes) const;
  /// As MappedSpan::checksum(), of rows. E_CORRUPT.
  uint32_t checksum(uint64_t row, uint64_t rows, uint32_t seed, std::vector<uint8_t>& bytes) const;
  /// Of file number `file` now.
  uint64_t size(size_t file) const { return files_[file].size(); }

 private:
  const FileLayout& layout_;
  std::vector<File> files_;
};

/// Checksum of a block's first `rows` records from key `first` on, those in files included; own: those of its segment. E_NOT_FOUND, E_CORRUPT.
uint32_t record_sum(const FileSpans& spans, const RecordLayout& layout, uint64_t first, uint64_t rows, const uint8_t* own);

}  // namespace sluice
