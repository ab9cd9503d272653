// Any PyTorch model as a TorchScript archive: trained by LibTorch's autograd with our losses and optimizers.
#include <ATen/autocast_mode.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "base/error.h"
#include "base/rng.h"
#include "train/criterion.h"
#include "train/kernels.h"
#include "train/optimizer.h"
#include "train/script/script_module.h"

namespace sluice {

namespace {

/// PyTorch's autocast to bf16 on the CPU, for as long as it lives.
class Autocast {
 public:
  explicit Autocast(bool enabled) : enabled_(enabled), before_(at::autocast::is_autocast_enabled(at::kCPU)) {
    if (!enabled_) return;
    at::autocast::set_autocast_enabled(at::kCPU, true);
    at::autocast::set_autocast_dtype(at::kCPU, at::kBFloat16);
    at::autocast::increment_nesting();
  }
  ~Autocast() {
    if (!enabled_) return;
    if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
    at::autocast::set_autocast_enabled(at::kCPU, before_);
  }
  Autocast(const Autocast&) = delete;
  Autocast& operator=(const Autocast&) = delete;

 private:
  bool enabled_;
  bool before_;
};

struct Trained {
  at::Tensor tensor;
  DenseOptimizer optimizer;
  std::string name;
};

class ScriptModel final : public Model {
 public:
  ScriptModel(const ScriptSpec& spec, const ModelOptions& options) : spec_(spec), options_(options), module_(load_script_module(spec.file)) {
    for (const auto& parameter : module_.named_parameters()) take(parameter.name, parameter.value, options.train && parameter.value.requires_grad());
    for (const auto& buffer : module_.named_buffers()) {
      if (buffer.value.is_floating_point()) take(buffer.name, buffer.value, false);
    }
    check_inputs();
  }

  double accumulate(const Batch& batch, float share, const Scores& record) override {
    const c10::AutoGradMode gradients(true);
    at::manual_seed(splitmix64(splitmix64(options_.seed ^ splitmix64(updates_)) + passes_++));  // of dropout
    const at::Tensor logits = run(batch, true).first;
    const at::Tensor values = logits.detach().to(at::kFloat).contiguous();
    score_logits(options_.criterion, values.const_data_ptr<float>(), batch, outputs(), record);
    const auto n = static_cast<size_t>(values.numel());
    if (n > gradient_.size()) gradient_ = Buffer<float>(n, "logit gradients");
    const double loss = criterion_loss(options_.criterion, values.const_data_ptr<float>(), batch.rows, outputs(), batch.labels, batch.weights, nullptr,
                                       gradient_.data(), share);
    const at::Tensor gradient = at::from_blob(gradient_.data(), logits.sizes(), at::kFloat);
    if (logits.requires_grad()) logits.backward(gradient.to(logits.scalar_type()));
    return loss;
  }

  double gradient_norm() override {
    double total = 0.0;
    for (Trained& trained : trained_) {
      if (trained.tensor.grad().defined()) total += kernels().sum_squares(gradient_of(trained).const_data_ptr<float>(), static_cast<size_t>(trained.tensor.numel()));
    }
    return std::sqrt(total);
  }

  void update(float lr_factor, float gradient_scale) override {
    for (Trained& trained : trained_) {
      if (!trained.tensor.grad().defined()) continue;
      const at::Tensor gradient = gradient_of(trained);
      trained.optimizer.step(trained.tensor.mutable_data_ptr<float>(), gradient.const_data_ptr<float>(), lr_factor, gradient_scale);
      trained.tensor.mutable_grad() = at::Tensor();
    }
    ++updates_;
    passes_ = 0;
  }

  void forward(const Batch& batch, float* logits) override {
    const at::Tensor values = evaluated(batch).first;
    std::copy_n(values.const_data_ptr<float>(), values.numel(), logits);
  }

  void score(const Batch& batch, const Scores& scores) override {
    const auto [logits, embeddings] = evaluated(batch);
    score_logits(options_.criterion, logits.const_data_ptr<float>(), batch, outputs(), scores);
    if (scores.embeddings == nullptr || !embeddings.defined()) return;
    const at::Tensor values = embeddings.to(at::kFloat).contiguous();
    std::copy_n(values.const_data_ptr<float>(), values.numel(), scores.embeddings);
  }

  uint32_t outputs() const override { return spec_.outputs; }
  uint32_t embedding_width() const override { return embedding_width_; }
  double flops_per_row() const override { return flops_; }
  std::vector<NamedTensor> parameters() override { return parameters_; }

  std::vector<NamedTensor> optimizer_state() override {
    std::vector<NamedTensor> all;
    for (Trained& trained : trained_) trained.optimizer.append_state(trained.name, all);
    return all;
  }

  void set_updates(uint64_t updates) override {
    updates_ = updates;
    passes_ = 0;
    for (Trained& trained : trained_) trained.optimizer.set_steps(updates);
  }

 private:
  void take(const std::string& name, const at::Tensor& value, bool trained) {
    if (value.scalar_type() != at::kFloat) {
      throw Error(code::kScript, spec_.file + ": " + name + " is of type " + c10::toString(value.scalar_type()) + "; export the model in float32");
    }
    at::Tensor tensor = value;
    if (!tensor.is_contiguous()) tensor.set_data(tensor.contiguous());
    parameters_.push_back({name, tensor.sizes().vec(), tensor.mutable_data_ptr<float>()});
    flops_ += 2.0 * static_cast<double>(tensor.numel());
    if (!trained) return;
    trained_.push_back({tensor, DenseOptimizer(optimizer_of(options_, name, options_.dense_optimizer), static_cast<size_t>(tensor.numel()), "optimizer state"), name});
  }

