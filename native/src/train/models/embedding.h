// Embedding tables with sum pooling of one index per sample, updated in place: only the rows that a batch touched.
#pragma once
#include <cstdint>
#include <vector>

#include "base/buffer.h"
#include "base/rng.h"
#include "train/model.h"

namespace sluice {

class Embeddings {
 public:
  /// rows: of each table; width: of every row. Parameters are named "embeddings.<table>.weight" [rows, width].
  Embeddings(const std::vector<uint64_t>& rows, uint32_t width, const ModelOptions& options);

  size_t tables() const { return tables_.size(); }
  const float* row(size_t table, int32_t index) const { return tables_[table].weight.data() + static_cast<size_t>(index) * width_; }
  uint64_t rows(size_t table) const { return tables_[table].rows; }

  /// One optimizer step. categorical [T, n] table-major; the gradient of sample b in table t lies at
  /// grad + b * sample_stride + t * width. Duplicate rows are summed in sample order, so the result does not depend
  /// on the number of threads.
  void update(const int32_t* categorical, size_t n, const float* grad, size_t sample_stride);

  std::vector<NamedTensor> parameters();

 private:
  struct Table {
    uint64_t rows = 0;
    Buffer<float> weight, first, second;
  };

  void update_sgd(Table& table, const int32_t* index, size_t n, const float* grad, size_t stride, size_t shard, size_t shards);
  void update_adaptive(Table& table, const int32_t* index, size_t n, const float* grad, size_t stride, size_t shard, size_t shards);

  uint32_t width_;
  Optimizer optimizer_;
  uint64_t t_ = 0;
  std::vector<Table> tables_;
};

}  // namespace sluice
