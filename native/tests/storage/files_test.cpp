// Samples whose records lie in files that are not ours.
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <fstream>

#include "base/guarded_mapping.h"
#include "base/rng.h"
#include "processes.h"
#include "storage/compact.h"
#include "storage/file_span.h"
#include "storage/fsck.h"
#include "storage/rows.h"

namespace sluice {
namespace {

using namespace testing;

constexpr uint64_t kBlock = kChunkRows;  // the schema's record has 16 bytes
const Schema kSchema{{{"x", ColumnType::kF32}, {"n", ColumnType::kI32}, {"c", ColumnType::kCategory}, {"t", ColumnType::kU8, {3}}}, LabelKind::kClass, 4};

struct Row {  // as in the first file, behind 10 bytes
  int64_t time;
  float x;
  int16_t n;
  int8_t label;
  uint8_t tensor[3];
} __attribute__((packed));
static_assert(sizeof(Row) == 18);

Row row_of(uint64_t r) {
  return {1'000'000 + static_cast<int64_t>(r) * 10, static_cast<float>(r % 1000) * 0.25F - 7.0F, static_cast<int16_t>(r % 60'000 - 30'000), static_cast<int8_t>(r % 4),
          {static_cast<uint8_t>(r), static_cast<uint8_t>(r / 7), static_cast<uint8_t>(r / 251)}};
}

struct Files {
  std::string rows, codes;
  Files(const std::string& folder, uint64_t n) : rows(folder + "/rows.bin"), codes(folder + "/codes.bin") {
    std::ofstream first(rows, std::ios::binary), second(codes, std::ios::binary);
    first << "ten bytes.";
    for (uint64_t r = 0; r < n; ++r) {
      const Row row = row_of(r);
      const auto code = static_cast<uint16_t>(r % 97);
      first.write(reinterpret_cast<const char*>(&row), sizeof row);
      second.write(reinterpret_cast<const char*>(&code), sizeof code);
    }
  }

