// The embedding tables on the GPU: one joint table, each of the model's at an offset in it; kept gradients, sorted by row for the update.
#pragma once
#include <algorithm>
#include <bit>
#include <string>
#include <vector>

#include "base/error.h"
#include "cuda/kernels.h"
#include "cuda/runtime.h"
#include "cuda/stack.h"

namespace sluice::gpu {

/// What optimizers there are, on the device.
struct Optimizers {
  Array<Optimizer> all;
  Array<AdamTerms> terms;
};

template <typename T>
class Tables {
 public:
  /// used[t]: the optimizer of table t; their numbers on the device begin at `first_number`.
  Tables(const std::vector<uint64_t>& rows, uint32_t width, const std::vector<Optimizer>& used, uint32_t first_number, bool train)
      : width_(width), stride_(round_up(width, 4)) {
    std::vector<int64_t> offsets;
    std::vector<uint32_t> numbers;
    for (size_t t = 0; t < rows.size(); ++t) {
      offsets.push_back(static_cast<int64_t>(rows_));
      numbers.push_back(first_number + static_cast<uint32_t>(t));
      places_.push_back({"embeddings." + std::to_string(t) + ".weight", rows_ * stride_, rows[t], width, stride_});
      row_places_.push_back({"", rows_, 1, rows[t], rows[t]});
      rows_ += rows[t];
    }
    weight_ = Array<float>(rows_ * stride_, "embedding tables");
    offsets_ = Array<int64_t>(offsets.size(), "table offsets");
    copy_rows(offsets_.data(), 0, offsets.data(), 0, offsets.size() * sizeof(int64_t), 1, Copy::kToDevice);
    if (!train) return;
    optimizer_of_ = Array<uint32_t>(numbers.size(), "table optimizers");
    copy_rows(optimizer_of_.data(), 0, numbers.data(), 0, numbers.size() * sizeof(uint32_t), 1, Copy::kToDevice);
    const auto any = [&](auto wanted) { return std::any_of(used.begin(), used.end(), [&](const Optimizer& o) { return wanted(o.kind); }); };
    if (any(keeps_first)) first_ = Array<float>(rows_ * stride_, "embedding optimizer state");
    if (any(keeps_second)) second_ = Array<float>(rows_ * stride_, "embedding optimizer state");
    if (any([](OptimizerKind kind) { return kind == OptimizerKind::kRowwiseAdagrad; })) rowwise_ = Array<float>(rows_, "embedding optimizer state");
    plain_ = !any([](OptimizerKind kind) { return kind != OptimizerKind::kSgd; });
  }

  /// Bytes of device memory that the constructor takes.
  static size_t bytes(const std::vector<uint64_t>& rows, uint32_t width, const std::vector<Optimizer>& used, bool train) {
    size_t all = 0;
    for (const uint64_t n : rows) all += n;
    size_t numbers = all * round_up(width, 4);
    size_t arrays = 1;
    if (train && std::any_of(used.begin(), used.end(), [](const Optimizer& o) { return keeps_first(o.kind); })) ++arrays;
    if (train && std::any_of(used.begin(), used.end(), [](const Optimizer& o) { return keeps_second(o.kind); })) ++arrays;
    return sizeof(float) * (arrays * numbers + all);
  }

  static bool keeps_first(OptimizerKind kind) { return kind == OptimizerKind::kAdagrad || kind == OptimizerKind::kAdam; }
  static bool keeps_second(OptimizerKind kind) { return kind == OptimizerKind::kAdam; }

  uint32_t count() const { return static_cast<uint32_t>(places_.size()); }
  uint32_t stride() const { return stride_; }
  bool plain() const { return plain_; }
  const std::vector<Place>& places() const { return places_; }
  /// Of a table's row-wise state.
  const Place& row_place(size_t table) const { return row_places_[table]; }
  float* weight() const { return weight_.data(); }
  float* first() const { return first_.data(); }
  float* second() const { return second_.data(); }
  float* rowwise() const { return rowwise_.data(); }
  const int64_t* offsets() const { return offsets_.data(); }
  const uint32_t* optimizer_of() const { return optimizer_of_.data(); }

