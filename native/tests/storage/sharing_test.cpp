#include <sys/stat.h>

#include <atomic>
#include <thread>

#include "processes.h"
#include "storage/rows.h"

namespace sluice {
namespace {

using namespace testing;

TEST(Sharing, ManyThreadsOpenAndCloseOneDataset) {
  const TemporaryFolder folder;
  const std::string path = folder.file("d");
  write_dataset(path, kStreamSchema, 1000);
  std::string found[4];
  std::vector<std::thread> threads;
  for (std::string& result : found) {
    threads.emplace_back([&] {
      try {
        for (int i = 0; i < 100 && result.empty(); ++i) result = difference(*Dataset::open(path, true)->snapshot());
      } catch (const std::exception& error) {
        result = error.what();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::string& result : found) EXPECT_EQ(result, "");
}

TEST(Sharing, AFolderThatWasRemovedAndMadeAgainIsAnotherDataset) {
  const TemporaryFolder folder;
  const std::string path = folder.file("d");
  auto dataset = Dataset::create(path, kBareSchema);
  append_rows(*dataset, 100);
  const auto snapshot = dataset->snapshot();
  dataset->close();
  std::filesystem::remove_all(path);
  const auto again = Dataset::create(path, kStreamSchema);
  append_rows(*again, 7);
  EXPECT_EQ(again->size(), 7U);
  EXPECT_EQ(difference(*again->snapshot()), "");
  EXPECT_EQ(difference(*snapshot), "");
}

TEST(Sharing, TwoNamesOfAFolderAreOneDataset) {
  const TemporaryFolder folder;
  const auto writer = Dataset::create(folder.file("d"), kStreamSchema);
  std::filesystem::create_directory_symlink(folder.file("d"), folder.file("link"));
  EXPECT_EQ(error_of([&] { Dataset::open(folder.file("link"), false); }).first, "E_LOCKED");
  const auto reader = Dataset::open(folder.file("link"), true);
  append_rows(*writer, 50);
  EXPECT_EQ(reader->size(), 50U);
  EXPECT_EQ(difference(*reader->snapshot()), "");
}

/// The reader maps the file before the writer in another process makes it longer.
TEST(Sharing, AReaderSeesWhatAnotherProcessAppends) {
  const TemporaryFolder folder;
  const std::string path = folder.file("d");
  write_dataset(path, kStreamSchema, 10);
  const auto reader = Dataset::open(path, true);
  EXPECT_EQ(difference(*reader->snapshot()), "");
  // A program of its own, since LMDB must not be carried over a fork.
  const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
  const std::string command = "SLUICE_TEST_APPEND_TO='" + path + "' '" + self + "' --gtest_also_run_disabled_tests --gtest_filter=Sharing.DISABLED_Append > /dev/null";
  ASSERT_EQ(std::system(command.c_str()), 0);
  EXPECT_EQ(reader->size(), 10U + 20 * 10'001);
  EXPECT_EQ(difference(*reader->snapshot()), "");
}

/// Not a test but the other process of the one above.
TEST(Sharing, DISABLED_Append) {
  const auto writer = Dataset::open(std::getenv("SLUICE_TEST_APPEND_TO"), false);
  for (int i = 0; i < 20; ++i) append_rows(*writer, 10'001);
}

TEST(Sharing, ASnapshotIsReadByManyThreadsAndOutlivesItsDataset) {
  const TemporaryFolder folder;
  auto dataset = Dataset::create(folder.file("d"), kStreamSchema);
  append_rows(*dataset, 10 * kChunkRows + 5);
  const auto snapshot = dataset->snapshot();
  std::atomic<bool> done{false};
  std::string found[3];
  std::vector<std::thread> threads;
  for (std::string& result : found) {
    threads.emplace_back([&] {
      do result = difference(*snapshot);
      while (!done && result.empty());
    });
  }
  for (int i = 0; i < 20; ++i) append_rows(*dataset, 7001);
  dataset->close();
  dataset.reset();
  done = true;
  for (std::thread& thread : threads) thread.join();
  for (const std::string& result : found) EXPECT_EQ(result, "");
  const auto again = Dataset::open(folder.file("d"), false);
  append_rows(*again, 500);
  EXPECT_EQ(difference(*again->snapshot()), "");
}

/// As a user who may not write: the tests may run as root, whom permissions do not stop.
TEST(Sharing, ADatasetIsReadFromAFolderThatCannotBeWritten) {
  const TemporaryFolder folder;
  const std::string path = folder.file("d");
  write_dataset(path, kStreamSchema, 1000);
  std::filesystem::remove(path + "/index/lock.mdb");
  chmod(folder.path().c_str(), 0755);
  for (const std::string& name : {path, path + "/index", path + "/segments"}) chmod(name.c_str(), 0555);
  const int status = in_child([&] {
    if (getuid() == 0 && setuid(65534) != 0) return 1;
    if (error_of([&] { Dataset::open(path, false); }).first != "E_READ_ONLY") return 2;
    return difference(*Dataset::open(path, true)->snapshot()).empty() ? 0 : 3;
  });
  for (const std::string& name : {path, path + "/index", path + "/segments"}) chmod(name.c_str(), 0755);
  EXPECT_EQ(status, 0);
}

TEST(Sharing, AScanLetsGoOfThePagesBehindIt) {
  const TemporaryFolder folder;
  constexpr uint64_t kRows = 300 * kChunkRows;  // 150 MiB of timestamps
  const auto dataset = Dataset::create(folder.file("d"), kBareSchema);
  for (int i = 0; i < 10; ++i) append_rows(*dataset, kRows / 10);
  const auto snapshot = dataset->snapshot();
  const auto resident = [] {
    std::ifstream file("/proc/self/statm");
    uint64_t total = 0;
    uint64_t pages = 0;
    file >> total >> pages;
    return pages * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  };
  const uint64_t before = resident();
  int64_t sum = 0;
  for (uint64_t at = 0; at < kRows;) {
    const ColumnSpan span = snapshot->span(IndexColumn::kTimestamp, at, kRows - at);
    for (uint64_t i = 0; i < span.rows; ++i) sum += static_cast<const int64_t*>(span.data)[i];
    at += span.rows;
  }
  EXPECT_EQ(sum, static_cast<int64_t>(kRows) * 1'000'000 + static_cast<int64_t>(kRows * (kRows - 1) / 2 * 10));
  EXPECT_LT(resident(), before + (uint64_t{100} << 20));
}

}  // namespace
}  // namespace sluice
