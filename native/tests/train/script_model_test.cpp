// A TorchScript model as a model of ours, against PyTorch's own training of it.
#include "dlrm_fixture.h"
#include "train/train.h"

namespace sluice {
namespace {

using namespace testing;

const std::string kFile = fixture_path("script_training.pt");

ScriptSpec spec_of(const std::string& file) { return {file, 3, 2, 3, 60.0}; }

ModelOptions options_of() {
  ModelOptions options;
  options.criterion = Criterion::kCrossEntropy;
  options.dense_optimizer.lr = 0.1F;
  options.dense_optimizer.momentum = 0.9F;
  options.dense_optimizer.weight_decay = 0.01F;
  return options;
}

TEST(ScriptModel, TrainsAsPyTorchDoes) {
  const json f = fixture("script_training.json");
  const auto model = make_script_model(spec_of(kFile), options_of());
  for (size_t s = 0; s < f["batches"].size(); ++s) {
    const HostBatch batch = batch_of(f["batches"][s]);
    EXPECT_NEAR(model->step(batch.view()), f["losses"][s].get<double>(), 1e-5) << "step " << s;
  }
  expect_weights(*model, f["final"], 1e-5F);
  const HostBatch last = batch_of(f["batches"].back());
  std::vector<float> logits(24), embeddings(48), losses(8);
  model->score(last.view(), {losses.data(), logits.data(), nullptr, embeddings.data()});
  for (size_t i = 0; i < logits.size(); ++i) EXPECT_NEAR(logits[i], f["logits"][i].get<float>(), 1e-4F) << i;
  ASSERT_EQ(model->embedding_width(), 6U);
  for (size_t i = 0; i < embeddings.size(); ++i) EXPECT_NEAR(embeddings[i], f["embeddings"][i].get<float>(), 1e-4F) << i;
  std::vector<float> again(24);
  model->forward(last.view(), again.data());
  EXPECT_EQ(again, logits) << "evaluation changes nothing";
}

TEST(ScriptModel, AccumulatedHalvesAreTheWholeWithoutBatchNorm) {
  const json f = fixture("script_training.json");
  const HostBatch batch = batch_of(f["batches"][0]);
  const auto model = make_script_model(spec_of(kFile), options_of());
  model->accumulate(batch.view(), 1.0F);
  const double norm = model->gradient_norm();
  EXPECT_GT(norm, 0.0);
  model->accumulate(batch.view(), 1.0F);  // the same batch statistics: the same gradients once more
  EXPECT_NEAR(model->gradient_norm(), 2.0 * norm, 1e-5);
  model->update(0.0F, 1.0F);
  EXPECT_EQ(model->gradient_norm(), 0.0);
}

TEST(ScriptModel, Bf16FollowsFp32) {
  const json f = fixture("script_training.json");
  const auto train = [&](Precision precision) {
    ModelOptions options = options_of();
    options.precision = precision;
    const auto model = make_script_model(spec_of(kFile), options);
    double loss = 0.0;
    for (int epoch = 0; epoch < 5; ++epoch) {
      for (const json& b : f["batches"]) loss = model->step(batch_of(b).view());
    }
    return loss;
  };
  const double fp32 = train(Precision::kFp32);
  const double bf16 = train(Precision::kBf16);
  EXPECT_NE(fp32, bf16);
  EXPECT_NEAR(fp32, bf16, 0.1);
}

TEST(ScriptModel, WhatDoesNotFitIsNamed) {
  const json f = fixture("script_training.json");
  const HostBatch batch = batch_of(f["batches"][0]);
  const auto error = [&](const ScriptSpec& spec) { return error_of([&] { make_script_model(spec, options_of())->step(batch.view()); }); };
  EXPECT_EQ(error({fixture_path("absent.pt"), 3, 2, 3, 60.0}).first, "E_NOT_FOUND");
  EXPECT_EQ(error({fixture_path("dlrm.json"), 3, 2, 3, 60.0}).first, "E_CORRUPT");
  const auto one_input = error({kFile, 3, 0, 3, 60.0});
  EXPECT_EQ(one_input.first, "E_SHAPE");
  EXPECT_NE(one_input.second.find("takes 2 inputs, but the pipeline's features give 1"), std::string::npos) << one_input.second;
  const auto classes = error({kFile, 3, 2, 4, 60.0});
  EXPECT_EQ(classes.first, "E_SHAPE");
  EXPECT_NE(classes.second.find("[8, 3]"), std::string::npos) << classes.second;
  EXPECT_EQ(error({fixture_path("script/forever.pt"), 3, 0, 3, 0.2}).first, "E_SCRIPT");
  EXPECT_EQ(error({fixture_path("script/bad_from_file.pt"), 3, 0, 3, 60.0}).first, "E_SCRIPT");
}

}  // namespace
}  // namespace sluice
