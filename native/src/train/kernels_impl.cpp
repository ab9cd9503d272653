// Compiled once per instruction set, each time with another SLUICE_KERNELS namespace and -m flags (native/train.cmake).
// Written with GCC's vector extension: eight or sixteen floats at a time, whatever registers the target has.
#include <cmath>
#include <cstring>
#include <type_traits>

#include "train/interaction_impl.h"
#include "train/kernels_vectors.h"

namespace sluice::SLUICE_KERNELS {

namespace {

/// work(integral constant of the rounding)
template <typename Work>
inline void with_rounding(Rounding rounding, const Work& work) {
  switch (rounding) {
    case Rounding::kNone: return work(std::integral_constant<Rounding, Rounding::kNone>{});
    case Rounding::kBf16: return work(std::integral_constant<Rounding, Rounding::kBf16>{});
    case Rounding::kFp16: return work(std::integral_constant<Rounding, Rounding::kFp16>{});
  }
}

template <bool Relu, Rounding R>
void bias_act_t(float* y, size_t rows, size_t cols, size_t stride, const float* bias) {
  const Wide zero{};
  for (size_t r = 0; r < rows; ++r, y += stride) {
    size_t c = 0;
    for (; c + kWideWidth <= cols; c += kWideWidth) {
      Wide v = load<Wide>(y + c) + load<Wide>(bias + c);
      if (Relu) v = v > zero ? v : (v == v ? zero : v);
      store(y + c, rounded<R>(v));
    }
    for (; c < cols; ++c) {
      float v = y[c] + bias[c];
      if (Relu && v <= 0.0F) v = 0.0F;
      y[c] = rounded<R>(v);
    }
  }
}

void bias_act(float* y, size_t rows, size_t cols, size_t stride, const float* bias, bool relu, Rounding rounding) {
  with_rounding(rounding, [&](auto r) { relu ? bias_act_t<true, r()>(y, rows, cols, stride, bias) : bias_act_t<false, r()>(y, rows, cols, stride, bias); });
}

template <bool Relu, Rounding R, typename T>
inline void act_grad_columns(float* dy, size_t dy_stride, const float* y, size_t y_stride, size_t rows, float* sums) {
  const T zero{};
  T total = load<T>(sums);
  for (size_t r = 0; r < rows; ++r, dy += dy_stride) {
    T v = load<T>(dy);
    if constexpr (Relu) v = load<T>(y + r * y_stride) > zero ? v : zero;
    v = rounded<R>(v);
    store(dy, v);
    total += v;
  }
  store(sums, total);
}

template <bool Relu, Rounding R>
void act_grad_t(float* dy, size_t dy_stride, const float* y, size_t y_stride, size_t rows, size_t cols, float* sums) {
  size_t c = 0;
  for (; c + kWideWidth <= cols; c += kWideWidth) act_grad_columns<Relu, R, Wide>(dy + c, dy_stride, Relu ? y + c : nullptr, y_stride, rows, sums + c);
  for (; c < cols; ++c) act_grad_columns<Relu, R, float>(dy + c, dy_stride, Relu ? y + c : nullptr, y_stride, rows, sums + c);
}

void act_grad(float* dy, size_t dy_stride, const float* y, size_t y_stride, size_t rows, size_t cols, float* sums, bool relu,
              Rounding rounding) {
  with_rounding(rounding, [&](auto r) {
    relu ? act_grad_t<true, r()>(dy, dy_stride, y, y_stride, rows, cols, sums) : act_grad_t<false, r()>(dy, dy_stride, y, y_stride, rows, cols, sums);
  });
}

void axpy(float* y, const float* x, float alpha, size_t n) {
  const Wide a = splat<Wide>(alpha);
  size_t i = 0;
  for (; i + kWideWidth <= n; i += kWideWidth) store(y + i, load<Wide>(y + i) + a * load<Wide>(x + i));
  for (; i < n; ++i) y[i] += alpha * x[i];
}

void round(float* out, const float* in, size_t n, Rounding rounding) {
  if (rounding == Rounding::kNone) {
    if (out != in) std::memcpy(out, in, n * sizeof(float));
    return;
  }
  with_rounding(rounding, [&](auto r) {
    size_t i = 0;
    for (; i + kWideWidth <= n; i += kWideWidth) store(out + i, rounded<r()>(load<Wide>(in + i)));
    for (; i < n; ++i) out[i] = rounded<r()>(in[i]);
  });
}

void store_bf16(const float* tile, size_t rows, uint16_t* to, float* pairs) {
  typedef uint16_t Halves __attribute__((vector_size(sizeof(Wide) / 2)));
  constexpr size_t kColumns = 32;
  const auto put = [](uint16_t* at, const WideBits& upper) {
    const Halves halves = __builtin_convertvector(upper, Halves);
    std::memcpy(at, &halves, sizeof halves);
  };
  for (size_t r = 0; r < rows; r += 2, tile += 2 * kColumns, to += 4 * kColumns) {
    const bool both = r + 1 < rows;
    for (size_t c = 0; c < kColumns; c += kWideWidth) {
      const WideBits first = load<WideBits>(tile + c) >> 16;
      const WideBits second = both ? load<WideBits>(tile + kColumns + c) : WideBits{};
      put(to + c, first);
      if (both) put(to + 2 * kColumns + c, second >> 16);
      if (pairs != nullptr) store(pairs + r / 2 * kColumns + c, first | (second & 0xffff0000U));
    }
  }
}

void load_bf16(const uint16_t* from, size_t rows, float* tile) {
  constexpr size_t kColumns = 32;
  uint32_t bits[kColumns];
  for (size_t r = 0; r < rows; ++r, from += 2 * kColumns, tile += kColumns) {
    for (size_t c = 0; c < kColumns; ++c) bits[c] = static_cast<uint32_t>(from[c]) << 16;
    std::memcpy(tile, bits, sizeof bits);
  }
}

double sum_squares(const float* x, size_t n) {
  double total = 0.0;
  for (size_t i = 0; i < n;) {
    const size_t end = n - i < 1024 ? n : i + 1024;  // short sums in single precision, their sum in double
    V part{};
    for (; i + kWidth <= end; i += kWidth) part += load(x + i) * load(x + i);
    float rest = sum(part);
    for (; i < end; ++i) rest += x[i] * x[i];
    total += static_cast<double>(rest);
  }
  return total;
}

void sgd(float* w, float* momentum, const float* g, const SgdStep& step, size_t n) {
  if (momentum == nullptr) {
    for (size_t i = 0; i < n; ++i) w[i] -= step.lr * (step.scale * g[i] + step.weight_decay * w[i]);
    return;
  }
  const float kept = step.first ? 0.0F : step.momentum;
  const float added = step.first ? 1.0F : 1.0F - step.dampening;
  for (size_t i = 0; i < n; ++i) {
    const float gradient = step.scale * g[i] + step.weight_decay * w[i];
    momentum[i] = kept * momentum[i] + added * gradient;
    w[i] -= step.lr * (step.nesterov ? gradient + step.momentum * momentum[i] : momentum[i]);
  }
}

void adagrad(float* w, float* state, const float* g, const AdagradStep& step, size_t n) {
  for (size_t i = 0; i < n; ++i) {
    const float gradient = step.scale * g[i] + step.weight_decay * w[i];
    state[i] += gradient * gradient;
    w[i] -= step.lr * gradient / (std::sqrt(state[i]) + step.eps);
  }
}

void adam(float* w, float* m, float* v, const float* g, const AdamStep& step, size_t n) {
  const float step_size = step.lr / step.correction1;
  const float kept = step.decoupled ? 1.0F - step.lr * step.weight_decay : 1.0F;
  const float added = step.decoupled ? 0.0F : step.weight_decay;
  for (size_t i = 0; i < n; ++i) {
    const float gradient = step.scale * g[i] + added * w[i];
    m[i] += (1.0F - step.beta1) * (gradient - m[i]);
    v[i] = step.beta2 * v[i] + (1.0F - step.beta2) * gradient * gradient;
    w[i] = kept * w[i] - step_size * m[i] / (std::sqrt(v[i]) / step.sqrt_correction2 + step.eps);
  }
}

#define SLUICE_NAME2(x) #x
#define SLUICE_NAME(x) SLUICE_NAME2(x)

}  // namespace

extern const Kernels table;
const Kernels table{SLUICE_NAME(SLUICE_KERNELS), bias_act, act_grad, dot_triangle, dot_triangle_grad, axpy, round, store_bf16, load_bf16, sum_squares, sgd, adagrad, adam};

}  // namespace sluice::SLUICE_KERNELS
