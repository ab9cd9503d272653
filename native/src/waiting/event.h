// What the log of waiting samples holds: events with consecutive numbers from 1 on. Each is a record:
//
//   head (below), the sample's columns as in a dataset's record, the id, filled up to a multiple of 8 bytes
//
// The events of one append make a block, which counts as a whole or not at all:
//
//   block header, notes (what the caller wants to be told again), records
#pragma once
#include <cstdint>
#include <cstring>
#include <string_view>

namespace sluice {

enum class EventKind : uint16_t {
  kSample = 1,   // that waits for its label, or came with it
  kLabel = 2,    // for the sample with this id or, without one, with the number `target`
  kExpiry = 3,   // everything before `target` that is unsettled waited too long; label: what samples get, NaN: they are dropped
  kRemoval = 4,  // unsettled samples with `time` <= time < `until`, or the one with this id, are dropped
};

struct EventHead {
  uint32_t crc;  // of the record behind this field
  EventKind kind;
  uint16_t id_bytes;
  uint64_t number;
  int64_t arrived;  // ms since 1970, by the clock of this machine; never decreases
  int64_t time;     // ms since 1970: of the sample, of its labelling
  uint64_t target;  // a number; of kRemoval the bits of `until`
  float label;      // NaN: none
  uint32_t bytes;   // of the whole record
};
static_assert(sizeof(EventHead) == 48);

struct BlockHeader {
  uint32_t magic;
  uint32_t crc;  // of the fields below and the notes
  uint64_t first;
  uint64_t bytes;  // of the records
  uint32_t events;
  uint32_t note_bytes;
};
static_assert(sizeof(BlockHeader) == 32);

inline constexpr uint32_t kBlockMagic = 0x31574c53;  // "SLW1"
inline constexpr size_t kMaxIdBytes = 256;

constexpr uint64_t padded(uint64_t bytes) { return (bytes + 7) / 8 * 8; }

/// A record where it lies in the log.
class Event {
 public:
  Event() = default;
  explicit Event(const uint8_t* at) : at_(at) {}
  explicit operator bool() const { return at_ != nullptr; }
  const EventHead& head() const { return *reinterpret_cast<const EventHead*>(at_); }
  const uint8_t* columns() const { return at_ + sizeof(EventHead); }
  /// `record_bytes`: of a dataset's record.
  std::string_view id(size_t record_bytes) const {
    const size_t before = sizeof(EventHead) + (head().kind == EventKind::kSample ? record_bytes : 0);
    return {reinterpret_cast<const char*>(at_) + before, head().id_bytes};
  }

 private:
  const uint8_t* at_ = nullptr;
};

}  // namespace sluice
