#include <cmath>
#include <cstring>

#include "fixtures.h"
#include "train/encoder.h"

namespace sluice {
namespace {

using testing::error_of;

const Schema kSchema{{{"distance", ColumnType::kF32}, {"origin", ColumnType::kCategory}, {"destination", ColumnType::kCategory}, {"stops", ColumnType::kI32}}, LabelKind::kClass, 2};

std::vector<uint8_t> record(float distance, int32_t origin, int32_t destination, int32_t stops) {
  std::vector<uint8_t> bytes(16);
  std::memcpy(bytes.data(), &distance, 4);
  std::memcpy(bytes.data() + 4, &origin, 4);
  std::memcpy(bytes.data() + 8, &destination, 4);
  std::memcpy(bytes.data() + 12, &stops, 4);
  return bytes;
}

const uint64_t kKey = 0;

std::vector<int32_t> categorical(const std::vector<CategoricalFeature>& features, int64_t time, const std::vector<uint8_t>& bytes) {
  Features f;
  f.categorical = features;
  const uint8_t* at = bytes.data();
  std::vector<int32_t> out(features.size());
  Encoder(f, kSchema).encode({1, &kKey, &time, &at}, std::nullopt, {nullptr, out.data(), 1, nullptr, nullptr});
  return out;
}

std::vector<float> dense(const std::vector<DenseFeature>& features, int64_t time, const std::vector<uint8_t>& bytes) {
  Features f;
  f.dense = features;
  const uint8_t* at = bytes.data();
  std::vector<float> out(features.size());
  Encoder(f, kSchema).encode({1, &kKey, &time, &at}, std::nullopt, {out.data(), nullptr, 1, nullptr, nullptr});
  return out;
}

TEST(Features, CalendarIsRightAroundEveryCorner) {
  struct Case { int64_t ms; int32_t hour, weekday, month; };
  const Case cases[] = {
      {0, 0, 3, 0},                  // Thursday 1970-01-01T00:00
      {-1, 23, 2, 11},               // Wednesday 1969-12-31T23:59:59.999
      {951782399000, 23, 0, 1},      // Monday 2000-02-28T23:59:59
      {951782400000, 0, 1, 1},       // Tuesday 2000-02-29
      {951868800000, 0, 2, 2},       // Wednesday 2000-03-01
      {978307260000, 0, 0, 0},       // Monday 2001-01-01T00:01
      {993945540000, 23, 5, 5},      // Saturday 2001-06-30T23:59
      {-2208988800000, 0, 0, 0},     // Monday 1900-01-01
  };
  for (const Case& c : cases) {
    const auto out = categorical({{CategoricalOp::kHour, 0, 0, 24}, {CategoricalOp::kWeekday, 0, 0, 7}, {CategoricalOp::kMonth, 0, 0, 12}}, c.ms, record(0, 0, 0, 0));
    EXPECT_EQ(out, (std::vector<int32_t>{c.hour, c.weekday, c.month})) << c.ms;
  }
}

TEST(Features, DenseTransformations) {
  const int64_t six = 978307200000 + 6 * 3'600'000;
  const auto out = dense({{DenseOp::kValue, 0, 100.0F, 0.01F}, {DenseOp::kLog1p, 0, 0.0F, 1.0F}, {DenseOp::kSinDay}, {DenseOp::kCosDay}, {DenseOp::kValue, 3, 0.0F, 1.0F}}, six, record(300.0F, 0, 0, -2));
  EXPECT_FLOAT_EQ(out[0], 2.0F);
  EXPECT_FLOAT_EQ(out[1], std::log(301.0F));
  EXPECT_FLOAT_EQ(out[2], 1.0F);
  EXPECT_NEAR(out[3], 0.0F, 1e-6);
  EXPECT_FLOAT_EQ(out[4], -2.0F);
}

TEST(Features, IndicesStayInsideTheirTable) {
  for (int32_t value : {0, 1, 511, 512, 2147483647}) {
    const auto out = categorical({{CategoricalOp::kColumn, 1, 0, 512}, {CategoricalOp::kColumn, 3, 0, 10}, {CategoricalOp::kCross, 1, 2, 1000}}, 0, record(0, value, 7, -value));
    EXPECT_EQ(out[0], value % 512);
    EXPECT_GE(out[1], 0);
    EXPECT_LT(out[1], 10);
    EXPECT_GE(out[2], 0);
    EXPECT_LT(out[2], 1000);
  }
}

TEST(Features, CrossTellsDirectionsApart) {
  const CategoricalFeature cross{CategoricalOp::kCross, 1, 2, 1 << 30};
  EXPECT_NE(categorical({cross}, 0, record(0, 3, 5, 0)), categorical({cross}, 0, record(0, 5, 3, 0)));
}

TEST(Features, RefusesWhatTheSchemaLacks) {
  Features f;
  f.dense = {{DenseOp::kValue, 1}};
  EXPECT_EQ(error_of([&] { check_features(f, kSchema); }), std::make_pair(std::string("E_ARGUMENT"), std::string("features.dense[0]: column 'origin' is a category, not a number")));
  f.dense = {{DenseOp::kValue, 4}};
  EXPECT_EQ(error_of([&] { check_features(f, kSchema); }).first, "E_ARGUMENT");
  f.dense = {};
  f.categorical = {{CategoricalOp::kColumn, 0, 0, 5}};
  EXPECT_EQ(error_of([&] { check_features(f, kSchema); }).first, "E_ARGUMENT");
  f.categorical = {{CategoricalOp::kColumn, 1, 0, 0}};
  EXPECT_EQ(error_of([&] { check_features(f, kSchema); }).first, "E_ARGUMENT");
}

TEST(Features, ValuesAreClippedBeforeAnythingElse) {
  const auto out = dense({{DenseOp::kValue, 0, 1.0F, 2.0F, -5.0F, 4.0F}, {DenseOp::kLog1p, 3, 0.0F, 1.0F, 0.0F}}, 0, record(9.0F, 0, 0, -2));
  EXPECT_FLOAT_EQ(out[0], 6.0F);
  EXPECT_FLOAT_EQ(out[1], 0.0F);  // log(1 + 0) instead of that of a negative number
}

TEST(Features, BoundariesCountAsTorchBucketize) {
  const CategoricalFeature f{CategoricalOp::kBoundaries, 0, 0, 4, {1.0F, 3.0F, 5.0F}};
  // torch.bucketize(torch.tensor([-1., 1., 2., 3., 4.5, 5., 5.1]), torch.tensor([1., 3., 5.]))
  const std::pair<float, int32_t> expected[] = {{-1.0F, 0}, {1.0F, 0}, {2.0F, 1}, {3.0F, 1}, {4.5F, 2}, {5.0F, 2}, {5.1F, 3}};
  for (const auto& [value, index] : expected) EXPECT_EQ(categorical({f}, 0, record(value, 0, 0, 0))[0], index) << value;
}

TEST(Features, RefusesBoundariesThatDoNotRiseOrDoNotFit) {
  const auto error = [](uint32_t column, uint32_t buckets, std::vector<float> boundaries) {
    Features f;
    f.categorical = {{CategoricalOp::kBoundaries, column, 0, buckets, std::move(boundaries)}};
    return error_of([&] { check_features(f, kSchema); }).second;
  };
  EXPECT_EQ(error(0, 3, {1.0F, 1.0F}), "features.categorical[0]: boundaries: expected finite numbers that rise");
  EXPECT_EQ(error(0, 3, {}), "features.categorical[0]: boundaries: expected finite numbers that rise");
  EXPECT_EQ(error(0, 2, {1.0F, 2.0F}), "features.categorical[0]: 2 boundaries need 3 buckets, got 2");
  EXPECT_EQ(error(1, 3, {1.0F, 2.0F}), "features.categorical[0]: column 'origin' is a category, not a number");
}

TEST(Features, ABatchOfAnySizeIsEncodedRowByRow) {
  Features f;
  f.dense = {{DenseOp::kValue, 0}, {DenseOp::kValue, 3}};
  f.categorical = {{CategoricalOp::kColumn, 1, 0, 1000}, {CategoricalOp::kColumn, 2, 0, 1000}};
  constexpr size_t kRows = 150;
  std::vector<std::vector<uint8_t>> records;
  std::vector<const uint8_t*> at;
  for (size_t i = 0; i < kRows; ++i) records.push_back(record(static_cast<float>(i), static_cast<int32_t>(2 * i), static_cast<int32_t>(3 * i), static_cast<int32_t>(4 * i)));
  for (const auto& bytes : records) at.push_back(bytes.data());
  const std::vector<int64_t> times(kRows, 0);
  const std::vector<uint64_t> keys(kRows, 0);
  std::vector<float> numbers(2 * kRows);
  std::vector<int32_t> codes(2 * kRows);
  Encoder(f, kSchema).encode({kRows, keys.data(), times.data(), at.data()}, std::nullopt, {numbers.data(), codes.data(), kRows, nullptr, nullptr});
  for (size_t i = 0; i < kRows; ++i) {
    EXPECT_EQ(numbers[2 * i], static_cast<float>(i));
    EXPECT_EQ(numbers[2 * i + 1], static_cast<float>(4 * i));
    EXPECT_EQ(codes[i], static_cast<int32_t>(2 * i));
    EXPECT_EQ(codes[kRows + i], static_cast<int32_t>(3 * i));
  }
}

}  // namespace
}  // namespace sluice
