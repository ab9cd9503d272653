#include "train/models/torch_model.h"

#include <ATen/autocast_mode.h>
#include <ATen/ops/from_blob.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "base/error.h"
#include "base/rng.h"
#include "train/criterion.h"
#include "train/kernels.h"

namespace sluice {

namespace {

/// PyTorch's autocast, for as long as it lives.
class Autocast {
 public:
  Autocast(at::DeviceType device, Precision precision)
      : device_(device), enabled_(precision != Precision::kFp32), before_(at::autocast::is_autocast_enabled(device)) {
    if (!enabled_) return;
    at::autocast::set_autocast_enabled(device_, true);
    at::autocast::set_autocast_dtype(device_, precision == Precision::kFp16 ? at::kHalf : at::kBFloat16);
    at::autocast::increment_nesting();
  }
  ~Autocast() {
    if (!enabled_) return;
    if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
    at::autocast::set_autocast_enabled(device_, before_);
  }
  Autocast(const Autocast&) = delete;
  Autocast& operator=(const Autocast&) = delete;

 private:
  at::DeviceType device_;
  bool enabled_;
  bool before_;
};

at::Tensor on_host(const at::Tensor& tensor) { return tensor.detach().to(at::kCPU, at::kFloat).contiguous(); }

}  // namespace

TorchModel::TorchModel(std::string name, const ModelOptions& options, uint32_t outputs, const BatchWidths& widths, PassCode code)
    : name_(std::move(name)), options_(options), gpu_(options.device == Device::kCuda ? make_torch_training(options, outputs, widths, code) : nullptr),
      device_(gpu_ ? gpu_->device() : at::Device(at::kCPU)), outputs_(outputs), loss_scale_(options.train && options.precision == Precision::kFp16) {}

at::Tensor TorchModel::take(const std::string& name, at::Tensor tensor, bool trained) {
  for (const auto& [earlier, data] : taken_) {
    if (!earlier.is_same(tensor)) continue;
    parameters_.push_back({name, tensor.sizes().vec(), data});
    return tensor;
  }
  if (!tensor.is_contiguous()) tensor.set_data(tensor.contiguous());
  parameters_.push_back({name, tensor.sizes().vec(), tensor.mutable_data_ptr<float>()});
  taken_.emplace_back(tensor, parameters_.back().data);
  const bool learns = trained && options_.train;
  if (tensor.is_leaf()) tensor.set_requires_grad(learns);
  const Optimizer& optimizer = optimizer_of(options_, name, options_.dense_optimizer);
  if (learns) trained_.push_back({tensor, DenseOptimizer(optimizer, static_cast<size_t>(tensor.numel()), "optimizer state"), name});
  if (gpu_) gpu_->add(name, tensor, learns ? &optimizer : nullptr);
  return tensor;
}

at::Tensor TorchModel::images(const Batch& batch, const ImageShape& shape) const {
  const auto rows = static_cast<int64_t>(batch.rows);
  return at::from_blob(const_cast<float*>(batch.values), {rows, shape.height, shape.width, shape.channels}, at::TensorOptions(at::kFloat).device(device_)).permute({0, 3, 1, 2});
}

/// Of dropout: it depends on the place in the training.
uint64_t TorchModel::next_seed() { return splitmix64(splitmix64(options_.seed ^ splitmix64(updates_)) + passes_++); }

TorchTraining::Pass TorchModel::pass(const Batch& batch) {
  return {inspect(batch), [this](const Batch& there) { return run_cast(there, true).logits; }};
}

double TorchModel::step(const Batch& batch, float lr_factor, const Scores& record) {
  if (!gpu_) return Model::step(batch, lr_factor, record);
  if (record.embeddings != nullptr) score(batch, {nullptr, nullptr, nullptr, record.embeddings});
  const TorchTraining::Pass passed = pass(batch);
  const double loss = gpu_->step(batch, lr_factor, next_seed(), passed);
  tell_last(batch, record);
  ++updates_;
  passes_ = 0;
  return loss;
}

/// What a pass on the GPU left behind: the logits. Waits for it where something is asked for.
void TorchModel::tell_last(const Batch& batch, const Scores& record) {
  if (record.losses == nullptr && record.logits == nullptr && record.logit_gradients == nullptr) return;
  tell({gpu_->last_logits(), {}}, batch, record);
}

std::vector<double> TorchModel::late_losses() { return gpu_ ? gpu_->late_losses() : std::vector<double>{}; }

double TorchModel::accumulate(const Batch& batch, float share, const Scores& record) {
  if (gpu_) {
    if (record.embeddings != nullptr) score(batch, {nullptr, nullptr, nullptr, record.embeddings});
    const TorchTraining::Pass passed = pass(batch);
    const double loss = gpu_->accumulate(batch, share, next_seed(), passed);
    tell_last(batch, record);
    return loss;
  }
  inspect(batch);
  const c10::AutoGradMode gradients(true);
  at::manual_seed(next_seed());
  norm_.reset();
  const Output output = run_cast(batch, true);
  const at::Tensor values = on_host(output.logits);
  tell({values, output.embeddings}, batch, record);
  const auto n = static_cast<size_t>(values.numel());
  if (n > gradient_.size()) gradient_ = Buffer<float>(n, "logit gradients");
  const float scale = loss_scale_.scale();
  const double loss = criterion_loss(options_.criterion, values.const_data_ptr<float>(), batch.rows, outputs_, batch.labels, batch.weights, nullptr,
                                     gradient_.data(), share * scale);
  const at::Tensor gradient = at::from_blob(gradient_.data(), output.logits.sizes(), at::kFloat);
  if (output.logits.requires_grad()) output.logits.backward(gradient.to(output.logits.options()));
  // A smaller scale no longer helps: the gradients themselves are not finite.
  if (loss_scale_.active() && scale <= 1.0F && !std::isfinite(scaled_norm())) return std::numeric_limits<double>::quiet_NaN();
  return loss;
}

double TorchModel::scaled_norm() {
  if (norm_) return *norm_;
  double total = 0.0;
  for (const Trained& trained : trained_) {
    if (!trained.tensor.grad().defined()) continue;
    total += kernels().sum_squares(on_host(trained.tensor.grad()).const_data_ptr<float>(), static_cast<size_t>(trained.tensor.numel()));
  }
  norm_ = std::sqrt(total);
  return *norm_;
}

double TorchModel::gradient_norm() {
  if (gpu_) return gpu_->gradient_norm();
  return scaled_norm() / loss_scale_.scale();
}

void TorchModel::update(float lr_factor, float gradient_scale) {
  if (gpu_) {
    gpu_->update(lr_factor, gradient_scale);
    ++updates_;
    passes_ = 0;
    return;
  }
  const float unscale = gradient_scale / loss_scale_.scale();
  const bool sound = loss_scale_.update(!loss_scale_.active() || std::isfinite(scaled_norm()));
  for (Trained& trained : trained_) {
    if (!trained.tensor.grad().defined()) continue;
    if (sound) trained.optimizer.step(trained.tensor.mutable_data_ptr<float>(), on_host(trained.tensor.grad()).const_data_ptr<float>(), lr_factor, unscale);
    trained.tensor.mutable_grad() = at::Tensor();
  }
  norm_.reset();
  ++updates_;
  passes_ = 0;
}

void TorchModel::forward(const Batch& batch, float* logits) {
  const at::Tensor values = evaluated(batch).logits;
  std::copy_n(values.const_data_ptr<float>(), values.numel(), logits);
}

void TorchModel::score(const Batch& batch, const Scores& scores) { tell(evaluated(batch), batch, scores); }

void TorchModel::tell(const Output& output, const Batch& batch, const Scores& scores) {
  score_logits(options_.criterion, output.logits.const_data_ptr<float>(), batch, outputs_, scores);
  if (scores.embeddings == nullptr || !output.embeddings.defined()) return;
  const at::Tensor values = on_host(output.embeddings);
  std::copy_n(values.const_data_ptr<float>(), values.numel(), scores.embeddings);
}

std::vector<NamedTensor> TorchModel::parameters() {
  if (gpu_) gpu_->move_parameters(TorchTraining::Direction::kToHost);
  return parameters_;
}

std::vector<NamedTensor> TorchModel::host_state() {
  std::vector<NamedTensor> all;
  for (Trained& trained : trained_) trained.optimizer.append_state(trained.name, all);
  loss_scale_.append_state(all);
  return all;
}

std::vector<NamedTensor> TorchModel::optimizer_state() {
  std::vector<NamedTensor> all = host_state();
  if (gpu_) gpu_->move_state(all, TorchTraining::Direction::kToHost);
  return all;
}

void TorchModel::parameters_changed() {
  if (!gpu_) return;
  gpu_->move_parameters(TorchTraining::Direction::kToDevice);
  gpu_->move_state(host_state(), TorchTraining::Direction::kToDevice);
}

void TorchModel::set_updates(uint64_t updates) {
  updates_ = updates;
  passes_ = 0;
  const uint64_t taken = updates - std::min(updates, loss_scale_.left_out());
  for (Trained& trained : trained_) trained.optimizer.set_steps(taken);
  if (gpu_) gpu_->set_updates(taken);
}

TorchModel::Output TorchModel::run_cast(const Batch& batch, bool training) {
  const Autocast autocast(device_.type(), options_.precision);
  Output output = run(batch, training);
  check_logits(output.logits, batch.rows);
  if (output.embeddings.defined()) check_embeddings(output.embeddings, batch.rows);
  return output;
}

TorchModel::Output TorchModel::evaluated(const Batch& batch) {
  inspect(batch);
  const at::NoGradGuard no_gradients;
  Output output;
  const auto work = [&](const Batch& there) {
    output = run_cast(there, false);
    output.logits = on_host(output.logits);
    if (gpu_ && output.embeddings.defined()) output.embeddings = on_host(output.embeddings);
  };
  if (gpu_) {
    gpu_->evaluate(batch, work);
  } else {
    work(batch);
  }
  return output;
}

void TorchModel::check_logits(const at::Tensor& logits, size_t rows) const {
  const auto n = static_cast<int64_t>(rows);
  const auto width = static_cast<int64_t>(outputs_);
  const bool matrix = logits.dim() == 2 && logits.size(0) == n && logits.size(1) == width;
  const bool vector = width == 1 && logits.dim() == 1 && logits.size(0) == n;
  if (matrix || vector) return;
  std::string shape;
  for (const int64_t size : logits.sizes()) shape += (shape.empty() ? "" : ", ") + std::to_string(size);
  throw Error(code::kShape, name_ + ": its forward gives a tensor [" + shape + "] for " + std::to_string(n) + " samples; expected [" + std::to_string(n) + ", " +
                                std::to_string(width) + "]");
}

void TorchModel::check_embeddings(const at::Tensor& embeddings, size_t rows) {
  const bool fits = embeddings.dim() == 2 && embeddings.size(0) == static_cast<int64_t>(rows) && embeddings.size(1) > 0;
  if (!fits || (embedding_width_ != 0 && embedding_width_ != embeddings.size(1))) {
    throw Error(code::kShape, name_ + ": the embeddings that its forward gives are no matrix with a row for each sample");
  }
  embedding_width_ = static_cast<uint32_t>(embeddings.size(1));
}

}  // namespace sluice
