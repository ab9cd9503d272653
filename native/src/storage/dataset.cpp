#include "storage/dataset.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <set>

#include "base/error.h"
#include "storage/append.h"
#include "storage/file_index.h"
#include "storage/file_moves.h"
#include "storage/index_writer.h"
#include "storage/metadata.h"
#include "storage/schema.h"
#include "storage/store.h"

namespace sluice {

namespace {

constexpr size_t kMaxReason = 1000;  // bytes
constexpr uint64_t kMaxBatchRows = uint64_t{1} << 28;

std::string index_folder(const std::string& path) { return path + "/index"; }

std::shared_ptr<Store> open_store(const std::string& path, bool create, const Schema* schema) {
  static std::mutex opening;  // LMDB forbids opening tables from two transactions at once
  const std::lock_guard lock(opening);
  auto store = std::make_shared<Store>();
  store->path = path;
  store->env = Env::open(index_folder(path), create);
  if (create && store->env->read_only()) throw Error(code::kReadOnly, "dataset " + path + ": the folder cannot be written");
  if (!create && !store->env->ever_written()) throw Error(code::kNotFound, path + " holds no dataset: its creation was cut off");
  Txn txn(*store->env, !create);
  store->tables = std::make_unique<Tables>(txn, create);
  const auto text = store->get(txn, store->tables->meta, "schema");
  if (create && text) throw Error(code::kExists, path + " holds a dataset already");
  if (!create && !text) throw Error(code::kCorrupt, path + " is damaged: its schema is missing");
  store->schema = create ? *schema : parse_schema(*text, path);
  store->segments = std::make_unique<Segments>(path + "/segments", store->schema.record_bytes());
  if (store->schema.record_bytes() > 0) store->log = std::make_unique<StateLog>(path + "/state.log");
  if (create) {
    store->put(txn, store->tables->meta, "schema", schema_text(*schema));
    store->commit(txn, {}, {});
  } else {
    txn.commit();  // keeps the tables open
  }
  return store;
}

class DatasetImpl final : public Dataset {
 public:
  DatasetImpl(std::shared_ptr<Store> store, File lock)
      : schema_(store->schema), path_(store->path), open_(std::move(store)), lock_(std::move(lock)) {}

  const Schema& schema() const override { return schema_; }
  const std::string& path() const override { return path_; }

  uint64_t size() const override {
    const auto store = use();
    const Txn txn(*store->env, true);
    return store->extent(txn).size;
  }

  uint64_t append(const AppendBatch& batch) override {
    const std::lock_guard lock(writing_);
    const auto store = use_for_writing();
    if (batch.rows > kMaxBatchRows) throw Error(code::kArgument, "batch: at most " + std::to_string(kMaxBatchRows) + " rows, got " + std::to_string(batch.rows));
    check_batch(batch, store->schema);
    Txn txn(*store->env, false);
    Extent extent = store->extent(txn);
    const uint64_t first = extent.size;
    SegmentWriter writer(*store->segments, store->generations(txn, extent));
    write_payload(*store, txn, batch, first, writer);
    write_column(*store, txn, IndexColumn::kTimestamp, batch.timestamps, first, batch.rows);
    write_column(*store, txn, IndexColumn::kLabel, batch.labels, first, batch.rows);
    for (const auto& [key, value] : batch.state) put_state(*store, txn, key, value);
    grow(extent, batch.timestamps, batch.rows);
    store->commit(txn, extent, batch.state, &writer);
    return first;
  }

