// Deleted samples: their keys stay, since keys are dense and never change; everything else about them vanishes. A bitmap for
// each chunk that has some lies in an LMDB table of its own; the audit log, a state entry for each deletion, tells the same
// by ranges of keys, with time and reason, and is in the state log, too: a lost index is made with its deletions.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice {

class Table;
class Txn;

/// [first, end)
struct KeyRange {
  uint64_t first = 0, end = 0;
  bool operator==(const KeyRange&) const = default;
};

/// In order, without overlaps or empty ones; E_ARGUMENT for a range that ends before it begins or beyond `size`.
std::vector<KeyRange> normalized(std::vector<KeyRange> ranges, uint64_t size);

/// Replaces positions among the keys of the ranges, in increasing order, by the keys.
void at_positions(const std::vector<KeyRange>& ranges, std::vector<uint64_t>& positions);

/// A set of keys as bitmaps of chunks.
class KeySet {
 public:
  bool empty() const { return count_ == 0; }
  uint64_t size() const { return count_; }
  bool contains(uint64_t key) const;
  /// How many keys of the range it has.
  uint64_t count_in(uint64_t first, uint64_t end) const;
  /// The keys of the range that it lacks.
  std::vector<KeyRange> missing_in(uint64_t first, uint64_t end) const;
  /// Adds keys and returns how many were new.
  uint64_t add(const KeyRange& range);

  /// Chunks that have some, in order, each with its bitmap of kChunkRows bits.
  const std::map<uint64_t, std::vector<uint64_t>>& chunks() const { return chunks_; }
  void add_chunk(uint64_t chunk, std::vector<uint64_t> bits);

 private:
  std::map<uint64_t, std::vector<uint64_t>> chunks_;
  uint64_t count_ = 0;
};

/// A bitmap as the table keeps it, and back. E_CORRUPT unless the checksum holds.
std::string bitmap_value(const std::vector<uint64_t>& bits, uint64_t chunk);
std::vector<uint64_t> parse_bitmap(std::string_view value, uint64_t chunk, const std::string& path);
/// All of the table.
KeySet load_deleted(const Txn& txn, const Table& table, const std::string& path);

/// One deletion, as the audit log keeps it.
struct Deletion {
  uint64_t number = 0;  // from 1
  int64_t time = 0;     // milliseconds since 1970-01-01 UTC
  std::string reason;
  std::vector<KeyRange> keys;
};

/// State entries of the audit log begin so; no caller's does.
inline constexpr std::string_view kDeletionPrefix = "\x01" "deletion:";
std::string deletion_key(uint64_t number);
std::string deletion_text(const Deletion& deletion);
/// E_CORRUPT unless deletion_text() can have written it.
Deletion parse_deletion(std::string_view key, std::string_view text, const std::string& path);

}  // namespace sluice
