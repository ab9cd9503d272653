#include "train/models/batch_norm.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/batch_norm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/relu.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include "train/norm_kernels.h"

namespace sluice {

namespace {

constexpr double kEps = 1e-5;
constexpr float kMomentum = 0.1F;
constexpr int64_t kBlockFloats = 1 << 15;  // a block of rows stays in the second-level cache

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

/// A 4-D tensor with channels last, as a matrix [rows, channels] cut into blocks whose number depends on its shape only, so
/// that no sum depends on the threads.
struct Rows {
  explicit Rows(const at::Tensor& x) : channels(x.size(1)), rows(x.numel() / std::max<int64_t>(1, x.size(1))) {
    block = std::max<int64_t>(16, kBlockFloats / std::max<int64_t>(1, channels));
    blocks = (rows + block - 1) / block;
  }
  int64_t size(int64_t b) const { return std::min(block, rows - b * block); }
  template <typename Body>
  void each(const Body& body) const {
    at::parallel_for(0, blocks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; ++b) body(b, b * block * channels);
    });
  }
  int64_t channels, rows, block, blocks;
};

template <typename T>
const T* data(const at::Tensor& tensor) { return tensor.defined() ? static_cast<const T*>(tensor.const_data_ptr()) : nullptr; }
template <typename T>
T* mutable_data(const at::Tensor& tensor) { return tensor.defined() ? static_cast<T*>(tensor.mutable_data_ptr()) : nullptr; }

at::Tensor channels_last(const at::Tensor& x) { return x.defined() ? x.contiguous(at::MemoryFormat::ChannelsLast) : x; }

/// Calls body with the kernels of the tensor's type.
template <typename Body>
void with_kernels(const at::Tensor& x, const Body& body) {
  if (x.scalar_type() == at::kBFloat16) return body(norm_kernels().bf16, Bf16{});
  body(norm_kernels().fp32, float{});
}

/// Mean and variance (biased) of each channel: those of the blocks, put together as Chan et al., 1979, do.
void batch_moments(const at::Tensor& x, float* mean, float* variance) {
  const Rows rows(x);
  const auto n = static_cast<size_t>(rows.channels);
  std::vector<float> means(n * static_cast<size_t>(rows.blocks)), squares(means.size());
  with_kernels(x, [&](const auto& kernels, auto type) {
    const auto* values = data<decltype(type)>(x);
    rows.each([&](int64_t b, int64_t at) {
      kernels.moments(values + at, static_cast<size_t>(rows.size(b)), n, means.data() + b * rows.channels, squares.data() + b * rows.channels);
    });
  });
  for (size_t c = 0; c < n; ++c) {
    double sum = 0.0;
    for (int64_t b = 0; b < rows.blocks; ++b) sum += static_cast<double>(rows.size(b)) * means[static_cast<size_t>(b) * n + c];
    const double center = sum / static_cast<double>(rows.rows);
    double total = 0.0;
    for (int64_t b = 0; b < rows.blocks; ++b) {
      const double off = means[static_cast<size_t>(b) * n + c] - center;
      total += squares[static_cast<size_t>(b) * n + c] + static_cast<double>(rows.size(b)) * off * off;
    }
    mean[c] = static_cast<float>(center);
    variance[c] = static_cast<float>(total / static_cast<double>(rows.rows));
  }
}

void keep_statistics(const BatchNorm& norm, const float* mean, const float* variance, int64_t rows) {
  float* running_mean = norm.mean.mutable_data_ptr<float>();
  float* running_variance = norm.variance.mutable_data_ptr<float>();
  const float unbiased = rows > 1 ? static_cast<float>(rows) / static_cast<float>(rows - 1) : 1.0F;
  for (int64_t c = 0; c < norm.mean.numel(); ++c) {
    running_mean[c] += kMomentum * (mean[c] - running_mean[c]);
    running_variance[c] += kMomentum * (unbiased * variance[c] - running_variance[c]);
  }
}

at::Tensor normalized(const at::Tensor& x, const BatchNorm& norm, const at::Tensor& residual, bool relu, const float* mean, const float* variance) {
  const Rows rows(x);
  const auto n = static_cast<size_t>(rows.channels);
  std::vector<float> scale(n), shift(n);
  const float* weight = norm.weight.const_data_ptr<float>();
  const float* bias = norm.bias.const_data_ptr<float>();
  for (size_t c = 0; c < n; ++c) {
    scale[c] = static_cast<float>(weight[c] / std::sqrt(variance[c] + kEps));
    shift[c] = bias[c] - mean[c] * scale[c];
  }
  const at::Tensor y = at::empty_like(x, x.options(), at::MemoryFormat::ChannelsLast);
  with_kernels(x, [&](const auto& kernels, auto type) {
    using T = decltype(type);
    const T* more = data<T>(residual);
    rows.each([&](int64_t b, int64_t at) {
      kernels.apply(mutable_data<T>(y) + at, data<T>(x) + at, more == nullptr ? nullptr : more + at, scale.data(), shift.data(), relu, static_cast<size_t>(rows.size(b)), n);
    });
  });
  return y;
}

/// Gradients of a pass with the batch's statistics. y: its output where a ReLU followed; keep: the masked gradient is wanted.
struct Gradients {
  at::Tensor x, weight, bias, residual;
};

