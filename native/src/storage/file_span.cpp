#include "storage/file_span.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <iterator>

#include "base/error.h"

namespace sluice {

namespace {

constexpr uint64_t kMaxStride = uint64_t{1} << 31;
constexpr uint64_t kMaxRows = uint64_t{1} << 48;
constexpr size_t kMaxFiles = 4096;
const char* const kTypes[] = {"int8", "uint8", "int16", "int32", "int64", "float16", "float32", "float64"};  // in the order of StoredType

[[noreturn]] void fail(const FileLayout& layout, const std::string& what) { throw Error(code::kArgument, "rows of " + layout.part + ": " + what); }

void check_file(const FileLayout& layout, const PlacedFile& file) {
  if (file.path.empty() || file.path.find('\n') != std::string::npos) fail(layout, "a file's name must not be empty or hold a line end");
  if (file.stride == 0 || file.stride > kMaxStride) fail(layout, "expected records of 1 to " + std::to_string(kMaxStride) + " bytes, got " + std::to_string(file.stride));
  if (file.skip > kMaxStride) fail(layout, "expected at most " + std::to_string(kMaxStride) + " bytes before the first record, got " + std::to_string(file.skip));
}

/// Whether the axes are each of the shape's dimensions once, and make the column's shape of it.
bool permutes(const FileField& field, const Column& column) {
  std::vector<uint32_t> sorted = field.axes;
  std::sort(sorted.begin(), sorted.end());
  for (uint32_t i = 0; i < sorted.size(); ++i) {
    if (sorted[i] != i) return false;
  }
  if (field.shape.size() != field.axes.size() || column.shape.size() != field.axes.size()) return false;
  for (size_t i = 0; i < field.axes.size(); ++i) {
    if (column.shape[i] != field.shape[field.axes[i]]) return false;
  }
  return true;
}

void check_field(const FileLayout& layout, const FileField& field, const Column& column) {
  const std::string name = "column '" + column.name + "'";
  if (column.type == ColumnType::kBytes) fail(layout, name + " holds bytes, which no field of fixed width does");
  if (field.file >= layout.files.size()) fail(layout, name + " lies in file " + std::to_string(field.file) + " of " + std::to_string(layout.files.size()));
  const uint64_t stride = layout.files[field.file].stride;
  const uint64_t bytes = column.elements() * stored_width(field.type);
  if (field.offset > stride || bytes > stride - field.offset) fail(layout, name + " ends behind its record of " + std::to_string(stride) + " bytes");
  if (!field.axes.empty() && !permutes(field, column)) fail(layout, name + ": its axes do not give its shape");
}

/// Reads what files_text() writes; a failed read leaves it failed.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}
  template <typename T>
  T number() {
    T value{};
    const auto [next, error] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), value);
    at_ = static_cast<size_t>(next - text_.data());
    if (error != std::errc() || at_ == text_.size() || (text_[at_] != ' ' && text_[at_] != '\n')) sound_ = false;
    else ++at_;
    return value;
  }
  std::string line() {
    const size_t end = text_.find('\n', at_);
    if (end == std::string_view::npos) sound_ = false;
    const size_t length = sound_ ? end - at_ : 0;
    std::string line(text_.substr(std::min(at_, text_.size()), length));
    at_ += length + 1;
    return line;
  }
  /// Of a list that follows; each item takes two bytes at least.
  size_t count() {
    const auto n = number<uint64_t>();
    if (n > text_.size() / 2) sound_ = false;
    return sound_ ? n : 0;
  }
  bool sound() const { return sound_; }
  bool at_end() const { return at_ == text_.size(); }

 private:
  std::string_view text_;
  size_t at_ = 0;
  bool sound_ = true;
};

FileField read_field(Reader& in) {
  FileField field;
  field.file = in.number<uint32_t>();
  field.offset = in.number<uint64_t>();
  const auto type = in.number<uint32_t>();
  field.type = static_cast<StoredType>(std::min<uint32_t>(type, std::size(kTypes) - 1));
  const size_t rank = in.count();
  for (size_t i = 0; i < rank && in.sound(); ++i) field.shape.push_back(in.number<uint32_t>());
  for (size_t i = 0; i < rank && in.sound(); ++i) field.axes.push_back(in.number<uint32_t>());
  in.line();
  return field;
}

}  // namespace

size_t stored_width(StoredType type) {
  switch (type) {
    case StoredType::kInt8:
    case StoredType::kUint8: return 1;
    case StoredType::kInt16:
    case StoredType::kFloat16: return 2;
    case StoredType::kInt32:
    case StoredType::kFloat32: return 4;
    default: return 8;
  }
}

uint64_t FileSpan::bytes() const {
  uint64_t bytes = 0;
  for (const PlacedFile& file : layout.files) bytes += rows * file.stride;
  return bytes;
}

