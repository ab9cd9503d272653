#include "train/plan_identity.h"

#include <cstdio>

namespace sluice {

namespace {

class Text {
 public:
  void add(const std::string& part) { all_ += "|" + part; }
  void number(double value) {
    char text[40];
    std::snprintf(text, sizeof text, "%.17g", value);
    add(text);
  }
  template <typename... T>
  void numbers(T... values) {
    (number(static_cast<double>(values)), ...);
  }
  void optimizer(const Optimizer& o) { numbers(o.kind, o.lr, o.eps, o.beta1, o.beta2, o.momentum, o.dampening, o.nesterov, o.weight_decay); }
  std::string take() { return std::move(all_); }

 private:
  std::string all_;
};

}  // namespace

std::string plan_identity(const TrainPlan& plan, uint64_t samples) {
  Text text;
  text.add(plan.parent);
  text.add(plan.weights);
  for (const auto& [key, value] : plan.metadata) text.add(key + "=" + value);
  text.add(std::to_string(plan.options.seed));
  text.numbers(plan.batch_size, plan.epochs, plan.max_steps, plan.accumulate, plan.clip_norm, samples, plan.shuffle, plan.shuffle_block);
  const ModelOptions& o = plan.options;
  text.numbers(o.criterion.kind, o.criterion.label_smoothing, o.criterion.delta, o.precision, o.device, o.deterministic);
  text.optimizer(o.dense_optimizer);
  text.optimizer(o.embedding_optimizer);
  for (const ParameterGroup& group : o.groups) {
    text.add(group.pattern);
    text.optimizer(group.optimizer);
  }
  const Schedule& s = plan.schedule;
  text.numbers(s.kind, s.per_epoch, s.warmup, s.warmup_from, s.hold, s.length, s.every, s.gamma, s.end, s.power, s.rise, s.initial_division, s.final_division);
  text.numbers(plan.early_stop.held_out, plan.early_stop.patience, plan.early_stop.least_gain);
  text.numbers(plan.in_training.keep, plan.in_training.score, plan.in_training.choice, plan.in_training.mode, plan.in_training.every);
  for (const Recorded value : plan.record.values) text.add(recorded_name(value));
  return text.take();
}

}  // namespace sluice
