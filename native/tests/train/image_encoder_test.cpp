#include "train/image_encoder.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <set>

#include "fixtures.h"

namespace sluice {
namespace {

using testing::error_of;

TensorFeature feature(Crop crop, uint32_t height = 0, uint32_t width = 0, uint32_t pad = 0, bool flip = false) {
  TensorFeature f;
  f.crop = crop;
  f.height = height;
  f.width = width;
  f.pad = pad;
  f.flip = flip;
  return f;
}

Column images(uint32_t height, uint32_t width, uint32_t channels, ColumnType type = ColumnType::kU8) { return {"image", type, {height, width, channels}}; }

/// Values that tell their place: 100 y + 10 x + c, at most 255.
std::vector<uint8_t> numbered(const Column& column) {
  std::vector<uint8_t> bytes;
  for (uint32_t y = 0; y < column.shape[0]; ++y) {
    for (uint32_t x = 0; x < column.shape[1]; ++x) {
      for (uint32_t c = 0; c < column.shape[2]; ++c) bytes.push_back(static_cast<uint8_t>((37 * y + 11 * x + 101 * c) % 251));
    }
  }
  return bytes;
}

std::vector<float> encode(const ImageEncoder& encoder, const std::vector<uint8_t>& image, uint64_t key, const std::optional<Augment>& augment) {
  std::vector<float> out(encoder.elements() + 1, -7.0F);
  ImageEncoder::Scratch scratch;
  encoder.encode(image.data(), key, augment, out.data(), scratch);
  EXPECT_EQ(out.back(), -7.0F) << "wrote beyond its values";
  out.pop_back();
  return out;
}

/// The region of an image, resized to the model's size, pixel by pixel in double precision; zero outside the image.
std::vector<float> expected(const Column& column, const std::vector<uint8_t>& image, const Region& part, uint32_t height, uint32_t width) {
  const auto pixel = [&](int y, int x, uint32_t c) {
    if (y < 0 || x < 0 || y >= static_cast<int>(column.shape[0]) || x >= static_cast<int>(column.shape[1])) return 0.0;
    return image[(static_cast<size_t>(y) * column.shape[1] + static_cast<size_t>(x)) * column.shape[2] + c] / 255.0;
  };
  const auto place = [](uint32_t i, int32_t from, uint32_t to) { return std::max(0.0, (i + 0.5) * from / to - 0.5); };
  std::vector<float> out;
  for (uint32_t y = 0; y < height; ++y) {
    for (uint32_t x = 0; x < width; ++x) {
      const double v = place(y, part.height, height);
      const double u = place(part.flip ? width - 1 - x : x, part.width, width);
      const int y0 = static_cast<int>(v), x0 = static_cast<int>(u);
      const int y1 = std::min(y0 + 1, part.height - 1), x1 = std::min(x0 + 1, part.width - 1);
      for (uint32_t c = 0; c < column.shape[2]; ++c) {
        const auto at = [&](int yy, int xx) { return pixel(part.top + yy, part.left + xx, c); };
        const double above = at(y0, x0) + (u - x0) * (at(y0, x1) - at(y0, x0));
        const double below = at(y1, x0) + (u - x0) * (at(y1, x1) - at(y1, x0));
        out.push_back(static_cast<float>(above + (v - y0) * (below - above)));
      }
    }
  }
  return out;
}

void expect_near(const std::vector<float>& got, const std::vector<float>& wanted, float tolerance) {
  ASSERT_EQ(got.size(), wanted.size());
  for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], wanted[i], tolerance) << "at " << i;
}

TEST(ImageEncoder, CropsResizesAndNormalisesAsPyTorch) {
  for (const auto& c : testing::fixture("images.json")) {
    const auto shape = c["shape"].get<std::vector<uint32_t>>();
    const bool u8 = c["type"] == "u8";
    TensorFeature f = feature(c["crop"] == "center" ? Crop::kCenter : Crop::kNone, c["size"][0], c["size"][1]);
    f.mean = c["mean"].get<std::vector<float>>();
    f.deviation = c["deviation"].get<std::vector<float>>();
    std::vector<uint8_t> bytes;
    if (u8) {
      bytes = c["image"].get<std::vector<uint8_t>>();
    } else {
      const auto values = c["image"].get<std::vector<float>>();
      bytes.resize(values.size() * 4);
      std::memcpy(bytes.data(), values.data(), bytes.size());
    }
    const ImageEncoder encoder(f, images(shape[0], shape[1], shape[2], u8 ? ColumnType::kU8 : ColumnType::kF32));
    expect_near(encode(encoder, bytes, 1, std::nullopt), c["values"].get<std::vector<float>>(), 3e-6F);
    // Without a random choice, training sees the same.
    EXPECT_EQ(encode(encoder, bytes, 1, Augment{1, 2}), encode(encoder, bytes, 1, std::nullopt));
  }
}

