// How kernels are written. A kernel is a struct of plain values with a function phase<p>(item, lane): a warp of 32 lanes does one
// item, phase by phase; between phases, and only there, the lanes wait for each other, so that what one wrote to the scratch
// memory or to global memory of the item another may read. So the same code runs on a GPU (launch.cu) and, lane after lane, on
// the CPU, where the tests check it.
#pragma once
#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>

#include <cstddef>
#include <cstdint>

#if defined(__CUDACC__)
#define SLUICE_DEVICE __host__ __device__
#else
#define SLUICE_DEVICE
#endif

namespace sluice::gpu {

constexpr uint32_t kLanes = 32;

struct Lane {
  uint32_t index;
  float* scratch;  // of the item, shared by its lanes, 16-byte aligned
};

/// Four neighbouring numbers, read and written at once.
template <typename T>
struct alignas(4 * sizeof(T)) Pack {
  T v[4];
};
using Quad = Pack<float>;

template <typename T>
SLUICE_DEVICE inline Quad load4(const T* from) {
  const Pack<T> pack = *reinterpret_cast<const Pack<T>*>(from);
  return {{static_cast<float>(pack.v[0]), static_cast<float>(pack.v[1]), static_cast<float>(pack.v[2]), static_cast<float>(pack.v[3])}};
}

template <typename T>
SLUICE_DEVICE inline void store4(T* to, const Quad& q) {
  *reinterpret_cast<Pack<T>*>(to) = {{static_cast<T>(q.v[0]), static_cast<T>(q.v[1]), static_cast<T>(q.v[2]), static_cast<T>(q.v[3])}};
}

/// What T holds of the number.
template <typename T>
SLUICE_DEVICE inline Quad rounded(const Quad& q) {
  return {{static_cast<float>(static_cast<T>(q.v[0])), static_cast<float>(static_cast<T>(q.v[1])), static_cast<float>(static_cast<T>(q.v[2])),
           static_cast<float>(static_cast<T>(q.v[3]))}};
}

constexpr uint32_t round_up(uint32_t n, uint32_t multiple) { return (n + multiple - 1) / multiple * multiple; }
constexpr uint64_t blocks_of(uint64_t n, uint64_t block) { return (n + block - 1) / block; }

SLUICE_DEVICE inline bool finite(float x) { return x - x == 0.0F; }

/// Starts the items on the device's current stream. Defined for the kernels that kernels.h lists.
template <typename Work>
void launch(const Work& work, uint64_t items);

}  // namespace sluice::gpu
