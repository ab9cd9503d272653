// Random batches for the DLRM benchmarks, in memory and as a dataset on disk.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "storage/dataset.h"
#include "train/model.h"

namespace sluice::bench {

constexpr size_t kBatch = 2048;
constexpr size_t kDense = 13;
constexpr size_t kTables = 26;
constexpr size_t kBatches = 100;

struct HostBatch {
  std::vector<float> dense, labels;
  std::vector<int32_t> categorical;
  Batch view() const {
    Batch batch;
    batch.rows = labels.size();
    batch.dense = dense.data();
    batch.categorical = categorical.data();
    batch.labels = labels.data();
    return batch;
  }
};

/// kBatches of them, indices below `rows`; the same each time.
std::vector<HostBatch> make_batches(uint64_t rows);

/// Writes the batches as a dataset, unless the folder holds it already; sample i of the batches is key i.
std::shared_ptr<Dataset> stored(const std::vector<HostBatch>& batches, const std::string& folder);

}  // namespace sluice::bench
