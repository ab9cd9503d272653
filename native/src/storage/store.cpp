#include "storage/store.h"

#include <algorithm>
#include <cstring>
#include <future>
#include <map>

#include "base/crc32c.h"
#include "base/error.h"
#include "storage/schema.h"

namespace sluice {

namespace {

constexpr size_t kMaxValueBytes = size_t{1} << 30;
constexpr uint64_t kMostLostBlocks = 65'536;

struct StoredExtent {
  uint64_t size;
  int64_t last_timestamp;
  uint64_t sorted;
  LogEnd log;
  uint64_t deleted, deletions, scrubbed, rewritten;
};

uint32_t entry_crc(std::string_view key, std::string_view value) { return crc32c(value.data(), value.size(), crc32c(key.data(), key.size())); }

}  // namespace

uint64_t most_samples(const RecordLayout& layout, uint64_t chunks) { return chunks * kChunkRows + kMostLostBlocks * layout.block_rows(); }

std::vector<std::atomic<uint32_t>*> Verified::counters(size_t chunks) {
  const std::lock_guard lock(mutex_);
  while (rows_.size() < chunks) rows_.emplace_back(0);
  std::vector<std::atomic<uint32_t>*> result(chunks);
  for (size_t i = 0; i < chunks; ++i) result[i] = &rows_[i];
  return result;
}

Tables::Tables(const Txn& txn, bool create)
    : meta(txn, "meta", Table::Keys::kString, create),
      state(txn, "state", Table::Keys::kString, create),
      timestamp(txn, "timestamp", Table::Keys::kInteger, create),
      label(txn, "label", Table::Keys::kInteger, create),
      payload(txn, "payload", Table::Keys::kInteger, create),
      deleted(txn, "deleted", Table::Keys::kInteger, create),
      segment(txn, "segment", Table::Keys::kInteger, create) {}

std::optional<Extent> Store::parse_extent(std::string_view value) {
  StoredExtent stored{};
  if (value.size() != sizeof stored) return std::nullopt;
  std::memcpy(&stored, value.data(), sizeof stored);
  return Extent{stored.size, stored.sorted != 0, stored.last_timestamp, stored.log, stored.deleted, stored.deletions, stored.scrubbed, stored.rewritten};
}

Extent Store::extent(const Txn& txn) const {
  const auto value = get(txn, tables->meta, "extent");
  const auto extent = value ? parse_extent(*value) : std::nullopt;
  if (!extent) throw Error(code::kCorrupt, path + " is damaged: its extent is missing");
  if (extent->size > most_samples(segments->layout(), tables->timestamp.entries(txn))) {
    throw Error(code::kCorrupt, path + " is damaged: it tells of " + std::to_string(extent->size) + " samples, many more than it has");
  }
  return *extent;
}

void Store::commit(Txn& txn, Extent extent, const StateEntries& entries, const SegmentWriter* rows) const {
  const File logged = log_entries(txn, extent, entries);
  // Side by side: both wait for one commit of the file system's journal, not each for its own. One after the other where the
  // system gives no thread.
  std::future<void> log_synced;
  if (logged.is_open()) log_synced = std::async(std::launch::async | std::launch::deferred, [&] { logged.sync(); });
  if (rows != nullptr) rows->sync();
  if (log_synced.valid()) log_synced.get();
  put_extent(txn, extent);
  txn.commit();
}

void Store::put_extent(const Txn& txn, const Extent& extent) const {
  const StoredExtent stored{extent.size, extent.last_timestamp, extent.sorted ? 1U : 0U, extent.log, extent.deleted, extent.deletions, extent.scrubbed, extent.rewritten};
  put(txn, tables->meta, "extent", std::string_view(reinterpret_cast<const char*>(&stored), sizeof stored));
}

std::shared_ptr<const KeySet> Store::deleted(const Txn& txn, const Extent& extent) const {
  const std::lock_guard lock(deleted_mutex_);
  if (!deleted_ || deleted_of_ != extent.deletions) {
    deleted_ = std::make_shared<const KeySet>(load_deleted(txn, tables->deleted, path));
    deleted_of_ = extent.deletions;
  }
  return deleted_;
}

std::vector<Deletion> Store::deletions(const Txn& txn) const {
  std::vector<Deletion> all;
  for (uint64_t n = 1; n <= extent(txn).deletions; ++n) {
    const auto text = get(txn, tables->state, deletion_key(n));
    if (!text) throw Error(code::kCorrupt, path + " is damaged: entry " + std::to_string(n) + " of its audit log is missing");
    all.push_back(parse_deletion(deletion_key(n), *text, path));
  }
  return all;
}

SpanCount Store::span_count(const Txn& txn) const {
  const auto value = get(txn, tables->meta, "files");
  if (!value) return {};
  const auto count = parse_span_count(*value);
  if (!count) throw Error(code::kCorrupt, path + " is damaged: it does not tell how many files its samples lie in");
  return *count;
}

std::optional<SpanCount> Store::parse_span_count(std::string_view value) {
  SpanCount count;
  if (value.size() != sizeof count) return std::nullopt;
  std::memcpy(&count, value.data(), sizeof count);
  return count;
}

void Store::put_span_count(const Txn& txn, const SpanCount& count) const { put(txn, tables->meta, "files", std::string_view(reinterpret_cast<const char*>(&count), sizeof count)); }

std::shared_ptr<const FileSpans> Store::spans(const Txn& txn) const {
  const SpanCount known = span_count(txn);
  const std::lock_guard lock(spans_mutex_);
  if (spans_ && spans_of_ == known.changes) return spans_;
  std::vector<FileSpan> all;
  for (uint64_t n = 1; n <= known.count; ++n) {
    const auto text = get(txn, tables->state, files_key(n));
    if (!text) throw Error(code::kCorrupt, path + " is damaged: entry " + std::to_string(n) + " of the files that its samples lie in is missing");
    all.push_back(parse_files(files_key(n), *text, schema, path));
  }
  spans_ = std::make_shared<const FileSpans>(std::move(all));
  spans_of_ = known.changes;
  return spans_;
}

StateEntries Store::put_spans(const Txn& txn, const std::vector<FileSpan>& spans) const {
  SpanCount known = span_count(txn);
  StateEntries entries;
  for (const FileSpan& span : spans) {
    known.count = std::max(known.count, span.number);
    entries.emplace_back(files_key(span.number), files_text(span));
    put(txn, tables->state, entries.back().first, entries.back().second);
  }
  ++known.changes;
  put_span_count(txn, known);
  return entries;
}

SegmentGenerations Store::generations(const Txn& txn, const Extent& extent) const {
  SegmentGenerations all;
  if (extent.rewritten == 0) return all;
  tables->segment.for_each(txn, [&](std::string_view key, std::string_view value) {
    const auto entry = parse_generation(key, value);
    if (!entry) throw Error(code::kCorrupt, path + " is damaged: the generation of a segment cannot be read");
    all.insert(*entry);
  });
  return all;
}

File Store::log_entries(const Txn& txn, Extent& extent, const StateEntries& entries) const {
  if (!log) return {};
  if (auto added = log->append(extent.log, extent.size, entries)) {
    extent.log = added->end;
    return std::move(added->file);
  }
  std::map<std::string, std::string> all;
  tables->state.for_each(txn, [&](std::string_view key, std::string_view sealed) { all.emplace(key, unsealed(key, sealed)); });
  for (const auto& [key, value] : entries) all[key] = value;
  all[""] = schema_text(schema);
  extent.log = log->rewrite(extent.log.generation + 1, extent.size, {all.begin(), all.end()});
  return {};
}

std::string Store::unsealed(std::string_view key, std::string_view sealed) const {
  uint32_t crc = 0;
  const bool whole = sealed.size() >= sizeof crc && sealed.size() <= kMaxValueBytes + sizeof crc;
  const std::string_view value = sealed.substr(0, whole ? sealed.size() - sizeof crc : 0);
  if (whole) std::memcpy(&crc, sealed.data() + value.size(), sizeof crc);
  if (!whole || crc != entry_crc(key, value)) {
    throw Error(code::kCorrupt, path + " is damaged: the checksum of its entry '" + std::string(key) + "' does not match");
  }
  return std::string(value);
}

std::optional<std::string> Store::get(const Txn& txn, const Table& table, std::string_view key) const {
  const auto sealed = table.get(txn, key);
  if (!sealed) return std::nullopt;
  return unsealed(key, *sealed);
}

void Store::put(const Txn& txn, const Table& table, std::string_view key, std::string_view value) const {
  if (value.size() > kMaxValueBytes) {
    throw Error(code::kArgument, "entry '" + std::string(key) + "': at most " + std::to_string(kMaxValueBytes) + " bytes, got " + std::to_string(value.size()));
  }
  const uint32_t crc = entry_crc(key, value);
  std::string sealed(value);
  sealed.append(reinterpret_cast<const char*>(&crc), sizeof crc);
  table.put(txn, key, sealed);
}

}  // namespace sluice
