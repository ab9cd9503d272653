// Single-threaded inner loops of training. kernels_impl.cpp is compiled once per instruction set; kernels() picks
// the best that the CPU has. Callers split the work over threads.
#pragma once
#include <cstddef>
#include <cstdint>

#include "train/model.h"

namespace sluice {

struct AdamStep {
  float lr;
  float beta1;
  float beta2;
  float eps;
  float correction1;       // 1 - beta1^t
  float sqrt_correction2;  // sqrt(1 - beta2^t)
};

struct Kernels {
  const char* name;
  /// y [rows, cols] += bias, then ReLU if asked, then rounding to bf16 if asked; rows `stride` apart.
  void (*bias_act)(float* y, size_t rows, size_t cols, size_t stride, const float* bias, bool relu, bool bf16);
  /// dy *= (y > 0) if relu; rounded to bf16 if asked; column sums are added to sums [cols].
  void (*act_grad)(float* dy, size_t dy_stride, const float* y, size_t y_stride, size_t rows, size_t cols, float* sums,
                   bool relu, bool bf16);
  /// out = the strictly lower triangle of x x^T, row by row: x [f, d] contiguous, out [f (f - 1) / 2].
  void (*dot_triangle)(const float* x, size_t f, size_t d, float* out);
  /// dx [f, d] = s x with s the symmetric matrix of which dz is the strictly lower triangle; s is scratch [f, f].
  void (*dot_triangle_grad)(const float* dz, const float* x, size_t f, size_t d, float* s, float* dx);
  /// y += alpha * x
  void (*axpy)(float* y, const float* x, float alpha, size_t n);
  void (*round_bf16)(float* out, const float* in, size_t n);
  /// PyTorch's Adagrad: state += g^2; w -= lr * g / (sqrt(state) + eps).
  void (*adagrad)(float* w, float* state, const float* g, float lr, float eps, size_t n);
  /// PyTorch's Adam (Kingma and Ba, 2015): moments m and v of g.
  void (*adam)(float* w, float* m, float* v, const float* g, const AdamStep& step, size_t n);
};

const Kernels& kernels();

}  // namespace sluice
