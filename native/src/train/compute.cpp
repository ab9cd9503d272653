#include "train/compute.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>

#include "base/error.h"
#include "train/kernels.h"
#include "train/model.h"

namespace sluice {

namespace {

std::atomic<bool> allow_bf16{true};
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

bool native_bf16() { return allow_bf16 && instruction_set() == InstructionSet::kAvx512Bf16; }

void override_native_bf16(bool value) { allow_bf16 = value; }

void parallel_for(size_t n, size_t grain, const std::function<void(size_t, size_t)>& body) {
  at::parallel_for(0, static_cast<int64_t>(n), static_cast<int64_t>(grain),
                   [&](int64_t begin, int64_t end) { body(static_cast<size_t>(begin), static_cast<size_t>(end)); });
}

void run_units(size_t n, const std::function<void(size_t)>& work) {
  std::atomic<size_t> next{0};
  const auto threads = std::min<int64_t>(at::get_num_threads(), static_cast<int64_t>(n));
  at::parallel_for(0, threads, 1, [&](int64_t, int64_t) {
    for (size_t unit = next++; unit < n; unit = next++) work(unit);
  });
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
