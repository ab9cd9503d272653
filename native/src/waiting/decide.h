// Decides on requests in their order, before anything of them is written: each is taken as a whole or refused.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "waiting/state.h"
#include "waiting/waiting.h"

namespace sluice {

class Decisions {
 public:
  /// All that was appended must have been processed.
  Decisions(const WaitingState& state, const WaitingBatch& batch) : state_(state), batch_(batch) {}

  /// On samples [sample, sample + request.samples) and labels [label, label + request.labels) of the batch. `kept`: labels that tell
  /// something new. E_ARGUMENT for an id that is too long or empty.
  WaitingAnswer decide(const WaitingBatch::Request& request, uint64_t sample, uint64_t label, std::vector<uint64_t>& kept);

 private:
  /// Of an id in the requests so far.
  struct Fresh {
    float label;
    bool sample;
  };

  /// False where the request is refused.
  bool decide_samples(uint64_t first, uint64_t rows, WaitingAnswer& answer);
  bool decide_labels(uint64_t first, uint64_t rows, std::vector<uint64_t>& kept, WaitingAnswer& answer);
  void note(std::string_view id, Fresh value);
  void undo();

  const WaitingState& state_;
  const WaitingBatch& batch_;
  std::unordered_map<std::string_view, Fresh> fresh_;
  std::vector<std::pair<std::string_view, std::optional<Fresh>>> changes_;  // by the request, and what was there before
};

}  // namespace sluice
