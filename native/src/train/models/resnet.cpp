// ResNet (He et al., 2016, arXiv 1512.03385) in the variant of torchvision: a bottleneck's stride lies in its 3 x 3 convolution.
#include <ATen/ops/conv2d.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/max_pool2d.h>

#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "base/error.h"
#include "train/models/batch_norm.h"
#include "train/models/initial.h"
#include "train/models/torch_model.h"

namespace sluice {

namespace {

/// Blocks of each of the four layers.
struct Plan {
  std::array<int, 4> blocks;
  bool bottleneck;
};

Plan plan_of(uint32_t depth) {
  switch (depth) {
    case 18: return {{2, 2, 2, 2}, false};
    case 34: return {{3, 4, 6, 3}, false};
    case 50: return {{3, 4, 6, 3}, true};
    case 101: return {{3, 4, 23, 3}, true};
    case 152: return {{3, 8, 36, 3}, true};
    default: throw Error(code::kShape, "resnet: depth: expected 18, 34, 50, 101 or 152, got " + std::to_string(depth));
  }
}

struct ConvNorm {
  at::Tensor weight;
  BatchNorm norm;
  int64_t stride;
  int64_t padding;
};

struct Block {
  std::vector<ConvNorm> convolutions;
  std::vector<ConvNorm> downsample;  // none or one
};

class ResNet final : public TorchModel {
 public:
  ResNet(const ResNetSpec& spec, const ModelOptions& options)
      : TorchModel("resnet", options, spec.outputs, {0, 0, size_t{spec.image.height} * spec.image.width * spec.image.channels, 0}), spec_(spec), initial_(options), height_(spec.image.height), width_(spec.image.width) {
    const Plan plan = plan_of(spec.depth);
    int64_t channels = 64;
    const int64_t side = spec.small_stem ? 3 : 7;
    stem_ = convolution("conv1", "bn1", spec.image.channels, channels, side, spec.small_stem ? 1 : 2, side / 2);
    if (!spec.small_stem) halve();
    for (int layer = 0; layer < 4; ++layer) {
      for (int i = 0; i < plan.blocks[static_cast<size_t>(layer)]; ++i) {
        const std::string name = "layer" + std::to_string(layer + 1) + "." + std::to_string(i) + ".";
        blocks_.push_back(block(name, plan.bottleneck, channels, int64_t{64} << layer, layer > 0 && i == 0 ? 2 : 1));
      }
    }
    const double bound = 1.0 / std::sqrt(static_cast<double>(channels));  // torch.nn.Linear's
    weight_ = take("fc.weight", initial_.uniform({spec.outputs, channels}, bound));
    bias_ = take("fc.bias", initial_.uniform({spec.outputs}, bound));
    add_flops(2.0 * static_cast<double>(weight_.numel()));
    set_embedding_width(static_cast<uint32_t>(channels));
  }

 private:
  void halve() {
    height_ = (height_ + 1) / 2;
    width_ = (width_ + 1) / 2;
  }

  ConvNorm convolution(const std::string& name, const std::string& norm, int64_t in, int64_t out, int64_t side, int64_t stride, int64_t padding) {
    ConvNorm result;
    result.stride = stride;
    result.padding = padding;
    result.weight = take(name + ".weight", initial_.normal({out, in, side, side}, std::sqrt(2.0 / static_cast<double>(out * side * side))));
    result.norm.weight = take(norm + ".weight", Initial::constant({out}, 1.0));
    result.norm.bias = take(norm + ".bias", Initial::constant({out}, 0.0));
    result.norm.mean = take(norm + ".running_mean", Initial::constant({out}, 0.0), false);
    result.norm.variance = take(norm + ".running_var", Initial::constant({out}, 1.0), false);
    if (stride == 2) halve();
    add_flops(2.0 * static_cast<double>(result.weight.numel()) * static_cast<double>(height_) * static_cast<double>(width_));
    return result;
  }

  /// `channels` are those that come in, and then those that go out.
  Block block(const std::string& name, bool bottleneck, int64_t& channels, int64_t width, int64_t stride) {
    const int64_t in = channels;
    const int64_t before[] = {height_, width_};
    Block result;
    if (bottleneck) {
      channels = 4 * width;
      result.convolutions.push_back(convolution(name + "conv1", name + "bn1", in, width, 1, 1, 0));
      result.convolutions.push_back(convolution(name + "conv2", name + "bn2", width, width, 3, stride, 1));
      result.convolutions.push_back(convolution(name + "conv3", name + "bn3", width, channels, 1, 1, 0));
    } else {
      channels = width;
      result.convolutions.push_back(convolution(name + "conv1", name + "bn1", in, width, 3, stride, 1));
      result.convolutions.push_back(convolution(name + "conv2", name + "bn2", width, width, 3, 1, 1));
    }
    if (stride == 1 && in == channels) return result;
    height_ = before[0];
    width_ = before[1];
    result.downsample.push_back(convolution(name + "downsample.0", name + "downsample.1", in, channels, 1, stride, 0));
    return result;
  }

  static at::Tensor apply(const ConvNorm& c, const at::Tensor& x, const at::Tensor& residual, bool relu, bool training) {
    const at::Tensor y = at::conv2d(x, c.weight, {}, {c.stride, c.stride}, {c.padding, c.padding});
    return batch_norm(y, c.norm, residual, relu, training);
  }

  static at::Tensor apply(const Block& block, const at::Tensor& x, bool training) {
    at::Tensor y = x;
    for (size_t i = 0; i + 1 < block.convolutions.size(); ++i) y = apply(block.convolutions[i], y, {}, true, training);
    const at::Tensor shortcut = block.downsample.empty() ? x : apply(block.downsample[0], x, {}, false, training);
    return apply(block.convolutions.back(), y, shortcut, true, training);
  }

  Output run(const Batch& batch, bool training) override {
    at::Tensor x = apply(stem_, images(batch, spec_.image), {}, true, training);
    if (!spec_.small_stem) x = at::max_pool2d(x, {3, 3}, {2, 2}, {1, 1});
    for (const Block& block : blocks_) x = apply(block, x, training);
    const at::Tensor embeddings = x.mean({2, 3});
    return {at::linear(embeddings, weight_, bias_), embeddings};
  }

  ResNetSpec spec_;
  Initial initial_;
  int64_t height_, width_;  // of the images at the layer that is being made
  ConvNorm stem_;
  std::vector<Block> blocks_;
  at::Tensor weight_, bias_;
};

}  // namespace

std::unique_ptr<Model> make_resnet(const ResNetSpec& spec, const ModelOptions& options) {
  if (spec.image.height == 0 || spec.image.width == 0 || spec.image.channels == 0) throw Error(code::kShape, "resnet: expected images of at least one pixel");
  if (spec.outputs == 0) throw Error(code::kShape, "resnet: expected at least 1 output");
  return std::make_unique<ResNet>(spec, options);
}

}  // namespace sluice
