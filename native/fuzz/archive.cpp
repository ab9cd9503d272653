// The zip directory of a TorchScript archive: raw, or one made of the input's files in PyTorch's layout and then edited.
#include "train/script/archive.h"

#include <vector>

#include "input.h"

using namespace sluice;

namespace {

template <typename T>
void add(std::string& bytes, T value) {
  bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
}

/// Files that are stored as they are, a directory, and both kinds of end records.
std::string zip_of(fuzz::Input& input) {
  std::string file, directory;
  const uint64_t entries = input.below(6);
  for (uint64_t i = 0; i < entries; ++i) {
    const std::string name = "m/" + std::string(input.take_text());
    const std::string_view content = input.take_text();
    const uint32_t method = input.take<uint8_t>() == 8 ? 8 : 0;
    std::string shared;  // of local header and entry: version, flags, method, time, date, checksum, sizes, lengths
    for (const uint32_t field : {20U, 0U, method, 0U, 0U}) add(shared, static_cast<uint16_t>(field));
    add(shared, fuzz::zip_crc32(content));
    add(shared, static_cast<uint32_t>(content.size()));
    add(shared, static_cast<uint32_t>(content.size() + (method == 8 ? input.take<uint8_t>() : 0)));
    add(shared, static_cast<uint16_t>(name.size()));
    add(shared, uint16_t{0});
    directory.append("PK\x01\x02\0\0", 6).append(shared).append(10, '\0');
    add(directory, static_cast<uint32_t>(file.size()));
    directory.append(name);
    file.append("PK\x03\x04").append(shared).append(name).append(content);
  }
  const uint64_t begin = file.size();
  const uint64_t end = begin + directory.size();
  file.append(directory);
  if (input.flag()) {
    file.append("PK\x06\x06");
    add(file, uint64_t{44});
    file.append(12, '\0');  // versions and disks
    for (const uint64_t field : {entries, entries, end - begin, begin}) add(file, field);
    file.append("PK\x06\x07").append(4, '\0');
    add(file, end);
    add(file, uint32_t{1});
  }
  file.append("PK\x05\x06").append(4, '\0');
  add(file, static_cast<uint16_t>(entries));
  add(file, static_cast<uint16_t>(entries));
  add(file, static_cast<uint32_t>(end - begin));
  add(file, static_cast<uint32_t>(begin));
  add(file, uint16_t{0});
  while (!input.empty()) {
    const uint64_t at = input.take<uint16_t>() % file.size();
    file[at] = static_cast<char>(input.take<uint8_t>());
  }
  return file;
}

}  // namespace

SLUICE_FUZZ_TARGET {
  fuzz::Input input(data, size);
  const std::string bytes = input.flag() ? zip_of(input) : std::string(input.rest());
  std::vector<ArchiveEntry> entries;
  if (!fuzz::accepts([&] { entries = read_archive(bytes, "input"); })) return 0;
  for (const ArchiveEntry& entry : entries) {
    fuzz::expect(entry.offset <= bytes.size() && entry.stored <= bytes.size() - entry.offset, "entries within the file");
    fuzz::expect(entry.name.find("..") == std::string::npos && !entry.name.empty() && entry.name.front() != '/', "names below one folder");
    fuzz::expect(entry.compressed || entry.size == entry.stored, "stored entries of one size");
  }
  return 0;
}
