#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/error.h"
#include "base/least.h"
#include "base/rng.h"
#include "select/select.h"

namespace sluice {

std::vector<uint64_t> sample_by_freshness(uint64_t first, uint64_t end, const int64_t* timestamps, int64_t now, double half_life,
                                          uint64_t count, uint64_t seed) {
  if (first > end) throw Error(code::kArgument, "candidates: the range ends (" + std::to_string(end) + ") before it begins (" + std::to_string(first) + ")");
  if (!(half_life > 0.0) || !std::isfinite(half_life)) throw Error(code::kArgument, "half life: expected more than 0 ms, got " + std::to_string(half_life));
  const uint64_t n = end - first;
  std::vector<uint64_t> keys(n);
  std::iota(keys.begin(), keys.end(), first);
  if (count >= n) return keys;
  // A-Res keeps the largest u^(1/w). In logarithms: log(-log u) - log w is smallest, and log w = -age ln 2 / half life
  // neither underflows for old samples nor loses the order among them.
  Rng rng(seed);
  std::vector<double> rank(n);
  for (uint64_t i = 0; i < n; ++i) {
    const double age = std::max(0.0, static_cast<double>(now) - static_cast<double>(timestamps[i]));
    const double exponential = -std::log(1.0 - rng.uniform());
    rank[i] = std::log(std::max(exponential, std::numeric_limits<double>::min())) + age * 0.6931471805599453 / half_life;
  }
  keep_least(keys, count, [&](uint64_t key) { return rank[key - first]; });
  return keys;
}

}  // namespace sluice
