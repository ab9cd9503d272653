#include "storage/metadata_format.h"

#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <sstream>

#include "base/crc32c.h"
#include "base/error.h"
#include "storage/schema.h"

namespace sluice {

namespace {

constexpr size_t kChunkBytes = size_t{1} << 18;
constexpr uint32_t kMaxLength = 4096;
const char* const kTypeNames[] = {"f32", "u8"};


uint32_t columns_crc(std::string_view text) { return crc32c(text.data(), text.size(), crc32c(kColumnsEntry, std::strlen(kColumnsEntry))); }

}  // namespace

uint64_t rows_per_chunk(const MetadataColumn& column) {
  uint64_t rows = kChunkRows;
  while (rows * column.bytes() > kChunkBytes) rows /= 2;
  return rows;
}

void fill_missing(const MetadataColumn& column, void* out, uint64_t rows) {
  if (column.type == MetadataType::kU8) {
    std::memset(out, kMissingByte, rows * column.length);
  } else {
    std::fill_n(static_cast<float*>(out), rows * column.length, std::numeric_limits<float>::quiet_NaN());
  }
}

const char* type_name(MetadataType type) { return kTypeNames[static_cast<size_t>(type)]; }

std::string form(const MetadataColumn& column) {
  const std::string type = type_name(column.type);
  return column.length == 1 ? type : type + " vectors of " + std::to_string(column.length);
}

void check_column(const MetadataColumn& column) {
  check_column_name(column.name);
  if (column.length == 0 || column.length > kMaxLength) {
    throw Error(code::kArgument, "column '" + column.name + "': length: expected 1 to " + std::to_string(kMaxLength) + ", got " + std::to_string(column.length));
  }
}

size_t find_column(const std::vector<MetadataColumn>& all, const std::string& name, const std::string& folder) {
  const auto found = std::find_if(all.begin(), all.end(), [&](const MetadataColumn& c) { return c.name == name; });
  if (found != all.end()) return static_cast<size_t>(found - all.begin());
  std::string names;
  for (const MetadataColumn& column : all) names += (names.empty() ? "" : ", ") + column.name;
  throw Error(code::kArgument, folder + " has no column '" + name + "'" + (names.empty() ? "; it has none" : "; it has " + names));
}

std::string columns_text(const std::vector<MetadataColumn>& columns) {
  std::string text;
  for (const MetadataColumn& c : columns) text += std::string(type_name(c.type)) + " " + std::to_string(c.length) + " " + c.name + "\n";
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
    if (column.length == 0 || column.length > kMaxLength || columns.size() == kMaxMetadataColumns) throw fail();
    columns.push_back(std::move(column));
  }
  return columns;
}

void seal_chunk(std::string& value, const MetadataColumn& column, uint64_t key) {
  const uint64_t rows = rows_per_chunk(column);
  const uint32_t crc = crc32c(value.data() + sizeof(ChunkHeader), rows * column.bytes(), chunk_seed(ChunkKind::kMetadata, key));
  const ChunkHeader header{kChunkMagic, crc, static_cast<uint32_t>(rows), static_cast<uint32_t>(column.bytes())};
  std::memcpy(value.data(), &header, sizeof header);
}

File lock_metadata(const std::string& folder, bool alone, bool wait) {
  File file;
  try {
    file = File(folder + "/open.lock", O_RDWR | O_CREAT);
  } catch (const Error& error) {
    if (!alone && std::string_view(error.code()) == code::kReadOnly) return {};
    throw;
  }
  int rc;
  do {
    rc = flock(file.fd(), (alone ? LOCK_EX : LOCK_SH) | (wait ? 0 : LOCK_NB));
  } while (rc != 0 && errno == EINTR);
  if (rc == 0) return file;
  if (errno == EWOULDBLOCK) return {};
  throw_errno(errno, "lock " + file.path());
}

const uint8_t* MetadataStore::ColumnReader::chunk(uint64_t chunk) {
  if (chunk == last_) return last_rows_;
  last_ = chunk;
  const auto [place, fresh] = checked_.try_emplace(chunk, nullptr);
  if (fresh) place->second = check(chunk);
  return last_rows_ = place->second;
}

const uint8_t* MetadataStore::ColumnReader::check(uint64_t chunk) const {
  const auto value = values_.get(txn_, metadata_key(number_, chunk));
  if (!value) return nullptr;
  const std::string name = folder_ + ": chunk " + std::to_string(chunk) + " of column '" + column_.name + "'";
  const ChunkView view = parse_chunk(*value, column_.bytes(), name);
  if (view.header->rows != rows_) throw Error(code::kCorrupt, name + " is damaged: it has " + std::to_string(view.header->rows) + " rows");
  check_chunk(view, chunk_seed(ChunkKind::kMetadata, metadata_key(number_, chunk)), name);
  return view.rows;
}

}  // namespace sluice
