// Stands in for the CUDA part in a build without it.
#include "base/error.h"
#include "cuda/cuda.h"

namespace sluice {

std::vector<CudaDevice> cuda_devices() { return {}; }

void require_cuda() { throw Error(code::kDevice, "there is no CUDA device: " SLUICE_CUDA_ABSENCE); }

std::unique_ptr<Model> make_cuda_model(const ModelSpec&, const ModelOptions&) {
  require_cuda();
  return nullptr;
}

}  // namespace sluice
