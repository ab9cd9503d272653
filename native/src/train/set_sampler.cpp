#include "train/set_sampler.h"

#include <algorithm>
#include <utility>

#include "base/rng.h"

namespace sluice {

namespace {

constexpr uint64_t kStream = uint64_t{3} << 32;

}  // namespace

void ChosenSet::get(const uint32_t* positions, size_t n, uint64_t* keys, float* weights) const {
  std::vector<uint32_t> at(n);
  for (size_t i = 0; i < n; ++i) at[i] = positions_[positions[i]];
  whole_.get(at.data(), n, keys, weights);
  if (weights == nullptr) return;
  for (size_t i = 0; i < n; ++i) weights[i] *= factors_[positions[i]];
}

SetSampler::SetSampler(const InTraining& options, const Criterion& criterion, const TrainSet& set, std::vector<uint32_t> entries, uint64_t seed)
    : options_(options), criterion_(criterion), set_(set), entries_(std::move(entries)), seed_(seed), chosen_(set_, positions_, factors_) {
  if (!active()) return;
  const size_t count = kept_count(options_, entries_.empty() ? set_.size() : entries_.size());
  positions_.resize(count);
  factors_.assign(count, 1.0F);
}

void SetSampler::choose(Model& model, Loader& all, uint64_t epoch, const StopFlag& stop) {
  std::vector<float> scores;
  scores.reserve(all.samples_per_epoch());
  BatchScorer scorer(options_.score, criterion_);
  if (options_.score == BatchScore::kUniform) {
    scores.assign(all.samples_per_epoch(), 1.0F);
  } else {
    while (const Batch* batch = all.next()) {
      stop.check();
      const std::vector<float>& of_batch = scorer.score(model, *batch);
      scores.insert(scores.end(), of_batch.begin(), of_batch.end());
    }
  }
  Rng rng(seed_, kStream + epoch);
  choose_by_score(options_, scores, positions_.size(), rng, positions_, factors_);
  if (entries_.empty()) return;
  for (uint32_t& position : positions_) position = entries_[position];
}

bool SetSampler::sound() const {
  return std::all_of(positions_.begin(), positions_.end(), [&](uint32_t position) { return position < set_.size(); });
}

/// Positions as the bits of floats: a checkpoint copies values without looking at them.
std::vector<NamedTensor> SetSampler::tensors() {
  if (!active()) return {};
  const std::vector<int64_t> shape{static_cast<int64_t>(positions_.size())};
  static_assert(sizeof(uint32_t) == sizeof(float));
  return {{"chosen.positions", shape, reinterpret_cast<float*>(positions_.data())}, {"chosen.factors", shape, factors_.data()}};
}

}  // namespace sluice
