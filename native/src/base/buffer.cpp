#include "base/buffer.h"

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>

#include "base/error.h"
#include "base/memory.h"

namespace sluice::detail {

namespace {
constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kWorthAsking = size_t{64} << 20;
}  // namespace

void* allocate(size_t bytes, const char* purpose) {
  if (bytes == 0) return nullptr;
  void* memory = nullptr;
  if (bytes >= kWorthAsking) require_memory(bytes, purpose);
  if (bytes >= kHugePage) {
    // Aligned to a huge page, so that the first one is whole too; fresh pages are zero.
    const size_t padded = bytes + kHugePage;
    void* raw = mmap(nullptr, padded, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (raw != MAP_FAILED) {
      auto* begin = static_cast<char*>(raw);
      auto* aligned = reinterpret_cast<char*>((reinterpret_cast<uintptr_t>(begin) + kHugePage - 1) & ~(kHugePage - 1));
      if (aligned != begin) munmap(begin, static_cast<size_t>(aligned - begin));
      const size_t kept = (bytes + 4095) & ~size_t{4095};
      char* end = begin + padded;
      if (aligned + kept < end) munmap(aligned + kept, static_cast<size_t>(end - (aligned + kept)));
      madvise(aligned, kept, MADV_HUGEPAGE);
      memory = aligned;
    }
  } else if ((memory = std::aligned_alloc(64, (bytes + 63) & ~size_t{63})) != nullptr) {
    std::memset(memory, 0, bytes);
  }
  if (memory == nullptr) {
    throw Error(code::kMemory, "no memory for " + std::string(purpose) + ": " + bytes_text(bytes) + " asked for, refused by the system; " + bytes_text(free_memory()) + " free");
  }
  return memory;
}

void release(void* memory, size_t bytes) noexcept {
  if (memory == nullptr) return;
  if (bytes >= kHugePage) {
    munmap(memory, (bytes + 4095) & ~size_t{4095});
  } else {
    std::free(memory);
  }
}

}  // namespace sluice::detail
