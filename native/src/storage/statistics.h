// Numbers about a dataset as a whole.
#pragma once
#include <cstdint>
#include <vector>

#include "base/stop.h"
#include "storage/dataset.h"

namespace sluice {

/// Of the samples that were not deleted.
struct LabelStatistics {
  uint64_t samples = 0;
  double mean = 0, deviation = 0;  // of the population; 0 where there are no samples
  float least = 0, greatest = 0;
  std::vector<uint64_t> classes;  // samples of each; empty where the label is a number
};

/// One pass over the labels. E_ABORTED, E_CORRUPT.
LabelStatistics label_statistics(const Snapshot& data, const StopFlag& stop);

}  // namespace sluice
