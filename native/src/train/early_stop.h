// Early stopping: a part of the set is held out by a hash of the seed; after every epoch the loss on it decides whether to
// go on. The model that is written is the one of the epoch with the least loss.
#pragma once
#include <cstdint>
#include <vector>

#include "base/stop.h"
#include "train/checkpoint.h"
#include "train/loader.h"
#include "train/model.h"

namespace sluice {

struct EarlyStop {
  float held_out = 0.0F;    // share of the set, 0 (no early stop) to below 1
  uint32_t patience = 1;    // epochs without a gain before the training ends
  float least_gain = 0.0F;  // what counts as one
};

class EarlyStopping {
 public:
  EarlyStopping(const EarlyStop& options, Model& model);

  bool active() const { return options_.held_out > 0.0F; }
  bool ended(const LoopState& state) const { return active() && state.epochs_without_gain >= options_.patience; }
  /// Takes the loss on the held-out samples after an epoch into account.
  void end_epoch(double loss, LoopState& state);
  /// Views of the best parameters so far, for a checkpoint; none where it is not active.
  std::vector<NamedTensor> tensors();
  /// Puts the best parameters into the model.
  void restore_best();

 private:
  EarlyStop options_;
  Model& model_;
  std::vector<std::vector<float>> best_;
};

/// Mean loss of the samples that the loader reads, once. E_ABORTED; a loss that is no number ends in E_DIVERGED with samples.
double mean_loss(Model& model, Loader& loader, const Checkpointer& checkpoints, const StopFlag& stop);

}  // namespace sluice
