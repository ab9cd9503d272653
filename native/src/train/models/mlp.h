// A multi-layer perceptron with ReLU between layers, its backward pass and its optimizer, in preallocated memory.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "base/rng.h"
#include "train/compute.h"
#include "train/model.h"
#include "train/optimizer.h"

namespace sluice {

class Mlp {
 public:
  /// sizes: input width, then each layer's width. relu_last: ReLU after the last layer too. `prefix` names parameters
  /// "<prefix>.<layer>.weight" [out, in] and ".bias" [out].
  Mlp(std::string prefix, std::vector<uint32_t> sizes, bool relu_last, const ModelOptions& options, Rng& rng);

  /// x [rows, sizes[0]], rows x_stride apart; the last layer writes y [rows, sizes.back()], rows y_stride apart.
  /// x and y must stay as they are until backward().
  void forward(const float* x, size_t x_stride, size_t rows, float* y, size_t y_stride);

  /// dy: gradient at y, overwritten. dx: gradient at x, or null where nobody needs it. Updates the parameters at once.
  void step(float* dy, size_t dy_stride, float* dx, size_t dx_stride, float lr_factor);
  /// The same, but adds the parameters' gradients to those kept.
  void accumulate(float* dy, size_t dy_stride, float* dx, size_t dx_stride);
  /// Of all kept gradients.
  double squared_gradient_norm() const;
  /// Updates the parameters from the kept gradients, which are then zero.
  void update(float lr_factor, float gradient_scale);

  std::vector<NamedTensor> parameters();
  void append_state(std::vector<NamedTensor>& all);
  void set_updates(uint64_t updates);
  /// Of the last forward(): the input of the last layer [rows, last_width()], and how far apart its rows are.
  const float* last_input() const { return layers_.size() > 1 ? layers_[layers_.size() - 2].activation.data() : x_; }
  size_t last_input_stride() const { return layers_.size() > 1 ? padded_stride(layers_.back().in) : x_stride_; }
  uint32_t last_width() const { return static_cast<uint32_t>(layers_.back().in); }
  /// Refreshes the bf16 copies after parameters were changed from outside.
  void refresh();
  uint32_t outputs() const { return sizes_.back(); }
  double flops_per_row() const;

 private:
  struct Layer {
    size_t in = 0;
    size_t out = 0;
    bool relu = false;
    Buffer<float> weight, bias;
    Buffer<float> rounded;      // weight rounded to bf16; empty in fp32
    Buffer<float> activation;   // [capacity, out], rows padded_stride(out) apart; empty for the last layer
    Buffer<float> weight_grad;  // empty until needed: plain SGD updates inside the product
    Buffer<float> bias_grad;
    std::vector<DenseOptimizer> optimizers;  // weight, bias; empty when not training
    const float* weights_in_use() const { return rounded.empty() ? weight.data() : rounded.data(); }
  };

  void reserve(size_t rows);
  void forward_layer(Layer& layer, const float* x, size_t x_stride, float* y, size_t y_stride);
  template <typename WeightGradient>
  void backward(float* dy, size_t dy_stride, float* dx, size_t dx_stride, bool add_bias_grad, const WeightGradient& weight_gradient);
  void activation_grad(Layer& layer, float* dy, size_t dy_stride, const float* y, size_t y_stride, bool add);
  void weight_gradient(Layer& layer, const float* dy, size_t dy_stride, const float* x, size_t x_stride, bool add);
  void round(Layer& layer);
  GemmPrecision precision() const { return bf16_ ? GemmPrecision::kBf16 : GemmPrecision::kFp32; }

  std::string prefix_;
  std::vector<uint32_t> sizes_;
  ModelOptions options_;
  bool bf16_;
  std::vector<Layer> layers_;
  size_t capacity_ = 0;
  bool kept_ = false;            // gradients are kept
  Buffer<float> grad_[2];        // gradients at hidden activations, used in turn
  Buffer<float> partial_sums_;   // [threads, widest layer]
  // Of the last forward():
  size_t rows_ = 0;
  const float* x_ = nullptr;
  size_t x_stride_ = 0;
  float* y_ = nullptr;
  size_t y_stride_ = 0;
};

}  // namespace sluice
