// What the dense layers need besides matrix products: the input's conversion, the gradient of ReLU with that of the bias, the loss,
// and one optimizer pass over all parameters, which lie in one array.
#pragma once
#include <cmath>

#include "cuda/step_state.h"
#include "cuda/work.h"

namespace sluice::gpu {

constexpr uint32_t kBlock = 1024;  // parameters begin at multiples of it
constexpr uint32_t kLossRows = 512;
constexpr uint32_t kColumnRows = 64;

/// Items of 1,024 numbers: out [rows, stride] from in [rows, cols], the rest of each row zero.
template <typename T>
struct CastInput {
  static constexpr int kPhases = 1;
  const float* in;
  T* out;
  uint32_t rows;
  uint32_t cols;
  uint32_t stride;
  SLUICE_DEVICE uint32_t scratch() const { return 0; }
  uint64_t items() const { return blocks_of(uint64_t{rows} * stride, kBlock); }
  template <int phase>
  SLUICE_DEVICE void run(uint64_t item, Lane lane) const {
    const uint64_t n = uint64_t{rows} * stride;
    for (uint64_t i = item * kBlock + lane.index; i < n && i < (item + 1) * kBlock; i += kLanes) {
      const uint64_t c = i % stride;
      out[i] = static_cast<T>(c < cols ? in[i / stride * cols + c] : 0.0F);
    }
  }
};

/// Items of 64 rows and 128 columns, row blocks first: dy *= (y > 0) if relu, and the sums of dy's columns over the rows into
/// partial [row blocks, stride].
template <typename T>
struct ActivationGrad {
  static constexpr int kPhases = 1;
  T* dy;
  const T* y;
  float* partial;
  uint32_t rows;
  uint32_t stride;  // a multiple of 8
  bool relu;
  SLUICE_DEVICE uint32_t scratch() const { return 0; }
  SLUICE_DEVICE uint32_t column_blocks() const { return (stride + 4 * kLanes - 1) / (4 * kLanes); }
  SLUICE_DEVICE uint32_t row_blocks() const { return (rows + kColumnRows - 1) / kColumnRows; }
  uint64_t items() const { return uint64_t{row_blocks()} * column_blocks(); }
  template <int phase>
  SLUICE_DEVICE void run(uint64_t item, Lane lane) const {
    const auto block = static_cast<uint32_t>(item / column_blocks());
    const uint32_t c = 4 * (static_cast<uint32_t>(item % column_blocks()) * kLanes + lane.index);
    if (c >= stride) return;
    Quad sum{};
    const uint32_t begin = block * kColumnRows;
    for (uint32_t r = begin; r < rows && r < begin + kColumnRows; ++r) {
      const uint64_t at = uint64_t{r} * stride + c;
      Quad g = load4(dy + at);
      if (relu) {
        const Quad value = load4(y + at);
        for (uint32_t e = 0; e < 4; ++e) g.v[e] = value.v[e] > 0.0F ? g.v[e] : 0.0F;
        store4(dy + at, g);
      }
      for (uint32_t e = 0; e < 4; ++e) sum.v[e] += g.v[e];
    }
    store4(partial + uint64_t{block} * stride + c, sum);
  }
};

/// Items of 32 columns: out [cols] = the sum of partial's rows, in order.
struct FinishColumns {
  static constexpr int kPhases = 1;
  const float* partial;
  float* out;
  uint32_t blocks;
  uint32_t cols;
  SLUICE_DEVICE uint32_t scratch() const { return 0; }
  uint64_t items() const { return blocks_of(cols, kLanes); }
  template <int phase>
  SLUICE_DEVICE void run(uint64_t item, Lane lane) const {
    const auto c = static_cast<uint32_t>(item) * kLanes + lane.index;
    if (c >= cols) return;
    float sum = 0.0F;
    for (uint32_t b = 0; b < blocks; ++b) sum += partial[uint64_t{b} * cols + c];
    out[c] = sum;
  }
};

/// Items of 4,096 numbers: out[item] = their sum times factor, in a fixed order.
struct SumDoubles {
  static constexpr int kPhases = 2;
  static constexpr uint32_t kSum = 4096;
  const double* in;
  uint64_t n;
  double* out;
  double factor;
  SLUICE_DEVICE uint32_t scratch() const { return 2 * kLanes; }
  static uint64_t items(uint64_t n) { return blocks_of(n, kSum); }
  template <int phase>
  SLUICE_DEVICE void run(uint64_t item, Lane lane) const {
    auto* sums = reinterpret_cast<double*>(lane.scratch);
    if constexpr (phase == 0) {
      double sum = 0.0;
      for (uint64_t i = item * kSum + lane.index; i < n && i < (item + 1) * kSum; i += kLanes) sum += in[i];
      sums[lane.index] = sum;
    } else if (lane.index == 0) {
      double sum = 0.0;
      for (uint32_t l = 0; l < kLanes; ++l) sum += sums[l];
      out[item] = sum * factor;
    }
  }
};

/// Items of 512 rows: the sum of weight * loss into sums[item], the gradient of share * loss_scale * mean(weight * loss) into
/// grad [rows, stride]. The losses are those of train/criterion.h.
template <typename T>
struct CriterionLoss {
  static constexpr int kPhases = 2;
  Criterion criterion;
  const T* logits;  // [rows, stride]
  T* grad;          // likewise
  const float* labels;
  const float* weights;  // null: all 1
  const StepState* state;
  double* sums;
  uint32_t rows;
  uint32_t outputs;
  uint32_t stride;
  float share;
  SLUICE_DEVICE uint32_t scratch() const { return 2 * kLanes; }
  uint64_t items() const { return blocks_of(rows, kLossRows); }

