#include "train/models/mlp.h"

#include <algorithm>
#include <cmath>

#include "train/kernels.h"

namespace sluice {

namespace {
constexpr size_t kElementGrain = 1 << 15;

size_t row_grain(size_t cols) { return std::max<size_t>(1, kElementGrain / std::max<size_t>(1, cols)); }
}  // namespace

Mlp::Mlp(std::string prefix, std::vector<uint32_t> sizes, bool relu_last, const ModelOptions& options, Rng& rng)
    : prefix_(std::move(prefix)), sizes_(std::move(sizes)), options_(options), bf16_(options.precision == Precision::kBf16) {
  for (size_t i = 0; i + 1 < sizes_.size(); ++i) {
    Layer layer;
    layer.in = sizes_[i];
    layer.out = sizes_[i + 1];
    layer.relu = relu_last || i + 2 < sizes_.size();
    layer.weight = Buffer<float>(layer.in * layer.out, "MLP weights");
    layer.bias = Buffer<float>(layer.out, "MLP biases");
    if (bf16_) layer.rounded = Buffer<float>(layer.weight.size(), "bf16 MLP weights");
    const double deviation = std::sqrt(2.0 / static_cast<double>(layer.in + layer.out));
    for (float& w : layer.weight) w = static_cast<float>(deviation * rng.normal());
    for (float& b : layer.bias) b = static_cast<float>(std::sqrt(1.0 / static_cast<double>(layer.out)) * rng.normal());
    if (options_.train) {
      layer.bias_grad = Buffer<float>(layer.out, "MLP bias gradients");
      const std::string name = prefix_ + "." + std::to_string(i);
      const auto optimizer = [&](const char* part) { return optimizer_of(options_, name + part, options_.dense_optimizer); };
      layer.optimizers.emplace_back(optimizer(".weight"), layer.weight.size(), "MLP optimizer state");
      layer.optimizers.emplace_back(optimizer(".bias"), layer.bias.size(), "MLP optimizer state");
    }
    layers_.push_back(std::move(layer));
  }
  refresh();
}

double Mlp::flops_per_row() const {
  double flops = 0.0;
  for (const Layer& layer : layers_) flops += 2.0 * static_cast<double>(layer.in * layer.out);
  return flops;
}

void Mlp::refresh() {
  for (Layer& layer : layers_) round(layer);
}

void Mlp::reserve(size_t rows) {
  if (rows <= capacity_) return;
  size_t widest = 0;
  for (size_t i = 0; i < layers_.size(); ++i) {
    widest = std::max(widest, padded_stride(layers_[i].out));
    if (i + 1 < layers_.size()) layers_[i].activation = Buffer<float>(rows * padded_stride(layers_[i].out), "MLP activations");
  }
  if (options_.train) {
    for (Buffer<float>& grad : grad_) grad = Buffer<float>(rows * widest, "MLP gradients");
    partial_sums_ = Buffer<float>(static_cast<size_t>(compute_threads()) * widest, "MLP bias gradients");
  }
  capacity_ = rows;
}

void Mlp::forward(const float* x, size_t x_stride, size_t rows, float* y, size_t y_stride) {
  reserve(rows);
  rows_ = rows;
  x_ = x;
  x_stride_ = x_stride;
  y_ = y;
  y_stride_ = y_stride;
  for (size_t i = 0; i < layers_.size(); ++i) {
    Layer& layer = layers_[i];
    const bool last = i + 1 == layers_.size();
    float* out = last ? y : layer.activation.data();
    const size_t out_stride = last ? y_stride : padded_stride(layer.out);
    forward_layer(layer, x, x_stride, out, out_stride);
    x = out;
    x_stride = out_stride;
  }
}

void Mlp::forward_layer(Layer& layer, const float* x, size_t x_stride, float* y, size_t y_stride) {
  gemm({x, rows_, layer.in, x_stride}, Matrix{layer.weights_in_use(), layer.out, layer.in, layer.in}.t(), y, y_stride, 1.0F, 0.0F, precision());
  parallel_for(rows_, row_grain(layer.out), [&](size_t begin, size_t end) {
    kernels().bias_act(y + begin * y_stride, end - begin, layer.out, y_stride, layer.bias.data(), layer.relu, bf16_);
  });
}

void Mlp::activation_grad(Layer& layer, float* dy, size_t dy_stride, const float* y, size_t y_stride, bool add) {
  // Each thread sums its own share of rows; the shares are added in order, so that the result does not depend on timing.
  const size_t threads = std::min<size_t>(static_cast<size_t>(compute_threads()), rows_);
  const size_t share = (rows_ + threads - 1) / threads;
  parallel_for(threads, 1, [&](size_t begin, size_t end) {
    for (size_t t = begin; t < end; ++t) {
      float* sums = partial_sums_.data() + t * layer.out;
      std::fill_n(sums, layer.out, 0.0F);
      const size_t first = std::min(rows_, t * share);
      const size_t rows = std::min(rows_, first + share) - first;
      kernels().act_grad(dy + first * dy_stride, dy_stride, y + first * y_stride, y_stride, rows, layer.out, sums, layer.relu, bf16_);
    }
  });
  if (!add) std::fill_n(layer.bias_grad.data(), layer.out, 0.0F);
  for (size_t t = 0; t < threads; ++t) kernels().axpy(layer.bias_grad.data(), partial_sums_.data() + t * layer.out, 1.0F, layer.out);
}

void Mlp::weight_gradient(Layer& layer, const float* dy, size_t dy_stride, const float* x, size_t x_stride, bool add) {
  if (layer.weight_grad.empty()) layer.weight_grad = Buffer<float>(layer.weight.size(), "MLP weight gradients");
  gemm(Matrix{dy, rows_, layer.out, dy_stride}.t(), {x, rows_, layer.in, x_stride}, layer.weight_grad.data(), layer.in, 1.0F, add ? 1.0F : 0.0F, precision());
}

void Mlp::round(Layer& layer) {
  if (!bf16_) return;
  parallel_for(layer.weight.size(), kElementGrain, [&](size_t begin, size_t end) {
    kernels().round_bf16(layer.rounded.data() + begin, layer.weight.data() + begin, end - begin);
  });
}

/// From the last layer to the first; weight_gradient(layer, dy, dy_stride, x, x_stride) is called for each.
template <typename WeightGradient>
void Mlp::backward(float* dy, size_t dy_stride, float* dx, size_t dx_stride, bool add_bias_grad, const WeightGradient& weight_gradient) {
  for (size_t i = layers_.size(); i-- > 0;) {
    Layer& layer = layers_[i];
    const bool last = i + 1 == layers_.size();
    activation_grad(layer, dy, dy_stride, last ? y_ : layer.activation.data(), last ? y_stride_ : padded_stride(layer.out), add_bias_grad);
    float* down = i > 0 ? grad_[i % 2].data() : dx;
    const size_t down_stride = i > 0 ? padded_stride(layer.in) : dx_stride;
    if (down != nullptr) {
      gemm({dy, rows_, layer.out, dy_stride}, {layer.weights_in_use(), layer.out, layer.in, layer.in}, down, down_stride, 1.0F, 0.0F, precision());
    }
    weight_gradient(layer, dy, dy_stride, i > 0 ? layers_[i - 1].activation.data() : x_, i > 0 ? padded_stride(layer.in) : x_stride_);
    dy = down;
    dy_stride = down_stride;
  }
}

void Mlp::step(float* dy, size_t dy_stride, float* dx, size_t dx_stride, float lr_factor) {
  backward(dy, dy_stride, dx, dx_stride, false, [&](Layer& layer, const float* gradient, size_t gradient_stride, const float* x, size_t x_stride) {
    DenseOptimizer& optimizer = layer.optimizers[0];
    if (optimizer.plain()) {
      gemm(Matrix{gradient, rows_, layer.out, gradient_stride}.t(), {x, rows_, layer.in, x_stride}, layer.weight.data(), layer.in,
           -optimizer.lr() * lr_factor, 1.0F, precision());
    } else {
      this->weight_gradient(layer, gradient, gradient_stride, x, x_stride, false);
      optimizer.step(layer.weight.data(), layer.weight_grad.data(), lr_factor);
    }
    layer.optimizers[1].step(layer.bias.data(), layer.bias_grad.data(), lr_factor);
    round(layer);
  });
}

void Mlp::accumulate(float* dy, size_t dy_stride, float* dx, size_t dx_stride) {
  backward(dy, dy_stride, dx, dx_stride, kept_, [&](Layer& layer, const float* gradient, size_t gradient_stride, const float* x, size_t x_stride) {
    this->weight_gradient(layer, gradient, gradient_stride, x, x_stride, kept_);
  });
  kept_ = true;
}

double Mlp::squared_gradient_norm() const {
  double total = 0.0;
  for (const Layer& layer : layers_) {
    if (kept_) total += kernels().sum_squares(layer.weight_grad.data(), layer.weight_grad.size()) + kernels().sum_squares(layer.bias_grad.data(), layer.out);
  }
  return total;
}

void Mlp::update(float lr_factor, float gradient_scale) {
  if (!kept_) return;
  for (Layer& layer : layers_) {
    layer.optimizers[0].step(layer.weight.data(), layer.weight_grad.data(), lr_factor, gradient_scale);
    layer.optimizers[1].step(layer.bias.data(), layer.bias_grad.data(), lr_factor, gradient_scale);
    round(layer);
  }
  kept_ = false;
}

void Mlp::append_state(std::vector<NamedTensor>& all) {
  for (size_t i = 0; i < layers_.size() && options_.train; ++i) {
    const std::string name = prefix_ + "." + std::to_string(i);
    layers_[i].optimizers[0].append_state(name + ".weight", all);
    layers_[i].optimizers[1].append_state(name + ".bias", all);
  }
}

void Mlp::set_updates(uint64_t updates) {
  for (Layer& layer : layers_) {
    for (DenseOptimizer& optimizer : layer.optimizers) optimizer.set_steps(updates);
  }
}

std::vector<NamedTensor> Mlp::parameters() {
  std::vector<NamedTensor> all;
  for (size_t i = 0; i < layers_.size(); ++i) {
    Layer& layer = layers_[i];
    const std::string name = prefix_ + "." + std::to_string(i);
    const auto out = static_cast<int64_t>(layer.out);
    all.push_back({name + ".weight", {out, static_cast<int64_t>(layer.in)}, layer.weight.data()});
    all.push_back({name + ".bias", {out}, layer.bias.data()});
  }
  return all;
}

}  // namespace sluice
