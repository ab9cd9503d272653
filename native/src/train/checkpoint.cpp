#include "train/checkpoint.h"

#include <cstdio>
#include <cstdlib>
#include <map>
#include <string_view>

#include "base/error.h"
#include "base/file.h"
#include "modelstore/safetensors.h"

namespace sluice {

namespace {

/// Everything that is kept, as views: parameters, optimizer state, best parameters.
std::vector<NamedTensor> tensors_of(Model& model, std::vector<std::vector<float>>& best) {
  std::vector<NamedTensor> all;
  const std::vector<NamedTensor> parameters = model.parameters();
  for (NamedTensor tensor : parameters) {
    tensor.name = "model." + tensor.name;
    all.push_back(std::move(tensor));
  }
  for (NamedTensor tensor : model.optimizer_state()) {
    tensor.name = "optimizer." + tensor.name;
    all.push_back(std::move(tensor));
  }
  for (size_t i = 0; i < best.size(); ++i) all.push_back({"best." + parameters[i].name, parameters[i].shape, best[i].data()});
  return all;
}

std::string exact(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%a", value);
  return text;
}

uint64_t whole(const std::map<std::string, std::string>& all, const char* name) { return std::strtoull(all.at(name).c_str(), nullptr, 10); }
double real(const std::map<std::string, std::string>& all, const char* name) { return std::strtod(all.at(name).c_str(), nullptr); }

}  // namespace

void save_checkpoint(const std::string& path, const std::string& plan, Model& model, std::vector<std::vector<float>>& best, const LoopState& s) {
  save_safetensors(path, tensors_of(model, best),
                   {{"plan", plan},
                    {"updates", std::to_string(s.updates)},
                    {"batches", std::to_string(s.batches)},
                    {"samples", std::to_string(s.samples)},
                    {"epoch_loss", exact(s.epoch_loss)},
                    {"epoch_batches", std::to_string(s.epoch_batches)},
                    {"best_loss", exact(s.best_loss)},
                    {"epochs_without_gain", std::to_string(s.epochs_without_gain)},
                    {"has_best", s.has_best ? "1" : "0"}});
}

std::optional<LoopState> load_checkpoint(const std::string& path, const std::string& plan, Model& model, std::vector<std::vector<float>>& best) {
  if (!path_exists(path)) return std::nullopt;
  try {
    const Metadata metadata = read_safetensors_header(path).metadata;
    const std::map<std::string, std::string> all(metadata.begin(), metadata.end());
    if (all.at("plan") != plan) return std::nullopt;
    LoopState s;
    s.updates = whole(all, "updates");
    s.batches = whole(all, "batches");
    s.samples = whole(all, "samples");
    s.epoch_loss = real(all, "epoch_loss");
    s.epoch_batches = whole(all, "epoch_batches");
    s.best_loss = real(all, "best_loss");
    s.epochs_without_gain = static_cast<uint32_t>(whole(all, "epochs_without_gain"));
    s.has_best = all.at("has_best") == "1";
    load_safetensors(path, tensors_of(model, best));
    model.set_updates(s.updates);
    model.parameters_changed();
    return s;
  } catch (const std::out_of_range&) {  // a field is missing
    return std::nullopt;
  } catch (const Error& error) {
    const std::string_view found = error.code();
    if (found == code::kCorrupt || found == code::kShape) return std::nullopt;
    throw;
  }
}

}  // namespace sluice
