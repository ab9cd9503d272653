// A dataset's schema as the index and the state log keep it, and cells of bytes columns.
#include "storage/schema.h"

#include <vector>

#include "input.h"
#include "storage/layout.h"

using namespace sluice;

namespace {

void check_layout(const RecordLayout& layout, uint64_t samples) {
  fuzz::expect(layout.block_bits <= layout.segment_bits && layout.block_rows() <= kChunkRows, "blocks within segments and chunks");
  const uint64_t last = layout.blocks(samples) - 1;
  fuzz::expect(layout.rows_of(last, samples) >= 1 && layout.rows_of(last, samples) <= layout.block_rows(), "a last block with rows");
  fuzz::expect(layout.labels_at(last) + layout.block_rows() * 4 <= layout.segment_bytes(), "a block within its segment");
  fuzz::expect(layout.record_at(samples - 1) >= layout.records_at(last), "a record within its block");
}

}  // namespace

SLUICE_FUZZ_TARGET {
  fuzz::Input input(data, size);
  const bool complete = input.flag();
  const auto samples = uint64_t{1} + input.take<uint32_t>();
  const std::string cell(input.take_text());
  std::string text(input.rest());
  if (complete) {
    const std::string empty = schema_text({});
    text.insert(0, empty.substr(0, empty.find('\n') + 1));
  }
  Schema schema;
  if (!fuzz::accepts([&] { schema = parse_schema(text, "input"); })) return 0;
  check_schema(schema);
  fuzz::expect(schema.record_bytes() <= (uint64_t{64} << 20), "records of at most 64 MiB");
  fuzz::expect(schema_text(parse_schema(schema_text(schema), "again")) == schema_text(schema), "a schema that is read as it was written");
  if (schema.record_bytes() > 0) check_layout(RecordLayout(schema.record_bytes()), samples);
  for (const Column& column : schema.columns) {
    if (column.type != ColumnType::kBytes || column.bytes() > 4096) continue;
    std::vector<uint8_t> record(column.bytes());
    std::memcpy(record.data(), cell.data(), std::min(cell.size(), record.size()));
    fuzz::accepts([&] {
      const std::string_view value = stored_bytes(record.data(), column);
      fuzz::expect(value.size() + 4 <= record.size(), "a value within its cell");
    });
  }
  return 0;
}
