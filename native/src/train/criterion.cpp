#include "train/criterion.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "train/compute.h"

namespace sluice {

namespace {

/// log(1 + e^x) - y x, computed without overflow.
double bce(double x, double y) { return std::max(x, 0.0) - x * y + std::log1p(std::exp(-std::abs(x))); }

double cross_entropy(const float* x, size_t classes, size_t label, float* grad, double scale) {
  const double top = *std::max_element(x, x + classes);
  double total = 0.0;
  for (size_t c = 0; c < classes; ++c) total += std::exp(x[c] - top);
  const double log_sum = top + std::log(total);
  if (grad != nullptr) {
    for (size_t c = 0; c < classes; ++c) {
      grad[c] = static_cast<float>(scale * (std::exp(x[c] - log_sum) - (c == label ? 1.0 : 0.0)));
    }
  }
  return log_sum - x[label];
}

/// Sum of weight * loss over rows [begin, end); see criterion_loss().
double rows_loss(Criterion criterion, const float* logits, size_t begin, size_t end, size_t rows, size_t outputs, const float* labels,
                 const float* weights, float* losses, float* grad) {
  double total = 0.0;
  for (size_t r = begin; r < end; ++r) {
    const double weight = weights == nullptr ? 1.0 : weights[r];
    const double scale = weight / static_cast<double>(rows);
    double loss = 0.0;
    if (criterion == Criterion::kBce) {
      const double x = logits[r];
      loss = bce(x, labels[r]);
      if (grad != nullptr) grad[r] = static_cast<float>(scale * (1.0 / (1.0 + std::exp(-x)) - labels[r]));
    } else {
      loss = cross_entropy(logits + r * outputs, outputs, static_cast<size_t>(labels[r]),
                           grad == nullptr ? nullptr : grad + r * outputs, scale);
    }
    if (losses != nullptr) losses[r] = static_cast<float>(loss);
    total += weight * loss;
  }
  return total;
}

constexpr size_t kBlockRows = 512;

}  // namespace

double criterion_loss(Criterion criterion, const float* logits, size_t rows, size_t outputs, const float* labels,
                      const float* weights, float* losses, float* grad) {
  // Blocks of fixed size, added in order: the sum does not depend on the number of threads.
  std::vector<double> sums((rows + kBlockRows - 1) / kBlockRows);
  parallel_for(sums.size(), 1, [&](size_t begin, size_t end) {
    for (size_t b = begin; b < end; ++b) {
      sums[b] = rows_loss(criterion, logits, b * kBlockRows, std::min(rows, (b + 1) * kBlockRows), rows, outputs, labels, weights, losses, grad);
    }
  });
  return std::accumulate(sums.begin(), sums.end(), 0.0) / static_cast<double>(rows);
}

}  // namespace sluice
