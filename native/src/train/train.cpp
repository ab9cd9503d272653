#include "train/train.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "base/error.h"
#include "modelstore/safetensors.h"
#include "modelstore/weights.h"
#include "train/compute.h"
#include "train/criterion.h"
#include "train/diverged.h"
#include "train/fit.h"
#include "train/late_losses.h"
#include "train/optimizer.h"
#include "train/plan_identity.h"
#include "train/set_sampler.h"

namespace sluice {

namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kReportEvery = std::chrono::milliseconds(50);

void check_plan(const TrainPlan& plan) {
  require(plan.batch_size > 0, "batch size", "at least 1", 0);
  require(plan.epochs > 0, "epochs", "at least 1", 0);
  require(plan.accumulate > 0, "accumulate", "at least 1", 0);
  require(plan.clip_norm >= 0.0F && std::isfinite(plan.clip_norm), "clip norm", "a number from 0", plan.clip_norm);
  require(plan.early_stop.held_out >= 0.0F && plan.early_stop.held_out < 1.0F, "held out", "0 to below 1", plan.early_stop.held_out);
  check_schedule(plan.schedule);
  check_criterion(plan.options.criterion);
  check_in_training(plan.in_training, plan.options.criterion);
  check_recording(plan.record, plan.options.criterion);
  check_optimizer(plan.options.dense_optimizer, "optimizer");
  check_optimizer(plan.options.embedding_optimizer, "optimizer of embeddings");
  for (const ParameterGroup& group : plan.options.groups) check_optimizer(group.optimizer, "optimizer of " + group.pattern);
}

LoaderOptions loader_options(const TrainPlan& plan, Model& model) {
  LoaderOptions options{plan.batch_size, plan.epochs, plan.shuffle, plan.options.seed, plan.options.criterion, model.outputs()};
  options.held_out = plan.early_stop.held_out;
  options.block = plan.shuffle_block;
  options.threads = plan.loader_threads;
  options.memory = plan.loader_memory;
  options.id_limit = id_limit(plan.model);
  options.batch_memory = model.batch_memory();
  return options;
}

/// Positions that a pass over the set scores; empty: all, or nothing is chosen from the set.
std::vector<uint32_t> entries_to_score(const TrainPlan& plan, Model& model, uint64_t size) {
  return plan.in_training.of_set() ? entries_to_read(loader_options(plan, model), size) : std::vector<uint32_t>();
}

ModelOptions model_options(const TrainPlan& plan) {
  ModelOptions options = plan.options;
  options.initial = plan.parent.empty();
  return options;
}

class Training {
 public:
  Training(std::shared_ptr<Snapshot> data, const TrainSet& set, const TrainPlan& plan, const StopFlag& stop,
           const std::function<void(const TrainProgress&)>& progress)
      : data_(std::move(data)), set_(set), plan_(plan), stop_(stop), progress_(progress),
        model_(make_model(plan.model, model_options(plan))),
        selector_(plan.in_training, batch_widths(input_shape(plan.features, data_->schema())), plan.options.seed, plan.options.criterion), losses_(model_->loss_delay()),
        sampler_(plan.in_training, plan.options.criterion, set, entries_to_score(plan, *model_, set.size()), plan.options.seed),
        recorder_(plan.record, plan.options.criterion, model_->outputs(), plan.batch_size, data_->size()),
        checkpoints_(plan.checkpoints, plan_identity(plan, set.size())), early_stopping_(plan.early_stop, *model_) {
    if (!plan.parent.empty()) {
      load_safetensors(plan.parent, model_->parameters());
      model_->parameters_changed();
    } else if (!plan.weights.empty()) {
      result_.untouched = load_weights(plan.weights, model_->parameters());
      model_->parameters_changed();
    }
  }

