// From stored records to the inputs of a model, for a batch or a part of one.
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "train/features.h"
#include "train/image_encoder.h"

namespace sluice {

/// Samples to encode; every array has `rows` elements.
struct Records {
  size_t rows = 0;
  const uint64_t* keys = nullptr;
  const int64_t* timestamps = nullptr;
  const uint8_t* const* records = nullptr;
};

/// Where their inputs go: dense [rows, D], values [rows, shape…] and ids [rows, length] row-major, categorical table-major with
/// tables `stride` values apart. What the features lack may be null.
struct EncodedRows {
  float* dense = nullptr;
  int32_t* categorical = nullptr;
  size_t stride = 0;
  float* values = nullptr;
  int32_t* ids = nullptr;
};

/// Immutable: any number of threads may encode.
class Encoder {
 public:
  /// Errors of check_features(). Token ids must be below id_limit; 0: not negative.
  Encoder(const Features& features, const Schema& schema, uint32_t id_limit = 0);

  const InputShape& shape() const { return shape_; }
  /// Of one sample's tensor.
  size_t values() const { return values_; }
  /// With `augment` as in training. E_ARGUMENT names the sample with a token id out of range; errors of ParserQueue::parse().
  /// `cancel` ends a wait for a user's parser with E_ABORTED.
  void encode(const Records& from, const std::optional<Augment>& augment, const EncodedRows& to, const StopFlag* cancel = nullptr) const;
  /// Where a part of the rows goes that begins with number `row`.
  EncodedRows from_row(const EncodedRows& all, size_t row) const;

 private:
  struct ColumnAt {
    ColumnType type;
    size_t offset;
  };

  /// Features of the time name no column of use.
  ColumnAt column(uint32_t index) const { return index < columns_.size() ? columns_[index] : ColumnAt{ColumnType::kF32, 0}; }
  void prefetch(const uint8_t* const* records, size_t n) const;
  void dense(const DenseFeature& f, const int64_t* timestamps, const uint8_t* const* records, size_t n, float* out) const;
  void categorical(const CategoricalFeature& f, const int64_t* timestamps, const uint8_t* const* records, size_t n, int32_t* out) const;
  void tokens(const uint8_t* record, uint64_t key, int32_t* out) const;

  Features features_;
  InputShape shape_;
  uint32_t id_limit_;
  size_t record_bytes_;
  std::vector<ColumnAt> columns_;
  std::optional<ImageEncoder> image_;
  uint32_t capacity_ = 0;  // of the column that a user's code parses
  size_t values_ = 0;
};

}  // namespace sluice
