// Single kernels against sums in double precision.
#include <map>
#include <optional>

#include "cuda/kernels.h"
#include "cuda/runtime.h"
#include "gpu_fixture.h"

namespace sluice::gpu {
namespace {

using sluice::testing::OnDevice;

template <typename T>
Array<T> to_device(const std::vector<T>& values) {
  Array<T> array(values.size(), "test");
  copy_rows(array.data(), 0, values.data(), 0, values.size() * sizeof(T), 1, Copy::kToDevice);
  return array;
}

template <typename T>
std::vector<T> to_host(const Array<T>& array) {
  std::vector<T> values(array.size());
  copy_rows(values.data(), 0, array.data(), 0, values.size() * sizeof(T), 1, Copy::kToHost);
  return values;
}

std::vector<float> random_floats(size_t n, uint64_t seed) {
  Rng rng(seed);
  std::vector<float> values(n);
  for (float& value : values) value = static_cast<float>(rng.normal());
  return values;
}

class Kernels : public OnDevice {
 protected:
  void SetUp() override {
    OnDevice::SetUp();
    if (IsSkipped()) return;
    stream_.emplace();
    use_.emplace(*stream_);
  }

 private:
  std::optional<Stream> stream_;
  std::optional<Stream::Use> use_;
};

class InteractionKernels : public Kernels, public ::testing::WithParamInterface<std::array<uint32_t, 3>> {};

/// tables, dense or not, width; vectors in double precision.
TEST_P(InteractionKernels, ForwardAndBackwardEqualSumsInDoublePrecision) {
  const auto [tables, dense, width] = GetParam();
  InteractionShape shape{tables, dense, width, round_up(width, 4), round_up(width, 8), 0};
  const uint32_t n = shape.vectors();
  const uint32_t top_in = shape.products_at() + shape.pairs();
  shape.z_stride = round_up(top_in, 8);
  constexpr uint32_t kRows = 5;
  constexpr uint32_t kTableRows = 3;
  std::vector<int64_t> offsets;
  std::vector<int32_t> categorical;
  Rng rng(1);
  for (uint32_t t = 0; t < tables; ++t) {
    offsets.push_back(t * kTableRows);
    for (uint32_t b = 0; b < kRows; ++b) categorical.push_back(static_cast<int32_t>(rng.below(kTableRows)));
  }
  std::vector<float> weight = random_floats(size_t{tables} * kTableRows * shape.stride, 2);
  std::vector<float> bottom = random_floats(size_t{kRows} * shape.dense_stride, 3);
  for (size_t i = 0; i < weight.size(); ++i) weight[i] = i % shape.stride < width ? weight[i] : 0.0F;
  for (size_t i = 0; i < bottom.size(); ++i) bottom[i] = i % shape.dense_stride < width ? bottom[i] : 0.0F;
  const std::vector<float> dz = random_floats(size_t{kRows} * shape.z_stride, 4);

  const auto d_weight = to_device(weight);
  const auto d_offsets = to_device(offsets);
  const auto d_categorical = to_device(categorical);
  const auto d_bottom = to_device(bottom);
  const auto d_dz = to_device(dz);
  Array<float> saved(size_t{kRows} * tables * shape.stride, "test");
  Array<float> z(size_t{kRows} * shape.z_stride, "test");
  Array<float> bottom_grad(bottom.size(), "test");
  launch(InteractionForward<float>{shape, kRows, d_weight.data(), d_offsets.data(), d_categorical.data(), d_bottom.data(), saved.data(), z.data()}, kRows);
  launch(InteractionBackward<float>{shape, kRows, d_bottom.data(), d_dz.data(), bottom_grad.data(), saved.data(), {}, nullptr}, kRows);
  const auto ours = to_host(z);
  const auto gradients = to_host(saved);
  const auto bottom_gradients = to_host(bottom_grad);

  for (uint32_t b = 0; b < kRows; ++b) {
    const auto x = [&](uint32_t v, uint32_t c) -> double {
      if (v < dense) return bottom[size_t{b} * shape.dense_stride + c];
      const uint32_t t = v - dense;
      return weight[static_cast<size_t>(offsets[t] + categorical[t * kRows + b]) * shape.stride + c];
    };
    const auto slope = [&](uint32_t i, uint32_t j) -> double { return i == j ? 0.0 : dz[b * shape.z_stride + shape.products_at() + (i > j ? pair_index(i, j) : pair_index(j, i))]; };
    for (uint32_t c = 0; shape.copies() && c < width; ++c) ASSERT_EQ(ours[b * shape.z_stride + c], static_cast<float>(x(0, c)));
    for (uint32_t i = 0; i < n; ++i) {
      for (uint32_t j = 0; j < i; ++j) {
        double product = 0.0;
        for (uint32_t c = 0; c < width; ++c) product += x(i, c) * x(j, c);
        ASSERT_NEAR(ours[b * shape.z_stride + shape.products_at() + pair_index(i, j)], product, 1e-4) << i << " " << j;
      }
      for (uint32_t c = 0; c < width; ++c) {
        double expected = i == 0 && shape.copies() ? dz[b * shape.z_stride + c] : 0.0;
        for (uint32_t j = 0; j < n; ++j) expected += slope(i, j) * x(j, c);
        const float got = i < dense ? bottom_gradients[size_t{b} * shape.dense_stride + c] : gradients[(size_t{b} * tables + i - dense) * shape.stride + c];
        ASSERT_NEAR(got, expected, 1e-4) << i << " " << c;
      }
    }
    for (uint32_t c = top_in; c < shape.z_stride; ++c) ASSERT_EQ(ours[b * shape.z_stride + c], 0.0F);
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, InteractionKernels,
                         ::testing::Values(std::array<uint32_t, 3>{26, 1, 128}, std::array<uint32_t, 3>{26, 1, 16}, std::array<uint32_t, 3>{3, 1, 6}, std::array<uint32_t, 3>{8, 0, 20},
                                           std::array<uint32_t, 3>{1, 0, 5}, std::array<uint32_t, 3>{0, 1, 9}, std::array<uint32_t, 3>{1, 1, 260}, std::array<uint32_t, 3>{64, 1, 4}));

/// With whole numbers as gradients and a learning rate of 1, SGD on sums in any order is exact.
TEST_F(Kernels, RowsOfAnyNumberOfGradientsGetTheirExactSum) {
  constexpr uint32_t kTables = 3;
  constexpr uint32_t kBatch = 1500;
  constexpr uint32_t kWidth = 6;
  constexpr uint32_t kStride = 8;
  const std::vector<int64_t> offsets{0, 2, 600};
  const std::vector<uint32_t> sizes{2, 598, 40};
  Rng rng(5);
  std::vector<int32_t> categorical;
  for (uint32_t t = 0; t < kTables; ++t) {
    for (uint32_t b = 0; b < kBatch; ++b) categorical.push_back(static_cast<int32_t>(t == 2 && b < 700 ? 7 : rng.below(sizes[t])));
  }
  std::vector<float> gradients(size_t{kTables} * kBatch * kStride);
  for (size_t i = 0; i < gradients.size(); ++i) gradients[i] = i % kStride < kWidth ? static_cast<float>(static_cast<int64_t>(rng.below(201)) - 100) : 0.0F;
  std::map<uint64_t, std::vector<double>> expected;
  for (uint32_t t = 0; t < kTables; ++t) {
    for (uint32_t b = 0; b < kBatch; ++b) {
      auto& sum = expected.try_emplace(static_cast<uint64_t>(offsets[t] + categorical[t * kBatch + b]), kWidth, 0.0).first->second;
      for (uint32_t c = 0; c < kWidth; ++c) sum[c] += gradients[(size_t{b} * kTables + t) * kStride + c];
    }
  }
  constexpr uint32_t n = kTables * kBatch;
  const auto d_offsets = to_device(offsets);
  const auto d_categorical = to_device(categorical);
  const auto d_gradients = to_device(gradients);
  Array<uint64_t> keys(n, "test"), sorted(n, "test");
  Array<uint32_t> order(n, "test"), sorted_order(n, "test");
  launch(RowKeys{d_offsets.data(), d_categorical.data(), kTables, kBatch, 0, keys.data(), order.data()}, RowKeys::items(kTables, kBatch));
  const size_t bytes = sort_bytes(n, 10);
  const Memory memory(bytes, "test");
  sort_rows(memory.data(), bytes, keys.data(), sorted.data(), order.data(), sorted_order.data(), n, 10);
  Array<float> weight(640 * kStride, "test");
  const auto optimizers = to_device(std::vector<Optimizer>{sluice::testing::optimizer(OptimizerKind::kSgd, 1.0F)});
  const Array<AdamTerms> terms(1, "test");
  const auto optimizer_of = to_device(std::vector<uint32_t>(kTables, 0));
  const auto state = to_device(std::vector<StepState>{{1.0F, 1.0F, 1.0F, 0.0F, 0.0F, 0, 0}});
  const uint32_t chunks = (n + kChunk - 1) / kChunk;
  Array<float> partial(size_t{2} * chunks * kStride, "test");
  Array<double> squares(n + chunks, "test");
  Segments<float> segments{sorted.data(), sorted_order.data(), d_gradients.data(), n, kTables, kWidth, kStride, weight.data(), nullptr, nullptr, nullptr,
                           optimizers.data(), terms.data(), optimizer_of.data(), state.data(), partial.data(), squares.data()};
  launch(SumPieces<float>{segments}, n);
  launch(JoinPieces<float>{segments}, chunks);
  double square = 0.0;
  for (const double s : to_host(squares)) square += s;
  segments.squares = nullptr;
  launch(SumPieces<float>{segments}, n);
  launch(JoinPieces<float>{segments}, chunks);
  const auto result = to_host(weight);
  double expected_square = 0.0;
  for (uint64_t row = 0; row < 640; ++row) {
    const auto found = expected.find(row);
    for (uint32_t c = 0; c < kStride; ++c) {
      const double sum = found == expected.end() || c >= kWidth ? 0.0 : found->second[c];
      expected_square += sum * sum;
      ASSERT_EQ(result[row * kStride + c], static_cast<float>(-sum)) << "row " << row;
    }
  }
  EXPECT_DOUBLE_EQ(square, expected_square);
}

TEST_F(Kernels, ReluGradientsAndColumnSumsOfManyRows) {
  constexpr uint32_t kRows = 333;
  constexpr uint32_t kColumns = 136;
  auto dy = random_floats(size_t{kRows} * kColumns, 6);
  const auto y = random_floats(size_t{kRows} * kColumns, 7);
  const auto d_dy = to_device(dy);
  const auto d_y = to_device(y);
  ActivationGrad<float> grad{d_dy.data(), d_y.data(), nullptr, kRows, kColumns, true};
  Array<float> partial(size_t{grad.row_blocks()} * kColumns, "test");
  Array<float> sums(kColumns, "test");
  grad.partial = partial.data();
  launch(grad, grad.items());
  const FinishColumns finish{partial.data(), sums.data(), grad.row_blocks(), kColumns};
  launch(finish, finish.items());
  const auto result = to_host(sums);
  for (uint32_t c = 0; c < kColumns; ++c) {
    double sum = 0.0;
    for (uint32_t r = 0; r < kRows; ++r) sum += y[r * kColumns + c] > 0.0F ? static_cast<double>(dy[r * kColumns + c]) : 0.0;
    ASSERT_NEAR(result[c], sum, 1e-4);
  }
}

}  // namespace
}  // namespace sluice::gpu
