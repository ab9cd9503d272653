// The GPU's DLRM and MLP beside those of the CPU.
#include "base/error.h"
#include "cuda/cuda.h"
#include "gpu_fixture.h"

namespace sluice {
namespace {

using namespace testing;

struct Case {
  std::string name;
  DlrmSpec spec;
  Optimizer dense, embedding;
  Criterion criterion = Criterion::kBce;
  bool weighted = false;
};

std::vector<Case> cases() {
  const DlrmSpec odd{3, {1, 7, 50}, 6, {5, 6}, {9, 1}};
  const DlrmSpec wide{13, {40, 3, 2000, 11, 5, 90, 300, 17, 4}, 128, {32, 128}, {64, 16, 3}};
  const DlrmSpec no_dense{0, {30, 20}, 16, {}, {8, 1}};
  const DlrmSpec lone{0, {400}, 5, {}, {8, 1}};
  using K = OptimizerKind;
  Optimizer momentum = optimizer(K::kSgd, 0.05F);
  momentum.momentum = 0.9F;
  momentum.nesterov = true;
  momentum.weight_decay = 0.01F;
  Optimizer adamw = optimizer(K::kAdamW, 0.01F);
  adamw.weight_decay = 0.1F;
  Criterion smooth = Criterion::kCrossEntropy;
  smooth.label_smoothing = 0.1F;
  return {{"Sgd", odd, optimizer(K::kSgd, 0.1F), optimizer(K::kSgd, 0.1F)},
          {"AdagradWeighted", odd, optimizer(K::kAdagrad, 0.05F), optimizer(K::kAdagrad, 0.05F), Criterion::kBce, true},
          {"AdamWide", wide, optimizer(K::kAdam, 0.002F), optimizer(K::kAdam, 0.002F), smooth},
          {"MomentumRowwise", wide, momentum, optimizer(K::kRowwiseAdagrad, 0.05F), smooth, true},
          {"AdamWWithoutDense", no_dense, adamw, optimizer(K::kRowwiseAdagrad, 0.05F)},
          {"OneTableHuber", lone, optimizer(K::kSgd, 0.02F), optimizer(K::kAdam, 0.01F), Criterion::kHuber}};
}

ModelOptions options_of(const Case& c) {
  ModelOptions options;
  options.criterion = c.criterion;
  options.dense_optimizer = c.dense;
  options.embedding_optimizer = c.embedding;
  options.deterministic = true;
  options.seed = 3;
  return options;
}

std::vector<RandomBatch> batches_of(const Case& c, size_t rows = 400) {
  std::vector<RandomBatch> all;
  for (uint64_t s = 0; s < 3; ++s) all.push_back(random_batch(c.spec, rows, std::max<uint32_t>(2, c.spec.top.back()), 20 + s, c.weighted));
  return all;
}

class NetBesideCpu : public OnDevice, public ::testing::WithParamInterface<size_t> {};

TEST_P(NetBesideCpu, LossesAndParametersAreEqual) {
  const Case c = cases()[GetParam()];
  const auto batches = batches_of(c);
  const auto gpu = on_gpu(c.spec, options_of(c));
  const auto cpu = make_dlrm(c.spec, options_of(c));
  const auto ours = losses_of(*gpu, batches, 8);
  const auto theirs = losses_of(*cpu, batches, 8);
  ASSERT_EQ(ours.size(), theirs.size());
  for (size_t s = 0; s < ours.size(); ++s) EXPECT_NEAR(ours[s], theirs[s], 1e-5 * std::abs(theirs[s])) << "step " << s;
  expect_equal_parameters(*gpu, *cpu, c.dense.kind == OptimizerKind::kAdam || c.embedding.kind == OptimizerKind::kAdam ? 2e-3 : 1e-4);
}

TEST_P(NetBesideCpu, AccumulatedGradientsTheirNormAndTheClippedStepAreEqual) {
  const Case c = cases()[GetParam()];
  const auto batches = batches_of(c, 300);
  const auto gpu = on_gpu(c.spec, options_of(c));
  const auto cpu = make_dlrm(c.spec, options_of(c));
  for (size_t step = 0; step < 3; ++step) {
    for (const RandomBatch& batch : batches) {
      gpu->accumulate(batch.view(), 1.0F / 3.0F);
      cpu->accumulate(batch.view(), 1.0F / 3.0F);
    }
    const double norm = cpu->gradient_norm();
    EXPECT_NEAR(gpu->gradient_norm(), norm, 1e-4 * norm);
    gpu->update(1.0F, 0.5F);
    cpu->update(1.0F, 0.5F);
  }
  expect_equal_parameters(*gpu, *cpu, c.dense.kind == OptimizerKind::kAdam || c.embedding.kind == OptimizerKind::kAdam ? 2e-3 : 1e-4);
}

TEST_P(NetBesideCpu, ScoresAreEqual) {
  const Case c = cases()[GetParam()];
  const RandomBatch batch = batches_of(c)[0];
  const auto gpu = on_gpu(c.spec, options_of(c));
  const auto cpu = make_dlrm(c.spec, options_of(c));
  const size_t rows = batch.labels.size();
  std::vector<float> results[2][4];
  for (size_t m = 0; m < 2; ++m) {
    Model& model = m == 0 ? *gpu : *cpu;
    for (size_t i = 0; i < 4; ++i) results[m][i].resize(rows * std::max(model.outputs(), model.embedding_width()));
    model.score(batch.view(), {results[m][0].data(), results[m][1].data(), results[m][2].data(), results[m][3].data()});
  }
  for (size_t i = 0; i < 4; ++i) {
    for (size_t j = 0; j < results[0][i].size(); ++j) ASSERT_NEAR(results[0][i][j], results[1][i][j], 2e-5) << i << " " << j;
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, NetBesideCpu, ::testing::Range<size_t>(0, 6), [](const auto& at) { return cases()[at.param].name; });

class Net : public OnDevice {};

TEST_F(Net, EvaluatesAsTheCpuDoes) {
  const DlrmSpec spec = cases()[2].spec;
  const RandomBatch batch = random_batch(spec, 20, 3, 1);
  ModelOptions options;
  options.criterion = Criterion::kCrossEntropy;
  const auto trained = make_dlrm(spec, options);
  const auto gpu = on_gpu(spec, to_evaluate(options));
  const auto cpu = make_dlrm(spec, to_evaluate(options));
  expect_near(evaluated(*gpu, *trained, batch.view()), evaluated(*cpu, *trained, batch.view()), 1e-4F);
}

TEST_F(Net, TheStepsGraphIsTheStep) {
  const Case c = cases()[0];
  const auto batches = batches_of(c);
  ModelOptions options = options_of(c);
  const auto graph = on_gpu(c.spec, options);
  options.cuda_graphs = false;
  const auto eager = on_gpu(c.spec, options);
  EXPECT_EQ(losses_of(*graph, batches, 7), losses_of(*eager, batches, 7));
  expect_equal_parameters(*graph, *eager, 0.0);
}

TEST_F(Net, DeterministicRunsAreBitIdentical) {
  const Case c = cases()[3];
  const auto batches = batches_of(c);
  const auto one = on_gpu(c.spec, options_of(c));
  const auto other = on_gpu(c.spec, options_of(c));
  EXPECT_EQ(losses_of(*one, batches, 7), losses_of(*other, batches, 7));
  expect_equal_parameters(*one, *other, 0.0);
}

TEST_F(Net, GradientsAppliedAtOnceInAnyOrderGiveTheSameUpToRounding) {
  const Case c = cases()[0];
  const auto batches = batches_of(c);
  ModelOptions options = options_of(c);
  options.deterministic = false;
  const auto at_once = on_gpu(c.spec, options);
  const auto cpu = make_dlrm(c.spec, options);
  losses_of(*at_once, batches, 7);
  losses_of(*cpu, batches, 7);
  expect_equal_parameters(*at_once, *cpu, 1e-4);
}

TEST_F(Net, GoesOnFromItsState) {
  for (const size_t number : {2U, 3U}) {
    const Case c = cases()[number];
    const auto batches = batches_of(c);
    const auto straight = on_gpu(c.spec, options_of(c));
    losses_of(*straight, batches, 3);
    const auto resumed = on_gpu(c.spec, options_of(c));
    testing::take_state(*resumed, *straight, 3);
    EXPECT_EQ(losses_of(*straight, batches, 4), losses_of(*resumed, batches, 4));
    expect_equal_parameters(*straight, *resumed, 0.0);
  }
}

TEST_F(Net, SixteenBitsFollowFp32) {
  Case c = cases()[2];
  const auto batches = batches_of(c);
  const auto exact = losses_of(*on_gpu(c.spec, options_of(c)), batches, 8);
  for (const Precision precision : {Precision::kBf16, Precision::kFp16}) {
    ModelOptions options = options_of(c);
    options.precision = precision;
    const auto rounded = losses_of(*on_gpu(c.spec, options), batches, 8);
    EXPECT_NE(rounded, exact);
    for (size_t s = 0; s < exact.size(); ++s) EXPECT_NEAR(rounded[s], exact[s], 0.03 * exact[s]) << "step " << s;
  }
}

TEST_F(Net, Fp16LeavesOutAStepWhoseGradientsOverflow) {
  Case c = cases()[0];
  ModelOptions options = options_of(c);
  options.precision = Precision::kFp16;
  const auto model = on_gpu(c.spec, options);
  const auto before = on_gpu(c.spec, options);
  RandomBatch batch = batches_of(c)[0];
  batch.weighted = true;
  for (float& weight : batch.weights) weight = 1e6F;
  model->step(batch.view());
  expect_equal_parameters(*model, *before, 0.0);
  batch.weighted = false;
  for (size_t s = 0; s < 3; ++s) model->step(batch.view());
  const auto parameters = model->parameters();
  const auto initial = before->parameters();
  EXPECT_NE(std::vector<float>(parameters[0].data, parameters[0].data + parameters[0].size()), std::vector<float>(initial[0].data, initial[0].data + initial[0].size()));
}

TEST_F(Net, AnMlpIsThatOfTheCpu) {
  const MlpSpec spec{5, {16, 7, 3}};
  ModelOptions options;
  options.criterion = Criterion::kCrossEntropy;
  options.dense_optimizer = optimizer(OptimizerKind::kAdagrad, 0.05F);
  const auto gpu = gpu::make_mlp(spec, options, [&](const ModelOptions& host) { return make_mlp(spec, host); });
  const auto cpu = make_mlp(spec, options);
  const std::vector<RandomBatch> batches{random_batch({5, {}, 4, {4}, {3}}, 130, 3, 1)};
  const auto ours = losses_of(*gpu, batches, 7);
  const auto theirs = losses_of(*cpu, batches, 7);
  for (size_t s = 0; s < ours.size(); ++s) EXPECT_NEAR(ours[s], theirs[s], 1e-5 * theirs[s]);
  expect_equal_parameters(*gpu, *cpu, 1e-4);
}

std::string code_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    return error.code();
  }
  return "";
}

TEST_F(Net, WhatDoesNotFitIsRefused) {
  const Case c = cases()[0];
  RandomBatch batch = batches_of(c)[0];
  batch.categorical[3] = -1;
  const auto model = on_gpu(c.spec, options_of(c));
  EXPECT_EQ(code_of([&] { model->step(batch.view()); }), code::kShape);
  const DlrmSpec crowded{0, std::vector<uint64_t>(1000, 2), 128, {}, {1}};
  EXPECT_EQ(code_of([&] { on_gpu(crowded, options_of(c)); }), code::kShape);
}

TEST_F(Net, TablesBeyondTheDevicesMemoryAreRefusedAndTheNextModelTrains) {
  if (cuda_devices().empty()) GTEST_SKIP() << "memory is that of the host";
  const Case c = cases()[0];
  const DlrmSpec huge{0, std::vector<uint64_t>(26, 0x7fffffff), 128, {}, {1}};
  try {
    on_gpu(huge, options_of(c));
    FAIL() << "made a model";
  } catch (const Error& error) {
    EXPECT_STREQ(error.code(), code::kMemory);
    EXPECT_NE(std::string(error.what()).find("asked for, "), std::string::npos) << error.what();
  }
  losses_of(*on_gpu(c.spec, options_of(c)), batches_of(c), 3);
}

}  // namespace
}  // namespace sluice
