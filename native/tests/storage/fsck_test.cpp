#include "storage/fsck.h"

#include <fcntl.h>

#include <algorithm>

#include "base/file.h"
#include "base/rng.h"
#include "processes.h"
#include "storage/layout.h"
#include "storage/rows.h"
#include "storage/store.h"

namespace sluice {
namespace {

using namespace testing;

constexpr uint64_t kRows = kChunkRows + 500;

CheckReport check(const std::string& path, bool repair) {
  const StopFlag stop;
  return check_dataset(path, repair, stop, [](uint64_t, uint64_t) {});
}

bool all_repaired(const CheckReport& report) {
  return !report.damages.empty() && std::all_of(report.damages.begin(), report.damages.end(), [](const Damage& d) { return d.repaired; });
}

std::string text(const CheckReport& report) {
  std::string text;
  for (const Damage& d : report.damages) text += d.file + ": " + d.what + " [" + std::to_string(d.first) + ", " + std::to_string(d.end) + ")" + (d.repaired ? " repaired\n" : "\n");
  return text;
}

/// Reads all: as it was written?
bool is_whole(const std::string& path, uint64_t rows) {
  const auto dataset = Dataset::open(path, true);
  const auto snapshot = dataset->snapshot();
  return snapshot->size() == rows && difference(*snapshot).empty() && dataset->state("end") == "the end" && snapshot->sorted_by_time();
}

/// Of a repair in a child process: a signal is a failed test, not the end of all.
enum Outcome { kNothingFound, kRepaired, kNotRepaired, kWrongAfterwards };

class Fsck : public ::testing::Test {
 protected:
  void SetUp() override {
    write_dataset(path_, kStreamSchema, kRows - 200);
    const auto dataset = Dataset::open(path_, false);
    dataset->set_state("end", "the end");
    append_rows(*dataset, 200);
    dataset->close();
    std::filesystem::copy(path_, sound_, std::filesystem::copy_options::recursive);
  }

  void restore() {
    std::filesystem::remove_all(path_);
    std::filesystem::copy(sound_, path_, std::filesystem::copy_options::recursive);
  }

  int repair_in_child() const {
    return in_child([&] {
      const CheckReport report = check(path_, true);
      if (!report.damages.empty() && !all_repaired(report)) return kNotRepaired;
      if (!is_whole(path_, kRows) || !check(path_, false).damages.empty()) return kWrongAfterwards;
      return report.damages.empty() ? kNothingFound : kRepaired;
    });
  }

  static void flip(const std::string& file_path, uint64_t offset, unsigned bit) {
    const File file(file_path, O_RDWR);
    uint8_t byte;
    file.read_at(offset, &byte, 1);
    byte ^= static_cast<uint8_t>(1U << bit);
    file.write_at(offset, &byte, 1);
  }

