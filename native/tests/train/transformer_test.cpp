// BERT and DistilBERT classifiers against Hugging Face's, and their checkpoints.
#include <algorithm>

#include "dlrm_fixture.h"
#include "formula_weights.h"
#include "modelstore/safetensors.h"
#include "modelstore/weights.h"

namespace sluice {
namespace {

using namespace testing;

class TransformerTest : public ::testing::TestWithParam<const char*> {
 protected:
  TransformerTest() : f(fixture("transformers.json")), wanted(f[GetParam()]), ids(f["ids"].get<std::vector<int32_t>>()) {
    spec.kind = std::string(GetParam()) == "bert" ? TransformerSpec::kBert : TransformerSpec::kDistilBert;
    spec.vocabulary = f["vocabulary"];
    spec.length = f["length"];
    spec.positions = f["positions"];
    spec.width = f["width"];
    spec.layers = f["layers"];
    spec.heads = f["heads"];
    spec.hidden = f["hidden"];
    spec.dropout = spec.classifier_dropout = 0.0F;
    spec.outputs = 3;
    options.criterion = Criterion::kCrossEntropy;
    options.dense_optimizer.kind = OptimizerKind::kAdamW;
    options.dense_optimizer.lr = 1e-3F;
    options.dense_optimizer.weight_decay = 0.01F;
    batch.rows = f["rows"];
    for (size_t r = 0; r < batch.rows; ++r) labels.push_back(static_cast<float>(r * 7 % 3));
    batch.labels = labels.data();
    batch.ids = ids.data();
  }
  std::string checkpoint() const { return fixture_path("transformers/" + std::string(GetParam()) + ".safetensors"); }
  std::vector<float> logits_of(Model& model) const {
    std::vector<float> logits(batch.rows * 3);
    model.forward(batch, logits.data());
    return logits;
  }

