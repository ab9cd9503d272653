// What a model's answer to a sample tells of it: numbers that selections go by, within a training (in_training.h) and between
// trainings (recorder.h). p is the predictive distribution: sigmoid of the logit and its complement, or softmax of the logits.
#pragma once
#include <cstddef>
#include <string>

#include "train/model.h"

namespace sluice {

/// L2 norm, of the loss's gradient at the logits for one (Katharopoulos and Fleuret, 2018, arXiv 1803.00942, eq. 20, without the
/// factor that all samples share).
float l2_norm(const float* values, size_t n);

/// Of the logits [outputs] of one sample, for a criterion with classes:
/// the greatest probability;
float confidence(const Criterion& criterion, const float* logits, size_t outputs);
/// the difference of the two greatest probabilities, 0 … 1, small where the model is in doubt (Settles, 2009, Active Learning Literature
/// Survey, section 3.1: margin sampling); |2p - 1| of two classes;
float margin(const Criterion& criterion, const float* logits, size_t outputs);
/// -sum p log p, in nats, 0 … log(classes), great where the model is in doubt (there too).
float entropy(const Criterion& criterion, const float* logits, size_t outputs);

/// E_ARGUMENT where the criterion has no classes; `what` was asked for `where`.
void require_classes(const Criterion& criterion, const char* where, const std::string& what);

}  // namespace sluice
