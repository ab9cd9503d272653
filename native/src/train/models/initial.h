// Initial weights, from our own generator: the same on every machine.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>

#include "train/model.h"

namespace sluice {

/// Makes the tensors of one model, each with random numbers of its own; zeros where options.initial is false.
class Initial {
 public:
  explicit Initial(const ModelOptions& options) : seed_(options.seed), random_(options.initial) {}
  at::Tensor normal(at::IntArrayRef shape, double deviation);
  /// Uniform in [-bound, bound).
  at::Tensor uniform(at::IntArrayRef shape, double bound);
  static at::Tensor constant(at::IntArrayRef shape, double value);

 private:
  uint64_t seed_;
  bool random_;
  uint64_t tensors_ = 0;
};

}  // namespace sluice
