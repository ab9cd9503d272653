// DistilBERT of its published size on random texts, on a GPU or, to compare, on the CPU.   run N: N steps -> {"seconds":…,"losses":[…]}
#include <stdexcept>

#include "gpu_part.h"

namespace sluice::bench {

namespace {

class GpuText final : public OneBatch {
 public:
  GpuText(Precision precision, Device device, size_t batch, uint32_t length, float dropout) {
    TransformerSpec spec;
    spec.length = length;
    spec.dropout = spec.classifier_dropout = dropout;
    spec.outputs = 2;
    ModelOptions options;
    options.precision = precision;
    options.device = device;
    options.criterion = Criterion::kCrossEntropy;
    options.dense_optimizer.kind = OptimizerKind::kAdamW;
    options.dense_optimizer.lr = 5e-5F;
    options.dense_optimizer.weight_decay = 0.01F;
    model_ = make_model(spec, options);
    auto* ids = room<int32_t>(batch * length);
    Rng rng(7);
    for (size_t r = 0; r < batch; ++r) {
      const size_t used = r == 0 ? length : length / 2 + rng.below(length / 2 + 1);
      for (size_t i = 0; i < length; ++i) ids[r * length + i] = i < used ? static_cast<int32_t>(1 + rng.below(spec.vocabulary - 1)) : 0;
    }
    label(batch, 2, rng);
    batch_.ids = ids;
  }
};

}  // namespace

std::unique_ptr<Part> make_gpu_text(const Arguments& a) {
  if (a.size() != 5) throw std::invalid_argument("text: expected <fp32|bf16|fp16> <cuda|cpu> <batch> <length> <dropout>");
  return std::make_unique<GpuText>(precision_of(a[0]), device_of(a[1]), std::stoull(a[2]), static_cast<uint32_t>(std::stoul(a[3])), std::stof(a[4]));
}

}  // namespace sluice::bench
