// Which operators the code of a TorchScript model may use. Everything that is not listed is refused.
#pragma once
#include <string>

namespace sluice {

/// True for tensor computation and the handling of containers, numbers and strings: `name` as in torch.NAME or aten::NAME.
bool allowed_operator(const std::string& name);

/// The same for operators of another namespace: `name` as in ops.prim.NumToTensor, given as "prim.NumToTensor".
bool allowed_in_namespace(const std::string& name);

/// Names that the code may use without defining them: int, range, List, annotate … Those of allowed_root() only begin a
/// dotted name: torch.relu, __torch__.model.Net.
bool allowed_builtin(const std::string& name);
bool allowed_root(const std::string& name);

/// The node kinds of LibTorch's compiled form that are not aten operators: "prim::If" …
bool allowed_node(const std::string& kind);

}  // namespace sluice
