#include "storage/metadata.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <limits>
#include <mutex>
#include <set>
#include <sstream>
#include <unordered_map>

#include "base/crc32c.h"
#include "base/error.h"
#include "base/file.h"
#include "storage/chunk.h"
#include "storage/lmdb_env.h"
#include "storage/page_walk.h"
#include "storage/schema.h"

namespace sluice {

namespace {

constexpr const char* kColumnsEntry = "columns";
constexpr size_t kChunkBytes = size_t{1} << 18;
constexpr size_t kTransactionBytes = size_t{64} << 20;  // of chunks that one transaction writes: LMDB keeps them in memory
constexpr size_t kMaxColumns = 256;
constexpr uint32_t kMaxLength = 4096;
const char* const kTypeNames[] = {"f32", "u8"};

/// A power of two, so that chunks of different columns lie within each other.
uint64_t rows_per_chunk(const MetadataColumn& column) {
  uint64_t rows = kChunkRows;
  while (rows * column.bytes() > kChunkBytes) rows /= 2;
  return rows;
}

uint64_t chunk_key(uint64_t column, uint64_t chunk) { return column << 32 | chunk; }

void fill_missing(const MetadataColumn& column, void* out, uint64_t rows) {
  if (column.type == MetadataType::kU8) {
    std::memset(out, kMissingByte, rows * column.length);
  } else {
    std::fill_n(static_cast<float*>(out), rows * column.length, std::numeric_limits<float>::quiet_NaN());
  }
}

std::string form(const MetadataColumn& column) {
  const std::string type = kTypeNames[static_cast<size_t>(column.type)];
  return column.length == 1 ? type : type + " vectors of " + std::to_string(column.length);
}

void check_column(const MetadataColumn& column) {
  check_column_name(column.name);
  if (column.length == 0 || column.length > kMaxLength) {
    throw Error(code::kArgument, "column '" + column.name + "': length: expected 1 to " + std::to_string(kMaxLength) + ", got " + std::to_string(column.length));
  }
}

void check_key(uint64_t key) {
  if (key > kMaxMetadataKey) throw Error(code::kArgument, "key " + std::to_string(key) + " is beyond " + std::to_string(kMaxMetadataKey));
}

size_t find(const std::vector<MetadataColumn>& all, const std::string& name, const std::string& folder) {
  const auto found = std::find_if(all.begin(), all.end(), [&](const MetadataColumn& c) { return c.name == name; });
  if (found != all.end()) return static_cast<size_t>(found - all.begin());
  std::string names;
  for (const MetadataColumn& column : all) names += (names.empty() ? "" : ", ") + column.name;
  throw Error(code::kArgument, folder + " has no column '" + name + "'" + (names.empty() ? "; it has none" : "; it has " + names));
}

uint32_t columns_crc(std::string_view text) { return crc32c(text.data(), text.size(), crc32c(kColumnsEntry, std::strlen(kColumnsEntry))); }

std::string columns_text(const std::vector<MetadataColumn>& columns) {
  std::string text;
  for (const MetadataColumn& c : columns) text += std::string(kTypeNames[static_cast<size_t>(c.type)]) + " " + std::to_string(c.length) + " " + c.name + "\n";
  const uint32_t crc = columns_crc(text);
  return text.append(reinterpret_cast<const char*>(&crc), sizeof crc);
}

std::vector<MetadataColumn> parse_columns(std::string_view sealed, const std::string& folder) {
  const auto fail = [&] { return Error(code::kCorrupt, folder + " is damaged: its list of columns cannot be read"); };
  uint32_t crc = 0;
  if (sealed.size() < sizeof crc) throw fail();
  const std::string_view text = sealed.substr(0, sealed.size() - sizeof crc);
  std::memcpy(&crc, sealed.data() + text.size(), sizeof crc);
  if (crc != columns_crc(text)) throw fail();
  std::vector<MetadataColumn> columns;
  std::istringstream lines{std::string(text)};
  for (std::string type; lines >> type;) {
    MetadataColumn column;
    const auto known = std::find(std::begin(kTypeNames), std::end(kTypeNames), type);
    if (known == std::end(kTypeNames) || !(lines >> column.length) || lines.get() != ' ' || !std::getline(lines, column.name)) throw fail();
    column.type = static_cast<MetadataType>(known - std::begin(kTypeNames));
    if (column.length == 0 || column.length > kMaxLength || columns.size() == kMaxColumns) throw fail();
    columns.push_back(std::move(column));
  }
  return columns;
}

}  // namespace

/// One column of an update.
struct MetadataStore::Target {
  MetadataColumn column;
  uint64_t number = 0;
  uint64_t rows = 0;  // of a chunk
  const uint8_t* data = nullptr;
};

/// Positions of an update's keys by the run of keys that they lie in: runs in order, positions in theirs. A run lies in
/// one chunk of each column.
struct MetadataStore::Groups {
  std::vector<std::pair<uint64_t, std::vector<uint32_t>>> all;
  uint64_t rows = kChunkRows;  // of a run
  uint64_t chunk(const std::pair<uint64_t, std::vector<uint32_t>>& group, uint64_t chunk_rows) const { return group.first * rows / chunk_rows; }
};

struct MetadataStore::Tables {
  Tables(const Txn& txn, bool create) : meta(txn, "meta", Table::Keys::kString, create), values(txn, "values", Table::Keys::kInteger, create) {}
  Table meta, values;
};

/// The chunks of a column in one transaction, each checked once.
class MetadataStore::ColumnReader {
 public:
  ColumnReader(const Txn& txn, const Table& values, const MetadataColumn& column, uint64_t number, const std::string& folder)
      : txn_(txn), values_(values), column_(column), number_(number), rows_(rows_per_chunk(column)), folder_(folder) {}

