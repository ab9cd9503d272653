#include "eval/evaluate.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "modelstore/safetensors.h"
#include "train/batch_slot.h"
#include "train/compute.h"
#include "train/criterion.h"
#include "train/encoder.h"
#include "train/fit.h"
#include "base/read_ahead.h"

namespace sluice {

namespace {

constexpr size_t kGrainBytes = size_t{64} << 10;    // of encoded rows: what a thread takes at once
constexpr size_t kBatchBytes = size_t{256} << 20;   // of encoded rows: larger batches are split

size_t row_bytes(const Encoder& encoder) {
  const InputShape& shape = encoder.shape();
  return 4 * (shape.dense + shape.tables + encoder.values() + shape.ids + 1);
}

/// Forward passes over a key range, with the features of each batch encoded into reused buffers.
class Scorer {
 public:
  Scorer(const Snapshot& data, const EvalPlan& plan, Model& model)
      : data_(data), record_bytes_(data.schema().record_bytes()), model_(model), encoder_(plan.features, data.schema(), id_limit(plan.model)),
        rows_(std::clamp<size_t>(kBatchBytes / row_bytes(encoder_), 1, plan.batch_size)),
        grain_(std::max<size_t>(1, kGrainBytes / row_bytes(encoder_))), timestamps_(rows_), records_(rows_),
        slot_(rows_, encoder_, false, model.batch_memory() != nullptr ? *model.batch_memory() : host_memory()) {}

  /// Rows that are scored at once, at most.
  size_t rows() const { return rows_; }

  /// Where the keys of the next score() go, rows() of them at most.
  uint64_t* keys() { return slot_.keys(); }

  /// logits [rows, outputs], labels [rows] of the keys.
  void score(size_t rows, float* logits, float* labels) {
    parallel_for(rows, grain_, [&](size_t begin, size_t end) { read(rows, begin, end); });
    model_.forward(slot_.batch(rows), logits);
    std::copy_n(slot_.labels(), rows, labels);
  }

 private:
  /// Rows [begin, end) of a batch.
  void read(size_t rows, size_t begin, size_t end) {
    const size_t n = end - begin;
    RecordMemory memory;
    data_.gather(slot_.keys() + begin, n, timestamps_.data() + begin, slot_.labels() + begin, records_.data() + begin, &memory);
    if (!data_.has_files()) read_ahead(records_.data() + begin, n, record_bytes_);
    EncodedRows to = encoder_.from_row(slot_.inputs(), begin);
    to.stride = rows;
    encoder_.encode({n, slot_.keys() + begin, timestamps_.data() + begin, records_.data() + begin}, std::nullopt, to);
  }

  const Snapshot& data_;
  const size_t record_bytes_;
  Model& model_;
  Encoder encoder_;
  size_t rows_;
  size_t grain_;
  std::vector<int64_t> timestamps_;
  std::vector<const uint8_t*> records_;
  BatchSlot slot_;
};

bool is_bce(const Criterion& criterion) { return criterion.kind == Criterion::kBce; }

size_t count_correct(const Criterion& criterion, const float* logits, const float* labels, size_t rows, size_t outputs) {
  size_t correct = 0;
  for (size_t r = 0; r < rows; ++r) {
    const float* row = logits + r * outputs;
    const auto predicted = is_bce(criterion) ? static_cast<size_t>(row[0] > 0.0F) : static_cast<size_t>(std::max_element(row, row + outputs) - row);
    correct += predicted == static_cast<size_t>(labels[r]) ? 1U : 0U;
  }
  return correct;
}

double squared_error(const float* predictions, const float* labels, size_t rows) {
  double sum = 0.0;
  for (size_t r = 0; r < rows; ++r) {
    const double error = static_cast<double>(predictions[r]) - static_cast<double>(labels[r]);
    sum += error * error;
  }
  return sum;
}

/// The score that ranks samples by their probability of class 1.
void positive_scores(const Criterion& criterion, const float* logits, size_t rows, float* scores) {
  for (size_t r = 0; r < rows; ++r) scores[r] = is_bce(criterion) ? logits[r] : logits[2 * r + 1] - logits[2 * r];
}

/// The keys of ranges, batch by batch.
class KeyStream {
 public:
  explicit KeyStream(std::vector<KeyRange> ranges) : ranges_(std::move(ranges)) {}
  void next(uint64_t* keys, size_t rows) {
    for (size_t done = 0; done < rows;) {
      KeyRange& range = ranges_[at_];
      const size_t n = std::min<uint64_t>(rows - done, range.end - range.first);
      std::iota(keys + done, keys + done + n, range.first);
      done += n;
      range.first += n;
      if (range.first == range.end) ++at_;
    }
  }

