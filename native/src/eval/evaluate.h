// Metrics of one model on windows of the stream.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/stop.h"
#include "storage/dataset.h"
#include "train/features.h"
#include "train/model.h"

namespace sluice {

/// Area under the ROC curve, exact: the Mann-Whitney statistic with mid-ranks for ties (Hanley and McNeil, 1982).
/// Empty when only one class occurs. labels are 0 or 1; scores must not be NaN.
std::optional<double> roc_auc(const float* scores, const float* labels, size_t n);

struct Window {
  uint64_t first = 0;  // keys [first, end)
  uint64_t end = 0;
};

struct Metrics {
  uint64_t samples = 0;
  double loss = 0.0;            // mean criterion
  std::optional<double> accuracy;  // classes only. BCE: logit > 0; cross-entropy: argmax
  std::optional<double> auc;       // two classes only
  std::optional<double> rmse;      // regression only: root of the mean squared error
};

struct EvalPlan {
  Features features;
  ModelSpec model;
  Criterion criterion;
  Device device = Device::kCpu;
  bool deterministic = true;  // as ModelOptions
  uint32_t batch_size = 8192;
  std::string model_file;
  std::vector<Window> windows;
};

std::vector<Metrics> evaluate(const std::shared_ptr<Snapshot>& data, const EvalPlan& plan, const StopFlag& stop,
                              const std::function<void(size_t windows_done)>& progress);

}  // namespace sluice
