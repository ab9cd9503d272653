// Writes the rows of a batch: index columns as chunks into a transaction, records into the segments.
#pragma once
#include <cstdint>

#include "storage/file_index.h"
#include "storage/store.h"

namespace sluice {

/// Puts `rows` values of one index column, the first of which has the key `first`, chunk by chunk; a chunk that was begun
/// is written anew with the values added. E_CORRUPT when that chunk is damaged. T: int64_t (timestamps), float (labels).
template <typename T>
void write_column(const Store& store, const Txn& txn, IndexColumn column, const T* values, uint64_t first, uint64_t rows);

/// The checksums of a block that has `before` rows. E_CORRUPT.
BlockSums sums_of(const Store& store, const Txn& txn, uint64_t block, uint64_t before);
/// Notes rows that lie in files, from the key `first` on: as write_payload(), without records.
void write_indexed(const Store& store, const Txn& txn, const FileIndex& index, uint64_t first, SegmentWriter& writer);

/// Gives the batch's rows, from the key `first` on, to the writer and puts the checksums of each block into the transaction.
void write_payload(const Store& store, const Txn& txn, const AppendBatch& batch, uint64_t first, SegmentWriter& writer);

}  // namespace sluice
