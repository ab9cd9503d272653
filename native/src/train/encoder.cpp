#include "train/encoder.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>

#include "base/error.h"
#include "base/rng.h"
#include "train/parser_queue.h"

namespace sluice {

namespace {

constexpr size_t kBlock = 64;         // samples whose records are encoded while they lie in the first-level cache
constexpr size_t kPrefetched = 1024;  // bytes: longer records are left to the hardware
constexpr size_t kLine = 64;
constexpr int64_t kHourMs = 3'600'000;
constexpr int64_t kDayMs = 24 * kHourMs;
constexpr double kYearMs = 365.2425 * static_cast<double>(kDayMs);
constexpr double kTwoPi = 6.283185307179586;

int64_t floor_mod(int64_t a, int64_t b) {
  const int64_t r = a % b;
  return r < 0 ? r + b : r;
}
int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }

template <typename T>
T read(const uint8_t* at) {
  T v;
  std::memcpy(&v, at, sizeof v);
  return v;
}

float number(const uint8_t* at, ColumnType type) {
  if (type == ColumnType::kF32) return read<float>(at);
  return type == ColumnType::kU8 ? static_cast<float>(*at) : static_cast<float>(read<int32_t>(at));
}

uint32_t integer(const uint8_t* at, ColumnType type) { return type == ColumnType::kU8 ? *at : static_cast<uint32_t>(read<int32_t>(at)); }

/// Month 0 … 11 of a day counted from 1970-01-01 (Hinnant, chrono-compatible low-level date algorithms).
uint32_t month_of(int64_t day) {
  const int64_t z = day + 719468;
  const auto doe = static_cast<uint32_t>(floor_mod(z, 146097));
  const uint32_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
  const uint32_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
  return ((5 * doy + 2) / 153 + 2) % 12;
}

float time_value(DenseOp op, int64_t t) {
  const double day = kTwoPi / kDayMs * static_cast<double>(floor_mod(t, kDayMs));
  const double year = kTwoPi / kYearMs * static_cast<double>(t);
  switch (op) {
    case DenseOp::kSinDay: return std::sin(static_cast<float>(day));
    case DenseOp::kCosDay: return std::cos(static_cast<float>(day));
    case DenseOp::kSinYear: return static_cast<float>(std::sin(year));
    default: return static_cast<float>(std::cos(year));
  }
}

uint64_t time_index(CategoricalOp op, int64_t t) {
  if (op == CategoricalOp::kHour) return static_cast<uint64_t>(floor_mod(t, kDayMs) / kHourMs);
  if (op == CategoricalOp::kWeekday) return static_cast<uint64_t>(floor_mod(floor_div(t, kDayMs) + 3, 7));
  return month_of(floor_div(t, kDayMs));
}

/// out[i * stride] = value(i)
template <typename T, typename Value>
void each(size_t n, T* out, size_t stride, const Value& value) {
  for (size_t i = 0; i < n; ++i) out[i * stride] = value(i);
}

}  // namespace

Encoder::Encoder(const Features& features, const Schema& schema, uint32_t id_limit)
    : features_(features), shape_((check_features(features, schema), input_shape(features, schema))), id_limit_(id_limit), record_bytes_(schema.record_bytes()) {
  for (size_t c = 0; c < schema.columns.size(); ++c) columns_.push_back({schema.columns[c].type, schema.offset(c)});
  if (features_.tensor) image_.emplace(*features_.tensor, schema.columns[features_.tensor->column]);
  values_ = image_ ? image_->elements() : 0;
  if (!features_.parse) return;
  capacity_ = static_cast<uint32_t>(schema.columns[features_.parse->column].elements());
  if (!image_) values_ = features_.parse->queue->shape().value_count();
}

