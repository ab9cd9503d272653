// How much memory there is to have.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

namespace sluice {

/// Bytes that this process can still get: what the kernel calls available, or less where the limit of its control group (v2 or v1)
/// leaves less. UINT64_MAX where neither can be read.
uint64_t free_memory();

/// The same from files below `root` ("" for the machine's own).
uint64_t free_memory(const std::string& root);

/// Throws E_MEMORY, saying what was asked for and what is free, where so many bytes are not to be had. Memory is given out only when it is
/// written to, so an allocation may succeed that ends the process later.
void require_memory(uint64_t bytes, const std::string& purpose);

/// Bytes for people: "1.5 GiB".
std::string bytes_text(uint64_t bytes);

}  // namespace sluice
