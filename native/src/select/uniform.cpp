#include <algorithm>
#include <numeric>
#include <unordered_set>

#include "base/error.h"
#include "base/rng.h"
#include "select/select.h"

namespace sluice {

namespace {

/// Floyd's algorithm (Bentley and Floyd, 1987): `count` draws whatever the range.
std::vector<uint64_t> sample_few(uint64_t first, uint64_t n, uint64_t count, Rng& rng) {
  std::unordered_set<uint64_t> chosen;
  chosen.reserve(count);
  for (uint64_t j = n - count; j < n; ++j) {
    const uint64_t t = rng.below(j + 1);
    chosen.insert(chosen.count(t) == 0 ? t : j);
  }
  std::vector<uint64_t> keys(chosen.begin(), chosen.end());
  std::sort(keys.begin(), keys.end());
  for (uint64_t& key : keys) key += first;
  return keys;
}

/// Selection sampling (Knuth, TAOCP 2, 3.4.2, algorithm S): one pass over the range, sorted as it goes.
std::vector<uint64_t> sample_many(uint64_t first, uint64_t n, uint64_t count, Rng& rng) {
  std::vector<uint64_t> keys;
  keys.reserve(count);
  for (uint64_t i = 0; keys.size() < count; ++i) {
    if (rng.below(n - i) < count - keys.size()) keys.push_back(first + i);
  }
  return keys;
}

}  // namespace

std::vector<uint64_t> sample_uniform(uint64_t first, uint64_t end, uint64_t count, uint64_t seed) {
  if (first > end) throw Error(code::kArgument, "candidates: the range ends (" + std::to_string(end) + ") before it begins (" + std::to_string(first) + ")");
  const uint64_t n = end - first;
  if (count >= n) {
    std::vector<uint64_t> all(n);
    std::iota(all.begin(), all.end(), first);
    return all;
  }
  Rng rng(seed);
  return count < n / 16 ? sample_few(first, n, count, rng) : sample_many(first, n, count, rng);
}

}  // namespace sluice
