// Files of the operating system with our errors: every call names the path it failed on.
#pragma once
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>

namespace sluice {

/// An open file descriptor, closed at the end.
class File {
 public:
  File() = default;
  /// open(2); E_NOT_FOUND, E_READ_ONLY, E_NO_SPACE or E_IO.
  File(const std::string& path, int flags, mode_t mode = 0644);
  File(File&& other) noexcept;
  File& operator=(File&& other) noexcept;
  ~File();

  int fd() const { return fd_; }
  bool is_open() const { return fd_ >= 0; }
  const std::string& path() const { return path_; }
  uint64_t size() const;
  void write_at(uint64_t offset, const void* data, size_t bytes) const;
  void read_at(uint64_t offset, void* data, size_t bytes) const;  // E_CORRUPT at an early end
  void sync() const;
  void close();

 private:
  int fd_ = -1;
  std::string path_;
};

/// A file that appears under its name whole or not at all: written beside it, fsynced, renamed.
class AtomicFile {
 public:
  explicit AtomicFile(std::string target);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  void write(const void* data, size_t bytes);
  /// Leaves a hole, which reads as zeros; something is written behind it.
  void skip(uint64_t bytes) { offset_ += bytes; }
  void commit();

 private:
  std::string target_, path_;
  File file_;
  uint64_t offset_ = 0;
  bool committed_ = false;
};

/// A read-only shared mapping of a file's first `bytes`.
class Mapping {
 public:
  Mapping() = default;
  Mapping(const File& file, uint64_t bytes);
  Mapping(Mapping&& other) noexcept;
  Mapping& operator=(Mapping&& other) noexcept;
  ~Mapping();
  const uint8_t* data() const { return data_; }
  uint64_t size() const { return size_; }

 private:
  const uint8_t* data_ = nullptr;
  uint64_t size_ = 0;
};

/// Whether there is a file or folder of this name; E_IO or E_READ_ONLY when that cannot be told.
bool path_exists(const std::string& path);
/// Makes the file at least `bytes` long, with room for them on the disk where the file system can reserve it, so that a
/// later write does not run out of space: E_NO_SPACE. `path` is for the message.
void reserve_room(int fd, uint64_t bytes, const std::string& path);
/// mkdir -p; the new names are durable.
void make_folders(const std::string& path);
/// Makes the names in a folder durable.
void sync_folder(const std::string& path);

}  // namespace sluice
