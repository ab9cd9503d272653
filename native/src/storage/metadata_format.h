// What the parts of the store of values share: how columns are written down and cut into chunks. For storage/metadata*.cpp alone.
#pragma once
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/file.h"
#include "storage/chunk.h"
#include "storage/lmdb_env.h"
#include "storage/metadata.h"

namespace sluice {

inline constexpr const char* kColumnsEntry = "columns";
inline constexpr size_t kMetadataTransactionBytes = size_t{64} << 20;  // of chunks that one transaction writes: LMDB keeps them in memory
inline constexpr size_t kMaxMetadataColumns = 256;

/// A power of two, so that chunks of different columns lie within each other.
uint64_t rows_per_chunk(const MetadataColumn& column);
constexpr uint64_t metadata_key(uint64_t column, uint64_t chunk) { return column << 32 | chunk; }
/// Makes the values of so many samples missing.
void fill_missing(const MetadataColumn& column, void* out, uint64_t rows);

const char* type_name(MetadataType type);
/// As messages tell it.
std::string form(const MetadataColumn& column);
/// E_ARGUMENT for a name or length that cannot be.
void check_column(const MetadataColumn& column);
/// The column's number; E_ARGUMENT lists those there are.
size_t find_column(const std::vector<MetadataColumn>& all, const std::string& name, const std::string& folder);
/// The list as it is stored. parse: E_CORRUPT unless columns_text() can have written it.
std::string columns_text(const std::vector<MetadataColumn>& columns);
std::vector<MetadataColumn> parse_columns(std::string_view sealed, const std::string& folder);
/// Writes a chunk's header in front of its rows.
void seal_chunk(std::string& value, const MetadataColumn& column, uint64_t key);

/// Held while a store is open, so that its file is not exchanged meanwhile; where the folder cannot be written, by nobody.
/// alone: not with others. Waits, or gives nothing where it would have to.
File lock_metadata(const std::string& folder, bool alone, bool wait);

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

  /// The chunk's rows; null where no sample of it has a value. E_CORRUPT.
  const uint8_t* chunk(uint64_t chunk);

 private:
  const uint8_t* check(uint64_t chunk) const;

  const Txn& txn_;
  const Table& values_;
  const MetadataColumn& column_;
  uint64_t number_;
  uint64_t rows_;
  const std::string& folder_;
  std::unordered_map<uint64_t, const uint8_t*> checked_;
  uint64_t last_ = ~uint64_t{0};
  const uint8_t* last_rows_ = nullptr;
};

}  // namespace sluice
