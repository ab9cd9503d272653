// Samples whose records lie in files that are not ours: native/src/storage/file_span.h.
#include <array>
#include <utility>
#include <vector>

#include "guard.h"
#include "handles.h"
#include "module.h"
#include "storage/file_span.h"
#include "workers.h"

namespace sluice::bindings {

namespace {

constexpr std::array<std::pair<const char*, StoredType>, 8> kTypes{{{"int8", StoredType::kInt8},
                                                                    {"uint8", StoredType::kUint8},
                                                                    {"int16", StoredType::kInt16},
                                                                    {"int32", StoredType::kInt32},
                                                                    {"int64", StoredType::kInt64},
                                                                    {"float16", StoredType::kFloat16},
                                                                    {"float32", StoredType::kFloat32},
                                                                    {"float64", StoredType::kFloat64}}};
constexpr size_t kMaxFiles = 4096;
constexpr size_t kMaxColumns = 10'000;
constexpr size_t kMaxMoves = 1'000'000;
constexpr size_t kMaxRank = 8;
constexpr uint64_t kMaxBytes = uint64_t{1} << 31;
constexpr uint32_t kMaxSide = uint32_t{1} << 30;
constexpr size_t kMaxPartBytes = 8192;
constexpr size_t kMaxStateEntries = 10'000;
constexpr size_t kMaxStateKeyBytes = 511;
constexpr size_t kMaxStateValueBytes = size_t{64} << 20;

FileField read_field(const Arg& arg) {
  FileField field;
  field.file = arg.field("file").integer32(0, kMaxFiles - 1);
  field.offset = arg.field("offset").integer(0, kMaxBytes);
  field.type = arg.field("type").choice(kTypes);
  for (const Arg& side : arg.field("shape").elements(kMaxRank)) field.shape.push_back(side.integer32(1, kMaxSide));
  for (const Arg& axis : arg.field("axes").elements(kMaxRank)) field.axes.push_back(axis.integer32(0, kMaxRank - 1));
  return field;
}

FileLayout read_layout(const Arg& arg) {
  FileLayout layout;
  layout.part = arg.field("part").text(1, kMaxPartBytes);
  for (const Arg& file : arg.field("files").elements(kMaxFiles)) {
    PlacedFile placed;
    placed.path = file.field("path").path_text();
    placed.skip = file.field("skip").integer(0, kMaxBytes);
    placed.stride = file.field("stride").integer(1, kMaxBytes);
    layout.files.push_back(std::move(placed));
  }
  for (const Arg& field : arg.field("fields").elements(kMaxColumns)) layout.fields.push_back(read_field(field));
  return layout;
}

FileBatch read_batch(const Arg& arg) {
  constexpr double kAny = 1e300;
  FileBatch batch;
  batch.layout = read_layout(arg);
  batch.file_row = arg.field("row").integer(0, kMaxSafeInteger);
  batch.rows = arg.field("rows").integer(1, uint64_t{1} << 28);
  const Arg label = arg.field("label");
  batch.label = {label.field("name").text(1, kMaxPartBytes), read_field(label.field("field")), std::nullopt};
  if (!label.field("atLeast").is_null()) batch.label.at_least = label.field("atLeast").number(-kAny, kAny);
  const Arg time = arg.field("time");
  batch.time.name = time.field("name").text(0, kMaxPartBytes);
  if (!time.field("field").is_null()) batch.time.field = read_field(time.field("field"));
  batch.time.times = time.field("times").number(1, kAny);
  batch.time.by = time.field("by").number(1, kAny);
  batch.time.start = time.field("start").time_ms();
  batch.time.step = time.field("step").time_ms();
  for (const Arg& codes : arg.field("codes").elements(kMaxColumns)) batch.codes.push_back(codes.integer32(0, 0x7fffffff));
  batch.state = arg.field("state").dictionary(kMaxStateEntries, kMaxStateKeyBytes, kMaxStateValueBytes);
  return batch;
}

// C++: uint64_t Dataset::append_files(const FileBatch& batch, const StopFlag& stop)
// TS:  dataset_append_files(dataset: DatasetHandle, batch: RawFileBatch, stop: StopHandle): Promise<number>;
Napi::Value dataset_append_files(Call& call) {
  const auto dataset = call.arg(0, "dataset").handle<DatasetHandle>()->dataset();
  const FileBatch batch = read_batch(call.arg(1, "batch"));
  const auto stop = call.arg(2, "stop").handle<StopHandle>()->flag;
  return run_async(call, [=]() -> Deliver {
    const auto first = static_cast<double>(dataset->append_files(batch, *stop));
    return [first](Napi::Env env) { return Napi::Number::New(env, first); };
  });
}

// C++: std::optional<size_t> Dataset::move_files(const std::vector<FileMove>& moves, bool whole, const StopFlag& stop)
// TS:  dataset_move_files(dataset: DatasetHandle, moves: RawFileMove[], whole: boolean, stop: StopHandle): Promise<number>;
Napi::Value dataset_move_files(Call& call) {
  const auto dataset = call.arg(0, "dataset").handle<DatasetHandle>()->dataset();
  std::vector<FileMove> moves;
  for (const Arg& arg : call.arg(1, "moves").elements(kMaxMoves)) {
    FileMove move{arg.field("part").text(1, kMaxPartBytes), arg.field("name").text(1, kMaxPartBytes), {}};
    for (const Arg& path : arg.field("paths").elements(kMaxFiles)) move.paths.push_back(path.path_text());
    moves.push_back(std::move(move));
  }
  const bool whole = call.arg(2, "whole").boolean();
  const auto stop = call.arg(3, "stop").handle<StopHandle>()->flag;
  return run_async(call, [=]() -> Deliver {
    const auto other = dataset->move_files(moves, whole, *stop);
    return [number = other ? static_cast<double>(*other) : -1.0](Napi::Env env) { return Napi::Number::New(env, number); };
  });
}

Napi::Object span_object(Napi::Env env, const FileSpan& span) {
  const Napi::Array files = Napi::Array::New(env, span.layout.files.size());
  for (uint32_t f = 0; f < span.layout.files.size(); ++f) {
    const PlacedFile& placed = span.layout.files[f];
    const Napi::Object file = Napi::Object::New(env);
    file.Set("path", placed.path);
    file.Set("bytes", static_cast<double>(span.rows * placed.stride));
    files.Set(f, file);
  }
  const Napi::Object object = Napi::Object::New(env);
  object.Set("part", span.layout.part);
  object.Set("first", static_cast<double>(span.first));
  object.Set("rows", static_cast<double>(span.rows));
  object.Set("files", files);
  return object;
}

// C++: std::shared_ptr<const FileSpans> Dataset::file_spans() const
// TS:  dataset_file_spans(dataset: DatasetHandle): RawFileSpan[];
Napi::Value dataset_file_spans(Call& call) {
  const auto spans = call.arg(0, "dataset").handle<DatasetHandle>()->dataset()->file_spans();
  const Napi::Array result = Napi::Array::New(call.env(), spans->by_key().size());
  for (uint32_t i = 0; i < spans->by_key().size(); ++i) result.Set(i, span_object(call.env(), *spans->by_key()[i]));
  return result;
}

}  // namespace

void define_files(Napi::Object exports) {
  define<dataset_append_files>(exports, "dataset_append_files");
  define<dataset_move_files>(exports, "dataset_move_files");
  define<dataset_file_spans>(exports, "dataset_file_spans");
}

}  // namespace sluice::bindings
