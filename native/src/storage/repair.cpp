#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/crc32c.h"
#include "base/error.h"
#include "storage/findings.h"
#include "storage/folders.h"
#include "storage/fsck.h"
#include "storage/schema.h"

namespace sluice {

namespace {

constexpr uint64_t kChunksPerCommit = 64;  // LMDB keeps what a transaction writes in memory

/// The index of a dataset, written anew beside the old one from what was found sound.
class Rebuild {
 public:
  Rebuild(const Findings& found, const StopFlag& stop) : found_(found), stop_(stop), folder_(found.path() + "/index.repair") {}

  void run() {
    remove_folder(folder_);
    Store store;
    store.path = found_.path();
    store.schema = *found_.schema();
    store.env = Env::open(folder_, true);
    {
      Txn txn(*store.env, false);
      store.tables = std::make_unique<Tables>(txn, true);
      txn.commit();
    }
    write_chunks(store);
    write_blocks(store);
    write_entries(store);
    store.tables.reset();
    store.env.reset();
    sync_folder(folder_);
    take_place();
  }

 private:
  void write_chunks(const Store& store) {
    const uint64_t chunks = found_.chunks(IndexColumn::kTimestamp).size();
    for (uint64_t from = 0; from < chunks; from += kChunksPerCommit) {
      stop_.check();
      Txn txn(*store.env, false);
      for (uint64_t chunk = from; chunk < std::min(chunks, from + kChunksPerCommit); ++chunk) {
        for (const IndexColumn column : {IndexColumn::kTimestamp, IndexColumn::kLabel}) {
          // A damaged chunk that nothing can replace stays damaged: reading it goes on to be an error.
          const auto value = found_.chunks(column)[chunk].sound || !found_.blocks_prove(column, chunk) ? found_.chunk_value(column, chunk) : from_blocks(column, chunk);
          if (!value) continue;
          store.tables->of(column).put(txn, chunk, *value);
          if (column == IndexColumn::kTimestamp) note_order(*value, chunk);
        }
      }
      txn.commit();
    }
  }

  std::optional<std::string> from_blocks(IndexColumn column, uint64_t chunk) const {
    const RecordLayout& layout = found_.segments().layout();
    const uint64_t rows = found_.rows_of_chunk(chunk);
    const size_t width = column_width(column);
    std::string value(chunk_bytes(rows, width), '\0');
    auto* data = reinterpret_cast<uint8_t*>(value.data()) + sizeof(ChunkHeader);
    const uint64_t first = chunk * kChunkRows;
    for (uint64_t block = first >> layout.block_bits; block < layout.blocks(first + rows); ++block) {
      const std::vector<uint8_t> bytes = found_.block_column(column, block);
      std::memcpy(data + ((block << layout.block_bits) - first) * width, bytes.data(), bytes.size());
    }
    const uint32_t crc = crc32c(data, rows * width, chunk_seed(chunk_kind(column), chunk));
    const ChunkHeader header{kChunkMagic, crc, static_cast<uint32_t>(rows), static_cast<uint32_t>(width)};
    std::memcpy(value.data(), &header, sizeof header);
    return value;
  }

  void note_order(const std::string& value, uint64_t chunk) {
    const uint64_t rows = found_.rows_of_chunk(chunk);
    if (value.size() < sizeof(ChunkHeader) + rows * sizeof(int64_t)) return;
    for (uint64_t i = 0; i < rows; ++i) {
      int64_t t;
      std::memcpy(&t, value.data() + sizeof(ChunkHeader) + i * sizeof t, sizeof t);
      if (t < last_timestamp_ && (chunk > 0 || i > 0)) sorted_ = false;
      last_timestamp_ = t;
    }
  }

  void write_blocks(const Store& store) const {
    const auto& blocks = found_.blocks();
    constexpr uint64_t kPerCommit = 100'000;
    for (uint64_t from = 0; from < blocks.size(); from += kPerCommit) {
      stop_.check();
      Txn txn(*store.env, false);
      for (uint64_t b = from; b < std::min<uint64_t>(blocks.size(), from + kPerCommit); ++b) {
        const BlockFinding& block = blocks[b];
        const bool proven = block.sums && block.records && block.timestamps && block.labels;
        if (block.entry) store.tables->payload.put(txn, b, block_entry(*block.entry, b));
        else if (proven) store.tables->payload.put(txn, b, block_entry(*block.sums, b));
      }
      txn.commit();
    }
  }

  void write_entries(Store& store) const {
    if (store.schema.record_bytes() > 0) store.log = std::make_unique<StateLog>(store.path + "/state.log");
    Txn txn(*store.env, false);
    store.put(txn, store.tables->meta, "schema", schema_text(store.schema));
    for (const auto& [key, value] : found_.state()) store.put(txn, store.tables->state, key, value);
    if (const uint64_t spans = found_.spans().all().size(); spans > 0) store.put_span_count(txn, {spans, spans + 1});
    for (const auto& [segment, generation] : found_.generations()) {
      if (generation > 0) store.tables->segment.put(txn, segment, generation_entry(segment, generation));
    }
    for (const auto& [chunk, bits] : found_.deleted().chunks()) store.tables->deleted.put(txn, chunk, bitmap_value(bits, chunk));
    Extent extent{found_.size(), sorted_, last_timestamp_, {found_.log_generation(), kForgottenLog, 0}};
    extent.deleted = found_.deleted().size();
    extent.deletions = found_.last_deletion();
    if (found_.extent()) extent.scrubbed = std::min(found_.extent()->scrubbed, extent.deletions);
    extent.rewritten = std::max<uint64_t>(found_.extent() ? found_.extent()->rewritten : 0, found_.generations().size()) + 1;
    store.commit(txn, extent, {});
  }

