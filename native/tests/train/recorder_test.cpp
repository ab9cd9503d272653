#include "train/recorder.h"

#include <cmath>
#include <numeric>

#include "resuming.h"
#include "samples_fixture.h"

namespace sluice {
namespace {

using testing::error_of;
using testing::train_until_checkpoint;

class RecorderTest : public testing::SamplesTest {
 protected:
  TrainPlan plan_of(const std::string& name) {
    TrainPlan plan;
    plan.features.dense = {{DenseOp::kValue, 0, 500.0F, 0.002F}};
    plan.model = MlpSpec{1, {4, 1}};
    plan.options.dense_optimizer.lr = 0.1F;
    plan.batch_size = 64;
    plan.output = folder_.file(name + ".model");
    plan.record = {folder_.file(name), {Recorded::kLoss, Recorded::kGradientNorm, Recorded::kConfidence, Recorded::kMargin, Recorded::kEntropy}};
    return plan;
  }

  std::vector<float> read(const TrainPlan& plan, const char* column, uint64_t rows) {
    std::vector<float> values(rows);
    MetadataStore::open(plan.record.folder, false)->read_range(column, 0, rows, values.data());
    return values;
  }
};

/// Of a BCE they are functions of one another: the gradient at the logit is p - y.
TEST_F(RecorderTest, KeepsLossGradientAndConfidenceOfEverySampleOfTheSet) {
  fill(1000);
  const auto set = set_of(every_third(1000));
  const TrainPlan plan = plan_of("a");
  train(dataset_->snapshot(), *set, plan, StopFlag{}, {});
  const auto losses = read(plan, "loss", 1000), norms = read(plan, "gradient-norm", 1000), confidences = read(plan, "confidence", 1000);
  const auto margins = read(plan, "margin", 1000), entropies = read(plan, "entropy", 1000);
  for (size_t key = 0; key < 1000; ++key) {
    if (key % 3 != 0) {
      EXPECT_TRUE(std::isnan(losses[key]) && std::isnan(norms[key]) && std::isnan(confidences[key])) << key;
      continue;
    }
    EXPECT_NEAR(losses[key], -std::log1p(-norms[key]), 1e-5F) << key;
    EXPECT_NEAR(confidences[key], std::max(norms[key], 1.0F - norms[key]), 1e-6F) << key;
    EXPECT_NEAR(margins[key], std::fabs(1.0F - 2.0F * norms[key]), 2e-6F) << key;
    EXPECT_NEAR(entropies[key], -norms[key] * std::log(norms[key]) - (1.0F - norms[key]) * std::log1p(-norms[key]), 2e-6F) << key;
  }
}

TEST_F(RecorderTest, AResumedTrainingEndsWithTheSameValues) {
  fill(3000);
  const auto set = set_of(every_third(3000));
  TrainPlan plan = plan_of("straight");
  plan.epochs = 400;
  train(dataset_->snapshot(), *set, plan, StopFlag{}, {});
  TrainPlan resumed = plan_of("resumed");
  resumed.epochs = 400;
  resumed.checkpoints = {folder_.file("checkpoint"), 7, 0.0};
  train_until_checkpoint(dataset_->snapshot(), *set, resumed);
  train(dataset_->snapshot(), *set, resumed, StopFlag{}, {});
  for (const char* column : {"loss", "gradient-norm", "confidence"}) {
    const auto expected = read(plan, column, 3000), got = read(resumed, column, 3000);
    for (size_t key = 0; key < 3000; key += 3) EXPECT_EQ(got[key], expected[key]) << column << " of " << key;
  }
}

/// Of a weighted sample too it is the loss of the sample itself.
TEST_F(RecorderTest, WeightsChangeNothingOfWhatIsRecorded) {
  fill(64);
  std::vector<uint64_t> keys(64);
  std::iota(keys.begin(), keys.end(), 0U);
  TrainPlan plan = plan_of("plain"), weighted = plan_of("weighted");
  train(dataset_->snapshot(), *set_of(keys), plan, StopFlag{}, {});
  train(dataset_->snapshot(), *set_of(keys, std::vector<float>(64, 3.0F)), weighted, StopFlag{}, {});
  for (const char* column : {"loss", "gradient-norm"}) EXPECT_EQ(read(plan, column, 64), read(weighted, column, 64)) << column;
}

/// A dataset that is too large for a table of its samples: values are listed, and written in between.
TEST_F(RecorderTest, OfTwoPassesOverASampleTheLastValuesStayWhateverTheSizeOfTheDataset) {
  for (const uint64_t keys : {uint64_t{1000}, uint64_t{1} << 34}) {
    const std::string folder = folder_.file("k" + std::to_string(keys));
    Recorder recorder({folder, {Recorded::kLoss}}, Criterion::kBce, 1, 4, keys);
    const uint64_t all[] = {keys - 1, 3, 500, 3};
    Batch batch;
    batch.rows = 4;
    batch.keys = all;
    const auto pass = [&](std::vector<float> losses) {
      std::copy(losses.begin(), losses.end(), recorder.wanted().losses);
      recorder.passed(batch);
    };
    const auto stored = [&] {
      std::vector<float> values(4);
      MetadataStore::open(folder, false)->read("loss", all, 4, values.data());
      return values;
    };
    pass({1, 2, 3, 4});
    pass({5, 6, 7, 8});
    recorder.flush();
    EXPECT_EQ(stored(), (std::vector<float>{5, 8, 7, 8})) << keys;
    recorder.flush();  // nothing more to write
    batch.rows = 1;
    pass({9});
    recorder.flush();
    EXPECT_EQ(stored(), (std::vector<float>{9, 8, 7, 8})) << keys;
  }
}

TEST_F(RecorderTest, RefusesAValueTwiceAndTheConfidenceOfARegression) {
  EXPECT_EQ(error_of([] { check_recording({"f", {Recorded::kLoss, Recorded::kLoss}}, Criterion::kBce); }).first, "E_ARGUMENT");
  EXPECT_EQ(error_of([] { check_recording({"f", {Recorded::kConfidence}}, Criterion::kMse); }).first, "E_ARGUMENT");
  EXPECT_EQ(error_of([] { check_recording({"f", {Recorded::kMargin}}, Criterion::kHuber); }).first, "E_ARGUMENT");
  EXPECT_EQ(error_of([] { check_recording({"f", {Recorded::kEntropy}}, Criterion::kL1); }).first, "E_ARGUMENT");
  EXPECT_NO_THROW(check_recording({"f", {Recorded::kLoss}}, Criterion::kMse));
}

TEST_F(RecorderTest, ConfidenceIsThatOfTheLikeliestClass) {
  Recorder recorder({folder_.file("c"), {Recorded::kConfidence, Recorded::kGradientNorm}}, Criterion::kCrossEntropy, 3, 2, 8);
  const Scores scores = recorder.wanted();
  EXPECT_EQ(scores.losses, nullptr);
  const float logits[] = {0.0F, std::log(2.0F), 0.0F, 900.0F, -900.0F, 0.0F};
  const float gradients[] = {0.3F, -0.4F, 0.0F, 0.0F, 0.0F, 0.0F};
  std::copy_n(logits, 6, scores.logits);
  std::copy_n(gradients, 6, scores.logit_gradients);
  const uint64_t keys[] = {7, 3};
  Batch batch;
  batch.rows = 2;
  batch.keys = keys;
  recorder.passed(batch);
  recorder.flush();
  float values[2];
  const auto store = MetadataStore::open(folder_.file("c"), false);
  store->read("confidence", keys, 2, values);
  EXPECT_NEAR(values[0], 0.5F, 1e-6F);
  EXPECT_EQ(values[1], 1.0F);
  store->read("gradient-norm", keys, 2, values);
  EXPECT_NEAR(values[0], 0.5F, 1e-6F);
}

}  // namespace
}  // namespace sluice
