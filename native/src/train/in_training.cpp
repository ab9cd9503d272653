#include "train/in_training.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "base/error.h"
#include "base/least.h"
#include "base/rng.h"
#include "train/sample_scores.h"

namespace sluice {

namespace {

constexpr uint64_t kStream = uint64_t{2} << 32;

/// Rows of `width` values each.
template <typename T>
const T* gather_rows(const T* from, const std::vector<uint32_t>& rows, size_t width, std::vector<T>& to) {
  if (from == nullptr || width == 0) return nullptr;
  to.resize(rows.size() * width);
  for (size_t i = 0; i < rows.size(); ++i) std::copy_n(from + size_t{rows[i]} * width, width, to.data() + i * width);
  return to.data();
}

}  // namespace

BatchWidths batch_widths(const InputShape& shape) {
  const size_t values = std::accumulate(shape.values.begin(), shape.values.end(), size_t{shape.values.empty() ? 0U : 1U}, std::multiplies<>());
  return {shape.dense, shape.tables, values, shape.ids};
}

void check_in_training(const InTraining& options, const Criterion& criterion) {
  require(options.keep > 0.0F && options.keep <= 1.0F, "in-training selection: the share to keep", "above 0 up to 1", options.keep);
  require(options.every > 0, "in-training selection: every", "at least 1 epoch", 0);
  if (!options.active()) return;
  if (options.score == BatchScore::kDoubt) require_classes(criterion, "in-training selection", "margin");
  if (options.score == BatchScore::kEntropy) require_classes(criterion, "in-training selection", "entropy");
}

size_t kept_count(const InTraining& options, size_t of) {
  return std::max<size_t>(1, static_cast<size_t>(std::lround(static_cast<double>(options.keep) * static_cast<double>(of))));
}

/// Priority sampling (Duffield, Lund and Thorup, 2007, Priority sampling for estimation of arbitrary subset sums, J. ACM 54(6)): the
/// greatest w / u are taken, u uniform in (0, 1], and beside the greatest that is left, t, a row was taken with the probability
/// min(1, w / t). Any sum over the rows stays in expectation, whatever part is kept; ranks here are u / w.
void choose_by_score(const InTraining& options, const std::vector<float>& scores, size_t count, Rng& rng, std::vector<uint32_t>& chosen, std::vector<float>& factors) {
  const size_t rows = scores.size();
  const bool sampled = options.choice == BatchChoice::kSampled || options.score == BatchScore::kUniform;
  std::vector<double> share(rows);
  for (size_t r = 0; r < rows; ++r) share[r] = std::isfinite(scores[r]) ? std::max(1e-12, static_cast<double>(scores[r])) : 1e30;
  std::vector<double> rank(rows);
  for (size_t r = 0; r < rows; ++r) rank[r] = sampled ? (1.0 - rng.uniform()) / share[r] : -share[r];
  chosen.resize(rows);
  std::iota(chosen.begin(), chosen.end(), 0U);
  keep_least(chosen, count, [&](uint32_t row) { return rank[row]; });
  factors.assign(count, 1.0F);
  if (!sampled || options.score == BatchScore::kUniform || count == rows) return;
  std::vector<double> ordered = rank;
  std::nth_element(ordered.begin(), ordered.begin() + static_cast<std::ptrdiff_t>(count), ordered.end());
  const double first_left = ordered[count];
  const double kept = static_cast<double>(count) / static_cast<double>(rows);
  for (size_t i = 0; i < count; ++i) factors[i] = static_cast<float>(kept / std::min(1.0, share[chosen[i]] * first_left));
}

const std::vector<float>& BatchScorer::score(Model& model, const Batch& batch) {
  scores_.assign(batch.rows, 1.0F);
  if (score_ == BatchScore::kUniform) return scores_;
  Scores wanted;
  const size_t outputs = model.outputs();
  if (score_ == BatchScore::kLoss) {
    wanted.losses = scores_.data();
    model.score(batch, wanted);
    return scores_;
  }
  outputs_.resize(batch.rows * outputs);
  (score_ == BatchScore::kGradientNorm ? wanted.logit_gradients : wanted.logits) = outputs_.data();
  model.score(batch, wanted);
  for (size_t r = 0; r < batch.rows; ++r) {
    const float* row = outputs_.data() + r * outputs;
    if (score_ == BatchScore::kGradientNorm) scores_[r] = l2_norm(row, outputs);
    if (score_ == BatchScore::kDoubt) scores_[r] = 1.0F - margin(criterion_, row, outputs);
    if (score_ == BatchScore::kEntropy) scores_[r] = entropy(criterion_, row, outputs);
  }
  return scores_;
}

Batch BatchSelector::select(Model& model, const Batch& batch, uint64_t number) {
  if (!options_.active() || options_.of_set()) return batch;
  Rng rng(seed_, kStream + number);
  choose_by_score(options_, scorer_.score(model, batch), kept_count(options_, batch.rows), rng, chosen_, factors_);
  return gather(batch);
}

Batch BatchSelector::gather(const Batch& batch) {
  Batch part;
  part.rows = chosen_.size();
  part.dense = gather_rows(batch.dense, chosen_, widths_.dense, dense_);
  part.values = gather_rows(batch.values, chosen_, widths_.values, values_);
  part.ids = gather_rows(batch.ids, chosen_, widths_.ids, ids_);
  part.labels = gather_rows(batch.labels, chosen_, 1, labels_);
  part.keys = gather_rows(batch.keys, chosen_, 1, keys_);
  if (gather_rows(batch.weights, chosen_, 1, weights_) == nullptr) weights_.assign(part.rows, 1.0F);
  for (size_t i = 0; i < part.rows; ++i) weights_[i] *= factors_[i];
  part.weights = weights_.data();
  categorical_.resize(widths_.tables * part.rows);
  for (size_t t = 0; t < widths_.tables; ++t) {
    for (size_t i = 0; i < part.rows; ++i) categorical_[t * part.rows + i] = batch.categorical[t * batch.rows + chosen_[i]];
  }
  part.categorical = categorical_.data();
  return part;
}

}  // namespace sluice
