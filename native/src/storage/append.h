// The checks of a batch and its records in row-major form.
#pragma once
#include <cstdint>
#include <vector>

#include "storage/dataset.h"

namespace sluice {

/// E_ARGUMENT, E_NOT_FINITE or E_LABEL_RANGE with column, row in the batch and value.
void check_batch(const AppendBatch& batch, const Schema& schema);

/// Rows [first, first + rows) of the batch as records, schema.record_bytes() each; padding is zero.
void interleave(const AppendBatch& batch, const Schema& schema, uint64_t first, uint64_t rows, std::vector<uint8_t>& records);

}  // namespace sluice