  FileBatch batch(uint64_t row, uint64_t n) const {
    FileBatch batch;
    batch.layout = {"part", {{rows, 10, sizeof(Row)}, {codes, 0, 2}},
                    {{0, 8, StoredType::kFloat32}, {0, 12, StoredType::kInt16}, {1, 0, StoredType::kInt16}, {0, 15, StoredType::kUint8}}};
    batch.file_row = row;
    batch.rows = n;
    batch.label = {"label", {0, 14, StoredType::kInt8}, std::nullopt};
    batch.time.name = "time";
    batch.time.field = FileField{0, 0, StoredType::kInt64};
    batch.codes = {0, 0, 97, 0};
    return batch;
  }
};

/// The same rows, copied.
struct CopiedRows {
  explicit CopiedRows(uint64_t first, uint64_t n) : timestamps(n), labels(n), x(n), ints(n), codes(n), tensors(3 * n) {
    for (uint64_t i = 0; i < n; ++i) {
      const Row row = row_of(first + i);
      timestamps[i] = row.time;
      labels[i] = row.label;
      x[i] = row.x;
      ints[i] = row.n;
      codes[i] = static_cast<int32_t>((first + i) % 97);
      std::copy_n(row.tensor, 3, tensors.data() + 3 * i);
    }
    batch.rows = n;
    batch.timestamps = timestamps.data();
    batch.labels = labels.data();
    batch.columns = {x.data(), ints.data(), codes.data(), tensors.data()};
  }
  std::vector<int64_t> timestamps;
  std::vector<float> labels, x;
  std::vector<int32_t> ints, codes;
  std::vector<uint8_t> tensors;
  AppendBatch batch;
};

const StopFlag kGoOn;

/// Code and message of the Error that the call throws; empty where it throws none.
template <typename Call>
std::pair<std::string, std::string> outcome_of(const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    return {error.code(), error.what()};
  }
  return {};
}

CompactReport compact(const std::string& path, bool copy) {
  return compact_dataset(path, copy, kGoOn, [](uint64_t, uint64_t) {});
}

CheckReport check(const std::string& path, bool repair = false) {
  return check_dataset(path, repair, kGoOn, [](uint64_t, uint64_t) {});
}

/// What differs between the snapshot and one of the same rows, copied; deleted keys aside.
std::string compared(const Snapshot& found, const Snapshot& expected) {
  if (found.size() != expected.size()) return "sizes";
  std::vector<uint64_t> keys;
  for (const KeyRange& range : found.deleted().missing_in(0, found.size())) {
    for (uint64_t key = range.first; key < range.end; ++key) keys.push_back(key);
  }
  Rng rng(5);
  for (size_t i = keys.size(); i > 1; --i) std::swap(keys[i - 1], keys[rng.below(i)]);
  const size_t n = keys.size();
  const auto read = [&](const Snapshot& snapshot, std::vector<int64_t>& times, std::vector<float>& labels, std::vector<const uint8_t*>& records, RecordMemory& memory) {
    times.resize(n);
    labels.resize(n);
    records.resize(n);
    snapshot.gather(keys.data(), n, times.data(), labels.data(), records.data(), &memory);
  };
  std::vector<int64_t> times[2];
  std::vector<float> labels[2];
  std::vector<const uint8_t*> records[2];
  RecordMemory memory[2];
  read(found, times[0], labels[0], records[0], memory[0]);
  read(expected, times[1], labels[1], records[1], memory[1]);
  if (times[0] != times[1]) return "times";
  if (labels[0] != labels[1]) return "labels";
  for (size_t i = 0; i < n; ++i) {
    if (std::memcmp(records[0][i], records[1][i], found.schema().record_bytes()) != 0) return "record " + std::to_string(keys[i]);
  }
  return "";
}

class FilesInPlace : public ::testing::Test {
 protected:
  std::shared_ptr<Dataset> copied(uint64_t n) {
    auto dataset = Dataset::create(folder.path() + "/copied", kSchema);
    dataset->append(CopiedRows(0, n).batch);
    return dataset;
  }
  std::string placed() const { return folder.path() + "/placed"; }
  std::shared_ptr<Dataset> placed_rows(const Files& files, uint64_t n) {
    auto dataset = Dataset::create(placed(), kSchema);
    dataset->append_files(files.batch(0, n), kGoOn);
    return dataset;
  }
  /// Reading sample `key` in a view opened now.
  static std::pair<std::string, std::string> error_at(Dataset& dataset, uint64_t key) {
    return outcome_of([&] {
      const uint8_t* record;
      RecordMemory memory;
      dataset.snapshot()->gather(&key, 1, nullptr, nullptr, &record, &memory);
    });
  }
  TemporaryFolder folder;
};

TEST_F(FilesInPlace, AreWhatTheirCopiesAre) {
  const uint64_t n = 2 * kBlock + 777;
  const Files files(folder.path(), n);
  const auto dataset = Dataset::create(placed(), kSchema);
  // In pieces that end within blocks and at their borders, one of them pushed in between.
  EXPECT_EQ(dataset->append_files(files.batch(0, 1000), kGoOn), 0U);
  EXPECT_EQ(dataset->append_files(files.batch(1000, kBlock - 1000), kGoOn), 1000U);
  EXPECT_EQ(dataset->append_files(files.batch(kBlock, 300), kGoOn), kBlock);
  dataset->append(CopiedRows(kBlock + 300, 50).batch);
  dataset->append_files(files.batch(kBlock + 350, n - kBlock - 350), kGoOn);
  const auto expected = copied(n)->snapshot();
  EXPECT_EQ(compared(*dataset->snapshot(), *expected), "");
  EXPECT_TRUE(dataset->snapshot()->sorted_by_time());
  EXPECT_EQ(check(placed()).damages.size(), 0U);
  dataset->close();
  EXPECT_EQ(compared(*Dataset::open(placed(), true)->snapshot(), *expected), "");
}

TEST_F(FilesInPlace, GrowTheirSpanWhereBlocksEnd) {
  const Files files(folder.path(), 3 * kBlock);
  const auto dataset = placed_rows(files, kBlock);
  dataset->append_files(files.batch(kBlock, 2 * kBlock), kGoOn);
  const auto spans = dataset->file_spans();
  ASSERT_EQ(spans->all().size(), 1U);
  EXPECT_EQ(spans->all()[0].rows, 3 * kBlock);
  EXPECT_EQ(spans->all()[0].bytes(), 3 * kBlock * 20);
}

TEST_F(FilesInPlace, TakeLittleOfTheDisk) {
  const Schema wide{{{"picture", ColumnType::kU8, {3072}}}, LabelKind::kClass, 4};
  const uint64_t n = 2000;
  const std::string path = folder.path() + "/pictures.bin";
  std::ofstream(path, std::ios::binary) << std::string(n * 3073, '\1');
  FileBatch batch;
  batch.layout = {"pictures", {{path, 0, 3073}}, {{0, 1, StoredType::kUint8}}};
  batch.rows = n;
  batch.label = {"label", {0, 0, StoredType::kUint8}, std::nullopt};
  batch.time.step = 1000;
  batch.codes = {0};
  const auto dataset = Dataset::create(placed(), wide);
  dataset->append_files(batch, kGoOn);
  struct stat status {};
  ASSERT_EQ(stat((placed() + "/segments/00000000.seg").c_str(), &status), 0);
  EXPECT_LT(status.st_blocks * 512, 1'000'000) << "6 MB of records lie elsewhere";
}

TEST_F(FilesInPlace, ConvertEveryType) {
  // For each stored type the values 0, 1 and 100 become columns of each form.
  const Schema schema{{{"f", ColumnType::kF32, {3}}, {"i", ColumnType::kI32, {3}}, {"u", ColumnType::kU8, {3}}}, LabelKind::kReal, 0};
  const auto bytes_of = []<typename T>(std::array<T, 3> values) { return std::string(reinterpret_cast<const char*>(values.data()), sizeof values); };
  const std::pair<StoredType, std::string> types[] = {
      {StoredType::kInt8, bytes_of(std::array<int8_t, 3>{0, 1, 100})},      {StoredType::kUint8, bytes_of(std::array<uint8_t, 3>{0, 1, 100})},
      {StoredType::kInt16, bytes_of(std::array<int16_t, 3>{0, 1, 100})},    {StoredType::kInt32, bytes_of(std::array<int32_t, 3>{0, 1, 100})},
      {StoredType::kInt64, bytes_of(std::array<int64_t, 3>{0, 1, 100})},    {StoredType::kFloat16, bytes_of(std::array<uint16_t, 3>{0, 0x3c00, 0x5640})},
      {StoredType::kFloat32, bytes_of(std::array<float, 3>{0, 1, 100})},    {StoredType::kFloat64, bytes_of(std::array<double, 3>{0, 1, 100})}};
  for (const auto& [type, bytes] : types) {
    const std::string name = folder.path() + "/" + std::to_string(static_cast<int>(type));
    std::ofstream(name, std::ios::binary) << bytes;
    FileBatch batch;
    batch.layout = {"part", {{name, 0, bytes.size()}}, {{0, 0, type}, {0, 0, type}, {0, 0, type}}};
    batch.rows = 1;
    batch.label = {"label", {0, static_cast<uint64_t>(stored_width(type)), type}, std::nullopt};
    batch.codes = {0, 0, 0};
    const auto dataset = Dataset::create(name + ".data", schema);
    dataset->append_files(batch, kGoOn);
    const uint64_t key = 0;
    const uint8_t* record;
    float label;
    RecordMemory memory;
    dataset->snapshot()->gather(&key, 1, nullptr, &label, &record, &memory);
    const float floats[] = {0, 1, 100};
    const int32_t integers[] = {0, 1, 100};
    const uint8_t small[] = {0, 1, 100, 0};
    EXPECT_EQ(label, 1.0F) << name;
    EXPECT_EQ(std::memcmp(record, floats, 12), 0) << name;
    EXPECT_EQ(std::memcmp(record + 12, integers, 12), 0) << name;
    EXPECT_EQ(std::memcmp(record + 24, small, 4), 0) << name;
  }
}

TEST_F(FilesInPlace, ReadHalvesAsTheyAre) {
  const Schema schema{{{"h", ColumnType::kF32}}, LabelKind::kReal, 0};
  std::vector<uint16_t> halves;
  for (uint32_t bits = 0; bits < 65'536; ++bits) {
    if ((bits & 0x7c00U) != 0x7c00U) halves.push_back(static_cast<uint16_t>(bits));
  }
  const std::string path = folder.path() + "/halves";
  std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(halves.data()), static_cast<std::streamsize>(halves.size() * 2));
  FileBatch batch;
  batch.layout = {"part", {{path, 0, 2}}, {{0, 0, StoredType::kFloat16}}};
  batch.rows = halves.size();
  batch.label = {"label", {0, 0, StoredType::kFloat16}, std::nullopt};
  batch.codes = {0};
  const auto dataset = Dataset::create(placed(), schema);
  dataset->append_files(batch, kGoOn);
  std::vector<float> found(halves.size());
  dataset->snapshot()->copy(IndexColumn::kLabel, 0, found.size(), found.data());
  for (size_t i = 0; i < halves.size(); ++i) {
    const int exponent = halves[i] >> 10 & 31;
    const double fraction = halves[i] & 1023;
    const double magnitude = exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
    ASSERT_EQ(found[i], static_cast<float>((halves[i] & 0x8000U) != 0 ? -magnitude : magnitude)) << halves[i];
  }
}

