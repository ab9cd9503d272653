#include "waiting/waiting.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/siphash.h"
#include "fixtures.h"

namespace sluice {
namespace {

const Schema kSchema{{{"x", ColumnType::kF32}, {"c", ColumnType::kCategory}}, LabelKind::kClass, 2};

/// Samples and labels of one request; sample i has the id "i<number>" and the columns number and number % 7.
struct Arrivals {
  explicit Arrivals(int64_t arrived) { batch.arrived = arrived; }
  void sample(int number) {
    timestamps.push_back(1000 + number);
    labels.push_back(std::numeric_limits<float>::quiet_NaN());
    x.push_back(static_cast<float>(number));
    c.push_back(number % 7);
    add(sample_text, sample_ends, number);
  }
  void label(int number, float value) {
    times.push_back(batch.arrived);
    values.push_back(value);
    add(label_text, label_ends, number);
  }
  const WaitingBatch& view() {
    batch.with_ids = true;
    batch.samples.rows = timestamps.size();
    batch.samples.timestamps = timestamps.data();
    batch.samples.labels = labels.data();
    batch.samples.columns = {x.data(), c.data()};
    batch.sample_ids = {sample_text.data(), sample_ends.data()};
    batch.labels = {values.size(), times.data(), values.data(), nullptr, {label_text.data(), label_ends.data()}};
    batch.requests = {{timestamps.size(), values.size(), "note"}};
    return batch;
  }

 private:
  static void add(std::string& text, std::vector<uint32_t>& ends, int number) {
    text += "i" + std::to_string(number);
    ends.push_back(static_cast<uint32_t>(text.size()));
  }
  WaitingBatch batch;
  std::vector<int64_t> timestamps, times;
  std::vector<float> labels, values, x;
  std::vector<int32_t> c;
  std::string sample_text, label_text;
  std::vector<uint32_t> sample_ends, label_ends;
};

/// What a dataset would hold: number of the sample -> label. Fails for a sample that comes twice or is another one.
struct Rows {
  std::map<int, float> labels;
  uint64_t through = 0;

