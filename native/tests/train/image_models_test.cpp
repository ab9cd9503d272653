// ResNets and the CNN against torchvision and PyTorch.
#include <cstdio>

#include "dlrm_fixture.h"
#include "formula_weights.h"
#include "train/compute.h"

namespace sluice {
namespace {

using namespace testing;

struct Images {
  explicit Images(const json& f)
      : shape{f["image"][0], f["image"][1], f["image"][2]}, rows(f["rows"].get<size_t>()), outputs(f["outputs"].get<uint32_t>()),
        values(noise_floats(rows * shape.height * shape.width * shape.channels, 1000, 0.0, 1.0)), weights(noise_floats(rows, 1001, 1.0, 0.5)) {
    for (size_t r = 0; r < rows; ++r) labels.push_back(static_cast<float>(r * 7 % std::max(2U, outputs)));
  }
  Batch view() const {
    Batch batch;
    batch.rows = rows;
    batch.labels = labels.data();
    batch.weights = weights.data();
    batch.values = values.data();
    return batch;
  }
  ImageShape shape;
  size_t rows;
  uint32_t outputs;
  std::vector<float> values, weights, labels;
};

ModelSpec spec_of(const json& f, const Images& images) {
  const std::string name = f["name"];
  if (name.rfind("cnn", 0) == 0) return CnnSpec{images.shape, images.outputs};
  return ResNetSpec{static_cast<uint32_t>(std::stoul(name.substr(6))), name == "resnet18", images.shape, images.outputs};
}

ModelOptions options_of(const json& f, Precision precision = Precision::kFp32) {
  ModelOptions options;
  options.criterion = f["outputs"].get<uint32_t>() > 1 ? Criterion::kCrossEntropy : Criterion::kBce;
  options.precision = precision;
  options.dense_optimizer.lr = f["lr"];
  options.dense_optimizer.momentum = 0.9F;
  options.dense_optimizer.weight_decay = 1e-4F;
  return options;
}

std::vector<float> logits_of(Model& model, const Batch& batch) {
  std::vector<float> logits(batch.rows * model.outputs());
  model.forward(batch, logits.data());
  return logits;
}

void expect_near(const std::vector<float>& has, const json& wants, double tolerance) {
  ASSERT_EQ(has.size(), wants.size());
  for (size_t i = 0; i < has.size(); ++i) EXPECT_NEAR(has[i], wants[i].get<double>(), tolerance * std::max(1.0, std::abs(wants[i].get<double>()))) << i;
}

class ImageModel : public ::testing::TestWithParam<int> {
 protected:
  /// Gradients of fifty layers on so few samples lose their digits in PyTorch's fp32 too, as its float64, which made the fixture, tells.
  bool deep() const { return f["name"] == "resnet50"; }
  const json f = fixture("image_models.json")["cases"][static_cast<size_t>(GetParam())];
  const Images images{f};
};

TEST_P(ImageModel, TrainsAsPyTorchDoes) {
  const auto model = make_model(spec_of(f, images), options_of(f));
  fill_by_formula(*model);
  expect_near(logits_of(*model, images.view()), f["before"], 1e-5);
  for (size_t s = 0; s < f["losses"].size(); ++s) {
    const double wanted = f["losses"][s];
    EXPECT_NEAR(model->step(images.view()), wanted, (deep() && s > 0 ? 0.02 : 1e-5) * std::max(1.0, wanted)) << "step " << s;
  }
  if (!deep()) expect_near(logits_of(*model, images.view()), f["after"], 1e-3);
}

TEST_P(ImageModel, WhatIsRecordedIsOfTheTrainingPass) {
  const auto model = make_model(spec_of(f, images), options_of(f));
  fill_by_formula(*model);
  std::vector<float> losses(images.rows), logits(images.rows * images.outputs), gradients(logits.size()), embeddings(images.rows * model->embedding_width());
  const double loss = model->accumulate(images.view(), 1.0F, {losses.data(), logits.data(), gradients.data(), embeddings.data()});
  double mean = 0.0;
  for (size_t r = 0; r < images.rows; ++r) mean += static_cast<double>(losses[r]) * images.weights[r] / static_cast<double>(images.rows);
  EXPECT_NEAR(mean, loss, 1e-5);
  const auto parameters = model->parameters();
  const NamedTensor& weight = parameters[parameters.size() - 2];
  const NamedTensor& bias = parameters.back();
  for (size_t r = 0; r < images.rows; ++r) {
    double z = bias.data[0];
    for (size_t i = 0; i < model->embedding_width(); ++i) z += static_cast<double>(weight.data[i]) * embeddings[r * model->embedding_width() + i];
    EXPECT_NEAR(z, logits[r * images.outputs], 1e-4);
  }
}

TEST_P(ImageModel, Bf16FollowsFp32) {
  const auto model = make_model(spec_of(f, images), options_of(f, Precision::kBf16));
  fill_by_formula(*model);
  for (size_t s = 0; s < f["losses"].size(); ++s) {
    const double wanted = f["losses"][s];
    EXPECT_NEAR(model->step(images.view()), wanted, (deep() ? 0.3 : 0.1) * std::max(1.0, wanted)) << "step " << s;
  }
}

INSTANTIATE_TEST_SUITE_P(All, ImageModel, ::testing::Range(0, 4), [](const auto& given) {
  std::string name = fixture("image_models.json")["cases"][static_cast<size_t>(given.param)]["name"];
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

TEST(ResNet, ParametersOfAllDepthsAreTorchvisions) {
  const json states = fixture("image_models.json")["states"];
  for (const auto& [depth, state] : states.items()) {
    ModelOptions options;
    options.train = options.initial = false;
    const auto model = make_resnet({static_cast<uint32_t>(std::stoul(depth)), false, {224, 224, 3}, 1000}, options);
    uint64_t hash = 0xcbf29ce484222325U;
    size_t numbers = 0;
    const auto parameters = model->parameters();
    for (const NamedTensor& tensor : parameters) {
      std::string text = tensor.name + "[";
      for (const int64_t size : tensor.shape) text += (text.back() == '[' ? "" : ",") + std::to_string(size);
      for (const char c : text + "]\n") hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
      numbers += tensor.size();
    }
    char digest[17];
    std::snprintf(digest, sizeof digest, "%016llx", static_cast<unsigned long long>(hash));
    EXPECT_EQ(parameters.size(), state["tensors"].get<size_t>()) << depth;
    EXPECT_EQ(numbers, state["numbers"].get<size_t>()) << depth;
    EXPECT_EQ(digest, state["digest"].get<std::string>()) << depth;
  }
}

TEST(ResNet, FloatingPointOperationsAreTheKnownOnes) {
  ModelOptions options;
  options.train = options.initial = false;
  EXPECT_NEAR(make_resnet({18, false, {224, 224, 3}, 1000}, options)->flops_per_row(), 2 * 1.814e9, 0.01e9);
  EXPECT_NEAR(make_resnet({50, false, {224, 224, 3}, 1000}, options)->flops_per_row(), 2 * 4.089e9, 0.01e9);
}

TEST(ResNet, ResultsDoNotDependOnThreads) {
  const json f = fixture("image_models.json")["cases"][0];
  const Images images(f);
  const auto trained = [&](int threads) {
    set_compute_threads(threads);
    const auto model = make_model(spec_of(f, images), options_of(f));
    for (int s = 0; s < 2; ++s) model->step(images.view());
    return logits_of(*model, images.view());
  };
  const auto two = trained(2);
  EXPECT_EQ(trained(2), two) << "the same seed gives the same weights";
  expect_near(trained(1), json(two), 1e-3);
  set_compute_threads(0);
}

TEST(ImageModels, WhatMakesNoSenseIsNamed) {
  const ModelOptions options;
  EXPECT_EQ(error_of([&] { make_resnet({20, false, {32, 32, 3}, 1}, options); }).first, "E_SHAPE");
  EXPECT_EQ(error_of([&] { make_resnet({18, false, {0, 32, 3}, 1}, options); }).first, "E_SHAPE");
  EXPECT_EQ(error_of([&] { make_resnet({18, false, {32, 32, 3}, 0}, options); }).first, "E_SHAPE");
  const auto small = error_of([&] { make_cnn({{15, 32, 3}, 1}, options); });
  EXPECT_EQ(small.first, "E_SHAPE");
  EXPECT_NE(small.second.find("at least 16 x 16, got 15 x 32"), std::string::npos) << small.second;
}

}  // namespace
}  // namespace sluice
