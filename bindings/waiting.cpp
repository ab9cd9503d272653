// Samples that wait for their labels: native/src/waiting/waiting.h.
#include "waiting/waiting.h"

#include <cstring>
#include <limits>
#include <utility>
#include <vector>

#include "arrays.h"
#include "batches.h"
#include "guard.h"
#include "handles.h"
#include "module.h"
#include "workers.h"

namespace sluice::bindings {

namespace {

constexpr size_t kMaxRequests = 1'000'000;
constexpr size_t kMaxColumns = 10'000;
constexpr size_t kMaxNoteBytes = size_t{64} << 20;  // as a state entry
constexpr size_t kMaxIdBytesGiven = 256;

using Refusal = WaitingAnswer::Refusal;

struct OwnedTexts {
  std::vector<char> bytes;
  std::vector<uint32_t> ends;

  Texts view() const { return {bytes.data(), ends.data()}; }
};

/// `rows` texts, UTF-8, one after the other, and the end of each.
OwnedTexts read_texts(const Arg& given_bytes, const Arg& given_ends, size_t rows) {
  const auto bytes = given_bytes.array<uint8_t>();
  const auto ends = given_ends.array<int32_t>(rows);
  int32_t before = 0;
  for (const int32_t end : ends) {
    if (end < before || static_cast<size_t>(end) > bytes.size()) given_ends.fail("increasing ends within the bytes");
    before = end;
  }
  return {{bytes.begin(), bytes.end()}, {ends.begin(), ends.end()}};
}

/// The batch's own copy of its arrays.
struct OwnedArrivals {
  int64_t arrived = 0;
  bool with_ids = false;
  std::vector<int64_t> timestamps, label_times;
  std::vector<float> labels, label_values;
  std::vector<std::vector<std::byte>> columns;
  std::vector<uint64_t> numbers;
  OwnedTexts sample_ids, label_ids;
  std::vector<WaitingBatch::Request> requests;

