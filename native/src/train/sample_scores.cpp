#include "train/sample_scores.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace sluice {

namespace {

/// Of e^(x - greatest).
float exponential_sum(const float* logits, size_t outputs, float greatest) {
  float sum = 0.0F;
  for (size_t c = 0; c < outputs; ++c) sum += std::exp(logits[c] - greatest);
  return sum;
}

}  // namespace

float l2_norm(const float* values, size_t n) {
  if (n == 1) return std::fabs(values[0]);
  double sum = 0.0;
  for (size_t i = 0; i < n; ++i) sum += static_cast<double>(values[i]) * static_cast<double>(values[i]);
  return static_cast<float>(std::sqrt(sum));
}

float confidence(const Criterion& criterion, const float* logits, size_t outputs) {
  if (criterion.kind == Criterion::kBce) return 1.0F / (1.0F + std::exp(-std::fabs(logits[0])));
  return 1.0F / exponential_sum(logits, outputs, *std::max_element(logits, logits + outputs));
}

float margin(const Criterion& criterion, const float* logits, size_t outputs) {
  if (criterion.kind == Criterion::kBce) {
    const float other = std::exp(-std::fabs(logits[0]));  // of the greater probability
    return (1.0F - other) / (1.0F + other);
  }
  const float* greatest = std::max_element(logits, logits + outputs);
  float second = -INFINITY;
  for (size_t c = 0; c < outputs; ++c) {
    if (logits + c != greatest) second = std::max(second, logits[c]);
  }
  return -std::expm1(second - *greatest) / exponential_sum(logits, outputs, *greatest);
}

/// With d = x - greatest and S = sum e^d the probabilities are e^d / S: log S - sum d e^d / S.
float entropy(const Criterion& criterion, const float* logits, size_t outputs) {
  if (criterion.kind == Criterion::kBce) {
    const float size = std::fabs(logits[0]);
    const float other = std::exp(-size);
    return std::log1p(other) + (other > 0.0F ? size * other / (1.0F + other) : 0.0F);
  }
  const float greatest = *std::max_element(logits, logits + outputs);
  float sum = 0.0F;
  float weighted = 0.0F;
  for (size_t c = 0; c < outputs; ++c) {
    const float d = logits[c] - greatest;
    const float e = std::exp(d);
    sum += e;
    if (e > 0.0F) weighted += d * e;
  }
  return std::log(sum) - weighted / sum;
}

void require_classes(const Criterion& criterion, const char* where, const std::string& what) {
  if (criterion.regression()) throw Error(code::kArgument, std::string(where) + ": a regression has no " + what);
}

}  // namespace sluice
