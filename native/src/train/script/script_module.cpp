#include "train/script/script_module.h"

#include <ATen/core/grad_mode.h>
#include <caffe2/serialize/in_memory_adapter.h>
#include <torch/csrc/jit/serialization/import.h>

#include <cmath>
#include <sstream>

#include "base/error.h"
#include "train/script/check.h"
#include "train/script/graph_check.h"
#include "train/script/large_stack.h"

namespace sluice {

namespace {

constexpr size_t kMaxReport = 1'000;

/// What LibTorch says about code that it cannot compile: first the reason, then the place; later its own stack.
std::string first_lines(const std::string& text) { return text.substr(0, std::min(text.find("\nException raised from"), kMaxReport)); }

/// What LibTorch says about code that failed: first the places from the outermost on, last the reason.
std::string last_lines(const std::string& text) {
  const size_t reason = text.rfind("\nRuntimeError: ");
  const std::string report = first_lines(reason == std::string::npos ? text : text.substr(reason + 1));
  return report.substr(0, report.find_last_not_of('\n') + 1);
}

torch::jit::Module load_checked(const std::string& bytes, const std::string& path) {
  auto adapter = std::make_shared<caffe2::serialize::MemoryReadAdapter>(bytes.data(), static_cast<off_t>(bytes.size()));
  torch::jit::ExtraFilesMap none;
  torch::jit::Module module = torch::jit::load(std::move(adapter), c10::Device(c10::kCPU), none, false);
  check_compiled(module, path);
  if (!module.find_method("forward")) throw Error(code::kScript, path + ": the model has no method forward");
  insert_ticks(module);
  return module;
}

}  // namespace

torch::jit::Module load_script_module(const std::string& path) {
  const std::string bytes = read_script_archive(path);  // once: what is loaded is what was checked
  check_script_archive(bytes, path);
  torch::jit::Module module(c10::QualifiedName("__torch__.none"));
  on_large_stack([&] {
    try {
      module = load_checked(bytes, path);
    } catch (const Error&) {
      throw;
    } catch (const std::bad_alloc&) {
      throw Error(code::kMemory, path + ": not enough memory to load it");
    } catch (const std::exception& error) {
      throw Error(code::kScript, path + ": LibTorch cannot load it: " + first_lines(error.what()));
    }
  });
  return module;
}

c10::IValue run_forward(torch::jit::Module& module, std::vector<c10::IValue> inputs, double seconds) {
  if (!(seconds > 0) || seconds > 1e6) throw Error(code::kArgument, "the time limit of a forward pass is " + std::to_string(seconds) + " seconds; it must lie between 0 and a million");
  const torch::jit::Method forward = module.get_method("forward");
  const ScriptDeadline deadline(seconds);
  const c10::AutoGradMode keep_grad_mode(at::GradMode::is_enabled());  // the model's code may change it and then fail
  try {
    c10::IValue output = forward(std::move(inputs));
    return output;
  } catch (const std::bad_alloc&) {
    throw Error(code::kMemory, "not enough memory for the model's forward pass");
  } catch (const std::exception& error) {
    if (deadline.passed()) throw Error(code::kScript, "the model's forward pass took longer than " + std::to_string(seconds) + " seconds");
    throw Error(code::kTorch, "the model's forward pass failed: " + last_lines(error.what()));
  }
}

std::string serialize_script_module(torch::jit::Module& module) {
  remove_ticks(module);
  std::ostringstream archive;
  std::exception_ptr error;
  try {
    module.save(archive);
  } catch (...) {
    error = std::current_exception();
  }
  insert_ticks(module);
  if (error) std::rethrow_exception(error);
  return std::move(archive).str();
}

}  // namespace sluice
