#include "train/kernels.h"

namespace sluice {

namespace kernels_base { extern const Kernels table; }
#if defined(__x86_64__)
namespace kernels_avx2 { extern const Kernels table; }
namespace kernels_avx512 { extern const Kernels table; }
#endif

const Kernels& kernels() {
#if defined(__x86_64__)
  static const Kernels& chosen = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") ? kernels_avx512::table
                                 : __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")     ? kernels_avx2::table
                                                                                                      : kernels_base::table;
  return chosen;
#else
  return kernels_base::table;
#endif
}

}  // namespace sluice
