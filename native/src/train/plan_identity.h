// Tells two trainings apart that may meet at one checkpoint path.
#pragma once
#include <cstdint>
#include <string>

#include "train/train.h"

namespace sluice {

/// Differs wherever a checkpoint of one plan must not be gone on with under the other. Left out is what changes no result (loader,
/// places of output and checkpoints), and what the checkpoint's tensors tell (the model). The set counts with its size: a caller
/// whose sets, data or parent's contents change says so in plan.metadata.
std::string plan_identity(const TrainPlan& plan, uint64_t samples);

}  // namespace sluice
