#include "train/script/archive.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>
#include <set>

#include "base/error.h"

namespace sluice {

namespace {

constexpr uint32_t kEndSignature = 0x06054b50;
constexpr uint32_t kEnd64Signature = 0x06064b50;
constexpr uint32_t kLocator64Signature = 0x07064b50;
constexpr uint32_t kEntrySignature = 0x02014b50;
constexpr uint32_t kLocalSignature = 0x04034b50;
constexpr uint64_t kEndBytes = 22;
constexpr uint64_t kEnd64Bytes = 56;
constexpr uint64_t kLocator64Bytes = 20;
constexpr uint64_t kEntryBytes = 46;
constexpr uint64_t kLocalBytes = 30;
constexpr uint64_t kMaxEntries = 200'000;
constexpr uint64_t kMaxName = 1'000;
constexpr uint64_t kMaxSource = 16'000'000;  // bytes of one compressed file: a source file or its debug information

/// Little-endian fields of the file, read at checked places.
class Fields {
 public:
  Fields(std::string_view bytes, const std::string& path) : bytes_(bytes), path_(path) {}

  uint64_t get(uint64_t at, uint64_t width) const {
    const std::string_view field = view(at, width);
    uint64_t value = 0;
    for (uint64_t i = width; i-- > 0;) value = value << 8 | static_cast<unsigned char>(field[i]);
    return value;
  }

  std::string_view view(uint64_t at, uint64_t length) const {
    if (at > bytes_.size() || length > bytes_.size() - at) corrupt("a part of " + std::to_string(length) + " bytes at " + std::to_string(at) + " lies outside the file");
    return bytes_.substr(at, length);
  }

  void expect(uint64_t at, uint32_t signature, const std::string& what) const {
    if (get(at, 4) != signature) corrupt("there is no " + what + " at byte " + std::to_string(at));
  }

  [[noreturn]] void corrupt(const std::string& what) const { throw Error(code::kCorrupt, path_ + ": not a sound TorchScript archive: " + what); }

  uint64_t size() const { return bytes_.size(); }

 private:
  std::string_view bytes_;
  const std::string& path_;
};

/// The checksum of the zip format: CRC-32, polynomial 0xEDB88320.
uint32_t crc32(std::string_view bytes) {
  // Eight tables, eight bytes a step: a 100 MB model is checked in a few hundredths of a second.
  static const auto tables = [] {
    std::array<std::array<uint32_t, 256>, 8> made{};
    for (uint32_t i = 0; i < 256; ++i) {
      uint32_t value = i;
      for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) != 0 ? 0xEDB88320U : 0U);
      made[0][i] = value;
    }
    for (uint32_t i = 0; i < 256; ++i) {
      for (size_t t = 1; t < 8; ++t) made[t][i] = (made[t - 1][i] >> 8) ^ made[0][made[t - 1][i] & 0xFF];
    }
    return made;
  }();
  uint32_t crc = ~0U;
  size_t i = 0;
  for (; i + 8 <= bytes.size(); i += 8) {
    uint64_t word = 0;
    std::memcpy(&word, bytes.data() + i, 8);
    word ^= crc;
    crc = 0;
    for (size_t t = 0; t < 8; ++t) crc ^= tables[7 - t][word >> (8 * t) & 0xFF];
  }
  for (; i < bytes.size(); ++i) crc = (crc >> 8) ^ tables[0][(crc ^ static_cast<unsigned char>(bytes[i])) & 0xFF];
  return ~crc;
}

struct Directory {
  uint64_t entries;
  uint64_t begin;
  uint64_t end;
};

