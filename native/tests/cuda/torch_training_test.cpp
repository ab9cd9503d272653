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
  return losses_of_steps(model, n, [&](size_t) { return batch.view(weighted); });
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
  expect_equal_scores(*gpu, *cpu, batches[1].view(false), 1e-4);
}

TEST_F(TorchOnGpu, EvaluatesAsTheCpuDoes) {
  const Pictures batch = pictures(5, 1);
  const auto trained = cnn(options_of(Device::kCpu));
  const auto gpu = cnn(to_evaluate(options_of(Device::kCuda)));
  const auto cpu = cnn(to_evaluate(options_of(Device::kCpu)));
  expect_near(evaluated(*gpu, *trained, batch.view(false)), evaluated(*cpu, *trained, batch.view(false)), 1e-5F);
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
