#include "train/set_sampler.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "resuming.h"
#include "samples_fixture.h"

namespace sluice {
namespace {

using testing::bytes_of;
using testing::train_until_checkpoint;

class SetSamplerTest : public testing::SamplesTest {
 protected:
  TrainPlan plan_of(const std::string& name) {
    TrainPlan plan;
    plan.features.dense = {{DenseOp::kValue, 0, 500.0F, 0.002F}};
    plan.model = MlpSpec{1, {4, 1}};
    plan.options.dense_optimizer.lr = 1e-30F;  // the weights stay what they were
    plan.batch_size = 64;
    plan.output = folder_.file(name + ".model");
    plan.record = {folder_.file(name), {Recorded::kLoss}};
    return plan;
  }

  std::vector<float> losses_of(const TrainPlan& plan, uint64_t rows) {
    std::vector<float> values(rows);
    MetadataStore::open(plan.record.folder, false)->read_range("loss", 0, rows, values.data());
    return values;
  }
};

TEST_F(SetSamplerTest, TrainsOnThePartWithTheGreatestScores) {
  fill(3000);
  const auto set = set_of(every_third(3000));
  const TrainPlan all = plan_of("all");
  train(dataset_->snapshot(), *set, all, StopFlag{}, {});
  TrainPlan part = plan_of("part");
  part.in_training = {0.25F, BatchScore::kLoss, BatchChoice::kGreatest, InTrainingMode::kSampleThenBatch, 1};
  EXPECT_EQ(train(dataset_->snapshot(), *set, part, StopFlag{}, {}).samples, 250U);
  const auto losses = losses_of(all, 3000), trained = losses_of(part, 3000);
  float least_chosen = INFINITY, greatest_left = 0.0F;
  size_t chosen = 0;
  for (size_t key = 0; key < 3000; key += 3) {
    if (std::isnan(trained[key])) {
      greatest_left = std::max(greatest_left, losses[key]);
    } else {
      ++chosen;
      least_chosen = std::min(least_chosen, losses[key]);
    }
  }
  EXPECT_EQ(chosen, 250U);
  EXPECT_GE(least_chosen, greatest_left);
}

TEST_F(SetSamplerTest, ChoosesAgainAfterSoManyEpochs) {
  fill(3000);
  const auto set = set_of(every_third(3000));
  const auto seen = [&](const std::string& name, uint32_t every) {
    TrainPlan plan = plan_of(name);
    plan.in_training = {0.25F, BatchScore::kUniform, BatchChoice::kSampled, InTrainingMode::kSampleThenBatch, every};
    plan.epochs = 4;
    train(dataset_->snapshot(), *set, plan, StopFlag{}, {});
    const auto losses = losses_of(plan, 3000);
    return std::count_if(losses.begin(), losses.end(), [](float loss) { return !std::isnan(loss); });
  };
  EXPECT_EQ(seen("once", 4), 250);
  EXPECT_NEAR(static_cast<double>(seen("each", 1)), 1000.0 * (1.0 - std::pow(0.75, 4)), 60.0);
}

/// Weights 1 / (n p) keep the expected loss: means of many choices come near the mean of all.
TEST_F(SetSamplerTest, WeightsKeepTheExpectation) {
  std::vector<float> scores(400);
  for (size_t i = 0; i < scores.size(); ++i) scores[i] = 0.5F + static_cast<float>(i % 7) / 7.0F;
  const InTraining options{0.1F, BatchScore::kLoss, BatchChoice::kSampled, InTrainingMode::kSampleThenBatch, 1};
  const double mean = std::accumulate(scores.begin(), scores.end(), 0.0) / 400.0;
  double total = 0.0;
  std::vector<uint32_t> chosen;
  std::vector<float> factors;
  for (uint64_t i = 0; i < 400; ++i) {
    Rng rng(1, i);
    choose_by_score(options, scores, kept_count(options, scores.size()), rng, chosen, factors);
    for (size_t k = 0; k < chosen.size(); ++k) total += static_cast<double>(factors[k] * scores[chosen[k]]) / 40.0 / 400.0;
  }
  EXPECT_NEAR(total, mean, 0.01 * mean);
}

/// Also where a part is so large that some are nearly sure to be taken: their share in any sum stays.
TEST_F(SetSamplerTest, WeightsKeepTheExpectationOfOtherSumsAndOfLargeParts) {
  std::vector<float> scores(400);
  for (size_t i = 0; i < scores.size(); ++i) scores[i] = i % 10 == 0 ? 20.0F : 1.0F + static_cast<float>(i % 3);
  const InTraining options{0.5F, BatchScore::kLoss, BatchChoice::kSampled, InTrainingMode::kSampleThenBatch, 1};
  double weight = 0.0, rare = 0.0;
  std::vector<uint32_t> chosen;
  std::vector<float> factors;
  for (uint64_t i = 0; i < 1000; ++i) {
    Rng rng(1, i);
    choose_by_score(options, scores, kept_count(options, scores.size()), rng, chosen, factors);
    for (size_t k = 0; k < chosen.size(); ++k) {
      weight += static_cast<double>(factors[k]) / 200.0 / 1000.0;
      if (chosen[k] % 10 == 0) rare += static_cast<double>(factors[k]) / 200.0 / 1000.0;
    }
  }
  EXPECT_NEAR(weight, 1.0, 0.01);
  EXPECT_NEAR(rare, 0.1, 0.001);
}

TEST_F(SetSamplerTest, GoesOnFromACheckpointInTheMiddleOfAnEpoch) {
  fill(3000);
  const auto set = set_of(every_third(3000));
  TrainPlan plan = plan_of("straight");
  plan.options.dense_optimizer.lr = 0.05F;
  plan.epochs = 300;
  plan.in_training = {0.5F, BatchScore::kGradientNorm, BatchChoice::kSampled, InTrainingMode::kSampleThenBatch, 2};
  plan.early_stop = {0.1F, 1000, 0.0F};
  train(dataset_->snapshot(), *set, plan, StopFlag{}, {});
  TrainPlan resumed = plan;
  resumed.output = folder_.file("resumed.model");
  resumed.checkpoints = {folder_.file("checkpoint"), 11, 0.0};  // 8 batches an epoch
  train_until_checkpoint(dataset_->snapshot(), *set, resumed);
  EXPECT_GT(train(dataset_->snapshot(), *set, resumed, StopFlag{}, {}).resumed_at, 0U);
  EXPECT_EQ(bytes_of(plan.output), bytes_of(resumed.output));
}

}  // namespace
}  // namespace sluice
