// Optimizers, schedules and losses against PyTorch, step by step.
#include "train/optimizer.h"

#include <map>

#include "dlrm_fixture.h"
#include "train/criterion.h"
#include "train/schedule.h"

namespace sluice {
namespace {

using namespace testing;

float number(const json& spec, const char* name, float otherwise) { return spec.contains(name) ? spec[name].get<float>() : otherwise; }
uint64_t whole(const json& spec, const char* name, uint64_t otherwise) { return spec.contains(name) ? spec[name].get<uint64_t>() : otherwise; }

Optimizer optimizer_from(const json& o) {
  static const std::map<std::string, OptimizerKind> kinds{{"sgd", OptimizerKind::kSgd}, {"adagrad", OptimizerKind::kAdagrad}, {"adam", OptimizerKind::kAdam}, {"adamw", OptimizerKind::kAdamW}};
  Optimizer optimizer;
  optimizer.kind = kinds.at(o["kind"]);
  optimizer.lr = o["lr"];
  optimizer.eps = number(o, "eps", 0.0F);
  optimizer.beta1 = number(o, "beta1", 0.0F);
  optimizer.beta2 = number(o, "beta2", 0.0F);
  optimizer.momentum = number(o, "momentum", 0.0F);
  optimizer.dampening = number(o, "dampening", 0.0F);
  optimizer.nesterov = o.contains("nesterov");
  optimizer.weight_decay = number(o, "weightDecay", 0.0F);
  return optimizer;
}

TEST(DenseOptimizer, EveryStepEqualsPyTorch) {
  const json f = fixture("optim.json");
  for (const json& c : f["optimizers"]) {
    SCOPED_TRACE(c["name"].get<std::string>());
    auto w = c["initial"].get<std::vector<float>>();
    DenseOptimizer optimizer(optimizer_from(c["options"]), w.size(), "test");
    for (size_t s = 0; s < c["gradients"].size(); ++s) {
      const auto g = c["gradients"][s].get<std::vector<float>>();
      optimizer.step(w.data(), g.data(), 1.0F, f["gradientScale"]);
      for (size_t i = 0; i < w.size(); ++i) ASSERT_NEAR(w[i], c["weights"][s][i].get<float>(), 2e-6F) << "step " << s << ", weight " << i;
    }
  }
}

TEST(DenseOptimizer, GoesOnFromItsState) {
  const std::vector<float> g{0.3F, -0.2F, 0.9F};
  for (const OptimizerKind kind : {OptimizerKind::kSgd, OptimizerKind::kAdagrad, OptimizerKind::kAdamW}) {
    Optimizer options;
    options.kind = kind;
    options.momentum = kind == OptimizerKind::kSgd ? 0.9F : 0.0F;
    std::vector<float> straight{1.0F, 2.0F, 3.0F};
    DenseOptimizer one(options, 3, "test");
    for (int i = 0; i < 5; ++i) one.step(straight.data(), g.data());
    std::vector<float> w{1.0F, 2.0F, 3.0F};
    DenseOptimizer before(options, 3, "test");
    for (int i = 0; i < 2; ++i) before.step(w.data(), g.data());
    DenseOptimizer after(options, 3, "test");
    std::vector<NamedTensor> from, to;
    before.append_state("w", from);
    after.append_state("w", to);
    ASSERT_EQ(from.size(), to.size());
    for (size_t i = 0; i < from.size(); ++i) std::copy_n(from[i].data, 3, to[i].data);
    after.set_steps(2);
    for (int i = 0; i < 3; ++i) after.step(w.data(), g.data());
    EXPECT_EQ(w, straight);
  }
}

TEST(Optimizer, ParameterGroupsAreChosenByPattern) {
  ModelOptions options;
  options.dense_optimizer.lr = 1.0F;
  options.groups = {{"top.*.bias", {}}, {"*", {}}};
  options.groups[0].optimizer.lr = 2.0F;
  options.groups[1].optimizer.lr = 3.0F;
  const auto lr = [&](const char* name) { return optimizer_of(options, name, options.dense_optimizer).lr; };
  EXPECT_EQ(lr("top.0.bias"), 2.0F);
  EXPECT_EQ(lr("top.12.bias"), 2.0F);
  EXPECT_EQ(lr("top.0.weight"), 3.0F);
  options.groups.pop_back();
  EXPECT_EQ(lr("top.0.bias2"), 1.0F);
  EXPECT_EQ(lr("xtop.0.bias"), 1.0F);
}

TEST(Optimizer, ImpossibleValuesAreNamed) {
  const auto message = [](const auto& change) {
    Optimizer o;
    change(o);
    return error_of([&] { check_optimizer(o, "here"); }).second;
  };
  EXPECT_NE(message([](Optimizer& o) { o.lr = -1.0F; }).find("here: lr"), std::string::npos);
  EXPECT_NE(message([](Optimizer& o) { o.beta2 = 1.0F; }).find("beta2"), std::string::npos);
  EXPECT_NE(message([](Optimizer& o) { o.nesterov = true; }).find("nesterov"), std::string::npos);
  EXPECT_NE(message([](Optimizer& o) { o.weight_decay = NAN; }).find("weight decay"), std::string::npos);
}

Schedule schedule_from(const json& s) {
  static const std::map<std::string, ScheduleKind> kinds{
      {"step", ScheduleKind::kStep}, {"cosine", ScheduleKind::kCosine}, {"polynomial", ScheduleKind::kPolynomial}, {"one-cycle", ScheduleKind::kOneCycle}};
  Schedule schedule;
  schedule.kind = kinds.at(s["kind"]);
  schedule.per_epoch = s.contains("perEpoch");
  schedule.warmup = whole(s, "warmup", 0);
  schedule.warmup_from = number(s, "warmupFrom", 0.0F);
  schedule.every = whole(s, "every", 1);
  schedule.gamma = number(s, "gamma", 0.1F);
  schedule.end = number(s, "end", 0.0F);
  schedule.power = number(s, "power", 1.0F);
  schedule.rise = number(s, "rise", 0.3F);
  schedule.initial_division = number(s, "initialDivision", 25.0F);
  schedule.final_division = number(s, "finalDivision", 1e4F);
  return schedule;
}

TEST(Schedule, EveryFactorEqualsPyTorch) {
  const json f = fixture("optim.json");
  for (const json& c : f["schedules"]) {
    SCOPED_TRACE(c["name"].get<std::string>());
    const Schedule schedule = schedule_from(c["spec"]);
    check_schedule(schedule);
    for (size_t step = 0; step < c["factors"].size(); ++step) {
      EXPECT_NEAR(schedule_factor(schedule, step, c["total"], c["stepsPerEpoch"]), c["factors"][step].get<double>(), 1e-6) << "step " << step;
    }
  }
}

TEST(Schedule, HoldsBeforeItDecaysAndAtItsEnd) {
  Schedule schedule;
  schedule.kind = ScheduleKind::kPolynomial;
  schedule.warmup = 2;
  schedule.hold = 3;
  schedule.length = 4;
  schedule.end = 0.2F;
  const std::vector<float> expected{0.0F, 0.5F, 1.0F, 1.0F, 1.0F, 1.0F, 0.8F, 0.6F, 0.4F, 0.2F, 0.2F, 0.2F};
  for (size_t step = 0; step < expected.size(); ++step) EXPECT_NEAR(schedule_factor(schedule, step, 100, 10), expected[step], 1e-6F) << "step " << step;
}

TEST(Criterion, LossesAndGradientsEqualPyTorch) {
  static const std::map<std::string, Criterion::Kind> kinds{{"mse", Criterion::kMse}, {"l1", Criterion::kL1}, {"huber", Criterion::kHuber}, {"cross-entropy", Criterion::kCrossEntropy}};
  const json f = fixture("optim.json");
  for (const json& c : f["criteria"]) {
    SCOPED_TRACE(c["name"].get<std::string>());
    Criterion criterion(kinds.at(c["spec"]["kind"]));
    criterion.label_smoothing = number(c["spec"], "labelSmoothing", 0.0F);
    criterion.delta = number(c["spec"], "delta", 1.0F);
    const auto logits = c["logits"].get<std::vector<float>>();
    const auto labels = c["labels"].get<std::vector<float>>();
    const auto weights = c["weights"].get<std::vector<float>>();
    const size_t outputs = c["outputs"];
    std::vector<float> losses(labels.size()), gradient(logits.size()), own(logits.size());
    EXPECT_NEAR(criterion_loss(criterion, logits.data(), labels.size(), outputs, labels.data(), weights.data(), losses.data(), gradient.data()), c["mean"].get<double>(), 1e-6);
    Batch batch;
    batch.rows = labels.size();
    batch.labels = labels.data();
    score_logits(criterion, logits.data(), batch, outputs, {nullptr, nullptr, own.data(), nullptr});
    for (size_t i = 0; i < losses.size(); ++i) EXPECT_NEAR(losses[i], c["losses"][i].get<float>(), 2e-6F) << i;
    for (size_t i = 0; i < gradient.size(); ++i) {
      EXPECT_NEAR(gradient[i], c["gradient"][i].get<float>(), 1e-6F) << i;
      EXPECT_NEAR(own[i] * weights[i / outputs] / static_cast<float>(labels.size()), gradient[i], 1e-6F) << i;
    }
  }
}

TEST(Dlrm, AccumulationAndClippingEqualPyTorch) {
  const json f = fixture("optim.json");
  for (const json& c : f["accumulated"]) {
    const size_t parts = c["parts"];
    const float clip = c["clip"];
    SCOPED_TRACE(std::to_string(parts) + " parts, clipped to " + std::to_string(clip));
    ModelOptions options;
    options.dense_optimizer.lr = 0.1F;
    options.dense_optimizer.momentum = 0.9F;
    options.embedding_optimizer.lr = 0.3F;
    const auto model = make_dlrm(dlrm_spec(f, 1), options);
    set_weights(*model, c["initial"]);
    for (size_t s = 0; s < c["norms"].size(); ++s) {
      for (size_t p = 0; p < parts; ++p) model->accumulate(batch_of(c["batches"][s * parts + p]).view(), 1.0F / static_cast<float>(parts));
      const double norm = model->gradient_norm();
      if (clip > 0.0F) {
        EXPECT_NEAR(norm, c["norms"][s].get<double>(), 1e-5 * norm) << "step " << s;
      }
      model->update(1.0F, clip > 0.0F ? static_cast<float>(std::min(1.0, clip / (norm + 1e-6))) : 1.0F);
    }
    expect_weights(*model, c["final"], 3e-6F);
  }
}

// FBGEMM's exact row-wise Adagrad: the row's state grows by the mean square of its summed gradient.
TEST(Dlrm, RowwiseAdagradKeepsOneNumberARow) {
  DlrmSpec spec;
  spec.tables = {4};
  spec.embedding = 2;
  spec.top = {1};
  ModelOptions options;
  options.dense_optimizer.lr = 0.0F;
  options.embedding_optimizer.kind = OptimizerKind::kRowwiseAdagrad;
  options.embedding_optimizer.lr = 0.5F;
  options.embedding_optimizer.eps = 1e-3F;
  const auto model = make_dlrm(spec, options);
  const auto parameters = model->parameters();
  const std::vector<float> w{parameters[0].data[0], parameters[0].data[1]};  // top.0.weight
  float* rows = parameters[2].data;
  const std::vector<float> before(rows, rows + 8);
  const float bias = parameters[1].data[0];
  const std::vector<int32_t> index{1, 3, 1};
  const std::vector<float> labels{1.0F, 0.0F, 0.0F};
  const auto slope = [&](int32_t row, float label) {
    const double x = static_cast<double>(before[2 * row] * w[0] + before[2 * row + 1] * w[1] + bias);
    return (1.0 / (1.0 + std::exp(-x)) - static_cast<double>(label)) / 3.0;
  };
  Batch batch;
  batch.rows = 3;
  batch.categorical = index.data();
  batch.labels = labels.data();
  model->step(batch);
  const auto expect_row = [&](int32_t row, double g) {
    const double g0 = g * static_cast<double>(w[0]);
    const double g1 = g * static_cast<double>(w[1]);
    const double divisor = std::sqrt((g0 * g0 + g1 * g1) / 2.0) + 1e-3;
    EXPECT_NEAR(rows[2 * row], before[2 * row] - 0.5 * g0 / divisor, 1e-6);
    EXPECT_NEAR(rows[2 * row + 1], before[2 * row + 1] - 0.5 * g1 / divisor, 1e-6);
  };
  expect_row(1, slope(1, 1.0F) + slope(1, 0.0F));
  expect_row(3, slope(3, 0.0F));
  EXPECT_EQ(rows[0], before[0]);
  EXPECT_EQ(rows[4], before[4]);
  const auto state = model->optimizer_state();
  ASSERT_EQ(state.size(), 1U);
  EXPECT_EQ(state[0].shape, (std::vector<int64_t>{4}));
}

}  // namespace
}  // namespace sluice
