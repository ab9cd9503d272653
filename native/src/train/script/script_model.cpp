// Any PyTorch model as a TorchScript archive.
#include <ATen/ops/from_blob.h>
#include <torch/csrc/jit/runtime/graph_executor.h>

#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "train/models/torch_model.h"
#include "train/script/script_module.h"
#include "train/script/to_device.h"

namespace sluice {

namespace {

BatchWidths widths_of(const ScriptSpec& spec) {
  size_t values = spec.values.empty() ? 0 : 1;
  for (const uint32_t size : spec.values) values *= size;
  return {spec.dense, spec.tables, values, spec.ids};
}

class ScriptModel final : public TorchModel {
 public:
  ScriptModel(const ScriptSpec& spec, const ModelOptions& options)
      : TorchModel(spec.file, options, spec.outputs, widths_of(spec), PassCode::kUsers), spec_(spec), module_(load_script_module(spec.file)) {
    if (on_gpu()) move_to_device(module_, device(), name());
    for (const auto& parameter : module_.named_parameters()) take_checked(parameter.name, parameter.value, parameter.value.requires_grad());
    for (const auto& buffer : module_.named_buffers()) {
      if (buffer.value.is_floating_point()) take_checked(buffer.name, buffer.value, false);
    }
    check_inputs();
  }

 private:
  void take_checked(const std::string& parameter, const at::Tensor& value, bool trained) {
    if (value.scalar_type() != at::kFloat) {
      throw Error(code::kScript, name() + ": " + parameter + " is of type " + c10::toString(value.scalar_type()) + "; export the model in float32");
    }
    add_flops(2.0 * static_cast<double>(take(parameter, value, trained).numel()));
  }

  /// The kinds of features that the pipeline has, in the order that forward takes them in.
  std::vector<std::string> given() const {
    std::vector<std::string> kinds;
    if (spec_.dense > 0) kinds.emplace_back("dense");
    if (spec_.tables > 0) kinds.emplace_back("categorical");
    if (!spec_.values.empty()) kinds.emplace_back("tensor");
    if (spec_.ids > 0) kinds.emplace_back("tokens");
    return kinds;
  }

  /// Throws unless forward takes as many inputs as the pipeline has kinds of features.
  void check_inputs() {
    const auto& arguments = module_.get_method("forward").function().getSchema().arguments();
    const std::vector<std::string> kinds = given();
    size_t needed = 0;
    for (const auto& argument : arguments) needed += argument.default_value() ? 0 : 1;
    if (kinds.size() + 1 >= needed && kinds.size() + 1 <= arguments.size()) return;
    std::string order;
    for (const std::string& kind : kinds) order += (order.empty() ? "" : ", then ") + kind;
    throw Error(code::kShape, name() + ": its forward takes " + std::to_string(needed - 1) + " inputs, but the pipeline's features give " + std::to_string(kinds.size()) +
                                  (kinds.size() > 1 ? " (" + order + ")" : ""));
  }

  std::vector<c10::IValue> inputs_of(const Batch& batch) const {
    const at::TensorOptions floats = at::TensorOptions(at::kFloat).device(device());
    const at::TensorOptions ints = at::TensorOptions(at::kInt).device(device());
    const auto rows = static_cast<int64_t>(batch.rows);
    std::vector<c10::IValue> inputs;
    if (spec_.dense > 0) inputs.emplace_back(at::from_blob(const_cast<float*>(batch.dense), {rows, spec_.dense}, floats));
    if (spec_.tables > 0) {
      const at::Tensor by_table = at::from_blob(const_cast<int32_t*>(batch.categorical), {spec_.tables, rows}, ints);
      inputs.emplace_back(by_table.t().to(at::kLong).contiguous());
    }
    if (spec_.values.size() == 3) {
      inputs.emplace_back(images(batch, {spec_.values[0], spec_.values[1], spec_.values[2]}));
    } else if (!spec_.values.empty()) {
      std::vector<int64_t> shape{rows};
      shape.insert(shape.end(), spec_.values.begin(), spec_.values.end());
      inputs.emplace_back(at::from_blob(const_cast<float*>(batch.values), shape, floats));
    }
    if (spec_.ids > 0) inputs.emplace_back(at::from_blob(const_cast<int32_t*>(batch.ids), {rows, spec_.ids}, ints).to(at::kLong));
    return inputs;
  }

  Output run(const Batch& batch, bool training) override {
    module_.train(training);
    const c10::IValue out = forward(inputs_of(batch));
    if (out.isTensor()) return {here(out.toTensor()), {}};
    if (out.isTuple()) {
      const auto& parts = out.toTupleRef().elements();
      if (parts.size() == 2 && parts[0].isTensor() && parts[1].isTensor()) return {here(parts[0].toTensor()), parts[1].toTensor()};
    }
    throw Error(code::kShape, name() + ": its forward gives a " + out.tagKind() + "; expected logits, or logits and embeddings");
  }

  c10::IValue forward(std::vector<c10::IValue> inputs) {
    if (!on_gpu()) return run_forward(module_, std::move(inputs), spec_.seconds);
    // As it is written: LibTorch's optimizer would take other kernels after the first passes, also for random numbers, and a training
    // that goes on would not end as one that was not stopped.
    const torch::jit::GraphOptimizerEnabledGuard as_written(false);
    try {
      return run_forward(module_, std::move(inputs), spec_.seconds);
    } catch (const Error& error) {
      if (tells_of_devices(error.what())) stays_on_cpu(error.what());
      throw;
    }
  }

  at::Tensor here(const at::Tensor& logits) const {
    if (logits.device().type() != device().type()) stays_on_cpu("its forward gives logits on " + logits.device().str());
    return logits;
  }

  [[noreturn]] void stays_on_cpu(const std::string& what) const {
    throw Error(code::kDevice, name() + ": not everything that its code makes is on the GPU: " + what + "; make tensors on an input's device (device=x.device) and export it again, or leave out device: cuda");
  }

  ScriptSpec spec_;
  torch::jit::Module module_;
};

}  // namespace

std::unique_ptr<Model> make_script_model(const ScriptSpec& spec, const ModelOptions& options) {
  if (spec.dense == 0 && spec.tables == 0 && spec.values.empty() && spec.ids == 0) throw Error(code::kShape, "torchscript: expected at least one feature");
  return std::make_unique<ScriptModel>(spec, options);
}

}  // namespace sluice
