// Values of samples beside a dataset: native/src/storage/metadata.h. Stateless: a folder is opened for each call, which
// is cheap beside a worker's round trip, and environments are shared within the process.
#include "storage/metadata.h"

#include <array>
#include <cstddef>
#include <utility>
#include <vector>

#include "arrays.h"
#include "guard.h"
#include "module.h"
#include "workers.h"

namespace sluice::bindings {

namespace {

constexpr std::array<std::pair<const char*, MetadataType>, 2> kTypes{{{"f32", MetadataType::kF32}, {"u8", MetadataType::kU8}}};
constexpr size_t kMaxColumns = 256;
constexpr size_t kMaxNameBytes = 256;
constexpr uint32_t kMaxLength = 4096;

std::vector<MetadataColumn> read_columns(const Arg& arg) {
  std::vector<MetadataColumn> columns;
  for (const Arg& column : arg.elements(kMaxColumns)) {
    columns.push_back({column.field("name").text(1, kMaxNameBytes), column.field("type").choice(kTypes), column.field("length").integer32(1, kMaxLength)});
  }
  return columns;
}

/// An update's own copy of its arrays.
struct OwnedUpdate {
  std::vector<uint64_t> keys;
  struct Values {
    std::string column;
    MetadataType type;
    size_t count;
    std::vector<std::byte> bytes;
  };
  std::vector<Values> values;

  void apply(const std::string& folder) const {
    std::vector<MetadataValues> views;
    for (const Values& v : values) views.push_back({v.column, v.type, v.count, v.bytes.data()});
    MetadataStore::open(folder, false)->update(keys.data(), keys.size(), views);
  }
};

template <typename T>
OwnedUpdate::Values owned(std::string column, MetadataType type, std::span<const T> values) {
  const auto bytes = std::as_bytes(values);
  return {std::move(column), type, values.size(), {bytes.begin(), bytes.end()}};
}

OwnedUpdate read_update(const Arg& keys, const Arg& columns) {
  OwnedUpdate update;
  std::vector<std::pair<std::string, Arg>> fields;
  for (const Arg& column : columns.elements(kMaxColumns)) fields.emplace_back(column.field("name").text(1, kMaxNameBytes), column.field("values"));
  const auto key_values = keys.array<uint64_t>();
  update.keys.assign(key_values.begin(), key_values.end());
  for (auto& [name, values] : fields) {
    const bool bytes = values.value().IsTypedArray() && values.value().As<Napi::TypedArray>().TypedArrayType() == napi_uint8_array;
    update.values.push_back(bytes ? owned(name, MetadataType::kU8, values.array<uint8_t>()) : owned(name, MetadataType::kF32, values.array<float>()));
  }
  return update;
}

/// The values of `count` samples that `read` fills in, as an array of the column's type.
template <typename Read>
Deliver deliver_values(const MetadataColumn& column, uint64_t count, const Read& read) {
  check_array_bytes(count, column.bytes());
  if (column.type == MetadataType::kU8) {
    std::vector<uint8_t> values(count * column.length);
    read(values.data());
    return [values = std::move(values)](Napi::Env env) mutable { return to_typed_array(env, std::move(values)); };
  }
  std::vector<float> values(count * column.length);
  read(values.data());
  return [values = std::move(values)](Napi::Env env) mutable { return to_typed_array(env, std::move(values)); };
}

// C++: void MetadataStore::define(const std::vector<MetadataColumn>& wanted)
// TS:  metadata_define(folder: string, columns: RawMetadataColumn[]): Promise<void>;
Napi::Value metadata_define(Call& call) {
  const std::string folder = call.arg(0, "folder").path_text();
  const std::vector<MetadataColumn> columns = read_columns(call.arg(1, "columns"));
  return run_async(call, [=]() -> Deliver {
    MetadataStore::open(folder, true)->define(columns);
    return [](Napi::Env env) { return env.Undefined(); };
  });
}

// C++: std::vector<MetadataColumn> MetadataStore::columns() const
// TS:  metadata_columns(folder: string): Promise<RawMetadataColumn[]>;
Napi::Value metadata_columns(Call& call) {
  const std::string folder = call.arg(0, "folder").path_text();
  return run_async(call, [=]() -> Deliver {
    return [columns = MetadataStore::open(folder, false)->columns()](Napi::Env env) -> Napi::Value {
      const Napi::Array result = Napi::Array::New(env, columns.size());
      for (uint32_t i = 0; i < columns.size(); ++i) {
        const Napi::Object column = Napi::Object::New(env);
        column.Set("name", columns[i].name);
        column.Set("type", kTypes[static_cast<size_t>(columns[i].type)].first);
        column.Set("length", columns[i].length);
        result.Set(i, column);
      }
      return result;
    };
  });
}

// C++: void MetadataStore::update(const uint64_t* keys, size_t n, const std::vector<MetadataValues>& values)
// TS:  metadata_update(folder: string, keys: BigUint64Array, columns: RawMetadataValues[]): Promise<void>;
Napi::Value metadata_update(Call& call) {
  const std::string folder = call.arg(0, "folder").path_text();
  auto update = std::make_shared<OwnedUpdate>(read_update(call.arg(1, "keys"), call.arg(2, "columns")));
  return run_async(call, [=]() -> Deliver {
    update->apply(folder);
    return [](Napi::Env env) { return env.Undefined(); };
  });
}

// C++: void MetadataStore::read(const std::string& column, const uint64_t* keys, size_t n, void* out) const
// TS:  metadata_read(folder: string, column: string, keys: BigUint64Array): Promise<Float32Array | Uint8Array>;
Napi::Value metadata_read(Call& call) {
  const std::string folder = call.arg(0, "folder").path_text();
  const std::string name = call.arg(1, "column").text(1, kMaxNameBytes);
  const auto given = call.arg(2, "keys").array<uint64_t>();
  return run_async(call, [folder, name, keys = std::vector<uint64_t>(given.begin(), given.end())]() -> Deliver {
    const auto store = MetadataStore::open(folder, false);
    return deliver_values(store->column(name), keys.size(), [&](void* out) { store->read(name, keys.data(), keys.size(), out); });
  });
}

// C++: void MetadataStore::read_range(const std::string& column, uint64_t first, uint64_t end, void* out) const
// TS:  metadata_read_range(folder: string, column: string, first: number, end: number): Promise<Float32Array | Uint8Array>;
Napi::Value metadata_read_range(Call& call) {
  const std::string folder = call.arg(0, "folder").path_text();
  const std::string name = call.arg(1, "column").text(1, kMaxNameBytes);
  const uint64_t end = call.arg(3, "end").integer(0, kMaxMetadataKey);
  const uint64_t first = call.arg(2, "first").integer(0, end);
  return run_async(call, [=]() -> Deliver {
    const auto store = MetadataStore::open(folder, false);
    return deliver_values(store->column(name), end - first, [&](void* out) { store->read_range(name, first, end, out); });
  });
}

}  // namespace

void define_metadata(Napi::Object exports) {
  define<metadata_define>(exports, "metadata_define");
  define<metadata_columns>(exports, "metadata_columns");
  define<metadata_update>(exports, "metadata_update");
  define<metadata_read>(exports, "metadata_read");
  define<metadata_read_range>(exports, "metadata_read_range");
}

}  // namespace sluice::bindings
