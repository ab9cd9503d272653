#include "storage/compact.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <set>

#include "base/crc32c.h"
#include "base/error.h"
#include "storage/folders.h"
#include "storage/metadata.h"
#include "storage/store.h"

namespace sluice {

namespace {

constexpr uint64_t kChunksPerCommit = 64;

class Compaction {
 public:
  Compaction(std::shared_ptr<Store> store, bool copy, FairMutex& writing, const StopFlag& stop, const std::function<void(uint64_t, uint64_t)>& progress,
             const std::function<void()>& replaced)
      : path_(store->path), copy_(copy), writing_(writing), stop_(stop), progress_(progress), replaced_(replaced), store_(std::move(store)),
        segments_(*store_->segments), layout_(segments_.layout()) {
    const Txn txn(*store_->env, true);
    before_ = store_->extent(txn);
    all_ = *store_->deleted(txn, before_);
    for (const Deletion& deletion : store_->deletions(txn)) {
      if (deletion.number <= before_.scrubbed) continue;
      for (const KeyRange& range : deletion.keys) fresh_.add(range);
    }
    living_ = all_.missing_in(0, before_.size);
    spans_ = store_->spans(txn);
    snapshot_ = open_snapshot(store_);
  }

  CompactReport run() {
    CompactReport report;
    remove_leftovers();
    report.bytes_before = bytes();
    report.samples = fresh_.size();
    if (!fresh_.empty() || (copy_ && deleted_in_files(0, before_.size) > 0)) {
      report.segments = rewrite_segments();
      scrub_chunks();
      scrub_metadata();
      note_scrubbed();
    }
    snapshot_.reset();
    spans_ = store_->spans(Txn(*store_->env, true));
    report.in_files = deleted_in_files(0, before_.size);
    write_index_anew();
    report.values_in_use = compact_metadata(path_);
    report.bytes_after = bytes();
    return report;
  }

 private:
  uint64_t bytes() const { return bytes_below(path_ + "/index") + bytes_below(path_ + "/segments") + bytes_below(path_ + "/metadata"); }

  /// What a compaction or repair that was cut off left, and what a repair kept.
  void remove_leftovers() const {
    const std::lock_guard lock(writing_);
    const Txn txn(*store_->env, true);
    const Extent extent = store_->extent(txn);
    for (const auto& entry : std::filesystem::directory_iterator(path_)) {
      const std::string name = entry.path().filename().string();
      if (name.rfind("index.", 0) == 0) remove_folder(entry.path().string());
    }
    if (layout_.record_bytes == 0) return;
    const SegmentGenerations generations = store_->generations(txn, extent);
    std::set<std::string> current;
    for (uint64_t s = 0; s < layout_.segments(extent.size); ++s) current.insert(segments_.path(s, generations));
    for (const auto& entry : std::filesystem::directory_iterator(segments_.folder())) {
      if (current.count(entry.path().string()) == 0) remove_folder(entry.path().string());
    }
  }

  uint64_t rewrite_segments() {
    uint64_t rewritten = 0;
    const uint64_t total = layout_.record_bytes == 0 ? 0 : layout_.segments(before_.size);
    for (uint64_t s = 0; s < total; ++s) {
      stop_.check();
      const uint64_t end = std::min(before_.size, (s + 1) * layout_.segment_rows());
      const bool copied = copy_ && deleted_in_files(s * layout_.segment_rows(), end) > 0;
      if (copied || fresh_.count_in(s * layout_.segment_rows(), end) > 0) {
        rewrite_segment(s, copied);
        ++rewritten;
      }
      progress_(s + 1, total);
    }
    return rewritten;
  }

  /// Deleted samples of [first, end) whose records lie in files.
  uint64_t deleted_in_files(uint64_t first, uint64_t end) const {
    uint64_t count = 0;
    spans_->for_pieces(first, end - first, [&](const FileSpan* span, uint64_t key, uint64_t rows) { count += span == nullptr ? 0 : all_.count_in(key, key + rows); });
    return count;
  }