void Encoder::encode(const Records& from, const std::optional<Augment>& augment, const EncodedRows& to, const StopFlag* cancel) const {
  for (size_t first = 0; first < from.rows; first += kBlock) {
    const size_t n = std::min(kBlock, from.rows - first);
    prefetch(from.records + first + n, std::min(kBlock, from.rows - first - n));
    for (size_t d = 0; d < features_.dense.size(); ++d) {
      dense(features_.dense[d], from.timestamps + first, from.records + first, n, to.dense + first * shape_.dense + d);
    }
    for (size_t c = 0; c < features_.categorical.size(); ++c) {
      categorical(features_.categorical[c], from.timestamps + first, from.records + first, n, to.categorical + c * to.stride + first);
    }
  }
  if (image_) {
    ImageEncoder::Scratch scratch;
    const size_t offset = columns_[features_.tensor->column].offset;
    for (size_t i = 0; i < from.rows; ++i) image_->encode(from.records[i] + offset, from.keys[i], augment, to.values + i * values_, scratch);
  }
  if (features_.tokens) {
    for (size_t i = 0; i < from.rows; ++i) tokens(from.records[i], from.keys[i], to.ids + i * shape_.ids);
  }
  if (!features_.parse) return;
  const ParseChunk all{from.rows, from.keys, from.timestamps, from.records, columns_[features_.parse->column].offset, capacity_, augment};
  features_.parse->queue->parse(all, {to, shape_.dense, features_.dense.size(), features_.categorical.size(), id_limit_, {features_.parse->stop.get(), cancel}});
}

EncodedRows Encoder::from_row(const EncodedRows& all, size_t row) const {
  EncodedRows part = all;
  if (part.dense != nullptr) part.dense += row * shape_.dense;
  if (part.categorical != nullptr) part.categorical += row;
  if (part.values != nullptr) part.values += row * values_;
  if (part.ids != nullptr) part.ids += row * shape_.ids;
  return part;
}

void Encoder::prefetch(const uint8_t* const* records, size_t n) const {
  if (record_bytes_ > kPrefetched || (features_.dense.empty() && features_.categorical.empty())) return;
  for (size_t i = 0; i < n; ++i) {
    for (size_t at = 0; at < record_bytes_; at += kLine) __builtin_prefetch(records[i] + at);
  }
}

void Encoder::dense(const DenseFeature& f, const int64_t* timestamps, const uint8_t* const* records, size_t n, float* out) const {
  const auto [type, offset] = column(f.column);
  const size_t stride = shape_.dense;
  const auto clipped = [&, type = type, offset = offset](size_t i) { return std::min(std::max(number(records[i] + offset, type), f.low), f.high); };
  if (f.op == DenseOp::kValue) return each(n, out, stride, [&](size_t i) { return (clipped(i) - f.mean) * f.scale; });
  if (f.op == DenseOp::kLog1p) return each(n, out, stride, [&](size_t i) { return (std::log1p(clipped(i)) - f.mean) * f.scale; });
  each(n, out, stride, [&](size_t i) { return time_value(f.op, timestamps[i]); });
}

void Encoder::categorical(const CategoricalFeature& f, const int64_t* timestamps, const uint8_t* const* records, size_t n, int32_t* out) const {
  const ColumnAt a = column(f.column);
  const ColumnAt b = column(f.other);
  const auto folded = [buckets = f.buckets](auto raw) { return static_cast<int32_t>(raw % buckets); };
  const auto value = [records](const ColumnAt& from, size_t i) { return integer(records[i] + from.offset, from.type); };
  switch (f.op) {
    case CategoricalOp::kColumn:
      if (a.type == ColumnType::kCategory) return each(n, out, 1, [&](size_t i) { return folded(value(a, i)); });
      return each(n, out, 1, [&](size_t i) { return folded(splitmix64(value(a, i))); });
    case CategoricalOp::kCross:
      return each(n, out, 1, [&](size_t i) { return folded(splitmix64(splitmix64(value(a, i)) + value(b, i))); });
    case CategoricalOp::kBoundaries:
      return each(n, out, 1, [&](size_t i) {
        return static_cast<int32_t>(std::lower_bound(f.boundaries.begin(), f.boundaries.end(), number(records[i] + a.offset, a.type)) - f.boundaries.begin());
      });
    default: return each(n, out, 1, [&](size_t i) { return folded(time_index(f.op, timestamps[i])); });
  }
}

void Encoder::tokens(const uint8_t* record, uint64_t key, int32_t* out) const {
  std::memcpy(out, record + columns_[features_.tokens->column].offset, shape_.ids * sizeof *out);
  const uint32_t limit = id_limit_ == 0 ? 0x80000000U : id_limit_;
  const auto* bad = std::find_if(out, out + shape_.ids, [limit](int32_t id) { return static_cast<uint32_t>(id) >= limit; });
  if (bad == out + shape_.ids) return;
  throw Error(code::kArgument, "sample " + std::to_string(key) + ": token id " + std::to_string(*bad) + " at position " + std::to_string(bad - out) +
                                   (id_limit_ == 0 ? " is negative" : ", but the model's vocabulary has " + std::to_string(id_limit_)));
}

}  // namespace sluice
