// Whole TorchScript archives: one of the fixtures, edited, with its checksums made to hold. What the check passes LibTorch loads.
#include <algorithm>
#include <vector>

#include "input.h"
#include "train/script/archive.h"
#include "train/script/check.h"
#include "train/script/script_module.h"

using namespace sluice;

namespace {

constexpr uint64_t kMaxArchive = 200'000;

std::vector<std::string> archives() {
  std::vector<std::string> names, all;
  for (const auto& entry : std::filesystem::directory_iterator(SLUICE_FIXTURES "/script")) {
    if (entry.path().extension() == ".pt" && entry.file_size() <= kMaxArchive) names.push_back(entry.path().string());
  }
  std::sort(names.begin(), names.end());
  for (const std::string& name : names) {
    std::ifstream file(name, std::ios::binary);
    all.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  return all;
}

/// The checksum of a file's bytes in its local header and in the directory.
void seal(std::string& bytes, const ArchiveEntry& entry) {
  const uint32_t crc = fuzz::zip_crc32(std::string_view(bytes).substr(entry.offset, entry.stored));
  for (size_t at = bytes.find(entry.name); at != std::string::npos; at = bytes.find(entry.name, at + 1)) {
    const size_t name = bytes.rfind("PK", at);
    if (name == std::string::npos) continue;
    const std::string_view mark = std::string_view(bytes).substr(name, 4);
    if (mark == "PK\x03\x04") fuzz::put(bytes, name + 14, crc);
    if (mark == "PK\x01\x02") fuzz::put(bytes, name + 16, crc);
  }
}

/// Edits inside the files that are stored as they are: pickles and tensors. Their length stays.
void edit(std::string& bytes, fuzz::Input& input) {
  std::vector<ArchiveEntry> stored;
  for (ArchiveEntry& entry : read_archive(bytes, "fixture")) {
    if (!entry.compressed && entry.stored > 0) stored.push_back(std::move(entry));
  }
  while (!input.empty()) {
    const ArchiveEntry& entry = stored[input.below(stored.size())];
    const uint64_t at = input.take<uint16_t>() % entry.stored;
    const std::string_view text = input.take_bytes(input.below(16)).substr(0, entry.stored - at);
    bytes.replace(entry.offset + at, text.size(), text);
    seal(bytes, entry);
  }
}

}  // namespace

SLUICE_FUZZ_TARGET {
  static const std::vector<std::string> fixtures = archives();
  fuzz::Input input(data, size);
  const uint64_t mode = input.below(3);
  std::string bytes = mode == 0 ? std::string(input.rest()) : fixtures[input.below(fixtures.size())];
  if (mode == 1) {
    bool sound = fuzz::accepts([&] { read_archive(bytes, "fixture"); });
    if (sound) edit(bytes, input);
  }
  while (!input.empty()) {
    const uint64_t at = input.take<uint32_t>() % bytes.size();
    bytes[at] = static_cast<char>(input.take<uint8_t>());
  }
  const std::string path = fuzz::write_scratch("model.pt", bytes);
  if (fuzz::accepts([&] { check_script_archive(path); })) fuzz::accepts([&] { load_script_module(path); });
  return 0;
}
