#include "storage/segments.h"

#include <fcntl.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "base/error.h"

namespace sluice {

namespace {

constexpr char kMagic[8] = {'S', 'L', 'S', 'E', 'G', '1', '\n', '\0'};

struct Header {
  char magic[8];
  uint64_t record_bytes;
  uint64_t first_key;
  uint8_t reserved[kSegmentHeaderBytes - 24];
};
static_assert(sizeof(Header) == kSegmentHeaderBytes);

}  // namespace

std::string Segments::path(uint64_t segment) const {
  char name[32];
  std::snprintf(name, sizeof name, "/%08llu.seg", static_cast<unsigned long long>(segment));
  return folder_ + name;
}

void Segments::create(uint64_t segment) const {
  Header header{};
  std::memcpy(header.magic, kMagic, sizeof kMagic);
  header.record_bytes = layout_.record_bytes;
  header.first_key = segment * layout_.segment_rows();
  AtomicFile file(path(segment));
  file.write(&header, sizeof header);
  file.commit();
}

void Segments::check_header(const File& file, uint64_t segment) const {
  Header header{};
  file.read_at(0, &header, sizeof header);
  if (std::memcmp(header.magic, kMagic, sizeof kMagic) != 0 || header.record_bytes != layout_.record_bytes || header.first_key != segment * layout_.segment_rows()) {
    throw Error(code::kCorrupt, file.path() + " is damaged: its header is not that of segment " + std::to_string(segment));
  }
}

void Segments::write(uint64_t first, uint64_t rows, const uint8_t* records) {
  if (layout_.record_bytes == 0) return;
  while (rows > 0) {
    const uint64_t segment = first / layout_.segment_rows();
    const uint64_t at = first % layout_.segment_rows();
    const uint64_t part = std::min(rows, layout_.segment_rows() - at);
    if (!path_exists(path(segment))) create(segment);
    const File file(path(segment), O_RDWR);
    check_header(file, segment);
    file.write_at(kSegmentHeaderBytes + at * layout_.record_bytes, records, part * layout_.record_bytes);
    first += part;
    rows -= part;
    records += part * layout_.record_bytes;
  }
}

void Segments::sync(uint64_t first, uint64_t rows) const {
  if (layout_.record_bytes == 0 || rows == 0) return;
  for (uint64_t s = first / layout_.segment_rows(); s <= (first + rows - 1) / layout_.segment_rows(); ++s) File(path(s), O_RDWR).sync();
}

std::vector<const uint8_t*> Segments::map(uint64_t size) {
  std::vector<const uint8_t*> bases;
  if (layout_.record_bytes == 0) return bases;
  const std::lock_guard lock(mutex_);
  const uint64_t segments = layout_.segments(size);
  for (uint64_t s = 0; s < segments; ++s) {
    const uint64_t rows = std::min(layout_.segment_rows(), size - s * layout_.segment_rows());
    const bool known = s < mappings_.size();
    if (!known || s + 1 == segments) {
      if (!path_exists(path(s))) throw Error(code::kCorrupt, path(s) + " is missing");
      const File file(path(s), O_RDONLY);
      check_header(file, s);
      const uint64_t needed = kSegmentHeaderBytes + rows * layout_.record_bytes;
      if (file.size() < needed) {
        throw Error(code::kCorrupt, file.path() + " is damaged: it has " + std::to_string(file.size()) + " bytes, its records need " + std::to_string(needed));
      }
      if (!known) mappings_.emplace_back(file, kSegmentHeaderBytes + layout_.segment_rows() * layout_.record_bytes);
    }
    bases.push_back(mappings_[s].data() + kSegmentHeaderBytes);
  }
  return bases;
}

}  // namespace sluice
