#include "cuda/cuda.h"

#include <cuda_runtime_api.h>

#include "base/error.h"
#include "cuda/net.h"

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

std::unique_ptr<Model> make_cuda_model(const ModelSpec& spec, const ModelOptions& options) {
  require_cuda();
  if (const auto* dlrm = std::get_if<DlrmSpec>(&spec)) return gpu::make_dlrm(*dlrm, options, [&](const ModelOptions& on_host) { return make_dlrm(*dlrm, on_host); });
  if (const auto* mlp = std::get_if<MlpSpec>(&spec)) return gpu::make_mlp(*mlp, options, [&](const ModelOptions& on_host) { return make_mlp(*mlp, on_host); });
  if (const auto* resnet = std::get_if<ResNetSpec>(&spec)) return make_resnet(*resnet, options);
  if (const auto* cnn = std::get_if<CnnSpec>(&spec)) return make_cnn(*cnn, options);
  if (const auto* transformer = std::get_if<TransformerSpec>(&spec)) return make_transformer(*transformer, options);
  return make_script_model(std::get<ScriptSpec>(spec), options);
}

}  // namespace sluice
