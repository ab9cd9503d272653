#include "storage/folders.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "base/error.h"

namespace sluice {

uint64_t bytes_below(const std::string& folder) {
  std::error_code error;
  uint64_t bytes = 0;
  for (std::filesystem::recursive_directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    struct stat status {};
    if (lstat(at->path().c_str(), &status) == 0 && S_ISREG(status.st_mode)) bytes += static_cast<uint64_t>(status.st_blocks) * 512;
  }
  return bytes;
}

void remove_folder(const std::string& path) {
  std::error_code error;
  std::filesystem::remove_all(path, error);
  if (error) throw_errno(error.value(), "remove " + path);
}

void exchange_folders(const std::string& a, const std::string& b) {
  if (renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE) == 0) return;
  if (errno != EINVAL && errno != ENOSYS) throw_errno(errno, "rename " + a);
  throw Error(code::kIo, "rename " + a + ": this file system cannot exchange two folders; what was written is there: put it in the place of " + b);
}

void read_available(const File& file, uint64_t offset, uint8_t* to, size_t bytes) {
  const uint64_t size = file.size();
  const size_t there = offset >= size ? 0 : std::min<uint64_t>(bytes, size - offset);
  file.read_at(offset, to, there);
  std::memset(to + there, 0, bytes - there);
}

bool is_hole(const File& file, uint64_t offset, uint64_t bytes) {
  const off_t data = lseek(file.fd(), static_cast<off_t>(offset), SEEK_DATA);
  return data < 0 ? errno == ENXIO : static_cast<uint64_t>(data) >= offset + bytes;
}

}  // namespace sluice
