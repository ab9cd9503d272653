#include "trainset/trainset.h"

#include <cmath>
#include <numeric>

#include "fixtures.h"

namespace sluice {
namespace {

using testing::error_of;
using testing::TemporaryFolder;

Selection list(const std::vector<uint64_t>& keys, const std::vector<float>& weights = {}) {
  Selection s;
  s.keys = keys.data();
  s.weights = weights.empty() ? nullptr : weights.data();
  s.count = keys.size();
  return s;
}

Selection range(uint64_t first, uint64_t end) {
  Selection s;
  s.first = first;
  s.end = end;
  s.count = end - first;
  return s;
}

std::pair<std::vector<uint64_t>, std::vector<float>> contents(const TrainSet& set) {
  std::vector<uint32_t> positions(set.size());
  std::iota(positions.begin(), positions.end(), 0U);
  std::vector<uint64_t> keys(set.size());
  std::vector<float> weights(set.size());
  set.get(positions.data(), positions.size(), keys.data(), weights.data());
  return {keys, weights};
}

TEST(TrainSet, KeepsKeysAndWeightsInTheirOrderOverPartitions) {
  const TemporaryFolder folder;
  std::vector<uint64_t> keys(kPartitionRows + 5000);
  std::vector<float> weights(keys.size());
  for (size_t i = 0; i < keys.size(); ++i) {
    keys[i] = (i * 7919) % 2'000'000;
    weights[i] = static_cast<float>(i % 13) * 0.25F;
  }
  const auto set = TrainSet::open(folder.path(), freeze(folder.path(), list(keys, weights), 2'000'000));
  EXPECT_TRUE(set->weighted());
  EXPECT_EQ(contents(*set), std::make_pair(keys, weights));
  const auto plain = TrainSet::open(folder.path(), freeze(folder.path(), list(keys), 2'000'000));
  EXPECT_FALSE(plain->weighted());
  EXPECT_EQ(contents(*plain), std::make_pair(keys, std::vector<float>(keys.size(), 1.0F)));
}

TEST(TrainSet, TheIdIsTheContentHoweverItIsGiven) {
  const TemporaryFolder folder;
  std::vector<uint64_t> keys(1000);
  std::iota(keys.begin(), keys.end(), 50U);
  const std::string id = freeze(folder.path(), range(50, 1050), 2000);
  EXPECT_EQ(freeze(folder.path(), list(keys), 2000), id);
  EXPECT_EQ(freeze(folder.path(), list(keys, std::vector<float>(1000, 1.0F)), 2000), id);
  EXPECT_EQ(contents(*TrainSet::open(folder.path(), id)).first, keys);
  std::swap(keys[0], keys[1]);
  EXPECT_NE(freeze(folder.path(), list(keys), 2000), id);
  EXPECT_NE(freeze(folder.path(), range(50, 1049), 2000), id);
}

TEST(TrainSet, RefusesWhatIsNoSet) {
  const TemporaryFolder folder;
  EXPECT_EQ(error_of([&] { freeze(folder.path(), range(5, 5), 10); }).first, "E_ARGUMENT");
  EXPECT_EQ(error_of([&] { freeze(folder.path(), range(5, 11), 10); }), std::make_pair(std::string("E_ARGUMENT"), std::string("training set: key 10 does not exist; the dataset has 10 samples")));
  EXPECT_EQ(error_of([&] { freeze(folder.path(), list({1, 2, 10}), 10); }).first, "E_ARGUMENT");
  for (const float bad : {-1.0F, NAN, INFINITY}) EXPECT_EQ(error_of([&] { freeze(folder.path(), list({1, 2}, {1.0F, bad}), 10); }).first, "E_NOT_FINITE");
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
  for (const std::string id : {"../../etc/passwd", "", "0123", "0123456789ABCDEF0123456789ABCDEF"}) EXPECT_EQ(error_of([&] { TrainSet::open(folder.path(), id); }).first, "E_ARGUMENT");
  EXPECT_EQ(error_of([&] { TrainSet::open(folder.path(), std::string(32, 'a')); }).first, "E_NOT_FOUND");
}

TEST(TrainSet, DamageIsNoticed) {
  const TemporaryFolder folder;
  const std::string id = freeze(folder.path(), list({5, 3, 8, 1}), 10);
  const std::string path = folder.file(id + ".trainset");
  const auto size = std::filesystem::file_size(path);
  for (uintmax_t at = 0; at < size; ++at) {
    const auto flip = [&] {
      std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
      file.seekg(static_cast<std::streamoff>(at));
      const int byte = file.get();
      file.seekp(static_cast<std::streamoff>(at));
      file.put(static_cast<char>(byte ^ 0x10));
    };
    flip();
    if (at < 36 || at >= 40) {  // the upper half of the checksum's 8 bytes is padding
      EXPECT_EQ(error_of([&] { TrainSet::open(folder.path(), id); }).first, "E_CORRUPT") << "byte " << at;
    }
    flip();
  }
  std::filesystem::resize_file(path, size - 1);
  EXPECT_EQ(error_of([&] { TrainSet::open(folder.path(), id); }).first, "E_CORRUPT");
  std::filesystem::resize_file(path, 10);
  EXPECT_EQ(error_of([&] { TrainSet::open(folder.path(), id); }).first, "E_CORRUPT");
}

/// Deleting before freezing keeps samples out whatever a selection names.
TEST(TrainSet, FrozenFromASnapshotHoldsNoDeletedSample) {
  const testing::TemporaryFolder folder;
  const auto data = Dataset::create(folder.file("data"), {{}, LabelKind::kClass, 2});
  constexpr uint64_t kRows = kChunkRows + 100;
  const std::vector<int64_t> times(kRows);
  const std::vector<float> labels(kRows);
  AppendBatch batch;
  batch.rows = kRows;
  batch.timestamps = times.data();
  batch.labels = labels.data();
  data->append(batch);
  const auto before = data->snapshot();
  data->remove({{10, 20}, {30, 31}, {kChunkRows - 1, kChunkRows + 1}}, "", 0);
  const auto after = data->snapshot();
  const auto freeze_in = [&](const Selection& s, const Snapshot& snapshot) { return freeze(folder.path(), s, snapshot); };
  const auto keys_of = [&](const std::optional<Frozen>& frozen) {
    const auto set = TrainSet::open(folder.path(), frozen->id);
    EXPECT_EQ(set->size(), frozen->size);
    std::vector<uint64_t> keys(set->size());
    std::vector<uint32_t> positions(set->size());
    std::iota(positions.begin(), positions.end(), 0U);
    set->get(positions.data(), positions.size(), keys.data(), nullptr);
    return keys;
  };
  EXPECT_EQ(freeze_in(range(0, kRows), *before)->size, kRows);
  EXPECT_EQ(freeze_in(range(0, kRows), *after)->size, kRows - 13);
  EXPECT_EQ(keys_of(freeze_in(range(5, 20), *after)), (std::vector<uint64_t>{5, 6, 7, 8, 9}));
  EXPECT_EQ(freeze_in(range(5, 20), *after)->id, freeze_in(range(5, 10), *before)->id);
  EXPECT_EQ(keys_of(freeze_in(range(28, 33), *after)), (std::vector<uint64_t>{28, 29, 31, 32}));
  const std::vector<uint64_t> keys{31, 30, kChunkRows, 9, 15};
  const std::vector<float> weights{1, 2, 3, 4, 5};
  const auto listed = freeze_in(list(keys, weights), *after);
  EXPECT_EQ(keys_of(listed), (std::vector<uint64_t>{31, 9}));
  EXPECT_EQ(listed->id, freeze_in(list({31, 9}, {1, 4}), *before)->id);
  EXPECT_FALSE(freeze_in(range(12, 15), *after));
  EXPECT_FALSE(freeze_in(list({30, 15}), *after));
  EXPECT_EQ(testing::error_of([&] { freeze_in(range(0, kRows + 1), *after); }).first, "E_ARGUMENT");
}

}  // namespace
}  // namespace sluice
