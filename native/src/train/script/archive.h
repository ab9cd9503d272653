// The zip container of a TorchScript file, read with bounds checks and without LibTorch. LibTorch's own reader sees only
// files whose directory passed here, so that a hostile directory never reaches it.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

/// One file inside the archive. `name` lacks the archive's own folder: "data.pkl", "code/__torch__.py".
struct ArchiveEntry {
  std::string name;
  uint64_t offset;      // of the stored bytes in the file
  uint64_t stored;      // bytes in the file
  uint64_t size;        // bytes after decompression; equals `stored` where not compressed
  bool compressed;
};

/// The files of the archive `bytes` of the file `path`. Throws E_CORRUPT, naming path and entry, unless the directory is the one
/// that PyTorch writes: at the very end of the file, each entry where its local header says so, no two overlapping,
/// no name twice (whatever its case), all below one folder, only source code compressed.
std::vector<ArchiveEntry> read_archive(std::string_view bytes, const std::string& path);

}  // namespace sluice
