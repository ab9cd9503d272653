#include "cuda/cuda.h"
#include "train/kernels.h"
#include "train/model.h"

namespace sluice {

namespace {
std::unique_ptr<Model> make(const DlrmSpec& spec, const ModelOptions& options) { return make_dlrm(spec, options); }
std::unique_ptr<Model> make(const MlpSpec& spec, const ModelOptions& options) { return make_mlp(spec, options); }
std::unique_ptr<Model> make(const ResNetSpec& spec, const ModelOptions& options) { return make_resnet(spec, options); }
std::unique_ptr<Model> make(const CnnSpec& spec, const ModelOptions& options) { return make_cnn(spec, options); }
std::unique_ptr<Model> make(const TransformerSpec& spec, const ModelOptions& options) { return make_transformer(spec, options); }
std::unique_ptr<Model> make(const ScriptSpec& spec, const ModelOptions& options) { return make_script_model(spec, options); }
}  // namespace

std::unique_ptr<Model> make_model(const ModelSpec& spec, const ModelOptions& options) {
  instruction_set();  // a wrong SLUICE_INSTRUCTIONS is told here, not from within a parallel loop
  if (options.device == Device::kCuda) return make_cuda_model(spec, options);
  return std::visit([&](const auto& given) { return make(given, options); }, spec);
}

}  // namespace sluice
