// Batches whose loss is not known yet: a model on a GPU tells it some batches late (Model::loss_delay()), so that nobody waits.
#pragma once
#include <algorithm>
#include <cstdint>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "train/model.h"

namespace sluice {

class LateLosses {
  static constexpr size_t kNamedKeys = 5;

 public:
  /// What a message says of a batch.
  struct Passed {
    uint64_t step;  // optimizer steps taken with it
    size_t rows;
    std::vector<uint64_t> keys;  // the first ones

    Passed(const Batch& batch, uint64_t at) : step(at), rows(batch.rows), keys(batch.keys, batch.keys + std::min(batch.rows, kNamedKeys)) {}
    std::string samples() const {
      std::string text;
      for (const uint64_t key : keys) text += (text.empty() ? "" : ", ") + std::to_string(key);
      return rows > keys.size() ? text + ", … (" + std::to_string(rows) + " samples)" : text;
    }
  };

  explicit LateLosses(uint32_t delay) : delay_(delay) {}

  /// A batch went through the model.
  void passed(const Batch& batch, uint64_t step) { waiting_.emplace_back(batch, step); }
  /// Whether what the model returned is the loss of a batch: of next().
  bool due() const { return waiting_.size() > delay_; }
  /// The batch whose loss was told, the oldest one.
  Passed next() {
    Passed oldest = std::move(waiting_.front());
    waiting_.pop_front();
    return oldest;
  }

 private:
  uint32_t delay_;
  std::deque<Passed> waiting_;
};

}  // namespace sluice
