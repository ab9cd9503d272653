#include <chrono>

#include "base/rng.h"
#include "processes.h"
#include "storage/rows.h"

namespace sluice {
namespace {

using namespace testing;

constexpr uint64_t kBatch = 1009;

/// Appends batches of kBatch rows, each with its end as state, and writes a byte to `fd` before each, until it is killed.
[[noreturn]] void append_for_ever(const std::string& path, int fd) {
  const auto dataset = Dataset::open(path, false);
  for (;;) {
    const uint64_t size = dataset->size();
    StreamRows rows(dataset->schema(), size, kBatch);
    rows.batch.state = {{"end", std::to_string(size + kBatch)}};
    if (write(fd, "x", 1) != 1) _exit(1);
    dataset->append(rows.batch);
    dataset->set_state("note", std::string(size % 9000, 'n'));
  }
}

/// Kills the writer `delay` after it began its n-th append.
void kill_during_append(const std::string& path, uint64_t n, std::chrono::microseconds delay) {
  int began[2];
  ASSERT_EQ(pipe(began), 0);
  const pid_t child = fork();
  if (child == 0) append_for_ever(path, began[1]);
  close(began[1]);
  char byte;
  for (uint64_t i = 0; i < n; ++i) ASSERT_EQ(read(began[0], &byte, 1), 1);
  const auto start = std::chrono::steady_clock::now();
  while (std::chrono::steady_clock::now() - start < delay) {
  }
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  close(began[0]);
}

TEST(Failure, ACreationThatWasCutOffIsNoDatasetAndCanBeRepeated) {
  const TemporaryFolder folder;
  const std::string path = folder.file("d");
  for (const uint64_t bytes : {1'000, 9'000}) {  // enough for nothing, and for LMDB's empty file
    {
      const FileSizeLimit limit(bytes);
      EXPECT_EQ(error_of([&] { Dataset::create(path, kStreamSchema); }).first, "E_NO_SPACE") << bytes;
    }
    EXPECT_EQ(error_of([&] { Dataset::open(path, false); }).first, "E_NOT_FOUND") << bytes;
  }
  EXPECT_EQ(Dataset::create(path, kStreamSchema)->size(), 0U);
}

TEST(Failure, AKilledAppendIsThereWithItsStateOrNotAtAll) {
  const TemporaryFolder folder;
  const std::string path = folder.file("d");
  write_dataset(path, kStreamSchema, 0);
  Rng rng(5);
  uint64_t batches = 0;
  for (int round = 0; round < 40; ++round) {
    const uint64_t n = 1 + rng.below(8);
    kill_during_append(path, n, std::chrono::microseconds(rng.below(12'000)));
    const auto dataset = Dataset::open(path, false);
    ASSERT_EQ(dataset->size() % kBatch, 0U) << "round " << round;
    ASSERT_GE(dataset->size() / kBatch, batches + n - 1) << "round " << round << ": an acknowledged append is lost";
    batches = dataset->size() / kBatch;
    ASSERT_EQ(dataset->state("end").value_or("0"), std::to_string(dataset->size())) << "round " << round;
    ASSERT_EQ(difference(*dataset->snapshot()), "") << "round " << round;
  }
}

TEST(Failure, AnEmptyIndexFileIsNoDatasetYet) {
  const TemporaryFolder folder;
  const std::string path = folder.file("d");
  std::filesystem::create_directories(path + "/index");
  std::ofstream(path + "/index/data.mdb");
  EXPECT_EQ(error_of([&] { Dataset::open(path, true); }).first, "E_NOT_FOUND");
  write_dataset(path, kStreamSchema, 10);
  EXPECT_EQ(difference(*Dataset::open(path, true)->snapshot(), 0, 10), "");
}

/// Fills the dataset until the limit stops it: what was acknowledged is there, and the dataset goes on afterwards.
void expect_to_survive(const Schema& schema, rlim_t limit_bytes, uint64_t batch_rows) {
  const TemporaryFolder folder;
  const auto dataset = Dataset::create(folder.file("d"), schema);
  uint64_t stored = 0;
  std::string code;
  {
    const FileSizeLimit limit(limit_bytes);
    for (int i = 0; i < 1000 && code.empty(); ++i) {
      StreamRows rows(schema, stored, batch_rows);
      rows.batch.state = {{"end", std::to_string(stored + batch_rows)}};
      try {
        dataset->append(rows.batch);
        stored += batch_rows;
      } catch (const Error& error) {
        code = error.code();
      }
      ASSERT_EQ(dataset->size(), stored);
    }
    EXPECT_EQ(code, "E_NO_SPACE") << "limit " << limit_bytes;
    EXPECT_EQ(difference(*dataset->snapshot()), "");
    EXPECT_EQ(dataset->state("end").value_or("0"), std::to_string(stored));
  }
  append_rows(*dataset, batch_rows);
  dataset->close();
  const auto reopened = Dataset::open(folder.file("d"), true);
  EXPECT_EQ(reopened->size(), stored + batch_rows);
  EXPECT_EQ(difference(*reopened->snapshot()), "");
}

TEST(Failure, AFullDiskStopsTheIndexAtAnyByte) {
  for (rlim_t limit = 2'000'000; limit < 2'400'000; limit += 41'111) expect_to_survive(kBareSchema, limit, 9001);
}

TEST(Failure, AFullDiskStopsTheSegments) { expect_to_survive({{{"x", ColumnType::kF32}, {"c", ColumnType::kCategory}}, LabelKind::kClass, 3}, 6'000'000, 300'000); }

TEST(Failure, AFullDiskKeepsTheOldState) {
  const TemporaryFolder folder;
  const auto dataset = Dataset::create(folder.file("d"), kBareSchema);
  dataset->set_state("k", "old");
  const std::string large(3'000'000, 'x');
  {
    const FileSizeLimit limit(2'000'000);
    EXPECT_EQ(error_of([&] { dataset->set_state("k", large); }).first, "E_NO_SPACE");
  }
  EXPECT_EQ(dataset->state("k"), "old");
  dataset->set_state("k", large);
  EXPECT_EQ(dataset->state("k"), large);
}

TEST(Failure, ANameThatCannotBeLookedUpIsAnErrorWithACode) {
  EXPECT_EQ(error_of([] { Dataset::open("/" + std::string(5000, 'n'), true); }).first, "E_IO");
}

}  // namespace
}  // namespace sluice
