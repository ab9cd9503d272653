// Compiled once per instruction set, each time with another SLUICE_KERNELS namespace and -m flags (native/train.cmake).
// Plain loops over channels, which the compiler turns into vector instructions.
#include <algorithm>
#include <cstring>

#include "train/norm_kernels.h"

namespace sluice::SLUICE_KERNELS {

namespace {

inline float get(float x) { return x; }
inline float get(Bf16 x) {
  const uint32_t bits = static_cast<uint32_t>(x.bits) << 16;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}
inline void put(float* out, float x) { *out = x; }
/// To the nearest, ties to even; NaN stays NaN.
inline void put(Bf16* out, float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  const uint32_t rounded = (bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16;
  out->bits = static_cast<uint16_t>(x == x ? rounded : 0x7fc0U);
}

template <typename T>
void moments(const T* x, size_t rows, size_t channels, float* __restrict mean, float* __restrict squares) {
  std::fill_n(mean, channels, 0.0F);
  std::fill_n(squares, channels, 0.0F);
  size_t r = 0;
  for (; r + 4 <= rows; r += 4) {
    const T* __restrict row = x + r * channels;
    for (size_t c = 0; c < channels; ++c) mean[c] += (get(row[c]) + get(row[channels + c])) + (get(row[2 * channels + c]) + get(row[3 * channels + c]));
  }
  for (; r < rows; ++r) {
    for (size_t c = 0; c < channels; ++c) mean[c] += get(x[r * channels + c]);
  }
  const float share = 1.0F / static_cast<float>(rows);
  for (size_t c = 0; c < channels; ++c) mean[c] *= share;
  for (r = 0; r + 2 <= rows; r += 2) {
    const T* __restrict row = x + r * channels;
    for (size_t c = 0; c < channels; ++c) {
      const float a = get(row[c]) - mean[c];
      const float b = get(row[channels + c]) - mean[c];
      squares[c] += a * a + b * b;
    }
  }
  for (; r < rows; ++r) {
    for (size_t c = 0; c < channels; ++c) {
      const float a = get(x[r * channels + c]) - mean[c];
      squares[c] += a * a;
    }
  }
}

template <bool Residual, bool Relu, typename T>
void apply_t(T* y, const T* x, const T* residual, const float* __restrict scale, const float* __restrict shift, size_t rows, size_t channels) {
  for (size_t r = 0; r < rows; ++r) {
    T* __restrict out = y + r * channels;
    const T* __restrict in = x + r * channels;
    const T* __restrict more = Residual ? residual + r * channels : nullptr;
    for (size_t c = 0; c < channels; ++c) {
      float v = get(in[c]) * scale[c] + shift[c];
      if (Residual) v += get(more[c]);
      if (Relu) v = v < 0.0F ? 0.0F : v;  // NaN stays NaN
      put(&out[c], v);
    }
  }
}

template <typename T>
void apply(T* y, const T* x, const T* residual, const float* scale, const float* shift, bool relu, size_t rows, size_t channels) {
  if (residual != nullptr) {
    if (relu) return apply_t<true, true>(y, x, residual, scale, shift, rows, channels);
    return apply_t<true, false>(y, x, residual, scale, shift, rows, channels);
  }
  if (relu) return apply_t<false, true>(y, x, residual, scale, shift, rows, channels);
  return apply_t<false, false>(y, x, residual, scale, shift, rows, channels);
}

template <bool Relu, bool Keep, typename T>
void sums_t(const T* dy, const T* x, const T* y, const float* __restrict mean, size_t rows, size_t channels, float* __restrict sums, float* __restrict products,
            T* masked) {
  std::fill_n(sums, channels, 0.0F);
  std::fill_n(products, channels, 0.0F);
  for (size_t r = 0; r < rows; ++r) {
    const T* __restrict from = dy + r * channels;
    const T* __restrict in = x + r * channels;
    const T* __restrict out = Relu ? y + r * channels : nullptr;
    T* __restrict kept = Keep ? masked + r * channels : nullptr;
    for (size_t c = 0; c < channels; ++c) {
      float g = get(from[c]);
      if (Relu) g = get(out[c]) > 0.0F ? g : 0.0F;
      if (Keep) put(&kept[c], g);
      sums[c] += g;
      products[c] += g * (get(in[c]) - mean[c]);
    }
  }
}

template <typename T>
void gradient_sums(const T* dy, const T* x, const T* y, const float* mean, bool relu, size_t rows, size_t channels, float* sums, float* products, T* masked) {
  if (masked != nullptr) {
    if (relu) return sums_t<true, true>(dy, x, y, mean, rows, channels, sums, products, masked);
    return sums_t<false, true>(dy, x, y, mean, rows, channels, sums, products, masked);
  }
  if (relu) return sums_t<true, false>(dy, x, y, mean, rows, channels, sums, products, masked);
  return sums_t<false, false>(dy, x, y, mean, rows, channels, sums, products, masked);
}

template <bool Relu, typename T>
void gradient_t(T* dx, const T* dy, const T* x, const T* y, const float* __restrict a, const float* __restrict b, const float* __restrict c, size_t rows,
                size_t channels) {
  for (size_t r = 0; r < rows; ++r) {
    T* __restrict to = dx + r * channels;
    const T* __restrict from = dy + r * channels;
    const T* __restrict in = x + r * channels;
    const T* __restrict out = Relu ? y + r * channels : nullptr;
    for (size_t i = 0; i < channels; ++i) {
      float g = get(from[i]);
      if (Relu) g = get(out[i]) > 0.0F ? g : 0.0F;
      put(&to[i], a[i] * g + b[i] * get(in[i]) + c[i]);
    }
  }
}

template <typename T>
void gradient(T* dx, const T* dy, const T* x, const T* y, const float* a, const float* b, const float* c, bool relu, size_t rows, size_t channels) {
  if (relu) return gradient_t<true>(dx, dy, x, y, a, b, c, rows, channels);
  return gradient_t<false>(dx, dy, x, y, a, b, c, rows, channels);
}

}  // namespace

extern const NormTable norm_table;
const NormTable norm_table{{moments<float>, apply<float>, gradient_sums<float>, gradient<float>}, {moments<Bf16>, apply<Bf16>, gradient_sums<Bf16>, gradient<Bf16>}};

}  // namespace sluice::SLUICE_KERNELS