  json f, wanted;
  std::vector<int32_t> ids;
  std::vector<float> labels;
  TransformerSpec spec;
  ModelOptions options;
  Batch batch;
};

TEST_P(TransformerTest, TrainsAsHuggingFacesDoes) {
  const auto model = make_transformer(spec, options);
  const auto parameters = model->parameters();
  ASSERT_EQ(parameters.size(), wanted["names"].size());
  for (size_t i = 0; i < parameters.size(); ++i) {
    std::string text = parameters[i].name + "[";
    for (const int64_t size : parameters[i].shape) text += (text.back() == '[' ? "" : ",") + std::to_string(size);
    EXPECT_EQ(text + "]", wanted["names"][i].get<std::string>());
  }
  for (uint32_t k = 0; k < parameters.size(); ++k) {
    const bool matrix = parameters[k].shape.size() > 1;
    const bool scale = !matrix && parameters[k].name.find(".weight") != std::string::npos;
    const auto values = noise_floats(parameters[k].size(), k, scale ? 0.3 : 0.0, matrix ? std::sqrt(6.0 / static_cast<double>(parameters[k].shape[1])) : 0.1);
    std::copy(values.begin(), values.end(), parameters[k].data);
  }
  const auto before = logits_of(*model);
  for (size_t i = 0; i < before.size(); ++i) EXPECT_NEAR(before[i], wanted["before"][i].get<double>(), 1e-5) << i;
  for (size_t s = 0; s < wanted["losses"].size(); ++s) EXPECT_NEAR(model->step(batch), wanted["losses"][s].get<double>(), 2e-5) << "step " << s;
}

TEST_P(TransformerTest, PaddingBeyondTheLongestRowChangesNothing) {
  const auto model = make_transformer(spec, options);
  const auto before = logits_of(*model);
  spec.length = 16;
  std::vector<int32_t> wide(batch.rows * 16, 0);
  for (size_t r = 0; r < batch.rows; ++r) std::copy_n(ids.data() + r * 12, 12, wide.data() + r * 16);
  batch.ids = wide.data();
  EXPECT_EQ(logits_of(*make_transformer(spec, options)), before);
  std::fill(wide.begin(), wide.end(), 0);
  for (const float logit : logits_of(*make_transformer(spec, options))) EXPECT_TRUE(std::isfinite(logit)) << "rows of padding alone";
}

TEST_P(TransformerTest, DropoutFollowsSeedAndStep) {
  spec.dropout = 0.3F;
  const auto losses = [&](uint64_t from) {
    const auto model = make_transformer(spec, options);
    model->set_updates(from);
    return std::pair(model->accumulate(batch, 1.0F), model->accumulate(batch, 1.0F));
  };
  EXPECT_EQ(losses(3), losses(3));
  EXPECT_NE(losses(3), losses(4));
  EXPECT_NE(losses(3).first, losses(3).second);
  const auto model = make_transformer(spec, options);
  EXPECT_EQ(logits_of(*model), logits_of(*model)) << "none in evaluation";
}

TEST_P(TransformerTest, LoadsHuggingFacesCheckpoints) {
  const auto model = make_transformer(spec, options);
  const auto initial = make_transformer(spec, options);
  const auto kept = load_weights(checkpoint(), model->parameters());
  if (spec.kind == TransformerSpec::kBert) {
    EXPECT_TRUE(kept.empty());
    const auto logits = logits_of(*model);
    for (size_t i = 0; i < logits.size(); ++i) EXPECT_NEAR(logits[i], wanted["half"][i].get<double>(), 1e-5) << i;
  } else {
    EXPECT_EQ(kept, (std::vector<std::string>{"pre_classifier.weight", "pre_classifier.bias", "classifier.weight", "classifier.bias"}));
    const auto parameters = model->parameters();
    const auto values = noise_floats(parameters[0].size(), 0, 0.0, std::sqrt(6.0 / 32));
    for (size_t i = 0; i < values.size(); ++i) EXPECT_NEAR(parameters[0].data[i], values[i], 0.004 * std::abs(values[i])) << i;
    const NamedTensor last = parameters[parameters.size() - 2];
    for (size_t i = 0; i < last.size(); ++i) EXPECT_EQ(last.data[i], initial->parameters()[parameters.size() - 2].data[i]);
  }
}

TEST_P(TransformerTest, CheckpointsThatDoNotFitAreRefusedAndOtherClassesTold) {
  const auto error = [&](const TransformerSpec& other) { return error_of([&] { load_weights(checkpoint(), make_transformer(other, options)->parameters()); }); };
  TransformerSpec deeper = spec;
  deeper.layers = 3;
  EXPECT_EQ(error(deeper).first, "E_SHAPE");
  EXPECT_NE(error(deeper).second.find("layer.2."), std::string::npos) << error(deeper).second;
  TransformerSpec shallower = spec;
  shallower.layers = 1;
  EXPECT_NE(error(shallower).second.find("is not part of the model"), std::string::npos);
  TransformerSpec other = spec;
  other.vocabulary = 51;
  EXPECT_NE(error(other).second.find("[50, 32], the model needs [51, 32]"), std::string::npos) << error(other).second;
  TransformerSpec classes = spec;
  classes.outputs = 5;
  const auto kept = load_weights(checkpoint(), make_transformer(classes, options)->parameters());
  EXPECT_NE(std::find(kept.begin(), kept.end(), "classifier.weight"), kept.end());
}

TEST_P(TransformerTest, WhatMakesNoSenseIsNamed) {
  const auto error = [&](auto change) {
    TransformerSpec changed = spec;
    change(changed);
    return error_of([&] { make_transformer(changed, options); });
  };
  EXPECT_EQ(error([](auto& s) { s.heads = 5; }).first, "E_SHAPE");
  EXPECT_EQ(error([](auto& s) { s.length = 17; }).first, "E_SHAPE");
  const auto model = make_transformer(spec, options);
  ids[15] = 50;
  const uint64_t keys[] = {10, 11, 12, 13, 14, 15};
  batch.keys = keys;
  const auto beyond = error_of([&] { model->step(batch); });
  EXPECT_EQ(beyond.first, "E_SHAPE");
  EXPECT_NE(beyond.second.find("sample 11: token id 50"), std::string::npos) << beyond.second;
  ids[15] = -1;
  EXPECT_EQ(error_of([&] { model->step(batch); }).first, "E_SHAPE");
}

INSTANTIATE_TEST_SUITE_P(Both, TransformerTest, ::testing::Values("distilbert", "bert"), [](const auto& given) { return std::string(given.param); });

}  // namespace
}  // namespace sluice
