// What the benchmarks share: clocks, medians, this process's memory, the page cache.
#pragma once
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

namespace sluice::bench {

using Clock = std::chrono::steady_clock;

inline double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

inline double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

/// Resident memory of this process, MiB: its own, and pages of mapped files, which the kernel takes back when others need them.
struct Resident {
  double own, mapped;
};
Resident resident();

/// Bytes on disk of all files below a folder.
double bytes_below(const std::string& folder);
/// Lets the page cache forget all files below a folder; they must be on disk.
void drop_page_cache(const std::string& folder);

}  // namespace sluice::bench
