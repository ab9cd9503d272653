// Single-threaded inner loops of training. kernels_impl.cpp is compiled once per instruction set; kernels() picks
// the best that the CPU has. Callers split the work over threads.
#pragma once
#include <cstddef>
#include <cstdint>

#include "train/model.h"

namespace sluice {

/// Gradients are multiplied by `scale` before anything else.
struct SgdStep {
  float lr;
  float momentum;
  float dampening;
  float weight_decay;
  float scale;
  bool nesterov;
  bool first;  // the momentum buffer takes the gradient itself
};

struct AdagradStep {
  float lr;
  float eps;
  float weight_decay;
  float scale;
};

struct AdamStep {
  float lr;
  float beta1;
  float beta2;
  float eps;
  float correction1;       // 1 - beta1^t
  float sqrt_correction2;  // sqrt(1 - beta2^t)
  float weight_decay;
  float scale;
  bool decoupled;  // AdamW: weights shrink by lr * weight_decay; otherwise the decay is added to the gradient
};

/// To which 16-bit format numbers are rounded, to nearest, ties to even.
enum class Rounding : uint8_t { kNone, kBf16, kFp16 };

struct Kernels {
  const char* name;
  /// y [rows, cols] += bias, then ReLU if asked, then rounding; rows `stride` apart.
  void (*bias_act)(float* y, size_t rows, size_t cols, size_t stride, const float* bias, bool relu, Rounding rounding);
  /// dy *= (y > 0) if relu, else y may be null; rounded; column sums are added to sums [cols].
  void (*act_grad)(float* dy, size_t dy_stride, const float* y, size_t y_stride, size_t rows, size_t cols, float* sums,
                   bool relu, Rounding rounding);
  /// out = the strictly lower triangle of x x^T, row by row: x [f, d] contiguous, out [f (f - 1) / 2].
  void (*dot_triangle)(const float* x, size_t f, size_t d, float* out);
  /// dx [f, d] = s x with s the symmetric matrix of which dz is the strictly lower triangle; s is scratch [f, f].
  void (*dot_triangle_grad)(const float* dz, const float* x, size_t f, size_t d, float* s, float* dx);
  /// y += alpha * x
  void (*axpy)(float* y, const float* x, float alpha, size_t n);
  void (*round)(float* out, const float* in, size_t n, Rounding rounding);
  /// Rows of a tile [rows, 32] that are bf16 already: 32 numbers each at to + 64 r, and, if pairs is not null, pairs of rows
  /// (r, r + 1), the earlier one in the lower half, at pairs + 32 r / 2; the partner of an odd last row is zero.
  void (*store_bf16)(const float* tile, size_t rows, uint16_t* to, float* pairs);
  /// Back from `to` into a tile.
  void (*load_bf16)(const uint16_t* from, size_t rows, float* tile);
  /// Sum of squares of x, in double.
  double (*sum_squares)(const float* x, size_t n);
  /// torch.optim.SGD; `momentum` [n] may be null where step.momentum is 0.
  void (*sgd)(float* w, float* momentum, const float* g, const SgdStep& step, size_t n);
  /// torch.optim.Adagrad: state += g^2; w -= lr * g / (sqrt(state) + eps).
  void (*adagrad)(float* w, float* state, const float* g, const AdagradStep& step, size_t n);
  /// torch.optim.Adam (Kingma and Ba, 2015) and AdamW (Loshchilov and Hutter, 2019): moments m and v of g.
  void (*adam)(float* w, float* m, float* v, const float* g, const AdamStep& step, size_t n);
};

const Kernels& kernels();

/// Instruction sets that the loops are compiled for; each has all of those before it.
enum class InstructionSet : uint8_t { kBase, kAvx2, kAvx512, kAvx512Bf16 };
/// The best that this CPU has and that the environment variable SLUICE_INSTRUCTIONS (base, avx2, avx512, avx512bf16) allows: the loops
/// in use. E_ARGUMENT when the variable has another value.
InstructionSet instruction_set();

}  // namespace sluice
