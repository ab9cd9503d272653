// A dataset's schema as text, and its limits.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "storage/dataset.h"

namespace sluice {

/// The schema as it is kept: one line for the label, one for each column, e.g. `u8[32,32,3] picture`.
std::string schema_text(const Schema& schema);
/// E_CORRUPT unless schema_text() can have written it.
Schema parse_schema(std::string_view text, const std::string& path);
/// A copy beside the index, <dataset>/schema: with it the segments can be read though everything else is lost. write: durable.
/// read: nothing where it is missing or damaged.
void write_schema_copy(const std::string& dataset, const Schema& schema);
std::optional<Schema> read_schema_copy(const std::string& dataset);
/// E_ARGUMENT for an empty or long name, or one with control characters.
void check_column_name(std::string_view name);
/// E_ARGUMENT names what is wrong: names, classes, shapes, and the size of a record (at most 64 MiB).
void check_schema(const Schema& schema);

}  // namespace sluice
