#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/rng.h"
#include "train/kernels.h"

namespace sluice {
namespace kernels_base { extern const Kernels table; }
namespace {

/// The set that this CPU uses, and the plain one that every CPU can run.
const Kernels* const kSets[] = {&kernels(), &kernels_base::table};

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
    k->round_bf16(out.data(), in.data(), in.size());
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
      k->bias_act(y.data(), rows, cols, stride, bias.data(), true, false);
      for (size_t r = 0; r < rows; ++r) {
        for (size_t c = 0; c < stride; ++c) {
          const float x = before[r * stride + c];
          EXPECT_EQ(y[r * stride + c], c < cols ? std::max(0.0F, x + bias[c]) : x) << k->name;
        }
      }
      auto dy = random_vector(rows * cols, 9);
      const auto dy_before = dy;
      std::vector<float> sums(cols, 1.0F);
      k->act_grad(dy.data(), cols, y.data(), stride, rows, cols, sums.data(), true, false);
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
    k->bias_act(nan.data(), 1, 9, 9, zero.data(), true, false);
    for (float x : nan) EXPECT_TRUE(std::isnan(x)) << k->name;  // a NaN must reach the loss, where it is reported
  }
}

}  // namespace
}  // namespace sluice