TEST_F(FilesInPlace, TurnAxes) {
  // [channels, height, width] in the file, [height, width, channels] in the dataset, as torch's permute(1, 2, 0).
  const Schema schema{{{"p", ColumnType::kU8, {2, 3, 2}}}, LabelKind::kReal, 0};
  std::string bytes;
  for (char c = 0; c < 12; ++c) bytes += c;
  const std::string path = folder.path() + "/picture";
  std::ofstream(path, std::ios::binary) << bytes;
  FileBatch batch;
  batch.layout = {"part", {{path, 0, 12}}, {{0, 0, StoredType::kUint8, {2, 2, 3}, {1, 2, 0}}}};
  batch.rows = 1;
  batch.label = {"label", {0, 0, StoredType::kUint8}, std::nullopt};
  batch.codes = {0};
  const auto dataset = Dataset::create(placed(), schema);
  dataset->append_files(batch, kGoOn);
  const uint64_t key = 0;
  const uint8_t* record;
  RecordMemory memory;
  dataset->snapshot()->gather(&key, 1, nullptr, nullptr, &record, &memory);
  const uint8_t expected[] = {0, 6, 1, 7, 2, 8, 3, 9, 4, 10, 5, 11};
  EXPECT_EQ(std::memcmp(record, expected, sizeof expected), 0);
}

