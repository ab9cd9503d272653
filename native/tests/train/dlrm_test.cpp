#include "base/error.h"
#include "dlrm_fixture.h"
#include "models.h"
#include "train/compute.h"

namespace sluice {
namespace {

using namespace testing;

OptimizerKind kind_of(const std::string& name) {
  return name == "sgd" ? OptimizerKind::kSgd : name == "adagrad" ? OptimizerKind::kAdagrad : OptimizerKind::kAdam;
}

ModelOptions options_of(const json& c) {
  ModelOptions options;
  options.criterion = c["outputs"] == 1 ? Criterion::kBce : Criterion::kCrossEntropy;
  Optimizer o;
  o.kind = kind_of(c["optimizer"]);
  o.lr = o.kind == OptimizerKind::kSgd ? 0.1F : o.kind == OptimizerKind::kAdagrad ? 0.05F : 0.01F;
  o.eps = o.kind == OptimizerKind::kAdagrad ? 1e-10F : 1e-8F;
  options.dense_optimizer = options.embedding_optimizer = o;
  return options;
}

DlrmSpec spec_of(const json& f, const json& c) { return dlrm_spec(f, c["outputs"]); }

class DlrmAgainstPyTorch : public ::testing::TestWithParam<size_t> {};

TEST_P(DlrmAgainstPyTorch, LossesAndFinalWeightsAreEqual) {
  const json f = fixture("dlrm.json");
  const json& c = f["cases"][GetParam()];
  SCOPED_TRACE(c["name"].get<std::string>());
  const auto model = make_dlrm(spec_of(f, c), options_of(c));
  set_weights(*model, c["initial"]);
  for (size_t s = 0; s < c["batches"].size(); ++s) {
    const double expected = c["losses"][s];
    EXPECT_NEAR(model->step(batch_of(c["batches"][s]).view()), expected, 2e-6 * std::abs(expected)) << "step " << s;
  }
  expect_weights(*model, c["final"], 3e-6F);
}

INSTANTIATE_TEST_SUITE_P(Cases, DlrmAgainstPyTorch, ::testing::Range<size_t>(0, 5));

double train_steps(Precision precision, size_t repeats) {
  const json f = fixture("dlrm.json");
  const json& c = f["cases"][0];
  ModelOptions options = options_of(c);
  options.precision = precision;
  const auto model = make_dlrm(spec_of(f, c), options);
  set_weights(*model, c["initial"]);
  double loss = 0.0;
  for (size_t r = 0; r < repeats; ++r) {
    for (const json& b : c["batches"]) loss = model->step(batch_of(b).view());
  }
  return loss;
}

TEST(Dlrm, Bf16FollowsFp32) {
  const double fp32 = train_steps(Precision::kFp32, 5);
  const double bf16 = train_steps(Precision::kBf16, 5);
  EXPECT_NE(fp32, bf16);
  EXPECT_NEAR(fp32, bf16, 0.02);
}

TEST(Dlrm, Bf16OnTheCpusOwnUnitsFollowsTheEmulation) {
  override_native_bf16(false);
  const double emulated = train_steps(Precision::kBf16, 5);
  override_native_bf16(true);
  const double native = train_steps(Precision::kBf16, 5);
  EXPECT_NEAR(emulated, native, 0.02);
}

TEST(Dlrm, Fp16FollowsFp32) {
  const double fp32 = train_steps(Precision::kFp32, 5);
  const double fp16 = train_steps(Precision::kFp16, 5);
  EXPECT_NE(fp32, fp16);
  EXPECT_NEAR(fp32, fp16, 0.005);
}

std::vector<float> all_values(const std::vector<NamedTensor>& tensors) {
  std::vector<float> all;
  for (const NamedTensor& t : tensors) all.insert(all.end(), t.data, t.data + t.size());
  return all;
}

ModelOptions fp16_options_of(const json& c) {
  ModelOptions options = options_of(c);
  options.precision = Precision::kFp16;
  options.dense_optimizer.kind = options.embedding_optimizer.kind = OptimizerKind::kAdam;
  return options;
}

TEST(Dlrm, Fp16LeavesOutAStepWhoseGradientsAreNotFinite) {
  const json f = fixture("dlrm.json");
  const json& c = f["cases"][0];
  const ModelOptions options = fp16_options_of(c);
  const auto model = make_dlrm(spec_of(f, c), options);
  set_weights(*model, c["initial"]);
  HostBatch batch = batch_of(c["batches"][0]);
  model->step(batch.view());
  const auto weights = all_values(model->parameters());
  const NamedTensor scale = model->optimizer_state().back();
  ASSERT_EQ(scale.name, "loss_scale");
  EXPECT_EQ(scale.data[0], 65536.0F);
  HostBatch heavy = batch;
  std::fill(heavy.weights.begin(), heavy.weights.end(), 1e4F);  // 65,536 times the gradient is beyond fp16
  model->step(heavy.view());
  EXPECT_EQ(scale.data[0], 32768.0F);
  EXPECT_EQ(scale.data[1], 0.0F);
  EXPECT_EQ(all_values(model->parameters()), weights);
  model->step(batch.view());
  EXPECT_NE(all_values(model->parameters()), weights);
}

TEST(Dlrm, Fp16GoesOnFromItsStateAsIfNothingHadHappened) {
  const json f = fixture("dlrm.json");
  const json& c = f["cases"][0];
  const ModelOptions options = fp16_options_of(c);
  const auto model = make_dlrm(spec_of(f, c), options);
  set_weights(*model, c["initial"]);
  HostBatch batch = batch_of(c["batches"][0]);
  HostBatch heavy = batch;
  std::fill(heavy.weights.begin(), heavy.weights.end(), 1e4F);
  model->step(heavy.view());  // left out
  model->step(batch.view());
  const auto resumed = make_dlrm(spec_of(f, c), options);
  testing::take_state(*resumed, *model, 2);
  for (Model* m : {model.get(), resumed.get()}) {
    for (int i = 0; i < 3; ++i) m->step(batch.view());
  }
  EXPECT_EQ(all_values(model->parameters()), all_values(resumed->parameters()));
  EXPECT_EQ(all_values(model->optimizer_state()), all_values(resumed->optimizer_state()));
}

TEST(Dlrm, TablesThatDoNotFitAreRefusedBeforeAnyMemoryIsTaken) {
  DlrmSpec spec;
  spec.tables.assign(26, 2'000'000'000);
  spec.embedding = 128;
  spec.top = {1};
  try {
    make_dlrm(spec, {});
    FAIL() << "26 TiB";
  } catch (const Error& error) {
    EXPECT_STREQ(error.code(), code::kMemory);
    EXPECT_NE(std::string(error.what()).find("24.2 TiB asked for, "), std::string::npos) << error.what();
  }
}

TEST(Dlrm, ThreadsDoNotChangeTheEmbeddings) {
  const json f = fixture("dlrm.json");
  const json& c = f["cases"][1];
  std::vector<std::vector<float>> results;
  const int threads_before = compute_threads();
  for (int threads : {1, 2}) {
    set_compute_threads(threads);
    const auto model = make_dlrm(spec_of(f, c), options_of(c));
    set_weights(*model, c["initial"]);
    model->step(batch_of(c["batches"][0]).view());
    const NamedTensor table = model->parameters().back();
    results.emplace_back(table.data, table.data + table.shape[0] * table.shape[1]);
  }
  set_compute_threads(threads_before);
  EXPECT_EQ(results[0], results[1]);
}

TEST(Dlrm, SameSeedSameWeightsOtherSeedOtherWeights) {
  const json f = fixture("dlrm.json");
  const auto first_weight = [&](uint64_t seed) {
    ModelOptions options;
    options.seed = seed;
    return make_dlrm(spec_of(f, f["cases"][0]), options)->parameters().front().data[0];
  };
  EXPECT_EQ(first_weight(1), first_weight(1));
  EXPECT_NE(first_weight(1), first_weight(2));
}

TEST(Dlrm, WorksWithoutDenseAndWithoutCategoricalFeatures) {
  DlrmSpec only_categorical;
  only_categorical.tables = {4};
  only_categorical.embedding = 3;
  only_categorical.top = {1};
  DlrmSpec only_dense;
  only_dense.dense = 2;
  only_dense.embedding = 3;
  only_dense.bottom = {3};
  only_dense.top = {4, 1};
  const std::vector<float> dense{0.5F, -1.0F, 2.0F, 1.0F};
  const std::vector<int32_t> categorical{1, 3};
  const std::vector<float> labels{0.0F, 1.0F};
  for (const DlrmSpec& spec : {only_categorical, only_dense}) {
    ModelOptions options;
    options.dense_optimizer.lr = options.embedding_optimizer.lr = 0.5F;
    const auto model = make_dlrm(spec, options);
    const Batch batch{2, dense.data(), categorical.data(), labels.data(), nullptr};
    const double before = model->step(batch);
    for (int i = 0; i < 200; ++i) model->step(batch);
    EXPECT_LT(model->step(batch), before);
  }
}

TEST(Dlrm, RefusesWhatDoesNotFit) {
  const json f = fixture("dlrm.json");
  DlrmSpec spec = spec_of(f, f["cases"][0]);
  spec.bottom.back() = 4;
  EXPECT_EQ(error_of([&] { make_dlrm(spec, {}); }).first, "E_SHAPE");
  spec = spec_of(f, f["cases"][0]);
  const auto model = make_dlrm(spec, {});
  HostBatch batch = batch_of(f["cases"][0]["batches"][0]);
  batch.categorical[3] = 7;  // table 0 has 7 rows
  const auto [code, message] = error_of([&] { model->step(batch.view()); });
  EXPECT_EQ(code, "E_SHAPE");
  EXPECT_NE(message.find("index 7 lies outside table 0 of 7 rows (row 3 of the batch)"), std::string::npos) << message;
  spec.tables = {uint64_t{1} << 30, uint64_t{1} << 30};
  spec.embedding = 4096;
  spec.bottom = {4096};
  EXPECT_EQ(error_of([&] { make_dlrm(spec, {}); }).first, "E_MEMORY");
}

}  // namespace
}  // namespace sluice
