// What a dataset and its snapshots share: the environment, its tables, the segments, and which chunks were verified.
#pragma once
#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "storage/chunk.h"
#include "storage/dataset.h"
#include "storage/deletions.h"
#include "storage/file_records.h"
#include "storage/layout.h"
#include "storage/lmdb_env.h"
#include "storage/segments.h"
#include "storage/state_log.h"

namespace sluice {

/// How many rows of each chunk (or block of records) were found sound. Chunks only grow, so a larger count covers a smaller one's bytes only
/// if it was verified as a whole: a count is trusted for exactly that many rows.
class Verified {
 public:
  /// Counters of chunks 0 … chunks-1; they stay where they are.
  std::vector<std::atomic<uint32_t>*> counters(size_t chunks);

 private:
  std::mutex mutex_;
  std::deque<std::atomic<uint32_t>> rows_;
};

/// What one transaction sees of the dataset as a whole.
struct Extent {
  uint64_t size = 0;
  bool sorted = true;
  int64_t last_timestamp = 0;
  LogEnd log;
  uint64_t deleted = 0;    // samples
  uint64_t deletions = 0;  // number of the last entry of the audit log
  uint64_t scrubbed = 0;   // number of the last one whose samples are gone from the bytes on disk
  uint64_t rewritten = 0;  // how often a segment was replaced
};

/// Of the entries of FileSpan: how many there are, and how often one was put. The table meta holds it once there are some.
struct SpanCount {
  uint64_t count = 0, changes = 0;
};

struct Tables {
  Tables(const Txn& txn, bool create);
  Table meta, state, timestamp, label, payload, deleted, segment;
  const Table& of(IndexColumn column) const { return column == IndexColumn::kTimestamp ? timestamp : label; }
};

/// The most samples that are believed of a dataset which has so many chunks of a column: a size that was made up must not decide
/// how much memory is taken. What is beyond the chunks may have been lost.
uint64_t most_samples(const RecordLayout& layout, uint64_t chunks);

struct Store {
  std::string path;
  Schema schema;
  std::shared_ptr<Env> env;
  std::unique_ptr<Tables> tables;
  std::unique_ptr<Segments> segments;
  std::unique_ptr<StateLog> log;  // null where samples have no columns: without segments there is nothing to repair from
  Verified verified_timestamps, verified_labels, verified_payload;
  FileMaps file_maps;

  /// E_CORRUPT where it is missing or tells of more than most_samples().
  Extent extent(const Txn& txn) const;
  SpanCount span_count(const Txn& txn) const;
  static std::optional<SpanCount> parse_span_count(std::string_view value);
  void put_span_count(const Txn& txn, const SpanCount& count) const;
  /// Nothing where the entry is none.
  static std::optional<Extent> parse_extent(std::string_view value);
  void put_extent(const Txn& txn, const Extent& extent) const;
  /// The deleted samples as the transaction sees them; kept until there are others.
  std::shared_ptr<const KeySet> deleted(const Txn& txn, const Extent& extent) const;
  /// The audit log, in order.
  std::vector<Deletion> deletions(const Txn& txn) const;
  /// Generations of the segment files that were replaced.
  SegmentGenerations generations(const Txn& txn, const Extent& extent) const;

  /// The spans of keys whose records lie in files, as the transaction sees them; kept until there are others.
  std::shared_ptr<const FileSpans> spans(const Txn& txn) const;
  /// Puts spans as they are to be, new ones with the numbers after the last; returns their entries. commit() takes them, too.
  StateEntries put_spans(const Txn& txn, const std::vector<FileSpan>& spans) const;

  /// Commits with this extent: `entries`, which are in the transaction already, get into the log, too; log and `rows` are
  /// durable first.
  void commit(Txn& txn, Extent extent, const StateEntries& entries, const SegmentWriter* rows = nullptr) const;

  /// Entries of the tables with string keys carry a checksum of key and value. get: E_CORRUPT unless it holds.
  std::optional<std::string> get(const Txn& txn, const Table& table, std::string_view key) const;
  void put(const Txn& txn, const Table& table, std::string_view key, std::string_view value) const;
  /// The same of a value as it is stored.
  std::string unsealed(std::string_view key, std::string_view sealed) const;

 private:
  mutable std::mutex deleted_mutex_;
  mutable std::shared_ptr<const KeySet> deleted_;
  mutable uint64_t deleted_of_ = 0;  // Extent::deletions
  mutable std::mutex spans_mutex_;
  mutable std::shared_ptr<const FileSpans> spans_;
  mutable uint64_t spans_of_ = 0;  // SpanCount::changes

  /// Writes the entries to the log and notes in the extent how far it counts then. The file is to be synced, where one is
  /// returned.
  File log_entries(const Txn& txn, Extent& extent, const StateEntries& entries) const;
};

constexpr ChunkKind chunk_kind(IndexColumn column) { return column == IndexColumn::kTimestamp ? ChunkKind::kTimestamp : ChunkKind::kLabel; }
constexpr size_t column_width(IndexColumn column) { return column == IndexColumn::kTimestamp ? 8 : 4; }
constexpr const char* column_name(IndexColumn column) { return column == IndexColumn::kTimestamp ? "timestamp" : "label"; }

std::shared_ptr<Snapshot> open_snapshot(std::shared_ptr<Store> store);
std::shared_ptr<Store> open_existing_store(const std::string& path);
/// The right to write: an exclusive lock on a file of the dataset, held until the descriptor is closed. E_LOCKED.
File lock_for_writing(const std::string& path);

}  // namespace sluice
