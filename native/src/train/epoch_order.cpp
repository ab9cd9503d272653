#include "train/epoch_order.h"

#include <algorithm>
#include <numeric>
#include <system_error>
#include <utility>

#include "base/rng.h"

namespace sluice {

namespace {

constexpr uint32_t kLong = 1 << 17;  // entries from which an order is made on a thread of its own

std::vector<uint32_t> block_permutation(uint32_t n, uint32_t block, Rng& rng) {
  const uint32_t blocks = (n - 1) / block + 1;
  std::vector<uint32_t> order;
  order.reserve(n);
  const std::vector<uint32_t> block_order = permutation(blocks, rng);
  for (uint32_t first = 0; first < blocks; first += kBlocksMixed) {
    std::vector<uint32_t> mixed;
    for (uint32_t b = first; b < std::min(blocks, first + kBlocksMixed); ++b) {
      const uint64_t begin = uint64_t{block_order[b]} * block;
      for (uint64_t i = begin; i < std::min<uint64_t>(n, begin + block); ++i) mixed.push_back(static_cast<uint32_t>(i));
    }
    for (const uint32_t at : permutation(static_cast<uint32_t>(mixed.size()), rng)) order.push_back(mixed[at]);
  }
  return order;
}

}  // namespace

EpochOrder::EpochOrder(Shuffle shuffle, uint32_t block, uint64_t seed, uint32_t size, std::vector<uint32_t> chosen, uint64_t epochs)
    : shuffle_(shuffle), block_(block), seed_(seed), size_(size), chosen_(std::move(chosen)), epochs_(epochs) {}

EpochOrder::Order EpochOrder::of(uint64_t epoch) {
  if (current_ && epoch == epoch_) return current_;
  const bool prepared = current_ && epoch == epoch_ + 1 && next_.valid();
  current_ = prepared ? next_.get() : make(epoch);
  epoch_ = epoch;
  if (shuffle_ == Shuffle::kNone || size_ < kLong || epoch + 1 >= epochs_) return current_;
  try {
    next_ = std::async(std::launch::async, [this, epoch] { return make(epoch + 1); });
  } catch (const std::system_error&) {  // no thread to be had: it is made when it is asked for
  }
  return current_;
}

EpochOrder::Order EpochOrder::make(uint64_t epoch) const {
  if (shuffle_ == Shuffle::kNone && current_) return current_;
  std::vector<uint32_t> order;
  Rng rng(seed_, (uint64_t{1} << 32) + epoch);
  if (shuffle_ == Shuffle::kGlobal) {
    order = permutation(size_, rng);
  } else if (shuffle_ == Shuffle::kBlock) {
    order = block_permutation(size_, block_, rng);
  } else {
    order.resize(size_);
    std::iota(order.begin(), order.end(), 0U);
  }
  if (!chosen_.empty()) {
    for (uint32_t& at : order) at = chosen_[at];
  }
  return std::make_shared<const std::vector<uint32_t>>(std::move(order));
}

}  // namespace sluice
