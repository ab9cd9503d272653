#include "waiting/state.h"

#include <cmath>

namespace sluice {

using State = Known::State;

bool WaitingState::is_waiting(uint64_t number) const {
  const EventKind kind = log.event(number).head().kind;
  return (kind == EventKind::kSample || kind == EventKind::kLabel) && !is_settled(number, log.end());
}

Known WaitingState::known_of(const Event& sample) const {
  const uint64_t number = sample.head().number;
  if (!is_settled(number, log.end())) return {State::kWaits, kNoLabel};
  const Mark& settled = log.mark(number);
  if (settled.by == 0 || std::isnan(settled.label)) return {State::kPast, kNoLabel};
  const bool expired_unlabelled = log.has(settled.by) && log.event(settled.by).head().kind == EventKind::kExpiry;
  return expired_unlabelled ? Known{State::kPast, kNoLabel} : Known{State::kLabelled, settled.label};
}

Known WaitingState::look_up(std::string_view id) const {
  if (const Event sample = log.find(EventKind::kSample, id, log.end())) return known_of(sample);
  if (counts.early == 0) return {};
  const Event label = log.find(EventKind::kLabel, id, log.end());
  return label && !is_settled(label.head().number, log.end()) ? Known{State::kEarly, label.head().label} : Known{};
}

Known WaitingState::look_up(uint64_t number) const {
  if (number >= 1 && number < log.begin()) return {State::kPast, kNoLabel};
  if (!log.has(number)) return {};
  const Event event = log.event(number);
  return event.head().kind == EventKind::kSample ? known_of(event) : Known{};
}

}  // namespace sluice