  TrainResult run() {
    const ComputeScope compute(3.0 * model_->flops_per_row() * plan_.batch_size);
    if (const auto state = checkpoints_.load(*model_, kept_beside())) {
      if (!sampler_.sound()) throw Error(code::kCorrupt, plan_.checkpoints.path + " is damaged: it holds samples that the training set lacks; delete it to train anew");
      state_ = *state;
      result_.resumed_at = state_.updates;
    }
    std::unique_ptr<Loader> loader;
    if (!sampler_.active()) loader = loader_from_here();
    batches_per_epoch_ = loader ? loader->batches_per_epoch() : batches_of(sampler_.set().size(), plan_.batch_size);
    steps_per_epoch_ = (batches_per_epoch_ + plan_.accumulate - 1) / plan_.accumulate;
    total_steps_ = steps_per_epoch_ * plan_.epochs;
    if (plan_.max_steps > 0) total_steps_ = std::min(total_steps_, plan_.max_steps);
    bool going_on = state_.updates < total_steps_ && !early_stopping_.ended(state_);
    while (going_on) {
      if (state_.batches % batches_per_epoch_ == 0 && sampler_.due(state_.batches / batches_per_epoch_)) {
        loader.reset();
        choose();
      }
      if (!loader) loader = loader_from_here();
      const Batch* batch = loader->next();
      if (started_ == Clock::time_point()) begin();
      if (batch == nullptr) break;
      going_on = take(*batch);
    }
    return finish();
  }

 private:
  /// Reads what is left of the training, of the part of the set that is chosen.
  std::unique_ptr<Loader> loader_from_here() {
    LoaderOptions options = loader_options(plan_, *model_);
    options.first_batch = state_.batches;
    if (sampler_.active()) {
      options.held_out = 0.0F;  // nothing of what is held out is ever chosen
      options.epochs = static_cast<uint32_t>(std::min<uint64_t>(plan_.epochs, sampler_.next_choice(state_.batches / batches_per_epoch_)));
    }
    return std::make_unique<Loader>(data_, sampler_.set(), plan_.features, options);
  }

  /// Chooses the part of the set that the next epochs read.
  void choose() {
    LoaderOptions options = loader_options(plan_, *model_);
    options.epochs = 1;
    options.shuffle = Shuffle::kNone;
    options.augment = false;
    Loader all(data_, set_, plan_.features, options);
    sampler_.choose(*model_, all, state_.batches / batches_per_epoch_, stop_);
  }

  /// What a checkpoint holds beside the model.
  std::vector<NamedTensor> kept_beside() {
    std::vector<NamedTensor> all = early_stopping_.tensors();
    for (NamedTensor& tensor : sampler_.tensors()) all.push_back(std::move(tensor));
    return all;
  }

  void begin() {
    started_ = reported_ = Clock::now();
    result_.start_seconds = std::chrono::duration<double>(started_ - called_).count();
  }

  /// Trains on one batch; false when the training is over.
  bool take(const Batch& batch) {
    if (stop_.requested() && updated_ && state_.updates > 0 && !plan_.checkpoints.path.empty()) save_checkpoint();
    stop_.check();
    const uint64_t at = state_.batches % batches_per_epoch_;
    if (at == 0) state_.epoch_loss = 0.0, state_.epoch_batches = 0;
    const Batch chosen = selector_.select(*model_, batch, state_.batches);
    const double loss = step(chosen, at);
    recorder_.passed(chosen);
    losses_.passed(batch, state_.updates);
    if (losses_.due()) told(loss);
    ++state_.batches;
    state_.samples += batch.rows;
    if (at + 1 == batches_per_epoch_) {
      await_losses();
      if (early_stopping_.active()) early_stopping_.end_epoch(held_out_loss(), state_);
    }
    report();
    const bool over = state_.updates == total_steps_ || early_stopping_.ended(state_);
    if (!over && updated_ && checkpoints_.due(state_.updates)) save_checkpoint();
    return !over;
  }

  void save_checkpoint() {
    await_losses();  // a checkpoint is kept only of a sound training
    recorder_.flush();
    checkpoints_.save(*model_, kept_beside(), state_);
  }

  /// The loss of the oldest batch that waits for it.
  void told(double loss) {
    const LateLosses::Passed batch = losses_.next();
    if (!std::isfinite(loss)) throw_diverged("the loss became " + std::to_string(loss) + " in step " + std::to_string(batch.step), batch.samples(), checkpoints_);
    state_.epoch_loss += loss;
    ++state_.epoch_batches;
    recent_loss_ += loss;
    ++recent_batches_;
  }

  void await_losses() {
    for (const double loss : model_->late_losses()) told(loss);
  }

