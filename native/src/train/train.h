// One training: a frozen set and a model in, a model file out. Runs on the calling thread.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/stop.h"
#include "storage/dataset.h"
#include "train/features.h"
#include "train/loader.h"
#include "train/model.h"
#include "trainset/trainset.h"

namespace sluice {

struct TrainPlan {
  Features features;
  ModelSpec model;
  ModelOptions options;
  uint32_t batch_size = 512;
  uint32_t epochs = 1;
  Shuffle shuffle = Shuffle::kGlobal;
  std::string parent;  // model file to start from; empty: random initial weights from options.seed
  std::string output;  // model file to write
  std::vector<std::pair<std::string, std::string>> metadata;  // goes into the model file
};

struct TrainProgress {
  uint64_t steps = 0;
  uint64_t total_steps = 0;
  uint64_t samples = 0;
  double loss = 0.0;  // mean over the steps since the last report
};

struct TrainResult {
  uint64_t steps = 0;
  uint64_t samples = 0;
  double loss = 0.0;        // mean over the last epoch
  double seconds = 0.0;     // first step to last step
  double samples_per_second = 0.0;
};

/// `progress` is called from this thread at most every 50 ms. E_ABORTED on stop, E_DIVERGED names the step,
/// E_LABEL_RANGE / E_NOT_FINITE name the key. The model file is written (atomically) only at the end.
TrainResult train(const std::shared_ptr<Snapshot>& data, const TrainSet& set, const TrainPlan& plan,
                  const StopFlag& stop, const std::function<void(const TrainProgress&)>& progress);

}  // namespace sluice
