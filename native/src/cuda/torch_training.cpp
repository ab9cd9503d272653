#include "cuda/torch_training.h"

#include <ATen/Context.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <optional>

#include "base/error.h"
#include "cuda/captured.h"
#include "cuda/kernels.h"
#include "cuda/runtime.h"
#include "cuda/stack.h"

namespace sluice {

namespace {

using namespace gpu;

/// While it lives, where wanted, LibTorch takes only kernels that give the same numbers in every run; operators that have none fail.
class Deterministic {
 public:
  explicit Deterministic(bool wanted)
      : on_(at::globalContext().deterministicAlgorithms()), warns_(at::globalContext().deterministicAlgorithmsWarnOnly()), fills_(at::globalContext().deterministicFillUninitializedMemory()) {
    if (!wanted) return;
    at::globalContext().setDeterministicAlgorithms(true, false);
    at::globalContext().setDeterministicFillUninitializedMemory(false);
  }
  ~Deterministic() {
    at::globalContext().setDeterministicAlgorithms(on_, warns_);
    at::globalContext().setDeterministicFillUninitializedMemory(fills_);
  }
  Deterministic(const Deterministic&) = delete;
  Deterministic& operator=(const Deterministic&) = delete;

 private:
  bool on_, warns_, fills_;
};

/// The work, with what LibTorch says of operators that a GPU cannot run as asked put into words that help.
template <typename Work>
void explained(const Work& work) {
  try {
    work();
  } catch (const std::exception& error) {
    const std::string text = error.what();
    const size_t end = text.find(" does not have a deterministic implementation");
    if (end != std::string::npos) {
      const size_t before = text.find_last_of(" \n", end - 1);
      const std::string name = text.substr(before == std::string::npos ? 0 : before + 1, end - (before == std::string::npos ? 0 : before + 1));
      throw Error(code::kDevice, "the model uses " + name + ", which gives other numbers in every run on a GPU; allow it with deterministic: false, or leave out device: cuda");
    }
    if (text.find("device-side assert") != std::string::npos) {
      throw Error(code::kDevice, "a kernel of the model's stopped the GPU, most likely at an index beyond its table; without device: cuda the error names it");
    }
    throw;
  }
}

class OnDevice final : public TorchTraining {
 public:
  OnDevice(const ModelOptions& options, uint32_t outputs, const BatchWidths& widths, PassCode code)
      : options_(options), outputs_(outputs), widths_(widths), code_(code), device_(device_type()) {
    at::globalContext().setBenchmarkCuDNN(!options.deterministic);
    at::globalContext().setDeterministicCuDNN(options.deterministic);
    at::globalContext().setAllowTF32CuDNN(false);  // fp32 means fp32
    const Stream::Use use(stream_);
    state_ = Array<StepState>(1, "step state");
    const StepState state{1.0F, 1.0F, scaled() ? 65536.0F : 1.0F, 0.0F, 0.0F, 0, 0};
    copy_rows(state_.data(), 0, &state, 0, sizeof state, 1, Copy::kToDevice);
    loss_ = Array<double>(1, "loss");
  }

  at::Device device() const override { return device_; }
  BatchMemory* batch_memory() override { return &pinned_memory(); }

  void add(const std::string& name, at::Tensor& tensor, const Optimizer* optimizer) override {
    const Stream::Use use(stream_);
    const at::NoGradGuard no_gradients;
    const at::Tensor host = tensor.detach();
    const bool image = tensor.dim() == 4 && code_ == PassCode::kOurs;  // a convolution: channels last, as its input
    if (optimizer == nullptr) {
      tensor.set_data(host.to(device_));
    } else {
      const size_t size = static_cast<size_t>(tensor.numel());
      const size_t at = size_;
      size_ += blocks_of(size, kBlock) * kBlock;
      optimizers_used_.push_back(*optimizer);
      block_numbers_.resize(size_ / kBlock, static_cast<uint32_t>(optimizers_used_.size() - 1));
      reached_.push_back(false);
      if (code_ == PassCode::kUsers) tensor.register_hook([&reached = reached_.back()](const at::Tensor&) { reached = true; });
      trained_.push_back({name, at, tensor, strides_of(tensor, image)});
      tensor.set_data(host.to(device_));  // until prepare() gives it its place in the array of all
    }
    all_.push_back({host, tensor});
  }