  void take(Waiting& store) {
    for (bool more = true; more;) {
      const SettledRows rows = store.take();
      for (size_t i = 0; i < rows.labels.size(); ++i) {
        float x;
        int32_t c;
        std::memcpy(&x, rows.columns[0].data() + 4 * i, sizeof x);
        std::memcpy(&c, rows.columns[1].data() + 4 * i, sizeof c);
        const int number = static_cast<int>(x);
        EXPECT_EQ(rows.timestamps[i], 1000 + number);
        EXPECT_EQ(c, number % 7);
        EXPECT_TRUE(labels.emplace(number, rows.labels[i]).second) << number;
      }
      through = rows.through;
      store.applied(through);
      more = rows.more;
    }
  }
};

size_t files(const std::string& folder, const std::string& ending) {
  size_t n = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) n += entry.path().string().ends_with(ending);
  return n;
}

TEST(SipHash, GivesTheNumbersOfCPython) {
  // PYTHONHASHSEED=0 python3.11 -c "print(hex(hash(b'impression') & (2**64 - 1)))"
  EXPECT_EQ(siphash({}, "a", 1), 0x407448d2b89b1813U);
  EXPECT_EQ(siphash({}, "impression", 10), 0x8d1f2e7a90b65e1fU);
  EXPECT_EQ(siphash({}, "12345678", 8), 0x3489982430560a87U);
  EXPECT_NE(siphash({1, 2}, "a", 1), siphash({2, 1}, "a", 1));
}

TEST(Waiting, FindsEverySampleOfALargeTableAgain) {
  const testing::TemporaryFolder folder;
  Rows rows;
  constexpr int kSamples = 120'000;
  {
    const auto store = Waiting::open(folder.path(), kSchema, 0);
    for (int first = 0; first < kSamples; first += 20'000) {
      Arrivals arrivals(1);
      for (int i = first; i < first + 20'000; ++i) arrivals.sample(i);
      store->append(arrivals.view());
      rows.take(*store);
    }
    EXPECT_EQ(store->counts().waiting, kSamples);
  }
  const auto store = Waiting::open(folder.path(), kSchema, rows.through);
  rows.take(*store);
  Arrivals labels(2);
  for (int i = 0; i < kSamples; ++i) labels.label(i * 7919 % kSamples, static_cast<float>(i % 2));
  EXPECT_EQ(store->append(labels.view())[0].joined, kSamples);
  rows.take(*store);
  ASSERT_EQ(rows.labels.size(), kSamples);
  for (int i = 0; i < kSamples; ++i) EXPECT_EQ(rows.labels.at(i * 7919 % kSamples), static_cast<float>(i % 2));
}

TEST(Waiting, PartsAreClosedByAgeFoundAfterARestartAndRemovedAfterTheirWindow) {
  const testing::TemporaryFolder folder;
  Rows rows;
  auto store = Waiting::open(folder.path(), kSchema, 0);
  const auto tick = [&](int64_t now) {
    while (store->expire(now, now - 800, 0)) rows.take(*store);
  };
  for (int i = 0; i < 40; ++i) {
    Arrivals arrivals(i * 50);
    arrivals.sample(i);
    if (i >= 4) arrivals.label(i - 4, 1);
    store->append(arrivals.view());
    rows.take(*store);
    tick(i * 50);
    if (i % 7 != 6) continue;
    store.reset();
    store = Waiting::open(folder.path(), kSchema, rows.through);
    rows.take(*store);
  }
  EXPECT_GE(files(folder.path(), ".index"), 5);
  EXPECT_LE(files(folder.path(), ".log"), 12);
  EXPECT_EQ(rows.labels.size(), 36);
  tick(5000);
  EXPECT_EQ(rows.labels.size(), 40);
  tick(6000);
  tick(7000);
  EXPECT_LE(files(folder.path(), ".log"), 2);
  EXPECT_EQ(store->counts().waiting, 0);
  // Numbers go on where they were.
  const uint64_t events = store->counts().events;
  store = Waiting::open(folder.path(), kSchema, rows.through);
  EXPECT_EQ(store->counts().events, events);
}

/// A flipped bit anywhere ends in E_CORRUPT or is told by what is there already; no row is ever another one.
TEST(Waiting, AFlippedBitNeverGivesAnotherRow) {
  const testing::TemporaryFolder folder;
  Rows before;
  {
    const auto store = Waiting::open(folder.path(), kSchema, 0);
    for (int i = 0; i < 3; ++i) {
      Arrivals arrivals(1);
      for (int k = 0; k < 3; ++k) arrivals.sample(3 * i + k);
      store->append(arrivals.view());
      before.take(*store);
    }
  }
  const std::string log = folder.path() + "/0000000000000001.log";
  std::string whole;
  {
    std::ifstream in(log, std::ios::binary);
    whole.assign(std::istreambuf_iterator<char>(in), {});
  }
  size_t refused = 0;
  for (size_t at = 0; at < whole.size(); ++at) {
    std::string flipped = whole;
    flipped[at] = static_cast<char>(flipped[at] ^ (1 << at % 8));
    std::ofstream(log, std::ios::binary | std::ios::trunc) << flipped;
    try {
      const auto store = Waiting::open(folder.path(), kSchema, before.through);
      Rows rows;
      rows.take(*store);
      Arrivals labels(2);
      for (int i = 0; i < 9; ++i) labels.label(i, 1);
      store->append(labels.view());
      rows.take(*store);
      EXPECT_EQ(rows.labels.size(), 9) << at;
    } catch (const Error& error) {
      EXPECT_STREQ(error.code(), code::kCorrupt) << error.what();
      ++refused;
    }
    std::filesystem::remove(folder.path() + "/checkpoint");
  }
  EXPECT_GT(refused, whole.size() / 2);
}

}  // namespace
}  // namespace sluice
