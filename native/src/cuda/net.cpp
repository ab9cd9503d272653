#include "cuda/net.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "cuda/captured.h"
#include "cuda/kernels.h"
#include "cuda/runtime.h"
#include "cuda/stack.h"
#include "cuda/tables.h"
#include "train/criterion.h"

namespace sluice::gpu {

namespace {

/// A DLRM, or an MLP: then there are no tables and no bottom layers, and the top layers read the dense features.
struct NetSpec {
  uint32_t dense = 0;
  std::vector<uint64_t> tables;
  uint32_t width = 0;
  std::vector<uint32_t> bottom;  // sizes from the input on; empty: none
  std::vector<uint32_t> top;
  std::string top_prefix;
  bool interacts = false;
};

std::vector<uint32_t> with_input(uint32_t input, const std::vector<uint32_t>& layers) {
  std::vector<uint32_t> sizes{input};
  sizes.insert(sizes.end(), layers.begin(), layers.end());
  return sizes;
}

std::vector<Optimizer> table_optimizers(const NetSpec& spec, const ModelOptions& options) {
  std::vector<Optimizer> all;
  for (size_t t = 0; t < spec.tables.size(); ++t) all.push_back(optimizer_of(options, "embeddings." + std::to_string(t) + ".weight", options.embedding_optimizer));
  return all;
}

template <typename T>
class Net final : public Model {
 public:
  Net(NetSpec spec, const ModelOptions& options, std::unique_ptr<Model> twin)
      : spec_(std::move(spec)), options_(options), twin_(std::move(twin)), building_(std::in_place, stream_),
        bottom_(layout_.add("bottom", spec_.bottom, true)), top_(layout_.add(spec_.top_prefix, spec_.top, false)),
        used_(optimizers_used()), tables_(spec_.tables, spec_.width, table_optimizers(spec_, options), static_cast<uint32_t>(layout_.places().size()), options.train) {
    if (spec_.interacts) {
      const auto count = static_cast<uint32_t>(spec_.tables.size());
      shape_ = {count, spec_.bottom.empty() ? 0U : 1U, spec_.width, round_up(spec_.width, 4), round_up(spec_.width, 8), round_up(spec_.top.front(), 8)};
      InteractionBackward<T> largest{};
      largest.shape = shape_;
      const size_t bytes = sizeof(float) * largest.scratch();
      if (bytes > largest_scratch()) {
        throw Error(code::kShape, "dlrm: the interaction of " + std::to_string(shape_.vectors()) + " vectors of width " + std::to_string(spec_.width) + " needs " +
                                      std::to_string(bytes) + " bytes of shared memory on the GPU, which has " + std::to_string(largest_scratch()) +
                                      ": fewer tables or a smaller embedding, or device: cpu");
      }
    }
    allocate();
    parameters_changed();
    building_.reset();
  }

  double step(const Batch& batch, float lr_factor, const Scores& record) override {
    const typename Stream::Use use(stream_);
    bring(batch, true);
    launch(SetStep{state_.data(), lr_factor, 1.0F}, 1);
    const auto rows = static_cast<uint32_t>(batch.rows);
    const bool weighted = batch.weights != nullptr;
    const auto work = [this, rows, weighted] {
      pass(rows, weighted, 1.0F, at_once());
      finish_update(at_once());
    };
    if (options_.cuda_graphs && !kept_) {
      steps_.run({batch.rows, weighted}, work);
    } else {
      work();
    }
    tell(batch, record);
    return late_.exchange(loss_.data());
  }

  double accumulate(const Batch& batch, float share, const Scores& record) override {
    const typename Stream::Use use(stream_);
    bring(batch, true);
    if (kept_) std::swap(gradients_, earlier_gradients_);
    pass(static_cast<uint32_t>(batch.rows), batch.weights != nullptr, share, false);
    if (kept_) launch(AddTo{gradients_.data(), earlier_gradients_.data()}, blocks());
    kept_ = true;
    tell(batch, record);
    return late_.exchange(loss_.data());
  }

  double gradient_norm() override {
    const typename Stream::Use use(stream_);
    double total = 0.0;
    if (kept_) {
      launch(DenseSquares<T>{dense_parameters(), squares_.data(), scaled()}, blocks());
      total += sum_of(squares_.data(), blocks());
      if (tables_.count() > 0) {
        uint32_t n = 0;
        tables_.squares(optimizers_, state_.data(), row_squares_, n);
        total += sum_of(row_squares_.data(), n);
      }
    }
    StepState state{};
    copy_rows(&state, 0, state_.data(), 0, sizeof state, 1, Copy::kToHost);
    return std::sqrt(total) / static_cast<double>(state.loss_scale);
  }

