// ResNets on random pictures on a GPU.   run N: N steps -> {"seconds":…,"losses":[…]}
#include <stdexcept>

#include "base/rng.h"
#include "gpu_part.h"
#include "train/batch_memory.h"

namespace sluice::bench {

namespace {

constexpr uint32_t kClasses = 1000;

class GpuImage final : public Part {
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
    BatchMemory& memory = model_->batch_memory() != nullptr ? *model_->batch_memory() : host_memory();
    const size_t numbers = batch * side * side * 3;
    auto* values = static_cast<float*>(memory.allocate(numbers * sizeof(float)));  // for the life of the process
    Rng rng(7);
    for (size_t i = 0; i < numbers; ++i) values[i] = static_cast<float>(rng.normal());
    for (size_t i = 0; i < batch; ++i) labels_.push_back(static_cast<float>(rng.below(kClasses)));
    batch_.rows = batch;
    batch_.values = values;
    batch_.labels = labels_.data();
  }

  std::string answer(const std::string& command, size_t n) override {
    return command == "run" ? timed_steps(*model_, n, [&] { return batch_; }) : "";
  }

 private:
  std::unique_ptr<Model> model_;
  std::vector<float> labels_;
  Batch batch_;
};

}  // namespace

std::unique_ptr<Part> make_gpu_image(const Arguments& a) {
  if (a.size() != 4) throw std::invalid_argument("image: expected <fp32|bf16|fp16> <depth> <batch> <side>");
  return std::make_unique<GpuImage>(precision_of(a[0]), static_cast<uint32_t>(std::stoul(a[1])), std::stoull(a[2]), static_cast<uint32_t>(std::stoul(a[3])));
}

}  // namespace sluice::bench
