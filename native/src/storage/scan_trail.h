// What a scan of a column asks of the system's memory: to read ahead in large pages, and to let go of what it left behind.
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
  ScanTrail() = default;
  ~ScanTrail();
  ScanTrail(const ScanTrail&) = delete;
  ScanTrail& operator=(const ScanTrail&) = delete;

  /// `rows`: where the rows of a chunk value of the environment lie, `bytes` long.
  void add(const Env& env, uint64_t chunk, const uint8_t* rows, size_t bytes);

 private:
  void look_ahead(const Env& env, const uint8_t* rows, size_t bytes);

  std::deque<std::pair<const uint8_t*, size_t>> trail_;
  size_t kept_ = 0;
  uint64_t last_ = UINT64_MAX - 1;                   // chunk
  uintptr_t ahead_from_ = 0, ahead_to_ = 0;          // the part of the map that is read in large pages
};

}  // namespace sluice
