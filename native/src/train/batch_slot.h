// One batch of a loader in memory of its own.
#pragma once
#include <cstdint>
#include <exception>
#include <vector>

#include "train/batch_memory.h"
#include "train/encoder.h"
#include "train/model.h"

namespace sluice {

/// Arrays of a batch of at most `rows` samples, one allocation.
class BatchSlot {
 public:
  BatchSlot(size_t rows, const Encoder& encoder, bool weighted, BatchMemory& memory);
  ~BatchSlot();
  BatchSlot(const BatchSlot&) = delete;
  BatchSlot& operator=(const BatchSlot&) = delete;
  /// Of such a slot.
  static size_t bytes(size_t rows, const Encoder& encoder, bool weighted);

  float* labels() { return labels_; }
  float* weights() { return weights_; }
  uint64_t* keys() { return keys_.data(); }
  const EncodedRows& inputs() const { return inputs_; }
  /// The arrays as a batch of its first `rows` samples.
  Batch batch(size_t rows) const;

 private:
  BatchMemory& memory_;
  size_t bytes_;
  uint8_t* data_;
  float* labels_ = nullptr;
  float* weights_ = nullptr;
  EncodedRows inputs_;
  std::vector<uint64_t> keys_;
};

}  // namespace sluice
