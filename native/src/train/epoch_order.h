// The order in which a loader reads the entries of a frozen set.
#pragma once
#include <cstdint>
#include <future>
#include <memory>
#include <vector>

namespace sluice {

/// kGlobal: a fresh uniform permutation of the whole set in every epoch. kBlock: the set is cut into blocks of `block` entries
/// that lie one behind the other; blocks come in a fresh random order, and the entries of kBlocksMixed of them at a time are
/// permuted together. Reads stay within few places of the data, which counts where it does not fit into memory, and an entry
/// is at most that far from where a permutation of blocks alone would put it.
enum class Shuffle : uint8_t { kGlobal, kBlock, kNone };
inline constexpr uint32_t kBlocksMixed = 16;

/// Positions in a set, epoch by epoch. The order of a long epoch is made while the one before is read, where a thread can be
/// had for it. Not thread-safe.
class EpochOrder {
 public:
  using Order = std::shared_ptr<const std::vector<uint32_t>>;

  /// `chosen`: the entries to read; empty: all of [0, size).
  EpochOrder(Shuffle shuffle, uint32_t block, uint64_t seed, uint32_t size, std::vector<uint32_t> chosen, uint64_t epochs);
  /// Epochs are asked for in rising order.
  Order of(uint64_t epoch);

 private:
  Order make(uint64_t epoch) const;

  Shuffle shuffle_;
  uint32_t block_;
  uint64_t seed_;
  uint32_t size_;
  std::vector<uint32_t> chosen_;
  uint64_t epochs_;
  uint64_t epoch_ = ~uint64_t{0};
  Order current_;
  std::future<Order> next_;  // of epoch_ + 1; last: its thread reads the members above
};

}  // namespace sluice
