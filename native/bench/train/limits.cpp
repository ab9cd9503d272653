// What the machine can do, measured in the same run as what stands beside it:
//   gemm        rate of LibTorch's matrix products, 2,048 x 1,024 x 1,024 -> {"fp32":GFLOP/s,"bf16":GFLOP/s}
//   copy        memory bandwidth of all threads, bytes read and written -> {"gigabytesPerSecond":…}
//   gather N    random rows of N floats from 1.6 GB, read and written back -> {"gigabytesPerSecond":…}
#include <ATen/ops/mm.h>
#include <ATen/ops/randn.h>
#include <c10/core/InferenceMode.h>

#include "base/buffer.h"
#include "base/rng.h"
#include "part.h"
#include "train/compute.h"

namespace sluice::bench {

namespace {

constexpr int kPasses = 7;

std::string number(const char* name, double value) {
  char text[80];
  std::snprintf(text, sizeof text, "\"%s\":%.2f", name, value);
  return text;
}

double gemm_rate(at::ScalarType type) {
  constexpr int64_t kRows = 2048, kWide = 1024;
  const c10::InferenceMode inference;
  const at::Tensor a = at::randn({kRows, kWide}).to(type);
  const at::Tensor b = at::randn({kWide, kWide}).to(type);
  at::Tensor c = at::mm(a, b.t());
  std::vector<double> seconds;
  for (int pass = 0; pass < 2 * kPasses; ++pass) {
    const auto start = Clock::now();
    at::mm_out(c, a, b.t());
    seconds.push_back(seconds_since(start));
  }
  return 2.0 * kRows * kWide * kWide / median(seconds) / 1e9;
}

class Limits final : public Part {
 public:
  std::string answer(const std::string& command, size_t n) override {
    if (command == "gemm") return "{" + number("fp32", gemm_rate(at::kFloat)) + "," + number("bf16", gemm_rate(at::kBFloat16)) + "}";
    if (command == "copy") return "{" + number("gigabytesPerSecond", copy()) + "}";
    if (command == "gather") return "{" + number("gigabytesPerSecond", gather(n)) + "}";
    return "";
  }

 private:
  static double copy() {
    constexpr size_t kFloats = size_t{1} << 26;
    Buffer<float> from(kFloats, "copy"), to(kFloats, "copy");
    std::vector<double> seconds;
    for (int pass = 0; pass < kPasses; ++pass) {
      const auto start = Clock::now();
      parallel_for(kFloats, 1 << 16, [&](size_t begin, size_t end) { std::copy_n(from.data() + begin, end - begin, to.data() + begin); });
      seconds.push_back(seconds_since(start));
    }
    return 2.0 * 4.0 * static_cast<double>(kFloats) / median(seconds) / 1e9;
  }

  static double gather(size_t width) {
    constexpr size_t kFloats = size_t{400} << 20;
    constexpr size_t kAhead = 32;
    const size_t rows = kFloats / width;
    const size_t touched = (size_t{64} << 20) / width;
    Buffer<float> table(kFloats, "gather");
    std::vector<uint32_t> index(touched + kAhead);
    Rng rng(1);
    for (uint32_t& i : index) i = static_cast<uint32_t>(rng.below(rows));
    std::vector<double> seconds;
    for (int pass = 0; pass < kPasses; ++pass) {
      const auto start = Clock::now();
      parallel_for(touched, 1 << 12, [&](size_t begin, size_t end) {
        for (size_t i = begin; i < end; ++i) {
          for (size_t f = 0; f < width; f += 16) __builtin_prefetch(table.data() + index[i + kAhead] * width + f, 1);
          float* row = table.data() + index[i] * width;
          for (size_t f = 0; f < width; ++f) row[f] += 1.0F;
        }
      });
      seconds.push_back(seconds_since(start));
    }
    return 2.0 * 4.0 * static_cast<double>(touched * width) / median(seconds) / 1e9;
  }
};

}  // namespace

std::unique_ptr<Part> make_limits_part(const Arguments&) { return std::make_unique<Limits>(); }

}  // namespace sluice::bench
