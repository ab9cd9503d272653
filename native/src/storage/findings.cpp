#include "storage/findings.h"

#include <fcntl.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "base/crc32c.h"
#include "base/error.h"
#include "storage/folders.h"
#include "storage/metadata.h"
#include "storage/schema.h"

namespace sluice {

namespace {

bool has_code(const Error& error, const char* code) { return std::string_view(error.code()) == code; }

}  // namespace

Findings::Findings(std::string path, const StopFlag& stop, const CheckProgress& progress) : path_(std::move(path)), stop_(stop), progress_(progress) {
  for (const char* part : {"/index", "/segments", "/metadata"}) total_ += bytes_below(path_ + part);
}

void Findings::add(std::string part, std::string file, std::string what, uint64_t first, uint64_t end, Remedy remedy) {
  if (part == "index") index_damaged_ = true;
  auto& all = report_.damages;
  // Neighbours that suffer the same are one damage.
  if (!all.empty() && first < end && all.back().end == first && all.back().file == file && all.back().what == what && all.back().remedy == remedy) {
    all.back().end = end;
    return;
  }
  all.push_back({std::move(part), std::move(file), std::move(what), first, end, remedy});
}

void Findings::advance(uint64_t bytes) {
  stop_.check();
  done_ += bytes;
  progress_(std::min(done_, total_), total_);
}

CheckReport Findings::report() && {
  report_.samples = size_;
  report_.bytes = done_;
  return std::move(report_);
}

void Findings::collect() {
  read_index();
  read_log();
  read_schema_copy();
  decide_size();
  if (!rebuildable()) {
    if (!schema_) add("index", index_file(), "neither the index, nor the state log, nor the copy of the schema tells the schema", 0, 0, Remedy::kNone);
    else add("index", index_file(), "neither the index nor the state log tells how many samples there are", 0, 0, Remedy::kNone);
    return read_metadata();
  }
  for (const IndexColumn column : {IndexColumn::kTimestamp, IndexColumn::kLabel}) read_column(column);
  read_payload_entries();
  read_generations();
  read_deleted();
  read_spans();
  for (uint64_t s = 0; segments_->layout().record_bytes > 0 && s < segments_->layout().segments(size_); ++s) read_segment(s);
  for (const IndexColumn column : {IndexColumn::kTimestamp, IndexColumn::kLabel}) judge_chunks(column);
  for (uint64_t b = 0; b < blocks_.size(); ++b) judge_block(b);
  if (index_.pages) {
    index_.pages->check_free_pages();
    for (const std::string& problem : index_.pages->problems()) add("index", index_file(), problem, 0, 0, Remedy::kFromSegments);
  }
  read_metadata();
}

void Findings::read_index() {
  try {
    index_ = pinned_walk(path_ + "/index");
  } catch (const Error& error) {
    if (!has_code(error, code::kCorrupt) && !has_code(error, code::kNotFound)) throw;
    const bool missing = has_code(error, code::kNotFound);
    add("index", index_file(), missing ? "it is missing" : "neither of its meta pages makes sense", 0, 0, Remedy::kFromSegments);
    return;
  }
  read_entries();
}

void Findings::read_entries() {
  Store store;
  store.path = path_;
  const auto each = [&](const char* table, const auto& take) {
    const size_t problems = index_.pages->problems().size();
    bool whole = index_.pages->walk(table, [&](std::string_view key, PageWalk::Place place) {
      try {
        take(std::string(key), store.unsealed(key, index_.pages->read(place)));
      } catch (const Error& error) {
        if (!has_code(error, code::kCorrupt)) throw;
        add("index", index_file(), std::string("its entry '") + std::string(key) + "' of " + table + " is damaged", 0, 0, Remedy::kFromSegments);
        state_whole_ = false;
      }
    });
    return whole && index_.pages->problems().size() == problems;
  };
  std::optional<std::string> schema;
  each("meta", [&](const std::string& key, const std::string& value) {
    if (key == "schema") schema = value;
    if (key == "extent") extent_ = Store::parse_extent(value);
    if (key == "files") span_count_ = Store::parse_span_count(value).value_or(SpanCount{}).count;
  });
  if (schema) schema_ = parse_schema(*schema, path_);  // of another version: told as an error, since its checksum holds
  state_whole_ = true;
  const bool tree_whole = each("state", [&](const std::string& key, const std::string& value) { state_[key] = value; });
  state_whole_ = state_whole_ && tree_whole;
}

void Findings::read_log() {
  const StateLog log(path_ + "/state.log");
  if (schema_ && schema_->record_bytes() == 0) return;
  log_ = log.read();
  const auto damaged = [&](const std::string& what, Remedy remedy) {
    log_damaged_ = true;
    add("state log", log.path(), what, 0, 0, remedy);
  };
  const bool sound_index = extent_ && schema_ && state_whole_ && index_.pages->metas_sound();
  const Remedy remedy = sound_index ? Remedy::kFromIndex : Remedy::kNone;
  if (!log_) return damaged(path_exists(log.path()) ? "it cannot be read" : "it is missing", remedy);
  log_generation_ = log_->end.generation;
  if (extent_) log_generation_ = std::max(log_generation_, extent_->log.generation);
  if (!schema_ && log_->entries.count("") != 0) schema_ = parse_schema(log_->entries[""], log.path());
  const bool counts = extent_ && extent_->log.generation == log_->end.generation;
  // Behind what counts there may be the record of a commit that never came, whole or cut off.
  if (sound_index && counts && log_->end.end < extent_->log.end) damaged("its record at byte " + std::to_string(log_->end.end) + " is damaged", remedy);
  if (!sound_index && !log_->whole) damaged("its record at byte " + std::to_string(log_->end.end) + " is damaged or cut off", remedy);
}

/// A missing one costs nothing as long as the index is there: a repair writes it without a word.
void Findings::read_schema_copy() {
  if (schema_ && schema_->record_bytes() == 0) return;
  const auto copy = sluice::read_schema_copy(path_);
  schema_copy_damaged_ = !copy || (schema_ && schema_text(*copy) != schema_text(*schema_));
  if (copy && !schema_) schema_ = copy;
  if (schema_copy_damaged_ && path_exists(path_ + "/schema")) add("segments", path_ + "/schema", "the copy of the schema is damaged", 0, 0, schema_ ? Remedy::kFromIndex : Remedy::kNone);
}

/// Where neither index nor log is left: as many as the blocks' heads tell of, up to the first that is damaged or not full. The
/// last ones may be of a commit that never came.
uint64_t Findings::rows_in_segments() const {
  const RecordLayout& layout = segments_->layout();
  uint64_t rows = 0;
  for (uint64_t segment = 0; layout.record_bytes > 0; ++segment) {
    uint32_t newest = 0;
    for (const uint32_t generation : generations_found(segment)) newest = std::max(newest, generation);
    const std::string file_path = segments_->path(segment, newest);
    if (!path_exists(file_path)) return rows;
    const File file(file_path, O_RDONLY);
    const uint64_t end = (segment + 1) * layout.segment_rows();
    for (; rows < end; rows += layout.block_rows()) {
      const uint64_t block = rows >> layout.block_bits;
      BlockHeader stored;
      read_available(file, layout.block_at(block), reinterpret_cast<uint8_t*>(&stored), sizeof stored);
      const auto header = parse_block_header(stored, block, layout);
      if (!header) return rows;
      if (header->rows < layout.block_rows()) return rows + header->rows;
    }
  }
  return rows;
}

/// The index decides, unless its meta pages or its entries are lost: then the log may know of a later commit.
void Findings::decide_size() {
  drop_sizes_made_up();
  const bool index_decides = extent_ && index_.pages->metas_sound();
  const bool log_decides = log_ && !index_decides && (!extent_ || log_->size >= extent_->size);
  size_known_ = extent_ || log_;
  if (!schema_) return;
  segments_ = std::make_unique<Segments>(path_ + "/segments", schema_->record_bytes());
  if (!size_known_) {
    size_ = rows_in_segments();
    size_known_ = size_ > 0;
    if (!size_known_) return;
    add("index", index_file(), "entries of the state are lost with the state log: how far ingestion came, codes of categories, which samples were deleted; the samples can be read, and no more be ingested", 0, 0, Remedy::kFromSegments);
    return;
  }
  size_ = log_decides ? log_->size : extent_->size;
  if (log_ && log_->size == size_ && (log_decides || !state_whole_)) {
    state_ = log_->entries;
    state_.erase("");
  } else if (!state_whole_) {
    add("index", index_file(), "entries of the state are lost, among them perhaps how far ingestion came: remove the dataset and ingest it again", 0, 0, Remedy::kNone);
  }
  if (extent_ == std::nullopt && index_.pages) add("index", index_file(), "the entry of its extent is lost", 0, 0, Remedy::kFromSegments);
}

void Findings::read_column(IndexColumn column) {
  auto& chunks = chunks_[column == IndexColumn::kTimestamp ? 0 : 1];
  chunks.resize((size_ + kChunkRows - 1) / kChunkRows);
  if (!index_.pages) return;
  index_.pages->walk(column_name(column), [&](std::string_view key, PageWalk::Place place) {
    uint64_t chunk = 0;
    if (key.size() == sizeof chunk) std::memcpy(&chunk, key.data(), sizeof chunk);
    if (key.size() != sizeof chunk || chunk >= chunks.size()) return;
    chunks[chunk].place = place;
    const std::string value = index_.pages->read(place);
    try {
      const ChunkView view = parse_chunk(value, column_width(column), "");
      chunks[chunk].sound = view.header->rows == rows_of_chunk(chunk);
      check_chunk(view, chunk_seed(chunk_kind(column), chunk), "");
    } catch (const Error&) {
      chunks[chunk].sound = false;
    }
    advance(place.bytes);
  });
}

void Findings::judge_chunks(IndexColumn column) {
  const auto& found = chunks(column);
  for (uint64_t chunk = 0; chunk < found.size(); ++chunk) {
    if (found[chunk].sound) continue;
    const uint64_t first = chunk * kChunkRows;
    const std::string what = std::string(column_name(column)) + "s are " + (found[chunk].place ? "damaged" : "lost");
    add("index", index_file(), what, first, first + rows_of_chunk(chunk), blocks_prove(column, chunk) ? Remedy::kFromSegments : Remedy::kNone);
  }
}

void Findings::read_payload_entries() {
  const RecordLayout& layout = segments_->layout();
  if (layout.record_bytes == 0) return;
  blocks_.resize(layout.blocks(size_));
  if (!index_.pages) return;
  index_.pages->walk("payload", [&](std::string_view key, PageWalk::Place place) {
    uint64_t block = 0;
    if (key.size() == sizeof block) std::memcpy(&block, key.data(), sizeof block);
    if (key.size() != sizeof block || block >= blocks_.size()) return;
    const auto entry = parse_block_entry(index_.pages->read(place), block);
    if (entry && entry->rows == layout.rows_of(block, size_)) blocks_[block].entry = entry;
  });
}

/// The index tells which files count; without it the newest do, which are whole: they got their names at the end.
void Findings::read_generations() {
  if (segments_->layout().record_bytes == 0) return;
  bool known = index_.pages && extent_;
  if (known) {
    const size_t problems = index_.pages->problems().size();
    const bool there = index_.pages->walk("segment", [&](std::string_view key, PageWalk::Place place) {
      const auto entry = parse_generation(key, index_.pages->read(place));
      if (entry) generations_.insert(*entry);
      else known = false;
    });
    known = known && there && index_.pages->problems().size() == problems;
    if (!known) add("index", index_file(), "generations of segments are damaged", 0, 0, Remedy::kFromSegments);
  }
  for (uint64_t s = 0; !known && s < segments_->layout().segments(size_); ++s) {
    for (const uint32_t generation : generations_found(s)) generations_[s] = std::max(generations_[s], generation);
  }
}

/// Of the segment's files that are there and were replaced once at least.
std::vector<uint32_t> Findings::generations_found(uint64_t segment) const {
  std::vector<uint32_t> found;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(segments_->folder(), error)) {
    unsigned long long number = 0;
    unsigned generation = 0;
    const std::string file = entry.path().string();
    const bool named = std::sscanf(entry.path().filename().c_str(), "%8llu.%u.seg", &number, &generation) == 2;
    if (named && number == segment && file == segments_->path(segment, generation)) found.push_back(generation);
  }
  return found;
}

