// In-training selection, batch then sample: every batch is scored by a forward pass and only a part of it is trained on
// (Katharopoulos and Fleuret, 2018, arXiv 1803.00942, for importance sampling by gradient norm; Böther et al., 2025, for
// the place of such policies in a training).
#pragma once
#include <cstdint>
#include <vector>

#include "base/rng.h"
#include "train/features.h"
#include "train/model.h"

namespace sluice {

/// kDoubt: 1 - margin, kEntropy: of the predictive distribution (sample_scores.h); both need a criterion with classes.
enum class BatchScore : uint8_t { kUniform, kLoss, kGradientNorm, kDoubt, kEntropy };
enum class BatchChoice : uint8_t { kSampled, kGreatest };
enum class InTrainingMode : uint8_t { kBatchThenSample, kSampleThenBatch };  // the latter: set_sampler.h

struct InTraining {
  float keep = 1.0F;  // share of each batch, or of the set, that is trained on, above 0; 1: no selection
  BatchScore score = BatchScore::kGradientNorm;
  /// kSampled: without replacement, with probabilities p that rise with the scores, in proportion where that leaves them below 1;
  /// losses are weighted by 1 / p, which keeps the expected gradient. kGreatest: those with the greatest scores, unweighted.
  BatchChoice choice = BatchChoice::kSampled;
  InTrainingMode mode = InTrainingMode::kBatchThenSample;
  uint32_t every = 1;  // epochs between two scoring passes over the set
  bool active() const { return keep < 1.0F; }
  /// Whether the set is scored as a whole.
  bool of_set() const { return active() && mode == InTrainingMode::kSampleThenBatch; }
};

/// How many of so many are kept, at least one.
size_t kept_count(const InTraining& options, size_t of);

/// Chooses `count` rows by their scores into `chosen`, ascending, with the factors that their weights get. A score that is no
/// number counts as the greatest: the step will tell.
void choose_by_score(const InTraining& options, const std::vector<float>& scores, size_t count, Rng& rng, std::vector<uint32_t>& chosen, std::vector<float>& factors);

/// Scores the rows of batches by a forward pass.
class BatchScorer {
 public:
  BatchScorer(BatchScore score, const Criterion& criterion) : score_(score), criterion_(criterion) {}
  /// Valid until the next call.
  const std::vector<float>& score(Model& model, const Batch& batch);

 private:
  BatchScore score_;
  Criterion criterion_;
  std::vector<float> scores_, outputs_;  // logits, or gradients there
};

/// Widths of a batch's rows.
struct BatchWidths {
  size_t dense = 0;
  size_t tables = 0;
  size_t values = 0;
  size_t ids = 0;
};
BatchWidths batch_widths(const InputShape& shape);

/// Throws E_ARGUMENT for a share outside (0, 1], or a score that only classes have for a regression.
void check_in_training(const InTraining& options, const Criterion& criterion = {});

class BatchSelector {
 public:
  BatchSelector(const InTraining& options, const BatchWidths& widths, uint64_t seed, const Criterion& criterion = {})
      : options_(options), widths_(widths), seed_(seed), scorer_(options.score, criterion) {}

  /// The part of the batch to train on, valid until the next call. The choice depends on the seed and `number`, the batch's
  /// place in the training.
  Batch select(Model& model, const Batch& batch, uint64_t number);

 private:
  Batch gather(const Batch& batch);

  InTraining options_;
  BatchWidths widths_;
  uint64_t seed_;
  BatchScorer scorer_;
  std::vector<uint32_t> chosen_;  // ascending
  std::vector<float> factors_;    // by which a chosen row's weight is multiplied
  std::vector<float> dense_, values_, labels_, weights_;
  std::vector<int32_t> categorical_, ids_;
  std::vector<uint64_t> keys_;
};

}  // namespace sluice
