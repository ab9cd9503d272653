// Learning-rate schedules: the factor by which the optimizers' learning rates are multiplied in a step.
#pragma once
#include <cstdint>

namespace sluice {

enum class ScheduleKind : uint8_t { kConstant, kStep, kCosine, kPolynomial, kOneCycle };

/// Lengths count optimizer steps, or epochs with per_epoch: the factor then changes only between epochs.
/// Over the warm-up it rises in equal parts from warmup_from to 1 (as torch's LinearLR); what follows counts from its end:
///   step        gamma^floor(t / every)                                          (StepLR)
///   cosine      end + (1 - end) (1 + cos(pi t / T)) / 2                         (CosineAnnealingLR; Loshchilov and Hutter, 2017)
///   polynomial  end + (1 - end) (1 - t / T)^power                               (PolynomialLR with end = 0)
///   one-cycle   from 1 / initial_division up to 1 at `rise` of the whole, down to 1 / (initial_division * final_division),
///               both by half a cosine                                           (OneCycleLR; Smith and Topin, 2017; no warm-up)
/// T is the rest of the training, or `length` if that is given; past T the end value holds. `hold` delays the decay of
/// cosine and polynomial: NVIDIA's DLRM warms up, holds, then decays.
struct Schedule {
  ScheduleKind kind = ScheduleKind::kConstant;
  bool per_epoch = false;
  uint64_t warmup = 0;
  float warmup_from = 0.0F;
  uint64_t hold = 0;
  uint64_t length = 0;
  uint64_t every = 1;
  float gamma = 0.1F;
  float end = 0.0F;
  float power = 1.0F;
  float rise = 0.3F;
  float initial_division = 25.0F;
  float final_division = 1e4F;
};

/// Throws E_ARGUMENT for values out of their ranges.
void check_schedule(const Schedule& schedule);

/// The factor of step `step` (from 0) of a training of `total` steps, `per_epoch` of them an epoch.
float schedule_factor(const Schedule& schedule, uint64_t step, uint64_t total, uint64_t steps_per_epoch);

}  // namespace sluice
