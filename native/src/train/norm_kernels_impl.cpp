// Compiled once per instruction set, each time with another SLUICE_KERNELS namespace and -m flags (native/train.cmake).
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

/// A vector of channels, or one channel where fewer are left: what the loops below compute with. GCC's own vectorizer leaves the
/// rounding and masking of bf16 scalar.
struct Vector {
  static constexpr size_t kWidth = SLUICE_VECTOR_BYTES / 4;
  typedef float Float __attribute__((vector_size(SLUICE_VECTOR_BYTES)));
  typedef uint32_t Bits __attribute__((vector_size(SLUICE_VECTOR_BYTES)));
  typedef int32_t Signed __attribute__((vector_size(SLUICE_VECTOR_BYTES)));
  typedef uint16_t Half __attribute__((vector_size(SLUICE_VECTOR_BYTES / 2)));
  static Bits widen(Half half) { return __builtin_convertvector(half, Bits); }
  static Half narrow(Bits bits) { return __builtin_convertvector(bits, Half); }
};
struct Scalar {
  static constexpr size_t kWidth = 1;
  using Float = float;
  using Bits = uint32_t;
  using Signed = int32_t;
  using Half = uint16_t;
  static Bits widen(Half half) { return half; }
  static Half narrow(Bits bits) { return static_cast<Half>(bits); }
};

template <typename To, typename From>
inline To bits_of(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  std::memcpy(&to, &from, sizeof to);
  return to;
}

template <typename L>
inline typename L::Float load(const float* from) {
  typename L::Float value;
  std::memcpy(&value, from, sizeof value);
  return value;
}
template <typename L>
inline typename L::Float load(const Bf16* from) {
  typename L::Half half;
  std::memcpy(&half, from, sizeof half);
  return bits_of<typename L::Float>(L::widen(half) << 16);
}

template <typename L>
inline void store(float* to, typename L::Float value) { std::memcpy(to, &value, sizeof value); }
/// To the nearest, ties to even; NaN stays NaN.
template <typename L>
inline void store(Bf16* to, typename L::Float value) {
  const auto bits = bits_of<typename L::Bits>(value);
  const typename L::Bits rounded = (bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16;
  const typename L::Half half = L::narrow((bits & 0x7fffffffU) > 0x7f800000U ? (bits - bits) + 0x7fc0U : rounded);
  std::memcpy(to, &half, sizeof half);
}

/// g where y is positive, else 0.
template <typename L>
inline typename L::Float where_positive(typename L::Float y, typename L::Float g) {
  const auto sign = bits_of<typename L::Signed>(y);
  const auto bits = bits_of<typename L::Signed>(g);
  return bits_of<typename L::Float>(sign > 0 ? bits : bits - bits);
}

/// Calls body(lanes, channel) for all channels, a vector of them at a time as long as there is one.
template <typename Body>
inline void over_channels(size_t channels, const Body& body) {
  size_t c = 0;
  for (; c + Vector::kWidth <= channels; c += Vector::kWidth) body(Vector{}, c);
  for (; c < channels; ++c) body(Scalar{}, c);
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
void apply_t(T* y, const T* x, const T* residual, const float* scale, const float* shift, size_t rows, size_t channels) {
  for (size_t r = 0; r < rows; ++r) {
    const size_t row = r * channels;
    over_channels(channels, [&](auto lanes, size_t c) {
      using L = decltype(lanes);
      const typename L::Float zero = {};
      auto v = load<L>(x + row + c) * load<L>(scale + c) + load<L>(shift + c);
      if constexpr (Residual) v += load<L>(residual + row + c);
      if constexpr (Relu) v = v < zero ? zero : v;  // NaN stays NaN
      store<L>(y + row + c, v);
    });
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

/// Sums of `Vectors` vectors of channels from `c` on, which stay in registers over all rows.
template <bool Relu, bool Keep, typename L, size_t Vectors, typename T>
void sums_of(const T* dy, const T* x, const T* y, const float* mean, size_t rows, size_t channels, size_t c, float* sums, float* products, T* masked) {
  typename L::Float sum[Vectors] = {};
  typename L::Float product[Vectors] = {};
  typename L::Float center[Vectors];
  for (size_t v = 0; v < Vectors; ++v) center[v] = load<L>(mean + c + v * L::kWidth);
  for (size_t r = 0; r < rows; ++r) {
    for (size_t v = 0; v < Vectors; ++v) {
      const size_t at = r * channels + c + v * L::kWidth;
      auto g = load<L>(dy + at);
      if constexpr (Relu) g = where_positive<L>(load<L>(y + at), g);
      if constexpr (Keep) store<L>(masked + at, g);
      sum[v] += g;
      product[v] += g * (load<L>(x + at) - center[v]);
    }
  }
  for (size_t v = 0; v < Vectors; ++v) {
    store<L>(sums + c + v * L::kWidth, sum[v]);
    store<L>(products + c + v * L::kWidth, product[v]);
  }
}

template <bool Relu, bool Keep, typename T>
void sums_t(const T* dy, const T* x, const T* y, const float* mean, size_t rows, size_t channels, float* sums, float* products, T* masked) {
  size_t c = 0;
  for (; c + 4 * Vector::kWidth <= channels; c += 4 * Vector::kWidth) sums_of<Relu, Keep, Vector, 4>(dy, x, y, mean, rows, channels, c, sums, products, masked);
  for (; c + Vector::kWidth <= channels; c += Vector::kWidth) sums_of<Relu, Keep, Vector, 1>(dy, x, y, mean, rows, channels, c, sums, products, masked);
  for (; c < channels; ++c) sums_of<Relu, Keep, Scalar, 1>(dy, x, y, mean, rows, channels, c, sums, products, masked);
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
void gradient_t(T* dx, const T* dy, const T* x, const T* y, const float* a, const float* b, const float* c, size_t rows, size_t channels) {
  for (size_t r = 0; r < rows; ++r) {
    const size_t row = r * channels;
    over_channels(channels, [&](auto lanes, size_t i) {
      using L = decltype(lanes);
      auto g = load<L>(dy + row + i);
      if constexpr (Relu) g = where_positive<L>(load<L>(y + row + i), g);
      store<L>(dx + row + i, load<L>(a + i) * g + load<L>(b + i) * load<L>(x + row + i) + load<L>(c + i));
    });
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