/// The bitmaps against the audit log, from which they can be made.
void Findings::read_deleted() {
  for (const auto& [key, text] : state_) {
    if (key.rfind(kDeletionPrefix, 0) != 0) continue;
    const Deletion deletion = parse_deletion(key, text, path_);
    for (const KeyRange& range : deletion.keys) {
      if (range.first < size_) deleted_.add({range.first, std::min(range.end, size_)});
    }
    last_deletion_ = std::max(last_deletion_, deletion.number);
  }
  if (!index_.pages) return;
  KeySet stored;
  bool sound = true;
  index_.pages->walk("deleted", [&](std::string_view key, PageWalk::Place place) {
    uint64_t chunk = 0;
    if (key.size() == sizeof chunk) std::memcpy(&chunk, key.data(), sizeof chunk);
    try {
      stored.add_chunk(chunk, parse_bitmap(index_.pages->read(place), chunk, path_));
    } catch (const Error&) {
      sound = false;
    }
  });
  if (!sound || stored.chunks() != deleted_.chunks()) add("index", index_file(), "the lists of deleted samples are damaged", 0, 0, Remedy::kFromSegments);
}

void Findings::read_spans() {
  std::vector<FileSpan> all;
  for (const auto& [key, text] : state_) {
    if (key.rfind(kFilesPrefix, 0) == 0) all.push_back(parse_files(key, text, *schema_, path_));
  }
  if (index_.pages && extent_ && span_count_.value_or(0) != all.size()) add("index", index_file(), "the number of files that samples lie in is damaged", 0, 0, Remedy::kFromSegments);
  spans_ = std::make_unique<const FileSpans>(std::move(all));
  for (const FileSpan* span : spans_->by_key()) {
    total_ += span->bytes();
    check_files(*span);
  }
}

