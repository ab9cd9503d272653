// What is done to the values of samples beside reading and writing them: making those of deleted samples missing, taking
// free pages out of the file, checking it.
#include <fcntl.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <set>

#include "base/error.h"
#include "storage/folders.h"
#include "storage/metadata_format.h"
#include "storage/page_walk.h"

namespace sluice {

namespace {

/// Folders of values beside the dataset at `path`, in order.
std::vector<std::string> metadata_folders(const std::string& path) {
  std::error_code error;
  std::vector<std::string> folders;
  for (const auto& entry : std::filesystem::directory_iterator(path + "/metadata", error)) {
    if (path_exists(entry.path().string() + "/data.mdb")) folders.push_back(entry.path().string());
  }
  std::sort(folders.begin(), folders.end());
  return folders;
}

}  // namespace

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
      for (size_t bytes = 0; at != chunks.end() && bytes < kMetadataTransactionBytes; ++at) bytes += erase_in_chunk(txn, column, number, *at, keys);
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
  const uint64_t key = metadata_key(number, chunk);
  seal_chunk(value, column, key);
  tables_->values.put(txn, key, value);
  return value.size();
}

void erase_metadata(const std::string& path, const std::vector<KeyRange>& keys) {
  for (const std::string& folder : metadata_folders(path)) MetadataStore::open(folder, false)->erase(keys);
}

namespace {

/// Returns false where somebody has it open. A copy beside it takes the file's place: whoever opens it finds the one or the other.
bool compact_metadata_file(const std::string& folder) {
  const File lock = lock_metadata(folder, true, false);
  if (!lock.is_open()) return false;
  auto env = Env::open(folder, false);
  if (!env->ever_written()) return true;
  const std::string copy = folder + "/copy";
  remove_folder(copy);
  make_folders(copy);
  check_lmdb(mdb_env_copy2(env->raw(), copy.c_str(), MDB_CP_COMPACT), "write " + copy);
  env.reset();
  File(copy + "/data.mdb", O_RDWR).sync();
  if (std::rename((copy + "/data.mdb").c_str(), (folder + "/data.mdb").c_str()) != 0) throw_errno(errno, "rename " + copy + "/data.mdb");
  sync_folder(folder);
  remove_folder(copy);
  return true;
}

}  // namespace

std::vector<std::string> compact_metadata(const std::string& path) {
  std::vector<std::string> in_use;
  for (const std::string& folder : metadata_folders(path)) {
    if (!compact_metadata_file(folder)) in_use.push_back(std::filesystem::path(folder).filename().string());
  }
  return in_use;
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
    const File lock = lock_metadata(folder, false, true);
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
