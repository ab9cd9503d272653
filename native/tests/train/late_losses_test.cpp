#include "train/late_losses.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

Batch batch_of(const std::vector<uint64_t>& keys) {
  Batch batch;
  batch.rows = keys.size();
  batch.keys = keys.data();
  return batch;
}

TEST(LateLosses, EachLossIsThatOfTheBatchSoManyBefore) {
  LateLosses losses(2);
  const std::vector<std::vector<uint64_t>> keys{{1}, {2}, {3, 4}};
  losses.passed(batch_of(keys[0]), 1);
  EXPECT_FALSE(losses.due());
  losses.passed(batch_of(keys[1]), 2);
  EXPECT_FALSE(losses.due());
  losses.passed(batch_of(keys[2]), 3);
  EXPECT_TRUE(losses.due());
  EXPECT_EQ(losses.next().step, 1U);
  EXPECT_EQ(losses.next().samples(), "2");
  EXPECT_EQ(losses.next().samples(), "3, 4");
}

TEST(LateLosses, WithoutADelayEveryBatchIsDueAndALargeOneIsNamedByItsFirstSamples) {
  LateLosses losses(0);
  losses.passed(batch_of({9, 8, 7, 6, 5, 4, 3}), 1);
  EXPECT_TRUE(losses.due());
  EXPECT_EQ(losses.next().samples(), "9, 8, 7, 6, 5, … (7 samples)");
}

}  // namespace
}  // namespace sluice
