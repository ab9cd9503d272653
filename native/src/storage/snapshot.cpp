#include <algorithm>
#include <cstring>
#include <mutex>

#include "base/crc32c.h"
#include "base/error.h"
#include "storage/scan_trail.h"
#include "storage/store.h"

namespace sluice {

namespace {

constexpr size_t kGatherBlock = 64;

class SnapshotImpl final : public Snapshot {
 public:
  explicit SnapshotImpl(std::shared_ptr<Store> store) : store_(std::move(store)), layout_(store_->segments->layout()), txn_(*store_->env, true), extent_(store_->extent(txn_)) {
    const size_t chunks = (extent_.size + kChunkRows - 1) / kChunkRows;
    verified_[0] = store_->verified_timestamps.counters(chunks);
    verified_[1] = store_->verified_labels.counters(chunks);
    verified_payload_ = store_->verified_payload.counters(layout_.blocks(extent_.size));
    generations_ = store_->generations(txn_, extent_);
    segments_ = store_->segments->map(extent_.size, generations_);
    if (extent_.deleted > 0) deleted_ = store_->deleted(txn_, extent_);
    for (auto& column : gathered_) column = std::vector<std::atomic<const uint8_t*>>(chunks);
    payload_ready_ = std::vector<std::atomic<bool>>(verified_payload_.size());
  }

  uint64_t size() const override { return extent_.size; }
  const Schema& schema() const override { return store_->schema; }
  bool sorted_by_time() const override { return extent_.sorted; }
  const KeySet& deleted() const override {
    static const KeySet none;
    return deleted_ ? *deleted_ : none;
  }

  ColumnSpan span(IndexColumn column, uint64_t first, uint64_t rows) const override {
    if (first > extent_.size || rows > extent_.size - first) {
      throw Error(code::kArgument, "rows " + std::to_string(first) + " to " + std::to_string(first + rows) + " do not lie in a dataset of " + std::to_string(extent_.size));
    }
    if (rows == 0) return {};
    const uint64_t chunk = first / kChunkRows;
    const uint64_t at = first % kChunkRows;
    const size_t width = column_width(column);
    const std::lock_guard lock(mutex_);
    const uint8_t* base = chunk_rows(column, chunk);
    trails_[column == IndexColumn::kTimestamp ? 0 : 1].add(*store_->env, chunk, base, rows_of(chunk) * width);
    ColumnSpan result;
    result.data = base + at * width;
    result.first = first;
    result.rows = std::min(rows, rows_of(chunk) - at);
    result.fd = store_->env->fd();
    result.file_offset = store_->env->file_offset(base - sizeof(ChunkHeader)) + sizeof(ChunkHeader) + at * width;
    return result;
  }

  void copy(IndexColumn column, uint64_t first, uint64_t rows, void* out) const override {
    auto* at = static_cast<uint8_t*>(out);
    const size_t width = column_width(column);
    while (rows > 0) {
      const ColumnSpan part = span(column, first, rows);
      std::memcpy(at, part.data, part.rows * width);
      at += part.rows * width;
      first += part.rows;
      rows -= part.rows;
    }
  }

  void gather(const uint64_t* keys, size_t n, int64_t* timestamps, float* labels, const uint8_t** records) const override {
    for (size_t i = 0; i < n; i += kGatherBlock) {
      const size_t block = std::min(kGatherBlock, n - i);
      for (size_t k = i; k < i + block; ++k) {
        if (keys[k] >= extent_.size) throw Error(code::kArgument, "key " + std::to_string(keys[k]) + " does not exist; the dataset has " + std::to_string(extent_.size) + " samples");
        if (deleted_ && deleted_->contains(keys[k])) throw Error(code::kNotFound, "sample " + std::to_string(keys[k]) + " was deleted");
      }
      if (timestamps != nullptr) gather_column(IndexColumn::kTimestamp, keys + i, block, timestamps + i);
      if (labels != nullptr) gather_column(IndexColumn::kLabel, keys + i, block, labels + i);
      if (records != nullptr) gather_records(keys + i, block, records + i);
    }
  }

  uint64_t lower_bound_time(int64_t t, uint64_t first, uint64_t end) const override {
    if (first > end || end > extent_.size) throw Error(code::kArgument, "range " + std::to_string(first) + " to " + std::to_string(end) + " does not lie in a dataset of " + std::to_string(extent_.size));
    while (first < end) {
      const uint64_t middle = first + (end - first) / 2;
      int64_t value;
      std::memcpy(&value, gathered(IndexColumn::kTimestamp, middle / kChunkRows) + middle % kChunkRows * 8, 8);
      if (value < t) {
        first = middle + 1;
      } else {
        end = middle;
      }
    }
    return first;
  }

 private:
  uint64_t rows_of(uint64_t chunk) const { return std::min(kChunkRows, extent_.size - chunk * kChunkRows); }

