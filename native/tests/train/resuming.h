// Stopping a training in its middle, and comparing what came out.
#pragma once
#include <atomic>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <thread>

#include "base/file.h"
#include "fixtures.h"
#include "train/train.h"

namespace sluice::testing {

inline std::string bytes_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// Sees to it that the training has written a checkpoint and then stops in the middle of something.
inline void train_until_checkpoint(const std::shared_ptr<Snapshot>& data, const TrainSet& set, const TrainPlan& plan) {
  StopFlag stop;
  std::atomic<bool> ended{false};
  std::thread watcher([&] {
    while (!path_exists(plan.checkpoints.path) && !ended) {
    }
    stop.request();
  });
  EXPECT_EQ(error_of([&] { train(data, set, plan, stop, {}); }).first, "E_ABORTED");
  ended = true;
  watcher.join();
}

}  // namespace sluice::testing
