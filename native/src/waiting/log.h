// The log of waiting samples as a whole: its parts in order, and lookups over all of them.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "waiting/part.h"

namespace sluice {

class EventLog {
 public:
  /// `next`: number of the first event that is to be processed (again). E_CORRUPT where parts are damaged or missing.
  EventLog(std::string folder, uint64_t record_bytes, uint64_t next);

  /// Number of the event that would come next.
  uint64_t end() const { return parts_.empty() ? next_ : parts_.rbegin()->second->end(); }
  /// The oldest event that is still there, or end().
  uint64_t begin() const { return parts_.empty() ? next_ : parts_.begin()->first; }
  bool has(uint64_t number) const { return !parts_.empty() && number >= begin() && number < end(); }
  /// The event behind the oldest part; without parts beyond all.
  uint64_t first_end() const { return parts_.empty() ? UINT64_MAX : parts_.begin()->second->end(); }
  size_t parts() const { return parts_.size(); }
  /// Arrival of the newest event; ms.
  int64_t last_arrived() const { return last_arrived_; }

  /// Of events that are there.
  Event event(uint64_t number) const { return part_of(number).event(number); }
  Mark& mark(uint64_t number) const { return part_of(number).mark(number); }
  std::string_view id_of(const Event& event) const { return event.id(record_bytes_); }

  /// Appends a block durably, in a new part where the newest has no room.
  void append(const std::vector<uint8_t>& block, uint64_t events, int64_t arrived);
  /// Lets find() find an event by its id.
  void add(const Event& event);
  /// The newest event of the kind with this id before `before`.
  Event find(EventKind kind, std::string_view id, uint64_t before) const;
  /// The event was processed: the notes of its block, if it ends with it.
  std::optional<std::string_view> pass(uint64_t number) { return part_of(number).pass(number); }

  /// Whether there are full parts whose table is not written yet.
  bool has_full_parts() const;
  /// Whether the newest part takes events, and when it began.
  bool is_open() const { return !parts_.empty() && !parts_.rbegin()->second->sealed(); }
  int64_t open_since() const { return parts_.rbegin()->second->began(); }
  /// Makes marks durable that may have changed: those of parts with events from `settled` on.
  void sync_marks(uint64_t settled) const;
  /// Writes the tables of full parts; of the newest one, too, where it is to be closed.
  void seal(bool newest);
  /// Removes full parts without an event from `settled` on.
  void remove_before(uint64_t settled);

 private:
  LogPart& part_of(uint64_t number) const { return *std::prev(parts_.upper_bound(number))->second; }
  void fill_tables();

  std::string folder_;
  uint64_t record_bytes_, next_;
  int64_t last_arrived_ = 0;
  std::map<uint64_t, std::unique_ptr<LogPart>> parts_;  // by their first event
};

}  // namespace sluice
