#include "train/in_training.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "base/error.h"
#include "base/least.h"
#include "base/rng.h"

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

void check_in_training(const InTraining& options) {
  require(options.keep > 0.0F && options.keep <= 1.0F, "in-training selection: the share to keep", "above 0 up to 1", options.keep);
  require(options.every > 0, "in-training selection: every", "at least 1 epoch", 0);
}

size_t kept_count(const InTraining& options, size_t of) {
  return std::max<size_t>(1, static_cast<size_t>(std::lround(static_cast<double>(options.keep) * static_cast<double>(of))));
}

/// Sampling without replacement by keys u^(1/w), whose greatest are taken (Efraimidis and Spirakis, 2006): -log(u) / w is least.
void choose_by_score(const InTraining& options, const std::vector<float>& scores, size_t count, Rng& rng, std::vector<uint32_t>& chosen, std::vector<float>& factors) {
  const size_t rows = scores.size();
  const bool sampled = options.choice == BatchChoice::kSampled || options.score == BatchScore::kUniform;
  std::vector<double> share(rows);
  for (size_t r = 0; r < rows; ++r) share[r] = std::isfinite(scores[r]) ? std::max(1e-12, static_cast<double>(scores[r])) : 1e30;
  std::vector<double> rank(rows);
  for (size_t r = 0; r < rows; ++r) rank[r] = sampled ? -std::log(1.0 - rng.uniform()) / share[r] : -share[r];
  chosen.resize(rows);
  std::iota(chosen.begin(), chosen.end(), 0U);
  keep_least(chosen, count, [&](uint32_t row) { return rank[row]; });
  const double mean = std::accumulate(share.begin(), share.end(), 0.0) / static_cast<double>(rows);
  factors.assign(count, 1.0F);
  if (!sampled) return;
  for (size_t i = 0; i < count; ++i) factors[i] = static_cast<float>(mean / share[chosen[i]]);
}

const std::vector<float>& BatchScorer::score(Model& model, const Batch& batch) {
  scores_.assign(batch.rows, 1.0F);
  Scores wanted;
  if (score_ == BatchScore::kLoss) {
    wanted.losses = scores_.data();
    model.score(batch, wanted);
  } else if (score_ == BatchScore::kGradientNorm) {
    const size_t outputs = model.outputs();
    gradients_.resize(batch.rows * outputs);
    wanted.logit_gradients = gradients_.data();
    model.score(batch, wanted);
    for (size_t r = 0; r < batch.rows; ++r) {
      double sum = 0.0;
      for (size_t c = 0; c < outputs; ++c) sum += static_cast<double>(gradients_[r * outputs + c]) * static_cast<double>(gradients_[r * outputs + c]);
      scores_[r] = static_cast<float>(std::sqrt(sum));
    }
  }
  return scores_;
}

Batch BatchSelector::select(Model& model, const Batch& batch, uint64_t number) {
  if (!options_.active() || options_.mode != InTrainingMode::kBatchThenSample) return batch;
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