/// Missing files and those that were cut off are told once, with all samples that lie in what is missing.
void Findings::check_files(const FileSpan& span) {
  for (const PlacedFile& file : span.layout.files) {
    uint64_t bytes = 0;
    try {
      bytes = identity_of(file.path).size;
    } catch (const Error& error) {
      add("files", file.path, has_code(error, code::kNotFound) ? "it is missing" : error.what(), span.first, span.end(), Remedy::kNone);
      continue;
    }
    const uint64_t rows = bytes < file.skip ? 0 : (bytes - file.skip) / file.stride;
    if (rows >= span.file_row + span.rows) continue;
    const uint64_t whole = rows > span.file_row ? rows - span.file_row : 0;
    add("files", file.path, "it was cut off: it has " + std::to_string(bytes) + " bytes", span.first + whole, span.end(), Remedy::kNone);
  }
}

/// Checksum of the block's first `rows` records; own: those of its segment. Nothing where a file cannot be read.
std::optional<uint32_t> Findings::record_sum(uint64_t block, uint64_t rows, const uint8_t* own) {
  const RecordLayout& layout = segments_->layout();
  const uint64_t first = block << layout.block_bits;
  uint32_t sum = begun_sums(block).records;
  std::vector<uint8_t> bytes;
  try {
    spans_->for_pieces(first, rows, [&](const FileSpan* span, uint64_t key, uint64_t n) {
      if (span == nullptr) {
        sum = crc32c(own + (key - first) * layout.record_bytes, n * layout.record_bytes, sum);
        return;
      }
      if (open_span_ != span) {
        open_files_ = nullptr;
        open_files_ = std::make_unique<const OpenFiles>(span->layout);
        open_span_ = span;
      }
      sum = open_files_->checksum(span->row_of(key), n, sum, bytes);
      for (const PlacedFile& file : span->layout.files) advance(n * file.stride);
    });
  } catch (const Error& error) {
    if (has_code(error, code::kAborted)) throw;
    open_span_ = nullptr;
    return std::nullopt;
  }
  return sum;
}

