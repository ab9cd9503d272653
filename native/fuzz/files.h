// Folders kept in memory, to be written anew for each input, and edits of their files.
#pragma once
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "base/crc32c.h"
#include "input.h"
#include "storage/lmdb_env.h"

namespace sluice::fuzz {

inline std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// Files by their path below the folder.
using Folder = std::map<std::string, std::string>;

inline Folder load_folder(const std::string& path) {
  Folder files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path)) {
    const bool lock = entry.path().extension() == ".lock" || entry.path().filename() == "lock.mdb";
    if (entry.is_regular_file() && !lock) files[std::filesystem::relative(entry.path(), path).string()] = read_file(entry.path().string());
  }
  return files;
}

/// Pages of zeros become holes: segments are mostly that.
inline void store_file(const std::string& path, const std::string& bytes) {
  constexpr size_t kPage = 4096;
  static const std::string zeros(kPage, '\0');
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC, 0644);
  expect(fd >= 0 && ftruncate(fd, static_cast<off_t>(bytes.size())) == 0, "a file to be written");
  for (size_t at = 0; at < bytes.size(); at += kPage) {
    const size_t n = std::min(kPage, bytes.size() - at);
    if (std::memcmp(bytes.data() + at, zeros.data(), n) != 0) expect(pwrite(fd, bytes.data() + at, n, static_cast<off_t>(at)) == static_cast<ssize_t>(n), "a file that is written");
  }
  ::close(fd);
}

inline void store_folder(const std::string& path, const Folder& files) {
  std::filesystem::remove_all(path);
  for (const auto& [name, bytes] : files) {
    const std::string file = path + "/" + name;
    std::filesystem::create_directories(std::filesystem::path(file).parent_path());
    store_file(file, bytes);
  }
}

/// Overwrites up to 16 bytes, seldom changes the length.
inline void edit_bytes(std::string& bytes, Input& input) {
  const auto kind = input.take<uint8_t>();
  if (kind == 255) bytes.resize(input.take<uint32_t>() % (bytes.size() + 64));
  if (bytes.empty()) return;
  const size_t at = (bytes.size() <= 256 ? input.take<uint8_t>() : input.take<uint32_t>()) % bytes.size();
  const std::string_view text = input.take_bytes(1 + kind % 16).substr(0, bytes.size() - at);
  std::copy(text.begin(), text.end(), bytes.begin() + static_cast<std::ptrdiff_t>(at));
}

/// Overwrites bytes in one of the pages that LMDB's trees are made of, or in a meta page.
inline void edit_tree_page(std::string& file, size_t page_bytes, Input& input) {
  std::vector<size_t> pages;
  for (size_t at = 0; at + page_bytes <= file.size(); at += page_bytes) {
    uint64_t number;
    uint16_t flags;
    std::memcpy(&number, file.data() + at, sizeof number);
    std::memcpy(&flags, file.data() + at + 10, sizeof flags);
    if (number == at / page_bytes && (flags == 1 || flags == 2 || flags == 8)) pages.push_back(at);
  }
  if (pages.empty()) return;
  const size_t page = pages[input.below(pages.size())];
  const size_t at = input.take<uint16_t>() % page_bytes;
  const std::string_view text = input.take_bytes(1 + input.below(8)).substr(0, page_bytes - at);
  std::copy(text.begin(), text.end(), file.begin() + static_cast<std::ptrdiff_t>(page + at));
}

/// As the entries of tables with string keys are kept.
inline std::string sealed_entry(const std::string& key, std::string value) {
  const uint32_t crc = crc32c(value.data(), value.size(), crc32c(key.data(), key.size()));
  return value.append(reinterpret_cast<const char*>(&crc), sizeof crc);
}

/// Marks and checksums of a state log as its writer makes them; `sound` is such a log.
inline std::string sealed_log(std::string bytes, const std::string& sound) {
  constexpr size_t kHeader = 24;  // of the file and of a record: state_log.cpp
  if (bytes.size() < kHeader) return bytes;
  bytes.replace(0, 8, sound, 0, 8);
  put(bytes, 20, crc32c(bytes.data(), 20));
  for (size_t at = kHeader; at + kHeader <= bytes.size();) {
    uint64_t length;
    std::memcpy(&length, bytes.data() + at + 16, sizeof length);
    length = std::min<uint64_t>(length, bytes.size() - at - kHeader);
    put(bytes, at + 16, length);
    bytes.replace(at, 4, sound, kHeader, 4);
    put(bytes, at + 4, crc32c(bytes.data() + at + 8, 16 + length));
    at += kHeader + length;
  }
  return bytes;
}

/// The entries of a table as they are stored.
inline std::vector<std::pair<std::string, std::string>> entries_of(const std::string& folder, const char* table, Table::Keys keys) {
  std::vector<std::pair<std::string, std::string>> all;
  const auto env = Env::open(folder, false);
  const Txn txn(*env, true);
  Table(txn, table, keys, false).for_each(txn, [&](std::string_view key, std::string_view value) { all.emplace_back(key, value); });
  return all;
}

}  // namespace sluice::fuzz
