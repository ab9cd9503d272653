// A part of the log of waiting samples: a file of events, and two that follow from it.
//
//   NNNNNNNNNNNNNNNN.log     header, blocks of events (event.h)
//   NNNNNNNNNNNNNNNN.marks   for each event where its record lies and which later event settled it. Mapped, not synced
//                            before a checkpoint: what is lost is made again from the events
//   NNNNNNNNNNNNNNNN.index   once the part is full: the hash table of its ids
//
// The number in the names is that of the first event. The table has 11 to 20 bytes for an id: in memory while the part grows, then in a
// file that is mapped, so that the kernel may drop what is not used.
#pragma once
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/buffer.h"
#include "base/file.h"
#include "base/siphash.h"
#include "waiting/event.h"

namespace sluice {

/// Of one event. Settled: a sample that got its label or is to get none, a label that found its sample.
struct Mark {
  uint64_t by = 0;    // number of the event that settled it; 0: none
  float label = 0;    // of a settled sample; NaN: it got none
  uint32_t place = 0;  // of the record in the log, in units of 8 bytes
};
static_assert(sizeof(Mark) == 16);

inline constexpr uint64_t kMaxPartEvents = uint64_t{1} << 22;
inline constexpr uint64_t kMaxPartBytes = uint64_t{1} << 30;  // a part that is as large takes no more blocks

class LogPart {
 public:
  /// Makes the files of an empty part.
  static std::unique_ptr<LogPart> create(const std::string& folder, uint64_t first, const SipKey& key, uint64_t record_bytes);
  /// Opens them; reads all blocks unless the part is sealed. A last block that is cut off is cut away where `last`, else
  /// E_CORRUPT. E_CORRUPT also for records of another size.
  static std::unique_ptr<LogPart> open(const std::string& folder, uint64_t first, uint64_t record_bytes, bool last);
  ~LogPart();
  LogPart(const LogPart&) = delete;
  LogPart& operator=(const LogPart&) = delete;

  uint64_t first() const { return first_; }
  uint64_t end() const { return end_; }
  const SipKey& key() const { return key_; }
  /// Arrival of its first event; 0 while there is none.
  int64_t began() const { return began_; }
  bool has_room(uint64_t events, uint64_t bytes) const;

  /// Appends a block durably.
  void append(const std::vector<uint8_t>& block, uint64_t events);
  /// The record of an event of this part. E_CORRUPT unless its checksum holds.
  Event event(uint64_t number) const;
  Mark& mark(uint64_t number) { return marks_[number - first_]; }
  /// Events up to this one were processed: the notes of the block that ends with it, if one does. For unsealed parts.
  std::optional<std::string_view> pass(uint64_t number);

  /// Adds an event to the table of ids.
  void add(uint64_t hash, uint64_t number);
  /// The newest event before `before` that `matches`; none where there is none. `matches` gets records whose checksum holds.
  Event find(uint64_t hash, uint64_t before, const std::function<bool(const Event&)>& matches) const;

  /// Sends for what find() will look at first.
  void prefetch(uint64_t hash) const;

  /// Makes the marks durable.
  void sync_marks() const;
  /// Writes the table of ids; the part takes no more events.
  void seal();
  bool sealed() const { return table_file_.size() > 0; }
  /// Removes the files.
  void remove();

 private:
  LogPart(std::string folder, uint64_t first);
  std::string path(const char* ending) const;
  void map_marks();
  void read_blocks(bool last);
  bool read_block(uint64_t at, uint64_t size);
  bool is_block_header(uint64_t at, uint64_t size) const;
  bool open_table();
  void grow_table();
  void insert(uint64_t hash, uint32_t place);
  Event at(uint32_t place) const;
  [[noreturn]] void corrupt(uint64_t at, const char* what) const;

  std::string folder_;
  uint64_t first_, end_;
  uint64_t record_bytes_ = 0;
  SipKey key_;
  int64_t began_ = 0;
  File log_, marks_file_;
  uint64_t log_end_ = 0;
  Mapping log_map_;
  struct Block {
    uint64_t end;
    std::string_view notes;  // in the mapped log
  };
  std::deque<Block> blocks_;  // not passed yet
  Mark* marks_ = nullptr;
  uint64_t marks_room_ = 0;

  // The table: open addressing with linear probing, at most half full. A place of 0 is empty.
  uint64_t slots_ = 0, entries_ = 0;
  const uint8_t* tags_ = nullptr;
  const uint32_t* places_ = nullptr;
  Buffer<uint8_t> own_tags_;
  Buffer<uint32_t> own_places_;
  Mapping table_file_;
};

}  // namespace sluice
