#include "storage/dataset.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <csignal>
#include <cstring>
#include <thread>

#include "fixtures.h"

namespace sluice {
namespace {

using testing::error_of;
using testing::TemporaryFolder;

const Schema kSchema{{{"x", ColumnType::kF32}, {"c", ColumnType::kCategory}}, LabelKind::kClass, 2};

/// Rows [first, first + n) of an endless stream: everything follows from the key.
struct Rows {
  std::vector<int64_t> timestamps;
  std::vector<float> labels, x;
  std::vector<int32_t> c;
  AppendBatch batch;

  Rows(uint64_t first, uint64_t n) : timestamps(n), labels(n), x(n), c(n) {
    for (uint64_t i = 0; i < n; ++i) {
      const uint64_t key = first + i;
      timestamps[i] = static_cast<int64_t>(1000 * key);
      labels[i] = static_cast<float>(key % 2);
      x[i] = static_cast<float>(key) * 0.5F;
      c[i] = static_cast<int32_t>(key % 1000);
    }
    batch.rows = n;
    batch.timestamps = timestamps.data();
    batch.labels = labels.data();
    batch.columns = {x.data(), c.data()};
  }
};

uint64_t append(Dataset& dataset, uint64_t first, uint64_t n) { return dataset.append(Rows(first, n).batch); }

/// Every row of the dataset is the stream's.
void expect_stream(Dataset& dataset, uint64_t size) {
  const auto snapshot = dataset.snapshot();
  ASSERT_EQ(snapshot->size(), size);
  constexpr uint64_t kStep = 50'000;
  for (uint64_t first = 0; first < size; first += kStep) {
    const uint64_t n = std::min(kStep, size - first);
    const Rows rows(first, n);
    std::vector<int64_t> timestamps(n);
    std::vector<float> labels(n);
    snapshot->copy(IndexColumn::kTimestamp, first, n, timestamps.data());
    snapshot->copy(IndexColumn::kLabel, first, n, labels.data());
    ASSERT_EQ(timestamps, rows.timestamps);
    ASSERT_EQ(labels, rows.labels);
    std::vector<uint64_t> keys(n);
    for (uint64_t i = 0; i < n; ++i) keys[i] = first + i;
    std::vector<const uint8_t*> records(n);
    snapshot->gather(keys.data(), n, timestamps.data(), labels.data(), records.data());
    for (uint64_t i = 0; i < n; ++i) {
      float x;
      int32_t c;
      std::memcpy(&x, records[i], 4);
      std::memcpy(&c, records[i] + 4, 4);
      ASSERT_EQ(x, rows.x[i]) << "key " << first + i;
      ASSERT_EQ(c, rows.c[i]) << "key " << first + i;
    }
  }
}

std::vector<char> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void flip_byte(const std::string& path, size_t offset) {
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  file.seekg(static_cast<std::streamoff>(offset));
  const int byte = file.get();
  file.seekp(static_cast<std::streamoff>(offset));
  file.put(static_cast<char>(byte ^ 1));
}

TEST(Dataset, ManySmallAppendsAndOneBigOneGiveTheSameRows) {
  const TemporaryFolder folder;
  const auto dataset = Dataset::create(folder.file("d"), kSchema);
  uint64_t size = 0;
  for (const uint64_t n : {1, 2, 1000, 65'536, 3, 64'000, 70'000, 1}) {
    EXPECT_EQ(append(*dataset, size, n), size);
    size += n;
  }
  expect_stream(*dataset, size);
  EXPECT_EQ(append(*dataset, size, 200'000), size);
  expect_stream(*dataset, size + 200'000);
  dataset->close();
  expect_stream(*Dataset::open(folder.file("d"), true), size + 200'000);
}

TEST(Dataset, CrossesTheBorderOfSegments) {
  const TemporaryFolder folder;
  const auto dataset = Dataset::create(folder.file("d"), kSchema);
  append(*dataset, 0, kRowsPerSegment - 10);
  append(*dataset, kRowsPerSegment - 10, 100);
  expect_stream(*dataset, kRowsPerSegment + 90);
  EXPECT_TRUE(std::filesystem::exists(folder.file("d/segments/00000001.seg")));
}

TEST(Dataset, ASnapshotSeesWhatWasThereWhenItWasTaken) {
  const TemporaryFolder folder;
  const auto dataset = Dataset::create(folder.file("d"), kSchema);
  append(*dataset, 0, 1000);
  const auto snapshot = dataset->snapshot();
  std::thread writer([&] {
    for (uint64_t i = 0; i < 50; ++i) append(*dataset, 1000 + i * 5000, 5000);
  });
  for (int round = 0; round < 200; ++round) {
    const ColumnSpan span = snapshot->span(IndexColumn::kTimestamp, 0, 1000);
    ASSERT_EQ(span.rows, 1000U);
    for (int64_t i = 0; i < 1000; i += 97) ASSERT_EQ(static_cast<const int64_t*>(span.data)[i], 1000 * i);
  }
  writer.join();
  EXPECT_EQ(snapshot->size(), 1000U);
  EXPECT_EQ(error_of([&] { snapshot->span(IndexColumn::kLabel, 0, 1001); }).first, "E_ARGUMENT");
  expect_stream(*dataset, 251'000);
}

TEST(Dataset, ASpanTellsItsPlaceInTheFile) {
  const TemporaryFolder folder;
  const auto dataset = Dataset::create(folder.file("d"), kSchema);
  append(*dataset, 0, 70'000);
  const auto snapshot = dataset->snapshot();
  for (const uint64_t first : {0, 5, 65'535, 65'536, 69'999}) {
    const ColumnSpan span = snapshot->span(IndexColumn::kTimestamp, first, 1);
    int64_t value = -1;
    ASSERT_EQ(pread(span.fd, &value, sizeof value, static_cast<off_t>(span.file_offset)), 8);
    EXPECT_EQ(value, static_cast<int64_t>(1000 * first));
    EXPECT_EQ(reinterpret_cast<uintptr_t>(span.data) % 8, 0U);
  }
  EXPECT_EQ(snapshot->span(IndexColumn::kLabel, 60'000, 10'000).rows, 5536U);  // to the end of the chunk
}

TEST(Dataset, ABadRowRefusesTheWholeBatchAndNamesIt) {
  const TemporaryFolder folder;
  const auto dataset = Dataset::create(folder.file("d"), kSchema);
  append(*dataset, 0, 10);
  const auto refused = [&](auto change) {
    Rows rows(10, 100);
    change(rows);
    rows.batch.state = {{"k", "v"}};
    return error_of([&] { dataset->append(rows.batch); });
  };
  EXPECT_EQ(refused([](Rows& r) { r.x[7] = NAN; }), std::make_pair(std::string("E_NOT_FINITE"), std::string("column 'x', row 7: expected a finite number, got nan")));
  EXPECT_EQ(refused([](Rows& r) { r.x[99] = INFINITY; }).first, "E_NOT_FINITE");
  EXPECT_EQ(refused([](Rows& r) { r.labels[3] = 2; }), std::make_pair(std::string("E_LABEL_RANGE"), std::string("column 'label', row 3: expected a class from 0 to 1, got 2")));
  EXPECT_EQ(refused([](Rows& r) { r.labels[3] = 0.5F; }).first, "E_LABEL_RANGE");
  EXPECT_EQ(refused([](Rows& r) { r.c[0] = -1; }).first, "E_ARGUMENT");
  EXPECT_EQ(refused([](Rows& r) { r.batch.columns.pop_back(); }).first, "E_ARGUMENT");
  EXPECT_EQ(dataset->state("k"), std::nullopt);
  expect_stream(*dataset, 10);
}

TEST(Dataset, StateIsCommittedWithTheRows) {
  const TemporaryFolder folder;
  {
    const auto dataset = Dataset::create(folder.file("d"), kSchema);
    Rows rows(0, 5);
    rows.batch.state = {{"part", "5 rows"}, {"dict", std::string(100'000, 'x')}};
    dataset->append(rows.batch);
    dataset->set_state("other", "");
  }
  const auto dataset = Dataset::open(folder.file("d"), true);
  EXPECT_EQ(dataset->state("part"), "5 rows");
  EXPECT_EQ(dataset->state("dict")->size(), 100'000U);
  EXPECT_EQ(dataset->state("other"), "");
  EXPECT_EQ(dataset->state("none"), std::nullopt);
  EXPECT_EQ(error_of([&] { dataset->state(std::string(501, 'k')); }).first, "E_ARGUMENT");
}

TEST(Dataset, KnowsWhetherTimeGoesForwardAndFindsTimes) {
  const TemporaryFolder folder;
  const auto dataset = Dataset::create(folder.file("d"), kSchema);
  append(*dataset, 0, 100'000);
  const auto snapshot = dataset->snapshot();
  EXPECT_TRUE(snapshot->sorted_by_time());
  EXPECT_EQ(snapshot->lower_bound_time(-5, 0, 100'000), 0U);
  EXPECT_EQ(snapshot->lower_bound_time(70'000'000, 0, 100'000), 70'000U);
  EXPECT_EQ(snapshot->lower_bound_time(69'999'001, 0, 100'000), 70'000U);
  EXPECT_EQ(snapshot->lower_bound_time(1'000'000'000, 0, 100'000), 100'000U);
  EXPECT_EQ(snapshot->lower_bound_time(0, 500, 600), 500U);
  append(*dataset, 5, 1);
  EXPECT_FALSE(dataset->snapshot()->sorted_by_time());
}

TEST(Dataset, LifeAndAccessErrorsHaveTheirCodes) {
  const TemporaryFolder folder;
  EXPECT_EQ(error_of([&] { Dataset::open(folder.file("d"), true); }).first, "E_NOT_FOUND");
  const auto dataset = Dataset::create(folder.file("d"), kSchema);
  append(*dataset, 0, 10);
  EXPECT_EQ(error_of([&] { Dataset::open(folder.file("d"), false); }).first, "E_LOCKED");
  const auto reader = Dataset::open(folder.file("d"), true);
  EXPECT_EQ(error_of([&] { append(*reader, 10, 1); }).first, "E_READ_ONLY");
  append(*dataset, 10, 10);
  expect_stream(*reader, 20);
  const auto snapshot = dataset->snapshot();
  dataset->close();
  dataset->close();
  EXPECT_EQ(error_of([&] { dataset->size(); }).first, "E_CLOSED");
  EXPECT_EQ(error_of([&] { append(*dataset, 20, 1); }).first, "E_CLOSED");
  EXPECT_EQ(snapshot->size(), 20U);
  EXPECT_EQ(error_of([&] { Dataset::create(folder.file("d"), kSchema); }).first, "E_EXISTS");
  append(*Dataset::open(folder.file("d"), false), 20, 1);
}

TEST(Dataset, AnotherProcessIsRefusedToWrite) {
  const TemporaryFolder folder;
  Dataset::create(folder.file("d"), kSchema)->close();
  const pid_t child = fork();
  if (child == 0) {
    const auto held = Dataset::open(folder.file("d"), false);
    std::ofstream(folder.file("ready")) << "1";
    for (;;) pause();
  }
  while (!std::filesystem::exists(folder.file("ready"))) std::this_thread::yield();
  EXPECT_EQ(error_of([&] { Dataset::open(folder.file("d"), false); }).first, "E_LOCKED");
  EXPECT_EQ(Dataset::open(folder.file("d"), true)->size(), 0U);
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  append(*Dataset::open(folder.file("d"), false), 0, 10);
}

TEST(Dataset, LeftoversOfAnInterruptedAppendAreOverwritten) {
  const TemporaryFolder folder;
  {
    const auto dataset = Dataset::create(folder.file("d"), kSchema);
    append(*dataset, 0, 100);
  }
  std::ofstream(folder.file("d/segments/00000000.seg"), std::ios::binary | std::ios::app) << std::string(5000, 'z');
  const auto dataset = Dataset::open(folder.file("d"), false);
  expect_stream(*dataset, 100);
  append(*dataset, 100, 300);
  expect_stream(*dataset, 400);
}

TEST(Dataset, KilledAtAnyMomentItKeepsAWholePrefix) {
  const TemporaryFolder folder;
  constexpr uint64_t kBatch = 3000;
  Dataset::create(folder.file("d"), kSchema)->close();
  uint64_t before = 0;
  for (int round = 0; round < 12; ++round) {
    const pid_t child = fork();
    if (child == 0) {
      const auto dataset = Dataset::open(folder.file("d"), false);
      for (uint64_t size = dataset->size();; size += kBatch) append(*dataset, size, kBatch);
    }
    usleep(static_cast<useconds_t>(3000 + 4777 * round));  // how far the child comes does not matter, only that it is cut off
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    const auto dataset = Dataset::open(folder.file("d"), false);
    const uint64_t size = dataset->size();
    EXPECT_EQ(size % kBatch, 0U);
    EXPECT_GE(size, before);
    expect_stream(*dataset, size);
    before = size;
    dataset->close();
  }
  EXPECT_GT(before, 0U);
}

TEST(Dataset, AFullDiskLosesNothing) {
  const TemporaryFolder folder;
  const auto dataset = Dataset::create(folder.file("d"), kSchema);
  append(*dataset, 0, 50'000);
  rlimit limit{};
  getrlimit(RLIMIT_FSIZE, &limit);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{1'500'000, limit.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  const auto [code, message] = error_of([&] { append(*dataset, 50'000, 500'000); });
  setrlimit(RLIMIT_FSIZE, &limit);
  std::signal(SIGXFSZ, handler);
  EXPECT_EQ(code, "E_NO_SPACE") << message;
  expect_stream(*dataset, 50'000);
  append(*dataset, 50'000, 500'000);
  expect_stream(*dataset, 550'000);
}

class DamagedDataset : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto dataset = Dataset::create(path_, kSchema);
    append(*dataset, 0, 100'000);
  }
  std::string code_of_reading() {
    return error_of([&] {
             const auto dataset = Dataset::open(path_, true);
             std::vector<uint64_t> keys(100'000);
             for (uint64_t i = 0; i < keys.size(); ++i) keys[i] = i;
             std::vector<int64_t> timestamps(keys.size());
             std::vector<float> labels(keys.size());
             std::vector<const uint8_t*> records(keys.size());
             dataset->snapshot()->gather(keys.data(), keys.size(), timestamps.data(), labels.data(), records.data());
           })
        .first;
  }
  TemporaryFolder folder_;
  std::string path_ = folder_.file("d");
  std::string index_ = path_ + "/index/data.mdb";
  std::string segment_ = path_ + "/segments/00000000.seg";
};

TEST_F(DamagedDataset, ATruncatedIndexIsCorrupt) {
  const auto size = std::filesystem::file_size(index_);
  for (const uintmax_t keep : {size / 2, uintmax_t{8192}, uintmax_t{4096}, uintmax_t{100}}) {
    std::filesystem::resize_file(index_, keep);
    EXPECT_EQ(code_of_reading(), "E_CORRUPT") << keep << " bytes of " << size;
  }
}

TEST_F(DamagedDataset, AFlippedBitInAChunkIsCorrupt) {
  const std::vector<char> bytes = read_file(index_);
  const int64_t marker = 1000 * 12'345;  // a timestamp
  const auto* needle = reinterpret_cast<const char*>(&marker);
  const auto at = std::search(bytes.begin(), bytes.end(), needle, needle + sizeof marker);
  ASSERT_NE(at, bytes.end());
  flip_byte(index_, static_cast<size_t>(at - bytes.begin()));
  EXPECT_EQ(code_of_reading(), "E_CORRUPT");
}

TEST_F(DamagedDataset, AnotherFormatOfLmdbIsCorrupt) {
  flip_byte(index_, 16 + 4);
  EXPECT_EQ(code_of_reading(), "E_CORRUPT");
}

TEST_F(DamagedDataset, ADamagedSegmentIsCorrupt) {
  flip_byte(segment_, 128 + 8 * 5000);
  EXPECT_EQ(code_of_reading(), "E_CORRUPT");
  flip_byte(segment_, 128 + 8 * 5000);
  flip_byte(segment_, 0);
  EXPECT_EQ(code_of_reading(), "E_CORRUPT");
  flip_byte(segment_, 0);
  std::filesystem::resize_file(segment_, 64 + 8 * 99'999);
  EXPECT_EQ(code_of_reading(), "E_CORRUPT");
  std::filesystem::remove(segment_);
  EXPECT_EQ(code_of_reading(), "E_CORRUPT");
}

}  // namespace
}  // namespace sluice
