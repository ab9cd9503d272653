#include "train/features.h"

#include <cmath>
#include <cstring>
#include <string>

#include "base/error.h"
#include "base/rng.h"

namespace sluice {

namespace {

constexpr int64_t kHourMs = 3'600'000;
constexpr int64_t kDayMs = 24 * kHourMs;
constexpr double kYearMs = 365.2425 * static_cast<double>(kDayMs);
constexpr double kTwoPi = 6.283185307179586;

int64_t floor_mod(int64_t a, int64_t b) {
  const int64_t r = a % b;
  return r < 0 ? r + b : r;
}
int64_t floor_div(int64_t a, int64_t b) { return (a - floor_mod(a, b)) / b; }

int32_t integer(const uint8_t* record, uint32_t column) {
  int32_t v;
  std::memcpy(&v, record + size_t{4} * column, sizeof v);
  return v;
}
float value(const uint8_t* record, uint32_t column, ColumnType type) {
  if (type != ColumnType::kF32) return static_cast<float>(integer(record, column));
  float v;
  std::memcpy(&v, record + size_t{4} * column, sizeof v);
  return v;
}

/// Month 0 … 11 of a day counted from 1970-01-01 (Hinnant, chrono-compatible low-level date algorithms).
uint32_t month_of(int64_t day) {
  const int64_t z = day + 719468;
  const auto doe = static_cast<uint32_t>(floor_mod(z, 146097));
  const uint32_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
  const uint32_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
  return ((5 * doy + 2) / 153 + 2) % 12;
}

float dense_value(const DenseFeature& f, ColumnType type, int64_t t, const uint8_t* record) {
  switch (f.op) {
    case DenseOp::kValue: return (value(record, f.column, type) - f.mean) * f.scale;
    case DenseOp::kLog1p: return (std::log1p(value(record, f.column, type)) - f.mean) * f.scale;
    case DenseOp::kSinDay: return std::sin(static_cast<float>(kTwoPi / kDayMs * static_cast<double>(floor_mod(t, kDayMs))));
    case DenseOp::kCosDay: return std::cos(static_cast<float>(kTwoPi / kDayMs * static_cast<double>(floor_mod(t, kDayMs))));
    case DenseOp::kSinYear: return static_cast<float>(std::sin(kTwoPi / kYearMs * static_cast<double>(t)));
    case DenseOp::kCosYear: return static_cast<float>(std::cos(kTwoPi / kYearMs * static_cast<double>(t)));
  }
  return 0.0F;
}

int32_t categorical_index(const CategoricalFeature& f, ColumnType type, int64_t t, const uint8_t* record) {
  uint64_t raw = 0;
  switch (f.op) {
    case CategoricalOp::kColumn:
      raw = static_cast<uint32_t>(integer(record, f.column));
      if (type != ColumnType::kCategory) raw = splitmix64(raw);
      break;
    case CategoricalOp::kCross:
      raw = splitmix64(splitmix64(static_cast<uint32_t>(integer(record, f.column))) + static_cast<uint32_t>(integer(record, f.other)));
      break;
    case CategoricalOp::kHour: raw = static_cast<uint64_t>(floor_mod(t, kDayMs) / kHourMs); break;
    case CategoricalOp::kWeekday: raw = static_cast<uint64_t>(floor_mod(floor_div(t, kDayMs) + 3, 7)); break;
    case CategoricalOp::kMonth: raw = month_of(floor_div(t, kDayMs)); break;
  }
  return static_cast<int32_t>(raw % f.buckets);
}

bool uses_column(DenseOp op) { return op == DenseOp::kValue || op == DenseOp::kLog1p; }

}  // namespace

void check_features(const Features& features, const Schema& schema) {
  const auto column = [&](uint32_t index, const std::string& what) -> const Column& {
    if (index >= schema.columns.size()) {
      throw Error(code::kArgument, what + ": column " + std::to_string(index) + " does not exist, the dataset has " + std::to_string(schema.columns.size()));
    }
    return schema.columns[index];
  };
  for (size_t i = 0; i < features.dense.size(); ++i) {
    const DenseFeature& f = features.dense[i];
    const std::string what = "features.dense[" + std::to_string(i) + "]";
    if (uses_column(f.op) && column(f.column, what).type == ColumnType::kCategory) {
      throw Error(code::kArgument, what + ": column '" + schema.columns[f.column].name + "' is a category, not a number");
    }
    if (!std::isfinite(f.mean) || !std::isfinite(f.scale)) throw Error(code::kArgument, what + ": mean and scale must be finite");
  }
  for (size_t i = 0; i < features.categorical.size(); ++i) {
    const CategoricalFeature& f = features.categorical[i];
    const std::string what = "features.categorical[" + std::to_string(i) + "]";
    if (f.op == CategoricalOp::kColumn || f.op == CategoricalOp::kCross) {
      if (column(f.column, what).type == ColumnType::kF32) throw Error(code::kArgument, what + ": column '" + schema.columns[f.column].name + "' is a real number");
    }
    if (f.op == CategoricalOp::kCross && column(f.other, what).type == ColumnType::kF32) {
      throw Error(code::kArgument, what + ": column '" + schema.columns[f.other].name + "' is a real number");
    }
    if (f.buckets == 0 || f.buckets > 0x7fffffffU) throw Error(code::kArgument, what + ": buckets: expected 1 to 2147483647, got " + std::to_string(f.buckets));
  }
}

void encode_features(const Features& features, const Schema& schema, const int64_t* timestamps, const uint8_t* const* records,
                     size_t n, float* dense, int32_t* categorical, size_t stride) {
  const auto type = [&](uint32_t column) { return column < schema.columns.size() ? schema.columns[column].type : ColumnType::kI32; };
  const size_t width = features.dense.size();
  for (size_t d = 0; d < width; ++d) {
    const DenseFeature& f = features.dense[d];
    const ColumnType column_type = type(f.column);
    for (size_t i = 0; i < n; ++i) dense[i * width + d] = dense_value(f, column_type, timestamps[i], records[i]);
  }
  for (size_t c = 0; c < features.categorical.size(); ++c) {
    const CategoricalFeature& f = features.categorical[c];
    const ColumnType column_type = type(f.column);
    int32_t* out = categorical + c * stride;
    for (size_t i = 0; i < n; ++i) out[i] = categorical_index(f, column_type, timestamps[i], records[i]);
  }
}

InputShape input_shape(const Features& features, const Schema& schema) {
  InputShape shape{features.dense.size(), features.categorical.size(), {}, 0};
  if (features.tensor) {
    shape.values = schema.columns.at(features.tensor->column).shape;
    if (features.tensor->height > 0 && shape.values.size() == 3) shape.values = {features.tensor->height, features.tensor->width, shape.values[2]};
  }
  if (features.tokens) shape.ids = schema.columns.at(features.tokens->column).elements();
  return shape;
}

}  // namespace sluice
