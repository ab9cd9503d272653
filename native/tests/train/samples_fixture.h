// A dataset whose samples tell their keys, and frozen sets of it.
#pragma once
#include <memory>
#include <vector>

#include "fixtures.h"
#include "storage/dataset.h"
#include "train/features.h"
#include "trainset/trainset.h"

namespace sluice::testing {

/// A dataset of n samples whose only column is their key, and sets of it.
class SamplesTest : public ::testing::Test {
 protected:
  void fill(uint64_t n, float last_label = 1.0F) {
    Schema schema{{{"key", ColumnType::kF32}}, LabelKind::kReal, 2};
    dataset_ = Dataset::create(folder_.file("d"), schema);
    std::vector<int64_t> timestamps(n, 0);
    std::vector<float> labels(n), keys(n);
    for (uint64_t i = 0; i < n; ++i) {
      keys[i] = static_cast<float>(i);
      labels[i] = static_cast<float>(i % 2);
    }
    labels[n - 1] = last_label;
    AppendBatch batch;
    batch.rows = n;
    batch.timestamps = timestamps.data();
    batch.labels = labels.data();
    batch.columns = {keys.data()};
    dataset_->append(batch);
  }

  std::shared_ptr<TrainSet> set_of(const std::vector<uint64_t>& keys, const std::vector<float>& weights = {}) {
    Selection s;
    s.keys = keys.data();
    s.weights = weights.empty() ? nullptr : weights.data();
    s.count = keys.size();
    return TrainSet::open(folder_.path(), freeze(folder_.path(), s, dataset_->size()));
  }

  static std::vector<uint64_t> every_third(uint64_t n) {
    std::vector<uint64_t> keys;
    for (uint64_t key = 0; key < n; key += 3) keys.push_back(key);
    return keys;
  }

  TemporaryFolder folder_;
  std::shared_ptr<Dataset> dataset_;
  Features features_{{{DenseOp::kValue, 0, 0.0F, 1.0F}}, {}};
};

}  // namespace sluice::testing
