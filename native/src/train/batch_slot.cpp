#include "train/batch_slot.h"

#include "base/buffer.h"

namespace sluice {

namespace {

constexpr size_t kAlignment = 64;

class HostMemory final : public BatchMemory {
 public:
  void* allocate(size_t bytes) override { return detail::allocate(bytes, "batches"); }
  void release(void* memory, size_t bytes) noexcept override { detail::release(memory, bytes); }
};

/// Bytes of each array, filled up.
struct Layout {
  size_t labels, weights, dense, categorical, values, ids;
  Layout(size_t rows, const Encoder& encoder, bool weighted) {
    const auto of = [rows](size_t width) { return (rows * width * 4 + kAlignment - 1) / kAlignment * kAlignment; };
    const InputShape& shape = encoder.shape();
    labels = of(1);
    weights = of(weighted ? 1 : 0);
    dense = of(shape.dense);
    categorical = of(shape.tables);
    values = of(encoder.values());
    ids = of(shape.ids);
  }
  size_t total() const { return labels + weights + dense + categorical + values + ids; }
};

}  // namespace

BatchMemory& host_memory() {
  static HostMemory memory;
  return memory;
}

size_t BatchSlot::bytes(size_t rows, const Encoder& encoder, bool weighted) { return Layout(rows, encoder, weighted).total(); }

BatchSlot::BatchSlot(size_t rows, const Encoder& encoder, bool weighted, BatchMemory& memory)
    : memory_(memory), bytes_(bytes(rows, encoder, weighted)), data_(nullptr), keys_(rows) {
  const Layout layout(rows, encoder, weighted);
  data_ = static_cast<uint8_t*>(memory_.allocate(bytes_));
  uint8_t* at = data_;
  const auto next = [&at]<typename T>(size_t size, T*& array) {
    if (size > 0) array = reinterpret_cast<T*>(at);
    at += size;
  };
  next(layout.labels, labels_);
  next(layout.weights, weights_);
  next(layout.dense, inputs_.dense);
  next(layout.categorical, inputs_.categorical);
  next(layout.values, inputs_.values);
  next(layout.ids, inputs_.ids);
}

BatchSlot::~BatchSlot() { memory_.release(data_, bytes_); }

Batch BatchSlot::batch(size_t rows) const {
  Batch batch;
  batch.rows = rows;
  batch.dense = inputs_.dense;
  batch.categorical = inputs_.categorical;
  batch.labels = labels_;
  batch.weights = weights_;
  batch.keys = keys_.data();
  batch.values = inputs_.values;
  batch.ids = inputs_.ids;
  return batch;
}

}  // namespace sluice