  template <int phase>
  SLUICE_DEVICE void run(uint64_t item, Lane lane) const {
    auto* lanes = reinterpret_cast<double*>(lane.scratch);
    if constexpr (phase == 0) {
      double sum = 0.0;
      const uint64_t end = (item + 1) * kLossRows < rows ? (item + 1) * kLossRows : rows;
      for (uint64_t r = item * kLossRows + lane.index; r < end; r += kLanes) {
        const double weight = weights == nullptr ? 1.0 : static_cast<double>(weights[r]);
        const double scale = weight * static_cast<double>(share) * static_cast<double>(state->loss_scale) / rows;
        sum += weight * row(logits + r * stride, labels[r], scale, grad + r * stride);
      }
      lanes[lane.index] = sum;
    } else if (lane.index == 0) {
      double sum = 0.0;
      for (uint32_t l = 0; l < kLanes; ++l) sum += lanes[l];
      sums[item] = sum;
    }
  }

 private:
  SLUICE_DEVICE static double number(T x) { return static_cast<double>(static_cast<float>(x)); }
  SLUICE_DEVICE static T gradient(double x) { return static_cast<T>(static_cast<float>(x)); }

  SLUICE_DEVICE double row(const T* x, float label, double scale, T* g) const {
    if (criterion.kind == Criterion::kCrossEntropy) return cross_entropy(x, static_cast<uint32_t>(label), scale, g);
    const double value = number(x[0]);
    const double y = static_cast<double>(label);
    if (criterion.kind == Criterion::kBce) {
      g[0] = gradient(scale * (1.0 / (1.0 + exp(-value)) - y));
      return (value > 0.0 ? value : 0.0) - value * y + log1p(exp(-fabs(value)));
    }
    const double error = value - y;
    const double size = fabs(error);
    const double sign = error > 0.0 ? 1.0 : error < 0.0 ? -1.0 : 0.0;
    const double delta = static_cast<double>(criterion.delta);
    if (criterion.kind == Criterion::kMse) {
      g[0] = gradient(scale * 2.0 * error);
      return error * error;
    }
    if (criterion.kind == Criterion::kL1) {
      g[0] = gradient(scale * sign);
      return size;
    }
    const bool square = size <= delta;
    g[0] = gradient(scale * (square ? error : delta * sign));
    return square ? 0.5 * error * error : delta * (size - 0.5 * delta);
  }

