// Values of samples that a pipeline keeps beside a dataset: what its trainings record, or a user's own.
//
//   <folder>/data.mdb   LMDB 0.9 environment, apart from the sample index: who writes here never keeps ingestion waiting.
//     meta     "columns" -> one line a column ("f32 1 loss"), followed by a CRC32C
//     values   column * 2^32 + chunk -> one chunk value (chunk.h); a column's chunks are of equal size, at most 256 KiB
//
//   <folder>/open.lock  shared by all who have it open: compact_metadata() exchanges the file only while nobody does
//
// A sample without a value in a column has NaN there, or 255 where the column holds bytes.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/file.h"
#include "storage/deletions.h"

namespace sluice {

class Env;
class Txn;

enum class MetadataType : uint8_t { kF32, kU8 };

/// length > 1: a vector of so many values for each sample.
struct MetadataColumn {
  std::string name;
  MetadataType type = MetadataType::kF32;
  uint32_t length = 1;

  size_t bytes() const { return (type == MetadataType::kF32 ? sizeof(float) : 1) * length; }
  bool operator==(const MetadataColumn&) const = default;
};

inline constexpr uint64_t kMaxMetadataKey = (uint64_t{1} << 36) - 1;
inline constexpr uint8_t kMissingByte = 255;

/// Values of one column for the keys of an update, [keys, length] row-major.
struct MetadataValues {
  std::string column;
  MetadataType type = MetadataType::kF32;
  size_t count = 0;
  const void* data = nullptr;
};

/// Thread-safe; several processes may read and write. Any damage that is read ends in E_CORRUPT.
class MetadataStore {
 public:
  /// create: makes folder and environment where there are none; else E_NOT_FOUND.
  static std::shared_ptr<MetadataStore> open(const std::string& folder, bool create);
  ~MetadataStore();
  MetadataStore(const MetadataStore&) = delete;
  MetadataStore& operator=(const MetadataStore&) = delete;

  std::vector<MetadataColumn> columns() const;
  /// E_ARGUMENT lists the columns there are.
  MetadataColumn column(const std::string& name) const;
  /// Adds the columns that are missing, in one transaction. E_ARGUMENT for a bad name or length, or where a column has another form.
  void define(const std::vector<MetadataColumn>& wanted);

  /// Replaces values durably; of a key that occurs twice the last one counts. Large updates are several transactions, but
  /// all values of a sample belong to the same one: after a kill it has its old values or its new ones.
  void update(const uint64_t* keys, size_t n, const std::vector<MetadataValues>& values);

  /// Makes the values of the keys missing, in every column.
  void erase(const std::vector<KeyRange>& keys);

  /// Values of n keys in their order into out [n, length].
  void read(const std::string& column, const uint64_t* keys, size_t n, void* out) const;
  /// Values of the keys [first, end) into out [end - first, length].
  void read_range(const std::string& column, uint64_t first, uint64_t end, void* out) const;

 private:
  struct Tables;
  struct Target;
  struct Groups;
  class ColumnReader;
  using GroupIterator = std::vector<std::pair<uint64_t, std::vector<uint32_t>>>::const_iterator;

  MetadataStore(std::string folder, File lock, std::shared_ptr<Env> env);
  std::vector<MetadataColumn> load(const Txn& txn) const;
  static std::vector<Target> targets_of(const std::vector<MetadataColumn>& all, const std::vector<MetadataValues>& values, size_t n, const std::string& folder);
  static Groups group_keys(const uint64_t* keys, size_t n, const std::vector<Target>& targets);
  static GroupIterator transaction_end(const Groups& groups, GroupIterator from, const std::vector<Target>& targets);
  void write_column(const Txn& txn, const Target& target, const uint64_t* keys, const Groups& groups, GroupIterator from, GroupIterator to) const;

  size_t erase_in_chunk(const Txn& txn, const MetadataColumn& column, uint64_t number, uint64_t chunk, const std::vector<KeyRange>& keys) const;

  std::string folder_;
  File lock_;  // let go of after the environment
  std::shared_ptr<Env> env_;
  std::unique_ptr<Tables> tables_;
};

/// Makes the values of the keys missing in all folders of values beside the dataset at `path`.
void erase_metadata(const std::string& path, const std::vector<KeyRange>& keys);

/// Writes each folder's file anew without its free pages, where older values lie, and returns the names of the folders that
/// somebody has open, here or in another process: theirs stay as they are.
std::vector<std::string> compact_metadata(const std::string& path);

/// Checks every page and chunk below `folder` without trusting any: `read` is told of bytes, `damaged` of what is wrong and
/// the keys whose values it concerns (none: first == end).
void check_metadata(const std::string& folder, const std::function<void(uint64_t bytes)>& read,
                    const std::function<void(const std::string& what, uint64_t first, uint64_t end)>& damaged);

}  // namespace sluice
