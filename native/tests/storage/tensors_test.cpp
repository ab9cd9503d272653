// Columns that hold a tensor or bytes for each sample.
#include <cmath>
#include <cstring>
#include <limits>

#include "fixtures.h"
#include "storage/dataset.h"
#include "storage/layout.h"
#include "storage/schema.h"

namespace sluice {
namespace {

using testing::error_of;
using testing::TemporaryFolder;

Schema tensor_schema(uint32_t side) {
  return {{{"picture", ColumnType::kU8, {side, side, 3}},
           {"x", ColumnType::kF32},
           {"tokens", ColumnType::kI32, {5}},
           {"raw", ColumnType::kBytes, {7}},
           {"signal", ColumnType::kF32, {2, 2}},
           {"flag", ColumnType::kU8}},
          LabelKind::kClass,
          2};
}

/// Rows of tensor_schema(): every value follows from the key and its place.
struct TensorRows {
  TensorRows(const Schema& schema, uint64_t first, uint64_t n) : timestamps(n), labels(n), cells(schema.columns.size()) {
    for (uint64_t i = 0; i < n; ++i) timestamps[i] = static_cast<int64_t>(first + i);
    for (size_t c = 0; c < cells.size(); ++c) {
      for (uint64_t i = 0; i < n; ++i) add(schema.columns[c], cells[c], first + i);
      batch.columns.push_back(cells[c].data());
    }
    batch.rows = n;
    batch.timestamps = timestamps.data();
    batch.labels = labels.data();
  }

  static void add(const Column& column, std::vector<uint8_t>& out, uint64_t key) {
    const size_t at = out.size();
    if (column.type == ColumnType::kBytes) {
      out.resize(at + column.bytes(), 0xee);  // what stands behind a value's end must not be kept
      const auto length = static_cast<uint32_t>(key % (column.elements() + 1));
      std::memcpy(&out[at], &length, 4);
      for (uint32_t i = 0; i < length; ++i) out[at + 4 + i] = static_cast<uint8_t>(key + i);
    } else if (column.type == ColumnType::kU8) {
      for (size_t i = 0; i < column.elements(); ++i) out.push_back(static_cast<uint8_t>(key * 31 + i));
    } else {
      out.resize(at + column.bytes());
      for (size_t i = 0; i < column.elements(); ++i) {
        const auto integer = static_cast<int32_t>(key * 7 + i);
        const auto real = static_cast<float>(integer);
        std::memcpy(&out[at + 4 * i], column.type == ColumnType::kF32 ? static_cast<const void*>(&real) : &integer, 4);
      }
    }
  }

