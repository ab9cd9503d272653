// Checks the source code of a TorchScript archive: parses it with LibTorch's own parser, compiles and runs nothing.
#pragma once
#include <map>
#include <set>
#include <string>

namespace sluice {

/// Source files of an archive by the name that their definitions are found under: "__torch__.model" for code/__torch__/model.py.
using ScriptSources = std::map<std::string, std::string>;

/// Returns the full names of all classes that the sources define. Throws E_SCRIPT naming file, line and the operator, name
/// or construction that is not allowed; `path` is the archive's.
std::set<std::string> check_script_sources(const ScriptSources& sources, const std::string& path);

}  // namespace sluice