void Findings::read_segment(uint64_t segment) {
  const RecordLayout& layout = segments_->layout();
  const std::string file_path = segments_->path(segment, generations_);
  const uint64_t first = segment * layout.segment_rows();
  const uint64_t end = std::min(size_, first + layout.segment_rows());
  if (!path_exists(file_path)) return add("segments", file_path, "it is missing", first, end, Remedy::kNone);
  const File file(file_path, O_RDONLY);
  if (!segments_->is_header_sound(file, segment)) add("segments", file_path, "its header is not that of segment " + std::to_string(segment), 0, 0, Remedy::kFromIndex);
  const uint64_t needed = segments_->bytes_needed(segment, size_);
  if (file.size() < needed) add("segments", file_path, "it has " + std::to_string(file.size()) + " bytes, its samples need " + std::to_string(needed), 0, 0, Remedy::kFromIndex);
  for (uint64_t block = first >> layout.block_bits; block < layout.blocks(end); ++block) read_block(file, block);
}

void Findings::read_block(const File& file, uint64_t block) {
  const RecordLayout& layout = segments_->layout();
  BlockFinding& found = blocks_[block];
  found.there = true;
  const uint64_t at = layout.block_at(block);
  const uint64_t rows = layout.rows_of(block, size_);
  if (!found.entry && is_hole(file, at, layout.block_bytes())) {  // nothing is known of it, and nothing is there
    found.header = rows < layout.block_rows();
    return;
  }
  std::vector<uint8_t> bytes(layout.block_bytes());
  const uint64_t head = lies_in_files(block) ? layout.timestamps_at(block) - at : 0;  // with a hole behind the header
  read_available(file, at, bytes.data(), head > 0 ? kBlockHeaderBytes : bytes.size());
  if (head > 0) read_available(file, at + head, bytes.data() + head, bytes.size() - head);
  const auto sums_of = [&](uint64_t rows) {
    const auto records = record_sum(block, rows, bytes.data() + kBlockHeaderBytes);
    found.unreadable = !records;
    return extended(begun_sums(block), rows, records.value_or(0), bytes.data() + (layout.timestamps_at(block) - at), bytes.data() + (layout.labels_at(block) - at));
  };
  BlockHeader stored;
  std::memcpy(&stored, bytes.data(), sizeof stored);
  const auto header = parse_block_header(stored, block, layout);
  BlockSums actual = sums_of(rows);
  if (found.entry) {
    found.sums = found.entry;
  } else if (header && header->rows >= rows) {
    // The header may be of more rows, which a crash left: they prove those before them, too.
    const BlockSums all = header->rows == rows ? actual : sums_of(header->rows);
    actual.generation = header->generation;
    found.sums = header->rows == rows ? header : actual;
    if (all.records != header->records || all.timestamps != header->timestamps || all.labels != header->labels) found.sums = header->rows == rows ? header : std::nullopt;
  }
  if (found.sums) {
    found.records = !found.unreadable && actual.records == found.sums->records;
    found.timestamps = actual.timestamps == found.sums->timestamps;
    found.labels = actual.labels == found.sums->labels;
  }
  // A crash may leave the last block's header torn, or of rows that do not count: the next append writes it anew.
  const bool begun = rows < layout.block_rows();
  found.header = header ? (found.sums && (*header == *found.sums || (begun && header->rows > rows))) : begun;
  advance(bytes.size() - (head > 0 ? head - kBlockHeaderBytes : 0));
}