  /// The old one stays as index.damaged, beside earlier ones.
  void take_place() const {
    const std::string index = found_.path() + "/index";
    if (!path_exists(index)) make_folders(index);
    exchange_folders(folder_, index);
    sync_folder(found_.path());
    std::string kept = found_.path() + "/index.damaged";
    for (int i = 1; path_exists(kept); ++i) kept = found_.path() + "/index.damaged." + std::to_string(i);
    if (std::rename(folder_.c_str(), kept.c_str()) != 0) throw_errno(errno, "rename " + folder_);
    sync_folder(found_.path());
  }

  const Findings& found_;
  const StopFlag& stop_;
  std::string folder_;
  bool sorted_ = true;
  int64_t last_timestamp_ = 0;
};

/// Segment files get back their heads, their length, and the columns and block heads that the index proves. Records are never
/// touched.
class SegmentRepair {
 public:
  explicit SegmentRepair(const Findings& found) : found_(found), segments_(found.segments()), layout_(segments_.layout()) {}

  void run() const {
    if (layout_.record_bytes == 0) return;
    make_folders(found_.path() + "/segments");
    for (uint64_t s = 0; s < layout_.segments(found_.size()); ++s) repair_file(s);
  }

 private:
  void repair_file(uint64_t segment) const {
    const bool missing = !path_exists(segments_.path(segment, found_.generations()));
    if (missing) {
      // Without the file no sample at all could be read; its blocks fail their checks.
      segments_.open_for_writing(segment, found_.generations());
      sync_folder(found_.path() + "/segments");
    }
    const File file(segments_.path(segment, found_.generations()), O_RDWR);
    if (!segments_.is_header_sound(file, segment)) segments_.write_header(file, segment);
    const uint64_t needed = segments_.bytes_needed(segment, found_.size());
    if (file.size() < needed && ftruncate(file.fd(), static_cast<off_t>(needed)) != 0) throw_errno(errno, "extend " + file.path());
    const uint64_t first = segment * layout_.segment_rows() >> layout_.block_bits;
    const uint64_t end = layout_.blocks(std::min(found_.size(), (segment + 1) * layout_.segment_rows()));
    if (!missing) {
      for (uint64_t block = first; block < end; ++block) repair_block(file, block);
    }
    file.sync();
  }

  void repair_block(const File& file, uint64_t block) const {
    const BlockFinding& found = found_.blocks()[block];
    if (!found.sums) return;
    if (!found.timestamps) repair_column(file, block, IndexColumn::kTimestamp, layout_.timestamps_at(block), ChunkKind::kBlockTimestamps, found.sums->timestamps);
    if (!found.labels) repair_column(file, block, IndexColumn::kLabel, layout_.labels_at(block), ChunkKind::kBlockLabels, found.sums->labels);
    if (found.header) return;
    const BlockHeader header = block_header(*found.sums, block, layout_);
    file.write_at(layout_.block_at(block), &header, sizeof header);
  }

  void repair_column(const File& file, uint64_t block, IndexColumn column, uint64_t at, ChunkKind kind, uint32_t expected) const {
    const uint64_t first = block << layout_.block_bits;
    if (!found_.chunks(column)[first / kChunkRows].sound) return;
    const auto value = found_.chunk_value(column, first / kChunkRows);
    const size_t width = column_width(column);
    const size_t bytes = layout_.rows_of(block, found_.size()) * width;
    const char* rows = value->data() + sizeof(ChunkHeader) + first % kChunkRows * width;
    if (crc32c(rows, bytes, chunk_seed(kind, block)) == expected) file.write_at(at, rows, bytes);
  }

  const Findings& found_;
  const Segments& segments_;
  const RecordLayout& layout_;
};

/// Writes the state log anew from a sound index.
void repair_log(const std::string& path) {
  const auto store = open_existing_store(path);
  Txn txn(*store->env, false);
  Extent extent = store->extent(txn);
  extent.log.end = kForgottenLog;
  store->commit(txn, extent, {});
}

bool same(const Damage& a, const Damage& b) { return a.file == b.file && a.what == b.what && a.first == b.first && a.end == b.end; }

}  // namespace

CheckReport check_dataset(const std::string& path, bool repair, const StopFlag& stop, const CheckProgress& progress) {
  const bool any = path_exists(path + "/index/data.mdb") || path_exists(path + "/state.log") || path_exists(path + "/segments") || path_exists(path + "/schema");
  if (!any) throw Error(code::kNotFound, path + " holds no dataset");
  File lock = repair ? lock_for_writing(path) : File();
  CheckReport before;
  {
    Findings found(path, stop, progress);
    found.collect();
    const bool possible = repair && found.schema() && found.size_known();
    if (possible) SegmentRepair(found).run();
    if (possible && found.index_damaged()) Rebuild(found, stop).run();
    if (possible && !found.index_damaged() && found.log_damaged()) repair_log(path);
    if (possible && found.schema_copy_damaged()) write_schema_copy(path, *found.schema());
    before = std::move(found).report();
    const bool damaged = std::any_of(before.damages.begin(), before.damages.end(), [](const Damage& d) { return d.remedy != Remedy::kNone; });
    if (!possible || !damaged) return before;
  }
  // What was repaired is found sound by a second look; what it finds still, or newly, is told as it is.
  Findings again(path, stop, progress);
  again.collect();
  CheckReport after = std::move(again).report();
  for (Damage& damage : before.damages) {
    const bool stays = std::any_of(after.damages.begin(), after.damages.end(), [&](const Damage& d) { return same(d, damage); });
    if (stays || damage.remedy == Remedy::kNone) continue;
    damage.repaired = true;
    after.damages.push_back(std::move(damage));
  }
  after.bytes = before.bytes;
  return after;
}

}  // namespace sluice
