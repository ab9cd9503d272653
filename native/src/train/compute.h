// The two things we take from LibTorch's CPU runtime: its matrix product and its thread pool. Kept behind plain
// functions, so that one translation unit pays for torch's headers.
#pragma once
#include <cstddef>
#include <functional>

namespace sluice {

/// A row-major matrix: element (i, j) at data[i * stride + j]; `transposed` exchanges the roles of rows and columns.
struct Matrix {
  const float* data;
  size_t rows;
  size_t cols;
  size_t stride;
  bool transposed = false;
  Matrix t() const { return {data, rows, cols, stride, !transposed}; }
};

/// How far apart the rows of a matrix of `cols` columns should lie: aligned, and not by a multiple of a large power of two,
/// because such rows share a few cache sets (measured: products on 1,024 columns run 5 to 10 % faster).
constexpr size_t padded_stride(size_t cols) {
  const size_t aligned = (cols + 15) / 16 * 16;
  return aligned >= 128 && aligned % 64 == 0 ? aligned + 16 : aligned;
}

enum class GemmPrecision { kFp32, kBf16 };

/// c [m, n] = alpha * a [m, k] x b [k, n] + beta * c. kBf16: operands and result are already rounded to bf16 by the
/// caller; where the CPU has bf16 units the product runs on them, elsewhere in fp32 (a bf16 product is exact in fp32).
void gemm(const Matrix& a, const Matrix& b, float* c, size_t c_stride, float alpha = 1.0F, float beta = 0.0F,
          GemmPrecision precision = GemmPrecision::kFp32);

/// True where the CPU multiplies bf16 natively (AVX512-BF16, AMX). Tests override it.
bool native_bf16();
void override_native_bf16(bool value);

/// Decides, for as long as it lives, on how many threads the calling thread computes: all that set_compute_threads()
/// allows, or one where a step of so many floating-point operations is shorter than waking the others up is worth.
/// Every thread that computes opens one: LibTorch's and MKL's settings are the thread's own.
class ComputeScope {
 public:
  explicit ComputeScope(double flops_per_step);
  ~ComputeScope();
  ComputeScope(const ComputeScope&) = delete;
  ComputeScope& operator=(const ComputeScope&) = delete;

 private:
  int before_;
};

/// Runs body(begin, end) on the compute threads over [0, n), in runs of at least `grain`.
void parallel_for(size_t n, size_t grain, const std::function<void(size_t begin, size_t end)>& body);

}  // namespace sluice
