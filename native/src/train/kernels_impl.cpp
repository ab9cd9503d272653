// Compiled once per instruction set, each time with another SLUICE_KERNELS namespace and -m flags (native/train.cmake).
// Written with GCC's vector extension: eight floats at a time, whatever registers the target has.
#include <cmath>
#include <cstring>
#include <type_traits>

#include "train/kernels.h"

namespace sluice::SLUICE_KERNELS {

namespace {

typedef float V __attribute__((vector_size(32)));
typedef uint32_t U __attribute__((vector_size(32)));
constexpr size_t kWidth = 8;

inline V load(const float* p) {
  V v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
inline void store(float* p, V v) { std::memcpy(p, &v, sizeof v); }
inline V splat(float x) { return V{x, x, x, x, x, x, x, x}; }
inline float sum(V v) {
  typedef float H __attribute__((vector_size(16)));
  H low, high;
  std::memcpy(&low, &v, sizeof low);
  std::memcpy(&high, reinterpret_cast<const char*>(&v) + sizeof low, sizeof high);
  H h = low + high;
  h += __builtin_shuffle(h, (int __attribute__((vector_size(16)))){2, 3, 0, 1});
  return h[0] + h[1];
}

inline float to_bf16(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  if ((bits & 0x7fffffffU) > 0x7f800000U) return x;  // NaN stays NaN
  bits = (bits + 0x7fffU + ((bits >> 16) & 1U)) & 0xffff0000U;
  std::memcpy(&x, &bits, sizeof bits);
  return x;
}
inline V to_bf16(V v) {
  U bits;
  std::memcpy(&bits, &v, sizeof bits);
  const U rounded = (bits + 0x7fffU + ((bits >> 16) & 1U)) & 0xffff0000U;
  const U nan = reinterpret_cast<U>((bits & 0x7fffffffU) > 0x7f800000U);
  bits = (bits & nan) | (rounded & ~nan);
  std::memcpy(&v, &bits, sizeof bits);
  return v;
}

/// Numbers of 10 bits of mantissa: normal ones are rounded in their bits, those below 2^-14 by adding 0.5, whose last bit is
/// worth 2^-24; from 65,520 on they are infinite.
inline V to_fp16(V v) {
  U bits;
  std::memcpy(&bits, &v, sizeof bits);
  const U sign = bits & 0x80000000U;
  const U magnitude = bits ^ sign;
  const U normal = (magnitude + 0xfffU + ((magnitude >> 13) & 1U)) & 0xffffe000U;
  V absolute;
  std::memcpy(&absolute, &magnitude, sizeof absolute);
  const V rounded = (absolute + 0.5F) - 0.5F;
  U small;
  std::memcpy(&small, &rounded, sizeof small);
  const U is_small = reinterpret_cast<U>(magnitude < 0x38800000U);
  const U is_large = reinterpret_cast<U>(magnitude >= 0x477ff000U);
  const U is_nan = reinterpret_cast<U>(magnitude > 0x7f800000U);
  U result = (small & is_small) | (normal & ~is_small);
  result = (0x7f800000U & is_large) | (result & ~is_large);
  result = ((magnitude & is_nan) | (result & ~is_nan)) | sign;
  std::memcpy(&v, &result, sizeof v);
  return v;
}
inline float to_fp16(float x) { return to_fp16(splat(x))[0]; }

template <Rounding R, typename T>
inline T rounded(T x) {
  if constexpr (R == Rounding::kBf16) return to_bf16(x);
  if constexpr (R == Rounding::kFp16) return to_fp16(x);
  return x;
}

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
  const V zero{};
  for (size_t r = 0; r < rows; ++r, y += stride) {
    size_t c = 0;
    for (; c + kWidth <= cols; c += kWidth) {
      V v = load(y + c) + load(bias + c);
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

template <bool Relu, Rounding R>
void act_grad_t(float* dy, size_t dy_stride, const float* y, size_t y_stride, size_t rows, size_t cols, float* sums) {
  const V zero{};
  for (size_t r = 0; r < rows; ++r, dy += dy_stride) {
    size_t c = 0;
    for (; c + kWidth <= cols; c += kWidth) {
      V v = load(dy + c);
      if constexpr (Relu) v = load(y + c) > zero ? v : zero;
      v = rounded<R>(v);
      store(dy + c, v);
      store(sums + c, load(sums + c) + v);
    }
    for (; c < cols; ++c) {
      float v = dy[c];
      if constexpr (Relu) v = y[c] > 0.0F ? v : 0.0F;
      v = rounded<R>(v);
      dy[c] = v;
      sums[c] += v;
    }
    if constexpr (Relu) y += y_stride;
  }
}

void act_grad(float* dy, size_t dy_stride, const float* y, size_t y_stride, size_t rows, size_t cols, float* sums, bool relu,
              Rounding rounding) {
  with_rounding(rounding, [&](auto r) {
    relu ? act_grad_t<true, r()>(dy, dy_stride, y, y_stride, rows, cols, sums) : act_grad_t<false, r()>(dy, dy_stride, y, y_stride, rows, cols, sums);
  });
}

/// R x C dot products of rows of length d at once; the results go to out[i * ld + j].
template <size_t R, size_t C>
inline void dot_block(const float* a, const float* b, size_t d, float* out, size_t ld) {
  V acc[R][C] = {};
  size_t k = 0;
  for (; k + kWidth <= d; k += kWidth) {
    V bv[C];
    #pragma GCC unroll 4
    for (size_t j = 0; j < C; ++j) bv[j] = load(b + j * d + k);
    #pragma GCC unroll 4
    for (size_t i = 0; i < R; ++i) {
      const V av = load(a + i * d + k);
      #pragma GCC unroll 4
      for (size_t j = 0; j < C; ++j) acc[i][j] += av * bv[j];
    }
  }
  #pragma GCC unroll 4
  for (size_t i = 0; i < R; ++i) {
    #pragma GCC unroll 4
    for (size_t j = 0; j < C; ++j) {
      float s = sum(acc[i][j]);
      for (size_t rest = k; rest < d; ++rest) s += a[i * d + rest] * b[j * d + rest];
      out[i * ld + j] = s;
    }
  }
}

/// dot_block for a number of rows and columns known only at run time, 1 … kDotRows and 1 … kDotCols.
constexpr size_t kDotRows = 4;
constexpr size_t kDotCols = 3;
template <size_t R>
inline void dot_edge(const float* a, const float* b, size_t cols, size_t d, float* out) {
  switch (cols) {
    case 1: dot_block<R, 1>(a, b, d, out, kDotCols); break;
    case 2: dot_block<R, 2>(a, b, d, out, kDotCols); break;
    default: dot_block<R, 3>(a, b, d, out, kDotCols); break;
  }
}

/// The sums of eight vectors, in their order: 21 operations instead of 7 for each.
inline V sums_of_8(const V* v) {
  typedef int I __attribute__((vector_size(32)));
  const auto pairs = [](V a, V b) { return __builtin_shuffle(a, b, I{0, 8, 2, 10, 4, 12, 6, 14}) + __builtin_shuffle(a, b, I{1, 9, 3, 11, 5, 13, 7, 15}); };
  const auto fours = [](V a, V b) { return __builtin_shuffle(a, b, I{0, 1, 8, 9, 4, 5, 12, 13}) + __builtin_shuffle(a, b, I{2, 3, 10, 11, 6, 7, 14, 15}); };
  const V low = fours(pairs(v[0], v[1]), pairs(v[2], v[3]));
  const V high = fours(pairs(v[4], v[5]), pairs(v[6], v[7]));
  return __builtin_shuffle(low, high, I{0, 1, 2, 3, 8, 9, 10, 11}) + __builtin_shuffle(low, high, I{4, 5, 6, 7, 12, 13, 14, 15});
}

/// Rows so short (d a multiple of kWidth) that adding up within the vectors would cost more than the products: eight dot
/// products with one row at once.
void dot_triangle_short(const float* x, size_t f, size_t d, float* out) {
  for (size_t i = 1; i < f; ++i) {
    const float* a = x + i * d;
    for (size_t j = 0; j < i; j += 8) {
      V acc[8];
      #pragma GCC unroll 8
      for (size_t c = 0; c < 8; ++c) {
        const float* b = x + (j + c < i ? j + c : i) * d;  // beyond the triangle: any row
        V sum = load(a) * load(b);
        for (size_t k = kWidth; k < d; k += kWidth) sum += load(a + k) * load(b + k);
        acc[c] = sum;
      }
      const V sums = sums_of_8(acc);
      const size_t n = i - j < 8 ? i - j : 8;
      if (n == 8) {
        store(out + j, sums);
      } else {
        std::memcpy(out + j, &sums, n * sizeof(float));
      }
    }
    out += i;
  }
}

void dot_triangle(const float* x, size_t f, size_t d, float* out) {
  constexpr size_t kShort = 32;
  if (d <= kShort && d > 0 && d % kWidth == 0) return dot_triangle_short(x, f, d, out);
  float block[kDotRows * kDotCols];
  for (size_t i = 0; i < f; i += kDotRows) {
    const size_t rows = f - i < kDotRows ? f - i : kDotRows;
    for (size_t j = 0; j + 1 < i + rows; j += kDotCols) {
      const size_t cols = f - j < kDotCols ? f - j : kDotCols;
      const float* a = x + i * d;
      const float* b = x + j * d;
      switch (rows) {
        case 1: dot_edge<1>(a, b, cols, d, block); break;
        case 2: dot_edge<2>(a, b, cols, d, block); break;
        case 3: dot_edge<3>(a, b, cols, d, block); break;
        default: dot_edge<4>(a, b, cols, d, block); break;
      }
      for (size_t r = 0; r < rows; ++r) {
        const size_t row = i + r;
        for (size_t c = 0; c < cols && j + c < row; ++c) out[row * (row - 1) / 2 + j + c] = block[r * kDotCols + c];
      }
    }
  }
}

/// R rows x C vectors of dx = s x.
template <size_t R, size_t C>
inline void product_block(const float* s, const float* x, size_t f, size_t d, float* dx) {
  V acc[R][C] = {};
  for (size_t k = 0; k < f; ++k) {
    V xv[C];
    #pragma GCC unroll 4
    for (size_t j = 0; j < C; ++j) xv[j] = load(x + k * d + j * kWidth);
    #pragma GCC unroll 4
    for (size_t i = 0; i < R; ++i) {
      const V sv = splat(s[i * f + k]);
      #pragma GCC unroll 4
      for (size_t j = 0; j < C; ++j) acc[i][j] += sv * xv[j];
    }
  }
  #pragma GCC unroll 4
  for (size_t i = 0; i < R; ++i) {
    #pragma GCC unroll 4
    for (size_t j = 0; j < C; ++j) store(dx + i * d + j * kWidth, acc[i][j]);
  }
}

void dot_triangle_grad(const float* dz, const float* x, size_t f, size_t d, float* s, float* dx) {
  for (size_t i = 0; i < f; ++i) {
    s[i * f + i] = 0.0F;
    for (size_t j = 0; j < i; ++j) s[i * f + j] = s[j * f + i] = *dz++;
  }
  constexpr size_t kRows = 4;
  constexpr size_t kVectors = 2;
  size_t c = 0;
  for (; c + kVectors * kWidth <= d; c += kVectors * kWidth) {
    size_t i = 0;
    for (; i + kRows <= f; i += kRows) product_block<kRows, kVectors>(s + i * f, x + c, f, d, dx + i * d + c);
    switch (f - i) {
      case 3: product_block<3, kVectors>(s + i * f, x + c, f, d, dx + i * d + c); break;
      case 2: product_block<2, kVectors>(s + i * f, x + c, f, d, dx + i * d + c); break;
      case 1: product_block<1, kVectors>(s + i * f, x + c, f, d, dx + i * d + c); break;
      default: break;
    }
  }
  for (; c + kWidth <= d; c += kWidth) {
    for (size_t i = 0; i < f; ++i) product_block<1, 1>(s + i * f, x + c, f, d, dx + i * d + c);
  }
  for (; c < d; ++c) {
    for (size_t i = 0; i < f; ++i) {
      float acc = 0.0F;
      for (size_t k = 0; k < f; ++k) acc += s[i * f + k] * x[k * d + c];
      dx[i * d + c] = acc;
    }
  }
}

void axpy(float* y, const float* x, float alpha, size_t n) {
  const V a = splat(alpha);
  size_t i = 0;
  for (; i + kWidth <= n; i += kWidth) store(y + i, load(y + i) + a * load(x + i));
  for (; i < n; ++i) y[i] += alpha * x[i];
}

void round(float* out, const float* in, size_t n, Rounding rounding) {
  if (rounding == Rounding::kNone) {
    if (out != in) std::memcpy(out, in, n * sizeof(float));
    return;
  }
  with_rounding(rounding, [&](auto r) {
    size_t i = 0;
    for (; i + kWidth <= n; i += kWidth) store(out + i, rounded<r()>(load(in + i)));
    for (; i < n; ++i) out[i] = rounded<r()>(in[i]);
  });
}

void store_bf16(const float* tile, size_t rows, uint16_t* to, float* pairs) {
  constexpr size_t kColumns = 32;
  uint32_t bits[2 * kColumns] = {};
  for (size_t r = 0; r < rows; r += 2, tile += 2 * kColumns, to += 4 * kColumns) {
    const bool both = r + 1 < rows;
    std::memcpy(bits, tile, (both ? 2 : 1) * kColumns * sizeof(float));
    if (!both) std::memset(bits + kColumns, 0, kColumns * sizeof(float));
    for (size_t c = 0; c < kColumns; ++c) to[c] = static_cast<uint16_t>(bits[c] >> 16);
    if (both) {
      for (size_t c = 0; c < kColumns; ++c) to[2 * kColumns + c] = static_cast<uint16_t>(bits[kColumns + c] >> 16);
    }
    if (pairs == nullptr) continue;
    for (size_t c = 0; c < kColumns; ++c) bits[c] = bits[c] >> 16 | (bits[kColumns + c] & 0xffff0000U);
    std::memcpy(pairs, bits, kColumns * sizeof(float));
    pairs += kColumns;
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
