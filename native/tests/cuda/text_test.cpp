// The text classifiers on the GPU beside those on the CPU.
#include "base/error.h"
#include "gpu_fixture.h"

namespace sluice {
namespace {

using namespace testing;

constexpr uint32_t kLength = 80;  // no multiple of the lengths that a GPU's passes have
constexpr uint32_t kVocabulary = 60;
constexpr uint32_t kClasses = 3;

TransformerSpec spec_of(TransformerSpec::Kind kind = TransformerSpec::kDistilBert) {
  TransformerSpec spec;
  spec.kind = kind;
  spec.vocabulary = kVocabulary;
  spec.length = kLength;
  spec.positions = 96;
  spec.width = 32;
  spec.layers = 2;
  spec.heads = 4;
  spec.hidden = 48;
  spec.dropout = spec.classifier_dropout = 0.0F;
  spec.outputs = kClasses;
  return spec;
}

ModelOptions options_of(Device device, Precision precision = Precision::kFp32) {
  ModelOptions options;
  options.device = device;
  options.precision = precision;
  options.criterion = Criterion::kCrossEntropy;
  options.dense_optimizer = optimizer(OptimizerKind::kAdamW, 0.003F);
  options.dense_optimizer.weight_decay = 0.01F;
  options.deterministic = true;
  options.seed = 2;
  return options;
}

struct Texts {
  std::vector<int32_t> ids;
  std::vector<float> labels, weights;
  std::vector<uint64_t> keys;
  Batch view(bool weighted = false) const {
    Batch batch;
    batch.rows = labels.size();
    batch.ids = ids.data();
    batch.labels = labels.data();
    batch.keys = keys.data();
    batch.weights = weighted ? weights.data() : nullptr;
    return batch;
  }
};

/// The longest has `longest` tokens; one is empty.
Texts texts(size_t rows, size_t longest, uint64_t seed) {
  Rng rng(seed);
  Texts all;
  all.ids.resize(rows * kLength);
  for (size_t r = 0; r < rows; ++r) {
    const size_t used = r == 0 ? longest : r == 1 ? 0 : 1 + rng.below(longest);
    for (size_t i = 0; i < used; ++i) all.ids[r * kLength + i] = static_cast<int32_t>(1 + rng.below(kVocabulary - 1));
    all.labels.push_back(static_cast<float>(rng.below(kClasses)));
    all.weights.push_back(static_cast<float>(0.5 + rng.uniform()));
    all.keys.push_back(100 + r);
  }
  return all;
}

std::vector<double> steps(Model& model, const std::vector<Texts>& batches, size_t n, bool weighted = false) {
  return losses_of_steps(model, n, [&](size_t s) { return batches[s % batches.size()].view(weighted); });
}

class TextsOnGpu : public OnDevice {};

TEST_F(TextsOnGpu, EvaluatesAsTheCpuDoes) {
  const Texts batch = texts(6, 40, 1);
  const auto trained = make_transformer(spec_of(), options_of(Device::kCpu));
  const auto gpu = make_transformer(spec_of(), to_evaluate(options_of(Device::kCuda)));
  const auto cpu = make_transformer(spec_of(), to_evaluate(options_of(Device::kCpu)));
  expect_near(evaluated(*gpu, *trained, batch.view()), evaluated(*cpu, *trained, batch.view()), 1e-5F);
}

TEST_F(TextsOnGpu, StepsAreThoseOfTheCpuWhateverTheLengths) {
  const std::vector<Texts> batches{texts(6, 5, 1), texts(6, 40, 2), texts(6, kLength, 3), texts(4, 33, 4)};
  for (const auto kind : {TransformerSpec::kDistilBert, TransformerSpec::kBert}) {
    const auto gpu = make_transformer(spec_of(kind), options_of(Device::kCuda));
    const auto cpu = make_transformer(spec_of(kind), options_of(Device::kCpu));
    expect_near(steps(*gpu, batches, 16, true), steps(*cpu, batches, 16, true), 2e-5);
    expect_equal_parameters(*gpu, *cpu, 2e-3);
  }
}

TEST_F(TextsOnGpu, LowPrecisionsFollowTheCpu) {
  const std::vector<Texts> batches{texts(6, 40, 2)};
  for (const Precision precision : {Precision::kBf16, Precision::kFp16}) {
    const auto gpu = make_transformer(spec_of(), options_of(Device::kCuda, precision));
    const auto cpu = make_transformer(spec_of(), options_of(Device::kCpu, precision));
    expect_near(steps(*gpu, batches, 6), steps(*cpu, batches, 6), 0.02);
    const auto state = gpu->optimizer_state();
    if (precision == Precision::kFp16) EXPECT_EQ(state.back().data[0], cpu->optimizer_state().back().data[0]) << "the loss scale";
  }
}

TEST_F(TextsOnGpu, AccumulatedGradientsTheirNormAndTheScoresAreThoseOfTheCpu) {
  const auto gpu = make_transformer(spec_of(), options_of(Device::kCuda));
  const auto cpu = make_transformer(spec_of(), options_of(Device::kCpu));
  const Texts batches[] = {texts(5, 40, 1), texts(7, 12, 2)};
  for (int step = 0; step < 2; ++step) {
    for (const Texts& batch : batches) {
      gpu->accumulate(batch.view(), 0.5F);
      cpu->accumulate(batch.view(), 0.5F);
    }
    EXPECT_NEAR(gpu->gradient_norm(), cpu->gradient_norm(), 1e-4 * cpu->gradient_norm());
    gpu->update(1.0F, 0.5F);
    cpu->update(1.0F, 0.5F);
  }
  expect_equal_parameters(*gpu, *cpu, 2e-3);
  expect_equal_scores(*gpu, *cpu, batches[1].view(), 1e-3);
}

TEST_F(TextsOnGpu, DropoutDrawsAnewInEveryStepAndAResumedTrainingGoesOnAsItWould) {
  TransformerSpec spec = spec_of();
  spec.dropout = spec.classifier_dropout = 0.3F;
  const std::vector<Texts> batches{texts(6, 40, 3), texts(6, 20, 4)};
  ModelOptions options = options_of(Device::kCuda);
  const auto straight = make_transformer(spec, options);
  steps(*straight, batches, 8);
  options.cuda_graphs = false;
  const auto resumed = make_transformer(spec, options);
  testing::take_state(*resumed, *straight, 8);
  EXPECT_EQ(steps(*straight, batches, 4), steps(*resumed, batches, 4));
  expect_equal_parameters(*straight, *resumed, 0.0);

  options.cuda_graphs = true;
  options.dense_optimizer = optimizer(OptimizerKind::kSgd, 0.0F);
  const auto still = make_transformer(spec, options);
  const auto losses = steps(*still, {batches[0]}, 6);
  for (size_t s = 1; s < losses.size(); ++s) EXPECT_NE(losses[s], losses[s - 1]) << "step " << s;
}

TEST_F(TextsOnGpu, ATokenBeyondTheVocabularyIsNamedBeforeTheDeviceSeesIt) {
  const auto gpu = make_transformer(spec_of(), options_of(Device::kCuda));
  const auto cpu = make_transformer(spec_of(), options_of(Device::kCpu));
  const std::vector<Texts> batches{texts(6, 20, 5)};
  Texts wrong = batches[0];
  wrong.ids[3 * kLength + 2] = static_cast<int32_t>(kVocabulary);
  std::vector<float> logits(6 * kClasses);
  const std::function<void()> passes[] = {[&] { gpu->step(wrong.view()); }, [&] { gpu->accumulate(wrong.view(), 1.0F); }, [&] { gpu->forward(wrong.view(), logits.data()); }};
  for (const auto& pass : passes) {
    try {
      pass();
      FAIL() << "a token id beyond the vocabulary was taken";
    } catch (const Error& error) {
      EXPECT_STREQ(error.code(), "E_SHAPE");
      EXPECT_NE(std::string(error.what()).find("sample 103: token id 60"), std::string::npos) << error.what();
    }
  }
  expect_near(steps(*gpu, batches, 5), steps(*cpu, batches, 5), 2e-5);
}

}  // namespace
}  // namespace sluice
