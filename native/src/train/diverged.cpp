#include "train/diverged.h"

#include "base/error.h"

namespace sluice {

void throw_diverged(const std::string& what, const std::string& samples, const Checkpointer& checkpoints) {
  const std::string kept = checkpoints.kept();
  throw Error(code::kDiverged, what + " on the batch with samples " + samples + "; a smaller learning rate, clipping or scaled features usually help; no model was written" +
                                   (kept.empty() ? "" : ", the last checkpoint is kept in " + kept));
}

}  // namespace sluice
