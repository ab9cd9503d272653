#include "train/early_stop.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "train/diverged.h"
#include "train/late_losses.h"

namespace sluice {

EarlyStopping::EarlyStopping(const EarlyStop& options, Model& model) : options_(options), model_(model) {
  if (!active()) return;
  for (const NamedTensor& tensor : model_.parameters()) best_.emplace_back(tensor.size(), 0.0F);
}

void EarlyStopping::end_epoch(double loss, LoopState& state) {
  const double best = state.has_best ? state.best_loss : std::numeric_limits<double>::infinity();
  if (!(loss < best - static_cast<double>(options_.least_gain))) {
    ++state.epochs_without_gain;
    return;
  }
  state.best_loss = loss;
  state.has_best = true;
  state.epochs_without_gain = 0;
  const auto parameters = model_.parameters();
  for (size_t i = 0; i < parameters.size(); ++i) std::copy_n(parameters[i].data, best_[i].size(), best_[i].data());
}

std::vector<NamedTensor> EarlyStopping::tensors() {
  std::vector<NamedTensor> all;
  if (!active()) return all;
  const auto parameters = model_.parameters();
  for (size_t i = 0; i < parameters.size(); ++i) all.push_back({"best." + parameters[i].name, parameters[i].shape, best_[i].data()});
  return all;
}

void EarlyStopping::restore_best() {
  const auto parameters = model_.parameters();
  for (size_t i = 0; i < parameters.size(); ++i) std::copy_n(best_[i].data(), best_[i].size(), parameters[i].data);
  model_.parameters_changed();
}

double mean_loss(Model& model, Loader& loader, const Checkpointer& checkpoints, const StopFlag& stop) {
  std::vector<float> losses;
  double total = 0.0;
  while (const Batch* batch = loader.next()) {
    stop.check();
    losses.resize(std::max(losses.size(), batch->rows));
    model.score(*batch, {losses.data(), nullptr, nullptr, nullptr});
    double sum = 0.0;
    for (size_t r = 0; r < batch->rows; ++r) sum += losses[r];
    if (!std::isfinite(sum)) throw_diverged("the loss on held-out samples became " + std::to_string(sum), LateLosses::Passed(*batch, 0).samples(), checkpoints);
    total += sum;
  }
  return total / static_cast<double>(loader.samples_per_epoch());
}

}  // namespace sluice
