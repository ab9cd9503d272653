#include "train/recorder.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "train/sample_scores.h"

namespace sluice {

namespace {

/// Of what waits, and as much again while it is written. A write touches every chunk of the columns that one of its samples lies
/// in, which for a global shuffle are all of them: so there should be few.
constexpr size_t kPendingBytes = size_t{128} << 20;

}  // namespace

const char* recorded_name(Recorded value) {
  switch (value) {
    case Recorded::kLoss: return "loss";
    case Recorded::kGradientNorm: return "gradient-norm";
    case Recorded::kConfidence: return "confidence";
    case Recorded::kMargin: return "margin";
    case Recorded::kEntropy: return "entropy";
  }
  throw Error(code::kInternal, "no name for what is recorded");
}

void check_recording(const Recording& recording, const Criterion& criterion) {
  for (size_t i = 0; i < recording.values.size(); ++i) {
    const Recorded value = recording.values[i];
    if (std::count(recording.values.begin(), recording.values.end(), value) > 1) {
      throw Error(code::kArgument, std::string("record: ") + recorded_name(value) + " is named twice");
    }
    if (value >= Recorded::kConfidence) require_classes(criterion, "record", recorded_name(value));
  }
}

Recorder::Recorder(const Recording& recording, const Criterion& criterion, uint32_t outputs, size_t batch_size, uint64_t samples)
    : recording_(recording), criterion_(criterion), outputs_(outputs) {
  if (recording_.values.empty()) return;
  store_ = MetadataStore::open(recording_.folder, true);
  std::vector<MetadataColumn> columns;
  for (const Recorded value : recording_.values) {
    columns.push_back({recorded_name(value)});
    if (value == Recorded::kLoss) losses_.resize(batch_size);
    if (value == Recorded::kGradientNorm) gradients_.resize(batch_size * outputs_);
    if (value >= Recorded::kConfidence) logits_.resize(batch_size * outputs_);
  }
  store_->define(columns);
  pending_.columns.resize(columns.size());
  const size_t row_bytes = sizeof(uint64_t) + columns.size() * sizeof(float);
  most_pending_ = std::max<size_t>(batch_size, std::min<uint64_t>(samples, kPendingBytes / row_bytes));
  reserve(pending_);
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
  if (pending_.keys.size() + batch.rows > most_pending_) write();
  pending_.keys.insert(pending_.keys.end(), batch.keys, batch.keys + batch.rows);
  for (size_t c = 0; c < recording_.values.size(); ++c) {
    std::vector<float>& column = pending_.columns[c];
    column.resize(column.size() + batch.rows);
    values(recording_.values[c], batch.rows, column.data() + column.size() - batch.rows);
  }
}

/// Of the rows of the batch that has just passed.
void Recorder::values(Recorded which, size_t rows, float* out) const {
  const auto of_logits = [&](auto score) {
    for (size_t r = 0; r < rows; ++r) out[r] = score(criterion_, logits_.data() + r * outputs_, outputs_);
  };
  switch (which) {
    case Recorded::kLoss: std::copy_n(losses_.data(), rows, out); return;
    case Recorded::kGradientNorm:
      for (size_t r = 0; r < rows; ++r) out[r] = l2_norm(gradients_.data() + r * outputs_, outputs_);
      return;
    case Recorded::kConfidence: return of_logits(confidence);
    case Recorded::kMargin: return of_logits(margin);
    case Recorded::kEntropy: return of_logits(entropy);
  }
}

void Recorder::reserve(Pending& pending) const {
  pending.keys.reserve(most_pending_);
  for (std::vector<float>& column : pending.columns) column.reserve(most_pending_);
}

/// Hands what is pending to another thread, once the one before has ended.
void Recorder::write() {
  if (writing_.valid()) writing_.get();
  if (pending_.keys.empty()) return;
  Pending taken{{}, std::vector<std::vector<float>>(pending_.columns.size())};
  std::swap(taken, pending_);
  reserve(pending_);
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
