// What the parts of gpu_bench share with those of train_bench, and more.
#pragma once
#include <string>

#include "part.h"
#include "train/model.h"

namespace sluice::bench {

std::unique_ptr<Part> make_gpu_dlrm(const Arguments& arguments);
std::unique_ptr<Part> make_gpu_image(const Arguments& arguments);
std::unique_ptr<Part> make_gpu_text(const Arguments& arguments);
std::unique_ptr<Part> make_gpu_script(const Arguments& arguments);

/// Of cuda and cpu.
Device device_of(const std::string& name);

/// Seconds of one of n steps, and all their losses; waits for the last one.
template <typename Next>
std::string timed_steps(Model& model, size_t n, const Next& next) {
  std::vector<double> losses;
  const auto start = Clock::now();
  for (size_t i = 0; i < n; ++i) {
    const double loss = model.step(next());
    if (i >= model.loss_delay()) losses.push_back(loss);
  }
  for (const double loss : model.late_losses()) losses.push_back(loss);
  return "{\"seconds\":" + std::to_string(seconds_since(start) / static_cast<double>(n)) + ",\"losses\":" + json(losses) + "}";
}

}  // namespace sluice::bench
