// A whole dataset on disk, edited with and without its checksums made to hold: it is read, checked, repaired, read again and
// written to. What could be read before a repair reads the same after it.
#include "storage/dataset.h"

#include <map>
#include <vector>

#include "files.h"
#include "storage/compact.h"
#include "storage/fsck.h"
#include "storage/store.h"

using namespace sluice;

namespace {

constexpr uint64_t kRows = 10;
constexpr uint64_t kMostRead = 64;  // samples, where the size was made up

struct Sealed {
  const char* table;
  Table::Keys keys;
  std::vector<std::pair<std::string, std::string>> entries;
};

/// A sound dataset, and the entries of its index.
struct Sound {
  size_t record_bytes;
  fuzz::Folder files;
  std::vector<Sealed> tables;
};

void append(Dataset& dataset, uint64_t rows) {
  const uint64_t first = dataset.size();
  std::vector<int64_t> timestamps;
  std::vector<float> labels, x;
  const size_t cell = dataset.schema().columns[1].bytes();
  std::string texts(rows * cell, '\0');
  for (uint64_t i = 0; i < rows; ++i) {
    timestamps.push_back(static_cast<int64_t>(1000 + first + i));
    labels.push_back(static_cast<float>((first + i) % 2));
    x.push_back(0.5F * static_cast<float>(first + i));
    fuzz::put(texts, i * cell, uint32_t{8});
    fuzz::put(texts, i * cell + 4, first + i);
  }
  AppendBatch batch;
  batch.rows = rows;
  batch.timestamps = timestamps.data();
  batch.labels = labels.data();
  batch.columns = {x.data(), texts.data()};
  batch.state = {{"progress", std::to_string(first + rows)}};
  dataset.append(batch);
}

/// capacity: of a record's text. A block has few rows where it is large; where it is small, all lie in one.
Sound make_sound(uint32_t capacity) {
  const std::string path = fuzz::scratch() + "/sound-" + std::to_string(capacity);
  const Schema schema{{{"x", ColumnType::kF32}, {"text", ColumnType::kBytes, {capacity}}}, LabelKind::kClass, 2};
  {
    const auto dataset = Dataset::create(path, schema);
    append(*dataset, kRows - 1);
    dataset->remove({{2, 3}}, "first", 1);
  }
  compact_dataset(path, false, StopFlag(), [](uint64_t, uint64_t) {});
  {
    const auto dataset = Dataset::open(path, false);
    dataset->set_state("end", "the end");
    append(*dataset, 1);
    dataset->remove({{4, 6}}, "second", 2);
  }
  Sound sound{schema.record_bytes(), {}, {}};
  for (const char* table : {"meta", "state"}) sound.tables.push_back({table, Table::Keys::kString, fuzz::entries_of(path + "/index", table, Table::Keys::kString)});
  for (const char* table : {"timestamp", "label", "payload", "deleted", "segment"}) {
    sound.tables.push_back({table, Table::Keys::kInteger, fuzz::entries_of(path + "/index", table, Table::Keys::kInteger)});
  }
  sound.files = fuzz::load_folder(path);
  return sound;
}

uint64_t number_of(const std::string& key) {
  uint64_t number = 0;
  std::memcpy(&number, key.data(), std::min(key.size(), sizeof number));
  return number;
}

/// The value with its checksum made to hold for this place.
std::string seal(const Sealed& table, uint64_t key, std::string value) {
  const std::string name = table.table;
  if (name == "payload" && value.size() >= sizeof(BlockSums)) {
    BlockSums sums;
    std::memcpy(&sums, value.data(), sizeof sums);
    return block_entry(sums, key);
  }
  if (name == "segment" && value.size() >= 4) {
    uint32_t generation;
    std::memcpy(&generation, value.data(), sizeof generation);
    return generation_entry(key, generation);
  }
  if (name == "deleted") {
    std::vector<uint64_t> bits(kChunkRows / 64);
    std::memcpy(bits.data(), value.data(), std::min(value.size(), bits.size() * 8));
    return bitmap_value(bits, key);
  }
  ChunkHeader header;
  if (value.size() < sizeof header) return value;
  std::memcpy(&header, value.data(), sizeof header);
  const size_t bytes = size_t{header.rows} * header.width;
  const ChunkKind kind = name == "label" ? ChunkKind::kLabel : ChunkKind::kTimestamp;
  if (bytes <= value.size() - sizeof header) header.crc = crc32c(value.data() + sizeof header, bytes, chunk_seed(kind, key));
  std::memcpy(value.data(), &header, sizeof header);
  return value;
}

/// Changes an entry of the index, which is sound still, or adds it under another key.
void edit_entry(const Sound& sound, const std::string& path, fuzz::Input& input) {
  const Sealed& table = sound.tables[input.below(sound.tables.size())];
  if (table.entries.empty()) return;
  auto [key, value] = table.entries[input.below(table.entries.size())];
  const auto env = Env::open(path + "/index", false);
  Txn txn(*env, false);
  const Table to(txn, table.table, table.keys, false);
  const bool moved = input.below(4) == 0;
  if (table.keys == Table::Keys::kString) {
    value.resize(value.size() - sizeof(uint32_t));
    fuzz::edit_bytes(value, input);
    if (moved) key = "moved";
    to.put(txn, key, fuzz::sealed_entry(key, value));
  } else {
    fuzz::edit_bytes(value, input);
    const uint64_t number = moved ? input.below(256) : number_of(key);
    to.put(txn, number, seal(table, number, value));
  }
  txn.commit();
}

std::string& file_named(fuzz::Folder& files, fuzz::Input& input) {
  auto entry = files.begin();
  std::advance(entry, static_cast<std::ptrdiff_t>(input.below(files.size())));
  return entry->second;
}

/// A block's head with its checksum.
void edit_head(fuzz::Folder& files, size_t record_bytes, fuzz::Input& input) {
  const RecordLayout layout(record_bytes);
  for (auto& [name, bytes] : files) {
    if (name.find(".seg") == std::string::npos) continue;
    const uint64_t block = input.below(layout.blocks(kRows));
    const size_t at = layout.block_at(block);
    if (bytes.size() < at + sizeof(BlockHeader)) return;
    std::string head = bytes.substr(at, sizeof(BlockHeader));
    fuzz::edit_bytes(head, input);
    head.resize(sizeof(BlockHeader));
    fuzz::put(head, offsetof(BlockHeader, crc), crc32c(head.data(), offsetof(BlockHeader, crc)));
    bytes.replace(at, head.size(), head);
  }
}

void edit_files(fuzz::Folder& files, const Sound& sound, fuzz::Input& input) {
  while (!input.empty() && !files.empty()) {
    const auto log = files.find("state.log");
    const auto index = files.find("index/data.mdb");
    switch (input.below(8)) {
      case 0: files.erase(std::next(files.begin(), static_cast<std::ptrdiff_t>(input.below(files.size())))); break;
      case 1:
      case 2: fuzz::edit_bytes(file_named(files, input), input); break;
      case 3:
        if (log == files.end()) break;
        fuzz::edit_bytes(log->second, input);
        log->second = fuzz::sealed_log(log->second, sound.files.at("state.log"));
        break;
      case 4: edit_head(files, sound.record_bytes, input); break;
      default:
        if (index != files.end()) fuzz::edit_tree_page(index->second, 4096, input);
        break;
    }
  }
}

/// What reading gives: values of each sample and entry that can be read.
struct Seen {
  uint64_t size = 0;
  std::map<std::string, std::string> parts;
};

template <typename T>
std::string bytes_of(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

void read_sample(const Snapshot& snapshot, uint64_t key, Seen& seen) {
  int64_t timestamp = 0;
  float label = 0.0F;
  const uint8_t* record = nullptr;
  const std::string name = std::to_string(key);
  if (fuzz::accepts([&] { snapshot.gather(&key, 1, &timestamp, nullptr, nullptr); })) seen.parts["time " + name] = bytes_of(timestamp);
  if (fuzz::accepts([&] { snapshot.gather(&key, 1, nullptr, &label, nullptr); })) seen.parts["label " + name] = bytes_of(label);
  if (!fuzz::accepts([&] { snapshot.gather(&key, 1, nullptr, nullptr, &record); })) return;
  const Schema& schema = snapshot.schema();
  const size_t bytes = schema.record_bytes();
  seen.parts["record " + name] = bytes == 0 ? "" : bytes_of(crc32c(record, bytes));
  for (size_t c = 0; c < schema.columns.size() && bytes > 0; ++c) {
    if (schema.columns[c].type == ColumnType::kBytes) fuzz::accepts([&] { fuzz::expect(stored_bytes(record + schema.offset(c), schema.columns[c]).size() <= bytes, "a value within its record"); });
  }
}

Seen read_all(const std::string& path) {
  Seen seen;
  fuzz::accepts([&] {
    const auto dataset = Dataset::open(path, true);
    for (const char* key : {"end", "progress"}) {
      fuzz::accepts([&] { seen.parts[std::string("state ") + key] = dataset->state(key).value_or("none"); });
    }
    fuzz::accepts([&] { seen.parts["deletions"] = std::to_string(dataset->deletions().size()); });
    const auto snapshot = dataset->snapshot();
    seen.size = snapshot->size();
    for (uint64_t key = 0; key < std::min(seen.size, kMostRead); ++key) read_sample(*snapshot, key, seen);
    for (const IndexColumn column : {IndexColumn::kTimestamp, IndexColumn::kLabel}) {
      fuzz::accepts([&] {
        const ColumnSpan span = snapshot->span(column, 0, seen.size);
        fuzz::expect(span.rows <= seen.size, "a run of rows within the dataset");
      });
    }
    fuzz::accepts([&] { fuzz::expect(snapshot->lower_bound_time(1005, 0, seen.size) <= seen.size, "a key within the dataset"); });
    const auto living = snapshot->deleted().missing_in(0, std::min(seen.size, uint64_t{1} << 20));
    for (const KeyRange& range : living) fuzz::expect(range.first < range.end && range.end <= seen.size, "living samples within the dataset");
  });
  return seen;
}

CheckReport check(const std::string& path, bool repair) {
  CheckReport report;
  const bool done = fuzz::accepts([&] { report = check_dataset(path, repair, StopFlag(), [](uint64_t, uint64_t) {}); });
  for (const Damage& damage : report.damages) fuzz::expect(damage.first <= damage.end, "damage with an end");
  if (!done) report.damages.clear();
  return report;
}

void compare(const Seen& before, const Seen& after) {
  for (const auto& [name, value] : before.parts) {
    const auto found = after.parts.find(name);
    fuzz::expect(found != after.parts.end(), name + " to be read after a repair as before it");
    fuzz::expect(found->second == value, name + " to be the same after a repair");
  }
}

}  // namespace

SLUICE_FUZZ_TARGET {
  static const Sound small = make_sound(8);
  static const Sound large = make_sound(300'000);
  fuzz::Input input(data, size);
  const Sound& sound = input.below(4) == 1 ? large : small;
  const std::string path = fuzz::scratch() + "/d";
  fuzz::Folder files = sound.files;
  if (const uint64_t sealed = input.below(4); sealed > 0) {
    fuzz::store_folder(path, files);
    for (uint64_t i = 0; i < sealed; ++i) edit_entry(sound, path, input);
    files = fuzz::load_folder(path);
  }
  edit_files(files, sound, input);
  fuzz::store_folder(path, files);
  const Seen before = read_all(path);
  check(path, false);
  check(path, true);
  const Seen after = read_all(path);
  compare(before, after);
  fuzz::accepts([&] {
    const auto dataset = Dataset::open(path, false);
    if (dataset->schema().columns.size() == 2 && dataset->schema().columns[1].type == ColumnType::kBytes) append(*dataset, 3);
    dataset->remove({{0, 1}}, "fuzz", 3);
  });
  read_all(path);
  return 0;
}
