#include "train/train.h"

#include <cmath>
#include <fstream>

#include "base/file.h"
#include "resuming.h"
#include "samples_fixture.h"

namespace sluice {
namespace {

using testing::bytes_of;
using testing::error_of;
using testing::train_until_checkpoint;

class TrainTest : public testing::SamplesTest {};

TrainPlan small_plan(const std::string& output) {
  TrainPlan plan;
  plan.features.dense = {{DenseOp::kValue, 0, 500.0F, 0.002F}};
  DlrmSpec model;
  model.dense = 1;
  model.embedding = 4;
  model.bottom = {4};
  model.top = {4, 1};
  plan.model = model;
  plan.options.dense_optimizer.lr = 0.1F;
  plan.batch_size = 64;
  plan.output = output;
  return plan;
}

TEST_F(TrainTest, TrainingIsDeterministicAndGoesOnFromAParent) {
  fill(1000);
  const auto set = set_of(every_third(1000));
  const StopFlag stop;
  TrainPlan plan = small_plan(folder_.file("a"));
  const TrainResult result = train(dataset_->snapshot(), *set, plan, stop, {});
  EXPECT_EQ(result.steps, 6U);
  EXPECT_EQ(result.samples, 334U);
  plan.output = folder_.file("b");
  train(dataset_->snapshot(), *set, plan, stop, {});
  EXPECT_EQ(bytes_of(folder_.file("a")), bytes_of(folder_.file("b")));
  plan.parent = folder_.file("a");
  plan.output = folder_.file("c");
  train(dataset_->snapshot(), *set, plan, stop, {});
  EXPECT_NE(bytes_of(folder_.file("a")), bytes_of(folder_.file("c")));
}

TEST_F(TrainTest, AStoppedOrDivergedTrainingWritesNoModel) {
  fill(1000);
  const auto set = set_of(every_third(1000));
  StopFlag stop;
  stop.request();
  EXPECT_EQ(error_of([&] { train(dataset_->snapshot(), *set, small_plan(folder_.file("m")), stop, {}); }).first, "E_ABORTED");
  TrainPlan wild = small_plan(folder_.file("m"));
  wild.options.dense_optimizer.lr = 1e20F;
  wild.epochs = 20;
  const auto [code, message] = error_of([&] { train(dataset_->snapshot(), *set, wild, StopFlag{}, {}); });
  EXPECT_EQ(code, "E_DIVERGED") << message;
  EXPECT_FALSE(std::filesystem::exists(folder_.file("m")));
}

TEST_F(TrainTest, WhatDoesNotFitIsRefusedBeforeAnythingIsRead) {
  fill(10);
  const auto set = set_of({1, 2});
  TrainPlan plan = small_plan(folder_.file("m"));
  plan.features.categorical = {{CategoricalOp::kHour, 0, 0, 24}};
  EXPECT_EQ(error_of([&] { train(dataset_->snapshot(), *set, plan, StopFlag{}, {}); }).first, "E_SHAPE");
  plan = small_plan(folder_.file("m"));
  plan.options.criterion = Criterion::kCrossEntropy;
  EXPECT_EQ(error_of([&] { train(dataset_->snapshot(), *set, plan, StopFlag{}, {}); }).first, "E_SHAPE");
}

TEST_F(TrainTest, GoesOnFromItsCheckpointAndEndsWithTheSameModel) {
  fill(3000);
  const auto set = set_of(every_third(3000));
  for (const OptimizerKind kind : {OptimizerKind::kSgd, OptimizerKind::kAdamW}) {
    TrainPlan plan = small_plan(folder_.file("straight"));
    plan.options.dense_optimizer.kind = kind;
    plan.options.dense_optimizer.momentum = kind == OptimizerKind::kSgd ? 0.9F : 0.0F;
    plan.options.dense_optimizer.lr = 0.01F;
    plan.epochs = 400;
    plan.accumulate = 3;
    plan.clip_norm = 1.0F;
    plan.schedule.kind = ScheduleKind::kCosine;
    plan.early_stop = {0.1F, 1000, 0.0F};
    const TrainResult straight = train(dataset_->snapshot(), *set, plan, StopFlag{}, {});
    plan.output = folder_.file("resumed");
    plan.checkpoints = {folder_.file("checkpoint"), 7, 0.0};
    train_until_checkpoint(dataset_->snapshot(), *set, plan);
    const TrainResult resumed = train(dataset_->snapshot(), *set, plan, StopFlag{}, {});
    EXPECT_GT(resumed.resumed_at, 0U);
    EXPECT_EQ(resumed.resumed_at % 7, 0U);
    EXPECT_EQ(resumed.steps, straight.steps);
    EXPECT_EQ(resumed.samples, straight.samples);
    EXPECT_EQ(resumed.loss, straight.loss);
    EXPECT_EQ(resumed.validation_loss, straight.validation_loss);
    EXPECT_EQ(bytes_of(folder_.file("straight")), bytes_of(folder_.file("resumed")));
    EXPECT_FALSE(path_exists(plan.checkpoints.path)) << "the checkpoint of an ended training is left behind";
  }
}

TEST_F(TrainTest, ACheckpointOfAnotherTrainingOrADamagedOneIsNotUsed) {
  fill(3000);
  const auto set = set_of(every_third(3000));
  TrainPlan plan = small_plan(folder_.file("m"));
  plan.epochs = 400;
  plan.checkpoints = {folder_.file("checkpoint"), 5, 0.0};
  train_until_checkpoint(dataset_->snapshot(), *set, plan);
  plan.options.seed = 77;
  plan.epochs = 1;
  EXPECT_EQ(train(dataset_->snapshot(), *set, plan, StopFlag{}, {}).resumed_at, 0U);
  plan.epochs = 400;
  train_until_checkpoint(dataset_->snapshot(), *set, plan);
  std::filesystem::resize_file(plan.checkpoints.path, 100);
  plan.max_steps = 3;
  EXPECT_EQ(train(dataset_->snapshot(), *set, plan, StopFlag{}, {}).resumed_at, 0U);
}

TEST_F(TrainTest, ACheckpointOfAChangedPlanIsNotUsed) {
  fill(3000);
  const auto set = set_of(every_third(3000));
  TrainPlan plan = small_plan(folder_.file("m"));
  plan.epochs = 400;
  plan.in_training = {0.5F, BatchScore::kLoss, BatchChoice::kSampled, InTrainingMode::kBatchThenSample, 1};
  plan.checkpoints = {folder_.file("checkpoint"), 5, 0.0};
  train_until_checkpoint(dataset_->snapshot(), *set, plan);
  const std::string checkpoint = bytes_of(plan.checkpoints.path);
  const auto resumed_after = [&](const auto& change) {
    std::ofstream(plan.checkpoints.path, std::ios::binary) << checkpoint;
    TrainPlan changed = plan;
    change(changed);
    return train(dataset_->snapshot(), *set, changed, StopFlag{}, {}).resumed_at;
  };
  EXPECT_GT(resumed_after([](TrainPlan& p) { p.loader_threads = 3; }), 0U) << "the loader changes no result";
  EXPECT_EQ(resumed_after([](TrainPlan& p) { p.options.dense_optimizer.lr *= 0.5F; }), 0U);
  EXPECT_EQ(resumed_after([](TrainPlan& p) { p.in_training.score = BatchScore::kGradientNorm; }), 0U);
  EXPECT_EQ(resumed_after([](TrainPlan& p) { p.schedule.warmup = 3; }), 0U);
  EXPECT_EQ(resumed_after([](TrainPlan& p) { p.shuffle = Shuffle::kNone; }), 0U);
  EXPECT_EQ(resumed_after([&](TrainPlan& p) { p.record = {folder_.file("values"), {Recorded::kLoss}}; }), 0U);
}

TEST_F(TrainTest, EndsAfterSoManySteps) {
  fill(1000);
  const auto set = set_of(every_third(1000));  // six batches
  TrainPlan plan = small_plan(folder_.file("m"));
  plan.epochs = 10;
  plan.max_steps = 8;
  TrainResult result = train(dataset_->snapshot(), *set, plan, StopFlag{}, {});
  EXPECT_EQ(result.steps, 8U);
  EXPECT_EQ(result.samples, 334U + 2 * 64U);
  plan.max_steps = 0;
  plan.accumulate = 4;  // two steps an epoch: of four batches and of two
  result = train(dataset_->snapshot(), *set, plan, StopFlag{}, {});
  EXPECT_EQ(result.steps, 20U);
  EXPECT_EQ(result.samples, 3340U);
}

TEST_F(TrainTest, EarlyStopWritesTheBestModel) {
  fill(3000);
  const auto set = set_of(every_third(3000));
  TrainPlan plan = small_plan(folder_.file("m"));
  plan.epochs = 50;
  plan.early_stop = {0.2F, 2, 0.0F};
  plan.options.dense_optimizer.lr = 0.0F;  // never gains after the first epoch
  const TrainResult result = train(dataset_->snapshot(), *set, plan, StopFlag{}, {});
  const uint64_t batches_per_epoch = (result.samples / 3 + 63) / 64;
  EXPECT_EQ(result.steps, 3 * batches_per_epoch);
  plan.options.dense_optimizer.lr = 5.0F;  // jumps about: the last epoch is hardly the best
  plan.early_stop.patience = 50;
  const double best = train(dataset_->snapshot(), *set, plan, StopFlag{}, {}).validation_loss.value();
  plan.parent = plan.output;
  plan.output = folder_.file("n");
  plan.epochs = 1;
  plan.options.dense_optimizer.lr = 0.0F;
  EXPECT_DOUBLE_EQ(train(dataset_->snapshot(), *set, plan, StopFlag{}, {}).validation_loss.value(), best);
}

TEST_F(TrainTest, DivergenceNamesSamplesAndKeepsTheCheckpoint) {
  fill(1000);
  const auto set = set_of(every_third(1000));
  TrainPlan plan = small_plan(folder_.file("m"));
  plan.options.dense_optimizer.lr = 1e20F;
  plan.schedule.kind = ScheduleKind::kConstant;
  plan.schedule.warmup = 5;  // the first step leaves the model as it is
  plan.schedule.warmup_from = 0.0F;
  plan.epochs = 20;
  plan.shuffle = Shuffle::kNone;
  plan.checkpoints = {folder_.file("checkpoint"), 1, 0.0};
  const auto [code, message] = error_of([&] { train(dataset_->snapshot(), *set, plan, StopFlag{}, {}); });
  EXPECT_EQ(code, "E_DIVERGED");
  EXPECT_NE(message.find("(64 samples)"), std::string::npos) << message;
  EXPECT_NE(message.find(plan.checkpoints.path), std::string::npos) << message;
  EXPECT_TRUE(path_exists(plan.checkpoints.path));
}

TEST_F(TrainTest, RegressionTakesAnyFiniteLabelAndClassesDoNot) {
  fill(100, 12.5F);
  const auto set = set_of(every_third(100));
  TrainPlan plan = small_plan(folder_.file("m"));
  EXPECT_EQ(error_of([&] { train(dataset_->snapshot(), *set_of({98, 99}), plan, StopFlag{}, {}); }), (std::pair<std::string, std::string>{"E_LABEL_RANGE", "sample 99: label 12.500000 is none of the classes 0 to 1"}));
  plan.options.criterion = Criterion::kHuber;
  plan.options.dense_optimizer.lr = 0.01F;
  plan.epochs = 50;
  EXPECT_LT(train(dataset_->snapshot(), *set, plan, StopFlag{}, {}).loss, 1.0);
}

TEST_F(TrainTest, ImpossiblePlansAreNamed) {
  fill(10);
  const auto set = set_of({1, 2});
  const auto code_after = [&](const auto& change) {
    TrainPlan plan = small_plan(folder_.file("m"));
    change(plan);
    return error_of([&] { train(dataset_->snapshot(), *set, plan, StopFlag{}, {}); }).first;
  };
  EXPECT_EQ(code_after([](TrainPlan& p) { p.accumulate = 0; }), "E_ARGUMENT");
  EXPECT_EQ(code_after([](TrainPlan& p) { p.clip_norm = -1.0F; }), "E_ARGUMENT");
  EXPECT_EQ(code_after([](TrainPlan& p) { p.early_stop.held_out = 1.0F; }), "E_ARGUMENT");
  EXPECT_EQ(code_after([](TrainPlan& p) { p.schedule.gamma = 0.0F; }), "E_ARGUMENT");
  EXPECT_EQ(code_after([](TrainPlan& p) { p.options.criterion.label_smoothing = 0.1F; }), "E_ARGUMENT");
  EXPECT_EQ(code_after([](TrainPlan& p) { p.options.dense_optimizer.kind = OptimizerKind::kRowwiseAdagrad; }), "E_ARGUMENT");
  EXPECT_EQ(code_after([](TrainPlan& p) { p.options.groups = {{"top.*", {}}}, p.options.groups[0].optimizer.lr = NAN; }), "E_ARGUMENT");
}

}  // namespace
}  // namespace sluice
