#include "train/models/initial.h"

#include <ATen/Parallel.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>

#include "base/rng.h"

namespace sluice {

namespace {

/// Numbers drawn from one generator; blocks are drawn in parallel.
constexpr int64_t kBlock = 1 << 16;

/// Pairs of numbers (a, b) from the draw, block by block: what they are does not depend on the threads.
template <typename Draw>
void fill(const at::Tensor& tensor, uint64_t seed, const Draw& draw) {
  float* values = tensor.mutable_data_ptr<float>();
  const int64_t n = tensor.numel();
  at::parallel_for(0, (n + kBlock - 1) / kBlock, 1, [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block) {
      Rng rng(seed, static_cast<uint64_t>(block));
      const int64_t stop = std::min(n, (block + 1) * kBlock);
      for (int64_t i = block * kBlock; i < stop; i += 2) {
        const auto [a, b] = draw(rng);
        values[i] = a;
        if (i + 1 < stop) values[i + 1] = b;
      }
    }
  });
}

}  // namespace

at::Tensor Initial::normal(at::IntArrayRef shape, double deviation) {
  at::Tensor tensor = at::zeros(shape, at::kFloat);
  if (!random_) return tensor;
  // Box and Muller, 1958: both numbers of a pair.
  fill(tensor, splitmix64(seed_ + ++tensors_), [deviation](Rng& rng) {
    const auto radius = static_cast<float>(deviation * std::sqrt(-2.0 * std::log(1.0 - rng.uniform())));
    const auto angle = static_cast<float>(6.283185307179586 * rng.uniform());
    return std::pair(radius * std::cos(angle), radius * std::sin(angle));
  });
  return tensor;
}

at::Tensor Initial::uniform(at::IntArrayRef shape, double bound) {
  at::Tensor tensor = at::zeros(shape, at::kFloat);
  if (!random_) return tensor;
  const auto one = [bound](Rng& rng) { return static_cast<float>(bound * (2.0 * rng.uniform() - 1.0)); };
  fill(tensor, splitmix64(seed_ + ++tensors_), [&](Rng& rng) {
    const float first = one(rng);
    return std::pair(first, one(rng));
  });
  return tensor;
}

at::Tensor Initial::constant(at::IntArrayRef shape, double value) { return at::full(shape, value, at::kFloat); }

}  // namespace sluice
