#include "train/compute.h"

#include <ATen/Parallel.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/mm.h>
#include <c10/core/InferenceMode.h>

#include <atomic>

#include "base/error.h"
#include "train/model.h"

namespace sluice {

namespace {

at::Tensor view(const Matrix& m) {
  const auto rows = static_cast<int64_t>(m.rows);
  const auto cols = static_cast<int64_t>(m.cols);
  at::Tensor t = at::from_blob(const_cast<float*>(m.data), {rows, cols}, {static_cast<int64_t>(m.stride), 1}, at::kFloat);
  return m.transposed ? t.t() : t;
}

std::atomic<int> bf16_override{-1};
std::atomic<int> wanted_threads{0};

/// A step below this takes a millisecond or two on one core; handing it around costs as much, and far more when the
/// cores are busy (the loader works on one of them).
constexpr double kSerialFlops = 50e6;

/// What LibTorch found when the process began: the cores that it may use.
int available_threads() {
  static const int threads = at::get_num_threads();
  return threads;
}

}  // namespace

bool native_bf16() {
  const int forced = bf16_override.load();
  if (forced >= 0) return forced == 1;
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512bf16") != 0;
#else
  return false;
#endif
}

void override_native_bf16(bool value) { bf16_override = value ? 1 : 0; }

void gemm(const Matrix& a, const Matrix& b, float* c, size_t c_stride, float alpha, float beta, GemmPrecision precision) {
  const c10::InferenceMode inference;
  at::Tensor left = view(a);
  at::Tensor right = view(b);
  at::Tensor out = at::from_blob(c, {left.size(0), right.size(1)}, {static_cast<int64_t>(c_stride), 1}, at::kFloat);
  if (precision == GemmPrecision::kBf16 && native_bf16()) {
    const at::Tensor product = at::mm(left.to(at::kBFloat16), right.to(at::kBFloat16));
    if (beta == 0.0F) {
      out.copy_(product);
      if (alpha != 1.0F) out.mul_(alpha);
    } else {
      out.mul_(beta).add_(product, alpha);
    }
  } else if (beta == 0.0F && alpha == 1.0F) {
    at::mm_out(out, left, right);
  } else {
    at::addmm_out(out, out, left, right, beta, alpha);
  }
}

void parallel_for(size_t n, size_t grain, const std::function<void(size_t, size_t)>& body) {
  at::parallel_for(0, static_cast<int64_t>(n), static_cast<int64_t>(grain),
                   [&](int64_t begin, int64_t end) { body(static_cast<size_t>(begin), static_cast<size_t>(end)); });
}

ComputeScope::ComputeScope(double flops_per_step) : before_(at::get_num_threads()) {
  at::set_num_threads(flops_per_step < kSerialFlops ? 1 : compute_threads());
}

ComputeScope::~ComputeScope() { at::set_num_threads(before_); }

void set_compute_threads(int threads) {
  if (threads < 0 || threads > 1024) {
    throw Error(code::kArgument, "threads: expected 0 (all cores) to 1024, got " + std::to_string(threads));
  }
  wanted_threads = threads == 0 ? available_threads() : threads;
  at::set_num_threads(wanted_threads);
}

int compute_threads() {
  const int wanted = wanted_threads;
  return wanted > 0 ? wanted : available_threads();
}

}  // namespace sluice
