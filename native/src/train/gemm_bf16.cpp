// For CPUs with AVX512-BF16: each lane adds the products of two pairs of bf16 in fp32.
#include <immintrin.h>

#include "train/gemm_tile.h"

namespace sluice::SLUICE_KERNELS {

namespace {

struct Bf16 {
  using V = __m512;
  static constexpr size_t kRows = kTileRows;
  static constexpr size_t kColumnRows = 8;
  static V spread(const float* p) { return _mm512_set1_ps(*p); }
  static V add(V c, V a, V b) { return _mm512_dpbf16_ps(c, (__m512bh)a, (__m512bh)b); }
};

}  // namespace

extern const GemmKernels gemm_table;
const GemmKernels gemm_table{"bf16", tile_rows<Bf16>, tile_columns<Bf16>};

}  // namespace sluice::SLUICE_KERNELS
