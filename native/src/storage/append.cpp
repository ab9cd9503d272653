#include "storage/append.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
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

// Each check is a pass without branches, which compilers make vector code of; the search for the bad value runs only if it fails.

bool all_finite(const float* values, uint64_t n) {
  constexpr uint32_t kExponent = 0x7f800000U;  // all ones: NaN or infinity
  uint32_t bad = 0;
  for (uint64_t i = 0; i < n; ++i) bad |= (std::bit_cast<uint32_t>(values[i]) & kExponent) == kExponent ? 1U : 0U;
  return bad == 0;
}

/// values [rows, elements] of a column.
void check_finite(const float* values, uint64_t rows, size_t elements, const std::string& name) {
  if (all_finite(values, rows * elements)) return;
  for (uint64_t i = 0; i < rows * elements; ++i) {
    if (!std::isfinite(values[i])) fail(code::kNotFinite, name, i / elements, values[i], "a finite number");
  }
}

void check_codes(const int32_t* codes, uint64_t rows, const std::string& name) {
  uint32_t signs = 0;
  for (uint64_t i = 0; i < rows; ++i) signs |= static_cast<uint32_t>(codes[i]);
  if ((signs >> 31) == 0) return;
  for (uint64_t i = 0; i < rows; ++i) {
    if (codes[i] < 0) fail(code::kArgument, name, i, codes[i], "a category code of at least 0");
  }
}

void check_lengths(const uint8_t* cells, uint64_t rows, const Column& column) {
  for (uint64_t i = 0; i < rows; ++i) {
    uint32_t length;
    std::memcpy(&length, cells + i * column.bytes(), sizeof length);
    if (length > column.elements()) fail(code::kArgument, column.name, i, length, "at most " + std::to_string(column.elements()) + " bytes");
  }
}

void check_labels(const float* labels, uint64_t rows, const Schema& schema) {
  check_finite(labels, rows, 1, "label");
  if (schema.label != LabelKind::kClass) return;
  const auto classes = static_cast<float>(schema.classes);
  uint32_t bad = 0;
  for (uint64_t i = 0; i < rows; ++i) {
    const bool inside = labels[i] >= 0.0F && labels[i] < classes;
    bad |= inside && labels[i] == static_cast<float>(static_cast<int32_t>(inside ? labels[i] : 0.0F)) ? 0U : 1U;
  }
  if (bad == 0) return;
  for (uint64_t i = 0; i < rows; ++i) {
    const float label = labels[i];
    if (!(label >= 0.0F && label < classes) || label != std::floor(label)) {
      fail(code::kLabelRange, "label", i, label, "a class from 0 to " + std::to_string(schema.classes - 1));
    }
  }
}

}  // namespace

void check_batch(const AppendBatch& batch, const Schema& schema) {
  if (batch.columns.size() != schema.columns.size()) {
    throw Error(code::kArgument, "batch: expected " + std::to_string(schema.columns.size()) + " columns, got " + std::to_string(batch.columns.size()));
  }
  check_labels(batch.labels, batch.rows, schema);
  for (size_t c = 0; c < schema.columns.size(); ++c) {
    const Column& column = schema.columns[c];
    const void* values = batch.columns[c];
    switch (column.type) {
      case ColumnType::kF32: check_finite(static_cast<const float*>(values), batch.rows, column.elements(), column.name); break;
      case ColumnType::kCategory: check_codes(static_cast<const int32_t*>(values), batch.rows, column.name); break;
      case ColumnType::kBytes: check_lengths(static_cast<const uint8_t*>(values), batch.rows, column); break;
      case ColumnType::kI32:
      case ColumnType::kU8: break;
    }
  }
}

namespace {

/// Single values of 4 bytes, by far the most common columns.
void scatter_cells(const uint32_t* values, uint64_t rows, uint8_t* out, size_t stride) {
  for (uint64_t i = 0; i < rows; ++i) std::memcpy(out + i * stride, values + i, sizeof *values);
}

/// Cells of `width` bytes that are `bytes` long in the batch.
void scatter_tensors(const uint8_t* values, size_t bytes, size_t width, uint64_t rows, uint8_t* out, size_t stride) {
  for (uint64_t i = 0; i < rows; ++i) {
    std::memcpy(out + i * stride, values + i * bytes, bytes);
    std::memset(out + i * stride + bytes, 0, width - bytes);
  }
}

void scatter_bytes(const uint8_t* cells, size_t width, uint64_t rows, uint8_t* out, size_t stride) {
  for (uint64_t i = 0; i < rows; ++i) {
    uint32_t length;
    std::memcpy(&length, cells + i * width, sizeof length);
    std::memcpy(out + i * stride, cells + i * width, sizeof length + length);
    std::memset(out + i * stride + sizeof length + length, 0, width - sizeof length - length);
  }
}

/// Rows [first, first + rows) of the batch to `out`.
void interleave_rows(const AppendBatch& batch, const Schema& schema, uint64_t first, uint64_t rows, uint8_t* out) {
  const size_t stride = schema.record_bytes();
  for (size_t c = 0; c < schema.columns.size(); ++c) {
    const Column& column = schema.columns[c];
    const size_t width = column.bytes();
    const size_t given = column.type == ColumnType::kU8 ? column.elements() : width;
    const uint8_t* values = static_cast<const uint8_t*>(batch.columns[c]) + first * given;
    if (column.type == ColumnType::kBytes) {
      scatter_bytes(values, width, rows, out, stride);
    } else if (given == sizeof(uint32_t)) {
      scatter_cells(reinterpret_cast<const uint32_t*>(values), rows, out, stride);
    } else {
      scatter_tensors(values, given, width, rows, out, stride);
    }
    out += width;
  }
}

}  // namespace

void interleave(const AppendBatch& batch, const Schema& schema, uint64_t first, uint64_t rows, std::vector<uint8_t>& records) {
  constexpr size_t kTileBytes = size_t{16} << 10;  // records that stay in the first-level cache while all columns are written
  const size_t stride = schema.record_bytes();
  const uint64_t tile = std::max<uint64_t>(1, kTileBytes / stride);
  records.resize(rows * stride);
  for (uint64_t done = 0; done < rows; done += tile) interleave_rows(batch, schema, first + done, std::min(tile, rows - done), records.data() + done * stride);
}

}  // namespace sluice
