#include "storage/statistics.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace sluice {

namespace {

/// Adds a run of labels to mean and squared deviations (Chan, Golub and LeVeque, 1979): its own first, in one pass each.
void add_run(const float* labels, uint64_t rows, LabelStatistics& so_far, double& squares) {
  double sum = 0;
  for (uint64_t i = 0; i < rows; ++i) sum += labels[i];
  const auto n = static_cast<double>(rows);
  const double mean = sum / n;
  double own = 0;
  for (uint64_t i = 0; i < rows; ++i) own += (labels[i] - mean) * (labels[i] - mean);
  const auto before = static_cast<double>(so_far.samples);
  const double distance = mean - so_far.mean;
  squares += own + distance * distance * before * n / (before + n);
  so_far.mean += distance * n / (before + n);
  const auto [least, greatest] = std::minmax_element(labels, labels + rows);
  so_far.least = so_far.samples == 0 ? *least : std::min(so_far.least, *least);
  so_far.greatest = so_far.samples == 0 ? *greatest : std::max(so_far.greatest, *greatest);
  so_far.samples += rows;
}

}  // namespace

LabelStatistics label_statistics(const Snapshot& data, const StopFlag& stop) {
  LabelStatistics result;
  const bool classes = data.schema().label == LabelKind::kClass;
  if (classes) result.classes.resize(data.schema().classes);
  double squares = 0;
  for (uint64_t first = 0; first < data.size(); first += kChunkRows) {
    stop.check();
    for (const KeyRange& range : data.deleted().missing_in(first, std::min(data.size(), first + kChunkRows))) {
      const ColumnSpan span = data.span(IndexColumn::kLabel, range.first, range.end - range.first);
      const auto* labels = static_cast<const float*>(span.data);
      add_run(labels, span.rows, result, squares);
      for (uint64_t i = 0; classes && i < span.rows; ++i) {
        const auto label = static_cast<size_t>(labels[i]);
        if (label >= result.classes.size()) throw Error(code::kCorrupt, "sample " + std::to_string(range.first + i) + " has a label outside its classes");
        ++result.classes[label];
      }
    }
  }
  if (result.samples > 0) result.deviation = std::sqrt(squares / static_cast<double>(result.samples));
  return result;
}

}  // namespace sluice
