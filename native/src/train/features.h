// From a stored record to a model's inputs: which column, which transformation, which table size.
#pragma once
#include <cstdint>
#include <optional>
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

/// How the part of a stored image is chosen that the model sees. kRandom: anywhere after `pad` zeros were put around it;
/// kRandomResized: a random area (0.08 to 1) and aspect ratio (3/4 to 4/3), resized (as torchvision's RandomResizedCrop). In
/// evaluation all but kNone take the centre.
enum class Crop : uint8_t { kNone, kCenter, kRandom, kRandomResized };

/// A tensor column as Batch::values. u8 values are divided by 255. An image [height, width, channels] may be cropped,
/// resized and flipped, and gets (x - mean) / deviation by channel.
struct TensorFeature {
  uint32_t column = 0;
  Crop crop = Crop::kNone;
  uint32_t height = 0;  // that the model sees; 0: as stored
  uint32_t width = 0;
  uint32_t pad = 0;
  bool flip = false;    // left to right, for every other sample in training
  std::vector<float> mean, deviation;  // by channel, of values in 0 … 1; empty: 0 and 1
};

/// An i32 tensor column [length] as Batch::ids: token ids, 0 is padding.
struct TokensFeature {
  uint32_t column = 0;
};

struct Features {
  std::vector<DenseFeature> dense;
  std::vector<CategoricalFeature> categorical;
  std::optional<TensorFeature> tensor = {};
  std::optional<TokensFeature> tokens = {};
};

/// What the features of a schema put into each row of a batch. values: the shape of a sample, {} without a tensor feature;
/// ids: 0 without tokens.
struct InputShape {
  size_t dense = 0;
  size_t tables = 0;
  std::vector<uint32_t> values;
  size_t ids = 0;
};
InputShape input_shape(const Features& features, const Schema& schema);

/// Throws E_ARGUMENT where a feature names a column that the schema lacks, a category as a dense value, or no buckets.
void check_features(const Features& features, const Schema& schema);

/// Fills dense [n, D] row-major and categorical [T, n] (table-major, tables `stride` values apart) for n records.
void encode_features(const Features& features, const Schema& schema, const int64_t* timestamps,
                     const uint8_t* const* records, size_t n, float* dense, int32_t* categorical, size_t stride);

}  // namespace sluice
