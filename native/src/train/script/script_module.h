// A user's model from a TorchScript archive, checked before it is loaded.
#pragma once
#include <torch/csrc/jit/api/module.h>

#include <string>
#include <vector>

namespace sluice {

/// Checks the archive at `path` (check.h), loads it to the CPU, checks what LibTorch made of it, and prepares it for
/// run_forward(). No code of the model has run when this returns. Besides the errors of check_script_archive():
/// E_SCRIPT where LibTorch cannot compile it or it has no method forward.
torch::jit::Module load_script_module(const std::string& path);

/// The model's forward, ended by E_SCRIPT once `seconds` have passed, and E_TORCH naming what LibTorch reports. The limit is
/// looked at at the beginning of every function and every loop's body: it ends every endless loop, but it does not
/// interrupt a single operator. Runs on the calling thread.
c10::IValue run_forward(torch::jit::Module& module, std::vector<c10::IValue> inputs, double seconds);

/// The archive of the model with its present parameters, as torch.jit.load reads it anywhere. (Module::save() would write
/// the calls that run_forward() needs.) No forward may run meanwhile.
std::string serialize_script_module(torch::jit::Module& module);

}  // namespace sluice
