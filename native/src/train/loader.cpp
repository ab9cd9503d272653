#include "train/loader.h"

#include <algorithm>
#include <numeric>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/rng.h"
#include "train/criterion.h"

namespace sluice {

namespace {

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

Loader::Loader(std::shared_ptr<Snapshot> data, const TrainSet& set, const Features& features, const LoaderOptions& options)
    : data_(std::move(data)), set_(set), features_(features), options_(options) {
  check_features(features_, data_->schema());
  if (set_.size() == 0 || set_.size() > 0xffffffffU) {
    throw Error(code::kArgument, "training set: expected 1 to 4294967295 entries, got " + std::to_string(set_.size()));
  }
  if (options_.block == 0) throw Error(code::kArgument, "shuffle block: expected at least 1, got 0");
  choose_positions();
  const size_t batch = std::min<size_t>(options_.batch_size, samples_);
  batches_per_epoch_ = (samples_ + batch - 1) / batch;
  options_.batch_size = static_cast<uint32_t>(batch);
  timestamps_.resize(batch);
  records_.resize(batch);
  slots_.resize(std::max<uint32_t>(2, options_.slots));
  for (Slot& slot : slots_) {
    slot.dense = Buffer<float>(batch * features_.dense.size(), "batch");
    slot.categorical = Buffer<int32_t>(batch * features_.categorical.size(), "batch");
    slot.labels = Buffer<float>(batch, "batch");
    slot.keys.resize(batch);
    if (set_.weighted()) slot.weights = Buffer<float>(batch, "batch");
  }
  thread_ = std::thread([this] { produce(); });
}

Loader::~Loader() {
  {
    const std::lock_guard lock(mutex_);
    cancelled_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

Loader::Slot* Loader::claim() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return cancelled_ || produced_ - consumed_ < slots_.size(); });
  return cancelled_ ? nullptr : &slots_[produced_ % slots_.size()];
}

/// An entry is held out by a hash of seed and position: the same ones for training and for validation, in every run.
void Loader::choose_positions() {
  samples_ = static_cast<uint32_t>(set_.size());
  if (options_.held_out > 0.0F) {
    const auto limit = static_cast<uint64_t>(std::min(options_.held_out, 1.0F) * 0x1.0p53);
    const uint64_t base = splitmix64(options_.seed ^ 0x76616c6964ULL);
    for (uint32_t i = 0; i < samples_; ++i) {
      const bool held_out = splitmix64(base + i) >> 11 < limit;
      if (held_out == options_.validation) positions_.push_back(i);
    }
    samples_ = static_cast<uint32_t>(positions_.size());
  }
  if (samples_ == 0) {
    throw Error(code::kArgument, "of " + std::to_string(set_.size()) + " samples none is left for " + (options_.validation ? "validation" : "training"));
  }
}

std::vector<uint32_t> Loader::epoch_order(uint32_t epoch) const {
  std::vector<uint32_t> order;
  Rng rng(options_.seed, (uint64_t{1} << 32) + epoch);
  if (options_.shuffle == Shuffle::kGlobal) {
    order = permutation(samples_, rng);
  } else if (options_.shuffle == Shuffle::kBlock) {
    order = block_permutation(samples_, options_.block, rng);
  } else {
    order.resize(samples_);
    std::iota(order.begin(), order.end(), 0U);
  }
  if (!positions_.empty()) {
    for (uint32_t& at : order) at = positions_[at];
  }
  return order;
}

void Loader::produce() {
  try {
    uint64_t passed = options_.first_batch;
    for (uint32_t epoch = 0; epoch < options_.epochs; ++epoch) {
      if (passed >= batches_per_epoch_) {
        passed -= batches_per_epoch_;
        continue;
      }
      const std::vector<uint32_t> order = epoch_order(epoch);
      for (size_t first = std::exchange(passed, 0) * options_.batch_size; first < order.size(); first += options_.batch_size) {
        Slot* slot = claim();
        if (slot == nullptr) return;
        fill(*slot, order.data() + first, std::min<size_t>(options_.batch_size, order.size() - first));
        {
          const std::lock_guard lock(mutex_);
          ++produced_;
        }
        changed_.notify_all();
      }
    }
  } catch (...) {
    const std::lock_guard lock(mutex_);
    error_ = std::current_exception();
  }
  {
    const std::lock_guard lock(mutex_);
    finished_ = true;
  }
  changed_.notify_all();
}

void Loader::fill(Slot& slot, const uint32_t* positions, size_t n) {
  set_.get(positions, n, slot.keys.data(), slot.weights.empty() ? nullptr : slot.weights.data());
  data_->gather(slot.keys.data(), n, timestamps_.data(), slot.labels.data(), records_.data());
  for (size_t i = 0; i < n; ++i) check_label(options_.criterion, slot.labels[i], slot.keys[i], options_.outputs);
  slot.batch = {n, slot.dense.data(), slot.categorical.data(), slot.labels.data(), slot.weights.empty() ? nullptr : slot.weights.data()};
  slot.batch.keys = slot.keys.data();
  encode_features(features_, data_->schema(), timestamps_.data(), records_.data(), n, slot.dense.data(), slot.categorical.data(), n);
}

const Batch* Loader::next() {
  std::unique_lock lock(mutex_);
  if (holding_) {
    ++consumed_;
    holding_ = false;
    changed_.notify_all();
  }
  changed_.wait(lock, [this] { return finished_ || produced_ > consumed_; });
  if (produced_ > consumed_) {
    holding_ = true;
    return &slots_[consumed_ % slots_.size()].batch;
  }
  if (error_) std::rethrow_exception(error_);
  return nullptr;
}

}  // namespace sluice
