// Native samplers: native/src/select/select.h.
#include "select/select.h"

#include <utility>
#include <vector>

#include "arrays.h"
#include "guard.h"
#include "handles.h"
#include "module.h"
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

}  // namespace

void define_select(Napi::Object exports) {
  define<select_uniform>(exports, "select_uniform");
  define<select_freshness>(exports, "select_freshness");
}

}  // namespace sluice::bindings
