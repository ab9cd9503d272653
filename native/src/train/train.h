// One training: a frozen set and a model in, a model file out. Runs on the calling thread.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/stop.h"
#include "storage/dataset.h"
#include "train/checkpoint.h"
#include "train/early_stop.h"
#include "train/features.h"
#include "train/in_training.h"
#include "train/loader.h"
#include "train/model.h"
#include "train/recorder.h"
#include "train/schedule.h"
#include "trainset/trainset.h"

namespace sluice {

struct TrainPlan {
  Features features;
  ModelSpec model;
  ModelOptions options;
  uint32_t batch_size = 512;
  uint32_t epochs = 1;
  uint64_t max_steps = 0;    // ends the training in the middle of an epoch; 0: no limit. Optimizer steps
  uint32_t accumulate = 1;   // batches whose gradients are averaged for one optimizer step
  float clip_norm = 0.0F;    // gradients are scaled down to this L2 norm over all parameters; 0: not
  Schedule schedule;
  EarlyStop early_stop;
  Checkpoints checkpoints;
  InTraining in_training;
  Recording record;
  Shuffle shuffle = Shuffle::kGlobal;
  uint32_t shuffle_block = 65'536;
  uint32_t loader_threads = 0;                     // LoaderOptions::threads
  uint64_t loader_memory = LoaderOptions().memory; // LoaderOptions::memory
  std::string parent;  // model file to start from; empty: initial weights, from options.seed or
  std::string weights; // a checkpoint of another program (modelstore/weights.h); empty: none
  std::string output;  // model file to write
  std::vector<std::pair<std::string, std::string>> metadata;  // goes into the model file
};

struct TrainProgress {
  uint64_t steps = 0;
  uint64_t total_steps = 0;
  uint64_t samples = 0;
  double loss = 0.0;  // mean over the batches since the last report
};

struct TrainResult {
  uint64_t steps = 0;
  uint64_t samples = 0;          // read; with an in-training selection more than were trained on
  double loss = 0.0;             // mean over the last epoch
  std::optional<double> validation_loss;  // of the model that was written; with early stopping only
  std::vector<std::string> untouched;     // parameters that plan.weights did not fill
  uint64_t resumed_at = 0;       // steps that a checkpoint spared
  double start_seconds = 0.0;    // call to first batch
  double seconds = 0.0;          // first step to last step
  double finish_seconds = 0.0;   // last step to the model on disk
  double samples_per_second = 0.0;
};

/// `progress` is called from this thread at most every 50 ms. E_ABORTED on stop, E_DIVERGED names the step and the samples
/// of its batch, E_LABEL_RANGE / E_NOT_FINITE name the key. The model file is written (atomically) only at the end; then
/// the checkpoint is removed. On E_ABORTED, E_DIVERGED or a kill the last checkpoint stays: the same call goes on from it,
/// and ends with the same weights.
TrainResult train(const std::shared_ptr<Snapshot>& data, const TrainSet& set, const TrainPlan& plan,
                  const StopFlag& stop, const std::function<void(const TrainProgress&)>& progress);

}  // namespace sluice
