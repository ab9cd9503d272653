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

/// Where a row's gradients go; either may be null.
struct Gradients {
  float* scaled;  // of weight * share * loss
  float* own;     // of the loss
  double scale;
  void put(size_t c, double slope) const {
    if (scaled != nullptr) scaled[c] = static_cast<float>(scale * slope);
    if (own != nullptr) own[c] = static_cast<float>(slope);
  }
};

/// With smoothing s the target is (1 - s) * one-hot + s / classes (Szegedy et al., 2016), as in PyTorch.
double cross_entropy(const float* x, size_t classes, size_t label, double smoothing, const Gradients& gradients) {
  const double top = *std::max_element(x, x + classes);
  double total = 0.0;
  double sum = 0.0;
  for (size_t c = 0; c < classes; ++c) {
    total += std::exp(x[c] - top);
    sum += x[c];
  }
  const double log_sum = top + std::log(total);
  const double share = smoothing / static_cast<double>(classes);
  if (gradients.scaled != nullptr || gradients.own != nullptr) {
    for (size_t c = 0; c < classes; ++c) gradients.put(c, std::exp(x[c] - log_sum) - share - (c == label ? 1.0 - smoothing : 0.0));
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

/// What a pass over logits reads and fills; see criterion_loss().
struct Pass {
  const float* logits;
  size_t outputs;
  const float* labels;
  const float* weights;  // null: all 1
  double share;
  float* losses;         // what follows may be null
  float* grad;           // of weight * share * loss
  float* own_grad;       // of the loss
};

/// Sum of weight * loss over rows [begin, end).
double rows_loss(const Criterion& criterion, const Pass& pass, size_t begin, size_t end) {
  double total = 0.0;
  for (size_t r = begin; r < end; ++r) {
    const double weight = pass.weights == nullptr ? 1.0 : pass.weights[r];
    const auto row = [&](float* gradients) { return gradients == nullptr ? nullptr : gradients + r * pass.outputs; };
    const Gradients gradients{row(pass.grad), row(pass.own_grad), weight * pass.share};
    double loss = 0.0;
    if (criterion.kind == Criterion::kCrossEntropy) {
      loss = cross_entropy(pass.logits + r * pass.outputs, pass.outputs, static_cast<size_t>(pass.labels[r]), criterion.label_smoothing, gradients);
    } else if (criterion.kind == Criterion::kBce) {
      const double x = pass.logits[r];
      loss = bce(x, pass.labels[r]);
      if (gradients.scaled != nullptr || gradients.own != nullptr) gradients.put(0, 1.0 / (1.0 + std::exp(-x)) - pass.labels[r]);
    } else {
      const auto [value, slope] = regression(criterion, static_cast<double>(pass.logits[r]) - static_cast<double>(pass.labels[r]));
      loss = value;
      gradients.put(0, slope);
    }
    if (pass.losses != nullptr) pass.losses[r] = static_cast<float>(loss);
    total += weight * loss;
  }
  return total;
}

constexpr size_t kBlockRows = 512;

/// In blocks of fixed size, added in order: the sum does not depend on the number of threads.
double blocks_loss(const Criterion& criterion, const Pass& pass, size_t rows) {
  std::vector<double> sums((rows + kBlockRows - 1) / kBlockRows);
  parallel_for(sums.size(), 1, [&](size_t begin, size_t end) {
    for (size_t b = begin; b < end; ++b) {
      sums[b] = rows_loss(criterion, pass, b * kBlockRows, std::min(rows, (b + 1) * kBlockRows));
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
  return blocks_loss(criterion, {logits, outputs, labels, weights, static_cast<double>(share) / n, losses, grad, nullptr}, rows) / n;
}

double criterion_loss(const Criterion& criterion, const float* logits, const Batch& batch, size_t outputs, const Scores& scores, float* grad, float share) {
  if (scores.logits != nullptr) std::copy_n(logits, batch.rows * outputs, scores.logits);
  const auto n = static_cast<double>(batch.rows);
  return blocks_loss(criterion, {logits, outputs, batch.labels, batch.weights, static_cast<double>(share) / n, scores.losses, grad, scores.logit_gradients}, batch.rows) / n;
}

void score_logits(const Criterion& criterion, const float* logits, const Batch& batch, size_t outputs, const Scores& scores) {
  if (scores.logits != nullptr) std::copy_n(logits, batch.rows * outputs, scores.logits);
  if (scores.losses == nullptr && scores.logit_gradients == nullptr) return;
  blocks_loss(criterion, {logits, outputs, batch.labels, nullptr, 1.0, scores.losses, nullptr, scores.logit_gradients}, batch.rows);
}

}  // namespace sluice
