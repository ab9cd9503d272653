// From a stored record to a model's inputs: which column, which transformation, which table size.
#pragma once
#include <cstdint>
#include <vector>

#include "storage/dataset.h"

namespace sluice {

enum class DenseOp : uint8_t { kValue, kLog1p, kSinDay, kCosDay, kSinYear, kCosYear };
/// Time ops use the sample's timestamp (UTC), the others `column`. Value ops give (x - mean) * scale.
struct DenseFeature {
  DenseOp op = DenseOp::kValue;
  uint32_t column = 0;
  float mean = 0.0F;
  float scale = 1.0F;
};

enum class CategoricalOp : uint8_t { kColumn, kCross, kHour, kWeekday, kMonth };
/// kColumn: a category code modulo buckets, an integer hashed into buckets. kCross: both columns hashed together.
/// kHour 0…23, kWeekday 0…6 from Monday, kMonth 0…11: modulo buckets too. Every index is < buckets.
struct CategoricalFeature {
  CategoricalOp op = CategoricalOp::kColumn;
  uint32_t column = 0;
  uint32_t other = 0;
  uint32_t buckets = 1;
};

struct Features {
  std::vector<DenseFeature> dense;
  std::vector<CategoricalFeature> categorical;
};

/// Throws E_ARGUMENT where a feature names a column that the schema lacks, a category as a dense value, or no buckets.
void check_features(const Features& features, const Schema& schema);

/// Fills dense [n, D] row-major and categorical [T, n] (table-major, tables `stride` values apart) for n records.
void encode_features(const Features& features, const Schema& schema, const int64_t* timestamps,
                     const uint8_t* const* records, size_t n, float* dense, int32_t* categorical, size_t stride);

}  // namespace sluice
