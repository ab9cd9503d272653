#include "plans.h"

#include <limits>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/error.h"
#include "handles.h"

namespace sluice::bindings {

namespace {

constexpr std::array<std::pair<const char*, Device>, 2> kDevices{{{"cpu", Device::kCpu}, {"cuda", Device::kCuda}}};
constexpr std::array<std::pair<const char*, DenseOp>, 6> kDenseOps{{{"value", DenseOp::kValue},
                                                                    {"log1p", DenseOp::kLog1p},
                                                                    {"sin-day", DenseOp::kSinDay},
                                                                    {"cos-day", DenseOp::kCosDay},
                                                                    {"sin-year", DenseOp::kSinYear},
                                                                    {"cos-year", DenseOp::kCosYear}}};
constexpr std::array<std::pair<const char*, CategoricalOp>, 6> kCategoricalOps{{{"column", CategoricalOp::kColumn},
                                                                                {"cross", CategoricalOp::kCross},
                                                                                {"hour", CategoricalOp::kHour},
                                                                                {"weekday", CategoricalOp::kWeekday},
                                                                                {"month", CategoricalOp::kMonth},
                                                                                {"boundaries", CategoricalOp::kBoundaries}}};
constexpr std::array<std::pair<const char*, OptimizerKind>, 5> kOptimizers{{{"sgd", OptimizerKind::kSgd},
                                                                           {"adagrad", OptimizerKind::kAdagrad},
                                                                           {"rowwise-adagrad", OptimizerKind::kRowwiseAdagrad},
                                                                           {"adam", OptimizerKind::kAdam},
                                                                           {"adamw", OptimizerKind::kAdamW}}};
constexpr std::array<std::pair<const char*, Criterion::Kind>, 5> kCriteria{{{"bce", Criterion::kBce},
                                                                           {"cross-entropy", Criterion::kCrossEntropy},
                                                                           {"mse", Criterion::kMse},
                                                                           {"l1", Criterion::kL1},
                                                                           {"huber", Criterion::kHuber}}};
constexpr std::array<std::pair<const char*, Crop>, 4> kCrops{
    {{"none", Crop::kNone}, {"center", Crop::kCenter}, {"random", Crop::kRandom}, {"random-resized", Crop::kRandomResized}}};
enum class ModelKind : uint8_t { kDlrm, kMlp, kResNet, kCnn, kTransformer, kScript };
constexpr std::array<std::pair<const char*, ModelKind>, 6> kModels{{{"dlrm", ModelKind::kDlrm},
                                                                    {"mlp", ModelKind::kMlp},
                                                                    {"resnet", ModelKind::kResNet},
                                                                    {"cnn", ModelKind::kCnn},
                                                                    {"transformer", ModelKind::kTransformer},
                                                                    {"torchscript", ModelKind::kScript}}};
constexpr std::array<std::pair<const char*, TransformerSpec::Kind>, 2> kTransformers{
    {{"distilbert", TransformerSpec::kDistilBert}, {"bert", TransformerSpec::kBert}}};

constexpr size_t kMaxFeatures = 10'000;
constexpr size_t kMaxBoundaries = 1'000'000;
constexpr size_t kMaxLayers = 100;
constexpr uint32_t kMaxWidth = 65'536;
constexpr uint32_t kMaxSide = 65'536;
constexpr size_t kMaxRank = 8;
constexpr uint32_t kMaxColumn = 10'000;
/// Table indices are int32.
constexpr uint32_t kMaxRows = std::numeric_limits<int32_t>::max();

std::vector<uint32_t> read_widths(const Arg& arg) {
  std::vector<uint32_t> widths;
  for (const Arg& width : arg.elements(kMaxLayers)) widths.push_back(width.integer32(1, kMaxWidth));
  return widths;
}

DlrmSpec read_dlrm(const Arg& arg) {
  DlrmSpec spec;
  spec.dense = arg.field("dense").integer32(0, kMaxFeatures);
  for (const Arg& rows : arg.field("tables").elements(kMaxFeatures)) spec.tables.push_back(rows.integer(1, kMaxRows));
  spec.embedding = arg.field("embedding").integer32(1, kMaxWidth);
  spec.bottom = read_widths(arg.field("bottom"));
  spec.top = read_widths(arg.field("top"));
  return spec;
}

TensorFeature read_tensor(const Arg& arg) {
  TensorFeature tensor;
  tensor.column = arg.field("column").integer32(0, kMaxColumn);
  tensor.crop = arg.field("crop").choice(kCrops);
  tensor.height = arg.field("height").integer32(0, kMaxSide);
  tensor.width = arg.field("width").integer32(0, kMaxSide);
  tensor.pad = arg.field("pad").integer32(0, kMaxSide);
  tensor.flip = arg.field("flip").boolean();
  for (const Arg& value : arg.field("mean").elements(kMaxSide)) tensor.mean.push_back(value.real());
  for (const Arg& value : arg.field("deviation").elements(kMaxSide)) tensor.deviation.push_back(value.real());
  return tensor;
}

Features read_features(const Arg& arg) {
  Features features;
  for (const Arg& dense : arg.field("dense").elements(kMaxFeatures)) {
    features.dense.push_back({dense.field("op").choice(kDenseOps), dense.field("column").integer32(0, kMaxColumn),
                              dense.field("mean").real(), dense.field("scale").real()});
    if (dense.has("low")) features.dense.back().low = dense.field("low").real();
    if (dense.has("high")) features.dense.back().high = dense.field("high").real();
  }
  for (const Arg& categorical : arg.field("categorical").elements(kMaxFeatures)) {
    features.categorical.push_back({categorical.field("op").choice(kCategoricalOps),
                                    categorical.field("column").integer32(0, kMaxColumn),
                                    categorical.field("other").integer32(0, kMaxColumn),
                                    categorical.field("buckets").integer32(1, kMaxRows)});
    if (!categorical.has("boundaries")) continue;
    for (const Arg& boundary : categorical.field("boundaries").elements(kMaxBoundaries)) features.categorical.back().boundaries.push_back(boundary.real());
  }
  const Arg tensor = arg.field("tensor");
  if (!tensor.is_null()) features.tensor = read_tensor(tensor);
  const Arg tokens = arg.field("tokens");
  if (!tokens.is_null()) features.tokens = TokensFeature{tokens.field("column").integer32(0, kMaxColumn)};
  const Arg parse = arg.field("parse");
  if (!parse.is_null()) features.parse = ParseFeature{parse.field("column").integer32(0, kMaxColumn), parse.field("parser").handle<ParserHandle>()->queue(), nullptr};
  return features;
}

ImageShape read_image(const Arg& arg) {
  return {arg.field("height").integer32(1, kMaxSide), arg.field("width").integer32(1, kMaxSide), arg.field("channels").integer32(1, kMaxSide)};
}

ResNetSpec read_resnet(const Arg& arg) {
  ResNetSpec spec;
  spec.depth = arg.field("depth").integer32(18, 152);
  spec.small_stem = arg.field("smallStem").boolean();
  spec.image = read_image(arg.field("image"));
  spec.outputs = arg.field("outputs").integer32(1, kMaxWidth);
  return spec;
}

TransformerSpec read_transformer(const Arg& arg) {
  TransformerSpec spec;
  spec.kind = arg.field("architecture").choice(kTransformers);
  spec.vocabulary = arg.field("vocabulary").integer32(1, kMaxRows);
  spec.length = arg.field("length").integer32(1, kMaxWidth);
  spec.positions = arg.field("positions").integer32(1, kMaxWidth);
  spec.width = arg.field("width").integer32(1, kMaxWidth);
  spec.layers = arg.field("layers").integer32(1, kMaxLayers);
  spec.heads = arg.field("heads").integer32(1, kMaxWidth);
  spec.hidden = arg.field("hidden").integer32(1, kMaxWidth);
  spec.dropout = static_cast<float>(arg.field("dropout").number(0, 0.99));
  spec.classifier_dropout = static_cast<float>(arg.field("classifierDropout").number(0, 0.99));
  spec.outputs = arg.field("outputs").integer32(1, kMaxWidth);
  return spec;
}

ScriptSpec read_script(const Arg& arg) {
  ScriptSpec spec;
  spec.file = arg.field("file").path_text();
  spec.dense = arg.field("dense").integer32(0, kMaxFeatures);
  spec.tables = arg.field("tables").integer32(0, kMaxFeatures);
  for (const Arg& side : arg.field("values").elements(kMaxRank)) spec.values.push_back(side.integer32(1, kMaxRows));
  spec.ids = arg.field("ids").integer32(0, kMaxWidth);
  spec.outputs = arg.field("outputs").integer32(1, kMaxWidth);
  spec.seconds = arg.field("seconds").number(0.001, 1e6);
  return spec;
}

ModelSpec read_model(const Arg& arg) {
  switch (arg.field("kind").choice(kModels)) {
    case ModelKind::kDlrm: return read_dlrm(arg);
    case ModelKind::kMlp: return MlpSpec{arg.field("inputs").integer32(1, kMaxFeatures), read_widths(arg.field("layers"))};
    case ModelKind::kResNet: return read_resnet(arg);
    case ModelKind::kCnn: return CnnSpec{read_image(arg.field("image")), arg.field("outputs").integer32(1, kMaxWidth)};
    case ModelKind::kTransformer: return read_transformer(arg);
    case ModelKind::kScript: return read_script(arg);
  }
  arg.fail("a known model");
}

Criterion read_criterion(const Arg& arg) {
  Criterion criterion(arg.field("kind").choice(kCriteria));
  criterion.label_smoothing = static_cast<float>(arg.field("labelSmoothing").number(0, 1));
  criterion.delta = arg.field("delta").real();
  return criterion;
}

}  // namespace

ModelPlan read_model_plan(const Arg& plan) {
  ModelPlan result;
  result.features = read_features(plan.field("features"));
  result.model = read_model(plan.field("model"));
  result.criterion = read_criterion(plan.field("criterion"));
  result.device = plan.field("device").choice(kDevices);
  result.deterministic = plan.field("deterministic").boolean();
  return result;
}

Optimizer read_optimizer(const Arg& arg) {
  Optimizer optimizer;
  optimizer.kind = arg.field("kind").choice(kOptimizers);
  optimizer.lr = static_cast<float>(arg.field("lr").number(0, 1e6));
  optimizer.eps = static_cast<float>(arg.field("eps").number(0, 1));
  // 1 would divide by zero in the bias correction.
  optimizer.beta1 = static_cast<float>(arg.field("beta1").number(0, 0.999999));
  optimizer.beta2 = static_cast<float>(arg.field("beta2").number(0, 0.999999));
  optimizer.momentum = static_cast<float>(arg.field("momentum").number(0, 1e6));
  optimizer.dampening = arg.field("dampening").real();
  optimizer.nesterov = arg.field("nesterov").boolean();
  optimizer.weight_decay = static_cast<float>(arg.field("weightDecay").number(0, 1e6));
  return optimizer;
}

}  // namespace sluice::bindings
