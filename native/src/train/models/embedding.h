// Embedding tables with sum pooling of one index per sample, updated in place: only the rows that a batch touched.
#pragma once
#include <cstdint>
#include <vector>

#include "base/buffer.h"
#include "base/rng.h"
#include "train/kernels.h"
#include "train/model.h"

namespace sluice {

/// An optimizer step: begin_step(), then give() for every sample and table, in any order and from several threads, then
/// finish_step(). A row that occurs once in the batch is updated as soon as its gradient is given, while the row lies in
/// the cache; the gradients of the others are kept, and applied at the end in the order of the samples. So a row read
/// between begin_step() and its own give() is that of before the step, and the result does not depend on the threads.
class Embeddings {
 public:
  /// rows: of each table; width: of every row. Parameters are named "embeddings.<table>.weight" [rows, width].
  Embeddings(const std::vector<uint64_t>& rows, uint32_t width, const ModelOptions& options);

  size_t tables() const { return tables_.size(); }
  const float* row(size_t table, int32_t index) const { return tables_[table].weight.data() + static_cast<size_t>(index) * width_; }
  uint64_t rows(size_t table) const { return tables_[table].rows; }

  /// categorical [T, n] table-major, every index within its table; it must stay as it is until finish_step().
  void begin_step(const int32_t* categorical, size_t n);
  /// The gradient [width] of the sample's row of a table.
  void give(size_t table, size_t sample, const float* grad);
  void finish_step();

  std::vector<NamedTensor> parameters();

 private:
  /// Samples of a batch with the same row: their gradients lie one behind the other in Table::kept.
  struct Group {
    uint32_t row;
    uint32_t first;
    uint32_t count;
  };
  struct Table {
    uint64_t rows = 0;
    Buffer<float> weight, first, second;
    std::vector<uint32_t> place;  // per sample: where its gradient is kept, or kAlone
    std::vector<Group> groups;
    Buffer<float> kept;
  };
  static constexpr uint32_t kAlone = UINT32_MAX;

  static void group(Table& table, const int32_t* index, size_t n);
  void apply(Table& table, size_t row, const float* grad);
  void apply(Table& table, const Group& group, std::vector<float>& sum);

  uint32_t width_;
  Optimizer optimizer_;
  AdamStep adam_{};  // of the step that has begun
  uint64_t t_ = 0;
  const int32_t* categorical_ = nullptr;
  size_t n_ = 0;
  std::vector<Table> tables_;
};

}  // namespace sluice
