#include "train/train.h"

#include <chrono>
#include <cmath>
#include <new>

#include "modelstore/safetensors.h"
#include "train/compute.h"
#include "train/fit.h"

namespace sluice {

namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kReportEvery = std::chrono::milliseconds(50);

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

/// Running means of the loss: since the last report, and over the last epoch.
class LossMeter {
 public:
  void add(double loss, bool first_of_epoch) {
    if (first_of_epoch) epoch_ = {};
    epoch_.add(loss);
    recent_.add(loss);
  }
  double epoch_mean() const { return epoch_.mean(); }
  double take_recent() {
    const double mean = recent_.mean();
    recent_ = {};
    return mean;
  }

 private:
  struct Mean {
    double sum = 0.0;
    uint64_t n = 0;
    void add(double x) {
      sum += x;
      ++n;
    }
    double mean() const { return n == 0 ? 0.0 : sum / static_cast<double>(n); }
  };
  Mean epoch_, recent_;
};

void check_plan(const TrainPlan& plan) {
  if (plan.batch_size == 0) throw Error(code::kArgument, "batch size: expected at least 1, got 0");
  if (plan.epochs == 0) throw Error(code::kArgument, "epochs: expected at least 1, got 0");
}

void check_loss(double loss, uint64_t step) {
  if (std::isfinite(loss)) return;
  throw Error(code::kDiverged, "the loss became " + std::to_string(loss) + " in step " + std::to_string(step + 1) +
                                   "; a smaller learning rate or scaled features usually help; no model was written");
}

}  // namespace

TrainResult train(const std::shared_ptr<Snapshot>& data, const TrainSet& set, const TrainPlan& plan, const StopFlag& stop,
                  const std::function<void(const TrainProgress&)>& progress) {
  check_plan(plan);
  check_fit(plan.model, plan.features, plan.options.criterion);
  stop.check();
  const std::unique_ptr<Model> model = make_model(plan.model, plan.options);
  if (!plan.parent.empty()) {
    load_safetensors(plan.parent, model->parameters());
    model->parameters_changed();
  }
  const ComputeScope compute(3.0 * model->flops_per_row() * plan.batch_size);
  Loader loader(data, set, plan.features, {plan.batch_size, plan.epochs, plan.shuffle, plan.options.seed, model->outputs()});

  TrainResult result;
  LossMeter meter;
  const auto start = Clock::now();
  auto reported = start;
  while (const Batch* batch = loader.next()) {
    stop.check();
    const double loss = model->step(*batch);
    check_loss(loss, result.steps);
    meter.add(loss, result.steps % loader.batches_per_epoch() == 0);
    ++result.steps;
    result.samples += batch->rows;
    if (progress && Clock::now() - reported >= kReportEvery) {
      reported = Clock::now();
      progress({result.steps, loader.total_batches(), result.samples, meter.take_recent()});
    }
  }
  result.loss = meter.epoch_mean();
  result.seconds = seconds_since(start);
  result.samples_per_second = result.seconds > 0.0 ? static_cast<double>(result.samples) / result.seconds : 0.0;
  save_safetensors(plan.output, model->parameters(), plan.metadata);
  return result;
}

}  // namespace sluice
