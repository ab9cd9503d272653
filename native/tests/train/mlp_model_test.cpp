// The MLP as a model: its parameters, its scores, and its gradients by finite differences.
#include <cmath>

#include "fixtures.h"
#include "train/criterion.h"
#include "train/model.h"

namespace sluice {
namespace {

using testing::error_of;

class MlpModelTest : public ::testing::Test {
 protected:
  MlpModelTest() {
    for (int i = 0; i < 5 * 3; ++i) dense_.push_back(std::sin(1.0F + static_cast<float>(i)));
    batch_.rows = 5;
    batch_.dense = dense_.data();
    batch_.labels = labels_.data();
    options_.criterion = Criterion::kCrossEntropy;
    options_.dense_optimizer.lr = 0.5F;
  }
  std::unique_ptr<Model> make() const { return make_mlp({3, {4, 3}}, options_); }

  std::vector<float> dense_;
  const std::vector<float> labels_{0.0F, 2.0F, 1.0F, 1.0F, 0.0F};
  Batch batch_;
  ModelOptions options_;
};

double loss_of(Model& model, const Batch& batch) {
  std::vector<float> losses(batch.rows);
  Scores wanted;
  wanted.losses = losses.data();
  model.score(batch, wanted);
  double sum = 0.0;
  for (const float loss : losses) sum += loss;
  return sum / static_cast<double>(batch.rows);
}

TEST_F(MlpModelTest, AStepGoesDownTheGradient) {
  const auto model = make();
  const auto parameters = model->parameters();
  ASSERT_EQ(parameters.size(), 4U);
  EXPECT_EQ(parameters[0].name, "layers.0.weight");
  EXPECT_EQ(parameters[2].shape, (std::vector<int64_t>{3, 4}));
  std::vector<std::vector<double>> expected;
  const auto loss_with = [&](float& weight, float value) {
    weight = value;
    model->parameters_changed();
    return loss_of(*model, batch_);
  };
  for (const NamedTensor& tensor : parameters) {
    expected.emplace_back();
    for (size_t i = 0; i < tensor.size(); ++i) {
      const float before = tensor.data[i];
      constexpr float kDelta = 2e-3F;
      const double above = loss_with(tensor.data[i], before + kDelta);
      const double below = loss_with(tensor.data[i], before - kDelta);
      loss_with(tensor.data[i], before);
      expected.back().push_back(before - 0.5 * (above - below) / (2.0 * kDelta));
    }
  }
  const double before = loss_of(*model, batch_);
  EXPECT_NEAR(model->step(batch_), before, 1e-6);
  for (size_t p = 0; p < parameters.size(); ++p) {
    for (size_t i = 0; i < expected[p].size(); ++i) EXPECT_NEAR(parameters[p].data[i], expected[p][i], 3e-4) << parameters[p].name << " " << i;
  }
  EXPECT_LT(loss_of(*model, batch_), before);
}

TEST_F(MlpModelTest, ScoresAreThoseOfTheLogits) {
  const auto model = make();
  std::vector<float> logits(15), told(15), embeddings(20), gradients(15);
  model->forward(batch_, logits.data());
  model->score(batch_, {nullptr, told.data(), gradients.data(), embeddings.data()});
  EXPECT_EQ(logits, told);
  ASSERT_EQ(model->embedding_width(), 4U);
  const auto parameters = model->parameters();
  for (size_t r = 0; r < 5; ++r) {
    float sum = 0.0F;
    for (size_t c = 0; c < 3; ++c) {
      float z = parameters[3].data[c];
      for (size_t h = 0; h < 4; ++h) z += parameters[2].data[c * 4 + h] * embeddings[r * 4 + h];
      EXPECT_NEAR(z, logits[r * 3 + c], 1e-5F);
      sum += gradients[r * 3 + c];
    }
    EXPECT_NEAR(sum, 0.0F, 1e-6F);  // softmax minus one-hot
  }
}

TEST_F(MlpModelTest, WhatMakesNoSenseIsNamed) {
  EXPECT_EQ(error_of([&] { make_mlp({0, {1}}, options_); }).first, "E_SHAPE");
  EXPECT_EQ(error_of([&] { make_mlp({3, {}}, options_); }).first, "E_SHAPE");
  EXPECT_EQ(error_of([&] { make_mlp({3, {0}}, options_); }).first, "E_SHAPE");
}

}  // namespace
}  // namespace sluice