bool Findings::lies_in_files(uint64_t block) const {
  const RecordLayout& layout = segments_->layout();
  bool all = true;
  spans_->for_pieces(block << layout.block_bits, layout.rows_of(block, size_), [&](const FileSpan* span, uint64_t, uint64_t) { all = all && span != nullptr; });
  return all;
}

void Findings::judge_block(uint64_t block) {
  const RecordLayout& layout = segments_->layout();
  const BlockFinding& found = blocks_[block];
  const uint64_t first = block << layout.block_bits;
  const uint64_t end = first + layout.rows_of(block, size_);
  const std::string file = segments_->path(layout.segment_of(block), generations_);
  if (!found.entry) {
    const bool proven = found.sums && found.records && found.timestamps && found.labels;
    add("index", index_file(), "checksums of records are damaged or lost", first, end, proven ? Remedy::kFromSegments : Remedy::kNone);
  }
  if (!found.there || !found.sums) return;
  if (!found.records && !found.unreadable) judge_records(first, end, file);
  for (const IndexColumn column : {IndexColumn::kTimestamp, IndexColumn::kLabel}) {
    const bool sound = column == IndexColumn::kTimestamp ? found.timestamps : found.labels;
    const bool in_index = chunks(column)[first / kChunkRows].sound;
    if (!sound) add("segments", file, std::string("the copies of ") + column_name(column) + "s are damaged", first, end, in_index ? Remedy::kFromIndex : Remedy::kNone);
  }
  if (!found.header) add("segments", file, "the head of a block is damaged", first, end, Remedy::kFromIndex);
}