  /// Makes room for the gradients of a batch behind those kept, and returns it: [rows of the batch * tables, stride]. Tells whether memory
  /// moved: a captured graph knows the old one.
  T* next_gradients(uint32_t batch, bool& moved) {
    const size_t needed = size_t{kept_} + size_t{batch} * count();
    if (needed > 0x7fffffffU) {
      throw Error(code::kShape, "dlrm: " + std::to_string(needed) + " embedding gradients of one step are more than a GPU step takes (2147483647): smaller batches or less accumulation");
    }
    moved = needed > capacity_;
    if (moved) grow(needed);
    return gradients_.data() + size_t{kept_} * stride_;
  }

  /// The gradients of the batch [tables, batch] lie where next_gradients() said.
  void keep(const int32_t* categorical, uint32_t batch) {
    launch(RowKeys{offsets(), categorical, count(), batch, kept_, keys_.data(), order_.data()}, RowKeys::items(count(), batch));
    kept_ += batch * count();
  }

  /// The squares of the kept gradients, those of a row added up, and zeros, n numbers in all.
  void squares(const Optimizers& optimizers, const StepState* state, Array<double>& squares, uint32_t& n) {
    sort();
    n = kept_ + chunks();
    if (squares.size() < n) squares = Array<double>(n, "squares of gradients");
    run(optimizers, state, squares.data());
  }

  /// Updates the rows from the kept gradients, which are then gone.
  void update(const Optimizers& optimizers, const StepState* state) {
    sort();
    run(optimizers, state, nullptr);
    kept_ = 0;
  }

 private:
  uint32_t chunks() const { return (kept_ + kChunk - 1) / kChunk; }
  uint32_t bits() const { return std::max<uint32_t>(1, static_cast<uint32_t>(std::bit_width(rows_ - 1))); }

  void grow(size_t needed) {
    Array<T> gradients(needed * stride_, "embedding gradients");
    Array<uint64_t> keys(needed, "embedding gradients");
    Array<uint32_t> order(needed, "embedding gradients");
    if (kept_ > 0) {
      copy_rows(gradients.data(), 0, gradients_.data(), 0, size_t{kept_} * stride_ * sizeof(T), 1, Copy::kOnDevice);
      copy_rows(keys.data(), 0, keys_.data(), 0, kept_ * sizeof(uint64_t), 1, Copy::kOnDevice);
      copy_rows(order.data(), 0, order_.data(), 0, kept_ * sizeof(uint32_t), 1, Copy::kOnDevice);
    }
    gradients_ = std::move(gradients);
    keys_ = std::move(keys);
    order_ = std::move(order);
    sorted_keys_ = Array<uint64_t>(needed, "embedding gradients");
    sorted_order_ = Array<uint32_t>(needed, "embedding gradients");
    partial_ = Array<float>(2 * blocks_of(needed, kChunk) * stride_, "embedding gradients");
    sort_bytes_ = sort_bytes(static_cast<uint32_t>(needed), bits());
    sort_memory_ = Memory(sort_bytes_, "sorting embedding gradients");
    capacity_ = needed;
  }

  void sort() { sort_rows(sort_memory_.data(), sort_bytes_, keys_.data(), sorted_keys_.data(), order_.data(), sorted_order_.data(), kept_, bits()); }

  void run(const Optimizers& optimizers, const StepState* state, double* squares) {
    const Segments<T> segments{sorted_keys_.data(), sorted_order_.data(), gradients_.data(), kept_, count(), width_, stride_, weight(), first(), second(), rowwise(),
                               optimizers.all.data(), optimizers.terms.data(), optimizer_of(), state, partial_.data(), squares};
    launch(SumPieces<T>{segments}, kept_);
    launch(JoinPieces<T>{segments}, chunks());
  }

  uint32_t width_;
  uint32_t stride_;
  uint64_t rows_ = 0;
  bool plain_ = false;
  std::vector<Place> places_, row_places_;
  Array<float> weight_, first_, second_, rowwise_;
  Array<int64_t> offsets_;
  Array<uint32_t> optimizer_of_;
  size_t capacity_ = 0;
  uint32_t kept_ = 0;
  Array<T> gradients_;
  Array<uint64_t> keys_, sorted_keys_;
  Array<uint32_t> order_, sorted_order_;
  Array<float> partial_;
  size_t sort_bytes_ = 0;
  Memory sort_memory_;
};

}  // namespace sluice::gpu
