#include "train/script/graph_check.h"

#include <torch/csrc/jit/api/function_impl.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/ir/ir.h>

#include <algorithm>
#include <unordered_map>

#include "base/error.h"
#include "train/script/operators.h"
#include "train/script/tick.h"

namespace sluice {

namespace {

using torch::jit::Block;
using torch::jit::Function;
using torch::jit::Node;

constexpr uint64_t kMaxNodes = 3'000'000;  // after every call is replaced by what it calls, as LibTorch does before it runs a model
constexpr uint64_t kMaxDepth = 200;        // of blocks and calls in one another

/// All functions of the module's code: free ones, methods, initialisers.
std::vector<Function*> all_functions(const torch::jit::Module& module) {
  return module._ivalue()->compilation_unit()->get_functions();
}

torch::jit::Graph* graph_of(Function* function) {
  auto* compiled = torch::jit::tryToGraphFunction(*function);
  return compiled == nullptr ? nullptr : compiled->graph().get();
}

/// What a function costs once all that it calls is put into it.
struct Extent {
  uint64_t nodes = 0;
  uint64_t depth = 0;
};

class GraphCheck {
 public:
  explicit GraphCheck(const std::string& path) : path_(path) {}

  Extent extent(Function* function) {
    const auto known = extents_.find(function);
    if (known != extents_.end()) return known->second;
    extents_[function] = {kMaxNodes, kMaxDepth};  // what a function that calls itself is taken for
    torch::jit::Graph* graph = graph_of(function);
    if (graph == nullptr) refuse("the function '" + function->name() + "' has no code");
    const Extent found = extent(graph->block(), function->name());
    if (found.nodes > kMaxNodes) refuse("the function '" + function->name() + "' has more than " + std::to_string(kMaxNodes) + " operations with all that it calls");
    if (found.depth > kMaxDepth) refuse("the function '" + function->name() + "' nests blocks and calls more than " + std::to_string(kMaxDepth) + " deep");
    return extents_[function] = found;
  }

 private:
  [[noreturn]] void refuse(const std::string& what) const { throw Error(code::kScript, path_ + ": " + what); }

  Extent extent(Block* block, const std::string& function) {
    Extent sum;
    for (Node* node : block->nodes()) {
      const std::string kind = node->kind().toQualString();
      if (!allowed_node(kind)) refuse("the operator '" + kind + "' in the function '" + function + "' is not allowed");
      Extent inner = call(node);
      for (Block* child : node->blocks()) {
        const Extent found = extent(child, function);
        inner = {inner.nodes + found.nodes, std::max(inner.depth, found.depth)};
      }
      sum = {sum.nodes + inner.nodes + 1, std::max(sum.depth, inner.depth + 1)};
      sum.nodes = std::min(sum.nodes, 2 * kMaxNodes);
    }
    return sum;
  }

  Extent call(Node* node) {
    if (node->kind() == c10::prim::CallFunction) {
      const auto type = node->input(0)->type()->cast<c10::FunctionType>();
      if (!type) refuse("a call of an unknown function");
      return extent(type->function());
    }
    if (node->kind() == c10::prim::CallMethod) {
      const auto type = node->input(0)->type()->cast<c10::ClassType>();
      Function* method = type ? type->findMethod(node->s(c10::attr::name)) : nullptr;
      if (method == nullptr) refuse("a call of the method '" + node->s(c10::attr::name) + "' of an unknown class");
      return extent(method);
    }
    return {};
  }

  const std::string& path_;
  std::unordered_map<Function*, Extent> extents_;
};

/// Whether the value, with all that it holds, has the type. LibTorch's reader does not compare them, and its interpreter
/// trusts them.
bool has_type(const c10::IValue& value, const c10::TypePtr& type) {
  if (type->kind() == c10::TypeKind::OptionalType) return value.isNone() || has_type(value, type->castRaw<c10::OptionalType>()->getElementType());
  if (type->kind() == c10::TypeKind::UnionType) {
    const auto members = type->containedTypes();
    return std::any_of(members.begin(), members.end(), [&](const c10::TypePtr& member) { return has_type(value, member); });
  }
  if (value.isObject()) {
    const auto object = value.toObject();
    const auto declared = type->cast<c10::ClassType>();
    if (!declared || object->type() != declared || object->slots().size() != declared->numAttributes()) return false;
    for (size_t i = 0; i < declared->numAttributes(); ++i) {
      if (!has_type(object->getSlot(i), declared->getAttribute(i))) return false;
    }
    return true;
  }
  if (value.isList()) {
    const auto* list = type->castRaw<c10::ListType>();
    const auto items = value.toListRef();
    return list != nullptr && *value.toList().elementType() == *list->getElementType() &&
           std::all_of(items.begin(), items.end(), [&](const c10::IValue& item) { return has_type(item, list->getElementType()); });
  }
  if (value.isGenericDict()) {
    const auto* dict = type->castRaw<c10::DictType>();
    if (dict == nullptr) return false;
    const auto entries = value.toGenericDict();
    if (*entries.keyType() != *dict->getKeyType() || *entries.valueType() != *dict->getValueType()) return false;
    return std::all_of(entries.begin(), entries.end(), [&](const auto& entry) { return has_type(entry.key(), dict->getKeyType()) && has_type(entry.value(), dict->getValueType()); });
  }
  if (value.isTuple()) {
    const auto* tuple = type->castRaw<c10::TupleType>();
    const auto& items = value.toTupleRef().elements();
    if (tuple == nullptr || items.size() != tuple->elements().size()) return false;
    for (size_t i = 0; i < items.size(); ++i) {
      if (!has_type(items[i], tuple->elements()[i])) return false;
    }
    return true;
  }
  const bool plain = value.isNone() || value.isTensor() || value.isInt() || value.isDouble() || value.isBool() || value.isString() || value.isDevice() || value.isComplexDouble() || value.isEnum();
  return plain && value.type()->isSubtypeOf(*type);
}

void insert_tick(torch::jit::Graph* graph, Block* block) {
  Node* node = graph->create(tick_symbol(), 0);
  block->prependNode(node);
}

void insert_in_loops(torch::jit::Graph* graph, Block* block) {
  for (Node* node : block->nodes()) {
    for (Block* child : node->blocks()) {
      insert_in_loops(graph, child);
      if (node->kind() == c10::prim::Loop) insert_tick(graph, child);
    }
  }
}

void remove_in(Block* block) {
  for (auto it = block->nodes().begin(); it != block->nodes().end(); ++it) {
    for (Block* child : it->blocks()) remove_in(child);
    if (it->kind() == tick_symbol()) it.destroyCurrent();
  }
}

}  // namespace

void check_compiled(const torch::jit::Module& module, const std::string& path) {
  GraphCheck check(path);
  for (Function* function : all_functions(module)) check.extent(function);
  const auto type = module.type();
  for (size_t i = 0; i < type->numAttributes(); ++i) {
    if (!has_type(module._ivalue()->getSlot(i), type->getAttribute(i))) {
      throw Error(code::kScript, path + ": the attribute '" + type->getAttributeName(i) + "' holds a value that is not of its type " + type->getAttribute(i)->repr_str());
    }
  }
}

void insert_ticks(const torch::jit::Module& module) {
  for (Function* function : all_functions(module)) {
    torch::jit::Graph* graph = graph_of(function);
    insert_in_loops(graph, graph->block());
    insert_tick(graph, graph->block());
  }
}

void remove_ticks(const torch::jit::Module& module) {
  for (Function* function : all_functions(module)) remove_in(graph_of(function)->block());
}

}  // namespace sluice
