#include "storage/index_writer.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/crc32c.h"
#include "base/error.h"
#include "storage/append.h"

namespace sluice {

namespace {

/// The chunk as it is stored, checked, when `before` rows were written to it already.
ChunkView begun_chunk(const Store& store, const Txn& txn, IndexColumn column, uint64_t chunk, uint64_t before) {
  const std::string name = store.path + ": chunk " + std::to_string(chunk) + " of " + column_name(column);
  const auto value = store.tables->of(column).get(txn, chunk);
  if (!value) throw Error(code::kCorrupt, name + " is missing");
  const ChunkView view = parse_chunk(*value, column_width(column), name);
  if (view.header->rows != before) {
    throw Error(code::kCorrupt, name + " is damaged: it has " + std::to_string(view.header->rows) + " rows instead of " + std::to_string(before));
  }
  check_chunk(view, chunk_seed(chunk_kind(column), chunk), name);
  return view;
}

}  // namespace

BlockSums sums_of(const Store& store, const Txn& txn, uint64_t block, uint64_t before) {
  if (before == 0) return begun_sums(block);
  const auto entry = store.tables->payload.get(txn, block);
  const auto sums = entry ? parse_block_entry(*entry, block) : std::nullopt;
  if (!sums || sums->rows != before) throw Error(code::kCorrupt, store.path + ": the checksums of block " + std::to_string(block) + " are damaged");
  return *sums;
}

template <typename T>
void write_column(const Store& store, const Txn& txn, IndexColumn column, const T* values, uint64_t first, uint64_t rows) {
  std::vector<uint8_t> begun;
  for (uint64_t done = 0; done < rows;) {
    const uint64_t chunk = (first + done) / kChunkRows;
    const uint64_t before = (first + done) % kChunkRows;
    const uint64_t added = std::min(rows - done, kChunkRows - before);
    uint32_t crc = chunk_seed(chunk_kind(column), chunk);
    if (before > 0) {
      const ChunkView view = begun_chunk(store, txn, column, chunk, before);
      crc = view.header->crc;
      begun.assign(view.rows, view.rows + before * sizeof(T));
    }
    const size_t bytes = chunk_bytes(before + added, sizeof(T));
    auto* place = static_cast<uint8_t*>(store.tables->of(column).reserve(txn, chunk, bytes));
    uint8_t* data = place + sizeof(ChunkHeader);
    const size_t used = (before + added) * sizeof(T);
    if (before > 0) std::memcpy(data, begun.data(), begun.size());
    std::memcpy(data + before * sizeof(T), values + done, added * sizeof(T));
    std::memset(data + used, 0, bytes - sizeof(ChunkHeader) - used);
    const ChunkHeader header{kChunkMagic, crc32c(values + done, added * sizeof(T), crc), static_cast<uint32_t>(before + added), sizeof(T)};
    std::memcpy(place, &header, sizeof header);
    done += added;
  }
}

template void write_column(const Store&, const Txn&, IndexColumn, const int64_t*, uint64_t, uint64_t);
template void write_column(const Store&, const Txn&, IndexColumn, const float*, uint64_t, uint64_t);

void write_payload(const Store& store, const Txn& txn, const AppendBatch& batch, uint64_t first, SegmentWriter& writer) {
  const RecordLayout& layout = store.segments->layout();
  if (layout.record_bytes == 0) return;
  std::vector<uint8_t> records;
  for (uint64_t done = 0; done < batch.rows;) {
    const uint64_t block = (first + done) / layout.block_rows();
    const uint64_t before = (first + done) % layout.block_rows();
    const uint64_t rows = std::min(batch.rows - done, layout.block_rows() - before);
    interleave(batch, store.schema, done, rows, records);
    const BlockRows added{block, before, rows, records.data(), batch.timestamps + done, batch.labels + done};
    const BlockSums sums = extended(sums_of(store, txn, block, before), layout, rows, added.records, added.timestamps, added.labels);
    writer.add(added, sums);
    store.tables->payload.put(txn, block, block_entry(sums, block));
    done += rows;
  }
}

void write_indexed(const Store& store, const Txn& txn, const FileIndex& index, uint64_t first, SegmentWriter& writer) {
  const RecordLayout& layout = store.segments->layout();
  const uint64_t rows_in_all = index.timestamps.size();
  for (uint64_t done = 0; done < rows_in_all;) {
    const uint64_t block = (first + done) / layout.block_rows();
    const uint64_t before = (first + done) % layout.block_rows();
    const uint64_t rows = std::min(rows_in_all - done, layout.block_rows() - before);
    const BlockRows added{block, before, rows, nullptr, index.timestamps.data() + done, index.labels.data() + done};
    const uint32_t records = index.records[block - first / layout.block_rows()];
    const BlockSums sums = extended(sums_of(store, txn, block, before), rows, records, added.timestamps, added.labels);
    writer.add(added, sums);
    store.tables->payload.put(txn, block, block_entry(sums, block));
    done += rows;
  }
}

}  // namespace sluice
