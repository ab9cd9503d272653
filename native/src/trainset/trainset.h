// The frozen trigger training set D_x: keys and weights in one immutable file, named by its content.
//
//   <folder>/<id>.trainset   header, then partitions of kPartitionRows entries: keys u64[], weights f32[] (if any),
//                            each partition with its CRC32C. A contiguous set without weights stores only its range.
// The id is the 128-bit MurmurHash3 (x64) of (count, keys, weights) in hexadecimal: the same set, the same id,
// whether it was given as a range or as an array.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "storage/dataset.h"

namespace sluice {

inline constexpr uint64_t kPartitionRows = 1 << 20;

/// Either the range [first, end) (keys null) or an explicit list, in any order. weights may be null (all 1).
struct Selection {
  uint64_t first = 0;
  uint64_t end = 0;
  const uint64_t* keys = nullptr;
  const float* weights = nullptr;
  uint64_t count = 0;  // entries behind keys / weights; for a range end - first
};

/// Writes the set (temporary file, fsync, rename) and returns its id; a set that is there already is kept.
/// E_ARGUMENT for an empty set, a key >= dataset_size; E_NOT_FINITE for a weight that is negative or not finite.
std::string freeze(const std::string& folder, const Selection& selection, uint64_t dataset_size);

/// A set that was written, or was there: `size` entries.
struct Frozen {
  std::string id;
  uint64_t size = 0;
};
/// The same of samples of a snapshot, without those that are deleted in it: no set that was frozen so ever holds one.
/// Nothing where none is left.
std::optional<Frozen> freeze(const std::string& folder, const Selection& selection, const Snapshot& data);

class TrainSet {
 public:
  /// Opens <folder>/<id>.trainset, checks header, length and checksums: E_NOT_FOUND, E_CORRUPT.
  static std::shared_ptr<TrainSet> open(const std::string& folder, const std::string& id);
  virtual ~TrainSet() = default;
  virtual uint64_t size() const = 0;
  virtual bool weighted() const = 0;
  /// Keys and weights of n entries at the given positions (each < size()); weights may be null.
  virtual void get(const uint32_t* positions, size_t n, uint64_t* keys, float* weights) const = 0;
  /// Entries whose keys lie in the ranges, which are in order and do not overlap.
  uint64_t count_in(const std::vector<KeyRange>& ranges) const;
};

}  // namespace sluice
