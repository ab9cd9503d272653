// What we take from LibTorch's CPU runtime: its thread pool. Kept behind plain functions, so that one translation unit pays for
// torch's headers.
#pragma once
#include <cstddef>
#include <functional>

namespace sluice {

/// How far apart the rows of a matrix of `cols` columns should lie: aligned, and not by a multiple of a large power of two,
/// because such rows share a few cache sets.
constexpr size_t padded_stride(size_t cols) {
  const size_t aligned = (cols + 15) / 16 * 16;
  return aligned >= 128 && aligned % 64 == 0 ? aligned + 16 : aligned;
}

/// True where the CPU multiplies bf16 natively (AVX512-BF16). Tests turn it off; it cannot be turned on where it is not.
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

/// Runs work(0) … work(n - 1) on the compute threads, each as soon as one is free.
void run_units(size_t n, const std::function<void(size_t unit)>& work);

}  // namespace sluice
