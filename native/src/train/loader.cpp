#include "train/loader.h"

#include <algorithm>
#include <numeric>
#include <string>

#include "base/error.h"
#include "base/rng.h"

namespace sluice {

Loader::Loader(std::shared_ptr<Snapshot> data, const TrainSet& set, const Features& features, const LoaderOptions& options)
    : data_(std::move(data)), set_(set), features_(features), options_(options) {
  check_features(features_, data_->schema());
  if (set_.size() == 0 || set_.size() > 0xffffffffU) {
    throw Error(code::kArgument, "training set: expected 1 to 4294967295 entries, got " + std::to_string(set_.size()));
  }
  const size_t batch = std::min<size_t>(options_.batch_size, set_.size());
  batches_per_epoch_ = (set_.size() + batch - 1) / batch;
  options_.batch_size = static_cast<uint32_t>(batch);
  keys_.resize(batch);
  timestamps_.resize(batch);
  records_.resize(batch);
  slots_.resize(std::max<uint32_t>(2, options_.slots));
  for (Slot& slot : slots_) {
    slot.dense = Buffer<float>(batch * features_.dense.size(), "batch");
    slot.categorical = Buffer<int32_t>(batch * features_.categorical.size(), "batch");
    slot.labels = Buffer<float>(batch, "batch");
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

void Loader::produce() {
  try {
    const auto size = static_cast<uint32_t>(set_.size());
    std::vector<uint32_t> order;
    for (uint32_t epoch = 0; epoch < options_.epochs; ++epoch) {
      if (options_.shuffle == Shuffle::kGlobal) {
        Rng rng(options_.seed, (uint64_t{1} << 32) + epoch);
        order = permutation(size, rng);
      } else if (epoch == 0) {
        order.resize(size);
        std::iota(order.begin(), order.end(), 0U);
      }
      for (size_t first = 0; first < size; first += options_.batch_size) {
        Slot* slot = claim();
        if (slot == nullptr) return;
        fill(*slot, order.data() + first, std::min<size_t>(options_.batch_size, size - first));
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
  set_.get(positions, n, keys_.data(), slot.weights.empty() ? nullptr : slot.weights.data());
  data_->gather(keys_.data(), n, timestamps_.data(), slot.labels.data(), records_.data());
  slot.batch = {n, slot.dense.data(), slot.categorical.data(), slot.labels.data(), slot.weights.empty() ? nullptr : slot.weights.data()};
  check_labels(slot, keys_.data());
  encode_features(features_, data_->schema(), timestamps_.data(), records_.data(), n, slot.dense.data(), slot.categorical.data(), n);
}

void Loader::check_labels(const Slot& slot, const uint64_t* keys) const {
  const auto classes = static_cast<float>(std::max(2U, options_.outputs));
  for (size_t i = 0; i < slot.batch.rows; ++i) {
    const float label = slot.labels[i];
    if (!(label >= 0.0F && label < classes) || label != static_cast<float>(static_cast<uint32_t>(label))) {
      throw Error(code::kLabelRange, "sample " + std::to_string(keys[i]) + ": label " + std::to_string(label) + " is none of the classes 0 to " +
                                         std::to_string(static_cast<uint32_t>(classes) - 1));
    }
  }
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