  TemporaryFolder folder_;
  std::string path_ = folder_.file("d");
  std::string sound_ = folder_.file("sound");
  std::string index_ = path_ + "/index/data.mdb";
  std::string segment_ = path_ + "/segments/00000000.seg";
  RecordLayout layout_{kStreamSchema.record_bytes()};
};

TEST_F(Fsck, ASoundDatasetHasNoDamageAlsoWhileItIsWritten) {
  EXPECT_EQ(text(check(path_, false)), "");
  const auto dataset = Dataset::open(path_, false);
  append_rows(*dataset, 3 * kChunkRows);
  const CheckReport report = check(path_, false);
  EXPECT_EQ(text(report), "");
  EXPECT_EQ(report.samples, kRows + 3 * kChunkRows);
  EXPECT_EQ(error_of([&] { check(path_, true); }).first, "E_LOCKED");
}

TEST_F(Fsck, WhatACrashLeavesBehindTheCommittedEndIsNoDamage) {
  const File file(segment_, O_RDWR);
  file.write_at(layout_.record_at(kRows), "leftover", 8);
  file.write_at(layout_.block_at(1), "torn head", 9);
  const File log(path_ + "/state.log", O_RDWR);
  log.write_at(log.size(), "SLR1 cut off", 12);
  EXPECT_EQ(text(check(path_, false)), "");
}

TEST_F(Fsck, AFlippedBitAnywhereInTheIndexIsRepaired) {
  const uint64_t bytes = std::filesystem::file_size(index_);
  Rng rng(1);
  int repaired = 0;
  for (int round = 0; round < 120; ++round) {
    // Half of them in the pages of the trees, which lie behind the chunks, or in the meta pages.
    const uint64_t at = round % 4 == 0 ? rng.below(2 * 4096) : round % 4 == 1 ? bytes - 1 - rng.below(30 * 4096) : rng.below(bytes);
    const auto bit = static_cast<unsigned>(rng.below(8));
    flip(index_, at, bit);
    const int outcome = repair_in_child();
    ASSERT_TRUE(outcome == kNothingFound || outcome == kRepaired) << "byte " << at << ", bit " << bit << ": " << outcome;
    repaired += outcome == kRepaired ? 1 : 0;
    restore();
  }
  EXPECT_GT(repaired, 30);
}

TEST_F(Fsck, ZeroedPagesOfTheIndexAreRepaired) {
  const uint64_t pages = std::filesystem::file_size(index_) / 4096;
  const std::string zeros(4096, '\0');
  int repaired = 0;
  for (uint64_t page = 0; page < pages; page += page < 4 || page > pages - 12 ? 1 : 23) {
    File(index_, O_RDWR).write_at(page * 4096, zeros.data(), zeros.size());
    const int outcome = repair_in_child();
    ASSERT_TRUE(outcome == kNothingFound || outcome == kRepaired) << "page " << page << ": " << outcome;
    repaired += outcome == kRepaired ? 1 : 0;
    restore();
  }
  EXPECT_GT(repaired, 10);
}

TEST_F(Fsck, AnIndexThatWasCutIsRepaired) {
  const uint64_t bytes = std::filesystem::file_size(index_);
  for (const uint64_t length : {bytes / 3 * 2, bytes / 2, uint64_t{20'000}, uint64_t{8192}, uint64_t{5000}, uint64_t{100}, uint64_t{0}}) {
    std::filesystem::resize_file(index_, length);
    ASSERT_EQ(repair_in_child(), kRepaired) << length;
    restore();
  }
}

TEST_F(Fsck, AMissingIndexIsMadeFromTheSegmentsAndGoesOn) {
  std::filesystem::remove_all(path_ + "/index");
  EXPECT_FALSE(check(path_, false).damages.empty());
  EXPECT_FALSE(std::filesystem::exists(index_));
  const CheckReport report = check(path_, true);
  EXPECT_TRUE(all_repaired(report)) << text(report);
  const auto dataset = Dataset::open(path_, false);
  append_rows(*dataset, 1000);
  dataset->set_state("end", "the end");
  dataset->close();
  EXPECT_TRUE(is_whole(path_, kRows + 1000));
  EXPECT_EQ(text(check(path_, false)), "");
}

TEST_F(Fsck, TheDamagedIndexIsKept) {
  flip(index_, 2 * 4096 + 5000, 0);
  std::filesystem::resize_file(index_, 8192);
  check(path_, true);
  EXPECT_EQ(std::filesystem::file_size(path_ + "/index.damaged/data.mdb"), 8192U);
}

TEST_F(Fsck, DamagedRecordsAreNamedAndTheOthersStay) {
  flip(segment_, layout_.record_at(kChunkRows + 3), 2);
  const CheckReport report = check(path_, true);
  ASSERT_EQ(report.damages.size(), 1U) << text(report);
  EXPECT_EQ(report.damages[0].first, kChunkRows);
  EXPECT_EQ(report.damages[0].end, kRows);
  EXPECT_FALSE(report.damages[0].repaired);
  const auto snapshot = Dataset::open(path_, true)->snapshot();
  EXPECT_EQ(difference(*snapshot, 0, kChunkRows), "");
  EXPECT_EQ(error_of([&] { difference(*snapshot); }).first, "E_CORRUPT");
}

TEST_F(Fsck, HeadsAndColumnsOfBlocksAreWrittenAnewFromTheIndex) {
  for (const uint64_t offset : {uint64_t{0}, uint64_t{9}, layout_.block_at(0) + 3, layout_.block_at(0) + 30, layout_.timestamps_at(0) + 1000, layout_.labels_at(1) + 8}) {
    flip(segment_, offset, 1);
    const CheckReport report = check(path_, true);
    EXPECT_TRUE(all_repaired(report)) << offset << "\n" << text(report);
    EXPECT_EQ(text(check(path_, false)), "") << offset;
    // They are whole again: the index can be made from them.
    std::filesystem::remove_all(path_ + "/index");
    ASSERT_EQ(repair_in_child(), kRepaired) << offset;
    restore();
  }
}

TEST_F(Fsck, ASegmentThatWasCutKeepsWhatIsLeft) {
  std::filesystem::resize_file(segment_, layout_.record_at(kChunkRows + 10));
  EXPECT_EQ(error_of([&] { Dataset::open(path_, true)->snapshot(); }).first, "E_CORRUPT");
  const CheckReport report = check(path_, true);
  const bool named = std::any_of(report.damages.begin(), report.damages.end(), [](const Damage& d) { return !d.repaired && d.first == kChunkRows && d.end == kRows; });
  EXPECT_TRUE(named) << text(report);
  EXPECT_EQ(difference(*Dataset::open(path_, true)->snapshot(), 0, kChunkRows), "");
}

TEST_F(Fsck, AMissingSegmentNamesItsSamplesAndLeavesTheOthersReadable) {
  const auto dataset = Dataset::open(path_, false);
  while (dataset->size() < kRowsPerSegment + 1000) append_rows(*dataset, std::min<uint64_t>(1 << 20, kRowsPerSegment + 1000 - dataset->size()));
  dataset->close();
  std::filesystem::remove(path_ + "/segments/00000001.seg");
  const CheckReport before = check(path_, false);
  ASSERT_EQ(before.damages.size(), 1U) << text(before);
  EXPECT_EQ(before.damages[0].first, kRowsPerSegment);
  EXPECT_EQ(before.damages[0].end, kRowsPerSegment + 1000);
  EXPECT_EQ(before.damages[0].remedy, Remedy::kNone);
  const CheckReport after = check(path_, true);
  const bool named = std::any_of(after.damages.begin(), after.damages.end(), [](const Damage& d) { return !d.repaired && d.first == kRowsPerSegment; });
  EXPECT_TRUE(named) << text(after);
  const auto snapshot = Dataset::open(path_, true)->snapshot();
  EXPECT_EQ(difference(*snapshot, kRowsPerSegment - 1000, kRowsPerSegment), "");
  EXPECT_EQ(error_of([&] { difference(*snapshot, kRowsPerSegment, kRowsPerSegment + 1); }).first, "E_CORRUPT");
}

TEST_F(Fsck, ADamagedStateLogIsWrittenAnew) {
  const std::string log = path_ + "/state.log";
  for (const uint64_t offset : {uint64_t{3}, uint64_t{40}, std::filesystem::file_size(log) - 3}) {
    flip(log, offset, 0);
    const CheckReport report = check(path_, true);
    EXPECT_TRUE(all_repaired(report)) << text(report);
    std::filesystem::remove_all(path_ + "/index");
    ASSERT_EQ(repair_in_child(), kRepaired) << offset;
    restore();
  }
  std::filesystem::remove(log);
  EXPECT_TRUE(all_repaired(check(path_, true)));
}

TEST_F(Fsck, AnIndexAndALogThatAreBothLostLeaveTheSamplesReadable) {
  std::filesystem::remove_all(path_ + "/index");
  std::filesystem::remove(path_ + "/state.log");
  const CheckReport report = check(path_, true);
  EXPECT_NE(text(report).find("how far ingestion came"), std::string::npos) << text(report);
  EXPECT_TRUE(check(path_, false).damages.empty()) << text(check(path_, false));
  const auto dataset = Dataset::open(path_, false);
  EXPECT_EQ(dataset->size(), kRows);
  EXPECT_EQ(difference(*dataset->snapshot()), "");
  EXPECT_EQ(dataset->state("end"), std::nullopt);
  append_rows(*dataset, 1000);
  EXPECT_EQ(difference(*dataset->snapshot()), "");
}

TEST_F(Fsck, TheCopyOfTheSchemaIsWrittenAnewAndWithoutAnyNothingIsTouched) {
  flip(path_ + "/schema", 5, 2);
  EXPECT_TRUE(all_repaired(check(path_, true)));
  std::filesystem::remove(path_ + "/schema");
  EXPECT_TRUE(check(path_, true).damages.empty());
  EXPECT_TRUE(path_exists(path_ + "/schema"));
  EXPECT_TRUE(check(path_, false).damages.empty());
  for (const char* part : {"/index", "/state.log", "/schema"}) std::filesystem::remove_all(path_ + part);
  const CheckReport report = check(path_, true);
  ASSERT_FALSE(report.damages.empty());
  for (const Damage& damage : report.damages) EXPECT_FALSE(damage.repaired) << damage.what;
  EXPECT_FALSE(std::filesystem::exists(path_ + "/index/data.mdb"));
}

TEST_F(Fsck, AnIndexLostAfterACommitThatNeverCameHasTheBatchWithItsState) {
  std::filesystem::copy(path_ + "/index", folder_.file("index-before"), std::filesystem::copy_options::recursive);
  {
    const auto dataset = Dataset::open(path_, false);
    StreamRows rows(dataset->schema(), kRows, 70'000);
    rows.batch.state = {{"progress", "137036"}};
    dataset->append(rows.batch);
  }
  // The index as it was: the records are in the segments and the log, the commit is not.
  std::filesystem::remove_all(path_ + "/index");
  std::filesystem::copy(folder_.file("index-before"), path_ + "/index", std::filesystem::copy_options::recursive);
  EXPECT_EQ(text(check(path_, false)), "");
  std::filesystem::remove_all(path_ + "/index");
  EXPECT_TRUE(all_repaired(check(path_, true)));
  EXPECT_TRUE(is_whole(path_, kRows + 70'000));
  EXPECT_EQ(Dataset::open(path_, true)->state("progress"), "137036");
}

TEST_F(Fsck, AValueThatWasShortenedWithinItsTransactionIsNoDamage) {
  {
    const auto dataset = Dataset::open(path_, false);
    StreamRows rows(dataset->schema(), kRows, 10);
    rows.batch.state = {{"same", std::string(9000, 'a')}, {"same", "short"}};
    dataset->append(rows.batch);
  }
  EXPECT_EQ(text(check(path_, false)), "");
  Dataset::open(path_, false)->set_state("same", "again");
  EXPECT_EQ(text(check(path_, false)), "");
  EXPECT_TRUE(is_whole(path_, kRows + 10));
}

TEST_F(Fsck, ASizeThatWasMadeUpIsRefusedAndReplaced) {
  for (const uint64_t size : {uint64_t{1} << 40, uint64_t{1} << 62, UINT64_MAX}) {
    {
      const auto store = open_existing_store(path_);
      Txn txn(*store->env, false);
      Extent extent = store->extent(txn);
      extent.size = size;
      store->put_extent(txn, extent);
      txn.commit();
    }
    EXPECT_EQ(error_of([&] { Dataset::open(path_, true)->size(); }).first, "E_CORRUPT");
    EXPECT_EQ(repair_in_child(), kRepaired) << size;
    restore();
  }
}

TEST_F(Fsck, ADatasetWithoutColumnsIsCheckedAndItsDamageNamed) {
  const std::string bare = folder_.file("bare");
  write_dataset(bare, kBareSchema, kRows);
  EXPECT_EQ(text(check(bare, false)), "");
  const uint64_t offset = Dataset::open(bare, true)->snapshot()->span(IndexColumn::kLabel, kChunkRows, 1).file_offset;
  flip(bare + "/index/data.mdb", offset, 0);
  const CheckReport report = check(bare, true);
  ASSERT_EQ(report.damages.size(), 1U) << text(report);
  EXPECT_EQ(report.damages[0].first, kChunkRows);
  EXPECT_FALSE(report.damages[0].repaired);
}

TEST_F(Fsck, AStopEndsTheCheck) {
  StopFlag stop;
  stop.request();
  EXPECT_EQ(error_of([&] { check_dataset(path_, true, stop, [](uint64_t, uint64_t) {}); }).first, "E_ABORTED");
  EXPECT_TRUE(is_whole(path_, kRows));
}

TEST_F(Fsck, AFolderWithoutADatasetIsNotFound) { EXPECT_EQ(error_of([&] { check(folder_.file("none"), true); }).first, "E_NOT_FOUND"); }

}  // namespace
}  // namespace sluice
