// Losses from logits, with their gradient at the logits. Per-sample weights multiply per-sample losses; the mean
// divides by the number of rows.
#pragma once
#include <cstddef>

#include "train/model.h"

namespace sluice {

/// Throws E_ARGUMENT for parameters out of their range.
void check_criterion(const Criterion& criterion);

/// Throws E_LABEL_RANGE, naming the key, unless the label is one of the classes (two for BCE, `outputs` for
/// cross-entropy), or finite for regression.
void check_label(const Criterion& criterion, float label, uint64_t key, size_t outputs);

/// Per-sample loss of logits [rows, outputs] (outputs = 1 for BCE with logits and regression, the classes for
/// cross-entropy) into losses [rows], unweighted, if not null; gradient of share * mean(weight * loss) into grad
/// [rows, outputs] if not null. Returns mean(weight * loss). labels: 0 or 1, a class below outputs, or any number for regression.
/// weights may be null.
double criterion_loss(const Criterion& criterion, const float* logits, size_t rows, size_t outputs, const float* labels,
                      const float* weights, float* losses, float* grad, float share = 1.0F);

/// The same for a batch, and what is asked for in `scores` but the embeddings, in one pass over the logits.
double criterion_loss(const Criterion& criterion, const float* logits, const Batch& batch, size_t outputs, const Scores& scores, float* grad, float share);

/// Fills what is asked for but the embeddings, from the logits [rows, outputs] of the batch.
void score_logits(const Criterion& criterion, const float* logits, const Batch& batch, size_t outputs, const Scores& scores);

}  // namespace sluice
