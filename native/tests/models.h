// What tests of several kinds of models do with them.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "train/model.h"

namespace sluice::testing {

/// Makes `to` what `from` is after so many updates, as a checkpoint does.
inline void take_state(Model& to, Model& from, uint64_t updates) {
  const auto copy = [](const std::vector<NamedTensor>& source, const std::vector<NamedTensor>& target) {
    ASSERT_EQ(source.size(), target.size());
    for (size_t i = 0; i < source.size(); ++i) std::copy_n(source[i].data, source[i].size(), target[i].data);
  };
  copy(from.parameters(), to.parameters());
  copy(from.optimizer_state(), to.optimizer_state());
  to.set_updates(updates);
  to.parameters_changed();
}

}  // namespace sluice::testing
