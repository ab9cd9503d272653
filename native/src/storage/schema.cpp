#include "storage/schema.h"

#include <fcntl.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <iterator>
#include <set>
#include <sstream>

#include "base/crc32c.h"
#include "base/error.h"
#include "base/file.h"
#include "storage/layout.h"

namespace sluice {

namespace {

constexpr const char* kFormat = "sluice-dataset 4";
constexpr size_t kMaxColumns = 4096;
constexpr size_t kMaxName = 256;
constexpr size_t kMaxRank = 8;
constexpr uint64_t kMaxRecordBytes = uint64_t{64} << 20;
constexpr uint64_t kMaxBlockBytes = uint64_t{1} << 20;
constexpr uint64_t kMaxSegmentBytes = uint64_t{1} << 30;
const char* const kTypeNames[] = {"f32", "i32", "category", "u8", "bytes"};  // in the order of ColumnType

/// Exponent of the largest power of two of rows within `bytes`, at most `most` rows, at least one.
unsigned row_bits(uint64_t bytes, size_t record_bytes, uint64_t most) {
  unsigned bits = 0;
  while ((uint64_t{2} << bits) <= most && (uint64_t{2} << bits) * record_bytes <= bytes) ++bits;
  return bits;
}

std::string shape_text(const std::vector<uint32_t>& shape) {
  std::string text;
  for (const uint32_t side : shape) text += (text.empty() ? "" : ",") + std::to_string(side);
  return text;
}

/// Reads `3,224,224`; false for anything else.
bool parse_shape(std::string_view text, std::vector<uint32_t>& shape) {
  const char* at = text.data();
  const char* end = at + text.size();
  for (;; ++at) {
    uint32_t side = 0;
    const auto [next, error] = std::from_chars(at, end, side);
    if (error != std::errc() || shape.size() == kMaxRank) return false;
    shape.push_back(side);
    at = next;
    if (at == end) return true;
    if (*at != ',') return false;
  }
}

/// Reads a line of schema_text(); false where it is none.
bool parse_column(std::string_view line, Column& column) {
  const size_t space = line.find(' ');
  if (space == std::string_view::npos) return false;
  std::string_view type = line.substr(0, space);
  column.name = line.substr(space + 1);
  if (const size_t bracket = type.find('['); bracket != std::string_view::npos) {
    if (type.back() != ']' || !parse_shape(type.substr(bracket + 1, type.size() - bracket - 2), column.shape)) return false;
    type = type.substr(0, bracket);
  }
  const auto* found = std::find(std::begin(kTypeNames), std::end(kTypeNames), type);
  if (found == std::end(kTypeNames)) return false;
  column.type = static_cast<ColumnType>(found - std::begin(kTypeNames));
  return true;
}

[[noreturn]] void fail(const Column& column, const std::string& expected) {
  throw Error(code::kArgument, "schema: column '" + column.name + "', shape [" + shape_text(column.shape) + "]: expected " + expected);
}

void check_shape(const Column& column) {
  const size_t rank = column.shape.size();
  if (column.type == ColumnType::kCategory && rank != 0) fail(column, "none: a category is a single value");
  if (column.type == ColumnType::kBytes && rank != 1) fail(column, "one number, the capacity");
  if (rank > kMaxRank) fail(column, "at most " + std::to_string(kMaxRank) + " dimensions");
  uint64_t elements = 1;
  for (const uint32_t side : column.shape) {
    elements *= side;  // both factors below 2^32: no overflow
    if (elements == 0 || elements > kMaxRecordBytes) fail(column, "1 to " + std::to_string(kMaxRecordBytes) + " values");
  }
}

}  // namespace

RecordLayout::RecordLayout(size_t bytes)
    : record_bytes(bytes), block_bits(row_bits(kMaxBlockBytes, bytes, kChunkRows)), segment_bits(row_bits(kMaxSegmentBytes, bytes, kRowsPerSegment)) {}

size_t Column::elements() const {
  size_t n = 1;
  for (const uint32_t side : shape) n *= side;
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

std::string_view stored_bytes(const uint8_t* cell, const Column& column) {
  uint32_t length;
  std::memcpy(&length, cell, sizeof length);
  if (length > column.elements()) {
    throw Error(code::kCorrupt, "column '" + column.name + "' is damaged: a value claims " + std::to_string(length) + " bytes of at most " + std::to_string(column.elements()));
  }
  return {reinterpret_cast<const char*>(cell) + sizeof length, length};
}

std::string schema_text(const Schema& schema) {
  std::ostringstream text;
  text << kFormat << "\nlabel " << (schema.label == LabelKind::kClass ? "class " : "real ") << schema.classes << "\n";
  for (const Column& column : schema.columns) {
    text << kTypeNames[static_cast<size_t>(column.type)];
    if (!column.shape.empty()) text << '[' << shape_text(column.shape) << ']';
    text << " " << column.name << "\n";
  }
  return text.str();
}

Schema parse_schema(std::string_view text, const std::string& path) {
  std::istringstream lines{std::string(text)};
  const auto fail = [&] { return Error(code::kCorrupt, path + " is damaged: its schema cannot be read"); };
  std::string line, word, kind;
  if (!std::getline(lines, line)) throw fail();
  if (line != kFormat) throw Error(code::kCorrupt, path + " was written by another version of Sluice or is damaged: its format is '" + line.substr(0, 40) + "', expected '" + kFormat + "'");
  Schema schema;
  if (!(lines >> word >> kind >> schema.classes) || word != "label") throw fail();
  schema.label = kind == "class" ? LabelKind::kClass : LabelKind::kReal;
  std::getline(lines, line);
  while (std::getline(lines, line)) {
    schema.columns.emplace_back();
    if (!parse_column(line, schema.columns.back())) throw fail();
  }
  try {
    check_schema(schema);
  } catch (const Error& error) {
    throw Error(code::kCorrupt, path + " is damaged: " + error.what());
  }
  return schema;
}

void write_schema_copy(const std::string& dataset, const Schema& schema) {
  const std::string text = schema_text(schema);
  const uint32_t crc = crc32c(text.data(), text.size());
  AtomicFile file(dataset + "/schema");
  file.write(text.data(), text.size());
  file.write(&crc, sizeof crc);
  file.commit();
}

std::optional<Schema> read_schema_copy(const std::string& dataset) {
  constexpr uint64_t kMaxBytes = uint64_t{4} << 20;
  if (!path_exists(dataset + "/schema")) return std::nullopt;
  const File file(dataset + "/schema", O_RDONLY);
  uint32_t crc;
  if (file.size() < sizeof crc || file.size() > kMaxBytes) return std::nullopt;
  std::string text(file.size() - sizeof crc, '\0');
  file.read_at(0, text.data(), text.size());
  file.read_at(text.size(), &crc, sizeof crc);
  if (crc != crc32c(text.data(), text.size())) return std::nullopt;
  return parse_schema(text, dataset);
}

void check_column_name(std::string_view name) {
  const bool control = std::any_of(name.begin(), name.end(), [](char c) { return static_cast<unsigned char>(c) < 32; });
  if (name.empty() || name.size() > kMaxName || control) {
    throw Error(code::kArgument, "'" + std::string(name) + "' is no column name (1 to " + std::to_string(kMaxName) + " bytes, no control characters)");
  }
}

void check_schema(const Schema& schema) {
  if (schema.columns.size() > kMaxColumns) throw Error(code::kArgument, "schema: at most " + std::to_string(kMaxColumns) + " columns, got " + std::to_string(schema.columns.size()));
  if (schema.label == LabelKind::kClass && (schema.classes < 2 || schema.classes > (1U << 24))) {
    throw Error(code::kArgument, "schema: classes: expected 2 to 16777216, got " + std::to_string(schema.classes));
  }
  std::set<std::string> names;
  uint64_t bytes = 0;
  for (const Column& column : schema.columns) {
    check_column_name(column.name);
    if (!names.insert(column.name).second) throw Error(code::kArgument, "schema: two columns are named '" + column.name + "'");
    check_shape(column);
    bytes += column.bytes();
  }
  if (bytes > kMaxRecordBytes) throw Error(code::kArgument, "schema: a sample has " + std::to_string(bytes) + " bytes, at most " + std::to_string(kMaxRecordBytes) + " can be stored");
}

}  // namespace sluice
