#include "train/recorder.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"

namespace sluice {

namespace {

constexpr size_t kPendingSamples = size_t{1} << 18;

float norm(const float* values, size_t n) {
  double sum = 0.0;
  for (size_t i = 0; i < n; ++i) sum += static_cast<double>(values[i]) * static_cast<double>(values[i]);
  return static_cast<float>(std::sqrt(sum));
}

/// Of the most likely class: the greater of sigmoid(z) and sigmoid(-z), or the greatest of softmax.
float confidence(const Criterion& criterion, const float* logits, size_t outputs) {
  if (criterion.kind == Criterion::kBce) return 1.0F / (1.0F + std::exp(-std::fabs(logits[0])));
  const float greatest = *std::max_element(logits, logits + outputs);
  float sum = 0.0F;
  for (size_t c = 0; c < outputs; ++c) sum += std::exp(logits[c] - greatest);
  return 1.0F / sum;
}

}  // namespace

const char* recorded_name(Recorded value) {
  switch (value) {
    case Recorded::kLoss: return "loss";
    case Recorded::kGradientNorm: return "gradient-norm";
    case Recorded::kConfidence: return "confidence";
  }
  throw Error(code::kInternal, "no name for what is recorded");
}

void check_recording(const Recording& recording, const Criterion& criterion) {
  for (size_t i = 0; i < recording.values.size(); ++i) {
    const Recorded value = recording.values[i];
    if (std::count(recording.values.begin(), recording.values.end(), value) > 1) {
      throw Error(code::kArgument, std::string("record: ") + recorded_name(value) + " is named twice");
    }
    if (value == Recorded::kConfidence && criterion.regression()) throw Error(code::kArgument, "record: a regression has no confidence");
  }
}

Recorder::Recorder(const Recording& recording, const Criterion& criterion, uint32_t outputs, size_t batch_size)
    : recording_(recording), criterion_(criterion), outputs_(outputs) {
  if (recording_.values.empty()) return;
  store_ = MetadataStore::open(recording_.folder, true);
  std::vector<MetadataColumn> columns;
  for (const Recorded value : recording_.values) {
    columns.push_back({recorded_name(value)});
    if (value == Recorded::kLoss) losses_.resize(batch_size);
    if (value == Recorded::kGradientNorm) gradients_.resize(batch_size * outputs_);
    if (value == Recorded::kConfidence) logits_.resize(batch_size * outputs_);
  }
  store_->define(columns);
  pending_.columns.resize(columns.size());
}

Recorder::~Recorder() {
  if (writing_.valid()) writing_.wait();
}

Scores Recorder::wanted() {
  const auto room = [](std::vector<float>& values) { return values.empty() ? nullptr : values.data(); };
  Scores scores;
  scores.losses = room(losses_);
  scores.logits = room(logits_);
  scores.logit_gradients = room(gradients_);
  return scores;
}

void Recorder::passed(const Batch& batch) {
  if (recording_.values.empty()) return;
  pending_.keys.insert(pending_.keys.end(), batch.keys, batch.keys + batch.rows);
  for (size_t c = 0; c < recording_.values.size(); ++c) {
    for (size_t r = 0; r < batch.rows; ++r) pending_.columns[c].push_back(value(recording_.values[c], r));
  }
  if (pending_.keys.size() >= kPendingSamples) write();
}

float Recorder::value(Recorded which, size_t row) const {
  switch (which) {
    case Recorded::kLoss: return losses_[row];
    case Recorded::kGradientNorm: return norm(gradients_.data() + row * outputs_, outputs_);
    case Recorded::kConfidence: return confidence(criterion_, logits_.data() + row * outputs_, outputs_);
  }
  throw Error(code::kInternal, "no such value to record");
}

/// Hands what is pending to another thread, once the one before has ended.
void Recorder::write() {
  if (writing_.valid()) writing_.get();
  if (pending_.keys.empty()) return;
  Pending taken{{}, std::vector<std::vector<float>>(pending_.columns.size())};
  std::swap(taken, pending_);
  writing_ = std::async(std::launch::async, [this, taken = std::move(taken)] {
    std::vector<MetadataValues> values;
    for (size_t c = 0; c < taken.columns.size(); ++c) {
      values.push_back({recorded_name(recording_.values[c]), MetadataType::kF32, taken.columns[c].size(), taken.columns[c].data()});
    }
    store_->update(taken.keys.data(), taken.keys.size(), values);
  });
}

void Recorder::flush() {
  write();
  if (writing_.valid()) writing_.get();
}

}  // namespace sluice
