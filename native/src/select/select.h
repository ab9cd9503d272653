// Data selection: pure functions (candidate keys, column values, seed) -> keys. Results are sorted by key
// unless said otherwise; the same input gives the same output on every machine.
#pragma once
#include <cstdint>
#include <vector>

namespace sluice {

/// `count` different keys of [first, end), each subset equally likely; all of them when count >= end - first.
/// Floyd's algorithm for small samples, selection sampling (Knuth, TAOCP 2, 3.4.2, algorithm S) otherwise.
std::vector<uint64_t> sample_uniform(uint64_t first, uint64_t end, uint64_t count, uint64_t seed);

/// `count` different keys of [first, end) drawn without replacement with probability proportional to
/// 2^(-(now - timestamp) / half_life): Efraimidis and Spirakis (2006), algorithm A-Res, in the log domain.
/// timestamps[i] belongs to key first + i, milliseconds; half_life > 0 in milliseconds. Ages below zero count as zero.
std::vector<uint64_t> sample_by_freshness(uint64_t first, uint64_t end, const int64_t* timestamps, int64_t now,
                                          double half_life, uint64_t count, uint64_t seed);

}  // namespace sluice
