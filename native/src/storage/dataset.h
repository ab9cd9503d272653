// A dataset on disk: the sample index in LMDB (chunked columns) and the payload records in segment files.
//
//   <path>/index/data.mdb      LMDB 0.9 environment. Named databases, all with native 64-bit integer keys:
//                                timestamp, label   chunk number -> one chunk value (see chunk.h)
//                                payload            block number -> checksums of the block (see block.h)
//                                deleted            chunk number -> bitmap of its deleted samples
//                                segment            segment number -> generation of its file, where it was replaced
//                              and with string keys: meta (schema, size), state (the caller's own entries)
//                              (each value followed by a CRC32C of key and value)
//   <path>/segments/NNNNNNNN.seg  blocks of fixed-width records, with their timestamps and labels (see layout.h)
//   <path>/state.log              schema and state once more (see state_log.h)
//   <path>/schema                 the schema alone, for segments that are all that is left
//
// How many records a block and a segment have follows from their size (see layout.h).
// Keys are dense: the sample with key k is the k-th that was appended. A record holds the schema's columns in order,
// each filled up to a multiple of 4 bytes. Bytes of a segment beyond the committed size are leftovers and never read.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/stop.h"
#include "storage/compact.h"
#include "storage/deletions.h"

namespace sluice {

inline constexpr uint64_t kChunkRows = 65536;            // samples per index chunk
inline constexpr uint64_t kRowsPerSegment = 64 * kChunkRows;  // records of a segment file, fewer where they are large

/// A category is a dense code >= 0, kept as i32. kF32, kI32 and kU8 may have a shape: a tensor for each sample, kept
/// row-major. kBytes has the shape {capacity}: a length (u32) and up to so many bytes.
enum class ColumnType : uint8_t { kF32, kI32, kCategory, kU8, kBytes };
enum class LabelKind : uint8_t { kReal, kClass };

struct Column {
  std::string name;
  ColumnType type;
  std::vector<uint32_t> shape = {};  // of one sample; empty: a single value

  /// Values of one sample; of kBytes its capacity.
  size_t elements() const;
  /// Of one sample in a record, a multiple of 4.
  size_t bytes() const;
};

struct Schema {
  std::vector<Column> columns;
  LabelKind label = LabelKind::kClass;
  uint32_t classes = 2;  // labels are 0 … classes-1 where label is kClass
  /// Where a column begins in a record.
  size_t offset(size_t column) const;
  size_t record_bytes() const { return offset(columns.size()); }
};

/// The value of a kBytes column whose cell, in a record, begins at `cell`. E_CORRUPT where its length exceeds the capacity.
std::string_view stored_bytes(const uint8_t* cell, const Column& column);

/// Rows in column form. Every pointer holds rows * elements() values: float, int32_t or uint8_t; of a kBytes column
/// rows * bytes() bytes, laid out as in a record; what stands behind a value's end is not kept.
struct AppendBatch {
  uint64_t rows = 0;
  const int64_t* timestamps = nullptr;  // milliseconds since 1970-01-01 UTC
  const float* labels = nullptr;
  std::vector<const void*> columns;     // in the schema's order
  std::vector<std::pair<std::string, std::string>> state;  // entries committed together with the rows
};

/// Of a value in a file that is not ours, little-endian as in memory.
enum class StoredType : uint8_t { kInt8, kUint8, kInt16, kInt32, kInt64, kFloat16, kFloat32, kFloat64 };

/// A file of records of `stride` bytes each behind the first `skip` bytes. `size` and `changed` (nanoseconds since 1970): as it
/// was when its rows were taken up.
struct PlacedFile {
  std::string path;
  uint64_t skip = 0, stride = 0;
  uint64_t size = 0;
  int64_t changed = 0;
  bool operator==(const PlacedFile&) const = default;
};

/// Where a column's values lie: elements() of them side by side, in a record of file number `file`. `axes`: the order in which
/// the dimensions that the file has, `shape`, become those of the column; empty: as they are.
struct FileField {
  uint32_t file = 0;
  uint64_t offset = 0;
  StoredType type = StoredType::kInt32;
  std::vector<uint32_t> shape = {}, axes = {};
  bool operator==(const FileField&) const = default;
};

/// `part`: what the rows are called in messages. `fields`: of the schema's columns, in their order.
struct FileLayout {
  std::string part;
  std::vector<PlacedFile> files;
  std::vector<FileField> fields;
  bool operator==(const FileLayout&) const = default;
};

/// A value of a field becomes the label: itself, or whether it is at least `at_least`.
struct FileLabel {
  std::string name;
  FileField field;
  std::optional<double> at_least;
};

/// Times in milliseconds: value * times / by of a field (with `name`), or start + step * (row of the append).
struct FileTime {
  std::string name;
  std::optional<FileField> field;
  double times = 1, by = 1;
  int64_t start = 0, step = 0;
};

/// Rows [file_row, file_row + rows) of files as samples. codes: for each column the number of codes that a category or an
/// integer may have, 0: any.
struct FileBatch {
  FileLayout layout;  // size and changed of the files: found by the append
  uint64_t file_row = 0, rows = 0;
  FileLabel label;
  FileTime time;
  std::vector<uint32_t> codes;
  std::vector<std::pair<std::string, std::string>> state;
};

/// The rows called `part` lie in the files `paths` now, in the order of their layout, and are called `name`.
struct FileMove {
  std::string part, name;
  std::vector<std::string> paths;
};

enum class IndexColumn : uint8_t { kTimestamp, kLabel };

/// Where records are put together that are not stored as such; grows to what the largest gather() needs.
using RecordMemory = std::vector<uint8_t>;

class FileSpans;
class Snapshot;
class StopFlag;

/// Thread-safe. One process writes at a time (E_LOCKED otherwise); any number read.
class Dataset : public std::enable_shared_from_this<Dataset> {
 public:
  /// Creates an empty dataset; E_EXISTS if the folder already holds one.
  static std::shared_ptr<Dataset> create(const std::string& path, const Schema& schema);
  /// E_NOT_FOUND, E_CORRUPT (file size, meta pages and schema are checked before mapping), E_LOCKED.
  static std::shared_ptr<Dataset> open(const std::string& path, bool read_only);
  virtual ~Dataset() = default;

