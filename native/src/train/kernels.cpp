#include "train/gemm_kernels.h"
#include "train/kernels.h"

namespace sluice {

namespace kernels_base { extern const Kernels table; extern const GemmKernels gemm_table; }
#if defined(__x86_64__)
namespace kernels_avx2 { extern const Kernels table; extern const GemmKernels gemm_table; }
namespace kernels_avx512 { extern const Kernels table; extern const GemmKernels gemm_table; }
namespace kernels_bf16 { extern const GemmKernels gemm_table; }
#endif

namespace {

struct Chosen {
  const Kernels& kernels;
  const GemmKernels& gemm;
};

const Chosen& chosen() {
#if defined(__x86_64__)
  static const Chosen set = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq")
                                ? Chosen{kernels_avx512::table, kernels_avx512::gemm_table}
                            : __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? Chosen{kernels_avx2::table, kernels_avx2::gemm_table}
                                                                                             : Chosen{kernels_base::table, kernels_base::gemm_table};
#else
  static const Chosen set{kernels_base::table, kernels_base::gemm_table};
#endif
  return set;
}

}  // namespace

const Kernels& kernels() { return chosen().kernels; }

#if defined(__x86_64__)
const GemmKernels& gemm_kernels(bool native_bf16) { return native_bf16 ? kernels_bf16::gemm_table : chosen().gemm; }
#else
const GemmKernels& gemm_kernels(bool) { return chosen().gemm; }
#endif

}  // namespace sluice
