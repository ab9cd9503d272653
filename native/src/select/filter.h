// Which samples a scan looks for: by key, time and label. The scan is one pass over the column that it needs, at the speed of
// memory; conditions on keys, and on times where those never decrease, narrow the keys without one.
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "base/stop.h"
#include "storage/dataset.h"

namespace sluice {

enum class SampleField : uint8_t { kKey, kTime, kLabel };
enum class Comparator : uint8_t { kLess, kAtMost, kGreater, kAtLeast, kEqual, kUnequal };

/// `value`: a key, milliseconds since 1970-01-01 UTC, or a label, which is rounded to a float as the stored ones are. Finite.
struct SampleComparison {
  SampleField field;
  Comparator comparator;
  double value;
};

/// Living samples for which all holds; without any condition: all of them.
struct SampleFilter {
  std::optional<std::vector<KeyRange>> keys;  // within the dataset, in any order
  std::optional<std::vector<float>> labels;   // one of these
  std::vector<SampleComparison> where;
};

/// How many samples of the keys [0, size) fit. E_ARGUMENT for keys beyond, E_CORRUPT, E_ABORTED. size <= data.size().
uint64_t count_samples(const Snapshot& data, uint64_t size, const SampleFilter& filter, const StopFlag& stop);
/// Their keys, in increasing order.
std::vector<uint64_t> find_samples(const Snapshot& data, uint64_t size, const SampleFilter& filter, const StopFlag& stop);
/// The same as runs of keys, in order.
std::vector<KeyRange> find_ranges(const Snapshot& data, uint64_t size, const SampleFilter& filter, const StopFlag& stop);

}  // namespace sluice
