#include "train/norm_kernels.h"

namespace sluice {

namespace kernels_base { extern const NormTable norm_table; }
#if defined(__x86_64__)
namespace kernels_avx2 { extern const NormTable norm_table; }
namespace kernels_avx512 { extern const NormTable norm_table; }
#endif

const NormTable& norm_kernels() {
#if defined(__x86_64__)
  static const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq");
  static const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  return avx512 ? kernels_avx512::norm_table : avx2 ? kernels_avx2::norm_table : kernels_base::norm_table;
#else
  return kernels_base::norm_table;
#endif
}

}  // namespace sluice
