#include "storage/append.h"

#include <cmath>
#include <string>

#include "base/error.h"

namespace sluice {

namespace {

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.9g", value);
  return text;
}

[[noreturn]] void fail(const char* code, const std::string& column, uint64_t row, double value, const std::string& expected) {
  throw Error(code, "column '" + column + "', row " + std::to_string(row) + ": expected " + expected + ", got " + number(value));
}

/// A branch-free pass that tells whether all values are finite; the search for the bad one runs only if not.
bool all_finite(const float* values, uint64_t rows) {
  float sum = 0.0F;
  for (uint64_t i = 0; i < rows; ++i) sum += values[i] * 0.0F;  // NaN or infinity times zero is NaN
  return sum == 0.0F;
}

void check_finite(const float* values, uint64_t rows, const std::string& name) {
  if (all_finite(values, rows)) return;
  for (uint64_t i = 0; i < rows; ++i) {
    if (!std::isfinite(values[i])) fail(code::kNotFinite, name, i, values[i], "a finite number");
  }
}

void check_labels(const float* labels, uint64_t rows, const Schema& schema) {
  check_finite(labels, rows, "label");
  if (schema.label != LabelKind::kClass) return;
  const auto classes = static_cast<float>(schema.classes);
  for (uint64_t i = 0; i < rows; ++i) {
    const float label = labels[i];
    if (!(label >= 0.0F && label < classes) || label != std::floor(label)) {
      fail(code::kLabelRange, "label", i, label, "a class from 0 to " + std::to_string(schema.classes - 1));
    }
  }
}

}  // namespace

size_t Column::elements() const {
  size_t n = 1;
  for (const uint32_t d : shape) n *= d;
  return n;
}

size_t Column::bytes() const {
  const size_t n = elements();
  if (type == ColumnType::kBytes) return 4 + (n + 3) / 4 * 4;
  return type == ColumnType::kU8 ? (n + 3) / 4 * 4 : 4 * n;
}

size_t Schema::offset(size_t column) const {
  size_t bytes = 0;
  for (size_t c = 0; c < column; ++c) bytes += columns[c].bytes();
  return bytes;
}

void check_batch(const AppendBatch& batch, const Schema& schema) {
  if (batch.columns.size() != schema.columns.size()) {
    throw Error(code::kArgument, "batch: expected " + std::to_string(schema.columns.size()) + " columns, got " + std::to_string(batch.columns.size()));
  }
  check_labels(batch.labels, batch.rows, schema);
  for (size_t c = 0; c < schema.columns.size(); ++c) {
    const Column& column = schema.columns[c];
    if (column.type == ColumnType::kF32) check_finite(static_cast<const float*>(batch.columns[c]), batch.rows, column.name);
    if (column.type == ColumnType::kCategory) {
      const auto* codes = static_cast<const int32_t*>(batch.columns[c]);
      for (uint64_t i = 0; i < batch.rows; ++i) {
        if (codes[i] < 0) fail(code::kArgument, column.name, i, codes[i], "a category code of at least 0");
      }
    }
  }
}

void interleave(const AppendBatch& batch, uint64_t first, uint64_t rows, std::vector<uint32_t>& records) {
  const size_t width = batch.columns.size();
  records.resize(rows * width);
  for (size_t c = 0; c < width; ++c) {
    const auto* values = static_cast<const uint32_t*>(batch.columns[c]) + first;
    uint32_t* out = records.data() + c;
    for (uint64_t i = 0; i < rows; ++i) out[i * width] = values[i];
  }
}

}  // namespace sluice
