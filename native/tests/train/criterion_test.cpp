#include "train/criterion.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "train/compute.h"

namespace sluice {
namespace {

// Expected values: torch.nn.functional.binary_cross_entropy_with_logits and cross_entropy, PyTorch 2.13.0, double.
TEST(Criterion, BinaryCrossEntropyEqualsPyTorchAndDoesNotOverflow) {
  const std::vector<float> logits{0.5F, -2.0F, 100.0F, -100.0F};
  const std::vector<float> labels{1.0F, 1.0F, 0.0F, 0.0F};
  const std::vector<float> weights{1.0F, 2.0F, 0.5F, 1.0F};
  std::vector<float> losses(4), grad(4);
  const double mean = criterion_loss(Criterion::kBce, logits.data(), 4, 1, labels.data(), weights.data(), losses.data(), grad.data());
  EXPECT_NEAR(losses[0], 0.474076984, 1e-6);
  EXPECT_NEAR(losses[1], 2.126928011, 1e-6);
  EXPECT_NEAR(losses[2], 100.0, 1e-5);
  EXPECT_NEAR(losses[3], 0.0, 1e-12);
  EXPECT_NEAR(mean, (0.474076984 + 2 * 2.126928011 + 50.0) / 4, 1e-6);
  EXPECT_NEAR(grad[0], -0.377540669 / 4, 1e-7);
  EXPECT_NEAR(grad[1], -0.880797078 * 2 / 4, 1e-7);
  EXPECT_NEAR(grad[2], 0.5 / 4, 1e-7);
}

TEST(Criterion, CrossEntropyEqualsPyTorch) {
  const std::vector<float> logits{1.0F, 2.0F, 3.0F, -50.0F, 60.0F, 0.0F};
  const std::vector<float> labels{0.0F, 1.0F};
  std::vector<float> grad(6);
  const double mean = criterion_loss(Criterion::kCrossEntropy, logits.data(), 2, 3, labels.data(), nullptr, nullptr, grad.data());
  EXPECT_NEAR(mean, 2.407605964 / 2, 1e-6);
  EXPECT_NEAR(grad[0], (0.090030573 - 1) / 2, 1e-6);
  EXPECT_NEAR(grad[1], 0.244728471 / 2, 1e-6);
  EXPECT_NEAR(grad[2], 0.665240956 / 2, 1e-6);
}

TEST(Criterion, DoesNotDependOnTheNumberOfThreads) {
  std::vector<float> logits(5000), labels(5000);
  for (size_t i = 0; i < 5000; ++i) {
    logits[i] = std::sin(static_cast<float>(i));
    labels[i] = static_cast<float>(i % 2);
  }
  const int before = compute_threads();
  const auto loss = [&](int threads) {
    set_compute_threads(threads);
    return criterion_loss(Criterion::kBce, logits.data(), 5000, 1, labels.data(), nullptr, nullptr, nullptr);
  };
  const double one = loss(1);
  const double two = loss(2);
  set_compute_threads(before);
  EXPECT_EQ(one, two);
}

}  // namespace
}  // namespace sluice
