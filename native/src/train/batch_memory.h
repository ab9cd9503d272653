// Where the batches of a loader lie.
#pragma once
#include <cstddef>

namespace sluice {

/// Called by the thread that makes or ends a loader. A device gives one that hands out page-locked memory, which it can copy
/// from while it computes.
class BatchMemory {
 public:
  virtual ~BatchMemory() = default;
  /// Aligned to 64 bytes. E_MEMORY.
  virtual void* allocate(size_t bytes) = 0;
  virtual void release(void* memory, size_t bytes) noexcept = 0;
};

/// Ordinary memory.
BatchMemory& host_memory();

}  // namespace sluice