  uint64_t rows() const { return rows_; }

  /// The chunk's rows; null where no sample of it has a value.
  const uint8_t* chunk(uint64_t chunk) {
    if (chunk == last_) return last_rows_;
    last_ = chunk;
    const auto [place, fresh] = checked_.try_emplace(chunk, nullptr);
    if (fresh) place->second = check(chunk);
    return last_rows_ = place->second;
  }

 private:
  const uint8_t* check(uint64_t chunk) const {
    const auto value = values_.get(txn_, chunk_key(number_, chunk));
    if (!value) return nullptr;
    const std::string name = folder_ + ": chunk " + std::to_string(chunk) + " of column '" + column_.name + "'";
    const ChunkView view = parse_chunk(*value, column_.bytes(), name);
    if (view.header->rows != rows_) throw Error(code::kCorrupt, name + " is damaged: it has " + std::to_string(view.header->rows) + " rows");
    check_chunk(view, chunk_seed(ChunkKind::kMetadata, chunk_key(number_, chunk)), name);
    return view.rows;
  }

  const Txn& txn_;
  const Table& values_;
  const MetadataColumn& column_;
  uint64_t number_;
  uint64_t rows_;
  const std::string& folder_;
  std::unordered_map<uint64_t, const uint8_t*> checked_;
  uint64_t last_ = std::numeric_limits<uint64_t>::max();
  const uint8_t* last_rows_ = nullptr;
};

MetadataStore::MetadataStore(std::string folder, std::shared_ptr<Env> env) : folder_(std::move(folder)), env_(std::move(env)) {
  const bool create = !env_->ever_written();
  Txn txn(*env_, !create);
  tables_ = std::make_unique<Tables>(txn, create);
  if (create && !tables_->meta.get(txn, kColumnsEntry)) tables_->meta.put(txn, kColumnsEntry, columns_text({}));  // another process may have been faster
  txn.commit();
}

MetadataStore::~MetadataStore() = default;

std::shared_ptr<MetadataStore> MetadataStore::open(const std::string& folder, bool create) {
  static std::mutex opening;  // LMDB forbids opening tables from two transactions at once
  const std::lock_guard lock(opening);
  const auto missing = [&] { return Error(code::kNotFound, "there are no values of samples in " + folder); };
  if (!create && !path_exists(folder + "/data.mdb")) throw missing();
  if (create) make_folders(folder);
  auto env = Env::open(folder, create);
  if (!env->ever_written()) {
    if (!create) throw missing();
    if (env->read_only()) throw Error(code::kReadOnly, folder + " cannot be written");
  }
  return std::shared_ptr<MetadataStore>(new MetadataStore(folder, std::move(env)));
}

std::vector<MetadataStore::Target> MetadataStore::targets_of(const std::vector<MetadataColumn>& all, const std::vector<MetadataValues>& values, size_t n, const std::string& folder) {
  std::vector<Target> targets;
  for (const MetadataValues& v : values) {
    const size_t number = find(all, v.column, folder);
    const MetadataColumn& column = all[number];
    if (v.type != column.type || v.count != n * column.length) {
      throw Error(code::kArgument, "column '" + column.name + "' holds " + form(column) + ": expected " + std::to_string(n * column.length) + " values of that type, got " +
                                       std::to_string(v.count) + " of " + kTypeNames[static_cast<size_t>(v.type)]);
    }
    targets.push_back({column, number, rows_per_chunk(column), static_cast<const uint8_t*>(v.data)});
  }
  return targets;
}

MetadataStore::Groups MetadataStore::group_keys(const uint64_t* keys, size_t n, const std::vector<Target>& targets) {
  Groups groups;
  for (const Target& target : targets) groups.rows = std::min(groups.rows, target.rows);
  std::unordered_map<uint64_t, size_t> places;
  size_t current = 0;  // keys that come in order stay in a run for long
  for (size_t i = 0; i < n; ++i) {
    check_key(keys[i]);
    const uint64_t run = keys[i] / groups.rows;
    if (groups.all.empty() || groups.all[current].first != run) {
      const auto [place, fresh] = places.try_emplace(run, groups.all.size());
      if (fresh) groups.all.emplace_back(run, std::vector<uint32_t>());
      current = place->second;
    }
    groups.all[current].second.push_back(static_cast<uint32_t>(i));
  }
  std::sort(groups.all.begin(), groups.all.end());
  return groups;
}

/// Behind as many groups as one transaction may write, at least one.
MetadataStore::GroupIterator MetadataStore::transaction_end(const Groups& groups, GroupIterator from, const std::vector<Target>& targets) {
  size_t bytes = 0;
  auto to = from;
  for (; to != groups.all.end() && bytes < kTransactionBytes; ++to) {
    for (const Target& target : targets) {
      const bool fresh = to == from || groups.chunk(*to, target.rows) != groups.chunk(*(to - 1), target.rows);
      if (fresh) bytes += chunk_bytes(target.rows, target.column.bytes());
    }
  }
  return to;
}

std::vector<MetadataColumn> MetadataStore::load(const Txn& txn) const {
  const auto text = tables_->meta.get(txn, kColumnsEntry);
  if (!text) throw Error(code::kCorrupt, folder_ + " is damaged: its list of columns is missing");
  return parse_columns(*text, folder_);
}

std::vector<MetadataColumn> MetadataStore::columns() const { return load(Txn(*env_, true)); }

MetadataColumn MetadataStore::column(const std::string& name) const {
  const std::vector<MetadataColumn> all = columns();
  return all[find(all, name, folder_)];
}

void MetadataStore::define(const std::vector<MetadataColumn>& wanted) {
  for (const MetadataColumn& column : wanted) check_column(column);
  std::vector<MetadataColumn> all = columns();
  const auto add_missing = [&] {
    bool added = false;
    for (const MetadataColumn& column : wanted) {
      const auto found = std::find_if(all.begin(), all.end(), [&](const MetadataColumn& c) { return c.name == column.name; });
      if (found == all.end()) {
        all.push_back(column);
        added = true;
      } else if (*found != column) {
        throw Error(code::kArgument, "column '" + column.name + "' of " + folder_ + " holds " + form(*found) + ", not " + form(column));
      }
    }
    if (all.size() > kMaxColumns) throw Error(code::kArgument, folder_ + ": at most " + std::to_string(kMaxColumns) + " columns, got " + std::to_string(all.size()));
    return added;
  };
  if (!add_missing()) return;
  if (env_->read_only()) throw Error(code::kReadOnly, folder_ + " cannot be written");
  Txn txn(*env_, false);
  all = load(txn);  // another process may have added some
  if (add_missing()) tables_->meta.put(txn, kColumnsEntry, columns_text(all));
  txn.commit();
}

void MetadataStore::update(const uint64_t* keys, size_t n, const std::vector<MetadataValues>& values) {
  if (env_->read_only()) throw Error(code::kReadOnly, folder_ + " cannot be written");
  if (n > std::numeric_limits<uint32_t>::max()) throw Error(code::kArgument, "update: at most 4294967295 keys, got " + std::to_string(n));
  const std::vector<Target> targets = targets_of(columns(), values, n, folder_);
  if (n == 0 || targets.empty()) return;
  const Groups groups = group_keys(keys, n, targets);
  for (auto from = groups.all.begin(); from != groups.all.end();) {
    const auto to = transaction_end(groups, from, targets);
    Txn txn(*env_, false);
    for (const Target& target : targets) write_column(txn, target, keys, groups, from, to);
    txn.commit();
    from = to;
  }
}

void MetadataStore::write_column(const Txn& txn, const Target& target, const uint64_t* keys, const Groups& groups, GroupIterator from, GroupIterator to) const {
  ColumnReader old(txn, tables_->values, target.column, target.number, folder_);
  const size_t width = target.column.bytes();
  std::string chunk(chunk_bytes(target.rows, width), '\0');
  auto* rows = reinterpret_cast<uint8_t*>(chunk.data()) + sizeof(ChunkHeader);
  while (from != to) {
    const uint64_t number = groups.chunk(*from, target.rows);
    if (const uint8_t* before = old.chunk(number)) {
      std::memcpy(rows, before, target.rows * width);
    } else {
      fill_missing(target.column, rows, target.rows);
    }
    for (; from != to && groups.chunk(*from, target.rows) == number; ++from) {
      for (const uint32_t i : from->second) std::memcpy(rows + keys[i] % target.rows * width, target.data + i * width, width);
    }
    const uint64_t key = chunk_key(target.number, number);
    const uint32_t crc = crc32c(rows, target.rows * width, chunk_seed(ChunkKind::kMetadata, key));
    const ChunkHeader header{kChunkMagic, crc, static_cast<uint32_t>(target.rows), static_cast<uint32_t>(width)};
    std::memcpy(chunk.data(), &header, sizeof header);
    tables_->values.put(txn, key, chunk);
  }
}

void MetadataStore::erase(const std::vector<KeyRange>& keys) {
  if (env_->read_only()) throw Error(code::kReadOnly, folder_ + " cannot be written");
  const std::vector<MetadataColumn> all = columns();
  for (size_t number = 0; number < all.size(); ++number) {
    const MetadataColumn& column = all[number];
    const uint64_t rows = rows_per_chunk(column);
    std::set<uint64_t> chunks;
    for (const KeyRange& r : keys) {
      for (uint64_t chunk = r.first / rows; chunk * rows < r.end; ++chunk) chunks.insert(chunk);
    }
    for (auto at = chunks.begin(); at != chunks.end();) {
      Txn txn(*env_, false);
      for (size_t bytes = 0; at != chunks.end() && bytes < kTransactionBytes; ++at) bytes += erase_in_chunk(txn, column, number, *at, keys);
      txn.commit();
    }
  }
}

/// Returns how many bytes it wrote.
size_t MetadataStore::erase_in_chunk(const Txn& txn, const MetadataColumn& column, uint64_t number, uint64_t chunk, const std::vector<KeyRange>& keys) const {
  ColumnReader reader(txn, tables_->values, column, number, folder_);
  const uint8_t* before = reader.chunk(chunk);
  if (before == nullptr) return 0;
  const uint64_t rows = reader.rows();
  const size_t width = column.bytes();
  const uint64_t first = chunk * rows;
  std::string value(chunk_bytes(rows, width), '\0');
  auto* data = reinterpret_cast<uint8_t*>(value.data()) + sizeof(ChunkHeader);
  std::memcpy(data, before, rows * width);
  auto range = std::partition_point(keys.begin(), keys.end(), [&](const KeyRange& r) { return r.end <= first; });
  for (; range != keys.end() && range->first < first + rows; ++range) {
    const uint64_t from = std::max(range->first, first) - first;
    const uint64_t to = std::min(range->end, first + rows) - first;
    fill_missing(column, data + from * width, to - from);
  }
  const uint64_t key = chunk_key(number, chunk);
  const ChunkHeader header{kChunkMagic, crc32c(data, rows * width, chunk_seed(ChunkKind::kMetadata, key)), static_cast<uint32_t>(rows), static_cast<uint32_t>(width)};
  std::memcpy(value.data(), &header, sizeof header);
  tables_->values.put(txn, key, value);
  return value.size();
}

void erase_metadata(const std::string& path, const std::vector<KeyRange>& keys) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(path + "/metadata", error)) {
    const std::string folder = entry.path().string();
    if (path_exists(folder + "/data.mdb")) MetadataStore::open(folder, false)->erase(keys);
  }
}

