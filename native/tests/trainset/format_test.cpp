#include <sys/stat.h>

#include "fixtures.h"
#include "processes.h"
#include "trainset/trainset.h"

namespace sluice {
namespace {

using testing::TemporaryFolder;

constexpr uint64_t kSize = uint64_t{1} << 40;

/// Expected values: Python's mmh3 5.x over count, 0, keys and weights in little-endian order, padded to 16 bytes.
TEST(TrainSetFormat, TheIdIsTheHashOfCountKeysAndWeights) {
  const TemporaryFolder folder;
  Selection range;
  range.first = 5;
  range.end = 8;
  range.count = 3;
  EXPECT_EQ(freeze(folder.path(), range, kSize), "edbf034a88ad499c82005f2e4dcd4ff8");
  const std::vector<uint64_t> keys{7, 5};
  const std::vector<float> weights{0.5F, 2.0F};
  Selection list;
  list.keys = keys.data();
  list.weights = weights.data();
  list.count = 2;
  EXPECT_EQ(freeze(folder.path(), list, kSize), "fbc85738a425bc68ff069936a4c48814");
}

TEST(TrainSetFormat, ARangeTakesNoRoomForItsKeys) {
  const TemporaryFolder folder;
  Selection range;
  range.first = 1000;
  range.end = 30'000'000;
  range.count = range.end - range.first;
  const std::string id = freeze(folder.path(), range, kSize);
  EXPECT_LT(std::filesystem::file_size(folder.file(id + ".trainset")), 100U);
  const auto set = TrainSet::open(folder.path(), id);
  EXPECT_EQ(set->size(), 29'999'000U);
  const uint32_t at = 29'998'999U;
  uint64_t key;
  set->get(&at, 1, &key, nullptr);
  EXPECT_EQ(key, 29'999'999U);
}

TEST(TrainSetFormat, ASetThatIsThereIsKeptAndAFullDiskLeavesNothing) {
  const TemporaryFolder folder;
  const std::vector<uint64_t> keys(100'000, 7);
  Selection list;
  list.keys = keys.data();
  list.count = keys.size();
  {
    const testing::FileSizeLimit limit(100'000);
    EXPECT_EQ(testing::error_of([&] { freeze(folder.path(), list, kSize); }).first, "E_NO_SPACE");
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
  const std::string path = folder.file(freeze(folder.path(), list, kSize) + ".trainset");
  struct stat before {};
  struct stat after {};
  stat(path.c_str(), &before);
  freeze(folder.path(), list, kSize);
  stat(path.c_str(), &after);
  EXPECT_EQ(before.st_ino, after.st_ino);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1) << "temporary files were left behind";
}

TEST(TrainSetFormat, ADamagedSetIsWrittenAnew) {
  const TemporaryFolder folder;
  const std::vector<uint64_t> keys{3, 1, 2};
  Selection list;
  list.keys = keys.data();
  list.count = keys.size();
  const std::string id = freeze(folder.path(), list, kSize);
  std::filesystem::resize_file(folder.file(id + ".trainset"), 40);
  EXPECT_EQ(testing::error_of([&] { TrainSet::open(folder.path(), id); }).first, "E_CORRUPT");
  EXPECT_EQ(freeze(folder.path(), list, kSize), id);
  EXPECT_EQ(TrainSet::open(folder.path(), id)->size(), 3U);
}

}  // namespace
}  // namespace sluice