TEST(ImageEncoder, ATensorThatIsNoImageIsNormalisedByItsLastDimension) {
  TensorFeature f;
  f.mean = {0.0F, 0.5F};
  f.deviation = {1.0F, 0.25F};
  const ImageEncoder encoder(f, {"t", ColumnType::kU8, {2, 2, 1, 2}});
  expect_near(encode(encoder, {0, 0, 255, 255, 51, 51, 102, 204}, 0, std::nullopt), {0, -2, 1, 2, 0.2F, -1.2F, 0.4F, 1.2F}, 1e-6F);
  EXPECT_EQ(ImageEncoder(TensorFeature{}, {"t", ColumnType::kF32, {5}}).elements(), 5U);
}

TEST(ImageEncoder, RandomCropsOfPaddedImagesReachEveryPlace) {
  const Column column = images(4, 5, 3);
  const auto image = numbered(column);
  const ImageEncoder encoder(feature(Crop::kRandom, 4, 5, 2, true), column);
  std::map<std::tuple<int, int, bool>, int> seen;
  for (uint64_t key = 0; key < 1000; ++key) {
    const Augment augment{7, key % 3};
    const Region part = encoder.region(key, augment);
    ++seen[{part.top, part.left, part.flip}];
    expect_near(encode(encoder, image, key, augment), expected(column, image, part, 4, 5), 1e-6F);
  }
  EXPECT_EQ(seen.size(), 5U * 5U * 2U);
  for (const auto& [place, times] : seen) EXPECT_NEAR(times, 20, 20);  // 4.5 standard deviations
}

TEST(ImageEncoder, ACropInsideTheImageOrLargerThanItIsFilledWithZeros) {
  const Column column = images(3, 3, 1);
  const auto image = numbered(column);
  for (const auto& [height, width, pad] : {std::tuple<uint32_t, uint32_t, uint32_t>{2, 1, 0}, {5, 6, 2}, {1, 1, 3}, {9, 9, 3}}) {
    const ImageEncoder encoder(feature(Crop::kRandom, height, width, pad, true), column);
    for (uint64_t key = 0; key < 100; ++key) {
      expect_near(encode(encoder, image, key, Augment{}), expected(column, image, encoder.region(key, Augment{}), height, width), 1e-6F);
    }
    const Region centre = encoder.region(0, std::nullopt);
    EXPECT_FALSE(centre.flip);
    EXPECT_NEAR(centre.top + static_cast<int>(height) / 2.0, 1.5, 0.5);
    expect_near(encode(encoder, image, 0, std::nullopt), expected(column, image, centre, height, width), 1e-6F);
  }
}

TEST(ImageEncoder, RandomAreasAreThoseOfRandomResizedCrop) {
  const Column column = images(40, 60, 3);
  const auto image = numbered(column);
  const ImageEncoder encoder(feature(Crop::kRandomResized, 16, 20, 0, true), column);
  double least = 1.0, most = 0.0, sum = 0.0, flips = 0.0;
  constexpr int kSamples = 2000;
  for (uint64_t key = 0; key < kSamples; ++key) {
    const Region part = encoder.region(key, Augment{3, 0});
    ASSERT_GE(part.top, 0);
    ASSERT_GE(part.left, 0);
    ASSERT_LE(part.top + part.height, 40);
    ASSERT_LE(part.left + part.width, 60);
    const double aspect = static_cast<double>(part.width) / part.height;
    ASSERT_GT(aspect, 0.75 * 0.9);
    ASSERT_LT(aspect, 4.0 / 3.0 * 1.1);
    const double area = part.width * part.height / 2400.0;
    least = std::min(least, area);
    most = std::max(most, area);
    sum += area;
    flips += part.flip ? 1.0 : 0.0;
    if (key < 100) expect_near(encode(encoder, image, key, Augment{3, 0}), expected(column, image, part, 16, 20), 2e-5F);
  }
  EXPECT_NEAR(least, 0.08, 0.02);
  EXPECT_GT(most, 0.8);
  // The mean of torchvision.transforms.RandomResizedCrop.get_params() over 20,000 draws on such an image is 0.399.
  EXPECT_NEAR(sum / kSamples, 0.399, 0.02);
  EXPECT_NEAR(flips / kSamples, 0.5, 0.05);
}