bool FileSpan::continues_with(const FileSpan& other) const {
  return rows > 0 && end() == other.first && file_row + rows == other.file_row && layout == other.layout;
}

FileSpans::FileSpans(std::vector<FileSpan> all) : all_(std::move(all)) {
  for (const FileSpan& span : all_) {
    if (span.rows > 0) by_key_.push_back(&span);
  }
  std::sort(by_key_.begin(), by_key_.end(), [](const FileSpan* a, const FileSpan* b) { return a->first < b->first; });
}

FileSpans::Piece FileSpans::piece(uint64_t first) const {
  const auto after = std::upper_bound(by_key_.begin(), by_key_.end(), first, [](uint64_t key, const FileSpan* span) { return key < span->first; });
  if (after != by_key_.begin() && first < (*(after - 1))->end()) return {*(after - 1), (*(after - 1))->end()};
  return {nullptr, after == by_key_.end() ? UINT64_MAX : (*after)->first};
}

size_t FileSpans::find(uint64_t key) const {
  const auto after = std::upper_bound(by_key_.begin(), by_key_.end(), key, [](uint64_t k, const FileSpan* span) { return k < span->first; });
  if (after == by_key_.begin() || key >= (*(after - 1))->end()) return npos;
  return static_cast<size_t>(after - by_key_.begin()) - 1;
}

std::string files_key(uint64_t number) {
  char digits[32];
  std::snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(number));
  return std::string(kFilesPrefix) + digits;
}

std::string files_text(const FileSpan& span) {
  const auto join = [](auto... numbers) { return ((std::to_string(numbers) + " ") + ...); };
  std::string text = join(span.first, span.rows, span.file_row, span.layout.files.size(), span.layout.fields.size()) + span.layout.part + "\n";
  for (const PlacedFile& file : span.layout.files) text += join(file.skip, file.stride, file.size, file.changed) + file.path + "\n";
  for (const FileField& field : span.layout.fields) {
    text += join(field.file, field.offset, static_cast<uint32_t>(field.type), field.shape.size());
    for (const uint32_t side : field.shape) text += join(side);
    for (const uint32_t axis : field.axes) text += join(axis);
    text += "\n";
  }
  return text;
}

FileSpan parse_files(std::string_view key, std::string_view text, const Schema& schema, const std::string& path) {
  const auto damaged = [&](const std::string& what) { return Error(code::kCorrupt, path + " is damaged: an entry that tells which files its samples lie in " + what); };
  FileSpan span;
  const std::string_view digits = key.substr(std::min(key.size(), kFilesPrefix.size()));
  if (std::from_chars(digits.data(), digits.data() + digits.size(), span.number, 16).ec != std::errc() || span.number == 0) throw damaged("has no number");
  Reader in(text);
  span.first = in.number<uint64_t>();
  span.rows = in.number<uint64_t>();
  span.file_row = in.number<uint64_t>();
  const size_t files = in.count();
  const size_t fields = in.count();
  span.layout.part = in.line();
  for (size_t i = 0; i < files && in.sound(); ++i) {
    PlacedFile file;
    file.skip = in.number<uint64_t>();
    file.stride = in.number<uint64_t>();
    file.size = in.number<uint64_t>();
    file.changed = in.number<int64_t>();
    file.path = in.line();
    span.layout.files.push_back(std::move(file));
  }
  for (size_t i = 0; i < fields && in.sound(); ++i) span.layout.fields.push_back(read_field(in));
  if (!in.sound() || !in.at_end() || span.first > kMaxRows || span.rows > kMaxRows || span.file_row > kMaxRows) throw damaged("cannot be read");
  try {
    check_layout(span.layout, schema);
  } catch (const Error& error) {
    throw damaged(std::string("makes no sense: ") + error.what());
  }
  for (const PlacedFile& file : span.layout.files) {
    if (file.size < file.skip || (file.size - file.skip) / file.stride < span.file_row + span.rows) throw damaged("names rows behind the end of " + file.path);
  }
  return span;
}

void check_layout(const FileLayout& layout, const Schema& schema) {
  if (layout.part.empty() || layout.part.find('\n') != std::string::npos) throw Error(code::kArgument, "rows of files: their name must not be empty or hold a line end");
  if (layout.files.empty() || layout.files.size() > kMaxFiles) fail(layout, "expected 1 to " + std::to_string(kMaxFiles) + " files, got " + std::to_string(layout.files.size()));
  for (const PlacedFile& file : layout.files) check_file(layout, file);
  if (layout.fields.size() != schema.columns.size()) fail(layout, "expected " + std::to_string(schema.columns.size()) + " fields, got " + std::to_string(layout.fields.size()));
  for (size_t c = 0; c < schema.columns.size(); ++c) check_field(layout, layout.fields[c], schema.columns[c]);
}

}  // namespace sluice