  SLUICE_DEVICE double cross_entropy(const T* x, uint32_t label, double scale, T* g) const {
    double top = number(x[0]);
    for (uint32_t c = 1; c < outputs; ++c) top = number(x[c]) > top ? number(x[c]) : top;
    double total = 0.0;
    double sum = 0.0;
    for (uint32_t c = 0; c < outputs; ++c) {
      total += exp(number(x[c]) - top);
      sum += number(x[c]);
    }
    const double log_sum = top + log(total);
    const double smoothing = static_cast<double>(criterion.label_smoothing);
    const double part = smoothing / outputs;
    for (uint32_t c = 0; c < outputs; ++c) g[c] = gradient(scale * (exp(number(x[c]) - log_sum) - part - (c == label ? 1.0 - smoothing : 0.0)));
    return log_sum - (1.0 - smoothing) * number(x[label]) - part * sum;
  }
};

/// All dense parameters in one array, in blocks of 1,024 of one parameter each.
template <typename T>
struct DenseParameters {
  float* weight;
  const float* gradient;
  float* first;    // null where no optimizer keeps it
  float* second;
  T* rounded;      // what the products read; the weights themselves in fp32: null
  const uint32_t* optimizer_of;  // [blocks]
  const Optimizer* optimizers;
  const AdamTerms* terms;
  StepState* state;
};

/// Per item a block: an optimizer step, unless a gradient of this step was not finite.
template <typename T>
struct DenseUpdate {
  static constexpr int kPhases = 1;
  DenseParameters<T> p;
  SLUICE_DEVICE uint32_t scratch() const { return 0; }
  template <int phase>
  SLUICE_DEVICE void run(uint64_t item, Lane lane) const {
    if (p.state->not_finite != 0) return;
    const uint32_t number = p.optimizer_of[item];
    const Update update = Update::of(p.optimizers[number], p.terms[number], *p.state, false);
    for (uint64_t i = item * kBlock + 4 * lane.index; i < (item + 1) * kBlock; i += 4 * kLanes) {
      Quad w = load4(p.weight + i);
      const Quad g = load4(p.gradient + i);
      Quad m = p.first != nullptr ? load4(p.first + i) : Quad{};
      Quad v = p.second != nullptr ? load4(p.second + i) : Quad{};
      for (uint32_t e = 0; e < 4; ++e) w.v[e] = update.apply(w.v[e], g.v[e], &m.v[e], &v.v[e]);
      store4(p.weight + i, w);
      if (p.first != nullptr) store4(p.first + i, m);
      if (p.second != nullptr) store4(p.second + i, v);
      if (p.rounded != nullptr) store4(p.rounded + i, w);
    }
  }
};

/// Per item a block: the square of its gradients into squares[item] if not null; marks the step where one is not finite, if asked.
template <typename T>
struct DenseSquares {
  static constexpr int kPhases = 2;
  DenseParameters<T> p;
  double* squares;
  bool marks;
  SLUICE_DEVICE uint32_t scratch() const { return 2 * kLanes; }
  template <int phase>
  SLUICE_DEVICE void run(uint64_t item, Lane lane) const {
    auto* lanes = reinterpret_cast<double*>(lane.scratch);
    if constexpr (phase == 0) {
      double sum = 0.0;
      bool sound = true;
      for (uint64_t i = item * kBlock + lane.index; i < (item + 1) * kBlock; i += kLanes) {
        sound = sound && finite(p.gradient[i]);
        sum += static_cast<double>(p.gradient[i]) * static_cast<double>(p.gradient[i]);
      }
      if (marks && !sound) p.state->not_finite = 1;
      lanes[lane.index] = sum;
    } else if (lane.index == 0 && squares != nullptr) {
      double sum = 0.0;
      for (uint32_t l = 0; l < kLanes; ++l) sum += lanes[l];
      squares[item] = sum;
    }
  }
};

/// Per item a block: the rounded copy after the weights were written from outside.
template <typename T>
struct RoundWeights {
  static constexpr int kPhases = 1;
  const float* weight;
  T* rounded;
  SLUICE_DEVICE uint32_t scratch() const { return 0; }
  template <int phase>
  SLUICE_DEVICE void run(uint64_t item, Lane lane) const {
    for (uint64_t i = item * kBlock + 4 * lane.index; i < (item + 1) * kBlock; i += 4 * kLanes) store4(rounded + i, load4(weight + i));
  }
};

/// Items of 1,024 numbers: to += from.
struct AddTo {
  static constexpr int kPhases = 1;
  float* to;
  const float* from;
  SLUICE_DEVICE uint32_t scratch() const { return 0; }
  template <int phase>
  SLUICE_DEVICE void run(uint64_t item, Lane lane) const {
    for (uint64_t i = item * kBlock + lane.index; i < (item + 1) * kBlock; i += kLanes) to[i] += from[i];
  }
};

}  // namespace sluice::gpu
