// Compiled once per instruction set, as kernels_impl.cpp. Vectors are as wide as the set's registers (SLUICE_VECTOR_BYTES).
#include "train/gemm_tile.h"

namespace sluice::SLUICE_KERNELS {

namespace {

struct Fp32 {
  typedef float V __attribute__((vector_size(SLUICE_VECTOR_BYTES)));
  static constexpr size_t kRows = SLUICE_VECTOR_BYTES == 64 ? kTileRows : 6;  // of 32 or 16 registers, two vectors a row
  static constexpr size_t kColumnRows = SLUICE_VECTOR_BYTES == 64 ? 8 : 4;
  static V spread(const float* p) { return *p - V{}; }  // minus zero changes nothing, plus zero would
  static V add(V c, V a, V b) { return c + a * b; }
};

}  // namespace

extern const GemmKernels gemm_table;
const GemmKernels gemm_table{"fp32", tile_rows<Fp32>, tile_columns<Fp32>};

}  // namespace sluice::SLUICE_KERNELS
