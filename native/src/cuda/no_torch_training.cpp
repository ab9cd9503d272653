// Stands in for torch_training.cpp in a build without CUDA.
#include "cuda/cuda.h"
#include "cuda/torch_training.h"

namespace sluice {

std::unique_ptr<TorchTraining> make_torch_training(const ModelOptions&, uint32_t, const BatchWidths&, PassCode) {
  require_cuda();
  return nullptr;
}

}  // namespace sluice