  WaitingBatch view() const {
    WaitingBatch batch;
    batch.arrived = arrived;
    batch.with_ids = with_ids;
    batch.samples.rows = timestamps.size();
    batch.samples.timestamps = timestamps.data();
    batch.samples.labels = labels.data();
    for (const auto& column : columns) batch.samples.columns.push_back(column.data());
    batch.sample_ids = sample_ids.view();
    batch.labels = {label_times.size(), label_times.data(), label_values.data(), numbers.data(), label_ids.view()};
    batch.requests = requests;
    return batch;
  }
};

template <typename T>
std::vector<T> copied(std::span<const T> values) {
  return {values.begin(), values.end()};
}

OwnedArrivals read_arrivals(const Arg& arg, const Schema& schema) {
  OwnedArrivals batch;
  batch.arrived = arg.field("arrivedMs").time_ms();
  batch.with_ids = arg.field("withIds").boolean();
  uint64_t samples = 0, labels = 0;
  for (const Arg& request : arg.field("requests").elements(kMaxRequests)) {
    batch.requests.push_back({request.field("samples").integer(0, kMaxSafeInteger), request.field("labels").integer(0, kMaxSafeInteger),
                              request.field("notes").text(0, kMaxNoteBytes)});
    samples += batch.requests.back().samples;
    labels += batch.requests.back().labels;
  }
  const std::vector<Arg> columns = arg.field("columns").elements(kMaxColumns);
  if (columns.size() != schema.columns.size()) arg.field("columns").fail("one array for each column of the schema");
  const Arg timestamps = arg.field("timestamps"), label_times = arg.field("labelTimes"), numbers = arg.field("labelNumbers");
  const Arg values = arg.field("labels"), label_values = arg.field("labelValues");
  const Arg sample_id_bytes = arg.field("sampleIdBytes"), sample_id_ends = arg.field("sampleIdEnds");
  const Arg label_id_bytes = arg.field("labelIdBytes"), label_id_ends = arg.field("labelIdEnds");
  batch.timestamps = copied(timestamps.array<int64_t>(samples));
  batch.labels = copied(values.array<float>(samples));
  batch.label_times = copied(label_times.array<int64_t>(labels));
  batch.label_values = copied(label_values.array<float>(labels));
  batch.numbers = copied(numbers.array<uint64_t>(batch.with_ids ? 0 : labels));
  batch.sample_ids = read_texts(sample_id_bytes, sample_id_ends, batch.with_ids ? samples : 0);
  batch.label_ids = read_texts(label_id_bytes, label_id_ends, batch.with_ids ? labels : 0);
  for (size_t i = 0; i < columns.size(); ++i) batch.columns.push_back(read_column(columns[i], schema.columns[i], samples));
  return batch;
}

/// Null where the request is accepted.
const char* name_of(Refusal refusal) {
  switch (refusal) {
    case Refusal::kNone: return nullptr;
    case Refusal::kDuplicate: return "duplicate";
    case Refusal::kConflict: return "conflict";
    case Refusal::kUnknown: return "unknown";
  }
  return nullptr;
}

Napi::Value write_answers(Napi::Env env, const std::vector<WaitingAnswer>& answers) {
  const Napi::Array result = Napi::Array::New(env, answers.size());
  for (uint32_t i = 0; i < answers.size(); ++i) {
    const WaitingAnswer& answer = answers[i];
    const Napi::Object object = Napi::Object::New(env);
    const std::pair<const char*, uint64_t> numbers[] = {{"first", answer.first}, {"samples", answer.samples}, {"joined", answer.joined}, {"early", answer.early},
                                                        {"known", answer.known}, {"late", answer.late},       {"row", answer.row}};
    for (const auto& [name, value] : numbers) object.Set(name, static_cast<double>(value));
    const char* refusal = name_of(answer.refusal);
    object.Set("refusal", refusal == nullptr ? env.Null() : Napi::String::New(env, refusal));
    object.Set("earlier", static_cast<double>(answer.earlier));
    object.Set("notes", answer.notes);
    result.Set(i, object);
  }
  return result;
}

template <typename T>
Napi::Value write_cells(Napi::Env env, const std::vector<uint8_t>& cells) {
  std::vector<T> values(cells.size() / sizeof(T));
  if (!cells.empty()) std::memcpy(values.data(), cells.data(), cells.size());
  return to_typed_array(env, std::move(values));
}

Napi::Value write_rows(Napi::Env env, SettledRows& rows, const Schema& schema) {
  const Napi::Object object = Napi::Object::New(env);
  object.Set("through", static_cast<double>(rows.through));
  object.Set("more", Napi::Boolean::New(env, rows.more));
  object.Set("answers", write_answers(env, rows.answers));
  object.Set("timestamps", to_typed_array(env, std::move(rows.timestamps)));
  object.Set("labels", to_typed_array(env, std::move(rows.labels)));
  object.Set("labelledMs", to_typed_array(env, std::move(rows.labelled)));
  const Napi::Array columns = Napi::Array::New(env, schema.columns.size());
  for (uint32_t c = 0; c < schema.columns.size(); ++c) {
    switch (schema.columns[c].type) {
      case ColumnType::kF32: columns.Set(c, write_cells<float>(env, rows.columns[c])); break;
      case ColumnType::kU8:
      case ColumnType::kBytes: columns.Set(c, write_cells<uint8_t>(env, rows.columns[c])); break;
      case ColumnType::kI32:
      case ColumnType::kCategory: columns.Set(c, write_cells<int32_t>(env, rows.columns[c])); break;
    }
  }
  object.Set("columns", columns);
  return object;
}

/// The promise of what `work` delivers; it has the store for itself.
template <typename Work>
Napi::Value run_on(Call& call, const Work& work) {
  const auto waiting = call.arg(0, "waiting").handle<WaitingHandle>()->waiting();
  return run_async(call, [waiting, work]() mutable -> Deliver {
    const std::lock_guard lock(waiting->working);
    Deliver deliver = work(*waiting->store);
    const std::lock_guard counting(waiting->counting);
    waiting->counts = waiting->store->counts();
    return deliver;
  });
}

const Deliver kNothing = [](Napi::Env env) { return env.Undefined(); };

// C++: std::unique_ptr<Waiting> Waiting::open(const std::string& folder, const Schema& schema, uint64_t applied)
// TS:  waiting_open(folder: string, schema: RawSchema, applied: number): Promise<WaitingHandle>;
Napi::Value waiting_open(Call& call) {
  const std::string folder = call.arg(0, "folder").path_text();
  const Schema schema = read_schema(call.arg(1, "schema"));
  const uint64_t applied = call.arg(2, "applied").integer(0, kMaxSafeInteger);
  return run_async(call, [=]() -> Deliver {
    const auto handle = std::make_shared<WaitingHandle>(Waiting::open(folder, schema, applied));
    return [handle](Napi::Env env) { return make_handle(env, handle); };
  });
}

// C++: std::vector<WaitingAnswer> Waiting::append(const WaitingBatch& batch)
// TS:  waiting_append(waiting: WaitingHandle, batch: RawWaitingBatch): Promise<RawWaitingAnswer[]>;
Napi::Value waiting_append(Call& call) {
  const Schema& schema = call.arg(0, "waiting").handle<WaitingHandle>()->waiting()->store->schema();
  auto batch = std::make_shared<OwnedArrivals>(read_arrivals(call.arg(1, "batch"), schema));
  return run_on(call, [batch](Waiting& store) -> Deliver {
    return [answers = store.append(batch->view())](Napi::Env env) { return write_answers(env, answers); };
  });
}

// C++: bool Waiting::expire(int64_t now, int64_t before, float label)
// TS:  waiting_expire(waiting: WaitingHandle, nowMs: number, beforeMs: number, label: number | null): Promise<boolean>;
Napi::Value waiting_expire(Call& call) {
  const int64_t now = call.arg(1, "nowMs").time_ms();
  const int64_t before = call.arg(2, "beforeMs").time_ms();
  const Arg given = call.arg(3, "label");
  const float label = given.is_null() ? std::numeric_limits<float>::quiet_NaN() : given.real();
  return run_on(call, [=](Waiting& store) -> Deliver {
    return [any = store.expire(now, before, label)](Napi::Env env) { return Napi::Boolean::New(env, any); };
  });
}

// C++: void Waiting::remove(int64_t now, int64_t from, int64_t until)
// TS:  waiting_remove_times(waiting: WaitingHandle, nowMs: number, fromMs: number, untilMs: number): Promise<void>;
Napi::Value waiting_remove_times(Call& call) {
  const int64_t now = call.arg(1, "nowMs").time_ms();
  const int64_t from = call.arg(2, "fromMs").time_ms();
  const int64_t until = call.arg(3, "untilMs").time_ms();
  return run_on(call, [=](Waiting& store) -> Deliver {
    store.remove(now, from, until);
    return kNothing;
  });
}

// C++: void Waiting::remove(int64_t now, std::string_view id)
// TS:  waiting_remove_id(waiting: WaitingHandle, nowMs: number, id: string): Promise<void>;
Napi::Value waiting_remove_id(Call& call) {
  const int64_t now = call.arg(1, "nowMs").time_ms();
  const std::string id = call.arg(2, "id").text(1, kMaxIdBytesGiven);
  return run_on(call, [=](Waiting& store) -> Deliver {
    store.remove(now, id);
    return kNothing;
  });
}

// C++: SettledRows Waiting::take()
// TS:  waiting_take(waiting: WaitingHandle): Promise<RawSettledRows>;
Napi::Value waiting_take(Call& call) {
  return run_on(call, [](Waiting& store) -> Deliver {
    return [rows = std::make_shared<SettledRows>(store.take()), schema = store.schema()](Napi::Env env) { return write_rows(env, *rows, schema); };
  });
}

// C++: void Waiting::applied(uint64_t through)
// TS:  waiting_applied(waiting: WaitingHandle, through: number): Promise<void>;
Napi::Value waiting_applied(Call& call) {
  const uint64_t through = call.arg(1, "through").integer(0, kMaxSafeInteger);
  return run_on(call, [=](Waiting& store) -> Deliver {
    store.applied(through);
    return kNothing;
  });
}

// C++: void Waiting::checkpoint()
// TS:  waiting_checkpoint(waiting: WaitingHandle): Promise<void>;
Napi::Value waiting_checkpoint(Call& call) {
  return run_on(call, [](Waiting& store) -> Deliver {
    store.checkpoint();
    return kNothing;
  });
}

// C++: WaitingCounts Waiting::counts() const
// TS:  waiting_counts(waiting: WaitingHandle): RawWaitingCounts;
Napi::Value waiting_counts(Call& call) {
  const auto waiting = call.arg(0, "waiting").handle<WaitingHandle>()->waiting();
  const std::lock_guard lock(waiting->counting);
  const WaitingCounts& counts = waiting->counts;
  const Napi::Object object = Napi::Object::New(call.env());
  const std::pair<const char*, uint64_t> numbers[] = {{"waiting", counts.waiting},     {"early", counts.early},     {"joined", counts.joined}, {"expired", counts.expired},
                                                      {"unmatched", counts.unmatched}, {"removed", counts.removed}, {"events", counts.events}, {"parts", counts.parts}};
  for (const auto& [name, value] : numbers) object.Set(name, static_cast<double>(value));
  return object;
}

// C++: Waiting::~Waiting()
// TS:  waiting_close(waiting: WaitingHandle): void;
Napi::Value waiting_close(Call& call) {
  unwrap_handle<WaitingHandle>(call.arg(0, "waiting"))->close();
  return call.undefined();
}

}  // namespace

void define_waiting(Napi::Object exports) {
  define<waiting_open>(exports, "waiting_open");
  define<waiting_append>(exports, "waiting_append");
  define<waiting_expire>(exports, "waiting_expire");
  define<waiting_remove_times>(exports, "waiting_remove_times");
  define<waiting_remove_id>(exports, "waiting_remove_id");
  define<waiting_take>(exports, "waiting_take");
  define<waiting_applied>(exports, "waiting_applied");
  define<waiting_checkpoint>(exports, "waiting_checkpoint");
  define<waiting_counts>(exports, "waiting_counts");
  define<waiting_close>(exports, "waiting_close");
}

}  // namespace sluice::bindings
