// Schemas and columns of samples as JavaScript passes them.
#pragma once
#include <cstddef>
#include <vector>

#include "args.h"
#include "storage/dataset.h"

namespace sluice::bindings {

Schema read_schema(const Arg& arg);
/// Cells of `rows` samples as AppendBatch takes them; their values are checked when they are appended.
std::vector<std::byte> read_column(const Arg& values, const Column& column, size_t rows);

}  // namespace sluice::bindings
