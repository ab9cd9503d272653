// Dynamic loss scaling for fp16 (Micikevicius et al., 2018, arXiv 1710.03740), with torch.amp.GradScaler's numbers: the
// scale halves, and the step is left out, when a gradient is not finite; it doubles after 2,000 sound steps.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "train/model.h"

namespace sluice {

class LossScale {
 public:
  explicit LossScale(bool active) : state_{active ? 65536.0F : 1.0F, 0.0F, 0.0F}, active_(active) {}

  bool active() const { return active_; }
  /// What the gradient at the logits is multiplied by.
  float scale() const { return state_[0]; }
  /// Steps that were left out: optimizers have taken so many fewer than the loop has.
  uint64_t left_out() const { return static_cast<uint64_t>(state_[2]); }
  /// Tells whether the step's gradients were finite; false: the caller leaves the step out.
  bool update(bool finite) {
    if (!active_) return true;
    if (!finite) {
      state_[0] *= 0.5F;
      state_[1] = 0.0F;
      state_[2] += 1.0F;
    } else if (++state_[1] >= 2000.0F) {
      state_[0] *= 2.0F;
      state_[1] = 0.0F;
    }
    return finite;
  }
  /// Its numbers, as a checkpoint keeps them; nothing where it is not active.
  void append_state(std::vector<NamedTensor>& all) {
    if (active_) all.push_back({"loss_scale", {3}, state_});
  }

 private:
  float state_[3];  // the scale, sound steps since it changed, steps left out
  bool active_;
};

}  // namespace sluice