  /// Address of a chunk's first row, after its checks. Callers hold mutex_: LMDB's cursors are not for several threads.
  const uint8_t* chunk_rows(IndexColumn column, uint64_t chunk) const {
    const std::string name = store_->path + ": chunk " + std::to_string(chunk) + " of " + column_name(column);
    const auto value = store_->tables->of(column).get(txn_, chunk);
    if (!value) throw Error(code::kCorrupt, name + " is missing");
    const ChunkView view = parse_chunk(*value, column_width(column), name);
    if (view.header->rows != rows_of(chunk)) throw Error(code::kCorrupt, name + " is damaged: it has " + std::to_string(view.header->rows) + " rows instead of " + std::to_string(rows_of(chunk)));
    std::atomic<uint32_t>& verified = *verified_[column == IndexColumn::kTimestamp ? 0 : 1][chunk];
    if (verified.load(std::memory_order_acquire) != view.header->rows) {
      check_chunk(view, chunk_seed(chunk_kind(column), chunk), name);
      verified.store(view.header->rows, std::memory_order_release);
    }
    return view.rows;
  }

  const uint8_t* gathered(IndexColumn column, uint64_t chunk) const {
    std::atomic<const uint8_t*>& slot = gathered_[column == IndexColumn::kTimestamp ? 0 : 1][chunk];
    const uint8_t* base = slot.load(std::memory_order_acquire);
    if (base != nullptr) return base;
    const std::lock_guard lock(mutex_);
    base = chunk_rows(column, chunk);
    slot.store(base, std::memory_order_release);
    return base;
  }

  /// At most kGatherBlock values: all addresses first, so that their cache misses overlap.
  template <typename T>
  void gather_column(IndexColumn column, const uint64_t* keys, size_t n, T* out) const {
    const uint8_t* at[kGatherBlock];
    for (size_t i = 0; i < n; ++i) {
      at[i] = gathered(column, keys[i] / kChunkRows) + keys[i] % kChunkRows * sizeof(T);
      __builtin_prefetch(at[i]);
    }
    for (size_t i = 0; i < n; ++i) std::memcpy(out + i, at[i], sizeof(T));
  }

  /// Only the addresses: whoever reads the records decides how.
  void gather_records(const uint64_t* keys, size_t n, const uint8_t** records) const {
    if (layout_.record_bytes == 0) {
      std::fill_n(records, n, nullptr);
      return;
    }
    for (size_t i = 0; i < n; ++i) {
      const uint64_t block = keys[i] >> layout_.block_bits;
      if (!payload_ready_[block].load(std::memory_order_acquire)) verify_payload(block);
      records[i] = segments_[keys[i] >> layout_.segment_bits] + layout_.record_at(keys[i]);
    }
  }

  /// Only the look into LMDB is one thread's at a time: threads that gather check their blocks side by side.
  void verify_payload(uint64_t block) const {
    const uint64_t first = block << layout_.block_bits;
    const auto rows = static_cast<uint32_t>(layout_.rows_of(block, extent_.size));
    std::atomic<uint32_t>& verified = *verified_payload_[block];
    if (verified.load(std::memory_order_acquire) != rows) {
      const uint64_t segment = layout_.segment_of(block);
      const std::string name = store_->segments->path(segment, generations_) + ": the records of keys " + std::to_string(first) + " to " + std::to_string(first + rows - 1);
      const BlockSums sums = payload_sums(block, name);
      const uint8_t* records = segments_[segment] + layout_.records_at(block);
      const uint32_t crc = crc32c(records, rows * layout_.record_bytes, chunk_seed(ChunkKind::kPayload, block));
      if (sums.rows != rows || crc != sums.records) throw Error(code::kCorrupt, name + " are damaged: their checksum does not match");
      verified.store(rows, std::memory_order_release);
    }
    payload_ready_[block].store(true, std::memory_order_release);
  }

  BlockSums payload_sums(uint64_t block, const std::string& name) const {
    const std::lock_guard lock(mutex_);
    const auto entry = store_->tables->payload.get(txn_, block);
    const auto sums = entry ? parse_block_entry(*entry, block) : std::nullopt;
    if (!sums) throw Error(code::kCorrupt, name + ": their checksum is missing or damaged");
    return *sums;
  }

  std::shared_ptr<Store> store_;
  RecordLayout layout_;
  Txn txn_;
  Extent extent_;
  SegmentGenerations generations_;
  std::vector<const uint8_t*> segments_;
  std::shared_ptr<const KeySet> deleted_;  // null: none
  std::vector<std::atomic<uint32_t>*> verified_[2];
  std::vector<std::atomic<uint32_t>*> verified_payload_;
  mutable std::mutex mutex_;
  mutable ScanTrail trails_[2];
  mutable std::vector<std::atomic<const uint8_t*>> gathered_[2];  // of chunks that gather() has touched
  mutable std::vector<std::atomic<bool>> payload_ready_;
};

}  // namespace

std::shared_ptr<Snapshot> open_snapshot(std::shared_ptr<Store> store) {
  const auto rewritten = [&] { return store->extent(Txn(*store->env, true)).rewritten; };
  for (;;) {
    const uint64_t before = rewritten();
    try {
      return std::make_shared<SnapshotImpl>(store);
    } catch (const Error&) {
      // A compaction may have replaced a segment file between the transaction and its mapping.
      if (rewritten() == before) throw;
    }
  }
}

}  // namespace sluice
