#include "storage/state_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string_view>

#include "base/crc32c.h"
#include "base/error.h"
#include "base/file.h"

namespace sluice {

namespace {

constexpr char kLogMagic[8] = {'S', 'L', 'L', 'O', 'G', '1', '\n', '\0'};
constexpr uint32_t kRecordMagic = 0x31524c53;  // "SLR1"
constexpr uint64_t kFreeGrowth = uint64_t{16} << 20;  // beyond twice the first record: the file is written anew
constexpr uint64_t kMaxRecordBytes = uint64_t{1} << 36;

struct FileHeader {
  char magic[8];
  uint64_t generation;
  uint32_t reserved;
  uint32_t crc;  // of the fields above
};
static_assert(sizeof(FileHeader) == 24);

struct RecordHeader {
  uint32_t magic;
  uint32_t crc;  // of the fields below and the entries
  uint64_t size;
  uint64_t bytes;
};
static_assert(sizeof(RecordHeader) == 24);

constexpr size_t kCrcFrom = offsetof(RecordHeader, size);

std::string record(uint64_t size, const StateEntries& entries) {
  std::string bytes(sizeof(RecordHeader), '\0');
  for (const auto& [key, value] : entries) {
    const uint64_t lengths[] = {key.size(), value.size()};
    bytes.append(reinterpret_cast<const char*>(lengths), sizeof lengths).append(key).append(value);
  }
  RecordHeader header{kRecordMagic, 0, size, bytes.size() - sizeof header};
  std::memcpy(bytes.data(), &header, sizeof header);
  header.crc = crc32c(bytes.data() + kCrcFrom, bytes.size() - kCrcFrom);
  std::memcpy(bytes.data(), &header, sizeof header);
  return bytes;
}

FileHeader file_header(uint64_t generation) {
  FileHeader header{};
  std::memcpy(header.magic, kLogMagic, sizeof kLogMagic);
  header.generation = generation;
  header.crc = crc32c(&header, offsetof(FileHeader, crc));
  return header;
}

/// The generation of the file; nothing where its header is damaged.
std::optional<uint64_t> read_generation(const File& file) {
  FileHeader header;
  if (file.size() < sizeof header) return std::nullopt;
  file.read_at(0, &header, sizeof header);
  const FileHeader expected = file_header(header.generation);
  if (std::memcmp(&header, &expected, sizeof header) != 0) return std::nullopt;
  return header.generation;
}

/// Takes the entries of a record's body; false where lengths run beyond it.
bool take_entries(std::string_view body, std::map<std::string, std::string>& entries) {
  while (!body.empty()) {
    uint64_t lengths[2];
    if (body.size() < sizeof lengths) return false;
    std::memcpy(lengths, body.data(), sizeof lengths);
    body.remove_prefix(sizeof lengths);
    if (lengths[0] > body.size() || lengths[1] > body.size() - lengths[0]) return false;
    entries[std::string(body.substr(0, lengths[0]))] = std::string(body.substr(lengths[0], lengths[1]));
    body.remove_prefix(lengths[0] + lengths[1]);
  }
  return true;
}

/// Reads the record at `at` into the content; false where there is none that is sound.
bool read_record(const File& file, uint64_t at, uint64_t file_bytes, StateLog::Content& content) {
  RecordHeader header;
  if (file_bytes - at < sizeof header) return false;
  file.read_at(at, &header, sizeof header);
  if (header.magic != kRecordMagic || header.bytes > file_bytes - at - sizeof header || header.bytes > kMaxRecordBytes) return false;
  std::string bytes(sizeof header - kCrcFrom + header.bytes, '\0');
  file.read_at(at + kCrcFrom, bytes.data(), bytes.size());
  if (crc32c(bytes.data(), bytes.size()) != header.crc) return false;
  std::map<std::string, std::string> entries;
  if (!take_entries(std::string_view(bytes).substr(sizeof header - kCrcFrom), entries)) return false;
  for (auto& [key, value] : entries) content.entries[key] = std::move(value);
  content.size = header.size;
  content.end.end = at + sizeof header + header.bytes;
  return true;
}

}  // namespace

LogEnd StateLog::rewrite(uint64_t generation, uint64_t size, const StateEntries& entries) const {
  AtomicFile file(path_);
  const FileHeader header = file_header(generation);
  const std::string first = record(size, entries);
  file.write(&header, sizeof header);
  file.write(first.data(), first.size());
  file.commit();
  const uint64_t end = sizeof header + first.size();
  return {generation, end, end};
}

std::optional<StateLog::Added> StateLog::append(const LogEnd& at, uint64_t size, const StateEntries& entries) const {
  if (at.end > 2 * at.base + kFreeGrowth || !path_exists(path_)) return std::nullopt;
  File file(path_, O_RDWR);
  const uint64_t bytes = file.size();
  if (bytes < at.end || read_generation(file) != at.generation) return std::nullopt;
  if (bytes > at.end && ftruncate(file.fd(), static_cast<off_t>(at.end)) != 0) throw_errno(errno, "shorten " + path_);
  const std::string added = record(size, entries);
  file.write_at(at.end, added.data(), added.size());
  return Added{{at.generation, at.end + added.size(), at.base}, std::move(file)};
}

std::optional<StateLog::Content> StateLog::read() const {
  if (!path_exists(path_)) return std::nullopt;
  const File file(path_, O_RDONLY);
  const auto generation = read_generation(file);
  if (!generation) return std::nullopt;
  Content content;
  const uint64_t bytes = file.size();
  content.end = {*generation, sizeof(FileHeader), 0};
  while (content.end.end < bytes && read_record(file, content.end.end, bytes, content)) {
    if (content.end.base == 0) content.end.base = content.end.end;
  }
  content.whole = content.end.end == bytes;
  if (content.end.base == 0) return std::nullopt;
  return content;
}

}  // namespace sluice
