// Taking up rows of files as samples: one pass over their bytes, on all cores.
#pragma once
#include <cstdint>
#include <vector>

#include "base/stop.h"
#include "storage/file_records.h"
#include "storage/layout.h"

namespace sluice {

/// `records`: the checksums of the blocks that the rows lie in, after them.
struct FileIndex {
  std::vector<int64_t> timestamps;
  std::vector<float> labels;
  std::vector<uint32_t> records;
};

/// Reads and checks the rows that become the samples from key `first` on; `begun`: the checksum that the block of `first` has
/// so far. Errors of Dataset::append_files().
FileIndex index_files(const FileBatch& batch, const Schema& schema, const RecordLayout& layout, uint64_t first, uint32_t begun, const StopFlag& stop);

/// Notes size and time of change of the layout's files, and that they hold so many rows: E_SOURCE, E_NOT_FOUND, E_ARGUMENT.
void look_at_files(FileLayout& layout, uint64_t rows);

}  // namespace sluice
