// Models for the tests of the GPU's part, and their twins on the CPU. In a build without CUDA the GPU is emulated (emulation.cpp).
#pragma once
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "base/rng.h"
#include "cuda/net.h"
#include "models.h"
#include "train/model.h"

namespace sluice::testing {

/// Whether kernels can run: on a GPU, or emulated.
bool has_device();

class OnDevice : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!has_device()) GTEST_SKIP() << "no CUDA device";
  }
};

struct RandomBatch {
  std::vector<float> dense, labels, weights;
  std::vector<int32_t> categorical;
  bool weighted = false;
  Batch view() const { return {labels.size(), dense.data(), categorical.data(), labels.data(), weighted ? weights.data() : nullptr}; }
};

/// Labels below `classes`; indices crowd at the beginning of each table, so that rows occur many times.
inline RandomBatch random_batch(const DlrmSpec& spec, size_t rows, uint32_t classes, uint64_t seed, bool weighted = false) {
  Rng rng(seed);
  RandomBatch batch;
  batch.weighted = weighted;
  for (size_t i = 0; i < rows * spec.dense; ++i) batch.dense.push_back(static_cast<float>(rng.normal()));
  for (const uint64_t n : spec.tables) {
    for (size_t b = 0; b < rows; ++b) batch.categorical.push_back(static_cast<int32_t>(static_cast<double>(n) * std::pow(rng.uniform(), 3.0)));
  }
  for (size_t b = 0; b < rows; ++b) {
    batch.labels.push_back(static_cast<float>(rng.below(classes)));
    batch.weights.push_back(static_cast<float>(0.5 + rng.uniform()));
  }
  return batch;
}

inline std::unique_ptr<Model> on_gpu(const DlrmSpec& spec, const ModelOptions& options) {
  return gpu::make_dlrm(spec, options, [&](const ModelOptions& host) { return make_dlrm(spec, host); });
}

/// The losses of steps on batch(0), batch(1), …, in time however late the model tells them.
template <typename Next>
std::vector<double> losses_of_steps(Model& model, size_t steps, const Next& batch) {
  std::vector<double> losses;
  for (size_t s = 0; s < steps; ++s) {
    const double loss = model.step(batch(s), 1.0F / static_cast<float>(1 + s));
    if (s >= model.loss_delay()) losses.push_back(loss);
  }
  for (const double loss : model.late_losses()) losses.push_back(loss);
  return losses;
}

/// On the batches in turn.
inline std::vector<double> losses_of(Model& model, const std::vector<RandomBatch>& batches, size_t steps) {
  return losses_of_steps(model, steps, [&](size_t s) { return batches[s % batches.size()].view(); });
}

inline void expect_near(const std::vector<double>& ours, const std::vector<double>& theirs, double tolerance) {
  ASSERT_EQ(ours.size(), theirs.size());
  for (size_t s = 0; s < ours.size(); ++s) EXPECT_NEAR(ours[s], theirs[s], tolerance * theirs[s]) << "step " << s;
}

/// All that score() tells of the batch.
inline void expect_equal_scores(Model& ours, Model& theirs, const Batch& batch, double tolerance) {
  std::vector<float> results[2][4];
  for (size_t m = 0; m < 2; ++m) {
    Model& model = m == 0 ? ours : theirs;
    for (auto& result : results[m]) result.resize(batch.rows * std::max(model.outputs(), model.embedding_width()));
    model.score(batch, {results[m][0].data(), results[m][1].data(), results[m][2].data(), results[m][3].data()});
  }
  for (size_t i = 0; i < 4; ++i) {
    for (size_t j = 0; j < results[0][i].size(); ++j) ASSERT_NEAR(results[0][i][j], results[1][i][j], tolerance) << i << " " << j;
  }
}

inline void expect_equal_parameters(Model& a, Model& b, double tolerance) {
  const auto left = a.parameters();
  const auto right = b.parameters();
  ASSERT_EQ(left.size(), right.size());
  for (size_t i = 0; i < left.size(); ++i) {
    ASSERT_EQ(left[i].name, right[i].name);
    for (size_t j = 0; j < left[i].size(); ++j) {
      const auto x = static_cast<double>(left[i].data[j]);
      const auto y = static_cast<double>(right[i].data[j]);
      ASSERT_NEAR(x, y, tolerance * (1.0 + std::abs(y))) << left[i].name << "[" << j << "]";
    }
  }
}

/// What an evaluation computes: a model that is not trained, with the parameters of another.
inline std::vector<float> evaluated(Model& model, Model& parameters_of, const Batch& batch) {
  const auto to = model.parameters();
  const auto from = parameters_of.parameters();
  for (size_t i = 0; i < to.size(); ++i) std::copy_n(from[i].data, from[i].size(), to[i].data);
  model.parameters_changed();
  std::vector<float> logits(batch.rows * model.outputs());
  model.forward(batch, logits.data());
  return logits;
}

inline void expect_near(const std::vector<float>& ours, const std::vector<float>& theirs, float tolerance) {
  ASSERT_EQ(ours.size(), theirs.size());
  for (size_t i = 0; i < ours.size(); ++i) EXPECT_NEAR(ours[i], theirs[i], tolerance) << i;
}

inline ModelOptions to_evaluate(ModelOptions options) {
  options.train = options.initial = false;
  return options;
}

inline Optimizer optimizer(OptimizerKind kind, float lr) {
  Optimizer o;
  o.kind = kind;
  o.lr = lr;
  o.eps = kind == OptimizerKind::kAdagrad ? 1e-10F : 1e-8F;
  return o;
}

}  // namespace sluice::testing
