// What a check finds of a dataset: which chunks, blocks and entries are sound, and where they lie. The repair works from it.
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "storage/fsck.h"
#include "storage/page_walk.h"
#include "storage/store.h"

namespace sluice {

struct ChunkFinding {
  std::optional<PageWalk::Place> place;  // of the value, sound or not
  bool sound = false;
};

struct BlockFinding {
  std::optional<BlockSums> entry;  // of the index
  std::optional<BlockSums> sums;   // of the rows that count: the index's, or the block's own where its bytes prove them
  bool there = false;              // its segment file exists
  bool unreadable = false;         // a file that is not ours and holds records of it is missing or cut off
  bool header = false, records = false, timestamps = false, labels = false;  // sound
};

class Findings {
 public:
  Findings(std::string path, const StopFlag& stop, const CheckProgress& progress);
  /// Reads everything.
  void collect();

  const std::string& path() const { return path_; }
  /// Known where index, log or the schema's copy tell it: without them nothing can be repaired.
  const std::optional<Schema>& schema() const { return schema_; }
  /// Samples that count.
  uint64_t size() const { return size_; }
  bool size_known() const { return size_known_; }
  const Segments& segments() const { return *segments_; }
  const SegmentGenerations& generations() const { return generations_; }
  const KeySet& deleted() const { return deleted_; }
  /// Spans of keys whose records lie in files.
  const FileSpans& spans() const { return *spans_; }
  uint64_t last_deletion() const { return last_deletion_; }
  /// As the index has it, where it has one.
  const std::optional<Extent>& extent() const { return extent_; }
  const std::vector<ChunkFinding>& chunks(IndexColumn column) const { return chunks_[column == IndexColumn::kTimestamp ? 0 : 1]; }
  const std::vector<BlockFinding>& blocks() const { return blocks_; }
  const std::map<std::string, std::string>& state() const { return state_; }
  uint64_t log_generation() const { return log_generation_; }
  /// The index has to be written anew.
  bool index_damaged() const { return index_damaged_; }
  bool log_damaged() const { return log_damaged_; }
  bool schema_copy_damaged() const { return schema_copy_damaged_; }

  /// The stored value of a chunk, sound or not; nothing where it is lost.
  std::optional<std::string> chunk_value(IndexColumn column, uint64_t chunk) const;
  /// Whether the segments prove all values of the chunk.
  bool blocks_prove(IndexColumn column, uint64_t chunk) const;
  /// Bytes of a block's column in its segment.
  std::vector<uint8_t> block_column(IndexColumn column, uint64_t block) const;
  uint64_t rows_of_chunk(uint64_t chunk) const { return std::min(kChunkRows, size_ - chunk * kChunkRows); }

  CheckReport report() &&;

 private:
  void read_index();
  void read_entries();
  void read_log();
  void read_schema_copy();
  void decide_size();
  uint64_t rows_in_segments() const;
  void read_column(IndexColumn column);
  void judge_chunks(IndexColumn column);
  void read_payload_entries();
  void read_generations();
  std::vector<uint32_t> generations_found(uint64_t segment) const;
  void read_deleted();
  void read_spans();
  void check_files(const FileSpan& span);
  std::optional<uint32_t> record_sum(uint64_t block, uint64_t rows, const uint8_t* own);
  bool lies_in_files(uint64_t block) const;
  void read_segment(uint64_t segment);
  void read_block(const File& file, uint64_t block);
  void judge_block(uint64_t block);
  void judge_records(uint64_t first, uint64_t end, const std::string& segment);
  void read_metadata();
  void drop_sizes_made_up();
  void add(std::string part, std::string file, std::string what, uint64_t first, uint64_t end, Remedy remedy);
  void advance(uint64_t bytes);
  bool rebuildable() const { return schema_ && size_known_; }
  std::string index_file() const { return path_ + "/index/data.mdb"; }

  std::string path_;
  const StopFlag& stop_;
  const CheckProgress& progress_;
  PinnedWalk index_;  // pages is null where nothing of it can be read
  std::optional<Schema> schema_;
  std::optional<Extent> extent_;
  std::optional<StateLog::Content> log_;
  std::map<std::string, std::string> state_;
  bool state_whole_ = false;
  uint64_t size_ = 0;
  bool size_known_ = false;
  std::unique_ptr<Segments> segments_;
  std::vector<ChunkFinding> chunks_[2];
  std::vector<BlockFinding> blocks_;
  SegmentGenerations generations_;
  KeySet deleted_;
  uint64_t last_deletion_ = 0;
  std::unique_ptr<const FileSpans> spans_ = std::make_unique<const FileSpans>();
  std::optional<uint64_t> span_count_;  // as the index has it
  const FileSpan* open_span_ = nullptr;
  std::unique_ptr<const OpenFiles> open_files_;  // of open_span_
  uint64_t log_generation_ = 0;
  bool index_damaged_ = false, log_damaged_ = false, schema_copy_damaged_ = false;
  uint64_t done_ = 0, total_ = 0;
  CheckReport report_;
};

}  // namespace sluice
