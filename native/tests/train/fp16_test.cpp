// fp16 with dynamic loss scaling, on the CNN of image_models.json.
#include <algorithm>
#include <cmath>

#include "dlrm_fixture.h"
#include "formula_weights.h"
#include "models.h"

namespace sluice {
namespace {

using namespace testing;

class Fp16 : public ::testing::Test {
 protected:
  Fp16() : f(fixture("image_models.json")["cases"][2]), values(noise_floats(6 * 32 * 32 * 3, 1000, 0.0, 1.0)), weights(noise_floats(6, 1001, 1.0, 0.5)) {
    for (size_t r = 0; r < 6; ++r) labels.push_back(static_cast<float>(r * 7 % 4));
    batch.rows = 6;
    batch.values = values.data();
    batch.labels = labels.data();
    batch.weights = weights.data();
  }
  std::unique_ptr<Model> make(OptimizerKind kind = OptimizerKind::kSgd) const {
    ModelOptions options;
    options.criterion = Criterion::kCrossEntropy;
    options.precision = Precision::kFp16;
    options.dense_optimizer.kind = kind;
    options.dense_optimizer.lr = kind == OptimizerKind::kSgd ? 0.01F : 1e-3F;
    if (kind == OptimizerKind::kSgd) options.dense_optimizer.momentum = 0.9F;
    options.dense_optimizer.weight_decay = 1e-4F;
    auto model = make_cnn({{32, 32, 3}, 4}, options);
    fill_by_formula(*model);
    return model;
  }
  static const float* scale_of(Model& model) { return model.optimizer_state().back().data; }

  const json f;
  std::vector<float> values, weights, labels;
  Batch batch;
};

TEST_F(Fp16, FollowsFp32OnceTheScaleFits) {
  const auto model = make();
  std::vector<double> losses;
  for (int s = 0; s < 40 && losses.size() < f["losses"].size(); ++s) {
    const float before = scale_of(*model)[0];
    const double loss = model->step(batch);
    if (scale_of(*model)[0] == before) losses.push_back(loss);  // not left out
  }
  ASSERT_EQ(losses.size(), f["losses"].size());
  for (size_t s = 0; s < losses.size(); ++s) EXPECT_NEAR(losses[s], f["losses"][s].get<double>(), 0.02 * f["losses"][s].get<double>()) << "step " << s;
}

TEST_F(Fp16, AStepThatIsLeftOutChangesNothingAndHalvesTheScale) {
  const auto model = make(OptimizerKind::kAdam);
  std::fill(weights.begin(), weights.end(), 1e4F);
  const NamedTensor first = model->parameters().front();
  const std::vector<float> before(first.data, first.data + first.size());
  const float scale = scale_of(*model)[0];
  model->step(batch);
  EXPECT_EQ(scale_of(*model)[0], scale / 2);
  EXPECT_EQ(std::vector<float>(first.data, first.data + first.size()), before);
}

TEST_F(Fp16, ResumesExactly) {
  const auto model = make(OptimizerKind::kAdam);
  for (int s = 0; s < 6; ++s) model->step(batch);
  EXPECT_GT(scale_of(*model)[2], 0.0F) << "some steps were left out";
  const auto resumed = make(OptimizerKind::kAdam);
  testing::take_state(*resumed, *model, 6);
  for (int s = 0; s < 4; ++s) EXPECT_EQ(model->step(batch), resumed->step(batch)) << s;
}

TEST_F(Fp16, GradientsThatNoScaleMakesFiniteEndTheTraining) {
  const auto model = make();
  std::fill(weights.begin(), weights.end(), 1e30F);
  int steps = 0;
  while (std::isfinite(model->step(batch)) && steps < 100) ++steps;
  EXPECT_EQ(steps, 16) << "from 65,536 to 1";
}

TEST_F(Fp16, TheNormIsThatOfTheUnscaledGradients) {
  const auto norm = [&](Precision precision) {
    ModelOptions options;
    options.criterion = Criterion::kCrossEntropy;
    options.precision = precision;
    const auto model = make_cnn({{32, 32, 3}, 4}, options);
    fill_by_formula(*model);
    for (int s = 0; s < 8; ++s) {  // the scale comes down; the parameters stay
      model->accumulate(batch, 1.0F);
      model->update(0.0F, 1.0F);
    }
    model->accumulate(batch, 1.0F);
    return model->gradient_norm();
  };
  const double wanted = norm(Precision::kFp32);
  EXPECT_NEAR(norm(Precision::kFp16), wanted, 0.02 * wanted);
}

}  // namespace
}  // namespace sluice
