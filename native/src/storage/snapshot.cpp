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
    spans_ = store_->spans(txn_);
    mapped_spans_ = std::vector<std::atomic<const MappedSpan*>>(spans_->by_key().size());
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

  bool has_files() const override { return !spans_->empty(); }

  ColumnSpan span(IndexColumn column, uint64_t first, uint64_t rows) const override {
    if (first > extent_.size || rows > extent_.size - first) {
      throw Error(code::kArgument, "rows " + std::to_string(first) + " to " + std::to_string(first + rows) + " do not lie in a dataset of " + std::to_string(extent_.size));
    }
    if (rows == 0) return {};
    const uint64_t chunk = first / kChunkRows;
    const uint64_t at = first % kChunkRows;
    const size_t width = column_width(column);
    const std::lock_guard lock(mutex_);
    const bool fresh = is_fresh(column, chunk);
    const uint8_t* base = chunk_rows(column, chunk);
    trails_[column == IndexColumn::kTimestamp ? 0 : 1].add(*store_->env, chunk, base, rows_of(chunk) * width, fresh);
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

  void gather(const uint64_t* keys, size_t n, int64_t* timestamps, float* labels, const uint8_t** records, RecordMemory* memory) const override {
    if (records != nullptr && has_files()) make_room(n, memory);
    for (size_t i = 0; i < n; i += kGatherBlock) {
      const size_t block = std::min(kGatherBlock, n - i);
      for (size_t k = i; k < i + block; ++k) {
        if (keys[k] >= extent_.size) throw Error(code::kArgument, "key " + std::to_string(keys[k]) + " does not exist; the dataset has " + std::to_string(extent_.size) + " samples");
        if (deleted_ && deleted_->contains(keys[k])) throw Error(code::kNotFound, "sample " + std::to_string(keys[k]) + " was deleted");
      }
      if (timestamps != nullptr) gather_column(IndexColumn::kTimestamp, keys + i, block, timestamps + i);
      if (labels != nullptr) gather_column(IndexColumn::kLabel, keys + i, block, labels + i);
      if (records != nullptr && has_files()) gather_placed(keys + i, block, memory->data() + i * layout_.record_bytes, records + i);
      else if (records != nullptr) gather_records(keys + i, block, records + i);
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

  bool is_fresh(IndexColumn column, uint64_t chunk) const { return verified_[column == IndexColumn::kTimestamp ? 0 : 1][chunk]->load(std::memory_order_relaxed) == 0; }

  /// Address of a chunk's first row, after its checks. Callers hold mutex_: LMDB's cursors are not for several threads.
  const uint8_t* chunk_rows(IndexColumn column, uint64_t chunk) const {
    const std::string name = store_->path + ": chunk " + std::to_string(chunk) + " of " + column_name(column);
    const auto value = store_->tables->of(column).get(txn_, chunk);
    if (!value) throw Error(code::kCorrupt, name + " is missing");
    if (is_fresh(column, chunk)) {
      const uint64_t offset = store_->env->offset_of(value->data());
      store_->env->read_in(offset, offset + value->size());
    }
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

  void make_room(size_t n, RecordMemory* memory) const {
    if (memory == nullptr) throw Error(code::kArgument, "records of " + store_->path + " lie in files: memory is needed to put them together");
    if (memory->size() < n * layout_.record_bytes) memory->resize(n * layout_.record_bytes);
  }

  /// At most kGatherBlock records, some of which may lie in files: those of one span together, so that their cache misses
  /// overlap. `memory` has room for all of them.
  void gather_placed(const uint64_t* keys, size_t n, uint8_t* memory, const uint8_t** records) const {
    size_t span_of[kGatherBlock];
    for (size_t i = 0; i < n; ++i) {
      span_of[i] = i > 0 && span_of[i - 1] != FileSpans::npos && has(span_of[i - 1], keys[i]) ? span_of[i - 1] : spans_->find(keys[i]);
      const uint64_t block = keys[i] >> layout_.block_bits;
      if (!payload_ready_[block].load(std::memory_order_acquire)) verify_payload(block);
      if (span_of[i] == FileSpans::npos) records[i] = segments_[keys[i] >> layout_.segment_bits] + layout_.record_at(keys[i]);
    }
    for (size_t first = 0; first < n; ++first) {
      const size_t span = span_of[first];
      if (span == FileSpans::npos) continue;
      uint64_t found[kGatherBlock];
      uint8_t* places[kGatherBlock];
      size_t count = 0;
      for (size_t i = first; i < n; ++i) {
        if (span_of[i] != span) continue;
        span_of[i] = FileSpans::npos;
        found[count] = keys[i];
        records[i] = places[count++] = memory + i * layout_.record_bytes;
      }
      const MappedSpan& mapped = mapped_span(span);
      mapped.prefetch(found, count);
      mapped.assemble(found, count, places);
    }
  }

  bool has(size_t span, uint64_t key) const { return key >= spans_->by_key()[span]->first && key < spans_->by_key()[span]->end(); }

  const MappedSpan& mapped_span(size_t span) const {
    std::atomic<const MappedSpan*>& slot = mapped_spans_[span];
    if (const MappedSpan* mapped = slot.load(std::memory_order_acquire)) return *mapped;
    const std::lock_guard lock(mapping_);
    if (const MappedSpan* mapped = slot.load(std::memory_order_acquire)) return *mapped;
    const MappedSpan& fresh = opened_spans_.emplace_back(*spans_->by_key()[span], store_->schema, store_->file_maps);
    slot.store(&fresh, std::memory_order_release);
    return fresh;
  }

  /// Only the look into LMDB is one thread's at a time: threads that gather check their blocks side by side.
  void verify_payload(uint64_t block) const {
    const uint64_t first = block << layout_.block_bits;
    const auto rows = static_cast<uint32_t>(layout_.rows_of(block, extent_.size));
    std::atomic<uint32_t>& verified = *verified_payload_[block];
    const uint32_t mark = verified_mark(first, rows);
    if (mark == 0 || verified.load(std::memory_order_acquire) != mark) {
      const std::string name = place_of(first, rows) + ": the records of keys " + std::to_string(first) + " to " + std::to_string(first + rows - 1);
      const BlockSums sums = payload_sums(block, name);
      if (sums.rows != rows || record_sum(first, rows) != sums.records) throw Error(code::kCorrupt, name + " are damaged: their checksum does not match" + changes(first, rows));
      verified.store(mark, std::memory_order_release);
    }
    payload_ready_[block].store(true, std::memory_order_release);
  }

  /// Checksum of a block's records, wherever they lie.
  uint32_t record_sum(uint64_t first, uint64_t rows) const {
    uint32_t sum = chunk_seed(ChunkKind::kPayload, first >> layout_.block_bits);
    spans_->for_pieces(first, rows, [&](const FileSpan* span, uint64_t key, uint64_t n) {
      if (span != nullptr) sum = mapped_span(spans_->find(key)).checksum(key, n, sum);
      else sum = crc32c(segments_[key >> layout_.segment_bits] + layout_.record_at(key), n * layout_.record_bytes, sum);
    });
    return sum;
  }

  /// What counts as verified: so many rows, and of files those that are mapped now. 0: nothing, after very many changes.
  uint32_t verified_mark(uint64_t first, uint32_t rows) const {
    uint32_t version = 0;
    spans_->for_pieces(first, rows, [&](const FileSpan* span, uint64_t key, uint64_t) {
      if (span != nullptr) version = std::max(version, mapped_span(spans_->find(key)).version());
    });
    return version < (1U << 15) ? version << 17 | rows : 0;
  }

  /// The files in which a block's records lie.
  std::string place_of(uint64_t first, uint64_t rows) const {
    std::string names;
    spans_->for_pieces(first, rows, [&](const FileSpan* span, uint64_t key, uint64_t) {
      const std::string name = span == nullptr ? store_->segments->path(key >> layout_.segment_bits, generations_) : files_text_of(*span);
      names += (names.empty() ? "" : ", ") + name;
    });
    return names;
  }

  static std::string files_text_of(const FileSpan& span) {
    return span.layout.files.size() == 1 ? span.layout.files.front().path : span.layout.part + " (" + std::to_string(span.layout.files.size()) + " files)";
  }

  std::string changes(uint64_t first, uint64_t rows) const {
    std::string found;
    spans_->for_pieces(first, rows, [&](const FileSpan* span, uint64_t, uint64_t) { found += span == nullptr ? "" : changes_of(span->layout); });
    return found;
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
  std::shared_ptr<const FileSpans> spans_;
  mutable std::mutex mapping_;  // guards opened_spans_
  mutable std::deque<MappedSpan> opened_spans_;
  mutable std::vector<std::atomic<const MappedSpan*>> mapped_spans_;  // by the order of spans_->by_key()
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