  virtual const Schema& schema() const = 0;
  virtual const std::string& path() const = 0;
  virtual uint64_t size() const = 0;
  /// Appends durably (segment fsync, then LMDB commit) and returns the first key. All rows or none.
  /// E_NOT_FINITE / E_LABEL_RANGE / E_ARGUMENT name column, row in the batch and value.
  virtual uint64_t append(const AppendBatch& batch) = 0;
  /// Appends rows of files that stay where they are: index and checksums are written, records are not. All rows or none; every
  /// value is read and checked. E_SOURCE, E_NOT_FINITE, E_LABEL_RANGE name part, column, row (from 1) and value; E_SOURCE where
  /// times decrease or go back behind the dataset's last one; E_NOT_FOUND, E_ARGUMENT, E_ABORTED.
  virtual uint64_t append_files(const FileBatch& batch, const StopFlag& stop) = 0;
  /// Notes where the files of rows are now, and what these are called, if the bytes there are the same; else notes nothing and
  /// returns the number of the first move whose bytes are others. whole: all of them are read, otherwise some; reading a sample
  /// checks its block anyway. E_NOT_FOUND for a file or where no rows are called so, E_SOURCE where a file is too short,
  /// E_ARGUMENT, E_ABORTED.
  virtual std::optional<size_t> move_files(const std::vector<FileMove>& moves, bool whole, const StopFlag& stop) = 0;
  /// The spans of keys whose records lie in files.
  virtual std::shared_ptr<const FileSpans> file_spans() const = 0;
  virtual std::optional<std::string> state(const std::string& key) const = 0;
  virtual void set_state(const std::string& key, const std::string& value) = 0;
  /// Deletes samples durably, with an entry in the audit log, and returns how many of them were there. Their keys stay;
  /// their bytes do until compact_dataset(). E_ARGUMENT for keys >= size(), or a reason of more than 1,000 bytes.
  virtual uint64_t remove(const std::vector<KeyRange>& keys, const std::string& reason, int64_t time) = 0;
  /// The audit log.
  virtual std::vector<Deletion> deletions() const = 0;
  /// Number of its entries: what tells cheaply whether there are new ones.
  virtual uint64_t deletion_count() const = 0;
  /// compact_dataset() of a dataset that is open for writing. Others append and delete meanwhile, waiting for a segment or the copy of the index at most.
  virtual CompactReport compact(const StopFlag& stop, const std::function<void(uint64_t done, uint64_t total)>& progress) = 0;
  virtual std::shared_ptr<Snapshot> snapshot() = 0;
  /// Refuses new work, waits for work under way, closes the environment once the last snapshot is gone. Idempotent.
  virtual void close() = 0;
};

/// Bytes of one column over [first, first + rows) inside LMDB's read-only map; valid while the snapshot lives.
struct ColumnSpan {
  const void* data = nullptr;
  uint64_t first = 0;
  uint64_t rows = 0;
  int fd = -1;               // the data file, and
  uint64_t file_offset = 0;  // where `data` lies in it: for a private copy-on-write mapping
};

/// A consistent read view (one LMDB read transaction). Movable between threads; one thread at a time for
/// span(); record() may be called from several threads at once.
class Snapshot {
 public:
  virtual ~Snapshot() = default;
  virtual uint64_t size() const = 0;
  virtual const Schema& schema() const = 0;
  /// The longest run of rows from `first` that lies in one chunk, at most `rows`. The chunk's checksum is
  /// verified on first touch (E_CORRUPT). first + rows <= size().
  virtual ColumnSpan span(IndexColumn column, uint64_t first, uint64_t rows) const = 0;
  /// Copies values of any range into out (span() in a loop).
  virtual void copy(IndexColumn column, uint64_t first, uint64_t rows, void* out) const = 0;
  /// Gathers timestamps (may be null), labels (may be null) and the record addresses of n keys, in the given order.
  /// Blocks of records are verified on first touch. Records that lie in files as fields are put together in `memory`, which
  /// may be null where has_files() is false. E_ARGUMENT for a key >= size(), E_NOT_FOUND for a deleted one, or for a file.
  virtual void gather(const uint64_t* keys, size_t n, int64_t* timestamps, float* labels, const uint8_t** records, RecordMemory* memory = nullptr) const = 0;
  /// Whether records of some samples lie in files that are not ours.
  virtual bool has_files() const = 0;
  /// First key in [first, end) whose timestamp >= t, or end; assumes non-decreasing timestamps.
  virtual uint64_t lower_bound_time(int64_t t, uint64_t first, uint64_t end) const = 0;
  /// The samples that were deleted.
  virtual const KeySet& deleted() const = 0;
  /// True when the timestamps of [0, size()) never decrease (recorded at append).
  virtual bool sorted_by_time() const = 0;
};

}  // namespace sluice
