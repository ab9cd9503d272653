#include "train/features.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <string>

#include "base/error.h"
#include "train/parser_queue.h"

namespace sluice {

namespace {

constexpr uint64_t kMaxValues = uint64_t{1} << 28;  // of one sample

bool uses_column(DenseOp op) { return op == DenseOp::kValue || op == DenseOp::kLog1p; }

class Checker {
 public:
  explicit Checker(const Schema& schema) : schema_(schema) {}

  void dense(const DenseFeature& f, const std::string& what) const {
    if (uses_column(f.op)) number(f.column, what);
    if (!std::isfinite(f.mean) || !std::isfinite(f.scale)) throw Error(code::kArgument, what + ": mean and scale must be finite");
    if (!(f.low <= f.high)) throw Error(code::kArgument, what + ": the least value must not be above the greatest");
  }

  void categorical(const CategoricalFeature& f, const std::string& what) const {
    if (f.op == CategoricalOp::kColumn || f.op == CategoricalOp::kCross) code_column(f.column, what);
    if (f.op == CategoricalOp::kCross) code_column(f.other, what);
    if (f.buckets == 0 || f.buckets > 0x7fffffffU) throw Error(code::kArgument, what + ": buckets: expected 1 to 2147483647, got " + std::to_string(f.buckets));
    if (f.op != CategoricalOp::kBoundaries) return;
    number(f.column, what);
    const bool rising = std::adjacent_find(f.boundaries.begin(), f.boundaries.end(), [](float a, float b) { return !(a < b); }) == f.boundaries.end();
    if (f.boundaries.empty() || !rising || !std::isfinite(f.boundaries.front()) || !std::isfinite(f.boundaries.back())) {
      throw Error(code::kArgument, what + ": boundaries: expected finite numbers that rise");
    }
    if (f.buckets <= f.boundaries.size()) {
      throw Error(code::kArgument, what + ": " + std::to_string(f.boundaries.size()) + " boundaries need " + std::to_string(f.boundaries.size() + 1) + " buckets, got " + std::to_string(f.buckets));
    }
  }

  void tensor(const TensorFeature& f) const {
    const std::string what = "features.tensor";
    const Column& column = this->column(f.column, what);
    if ((column.type != ColumnType::kF32 && column.type != ColumnType::kU8) || column.shape.empty() || column.elements() == 0) {
      throw Error(code::kArgument, what + ": column '" + column.name + "' is no tensor of f32 or u8");
    }
    normalisation(f.mean, column, what + ": mean");
    normalisation(f.deviation, column, what + ": deviation");
    if (std::any_of(f.deviation.begin(), f.deviation.end(), [](float d) { return d <= 0.0F; })) throw Error(code::kArgument, what + ": deviations must be above 0");
    const bool plain = f.crop == Crop::kNone && f.height == 0 && f.width == 0 && f.pad == 0 && !f.flip;
    if (plain) return;
    if (column.shape.size() != 3) throw Error(code::kArgument, what + ": only an image [height, width, channels] can be cropped, resized or flipped; column '" + column.name + "' has " + std::to_string(column.shape.size()) + " dimensions");
    if ((f.height == 0) != (f.width == 0)) throw Error(code::kArgument, what + ": expected both height and width, or neither");
    if (f.pad > 0 && f.crop != Crop::kRandom) throw Error(code::kArgument, what + ": pad goes with a random crop only");
    if (uint64_t{f.height} * f.width * column.shape[2] > kMaxValues) throw Error(code::kArgument, what + ": more than " + std::to_string(kMaxValues) + " values");
    if (f.crop == Crop::kCenter || f.crop == Crop::kRandom) fits(f, column, what);
  }

  void tokens(const TokensFeature& f) const {
    const Column& column = this->column(f.column, "features.tokens");
    if (column.type != ColumnType::kI32 || column.shape.size() != 1) throw Error(code::kArgument, "features.tokens: column '" + column.name + "' is no i32 tensor of one dimension");
  }

  void parse(const ParseFeature& f, const Features& all) const {
    const std::string what = "features.parse";
    const Column& found = column(f.column, what);
    if (found.type != ColumnType::kBytes) throw Error(code::kArgument, what + ": column '" + found.name + "' does not hold bytes");
    const ParsedShape& shape = f.queue->shape();
    if (shape.value_count() > 0 && all.tensor) throw Error(code::kArgument, what + ": gives a tensor beside features.tensor");
    if (shape.ids > 0 && all.tokens) throw Error(code::kArgument, what + ": gives token ids beside features.tokens");
    if (shape.value_count() > kMaxValues) throw Error(code::kArgument, what + ": more than " + std::to_string(kMaxValues) + " values");
  }

