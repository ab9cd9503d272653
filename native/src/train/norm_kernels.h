// Single-threaded inner loops of batch norm with what follows it (ReLU, a residual sum) over matrices [rows, channels]:
// images with channels last. norm_kernels_impl.cpp is compiled once per instruction set, as kernels_impl.cpp is.
#pragma once
#include <cstddef>
#include <cstdint>

namespace sluice {

struct Bf16 {
  uint16_t bits;
};

/// What the pass over one block of rows needs. All vectors are [channels]; x, y and gradients [rows, channels].
template <typename T>
struct NormKernels {
  /// Mean of each channel into mean, and sum of squared distances from it into squares.
  void (*moments)(const T* x, size_t rows, size_t channels, float* mean, float* squares);
  /// y = x * scale + shift (+ residual if not null), then ReLU if asked.
  void (*apply)(T* y, const T* x, const T* residual, const float* scale, const float* shift, bool relu, size_t rows, size_t channels);
  /// g = dy, without ReLU, or where the pass had a positive output y. Sums of g and of g * (x - mean) over the rows into sums and
  /// products; g itself into masked if not null.
  void (*gradient_sums)(const T* dy, const T* x, const T* y, const float* mean, bool relu, size_t rows, size_t channels, float* sums, float* products, T* masked);
  /// dx = a * g + b * x + c, with g as above.
  void (*gradient)(T* dx, const T* dy, const T* x, const T* y, const float* a, const float* b, const float* c, bool relu, size_t rows, size_t channels);
};

struct NormTable {
  NormKernels<float> fp32;
  NormKernels<Bf16> bf16;
};

const NormTable& norm_kernels();

}  // namespace sluice