  double step(const Batch& batch, float lr_factor, uint64_t seed, const Pass& pass) override {
    const Stream::Use use(stream_);
    prepare();
    const Batch on_device = bring(batch, true);
    at::manual_seed(seed);
    launch(SetStep{state_.data(), lr_factor, 1.0F}, 1);
    const auto work = [this, on_device, pass] {
      clear_gradients();
      backward(on_device, 1.0F, pass);
      finish_update();
    };
    if (options_.cuda_graphs && code_ == PassCode::kOurs && !kept_) {
      steps_.run({batch.rows, batch.weights != nullptr, pass.form}, work);
    } else {
      work();
    }
    return late_.exchange(loss_.data());
  }

  double accumulate(const Batch& batch, float share, uint64_t seed, const Pass& pass) override {
    const Stream::Use use(stream_);
    prepare();
    const Batch on_device = bring(batch, true);
    at::manual_seed(seed);
    if (!kept_) clear_gradients();
    kept_ = true;
    backward(on_device, share, pass);
    return late_.exchange(loss_.data());
  }

  double gradient_norm() override {
    const Stream::Use use(stream_);
    if (!kept_) return 0.0;
    launch(DenseSquares<float>{parameters(), squares_.data(), scaled()}, blocks());
    const double total = sum_of(squares_.data(), blocks());
    StepState state{};
    copy_rows(&state, 0, state_.data(), 0, sizeof state, 1, Copy::kToHost);
    return std::sqrt(total) / static_cast<double>(state.loss_scale);
  }

  void update(float lr_factor, float gradient_scale) override {
    if (!kept_) return;
    const Stream::Use use(stream_);
    launch(SetStep{state_.data(), lr_factor, gradient_scale}, 1);
    finish_update();
    kept_ = false;
  }

  uint32_t loss_delay() const override { return LateNumbers::kDelay; }
  std::vector<double> late_losses() override {
    const Stream::Use use(stream_);
    return late_.rest();
  }

  at::Tensor last_logits() override {
    const Stream::Use use(stream_);
    std::vector<int64_t> shape{static_cast<int64_t>(rows_), outputs_};
    at::Tensor host = at::empty(shape, at::kFloat);
    copy_rows(host.mutable_data_ptr(), 0, logits_.data(), 0, rows_ * outputs_ * sizeof(float), 1, Copy::kToHost);
    return host;
  }

  void evaluate(const Batch& batch, const std::function<void(const Batch&)>& work) override {
    const Stream::Use use(stream_);
    prepare();
    const Deterministic deterministic(options_.deterministic);
    explained([&] { work(bring(batch, false)); });
  }

  void move_parameters(Direction direction) override {
    const Stream::Use use(stream_);
    prepare();
    const at::NoGradGuard no_gradients;
    for (Mirrored& m : all_) move(m.host, m.tensor, direction);
  }

  void move_state(const std::vector<NamedTensor>& host, Direction direction) override {
    const Stream::Use use(stream_);
    prepare();
    const at::NoGradGuard no_gradients;
    for (const NamedTensor& tensor : host) {
      if (tensor.name == "loss_scale") {
        at::Tensor pair = at::from_blob(tensor.data, {3}, at::kFloat);
        at::Tensor there = at::from_blob(&state_.data()->loss_scale, {3}, at::TensorOptions(at::kFloat).device(device_));
        move(pair, there, direction);
        continue;
      }
      const size_t dot = tensor.name.rfind('.');
      const auto found = std::find_if(trained_.begin(), trained_.end(), [&](const Trained& t) { return t.name == tensor.name.substr(0, dot); });
      if (found == trained_.end()) continue;
      at::Tensor mirror = at::from_blob(tensor.data, found->tensor.sizes(), at::kFloat);
      at::Tensor there = place(*found, tensor.name.substr(dot) == ".first" ? first_.data() : second_.data());
      move(mirror, there, direction);
    }
  }

  void set_updates(uint64_t updates) override {
    const Stream::Use use(stream_);
    copy_rows(&state_.data()->updates, 0, &updates, 0, sizeof updates, 1, Copy::kToDevice);
  }

 private:
  struct Trained {
    std::string name;
    size_t at;
    at::Tensor tensor;
    std::vector<int64_t> strides;
  };
  struct Mirrored {
    at::Tensor host;
    at::Tensor tensor;
  };

  bool scaled() const { return options_.train && options_.precision == Precision::kFp16; }
  uint64_t blocks() const { return size_ / kBlock; }

