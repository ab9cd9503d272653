// A mapping of a file that is not ours: others may cut it off, or its disk may fail, while it is read.
#pragma once
#include <cstddef>
#include <cstdint>

#include "base/file.h"

namespace sluice {

/// A read-only shared mapping of a file's first `bytes`. A page that the system cannot give, because the file was cut off or
/// cannot be read, would end the process by SIGBUS. Here it reads as zeros, with everything behind it, and failed() is true
/// from then on: whoever reads asks for it afterwards and does not use what it read.
class GuardedMapping {
 public:
  GuardedMapping(const File& file, uint64_t bytes);
  ~GuardedMapping();
  GuardedMapping(const GuardedMapping&) = delete;
  GuardedMapping& operator=(const GuardedMapping&) = delete;

  const uint8_t* data() const { return data_; }
  uint64_t size() const { return size_; }
  bool failed() const;

  struct Region;

 private:
  const uint8_t* data_ = nullptr;
  uint64_t size_ = 0;
  Region* region_ = nullptr;
};

}  // namespace sluice
