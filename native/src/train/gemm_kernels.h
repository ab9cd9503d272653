// Single-threaded products of small tiles, the inner loops of panels.cpp. gemm_impl.cpp is compiled once per instruction set,
// gemm_bf16.cpp for CPUs that multiply bf16; gemm_kernels() picks.
//
// Everything is cut into panels of 32 columns, whose rows follow each other without a gap: element (r, c) of panel p lies at
// p[32 r + c], 4 bytes each. In fp32 an element is a number; for the CPU's bf16 units it is two bf16 numbers that follow each
// other along the sum: the lower half is the earlier one.
#pragma once
#include <cstddef>
#include <cstdint>

namespace sluice {

constexpr size_t kPanel = 32;     // columns of a panel, and rows and columns of a tile
constexpr size_t kTileRows = 14;  // rows of a block: as many as AVX-512 has registers for, two vectors each

/// What a product sends for while it computes, a cache line of each a turn: from `next` on as many lines as there are turns; from each of
/// `soon` one line in each of the last (up to kPanel) turns. Any address will do, also one of nothing.
struct Ahead {
  const float* next;
  const float* soon[3];
};

struct GemmKernels {
  const char* name;
  /// tile [rows, 32] = a x b over k elements: row r of a lies at a + 32 r, its next 32 elements a_panel floats further; b [k, 32].
  /// rows: 1 to kTileRows.
  void (*rows)(const float* a, size_t a_panel, const float* b, size_t k, size_t rows, const Ahead& ahead, float* tile);
  /// tile [32, 32] += a^T x b over k rows of both, a [k, 32], b [k, 32]; at least the first `rows` rows of it.
  void (*columns)(const float* a, const float* b, size_t k, size_t rows, float* tile);
};

/// native_bf16: elements are pairs of bf16; only where native_bf16() of compute.h is true.
const GemmKernels& gemm_kernels(bool native_bf16);

}  // namespace sluice
