// What an optimizer step needs to know and keeps on the device, so that the host waits for nothing and a captured graph serves
// every step.
#pragma once
#include <cmath>

#include "cuda/work.h"
#include "train/model.h"

namespace sluice::gpu {

struct StepState {
  float lr_factor;
  float gradient_scale;
  float loss_scale;      // fp16's dynamic scale (train/loss_scale.h), else 1
  float sound_steps;     // since it changed
  float left_out;        // steps whose gradients were not finite
  uint64_t updates;      // optimizer steps taken
  int32_t not_finite;    // a gradient of this step was not
};

/// Of Adam: 1 - beta1^t and sqrt(1 - beta2^t) of the step that is being taken.
struct AdamTerms {
  float correction1;
  float sqrt_correction2;
};

/// Begins a step: what changes from step to step. One item.
struct SetStep {
  static constexpr int kPhases = 1;
  StepState* state;
  float lr_factor;
  float gradient_scale;
  SLUICE_DEVICE uint32_t scratch() const { return 0; }
  template <int phase>
  SLUICE_DEVICE void run(uint64_t, Lane lane) const {
    if (lane.index != 0) return;
    state->lr_factor = lr_factor;
    state->gradient_scale = gradient_scale;
  }
};

/// One item for each optimizer.
struct PrepareAdam {
  static constexpr int kPhases = 1;
  const StepState* state;
  const Optimizer* optimizers;
  AdamTerms* terms;
  SLUICE_DEVICE uint32_t scratch() const { return 0; }
  template <int phase>
  SLUICE_DEVICE void run(uint64_t item, Lane lane) const {
    if (lane.index != 0) return;
    const auto t = static_cast<double>(state->updates + 1);
    terms[item].correction1 = static_cast<float>(1.0 - pow(static_cast<double>(optimizers[item].beta1), t));
    terms[item].sqrt_correction2 = static_cast<float>(sqrt(1.0 - pow(static_cast<double>(optimizers[item].beta2), t)));
  }
};

/// Ends a step: the loss scale as LossScale::update(), the count of steps. One item.
struct FinishStep {
  static constexpr int kPhases = 1;
  StepState* state;
  bool scaled;
  double* loss;  // no number where the gradients are not finite and a smaller scale no longer helps
  SLUICE_DEVICE uint32_t scratch() const { return 0; }
  template <int phase>
  SLUICE_DEVICE void run(uint64_t, Lane lane) const {
    if (lane.index != 0) return;
    if (scaled) {
      if (state->not_finite != 0) {
        if (state->loss_scale <= 1.0F) *loss = nan("");
        state->loss_scale *= 0.5F;
        state->sound_steps = 0.0F;
        state->left_out += 1.0F;
      } else if (++state->sound_steps >= 2000.0F) {
        state->loss_scale *= 2.0F;
        state->sound_steps = 0.0F;
      }
    }
    if (state->not_finite == 0) ++state->updates;
    state->not_finite = 0;
  }
};

/// One number's optimizer step; meanings and formulas are those of train/kernels.h. A number that never had a gradient, as
/// padding has none, stays as it is also where eps is 0.
struct Update {
  Optimizer o;
  AdamTerms adam;
  float lr;      // times lr_factor
  float scale;   // of the gradient
  bool first;    // no step was taken before
  bool sparse;   // Adam adds eps before the correction (torch.optim.SparseAdam)

  SLUICE_DEVICE static Update of(const Optimizer& o, const AdamTerms& adam, const StepState& state, bool sparse) {
    return {o, adam, o.lr * state.lr_factor, state.gradient_scale / state.loss_scale, state.updates == 0, sparse};
  }

  SLUICE_DEVICE float quotient(float numerator, float denominator) const { return denominator > 0.0F ? numerator / denominator : 0.0F; }

  SLUICE_DEVICE float apply(float w, float gradient, float* m, float* v) const {
    float g = scale * gradient;
    switch (o.kind) {
      case OptimizerKind::kSgd: {
        g += o.weight_decay * w;
        if (o.momentum == 0.0F) return w - lr * g;
        *m = first ? g : o.momentum * *m + (1.0F - o.dampening) * g;
        return w - lr * (o.nesterov ? g + o.momentum * *m : *m);
      }
      case OptimizerKind::kAdagrad: {
        g += o.weight_decay * w;
        *m += g * g;
        return w - quotient(lr * g, sqrtf(*m) + o.eps);
      }
      case OptimizerKind::kAdam:
      case OptimizerKind::kAdamW: {
        const bool decoupled = o.kind == OptimizerKind::kAdamW;
        if (!decoupled) g += o.weight_decay * w;
        *m += (1.0F - o.beta1) * (g - *m);
        *v = o.beta2 * *v + (1.0F - o.beta2) * g * g;
        const float eps = sparse ? o.eps / adam.sqrt_correction2 : o.eps;
        const float kept = decoupled ? 1.0F - lr * o.weight_decay : 1.0F;
        return kept * w - quotient(lr / adam.correction1 * *m, sqrtf(*v) / adam.sqrt_correction2 + eps);
      }
      case OptimizerKind::kRowwiseAdagrad: break;  // of whole rows: segments.h
    }
    return w;
  }
};

}  // namespace sluice::gpu
