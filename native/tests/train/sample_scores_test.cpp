#include "train/sample_scores.h"

#include <gtest/gtest.h>

#include <cmath>

namespace sluice {
namespace {

// Expected values: scipy 1.17.1, special.softmax and special.expit, the differences of their two greatest values by numpy 2.4.6, and
// stats.entropy, in double.
TEST(SampleScores, OfManyClassesEqualScipy) {
  const float logits[][4] = {{0.3F, -1.2F, 2.5F, 0.9F}, {10, 10, -3, 2}, {0, 0, 0, 0}, {-80, 30, 29.5F, -100}, {1.5F, 1.25F, -0.75F, 3}};
  const double confidences[] = {0.7477064835, 0.4999155835, 0.25, 0.6224593312, 0.7040162050};
  const double margins[] = {0.5967471480, 0.0, 0.0, 0.2449186624, 0.5469289565};
  const double entropies[] = {0.7829438261, 0.6946723414, 1.3862943611, 0.6628473186, 0.8627674820};
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_NEAR(confidence(Criterion::kCrossEntropy, logits[i], 4), confidences[i], 1e-6) << i;
    EXPECT_NEAR(margin(Criterion::kCrossEntropy, logits[i], 4), margins[i], 1e-6) << i;
    EXPECT_NEAR(entropy(Criterion::kCrossEntropy, logits[i], 4), entropies[i], 1e-6) << i;
  }
}

TEST(SampleScores, OfTwoClassesEqualScipy) {
  const float logits[] = {0.0F, 0.4F, -1.7F, 6.0F, -90.0F};
  const double margins[] = {0.0, 0.1973753202, 0.6910694698, 0.9950547537, 1.0};
  const double entropies[] = {0.6931471806, 0.6735401884, 0.4303769800, 0.0173114241, 7.3746e-38};
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_NEAR(margin(Criterion::kBce, logits + i, 1), margins[i], 1e-6) << i;
    EXPECT_NEAR(entropy(Criterion::kBce, logits + i, 1), entropies[i], 1e-6) << i;
    const float both[] = {0.0F, logits[i]};  // the same distribution as two logits
    EXPECT_NEAR(margin(Criterion::kCrossEntropy, both, 2), margins[i], 1e-6) << i;
    EXPECT_NEAR(entropy(Criterion::kCrossEntropy, both, 2), entropies[i], 1e-6) << i;
  }
}

TEST(SampleScores, FarApartLogitsOverflowNothing) {
  const float logits[] = {3e38F, -3e38F, 0.0F};
  EXPECT_EQ(margin(Criterion::kCrossEntropy, logits, 3), 1.0F);
  EXPECT_EQ(entropy(Criterion::kCrossEntropy, logits, 3), 0.0F);
  EXPECT_EQ(margin(Criterion::kBce, logits, 1), 1.0F);
  EXPECT_EQ(entropy(Criterion::kBce, logits, 1), 0.0F);
}

}  // namespace
}  // namespace sluice
