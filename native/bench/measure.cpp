#include "measure.h"

#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace sluice::bench {

namespace fs = std::filesystem;

Resident resident() {
  Resident result{0.0, 0.0};
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    const auto value = [&](const char* name) { return line.rfind(name, 0) == 0 ? std::stod(line.substr(std::string(name).size())) / 1024 : 0.0; };
    result.own += value("RssAnon:");
    result.mapped += value("RssFile:");
  }
  return result;
}

double bytes_below(const std::string& folder) {
  double bytes = 0.0;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) bytes += static_cast<double>(entry.file_size());
  }
  return bytes;
}

void drop_page_cache(const std::string& folder) {
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    const int file = open(entry.path().c_str(), O_RDONLY);
    if (file >= 0) {
      posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
      close(file);
    }
  }
}

}  // namespace sluice::bench
