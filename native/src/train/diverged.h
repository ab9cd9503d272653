// What a loss that is no number ends in.
#pragma once
#include <string>

#include "train/checkpoint.h"

namespace sluice {

/// E_DIVERGED: what happened, the samples of the batch, what helps, and where the last checkpoint is kept.
[[noreturn]] void throw_diverged(const std::string& what, const std::string& samples, const Checkpointer& checkpoints);

}  // namespace sluice