  /// Throws unless forward takes as many inputs as the pipeline has kinds of features.
  void check_inputs() {
    const auto& schema = module_.get_method("forward").function().getSchema();
    const size_t given = (spec_.dense > 0 ? 1 : 0) + (spec_.tables > 0 ? 1 : 0);
    const auto& arguments = schema.arguments();
    size_t needed = 0;
    for (const auto& argument : arguments) needed += argument.default_value() ? 0 : 1;
    if (given + 1 < needed || given + 1 > arguments.size()) {
      throw Error(code::kShape, spec_.file + ": its forward takes " + std::to_string(needed - 1) + " inputs, but the pipeline's features give " + std::to_string(given) +
                                    (given == 2 ? " (dense, then categorical)" : ""));
    }
  }

  /// dense [rows, features] float32, then categorical [rows, features] int64, those that there are.
  std::vector<c10::IValue> inputs_of(const Batch& batch) const {
    const auto rows = static_cast<int64_t>(batch.rows);
    std::vector<c10::IValue> inputs;
    if (spec_.dense > 0) inputs.emplace_back(at::from_blob(const_cast<float*>(batch.dense), {rows, spec_.dense}, at::kFloat));
    if (spec_.tables > 0) {
      const at::Tensor by_table = at::from_blob(const_cast<int32_t*>(batch.categorical), {spec_.tables, rows}, at::kInt);
      inputs.emplace_back(by_table.t().to(at::kLong).contiguous());
    }
    return inputs;
  }

  /// Logits, and the embeddings if the model gives (logits, embeddings).
  std::pair<at::Tensor, at::Tensor> run(const Batch& batch, bool training) {
    const Autocast autocast(options_.precision == Precision::kBf16);
    module_.train(training);
    const c10::IValue out = run_forward(module_, inputs_of(batch), spec_.seconds);
    at::Tensor logits, embeddings;
    if (out.isTensor()) {
      logits = out.toTensor();
    } else if (out.isTuple() && out.toTupleRef().elements().size() == 2 && out.toTupleRef().elements()[0].isTensor() && out.toTupleRef().elements()[1].isTensor()) {
      logits = out.toTupleRef().elements()[0].toTensor();
      embeddings = out.toTupleRef().elements()[1].toTensor();
    } else {
      throw Error(code::kShape, spec_.file + ": its forward gives a " + out.tagKind() + "; expected logits, or logits and embeddings");
    }
    check_logits(logits, batch.rows);
    if (embeddings.defined()) check_embeddings(embeddings, batch.rows);
    return {logits, embeddings};
  }

  std::pair<at::Tensor, at::Tensor> evaluated(const Batch& batch) {
    const at::NoGradGuard no_gradients;
    auto [logits, embeddings] = run(batch, false);
    return {logits.to(at::kFloat).contiguous(), embeddings};
  }

  void check_logits(const at::Tensor& logits, size_t rows) const {
    const auto n = static_cast<int64_t>(rows);
    const auto width = static_cast<int64_t>(spec_.outputs);
    const bool matrix = logits.dim() == 2 && logits.size(0) == n && logits.size(1) == width;
    const bool vector = width == 1 && logits.dim() == 1 && logits.size(0) == n;
    if (matrix || vector) return;
    std::string shape;
    for (const int64_t size : logits.sizes()) shape += (shape.empty() ? "" : ", ") + std::to_string(size);
    throw Error(code::kShape, spec_.file + ": its forward gives a tensor [" + shape + "] for " + std::to_string(n) + " samples; expected [" + std::to_string(n) +
                                  ", " + std::to_string(width) + "]");
  }

  void check_embeddings(const at::Tensor& embeddings, size_t rows) {
    const bool fits = embeddings.dim() == 2 && embeddings.size(0) == static_cast<int64_t>(rows) && embeddings.size(1) > 0;
    if (!fits || (embedding_width_ != 0 && embedding_width_ != embeddings.size(1))) {
      throw Error(code::kShape, spec_.file + ": the embeddings that its forward gives are no matrix with a row for each sample");
    }
    embedding_width_ = static_cast<uint32_t>(embeddings.size(1));
  }

  static at::Tensor gradient_of(const Trained& trained) { return trained.tensor.grad().to(at::kFloat).contiguous(); }

  ScriptSpec spec_;
  ModelOptions options_;
  torch::jit::Module module_;
  std::vector<NamedTensor> parameters_;
  std::vector<Trained> trained_;
  uint32_t embedding_width_ = 0;
  double flops_ = 0.0;
  uint64_t updates_ = 0;
  uint64_t passes_ = 0;  // since the last of them
  Buffer<float> gradient_;
};

}  // namespace

std::unique_ptr<Model> make_script_model(const ScriptSpec& spec, const ModelOptions& options) {
  if (spec.dense == 0 && spec.tables == 0) throw Error(code::kShape, "torchscript: expected at least one feature");
  return std::make_unique<ScriptModel>(spec, options);
}

}  // namespace sluice