/// One checksum is of all records of a block, wherever they lie.
void Findings::judge_records(uint64_t first, uint64_t end, const std::string& segment) {
  spans_->for_pieces(first, end - first, [&](const FileSpan* span, uint64_t key, uint64_t n) {
    if (span == nullptr) return add("segments", segment, "records are damaged", key, key + n, Remedy::kNone);
    const auto& files = span->layout.files;
    const std::string name = files.size() == 1 ? files.front().path : span->layout.part;
    add("files", name, "records are not those that were taken up" + changes_of(span->layout), key, key + n, Remedy::kNone);
  });
}

bool Findings::blocks_prove(IndexColumn column, uint64_t chunk) const {
  if (blocks_.empty()) return false;
  const RecordLayout& layout = segments_->layout();
  const uint64_t first = chunk * kChunkRows;
  for (uint64_t block = first >> layout.block_bits; block < layout.blocks(first + rows_of_chunk(chunk)); ++block) {
    if (!(column == IndexColumn::kTimestamp ? blocks_[block].timestamps : blocks_[block].labels)) return false;
  }
  return true;
}

std::optional<std::string> Findings::chunk_value(IndexColumn column, uint64_t chunk) const {
  const auto& place = chunks(column)[chunk].place;
  if (!place) return std::nullopt;
  return index_.pages->read(*place);
}

std::vector<uint8_t> Findings::block_column(IndexColumn column, uint64_t block) const {
  const RecordLayout& layout = segments_->layout();
  const File file(segments_->path(layout.segment_of(block), generations_), O_RDONLY);
  std::vector<uint8_t> bytes(layout.rows_of(block, size_) * column_width(column));
  file.read_at(column == IndexColumn::kTimestamp ? layout.timestamps_at(block) : layout.labels_at(block), bytes.data(), bytes.size());
  return bytes;
}

/// A size that was made up tells nothing.
void Findings::drop_sizes_made_up() {
  if (!schema_) return;
  const RecordLayout layout(schema_->record_bytes());
  const uint64_t from_index = most_samples(layout, bytes_below(path_ + "/index") / kMinChunkBytes);
  const uint64_t most = from_index + bytes_below(path_ + "/segments") / (layout.record_bytes + sizeof(int64_t) + sizeof(float));
  const auto what = [](uint64_t size) { return "it tells of " + std::to_string(size) + " samples, many more than there are"; };
  if (extent_ && extent_->size > most) {
    add("index", index_file(), what(extent_->size), 0, 0, Remedy::kFromSegments);
    extent_.reset();
  }
  if (log_ && log_->size > most) {
    log_damaged_ = true;
    add("state log", path_ + "/state.log", what(log_->size), 0, 0, extent_ ? Remedy::kFromIndex : Remedy::kNone);
    log_.reset();
  }
}

void Findings::read_metadata() {
  std::error_code error;
  std::vector<std::string> folders;
  for (const auto& entry : std::filesystem::directory_iterator(path_ + "/metadata", error)) {
    if (path_exists(entry.path().string() + "/data.mdb")) folders.push_back(entry.path().string());
  }
  std::sort(folders.begin(), folders.end());
  for (const std::string& folder : folders) {
    check_metadata(folder, [&](uint64_t bytes) { advance(bytes); },
                   [&](const std::string& what, uint64_t first, uint64_t end) { add("metadata", folder + "/data.mdb", what, first, std::min(end, std::max(first, size_)), Remedy::kNone); });
  }
}

}  // namespace sluice
