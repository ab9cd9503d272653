// Ranges of keys at the border: pairs first, end, first, end … in one BigUint64Array.
#pragma once
#include <vector>

#include "args.h"
#include "base/error.h"
#include "storage/deletions.h"

namespace sluice::bindings {

inline std::vector<KeyRange> read_ranges(const Arg& arg) {
  const auto values = arg.array<uint64_t>();
  if (values.size() % 2 != 0) arg.fail("pairs of first and end");
  std::vector<KeyRange> ranges(values.size() / 2);
  for (size_t i = 0; i < ranges.size(); ++i) ranges[i] = {values[2 * i], values[2 * i + 1]};
  return ranges;
}

inline std::vector<uint64_t> flat(const std::vector<KeyRange>& ranges) {
  std::vector<uint64_t> values;
  values.reserve(2 * ranges.size());
  for (const KeyRange& range : ranges) values.insert(values.end(), {range.first, range.end});
  return values;
}

}  // namespace sluice::bindings
