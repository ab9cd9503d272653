// Rows for tests of the storage: every value follows from its key, so that any range can be checked.
#pragma once
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "fixtures.h"
#include "storage/dataset.h"

namespace sluice::testing {

inline const Schema kStreamSchema{{{"x", ColumnType::kF32}, {"c", ColumnType::kCategory}}, LabelKind::kClass, 3};
inline const Schema kBareSchema{{}, LabelKind::kClass, 3};

/// Rows [first, first + n) of an endless stream, in column form.
struct StreamRows {
  StreamRows(const Schema& schema, uint64_t first, uint64_t n) : timestamps(n), labels(n), x(n), c(n) {
    for (uint64_t i = 0; i < n; ++i) {
      const uint64_t key = first + i;
      timestamps[i] = 1'000'000 + static_cast<int64_t>(key) * 10;
      labels[i] = static_cast<float>(key * 2654435761U % 3);
      x[i] = static_cast<float>(key % 1000) * 0.25F - 7.0F;
      c[i] = static_cast<int32_t>(key % 97);
    }
    batch.rows = n;
    batch.timestamps = timestamps.data();
    batch.labels = labels.data();
    if (!schema.columns.empty()) batch.columns = {x.data(), c.data()};
  }
  std::vector<int64_t> timestamps;
  std::vector<float> labels, x;
  std::vector<int32_t> c;
  AppendBatch batch;
};

/// Appends the stream's next n rows.
inline void append_rows(Dataset& dataset, uint64_t n) { dataset.append(StreamRows(dataset.schema(), dataset.size(), n).batch); }

/// A dataset on disk, closed, with n rows.
inline void write_dataset(const std::string& path, const Schema& schema, uint64_t n) {
  const auto dataset = Dataset::create(path, schema);
  if (n > 0) append_rows(*dataset, n);
}

/// What differs between rows [first, end) of the snapshot and the stream's; empty when nothing does. Throws what the
/// snapshot throws.
inline std::string difference(const Snapshot& snapshot, uint64_t first, uint64_t end) {
  const uint64_t n = end - first;
  const StreamRows expected(snapshot.schema(), first, n);
  std::vector<int64_t> timestamps(n);
  std::vector<float> labels(n);
  snapshot.copy(IndexColumn::kTimestamp, first, n, timestamps.data());
  snapshot.copy(IndexColumn::kLabel, first, n, labels.data());
  if (timestamps != expected.timestamps) return "timestamps";
  if (labels != expected.labels) return "labels";
  std::vector<uint64_t> keys(n);
  for (uint64_t i = 0; i < n; ++i) keys[i] = first + i;
  std::vector<const uint8_t*> records(n);
  snapshot.gather(keys.data(), n, timestamps.data(), labels.data(), records.data());
  if (timestamps != expected.timestamps) return "gathered timestamps";
  if (labels != expected.labels) return "gathered labels";
  for (uint64_t i = 0; i < n && !snapshot.schema().columns.empty(); ++i) {
    if (std::memcmp(records[i], &expected.x[i], 4) != 0 || std::memcmp(records[i] + 4, &expected.c[i], 4) != 0) return "record " + std::to_string(first + i);
  }
  return "";
}

inline std::string difference(const Snapshot& snapshot) { return difference(snapshot, 0, snapshot.size()); }

}  // namespace sluice::testing
