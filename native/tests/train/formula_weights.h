// Weights and inputs that scripts/fixtures/make_image_models.py and make_transformers.py know too.
#pragma once
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "train/model.h"

namespace sluice::testing {

/// n numbers in [-1, 1), the k-th such row.
inline std::vector<double> noise(size_t n, uint32_t k) {
  std::vector<double> values(n);
  for (size_t i = 0; i < n; ++i) {
    uint32_t u = static_cast<uint32_t>(i) * 2654435761U + k * 40503U + 12345U;
    u ^= u >> 16;
    u *= 0x45d9f3bU;
    u ^= u >> 16;
    u *= 0x45d9f3bU;
    u ^= u >> 16;
    values[i] = static_cast<double>(u) / 2147483648.0 - 1.0;
  }
  return values;
}

inline std::vector<float> noise_floats(size_t n, uint32_t k, double middle, double size) {
  std::vector<float> values;
  for (const double v : noise(n, k)) values.push_back(static_cast<float>(middle + size * v));
  return values;
}

inline void fill_by_formula(Model& model) {
  uint32_t k = 0;
  for (const NamedTensor& tensor : model.parameters()) {
    const auto ends = [&](const std::string& end) { return tensor.name.size() >= end.size() && tensor.name.compare(tensor.name.size() - end.size(), end.size(), end) == 0; };
    double middle = 0.0;
    double size = 0.1;
    if (tensor.shape.size() > 1) {
      size = std::sqrt(6.0 / (static_cast<double>(tensor.size()) / static_cast<double>(tensor.shape[0])));
    } else if (ends("running_var")) {
      middle = 1.0, size = 0.2;
    } else if (ends(".weight")) {
      middle = 0.3;
    }
    const std::vector<float> values = noise_floats(tensor.size(), k++, middle, size);
    std::copy(values.begin(), values.end(), tensor.data);
  }
  model.parameters_changed();
}

}  // namespace sluice::testing