  uint64_t append_files(const FileBatch& batch, const StopFlag& stop) override {
    const std::lock_guard lock(writing_);
    const auto store = use_for_writing();
    const RecordLayout& layout = store->segments->layout();
    if (batch.rows == 0 || batch.rows > kMaxBatchRows) throw Error(code::kArgument, "batch: expected 1 to " + std::to_string(kMaxBatchRows) + " rows, got " + std::to_string(batch.rows));
    if (batch.codes.size() != store->schema.columns.size()) throw Error(code::kArgument, "batch: expected codes for " + std::to_string(store->schema.columns.size()) + " columns, got " + std::to_string(batch.codes.size()));
    check_layout(batch.layout, store->schema);
    if (batch.file_row > kMaxBatchRows * kMaxBatchRows) throw Error(code::kArgument, "batch: no file has a row " + std::to_string(batch.file_row));
    FileSpan span{0, 0, batch.rows, batch.file_row, batch.layout};
    look_at_files(span.layout, batch.file_row + batch.rows);
    Txn txn(*store->env, false);
    Extent extent = store->extent(txn);
    span.first = extent.size;
    const uint32_t begun = sums_of(*store, txn, extent.size >> layout.block_bits, extent.size % layout.block_rows()).records;
    const FileIndex index = index_files(batch, store->schema, layout, extent.size, begun, stop);
    SegmentWriter writer(*store->segments, store->generations(txn, extent));
    write_indexed(*store, txn, index, extent.size, writer);
    write_column(*store, txn, IndexColumn::kTimestamp, index.timestamps.data(), extent.size, batch.rows);
    write_column(*store, txn, IndexColumn::kLabel, index.labels.data(), extent.size, batch.rows);
    for (const auto& [key, value] : batch.state) put_state(*store, txn, key, value);
    StateEntries entries = store->put_spans(txn, {placed(*store, txn, std::move(span))});
    entries.insert(entries.end(), batch.state.begin(), batch.state.end());
    grow(extent, index.timestamps.data(), batch.rows);
    store->commit(txn, extent, entries, &writer);
    return extent.size - batch.rows;
  }

  std::optional<size_t> move_files(const std::vector<FileMove>& moves, bool whole, const StopFlag& stop) override {
    const std::lock_guard lock(writing_);
    const auto store = use_for_writing();
    Txn txn(*store->env, false);
    const MovedSpans moved = moved_spans(*store, txn, moves, whole, stop);
    if (!moved.other) store->commit(txn, store->extent(txn), store->put_spans(txn, moved.spans));
    return moved.other;
  }

  std::shared_ptr<const FileSpans> file_spans() const override {
    const auto store = use();
    return store->spans(Txn(*store->env, true));
  }

  std::optional<std::string> state(const std::string& key) const override {
    check_key(key);
    const auto store = use();
    const Txn txn(*store->env, true);
    return store->get(txn, store->tables->state, key);
  }

  void set_state(const std::string& key, const std::string& value) override {
    const std::lock_guard lock(writing_);
    const auto store = use_for_writing();
    Txn txn(*store->env, false);
    put_state(*store, txn, key, value);
    store->commit(txn, store->extent(txn), {{key, value}});
  }

  uint64_t remove(const std::vector<KeyRange>& keys, const std::string& reason, int64_t time) override {
    const std::lock_guard lock(writing_);
    const auto store = use_for_writing();
    if (reason.size() > kMaxReason) throw Error(code::kArgument, "reason: expected at most " + std::to_string(kMaxReason) + " bytes, got " + std::to_string(reason.size()));
    Txn txn(*store->env, false);
    Extent extent = store->extent(txn);
    const Deletion deletion{extent.deletions + 1, time, reason, normalized(keys, extent.size)};
    KeySet all = *store->deleted(txn, extent);
    uint64_t added = 0;
    for (const KeyRange& range : deletion.keys) added += all.add(range);
    if (added == 0) return 0;
    std::set<uint64_t> touched;
    for (const KeyRange& range : deletion.keys) {
      for (uint64_t chunk = range.first / kChunkRows; chunk * kChunkRows < range.end; ++chunk) touched.insert(chunk);
    }
    for (const uint64_t chunk : touched) store->tables->deleted.put(txn, chunk, bitmap_value(all.chunks().at(chunk), chunk));
    const std::string key = deletion_key(deletion.number);
    const std::string text = deletion_text(deletion);
    store->put(txn, store->tables->state, key, text);
    extent.deleted += added;
    extent.deletions = deletion.number;
    store->commit(txn, extent, {{key, text}});
    erase_metadata(store->path, deletion.keys);  // again by a compaction, should this be cut off
    return added;
  }

  std::vector<Deletion> deletions() const override {
    const auto store = use();
    return store->deletions(Txn(*store->env, true));
  }

  uint64_t deletion_count() const override {
    const auto store = use();
    return store->extent(Txn(*store->env, true)).deletions;
  }

  CompactReport compact(const StopFlag& stop, const std::function<void(uint64_t, uint64_t)>& progress) override {
    const std::lock_guard alone(compacting_);
    const auto store = use_for_writing();
    return compact_store(store, false, writing_, stop, progress, [this] {
      auto fresh = open_existing_store(path_);
      const std::lock_guard lock(mutex_);
      open_ = std::move(fresh);  // close() waits for the compaction
    });
  }

