// Copies for backups, taken while others write.
#pragma once
#include <string>

namespace sluice {

/// Copies the LMDB environment in `folder`, as its last commit left it and without its free pages, into the folder `to`; durable. E_NOT_FOUND where there is
/// none, E_CORRUPT where it cannot be read, E_NO_SPACE, E_IO, also where `to` holds one already.
void copy_environment(const std::string& folder, const std::string& to);

}  // namespace sluice
