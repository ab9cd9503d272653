#include "storage/metadata.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <mutex>
#include <unordered_map>

#include "base/error.h"
#include "storage/metadata_format.h"

namespace sluice {

namespace {

void check_key(uint64_t key) {
  if (key > kMaxMetadataKey) throw Error(code::kArgument, "key " + std::to_string(key) + " is beyond " + std::to_string(kMaxMetadataKey));
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

MetadataStore::MetadataStore(std::string folder, File lock, std::shared_ptr<Env> env) : folder_(std::move(folder)), lock_(std::move(lock)), env_(std::move(env)) {
  const bool create = !env_->ever_written();
  Txn txn(*env_, !create);
  tables_ = std::make_unique<Tables>(txn, create);
  if (create && !tables_->meta.get(txn, kColumnsEntry)) tables_->meta.put(txn, kColumnsEntry, columns_text({}));  // another process may have been faster
  txn.commit();
}

MetadataStore::~MetadataStore() = default;

std::shared_ptr<MetadataStore> MetadataStore::open(const std::string& folder, bool create) {
  static std::mutex opening;  // LMDB forbids opening tables from two transactions at once
  const std::lock_guard one(opening);
  const auto missing = [&] { return Error(code::kNotFound, "there are no values of samples in " + folder); };
  if (!create && !path_exists(folder + "/data.mdb")) throw missing();
  if (create) make_folders(folder);
  File lock = lock_metadata(folder, false, true);
  auto env = Env::open(folder, create);
  if (!env->ever_written()) {
    if (!create) throw missing();
    if (env->read_only()) throw Error(code::kReadOnly, folder + " cannot be written");
  }
  return std::shared_ptr<MetadataStore>(new MetadataStore(folder, std::move(lock), std::move(env)));
}

std::vector<MetadataStore::Target> MetadataStore::targets_of(const std::vector<MetadataColumn>& all, const std::vector<MetadataValues>& values, size_t n, const std::string& folder) {
  std::vector<Target> targets;
  for (const MetadataValues& v : values) {
    const size_t number = find_column(all, v.column, folder);
    const MetadataColumn& column = all[number];
    if (v.type != column.type || v.count != n * column.length) {
      throw Error(code::kArgument, "column '" + column.name + "' holds " + form(column) + ": expected " + std::to_string(n * column.length) + " values of that type, got " +
                                       std::to_string(v.count) + " of " + type_name(v.type));
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
  for (; to != groups.all.end() && bytes < kMetadataTransactionBytes; ++to) {
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
  return all[find_column(all, name, folder_)];
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
    if (all.size() > kMaxMetadataColumns) throw Error(code::kArgument, folder_ + ": at most " + std::to_string(kMaxMetadataColumns) + " columns, got " + std::to_string(all.size()));
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
    const uint64_t key = metadata_key(target.number, number);
    seal_chunk(chunk, target.column, key);
    tables_->values.put(txn, key, chunk);
  }
}

void MetadataStore::read(const std::string& name, const uint64_t* keys, size_t n, void* out) const {
  const Txn txn(*env_, true);
  const std::vector<MetadataColumn> all = load(txn);
  const size_t number = find_column(all, name, folder_);
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
  const size_t number = find_column(all, name, folder_);
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

}  // namespace sluice
