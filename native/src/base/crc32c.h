// CRC32C (Castagnoli, RFC 3720): with the CPU's instruction where there is one, else by table.
#pragma once
#include <cstddef>
#include <cstdint>

namespace sluice {

/// The checksum of data, or of (bytes behind `seed`) + data when `seed` is their checksum: a growing chunk continues.
uint32_t crc32c(const void* data, size_t bytes, uint32_t seed = 0);
/// The same without the CPU's instruction.
uint32_t crc32c_portable(const void* data, size_t bytes, uint32_t seed = 0);

}  // namespace sluice
