#include "base/memory.h"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <sstream>

#include "base/error.h"

namespace sluice {

namespace {

/// The number behind `key` in a file of "key number" lines, or the file's first number where key is empty; `otherwise` if there is none.
uint64_t number_in(const std::string& path, const std::string& key, uint64_t otherwise) {
  std::ifstream file(path);
  std::string word;
  uint64_t value = 0;
  if (key.empty()) return file >> value ? value : otherwise;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    if (words >> word && word == key) return words >> value ? value : otherwise;
  }
  return otherwise;
}

/// Folder of the process's control group: the entry of /proc/self/cgroup with this beginning ("0::" for v2).
std::string group_of(const std::string& root, const std::string& controller) {
  std::ifstream file(root + "/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    const size_t at = line.find(controller);
    if (at != std::string::npos && (at == 0 || line[at - 1] == ':')) return line.substr(at + controller.size());
  }
  return "/";
}

/// What the limits of a group and of those above it leave; caches of files count as free.
uint64_t left_in_groups(const std::string& mount, std::string group, const char* limit_file, const char* used_file, const char* cache) {
  uint64_t left = UINT64_MAX;
  while (true) {
    const std::string folder = mount + (group == "/" ? "" : group);
    const uint64_t limit = number_in(folder + "/" + limit_file, "", UINT64_MAX);  // v2 writes "max" where there is none
    const uint64_t used = number_in(folder + "/" + used_file, "", 0);
    const uint64_t cached = std::min(used, number_in(folder + "/memory.stat", cache, 0));
    if (limit != UINT64_MAX) left = std::min(left, limit - std::min(limit, used - cached));
    if (group.empty() || group == "/") return left;
    group.erase(group.rfind('/'));
  }
}

}  // namespace

uint64_t free_memory() { return free_memory(""); }

uint64_t free_memory(const std::string& root) {
  const uint64_t kilobytes = number_in(root + "/proc/meminfo", "MemAvailable:", UINT64_MAX);
  const uint64_t available = kilobytes == UINT64_MAX ? UINT64_MAX : kilobytes * 1024;
  const uint64_t v2 = left_in_groups(root + "/sys/fs/cgroup", group_of(root, "0::"), "memory.max", "memory.current", "inactive_file");
  const uint64_t v1 = left_in_groups(root + "/sys/fs/cgroup/memory", group_of(root, "memory:"), "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file");
  return std::min({available, v2, v1});
}

void require_memory(uint64_t bytes, const std::string& purpose) {
  const uint64_t free = free_memory();
  if (bytes <= free) return;
  throw Error(code::kMemory, "no memory for " + purpose + ": " + bytes_text(bytes) + " asked for, " + bytes_text(free) + " free");
}

std::string bytes_text(uint64_t bytes) {
  static const char* const kUnits[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  size_t unit = 0;
  auto value = static_cast<double>(bytes);
  for (; value >= 1024.0 && unit < 6; ++unit) value /= 1024.0;
  char text[40];
  std::snprintf(text, sizeof text, unit == 0 ? "%.0f %s" : "%.1f %s", value, kUnits[unit]);
  return text;
}

}  // namespace sluice
