// Reads a pickle of a TorchScript archive without building anything: a walk over its opcodes that knows only what kind of
// value each one leaves on the stack.
#pragma once
#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <string_view>

namespace sluice {

struct PickleRules {
  std::string where;                                                  // for messages: the archive's path and the pickle's name
  std::set<std::string> classes;                                      // names of the classes that the archive's code defines
  std::function<int64_t(const std::string& record)> storage_bytes;    // of a tensor's record by its key, -1 where there is none
};

/// Throws E_CORRUPT or E_SCRIPT, naming place and opcode or class, unless the pickle uses only what PyTorch writes for a
/// module: attributes of the archive's own classes, containers, numbers, strings and tensors that lie inside their storage.
void scan_pickle(std::string_view bytes, const PickleRules& rules);

}  // namespace sluice