  void update(float lr_factor, float gradient_scale) override {
    if (!kept_) return;
    const typename Stream::Use use(stream_);
    launch(SetStep{state_.data(), lr_factor, gradient_scale}, 1);
    finish_update(false);
    kept_ = false;
  }

  uint32_t loss_delay() const override { return LateNumbers::kDelay; }
  std::vector<double> late_losses() override {
    const typename Stream::Use use(stream_);
    return late_.rest();
  }

  void forward(const Batch& batch, float* logits) override { score(batch, {nullptr, logits, nullptr, nullptr}); }

  void score(const Batch& batch, const Scores& scores) override {
    const typename Stream::Use use(stream_);
    bring(batch, false);
    run_forward(static_cast<uint32_t>(batch.rows), nullptr);
    tell(batch, scores);
  }

  BatchMemory* batch_memory() override { return &pinned_memory(); }

  uint32_t outputs() const override { return twin_->outputs(); }
  uint32_t embedding_width() const override { return twin_->embedding_width(); }
  double flops_per_row() const override { return twin_->flops_per_row(); }

  std::vector<NamedTensor> parameters() override {
    const typename Stream::Use use(stream_);
    std::vector<NamedTensor> all = twin_->parameters();
    move_parameters(all, Copy::kToHost);
    return all;
  }

  std::vector<NamedTensor> optimizer_state() override {
    const typename Stream::Use use(stream_);
    std::vector<NamedTensor> all = twin_->optimizer_state();
    move_state(all, Copy::kToHost);
    return all;
  }

  void set_updates(uint64_t updates) override {
    const typename Stream::Use use(stream_);
    twin_->set_updates(updates);
    uint64_t taken = updates;  // by the optimizers
    for (const NamedTensor& tensor : twin_->optimizer_state()) {
      if (tensor.name == "loss_scale") taken -= std::min(updates, static_cast<uint64_t>(tensor.data[2]));
    }
    copy_rows(&state_.data()->updates, 0, &taken, 0, sizeof taken, 1, Copy::kToDevice);
  }

  void parameters_changed() override {
    const typename Stream::Use use(stream_);
    std::vector<NamedTensor> all = twin_->parameters();
    move_parameters(all, Copy::kToDevice);
    if (rounded_.size() > 0) launch(RoundWeights<T>{weights_.data(), rounded_.data()}, blocks());
    if (!options_.train) return;
    all = twin_->optimizer_state();
    move_state(all, Copy::kToDevice);
  }

 private:
  bool scaled() const { return options_.train && std::is_same_v<T, c10::Half>; }
  bool at_once() const { return !options_.deterministic && tables_.count() > 0 && tables_.plain() && !scaled(); }
  uint64_t blocks() const { return layout_.size() / kBlock; }

  /// Of the dense parameters in the order of the layout, then of the tables.
  std::vector<Optimizer> optimizers_used() const {
    std::vector<Optimizer> all;
    for (const Place& place : layout_.places()) all.push_back(optimizer_of(options_, place.name, options_.dense_optimizer));
    const std::vector<Optimizer> tables = table_optimizers(spec_, options_);
    all.insert(all.end(), tables.begin(), tables.end());
    return all;
  }

  void allocate() {
    const size_t n = layout_.size();
    weights_ = Array<float>(n, "MLP weights");
    if (!std::is_same_v<T, float>) rounded_ = Array<T>(n, "rounded MLP weights");
    state_ = Array<StepState>(1, "step state");
    StepState state{1.0F, 1.0F, scaled() ? 65536.0F : 1.0F, 0.0F, 0.0F, 0, 0};
    copy_rows(state_.data(), 0, &state, 0, sizeof state, 1, Copy::kToDevice);
    loss_ = Array<double>(1, "loss");
    if (!options_.train) return;
    gradients_ = Array<float>(n, "MLP gradients");
    earlier_gradients_ = Array<float>(n, "MLP gradients");
    squares_ = Array<double>(blocks(), "squares of gradients");
    optimizers_ = {Array<Optimizer>(used_.size(), "optimizers"), Array<AdamTerms>(used_.size(), "optimizers")};
    copy_rows(optimizers_.all.data(), 0, used_.data(), 0, used_.size() * sizeof(Optimizer), 1, Copy::kToDevice);
    std::vector<uint32_t> numbers(blocks());
    bool first = false;
    bool second = false;
    for (uint32_t p = 0; p < layout_.places().size(); ++p) {
      const size_t end = p + 1 < layout_.places().size() ? layout_.places()[p + 1].at : n;
      std::fill(numbers.begin() + static_cast<std::ptrdiff_t>(layout_.places()[p].at / kBlock), numbers.begin() + static_cast<std::ptrdiff_t>(end / kBlock), p);
      const bool adam = used_[p].kind == OptimizerKind::kAdam || used_[p].kind == OptimizerKind::kAdamW;
      first = first || used_[p].kind != OptimizerKind::kSgd || used_[p].momentum != 0.0F;
      second = second || adam;
    }
    if (first) first_ = Array<float>(n, "MLP optimizer state");
    if (second) second_ = Array<float>(n, "MLP optimizer state");
    block_optimizers_ = Array<uint32_t>(numbers.size(), "optimizers");
    copy_rows(block_optimizers_.data(), 0, numbers.data(), 0, numbers.size() * sizeof(uint32_t), 1, Copy::kToDevice);
  }

