#include "storage/scan_trail.h"

#include <sys/mman.h>

#include "storage/chunk.h"
#include "storage/lmdb_env.h"

namespace sluice {

namespace {

constexpr size_t kKeptBytes = size_t{64} << 20;    // of a scan's last chunks that stay mapped in
constexpr uint64_t kLargePage = uint64_t{2} << 20;
constexpr uint64_t kAheadBytes = uint64_t{2} << 20;   // behind a chunk that are there before the next one is looked at
constexpr uint64_t kAheadStep = uint64_t{32} << 20;   // read at once

constexpr uint64_t large_page(uint64_t address) { return address & ~(kLargePage - 1); }

}  // namespace

/// Contents that are let go of stay in the page cache, but no longer count as this process's memory, and a pointer into them
/// stays valid. In whole large pages: what is left of one would be mapped in small ones.
void ScanTrail::add(const Env& env, uint64_t chunk, const uint8_t* rows, size_t bytes, bool fresh) {
  if (chunk == last_) return;
  if (fresh && chunk == last_ + 1) read_ahead(env, env.offset_of(rows - sizeof(ChunkHeader)), bytes);
  last_ = chunk;
  trail_.emplace_back(rows, bytes);
  kept_ += bytes;
  while (kept_ > kKeptBytes && trail_.size() > 1) {
    const auto [old, size] = trail_.front();
    trail_.pop_front();
    kept_ -= size;
    const uint64_t from = large_page(reinterpret_cast<uintptr_t>(old));
    const uint64_t to = large_page(reinterpret_cast<uintptr_t>(old) + size);
    if (to > from) madvise(reinterpret_cast<void*>(from), to - from, MADV_DONTNEED);
  }
}

/// Chunks mostly follow each other in the file.
void ScanTrail::read_ahead(const Env& env, uint64_t offset, size_t bytes) {
  const uint64_t end = offset + bytes;
  if (offset >= read_from_ && end + kAheadBytes <= read_to_) return;
  read_from_ = large_page(end);
  read_to_ = read_from_ + kAheadStep;
  env.read_in(read_from_, read_to_);
}

}  // namespace sluice
