// Samples whose records are not in our segments but lie, as fields of fixed width, in files that are not ours. A span of keys
// follows rows of such files: the record of key k is made of row file_row + (k - first) of each. Blocks, segments and checksums
// are cut by keys as ever; only the bytes come from elsewhere, and the place for them in the segments stays a hole.
//
// A span is an entry of the state table (and so in state.log, too), "files:" and its number behind a control character. How
// many there are, and when the last one changed, stands in the table meta.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "storage/dataset.h"

namespace sluice {

/// Bytes of a value.
size_t stored_width(StoredType type);

struct FileSpan {
  uint64_t number = 0;  // of its entry, from 1
  uint64_t first = 0, rows = 0;  // keys; no rows: what it named lies elsewhere now
  uint64_t file_row = 0;  // of key `first`
  FileLayout layout;

  uint64_t end() const { return first + rows; }
  uint64_t row_of(uint64_t key) const { return file_row + (key - first); }
  /// Bytes of the files that its rows take.
  uint64_t bytes() const;
  /// Whether `other`, behind it, may be one span with it.
  bool continues_with(const FileSpan& other) const;
};

/// All spans of a dataset.
class FileSpans {
 public:
  FileSpans() = default;
  /// In the order of their numbers.
  explicit FileSpans(std::vector<FileSpan> all);
  FileSpans(const FileSpans&) = delete;  // by_key() points into all()
  FileSpans& operator=(const FileSpans&) = delete;

  bool empty() const { return by_key_.empty(); }
  /// With those that have no rows any more.
  const std::vector<FileSpan>& all() const { return all_; }
  /// Those with rows, by their first key.
  const std::vector<const FileSpan*>& by_key() const { return by_key_; }
  /// Index in by_key() of the span that has the key; npos where the record lies in a segment.
  size_t find(uint64_t key) const;
  static constexpr size_t npos = SIZE_MAX;

  /// Calls visit(span or null, first, rows) for each piece of [first, first + rows) that lies in one span, or in none.
  template <typename Visit>
  void for_pieces(uint64_t first, uint64_t rows, const Visit& visit) const {
    for (const uint64_t end = first + rows; first < end;) {
      const auto [span, until] = piece(first);
      const uint64_t n = (until < end ? until : end) - first;
      visit(span, first, n);
      first += n;
    }
  }

 private:
  struct Piece {
    const FileSpan* span;
    uint64_t until;
  };
  Piece piece(uint64_t first) const;

  std::vector<FileSpan> all_;
  std::vector<const FileSpan*> by_key_;
};

/// State entries of spans begin so; no caller's does.
inline constexpr std::string_view kFilesPrefix = "\x01" "files:";
std::string files_key(uint64_t number);
std::string files_text(const FileSpan& span);
/// E_CORRUPT unless files_text() can have written it for this schema.
FileSpan parse_files(std::string_view key, std::string_view text, const Schema& schema, const std::string& path);

/// E_ARGUMENT where a field lies outside its record or cannot become its column.
void check_layout(const FileLayout& layout, const Schema& schema);

}  // namespace sluice
