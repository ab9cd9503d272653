// A TorchScript archive is code. This check reads it without running any of it, before LibTorch may load it.
#pragma once
#include <string>
#include <string_view>

namespace sluice {

/// Throws unless the TorchScript archive at `path` is one that may be loaded: its container and pickles are sound, every
/// operator that its code uses is listed in operators.cpp, and no class takes part in its own deserialization.
/// E_SCRIPT names the operator, class or construction that is refused, with its source line; E_CORRUPT names what is
/// damaged; E_NOT_FOUND, E_IO as for any file.
void check_script_archive(const std::string& path);

/// The same for the content of a file; `path` is only for messages.
void check_script_archive(std::string_view bytes, const std::string& path);

/// Reads the whole file, at most 16 GB of it.
std::string read_script_archive(const std::string& path);

}  // namespace sluice
