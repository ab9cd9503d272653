// The Yearbook net of Wild-Time (Yao et al., 2022, arXiv 2211.14238).
#include <ATen/ops/conv2d.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/max_pool2d.h>
#include <ATen/ops/relu.h>

#include <cmath>
#include <string>
#include <vector>

#include "base/error.h"
#include "train/models/initial.h"
#include "train/models/torch_model.h"

namespace sluice {

namespace {

constexpr int64_t kChannels = 32;
constexpr int kBlocks = 4;

class Cnn final : public TorchModel {
 public:
  Cnn(const CnnSpec& spec, const ModelOptions& options) : TorchModel("cnn", options, spec.outputs, {0, 0, size_t{spec.image.height} * spec.image.width * spec.image.channels, 0}), spec_(spec), initial_(options) {
    int64_t in = spec.image.channels;
    double pixels = static_cast<double>(spec.image.height) * spec.image.width;
    for (int i = 0; i < kBlocks; ++i) {
      layer("enc." + std::to_string(i) + ".0", {kChannels, in, 3, 3}, pixels);
      in = kChannels;
      pixels /= 4.0;
    }
    layer("fc", {spec.outputs, kChannels}, 1.0);
    set_embedding_width(kChannels);
  }

 private:
  struct Layer {
    at::Tensor weight, bias;
  };

  void layer(const std::string& name, const std::vector<int64_t>& shape, double pixels) {
    double inputs = 1.0;
    for (size_t i = 1; i < shape.size(); ++i) inputs *= static_cast<double>(shape[i]);
    const double bound = 1.0 / std::sqrt(inputs);
    layers_.push_back({take(name + ".weight", initial_.uniform(shape, bound)), take(name + ".bias", initial_.uniform({shape[0]}, bound))});
    add_flops(2.0 * static_cast<double>(layers_.back().weight.numel()) * pixels);
  }

  Output run(const Batch& batch, bool) override {
    at::Tensor x = images(batch, spec_.image);
    for (int i = 0; i < kBlocks; ++i) {
      at::Tensor y = at::conv2d(x, layers_[static_cast<size_t>(i)].weight, layers_[static_cast<size_t>(i)].bias, {1, 1}, {1, 1});
      x = at::max_pool2d(at::relu_(y), {2, 2});
    }
    const at::Tensor embeddings = x.mean({2, 3});
    return {at::linear(embeddings, layers_.back().weight, layers_.back().bias), embeddings};
  }

  CnnSpec spec_;
  Initial initial_;
  std::vector<Layer> layers_;
};

}  // namespace

std::unique_ptr<Model> make_cnn(const CnnSpec& spec, const ModelOptions& options) {
  constexpr uint32_t kLeast = 1U << kBlocks;  // each block halves the image
  if (spec.image.height < kLeast || spec.image.width < kLeast || spec.image.channels == 0) {
    throw Error(code::kShape, "cnn: expected images of at least " + std::to_string(kLeast) + " x " + std::to_string(kLeast) + ", got " +
                                  std::to_string(spec.image.height) + " x " + std::to_string(spec.image.width));
  }
  if (spec.outputs == 0) throw Error(code::kShape, "cnn: expected at least 1 output");
  return std::make_unique<Cnn>(spec, options);
}

}  // namespace sluice
