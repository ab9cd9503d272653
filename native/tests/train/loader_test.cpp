#include "train/loader.h"

#include <cmath>
#include <map>
#include <set>

#include "samples_fixture.h"

namespace sluice {
namespace {

using testing::error_of;

class LoaderTest : public testing::SamplesTest {
 protected:
  std::vector<float> keys_of(const TrainSet& set, const LoaderOptions& options) {
    Loader loader(dataset_->snapshot(), set, features_, options);
    std::vector<float> keys;
    while (const Batch* batch = loader.next()) {
      for (size_t i = 0; i < batch->rows; ++i) {
        keys.push_back(batch->dense[i]);
        EXPECT_EQ(batch->labels[i], static_cast<float>(static_cast<uint64_t>(batch->dense[i]) % 2));
        if (batch->weights != nullptr) {
          EXPECT_EQ(batch->weights[i], batch->dense[i] / 8);
        }
      }
    }
    return keys;
  }
};

TEST_F(LoaderTest, EveryEpochHasEverySampleOnceInAnotherOrder) {
  fill(1000);
  const auto chosen = every_third(1000);
  std::vector<float> weights;
  for (const uint64_t key : chosen) weights.push_back(static_cast<float>(key) / 8);
  const auto set = set_of(chosen, weights);
  const std::vector<float> keys = keys_of(*set, {50, 3, Shuffle::kGlobal, 9, {}, 1, 4});
  const size_t n = chosen.size();
  ASSERT_EQ(keys.size(), 3 * n);
  const std::set<float> expected(chosen.begin(), chosen.end());
  for (size_t epoch = 0; epoch < 3; ++epoch) EXPECT_EQ(std::set<float>(keys.begin() + static_cast<std::ptrdiff_t>(epoch * n), keys.begin() + static_cast<std::ptrdiff_t>((epoch + 1) * n)), expected);
  EXPECT_FALSE(std::equal(keys.begin(), keys.begin() + static_cast<std::ptrdiff_t>(n), keys.begin() + static_cast<std::ptrdiff_t>(n)));
  EXPECT_EQ(keys_of(*set, {50, 3, Shuffle::kGlobal, 9, {}, 1, 2}), keys);
  EXPECT_NE(keys_of(*set, {50, 3, Shuffle::kGlobal, 10, {}, 1, 4}), keys);
}

TEST_F(LoaderTest, WithoutShuffleTheOrderIsThatOfTheSet) {
  fill(100);
  EXPECT_EQ(keys_of(*set_of({7, 3, 99, 0}), {3, 2, Shuffle::kNone, 0, {}, 1, 2}), (std::vector<float>{7, 3, 99, 0, 7, 3, 99, 0}));
}

TEST_F(LoaderTest, ABlockShuffleHasEverySampleOnceAndStaysWithinItsBlocks) {
  fill(3000);
  const auto set = set_of(every_third(3000));
  LoaderOptions options{100, 2, Shuffle::kBlock, 9, {}, 1, 4};
  options.block = 7;
  const std::vector<float> keys = keys_of(*set, options);
  ASSERT_EQ(keys.size(), 2000U);
  EXPECT_NE(std::vector<float>(keys.begin(), keys.begin() + 1000), std::vector<float>(keys.begin() + 1000, keys.end()));
  for (size_t epoch = 0; epoch < 2; ++epoch) {
    const auto begin = keys.begin() + static_cast<std::ptrdiff_t>(1000 * epoch);
    EXPECT_EQ(std::set<float>(begin, begin + 1000).size(), 1000U);
    for (std::ptrdiff_t first = 0; first < 1000; first += 112) {  // sixteen blocks of seven
      std::set<int> blocks;
      for (auto at = begin + first; at < begin + std::min<std::ptrdiff_t>(1000, first + 112); ++at) blocks.insert(static_cast<int>(*at) / 3 / 7);
      EXPECT_LE(blocks.size(), 17U);  // and the last, shorter one
    }
  }
  EXPECT_FALSE(std::is_sorted(keys.begin(), keys.begin() + 100));
}

TEST_F(LoaderTest, ALabelThatIsNoClassNamesItsSample) {
  fill(100, 0.5F);
  const auto set = set_of(every_third(100));  // 0, 3 … 99
  Loader loader(dataset_->snapshot(), *set, features_, {10, 1, Shuffle::kNone, 0, {}, 1, 2});
  const auto [code, message] = error_of([&] {
    while (loader.next() != nullptr) {
    }
  });
  EXPECT_EQ(code, "E_LABEL_RANGE");
  EXPECT_NE(message.find("sample 99: label 0.5"), std::string::npos) << message;
}

TEST_F(LoaderTest, MayBeLeftAtAnyBatch) {
  fill(1000);
  const auto set = set_of(every_third(1000));
  for (int taken : {0, 1, 5}) {
    Loader loader(dataset_->snapshot(), *set, features_, {10, 100, Shuffle::kGlobal, 0, {}, 1, 2});
    for (int i = 0; i < taken; ++i) ASSERT_NE(loader.next(), nullptr);
  }
}

TEST_F(LoaderTest, BeginsWhereAnInterruptedReadingEnded) {
  fill(1000);
  const auto set = set_of(every_third(1000));
  const std::vector<float> all = keys_of(*set, {50, 3, Shuffle::kGlobal, 9, {}, 1, 4});
  for (const uint64_t batches : {1, 6, 7, 8, 20}) {
    LoaderOptions options{50, 3, Shuffle::kGlobal, 9, {}, 1, 4};
    options.first_batch = batches;
    const size_t passed = batches / 7 * 334 + batches % 7 * 50;  // seven batches an epoch, the last of 34
    EXPECT_EQ(keys_of(*set, options), std::vector<float>(all.begin() + static_cast<std::ptrdiff_t>(passed), all.end())) << batches;
  }
}

TEST_F(LoaderTest, HeldOutEntriesAreNeverTrainedOnAndAreTheSameInEveryRun) {
  fill(3000);
  const auto set = set_of(every_third(3000));
  LoaderOptions options{50, 2, Shuffle::kGlobal, 9, {}, 1, 4};
  options.held_out = 0.2F;
  const std::vector<float> trained = keys_of(*set, options);
  options.validation = true;
  options.epochs = 1;
  options.shuffle = Shuffle::kNone;
  const std::vector<float> held_out = keys_of(*set, options);
  const std::set<float> a(trained.begin(), trained.end());
  const std::set<float> b(held_out.begin(), held_out.end());
  EXPECT_EQ(a.size() + b.size(), 1000U);
  EXPECT_EQ(trained.size(), 2 * a.size());
  for (const float key : b) EXPECT_EQ(a.count(key), 0U);
  EXPECT_NEAR(static_cast<double>(b.size()), 200.0, 60.0);  // 4.7 standard deviations
  EXPECT_EQ(keys_of(*set, options), held_out);
  options.held_out = 1e-9F;
  EXPECT_EQ(error_of([&] { keys_of(*set, options); }).first, "E_ARGUMENT");
}

}  // namespace
}  // namespace sluice
