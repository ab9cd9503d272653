// A multi-layer perceptron over the dense features, with ReLU between its layers.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "base/error.h"
#include "train/criterion.h"
#include "train/kernels.h"
#include "train/models/mlp.h"

namespace sluice {

namespace {

void check(const MlpSpec& spec) {
  const auto fail = [](const std::string& what) { throw Error(code::kShape, "mlp: " + what); };
  if (spec.inputs == 0) fail("expected at least one dense feature");
  if (spec.layers.empty()) fail("layers: expected at least the output layer");
  for (const uint32_t width : spec.layers) {
    if (width == 0 || width > 65536) fail("layer width: expected 1 to 65536, got " + std::to_string(width));
  }
}

std::vector<uint32_t> sizes_of(const MlpSpec& spec) {
  std::vector<uint32_t> sizes{spec.inputs};
  sizes.insert(sizes.end(), spec.layers.begin(), spec.layers.end());
  return sizes;
}

class MlpModel final : public Model {
 public:
  MlpModel(const MlpSpec& spec, const ModelOptions& options)
      : options_(options), inputs_(spec.inputs), rng_(options.seed, 1), layers_("layers", sizes_of(spec), false, options, rng_) {}

  double step(const Batch& batch, float lr_factor) override {
    const double loss = forward_and_loss(batch, 1.0F);
    layers_.step(logits_grad_.data(), outputs(), nullptr, 0, lr_factor);
    return loss;
  }
  double accumulate(const Batch& batch, float share) override {
    const double loss = forward_and_loss(batch, share);
    layers_.accumulate(logits_grad_.data(), outputs(), nullptr, 0);
    return loss;
  }
  double gradient_norm() override { return std::sqrt(layers_.squared_gradient_norm()); }
  void update(float lr_factor, float gradient_scale) override { layers_.update(lr_factor, gradient_scale); }

  void forward(const Batch& batch, float* logits) override {
    run_forward(batch);
    std::copy_n(logits_.data(), batch.rows * outputs(), logits);
  }
  void score(const Batch& batch, const Scores& scores) override {
    run_forward(batch);
    score_logits(options_.criterion, logits_.data(), batch, outputs(), scores);
    if (scores.embeddings != nullptr) layers_.copy_last_input(scores.embeddings);
  }

  uint32_t outputs() const override { return layers_.outputs(); }
  uint32_t embedding_width() const override { return layers_.last_width(); }
  double flops_per_row() const override { return layers_.flops_per_row(); }
  std::vector<NamedTensor> parameters() override { return layers_.parameters(); }
  std::vector<NamedTensor> optimizer_state() override {
    std::vector<NamedTensor> all;
    layers_.append_state(all);
    return all;
  }
  void set_updates(uint64_t updates) override { layers_.set_updates(updates); }
  void parameters_changed() override { layers_.refresh(); }

 private:
  void run_forward(const Batch& batch) {
    if (batch.rows > capacity_) {
      logits_ = Buffer<float>(batch.rows * outputs(), "logits");
      if (options_.train) logits_grad_ = Buffer<float>(batch.rows * outputs(), "logit gradients");
      if (bf16()) rounded_ = Buffer<float>(batch.rows * inputs_, "inputs");
      capacity_ = batch.rows;
    }
    const float* inputs = batch.dense;
    if (bf16()) {
      kernels().round_bf16(rounded_.data(), inputs, batch.rows * inputs_);
      inputs = rounded_.data();
    }
    layers_.forward(inputs, inputs_, batch.rows, logits_.data(), outputs());
  }

  double forward_and_loss(const Batch& batch, float share) {
    run_forward(batch);
    return criterion_loss(options_.criterion, logits_.data(), batch.rows, outputs(), batch.labels, batch.weights, nullptr, logits_grad_.data(), share);
  }

  bool bf16() const { return options_.precision == Precision::kBf16; }

  ModelOptions options_;
  size_t inputs_;
  Rng rng_;
  Mlp layers_;
  size_t capacity_ = 0;
  Buffer<float> logits_, logits_grad_, rounded_;
};

}  // namespace

std::unique_ptr<Model> make_mlp(const MlpSpec& spec, const ModelOptions& options) {
  check(spec);
  return std::make_unique<MlpModel>(spec, options);
}

}  // namespace sluice
