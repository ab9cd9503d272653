#include "storage/file_records.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "base/crc32c.h"
#include "base/error.h"
#include "base/read_ahead.h"
#include "storage/block.h"

namespace sluice {

namespace {

constexpr size_t kLine = 64;
constexpr size_t kPrefetched = 1024;  // bytes of a row: longer ones are left to the hardware
constexpr size_t kGroup = 64;

Error missing(const std::string& path) { return Error(code::kNotFound, path + " is missing: samples of the dataset lie in it"); }

FileIdentity identity(const struct stat& status) {
  return {status.st_dev, status.st_ino, static_cast<uint64_t>(status.st_size), static_cast<int64_t>(status.st_mtim.tv_sec) * 1'000'000'000 + status.st_mtim.tv_nsec};
}

File open_file(const std::string& path) {
  try {
    return File(path, O_RDONLY);
  } catch (const Error& error) {
    if (std::string_view(error.code()) == code::kNotFound) throw missing(path);
    throw;
  }
}

}  // namespace

FileIdentity identity_of(const std::string& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) == 0) return identity(status);
  if (errno == ENOENT || errno == ENOTDIR) throw missing(path);
  throw_errno(errno, "look at " + path);
}

std::string changes_of(const FileLayout& layout) {
  std::string names;
  for (const PlacedFile& file : layout.files) {
    struct stat status {};
    const bool there = stat(file.path.c_str(), &status) == 0;
    const FileIdentity now = there ? identity(status) : FileIdentity{};
    if (now.size != file.size || now.changed != file.changed) names += (names.empty() ? "; changed since: " : ", ") + file.path;
  }
  return names;
}

std::shared_ptr<const FileMaps::Mapped> FileMaps::open(const std::string& path) {
  const std::lock_guard lock(mutex_);
  std::shared_ptr<const Mapped>& known = maps_[path];
  if (known && !known->mapping.failed() && known->identity == identity_of(path)) return known;
  const File file = open_file(path);
  struct stat status {};
  if (fstat(file.fd(), &status) != 0) throw_errno(errno, "look at " + path);
  known = std::make_shared<const Mapped>(file, identity(status), ++versions_);
  return known;
}

MappedSpan::MappedSpan(const FileSpan& span, const Schema& schema, FileMaps& maps) : span_(span), plan_(span.layout, schema) {
  for (const PlacedFile& file : span_.layout.files) {
    files_.push_back(maps.open(file.path));
    const uint64_t needed = file.skip + (span_.file_row + span_.rows) * file.stride;
    const FileMaps::Mapped& mapped = *files_.back();
    if (mapped.identity.size < needed) {
      throw Error(code::kCorrupt, file.path + " was cut off: it has " + std::to_string(mapped.identity.size) + " bytes, the samples in it need " + std::to_string(needed));
    }
    bases_.push_back(mapped.mapping.data() + file.skip);
    version_ = std::max(version_, mapped.version);
  }
}

void MappedSpan::check_whole() const {
  for (size_t f = 0; f < files_.size(); ++f) {
    if (files_[f]->mapping.failed()) throw Error(code::kCorrupt, span_.layout.files[f].path + " was cut off or cannot be read while samples were read from it");
  }
}

uint32_t MappedSpan::checksum(uint64_t first, uint64_t rows, uint32_t seed) const {
  for (size_t f = 0; f < bases_.size(); ++f) {
    const uint64_t stride = span_.layout.files[f].stride;
    seed = crc32c(bases_[f] + span_.row_of(first) * stride, rows * stride, seed);
  }
  check_whole();
  return seed;
}

void MappedSpan::prefetch(const uint64_t* keys, size_t n) const {
  for (const RecordPlan::Touched& touched : plan_.touched()) {
    const uint64_t stride = span_.layout.files[touched.file].stride;
    const uint8_t* base = bases_[touched.file] + touched.begin;
    const size_t bytes = touched.end - touched.begin;
    if (bytes > kPrefetched) {
      const uint8_t* places[kGroup];
      for (size_t i = 0; i < n; ++i) places[i] = base + span_.row_of(keys[i]) * stride;
      read_ahead(places, n, bytes);
      continue;
    }
    for (size_t i = 0; i < n; ++i) {
      const uint8_t* at = base + span_.row_of(keys[i]) * stride;
      for (size_t byte = 0; byte < bytes; byte += kLine) __builtin_prefetch(at + byte);
      __builtin_prefetch(at + bytes - 1);
    }
  }
}

void MappedSpan::assemble(const uint64_t* keys, size_t n, uint8_t* const* records) const {
  uint64_t rows[kGroup];
  for (size_t i = 0; i < n; ++i) rows[i] = span_.row_of(keys[i]);
  plan_.assemble(bases_, rows, n, records);
  check_whole();
}

OpenFiles::OpenFiles(const FileLayout& layout) : layout_(layout) {
  for (const PlacedFile& file : layout.files) files_.push_back(open_file(file.path));
}

void OpenFiles::read(size_t file, uint64_t row, uint64_t rows, std::vector<uint8_t>& bytes) const {
  const PlacedFile& place = layout_.files[file];
  bytes.resize(rows * place.stride);
  files_[file].read_at(place.skip + row * place.stride, bytes.data(), bytes.size());
}

uint32_t OpenFiles::checksum(uint64_t row, uint64_t rows, uint32_t seed, std::vector<uint8_t>& bytes) const {
  for (size_t f = 0; f < files_.size(); ++f) {
    read(f, row, rows, bytes);
    seed = crc32c(bytes.data(), bytes.size(), seed);
  }
  return seed;
}

uint32_t record_sum(const FileSpans& spans, const RecordLayout& layout, uint64_t first, uint64_t rows, const uint8_t* own) {
  uint32_t sum = begun_sums(first >> layout.block_bits).records;
  std::vector<uint8_t> bytes;
  spans.for_pieces(first, rows, [&](const FileSpan* span, uint64_t key, uint64_t n) {
    if (span == nullptr) sum = crc32c(own + (key - first) * layout.record_bytes, n * layout.record_bytes, sum);
    else sum = OpenFiles(span->layout).checksum(span->row_of(key), n, sum, bytes);
  });
  return sum;
}

}  // namespace sluice
