// A multi-layer perceptron over the dense features, with ReLU between its layers.
#include <string>
#include <vector>

#include "base/error.h"
#include "train/models/mlp_headed.h"

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

class MlpModel final : public MlpHeaded {
 public:
  MlpModel(const MlpSpec& spec, const ModelOptions& options)
      : MlpHeaded(options), inputs_(spec.inputs), rng_(options.seed, 1), layers_("layers", sizes_of(spec), false, options, rng_) {}

  double step(const Batch& batch, float lr_factor, const Scores& record) override {
    if (scales_loss()) return Model::step(batch, lr_factor, record);
    const double loss = forward_and_loss(batch, 1.0F, record);
    layers_.step(logits_grad(), outputs(), nullptr, 0, lr_factor);
    return loss;
  }
  double accumulate(const Batch& batch, float share, const Scores& record) override {
    const double loss = forward_and_loss(batch, share, record);
    layers_.accumulate(logits_grad(), outputs(), nullptr, 0);
    return unless_lost(loss);
  }
  void update(float lr_factor, float gradient_scale) override {
    if (!unscale(gradient_scale)) return layers_.drop();
    layers_.update(lr_factor, gradient_scale);
  }

  double flops_per_row() const override { return layers_.flops_per_row(); }
  std::vector<NamedTensor> parameters() override { return layers_.parameters(); }
  std::vector<NamedTensor> optimizer_state() override {
    std::vector<NamedTensor> all;
    layers_.append_state(all);
    loss_scale().append_state(all);
    return all;
  }
  void set_updates(uint64_t updates) override { layers_.set_updates(taken(updates)); }
  void parameters_changed() override { layers_.refresh(); }

 private:
  const Mlp& head() const override { return layers_; }
  double squared_gradient_norm() override { return layers_.squared_gradient_norm(); }

  void run_forward(const Batch& batch) override { layers_.forward(batch.dense, inputs_, batch.rows, logits(), outputs()); }

  size_t inputs_;
  Rng rng_;
  Mlp layers_;
};

}  // namespace

std::unique_ptr<Model> make_mlp(const MlpSpec& spec, const ModelOptions& options) {
  check(spec);
  return std::make_unique<MlpModel>(spec, options);
}

}  // namespace sluice
