// Deletion, compaction and statistics of datasets: native/src/storage/deletions.h, compact.h, statistics.h. Ranges of keys
// cross as pairs: first, end, first, end …
#include "storage/deletions.h"

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "arrays.h"
#include "guard.h"
#include "handles.h"
#include "jobs.h"
#include "module.h"
#include "ranges.h"
#include "storage/compact.h"
#include "storage/statistics.h"
#include "workers.h"

namespace sluice::bindings {

namespace {

constexpr size_t kMaxReasonBytes = 1000;

// C++: uint64_t Dataset::remove(const std::vector<KeyRange>& keys, const std::string& reason, int64_t time)
// TS:  dataset_remove(dataset: DatasetHandle, ranges: BigUint64Array, reason: string, timeMs: number): Promise<number>;
Napi::Value dataset_remove(Call& call) {
  const std::string reason = call.arg(2, "reason").text(0, kMaxReasonBytes);
  const int64_t time = call.arg(3, "timeMs").time_ms();
  const auto dataset = call.arg(0, "dataset").handle<DatasetHandle>()->dataset();
  const std::vector<KeyRange> ranges = read_ranges(call.arg(1, "ranges"));
  return run_async(call, [=]() -> Deliver {
    const auto removed = static_cast<double>(dataset->remove(ranges, reason, time));
    return [removed](Napi::Env env) { return Napi::Number::New(env, removed); };
  });
}

// C++: std::vector<Deletion> Dataset::deletions() const
// TS:  dataset_deletions(dataset: DatasetHandle): Promise<RawDeletion[]>;
Napi::Value dataset_deletions(Call& call) {
  const auto dataset = call.arg(0, "dataset").handle<DatasetHandle>()->dataset();
  return run_async(call, [=]() -> Deliver {
    return [all = dataset->deletions()](Napi::Env env) -> Napi::Value {
      const Napi::Array result = Napi::Array::New(env, all.size());
      for (uint32_t i = 0; i < all.size(); ++i) {
        const Napi::Object object = Napi::Object::New(env);
        object.Set("number", static_cast<double>(all[i].number));
        object.Set("timeMs", static_cast<double>(all[i].time));
        object.Set("reason", all[i].reason);
        object.Set("ranges", to_typed_array(env, flat(all[i].keys)));
        result.Set(i, object);
      }
      return result;
    };
  });
}

// C++: uint64_t Dataset::deletion_count() const
// TS:  dataset_deletion_count(dataset: DatasetHandle): number;
Napi::Value dataset_deletion_count(Call& call) {
  return Napi::Number::New(call.env(), static_cast<double>(call.arg(0, "dataset").handle<DatasetHandle>()->dataset()->deletion_count()));
}

// C++: uint64_t KeySet::count_in(uint64_t first, uint64_t end) const
// TS:  snapshot_deleted(snapshot: SnapshotHandle, first: number, end: number): number;
Napi::Value snapshot_deleted(Call& call) {
  const auto handle = call.arg(0, "snapshot").handle<SnapshotHandle>();
  const uint64_t end = call.arg(2, "end").integer(0, handle->snapshot()->size());
  const uint64_t first = call.arg(1, "first").integer(0, end);
  return Napi::Number::New(call.env(), static_cast<double>(handle->snapshot()->deleted().count_in(first, end)));
}

// C++: std::vector<KeyRange> KeySet::missing_in(uint64_t first, uint64_t end) const
// TS:  snapshot_living(snapshot: SnapshotHandle, first: number, end: number): BigUint64Array;
Napi::Value snapshot_living(Call& call) {
  const auto handle = call.arg(0, "snapshot").handle<SnapshotHandle>();
  const uint64_t end = call.arg(2, "end").integer(0, handle->snapshot()->size());
  const uint64_t first = call.arg(1, "first").integer(0, end);
  return to_typed_array(call.env(), flat(handle->snapshot()->deleted().missing_in(first, end)));
}

Napi::Value compact_job(Call& call, const std::shared_ptr<StopFlag>& stop, const Napi::Function& progress,
                        std::function<CompactReport(const std::function<void(uint64_t, uint64_t)>&)> work) {
  return start_job(call, stop, progress, [work = std::move(work)](const Report& report) -> Deliver {
    const CompactReport result = work([&](uint64_t done, uint64_t total) {
      report([=](Napi::Env env) {
        const Napi::Object object = Napi::Object::New(env);
        object.Set("segments", static_cast<double>(done));
        object.Set("totalSegments", static_cast<double>(total));
        return object;
      });
    });
    return [result](Napi::Env env) {
      const Napi::Object object = Napi::Object::New(env);
      object.Set("samples", static_cast<double>(result.samples));
      object.Set("segments", static_cast<double>(result.segments));
      object.Set("inFiles", static_cast<double>(result.in_files));
      object.Set("bytesBefore", static_cast<double>(result.bytes_before));
      object.Set("bytesAfter", static_cast<double>(result.bytes_after));
      const Napi::Array in_use = Napi::Array::New(env, result.values_in_use.size());
      for (uint32_t i = 0; i < result.values_in_use.size(); ++i) in_use.Set(i, result.values_in_use[i]);
      object.Set("valuesInUse", in_use);
      return object;
    };
  });
}

// C++: CompactReport compact_dataset(const std::string& path, bool copy, const StopFlag& stop, const std::function<void(uint64_t done, uint64_t total)>& progress)
// TS:  dataset_compact(path: string, copy: boolean, stop: StopHandle, progress: (p: RawCompactProgress) => void): Promise<RawCompactReport>;
Napi::Value dataset_compact(Call& call) {
  const std::string path = call.arg(0, "path").path_text();
  const bool copy = call.arg(1, "copy").boolean();
  const auto stop = call.arg(2, "stop").handle<StopHandle>()->flag;
  return compact_job(call, stop, call.arg(3, "progress").function(), [=](const auto& progress) { return compact_dataset(path, copy, *stop, progress); });
}

// C++: CompactReport Dataset::compact(const StopFlag& stop, const std::function<void(uint64_t done, uint64_t total)>& progress)
// TS:  dataset_compact_open(dataset: DatasetHandle, stop: StopHandle, progress: (p: RawCompactProgress) => void): Promise<RawCompactReport>;
Napi::Value dataset_compact_open(Call& call) {
  const auto dataset = call.arg(0, "dataset").handle<DatasetHandle>()->dataset();
  const auto stop = call.arg(1, "stop").handle<StopHandle>()->flag;
  return compact_job(call, stop, call.arg(2, "progress").function(), [=](const auto& progress) { return dataset->compact(*stop, progress); });
}

// C++: LabelStatistics label_statistics(const Snapshot& data, const StopFlag& stop)
// TS:  dataset_label_statistics(dataset: DatasetHandle, stop: StopHandle): Promise<RawLabelStatistics>;
Napi::Value dataset_label_statistics(Call& call) {
  const auto stop = call.arg(1, "stop").handle<StopHandle>()->flag;
  const std::shared_ptr<Snapshot> data = call.arg(0, "dataset").handle<DatasetHandle>()->dataset()->snapshot();
  return run_async(call, [=]() -> Deliver {
    return [result = label_statistics(*data, *stop)](Napi::Env env) -> Napi::Value {
      const Napi::Object object = Napi::Object::New(env);
      object.Set("samples", static_cast<double>(result.samples));
      object.Set("mean", result.mean);
      object.Set("deviation", result.deviation);
      object.Set("least", result.least);
      object.Set("greatest", result.greatest);
      const Napi::Array classes = Napi::Array::New(env, result.classes.size());
      for (uint32_t i = 0; i < result.classes.size(); ++i) classes.Set(i, static_cast<double>(result.classes[i]));
      object.Set("classes", classes);
      return object;
    };
  });
}

}  // namespace

void define_deletion(Napi::Object exports) {
  define<dataset_remove>(exports, "dataset_remove");
  define<dataset_deletions>(exports, "dataset_deletions");
  define<dataset_deletion_count>(exports, "dataset_deletion_count");
  define<snapshot_deleted>(exports, "snapshot_deleted");
  define<snapshot_living>(exports, "snapshot_living");
  define<dataset_compact>(exports, "dataset_compact");
  define<dataset_compact_open>(exports, "dataset_compact_open");
  define<dataset_label_statistics>(exports, "dataset_label_statistics");
}

}  // namespace sluice::bindings
