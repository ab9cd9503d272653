// Chooses, once, the instruction set whose loops this CPU runs.
#include "train/kernels.h"

#include <algorithm>
#include <cstdlib>
#include <string>

#include "base/error.h"
#include "train/gemm_kernels.h"
#include "train/image_kernels.h"
#include "train/norm_kernels.h"

namespace sluice {

namespace kernels_base { extern const Kernels table; extern const GemmKernels gemm_table; extern const ImageKernels image_table; extern const NormTable norm_table; }
#if defined(__x86_64__)
namespace kernels_avx2 { extern const Kernels table; extern const GemmKernels gemm_table; extern const ImageKernels image_table; extern const NormTable norm_table; }
namespace kernels_avx512 { extern const Kernels table; extern const GemmKernels gemm_table; extern const ImageKernels image_table; extern const NormTable norm_table; }
namespace kernels_bf16 { extern const GemmKernels gemm_table; }
#endif

namespace {

struct Chosen {
  const Kernels& kernels;
  const GemmKernels& gemm;
  const ImageKernels& image;
  const NormTable& norm;
};

/// The best set whose -m flags (native/train.cmake) the CPU has all of.
InstructionSet of_this_cpu() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq")) {
    return __builtin_cpu_supports("avx512bf16") ? InstructionSet::kAvx512Bf16 : InstructionSet::kAvx512;
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return InstructionSet::kAvx2;
#endif
  return InstructionSet::kBase;
}

InstructionSet most_allowed() {
  const char* given = std::getenv("SLUICE_INSTRUCTIONS");
  const std::string name = given == nullptr ? "" : given;
  if (name.empty() || name == "avx512bf16") return InstructionSet::kAvx512Bf16;
  if (name == "avx512") return InstructionSet::kAvx512;
  if (name == "avx2") return InstructionSet::kAvx2;
  if (name == "base") return InstructionSet::kBase;
  throw Error(code::kArgument, "SLUICE_INSTRUCTIONS: expected base, avx2, avx512 or avx512bf16, got '" + name + "'");
}

Chosen choose() {
#if defined(__x86_64__)
  if (instruction_set() >= InstructionSet::kAvx512) return {kernels_avx512::table, kernels_avx512::gemm_table, kernels_avx512::image_table, kernels_avx512::norm_table};
  if (instruction_set() == InstructionSet::kAvx2) return {kernels_avx2::table, kernels_avx2::gemm_table, kernels_avx2::image_table, kernels_avx2::norm_table};
#endif
  return {kernels_base::table, kernels_base::gemm_table, kernels_base::image_table, kernels_base::norm_table};
}

const Chosen& chosen() {
  static const Chosen set = choose();
  return set;
}

}  // namespace

InstructionSet instruction_set() {
  static const InstructionSet set = std::min(of_this_cpu(), most_allowed());
  return set;
}

const Kernels& kernels() { return chosen().kernels; }
const ImageKernels& image_kernels() { return chosen().image; }
const NormTable& norm_kernels() { return chosen().norm; }

#if defined(__x86_64__)
const GemmKernels& gemm_kernels(bool native_bf16) { return native_bf16 ? kernels_bf16::gemm_table : chosen().gemm; }
#else
const GemmKernels& gemm_kernels(bool) { return chosen().gemm; }
#endif

}  // namespace sluice
