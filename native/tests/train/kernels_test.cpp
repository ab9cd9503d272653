#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "train/kernels.h"

namespace sluice {
namespace kernels_base { extern const Kernels table; }
#if defined(__x86_64__)
namespace kernels_avx2 { extern const Kernels table; }
#endif
namespace {

/// All that this CPU can run, not only the one that it uses.
std::vector<const Kernels*> sets() {
  std::vector<const Kernels*> all{&kernels(), &kernels_base::table};
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) all.push_back(&kernels_avx2::table);
#endif
  return all;
}
const std::vector<const Kernels*> kSets = sets();

std::vector<float> random_vector(size_t n, uint64_t seed) {
  Rng rng(seed);
  std::vector<float> v(n);
  for (float& x : v) x = static_cast<float>(rng.normal());
  return v;
}

TEST(Kernels, DotTriangleEqualsTheDefinition) {
  for (const Kernels* k : kSets) {
    for (size_t f : {2, 3, 4, 5, 6, 7, 27}) {
      for (size_t d : {1, 7, 8, 16, 19, 128}) {
        const auto x = random_vector(f * d, f * 1000 + d);
        std::vector<float> out(f * (f - 1) / 2, NAN);
        k->dot_triangle(x.data(), f, d, out.data());
        size_t at = 0;
        for (size_t i = 1; i < f; ++i) {
          for (size_t j = 0; j < i; ++j, ++at) {
            double expected = 0.0;
            for (size_t c = 0; c < d; ++c) expected += static_cast<double>(x[i * d + c]) * x[j * d + c];
            ASSERT_NEAR(out[at], expected, 1e-4) << k->name << " f=" << f << " d=" << d << " (" << i << ", " << j << ")";
          }
        }
      }
    }
  }
}

TEST(Kernels, DotTriangleGradEqualsTheDefinition) {
  for (const Kernels* k : kSets) {
    for (size_t f : {2, 3, 5, 6, 8, 27}) {
      for (size_t d : {1, 7, 8, 16, 24, 30, 128}) {
        const auto x = random_vector(f * d, f + d);
        const auto dz = random_vector(f * (f - 1) / 2, f * d);
        std::vector<float> scratch(f * f), dx(f * d, NAN);
        k->dot_triangle_grad(dz.data(), x.data(), f, d, scratch.data(), dx.data());
        std::vector<double> expected(f * d, 0.0);
        size_t at = 0;
        for (size_t i = 1; i < f; ++i) {
          for (size_t j = 0; j < i; ++j, ++at) {
            for (size_t c = 0; c < d; ++c) {
              expected[i * d + c] += static_cast<double>(dz[at]) * x[j * d + c];
              expected[j * d + c] += static_cast<double>(dz[at]) * x[i * d + c];
            }
          }
        }
        for (size_t i = 0; i < f * d; ++i) ASSERT_NEAR(dx[i], expected[i], 1e-4) << k->name << " f=" << f << " d=" << d;
      }
    }
  }
}

TEST(Kernels, RoundsToTheNearestBf16TiesToEven) {
  const std::vector<float> in{1.0F, 1.00390625F, 1.01171875F, -1.00390625F, 3.4e38F, 1e-40F, 0.1F, NAN, INFINITY};
  const std::vector<float> expected{1.0F, 1.0F, 1.015625F, -1.0F, INFINITY, 9.9e-41F, 0.10009765625F, NAN, INFINITY};
  for (const Kernels* k : kSets) {
    std::vector<float> out(in.size());
    k->round(out.data(), in.data(), in.size(), Rounding::kBf16);
    for (size_t i = 0; i < in.size(); ++i) {
      if (std::isnan(expected[i])) {
        EXPECT_TRUE(std::isnan(out[i]));
      } else if (i != 5) {  // a denormal: only its order of magnitude is fixed
        EXPECT_EQ(out[i], expected[i]) << k->name << " " << i;
      }
    }
  }
}

TEST(Kernels, ReluForwardAndBackwardHandleEveryWidthAndKeepNan) {
  for (const Kernels* k : kSets) {
    for (size_t cols : {1, 8, 13, 24}) {
      const size_t rows = 3;
      const size_t stride = cols + 2;
      auto y = random_vector(rows * stride, cols);
      const auto bias = random_vector(cols, 5);
      const auto before = y;
      k->bias_act(y.data(), rows, cols, stride, bias.data(), true, Rounding::kNone);
      for (size_t r = 0; r < rows; ++r) {
        for (size_t c = 0; c < stride; ++c) {
          const float x = before[r * stride + c];
          EXPECT_EQ(y[r * stride + c], c < cols ? std::max(0.0F, x + bias[c]) : x) << k->name;
        }
      }
      auto dy = random_vector(rows * cols, 9);
      const auto dy_before = dy;
      std::vector<float> sums(cols, 1.0F);
      k->act_grad(dy.data(), cols, y.data(), stride, rows, cols, sums.data(), true, Rounding::kNone);
      for (size_t c = 0; c < cols; ++c) {
        float sum = 1.0F;
        for (size_t r = 0; r < rows; ++r) {
          const float expected = y[r * stride + c] > 0.0F ? dy_before[r * cols + c] : 0.0F;
          EXPECT_EQ(dy[r * cols + c], expected);
          sum += expected;
        }
        EXPECT_NEAR(sums[c], sum, 1e-6);
      }
    }
    std::vector<float> nan(9, NAN);
    const std::vector<float> zero(9, 0.0F);
    k->bias_act(nan.data(), 1, 9, 9, zero.data(), true, Rounding::kNone);
    for (float x : nan) EXPECT_TRUE(std::isnan(x)) << k->name;  // a NaN must reach the loss, where it is reported
  }
}

TEST(Kernels, RoundsToFp16AsTheFormatSays) {
  // Numbers and what IEEE 754 binary16 makes of them: ties to even, subnormals down to 2^-24, infinity from 65,520.
  const float unit = std::ldexp(1.0F, -24);
  const std::vector<std::pair<float, float>> cases{
      {0.0F, 0.0F},         {1.0F, 1.0F},          {1.0F + 0x1p-11F, 1.0F}, {1.0F + 0x1.8p-10F, 1.0F + 0x1p-9F}, {65519.0F, 65504.0F}, {65520.0F, INFINITY},
      {1e30F, INFINITY},    {0.4F * unit, 0.0F},   {0.5F * unit, 0.0F},     {1.5F * unit, 2.0F * unit},          {0.6F * unit, unit},  {1000.25F * unit, 1000.0F * unit},
      {0x1p-14F, 0x1p-14F}, {INFINITY, INFINITY},  {0.1F, 0.0999755859375F}};
  for (const Kernels* k : kSets) {
    std::vector<float> in, out;
    for (const auto& [x, y] : cases) in.insert(in.end(), {x, -x});
    in.push_back(NAN);
    out.resize(in.size());
    k->round(out.data(), in.data(), in.size(), Rounding::kFp16);
    for (size_t i = 0; i < cases.size(); ++i) {
      EXPECT_EQ(out[2 * i], cases[i].second) << k->name << " " << cases[i].first;
      EXPECT_EQ(out[2 * i + 1], -cases[i].second) << k->name << " " << -cases[i].first;
      EXPECT_EQ(std::signbit(out[2 * i + 1]), true);
    }
    EXPECT_TRUE(std::isnan(out.back())) << k->name;
  }
}

TEST(Kernels, Bf16TilesComeBackAndPairTheirRows) {
  for (const Kernels* k : kSets) {
    for (size_t rows : {1, 2, 5, 14}) {
      auto tile = random_vector(rows * 32, rows);
      k->round(tile.data(), tile.data(), tile.size(), Rounding::kBf16);
      std::vector<uint16_t> stored(rows * 64, 0xffff);
      std::vector<float> pairs((rows + 1) / 2 * 32, NAN), back(rows * 32);
      k->store_bf16(tile.data(), rows, stored.data(), pairs.data());
      k->load_bf16(stored.data(), rows, back.data());
      EXPECT_EQ(back, tile) << k->name;
      for (size_t r = 0; r < rows + rows % 2; ++r) {
        for (size_t c = 0; c < 32; ++c) {
          uint32_t bits, expected = 0;
          std::memcpy(&bits, &pairs[r / 2 * 32 + c], 4);
          if (r < rows) std::memcpy(&expected, &tile[r * 32 + c], 4);
          EXPECT_EQ(r % 2 == 0 ? bits << 16 : bits & 0xffff0000U, expected) << k->name << " row " << r;
        }
      }
    }
  }
}

}  // namespace
}  // namespace sluice
