#include "train/recorder.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "base/error.h"
#include "train/sample_scores.h"

namespace sluice {

namespace {

/// Of the table of values by key. A write touches every chunk of a column that one of its samples lies in, which for a global
/// shuffle are all of them: so there should be few.
constexpr size_t kTableBytes = size_t{256} << 20;
/// Of what is listed without a table, and as much again while it is written.
constexpr size_t kListBytes = size_t{128} << 20;
/// Of what is written at a time from the table, whose samples come in their order.
constexpr size_t kPartBytes = size_t{32} << 20;

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

Recorder::Recorder(const Recording& recording, const Criterion& criterion, uint32_t outputs, size_t batch_size, uint64_t keys)
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
  told_.resize(batch_size * columns.size());
  const size_t row_bytes = columns.size() * sizeof(float);
  const bool tabled = keys <= kTableBytes / row_bytes;
  if (tabled) {
    table_ = Buffer<float>(keys * columns.size(), "recorded values");
    known_.resize((keys + 63) / 64);
  }
  most_pending_ = (tabled ? kPartBytes : kListBytes) / (sizeof(uint64_t) + row_bytes);
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
  for (size_t c = 0; c < recording_.values.size(); ++c) tell(recording_.values[c], batch.rows, told_.data() + c * batch.rows);
  if (table_.empty()) {
    if (pending_.keys.size() + batch.rows > most_pending_) write();
    pending_.keys.insert(pending_.keys.end(), batch.keys, batch.keys + batch.rows);
    for (size_t c = 0; c < pending_.columns.size(); ++c) {
      pending_.columns[c].insert(pending_.columns[c].end(), told_.data() + c * batch.rows, told_.data() + (c + 1) * batch.rows);
    }
    return;
  }
  const size_t columns = recording_.values.size();
  for (size_t r = 0; r < batch.rows; ++r) {
    const uint64_t key = batch.keys[r];
    for (size_t c = 0; c < columns; ++c) table_[key * columns + c] = told_[c * batch.rows + r];
    known_[key / 64] |= uint64_t{1} << key % 64;
  }
}

/// Of the rows of the batch that has just passed.
void Recorder::tell(Recorded which, size_t rows, float* out) const {
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

/// Makes room for what is left of the table, or a part of it.
void Recorder::reserve() {
  const size_t most = std::min(most_pending_ + 64, known_.size() * 64);
  pending_.keys.reserve(most);
  for (std::vector<float>& column : pending_.columns) column.reserve(most);
}

/// Writes what the table holds, in the order of keys.
void Recorder::write_table() {
  const size_t columns = recording_.values.size();
  for (size_t word = 0; word < known_.size(); ++word) {
    if (pending_.keys.empty() && known_[word] != 0) reserve();
    for (; known_[word] != 0; known_[word] &= known_[word] - 1) {
      const uint64_t key = word * 64 + static_cast<uint64_t>(std::countr_zero(known_[word]));
      pending_.keys.push_back(key);
      for (size_t c = 0; c < columns; ++c) pending_.columns[c].push_back(table_[key * columns + c]);
    }
    if (pending_.keys.size() >= most_pending_) write();
  }
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
  write_table();
  write();
  if (writing_.valid()) writing_.get();
}

}  // namespace sluice
