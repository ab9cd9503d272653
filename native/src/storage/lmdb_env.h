// LMDB with RAII and our errors. One environment per folder and process (LMDB forbids two), shared by all who open it.
#pragma once
#include <lmdb.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace sluice {

/// Throws the Error for an LMDB return code other than 0; `what` names operation and path.
void check_lmdb(int rc, const std::string& what);

class Env : public std::enable_shared_from_this<Env> {
 public:
  /// Opens or shares the environment in `folder`. Before LMDB maps the file, its size and meta pages are checked: a
  /// truncated file ends in E_CORRUPT, not in a signal. create: makes the environment when there is none.
  static std::shared_ptr<Env> open(const std::string& folder, bool create);
  ~Env();
  Env(const Env&) = delete;
  Env& operator=(const Env&) = delete;

  MDB_env* raw() const { return env_; }
  const std::string& folder() const { return folder_; }
  /// The folder cannot be written: transactions can only read.
  bool read_only() const { return read_only_; }
  int fd() const;
  /// Where a value lies in the data file. It must have overflow pages of its own: their header tells the page number.
  uint64_t file_offset(const void* value) const;
  /// LMDB leaves pages at the end unwritten that a transaction took and gave back; the file is made as long as its meta
  /// page says, so that the check at the next opening holds.
  void extend_file() const;

 private:
  Env(std::string folder, MDB_env* env, bool read_only) : folder_(std::move(folder)), env_(env), read_only_(read_only) {}
  std::string folder_;
  MDB_env* env_;
  bool read_only_;
};

/// A transaction, aborted unless committed.
class Txn {
 public:
  Txn(const Env& env, bool read_only);
  ~Txn();
  Txn(const Txn&) = delete;
  Txn& operator=(const Txn&) = delete;
  MDB_txn* raw() const { return txn_; }
  void commit();

 private:
  const Env& env_;
  MDB_txn* txn_ = nullptr;
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
  /// Room for `bytes` inside the database's own page, to be filled before the transaction goes on.
  void* reserve(const Txn& txn, uint64_t key, size_t bytes) const;

 private:
  std::optional<std::string_view> find(const Txn& txn, MDB_val key) const;
  MDB_dbi dbi_ = 0;
  std::string name_;
};

}  // namespace sluice
