// Optimizers of dense parameters; those of embedding tables lie in models/embedding.h.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "train/kernels.h"
#include "train/model.h"

namespace sluice {

/// Throws E_ARGUMENT for values that make no sense; `where` begins the message.
void check_optimizer(const Optimizer& optimizer, const std::string& where);

/// The t-th step (from 1) of Adam or AdamW. sparse: as torch.optim.SparseAdam, which adds eps before the correction.
AdamStep adam_step(const Optimizer& optimizer, uint64_t t, float lr_factor, float scale, bool sparse);

/// Optimizer of contiguous dense parameters: w [n] is updated from its gradient, split over the compute threads.
class DenseOptimizer {
 public:
  DenseOptimizer(const Optimizer& options, size_t n, const char* purpose);
  /// With the learning rate times lr_factor and the gradient times gradient_scale.
  void step(float* w, const float* g, float lr_factor = 1.0F, float gradient_scale = 1.0F);
  /// Its buffers, named "<parameter>.<buffer>"; none for plain SGD.
  void append_state(const std::string& parameter, std::vector<NamedTensor>& all);
  /// As if so many steps had been taken.
  void set_steps(uint64_t steps) { t_ = steps; }
  /// w -= lr * g and nothing else: a step that can be part of the product that gives g.
  bool plain() const { return options_.kind == OptimizerKind::kSgd && options_.momentum == 0.0F && options_.weight_decay == 0.0F; }
  float lr() const { return options_.lr; }

 private:
  Optimizer options_;
  size_t n_;
  uint64_t t_ = 0;
  Buffer<float> first_;   // SGD's momentum, Adagrad's sum of squares, Adam's first moment
  Buffer<float> second_;  // Adam's second moment
};

}  // namespace sluice