  uint32_t logits_stride() const { return top_.output_width(); }

  void reserve(size_t rows) {
    if (rows <= capacity_) return;
    steps_.forget();
    dense_ = Array<float>(rows * spec_.dense, "dense features");
    dense_in_ = Array<T>(rows * round_up(spec_.dense, 8), "dense features");
    categorical_ = Array<int32_t>(rows * spec_.tables.size(), "categorical features");
    labels_ = Array<float>(rows, "labels");
    row_weights_ = Array<float>(rows, "weights");
    bottom_.reserve(rows);
    top_.reserve(rows);
    if (spec_.interacts) z_ = Array<T>(rows * shape_.z_stride, "interaction outputs");
    if (options_.train) {
      uint32_t widest = 8;
      for (const auto* sizes : {&spec_.bottom, &spec_.top}) {
        for (const uint32_t width : *sizes) widest = std::max(widest, round_up(width, 8));
      }
      for (Array<T>& down : down_) down = Array<T>(rows * widest, "MLP gradients");
      partial_ = Array<float>(blocks_of(rows, kColumnRows) * widest, "MLP bias gradients");
      logits_grad_ = Array<T>(rows * logits_stride(), "logit gradients");
      loss_sums_ = Array<double>(blocks_of(rows, kLossRows), "losses");
      if (spec_.interacts) z_grad_ = Array<T>(rows * shape_.z_stride, "interaction gradients");
      if (!bottom_.empty()) dense_grad_ = Array<T>(rows * shape_.dense_stride, "bottom MLP gradients");
    }
    capacity_ = rows;
  }

  void check_indices(const Batch& batch) const {
    for (size_t t = 0; t < spec_.tables.size(); ++t) {
      const int32_t* index = batch.categorical + t * batch.rows;
      const uint64_t rows = spec_.tables[t];
      uint32_t largest = 0;
      for (size_t b = 0; b < batch.rows; ++b) largest = std::max(largest, static_cast<uint32_t>(index[b]));
      if (largest < rows) continue;
      const auto* bad = std::find_if(index, index + batch.rows, [rows](int32_t i) { return static_cast<uint32_t>(i) >= rows; });
      throw Error(code::kShape, "dlrm: index " + std::to_string(*bad) + " lies outside table " + std::to_string(t) + " of " + std::to_string(rows) + " rows (row " +
                                    std::to_string(bad - index) + " of the batch)");
    }
  }

  void bring(const Batch& batch, bool labels) {
    check_indices(batch);
    reserve(batch.rows);
    std::vector<Inputs::Part> parts;
    if (spec_.dense > 0) parts.push_back({dense_.data(), batch.dense, batch.rows * spec_.dense * sizeof(float)});
    if (!spec_.tables.empty()) parts.push_back({categorical_.data(), batch.categorical, batch.rows * spec_.tables.size() * sizeof(int32_t)});
    if (labels) parts.push_back({labels_.data(), batch.labels, batch.rows * sizeof(float)});
    if (labels && batch.weights != nullptr) parts.push_back({row_weights_.data(), batch.weights, batch.rows * sizeof(float)});
    inputs_.bring(parts);
    if (!labels || tables_.count() == 0) return;
    bool moved = false;
    rows_gradients_ = tables_.next_gradients(static_cast<uint32_t>(batch.rows), moved);
    if (moved) steps_.forget();
  }

  DenseArrays<T> arrays() {
    T* weights = nullptr;
    if constexpr (std::is_same_v<T, float>) {
      weights = weights_.data();
    } else {
      weights = rounded_.data();
    }
    return {weights, gradients_.data(), partial_.data(), {down_[0].data(), down_[1].data()}};
  }

