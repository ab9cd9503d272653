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

/// Everything that is kept, as views: parameters, optimizer state, what else there is.
std::vector<NamedTensor> tensors_of(Model& model, const std::vector<NamedTensor>& more) {
  std::vector<NamedTensor> all;
  for (NamedTensor tensor : model.parameters()) {
    tensor.name = "model." + tensor.name;
    all.push_back(std::move(tensor));
  }
  for (NamedTensor tensor : model.optimizer_state()) {
    tensor.name = "optimizer." + tensor.name;
    all.push_back(std::move(tensor));
  }
  all.insert(all.end(), more.begin(), more.end());
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

bool Checkpointer::due(uint64_t updates) const {
  if (when_.path.empty()) return false;
  const std::chrono::duration<double> since = std::chrono::steady_clock::now() - saved_;
  return (when_.every_steps > 0 && updates % when_.every_steps == 0) || (when_.every_seconds > 0.0 && since.count() >= when_.every_seconds);
}

void Checkpointer::save(Model& model, const std::vector<NamedTensor>& more, const LoopState& s) {
  save_safetensors(when_.path, tensors_of(model, more),
                   {{"plan", plan_},
                    {"updates", std::to_string(s.updates)},
                    {"batches", std::to_string(s.batches)},
                    {"samples", std::to_string(s.samples)},
                    {"epoch_loss", exact(s.epoch_loss)},
                    {"epoch_batches", std::to_string(s.epoch_batches)},
                    {"best_loss", exact(s.best_loss)},
                    {"epochs_without_gain", std::to_string(s.epochs_without_gain)},
                    {"has_best", s.has_best ? "1" : "0"}});
  saved_ = std::chrono::steady_clock::now();
}

void Checkpointer::remove() const {
  if (!when_.path.empty()) std::remove(when_.path.c_str());
}

std::string Checkpointer::kept() const { return !when_.path.empty() && path_exists(when_.path) ? when_.path : ""; }

std::optional<LoopState> Checkpointer::load(Model& model, const std::vector<NamedTensor>& more) const {
  if (kept().empty()) return std::nullopt;
  try {
    const Metadata metadata = read_safetensors_header(when_.path).metadata;
    const std::map<std::string, std::string> all(metadata.begin(), metadata.end());
    if (all.at("plan") != plan_) return std::nullopt;
    LoopState s;
    s.updates = whole(all, "updates");
    s.batches = whole(all, "batches");
    s.samples = whole(all, "samples");
    s.epoch_loss = real(all, "epoch_loss");
    s.epoch_batches = whole(all, "epoch_batches");
    s.best_loss = real(all, "best_loss");
    s.epochs_without_gain = static_cast<uint32_t>(whole(all, "epochs_without_gain"));
    s.has_best = all.at("has_best") == "1";
    load_safetensors(when_.path, tensors_of(model, more));
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
