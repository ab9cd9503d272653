// Datasets and snapshots: native/src/storage/dataset.h.
#include <array>
#include <cstring>
#include <vector>

#include "arrays.h"
#include "batches.h"
#include "guard.h"
#include "handles.h"
#include "module.h"
#include "storage/dataset.h"
#include "views.h"
#include "workers.h"

namespace sluice::bindings {

namespace {

constexpr std::array<std::pair<const char*, ColumnType>, 5> kColumnTypes{{{"f32", ColumnType::kF32},
                                                                          {"i32", ColumnType::kI32},
                                                                          {"category", ColumnType::kCategory},
                                                                          {"u8", ColumnType::kU8},
                                                                          {"bytes", ColumnType::kBytes}}};
constexpr std::array<std::pair<const char*, LabelKind>, 2> kLabelKinds{
    {{"class", LabelKind::kClass}, {"real", LabelKind::kReal}}};

constexpr size_t kMaxColumns = 10'000;
constexpr size_t kMaxRank = 8;
constexpr uint32_t kMaxSide = uint32_t{1} << 30;
constexpr size_t kMaxNameBytes = 256;
constexpr size_t kMaxStateEntries = 10'000;
constexpr size_t kMaxStateKeyBytes = 511;  // LMDB's largest key
constexpr size_t kMaxStateValueBytes = size_t{64} << 20;

template <typename E, size_t N>
const char* name_of(const std::array<std::pair<const char*, E>, N>& names, E value) {
  for (const auto& [name, candidate] : names)
    if (candidate == value) return name;
  throw Error(code::kInternal, "an enumerator without a name");
}

}  // namespace

Schema read_schema(const Arg& arg) {
  Schema schema;
  for (const Arg& column : arg.field("columns").elements(kMaxColumns)) {
    schema.columns.push_back({column.field("name").text(1, kMaxNameBytes), column.field("type").choice(kColumnTypes)});
    for (const Arg& side : column.field("shape").elements(kMaxRank)) schema.columns.back().shape.push_back(side.integer32(1, kMaxSide));
  }
  schema.label = arg.field("label").choice(kLabelKinds);
  schema.classes = arg.field("classes").integer32(schema.label == LabelKind::kClass ? 2 : 0, 1'000'000);
  return schema;
}

namespace {

Napi::Object write_schema(Napi::Env env, const Schema& schema) {
  const Napi::Array columns = Napi::Array::New(env, schema.columns.size());
  for (uint32_t i = 0; i < schema.columns.size(); ++i) {
    const Napi::Object column = Napi::Object::New(env);
    column.Set("name", schema.columns[i].name);
    column.Set("type", name_of(kColumnTypes, schema.columns[i].type));
    const Napi::Array shape = Napi::Array::New(env, schema.columns[i].shape.size());
    for (uint32_t d = 0; d < schema.columns[i].shape.size(); ++d) shape.Set(d, schema.columns[i].shape[d]);
    column.Set("shape", shape);
    columns.Set(i, column);
  }
  const Napi::Object object = Napi::Object::New(env);
  object.Set("columns", columns);
  object.Set("label", name_of(kLabelKinds, schema.label));
  object.Set("classes", schema.classes);
  return object;
}

/// The batch's own copy of its arrays, so that JavaScript may do what it likes with them while the append waits.
struct OwnedBatch {
  std::vector<int64_t> timestamps;
  std::vector<float> labels;
  std::vector<std::vector<std::byte>> columns;
  Entries state;

