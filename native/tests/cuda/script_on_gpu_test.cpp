// TorchScript models on the GPU beside those on the CPU.
#include <functional>

#include "base/error.h"
#include "fixtures.h"
#include "gpu_fixture.h"

namespace sluice {
namespace {

using namespace testing;

constexpr uint32_t kClasses = 3;
const DlrmSpec kInputs{3, {5, 5}};  // what random_batch() makes

std::string archive(const std::string& name) { return std::string(SLUICE_FIXTURES) + "/script_devices/" + name + ".pt"; }
const std::string kTraining = std::string(SLUICE_FIXTURES) + "/script_training.pt";

ScriptSpec spec_of(const std::string& file, uint32_t tables) { return {file, 3, tables, kClasses, 60.0}; }
ScriptSpec net() { return spec_of(archive("net"), 2); }

ModelOptions options_of(Device device, Precision precision = Precision::kFp32) {
  ModelOptions options;
  options.device = device;
  options.precision = precision;
  options.criterion = Criterion::kCrossEntropy;
  options.dense_optimizer = optimizer(OptimizerKind::kSgd, 0.05F);
  options.dense_optimizer.momentum = 0.9F;
  options.dense_optimizer.weight_decay = 0.1F;
  options.deterministic = true;
  options.seed = 2;
  return options;
}

RandomBatch batch_of(size_t rows, uint64_t seed, bool weighted = false) { return random_batch(kInputs, rows, kClasses, seed, weighted); }

std::pair<std::string, std::string> error_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    return {error.code(), error.what()};
  }
  return {"no error", ""};
}

class ScriptOnGpu : public OnDevice {};

TEST_F(ScriptOnGpu, EvaluatesAsTheCpuDoes) {
  const RandomBatch batch = batch_of(7, 1);
  const auto trained = make_script_model(net(), options_of(Device::kCpu));
  losses_of(*trained, {batch}, 3);
  const auto gpu = make_script_model(net(), to_evaluate(options_of(Device::kCuda)));
  const auto cpu = make_script_model(net(), to_evaluate(options_of(Device::kCpu)));
  expect_near(evaluated(*gpu, *trained, batch.view()), evaluated(*cpu, *trained, batch.view()), 1e-5F);
}

TEST_F(ScriptOnGpu, StepsAreThoseOfTheCpu) {
  const std::vector<RandomBatch> batches{batch_of(8, 1, true), batch_of(8, 2, true), batch_of(5, 3, true)};
  for (const ScriptSpec& spec : {spec_of(kTraining, 2), net(), spec_of(archive("traced"), 0)}) {
    SCOPED_TRACE(spec.file);
    const auto gpu = make_script_model(spec, options_of(Device::kCuda));
    const auto cpu = make_script_model(spec, options_of(Device::kCpu));
    expect_near(losses_of(*gpu, batches, 9), losses_of(*cpu, batches, 9), 1e-4);
    expect_equal_parameters(*gpu, *cpu, 1e-3);
  }
}

TEST_F(ScriptOnGpu, FrozenAndUnusedParametersStayAndTiedOnesStayTogether) {
  const auto gpu = make_script_model(net(), options_of(Device::kCuda));
  losses_of(*gpu, {batch_of(8, 1)}, 4);
  std::vector<float> out, same;
  for (const NamedTensor& tensor : gpu->parameters()) {
    if (tensor.name == "frozen") EXPECT_EQ(tensor.data[0], 0.5F);
    if (tensor.name == "unused") EXPECT_EQ(tensor.data[0], 1.0F) << "weight decay is for what has a gradient";
    if (tensor.name == "out.weight") out.assign(tensor.data, tensor.data + tensor.size());
    if (tensor.name == "same.weight") same.assign(tensor.data, tensor.data + tensor.size());
  }
  EXPECT_FALSE(out.empty());
  if (!same.empty()) EXPECT_EQ(out, same);
}

