#include "base/read_ahead.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

namespace sluice {

namespace {

constexpr size_t kShort = 2048;  // bytes; several of these share a page with their neighbours, and a call costs a microsecond

}  // namespace

void read_ahead(const uint8_t* const* records, size_t n, size_t bytes) {
  if (bytes < kShort || n == 0) return;
  static const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  std::vector<uintptr_t> starts(n);
  std::transform(records, records + n, starts.begin(), [](const uint8_t* record) { return reinterpret_cast<uintptr_t>(record); });
  std::sort(starts.begin(), starts.end());
  for (size_t i = 0; i < n;) {
    const uintptr_t begin = starts[i] & ~(page - 1);
    uintptr_t end = starts[i] + bytes;
    for (++i; i < n && starts[i] < end + page; ++i) end = starts[i] + bytes;
    madvise(reinterpret_cast<void*>(begin), end - begin, MADV_WILLNEED);  // advice: a refusal changes nothing but the time
  }
}

}  // namespace sluice
