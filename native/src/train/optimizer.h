// Optimizers of dense parameters; those of embedding tables lie in models/embedding.h.
#pragma once
#include <cstdint>

#include "base/buffer.h"
#include "train/model.h"

namespace sluice {

/// Optimizer of contiguous dense parameters: w [n] is updated from its gradient, split over the compute threads.
class DenseOptimizer {
 public:
  DenseOptimizer(const Optimizer& options, size_t n, const char* purpose);
  void step(float* w, const float* g);

 private:
  Optimizer options_;
  size_t n_;
  uint64_t t_ = 0;
  Buffer<float> first_;   // Adagrad's sum of squares, Adam's first moment
  Buffer<float> second_;  // Adam's second moment
};

}  // namespace sluice
