// A TorchScript model as if it had been exported on a GPU.
#pragma once
#include <c10/core/Device.h>

#include <string>

namespace torch::jit {
struct Module;
}

namespace sluice {

/// Moves to `device` what the trainer does not move as a parameter: other tensors of the module, those in lists and dictionaries too,
/// and constants of its code; and makes code that asks for the CPU, as a traced model's does, or makes a tensor on no named device, ask
/// for `device`. The parameters and floating-point buffers are where they were. Before the first forward. E_DEVICE, naming `path`
/// and the two, where a parameter or buffer shares memory with another tensor: once moved they would be apart.
void move_to_device(const torch::jit::Module& module, c10::Device device, const std::string& path);

/// Whether a message of LibTorch's says that tensors lie on different devices.
bool tells_of_devices(const std::string& message);

}  // namespace sluice