TEST_F(FilesInPlace, RefuseValuesThatDoNotFit) {
  const Files files(folder.path(), kBlock + 10);
  const auto dataset = Dataset::create(placed(), kSchema);
  const auto with = [&](uint64_t row, size_t at, const std::string& bytes) {
    const std::string other = folder.path() + "/other.bin";
    std::filesystem::copy_file(files.rows, other, std::filesystem::copy_options::overwrite_existing);
    std::fstream file(other, std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(static_cast<std::streamoff>(10 + row * sizeof(Row) + at));
    file << bytes;
    file.close();
    FileBatch batch = files.batch(0, kBlock + 10);
    batch.layout.files[0].path = other;
    return error_of([&] { dataset->append_files(batch, kGoOn); });
  };
  const std::string infinity("\0\0\x80\x7f", 4);
  EXPECT_EQ(with(kBlock + 3, 8, infinity), std::pair(std::string("E_NOT_FINITE"), "part: column 'x', row " + std::to_string(kBlock + 4) + ": expected a finite number of 32 bits, got Infinity"));
  EXPECT_EQ(with(7, 14, "\x04"), std::pair(std::string("E_LABEL_RANGE"), std::string("part: column 'label', row 8: expected a class from 0 to 3, got 4")));
  EXPECT_EQ(with(5, 0, std::string(8, '\xff')).first, "E_SOURCE");
  EXPECT_NE(with(5, 0, std::string(8, '\xff')).second.find("column 'time', row 6: expected a time that is not before"), std::string::npos);
  FileBatch fewer = files.batch(0, 100);
  fewer.codes[2] = 90;
  EXPECT_NE(error_of([&] { dataset->append_files(fewer, kGoOn); }).second.find("column 'c', row 91: expected a code from 0 to 89, got 90"), std::string::npos);
  EXPECT_EQ(dataset->size(), 0U) << "all rows or none";
}

TEST_F(FilesInPlace, RefuseLayoutsThatLeadOutsideRecords) {
  const Files files(folder.path(), 100);
  const auto dataset = Dataset::create(placed(), kSchema);
  const auto refused = [&](const auto& change) {
    FileBatch batch = files.batch(0, 100);
    change(batch);
    return error_of([&] { dataset->append_files(batch, kGoOn); }).first;
  };
  EXPECT_EQ(refused([](FileBatch& b) { b.layout.fields[0].offset = 15; }), "E_ARGUMENT");
  EXPECT_EQ(refused([](FileBatch& b) { b.layout.fields[0].offset = UINT64_MAX; }), "E_ARGUMENT");
  EXPECT_EQ(refused([](FileBatch& b) { b.layout.fields[0].file = 2; }), "E_ARGUMENT");
  EXPECT_EQ(refused([](FileBatch& b) { b.label.field.offset = 18; }), "E_ARGUMENT");
  EXPECT_EQ(refused([](FileBatch& b) { b.layout.files[0].stride = 0; }), "E_ARGUMENT");
  EXPECT_EQ(refused([](FileBatch& b) { b.rows = 101; }), "E_SOURCE");
  EXPECT_EQ(refused([](FileBatch& b) { b.file_row = UINT64_MAX; }), "E_ARGUMENT");
  EXPECT_EQ(refused([](FileBatch& b) { b.layout.files[1].path += ".not"; }), "E_NOT_FOUND");
}

TEST_F(FilesInPlace, NoticeEveryChange) {
  const uint64_t n = 3 * kBlock;
  const Files files(folder.path(), n);
  const auto dataset = placed_rows(files, n);
  EXPECT_EQ(error_at(*dataset, n - 1).first, "");
  std::fstream file(files.codes, std::ios::binary | std::ios::in | std::ios::out);
  file.seekp(static_cast<std::streamoff>(2 * kBlock * 2 + 1));
  file << '\7';
  file.close();
  EXPECT_EQ(error_at(*dataset, kBlock).first, "") << "another block";
  const auto [code, message] = error_at(*dataset, n - 1);
  EXPECT_EQ(code, "E_CORRUPT");
  EXPECT_NE(message.find("part (2 files): the records of keys 131072 to 196607 are damaged"), std::string::npos) << message;
  EXPECT_NE(message.find("changed since: " + files.codes), std::string::npos) << message;
  const auto damages = check(placed()).damages;
  ASSERT_EQ(damages.size(), 1U);
  EXPECT_EQ(damages[0].part, "files");
  EXPECT_EQ(damages[0].first, 2 * kBlock);
  EXPECT_EQ(damages[0].end, n);

  std::filesystem::resize_file(files.rows, 10 + kBlock * sizeof(Row));
  EXPECT_EQ(error_at(*dataset, 0).first, "E_CORRUPT");
  EXPECT_NE(error_at(*dataset, 0).second.find(files.rows + " was cut off"), std::string::npos);
  std::filesystem::remove(files.rows);
  EXPECT_EQ(error_at(*dataset, 0), std::pair(std::string("E_NOT_FOUND"), files.rows + " is missing: samples of the dataset lie in it"));
  EXPECT_EQ(check(placed()).damages[0].what, "it is missing");
}

TEST_F(FilesInPlace, SurviveBeingCutOffWhileTheyAreRead) {
  const uint64_t n = 3 * kBlock;
  const Files files(folder.path(), n);
  const auto dataset = placed_rows(files, n);
  const auto snapshot = dataset->snapshot();
  std::vector<uint64_t> keys(n);
  for (uint64_t i = 0; i < n; ++i) keys[i] = i;
  std::vector<const uint8_t*> records(n);
  RecordMemory memory;
  snapshot->gather(keys.data(), n, nullptr, nullptr, records.data(), &memory);  // all verified and mapped
  std::filesystem::resize_file(files.rows, 5000);
  const auto [code, message] = error_of([&] { snapshot->gather(keys.data(), n, nullptr, nullptr, records.data(), &memory); });
  EXPECT_EQ(code, "E_CORRUPT");
  EXPECT_NE(message.find(files.rows + " was cut off or cannot be read"), std::string::npos) << message;
}

TEST_F(FilesInPlace, ComeBackWithTheirIndex) {
  const uint64_t n = 2 * kBlock + 100;
  const Files files(folder.path(), n);
  placed_rows(files, n)->close();
  std::filesystem::remove_all(placed() + "/index");
  EXPECT_GT(check(placed(), true).damages.size(), 0U);
  EXPECT_EQ(check(placed()).damages.size(), 0U);
  EXPECT_EQ(compared(*Dataset::open(placed(), true)->snapshot(), *copied(n)->snapshot()), "");
}

TEST_F(FilesInPlace, KeepDeletedSamplesUntilTheyAreCopied) {
  const uint64_t n = 2 * kBlock + 100;
  const Files files(folder.path(), n);
  const auto expected = copied(n)->snapshot();
  placed_rows(files, n)->remove({{5, 10}, {kBlock + 1, kBlock + 2}}, "", 0);
  EXPECT_EQ(error_at(*Dataset::open(placed(), true), 5).first, "E_NOT_FOUND");
  CompactReport report = compact(placed(), false);
  EXPECT_EQ(report.in_files, 6U);
  EXPECT_EQ(check(placed()).damages.size(), 0U);
  EXPECT_EQ(compared(*Dataset::open(placed(), true)->snapshot(), *expected), "");
  report = compact(placed(), true);
  EXPECT_EQ(report.in_files, 0U);
  EXPECT_EQ(check(placed()).damages.size(), 0U);
  std::filesystem::remove(files.rows);
  EXPECT_FALSE(Dataset::open(placed(), true)->snapshot()->has_files());
  EXPECT_EQ(compared(*Dataset::open(placed(), true)->snapshot(), *expected), "");
}

TEST_F(FilesInPlace, MoveWithTheirBytesOnly) {
  const uint64_t n = 2 * kBlock + 100;
  const Files files(folder.path(), n);
  const auto dataset = placed_rows(files, n);
  dataset->append(CopiedRows(n, 20).batch);
  const std::string rows = folder.path() + "/moved.bin";
  std::filesystem::rename(files.rows, rows);
  EXPECT_FALSE(dataset->move_files({{"part", "other name", {rows, files.codes}}}, false, kGoOn));
  EXPECT_EQ(dataset->file_spans()->all()[0].layout.part, "other name");
  EXPECT_EQ(compared(*dataset->snapshot(), *copied(n + 20)->snapshot()), "");
  EXPECT_EQ(outcome_of([&] { dataset->move_files({{"part", "x", {rows, files.codes}}}, false, kGoOn); }).first, "E_NOT_FOUND");
  EXPECT_EQ(outcome_of([&] { dataset->move_files({{"other name", "x", {rows}}}, false, kGoOn); }).first, "E_ARGUMENT");
  std::fstream file(rows, std::ios::binary | std::ios::in | std::ios::out);
  file.seekp(static_cast<std::streamoff>(10 + (kBlock + 5) * sizeof(Row) + 8));
  file << "other";
  file.close();
  EXPECT_FALSE(dataset->move_files({{"other name", "part", {rows, files.codes}}}, false, kGoOn)) << "some are read";
  EXPECT_EQ(dataset->move_files({{"part", "part", {rows, files.codes}}}, true, kGoOn), 0U);
}

TEST_F(FilesInPlace, AreNotCopiedWhereTheyAreDamaged) {
  const Files files(folder.path(), kBlock);
  placed_rows(files, kBlock)->remove({{5, 10}}, "", 0);
  std::fstream(files.codes, std::ios::binary | std::ios::in | std::ios::out) << "\7\7";
  EXPECT_EQ(error_of([&] { compact(placed(), true); }).first, "E_CORRUPT");
  EXPECT_EQ(compact(placed(), false).in_files, 5U);
}

TEST(GuardedMapping, GivesZerosForWhatIsNotThere) {
  const TemporaryFolder folder;
  const std::string path = folder.path() + "/file";
  std::ofstream(path) << std::string(100'000, 'x');
  const GuardedMapping sound(File(path, O_RDONLY), 100'000);
  const GuardedMapping mapping(File(path, O_RDONLY), 100'000);
  EXPECT_EQ(mapping.data()[50'000], 'x');
  std::filesystem::resize_file(path, 10);
  EXPECT_EQ(mapping.data()[99'999], 0);
  EXPECT_TRUE(mapping.failed());
  EXPECT_FALSE(sound.failed());
}

TEST(GuardedMappingDeathTest, LeavesOtherErrorsToTheSystem) {
  const TemporaryFolder folder;
  const std::string path = folder.path() + "/file";
  std::ofstream(path) << std::string(100'000, 'x');
  EXPECT_EXIT(
      {
        const GuardedMapping guarded(File(path, O_RDONLY), 100'000);
        const Mapping plain(File(path, O_RDONLY), 100'000);
        std::filesystem::resize_file(path, 10);
        volatile uint8_t byte = plain.data()[99'999];
        static_cast<void>(byte);
      },
      ::testing::KilledBySignal(SIGBUS), "");
}

TEST(FileSpan, IsReadBackAsWritten) {
  const Files files("/x", 0);
  FileSpan span{7, 100, 50, 3, files.batch(0, 1).layout};
  for (PlacedFile& file : span.layout.files) file.size = 1 << 20;
  span.layout.files[0].path = "/with blanks/and ümlaut";
  span.layout.fields[3].shape = {3};
  span.layout.fields[3].axes = {0};
  const std::string text = files_text(span);
  const FileSpan back = parse_files(files_key(7), text, kSchema, "d");
  EXPECT_EQ(back.number, 7U);
  EXPECT_EQ(back.first, 100U);
  EXPECT_EQ(back.rows, 50U);
  EXPECT_EQ(back.file_row, 3U);
  EXPECT_TRUE(back.layout == span.layout);
  for (size_t length = 0; length < text.size(); ++length) EXPECT_EQ(outcome_of([&] { parse_files(files_key(7), text.substr(0, length), kSchema, "d"); }).first, "E_CORRUPT");
  Rng rng(1);
  for (int i = 0; i < 3000; ++i) {  // whatever stands there: a span or E_CORRUPT
    std::string other = text;
    other[rng.below(other.size())] = static_cast<char>(rng.below(256));
    const std::string code = outcome_of([&] { parse_files(files_key(7), other, kSchema, "d"); }).first;
    EXPECT_TRUE(code.empty() || code == "E_CORRUPT") << code;
  }
}

}  // namespace
}  // namespace sluice
