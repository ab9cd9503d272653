// A training's state between two steps, so that it can go on after the process was killed and end with the same weights.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "train/model.h"

namespace sluice {

/// Running sums of the training loop.
struct LoopState {
  uint64_t updates = 0;  // optimizer steps
  uint64_t batches = 0;
  uint64_t samples = 0;
  double epoch_loss = 0.0;  // sum over the batches of the epoch that goes on
  uint64_t epoch_batches = 0;
  double best_loss = 0.0;  // of early stopping
  uint32_t epochs_without_gain = 0;
  bool has_best = false;
};

/// Writes the model, its optimizer state, `best` (the best parameters so far, empty without early stopping) and the loop's
/// state, atomically and durably. `plan` tells which training it belongs to.
void save_checkpoint(const std::string& path, const std::string& plan, Model& model, std::vector<std::vector<float>>& best, const LoopState& state);

/// The state of the checkpoint at `path`, after its tensors have been loaded into the model and `best`; empty when there is
/// none, when it is damaged, or when it belongs to another plan: the training then begins anew.
std::optional<LoopState> load_checkpoint(const std::string& path, const std::string& plan, Model& model, std::vector<std::vector<float>>& best);

}  // namespace sluice
