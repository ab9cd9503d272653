// A TorchScript model on random samples, on a GPU or, to compare, on the CPU.   run N: N steps -> {"seconds":…,"losses":[…]}
#include <stdexcept>

#include "gpu_part.h"

namespace sluice::bench {

namespace {

constexpr uint32_t kClasses = 10;

class GpuScript final : public OneBatch {
 public:
  GpuScript(Precision precision, Device device, size_t batch, const std::string& file, uint32_t dense, uint32_t side) {
    ScriptSpec spec;
    spec.file = file;
    spec.dense = dense;
    spec.outputs = kClasses;
    if (side > 0) spec.values = {side, side, 3};
    ModelOptions options;
    options.precision = precision;
    options.device = device;
    options.criterion = Criterion::kCrossEntropy;
    options.dense_optimizer.lr = 0.05F;
    options.dense_optimizer.momentum = 0.9F;
    model_ = make_model(spec, options);
    Rng rng(7);
    const auto normal = [&](std::vector<float>& to, size_t numbers) {
      to.resize(numbers);
      for (float& x : to) x = static_cast<float>(rng.normal());
    };
    normal(dense_, batch * dense);
    normal(values_, batch * side * side * 3);
    label(batch, kClasses, rng);
    batch_.dense = dense_.data();
    batch_.values = values_.data();
  }

 private:
  std::vector<float> dense_, values_;
};

}  // namespace

std::unique_ptr<Part> make_gpu_script(const Arguments& a) {
  if (a.size() != 6) throw std::invalid_argument("script: expected <fp32|bf16|fp16> <cuda|cpu> <batch> <file> <dense features> <side of images>");
  const auto number = [](const std::string& text) { return static_cast<uint32_t>(std::stoul(text)); };
  return std::make_unique<GpuScript>(precision_of(a[0]), device_of(a[1]), std::stoull(a[2]), a[3], number(a[4]), number(a[5]));
}

}  // namespace sluice::bench
