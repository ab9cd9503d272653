#include "storage/segments.h"

#include <fcntl.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "base/error.h"

namespace sluice {

namespace {

constexpr char kMagic[8] = {'S', 'L', 'S', 'E', 'G', '3', '\n', '\0'};

struct Header {
  char magic[8];
  uint64_t record_bytes;
  uint64_t first_key;
  uint8_t reserved[kSegmentHeaderBytes - 24];
};
static_assert(sizeof(Header) == kSegmentHeaderBytes);

Header header_of(uint64_t segment, const RecordLayout& layout) {
  Header header{};
  std::memcpy(header.magic, kMagic, sizeof kMagic);
  header.record_bytes = layout.record_bytes;
  header.first_key = segment * layout.segment_rows();
  return header;
}

}  // namespace

std::string Segments::path(uint64_t segment, uint32_t generation) const {
  char name[64];
  if (generation == 0) std::snprintf(name, sizeof name, "/%08llu.seg", static_cast<unsigned long long>(segment));
  else std::snprintf(name, sizeof name, "/%08llu.%u.seg", static_cast<unsigned long long>(segment), generation);
  return folder_ + name;
}

void Segments::begin_file(AtomicFile& file, uint64_t segment) const {
  const Header header = header_of(segment, layout_);
  file.write(&header, sizeof header);
}

void Segments::write_header(const File& file, uint64_t segment) const {
  const Header header = header_of(segment, layout_);
  file.write_at(0, &header, sizeof header);
}

bool Segments::is_header_sound(const File& file, uint64_t segment) const {
  Header header{};
  if (file.size() < sizeof header) return false;
  file.read_at(0, &header, sizeof header);
  const Header expected = header_of(segment, layout_);
  return std::memcmp(&header, &expected, sizeof header) == 0;
}

void Segments::check_header(const File& file, uint64_t segment) const {
  if (!is_header_sound(file, segment)) throw Error(code::kCorrupt, file.path() + " is damaged: its header is not that of segment " + std::to_string(segment));
}

File Segments::open_for_writing(uint64_t segment, const SegmentGenerations& generations) const {
  const std::string file_path = path(segment, generations);
  if (!path_exists(file_path)) {
    AtomicFile fresh(file_path);
    begin_file(fresh, segment);
    fresh.commit();
  }
  File file(file_path, O_RDWR);
  check_header(file, segment);
  return file;
}

uint64_t Segments::bytes_needed(uint64_t segment, uint64_t size) const {
  const uint64_t end = std::min(size, (segment + 1) * layout_.segment_rows());
  const uint64_t last = (end - 1) >> layout_.block_bits;
  return layout_.labels_at(last) + layout_.rows_of(last, end) * sizeof(float);
}

std::vector<const uint8_t*> Segments::map(uint64_t size, const SegmentGenerations& generations) {
  std::vector<const uint8_t*> bases;
  if (layout_.record_bytes == 0) return bases;
  const std::lock_guard lock(mutex_);
  const uint64_t segments = layout_.segments(size);
  for (uint64_t s = 0; s < segments; ++s) {
    const uint32_t generation = generation_of(s, generations);
    auto known = mappings_.find({s, generation});
    if (known == mappings_.end() || s + 1 == segments) {
      const std::string file_path = path(s, generation);
      if (!path_exists(file_path)) throw Error(code::kCorrupt, file_path + " is missing");
      const File file(file_path, O_RDONLY);
      check_header(file, s);
      const uint64_t needed = bytes_needed(s, size);
      if (file.size() < needed) {
        throw Error(code::kCorrupt, file.path() + " is damaged: it has " + std::to_string(file.size()) + " bytes, its samples need " + std::to_string(needed));
      }
      if (known == mappings_.end()) known = mappings_.emplace(std::pair{s, generation}, Mapping(file, layout_.segment_bytes())).first;
    }
    bases.push_back(known->second.data());
  }
  return bases;
}

void SegmentWriter::add(const BlockRows& rows, const BlockSums& sums) {
  const RecordLayout& layout = segments_.layout();
  const uint64_t segment = layout.segment_of(rows.block);
  if (files_.empty() || files_.back().first != segment) files_.emplace_back(segment, segments_.open_for_writing(segment, generations_));
  const File& file = files_.back().second;
  if (rows.records != nullptr) file.write_at(layout.records_at(rows.block) + rows.before * layout.record_bytes, rows.records, rows.rows * layout.record_bytes);
  file.write_at(layout.timestamps_at(rows.block) + rows.before * sizeof(int64_t), rows.timestamps, rows.rows * sizeof(int64_t));
  file.write_at(layout.labels_at(rows.block) + rows.before * sizeof(float), rows.labels, rows.rows * sizeof(float));
  const BlockHeader header = block_header(sums, rows.block, layout);
  file.write_at(layout.block_at(rows.block), &header, sizeof header);
}

void SegmentWriter::sync() const {
  for (const auto& [segment, file] : files_) file.sync();
}

}  // namespace sluice
