// Native samplers and searches: native/src/select/select.h, filter.h.
#include "select/select.h"

#include <utility>
#include <vector>

#include "arrays.h"
#include "guard.h"
#include "handles.h"
#include "module.h"
#include "ranges.h"
#include "select/filter.h"
#include "workers.h"

namespace sluice::bindings {

namespace {

constexpr double kMaxHalfLifeMs = 1e15;

Deliver deliver_keys(std::vector<uint64_t>&& keys) {
  return [keys = std::move(keys)](Napi::Env env) mutable { return to_typed_array(env, std::move(keys)); };
}

// C++: std::vector<uint64_t> sample_uniform(uint64_t first, uint64_t end, uint64_t count, uint64_t seed)
// TS:  select_uniform(first: number, end: number, count: number, seed: number): Promise<BigUint64Array>;
Napi::Value select_uniform(Call& call) {
  const uint64_t end = call.arg(1, "end").integer(0, kMaxSafeInteger);
  const uint64_t first = call.arg(0, "first").integer(0, end);
  const uint64_t count = call.arg(2, "count").integer(0, kMaxSafeInteger);
  const uint64_t seed = call.arg(3, "seed").integer(0, kMaxSafeInteger);
  check_array_bytes(std::min(count, end - first), sizeof(uint64_t));
  return run_async(call, [=] { return deliver_keys(sample_uniform(first, end, count, seed)); });
}

// C++: std::vector<uint64_t> sample_by_freshness(uint64_t first, uint64_t end, const int64_t* timestamps, int64_t now,
//                                                double half_life, uint64_t count, uint64_t seed)
// TS:  select_freshness(snapshot: SnapshotHandle, first: number, end: number, now: number, halfLifeMs: number, count: number, seed: number): Promise<BigUint64Array>;
Napi::Value select_freshness(Call& call) {
  const uint64_t end = call.arg(2, "end").integer(0, kMaxSafeInteger);
  const uint64_t first = call.arg(1, "first").integer(0, end);
  const int64_t now = call.arg(3, "now").time_ms();
  const double half_life = call.arg(4, "halfLifeMs").number(1e-3, kMaxHalfLifeMs);
  const uint64_t count = call.arg(5, "count").integer(0, kMaxSafeInteger);
  const uint64_t seed = call.arg(6, "seed").integer(0, kMaxSafeInteger);
  const auto handle = call.arg(0, "snapshot").handle<SnapshotHandle>();
  if (end > handle->snapshot()->size()) call.arg(2, "end").integer(0, handle->snapshot()->size());
  check_array_bytes(std::min(count, end - first), sizeof(uint64_t));
  // A snapshot of its own: JavaScript goes on reading the given one meanwhile. Samples that exist never change.
  const std::shared_ptr<Snapshot> data = handle->parent()->dataset()->snapshot();
  return run_async(call, [=] {
    // Positions among the living, and then their keys.
    const std::vector<KeyRange> living = data->deleted().missing_in(first, end);
    std::vector<int64_t> timestamps(end - first - data->deleted().count_in(first, end));
    int64_t* at = timestamps.data();
    for (const KeyRange& range : living) {
      data->copy(IndexColumn::kTimestamp, range.first, range.end - range.first, at);
      at += range.end - range.first;
    }
    std::vector<uint64_t> keys = sample_by_freshness(0, timestamps.size(), timestamps.data(), now, half_life, count, seed);
    at_positions(living, keys);
    return deliver_keys(std::move(keys));
  });
}

constexpr size_t kMaxComparisons = 100;
constexpr auto kFarthest = static_cast<double>(kMaxSafeInteger);  // key or time

SampleFilter read_filter(const Arg& arg) {
  static constexpr std::array<std::pair<const char*, SampleField>, 3> kFields{{{"key", SampleField::kKey}, {"time", SampleField::kTime}, {"label", SampleField::kLabel}}};
  static constexpr std::array<std::pair<const char*, Comparator>, 6> kComparators{{{"<", Comparator::kLess},
                                                                                  {"<=", Comparator::kAtMost},
                                                                                  {">", Comparator::kGreater},
                                                                                  {">=", Comparator::kAtLeast},
                                                                                  {"=", Comparator::kEqual},
                                                                                  {"!=", Comparator::kUnequal}}};
  SampleFilter filter;
  for (const Arg& c : arg.field("where").elements(kMaxComparisons)) {
    const SampleField field = c.field("field").choice(kFields);
    const Comparator comparator = c.field("operator").choice(kComparators);
    const Arg value = c.field("value");
    filter.where.push_back({field, comparator, field == SampleField::kLabel ? value.real() : value.number(-kFarthest, kFarthest)});
  }
  const Arg keys = arg.field("keys");
  const Arg labels = arg.field("labels");
  if (!keys.is_null()) filter.keys = read_ranges(keys);
  if (labels.is_null()) return filter;
  const auto values = labels.array<float>();
  filter.labels.emplace(values.begin(), values.end());
  return filter;
}

/// Runs `search` on a snapshot of its own: JavaScript goes on reading the given one meanwhile. Samples that exist never change.
template <typename Search>
Napi::Value run_search(Call& call, const Search& search) {
  const auto stop = call.arg(2, "stop").handle<StopHandle>()->flag;
  auto filter = std::make_shared<SampleFilter>(read_filter(call.arg(1, "filter")));
  const auto handle = call.arg(0, "snapshot").handle<SnapshotHandle>();
  const uint64_t size = handle->snapshot()->size();
  const std::shared_ptr<Snapshot> data = handle->parent()->dataset()->snapshot();
  return run_async(call, [=]() -> Deliver { return search(*data, size, *filter, *stop); });
}

// C++: uint64_t count_samples(const Snapshot& data, uint64_t size, const SampleFilter& filter, const StopFlag& stop)
// TS:  snapshot_count(snapshot: SnapshotHandle, filter: RawSampleFilter, stop: StopHandle): Promise<number>;
Napi::Value snapshot_count(Call& call) {
  return run_search(call, [](const Snapshot& data, uint64_t size, const SampleFilter& filter, const StopFlag& stop) -> Deliver {
    const auto count = static_cast<double>(count_samples(data, size, filter, stop));
    return [count](Napi::Env env) { return Napi::Number::New(env, count); };
  });
}

// C++: std::vector<uint64_t> find_samples(const Snapshot& data, uint64_t size, const SampleFilter& filter, const StopFlag& stop)
// TS:  snapshot_find(snapshot: SnapshotHandle, filter: RawSampleFilter, stop: StopHandle): Promise<BigUint64Array>;
Napi::Value snapshot_find(Call& call) {
  return run_search(call, [](const Snapshot& data, uint64_t size, const SampleFilter& filter, const StopFlag& stop) {
    check_array_bytes(count_samples(data, size, filter, stop), sizeof(uint64_t));
    return deliver_keys(find_samples(data, size, filter, stop));
  });
}

// C++: std::vector<KeyRange> find_ranges(const Snapshot& data, uint64_t size, const SampleFilter& filter, const StopFlag& stop)
// TS:  snapshot_find_ranges(snapshot: SnapshotHandle, filter: RawSampleFilter, stop: StopHandle): Promise<BigUint64Array>;
Napi::Value snapshot_find_ranges(Call& call) {
  return run_search(call, [](const Snapshot& data, uint64_t size, const SampleFilter& filter, const StopFlag& stop) {
    const std::vector<KeyRange> ranges = find_ranges(data, size, filter, stop);
    check_array_bytes(ranges.size(), 2 * sizeof(uint64_t));
    return deliver_keys(flat(ranges));
  });
}

}  // namespace

void define_select(Napi::Object exports) {
  define<select_uniform>(exports, "select_uniform");
  define<select_freshness>(exports, "select_freshness");
  define<snapshot_count>(exports, "snapshot_count");
  define<snapshot_find>(exports, "snapshot_find");
  define<snapshot_find_ranges>(exports, "snapshot_find_ranges");
}

}  // namespace sluice::bindings