  DenseParameters<T> dense_parameters() {
    return {weights_.data(), gradients_.data(), first_.data(), second_.data(), rounded_.data(), block_optimizers_.data(), optimizers_.all.data(), optimizers_.terms.data(),
            state_.data()};
  }

  void run_forward(uint32_t rows, T* saved) {
    if (spec_.dense > 0) {
      const CastInput<T> cast{dense_.data(), dense_in_.data(), rows, spec_.dense, round_up(spec_.dense, 8)};
      launch(cast, cast.items());
    }
    T* top_in = dense_in_.data();
    if (!bottom_.empty()) bottom_.forward(arrays(), dense_in_.data(), rows);
    if (spec_.interacts) {
      launch(InteractionForward<T>{shape_, rows, tables_.weight(), tables_.offsets(), categorical_.data(), bottom_.empty() ? nullptr : bottom_.output(), saved, z_.data()}, rows);
      top_in = z_.data();
    }
    top_.forward(arrays(), top_in, rows);
  }

  /// Forward and backward pass. Gradients of the tables are kept, or, at once, applied to them.
  void pass(uint32_t rows, bool weighted, float share, bool at_once) {
    run_forward(rows, rows_gradients_);
    const CriterionLoss<T> loss{options_.criterion, top_.output(), logits_grad_.data(), labels_.data(), weighted ? row_weights_.data() : nullptr, state_.data(),
                                loss_sums_.data(), rows, outputs(), logits_stride(), share};
    launch(loss, loss.items());
    launch(SumDoubles{loss_sums_.data(), loss.items(), loss_.data(), 1.0 / rows}, 1);
    top_.backward(arrays(), logits_grad_.data(), spec_.interacts ? z_grad_.data() : nullptr, rows);
    if (!spec_.interacts) return;
    AtOnce target;
    if (at_once) target = {tables_.weight(), tables_.offsets(), categorical_.data(), optimizers_.all.data(), tables_.optimizer_of(), state_.data()};
    launch(InteractionBackward<T>{shape_, rows, bottom_.empty() ? nullptr : bottom_.output(), z_grad_.data(), dense_grad_.data(), rows_gradients_, target,
                                  scaled() ? &state_.data()->not_finite : nullptr},
           rows);
    if (!at_once && tables_.count() > 0) tables_.keep(categorical_.data(), rows);
    if (!bottom_.empty()) bottom_.backward(arrays(), dense_grad_.data(), nullptr, rows);
  }

  void finish_update(bool at_once) {
    launch(PrepareAdam{state_.data(), optimizers_.all.data(), optimizers_.terms.data()}, used_.size());
    if (scaled()) launch(DenseSquares<T>{dense_parameters(), nullptr, true}, blocks());
    launch(DenseUpdate<T>{dense_parameters()}, blocks());
    if (!at_once && tables_.count() > 0) tables_.update(optimizers_, state_.data());
    launch(FinishStep{state_.data(), scaled(), loss_.data()}, 1);
  }

  /// What is asked for of the last pass. Waits for it.
  void tell(const Batch& batch, const Scores& scores) {
    if (scores.losses != nullptr || scores.logits != nullptr || scores.logit_gradients != nullptr) {
      const std::vector<float> logits = to_host(top_.output(), batch.rows, outputs(), logits_stride());
      score_logits(options_.criterion, logits.data(), batch, outputs(), scores);
    }
    if (scores.embeddings != nullptr) {
      const std::vector<float> values = to_host(top_.last_input(), batch.rows, embedding_width(), top_.last_input_width());
      std::copy(values.begin(), values.end(), scores.embeddings);
    }
  }

  std::vector<float> to_host(const T* from, size_t rows, size_t cols, size_t stride) const {
    std::vector<T> raw(rows * cols);
    copy_rows(raw.data(), cols * sizeof(T), from, stride * sizeof(T), cols * sizeof(T), rows, Copy::kToHost);
    return std::vector<float>(raw.begin(), raw.end());
  }

  static void move(float* host, float* device, const Place& place, Copy direction) {
    float* at = device + place.at;
    const size_t host_pitch = place.cols * sizeof(float);
    const size_t pitch = place.pitch * sizeof(float);
    if (direction == Copy::kToHost) {
      copy_rows(host, host_pitch, at, pitch, host_pitch, place.rows, direction);
    } else {
      copy_rows(at, pitch, host, host_pitch, host_pitch, place.rows, direction);
    }
  }

