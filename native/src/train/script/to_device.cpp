#include "train/script/to_device.h"

#include <torch/csrc/jit/api/function_impl.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/ir/ir.h>

#include <algorithm>
#include <functional>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/error.h"

namespace sluice {

namespace {

using torch::jit::Block;
using torch::jit::Node;

bool is_cpu(const c10::Device& device) { return device.type() == c10::DeviceType::CPU; }

struct TensorHash {
  size_t operator()(const at::Tensor& tensor) const { return std::hash<const void*>()(tensor.unsafeGetTensorImpl()); }
};
struct TensorSame {
  bool operator()(const at::Tensor& a, const at::Tensor& b) const { return a.is_same(b); }
};

class Mover {
 public:
  Mover(const torch::jit::Module& module, c10::Device device, const std::string& path) : module_(module), device_(device), path_(path) {
    for (const auto& parameter : module.named_parameters()) take_name(parameter.value, parameter.name, true);
    for (const auto& buffer : module.named_buffers()) take_name(buffer.value, buffer.name, buffer.value.is_floating_point());
  }

  void move() {
    moved(module_._ivalue());
    for (torch::jit::Function* function : module_._ivalue()->compilation_unit()->get_functions()) {
      auto* compiled = torch::jit::tryToGraphFunction(*function);
      if (compiled != nullptr) move_code(compiled->graph()->block());
    }
  }

 private:
  void take_name(const at::Tensor& tensor, const std::string& name, bool stays) {
    if (!tensor.defined()) return;
    names_.emplace(tensor.unsafeGetTensorImpl(), name);
    if (stays) stay_.insert(tensor.unsafeGetTensorImpl());
    check_shared(tensor, name);
  }

  void check_shared(const at::Tensor& tensor, const std::string& name) {
    if (!tensor.has_storage() || tensor.numel() == 0) return;
    const auto [known, fresh] = owners_.emplace(tensor.storage().unsafeGetStorageImpl(), tensor.unsafeGetTensorImpl());
    if (fresh || known->second == tensor.unsafeGetTensorImpl()) return;
    throw Error(code::kDevice, path_ + ": " + names_[known->second] + " and " + name + " share memory, which they would not on a GPU; clone one of them before exporting, or leave out device: cuda");
  }

  at::Tensor moved_tensor(const at::Tensor& tensor) {
    if (!tensor.defined() || !is_cpu(tensor.device()) || stay_.count(tensor.unsafeGetTensorImpl()) != 0) return tensor;
    if (tensor.has_storage() && owners_.count(tensor.storage().unsafeGetStorageImpl()) != 0 && names_.count(tensor.unsafeGetTensorImpl()) == 0) check_shared(tensor, "another tensor");
    at::Tensor& there = moved_[tensor];
    if (!there.defined()) there = tensor.detach().to(device_);
    return there;
  }

  /// The value on the device; lists, dictionaries and objects change in place.
  c10::IValue moved(const c10::IValue& value) {
    if (value.isTensor()) return moved_tensor(value.toTensor());
    if (value.isDevice()) return is_cpu(value.toDevice()) ? c10::IValue(device_) : value;
    if (value.isList()) {
      auto list = value.toList();
      for (size_t i = 0; i < list.size(); ++i) list.set(i, moved(list.get(i)));
    } else if (value.isGenericDict()) {
      for (auto& entry : value.toGenericDict()) entry.setValue(moved(entry.value()));
    } else if (value.isTuple()) {
      std::vector<c10::IValue> parts = value.toTupleRef().elements().vec();
      for (c10::IValue& part : parts) part = moved(part);
      value.toTuple()->setElements(std::move(parts));
    } else if (value.isObject()) {
      const auto object = value.toObject();
      if (!objects_.insert(object.get()).second) return value;  // seen already
      for (size_t i = 0; i < object->slots().size(); ++i) object->setSlot(i, moved(object->getSlot(i)));
    }
    return value;
  }

  void move_code(Block* block) {
    for (Node* node : block->nodes()) {
      for (Block* child : node->blocks()) move_code(child);
      if (node->kind() == c10::prim::Constant) {
        move_constant(node);
      } else {
        name_device(node);
      }
    }
  }

  void move_constant(Node* node) {
    const auto value = torch::jit::toIValue(node->output());
    if (!value) return;
    if (value->isTensor()) {
      node->t_(c10::attr::value, moved_tensor(value->toTensor()));
    } else if (value->isDevice()) {
      if (is_cpu(value->toDevice())) node->s_(c10::attr::value, device_.str());
    } else if (node->hasAttribute(c10::attr::value) && node->kindOf(c10::attr::value) == torch::jit::AttributeKind::ival) {
      node->ival_(c10::attr::value, moved(*value));
    }
  }

  /// torch.zeros(3) and its like, which follow no tensor: where PyTorch's default device is meant.
  void name_device(Node* node) {
    const c10::FunctionSchema* schema = node->maybeSchema();
    if (schema == nullptr || !node->kind().is_aten()) return;
    const auto& arguments = schema->arguments();
    const auto is_tensor = [](const c10::Argument& a) { return a.type()->isSubtypeOf(*c10::TensorType::get()); };
    if (std::any_of(arguments.begin(), arguments.end(), is_tensor)) return;
    const auto index = schema->argumentIndexWithName("device");
    if (!index || static_cast<size_t>(*index) >= node->inputs().size() || !node->input(static_cast<size_t>(*index))->mustBeNone()) return;
    const torch::jit::WithInsertPoint before(node);
    node->replaceInput(static_cast<size_t>(*index), node->owningGraph()->insertConstant(device_));
  }

  const torch::jit::Module& module_;
  c10::Device device_;
  const std::string& path_;
  std::unordered_map<const c10::TensorImpl*, std::string> names_;  // of parameters and buffers
  std::unordered_set<const c10::TensorImpl*> stay_;
  std::unordered_map<const c10::StorageImpl*, const c10::TensorImpl*> owners_;
  std::unordered_set<const c10::ivalue::Object*> objects_;
  std::unordered_map<at::Tensor, at::Tensor, TensorHash, TensorSame> moved_;  // by the tensors that they were made of, which live on
};

}  // namespace

void move_to_device(const torch::jit::Module& module, c10::Device device, const std::string& path) { Mover(module, device, path).move(); }

bool tells_of_devices(const std::string& message) {
  static constexpr const char* kPhrases[] = {"same device", "is on cpu", "is on CPU", "and weight type (torch.cuda"};
  return std::any_of(std::begin(kPhrases), std::end(kPhrases), [&](const char* phrase) { return message.find(phrase) != std::string::npos; });
}

}  // namespace sluice