 private:
  const Column& column(uint32_t index, const std::string& what) const {
    if (index >= schema_.columns.size()) {
      throw Error(code::kArgument, what + ": column " + std::to_string(index) + " does not exist, the dataset has " + std::to_string(schema_.columns.size()));
    }
    return schema_.columns[index];
  }

  const Column& single(uint32_t index, const std::string& what) const {
    const Column& found = column(index, what);
    if (!found.shape.empty() || found.type == ColumnType::kBytes) throw Error(code::kArgument, what + ": column '" + found.name + "' holds more than one value for a sample");
    return found;
  }

  void number(uint32_t index, const std::string& what) const {
    const Column& found = single(index, what);
    if (found.type == ColumnType::kCategory) throw Error(code::kArgument, what + ": column '" + found.name + "' is a category, not a number");
  }

  void code_column(uint32_t index, const std::string& what) const {
    const Column& found = single(index, what);
    if (found.type == ColumnType::kF32) throw Error(code::kArgument, what + ": column '" + found.name + "' is a real number");
  }

  static void normalisation(const std::vector<float>& values, const Column& column, const std::string& what) {
    const uint32_t channels = column.shape.back();
    if (values.size() > 1 && values.size() != channels) {
      throw Error(code::kArgument, what + ": expected one value or " + std::to_string(channels) + ", as column '" + column.name + "' has channels, got " + std::to_string(values.size()));
    }
    if (std::any_of(values.begin(), values.end(), [](float v) { return !std::isfinite(v); })) throw Error(code::kArgument, what + ": must be finite");
  }

  static void fits(const TensorFeature& f, const Column& column, const std::string& what) {
    const uint64_t height = uint64_t{column.shape[0]} + 2 * uint64_t{f.pad};
    const uint64_t width = uint64_t{column.shape[1]} + 2 * uint64_t{f.pad};
    if (f.height <= height && f.width <= width) return;
    throw Error(code::kArgument, what + ": a crop of " + std::to_string(f.height) + " x " + std::to_string(f.width) + " is larger than the images of column '" + column.name + "', " +
                                     std::to_string(height) + " x " + std::to_string(width) + (f.pad > 0 ? " with their padding" : ""));
  }

  const Schema& schema_;
};

}  // namespace

void check_features(const Features& features, const Schema& schema) {
  const Checker check(schema);
  for (size_t i = 0; i < features.dense.size(); ++i) check.dense(features.dense[i], "features.dense[" + std::to_string(i) + "]");
  for (size_t i = 0; i < features.categorical.size(); ++i) check.categorical(features.categorical[i], "features.categorical[" + std::to_string(i) + "]");
  if (features.tensor) check.tensor(*features.tensor);
  if (features.tokens) check.tokens(*features.tokens);
  if (features.parse) check.parse(*features.parse, features);
}

size_t ParsedShape::value_count() const {
  return values.empty() ? 0 : std::accumulate(values.begin(), values.end(), size_t{1}, std::multiplies<>());
}

uint32_t buckets_of(const Features& features, size_t table) {
  const size_t own = features.categorical.size();
  return table < own ? features.categorical[table].buckets : features.parse->queue->shape().buckets.at(table - own);
}

InputShape input_shape(const Features& features, const Schema& schema) {
  InputShape shape{features.dense.size(), features.categorical.size(), {}, 0};
  if (features.tensor) {
    shape.values = schema.columns.at(features.tensor->column).shape;
    if (features.tensor->height > 0 && shape.values.size() == 3) shape.values = {features.tensor->height, features.tensor->width, shape.values[2]};
  }
  if (features.tokens) shape.ids = schema.columns.at(features.tokens->column).elements();
  if (features.parse) {
    const ParsedShape& parsed = features.parse->queue->shape();
    shape.dense += parsed.dense;
    shape.tables += parsed.buckets.size();
    if (parsed.value_count() > 0) shape.values = parsed.values;
    if (parsed.ids > 0) shape.ids = parsed.ids;
  }
  return shape;
}

}  // namespace sluice
