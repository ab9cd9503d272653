// In-training selection, sample then batch: every few epochs a forward pass scores the whole set, a part of it is chosen by
// the scores, and the epochs until the next pass read that part alone (Böther et al., 2025; scores as in in_training.h).
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/stop.h"
#include "train/in_training.h"
#include "train/loader.h"
#include "trainset/trainset.h"

namespace sluice {

/// The entries of a set at the positions given, their weights multiplied by factors.
class ChosenSet final : public TrainSet {
 public:
  ChosenSet(const TrainSet& whole, const std::vector<uint32_t>& positions, const std::vector<float>& factors) : whole_(whole), positions_(positions), factors_(factors) {}
  uint64_t size() const override { return positions_.size(); }
  bool weighted() const override { return true; }
  void get(const uint32_t* positions, size_t n, uint64_t* keys, float* weights) const override;

 private:
  const TrainSet& whole_;
  const std::vector<uint32_t>& positions_;
  const std::vector<float>& factors_;
};

class SetSampler {
 public:
  /// `entries`: positions that training may read; empty: all of the set.
  SetSampler(const InTraining& options, const Criterion& criterion, const TrainSet& set, std::vector<uint32_t> entries, uint64_t seed);

  bool active() const { return options_.of_set(); }
  /// What training reads: the chosen part, or the set itself where nothing is chosen.
  const TrainSet& set() const { return active() ? static_cast<const TrainSet&>(chosen_) : set_; }
  /// Whether the part for this epoch is still to be chosen.
  bool due(uint64_t epoch) const { return active() && epoch % options_.every == 0; }
  /// The epoch for which the next part is chosen.
  uint64_t next_choice(uint64_t epoch) const { return (epoch / options_.every + 1) * options_.every; }
  /// Scores the samples that `all` reads, all entries in their order, and chooses. E_ABORTED.
  void choose(Model& model, Loader& all, uint64_t epoch, const StopFlag& stop);
  /// Whether the choice lies within the set, after a checkpoint was loaded into it.
  bool sound() const;
  /// Views of the choice, for a checkpoint; none where it is not active.
  std::vector<NamedTensor> tensors();

 private:
  InTraining options_;
  Criterion criterion_;
  const TrainSet& set_;
  std::vector<uint32_t> entries_;
  uint64_t seed_;
  std::vector<uint32_t> positions_;
  std::vector<float> factors_;
  ChosenSet chosen_;
};

}  // namespace sluice
