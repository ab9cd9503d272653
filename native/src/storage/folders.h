// What check, repair and compaction do with whole folders.
#pragma once
#include <cstdint>
#include <string>

#include "base/file.h"

namespace sluice {

/// That all files below it take on the disk, holes not counted; 0 where there is none.
uint64_t bytes_below(const std::string& folder);
/// A file or a folder with all that is in it; nothing where there is none.
void remove_folder(const std::string& path);
/// Both names stand for the other's content afterwards, at once.
void exchange_folders(const std::string& a, const std::string& b);
/// Reads what there is of [offset, offset + bytes); the rest is zero.
void read_available(const File& file, uint64_t offset, uint8_t* to, size_t bytes);

/// Whether nothing was ever written to [offset, offset + bytes); false where the file system cannot tell.
bool is_hole(const File& file, uint64_t offset, uint64_t bytes);

}  // namespace sluice
