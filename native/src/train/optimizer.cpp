#include "train/optimizer.h"

#include <cmath>

#include "train/compute.h"
#include "train/kernels.h"

namespace sluice {

namespace {
constexpr size_t kElementGrain = 1 << 15;
}  // namespace

DenseOptimizer::DenseOptimizer(const Optimizer& options, size_t n, const char* purpose) : options_(options), n_(n) {
  if (options.kind != OptimizerKind::kSgd) first_ = Buffer<float>(n, purpose);
  if (options.kind == OptimizerKind::kAdam) second_ = Buffer<float>(n, purpose);
}

void DenseOptimizer::step(float* w, const float* g) {
  ++t_;
  const Kernels& k = kernels();
  AdamStep adam{options_.lr, options_.beta1, options_.beta2, options_.eps, 0.0F, 0.0F};
  adam.correction1 = static_cast<float>(1.0 - std::pow(static_cast<double>(options_.beta1), static_cast<double>(t_)));
  adam.sqrt_correction2 = static_cast<float>(std::sqrt(1.0 - std::pow(static_cast<double>(options_.beta2), static_cast<double>(t_))));
  parallel_for(n_, kElementGrain, [&](size_t begin, size_t end) {
    const size_t n = end - begin;
    switch (options_.kind) {
      case OptimizerKind::kSgd: k.axpy(w + begin, g + begin, -options_.lr, n); break;
      case OptimizerKind::kAdagrad: k.adagrad(w + begin, first_.data() + begin, g + begin, options_.lr, options_.eps, n); break;
      case OptimizerKind::kAdam: k.adam(w + begin, first_.data() + begin, second_.data() + begin, g + begin, adam, n); break;
    }
  });
}

}  // namespace sluice
