// Training: native/src/train/train.h.
#include "train/train.h"

#include <limits>
#include <utility>

#include "arrays.h"
#include "cuda/cuda.h"
#include "guard.h"
#include "handles.h"
#include "jobs.h"
#include "module.h"
#include "plans.h"

namespace sluice::bindings {

namespace {

constexpr std::array<std::pair<const char*, Precision>, 3> kPrecisions{
    {{"fp32", Precision::kFp32}, {"bf16", Precision::kBf16}, {"fp16", Precision::kFp16}}};
constexpr std::array<std::pair<const char*, Shuffle>, 3> kShuffles{
    {{"global", Shuffle::kGlobal}, {"block", Shuffle::kBlock}, {"none", Shuffle::kNone}}};

constexpr std::array<std::pair<const char*, ScheduleKind>, 5> kSchedules{{{"constant", ScheduleKind::kConstant},
                                                                          {"step", ScheduleKind::kStep},
                                                                          {"cosine", ScheduleKind::kCosine},
                                                                          {"polynomial", ScheduleKind::kPolynomial},
                                                                          {"one-cycle", ScheduleKind::kOneCycle}}};

constexpr std::array<std::pair<const char*, BatchScore>, 5> kBatchScores{{{"uniform", BatchScore::kUniform},
                                                                   {"loss", BatchScore::kLoss},
                                                                   {"gradient-norm", BatchScore::kGradientNorm},
                                                                   {"margin", BatchScore::kDoubt},
                                                                   {"entropy", BatchScore::kEntropy}}};
constexpr std::array<std::pair<const char*, BatchChoice>, 2> kBatchChoices{
    {{"sampled", BatchChoice::kSampled}, {"greatest", BatchChoice::kGreatest}}};

constexpr std::array<std::pair<const char*, InTrainingMode>, 2> kInTrainingModes{
    {{"batch-then-sample", InTrainingMode::kBatchThenSample}, {"sample-then-batch", InTrainingMode::kSampleThenBatch}}};
constexpr std::array<std::pair<const char*, Recorded>, 5> kRecorded{{{"loss", Recorded::kLoss},
                                                               {"gradient-norm", Recorded::kGradientNorm},
                                                               {"confidence", Recorded::kConfidence},
                                                               {"margin", Recorded::kMargin},
                                                               {"entropy", Recorded::kEntropy}}};

constexpr uint32_t kMaxEpochs = 1'000'000'000;
constexpr size_t kMaxGroups = 1000;
constexpr size_t kMaxPatternBytes = 1000;
constexpr uint32_t kMaxThreads = 1024;
constexpr size_t kMaxMetadata = 1000;
constexpr size_t kMaxMetadataKeyBytes = 256;
constexpr size_t kMaxMetadataValueBytes = size_t{1} << 20;

ModelOptions read_options(const Arg& arg) {
  ModelOptions options;
  options.precision = arg.field("precision").choice(kPrecisions);
  options.dense_optimizer = read_optimizer(arg.field("denseOptimizer"));
  options.embedding_optimizer = read_optimizer(arg.field("embeddingOptimizer"));
  for (const Arg& group : arg.field("groups").elements(kMaxGroups)) {
    options.groups.push_back({group.field("parameters").text(1, kMaxPatternBytes), read_optimizer(group.field("optimizer"))});
  }
  options.seed = arg.field("seed").integer(0, kMaxSafeInteger);
  return options;
}

Schedule read_schedule(const Arg& arg) {
  Schedule schedule;
  schedule.kind = arg.field("kind").choice(kSchedules);
  schedule.per_epoch = arg.field("perEpoch").boolean();
  schedule.warmup = arg.field("warmup").integer(0, kMaxSafeInteger);
  schedule.warmup_from = arg.field("warmupFrom").real();
  schedule.hold = arg.field("hold").integer(0, kMaxSafeInteger);
  schedule.length = arg.field("length").integer(0, kMaxSafeInteger);
  schedule.every = arg.field("every").integer(1, kMaxSafeInteger);
  schedule.gamma = arg.field("gamma").real();
  schedule.end = arg.field("end").real();
  schedule.power = arg.field("power").real();
  schedule.rise = arg.field("rise").real();
  schedule.initial_division = arg.field("initialDivision").real();
  schedule.final_division = arg.field("finalDivision").real();
  return schedule;
}

/// What decides how long and in which steps a training runs.
void read_loop(const Arg& arg, TrainPlan& plan) {
  plan.batch_size = arg.field("batchSize").integer32(1, kMaxBatchSize);
  plan.epochs = arg.field("epochs").integer32(1, kMaxEpochs);
  plan.max_steps = arg.field("maxSteps").integer(0, kMaxSafeInteger);
  plan.accumulate = arg.field("accumulate").integer32(1, kMaxBatchSize);
  plan.clip_norm = arg.field("clipNorm").real();
  const Arg in_training = arg.field("inTraining");
  plan.in_training = {in_training.field("keep").real(), in_training.field("score").choice(kBatchScores), in_training.field("choice").choice(kBatchChoices), in_training.field("mode").choice(kInTrainingModes),
                      in_training.field("every").integer32(1, kMaxEpochs)};
  const Arg record = arg.field("record");
  plan.record.folder = record.field("folder").text(0, kMaxPathBytes);
  for (const Arg& value : record.field("values").elements(kRecorded.size())) plan.record.values.push_back(value.choice(kRecorded));
  plan.schedule = read_schedule(arg.field("schedule"));
  const Arg early_stop = arg.field("earlyStop");
  plan.early_stop.held_out = static_cast<float>(early_stop.field("heldOut").number(0, 1));
  plan.early_stop.patience = early_stop.field("patience").integer32(1, kMaxEpochs);
  plan.early_stop.least_gain = early_stop.field("leastGain").real();
  const Arg checkpoints = arg.field("checkpoints");
  plan.checkpoints.path = checkpoints.field("path").text(0, kMaxPathBytes);
  plan.checkpoints.every_steps = checkpoints.field("everySteps").integer(0, kMaxSafeInteger);
  plan.checkpoints.every_seconds = checkpoints.field("everySeconds").number(0, 1e9);
}

TrainPlan read_plan(const Arg& arg) {
  ModelPlan model = read_model_plan(arg);
  TrainPlan plan;
  plan.features = std::move(model.features);
  plan.model = std::move(model.model);
  plan.options = read_options(arg);
  plan.options.criterion = model.criterion;
  plan.options.device = model.device;
  plan.options.deterministic = model.deterministic;
  read_loop(arg, plan);
  plan.shuffle = arg.field("shuffle").choice(kShuffles);
  plan.shuffle_block = arg.field("shuffleBlock").integer32(1, std::numeric_limits<uint32_t>::max());
  const Arg loader = arg.field("loader");
  plan.loader_threads = loader.field("threads").integer32(0, kMaxThreads);
  plan.loader_memory = loader.field("memory").integer(1, kMaxSafeInteger);
  plan.parent = arg.field("parent").text(0, kMaxPathBytes);
  plan.weights = arg.field("weights").text(0, kMaxPathBytes);
  plan.output = arg.field("output").path_text();
  plan.metadata = arg.field("metadata").dictionary(kMaxMetadata, kMaxMetadataKeyBytes, kMaxMetadataValueBytes);
  return plan;
}

Deliver deliver_progress(const TrainProgress& progress) {
  return [progress](Napi::Env env) {
    const Napi::Object object = Napi::Object::New(env);
    object.Set("steps", static_cast<double>(progress.steps));
    object.Set("totalSteps", static_cast<double>(progress.total_steps));
    object.Set("samples", static_cast<double>(progress.samples));
    object.Set("loss", progress.loss);
    return object;
  };
}

Deliver deliver_result(const TrainResult& result) {
  return [result](Napi::Env env) {
    const Napi::Object object = Napi::Object::New(env);
    object.Set("steps", static_cast<double>(result.steps));
    object.Set("samples", static_cast<double>(result.samples));
    object.Set("loss", result.loss);
    object.Set("validationLoss", optional_value(env, result.validation_loss));
    const Napi::Array untouched = Napi::Array::New(env, result.untouched.size());
    for (uint32_t i = 0; i < result.untouched.size(); ++i) untouched.Set(i, result.untouched[i]);
    object.Set("untouched", untouched);
    object.Set("resumedAt", static_cast<double>(result.resumed_at));
    object.Set("startSeconds", result.start_seconds);
    object.Set("seconds", result.seconds);
    object.Set("finishSeconds", result.finish_seconds);
    object.Set("samplesPerSecond", result.samples_per_second);
    return object;
  };
}

// C++: TrainResult train(const std::shared_ptr<Snapshot>& data, const TrainSet& set, const TrainPlan& plan,
//                        const StopFlag& stop, const std::function<void(const TrainProgress&)>& progress)
// TS:  train(dataset: DatasetHandle, plan: RawTrainPlan, stop: StopHandle, progress: (p: RawTrainProgress) => void): Promise<RawTrainResult>;
Napi::Value train_model(Call& call) {
  const Arg plan_arg = call.arg(1, "plan");
  const std::string folder = plan_arg.field("trainsetFolder").path_text();
  const std::string id = plan_arg.field("trainset").set_id();
  TrainPlan plan = read_plan(plan_arg);
  const auto stop = call.arg(2, "stop").handle<StopHandle>()->flag;
  if (plan.features.parse) plan.features.parse->stop = stop;
  const Napi::Function progress = call.arg(3, "progress").function();
  const auto data = call.arg(0, "dataset").handle<DatasetHandle>()->dataset()->snapshot();
  return start_job(call, stop, progress, [=](const Report& report) {
    const auto set = TrainSet::open(folder, id);
    return deliver_result(train(data, *set, plan, *stop, [&](const TrainProgress& p) { report(deliver_progress(p)); }));
  });
}

// C++: void set_compute_threads(int threads)
// TS:  set_compute_threads(threads: number): void;
Napi::Value set_threads(Call& call) {
  set_compute_threads(static_cast<int>(call.arg(0, "threads").integer32(0, kMaxThreads)));
  return call.undefined();
}

// C++: int compute_threads()
// TS:  compute_threads(): number;
Napi::Value get_threads(Call& call) { return Napi::Number::New(call.env(), compute_threads()); }

// C++: std::vector<CudaDevice> cuda_devices()
// TS:  cuda_devices(): RawCudaDevice[];
Napi::Value get_cuda_devices(Call& call) {
  const std::vector<CudaDevice> devices = cuda_devices();
  const Napi::Array all = Napi::Array::New(call.env(), devices.size());
  for (size_t i = 0; i < devices.size(); ++i) {
    const Napi::Object object = Napi::Object::New(call.env());
    object.Set("name", devices[i].name);
    object.Set("memory", static_cast<double>(devices[i].memory));
    object.Set("capability", devices[i].capability);
    all.Set(static_cast<uint32_t>(i), object);
  }
  return all;
}

// C++: void require_cuda()
// TS:  require_cuda(): void;
Napi::Value check_cuda(Call& call) {
  require_cuda();
  return call.undefined();
}

// C++: class StopFlag
// TS:  stop_create(): StopHandle;
Napi::Value stop_create(Call& call) { return make_handle(call.env(), std::make_shared<StopHandle>()); }

// C++: void StopFlag::request() noexcept
// TS:  stop_request(stop: StopHandle): void;
Napi::Value stop_request(Call& call) {
  call.arg(0, "stop").handle<StopHandle>()->flag->request();
  return call.undefined();
}

}  // namespace

void define_train(Napi::Object exports) {
  define<train_model, Domain::kTorch>(exports, "train");
  define<set_threads, Domain::kTorch>(exports, "set_compute_threads");
  define<get_threads, Domain::kTorch>(exports, "compute_threads");
  define<get_cuda_devices>(exports, "cuda_devices");
  define<check_cuda>(exports, "require_cuda");
  define<stop_create>(exports, "stop_create");
  define<stop_request>(exports, "stop_request");
}

}  // namespace sluice::bindings
