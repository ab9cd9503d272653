// What a scan of a column asks of the system: to read ahead into large pages, and to let go of what it left behind.
#pragma once
#include <cstddef>
#include <cstdint>
#include <deque>
#include <utility>

namespace sluice {

class Env;

/// Of one column in one snapshot; told of each chunk that is looked at, whoever looks. One thread at a time.
class ScanTrail {
 public:
  /// `rows`: where the rows of a chunk value of the environment lie, `bytes` long. fresh: nobody looked at it before.
  void add(const Env& env, uint64_t chunk, const uint8_t* rows, size_t bytes, bool fresh);

 private:
  void read_ahead(const Env& env, uint64_t offset, size_t bytes);

  std::deque<std::pair<const uint8_t*, size_t>> trail_;
  size_t kept_ = 0;
  uint64_t last_ = UINT64_MAX - 1;      // chunk
  uint64_t read_from_ = 0, read_to_ = 0;  // bytes of the file that were read ahead last
};

}  // namespace sluice
