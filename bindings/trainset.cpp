// Frozen trigger training sets: native/src/trainset/trainset.h.
#include "trainset/trainset.h"

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

#include "arrays.h"
#include "guard.h"
#include "handles.h"
#include "module.h"
#include "ranges.h"
#include "workers.h"

namespace sluice::bindings {

namespace {

constexpr size_t kReadBlock = size_t{1} << 16;

struct OwnedSelection {
  Selection range;
  std::vector<uint64_t> keys;
  std::vector<float> weights;
  bool listed = false;
  bool weighted = false;

  Selection view() const {
    Selection selection = range;
    if (listed) {
      selection.keys = keys.data();
      selection.weights = weighted ? weights.data() : nullptr;
      selection.count = keys.size();
    }
    return selection;
  }
};

OwnedSelection read_selection(const Arg& arg) {
  OwnedSelection selection;
  selection.listed = arg.has("keys");
  if (!selection.listed) {
    selection.range.end = arg.field("end").integer(0, kMaxSafeInteger);
    selection.range.first = arg.field("first").integer(0, selection.range.end);
    selection.range.count = selection.range.end - selection.range.first;
    return selection;
  }
  const Arg keys = arg.field("keys");
  const Arg weights = arg.field("weights");
  selection.weighted = !weights.is_null();
  const auto key_values = keys.array<uint64_t>();
  selection.keys.assign(key_values.begin(), key_values.end());
  if (selection.weighted) {
    const auto weight_values = weights.array<float>(key_values.size());
    selection.weights.assign(weight_values.begin(), weight_values.end());
  }
  return selection;
}

// C++: std::optional<Frozen> freeze(const std::string& folder, const Selection& selection, const Snapshot& data)
// TS:  trainset_freeze(folder: string, selection: RawSelection, snapshot: SnapshotHandle): Promise<{ id: string; size: number } | null>;
Napi::Value trainset_freeze(Call& call) {
  const std::string folder = call.arg(0, "folder").path_text();
  auto selection = std::make_shared<OwnedSelection>(read_selection(call.arg(1, "selection")));
  const std::shared_ptr<Snapshot> data = call.arg(2, "snapshot").handle<SnapshotHandle>()->snapshot();
  return run_async(call, [=]() -> Deliver {
    return [frozen = freeze(folder, selection->view(), *data)](Napi::Env env) -> Napi::Value {
      if (!frozen) return env.Null();
      const Napi::Object result = Napi::Object::New(env);
      result.Set("id", frozen->id);
      result.Set("size", static_cast<double>(frozen->size));
      return result;
    };
  });
}

// C++: std::shared_ptr<TrainSet> TrainSet::open(const std::string& folder, const std::string& id)
// TS:  trainset_read(folder: string, id: string): Promise<{ keys: BigUint64Array; weights: Float32Array }>;
Napi::Value trainset_read(Call& call) {
  const std::string folder = call.arg(0, "folder").path_text();
  const std::string id = call.arg(1, "id").set_id();
  return run_async(call, [=]() -> Deliver {
    const auto set = TrainSet::open(folder, id);
    check_array_bytes(set->size(), sizeof(uint64_t));
    const auto size = static_cast<uint32_t>(set->size());
    std::vector<uint64_t> keys(size);
    std::vector<float> weights(size, 1.0F);
    std::vector<uint32_t> positions(std::min<size_t>(size, kReadBlock));
    for (uint32_t first = 0; first < size; first += static_cast<uint32_t>(positions.size())) {
      const size_t n = std::min<size_t>(positions.size(), size - first);
      std::iota(positions.begin(), positions.end(), first);
      set->get(positions.data(), n, keys.data() + first, set->weighted() ? weights.data() + first : nullptr);
    }
    return [keys = std::move(keys), weights = std::move(weights)](Napi::Env env) mutable {
      const Napi::Object result = Napi::Object::New(env);
      result.Set("keys", to_typed_array(env, std::move(keys)));
      result.Set("weights", to_typed_array(env, std::move(weights)));
      return result;
    };
  });
}

// C++: std::shared_ptr<TrainSet> TrainSet::open(const std::string& folder, const std::string& id)
// TS:  trainset_check(folder: string, id: string): Promise<number>;
Napi::Value trainset_check(Call& call) {
  const std::string folder = call.arg(0, "folder").path_text();
  const std::string id = call.arg(1, "id").set_id();
  return run_async(call, [=]() -> Deliver {
    const auto size = static_cast<double>(TrainSet::open(folder, id)->size());
    return [size](Napi::Env env) { return Napi::Number::New(env, size); };
  });
}

// C++: uint64_t TrainSet::count_in(const std::vector<KeyRange>& ranges) const
// TS:  trainset_count(folder: string, id: string, ranges: BigUint64Array): Promise<number>;
Napi::Value trainset_count(Call& call) {
  const std::string folder = call.arg(0, "folder").path_text();
  const std::string id = call.arg(1, "id").set_id();
  const std::vector<KeyRange> ranges = normalized(read_ranges(call.arg(2, "ranges")), UINT64_MAX);
  return run_async(call, [=]() -> Deliver {
    const auto count = static_cast<double>(TrainSet::open(folder, id)->count_in(ranges));
    return [count](Napi::Env env) { return Napi::Number::New(env, count); };
  });
}

}  // namespace

void define_trainset(Napi::Object exports) {
  define<trainset_freeze>(exports, "trainset_freeze");
  define<trainset_read>(exports, "trainset_read");
  define<trainset_check>(exports, "trainset_check");
  define<trainset_count>(exports, "trainset_count");
}

}  // namespace sluice::bindings