  /// A batch is the whole of an optimizer step, or a part of it: `at` is its number in the epoch.
  double step(const Batch& batch, uint64_t at) {
    const float factor = schedule_factor(plan_.schedule, state_.updates, total_steps_, steps_per_epoch_);
    updated_ = true;
    if (plan_.accumulate == 1 && plan_.clip_norm == 0.0F) {
      const double loss = model_->step(batch, factor, recorder_.wanted());
      ++state_.updates;
      return loss;
    }
    const uint64_t first = at - at % plan_.accumulate;
    const uint64_t parts = std::min<uint64_t>(plan_.accumulate, batches_per_epoch_ - first);
    const double loss = model_->accumulate(batch, 1.0F / static_cast<float>(parts), recorder_.wanted());
    updated_ = at + 1 == first + parts;
    if (updated_) {
      model_->update(factor, clip());
      ++state_.updates;
    }
    return loss;
  }

  /// torch.nn.utils.clip_grad_norm_: max_norm / (norm + 1e-6) where that is below 1.
  float clip() const {
    if (plan_.clip_norm == 0.0F) return 1.0F;
    return static_cast<float>(std::min(1.0, plan_.clip_norm / (model_->gradient_norm() + 1e-6)));
  }

  double held_out_loss() {
    LoaderOptions options = loader_options(plan_, *model_);
    options.epochs = 1;
    options.shuffle = Shuffle::kNone;
    options.validation = true;
    Loader loader(data_, set_, plan_.features, options);
    return mean_loss(*model_, loader, checkpoints_, stop_);
  }

  void report() {
    if (!progress_ || recent_batches_ == 0 || Clock::now() - reported_ < kReportEvery) return;
    reported_ = Clock::now();
    progress_({state_.updates, total_steps_, state_.samples, recent_loss_ / static_cast<double>(recent_batches_)});
    recent_loss_ = 0.0;
    recent_batches_ = 0;
  }

  TrainResult finish() {
    if (started_ == Clock::time_point()) begin();
    await_losses();
    recorder_.flush();
    const auto ended = Clock::now();
    result_.steps = state_.updates;
    result_.samples = state_.samples;
    result_.loss = state_.epoch_batches > 0 ? state_.epoch_loss / static_cast<double>(state_.epoch_batches) : 0.0;
    result_.seconds = std::chrono::duration<double>(ended - started_).count();
    result_.samples_per_second = result_.seconds > 0.0 ? static_cast<double>(result_.samples) / result_.seconds : 0.0;
    if (state_.has_best) {
      result_.validation_loss = state_.best_loss;
      early_stopping_.restore_best();
    }
    save_safetensors(plan_.output, model_->parameters(), plan_.metadata);
    checkpoints_.remove();
    result_.finish_seconds = std::chrono::duration<double>(Clock::now() - ended).count();
    return result_;
  }

  std::shared_ptr<Snapshot> data_;
  const TrainSet& set_;
  const TrainPlan& plan_;
  const StopFlag& stop_;
  const std::function<void(const TrainProgress&)>& progress_;
  std::unique_ptr<Model> model_;
  BatchSelector selector_;
  LateLosses losses_;
  SetSampler sampler_;
  Recorder recorder_;
  Checkpointer checkpoints_;
  EarlyStopping early_stopping_;
  LoopState state_;
  TrainResult result_;
  uint64_t batches_per_epoch_ = 0;
  uint64_t steps_per_epoch_ = 0;
  uint64_t total_steps_ = 0;
  bool updated_ = true;  // the last batch ended an optimizer step
  double recent_loss_ = 0.0;
  uint64_t recent_batches_ = 0;
  Clock::time_point called_ = Clock::now();
  Clock::time_point started_, reported_;
};

}  // namespace

TrainResult train(const std::shared_ptr<Snapshot>& data, const TrainSet& set, const TrainPlan& plan, const StopFlag& stop,
                  const std::function<void(const TrainProgress&)>& progress) {
  check_plan(plan);
  check_features(plan.features, data->schema());
  check_fit(plan.model, plan.features, data->schema(), plan.options.criterion);
  stop.check();
  return Training(data, set, plan, stop, progress).run();
}

}  // namespace sluice
