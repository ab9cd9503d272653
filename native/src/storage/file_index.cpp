#include "storage/file_index.h"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <cmath>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>

#include "base/crc32c.h"
#include "base/error.h"
#include "storage/block.h"

namespace sluice {

namespace {

constexpr unsigned kMostThreads = 16;
constexpr double kFirstMs = -62'167'219'200'000.0;  // the years 0 to 9999, as of other sources
constexpr double kEndMs = 253'402'300'800'000.0;

std::string text_of(double value) {
  if (!std::isfinite(value)) return std::isnan(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity";
  char text[64];
  return {text, std::to_chars(text, text + sizeof text, value).ptr};
}

/// The rows of one block, read by one thread.
class Piece {
 public:
  Piece(const FileBatch& batch, const Schema& schema, const OpenFiles& files) : batch_(batch), schema_(schema), files_(files), bytes_(batch.layout.files.size()) {}

  /// Rows [at, at + rows) of the append; `sum`: checksum of what the block holds before. Returns it with the rows.
  uint32_t read(uint64_t at, uint64_t rows, uint32_t sum, FileIndex& out) {
    for (size_t f = 0; f < bytes_.size(); ++f) {
      files_.read(f, batch_.file_row + at, rows, bytes_[f]);
      sum = crc32c(bytes_[f].data(), bytes_[f].size(), sum);
    }
    at_ = at;
    numbers_.resize(rows);
    take_times(rows, out.timestamps.data() + at);
    take_labels(rows, out.labels.data() + at);
    for (size_t c = 0; c < schema_.columns.size(); ++c) check_column(c, rows);
    return sum;
  }

 private:
  FieldValues values(const FileField& field, uint64_t rows) const { return {bytes_[field.file].data() + field.offset, batch_.layout.files[field.file].stride, rows, field.type}; }

  [[noreturn]] void fail(const char* code, const std::string& name, uint64_t row, const std::string& expected, double got) const {
    throw Error(code, batch_.layout.part + ": column '" + name + "', row " + std::to_string(batch_.file_row + at_ + row + 1) + ": expected " + expected + ", got " + text_of(got));
  }

  void check_column(size_t c, uint64_t rows) const {
    const Column& column = schema_.columns[c];
    const uint32_t codes = batch_.codes[c];
    const auto bad = find_unfit(values(batch_.layout.fields[c], rows), column, codes);
    if (!bad) return;
    const bool finite = std::isfinite(bad->value);
    if (column.type == ColumnType::kF32) fail(code::kNotFinite, column.name, bad->row, "a finite number of 32 bits", bad->value);
    if (column.type == ColumnType::kCategory || (column.type == ColumnType::kI32 && codes > 0)) fail(code::kSource, column.name, bad->row, "a code from 0 to " + std::to_string(codes == 0 ? 2147483647U : codes - 1), bad->value);
    fail(finite ? code::kSource : code::kNotFinite, column.name, bad->row, column.type == ColumnType::kU8 ? "an integer from 0 to 255" : "an integer of 32 bits", bad->value);
  }

  void take_labels(uint64_t rows, float* labels) {
    const FileLabel& label = batch_.label;
    read_numbers(values(label.field, rows), numbers_.data());
    const double classes = schema_.label == LabelKind::kClass ? schema_.classes : 0;
    for (uint64_t i = 0; i < rows; ++i) {
      const double x = numbers_[i];
      const auto single = static_cast<float>(x);
      if (label.at_least) {
        if (!std::isfinite(x)) fail(code::kNotFinite, label.name, i, "a number", x);
        labels[i] = x >= *label.at_least ? 1.0F : 0.0F;
        continue;
      }
      if (classes == 0) {
        if (!std::isfinite(single)) fail(code::kNotFinite, label.name, i, "a number within the range of a 32-bit float", x);
      } else if (!(x >= 0 && x < classes && x == std::floor(x))) {
        fail(std::isfinite(x) ? code::kLabelRange : code::kNotFinite, label.name, i, "a class from 0 to " + std::to_string(schema_.classes - 1), x);
      }
      labels[i] = single;
    }
  }

  void take_times(uint64_t rows, int64_t* timestamps) {
    const FileTime& time = batch_.time;
    if (!time.field) {
      for (uint64_t i = 0; i < rows; ++i) timestamps[i] = time.start + static_cast<int64_t>(at_ + i) * time.step;
      return;
    }
    read_times(values(*time.field, rows), time.times, time.by, numbers_.data());
    for (uint64_t i = 0; i < rows; ++i) {
      if (!(numbers_[i] >= kFirstMs && numbers_[i] < kEndMs)) fail(code::kSource, time.name, i, "a time of the years 0 to 9999", numbers_[i] / time.times * time.by);
      timestamps[i] = static_cast<int64_t>(numbers_[i]);
    }
  }

  const FileBatch& batch_;
  const Schema& schema_;
  const OpenFiles& files_;
  std::vector<std::vector<uint8_t>> bytes_;  // by file
  std::vector<double> numbers_;
  uint64_t at_ = 0;  // of the first row in the append
};

/// The error of the first row that has one is told, whatever thread met one first.
class FirstError {
 public:
  void note(uint64_t place) {
    const std::lock_guard lock(mutex_);
    if (place >= place_) return;
    place_ = place;
    error_ = std::current_exception();
  }
  bool before(uint64_t place) const {
    const std::lock_guard lock(mutex_);
    return place_ < place;
  }
  void rethrow() const {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  mutable std::mutex mutex_;
  uint64_t place_ = UINT64_MAX;
  std::exception_ptr error_;
};

void check_inside(const FileLayout& layout, const FileField& field, const std::string& name) {
  const bool inside = field.file < layout.files.size() && field.offset <= layout.files[field.file].stride && stored_width(field.type) <= layout.files[field.file].stride - field.offset;
  if (!inside) throw Error(code::kArgument, "rows of " + layout.part + ": column '" + name + "' lies outside its record");
}

void check_order(const FileBatch& batch, const FileIndex& index, const OpenFiles& files) {
  if (!batch.time.field) return;
  const auto fail = [&](uint64_t row) {
    throw Error(code::kSource, batch.layout.part + ": column '" + batch.time.name + "', row " + std::to_string(batch.file_row + row + 1) +
                                   ": expected a time that is not before that of the row above: rows that stay where they are cannot be sorted");
  };
  if (batch.file_row > 0) {
    std::vector<uint8_t> bytes;
    const FileField& field = *batch.time.field;
    files.read(field.file, batch.file_row - 1, 1, bytes);
    double before = 0;
    read_times({bytes.data() + field.offset, bytes.size(), 1, field.type}, batch.time.times, batch.time.by, &before);
    if (static_cast<double>(index.timestamps.front()) < before) fail(0);
  }
  const auto sorted = std::is_sorted_until(index.timestamps.begin(), index.timestamps.end());
  if (sorted != index.timestamps.end()) fail(static_cast<uint64_t>(sorted - index.timestamps.begin()));
}

}  // namespace

FileIndex index_files(const FileBatch& batch, const Schema& schema, const RecordLayout& layout, uint64_t first, uint32_t begun, const StopFlag& stop) {
  check_inside(batch.layout, batch.label.field, batch.label.name);
  if (batch.time.field) check_inside(batch.layout, *batch.time.field, batch.time.name);
  const OpenFiles files(batch.layout);
  const uint64_t block0 = first >> layout.block_bits;
  const uint64_t blocks = layout.blocks(first + batch.rows) - block0;
  FileIndex index{std::vector<int64_t>(batch.rows), std::vector<float>(batch.rows), std::vector<uint32_t>(blocks)};
  std::atomic<uint64_t> next{0};
  FirstError error;
  const auto work = [&] {
    Piece piece(batch, schema, files);
    for (uint64_t i = next++; i < blocks && !error.before(i); i = next++) {
      try {
        stop.check();
        const uint64_t begin = i == 0 ? first : (block0 + i) << layout.block_bits;
        const uint64_t end = std::min((block0 + i + 1) << layout.block_bits, first + batch.rows);
        const bool fresh = begin == (block0 + i) << layout.block_bits;
        index.records[i] = piece.read(begin - first, end - begin, fresh ? begun_sums(block0 + i).records : begun, index);
      } catch (...) {
        error.note(i);
      }
    }
  };
  std::vector<std::thread> threads;
  const uint64_t helpers = std::min<uint64_t>(std::clamp(std::thread::hardware_concurrency(), 1U, kMostThreads), blocks) - 1;
  try {
    for (uint64_t i = 0; i < helpers; ++i) threads.emplace_back(work);
  } catch (const std::system_error&) {
    // Fewer threads do the same.
  }
  work();
  for (std::thread& thread : threads) thread.join();
  error.rethrow();
  check_order(batch, index, files);
  return index;
}

void look_at_files(FileLayout& layout, uint64_t rows) {
  for (PlacedFile& file : layout.files) {
    const FileIdentity now = identity_of(file.path);
    file.size = now.size;
    file.changed = now.changed;
    if (now.size < file.skip || (now.size - file.skip) / file.stride < rows) {
      throw Error(code::kSource, file.path + " ends before row " + std::to_string(rows) + ": it has " + std::to_string(now.size) + " bytes");
    }
  }
}

}  // namespace sluice
