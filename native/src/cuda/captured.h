// Steps of one batch size as CUDA graphs.
#pragma once
#include <compare>
#include <cstdint>
#include <map>

#include "cuda/runtime.h"

namespace sluice::gpu {

/// What the kernels of a step depend on.
struct StepKey {
  size_t rows;
  bool weighted;
  uint32_t form = 0;  // of the pass (TorchTraining::Pass)
  auto operator<=>(const StepKey&) const = default;
};

class CapturedSteps {
 public:
  /// Replays the step's graph where it was captured; otherwise does the work, and captures it when its like came often enough.
  template <typename Work>
  void run(const StepKey& key, const Work& work) {
    if (graphs_.count(key) == 0 && graphs_.size() == kGraphs) return work();
    Captured& captured = graphs_[key];
    if (++captured.seen <= kEagerSteps) return work();
    if (!captured.graph.captured()) captured.graph.capture(work, any_captured());
    captured.graph.replay();
  }
  /// Memory that they read or write moved.
  void forget() { graphs_.clear(); }

 private:
  static constexpr uint32_t kEagerSteps = 2;  // they allocate what they need, and LibTorch chooses its algorithms
  static constexpr size_t kGraphs = 20;       // texts of up to 512 tokens in steps of 32, and the last batches of epochs
  struct Captured {
    uint32_t seen = 0;
    Graph graph;
  };

  const Graph* any_captured() const {
    for (const auto& [key, captured] : graphs_) {
      if (captured.graph.captured()) return &captured.graph;
    }
    return nullptr;
  }

  std::map<StepKey, Captured> graphs_;
};

}  // namespace sluice::gpu
