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

std::string text(const std::vector<uint32_t>& shape) {
  std::string all;
  for (const uint32_t size : shape) all += (all.empty() ? "" : ", ") + std::to_string(size);
  return "[" + all + "]";
}

void check_values(const InputShape& has, const std::vector<uint32_t>& wants) {
  if (has.values == wants) return;
  fail(has.values.empty() ? "the pipeline has no tensor feature, but the model takes one of shape " + text(wants)
                          : "the tensor feature has the shape " + text(has.values) + ", but the model takes " + (wants.empty() ? "none" : text(wants)));
}

void check_ids(const InputShape& has, size_t wants) {
  if (has.ids != wants) fail("the samples have " + std::to_string(has.ids) + " token ids, but the model takes " + std::to_string(wants));
}

/// Features of one kind only.
void check_image(const ImageShape& image, const InputShape& has) {
  check_count("dense", has.dense, 0);
  check_count("categorical", has.tables, 0);
  check_values(has, {image.height, image.width, image.channels});
  check_ids(has, 0);
}

void check_model(const DlrmSpec& model, const Features& features, const InputShape& has, const Criterion& criterion) {
  check_count("dense", has.dense, model.dense);
  check_count("categorical", has.tables, model.tables.size());
  check_values(has, {});
  check_ids(has, 0);
  for (size_t i = 0; i < model.tables.size(); ++i) {
    const uint32_t buckets = buckets_of(features, i);
    if (buckets > model.tables[i]) {
      fail("categorical feature " + std::to_string(i) + " has " + std::to_string(buckets) + " buckets, but its embedding table " + std::to_string(model.tables[i]) + " rows");
    }
  }
  check_outputs(model.top.empty() ? 0 : model.top.back(), criterion);
}

void check_model(const MlpSpec& model, const Features&, const InputShape& has, const Criterion& criterion) {
  check_count("dense", has.dense, model.inputs);
  check_count("categorical", has.tables, 0);
  check_values(has, {});
  check_ids(has, 0);
  check_outputs(model.layers.empty() ? 0 : model.layers.back(), criterion);
}

void check_model(const ResNetSpec& model, const Features&, const InputShape& has, const Criterion& criterion) {
  check_image(model.image, has);
  check_outputs(model.outputs, criterion);
}

void check_model(const CnnSpec& model, const Features&, const InputShape& has, const Criterion& criterion) {
  check_image(model.image, has);
  check_outputs(model.outputs, criterion);
}

void check_model(const TransformerSpec& model, const Features&, const InputShape& has, const Criterion& criterion) {
  check_count("dense", has.dense, 0);
  check_count("categorical", has.tables, 0);
  check_values(has, {});
  check_ids(has, model.length);
  check_outputs(model.outputs, criterion);
}

void check_model(const ScriptSpec& model, const Features&, const InputShape& has, const Criterion& criterion) {
  check_count("dense", has.dense, model.dense);
  check_count("categorical", has.tables, model.tables);
  check_values(has, model.values);
  check_ids(has, model.ids);
  check_outputs(model.outputs, criterion);
}

}  // namespace

void check_fit(const ModelSpec& model, const Features& features, const Schema& schema, const Criterion& criterion) {
  const InputShape has = input_shape(features, schema);
  std::visit([&](const auto& spec) { check_model(spec, features, has, criterion); }, model);
}

uint32_t id_limit(const ModelSpec& model) {
  const auto* transformer = std::get_if<TransformerSpec>(&model);
  return transformer == nullptr ? 0 : transformer->vocabulary;
}

}  // namespace sluice
