#include "train/in_training.h"

#include <algorithm>
#include <numeric>

#include "fixtures.h"

namespace sluice {
namespace {

using testing::error_of;

/// Tells scores that were made up.
class Scored final : public Model {
 public:
  explicit Scored(std::vector<float> scores) : scores_(std::move(scores)) {}
  void score(const Batch& batch, const Scores& wanted) override {
    for (size_t r = 0; r < batch.rows; ++r) {
      if (wanted.losses != nullptr) wanted.losses[r] = scores_[r];
      if (wanted.logits != nullptr) wanted.logits[2 * r] = 5.0F - scores_[r], wanted.logits[2 * r + 1] = 0.0F;
      if (wanted.logit_gradients == nullptr) continue;
      wanted.logit_gradients[2 * r] = 0.6F * scores_[r];
      wanted.logit_gradients[2 * r + 1] = -0.8F * scores_[r];
    }
  }
  uint32_t outputs() const override { return 2; }
  double accumulate(const Batch&, float, const Scores&) override { return 0.0; }
  double gradient_norm() override { return 0.0; }
  void update(float, float) override {}
  void forward(const Batch&, float*) override {}
  uint32_t embedding_width() const override { return 0; }
  double flops_per_row() const override { return 0.0; }
  std::vector<NamedTensor> parameters() override { return {}; }
  std::vector<NamedTensor> optimizer_state() override { return {}; }
  void set_updates(uint64_t) override {}

 private:
  std::vector<float> scores_;
};

class BatchSelectorTest : public ::testing::Test {
 protected:
  BatchSelectorTest() {
    for (size_t r = 0; r < kRows; ++r) {
      scores_.push_back(static_cast<float>(r % 4 + 1));
      labels_.push_back(static_cast<float>(r));
      keys_.push_back(1000 + r);
      for (size_t d = 0; d < 2; ++d) dense_.push_back(static_cast<float>(10 * r + d));
    }
    for (size_t t = 0; t < 3; ++t) {
      for (size_t r = 0; r < kRows; ++r) categorical_.push_back(static_cast<int32_t>(100 * t + r));
    }
    batch_.rows = kRows;
    batch_.dense = dense_.data();
    batch_.categorical = categorical_.data();
    batch_.labels = labels_.data();
    batch_.keys = keys_.data();
  }

  BatchSelector selector(float keep, BatchScore score, BatchChoice choice) { return {{keep, score, choice}, {2, 3, 0, 0}, 5}; }

  static constexpr size_t kRows = 40;
  std::vector<float> scores_, dense_, labels_;
  std::vector<int32_t> categorical_;
  std::vector<uint64_t> keys_;
  Batch batch_;
};

TEST_F(BatchSelectorTest, TheGreatestScoresAreChosenWithAllThatBelongsToThem) {
  Scored model(scores_);
  for (const BatchScore score : {BatchScore::kLoss, BatchScore::kGradientNorm}) {
    auto greatest = selector(0.25F, score, BatchChoice::kGreatest);
    const Batch part = greatest.select(model, batch_, 0);
    ASSERT_EQ(part.rows, 10U);
    for (size_t i = 0; i < part.rows; ++i) {
      const size_t r = 4 * i + 3;
      EXPECT_EQ(part.keys[i], 1000 + r);
      EXPECT_EQ(part.labels[i], static_cast<float>(r));
      EXPECT_EQ(part.weights[i], 1.0F);
      EXPECT_EQ(part.dense[2 * i + 1], static_cast<float>(10 * r + 1));
      for (size_t t = 0; t < 3; ++t) EXPECT_EQ(part.categorical[t * part.rows + i], static_cast<int32_t>(100 * t + r));
    }
  }
}

/// Logits are 4 to 1 apart: the closer, the more in doubt.
TEST_F(BatchSelectorTest, ByMarginAndEntropyWhatIsInDoubtIsChosen) {
  Scored model(scores_);
  for (const BatchScore score : {BatchScore::kDoubt, BatchScore::kEntropy}) {
    BatchSelector selector({0.25F, score, BatchChoice::kGreatest}, {2, 3, 0, 0}, 5, Criterion::kCrossEntropy);
    const Batch part = selector.select(model, batch_, 0);
    for (size_t i = 0; i < part.rows; ++i) EXPECT_EQ(part.keys[i], 1000 + 4 * i + 3);
    const auto [code, message] = error_of([&] { check_in_training({0.25F, score}, Criterion::kMse); });
    EXPECT_EQ(code, "E_ARGUMENT");
    EXPECT_NE(message.find(score == BatchScore::kDoubt ? "no margin" : "no entropy"), std::string::npos) << message;
  }
}

TEST_F(BatchSelectorTest, ASampleFollowsTheScoresAndItsWeightsKeepTheExpectedSum) {
  Scored model(scores_);
  auto sampled = selector(0.1F, BatchScore::kLoss, BatchChoice::kSampled);
  std::vector<double> taken(4, 0.0);
  double sum = 0.0;
  constexpr int kDraws = 4000;
  for (int draw = 0; draw < kDraws; ++draw) {
    const Batch part = sampled.select(model, batch_, static_cast<uint64_t>(draw));
    for (size_t i = 0; i < part.rows; ++i) {
      taken[(part.keys[i] - 1000) % 4] += 1.0;
      sum += static_cast<double>(part.weights[i]) / static_cast<double>(part.rows);
    }
  }
  // Of four draws from forty: nearly the shares 1 : 2 : 3 : 4, and a mean weight of nearly 1.
  for (size_t s = 0; s < 4; ++s) EXPECT_NEAR(taken[s] / (4.0 * kDraws), 0.1 * static_cast<double>(s + 1), 0.02) << s;
  EXPECT_NEAR(sum / kDraws, 1.0, 0.06);
}

TEST_F(BatchSelectorTest, TheChoiceDependsOnSeedAndPlaceOnly) {
  Scored model(scores_);
  const auto keys = [&](uint64_t number) {
    auto s = selector(0.5F, BatchScore::kUniform, BatchChoice::kSampled);
    const Batch part = s.select(model, batch_, number);
    return std::vector<uint64_t>(part.keys, part.keys + part.rows);
  };
  EXPECT_EQ(keys(3), keys(3));
  EXPECT_NE(keys(3), keys(4));
  EXPECT_EQ(keys(3).size(), 20U);
}

TEST_F(BatchSelectorTest, KeepsWeightsOfTheSetAndAtLeastOneRow) {
  Scored model(scores_);
  const std::vector<float> weights(kRows, 3.0F);
  batch_.weights = weights.data();
  auto one = selector(0.001F, BatchScore::kLoss, BatchChoice::kGreatest);
  const Batch part = one.select(model, batch_, 0);
  ASSERT_EQ(part.rows, 1U);
  EXPECT_EQ(part.weights[0], 3.0F);
  auto all = selector(1.0F, BatchScore::kLoss, BatchChoice::kGreatest);
  EXPECT_EQ(all.select(model, batch_, 0).dense, batch_.dense);
  EXPECT_EQ(error_of([] { check_in_training({0.0F}); }).first, "E_ARGUMENT");
  EXPECT_EQ(error_of([] { check_in_training({1.5F}); }).first, "E_ARGUMENT");
}

}  // namespace
}  // namespace sluice