  void move_parameters(const std::vector<NamedTensor>& all, Copy direction) {
    for (const NamedTensor& tensor : all) {
      if (const Place* place = find(layout_.places(), tensor.name)) move(tensor.data, weights_.data(), *place, direction);
      if (const Place* place = find(tables_.places(), tensor.name)) move(tensor.data, tables_.weight(), *place, direction);
    }
  }

  void move_state(const std::vector<NamedTensor>& all, Copy direction) {
    for (const NamedTensor& tensor : all) {
      if (tensor.name == "loss_scale") {
        move(tensor.data, &state_.data()->loss_scale, {"", 0, 1, tensor.size(), tensor.size()}, direction);
        continue;
      }
      const size_t dot = tensor.name.rfind('.');
      const std::string parameter = tensor.name.substr(0, dot);
      const bool first = tensor.name.substr(dot) == ".first";
      if (const Place* place = find(layout_.places(), parameter)) move(tensor.data, first ? first_.data() : second_.data(), *place, direction);
      const Place* place = find(tables_.places(), parameter);
      if (place == nullptr) continue;
      const auto table = static_cast<size_t>(place - tables_.places().data());
      const bool rowwise = used_[layout_.places().size() + table].kind == OptimizerKind::kRowwiseAdagrad;
      if (rowwise) {
        move(tensor.data, tables_.rowwise(), tables_.row_place(table), direction);
      } else {
        move(tensor.data, first ? tables_.first() : tables_.second(), *place, direction);
      }
    }
  }

  static const Place* find(const std::vector<Place>& places, const std::string& name) {
    const auto found = std::find_if(places.begin(), places.end(), [&](const Place& place) { return place.name == name; });
    return found == places.end() ? nullptr : &*found;
  }

  NetSpec spec_;
  ModelOptions options_;
  std::unique_ptr<Model> twin_;
  Stream stream_;
  std::optional<Stream::Use> building_;  // until the constructor ends
  DenseLayout layout_;
  Stack<T> bottom_, top_;
  std::vector<Optimizer> used_;
  Tables<T> tables_;
  InteractionShape shape_{};
  Array<float> weights_, gradients_, earlier_gradients_, first_, second_;
  Array<T> rounded_;
  Array<uint32_t> block_optimizers_;
  Optimizers optimizers_;
  Array<StepState> state_;
  Array<double> squares_, row_squares_;
  bool kept_ = false;  // gradients are kept
  size_t capacity_ = 0;
  Array<float> dense_, labels_, row_weights_, partial_;
  Array<int32_t> categorical_;
  Array<T> dense_in_, z_, z_grad_, dense_grad_, logits_grad_;
  Array<T> down_[2];
  T* rows_gradients_ = nullptr;  // of the batch in work
  Array<double> loss_sums_, loss_;
  Inputs inputs_;
  LateNumbers late_;
  CapturedSteps steps_;
};

std::unique_ptr<Model> make(NetSpec spec, const ModelOptions& options, const MakeTwin& twin) {
  const Stream first;  // the device is ready
  // Before anything is made: the host's twin of tables that do not fit would take minutes.
  require_memory(Tables<float>::bytes(spec.tables, spec.width, table_optimizers(spec, options), options.train), "embedding tables and their optimizer state");
  ModelOptions on_host = options;
  on_host.device = Device::kCpu;
  std::unique_ptr<Model> host = twin(on_host);
  if (options.precision == Precision::kBf16) return std::make_unique<Net<c10::BFloat16>>(std::move(spec), options, std::move(host));
  if (options.precision == Precision::kFp16) return std::make_unique<Net<c10::Half>>(std::move(spec), options, std::move(host));
  return std::make_unique<Net<float>>(std::move(spec), options, std::move(host));
}

}  // namespace

std::unique_ptr<Model> make_dlrm(const DlrmSpec& spec, const ModelOptions& options, const MakeTwin& twin) {
  const bool has_dense = spec.dense > 0;
  const auto vectors = static_cast<uint32_t>(spec.tables.size()) + (has_dense ? 1U : 0U);
  const uint32_t top_in = (has_dense || vectors == 1 ? spec.embedding : 0) + vectors * (vectors - 1) / 2;
  return make({spec.dense, spec.tables, spec.embedding, has_dense ? with_input(spec.dense, spec.bottom) : std::vector<uint32_t>{}, with_input(top_in, spec.top), "top", true}, options,
              twin);
}

std::unique_ptr<Model> make_mlp(const MlpSpec& spec, const ModelOptions& options, const MakeTwin& twin) {
  return make({spec.inputs, {}, 4, {}, with_input(spec.inputs, spec.layers), "layers", false}, options, twin);
}

}  // namespace sluice::gpu
