#include "cuda/cuda.h"

#include <cuda_runtime_api.h>

#include "base/error.h"

namespace sluice {

std::vector<CudaDevice> cuda_devices() {
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess) return {};
  std::vector<CudaDevice> all;
  for (int i = 0; i < count; ++i) {
    cudaDeviceProp properties{};
    if (cudaGetDeviceProperties(&properties, i) != cudaSuccess) continue;
    all.push_back({properties.name, properties.totalGlobalMem, std::to_string(properties.major) + "." + std::to_string(properties.minor)});
  }
  return all;
}

void require_cuda() {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error != cudaSuccess) throw Error(code::kDevice, std::string("there is no CUDA device: ") + cudaGetErrorString(error));
  if (count == 0) throw Error(code::kDevice, "there is no CUDA device: the driver shows none (CUDA_VISIBLE_DEVICES may hide it)");
}

}  // namespace sluice
