// ResNets on random pictures on a GPU.   run N: N steps -> {"seconds":…,"losses":[…]}
#include <stdexcept>

#include "gpu_part.h"

namespace sluice::bench {

namespace {

constexpr uint32_t kClasses = 1000;

class GpuImage final : public OneBatch {
 public:
  GpuImage(Precision precision, uint32_t depth, size_t batch, uint32_t side) {
    ResNetSpec spec;
    spec.depth = depth;
    spec.small_stem = side <= 64;
    spec.image = {side, side, 3};
    spec.outputs = kClasses;
    ModelOptions options;
    options.precision = precision;
    options.device = Device::kCuda;
    options.criterion = Criterion::kCrossEntropy;
    options.dense_optimizer.lr = 0.01F;
    options.dense_optimizer.momentum = 0.9F;
    model_ = make_model(spec, options);
    const size_t numbers = batch * side * side * 3;
    auto* values = room<float>(numbers);
    Rng rng(7);
    for (size_t i = 0; i < numbers; ++i) values[i] = static_cast<float>(rng.normal());
    label(batch, kClasses, rng);
    batch_.values = values;
  }
};

}  // namespace

std::unique_ptr<Part> make_gpu_image(const Arguments& a) {
  if (a.size() != 4) throw std::invalid_argument("image: expected <fp32|bf16|fp16> <depth> <batch> <side>");
  return std::make_unique<GpuImage>(precision_of(a[0]), static_cast<uint32_t>(std::stoul(a[1])), std::stoull(a[2]), static_cast<uint32_t>(std::stoul(a[3])));
}

}  // namespace sluice::bench
