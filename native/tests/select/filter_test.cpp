#include "select/filter.h"

#include <functional>

#include "base/rng.h"
#include "fixtures.h"

namespace sluice {
namespace {

using testing::error_of;
using testing::TemporaryFolder;

constexpr uint64_t kRows = 2 * kChunkRows + 1234;
const StopFlag kNoStop;

/// A dataset of random times and labels, some samples of which are deleted.
class FilterTest : public ::testing::TestWithParam<bool> {
 protected:
  void fill(const Schema& schema, const std::function<float(Rng&)>& label) {
    Rng rng(7);
    dataset_ = Dataset::create(folder_.file("data"), schema);
    for (uint64_t i = 0; i < kRows; ++i) {
      times_.push_back(GetParam() ? static_cast<int64_t>(i / 3) : static_cast<int64_t>(rng.below(50'000)));
      labels_.push_back(label(rng));
    }
    AppendBatch batch;
    batch.rows = kRows;
    batch.timestamps = times_.data();
    batch.labels = labels_.data();
    dataset_->append(batch);
    dataset_->remove({{0, 3}, {100, 164}, {kChunkRows - 5, kChunkRows + 70}, {kRows - 1, kRows}}, "", 0);
    snapshot_ = dataset_->snapshot();
    ASSERT_EQ(snapshot_->sorted_by_time(), GetParam());
  }

  /// Compares keys, runs and count with a look at every sample.
  void expect(const SampleFilter& filter, const std::function<bool(uint64_t key, int64_t time, float label)>& fits, uint64_t size = kRows) const {
    std::vector<uint64_t> expected;
    for (uint64_t key = 0; key < size; ++key) {
      if (!snapshot_->deleted().contains(key) && fits(key, times_[key], labels_[key])) expected.push_back(key);
    }
    EXPECT_EQ(find_samples(*snapshot_, size, filter, kNoStop), expected);
    EXPECT_EQ(count_samples(*snapshot_, size, filter, kNoStop), expected.size());
    std::vector<uint64_t> listed;
    uint64_t end = 0;
    for (const KeyRange& r : find_ranges(*snapshot_, size, filter, kNoStop)) {
      EXPECT_TRUE(listed.empty() || r.first > end) << "runs do not touch";
      end = r.end;
      for (uint64_t key = r.first; key < r.end; ++key) listed.push_back(key);
    }
    EXPECT_EQ(listed, expected);
  }

  TemporaryFolder folder_;
  std::vector<int64_t> times_;
  std::vector<float> labels_;
  std::shared_ptr<Dataset> dataset_;
  std::shared_ptr<Snapshot> snapshot_;
};

TEST_P(FilterTest, FindsClassesTimesAndKeys) {
  fill({{}, LabelKind::kClass, 10}, [](Rng& rng) { return static_cast<float>(rng.below(10)); });
  const auto label = [](Comparator c, double v) { return SampleComparison{SampleField::kLabel, c, v}; };
  const auto time = [](Comparator c, double v) { return SampleComparison{SampleField::kTime, c, v}; };
  const auto key = [](Comparator c, double v) { return SampleComparison{SampleField::kKey, c, v}; };
  expect({}, [](uint64_t, int64_t, float) { return true; });
  expect({}, [](uint64_t, int64_t, float) { return true; }, kChunkRows + 1);
  expect({{}, {{3}}, {}}, [](uint64_t, int64_t, float l) { return l == 3; });
  expect({{}, {{9, 1, 1, 2}}, {}}, [](uint64_t, int64_t, float l) { return l == 1 || l == 2 || l == 9; });
  expect({{}, {{0, 2, 4, 6, 77, -1}}, {}}, [](uint64_t, int64_t, float l) { return l == 0 || l == 2 || l == 4 || l == 6; });
  expect({{}, {{}}, {}}, [](uint64_t, int64_t, float) { return false; });
  expect({{}, {}, {label(Comparator::kUnequal, 4), label(Comparator::kGreater, 1.5)}}, [](uint64_t, int64_t, float l) { return l != 4 && l > 1.5F; });
  expect({{}, {}, {time(Comparator::kAtLeast, 10'000), time(Comparator::kLess, 10'500.5)}}, [](uint64_t, int64_t t, float) { return t >= 10'000 && t < 10'501; });
  expect({{}, {}, {time(Comparator::kUnequal, 7)}}, [](uint64_t, int64_t t, float) { return t != 7; });
  expect({{}, {}, {time(Comparator::kEqual, 7.5)}}, [](uint64_t, int64_t, float) { return false; });
  expect({{}, {{5}}, {time(Comparator::kGreater, 300), key(Comparator::kAtMost, 70'000.5)}}, [](uint64_t k, int64_t t, float l) { return l == 5 && t > 300 && k <= 70'000; });
  expect({{{{90, 130}, {110, 200}, {kChunkRows - 70, kChunkRows + 70}, {kRows - 2, kRows}}}, {}, {key(Comparator::kUnequal, 95)}},
         [](uint64_t k, int64_t, float) { return ((k >= 90 && k < 200) || (k >= kChunkRows - 70 && k < kChunkRows + 70) || k >= kRows - 2) && k != 95; });
  expect({{}, {}, {key(Comparator::kLess, -5)}}, [](uint64_t, int64_t, float) { return false; });
  expect({{}, {}, {key(Comparator::kGreater, 1e15), time(Comparator::kLess, 1e15)}}, [](uint64_t, int64_t, float) { return false; });
}

TEST_P(FilterTest, ComparesRealLabelsAsTheyAreStored) {
  fill({{}, LabelKind::kReal, 0}, [](Rng& rng) { return static_cast<float>(rng.below(100)) * 0.1F - 5.0F; });
  const auto label = [](Comparator c, double v) { return SampleComparison{SampleField::kLabel, c, v}; };
  const float some = labels_[1000];
  expect({{}, {}, {label(Comparator::kEqual, some)}}, [=](uint64_t, int64_t, float l) { return l == some; });
  expect({{}, {}, {label(Comparator::kLess, some)}}, [=](uint64_t, int64_t, float l) { return l < some; });
  expect({{}, {}, {label(Comparator::kAtMost, some)}}, [=](uint64_t, int64_t, float l) { return l <= some; });
  expect({{}, {}, {label(Comparator::kAtLeast, some), label(Comparator::kUnequal, some)}}, [=](uint64_t, int64_t, float l) { return l > some; });
  expect({{}, {{labels_[5], labels_[6], labels_[7], 1e30F}}, {}}, [this](uint64_t, int64_t, float l) { return l == labels_[5] || l == labels_[6] || l == labels_[7]; });
}

TEST_P(FilterTest, RefusesKeysThatDoNotExistAndStops) {
  fill({{}, LabelKind::kClass, 2}, [](Rng& rng) { return static_cast<float>(rng.below(2)); });
  EXPECT_EQ(error_of([&] { find_samples(*snapshot_, kRows, {{{{0, kRows + 1}}}, {}, {}}, kNoStop); }).first, "E_ARGUMENT");
  StopFlag stop;
  stop.request();
  EXPECT_EQ(error_of([&] { count_samples(*snapshot_, kRows, {{}, {{1}}, {}}, stop); }).first, "E_ABORTED");
  EXPECT_EQ(count_samples(*snapshot_, 0, {}, kNoStop), 0U);
}

INSTANTIATE_TEST_SUITE_P(Times, FilterTest, ::testing::Bool(), [](const auto& times) { return times.param ? "InOrder" : "InDisorder"; });

}  // namespace
}  // namespace sluice
