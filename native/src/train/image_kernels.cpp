#include "train/image_kernels.h"

namespace sluice {

namespace kernels_base { extern const ImageKernels image_table; }
#if defined(__x86_64__)
namespace kernels_avx2 { extern const ImageKernels image_table; }
namespace kernels_avx512 { extern const ImageKernels image_table; }
#endif

const ImageKernels& image_kernels() {
#if defined(__x86_64__)
  static const ImageKernels& chosen = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") ? kernels_avx512::image_table
                                      : __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")     ? kernels_avx2::image_table
                                                                                                           : kernels_base::image_table;
  return chosen;
#else
  return kernels_base::image_table;
#endif
}

}  // namespace sluice