  static void move(at::Tensor& host, at::Tensor& device, Direction direction) {
    if (direction == Direction::kToHost) {
      host.copy_(device);
    } else {
      device.copy_(host);
    }
  }

  /// Of a dense tensor of that shape, with channels last or contiguous.
  static std::vector<int64_t> strides_of(const at::Tensor& tensor, bool channels_last) {
    if (!channels_last) return tensor.strides().vec();
    const int64_t c = tensor.size(1);
    const int64_t h = tensor.size(2);
    const int64_t w = tensor.size(3);
    return {c * h * w, 1, w * c, c};
  }

  at::Tensor place(const Trained& t, float* array) const {
    return at::from_blob(array + t.at, t.tensor.sizes(), t.strides, at::TensorOptions(at::kFloat).device(device_));
  }

  /// Gives the parameters, and their gradients, their places in one array each.
  void prepare() {
    if (prepared_) return;
    prepared_ = true;
    if (size_ == 0) return;
    if (code_ == PassCode::kUsers) {
      own_numbers_ = block_numbers_;
      optimizers_used_.push_back(Optimizer{OptimizerKind::kSgd, 0.0F});  // of parameters that a step does not reach: leaves them and their state
    }
    const at::NoGradGuard no_gradients;
    require_memory(size_ * sizeof(float) * 4, "the model's parameters, gradients and optimizer state");
    const auto any = [&](auto wanted) { return std::any_of(optimizers_used_.begin(), optimizers_used_.end(), wanted); };
    const auto adam = [](const Optimizer& o) { return o.kind == OptimizerKind::kAdam || o.kind == OptimizerKind::kAdamW; };
    weights_ = Array<float>(size_, "parameters");
    gradients_ = Array<float>(size_, "gradients");
    if (any([](const Optimizer& o) { return o.kind != OptimizerKind::kSgd || o.momentum != 0.0F; })) first_ = Array<float>(size_, "optimizer state");
    if (any(adam)) second_ = Array<float>(size_, "optimizer state");
    squares_ = Array<double>(blocks(), "squares of gradients");
    optimizers_ = Array<Optimizer>(optimizers_used_.size(), "optimizers");
    terms_ = Array<AdamTerms>(optimizers_used_.size(), "optimizers");
    numbers_ = Array<uint32_t>(block_numbers_.size(), "optimizers");
    copy_rows(optimizers_.data(), 0, optimizers_used_.data(), 0, optimizers_used_.size() * sizeof(Optimizer), 1, Copy::kToDevice);
    bring_numbers();
    for (Trained& t : trained_) {
      const at::Tensor weight = place(t, weights_.data());
      weight.copy_(t.tensor);
      t.tensor.set_data(weight);
      t.tensor.mutable_grad() = place(t, gradients_.data());
    }
  }

  void bring_numbers() { copy_rows(numbers_.data(), 0, block_numbers_.data(), 0, block_numbers_.size() * sizeof(uint32_t), 1, Copy::kToDevice); }

  void clear_gradients() {
    clear(gradients_.data(), gradients_.size() * sizeof(float));
    std::fill(reached_.begin(), reached_.end(), false);
  }

  /// Gives parameters without gradient the optimizer that leaves them.
  void choose_reached() {
    std::vector<uint32_t> numbers = own_numbers_;
    for (size_t i = 0; i < trained_.size(); ++i) {
      const size_t end = i + 1 < trained_.size() ? trained_[i + 1].at : size_;
      if (!reached_[i]) std::fill(numbers.begin() + static_cast<std::ptrdiff_t>(trained_[i].at / kBlock), numbers.begin() + static_cast<std::ptrdiff_t>(end / kBlock), static_cast<uint32_t>(optimizers_used_.size() - 1));
    }
    if (numbers == block_numbers_) return;
    block_numbers_ = std::move(numbers);
    bring_numbers();
  }

  /// The batch in device memory whose place is always the same.
  Batch bring(const Batch& batch, bool labels) {
    reserve(batch.rows);
    std::vector<Inputs::Part> parts;
    const auto part = [&](auto& to, const auto* from, size_t width) {
      if (width > 0) parts.push_back({to.data(), from, batch.rows * width * sizeof(*from)});
      return to.data();
    };
    Batch there;
    there.rows = batch.rows;
    there.dense = part(dense_, batch.dense, widths_.dense);
    there.categorical = part(categorical_, batch.categorical, widths_.tables);
    there.values = part(values_, batch.values, widths_.values);
    there.ids = part(ids_, batch.ids, widths_.ids);
    if (labels) there.labels = part(labels_, batch.labels, 1);
    if (labels && batch.weights != nullptr) there.weights = part(row_weights_, batch.weights, 1);
    inputs_.bring(parts);
    return there;
  }

