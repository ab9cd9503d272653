#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "fixtures.h"
#include "select/select.h"
#include "statistics.h"

namespace sluice {
namespace {

using Keys = std::vector<uint64_t>;

/// Draws with seeds 0 … draws-1 and compares how often each subset of `count` of `n` keys comes.
void expect_equally_likely(uint64_t n, uint64_t count, size_t subsets, uint64_t draws) {
  constexpr uint64_t kFirst = 100;
  std::map<Keys, uint64_t> seen;
  for (uint64_t seed = 0; seed < draws; ++seed) ++seen[sample_uniform(kFirst, kFirst + n, count, seed)];
  ASSERT_EQ(seen.size(), subsets) << "a subset never came, or one that is none";
  std::vector<uint64_t> counts;
  for (const auto& [keys, times] : seen) {
    EXPECT_TRUE(keys.size() == count && keys.front() >= kFirst && keys.back() < kFirst + n);
    EXPECT_TRUE(std::is_sorted(keys.begin(), keys.end(), std::less_equal<>())) << "keys come twice or out of order";
    counts.push_back(times);
  }
  const std::vector<double> expected(subsets, static_cast<double>(draws) / static_cast<double>(subsets));
  EXPECT_LT(testing::chi_square(counts, expected), testing::chi_square_limit(static_cast<double>(subsets - 1)));
}

TEST(SampleUniform, EverySubsetIsEquallyLikelyWhenMuchIsTaken) { expect_equally_likely(7, 3, 35, 35'000); }
TEST(SampleUniform, EverySubsetIsEquallyLikelyWhenLittleIsTaken) { expect_equally_likely(40, 2, 780, 78'000); }

/// Without replacement the second key is drawn from what the first one left: P{i, j} = wi/W wj/(W-wi) + wj/W wi/(W-wj).
TEST(SampleByFreshness, PairsComeAsWithoutReplacement) {
  const std::vector<int64_t> timestamps{6000, 4000, 2000, 0};
  const std::vector<double> w{1.0, 0.5, 0.25, 0.125};
  const double total = 1.875;
  constexpr uint64_t kDraws = 40'000;
  std::map<Keys, uint64_t> seen;
  for (uint64_t seed = 0; seed < kDraws; ++seed) ++seen[sample_by_freshness(10, 14, timestamps.data(), 6000, 2000.0, 2, seed)];
  std::vector<uint64_t> counts;
  std::vector<double> expected;
  for (size_t i = 0; i < 4; ++i) {
    for (size_t j = i + 1; j < 4; ++j) {
      counts.push_back(seen[Keys{10 + i, 10 + j}]);
      expected.push_back(kDraws * (w[i] / total * w[j] / (total - w[i]) + w[j] / total * w[i] / (total - w[j])));
    }
  }
  EXPECT_EQ(seen.size(), 6U);
  EXPECT_LT(testing::chi_square(counts, expected), testing::chi_square_limit(5));
}

TEST(SampleByFreshness, SamplesFromTheFutureCountAsNew) {
  const std::vector<int64_t> timestamps{1'000'000'000, 0};
  constexpr uint64_t kDraws = 20'000;
  uint64_t first = 0;
  for (uint64_t seed = 0; seed < kDraws; ++seed) first += sample_by_freshness(0, 2, timestamps.data(), 0, 1.0, 1, seed).at(0) == 0 ? 1 : 0;
  EXPECT_LT(testing::chi_square({first, kDraws - first}, {kDraws / 2.0, kDraws / 2.0}), testing::chi_square_limit(1));
}

TEST(Samplers, RefuseWhatMakesNoSense) {
  const std::vector<int64_t> timestamps{1, 2};
  for (const double half_life : {0.0, -1.0, std::nan(""), std::numeric_limits<double>::infinity()}) {
    EXPECT_EQ(testing::error_of([&] { sample_by_freshness(0, 2, timestamps.data(), 2, half_life, 1, 1); }).first, "E_ARGUMENT") << half_life;
  }
  EXPECT_EQ(testing::error_of([&] { sample_by_freshness(3, 2, timestamps.data(), 2, 1.0, 1, 1); }).first, "E_ARGUMENT");
  EXPECT_EQ(testing::error_of([] { sample_uniform(6, 5, 1, 1); }).first, "E_ARGUMENT");
}

}  // namespace
}  // namespace sluice
