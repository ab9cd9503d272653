// Evaluation: native/src/eval/evaluate.h.
#include "eval/evaluate.h"

#include <utility>

#include "arrays.h"
#include "describe.h"
#include "guard.h"
#include "handles.h"
#include "jobs.h"
#include "module.h"
#include "plans.h"

namespace sluice::bindings {

namespace {

constexpr size_t kMaxWindows = 1'000'000;

EvalPlan read_plan(const Arg& arg) {
  ModelPlan model = read_model_plan(arg);
  EvalPlan plan;
  plan.features = std::move(model.features);
  plan.model = std::move(model.model);
  plan.criterion = model.criterion;
  plan.device = model.device;
  plan.deterministic = model.deterministic;
  plan.batch_size = arg.field("batchSize").integer32(1, kMaxBatchSize);
  plan.model_file = arg.field("modelFile").path_text();
  for (const Arg& window : arg.field("windows").elements(kMaxWindows)) {
    const uint64_t end = window.field("end").integer(0, kMaxSafeInteger);
    plan.windows.push_back({window.field("first").integer(0, end), end});
  }
  return plan;
}

void check_windows(const Call& call, const EvalPlan& plan, uint64_t size) {
  for (size_t i = 0; i < plan.windows.size(); ++i) {
    if (plan.windows[i].end > size)
      throw Error(code::kArgument, std::string("[") + call.op() + "] plan.windows[" + std::to_string(i) +
                                       "].end: expected an integer up to the dataset's size " + std::to_string(size) +
                                       ", got " + std::to_string(plan.windows[i].end));
  }
}

Deliver deliver_metrics(std::vector<Metrics> metrics) {
  return [metrics = std::move(metrics)](Napi::Env env) {
    const Napi::Array array = Napi::Array::New(env, metrics.size());
    for (uint32_t i = 0; i < metrics.size(); ++i) {
      const Napi::Object object = Napi::Object::New(env);
      object.Set("samples", static_cast<double>(metrics[i].samples));
      object.Set("loss", metrics[i].loss);
      object.Set("accuracy", optional_value(env, metrics[i].accuracy));
      object.Set("auc", optional_value(env, metrics[i].auc));
      object.Set("rmse", optional_value(env, metrics[i].rmse));
      array.Set(i, object);
    }
    return array;
  };
}

// C++: std::vector<Metrics> evaluate(const std::shared_ptr<Snapshot>& data, const EvalPlan& plan, const StopFlag& stop,
//                                    const std::function<void(size_t windows_done)>& progress)
// TS:  evaluate(dataset: DatasetHandle, plan: RawEvalPlan, stop: StopHandle, progress: (windowsDone: number) => void): Promise<RawMetrics[]>;
Napi::Value evaluate_model(Call& call) {
  EvalPlan plan = read_plan(call.arg(1, "plan"));
  const auto stop = call.arg(2, "stop").handle<StopHandle>()->flag;
  if (plan.features.parse) plan.features.parse->stop = stop;
  const Napi::Function progress = call.arg(3, "progress").function();
  const auto data = call.arg(0, "dataset").handle<DatasetHandle>()->dataset()->snapshot();
  check_windows(call, plan, data->size());
  return start_job(call, stop, progress, [=](const Report& report) {
    return deliver_metrics(evaluate(data, plan, *stop, [&](size_t done) {
      report([done](Napi::Env env) { return Napi::Number::New(env, static_cast<double>(done)); });
    }));
  });
}

// C++: std::optional<double> roc_auc(const float* scores, const float* labels, size_t n)
// TS:  roc_auc(scores: Float32Array, labels: Float32Array): number | null;
Napi::Value roc_auc_of(Call& call) {
  const auto scores = call.arg(0, "scores").array<float>();
  const auto labels = call.arg(1, "labels").array<float>(scores.size());
  for (size_t i = 0; i < scores.size(); ++i) {
    if (scores[i] != scores[i])
      throw Error(code::kNotFinite, std::string("[") + call.op() + "] scores[" + std::to_string(i) + "] is NaN");
    if (labels[i] != 0.0F && labels[i] != 1.0F)
      throw Error(code::kLabelRange, std::string("[") + call.op() + "] labels[" + std::to_string(i) + "]: expected 0 or 1, got " +
                                         number_text(labels[i]));
  }
  return optional_value(call.env(), roc_auc(scores.data(), labels.data(), scores.size()));
}

}  // namespace

void define_eval(Napi::Object exports) {
  define<evaluate_model, Domain::kTorch>(exports, "evaluate");
  define<roc_auc_of>(exports, "roc_auc");
}

}  // namespace sluice::bindings
