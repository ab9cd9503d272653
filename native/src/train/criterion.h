// Losses from logits, with their gradient at the logits. Per-sample weights multiply per-sample losses; the mean
// divides by the number of rows.
#pragma once
#include <cstddef>

#include "train/model.h"

namespace sluice {

/// Per-sample loss of logits [rows, outputs] (outputs = 1 for BCE with logits, the classes for cross-entropy) into
/// losses [rows], unweighted, if not null; gradient of mean(weight * loss) into grad [rows, outputs] if not null.
/// Returns mean(weight * loss). labels: 0 or 1, or a class below outputs. weights may be null.
double criterion_loss(Criterion criterion, const float* logits, size_t rows, size_t outputs, const float* labels,
                      const float* weights, float* losses, float* grad);

}  // namespace sluice