/// PyTorch always writes the records for large files, and no comment behind the end record.
Directory find_directory(const Fields& file) {
  if (file.size() < kEndBytes) file.corrupt("only " + std::to_string(file.size()) + " bytes long");
  const uint64_t end = file.size() - kEndBytes;
  file.expect(end, kEndSignature, "end record of a zip file");
  if (file.get(end + 4, 4) != 0 || file.get(end + 20, 2) != 0) file.corrupt("it is split or carries a comment");
  Directory directory{file.get(end + 10, 2), file.get(end + 16, 4), end};
  uint64_t length = file.get(end + 12, 4);
  if (file.get(end + 8, 2) != directory.entries) file.corrupt("two counts of entries");
  if (end >= kLocator64Bytes && file.get(end - kLocator64Bytes, 4) == kLocator64Signature) {
    const uint64_t locator = end - kLocator64Bytes;
    const uint64_t record = file.get(locator + 8, 8);
    if (file.get(locator + 4, 4) != 0 || file.get(locator + 16, 4) != 1 || record > locator || locator - record != kEnd64Bytes) {
      file.corrupt("its second end record is misplaced");
    }
    file.expect(record, kEnd64Signature, "second end record");
    if (file.get(record + 4, 8) != kEnd64Bytes - 12 || file.get(record + 16, 8) != 0 || file.get(record + 24, 8) != file.get(record + 32, 8)) {
      file.corrupt("its second end record is malformed");
    }
    const auto narrow = [&](uint64_t small, uint64_t wide, uint64_t limit) {
      if (small != limit && small != wide) file.corrupt("its two end records disagree");
      return wide;
    };
    directory.entries = narrow(directory.entries, file.get(record + 32, 8), 0xFFFF);
    length = narrow(length, file.get(record + 40, 8), 0xFFFFFFFF);
    directory.begin = narrow(directory.begin, file.get(record + 48, 8), 0xFFFFFFFF);
    directory.end = record;
  }
  if (directory.begin > directory.end || length != directory.end - directory.begin) file.corrupt("its directory does not end where the end record begins");
  if (directory.entries == 0 || directory.entries > kMaxEntries) file.corrupt(std::to_string(directory.entries) + " entries");
  return directory;
}

/// Replaces the fields of a directory entry that are too large for 32 bits by those of the zip64 extra field.
void widen(const Fields& file, const ArchiveEntry& entry, uint64_t extra, uint64_t extra_bytes, std::array<uint64_t*, 3> values) {
  const uint64_t end = extra + extra_bytes;
  while (extra + 4 <= end) {
    const uint64_t tag = file.get(extra, 2);
    const uint64_t length = file.get(extra + 2, 2);
    uint64_t at = extra + 4;
    extra = at + length;
    if (extra > end) file.corrupt("entry '" + entry.name + "' has an extra field that is too long");
    if (tag != 1) continue;
    for (uint64_t* value : values) {
      if (*value != 0xFFFFFFFF) continue;
      if (at + 8 > extra) file.corrupt("entry '" + entry.name + "' lacks its 64-bit sizes");
      *value = file.get(at, 8);
      at += 8;
    }
    return;
  }
}

void check_name(const Fields& file, const std::string& name) {
  if (name.empty() || name.size() > kMaxName || name.front() == '/' || name.back() == '/' || name.find("..") != std::string::npos || name.find("//") != std::string::npos) {
    file.corrupt("an entry is named '" + name.substr(0, 100) + "'");
  }
  for (const unsigned char c : name) {
    if (c < 0x20 || c == 0x7F || c == '\\') file.corrupt("an entry's name holds the byte " + std::to_string(c));
  }
}

bool ends_with(const std::string& text, const std::string& end) { return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0; }

void check_method(const Fields& file, const ArchiveEntry& entry, uint64_t method, uint64_t flags) {
  if ((flags & 0x2061) != 0) file.corrupt("entry '" + entry.name + "' is encrypted or patched");
  if (method != 0 && method != 8) file.corrupt("entry '" + entry.name + "' is compressed by the unknown method " + std::to_string(method));
  const bool source = ends_with(entry.name, ".py") || ends_with(entry.name, ".debug_pkl");
  if (entry.compressed && !source) file.corrupt("entry '" + entry.name + "' is compressed");
  if (source && entry.size > kMaxSource) file.corrupt("entry '" + entry.name + "' has " + std::to_string(entry.size) + " bytes; the limit is " + std::to_string(kMaxSource));
  if (!entry.compressed && entry.stored != entry.size) file.corrupt("entry '" + entry.name + "' has two different sizes");
}

