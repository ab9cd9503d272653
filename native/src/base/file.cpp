#include "base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <utility>

#include "base/error.h"

namespace sluice {

File::File(const std::string& path, int flags, mode_t mode) : path_(path) {
  do {
    fd_ = open(path.c_str(), flags | O_CLOEXEC, mode);
  } while (fd_ < 0 && errno == EINTR);
  if (fd_ < 0) throw_errno(errno, "open " + path);
}

File::File(File&& other) noexcept : fd_(std::exchange(other.fd_, -1)), path_(std::move(other.path_)) {}

File& File::operator=(File&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(path_, other.path_);
  return *this;
}

File::~File() {
  if (fd_ >= 0) ::close(fd_);
}

void File::close() {
  const int fd = std::exchange(fd_, -1);
  if (fd >= 0 && ::close(fd) != 0) throw_errno(errno, "close " + path_);
}

uint64_t File::size() const {
  struct stat status {};
  if (fstat(fd_, &status) != 0) throw_errno(errno, "stat " + path_);
  return static_cast<uint64_t>(status.st_size);
}

void File::write_at(uint64_t offset, const void* data, size_t bytes) const {
  const auto* at = static_cast<const uint8_t*>(data);
  while (bytes > 0) {
    const ssize_t n = pwrite(fd_, at, bytes, static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) throw_errno(n == 0 ? ENOSPC : errno, "write " + path_);
    at += n;
    offset += static_cast<uint64_t>(n);
    bytes -= static_cast<size_t>(n);
  }
}

void File::read_at(uint64_t offset, void* data, size_t bytes) const {
  auto* at = static_cast<uint8_t*>(data);
  while (bytes > 0) {
    const ssize_t n = pread(fd_, at, bytes, static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw_errno(errno, "read " + path_);
    if (n == 0) throw Error(code::kCorrupt, path_ + ": cut off at byte " + std::to_string(offset));
    at += n;
    offset += static_cast<uint64_t>(n);
    bytes -= static_cast<size_t>(n);
  }
}

void File::sync() const {
  if (fdatasync(fd_) != 0) throw_errno(errno, "sync " + path_);
}

AtomicFile::AtomicFile(std::string target) : target_(std::move(target)) {
  static std::atomic<uint64_t> counter{0};
  do {  // a killed process may have had the same id, as it has in a container, and left its file
    path_ = target_ + ".tmp-" + std::to_string(getpid()) + "-" + std::to_string(counter++);
  } while (path_exists(path_));
  file_ = File(path_, O_WRONLY | O_CREAT | O_EXCL);
}

AtomicFile::~AtomicFile() {
  if (!committed_) unlink(path_.c_str());
}

void AtomicFile::write(const void* data, size_t bytes) {
  file_.write_at(offset_, data, bytes);
  offset_ += bytes;
}

void AtomicFile::commit() {
  if (fsync(file_.fd()) != 0) throw_errno(errno, "sync " + path_);
  file_.close();
  if (std::rename(path_.c_str(), target_.c_str()) != 0) throw_errno(errno, "rename to " + target_);
  committed_ = true;
  const std::filesystem::path folder = std::filesystem::path(target_).parent_path();
  sync_folder(folder.empty() ? "." : folder.string());
}

Mapping::Mapping(const File& file, uint64_t bytes) : size_(bytes) {
  if (bytes == 0) return;
  void* memory = mmap(nullptr, bytes, PROT_READ, MAP_SHARED, file.fd(), 0);
  if (memory == MAP_FAILED) throw_errno(errno, "map " + file.path());
  data_ = static_cast<const uint8_t*>(memory);
}

Mapping::Mapping(Mapping&& other) noexcept : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

Mapping::~Mapping() {
  if (data_ != nullptr) munmap(const_cast<uint8_t*>(data_), size_);
}

bool path_exists(const std::string& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) == 0) return true;
  if (errno != ENOENT && errno != ENOTDIR) throw_errno(errno, "look for " + path);
  return false;
}

void reserve_room(int fd, uint64_t bytes, const std::string& path) {
  struct stat status {};
  if (fstat(fd, &status) != 0) throw_errno(errno, "stat " + path);
  const auto size = static_cast<uint64_t>(status.st_size);
  if (size >= bytes) return;
  int rc;
  do {
    rc = fallocate(fd, 0, static_cast<off_t>(size), static_cast<off_t>(bytes - size));
  } while (rc != 0 && errno == EINTR);
  if (rc != 0 && errno == EOPNOTSUPP) rc = ftruncate(fd, static_cast<off_t>(bytes));
  if (rc != 0) throw_errno(errno, "extend " + path);
}

void make_folders(const std::string& path) {
  std::filesystem::path whole;
  for (const std::filesystem::path& name : std::filesystem::path(path)) {
    const std::filesystem::path parent = whole;
    whole /= name;
    if (name.empty() || path_exists(whole.string())) continue;
    if (mkdir(whole.c_str(), 0777) == 0) {
      sync_folder(parent.empty() ? "." : parent.string());
    } else if (errno != EEXIST) {
      throw_errno(errno, "create " + path);
    }
  }
  struct stat status {};
  if (stat(path.c_str(), &status) == 0 && !S_ISDIR(status.st_mode)) throw_errno(ENOTDIR, "create " + path);
}

void sync_folder(const std::string& path) {
  const File folder(path, O_RDONLY | O_DIRECTORY);
  if (fsync(folder.fd()) != 0 && errno != EINVAL && errno != EROFS) throw_errno(errno, "sync " + path);
}

}  // namespace sluice
