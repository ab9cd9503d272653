#include "train/criterion.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "train/compute.h"

namespace sluice {

namespace {

/// log(1 + e^x) - y x, computed without overflow.
double bce(double x, double y) { return std::max(x, 0.0) - x * y + std::log1p(std::exp(-std::abs(x))); }

/// With smoothing s the target is (1 - s) * one-hot + s / classes (Szegedy et al., 2016), as in PyTorch.
double cross_entropy(const float* x, size_t classes, size_t label, double smoothing, float* grad, double scale) {
  const double top = *std::max_element(x, x + classes);
  double total = 0.0;
  double sum = 0.0;
  for (size_t c = 0; c < classes; ++c) {
    total += std::exp(x[c] - top);
    sum += x[c];
  }
  const double log_sum = top + std::log(total);
  const double share = smoothing / static_cast<double>(classes);
  if (grad != nullptr) {
    for (size_t c = 0; c < classes; ++c) {
      grad[c] = static_cast<float>(scale * (std::exp(x[c] - log_sum) - share - (c == label ? 1.0 - smoothing : 0.0)));
    }
  }
  return log_sum - (1.0 - smoothing) * x[label] - share * sum;
}

/// The loss of an error (prediction - label) and its slope there.
std::pair<double, double> regression(const Criterion& criterion, double error) {
  const double size = std::abs(error);
  const double sign = error > 0.0 ? 1.0 : error < 0.0 ? -1.0 : 0.0;
  if (criterion.kind == Criterion::kMse) return {error * error, 2.0 * error};
  if (criterion.kind == Criterion::kL1) return {size, sign};
  const double delta = criterion.delta;
  if (size <= delta) return {0.5 * error * error, error};
  return {delta * (size - 0.5 * delta), delta * sign};
}

/// Sum of weight * loss over rows [begin, end); see criterion_loss().
double rows_loss(const Criterion& criterion, const float* logits, size_t begin, size_t end, double share, size_t outputs, const float* labels,
                 const float* weights, float* losses, float* grad) {
  double total = 0.0;
  for (size_t r = begin; r < end; ++r) {
    const double weight = weights == nullptr ? 1.0 : weights[r];
    const double scale = weight * share;
    double loss = 0.0;
    if (criterion.kind == Criterion::kCrossEntropy) {
      loss = cross_entropy(logits + r * outputs, outputs, static_cast<size_t>(labels[r]), criterion.label_smoothing,
                           grad == nullptr ? nullptr : grad + r * outputs, scale);
    } else if (criterion.kind == Criterion::kBce) {
      const double x = logits[r];
      loss = bce(x, labels[r]);
      if (grad != nullptr) grad[r] = static_cast<float>(scale * (1.0 / (1.0 + std::exp(-x)) - labels[r]));
    } else {
      const auto [value, slope] = regression(criterion, static_cast<double>(logits[r]) - static_cast<double>(labels[r]));
      loss = value;
      if (grad != nullptr) grad[r] = static_cast<float>(scale * slope);
    }
    if (losses != nullptr) losses[r] = static_cast<float>(loss);
    total += weight * loss;
  }
  return total;
}

constexpr size_t kBlockRows = 512;

/// In blocks of fixed size, added in order: the sum does not depend on the number of threads.
double blocks_loss(const Criterion& criterion, const float* logits, size_t rows, double share, size_t outputs, const float* labels,
                   const float* weights, float* losses, float* grad) {
  std::vector<double> sums((rows + kBlockRows - 1) / kBlockRows);
  parallel_for(sums.size(), 1, [&](size_t begin, size_t end) {
    for (size_t b = begin; b < end; ++b) {
      sums[b] = rows_loss(criterion, logits, b * kBlockRows, std::min(rows, (b + 1) * kBlockRows), share, outputs, labels, weights, losses, grad);
    }
  });
  return std::accumulate(sums.begin(), sums.end(), 0.0);
}

}  // namespace

void check_criterion(const Criterion& criterion) {
  require(criterion.label_smoothing >= 0.0F && criterion.label_smoothing <= 1.0F, "label smoothing", "0 to 1", criterion.label_smoothing);
  if (criterion.label_smoothing != 0.0F && criterion.kind != Criterion::kCrossEntropy) throw Error(code::kArgument, "label smoothing belongs to cross-entropy");
  require(criterion.delta > 0.0F && std::isfinite(criterion.delta), "delta of the Huber loss", "a number above 0", criterion.delta);
}

void check_label(const Criterion& criterion, float label, uint64_t key, size_t outputs) {
  const auto fail = [&](const std::string& what) {
    throw Error(code::kLabelRange, "sample " + std::to_string(key) + ": label " + std::to_string(label) + " is " + what);
  };
  if (criterion.regression()) {
    if (!std::isfinite(label)) fail("no finite number");
    return;
  }
  const size_t classes = std::max<size_t>(2, outputs);
  if (!(label >= 0.0F && label < static_cast<float>(classes)) || label != std::floor(label)) {
    fail("none of the classes 0 to " + std::to_string(classes - 1));
  }
}

double criterion_loss(const Criterion& criterion, const float* logits, size_t rows, size_t outputs, const float* labels,
                      const float* weights, float* losses, float* grad, float share) {
  const auto n = static_cast<double>(rows);
  return blocks_loss(criterion, logits, rows, static_cast<double>(share) / n, outputs, labels, weights, losses, grad) / n;
}

void score_logits(const Criterion& criterion, const float* logits, const Batch& batch, size_t outputs, const Scores& scores) {
  if (scores.logits != nullptr) std::copy_n(logits, batch.rows * outputs, scores.logits);
  if (scores.losses == nullptr && scores.logit_gradients == nullptr) return;
  blocks_loss(criterion, logits, batch.rows, 1.0, outputs, batch.labels, nullptr, scores.losses, scores.logit_gradients);
}

}  // namespace sluice
