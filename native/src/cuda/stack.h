// Dense layers on the GPU: parameters of all of them in one array, activations in preallocated memory. Sizes are rounded up to multiples of
// eight, which the matrix products like; what is added stays zero.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "cuda/kernels.h"
#include "cuda/runtime.h"

namespace sluice::gpu {

template <typename T>
constexpr Number number_of() {
  return std::is_same_v<T, float> ? Number::kFloat : std::is_same_v<T, c10::BFloat16> ? Number::kBf16 : Number::kHalf;
}

/// The sum of n numbers on the device, in a fixed order. Waits for it.
inline double sum_of(const double* numbers, uint64_t n) {
  Array<double> before;
  while (true) {
    const uint64_t items = SumDoubles::items(n);
    Array<double> sums(items, "sums");
    launch(SumDoubles{numbers, n, sums.data(), 1.0}, items);
    if (items == 1) {
      double total = 0.0;
      copy_rows(&total, 0, sums.data(), 0, sizeof total, 1, Copy::kToHost);
      return total;
    }
    before = std::move(sums);  // `numbers` of the next round
    numbers = before.data();
    n = items;
  }
}

/// A parameter's place in device memory: rows of `cols` numbers, `pitch` apart.
struct Place {
  std::string name;
  size_t at = 0;  // in the array of its kind
  size_t rows = 0;
  size_t cols = 0;
  size_t pitch = 0;
};

struct Layer {
  uint32_t in = 0;
  uint32_t out = 0;
  bool relu = false;
  size_t weight = 0;  // where the parameters begin in the array of all
  size_t bias = 0;
};

/// Where the parameters of all layers lie; each begins at a multiple of kBlock.
class DenseLayout {
 public:
  /// Adds layers from sizes[0] inputs on, with ReLU after each but the last, or after that too. Parameters are
  /// "<prefix>.<layer>.weight" and ".bias".
  std::vector<Layer> add(const std::string& prefix, const std::vector<uint32_t>& sizes, bool relu_last) {
    std::vector<Layer> layers;
    for (size_t i = 0; i + 1 < sizes.size(); ++i) {
      Layer layer{round_up(sizes[i], 8), round_up(sizes[i + 1], 8), relu_last || i + 2 < sizes.size(), 0, 0};
      const std::string name = prefix + "." + std::to_string(i);
      layer.weight = add_place({name + ".weight", 0, sizes[i + 1], sizes[i], layer.in}, size_t{layer.in} * layer.out);
      layer.bias = add_place({name + ".bias", 0, 1, sizes[i + 1], layer.out}, layer.out);
      layers.push_back(layer);
    }
    return layers;
  }
  const std::vector<Place>& places() const { return places_; }
  size_t size() const { return size_; }

 private:
  size_t add_place(Place place, size_t size) {
    place.at = size_;
    places_.push_back(place);
    size_ += blocks_of(size, kBlock) * kBlock;
    return place.at;
  }

  std::vector<Place> places_;
  size_t size_ = 0;
};

/// What the layers of a stack compute with: their parameters as the products read them, and gradients.
template <typename T>
struct DenseArrays {
  T* weights = nullptr;
  float* gradients = nullptr;
  float* partial = nullptr;  // [row blocks of a batch, widest layer]
  T* down[2] = {};           // gradients at hidden activations, used in turn: [batch, widest layer]
};

template <typename T>
class Stack {
 public:
  Stack() = default;
  explicit Stack(std::vector<Layer> layers) : layers_(std::move(layers)), activations_(layers_.size()) {}

  void reserve(size_t rows) {
    for (size_t i = 0; i < layers_.size(); ++i) activations_[i] = Array<T>(rows * layers_[i].out, "activations");
  }

  /// x [rows, in of the first layer].
  void forward(const DenseArrays<T>& arrays, T* x, uint32_t rows) {
    input_ = x;
    for (size_t i = 0; i < layers_.size(); ++i) {
      const Layer& layer = layers_[i];
      linear(view(activations_[i].data(), rows, layer.out), view(x, rows, layer.in), weight(arrays, layer), arrays.weights + layer.bias, layer.relu);
      x = activations_[i].data();
    }
  }

  /// From dy, the gradient at output(), which is overwritten, to the parameters' gradients and dx, if not null, that at the input.
  void backward(const DenseArrays<T>& arrays, T* dy, T* dx, uint32_t rows) {
    for (size_t i = layers_.size(); i-- > 0;) {
      const Layer& layer = layers_[i];
      const ActivationGrad<T> activation{dy, activations_[i].data(), arrays.partial, rows, layer.out, layer.relu};
      launch(activation, activation.items());
      const FinishColumns columns{arrays.partial, arrays.gradients + layer.bias, activation.row_blocks(), layer.out};
      launch(columns, columns.items());
      T* x = i > 0 ? activations_[i - 1].data() : input_;
      multiply_transposed({arrays.gradients + layer.weight, Number::kFloat, layer.out, layer.in}, view(dy, rows, layer.out), view(x, rows, layer.in));
      T* down = i > 0 ? arrays.down[i % 2] : dx;
      if (down != nullptr) multiply(view(down, rows, layer.in), view(dy, rows, layer.out), weight(arrays, layer));
      dy = down;
    }
  }

  bool empty() const { return layers_.empty(); }
  T* output() const { return activations_.back().data(); }
  uint32_t output_width() const { return layers_.back().out; }
  /// Input of the last layer in the last forward().
  T* last_input() const { return layers_.size() > 1 ? activations_[layers_.size() - 2].data() : input_; }
  uint32_t last_input_width() const { return layers_.back().in; }

 private:
  static View view(T* data, size_t rows, size_t cols) { return {data, number_of<T>(), rows, cols}; }
  static View weight(const DenseArrays<T>& arrays, const Layer& layer) { return view(arrays.weights + layer.weight, layer.out, layer.in); }

  std::vector<Layer> layers_;
  std::vector<Array<T>> activations_;
  T* input_ = nullptr;
};

}  // namespace sluice::gpu
