// The MLP's panels and tile products against plain loops, in sizes that fill no tile.
#include "train/models/mlp.h"

#include <gtest/gtest.h>

#include <cmath>

#include "train/compute.h"

namespace sluice {
namespace kernels_base { extern const GemmKernels gemm_table; }
#if defined(__x86_64__)
namespace kernels_avx2 { extern const GemmKernels gemm_table; }
#endif
namespace {

std::vector<float> random_vector(size_t n, uint64_t seed) {
  Rng rng(seed);
  std::vector<float> v(n);
  for (float& x : v) x = static_cast<float>(rng.normal());
  return v;
}

std::vector<const GemmKernels*> sets() {
  std::vector<const GemmKernels*> all{&gemm_kernels(false), &kernels_base::gemm_table};
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) all.push_back(&kernels_avx2::gemm_table);
#endif
  return all;
}

TEST(GemmKernels, TilesOfRowsEqualTheDefinition) {
  for (const GemmKernels* gemm : sets()) {
    for (const size_t k : {1, 7, 32, 33, 100}) {
      for (size_t rows = 1; rows <= kTileRows; ++rows) {
        const size_t stride = 20 * kPanel;
        const auto a = random_vector(panels_of(k) * stride, k);
        const auto b = random_vector(k * kPanel, rows);
        std::vector<float> tile(rows * kPanel, NAN);
        gemm->rows(a.data(), stride, b.data(), k, rows, {b.data(), {a.data(), b.data(), tile.data()}}, tile.data());
        for (size_t r = 0; r < rows; ++r) {
          for (size_t c = 0; c < kPanel; ++c) {
            double expected = 0.0;
            for (size_t i = 0; i < k; ++i) expected += static_cast<double>(a[i / kPanel * stride + r * kPanel + i % kPanel]) * b[i * kPanel + c];
            ASSERT_NEAR(tile[r * kPanel + c], expected, 2e-5) << "k " << k << " rows " << rows;
          }
        }
      }
    }
  }
}

TEST(GemmKernels, TilesOfColumnsAreAdded) {
  for (const GemmKernels* gemm : sets()) {
    for (const size_t k : {1, 2, 9, 97}) {
      for (const size_t rows : {size_t{1}, size_t{9}, kPanel}) {
        const auto a = random_vector(k * kPanel, k);
        const auto b = random_vector(k * kPanel, k + 1);
        std::vector<float> tile(kPanel * kPanel, 0.5F);
        gemm->columns(a.data(), b.data(), k, rows, tile.data());
        for (size_t r = 0; r < rows; ++r) {
          for (size_t c = 0; c < kPanel; ++c) {
            double expected = 0.5;
            for (size_t i = 0; i < k; ++i) expected += static_cast<double>(a[i * kPanel + r]) * b[i * kPanel + c];
            ASSERT_NEAR(tile[r * kPanel + c], expected, 2e-5) << "k " << k << " rows " << rows;
          }
        }
      }
    }
  }
}

struct Matrix {
  size_t rows, cols;
  std::vector<double> data;
  double& at(size_t r, size_t c) { return data[r * cols + c]; }
};

/// One SGD step of an MLP in double precision: ReLU after every layer but the last.
struct Reference {
  std::vector<uint32_t> sizes;
  std::vector<Matrix> weights, biases;

  explicit Reference(Mlp& mlp, std::vector<uint32_t> widths) : sizes(std::move(widths)) {
    for (const NamedTensor& t : mlp.parameters()) {
      Matrix m{static_cast<size_t>(t.shape[0]), t.size() / static_cast<size_t>(t.shape[0]), {}};
      m.data.assign(t.data, t.data + t.size());
      (t.shape.size() == 2 ? weights : biases).push_back(m);
    }
  }