 private:
  std::vector<KeyRange> ranges_;
  size_t at_ = 0;
};

Metrics evaluate_window(Scorer& scorer, const Snapshot& data, const EvalPlan& plan, size_t outputs, const Window& window, const StopFlag& stop) {
  const bool classes = !plan.criterion.regression();
  const bool binary = classes && outputs <= 2;
  Metrics metrics;
  metrics.samples = window.end - window.first - data.deleted().count_in(window.first, window.end);
  if (metrics.samples == 0) return metrics;
  std::vector<float> logits(scorer.rows() * outputs);
  std::vector<float> labels(metrics.samples);
  std::vector<float> scores(binary ? metrics.samples : 0);
  KeyStream keys(data.deleted().missing_in(window.first, window.end));
  double loss = 0.0;
  double squares = 0.0;
  size_t correct = 0;
  for (uint64_t at = 0; at < metrics.samples;) {
    stop.check();
    const size_t rows = std::min<uint64_t>(scorer.rows(), metrics.samples - at);
    float* batch_labels = labels.data() + at;
    keys.next(scorer.keys(), rows);
    scorer.score(rows, logits.data(), batch_labels);
    for (size_t r = 0; r < rows; ++r) check_label(plan.criterion, batch_labels[r], scorer.keys()[r], outputs);
    loss += static_cast<double>(rows) * criterion_loss(plan.criterion, logits.data(), rows, outputs, batch_labels, nullptr, nullptr, nullptr);
    if (classes) {
      correct += count_correct(plan.criterion, logits.data(), batch_labels, rows, outputs);
    } else {
      squares += squared_error(logits.data(), batch_labels, rows);
    }
    if (binary) positive_scores(plan.criterion, logits.data(), rows, scores.data() + at);
    at += rows;
  }
  const auto n = static_cast<double>(metrics.samples);
  metrics.loss = loss / n;
  if (classes) {
    metrics.accuracy = static_cast<double>(correct) / n;
  } else {
    metrics.rmse = std::sqrt(squares / n);
  }
  if (binary) metrics.auc = roc_auc(scores.data(), labels.data(), metrics.samples);
  return metrics;
}

}  // namespace

std::vector<Metrics> evaluate(const std::shared_ptr<Snapshot>& data, const EvalPlan& plan, const StopFlag& stop,
                              const std::function<void(size_t)>& progress) {
  check_features(plan.features, data->schema());
  check_criterion(plan.criterion);
  check_fit(plan.model, plan.features, data->schema(), plan.criterion);
  if (plan.batch_size == 0) throw Error(code::kArgument, "batch size: expected at least 1, got 0");
  for (const Window& window : plan.windows) {
    if (window.first > window.end || window.end > data->size()) {
      throw Error(code::kArgument, "window: keys " + std::to_string(window.first) + " to " + std::to_string(window.end) +
                                       " do not lie in a dataset of " + std::to_string(data->size()) + " samples");
    }
  }
  ModelOptions options;
  options.criterion = plan.criterion;
  options.device = plan.device;
  options.deterministic = plan.deterministic;
  options.train = false;
  options.initial = false;
  const std::unique_ptr<Model> model = make_model(plan.model, options);
  load_safetensors(plan.model_file, model->parameters());
  model->parameters_changed();
  const ComputeScope compute(model->flops_per_row() * plan.batch_size);
  Scorer scorer(*data, plan, *model);
  std::vector<Metrics> results;
  for (const Window& window : plan.windows) {
    results.push_back(evaluate_window(scorer, *data, plan, model->outputs(), window, stop));
    if (progress) progress(results.size());
  }
  return results;
}

}  // namespace sluice
