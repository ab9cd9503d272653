#include "storage/scan_trail.h"

#include <sys/mman.h>

#include <algorithm>

#include "storage/chunk.h"
#include "storage/lmdb_env.h"

namespace sluice {

namespace {

constexpr size_t kKeptBytes = size_t{64} << 20;   // of a scan's last chunks that stay mapped in
constexpr size_t kAheadBytes = size_t{8} << 20;   // behind a chunk that are to be read in large pages, at least
constexpr size_t kAheadStep = size_t{32} << 20;   // by which that part moves

/// All of it is advice: a system that does not take it reads all the same.
void advise(uintptr_t from, uintptr_t to, int advice) {
  if (to > from) madvise(reinterpret_cast<void*>(from), to - from, advice);
}

/// Down to a multiple of a large page: what is advised in such pieces stays mapped in one piece each.
uintptr_t large_page(const void* address) { return reinterpret_cast<uintptr_t>(address) & ~((uintptr_t{2} << 20) - 1); }

}  // namespace

ScanTrail::~ScanTrail() { advise(ahead_from_, ahead_to_, MADV_NOHUGEPAGE); }

/// Contents that are let go of stay in the page cache, but no longer count as this process's memory. A pointer into them stays
/// valid.
void ScanTrail::add(const Env& env, uint64_t chunk, const uint8_t* rows, size_t bytes) {
  if (chunk == last_) return;
  if (chunk == last_ + 1) look_ahead(env, rows, bytes);
  last_ = chunk;
  trail_.emplace_back(rows, bytes);
  kept_ += bytes;
  while (kept_ > kKeptBytes && trail_.size() > 1) {
    const auto [old, size] = trail_.front();
    trail_.pop_front();
    kept_ -= size;
    advise(large_page(old), large_page(old + size), MADV_DONTNEED);
  }
}

/// Chunks mostly follow each other in the file. What a fault reads in by itself, the system keeps in single pages, and mapping
/// those in takes three times as long as reading their bytes; where it is asked for large pages, it reads in these. Only ahead of a
/// scan: whoever looks up here and there would have megabytes read for each value.
void ScanTrail::look_ahead(const Env& env, const uint8_t* rows, size_t bytes) {
  const auto [map, map_bytes] = env.map_of(rows - sizeof(ChunkHeader));
  const uintptr_t from = large_page(rows);
  if (from >= ahead_from_ && large_page(rows + bytes) + kAheadBytes <= ahead_to_) return;
  const uintptr_t to = std::min(large_page(rows + bytes) + kAheadStep, map + map_bytes);
  advise(ahead_from_, ahead_to_, MADV_NOHUGEPAGE);
  advise(from, to, MADV_HUGEPAGE);
  ahead_from_ = from;
  ahead_to_ = to;
}

}  // namespace sluice
