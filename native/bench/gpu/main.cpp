// Times training on a GPU for scripts/bench/gpu.py, which runs PyTorch beside it:
//   gpu_bench dlrm <fp32|bf16|fp16> <batch> <rows per table> <folder> [any-order]
//   gpu_bench image <fp32|bf16|fp16> <depth> <batch> <side>
//   gpu_bench text <fp32|bf16|fp16> <cuda|cpu> <batch> <length> <dropout>
//   gpu_bench script <fp32|bf16|fp16> <cuda|cpu> <batch> <file> <dense features> <side of images>
// Steps are timed as a whole, from the first start to the last end.
#include <stdexcept>

#include "gpu_part.h"

namespace {

using namespace sluice::bench;

std::unique_ptr<Part> part_of(const Arguments& a) {
  if (!a.empty() && a[0] == "dlrm") return make_gpu_dlrm(Arguments(a.begin() + 1, a.end()));
  if (!a.empty() && a[0] == "image") return make_gpu_image(Arguments(a.begin() + 1, a.end()));
  if (!a.empty() && a[0] == "text") return make_gpu_text(Arguments(a.begin() + 1, a.end()));
  if (!a.empty() && a[0] == "script") return make_gpu_script(Arguments(a.begin() + 1, a.end()));
  throw std::invalid_argument("expected dlrm, image, text or script and its arguments");
}

}  // namespace

namespace sluice::bench {
Device device_of(const std::string& name) {
  if (name == "cuda") return Device::kCuda;
  if (name == "cpu") return Device::kCpu;
  throw std::invalid_argument("expected cuda or cpu, got " + name);
}
}  // namespace sluice::bench

int main(int argc, char** argv) {
  return serve("gpu_bench", [&] { return part_of(Arguments(argv + 1, argv + argc)); });
}