  std::shared_ptr<Snapshot> snapshot() override { return open_snapshot(use()); }

  void close() override {
    const std::lock_guard compacting(compacting_);
    const std::lock_guard writing(writing_);
    const std::lock_guard lock(mutex_);
    closed_ = true;
    open_.reset();
    lock_ = File();
  }

 private:
  /// The store while the dataset is open; the caller's copy keeps it alive through its own work.
  std::shared_ptr<Store> use() const {
    const std::lock_guard lock(mutex_);
    if (closed_) throw Error(code::kClosed, "dataset " + path_ + " is closed");
    // After a write that failed at the worst moment; it goes on failing while snapshots are open.
    if (open_ && open_->env->has_failed() && open_.use_count() == 1) open_.reset();
    if (!open_) open_ = open_existing_store(path_);
    // Compaction and repair put another index in the place of this one; who writes holds them off.
    if (!lock_.is_open() && !open_->env->is_in_place()) open_ = open_existing_store(path_);
    return open_;
  }

  std::shared_ptr<Store> use_for_writing() const {
    auto store = use();
    if (!lock_.is_open()) throw Error(code::kReadOnly, "dataset " + store->path + " was opened for reading");
    return store;
  }

  static void grow(Extent& extent, const int64_t* timestamps, uint64_t rows) {
    if (rows == 0) return;
    const bool follows = extent.size == 0 || timestamps[0] >= extent.last_timestamp;
    extent.sorted = extent.sorted && follows && std::is_sorted(timestamps, timestamps + rows);
    extent.last_timestamp = timestamps[rows - 1];
    extent.size += rows;
  }

  /// The span with the number of its entry: the last one grows by it where it goes on at the border of a block, so that a block's
  /// checksum follows from the spans alone.
  static FileSpan placed(const Store& store, const Txn& txn, FileSpan span) {
    const auto spans = store.spans(txn);
    const std::vector<FileSpan>& all = spans->all();
    span.number = all.size() + 1;
    if (all.empty() || span.first % store.segments->layout().block_rows() != 0 || !all.back().continues_with(span)) return span;
    FileSpan grown = all.back();
    grown.rows += span.rows;
    return grown;
  }

  static void check_key(const std::string& key) {
    if (key.empty() || key.size() > 500) throw Error(code::kArgument, "state key: expected 1 to 500 bytes, got " + std::to_string(key.size()));
    if (key.front() == kDeletionPrefix.front()) throw Error(code::kArgument, "state key: it begins with a control character");
  }

  static void put_state(const Store& store, const Txn& txn, const std::string& key, const std::string& value) {
    check_key(key);
    store.put(txn, store.tables->state, key, value);
  }

  Schema schema_;
  std::string path_;
  bool closed_ = false;
  mutable std::shared_ptr<Store> open_;
  File lock_;
  mutable std::mutex mutex_;
  FairMutex writing_;
  std::mutex compacting_;
};

}  // namespace

File lock_for_writing(const std::string& path) {
  File file(path + "/writer.lock", O_RDWR | O_CREAT);
  if (flock(file.fd(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) throw Error(code::kLocked, "dataset " + path + " is open for writing already, here or in another process");
    throw_errno(errno, "lock " + file.path());
  }
  return file;
}

std::shared_ptr<Store> open_existing_store(const std::string& path) { return open_store(path, false, nullptr); }

std::shared_ptr<Dataset> Dataset::create(const std::string& path, const Schema& schema) {
  check_schema(schema);
  make_folders(path);
  File lock = lock_for_writing(path);
  if (schema.record_bytes() > 0) make_folders(path + "/segments");
  auto store = open_store(path, true, &schema);
  if (schema.record_bytes() > 0) write_schema_copy(path, schema);
  for (const std::string& folder : {index_folder(path), path, path + "/.."}) sync_folder(folder);
  return std::make_shared<DatasetImpl>(std::move(store), std::move(lock));
}

std::shared_ptr<Dataset> Dataset::open(const std::string& path, bool read_only) {
  if (!path_exists(index_folder(path) + "/data.mdb")) throw Error(code::kNotFound, path + " holds no dataset");
  File lock = read_only ? File() : lock_for_writing(path);
  auto store = open_existing_store(path);
  if (!read_only && store->env->read_only()) throw Error(code::kReadOnly, "dataset " + path + ": the folder cannot be written");
  return std::make_shared<DatasetImpl>(std::move(store), std::move(lock));
}

}  // namespace sluice