  /// Gives y, and the gradient at x from that at y.
  std::pair<Matrix, Matrix> step(const Matrix& x, Matrix dy, double lr) {
    std::vector<Matrix> values{x};
    for (size_t l = 0; l < weights.size(); ++l) {
      Matrix y{x.rows, sizes[l + 1], std::vector<double>(x.rows * sizes[l + 1])};
      for (size_t r = 0; r < y.rows; ++r) {
        for (size_t o = 0; o < y.cols; ++o) {
          double sum = biases[l].data[o];
          for (size_t i = 0; i < sizes[l]; ++i) sum += values[l].at(r, i) * weights[l].at(o, i);
          y.at(r, o) = l + 1 < weights.size() ? std::max(sum, 0.0) : sum;
        }
      }
      values.push_back(y);
    }
    for (size_t l = weights.size(); l-- > 0;) {
      Matrix dx{x.rows, sizes[l], std::vector<double>(x.rows * sizes[l])};
      Matrix w = weights[l];
      for (size_t r = 0; r < x.rows; ++r) {
        for (size_t o = 0; o < sizes[l + 1]; ++o) {
          biases[l].data[o] -= lr * dy.at(r, o);
          for (size_t i = 0; i < sizes[l]; ++i) {
            dx.at(r, i) += dy.at(r, o) * w.at(o, i);
            weights[l].at(o, i) -= lr * dy.at(r, o) * values[l].at(r, i);
          }
        }
        for (size_t i = 0; i < sizes[l] && l > 0; ++i) dx.at(r, i) *= values[l].at(r, i) > 0.0 ? 1.0 : 0.0;
      }
      dy = dx;
    }
    return {values.back(), dy};
  }
};

struct Shape {
  std::vector<uint32_t> sizes;
  size_t rows;
};
const Shape kShapes[] = {{{1, 1}, 1}, {{13, 31, 1}, 17}, {{5, 64, 33, 2}, 113}, {{70, 97, 40, 3}, 225}, {{33, 1, 65}, 29}};

/// Largest difference to the reference of outputs, input gradients and new weights.
double difference(const Shape& shape, Precision precision, bool accumulated) {
  ModelOptions options;
  options.precision = precision;
  options.dense_optimizer.lr = 0.01F;
  Rng rng(3);
  Mlp mlp("layers", shape.sizes, false, options, rng);
  const size_t in = shape.sizes.front(), out = shape.sizes.back();
  double largest = 0.0;
  for (const size_t rows : {shape.rows, shape.rows / 2 + 1}) {  // a smaller batch finds nothing of the larger one
    Reference reference(mlp, shape.sizes);
    const auto x = random_vector(rows * in, 1);
    const auto dy = random_vector(rows * out, 2);
    std::vector<float> y(rows * out), dx(rows * in);
    mlp.forward(x.data(), in, rows, y.data(), out);
    if (accumulated) {
      mlp.accumulate(dy.data(), out, dx.data(), in);
      mlp.update(1.0F, 1.0F);
    } else {
      mlp.step(dy.data(), out, dx.data(), in, 1.0F);
    }
    auto [y_expected, dx_expected] = reference.step({rows, in, {x.begin(), x.end()}}, {rows, out, {dy.begin(), dy.end()}}, 0.01);
    for (size_t i = 0; i < y.size(); ++i) largest = std::max(largest, std::abs(y[i] - y_expected.data[i]));
    for (size_t i = 0; i < dx.size(); ++i) largest = std::max(largest, std::abs(dx[i] - dx_expected.data[i]));
    size_t l = 0;
    for (const NamedTensor& t : mlp.parameters()) {
      const Matrix& m = t.shape.size() == 2 ? reference.weights[l] : reference.biases[l++];
      for (size_t i = 0; i < t.size(); ++i) largest = std::max(largest, std::abs(t.data[i] - m.data[i]));
    }
  }
  return largest;
}

TEST(Mlp, StepsEqualPlainLoops) {
  for (const Shape& shape : kShapes) {
    EXPECT_LT(difference(shape, Precision::kFp32, false), 5e-5) << shape.rows;
    EXPECT_LT(difference(shape, Precision::kFp32, true), 5e-5) << shape.rows;
  }
}

// A ReLU on the other side of zero makes a difference of its own: the bounds are wide.
TEST(Mlp, SixteenBitPrecisionsFollowPlainLoops) {
  for (const bool native : {true, false}) {
    override_native_bf16(native);
    for (const Shape& shape : kShapes) EXPECT_LT(difference(shape, Precision::kBf16, false), 0.15) << shape.rows << (native ? " native" : " emulated");
  }
  override_native_bf16(true);
  for (const Shape& shape : kShapes) EXPECT_LT(difference(shape, Precision::kFp16, true), 0.15) << shape.rows;
}

TEST(Mlp, ThreadsChangeNothing) {
  std::vector<std::vector<float>> results;
  for (const int threads : {1, 2, 3}) {
    set_compute_threads(threads);
    ModelOptions options;
    options.dense_optimizer.lr = 0.1F;
    Rng rng(5);
    Mlp mlp("layers", {40, 300, 70, 1}, false, options, rng);
    const auto x = random_vector(500 * 40, 1);
    std::vector<float> y(500), dy = random_vector(500, 2), dx(500 * 40);
    for (int step = 0; step < 3; ++step) {
      mlp.forward(x.data(), 40, 500, y.data(), 1);
      mlp.step(dy.data(), 1, dx.data(), 40, 1.0F);
    }
    results.push_back(dx);
    for (const NamedTensor& t : mlp.parameters()) results.back().insert(results.back().end(), t.data, t.data + t.size());
  }
  set_compute_threads(0);
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(results[0], results[2]);
}

}  // namespace
}  // namespace sluice
