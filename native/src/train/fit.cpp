#include "train/fit.h"

#include <string>

#include "base/error.h"

namespace sluice {

namespace {

[[noreturn]] void fail(const std::string& what) { throw Error(code::kShape, what); }

void check_count(const char* kind, size_t has, size_t wants) {
  if (has != wants) fail(std::string("the number of ") + kind + " features is " + std::to_string(has) + ", but the model takes " + std::to_string(wants));
}

void check_outputs(uint32_t outputs, const Criterion& criterion) {
  if (criterion.kind == Criterion::kCrossEntropy) {
    if (outputs < 2) fail("the criterion cross-entropy wants 2 outputs or more, but the model has " + std::to_string(outputs));
  } else if (outputs != 1) {
    fail(std::string(criterion.regression() ? "a regression" : "the criterion bce") + " wants 1 output, but the model has " + std::to_string(outputs));
  }
}

void check_model(const DlrmSpec& model, const Features& features, const Criterion& criterion) {
  check_count("dense", features.dense.size(), model.dense);
  check_count("categorical", features.categorical.size(), model.tables.size());
  for (size_t i = 0; i < model.tables.size(); ++i) {
    const uint32_t buckets = features.categorical[i].buckets;
    if (buckets > model.tables[i]) {
      fail("categorical feature " + std::to_string(i) + " has " + std::to_string(buckets) + " buckets, but its embedding table " + std::to_string(model.tables[i]) + " rows");
    }
  }
  check_outputs(model.top.empty() ? 0 : model.top.back(), criterion);
}

void check_model(const MlpSpec& model, const Features& features, const Criterion& criterion) {
  check_count("dense", features.dense.size(), model.inputs);
  check_count("categorical", features.categorical.size(), 0);
  check_outputs(model.layers.empty() ? 0 : model.layers.back(), criterion);
}

void check_model(const ScriptSpec& model, const Features& features, const Criterion& criterion) {
  check_count("dense", features.dense.size(), model.dense);
  check_count("categorical", features.categorical.size(), model.tables);
  check_outputs(model.outputs, criterion);
}

}  // namespace

void check_fit(const ModelSpec& model, const Features& features, const Criterion& criterion) {
  std::visit([&](const auto& spec) { check_model(spec, features, criterion); }, model);
}

}  // namespace sluice
