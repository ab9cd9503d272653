// The CNN and a ResNet on the GPU beside those on the CPU.
#include "gpu_fixture.h"

namespace sluice {
namespace {

using namespace testing;

constexpr ImageShape kImage{32, 32, 3};
constexpr uint32_t kClasses = 4;

struct Pictures {
  std::vector<float> values, labels, weights;
  Batch view(bool weighted) const {
    Batch batch;
    batch.rows = labels.size();
    batch.values = values.data();
    batch.labels = labels.data();
    batch.weights = weighted ? weights.data() : nullptr;
    return batch;
  }
};

Pictures pictures(size_t rows, uint64_t seed) {
  Rng rng(seed);
  Pictures all;
  for (size_t i = 0; i < rows * kImage.height * kImage.width * kImage.channels; ++i) all.values.push_back(static_cast<float>(rng.normal()));
  for (size_t i = 0; i < rows; ++i) {
    all.labels.push_back(static_cast<float>(rng.below(kClasses)));
    all.weights.push_back(static_cast<float>(0.5 + rng.uniform()));
  }
  return all;
}

ModelOptions options_of(Device device, OptimizerKind kind = OptimizerKind::kSgd) {
  ModelOptions options;
  options.device = device;
  options.criterion = Criterion::kCrossEntropy;
  options.dense_optimizer = optimizer(kind, kind == OptimizerKind::kSgd ? 0.02F : 0.002F);
  if (kind == OptimizerKind::kSgd) options.dense_optimizer.momentum = 0.9F;
  options.deterministic = true;
  options.seed = 2;
  return options;
}

std::unique_ptr<Model> cnn(const ModelOptions& options) { return make_cnn({kImage, kClasses}, options); }
std::unique_ptr<Model> resnet(const ModelOptions& options) { return make_resnet({18, true, kImage, kClasses}, options); }

std::vector<double> steps(Model& model, const Pictures& batch, size_t n, bool weighted = false) {
  std::vector<double> losses;
  for (size_t s = 0; s < n; ++s) {
    const double loss = model.step(batch.view(weighted), 1.0F / static_cast<float>(s + 1));
    if (s >= model.loss_delay()) losses.push_back(loss);
  }
  for (const double loss : model.late_losses()) losses.push_back(loss);
  return losses;
}

void expect_near(const std::vector<double>& ours, const std::vector<double>& theirs, double tolerance) {
  ASSERT_EQ(ours.size(), theirs.size());
  for (size_t s = 0; s < ours.size(); ++s) EXPECT_NEAR(ours[s], theirs[s], tolerance * theirs[s]) << "step " << s;
}

class TorchOnGpu : public OnDevice {};

TEST_F(TorchOnGpu, StepsAreThoseOfTheCpu) {
  for (const OptimizerKind kind : {OptimizerKind::kSgd, OptimizerKind::kAdam}) {
    const Pictures batch = pictures(12, 1);
    const auto gpu = cnn(options_of(Device::kCuda, kind));
    const auto cpu = cnn(options_of(Device::kCpu, kind));
    expect_near(steps(*gpu, batch, 6, true), steps(*cpu, batch, 6, true), 1e-5);
    expect_equal_parameters(*gpu, *cpu, kind == OptimizerKind::kSgd ? 1e-4 : 2e-3);
  }
}

TEST_F(TorchOnGpu, AResNetsStepsAndStatisticsAreThoseOfTheCpu) {
  const Pictures batch = pictures(4, 1);
  const auto gpu = resnet(options_of(Device::kCuda));
  const auto cpu = resnet(options_of(Device::kCpu));
  expect_near(steps(*gpu, batch, 2), steps(*cpu, batch, 2), 1e-4);
  expect_equal_parameters(*gpu, *cpu, 2e-3);
}

TEST_F(TorchOnGpu, AccumulatedGradientsTheirNormAndTheScoresAreThoseOfTheCpu) {
  const auto gpu = cnn(options_of(Device::kCuda));
  const auto cpu = cnn(options_of(Device::kCpu));
  const Pictures batches[] = {pictures(5, 1), pictures(7, 2)};
  for (int step = 0; step < 2; ++step) {
    for (const Pictures& batch : batches) {
      gpu->accumulate(batch.view(false), 0.5F);
      cpu->accumulate(batch.view(false), 0.5F);
    }
    EXPECT_NEAR(gpu->gradient_norm(), cpu->gradient_norm(), 1e-4 * cpu->gradient_norm());
    gpu->update(1.0F, 0.5F);
    cpu->update(1.0F, 0.5F);
  }
  expect_equal_parameters(*gpu, *cpu, 1e-4);
  std::vector<float> results[2][4];
  for (size_t m = 0; m < 2; ++m) {
    Model& model = m == 0 ? *gpu : *cpu;
    for (auto& result : results[m]) result.resize(7 * std::max(kClasses, model.embedding_width()));
    model.score(batches[1].view(false), {results[m][0].data(), results[m][1].data(), results[m][2].data(), results[m][3].data()});
  }
  for (size_t i = 0; i < 4; ++i) {
    for (size_t j = 0; j < results[0][i].size(); ++j) ASSERT_NEAR(results[0][i][j], results[1][i][j], 1e-4) << i << " " << j;
  }
}

TEST_F(TorchOnGpu, GoesOnFromItsStateAndItsGraphIsTheStep) {
  const Pictures batch = pictures(6, 3);
  ModelOptions options = options_of(Device::kCuda, OptimizerKind::kAdam);
  const auto straight = cnn(options);
  steps(*straight, batch, 3);
  options.cuda_graphs = false;
  const auto resumed = cnn(options);
  testing::take_state(*resumed, *straight, 3);
  EXPECT_EQ(steps(*straight, batch, 3), steps(*resumed, batch, 3));
  expect_equal_parameters(*straight, *resumed, 0.0);
}

}  // namespace
}  // namespace sluice