  std::vector<int64_t> timestamps;
  std::vector<float> labels;
  std::vector<std::vector<uint8_t>> cells;
  AppendBatch batch;
};

/// The record of a key as it must lie in the segment, padding zero.
std::vector<uint8_t> expected_record(const Schema& schema, uint64_t key) {
  std::vector<uint8_t> record(schema.record_bytes(), 0);
  for (size_t c = 0; c < schema.columns.size(); ++c) {
    std::vector<uint8_t> cell;
    TensorRows::add(schema.columns[c], cell, key);
    size_t kept = cell.size();
    if (schema.columns[c].type == ColumnType::kBytes) kept = 4 + key % (schema.columns[c].elements() + 1);
    std::copy_n(cell.begin(), kept, record.begin() + static_cast<std::ptrdiff_t>(schema.offset(c)));
  }
  return record;
}

void expect_records(const Snapshot& snapshot, uint64_t size) {
  ASSERT_EQ(snapshot.size(), size);
  std::vector<uint64_t> keys(size);
  for (uint64_t i = 0; i < size; ++i) keys[i] = (i * 7919) % size;
  std::vector<const uint8_t*> records(size);
  snapshot.gather(keys.data(), size, nullptr, nullptr, records.data());
  for (uint64_t i = 0; i < size; ++i) {
    const std::vector<uint8_t> expected = expected_record(snapshot.schema(), keys[i]);
    ASSERT_EQ(std::memcmp(records[i], expected.data(), expected.size()), 0) << "key " << keys[i];
  }
}

TEST(Tensors, BatchesOfAnySizeGiveTheSameRecords) {
  const TemporaryFolder folder;
  for (const uint32_t side : {1, 5, 100, 700}) {  // records of 64 bytes to 1.5 MB: blocks of 16,384 rows down to one
    const Schema schema = tensor_schema(side);
    const auto path = folder.file("d" + std::to_string(side));
    const auto dataset = Dataset::create(path, schema);
    uint64_t size = 0;
    for (const uint64_t n : {1, 2, 40, 3, 19}) {
      dataset->append(TensorRows(schema, size, n).batch);
      size += n;
    }
    expect_records(*dataset->snapshot(), size);
    dataset->close();
    const auto opened = Dataset::open(path, true);
    EXPECT_EQ(opened->schema().columns[0].shape, (std::vector<uint32_t>{side, side, 3}));
    EXPECT_EQ(opened->schema().record_bytes(), schema.record_bytes());
    expect_records(*opened->snapshot(), size);
  }
}

TEST(Tensors, DamageIsFoundInItsBlockOnly) {
  const TemporaryFolder folder;
  const Schema schema = tensor_schema(300);  // 270 kB: blocks of two rows
  {
    const auto dataset = Dataset::create(folder.file("d"), schema);
    dataset->append(TensorRows(schema, 0, 10).batch);
  }
  std::fstream file(folder.file("d/segments/00000000.seg"), std::ios::binary | std::ios::in | std::ios::out);
  file.seekp(static_cast<std::streamoff>(RecordLayout(schema.record_bytes()).record_at(4) + 1000));
  file.put('x');
  file.close();
  const auto snapshot = Dataset::open(folder.file("d"), true)->snapshot();
  for (uint64_t key = 0; key < 10; ++key) {
    const uint8_t* record;
    const auto read = [&] { snapshot->gather(&key, 1, nullptr, nullptr, &record); };
    if (key / 2 == 2) {
      const auto [code, message] = error_of(read);
      EXPECT_EQ(code, "E_CORRUPT");
      EXPECT_NE(message.find("keys 4 to 5"), std::string::npos) << message;
    } else {
      EXPECT_NO_THROW(read()) << key;
    }
  }
}

TEST(Tensors, LengthsAreCheckedWhenWrittenAndWhenRead) {
  const TemporaryFolder folder;
  const Schema schema = tensor_schema(2);
  const auto dataset = Dataset::create(folder.file("d"), schema);
  for (const uint32_t length : {8U, 12U, 0x7fffffffU, 0xffffffffU}) {
    TensorRows rows(schema, 0, 5);
    std::memcpy(&rows.cells[3][4 * schema.columns[3].bytes()], &length, 4);
    const auto [code, message] = error_of([&] { dataset->append(rows.batch); });
    EXPECT_EQ(code, "E_ARGUMENT");
    EXPECT_NE(message.find("column 'raw', row 4: expected at most 7 bytes"), std::string::npos) << message;
    uint8_t cell[12] = {};
    std::memcpy(cell, &length, 4);
    EXPECT_EQ(error_of([&] { stored_bytes(cell, schema.columns[3]); }).first, "E_CORRUPT");
  }
  EXPECT_EQ(dataset->size(), 0U);
  const uint8_t cell[12] = {3, 0, 0, 0, 'a', 'b', 'c', 'd'};
  EXPECT_EQ(stored_bytes(cell, schema.columns[3]), "abc");
}

TEST(Tensors, ABadValueNamesTheRow) {
  const TemporaryFolder folder;
  const Schema schema = tensor_schema(2);
  const auto dataset = Dataset::create(folder.file("d"), schema);
  TensorRows rows(schema, 0, 5);
  const float bad = std::numeric_limits<float>::quiet_NaN();
  std::memcpy(&rows.cells[4][(3 * 4 + 2) * 4], &bad, 4);
  EXPECT_EQ(error_of([&] { dataset->append(rows.batch); }), std::make_pair(std::string("E_NOT_FINITE"), std::string("column 'signal', row 3: expected a finite number, got nan")));
}

TEST(Tensors, ShapesThatCannotBeStoredAreRefused) {
  const TemporaryFolder folder;
  const uint32_t huge = std::numeric_limits<uint32_t>::max();
  const Column refused[] = {{"a", ColumnType::kU8, {0}},
                            {"a", ColumnType::kU8, {4, 0, 4}},
                            {"a", ColumnType::kU8, {huge, huge}},
                            {"a", ColumnType::kU8, {1U << 16, 1U << 16, 1U << 16, 1U << 16}},
                            {"a", ColumnType::kU8, {(64U << 20) + 1}},
                            {"a", ColumnType::kF32, {(16U << 20) + 1}},
                            {"a", ColumnType::kI32, {1, 1, 1, 1, 1, 1, 1, 1, 1}},
                            {"a", ColumnType::kCategory, {3}},
                            {"a", ColumnType::kBytes, {}},
                            {"a", ColumnType::kBytes, {3, 3}},
                            {"a", ColumnType::kBytes, {huge}}};
  for (const Column& column : refused) {
    EXPECT_EQ(error_of([&] { Dataset::create(folder.file("d"), {{column}, LabelKind::kClass, 2}); }).first, "E_ARGUMENT");
  }
  const Column large{"a", ColumnType::kU8, {40U << 20}};
  Column other = large;
  other.name = "b";
  const auto [code, message] = error_of([&] { Dataset::create(folder.file("d"), {{large, other}, LabelKind::kClass, 2}); });
  EXPECT_EQ(code, "E_ARGUMENT");
  EXPECT_NE(message.find("83886080 bytes"), std::string::npos) << message;
}

TEST(Tensors, TheTextOfASchemaIsReadStrictly) {
  const Schema schema = tensor_schema(4);
  const std::string text = schema_text(schema);
  const Schema again = parse_schema(text, "d");
  EXPECT_EQ(schema_text(again), text);
  EXPECT_EQ(again.columns[3].shape, std::vector<uint32_t>{7});
  const std::string head = text.substr(0, text.find("u8["));
  EXPECT_NO_THROW(parse_schema(head + "u8[3,2] a b\n", "d"));
  for (const char* line : {"u8[] a", "u8[3 a", "u8[3,] a", "u8[,3] a", "u8[-3] a", "u8[3]] a", "u8[99999999999] a", "u8[3,2]x a", "[3] a", "u9[3] a", "u8[0] a", "bytes a", "category[2] a",
                           "u8[4294967295,4294967295] a", "u8[1,1,1,1,1,1,1,1,1] a", "u8[3]", "u8", ""}) {
    EXPECT_EQ(error_of([&] { parse_schema(head + line + "\n", "d"); }).first, "E_CORRUPT") << line;
  }
  const auto [code, message] = error_of([&] { parse_schema("sluice-dataset 1\nlabel class 2\n", "d"); });
  EXPECT_EQ(code, "E_CORRUPT");
  EXPECT_NE(message.find("another version"), std::string::npos) << message;
}

TEST(Tensors, BlocksAndSegmentsAreBoundedInBytes) {
  const auto expect = [](size_t bytes, uint64_t block, uint64_t segment) {
    EXPECT_EQ(RecordLayout(bytes).block_rows(), block) << bytes;
    EXPECT_EQ(RecordLayout(bytes).segment_rows(), segment) << bytes;
  };
  expect(0, kChunkRows, kRowsPerSegment);
  expect(16, kChunkRows, kRowsPerSegment);
  expect(20, kChunkRows / 2, kRowsPerSegment);
  expect(160, 4096, kRowsPerSegment);
  expect(224 * 224 * 3, 4, 4096);
  expect(size_t{64} << 20, 1, 16);
}

}  // namespace
}  // namespace sluice
