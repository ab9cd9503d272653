// What is known of ids and numbers: the log, and which of its events are settled.
#pragma once
#include <cstdint>
#include <limits>
#include <string_view>

#include "waiting/log.h"
#include "waiting/waiting.h"

namespace sluice {

inline constexpr float kNoLabel = std::numeric_limits<float>::quiet_NaN();

/// Of a sample, or of a label that waits for one (kEarly). kPast: its window has passed, or it was removed.
struct Known {
  enum class State : uint8_t { kUnknown, kWaits, kLabelled, kPast, kEarly } state = State::kUnknown;
  float label = kNoLabel;
};

struct WaitingState {
  EventLog log;
  uint64_t expired;  // events before this one are settled
  WaitingCounts counts;

  /// Whether an event was settled before `now`; marks by later ones are left from a process that was killed.
  bool is_settled(uint64_t number, uint64_t now) const {
    const uint64_t by = log.mark(number).by;
    return number < expired || (by != 0 && by < now);
  }
  /// Whether it waits for a label or a sample, as things stand.
  bool is_waiting(uint64_t number) const;
  Known look_up(std::string_view id) const;
  Known look_up(uint64_t number) const;

 private:
  Known known_of(const Event& sample) const;
};

}  // namespace sluice
