// The small DLRMs of scripts/fixtures: their weights and batches as JSON.
#pragma once
#include <cmath>
#include <string>
#include <vector>

#include "fixtures.h"
#include "train/model.h"

namespace sluice::testing {

using nlohmann::json;

inline DlrmSpec dlrm_spec(const json& f, uint32_t outputs) {
  DlrmSpec spec;
  spec.dense = f["dense"];
  spec.tables = f["tables"].get<std::vector<uint64_t>>();
  spec.embedding = f["width"];
  spec.bottom = {5, spec.embedding};
  spec.top = {9, outputs};
  return spec;
}

inline void set_weights(Model& model, const json& tensors) {
  const auto parameters = model.parameters();
  ASSERT_EQ(parameters.size(), tensors.size());
  for (size_t i = 0; i < tensors.size(); ++i) {
    ASSERT_EQ(parameters[i].name, tensors[i]["name"].get<std::string>());
    ASSERT_EQ(parameters[i].shape, tensors[i]["shape"].get<std::vector<int64_t>>());
    const auto data = tensors[i]["data"].get<std::vector<float>>();
    std::copy(data.begin(), data.end(), parameters[i].data);
  }
  model.parameters_changed();
}

inline void expect_weights(Model& model, const json& tensors, float tolerance) {
  const auto parameters = model.parameters();
  ASSERT_EQ(parameters.size(), tensors.size());
  for (size_t i = 0; i < parameters.size(); ++i) {
    const auto expected = tensors[i]["data"].get<std::vector<float>>();
    for (size_t j = 0; j < expected.size(); ++j) ASSERT_NEAR(parameters[i].data[j], expected[j], tolerance) << parameters[i].name << "[" << j << "]";
  }
}

struct HostBatch {
  std::vector<float> dense, labels, weights;
  std::vector<int32_t> categorical;
  Batch view() const { return {labels.size(), dense.data(), categorical.data(), labels.data(), weights.data()}; }
};

inline HostBatch batch_of(const json& b) {
  return {b["dense"].get<std::vector<float>>(), b["labels"].get<std::vector<float>>(), b["weights"].get<std::vector<float>>(),
          b["categorical"].get<std::vector<int32_t>>()};
}

}  // namespace sluice::testing