  /// What the spans become when the keys [first, end), whole blocks, lie in them no more.
  std::vector<FileSpan> spans_without(uint64_t first, uint64_t end) const {
    std::vector<FileSpan> changed;
    uint64_t last = spans_->all().size();
    for (const FileSpan* span : spans_->by_key()) {
      if (span->end() <= first || span->first >= end) continue;
      FileSpan before = *span;
      FileSpan after = *span;
      before.rows = std::max(first, span->first) - span->first;
      after.first = std::min(end, span->end());
      after.rows = span->end() - after.first;
      after.file_row = span->row_of(after.first);
      if (before.rows > 0 && after.rows > 0) after.number = ++last;
      if (before.rows > 0 || after.rows == 0) changed.push_back(before);
      if (after.rows > 0) changed.push_back(after);
    }
    return changed;
  }

  void rewrite_segment(uint64_t segment, bool copied) {
    const std::lock_guard lock(writing_);
    Txn txn(*store_->env, false);
    Extent extent = store_->extent(txn);
    const uint64_t end = std::min(extent.size, (segment + 1) * layout_.segment_rows());
    const SegmentGenerations generations = store_->generations(txn, extent);
    const uint32_t generation = Segments::generation_of(segment, generations) + 1;
    const std::string old_path = segments_.path(segment, generations);
    const File old(old_path, O_RDONLY);
    AtomicFile fresh(segments_.path(segment, generation));
    segments_.begin_file(fresh, segment);
    spans_ = store_->spans(txn);  // others may have appended files meanwhile
    for (uint64_t block = segment * layout_.segment_rows() >> layout_.block_bits; block < layout_.blocks(end); ++block) copy_block(txn, old, fresh, block, extent.size, copied);
    fresh.commit();
    StateEntries entries;
    if (copied) entries = store_->put_spans(txn, spans_without(segment * layout_.segment_rows(), end));
    store_->tables->segment.put(txn, segment, generation_entry(segment, generation));
    ++extent.rewritten;
    store_->commit(txn, extent, entries);
    if (copied) spans_ = store_->spans(Txn(*store_->env, true));
    // From here on the index names the new file; who maps the old one keeps it.
    std::filesystem::remove(old_path);
    sync_folder(segments_.folder());
  }

  /// Copies a block, with zeros for its deleted samples and new checksums where the old ones hold. The bytes of a block that
  /// is damaged elsewhere keep failing their checks.
  void copy_block(const Txn& txn, const File& from, AtomicFile& to, uint64_t block, uint64_t size, bool copied) const {
    const uint64_t rows = layout_.rows_of(block, size);
    const uint64_t first = block << layout_.block_bits;
    const uint64_t at = layout_.block_at(block);
    std::vector<uint8_t> bytes(layout_.block_bytes());
    read_available(from, at, bytes.data(), bytes.size());
    uint8_t* records = bytes.data() + kBlockHeaderBytes;
    uint8_t* timestamps = bytes.data() + (layout_.timestamps_at(block) - at);
    uint8_t* labels = bytes.data() + (layout_.labels_at(block) - at);
    if (copied) take_in(txn, first, rows, records);
    if (copied || all_.count_in(first, first + rows) > 0) {
      const auto entry = store_->tables->payload.get(txn, block);
      const BlockSums known = (entry ? parse_block_entry(*entry, block) : std::nullopt).value_or(BlockSums{});
      // Records in files are left alone, so that their checksum stands; whoever copies them has checked them.
      const bool stand = copied || deleted_in_files(first, first + rows) == all_.count_in(first, first + rows);
      BlockSums actual = extended(begun_sums(block), rows, stand ? known.records : record_sum(*spans_, layout_, first, rows, records), timestamps, labels);
      actual.generation = known.generation;
      for (uint64_t row = 0; row < rows; ++row) {
        if (!all_.contains(first + row)) continue;
        std::memset(records + row * layout_.record_bytes, 0, layout_.record_bytes);
        std::memset(labels + row * sizeof(float), 0, sizeof(float));
        const int64_t time = time_for(first + row);
        std::memcpy(timestamps + row * sizeof time, &time, sizeof time);
      }
      if (actual == known) {
        const uint32_t sum = copied ? crc32c(records, rows * layout_.record_bytes, begun_sums(block).records) : stand ? known.records : record_sum(*spans_, layout_, first, rows, records);
        BlockSums scrubbed = extended(begun_sums(block), rows, sum, timestamps, labels);
        scrubbed.generation = actual.generation + 1;
        store_->tables->payload.put(txn, block, block_entry(scrubbed, block));
        const BlockHeader header = block_header(scrubbed, block, layout_);
        std::memcpy(bytes.data(), &header, sizeof header);
      }
    }
    if (rows < layout_.block_rows()) {  // nothing that a crash left behind the end is taken along
      std::memset(records + rows * layout_.record_bytes, 0, (layout_.block_rows() - rows) * layout_.record_bytes);
      std::memset(timestamps + rows * sizeof(int64_t), 0, (layout_.block_rows() - rows) * sizeof(int64_t));
      std::memset(labels + rows * sizeof(float), 0, (layout_.block_rows() - rows) * sizeof(float));
    }
    // What lies in files has no bytes of its own: the place for it stays a hole.
    const uint64_t head = static_cast<uint64_t>(timestamps - bytes.data());
    uint64_t in_files = 0;
    if (!copied) spans_->for_pieces(first, rows, [&](const FileSpan* span, uint64_t, uint64_t n) { in_files += span == nullptr ? 0 : n; });
    to.write(bytes.data(), in_files == rows ? kBlockHeaderBytes : head);
    if (in_files == rows) to.skip(head - kBlockHeaderBytes);
    to.write(timestamps, bytes.size() - head);
  }

