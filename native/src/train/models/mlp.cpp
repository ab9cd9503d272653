#include "train/models/mlp.h"

#include <algorithm>
#include <cmath>

#include "train/kernels.h"

namespace sluice {

namespace {
Form form_of(Precision precision) {
  switch (precision) {
    case Precision::kBf16: return {Rounding::kBf16, native_bf16()};
    case Precision::kFp16: return {Rounding::kFp16, false};
    case Precision::kFp32: break;
  }
  return {};
}

/// What of a layer's bias belongs to a panel, zero beyond.
void bias_of_panel(const Buffer<float>& bias, size_t p, float* to) {
  const size_t n = std::min(kPanel, bias.size() - p * kPanel);
  std::copy_n(bias.data() + p * kPanel, n, to);
  std::fill(to + n, to + kPanel, 0.0F);
}
}  // namespace

Mlp::Mlp(std::string prefix, std::vector<uint32_t> sizes, bool relu_last, const ModelOptions& options, Rng& rng)
    : prefix_(std::move(prefix)), sizes_(std::move(sizes)), options_(options), form_(form_of(options.precision)), grad_{{form_, true}, {form_, true}} {
  for (size_t i = 0; i + 1 < sizes_.size(); ++i) {
    Layer layer;
    layer.in = sizes_[i];
    layer.out = sizes_[i + 1];
    layer.relu = relu_last || i + 2 < sizes_.size();
    layer.weight = Buffer<float>(layer.in * layer.out, "MLP weights");
    layer.bias = Buffer<float>(layer.out, "MLP biases");
    layer.packed = PackedWeights(layer.out, layer.in, form_, options.train);
    layer.input = Panels(form_, options.train);
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
  for (Layer& layer : layers_) layer.packed.pack(layer.weight.data());
}

void Mlp::forward(const float* x, size_t x_stride, size_t rows, float* y, size_t y_stride) {
  rows_ = rows;
  y_ = y;
  y_stride_ = y_stride;
  if (layers_.empty()) return;
  for (Layer& layer : layers_) layer.input.reset(rows, layer.in, "MLP activations");
  Panels& first = layers_[0].input;
  for_tiles(rows, panels_of(first.cols()), [&](const Block& at, float* tile) {
    read_tile(x, x_stride, at.row, at.n, at.panel, first.cols(), tile);
    kernels().round(tile, tile, at.n * kPanel, form_.rounding);
    first.write(at.row, at.n, at.panel, tile);
  });
  const GemmKernels& gemm = gemm_kernels(form_.native);
  for (size_t i = 0; i < layers_.size(); ++i) {
    const Layer& layer = layers_[i];
    const bool last = i + 1 == layers_.size();
    const size_t k = layer.input.left_elements();
    for_tiles(rows, panels_of(layer.out), [&](const Block& at, float* tile) {
      float bias[kPanel];
      bias_of_panel(layer.bias, at.panel, bias);
      const float* w = layer.packed.forward(at.panel);
      gemm.rows(layer.input.left(at.row), layer.input.left_stride(), w, k, at.n, ahead_of(at, w, k, last ? nullptr : &layers_[i + 1].input, nullptr), tile);
      kernels().bias_act(tile, at.n, kPanel, kPanel, bias, layer.relu, form_.rounding);
      if (last) {
        RowMajor{y, y_stride}.write(at.row, at.n, at.panel, layer.out, tile);
      } else {
        layers_[i + 1].input.write(at.row, at.n, at.panel, tile);
      }
    });
  }
}

/// The gradient at a layer's output, tile by tile, through its ReLU into dy, and its sums over the rows into the bias gradient.
template <typename Gradient, typename Output>
void Mlp::activation_grad(Layer& layer, Panels& dy, bool add, const Gradient& gradient, const Output& output) {
  dy.reset(rows_, layer.out, "MLP gradients");
  const size_t runs = RowRuns(rows_).count();
  const size_t width = panels_of(layer.out) * kPanel;
  if (runs * width > partial_sums_.size()) partial_sums_ = Buffer<float>(runs * width, "MLP bias gradients");
  std::fill_n(partial_sums_.data(), runs * width, 0.0F);
  for_tiles(rows_, panels_of(layer.out), [&](const Block& at, float* tile) {
    alignas(64) float room[kTileRows * kPanel];
    gradient(at, tile);
    const float* y = layer.relu ? output(at, room) : nullptr;
    kernels().act_grad(tile, kPanel, y, kPanel, at.n, kPanel, partial_sums_.data() + at.run * width + at.panel * kPanel, layer.relu, form_.rounding);
    dy.write(at.row, at.n, at.panel, tile);
  });
  if (!add) std::fill_n(layer.bias_grad.data(), layer.out, 0.0F);
  for (size_t run = 0; run < runs; ++run) kernels().axpy(layer.bias_grad.data(), partial_sums_.data() + run * width, 1.0F, layer.out);
}

/// From the last layer to the first. For each, first the gradient at its input is made, then weight_tile(layer, op, ip, tile) is
/// called for every tile of its weights' gradient, from any thread, then finish(layer).
template <typename WeightTile, typename Finish>
void Mlp::backward(const float* dy, size_t dy_stride, RowMajor dx, bool add_bias_grad, const WeightTile& weight_tile, const Finish& finish) {
  if (layers_.empty()) return;
  const GemmKernels& gemm = gemm_kernels(form_.native);
  const size_t last = layers_.size() - 1;
  activation_grad(
      layers_[last], grad_[last % 2], add_bias_grad,
      [&](const Block& at, float* tile) { read_tile(dy, dy_stride, at.row, at.n, at.panel, layers_[last].out, tile); },
      [&](const Block& at, float* room) {
        read_tile(y_, y_stride_, at.row, at.n, at.panel, layers_[last].out, room);
        return room;
      });
  for (size_t i = layers_.size(); i-- > 0;) {
    Layer& layer = layers_[i];
    const Panels& gradient = grad_[i % 2];
    const size_t k = gradient.left_elements();
    const auto product = [&](const Block& at, const Panels* result, float* tile) {
      const float* w = layer.packed.backward(at.panel);
      gemm.rows(gradient.left(at.row), gradient.left_stride(), w, k, at.n, ahead_of(at, w, k, result, result == nullptr ? nullptr : &layer.input), tile);
    };
    if (i > 0) {
      Panels& result = grad_[(i - 1) % 2];
      const auto to_input = [&](const Block& at, float* tile) { product(at, &result, tile); };
      const auto output = [&](const Block& at, float* room) { return layer.input.read(at.row, at.n, at.panel, room); };
      activation_grad(layers_[i - 1], result, add_bias_grad, to_input, output);
    } else if (dx.data != nullptr) {
      for_tiles(rows_, panels_of(layer.in), [&](const Block& at, float* tile) {
        product(at, nullptr, tile);
        dx.write(at.row, at.n, at.panel, layer.in, tile);
      });
    }
    const auto meanwhile = [&](size_t op, size_t ip) {
      const float* touched = layer.weight_grad.empty() ? layer.weight.data() : layer.weight_grad.data();
      for_tile_rows(layer, op, ip, [&](size_t at, size_t, size_t n) {
        __builtin_prefetch(touched + at, 1);
        __builtin_prefetch(touched + at + n - 1, 1);
      });
      if (layer.weight_grad.empty()) layer.packed.prefetch_tile(op, ip);
    };
    for_gradient_tiles(gradient, layer.input, meanwhile, [&](size_t op, size_t ip, const float* tile) { weight_tile(layer, op, ip, tile); });
    finish(layer);
  }
}

/// Calls work(offset in the weights, offset in the tile, how many) for each row of a tile that the weights have.
template <typename Work>
void Mlp::for_tile_rows(const Layer& layer, size_t op, size_t ip, const Work& work) {
  const size_t outs = std::min(kPanel, layer.out - op * kPanel);
  const size_t ins = std::min(kPanel, layer.in - ip * kPanel);
  for (size_t o = 0; o < outs; ++o) work((op * kPanel + o) * layer.in + ip * kPanel, o * kPanel, ins);
}

void Mlp::keep_tile(Layer& layer, size_t op, size_t ip, const float* tile, bool add) {
  for_tile_rows(layer, op, ip, [&](size_t at, size_t from, size_t n) {
    float* kept = layer.weight_grad.data() + at;
    if (add) {
      kernels().axpy(kept, tile + from, 1.0F, n);
    } else {
      std::copy_n(tile + from, n, kept);
    }
  });
}

void Mlp::reserve_gradients() {
  for (Layer& layer : layers_) {
    if (layer.weight_grad.empty()) layer.weight_grad = Buffer<float>(layer.weight.size(), "MLP weight gradients");
  }
}

void Mlp::step(const float* dy, size_t dy_stride, float* dx, size_t dx_stride, float lr_factor) {
  if (std::any_of(layers_.begin(), layers_.end(), [](const Layer& layer) { return !layer.optimizers[0].plain(); })) reserve_gradients();
  const auto tile_of = [&](Layer& layer, size_t op, size_t ip, const float* tile) {
    if (!layer.optimizers[0].plain()) return keep_tile(layer, op, ip, tile, false);
    const float rate = -layer.optimizers[0].lr() * lr_factor;
    for_tile_rows(layer, op, ip, [&](size_t at, size_t from, size_t n) { kernels().axpy(layer.weight.data() + at, tile + from, rate, n); });
    layer.packed.pack_tile(layer.weight.data(), op, ip);
  };
  backward(dy, dy_stride, {dx, dx_stride}, false, tile_of, [&](Layer& layer) {
    if (!layer.optimizers[0].plain()) {
      layer.optimizers[0].step(layer.weight.data(), layer.weight_grad.data(), lr_factor);
      layer.packed.pack(layer.weight.data());
    }
    layer.optimizers[1].step(layer.bias.data(), layer.bias_grad.data(), lr_factor);
  });
}

void Mlp::accumulate(const float* dy, size_t dy_stride, float* dx, size_t dx_stride) {
  reserve_gradients();
  backward(
      dy, dy_stride, {dx, dx_stride}, kept_, [&](Layer& layer, size_t op, size_t ip, const float* tile) { keep_tile(layer, op, ip, tile, kept_); },
      [](Layer&) {});
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
    layer.packed.pack(layer.weight.data());
  }
  kept_ = false;
}

void Mlp::copy_last_input(float* to) const {
  const Panels& input = layers_.back().input;
  for_tiles(rows_, panels_of(input.cols()), [&](const Block& at, float* room) {
    RowMajor{to, input.cols()}.write(at.row, at.n, at.panel, input.cols(), input.read(at.row, at.n, at.panel, room));
  });
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
