// Takes deleted samples out of the bytes on disk.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/fair_mutex.h"
#include "base/stop.h"

namespace sluice {

struct Store;

struct CompactReport {
  uint64_t samples = 0;   // deleted ones that were in the bytes still
  uint64_t segments = 0;  // written anew
  uint64_t in_files = 0;  // deleted ones whose records lie in files that are not ours, still
  uint64_t bytes_before = 0, bytes_after = 0;  // of index, segments and values
  std::vector<std::string> values_in_use;      // folders of values that stay as they are, since somebody has them open
};

/// Records that lie in files that are not ours stay there, those of deleted samples included, unless `copy` is set: then each
/// segment that has such a sample takes all its records in, and what of it lies in files counts no more (E_CORRUPT where they
/// are not what they were, E_NOT_FOUND).
/// Writes each segment that holds deleted samples anew beside the old one, with zeros in their place, and the index without
/// its free pages; sets their values in the columns beside the dataset to missing and writes these files anew, too. A deleted sample's timestamp becomes that
/// of the sample before it, so that times stay in order. A reader with an older snapshot keeps what it sees; a kill at any
/// moment leaves the old files or the new ones. Removes damaged indices that a repair kept. E_LOCKED, E_CORRUPT where the
/// index has to be repaired first, E_NO_SPACE, E_ABORTED between segments.
CompactReport compact_dataset(const std::string& path, bool copy, const StopFlag& stop, const std::function<void(uint64_t done, uint64_t total)>& progress);

/// The same of a store that is open for writing and goes on to be written: `writing`, which every writer holds, is held for a segment, for some
/// chunks, and while the index is copied. `replaced` is called within it once another index lies in the place of the store's, which nobody may
/// write to from then on.
CompactReport compact_store(const std::shared_ptr<Store>& store, bool copy, FairMutex& writing, const StopFlag& stop,
                            const std::function<void(uint64_t done, uint64_t total)>& progress, const std::function<void()>& replaced);

}  // namespace sluice