  /// Puts the records of a block that lie in files, and are what they were, where they belong in its segment; those of deleted
  /// samples, which nobody can read any more, are left zero.
  void take_in(const Txn& txn, uint64_t first, uint64_t rows, uint8_t* records) const {
    const uint64_t block = first >> layout_.block_bits;
    const auto entry = store_->tables->payload.get(txn, block);
    const auto known = entry ? parse_block_entry(*entry, block) : std::nullopt;
    const uint32_t sum = record_sum(*spans_, layout_, first, rows, records);
    spans_->for_pieces(first, rows, [&](const FileSpan* span, uint64_t from, uint64_t n) {
      if (span == nullptr) return;
      if (!known || sum != known->records) {
        throw Error(code::kCorrupt, span->layout.part + ": the records of keys " + std::to_string(first) + " to " + std::to_string(first + rows - 1) + " are not those that were taken up" + changes_of(span->layout));
      }
      const MappedSpan mapped(*span, store_->schema, store_->file_maps);
      for (uint64_t key = from; key < from + n; ++key) {
        if (all_.contains(key)) continue;
        uint8_t* place = records + (key - first) * layout_.record_bytes;
        mapped.assemble(&key, 1, &place);
      }
    });
  }

  /// What stands for a deleted sample's timestamp: that of the living sample before it, or of the first one.
  int64_t time_for(uint64_t key) const {
    if (living_.empty()) return 0;
    const auto after = std::upper_bound(living_.begin(), living_.end(), key, [](uint64_t k, const KeyRange& r) { return k < r.first; });
    const uint64_t from = after == living_.begin() ? living_.front().first : (after - 1)->end - 1;
    int64_t time;
    snapshot_->copy(IndexColumn::kTimestamp, from, 1, &time);
    return time;
  }

  void scrub_chunks() const {
    std::vector<uint64_t> chunks;
    for (const auto& [chunk, bits] : fresh_.chunks()) chunks.push_back(chunk);
    for (size_t from = 0; from < chunks.size(); from += kChunksPerCommit) {
      stop_.check();
      const std::lock_guard lock(writing_);
      const auto now = open_snapshot(store_);  // a chunk may have grown
      Txn txn(*store_->env, false);
      for (size_t i = from; i < std::min(chunks.size(), from + kChunksPerCommit); ++i) {
        scrub_chunk<int64_t>(txn, *now, IndexColumn::kTimestamp, chunks[i]);
        scrub_chunk<float>(txn, *now, IndexColumn::kLabel, chunks[i]);
      }
      txn.commit();
    }
  }

