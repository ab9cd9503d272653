// Files of samples that lie elsewhere now, or were touched only.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "base/stop.h"
#include "storage/store.h"

namespace sluice {

/// The spans that Dataset::move_files() changes. other: the first move whose bytes are others.
struct MovedSpans {
  std::vector<FileSpan> spans;
  std::optional<size_t> other;
};
MovedSpans moved_spans(const Store& store, const Txn& txn, const std::vector<FileMove>& moves, bool whole, const StopFlag& stop);

}  // namespace sluice
