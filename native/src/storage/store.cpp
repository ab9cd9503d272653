#include "storage/store.h"

#include <cstring>

#include "base/crc32c.h"
#include "base/error.h"

namespace sluice {

namespace {

constexpr size_t kMaxValueBytes = size_t{1} << 30;

struct StoredExtent {
  uint64_t size;
  int64_t last_timestamp;
  uint64_t sorted;
};

uint32_t entry_crc(std::string_view key, std::string_view value) { return crc32c(value.data(), value.size(), crc32c(key.data(), key.size())); }

}  // namespace

std::vector<std::atomic<uint32_t>*> Verified::counters(size_t chunks) {
  const std::lock_guard lock(mutex_);
  while (rows_.size() < chunks) rows_.emplace_back(0);
  std::vector<std::atomic<uint32_t>*> result(chunks);
  for (size_t i = 0; i < chunks; ++i) result[i] = &rows_[i];
  return result;
}

Tables::Tables(const Txn& txn, bool create)
    : meta(txn, "meta", Table::Keys::kString, create),
      state(txn, "state", Table::Keys::kString, create),
      timestamp(txn, "timestamp", Table::Keys::kInteger, create),
      label(txn, "label", Table::Keys::kInteger, create),
      payload(txn, "payload", Table::Keys::kInteger, create) {}

Extent Store::extent(const Txn& txn) const {
  const auto value = get(txn, tables->meta, "extent");
  if (!value || value->size() != sizeof(StoredExtent)) throw Error(code::kCorrupt, path + " is damaged: its extent is missing");
  StoredExtent stored{};
  std::memcpy(&stored, value->data(), sizeof stored);
  return {stored.size, stored.sorted != 0, stored.last_timestamp};
}

void Store::put_extent(const Txn& txn, const Extent& extent) const {
  const StoredExtent stored{extent.size, extent.last_timestamp, extent.sorted ? 1U : 0U};
  put(txn, tables->meta, "extent", std::string_view(reinterpret_cast<const char*>(&stored), sizeof stored));
}

std::optional<std::string> Store::get(const Txn& txn, const Table& table, std::string_view key) const {
  const auto sealed = table.get(txn, key);
  if (!sealed) return std::nullopt;
  uint32_t crc = 0;
  const bool whole = sealed->size() >= sizeof crc && sealed->size() <= kMaxValueBytes + sizeof crc;
  const std::string_view value = sealed->substr(0, whole ? sealed->size() - sizeof crc : 0);
  if (whole) std::memcpy(&crc, sealed->data() + value.size(), sizeof crc);
  if (!whole || crc != entry_crc(key, value)) {
    throw Error(code::kCorrupt, path + " is damaged: the checksum of its entry '" + std::string(key) + "' does not match");
  }
  return std::string(value);
}

void Store::put(const Txn& txn, const Table& table, std::string_view key, std::string_view value) const {
  if (value.size() > kMaxValueBytes) {
    throw Error(code::kArgument, "entry '" + std::string(key) + "': at most " + std::to_string(kMaxValueBytes) + " bytes, got " + std::to_string(value.size()));
  }
  const uint32_t crc = entry_crc(key, value);
  std::string sealed(value);
  sealed.append(reinterpret_cast<const char*>(&crc), sizeof crc);
  table.put(txn, key, sealed);
}

}  // namespace sluice
