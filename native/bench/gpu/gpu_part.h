// What the parts of gpu_bench share with those of train_bench, and more.
#pragma once
#include <string>

#include "base/rng.h"
#include "part.h"
#include "train/batch_memory.h"
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

/// Steps on one batch, again and again.   run N: N steps -> {"seconds":…,"losses":[…]}
class OneBatch : public Part {
 public:
  std::string answer(const std::string& command, size_t n) override {
    return command == "run" ? timed_steps(*model_, n, [&] { return batch_; }) : "";
  }

 protected:
  /// Numbers of the batch in the memory that the model takes them from, for the life of the process.
  template <typename T>
  T* room(size_t numbers) {
    BatchMemory& memory = model_->batch_memory() != nullptr ? *model_->batch_memory() : host_memory();
    return static_cast<T*>(memory.allocate(numbers * sizeof(T)));
  }
  void label(size_t rows, uint64_t classes, Rng& rng) {
    for (size_t r = 0; r < rows; ++r) labels_.push_back(static_cast<float>(rng.below(classes)));
    batch_.rows = rows;
    batch_.labels = labels_.data();
  }

  std::unique_ptr<Model> model_;
  Batch batch_;

 private:
  std::vector<float> labels_;
};

}  // namespace sluice::bench