TEST_F(ScriptOnGpu, AccumulatedGradientsTheirNormAndTheScoresAreThoseOfTheCpu) {
  const auto gpu = make_script_model(net(), options_of(Device::kCuda));
  const auto cpu = make_script_model(net(), options_of(Device::kCpu));
  const RandomBatch batches[] = {batch_of(6, 1), batch_of(9, 2)};
  for (int step = 0; step < 2; ++step) {
    for (const RandomBatch& batch : batches) {
      gpu->accumulate(batch.view(), 0.5F);
      cpu->accumulate(batch.view(), 0.5F);
    }
    EXPECT_NEAR(gpu->gradient_norm(), cpu->gradient_norm(), 1e-4 * cpu->gradient_norm());
    gpu->update(1.0F, 0.5F);
    cpu->update(1.0F, 0.5F);
  }
  expect_equal_parameters(*gpu, *cpu, 1e-4);
  expect_equal_scores(*gpu, *cpu, batches[1].view(), 1e-4);
}

TEST_F(ScriptOnGpu, LowPrecisionsFollowTheCpu) {
  const std::vector<RandomBatch> batches{batch_of(16, 2)};
  for (const Precision precision : {Precision::kBf16, Precision::kFp16}) {
    const auto gpu = make_script_model(net(), options_of(Device::kCuda, precision));
    const auto cpu = make_script_model(net(), options_of(Device::kCpu, precision));
    expect_near(losses_of(*gpu, batches, 6), losses_of(*cpu, batches, 6), 0.05);
    if (precision == Precision::kFp16) EXPECT_EQ(gpu->optimizer_state().back().data[0], cpu->optimizer_state().back().data[0]) << "the loss scale";
  }
}

TEST_F(ScriptOnGpu, AResumedTrainingGoesOnAsItWouldWithDropoutToo) {
  const ScriptSpec spec = spec_of(archive("drops"), 0);
  const std::vector<RandomBatch> batches{batch_of(8, 3)};
  const auto straight = make_script_model(spec, options_of(Device::kCuda));
  losses_of(*straight, batches, 5);
  const auto resumed = make_script_model(spec, options_of(Device::kCuda));
  testing::take_state(*resumed, *straight, 5);
  const auto losses = losses_of(*straight, batches, 4);
  EXPECT_EQ(losses, losses_of(*resumed, batches, 4));
  expect_equal_parameters(*straight, *resumed, 0.0);
}

TEST_F(ScriptOnGpu, WhatAGpuCannotDoIsNamed) {
  const RandomBatch batch = batch_of(4, 1);
  const auto step = [&](const std::string& name, ModelOptions options) { return error_of([&] { make_script_model(spec_of(archive(name), 0), options)->step(batch.view()); }); };
  const auto shares = step("shares", options_of(Device::kCuda));
  EXPECT_EQ(shares.first, "E_DEVICE");
  EXPECT_NE(shares.second.find("out.weight and row share memory"), std::string::npos) << shares.second;
  EXPECT_EQ(step("shares", options_of(Device::kCpu)).first, "no error");
  const auto puts = step("puts", options_of(Device::kCuda));
  EXPECT_EQ(puts.first, "E_DEVICE");
  EXPECT_NE(puts.second.find("the model uses put_, which"), std::string::npos) << puts.second;
  ModelOptions any_order = options_of(Device::kCuda);
  any_order.deterministic = false;
  EXPECT_EQ(step("puts", any_order).first, "no error");
  EXPECT_EQ(step("puts", options_of(Device::kCpu)).first, "no error");
  const ScriptSpec forever{std::string(SLUICE_FIXTURES) + "/script/forever.pt", 3, 0, kClasses, 0.2};
  EXPECT_EQ(error_of([&] { make_script_model(forever, options_of(Device::kCuda))->step(batch.view()); }).first, "E_SCRIPT");
}

}  // namespace
}  // namespace sluice
