// LMDB with RAII and our errors. One environment per folder and process (LMDB forbids two), shared by all who open it.
#pragma once
#include <lmdb.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace sluice {

/// Throws the Error for an LMDB return code other than 0; `what` names operation and path.
void check_lmdb(int rc, const std::string& what);

/// Whether LMDB's two meta pages can stand side by side: transaction n writes meta page n % 2, so that they are of the last two
/// commits, or of an empty file. They have no checksum; a flipped bit here would bring an older state back.
bool metas_follow(uint64_t first_txn, uint64_t second_txn);

/// Device and inode: the same for every name of a file.
using FileId = std::pair<uint64_t, uint64_t>;

class Env : public std::enable_shared_from_this<Env> {
 public:
  /// Opens or shares the environment in `folder`. Before LMDB maps the file, its size and meta pages are checked, and before
  /// it follows any page, all pages of its trees: a truncated or damaged file ends in E_CORRUPT, not in a signal. create: makes
  /// the environment when there is none.
  static std::shared_ptr<Env> open(const std::string& folder, bool create);
  ~Env();
  Env(const Env&) = delete;
  Env& operator=(const Env&) = delete;

  MDB_env* raw() const { return env_; }
  const std::string& folder() const { return folder_; }
  /// The folder cannot be written: transactions can only read.
  bool read_only() const { return read_only_; }
  int fd() const;
  /// False once another file stands where this environment's was opened.
  bool is_in_place() const;
  /// Whether a value lies in the map of the data file; false also where the environment was empty when it was opened.
  bool is_mapped(const void* value) const;
  /// Where a value lies in the data file. It must have overflow pages of its own: their header tells the page number where the
  /// environment was empty when it was opened.
  uint64_t file_offset(const void* value) const;
  /// The same without touching the value's pages, once another value's were.
  uint64_t offset_of(const void* value) const;
  /// Has the system read bytes [from, to) of the data file into large pages, as far as it can and they are not there. What it
  /// reads in by itself, for a fault, it keeps in single ones, and mapping those in takes three times as long as reading their bytes.
  void read_in(uint64_t from, uint64_t to) const;
  /// Makes the data file long enough for a transaction that adds `pages` pages, with room for them on the disk. LMDB
  /// leaves pages at the end unwritten that a transaction took and gave back: without this the file could be shorter than
  /// its meta page says. And a commit that meets a full disk halfway tells only EIO.
  void reserve_pages(size_t pages) const;
  size_t page_bytes() const { return page_bytes_; }
  /// Its meta page could not be written: LMDB refuses every transaction until all who use the environment have let go of it and it
  /// is opened again.
  bool has_failed() const { return failed_; }
  /// False before the first commit: what a creation leaves that was cut off.
  bool ever_written() const;

 private:
  explicit Env(std::string folder) : folder_(std::move(folder)) {}
  void check_pages();
  std::string folder_;
  MDB_env* env_ = nullptr;
  bool read_only_ = false;
  const uint8_t* base_ = nullptr;  // of the data file, where it held tables when it was opened
  FileId id_;
  size_t page_bytes_ = 0;
  mutable std::atomic<uintptr_t> map_{0};  // its address, which LMDB does not tell
  mutable std::atomic<bool> failed_ = false;
  friend class Txn;
};

/// A transaction, aborted unless committed.
class Txn {
 public:
  Txn(const Env& env, bool read_only);
  ~Txn();
  Txn(const Txn&) = delete;
  Txn& operator=(const Txn&) = delete;
  MDB_txn* raw() const { return txn_; }
  const Env& env() const { return env_; }
  /// Notes that a value of so many bytes is put: commit() reserves room for it.
  void will_put(size_t bytes) const;
  void commit();

 private:
  const Env& env_;
  MDB_txn* txn_ = nullptr;
  mutable size_t pages_ = 0;
};

/// A named database with native 64-bit integer keys, or with string keys.
class Table {
 public:
  enum class Keys { kInteger, kString };
  /// Opens it; in a writing transaction creates it when missing.
  Table(const Txn& txn, const char* name, Keys keys, bool create);

  std::optional<std::string_view> get(const Txn& txn, uint64_t key) const;
  std::optional<std::string_view> get(const Txn& txn, std::string_view key) const;
  void put(const Txn& txn, uint64_t key, std::string_view value) const;
  void put(const Txn& txn, std::string_view key, std::string_view value) const;
  /// How many there are.
  uint64_t entries(const Txn& txn) const;
  /// Every key and value in order.
  void for_each(const Txn& txn, const std::function<void(std::string_view key, std::string_view value)>& visit) const;
  /// Room for `bytes` inside the database's own page, to be filled before the transaction goes on.
  void* reserve(const Txn& txn, uint64_t key, size_t bytes) const;

 private:
  std::optional<std::string_view> find(const Txn& txn, MDB_val key) const;
  void check_replaced(const Txn& txn, MDB_val key) const;
  MDB_dbi dbi_ = 0;
  std::string name_;
};

}  // namespace sluice
