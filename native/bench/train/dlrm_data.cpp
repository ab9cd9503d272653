#include "dlrm_data.h"

#include <filesystem>

#include "base/rng.h"

namespace sluice::bench {

std::vector<HostBatch> make_batches(uint64_t rows) {
  Rng rng(7);
  std::vector<HostBatch> batches(kBatches);
  for (HostBatch& batch : batches) {
    batch.dense.resize(kBatch * kDense);
    batch.categorical.resize(kBatch * kTables);
    batch.labels.resize(kBatch);
    for (float& x : batch.dense) x = static_cast<float>(rng.normal());
    for (int32_t& x : batch.categorical) x = static_cast<int32_t>(rng.below(rows));
    for (float& x : batch.labels) x = static_cast<float>(rng.below(2));
  }
  return batches;
}

std::shared_ptr<Dataset> stored(const std::vector<HostBatch>& batches, const std::string& folder) {
  if (!std::filesystem::exists(folder)) {
    Schema schema;
    for (size_t i = 0; i < kDense; ++i) schema.columns.push_back({"d" + std::to_string(i), ColumnType::kF32});
    for (size_t i = 0; i < kTables; ++i) schema.columns.push_back({"c" + std::to_string(i), ColumnType::kCategory});
    const auto dataset = Dataset::create(folder, schema);
    const std::vector<int64_t> timestamps(kBatch, 0);
    for (const HostBatch& batch : batches) {
      std::vector<float> dense(batch.dense.size());  // [kDense, kBatch]
      for (size_t d = 0; d < kDense; ++d) {
        for (size_t i = 0; i < kBatch; ++i) dense[d * kBatch + i] = batch.dense[i * kDense + d];
      }
      AppendBatch rows;
      rows.rows = kBatch;
      rows.timestamps = timestamps.data();
      rows.labels = batch.labels.data();
      for (size_t d = 0; d < kDense; ++d) rows.columns.push_back(dense.data() + d * kBatch);
      for (size_t t = 0; t < kTables; ++t) rows.columns.push_back(batch.categorical.data() + t * kBatch);
      dataset->append(rows);
    }
    dataset->close();
  }
  return Dataset::open(folder, true);
}

}  // namespace sluice::bench
