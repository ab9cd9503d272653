// The GPU as the rest of the core knows it. CMake chooses the files behind it: cuda.cpp and its kernels where LibTorch has
// CUDA and nvcc was there, else no_cuda.cpp, in which there is no device.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "train/model.h"

namespace sluice {

struct CudaDevice {
  std::string name;
  uint64_t memory = 0;     // bytes
  std::string capability;  // "9.0"
};

/// The devices that this build and the machine's driver can use; empty where there is none.
std::vector<CudaDevice> cuda_devices();

/// Throws E_DEVICE, with the reason, unless there is a device.
void require_cuda();

/// The model on the first device. E_DEVICE where there is none, or it cannot run the model; what the model's maker throws.
std::unique_ptr<Model> make_cuda_model(const ModelSpec& spec, const ModelOptions& options);

}  // namespace sluice