  AppendBatch view() const {
    AppendBatch batch;
    batch.rows = timestamps.size();
    batch.timestamps = timestamps.data();
    batch.labels = labels.data();
    for (const auto& column : columns) batch.columns.push_back(column.data());
    batch.state = state;
    return batch;
  }
};

template <typename T>
std::vector<std::byte> bytes_of(std::span<const T> values) {
  const auto bytes = std::as_bytes(values);
  return {bytes.begin(), bytes.end()};
}

}  // namespace

std::vector<std::byte> read_column(const Arg& values, const Column& column, size_t rows) {
  switch (column.type) {
    case ColumnType::kF32: return bytes_of(values.array<float>(rows * column.elements()));
    case ColumnType::kU8: return bytes_of(values.array<uint8_t>(rows * column.elements()));
    case ColumnType::kBytes: return bytes_of(values.array<uint8_t>(rows * column.bytes()));
    default: return bytes_of(values.array<int32_t>(rows * column.elements()));
  }
}

namespace {

OwnedBatch read_batch(const Arg& arg, const Schema& schema) {
  OwnedBatch batch;
  const Arg timestamps = arg.field("timestamps");
  const Arg labels = arg.field("labels");
  const std::vector<Arg> columns = arg.field("columns").elements(kMaxColumns);
  batch.state = arg.field("state").dictionary(kMaxStateEntries, kMaxStateKeyBytes, kMaxStateValueBytes);
  if (columns.size() != schema.columns.size())
    arg.field("columns").fail("an array of length " + std::to_string(schema.columns.size()) + ", one for each column of the schema");
  const auto times = timestamps.array<int64_t>();
  const auto label_values = labels.array<float>(times.size());
  batch.timestamps.assign(times.begin(), times.end());
  batch.labels.assign(label_values.begin(), label_values.end());
  for (size_t i = 0; i < columns.size(); ++i) batch.columns.push_back(read_column(columns[i], schema.columns[i], times.size()));
  return batch;
}

// C++: std::shared_ptr<Dataset> Dataset::create(const std::string& path, const Schema& schema)
// TS:  dataset_create(path: string, schema: RawSchema): DatasetHandle;
Napi::Value dataset_create(Call& call) {
  const std::string path = call.arg(0, "path").path_text();
  const Schema schema = read_schema(call.arg(1, "schema"));
  const auto handle = std::make_shared<DatasetHandle>(EnvState::of(call.env()), Dataset::create(path, schema));
  return make_handle(call.env(), handle);
}

// C++: std::shared_ptr<Dataset> Dataset::open(const std::string& path, bool read_only)
// TS:  dataset_open(path: string, readOnly: boolean): DatasetHandle;
Napi::Value dataset_open(Call& call) {
  const std::string path = call.arg(0, "path").path_text();
  const bool read_only = call.arg(1, "readOnly").boolean();
  const auto handle = std::make_shared<DatasetHandle>(EnvState::of(call.env()), Dataset::open(path, read_only));
  return make_handle(call.env(), handle);
}

// C++: const Schema& Dataset::schema() const; const std::string& Dataset::path() const
// TS:  dataset_info(dataset: DatasetHandle): RawInfo;
Napi::Value dataset_info(Call& call) {
  const auto dataset = call.arg(0, "dataset").handle<DatasetHandle>()->dataset();
  const auto snapshot = dataset->snapshot();  // size and order of the same moment
  const Napi::Object info = Napi::Object::New(call.env());
  info.Set("schema", write_schema(call.env(), dataset->schema()));
  info.Set("size", static_cast<double>(snapshot->size()));
  info.Set("deleted", static_cast<double>(snapshot->deleted().size()));
  info.Set("sorted", snapshot->sorted_by_time());
  info.Set("path", dataset->path());
  return info;
}

// C++: uint64_t Dataset::append(const AppendBatch& batch)
// TS:  dataset_append(dataset: DatasetHandle, batch: RawBatch): Promise<number>;
Napi::Value dataset_append(Call& call) {
  const auto dataset = call.arg(0, "dataset").handle<DatasetHandle>()->dataset();
  auto batch = std::make_shared<OwnedBatch>(read_batch(call.arg(1, "batch"), dataset->schema()));
  return run_async(call, [dataset, batch = std::move(batch)]() mutable -> Deliver {
    const auto first = static_cast<double>(dataset->append(batch->view()));
    batch.reset();
    return [first](Napi::Env env) { return Napi::Number::New(env, first); };
  });
}

// C++: std::optional<std::string> Dataset::state(const std::string& key) const
// TS:  dataset_state(dataset: DatasetHandle, key: string): string | null;
Napi::Value dataset_state(Call& call) {
  const std::string key = call.arg(1, "key").text(1, kMaxStateKeyBytes);
  const auto value = call.arg(0, "dataset").handle<DatasetHandle>()->dataset()->state(key);
  if (!value) return call.env().Null();
  return Napi::String::New(call.env(), *value);
}

// C++: void Dataset::set_state(const std::string& key, const std::string& value)
// TS:  dataset_set_state(dataset: DatasetHandle, key: string, value: string): void;
Napi::Value dataset_set_state(Call& call) {
  const std::string key = call.arg(1, "key").text(1, kMaxStateKeyBytes);
  const std::string value = call.arg(2, "value").text(0, kMaxStateValueBytes);
  call.arg(0, "dataset").handle<DatasetHandle>()->dataset()->set_state(key, value);
  return call.undefined();
}

// C++: void Dataset::close()
// TS:  dataset_close(dataset: DatasetHandle): void;
Napi::Value dataset_close(Call& call) {
  unwrap_handle<DatasetHandle>(call.arg(0, "dataset"))->close();
  return call.undefined();
}

// C++: std::shared_ptr<Snapshot> Dataset::snapshot()
// TS:  snapshot_open(dataset: DatasetHandle): SnapshotHandle;
Napi::Value snapshot_open(Call& call) {
  const auto parent = call.arg(0, "dataset").handle<DatasetHandle>();
  return make_handle(call.env(), std::make_shared<SnapshotHandle>(parent));
}

// C++: uint64_t Snapshot::size() const
// TS:  snapshot_size(snapshot: SnapshotHandle): number;
Napi::Value snapshot_size(Call& call) {
  const auto handle = call.arg(0, "snapshot").handle<SnapshotHandle>();
  return Napi::Number::New(call.env(), static_cast<double>(handle->snapshot()->size()));
}

Napi::Value snapshot_column(Call& call, IndexColumn column) {
  const auto handle = call.arg(0, "snapshot").handle<SnapshotHandle>();
  const uint64_t size = handle->snapshot()->size();
  const uint64_t first = call.arg(1, "first").integer(0, size);
  const uint64_t rows = call.arg(2, "rows").integer(0, size - first);
  return export_column(call.env(), handle, column, first, rows);
}

// C++: ColumnSpan Snapshot::span(IndexColumn column, uint64_t first, uint64_t rows) const
// TS:  snapshot_timestamps(snapshot: SnapshotHandle, first: number, rows: number): BigInt64Array;
Napi::Value snapshot_timestamps(Call& call) { return snapshot_column(call, IndexColumn::kTimestamp); }

// C++: ColumnSpan Snapshot::span(IndexColumn column, uint64_t first, uint64_t rows) const
// TS:  snapshot_labels(snapshot: SnapshotHandle, first: number, rows: number): Float32Array;
Napi::Value snapshot_labels(Call& call) { return snapshot_column(call, IndexColumn::kLabel); }

// C++: uint64_t Snapshot::lower_bound_time(int64_t t, uint64_t first, uint64_t end) const
// TS:  snapshot_lower_bound_time(snapshot: SnapshotHandle, t: number, first: number, end: number): number;
Napi::Value snapshot_lower_bound_time(Call& call) {
  const auto handle = call.arg(0, "snapshot").handle<SnapshotHandle>();
  const int64_t t = call.arg(1, "t").time_ms();
  const uint64_t end = call.arg(3, "end").integer(0, handle->snapshot()->size());
  const uint64_t first = call.arg(2, "first").integer(0, end);
  return Napi::Number::New(call.env(), static_cast<double>(handle->snapshot()->lower_bound_time(t, first, end)));
}

// C++: Snapshot::~Snapshot()
// TS:  snapshot_close(snapshot: SnapshotHandle): void;
Napi::Value snapshot_close(Call& call) {
  unwrap_handle<SnapshotHandle>(call.arg(0, "snapshot"))->close();
  return call.undefined();
}

}  // namespace

void define_storage(Napi::Object exports) {
  define<dataset_create>(exports, "dataset_create");
  define<dataset_open>(exports, "dataset_open");
  define<dataset_info>(exports, "dataset_info");
  define<dataset_append>(exports, "dataset_append");
  define<dataset_state>(exports, "dataset_state");
  define<dataset_set_state>(exports, "dataset_set_state");
  define<dataset_close>(exports, "dataset_close");
  define<snapshot_open>(exports, "snapshot_open");
  define<snapshot_size>(exports, "snapshot_size");
  define<snapshot_timestamps>(exports, "snapshot_timestamps");
  define<snapshot_labels>(exports, "snapshot_labels");
  define<snapshot_lower_bound_time>(exports, "snapshot_lower_bound_time");
  define<snapshot_close>(exports, "snapshot_close");
}

}  // namespace sluice::bindings
