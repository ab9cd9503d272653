// The parts of index_bench. Each prints one line of JSON.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/rng.h"
#include "measure.h"

namespace sluice::bench {

constexpr uint64_t kBatchRows = 1 << 20;  // of an append, one durable commit
constexpr size_t kGathered = 1'000'000;

inline std::vector<uint64_t> random_keys(size_t n, uint64_t below) {
  Rng rng(1);
  std::vector<uint64_t> keys(n);
  for (uint64_t& key : keys) key = rng.below(below);
  return keys;
}

/// Our index with so many samples, in a folder that is there.
void bench_ours(const std::string& folder, uint64_t samples);
/// LMDB as it is often used: an entry for each key.
void bench_lmdb(const std::string& folder, uint64_t samples);

}  // namespace sluice::bench
