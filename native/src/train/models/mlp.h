// A multi-layer perceptron with ReLU between layers, its backward pass and its optimizer, in preallocated memory.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "base/rng.h"
#include "train/model.h"
#include "train/optimizer.h"
#include "train/panels.h"

namespace sluice {

class Mlp {
 public:
  /// sizes: input width, then each layer's width. relu_last: ReLU after the last layer too. `prefix` names parameters
  /// "<prefix>.<layer>.weight" [out, in] and ".bias" [out].
  Mlp(std::string prefix, std::vector<uint32_t> sizes, bool relu_last, const ModelOptions& options, Rng& rng);

  /// x [rows, sizes[0]], rows x_stride apart; the last layer writes y [rows, sizes.back()], rows y_stride apart.
  /// y must stay as it is until the backward pass.
  void forward(const float* x, size_t x_stride, size_t rows, float* y, size_t y_stride);

  /// dy: gradient at y. dx: gradient at x, or null where nobody needs it. Updates the parameters at once.
  void step(const float* dy, size_t dy_stride, float* dx, size_t dx_stride, float lr_factor);
  /// The same, but adds the parameters' gradients to those kept.
  void accumulate(const float* dy, size_t dy_stride, float* dx, size_t dx_stride);
  /// Of all kept gradients.
  double squared_gradient_norm() const;
  /// Updates the parameters from the kept gradients, which are then zero.
  void update(float lr_factor, float gradient_scale);

  /// Forgets the kept gradients.
  void drop() { kept_ = false; }

  std::vector<NamedTensor> parameters();
  void append_state(std::vector<NamedTensor>& all);
  void set_updates(uint64_t updates);
  /// The input of the last layer in the last forward(), as its product took it: [rows, last_width()].
  void copy_last_input(float* to) const;
  uint32_t last_width() const { return static_cast<uint32_t>(layers_.back().in); }
  /// Refreshes the packed weights after parameters were changed from outside.
  void refresh();
  uint32_t outputs() const { return sizes_.back(); }
  double flops_per_row() const;

 private:
  struct Layer {
    size_t in = 0;
    size_t out = 0;
    bool relu = false;
    Buffer<float> weight, bias;
    PackedWeights packed;       // what the products take; follows every change of weight
    Panels input;               // of the last forward()
    Buffer<float> weight_grad;  // empty until needed: plain SGD updates inside the product
    Buffer<float> bias_grad;
    std::vector<DenseOptimizer> optimizers;  // weight, bias; empty when not training
  };

  template <typename Gradient, typename Output>
  void activation_grad(Layer& layer, Panels& dy, bool add, const Gradient& gradient, const Output& output);
  template <typename WeightTile, typename Finish>
  void backward(const float* dy, size_t dy_stride, RowMajor dx, bool add_bias_grad, const WeightTile& weight_tile, const Finish& finish);
  template <typename Work>
  static void for_tile_rows(const Layer& layer, size_t op, size_t ip, const Work& work);
  static void keep_tile(Layer& layer, size_t op, size_t ip, const float* tile, bool add);
  void reserve_gradients();

  std::string prefix_;
  std::vector<uint32_t> sizes_;
  ModelOptions options_;
  Form form_;
  std::vector<Layer> layers_;
  bool kept_ = false;           // gradients are kept
  Panels grad_[2];              // gradients at the layers' outputs, used in turn
  Buffer<float> partial_sums_;  // [runs of rows, widest layer]
  // Of the last forward():
  size_t rows_ = 0;
  float* y_ = nullptr;
  size_t y_stride_ = 0;
};

}  // namespace sluice
