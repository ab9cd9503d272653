// Model files: native/src/modelstore/safetensors.h.
#include "guard.h"
#include "modelstore/safetensors.h"
#include "module.h"

namespace sluice::bindings {

namespace {

Napi::Object write_tensor(Napi::Env env, const TensorInfo& tensor) {
  const Napi::Array shape = Napi::Array::New(env, tensor.shape.size());
  for (uint32_t i = 0; i < tensor.shape.size(); ++i) shape.Set(i, static_cast<double>(tensor.shape[i]));
  const Napi::Object object = Napi::Object::New(env);
  object.Set("name", tensor.name);
  object.Set("dtype", tensor.dtype);
  object.Set("shape", shape);
  return object;
}

// C++: SafetensorsHeader read_safetensors_header(const std::string& path)
// TS:  model_header(path: string): { tensors: RawTensor[]; metadata: Record<string, string> };
Napi::Value model_header(Call& call) {
  const SafetensorsHeader header = read_safetensors_header(call.arg(0, "path").path_text());
  const Napi::Array tensors = Napi::Array::New(call.env(), header.tensors.size());
  for (uint32_t i = 0; i < header.tensors.size(); ++i) tensors.Set(i, write_tensor(call.env(), header.tensors[i]));
  const Napi::Object metadata = Napi::Object::New(call.env());
  for (const auto& [key, value] : header.metadata) {
    // Defined, not set: a key "__proto__" is a key like any other.
    metadata.DefineProperty(Napi::PropertyDescriptor::Value(
        Napi::String::New(call.env(), key), Napi::String::New(call.env(), value), napi_default_jsproperty));
  }
  const Napi::Object result = Napi::Object::New(call.env());
  result.Set("tensors", tensors);
  result.Set("metadata", metadata);
  return result;
}

}  // namespace

void define_modelstore(Napi::Object exports) { define<model_header>(exports, "model_header"); }

}  // namespace sluice::bindings
