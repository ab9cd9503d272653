// A training's state between two steps, so that it can go on after the process was killed and end with the same weights.
#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
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

struct Checkpoints {
  std::string path;            // empty: none
  uint64_t every_steps = 0;    // 0: not by steps
  double every_seconds = 0.0;  // 0: not by time
};

class Checkpointer {
 public:
  /// `plan` tells which training the checkpoint belongs to.
  Checkpointer(Checkpoints when, std::string plan) : when_(std::move(when)), plan_(std::move(plan)) {}

  /// The state of the checkpoint, after its tensors have been loaded into the model and into `more` (what else is kept, as
  /// views); empty when there is none, when it is damaged, or when it belongs to another plan: the training then begins anew.
  std::optional<LoopState> load(Model& model, const std::vector<NamedTensor>& more) const;
  /// Whether it is time to save after so many optimizer steps.
  bool due(uint64_t updates) const;
  /// Writes the model, its optimizer state, `more` and the loop's state, atomically and durably.
  void save(Model& model, const std::vector<NamedTensor>& more, const LoopState& state);
  /// The training has ended: nothing is to be gone on with.
  void remove() const;
  /// The checkpoint's path if there is one.
  std::string kept() const;

 private:
  Checkpoints when_;
  std::string plan_;
  std::chrono::steady_clock::time_point saved_ = std::chrono::steady_clock::now();
};

}  // namespace sluice
