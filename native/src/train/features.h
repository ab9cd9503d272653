// From a stored record to a model's inputs: which column, which transformation, which table size.
#pragma once
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <vector>

#include "storage/dataset.h"

namespace sluice {

enum class DenseOp : uint8_t { kValue, kLog1p, kSinDay, kCosDay, kSinYear, kCosYear };
/// Time ops use the sample's timestamp (UTC), the others `column`. Value ops clip to [low, high] and give (x - mean) * scale,
/// kLog1p (log(1 + x) - mean) * scale.
struct DenseFeature {
  DenseOp op = DenseOp::kValue;
  uint32_t column = 0;
  float mean = 0.0F;
  float scale = 1.0F;
  float low = std::numeric_limits<float>::lowest();
  float high = std::numeric_limits<float>::max();
};

enum class CategoricalOp : uint8_t { kColumn, kCross, kHour, kWeekday, kMonth, kBoundaries };
/// kColumn: a category code modulo buckets, an integer hashed into buckets. kCross: both columns hashed together.
/// kHour 0…23, kWeekday 0…6 from Monday, kMonth 0…11: modulo buckets too. kBoundaries: the number of boundaries below a
/// numeric value, as torch.bucketize. Every index is < buckets.
struct CategoricalFeature {
  CategoricalOp op = CategoricalOp::kColumn;
  uint32_t column = 0;
  uint32_t other = 0;
  uint32_t buckets = 1;
  std::vector<float> boundaries = {};  // rising
};

/// How the part of a stored image is chosen that the model sees. kNone: all of it, resized where the model sees another size;
/// kRandom: anywhere after `pad` zeros were put around it; kRandomResized: a random area (0.08 to 1) and aspect ratio (3/4 to
/// 4/3), resized (as torchvision's RandomResizedCrop). In evaluation all but kNone take the centre.
enum class Crop : uint8_t { kNone, kCenter, kRandom, kRandomResized };

/// An f32 or u8 tensor column as Batch::values. u8 values are divided by 255; then comes (x - mean) / deviation by channel, the
/// last dimension. An image [height, width, channels] may be cropped, resized (bilinear) and flipped.
struct TensorFeature {
  uint32_t column = 0;
  Crop crop = Crop::kNone;
  uint32_t height = 0;  // that the model sees; 0: as stored
  uint32_t width = 0;
  uint32_t pad = 0;
  bool flip = false;    // left to right, for every other sample in training
  std::vector<float> mean = {}, deviation = {};  // by channel, or one for all; empty: 0 and 1
};

/// An i32 tensor column [length] as Batch::ids: token ids, 0 is padding.
struct TokensFeature {
  uint32_t column = 0;
};

/// Lengths of what a user's own parser gives for a sample.
struct ParsedShape {
  uint32_t dense = 0;
  std::vector<uint32_t> buckets = {};  // rows of the table of each categorical index
  std::vector<uint32_t> values = {};   // shape of a tensor; empty: none
  uint32_t ids = 0;
  size_t value_count() const;
};

class ParserQueue;
class StopFlag;

/// A bytes column that a user's own code parses (train/parser_queue.h); what it gives comes behind the other features.
struct ParseFeature {
  uint32_t column = 0;
  std::shared_ptr<ParserQueue> queue;
  std::shared_ptr<const StopFlag> stop;  // ends a wait for it; may be null
};

struct Features {
  std::vector<DenseFeature> dense;
  std::vector<CategoricalFeature> categorical;
  std::optional<TensorFeature> tensor = {};
  std::optional<TokensFeature> tokens = {};
  std::optional<ParseFeature> parse = {};
};

/// Rows that the table of a categorical input needs.
uint32_t buckets_of(const Features& features, size_t table);

/// What the features of a schema put into each row of a batch. values: the shape of a sample, {} without a tensor feature;
/// ids: 0 without tokens.
struct InputShape {
  size_t dense = 0;
  size_t tables = 0;
  std::vector<uint32_t> values;
  size_t ids = 0;
};
InputShape input_shape(const Features& features, const Schema& schema);

/// Throws E_ARGUMENT where a feature names a column that the schema lacks or whose type or shape it cannot read, or has values
/// out of their range.
void check_features(const Features& features, const Schema& schema);

}  // namespace sluice