  void reserve(size_t rows) {
    if (rows <= capacity_) return;
    steps_.forget();
    dense_ = Array<float>(rows * widths_.dense, "dense features");
    categorical_ = Array<int32_t>(rows * widths_.tables, "categorical features");
    values_ = Array<float>(rows * widths_.values, "tensor features");
    ids_ = Array<int32_t>(rows * widths_.ids, "token ids");
    labels_ = Array<float>(rows, "labels");
    row_weights_ = Array<float>(rows, "weights");
    logits_ = Array<float>(rows * outputs_, "logits");
    logits_grad_ = Array<float>(rows * outputs_, "logit gradients");
    loss_sums_ = Array<double>(blocks_of(rows, kLossRows), "losses");
    capacity_ = rows;
  }

  void backward(const Batch& batch, float share, const Pass& pass) {
    const Deterministic deterministic(options_.deterministic);
    const c10::AutoGradMode gradients(true);
    at::Tensor logits;
    explained([&] { logits = pass.logits(batch); });
    const at::TensorOptions options = at::TensorOptions(at::kFloat).device(device_);
    const auto rows = static_cast<uint32_t>(batch.rows);
    rows_ = batch.rows;
    {
      const at::NoGradGuard no_gradients;
      at::from_blob(logits_.data(), logits.sizes(), options).copy_(logits);
    }
    const CriterionLoss<float> loss{options_.criterion, logits_.data(), logits_grad_.data(), batch.labels, batch.weights, state_.data(), loss_sums_.data(), rows, outputs_, outputs_,
                                    share};
    launch(loss, loss.items());
    launch(SumDoubles{loss_sums_.data(), loss.items(), loss_.data(), 1.0 / rows}, 1);
    if (logits.requires_grad()) explained([&] { logits.backward(at::from_blob(logits_grad_.data(), logits.sizes(), options).to(logits.scalar_type())); });
  }

  DenseParameters<float> parameters() {
    return {weights_.data(), gradients_.data(), first_.data(), second_.data(), nullptr, numbers_.data(), optimizers_.data(), terms_.data(), state_.data()};
  }

  void finish_update() {
    if (code_ == PassCode::kUsers) choose_reached();
    launch(PrepareAdam{state_.data(), optimizers_.data(), terms_.data()}, optimizers_used_.size());
    if (scaled()) launch(DenseSquares<float>{parameters(), nullptr, true}, blocks());
    launch(DenseUpdate<float>{parameters()}, blocks());
    launch(FinishStep{state_.data(), scaled(), loss_.data()}, 1);
  }

  ModelOptions options_;
  uint32_t outputs_;
  BatchWidths widths_;
  PassCode code_;
  Stream stream_;
  at::Device device_;
  std::vector<Mirrored> all_;
  std::vector<Trained> trained_;
  std::vector<Optimizer> optimizers_used_;
  std::vector<uint32_t> block_numbers_;  // of the optimizer of each block, as on the device
  std::vector<uint32_t> own_numbers_;    // of each block's own, where code_ is a user's
  std::deque<bool> reached_;             // of each trained parameter: by the kept gradients
  size_t size_ = 0;
  bool prepared_ = false;
  bool kept_ = false;
  Array<float> weights_, gradients_, first_, second_;
  Array<uint32_t> numbers_;
  Array<Optimizer> optimizers_;
  Array<AdamTerms> terms_;
  Array<StepState> state_;
  Array<double> loss_, loss_sums_, squares_;
  size_t capacity_ = 0;
  size_t rows_ = 0;  // of the last pass
  Array<float> dense_, values_, labels_, row_weights_, logits_, logits_grad_;
  Array<int32_t> categorical_, ids_;
  Inputs inputs_;
  LateNumbers late_;
  CapturedSteps steps_;
};

}  // namespace

std::unique_ptr<TorchTraining> make_torch_training(const ModelOptions& options, uint32_t outputs, const BatchWidths& widths, PassCode code) {
  return std::make_unique<OnDevice>(options, outputs, widths, code);
}

}  // namespace sluice
