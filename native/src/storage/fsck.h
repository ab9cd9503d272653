// Checks all that a dataset keeps on disk and repairs what can be: the index from the segments and the segments' checksums
// and columns from the index. Trusts nothing that it reads; damage ends in the report, not in an error or a signal.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/stop.h"

namespace sluice {

enum class Remedy : uint8_t {
  kNone,
  kFromSegments,  // the index is made anew
  kFromIndex,     // bytes of a segment or of the state log are
};

struct Damage {
  std::string part;  // "index", "segments", "files" (that are not ours), "state log" or "metadata"
  std::string file;
  std::string what;
  uint64_t first = 0, end = 0;  // keys of the samples concerned; equal where none are
  Remedy remedy = Remedy::kNone;
  bool repaired = false;
};

struct CheckReport {
  uint64_t samples = 0;
  uint64_t bytes = 0;  // read
  std::vector<Damage> damages;
};

using CheckProgress = std::function<void(uint64_t bytes_done, uint64_t bytes_total)>;

/// Reads every byte of the dataset in the folder `path`. repair: mends what it can; the index is written anew beside the old
/// one, which is kept as index.damaged; what cannot be repaired stays as it is. A dataset that another process writes to
/// can be checked (as it is now), but not repaired (E_LOCKED). E_NOT_FOUND, E_ABORTED, E_IO, E_NO_SPACE, E_READ_ONLY.
CheckReport check_dataset(const std::string& path, bool repair, const StopFlag& stop, const CheckProgress& progress);

}  // namespace sluice
