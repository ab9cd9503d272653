// Runs the kernels of kernels.h on the GPU: blocks of up to eight warps that take items in turn.
#include <cuda_runtime.h>

#include <algorithm>
#include <cub/device/device_radix_sort.cuh>
#include <string>

#include "base/error.h"
#include "cuda/kernels.h"
#include "cuda/runtime.h"

namespace sluice::gpu {

namespace {

constexpr uint32_t kWarps = 8;
constexpr uint32_t kBlocksPerProcessor = 16;
constexpr size_t kScratchOfBlock = 64 << 10;  // more leaves room for too few blocks

void check(cudaError_t error, const char* what) {
  if (error != cudaSuccess) throw Error(code::kDevice, std::string("CUDA: ") + what + ": " + cudaGetErrorString(error));
}

cudaStream_t stream() { return static_cast<cudaStream_t>(current_stream()); }

int attribute(cudaDeviceAttr which) {
  int device = 0;
  int value = 0;
  check(cudaGetDevice(&device), "device");
  check(cudaDeviceGetAttribute(&value, which, device), "attribute of the device");
  return value;
}

template <typename Work, int phase = 0>
__device__ void run_phases(const Work& work, uint64_t item, Lane lane) {
  work.template run<phase>(item, lane);
  if constexpr (phase + 1 < Work::kPhases) {
    __syncwarp();
    run_phases<Work, phase + 1>(work, item, lane);
  }
}

template <typename Work>
__global__ void __launch_bounds__(kWarps* kLanes) run_items(const Work work, uint64_t items, uint32_t scratch) {
  extern __shared__ float4 shared[];
  const Lane lane{threadIdx.x, reinterpret_cast<float*>(shared) + size_t{threadIdx.y} * scratch};
  const uint64_t warps = uint64_t{gridDim.x} * blockDim.y;
  for (uint64_t item = uint64_t{blockIdx.x} * blockDim.y + threadIdx.y; item < items; item += warps) {
    run_phases(work, item, lane);
    __syncwarp();  // the next item uses the same scratch memory
  }
}

}  // namespace

size_t largest_scratch() { return static_cast<size_t>(attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin)); }

template <typename Work>
void launch(const Work& work, uint64_t items) {
  if (items == 0) return;
  const uint32_t scratch = (work.scratch() + 3) / 4 * 4;
  const size_t bytes = scratch * sizeof(float);
  const uint32_t warps = bytes == 0 ? kWarps : static_cast<uint32_t>(std::clamp<size_t>(kScratchOfBlock / bytes, 1, kWarps));
  if (bytes * warps > (48U << 10)) {
    check(cudaFuncSetAttribute(run_items<Work>, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes * warps)), "shared memory");
  }
  static const uint64_t processors = static_cast<uint64_t>(attribute(cudaDevAttrMultiProcessorCount));
  const uint64_t blocks = std::min<uint64_t>((items + warps - 1) / warps, processors * kBlocksPerProcessor);
  run_items<Work><<<static_cast<uint32_t>(blocks), dim3(kLanes, warps), bytes * warps, stream()>>>(work, items, scratch);
  check(cudaGetLastError(), "start of a kernel");
}

#define SLUICE_LAUNCH(...) template void launch<__VA_ARGS__>(const __VA_ARGS__&, uint64_t);
SLUICE_KERNELS(SLUICE_LAUNCH)
#undef SLUICE_LAUNCH

size_t sort_bytes(uint32_t n, uint32_t bits) {
  size_t bytes = 0;
  check(cub::DeviceRadixSort::SortPairs(nullptr, bytes, static_cast<const uint64_t*>(nullptr), static_cast<uint64_t*>(nullptr), static_cast<const uint32_t*>(nullptr),
                                        static_cast<uint32_t*>(nullptr), static_cast<int>(n), 0, static_cast<int>(bits), stream()),
        "size of a sort");
  return bytes;
}

void sort_rows(void* memory, size_t bytes, const uint64_t* rows, uint64_t* sorted_rows, const uint32_t* order, uint32_t* sorted_order, uint32_t n,
               uint32_t bits) {
  check(cub::DeviceRadixSort::SortPairs(memory, bytes, rows, sorted_rows, order, sorted_order, static_cast<int>(n), 0, static_cast<int>(bits), stream()), "sort");
}

}  // namespace sluice::gpu