void MetadataStore::read(const std::string& name, const uint64_t* keys, size_t n, void* out) const {
  const Txn txn(*env_, true);
  const std::vector<MetadataColumn> all = load(txn);
  const size_t number = find(all, name, folder_);
  ColumnReader reader(txn, tables_->values, all[number], number, folder_);
  const size_t width = all[number].bytes();
  auto* to = static_cast<uint8_t*>(out);
  for (size_t i = 0; i < n; ++i, to += width) {
    check_key(keys[i]);
    const uint8_t* rows = reader.chunk(keys[i] / reader.rows());
    if (rows == nullptr) {
      fill_missing(all[number], to, 1);
    } else {
      std::memcpy(to, rows + keys[i] % reader.rows() * width, width);
    }
  }
}

void MetadataStore::read_range(const std::string& name, uint64_t first, uint64_t end, void* out) const {
  if (first > end || end > kMaxMetadataKey) throw Error(code::kArgument, "expected a range of keys up to " + std::to_string(kMaxMetadataKey) + ", got " + std::to_string(first) + " to " + std::to_string(end));
  const Txn txn(*env_, true);
  const std::vector<MetadataColumn> all = load(txn);
  const size_t number = find(all, name, folder_);
  ColumnReader reader(txn, tables_->values, all[number], number, folder_);
  const size_t width = all[number].bytes();
  auto* to = static_cast<uint8_t*>(out);
  while (first < end) {
    const uint64_t at = first % reader.rows();
    const uint64_t n = std::min(end - first, reader.rows() - at);
    const uint8_t* rows = reader.chunk(first / reader.rows());
    if (rows == nullptr) {
      fill_missing(all[number], to, n);
    } else {
      std::memcpy(to, rows + at * width, n * width);
    }
    to += n * width;
    first += n;
  }
}

