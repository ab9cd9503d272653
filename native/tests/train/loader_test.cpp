#include "train/loader.h"

#include <cmath>
#include <map>
#include <set>

#include "fixtures.h"
#include "modelstore/safetensors.h"
#include "train/train.h"

namespace sluice {
namespace {

using testing::error_of;
using testing::TemporaryFolder;

/// A dataset of n samples whose only column is their key, and sets of it.
class LoaderTest : public ::testing::Test {
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

  std::vector<float> keys_of(const TrainSet& set, const LoaderOptions& options) {
    Loader loader(dataset_->snapshot(), set, features_, options);
    std::vector<float> keys;
    while (const Batch* batch = loader.next()) {
      for (size_t i = 0; i < batch->rows; ++i) {
        keys.push_back(batch->dense[i]);
        EXPECT_EQ(batch->labels[i], static_cast<float>(static_cast<uint64_t>(batch->dense[i]) % 2));
        if (batch->weights != nullptr) {
          EXPECT_EQ(batch->weights[i], batch->dense[i] / 8);
        }
      }
    }
    return keys;
  }

  TemporaryFolder folder_;
  std::shared_ptr<Dataset> dataset_;
  Features features_{{{DenseOp::kValue, 0, 0.0F, 1.0F}}, {}};
};

std::vector<uint64_t> every_third(uint64_t n) {
  std::vector<uint64_t> keys;
  for (uint64_t i = 0; i < n; i += 3) keys.push_back(i);
  return keys;
}

TEST_F(LoaderTest, EveryEpochHasEverySampleOnceInAnotherOrder) {
  fill(1000);
  const auto chosen = every_third(1000);
  std::vector<float> weights;
  for (const uint64_t key : chosen) weights.push_back(static_cast<float>(key) / 8);
  const auto set = set_of(chosen, weights);
  const std::vector<float> keys = keys_of(*set, {50, 3, Shuffle::kGlobal, 9, {}, 1, 4});
  const size_t n = chosen.size();
  ASSERT_EQ(keys.size(), 3 * n);
  const std::set<float> expected(chosen.begin(), chosen.end());
  for (size_t epoch = 0; epoch < 3; ++epoch) EXPECT_EQ(std::set<float>(keys.begin() + static_cast<std::ptrdiff_t>(epoch * n), keys.begin() + static_cast<std::ptrdiff_t>((epoch + 1) * n)), expected);
  EXPECT_FALSE(std::equal(keys.begin(), keys.begin() + static_cast<std::ptrdiff_t>(n), keys.begin() + static_cast<std::ptrdiff_t>(n)));
  EXPECT_EQ(keys_of(*set, {50, 3, Shuffle::kGlobal, 9, {}, 1, 2}), keys);
  EXPECT_NE(keys_of(*set, {50, 3, Shuffle::kGlobal, 10, {}, 1, 4}), keys);
}

TEST_F(LoaderTest, WithoutShuffleTheOrderIsThatOfTheSet) {
  fill(100);
  EXPECT_EQ(keys_of(*set_of({7, 3, 99, 0}), {3, 2, Shuffle::kNone, 0, {}, 1, 2}), (std::vector<float>{7, 3, 99, 0, 7, 3, 99, 0}));
}

TEST_F(LoaderTest, ALabelThatIsNoClassNamesItsSample) {
  fill(100, 0.5F);
  const auto set = set_of(every_third(100));  // 0, 3 … 99
  Loader loader(dataset_->snapshot(), *set, features_, {10, 1, Shuffle::kNone, 0, {}, 1, 2});
  const auto [code, message] = error_of([&] {
    while (loader.next() != nullptr) {
    }
  });
  EXPECT_EQ(code, "E_LABEL_RANGE");
  EXPECT_NE(message.find("sample 99: label 0.5"), std::string::npos) << message;
}

TEST_F(LoaderTest, MayBeLeftAtAnyBatch) {
  fill(1000);
  const auto set = set_of(every_third(1000));
  for (int taken : {0, 1, 5}) {
    Loader loader(dataset_->snapshot(), *set, features_, {10, 100, Shuffle::kGlobal, 0, {}, 1, 2});
    for (int i = 0; i < taken; ++i) ASSERT_NE(loader.next(), nullptr);
  }
}

TrainPlan small_plan(const std::string& output) {
  TrainPlan plan;
  plan.features.dense = {{DenseOp::kValue, 0, 500.0F, 0.002F}};
  DlrmSpec model;
  model.dense = 1;
  model.embedding = 4;
  model.bottom = {4};
  model.top = {4, 1};
  plan.model = model;
  plan.options.dense_optimizer.lr = 0.1F;
  plan.batch_size = 64;
  plan.output = output;
  return plan;
}

std::string bytes_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST_F(LoaderTest, TrainingIsDeterministicAndGoesOnFromAParent) {
  fill(1000);
  const auto set = set_of(every_third(1000));
  const StopFlag stop;
  TrainPlan plan = small_plan(folder_.file("a"));
  const TrainResult result = train(dataset_->snapshot(), *set, plan, stop, {});
  EXPECT_EQ(result.steps, 6U);
  EXPECT_EQ(result.samples, 334U);
  plan.output = folder_.file("b");
  train(dataset_->snapshot(), *set, plan, stop, {});
  EXPECT_EQ(bytes_of(folder_.file("a")), bytes_of(folder_.file("b")));
  plan.parent = folder_.file("a");
  plan.output = folder_.file("c");
  train(dataset_->snapshot(), *set, plan, stop, {});
  EXPECT_NE(bytes_of(folder_.file("a")), bytes_of(folder_.file("c")));
}

TEST_F(LoaderTest, AStoppedOrDivergedTrainingWritesNoModel) {
  fill(1000);
  const auto set = set_of(every_third(1000));
  StopFlag stop;
  stop.request();
  EXPECT_EQ(error_of([&] { train(dataset_->snapshot(), *set, small_plan(folder_.file("m")), stop, {}); }).first, "E_ABORTED");
  TrainPlan wild = small_plan(folder_.file("m"));
  wild.options.dense_optimizer.lr = 1e20F;
  wild.epochs = 20;
  const auto [code, message] = error_of([&] { train(dataset_->snapshot(), *set, wild, StopFlag{}, {}); });
  EXPECT_EQ(code, "E_DIVERGED") << message;
  EXPECT_FALSE(std::filesystem::exists(folder_.file("m")));
}

TEST_F(LoaderTest, WhatDoesNotFitIsRefusedBeforeAnythingIsRead) {
  fill(10);
  const auto set = set_of({1, 2});
  TrainPlan plan = small_plan(folder_.file("m"));
  plan.features.categorical = {{CategoricalOp::kHour, 0, 0, 24}};
  EXPECT_EQ(error_of([&] { train(dataset_->snapshot(), *set, plan, StopFlag{}, {}); }).first, "E_SHAPE");
  plan = small_plan(folder_.file("m"));
  plan.options.criterion = Criterion::kCrossEntropy;
  EXPECT_EQ(error_of([&] { train(dataset_->snapshot(), *set, plan, StopFlag{}, {}); }).first, "E_SHAPE");
}

}  // namespace
}  // namespace sluice
