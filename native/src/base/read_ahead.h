// Tells the kernel which records are about to be read.
#pragma once
#include <cstddef>
#include <cstdint>

namespace sluice {

/// Starts reading n records of `bytes` each, in the order in which they lie in their files and as one read where they touch, and
/// does not wait for them. Short records are left to the kernel's own read-ahead.
void read_ahead(const uint8_t* const* records, size_t n, size_t bytes);

}  // namespace sluice
