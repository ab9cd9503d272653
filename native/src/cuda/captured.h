// Steps of one batch size as CUDA graphs.
#pragma once
#include <cstdint>
#include <map>
#include <utility>

#include "cuda/runtime.h"

namespace sluice::gpu {

class CapturedSteps {
 public:
  /// Rows of the batch, and whether they have weights.
  using Key = std::pair<size_t, bool>;

  /// Replays the step's graph where it was captured; otherwise does the work, and captures it when its batch size came often enough.
  template <typename Work>
  void run(const Key& key, const Work& work) {
    if (graphs_.count(key) == 0 && graphs_.size() == kGraphs) return work();
    Captured& captured = graphs_[key];
    if (++captured.seen <= kEagerSteps) return work();
    if (!captured.graph.captured()) captured.graph.capture(work);
    captured.graph.replay();
  }
  /// Memory that they read or write moved.
  void forget() { graphs_.clear(); }

 private:
  static constexpr uint32_t kEagerSteps = 2;  // they allocate what they need, and LibTorch chooses its algorithms
  static constexpr size_t kGraphs = 4;
  struct Captured {
    uint32_t seen = 0;
    Graph graph;
  };
  std::map<Key, Captured> graphs_;
};

}  // namespace sluice::gpu