TEST(ImageEncoder, EvaluationTakesTheCentreAndEnlargesImagesThatAreTooSmall) {
  const auto centre = [](uint32_t height, uint32_t width) { return ImageEncoder(feature(Crop::kRandomResized, 8, 8, 0, true), images(height, width, 3)).region(5, std::nullopt); };
  const Region large = centre(10, 12);
  EXPECT_EQ(std::make_tuple(large.top, large.left, large.height, large.width, large.flip), std::make_tuple(1, 2, 8, 8, false));
  const Region small = centre(4, 6);
  EXPECT_EQ(std::make_tuple(small.top, small.left, small.height, small.width), std::make_tuple(0, 1, 4, 4));
}

TEST(ImageEncoder, TheSameSeedEpochAndKeyGiveTheSameChoice) {
  const ImageEncoder encoder(feature(Crop::kRandom, 8, 8, 4, true), images(8, 8, 3));
  const auto choice = [&](uint64_t seed, uint64_t epoch, uint64_t key) {
    const Region part = encoder.region(key, Augment{seed, epoch});
    return std::make_tuple(part.top, part.left, part.flip);
  };
  EXPECT_EQ(choice(1, 2, 3), choice(1, 2, 3));
  std::set<std::tuple<int, int, bool>> seen;
  for (uint64_t i = 0; i < 30; ++i) seen.insert({choice(i, 0, 0), choice(0, i, 0), choice(0, 0, i)});
  EXPECT_GT(seen.size(), 40U);
}

TEST(ImageEncoder, WhatDoesNotFitIsRefused) {
  const Schema schema{{{"image", ColumnType::kU8, {8, 9, 3}}, {"x", ColumnType::kF32}, {"tokens", ColumnType::kI32, {16}}, {"vector", ColumnType::kF32, {4}}}, LabelKind::kClass, 2};
  const auto error = [&](uint32_t column, TensorFeature f) {
    f.column = column;
    Features features;
    features.tensor = f;
    return error_of([&] { check_features(features, schema); }).second;
  };
  EXPECT_EQ(error(1, {}), "features.tensor: column 'x' is no tensor of f32 or u8");
  EXPECT_EQ(error(2, {}), "features.tensor: column 'tokens' is no tensor of f32 or u8");
  EXPECT_EQ(error(7, {}), "features.tensor: column 7 does not exist, the dataset has 4");
  EXPECT_EQ(error(3, feature(Crop::kCenter, 2, 2)), "features.tensor: only an image [height, width, channels] can be cropped, resized or flipped; column 'vector' has 1 dimensions");
  EXPECT_EQ(error(0, feature(Crop::kCenter, 9, 9)), "features.tensor: a crop of 9 x 9 is larger than the images of column 'image', 8 x 9");
  EXPECT_EQ(error(0, feature(Crop::kRandom, 12, 14, 2)), "features.tensor: a crop of 12 x 14 is larger than the images of column 'image', 12 x 13 with their padding");
  EXPECT_EQ(error(0, feature(Crop::kCenter, 4, 4, 1)), "features.tensor: pad goes with a random crop only");
  EXPECT_EQ(error(0, feature(Crop::kNone, 4, 0)), "features.tensor: expected both height and width, or neither");
  TensorFeature f;
  f.mean = {0.5F, 0.5F};
  EXPECT_EQ(error(0, f), "features.tensor: mean: expected one value or 3, as column 'image' has channels, got 2");
  f.mean = {};
  f.deviation = {0.0F};
  EXPECT_EQ(error(0, f), "features.tensor: deviations must be above 0");
}

}  // namespace
}  // namespace sluice