Gradients gradients_of(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& y, const at::Tensor& weight, const at::Tensor& mean, const at::Tensor& variance,
                       bool relu, bool keep) {
  const Rows rows(x);
  const auto n = static_cast<size_t>(rows.channels);
  Gradients result;
  result.x = at::empty_like(x, x.options(), at::MemoryFormat::ChannelsLast);
  result.weight = at::empty({rows.channels}, at::kFloat);
  result.bias = at::empty({rows.channels}, at::kFloat);
  if (keep) result.residual = relu ? at::empty_like(x, x.options(), at::MemoryFormat::ChannelsLast) : dy;
  std::vector<float> sums(n * static_cast<size_t>(rows.blocks)), products(sums.size()), a(n), b_(n), c_(n);
  with_kernels(x, [&](const auto& kernels, auto type) {
    using T = decltype(type);
    T* masked = keep && relu ? mutable_data<T>(result.residual) : nullptr;
    const auto at_of = [](auto* from, int64_t at) { return from == nullptr ? nullptr : from + at; };
    rows.each([&](int64_t b, int64_t at) {
      kernels.gradient_sums(data<T>(dy) + at, data<T>(x) + at, at_of(data<T>(y), at), mean.const_data_ptr<float>(), relu, static_cast<size_t>(rows.size(b)), n,
                            sums.data() + b * rows.channels, products.data() + b * rows.channels, at_of(masked, at));
    });
    for (size_t c = 0; c < n; ++c) {
      double sum = 0.0;
      double product = 0.0;
      for (size_t b = 0; b < static_cast<size_t>(rows.blocks); ++b) {
        sum += sums[b * n + c];
        product += products[b * n + c];
      }
      const double inverse = 1.0 / std::sqrt(variance.const_data_ptr<float>()[c] + kEps);
      const double scale = weight.const_data_ptr<float>()[c] * inverse;
      const double count = static_cast<double>(rows.rows);
      const double slope = -scale * inverse * inverse * product / count;
      result.bias.mutable_data_ptr<float>()[c] = static_cast<float>(sum);
      result.weight.mutable_data_ptr<float>()[c] = static_cast<float>(product * inverse);
      a[c] = static_cast<float>(scale);
      b_[c] = static_cast<float>(slope);
      c_[c] = static_cast<float>(-scale * sum / count - slope * mean.const_data_ptr<float>()[c]);
    }
    // Where the masked gradient was kept, its zeros are in it.
    const bool mask = relu && masked == nullptr;
    const T* from = masked == nullptr ? data<T>(dy) : masked;
    rows.each([&](int64_t b, int64_t at) {
      kernels.gradient(mutable_data<T>(result.x) + at, from + at, data<T>(x) + at, at_of(data<T>(y), at), a.data(), b_.data(), c_.data(), mask,
                       static_cast<size_t>(rows.size(b)), n);
    });
  });
  return result;
}

class BatchNormFunction : public torch::autograd::Function<BatchNormFunction> {
 public:
  static Variable forward(AutogradContext* context, const Variable& x, const Variable& weight, const Variable& bias, const std::optional<at::Tensor>& given,
                          const at::Tensor& running_mean, const at::Tensor& running_variance, bool relu) {
    const at::Tensor residual = given.value_or(at::Tensor());
    const at::Tensor mean = at::empty({x.size(1)}, at::kFloat);
    const at::Tensor variance = at::empty({x.size(1)}, at::kFloat);
    batch_moments(x, mean.mutable_data_ptr<float>(), variance.mutable_data_ptr<float>());
    const BatchNorm norm{weight, bias, running_mean, running_variance};
    keep_statistics(norm, mean.const_data_ptr<float>(), variance.const_data_ptr<float>(), x.numel() / std::max<int64_t>(1, x.size(1)));
    const at::Tensor y = normalized(x, norm, residual, relu, mean.const_data_ptr<float>(), variance.const_data_ptr<float>());
    context->save_for_backward({x, relu ? y : at::Tensor(), weight, mean, variance});
    context->saved_data["relu"] = relu;
    context->saved_data["residual"] = residual.defined();
    return y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& outputs) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor dy = channels_last(outputs[0]);
    const Gradients g = gradients_of(dy, saved[0], saved[1], saved[2], saved[3], saved[4], context->saved_data["relu"].toBool(), context->saved_data["residual"].toBool());
    return {g.x, g.weight, g.bias, g.residual, Variable(), Variable(), Variable()};
  }
};

/// LibTorch's own operators, for what our kernels have no code for.
at::Tensor by_operators(const at::Tensor& x, const BatchNorm& norm, const at::Tensor& residual, bool relu, bool training) {
  at::Tensor y = at::batch_norm(x, norm.weight, norm.bias, norm.mean, norm.variance, training, kMomentum, kEps, !x.is_cpu());
  if (residual.defined()) y = y + residual;
  return relu ? at::relu(y) : y;
}

}  // namespace

at::Tensor batch_norm(const at::Tensor& x, const BatchNorm& norm, const at::Tensor& residual, bool relu, bool training) {
  const bool ours = x.is_cpu() && (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16) && (!residual.defined() || residual.scalar_type() == x.scalar_type());
  if (!ours || x.numel() == 0) return by_operators(x, norm, residual, relu, training);
  const at::Tensor in = channels_last(x);
  const at::Tensor more = channels_last(residual);
  if (training) return BatchNormFunction::apply(in, norm.weight, norm.bias, more.defined() ? std::optional(more) : std::nullopt, norm.mean, norm.variance, relu);
  return normalized(in, norm, more, relu, norm.mean.const_data_ptr<float>(), norm.variance.const_data_ptr<float>());
}

}  // namespace sluice