void check_metadata(const std::string& folder, const std::function<void(uint64_t bytes)>& read,
                    const std::function<void(const std::string& what, uint64_t first, uint64_t end)>& damaged) {
  std::vector<MetadataColumn> columns;
  const auto check_value = [&](PageWalk& pages, uint64_t key, PageWalk::Place place) {
    const MetadataColumn& column = columns[key >> 32];
    const uint64_t rows = rows_per_chunk(column);
    const uint64_t first = (key & 0xffffffffU) * rows;
    try {
      const std::string value = pages.read(place);
      const ChunkView view = parse_chunk(value, column.bytes(), "");
      if (view.header->rows != rows) throw Error(code::kCorrupt, "rows");
      check_chunk(view, chunk_seed(ChunkKind::kMetadata, key), "");
    } catch (const Error& error) {
      if (std::string_view(error.code()) != code::kCorrupt) throw;
      damaged("values of column '" + column.name + "' are damaged", first, first + rows);
    }
    read(place.bytes);
  };
  try {
    const PinnedWalk walk = pinned_walk(folder);
    walk.pages->walk("meta", [&](std::string_view key, PageWalk::Place place) {
      if (key == kColumnsEntry) columns = parse_columns(walk.pages->read(place), folder);
    });
    walk.pages->walk("values", [&](std::string_view key, PageWalk::Place place) {
      uint64_t number = ~uint64_t{0};
      if (key.size() == sizeof number) std::memcpy(&number, key.data(), sizeof number);
      if (number >> 32 < columns.size()) check_value(*walk.pages, number, place);
    });
    walk.pages->check_free_pages();
    for (const std::string& problem : walk.pages->problems()) damaged(problem, 0, 0);
  } catch (const Error& error) {
    if (std::string_view(error.code()) != code::kCorrupt) throw;
    damaged(error.what(), 0, 0);
  }
}

}  // namespace sluice
