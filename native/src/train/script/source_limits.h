// Limits on source code that LibTorch's parser and compiler walk recursively: code that nests too deeply would exhaust
// the stack.
#pragma once
#include <string>

namespace sluice {

/// Throws E_SCRIPT naming `where` and the limit. What PyTorch writes stays far below all of them.
void check_source_limits(const std::string& text, const std::string& where);

}  // namespace sluice
