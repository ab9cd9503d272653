// What the fuzz targets share: taking an input apart, a folder of their own, and saying what must hold.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "base/error.h"

namespace sluice::fuzz {

/// The fuzzer's bytes from front to back; zeros where they have ended.
class Input {
 public:
  Input(const uint8_t* data, size_t size) : rest_(reinterpret_cast<const char*>(data), size) {}

  template <typename T>
  T take() {
    T value{};
    const std::string_view bytes = take_bytes(sizeof value);
    if (!bytes.empty()) std::memcpy(&value, bytes.data(), bytes.size());
    return value;
  }
  /// A number below `end`, which is above 0.
  uint64_t below(uint64_t end) { return (end <= 256 ? take<uint8_t>() : take<uint32_t>()) % end; }
  bool flag() { return (take<uint8_t>() & 1) != 0; }
  std::string_view take_bytes(size_t most) {
    const std::string_view bytes = rest_.substr(0, most);
    rest_.remove_prefix(bytes.size());
    return bytes;
  }
  /// As many bytes as the next one says.
  std::string_view take_text() { return take_bytes(take<uint8_t>()); }
  std::string_view rest() { return take_bytes(rest_.size()); }
  bool empty() const { return rest_.empty(); }

 private:
  std::string_view rest_;
};

/// CRC-32 of the zip format, bit by bit.
inline uint32_t zip_crc32(std::string_view bytes) {
  uint32_t crc = ~0U;
  for (const unsigned char byte : bytes) {
    crc ^= byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0xEDB88320U : 0U);
  }
  return ~crc;
}

/// Ends the process, so that the fuzzer keeps the input, unless it holds.
inline void expect(bool holds, const std::string& what) {
  if (holds) return;
  std::fprintf(stderr, "fuzz: expected %s\n", what.c_str());
  std::abort();
}

/// Whether the call gave no error. An error that is not foreseen, and any other exception, is a finding.
template <typename Call>
bool accepts(const Call& call) {
  try {
    call();
    return true;
  } catch (const Error& error) {
    const std::string_view found = error.code();
    expect(found != code::kInternal && found != code::kTorch, std::string("a foreseen error, not ") + error.code() + ": " + error.what());
    return false;
  }
}

/// A folder in memory, removed at the end.
class Scratch {
 public:
  Scratch() {
    const bool shared = std::filesystem::is_directory("/dev/shm");
    std::string name = std::string(shared ? "/dev/shm" : std::filesystem::temp_directory_path().string()) + "/sluice-fuzz-XXXXXX";
    expect(mkdtemp(name.data()) != nullptr, "a temporary folder");
    path_ = name;
  }
  ~Scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// The process's own.
inline const std::string& scratch() {
  static const Scratch folder;
  return folder.path();
}

inline std::string write_scratch(const std::string& name, std::string_view bytes) {
  const std::string path = scratch() + "/" + name;
  std::ofstream(path, std::ios::binary | std::ios::trunc).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  return path;
}

/// Writes a number over the bytes at `at`, which exist.
template <typename T>
void put(std::string& bytes, size_t at, T value) {
  std::memcpy(bytes.data() + at, &value, sizeof value);
}

}  // namespace sluice::fuzz

#define SLUICE_FUZZ_TARGET extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size)
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
