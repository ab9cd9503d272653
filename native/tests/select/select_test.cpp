#include "select/select.h"

#include <cmath>
#include <set>

#include "fixtures.h"

namespace sluice {
namespace {

using testing::error_of;

TEST(SampleUniform, GivesDifferentKeysOfTheRangeInOrder) {
  for (const uint64_t count : {1, 5, 60, 500, 999}) {
    const auto keys = sample_uniform(1000, 2000, count, 1);
    ASSERT_EQ(keys.size(), count);
    EXPECT_TRUE(std::is_sorted(keys.begin(), keys.end()));
    EXPECT_EQ(std::set<uint64_t>(keys.begin(), keys.end()).size(), count);
    EXPECT_GE(keys.front(), 1000U);
    EXPECT_LT(keys.back(), 2000U);
    EXPECT_EQ(sample_uniform(1000, 2000, count, 1), keys);
    EXPECT_NE(sample_uniform(1000, 2000, count, 2), keys);
  }
  EXPECT_EQ(sample_uniform(5, 8, 100, 1), (std::vector<uint64_t>{5, 6, 7}));
  EXPECT_TRUE(sample_uniform(5, 5, 10, 1).empty());
  EXPECT_TRUE(sample_uniform(5, 9, 0, 1).empty());
  EXPECT_EQ(error_of([] { sample_uniform(9, 5, 1, 1); }).first, "E_ARGUMENT");
}

/// Every key is drawn about as often as every other one, with either algorithm.
TEST(SampleUniform, IsUniform) {
  for (const uint64_t count : {4, 40}) {
    constexpr uint64_t kRange = 100;
    constexpr int kRounds = 20'000;
    std::vector<double> counts(kRange);
    for (int round = 0; round < kRounds; ++round) {
      for (const uint64_t key : sample_uniform(0, kRange, count, static_cast<uint64_t>(round))) ++counts[key];
    }
    const double expected = static_cast<double>(kRounds * count) / kRange;
    double chi2 = 0.0;
    for (const double n : counts) chi2 += (n - expected) * (n - expected) / expected;
    EXPECT_LT(chi2, 148.2) << count;  // 99 degrees of freedom, p = 0.001
  }
}

TEST(SampleByFreshness, FirstDrawFollowsTheWeights) {
  // One of three keys: probability proportional to 2^(-age / half life) = 1, 1/2, 1/4.
  const std::vector<int64_t> timestamps{0, 1000, 2000};
  std::vector<double> counts(3);
  constexpr int kRounds = 30'000;
  for (int round = 0; round < kRounds; ++round) ++counts[sample_by_freshness(10, 13, timestamps.data(), 2000, 1000.0, 1, static_cast<uint64_t>(round))[0] - 10];
  EXPECT_NEAR(counts[2] / kRounds, 4.0 / 7, 0.015);
  EXPECT_NEAR(counts[1] / kRounds, 2.0 / 7, 0.015);
  EXPECT_NEAR(counts[0] / kRounds, 1.0 / 7, 0.015);
}

TEST(SampleByFreshness, OldSamplesNeitherVanishNorLoseTheirOrder) {
  // Ages of thousands of half lives would underflow as weights: the newest must still win.
  std::vector<int64_t> timestamps(1000);
  for (int64_t i = 0; i < 1000; ++i) timestamps[static_cast<size_t>(i)] = i * 1'000'000;
  const auto keys = sample_by_freshness(0, 1000, timestamps.data(), 999'000'000 + 5'000'000'000, 1000.0, 100, 1);
  ASSERT_EQ(keys.size(), 100U);
  EXPECT_EQ(keys.front(), 900U);
  EXPECT_TRUE(std::is_sorted(keys.begin(), keys.end()));
  EXPECT_EQ(sample_by_freshness(0, 3, timestamps.data(), 0, 1.0, 5, 1).size(), 3U);
  EXPECT_EQ(error_of([&] { sample_by_freshness(0, 3, timestamps.data(), 0, 0.0, 1, 1); }).first, "E_ARGUMENT");
  EXPECT_EQ(error_of([&] { sample_by_freshness(0, 3, timestamps.data(), 0, NAN, 1, 1); }).first, "E_ARGUMENT");
}

}  // namespace
}  // namespace sluice