  template <typename T>
  void scrub_chunk(const Txn& txn, const Snapshot& now, IndexColumn column, uint64_t chunk) const {
    const uint64_t first = chunk * kChunkRows;
    const uint64_t rows = std::min(kChunkRows, now.size() - first);
    std::vector<T> values(rows);
    now.copy(column, first, rows, values.data());
    for (uint64_t row = 0; row < rows; ++row) {
      if (!all_.contains(first + row)) continue;
      if constexpr (std::is_same_v<T, int64_t>) values[row] = time_for(first + row);
      else values[row] = 0;
    }
    std::string value(chunk_bytes(rows, sizeof(T)), '\0');
    const uint32_t crc = crc32c(values.data(), rows * sizeof(T), chunk_seed(chunk_kind(column), chunk));
    const ChunkHeader header{kChunkMagic, crc, static_cast<uint32_t>(rows), sizeof(T)};
    std::memcpy(value.data(), &header, sizeof header);
    std::memcpy(value.data() + sizeof header, values.data(), rows * sizeof(T));
    store_->tables->of(column).put(txn, chunk, value);
  }

  void scrub_metadata() const {
    std::vector<KeyRange> gone;
    const Txn txn(*store_->env, true);
    for (const Deletion& deletion : store_->deletions(txn)) gone.insert(gone.end(), deletion.keys.begin(), deletion.keys.end());
    erase_metadata(path_, normalized(std::move(gone), store_->extent(txn).size));
  }

  void note_scrubbed() const {
    const std::lock_guard lock(writing_);
    Txn txn(*store_->env, false);
    Extent extent = store_->extent(txn);
    extent.scrubbed = before_.deletions;
    extent.log.end = kForgottenLog;  // earlier values of entries go, too
    store_->commit(txn, extent, {});
  }

  void write_index_anew() const {
    stop_.check();
    const std::lock_guard lock(writing_);
    const std::string folder = path_ + "/index.compact";
    remove_folder(folder);
    make_folders(folder);
    check_lmdb(mdb_env_copy2(store_->env->raw(), folder.c_str(), MDB_CP_COMPACT), "write " + folder);
    File(folder + "/data.mdb", O_RDWR).sync();
    sync_folder(folder);
    exchange_folders(folder, path_ + "/index");
    sync_folder(path_);
    replaced_();
    remove_folder(folder);
    sync_folder(path_);  // the old index holds what was deleted
  }

  const std::string path_;
  bool copy_;
  FairMutex& writing_;
  const StopFlag& stop_;
  const std::function<void(uint64_t, uint64_t)>& progress_;
  const std::function<void()>& replaced_;
  std::shared_ptr<Store> store_;
  const Segments& segments_;
  const RecordLayout& layout_;
  Extent before_;
  KeySet all_, fresh_;
  std::vector<KeyRange> living_;
  std::shared_ptr<const FileSpans> spans_;
  std::shared_ptr<Snapshot> snapshot_;
};

}  // namespace

CompactReport compact_dataset(const std::string& path, bool copy, const StopFlag& stop, const std::function<void(uint64_t, uint64_t)>& progress) {
  if (!path_exists(path + "/index/data.mdb")) throw Error(code::kNotFound, path + " holds no dataset");
  const File lock = lock_for_writing(path);
  FairMutex writing;
  return compact_store(open_existing_store(path), copy, writing, stop, progress, [] {});
}

CompactReport compact_store(const std::shared_ptr<Store>& store, bool copy, FairMutex& writing, const StopFlag& stop,
                            const std::function<void(uint64_t, uint64_t)>& progress, const std::function<void()>& replaced) {
  return Compaction(store, copy, writing, stop, progress, replaced).run();
}

}  // namespace sluice