/// Reads the entry at `at` of the directory and moves `at` behind it.
ArchiveEntry read_entry(const Fields& file, const Directory& directory, uint64_t& at) {
  if (directory.end - at < kEntryBytes) file.corrupt("its directory is cut off");
  file.expect(at, kEntrySignature, "directory entry");
  const uint64_t name_bytes = file.get(at + 28, 2);
  const uint64_t extra_bytes = file.get(at + 30, 2);
  ArchiveEntry entry{std::string(file.view(at + kEntryBytes, name_bytes)), 0, file.get(at + 20, 4), file.get(at + 24, 4), file.get(at + 10, 2) != 0};
  check_name(file, entry.name);
  uint64_t local = file.get(at + 42, 4);
  widen(file, entry, at + kEntryBytes + name_bytes, extra_bytes, {&entry.size, &entry.stored, &local});
  check_method(file, entry, file.get(at + 10, 2), file.get(at + 8, 2));
  if (file.get(at + 34, 2) != 0) file.corrupt("entry '" + entry.name + "' lies in another file");

  if (local >= directory.begin) file.corrupt("entry '" + entry.name + "' lies behind the directory");
  file.expect(local, kLocalSignature, "local header of entry '" + entry.name + "'");
  const uint64_t local_name = file.get(local + 26, 2);
  if (file.view(local + kLocalBytes, local_name) != entry.name || file.get(local + 8, 2) != file.get(at + 10, 2)) {
    file.corrupt("entry '" + entry.name + "' has another name or method in its local header");
  }
  entry.offset = local + kLocalBytes + local_name + file.get(local + 28, 2);
  if (entry.offset > directory.begin || entry.stored > directory.begin - entry.offset) file.corrupt("entry '" + entry.name + "' of " + std::to_string(entry.stored) + " bytes lies outside the file");
  const std::string_view content = file.view(entry.offset, entry.stored);
  if (!entry.compressed && crc32(content) != file.get(at + 16, 4)) file.corrupt("entry '" + entry.name + "' fails its checksum");
  at += kEntryBytes + name_bytes + extra_bytes + file.get(at + 32, 2);
  if (at > directory.end) file.corrupt("its directory is cut off");
  return entry;
}

void check_overlaps(const Fields& file, std::vector<ArchiveEntry> entries) {
  std::sort(entries.begin(), entries.end(), [](const ArchiveEntry& a, const ArchiveEntry& b) { return a.offset < b.offset; });
  for (size_t i = 1; i < entries.size(); ++i) {
    const uint64_t end = entries[i - 1].offset + entries[i - 1].stored;
    if (entries[i].offset < end + kLocalBytes) file.corrupt("entries '" + entries[i - 1].name + "' and '" + entries[i].name + "' overlap");
  }
}

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

}  // namespace

std::vector<ArchiveEntry> read_archive(std::string_view bytes, const std::string& path) {
  const Fields file(bytes, path);
  const Directory directory = find_directory(file);
  std::vector<ArchiveEntry> entries;
  std::set<std::string> names;
  std::string folder;
  uint64_t at = directory.begin;
  for (uint64_t i = 0; i < directory.entries; ++i) {
    ArchiveEntry entry = read_entry(file, directory, at);
    if (i == 0) folder = entry.name.substr(0, entry.name.find('/') + 1);
    if (folder.size() < 2 || entry.name.compare(0, folder.size(), folder) != 0) file.corrupt("entry '" + entry.name + "' lies outside the archive's folder '" + folder + "'");
    entry.name.erase(0, folder.size());
    if (!names.insert(lower(entry.name)).second) file.corrupt("entry '" + entry.name + "' is there twice");
    entries.push_back(std::move(entry));
  }
  if (at != directory.end) file.corrupt("its directory holds more than its entries");
  check_overlaps(file, entries);
  return entries;
}

}  // namespace sluice
