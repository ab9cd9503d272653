// Values of fixed width as files have them, little-endian, and what they become in a record.
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "storage/file_span.h"

namespace sluice {

/// One field of `rows` records: `stride` bytes from one to the next, perhaps unaligned.
struct FieldValues {
  const uint8_t* data;
  uint64_t stride, rows;
  StoredType type;
};

struct UnfitValue {
  uint64_t row;
  double value;
};
/// The first value that the column cannot take: not finite for f32, no integer of its range for i32 and u8, no code from 0 to
/// codes-1 for a category, or an i32 with codes (0: any).
std::optional<UnfitValue> find_unfit(const FieldValues& values, const Column& column, uint32_t codes);

/// Single values as numbers, as JavaScript has them.
void read_numbers(const FieldValues& values, double* out);
/// value * times / by, rounded down; without loss for 64-bit integers where `times` is 1.
void read_times(const FieldValues& values, double times, double by, double* out);

/// How the rows of files become records.
class RecordPlan {
 public:
  RecordPlan(const FileLayout& layout, const Schema& schema);

  /// Of one file: the bytes of a record that are read.
  struct Touched {
    uint32_t file;
    uint64_t begin, end;
  };
  const std::vector<Touched>& touched() const { return touched_; }

  /// n records, record_bytes each, of the rows `rows`; bases: address of row 0 in each file.
  void assemble(const std::vector<const uint8_t*>& bases, const uint64_t* rows, size_t n, uint8_t* const* records) const;

 private:
  /// `count` values of `type` at `from` in a row become those of a column at `to` in a record. Equal ones are moved as bytes.
  struct Move {
    uint32_t file;
    uint64_t from, stride;
    size_t to, count;
    StoredType type;
    ColumnType column;
    bool same;
    size_t padding;                      // zeros behind it
    std::vector<uint32_t> permutation;  // place in the column -> place in the file; empty: as they are
  };
  template <typename T>
  static void convert(const Move& move, const uint8_t* from, uint8_t* to);

  std::vector<Move> moves_;
  std::vector<Touched> touched_;
};

}  // namespace sluice
