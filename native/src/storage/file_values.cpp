#include "storage/file_values.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

namespace sluice {

namespace {

struct Half {
  uint16_t bits;
};

/// IEEE 754 binary16.
float to_float(Half half) {
  const uint32_t sign = static_cast<uint32_t>(half.bits & 0x8000U) << 16;
  const uint32_t rest = half.bits & 0x7fffU;
  if (rest >= 0x7c00U) return std::bit_cast<float>(sign | 0x7f800000U | (rest & 0x3ffU) << 13);
  // Its exponent lies 112 below float's; a product with 2^112 makes normal numbers of subnormal ones, too.
  return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(std::bit_cast<float>(rest << 13) * 0x1.0p112F));
}

template <typename T>
T load(const uint8_t* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

template <typename T>
double number(T value) {
  if constexpr (std::is_same_v<T, Half>) return static_cast<double>(to_float(value));
  else return static_cast<double>(value);
}

/// Calls work(T{}) with the type that the values have in memory.
template <typename Work>
auto with_type(StoredType type, const Work& work) {
  switch (type) {
    case StoredType::kInt8: return work(int8_t{});
    case StoredType::kUint8: return work(uint8_t{});
    case StoredType::kInt16: return work(int16_t{});
    case StoredType::kInt32: return work(int32_t{});
    case StoredType::kInt64: return work(int64_t{});
    case StoredType::kFloat16: return work(Half{});
    case StoredType::kFloat32: return work(float{});
    default: return work(double{});
  }
}

/// Through double, as ingestion does it, so that both give the same bits.
template <typename T>
float to_f32(T value) {
  if constexpr (std::is_same_v<T, float>) return value;
  else if constexpr (std::is_same_v<T, Half>) return to_float(value);
  else return static_cast<float>(static_cast<double>(value));
}

/// Values out of the range were refused when the rows were taken up; bytes that changed since must not do harm.
template <typename To, typename T>
To to_integer(T value) {
  if constexpr (std::is_integral_v<T>) {
    return static_cast<To>(value);
  } else {
    const double x = number(value);
    return x >= -2147483648.0 && x <= 2147483647.0 ? static_cast<To>(static_cast<int32_t>(x)) : To{0};
  }
}

/// The first row of `values` with a value for which fits() is false. The search runs only where a pass without branches finds one.
template <typename T, typename Fits>
std::optional<UnfitValue> first_unfit(const FieldValues& values, size_t elements, const Fits& fits) {
  const auto row_fits = [&](uint64_t row) {
    bool all = true;
    for (size_t e = 0; e < elements; ++e) all &= fits(load<T>(values.data + row * values.stride + e * sizeof(T)));
    return all;
  };
  bool all = true;
  for (uint64_t row = 0; row < values.rows; ++row) all &= row_fits(row);
  if (all) return std::nullopt;
  uint64_t row = 0;
  while (row_fits(row)) ++row;
  for (size_t e = 0;; ++e) {
    const T value = load<T>(values.data + row * values.stride + e * sizeof(T));
    if (!fits(value)) return UnfitValue{row, number(value)};
  }
}

template <typename T>
std::optional<UnfitValue> unfit_integer(const FieldValues& values, size_t elements, double least, double greatest) {
  // Compared as integers where they are: types whose values all fit need no pass.
  if constexpr (std::is_integral_v<T>) {
    if (static_cast<double>(std::numeric_limits<T>::min()) >= least && static_cast<double>(std::numeric_limits<T>::max()) <= greatest) return std::nullopt;
    const auto low = static_cast<int64_t>(least);
    const auto width = static_cast<uint64_t>(static_cast<int64_t>(greatest) - low);
    return first_unfit<T>(values, elements, [=](T v) { return static_cast<uint64_t>(static_cast<int64_t>(v)) - static_cast<uint64_t>(low) <= width; });
  } else {
    return first_unfit<T>(values, elements, [=](T v) {
      const double x = number(v);
      return x >= least && x <= greatest && x == std::floor(x);
    });
  }
}

template <typename T>
std::optional<UnfitValue> unfit_float(const FieldValues& values, size_t elements) {
  if constexpr (std::is_integral_v<T>) return std::nullopt;
  else return first_unfit<T>(values, elements, [](T v) { return std::isfinite(to_f32(v)); });
}

std::vector<uint32_t> permutation_of(const FileField& field, const Column& column) {
  if (field.axes.empty()) return {};
  std::vector<uint32_t> strides(field.shape.size(), 1);
  for (size_t axis = field.shape.size(); axis-- > 1;) strides[axis - 1] = strides[axis] * field.shape[axis];
  std::vector<uint32_t> places(column.elements());
  for (uint32_t i = 0; i < places.size(); ++i) {
    uint32_t rest = i;
    for (size_t d = column.shape.size(); d-- > 0; rest /= column.shape[d]) places[i] += rest % column.shape[d] * strides[field.axes[d]];
  }
  return places;
}

bool same_bytes(StoredType type, ColumnType column) {
  switch (column) {
    case ColumnType::kF32: return type == StoredType::kFloat32;
    case ColumnType::kU8: return type == StoredType::kUint8 || type == StoredType::kInt8;  // a negative one is refused
    default: return type == StoredType::kInt32;
  }
}

}  // namespace

std::optional<UnfitValue> find_unfit(const FieldValues& values, const Column& column, uint32_t codes) {
  return with_type(values.type, [&]<typename T>(T) -> std::optional<UnfitValue> {
    const size_t elements = column.elements();
    switch (column.type) {
      case ColumnType::kF32: return unfit_float<T>(values, elements);
      case ColumnType::kU8: return unfit_integer<T>(values, elements, 0, 255);
      case ColumnType::kCategory: return unfit_integer<T>(values, elements, 0, codes == 0 ? 2147483647.0 : static_cast<double>(codes) - 1);
      default: return unfit_integer<T>(values, elements, codes == 0 ? -2147483648.0 : 0, codes == 0 ? 2147483647.0 : static_cast<double>(codes) - 1);
    }
  });
}

void read_numbers(const FieldValues& values, double* out) {
  with_type(values.type, [&]<typename T>(T) {
    for (uint64_t i = 0; i < values.rows; ++i) out[i] = number(load<T>(values.data + i * values.stride));
  });
}

void read_times(const FieldValues& values, double times, double by, double* out) {
  if (values.type == StoredType::kInt64 && times == 1.0 && by > 1.0) {
    const auto unit = static_cast<int64_t>(by);
    for (uint64_t i = 0; i < values.rows; ++i) {
      const auto value = load<int64_t>(values.data + i * values.stride);
      out[i] = static_cast<double>(value / unit - (value % unit < 0 ? 1 : 0));
    }
    return;
  }
  read_numbers(values, out);
  for (uint64_t i = 0; i < values.rows; ++i) out[i] = std::floor(out[i] * times / by);
}

RecordPlan::RecordPlan(const FileLayout& layout, const Schema& schema) {
  size_t to = 0;
  for (size_t c = 0; c < schema.columns.size(); ++c) {
    const Column& column = schema.columns[c];
    const FileField& field = layout.fields[c];
    const size_t elements = column.elements();
    const size_t width = stored_width(field.type);
    const bool same = same_bytes(field.type, column.type) && field.axes.empty();
    const size_t padding = column.type == ColumnType::kU8 ? column.bytes() - elements : 0;
    Move* last = moves_.empty() ? nullptr : &moves_.back();
    if (last != nullptr && last->same && same && last->padding == 0 && last->file == field.file && last->from + last->count == field.offset) {
      last->count += elements * width;
      last->padding = padding;
    } else {
      moves_.push_back({field.file, field.offset, layout.files[field.file].stride, to, same ? elements * width : elements, field.type, column.type, same, padding, permutation_of(field, column)});
    }
    to += column.bytes();
    auto touched = std::find_if(touched_.begin(), touched_.end(), [&](const Touched& t) { return t.file == field.file; });
    if (touched == touched_.end()) touched = touched_.insert(touched_.end(), {field.file, field.offset, field.offset});
    touched->begin = std::min(touched->begin, field.offset);
    touched->end = std::max(touched->end, field.offset + elements * width);
  }
}

template <typename T>
void RecordPlan::convert(const Move& move, const uint8_t* from, uint8_t* to) {
  const auto value = [&](size_t i) { return load<T>(from + (move.permutation.empty() ? i : move.permutation[i]) * sizeof(T)); };
  const auto store = [&](const auto& convert_one) {
    for (size_t i = 0; i < move.count; ++i) {
      const auto converted = convert_one(value(i));
      std::memcpy(to + i * sizeof converted, &converted, sizeof converted);
    }
  };
  if (move.column == ColumnType::kF32) store([](T v) { return to_f32(v); });
  else if (move.column == ColumnType::kU8) store([](T v) { return to_integer<uint8_t>(v); });
  else store([](T v) { return to_integer<int32_t>(v); });
}

void RecordPlan::assemble(const std::vector<const uint8_t*>& bases, const uint64_t* rows, size_t n, uint8_t* const* records) const {
  for (const Move& move : moves_) {
    const uint8_t* base = bases[move.file] + move.from;
    if (move.same && move.count == sizeof(uint32_t)) {
      for (size_t i = 0; i < n; ++i) std::memcpy(records[i] + move.to, base + rows[i] * move.stride, sizeof(uint32_t));
    } else if (move.same) {
      for (size_t i = 0; i < n; ++i) std::memcpy(records[i] + move.to, base + rows[i] * move.stride, move.count);
    } else {
      with_type(move.type, [&]<typename T>(T) {
        for (size_t i = 0; i < n; ++i) convert<T>(move, base + rows[i] * move.stride, records[i] + move.to);
      });
    }
    if (move.padding == 0) continue;
    const size_t end = move.to + (move.same ? move.count : move.count * (move.column == ColumnType::kU8 ? 1 : 4));
    for (size_t i = 0; i < n; ++i) std::memset(records[i] + end, 0, move.padding);
  }
}

}  // namespace sluice
