#include "storage/file_moves.h"

#include <fcntl.h>

#include "base/error.h"
#include "storage/file_index.h"

namespace sluice {

namespace {

/// Whether the bytes of a block are those that it was made of, with the spans as they would be.
bool is_sound(const Store& store, const Txn& txn, const FileSpans& spans, uint64_t block, uint64_t size) {
  const RecordLayout& layout = store.segments->layout();
  const uint64_t rows = layout.rows_of(block, size);
  const auto entry = store.tables->payload.get(txn, block);
  const auto known = entry ? parse_block_entry(*entry, block) : std::nullopt;
  if (!known || known->rows != rows) throw Error(code::kCorrupt, store.path + ": the checksums of block " + std::to_string(block) + " are damaged");
  std::vector<uint8_t> own(rows * layout.record_bytes);
  const std::string segment = store.segments->path(layout.segment_of(block), store.generations(txn, store.extent(txn)));
  File(segment, O_RDONLY).read_at(layout.records_at(block), own.data(), own.size());
  return record_sum(spans, layout, block << layout.block_bits, rows, own.data()) == known->records;
}

/// Changes the spans that a move is of and returns their indices.
std::vector<size_t> apply(const FileMove& move, const Schema& schema, std::vector<FileSpan>& spans) {
  std::vector<size_t> moved;
  for (size_t i = 0; i < spans.size(); ++i) {
    FileLayout& layout = spans[i].layout;
    if (layout.part != move.part) continue;
    if (move.paths.size() != layout.files.size()) {
      throw Error(code::kArgument, "rows of " + move.part + ": they lie in " + std::to_string(layout.files.size()) + " files, got " + std::to_string(move.paths.size()));
    }
    layout.part = move.name;
    for (size_t f = 0; f < move.paths.size(); ++f) layout.files[f].path = move.paths[f];
    check_layout(layout, schema);
    look_at_files(layout, spans[i].file_row + spans[i].rows);
    moved.push_back(i);
  }
  if (moved.empty()) throw Error(code::kNotFound, "no rows of files are called " + move.part);
  return moved;
}

}  // namespace

MovedSpans moved_spans(const Store& store, const Txn& txn, const std::vector<FileMove>& moves, bool whole, const StopFlag& stop) {
  std::vector<FileSpan> all = store.spans(txn)->all();
  std::vector<std::vector<size_t>> by_move;
  for (const FileMove& move : moves) by_move.push_back(apply(move, store.schema, all));
  MovedSpans result;
  for (const auto& indices : by_move) {
    for (const size_t i : indices) result.spans.push_back(all[i]);
  }
  const FileSpans spans(std::move(all));
  const RecordLayout& layout = store.segments->layout();
  const uint64_t size = store.extent(txn).size;
  for (size_t m = 0; m < moves.size(); ++m) {
    for (const size_t i : by_move[m]) {
      const FileSpan& span = spans.all()[i];
      if (span.rows == 0) continue;
      const uint64_t last = (span.end() - 1) >> layout.block_bits;
      for (uint64_t block = span.first >> layout.block_bits; block <= last; block = whole || block == last ? block + 1 : last) {
        stop.check();
        if (!is_sound(store, txn, spans, block, size)) return {{}, m};
      }
    }
  }
  return result;
}

}  // namespace sluice
