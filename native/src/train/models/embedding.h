// Embedding tables with sum pooling of one index per sample, updated in place: only the rows that a batch touched.
#pragma once
#include <cstdint>
#include <vector>

#include "base/buffer.h"
#include "base/rng.h"
#include "train/kernels.h"
#include "train/model.h"

namespace sluice {

/// Gradients of a batch: begin(), then give() for every sample and table, in any order and from several threads. Then
/// update(), or more batches before it where their gradients are to be added up.
/// With Mode::kUpdate a row that occurs once in the batch is updated as soon as its gradient is given, while the row lies in
/// the cache; the gradients of the others are kept, and applied by update() in the order of the samples. So a row read
/// between begin() and its own give() is that of before the step, and no result depends on the threads.
class Embeddings {
 public:
  enum class Mode : uint8_t { kUpdate, kKeep };

  /// rows: of each table; width: of every row. Parameters are named "embeddings.<table>.weight" [rows, width].
  Embeddings(const std::vector<uint64_t>& rows, uint32_t width, const ModelOptions& options);

  size_t tables() const { return tables_.size(); }
  const float* row(size_t table, int32_t index) const { return tables_[table].weight.data() + static_cast<size_t>(index) * width_; }
  uint64_t rows(size_t table) const { return tables_[table].rows; }

  /// categorical [T, n] table-major, every index within its table; it must stay as it is until the last give().
  void begin(const int32_t* categorical, size_t n, Mode mode, float lr_factor = 1.0F);
  /// The gradient [width] of the sample's row of a table.
  void give(size_t table, size_t sample, const float* grad);
  /// Of the kept gradients, those of one row added up.
  double squared_gradient_norm();
  /// Ends the step: updates rows from the kept gradients, which are then gone.
  void update(float lr_factor, float gradient_scale);

  /// Forgets the kept gradients.
  void drop();

  std::vector<NamedTensor> parameters();
  void append_state(std::vector<NamedTensor>& all);
  void set_updates(uint64_t updates) { updates_ = updates; }

 private:
  /// Kept gradients of one row: those at order[first] … order[first + count - 1].
  struct Group {
    uint32_t row;
    uint32_t first;
    uint32_t count;
  };
  struct Table {
    uint64_t rows = 0;
    Optimizer optimizer;
    Buffer<float> weight, first, second;
    std::vector<uint32_t> place;      // per sample of the batch: where its gradient is kept, or kAlone
    std::vector<uint32_t> kept_rows;  // per kept gradient: its row
    Buffer<float> kept;               // [kept gradients, width], in the order of the samples
    std::vector<Group> groups;        // in the order of their first gradient
    std::vector<uint32_t> order;
  };
  struct Step {
    float lr_factor = 1.0F;
    float scale = 1.0F;
    AdamStep adam{};
  };
  static constexpr uint32_t kAlone = UINT32_MAX;

  uint64_t bytes_of(const std::vector<uint64_t>& rows) const;
  Step step_of(const Table& table, float lr_factor, float scale) const;
  void place_samples(Table& table, const int32_t* index, size_t n, Mode mode);
  void reserve_kept(Table& table) const;
  static void group(Table& table);
  void apply(Table& table, size_t row, const float* grad, const Step& step) const;
  void apply(Table& table, const Group& group, const Step& step, std::vector<float>& sum) const;
  void add_up(const Table& table, const Group& group, std::vector<float>& sum) const;
  template <typename Work>
  void for_each_group(const Work& work);

  uint32_t width_;
  uint64_t updates_ = 0;
  const int32_t* categorical_ = nullptr;
  size_t n_ = 0;
  std::vector<Step> steps_;  // of each table, for rows that are updated at once
  std::vector<Table> tables_;
};

}  // namespace sluice
