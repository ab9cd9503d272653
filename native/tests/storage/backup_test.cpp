#include "storage/backup.h"

#include "storage/fsck.h"
#include "storage/rows.h"

namespace sluice {
namespace {

using namespace testing;

class BackupTest : public ::testing::Test {
 protected:
  /// The dataset as a backup has it: the index first, then files that may hold more by now.
  void copy_rest() const {
    std::filesystem::copy(path_ + "/segments", copy_ + "/segments", std::filesystem::copy_options::recursive);
    std::filesystem::copy(path_ + "/state.log", copy_ + "/state.log");
  }

  TemporaryFolder folder_;
  std::string path_ = folder_.file("d"), copy_ = folder_.file("copy");
};

TEST_F(BackupTest, ACopyIsOneCommitThoughSamplesAreAppendedMeanwhile) {
  for (const Schema& schema : {kStreamSchema, kBareSchema}) {
    std::filesystem::remove_all(path_);
    std::filesystem::remove_all(copy_);
    const auto dataset = Dataset::create(path_, schema);
    append_rows(*dataset, 150'000);
    copy_environment(path_ + "/index", copy_ + "/index");
    append_rows(*dataset, 777);
    if (!schema.columns.empty()) copy_rest();
    EXPECT_EQ(check_dataset(copy_, false, StopFlag(), [](uint64_t, uint64_t) {}).damages.size(), 0U);
    const auto back = Dataset::open(copy_, false);
    EXPECT_EQ(back->size(), 150'000U);
    EXPECT_EQ(difference(*back->snapshot()), "");
    append_rows(*back, 100'000);
    EXPECT_EQ(difference(*back->snapshot()), "");
  }
}

TEST_F(BackupTest, WhatIsMissingOrThereAlreadyIsTold) {
  EXPECT_EQ(error_of([&] { copy_environment(path_ + "/index", copy_); }).first, "E_NOT_FOUND");
  write_dataset(path_, kStreamSchema, 10);
  copy_environment(path_ + "/index", copy_);
  EXPECT_EQ(error_of([&] { copy_environment(path_ + "/index", copy_); }).first, "E_IO");
}

}  // namespace
}  // namespace sluice
