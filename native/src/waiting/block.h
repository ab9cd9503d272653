// Blocks of the log: the events of one append, and its notes, which are the answers to its requests.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "waiting/event.h"
#include "waiting/waiting.h"

namespace sluice {

/// Gathers the records of a block.
class BlockWriter {
 public:
  BlockWriter(uint64_t first, int64_t arrived) : first_(first), next_(first), arrived_(arrived) {}

  /// Number of the next event.
  uint64_t next() const { return next_; }
  uint64_t events() const { return next_ - first_; }
  /// Number, arrival, lengths and checksum of the head are filled in.
  void add(EventHead head, const uint8_t* columns, size_t column_bytes, std::string_view id);
  std::vector<uint8_t> block(const std::string& notes) const;

 private:
  uint64_t first_, next_;
  int64_t arrived_;
  std::vector<uint8_t> records_;
};

std::string write_answers(const std::vector<WaitingAnswer>& answers);
/// E_CORRUPT.
std::vector<WaitingAnswer> read_answers(std::string_view notes);

}  // namespace sluice
