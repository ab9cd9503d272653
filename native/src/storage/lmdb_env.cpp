#include "storage/lmdb_env.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstdio>
#include <cstring>
#include <map>
#include <mutex>
#include <tuple>

#include "base/error.h"
#include "base/file.h"
#include "storage/lmdb_format.h"
#include "storage/page_walk.h"

namespace sluice {

namespace {

using namespace lmdb_format;

constexpr size_t kMapBytes = size_t{1} << 40;  // address space, not memory
constexpr unsigned kMaxReaders = 1024;
constexpr unsigned kMaxTables = 16;

struct Meta {
  uint32_t page_bytes = 0;
  uint64_t last_page = 0;
  uint64_t txn = 0;
};

[[noreturn]] void corrupt(const std::string& path, const std::string& what) {
  throw Error(code::kCorrupt, path + " is damaged: " + what);
}

Meta read_meta(const File& file, uint64_t offset) {
  uint8_t bytes[kMetaBytes];
  if (file.size() < offset + kPageHeader + kMetaBytes) corrupt(file.path(), "it is too short to hold LMDB's meta pages");
  file.read_at(offset + kPageHeader, bytes, sizeof bytes);
  if (field<uint32_t>(bytes, 0) != kMagic) corrupt(file.path(), "a meta page lacks LMDB's mark");
  if (field<uint32_t>(bytes, 4) != kVersion) corrupt(file.path(), "its format is not that of LMDB 0.9");
  return {field<uint32_t>(bytes, 24), field<uint64_t>(bytes, 120), field<uint64_t>(bytes, 128)};
}

Meta newest_meta(const File& file) {
  const Meta first = read_meta(file, 0);
  const Meta second = first.page_bytes == 0 ? Meta{} : read_meta(file, first.page_bytes);
  if (second.page_bytes != first.page_bytes) corrupt(file.path(), "its meta pages disagree about the size of a page");
  if (!is_page_size(first.page_bytes)) corrupt(file.path(), "impossible page size " + std::to_string(first.page_bytes));
  if (!metas_follow(first.txn, second.txn)) corrupt(file.path(), "its meta pages are not of two commits that follow each other");
  return second.txn > first.txn ? second : first;
}

void check_file(const std::string& path) {
  const File file(path, O_RDONLY);
  const Meta meta = newest_meta(file);
  const uint64_t needed = (meta.last_page + 1) * meta.page_bytes;
  if (meta.last_page > kMapBytes / meta.page_bytes || file.size() < needed) {
    corrupt(path, "it has " + std::to_string(file.size()) + " bytes, its meta page tells of " + std::to_string(needed));
  }
}

std::mutex& registry_mutex() {
  static std::mutex mutex;
  return mutex;
}

/// Told whenever an environment was closed.
std::condition_variable& closed() {
  static std::condition_variable condition;
  return condition;
}

/// The open environments by their data file. An entry is there until LMDB has closed the file, also while its last owner
/// is about to: opening it again earlier would make LMDB drop the locks of the new environment with those of the old.
std::map<FileId, std::weak_ptr<Env>>& registry() {
  static std::map<FileId, std::weak_ptr<Env>> environments;
  return environments;
}

FileId id_of(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) throw_errno(errno, "stat " + path);
  return {status.st_dev, status.st_ino};
}

/// The environment of the data file if it is open; waits while it is being closed.
std::shared_ptr<Env> find_open(const std::string& path, std::unique_lock<std::mutex>& lock) {
  for (;;) {
    const auto entry = registry().find(id_of(path));
    if (entry == registry().end()) return nullptr;
    if (std::shared_ptr<Env> shared = entry->second.lock()) return shared;
    closed().wait(lock);
  }
}

void set_up(MDB_env* env) {
  mdb_env_set_mapsize(env, kMapBytes);
  mdb_env_set_maxreaders(env, kMaxReaders);
  mdb_env_set_maxdbs(env, kMaxTables);
}

/// Makes a file by `make`, complete under another name first; nothing changes where the file is there, or was made meanwhile.
void install(const std::string& path, const std::function<void(const std::string& fresh)>& make) {
  static std::atomic<uint64_t> counter{0};
  if (path_exists(path)) return;
  std::string fresh;
  do {
    fresh = path + ".new-" + std::to_string(getpid()) + "-" + std::to_string(counter++);
  } while (path_exists(fresh));
  try {
    make(fresh);
    int rc = renameat2(AT_FDCWD, fresh.c_str(), AT_FDCWD, path.c_str(), RENAME_NOREPLACE);
    if (rc != 0 && (errno == EINVAL || errno == ENOSYS)) rc = link(fresh.c_str(), path.c_str());  // NFS
    if (rc != 0 && errno != EEXIST) throw_errno(errno, "create " + path);
  } catch (...) {
    unlink(fresh.c_str());
    throw;
  }
  unlink(fresh.c_str());
}

/// The data file of an empty environment, durable. LMDB's own way leaves a file of some of its meta pages, or of zeros, where the
/// power is cut.
void make_data_file(const std::string& folder) {
  install(folder + "/data.mdb", [&](const std::string& fresh) {
    MDB_env* raw = nullptr;
    check_lmdb(mdb_env_create(&raw), "create environment");
    const std::unique_ptr<MDB_env, decltype(&mdb_env_close)> env(raw, mdb_env_close);
    set_up(raw);
    check_lmdb(mdb_env_open(raw, fresh.c_str(), MDB_NOSUBDIR | MDB_NOLOCK, 0644), "create " + folder);
    File(fresh, O_RDWR).sync();
  });
  sync_folder(folder);
}

/// The table of readers, with room for it on the disk: LMDB writes to it through a mapping, where a full disk is a signal.
void make_lock_file(const std::string& folder) {
  constexpr uint64_t kLockBytes = 128 + kMaxReaders * 64 + 4096;  // a cache line for each reader
  install(folder + "/lock.mdb", [](const std::string& fresh) { reserve_room(File(fresh, O_RDWR | O_CREAT | O_EXCL).fd(), kLockBytes, fresh); });
}

/// Opens the environment; falls back to reading without a lock file where the folder cannot be written.
std::pair<MDB_env*, bool> open_env(const std::string& folder) {
  try {
    make_lock_file(folder);
  } catch (const Error& error) {
    if (std::string_view(error.code()) != code::kReadOnly) throw;
  }
  for (const bool read_only : {false, true}) {
    MDB_env* env = nullptr;
    check_lmdb(mdb_env_create(&env), "create environment");
    set_up(env);
    const unsigned flags = MDB_NOTLS | (read_only ? MDB_RDONLY | MDB_NOLOCK : 0U);
    const int rc = mdb_env_open(env, folder.c_str(), flags, 0644);
    if (rc == 0) return {env, read_only};
    mdb_env_close(env);
    const bool refused = rc == EACCES || rc == EROFS || rc == EPERM;
    if (!refused || read_only) check_lmdb(rc, "open " + folder);
  }
  throw Error(code::kInternal, "unreachable");
}

/// Address of the first key of the list of tables, which is not empty.
const uint8_t* first_table_key(const Txn& txn) {
  MDB_dbi main = 0;
  check_lmdb(mdb_dbi_open(txn.raw(), nullptr, 0, &main), "read " + txn.env().folder());
  MDB_cursor* raw = nullptr;
  check_lmdb(mdb_cursor_open(txn.raw(), main, &raw), "read " + txn.env().folder());
  const std::unique_ptr<MDB_cursor, decltype(&mdb_cursor_close)> cursor(raw, mdb_cursor_close);
  MDB_val key{};
  MDB_val value{};
  check_lmdb(mdb_cursor_get(raw, &key, &value, MDB_FIRST), "read " + txn.env().folder());
  return static_cast<const uint8_t*>(key.mv_data);
}

}  // namespace

bool metas_follow(uint64_t first_txn, uint64_t second_txn) {
  if (first_txn == 0 && second_txn == 0) return true;
  return first_txn % 2 == 0 && second_txn % 2 == 1 && (first_txn + 1 == second_txn || second_txn + 1 == first_txn);
}

void check_lmdb(int rc, const std::string& what) {
  if (rc == 0) return;
  if (rc > 0) throw_errno(rc, what);
  const std::string message = what + ": " + mdb_strerror(rc);
  switch (rc) {
    case MDB_MAP_FULL: throw Error(code::kNoSpace, message);
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case MDB_VERSION_MISMATCH: throw Error(code::kCorrupt, message);
    case MDB_NOTFOUND: throw Error(code::kNotFound, message);
    default: throw Error(code::kIo, message);
  }
}

std::shared_ptr<Env> Env::open(const std::string& folder, bool create) {
  std::shared_ptr<Env> env(new Env(folder));  // before the lock, which its destructor takes
  std::unique_lock lock(registry_mutex());
  const std::string data = folder + "/data.mdb";
  if (path_exists(data)) {
    if (std::shared_ptr<Env> shared = find_open(data, lock)) return shared;
    // An empty file is what a creation leaves that was cut off at once.
    const bool empty = File(data, O_RDONLY).size() == 0;
    if (empty && !create) throw Error(code::kNotFound, folder + " holds no dataset: its creation was cut off");
    if (!empty) check_file(data);
  } else {
    if (!create) throw Error(code::kNotFound, folder + " holds no dataset");
    make_folders(folder);
    make_data_file(folder);
  }
  std::tie(env->env_, env->read_only_) = open_env(folder);
  int dead = 0;
  if (!env->read_only_) mdb_reader_check(env->env_, &dead);
  MDB_stat stat{};
  check_lmdb(mdb_env_stat(env->env_, &stat), "read " + folder);
  env->page_bytes_ = stat.ms_psize;
  env->check_pages();
  env->id_ = id_of(data);
  registry()[env->id_] = env;
  return env;
}

void Env::check_pages() {
  for (int attempt = 1;; ++attempt) {
    const Txn txn(*this, true);
    PageWalk pages(folder_ + "/data.mdb", ValueHeads::kTrusted);
    // A commit of another process may come between, or while the meta pages are read.
    const bool torn = !pages.metas_sound();
    const bool moved = !torn && pages.transaction() != mdb_txn_id(txn.raw());
    if (!read_only_ && (torn || moved) && attempt < (torn ? 10 : 1000)) continue;
    if (moved) throw Error(code::kLocked, folder_ + " changes too fast to be opened: another process writes to it");
    pages.check_free_pages();
    if (!pages.problems().empty()) corrupt(folder_ + "/data.mdb", pages.problems().front());
    if (pages.first_key()) base_ = first_table_key(txn) - pages.first_key()->offset;
    return;
  }
}

Env::~Env() {
  if (env_ == nullptr) return;
  const std::lock_guard lock(registry_mutex());
  mdb_env_close(env_);
  registry().erase(id_);
  closed().notify_all();
}

bool Env::is_in_place() const {
  struct stat status {};
  const bool there = ::stat((folder_ + "/data.mdb").c_str(), &status) == 0;
  return !there || FileId{status.st_dev, status.st_ino} == id_;
}

int Env::fd() const {
  int fd = -1;
  check_lmdb(mdb_env_get_fd(env_, &fd), "read " + folder_);
  return fd;
}

bool Env::is_mapped(const void* value) const {
  const auto at = reinterpret_cast<uintptr_t>(value);
  return base_ != nullptr && at >= reinterpret_cast<uintptr_t>(base_) && at - reinterpret_cast<uintptr_t>(base_) < kMapBytes;
}

uint64_t Env::file_offset(const void* value) const {
  if (is_mapped(value)) return static_cast<uint64_t>(static_cast<const uint8_t*>(value) - base_);
  const uint8_t* page = static_cast<const uint8_t*>(value) - kPageHeader;
  const auto flags = field<uint16_t>(page, 10);
  if ((flags & kOverflowPage) == 0) throw Error(code::kCorrupt, folder_ + ": a chunk does not lie in pages of its own");
  return field<uint64_t>(page, 0) * page_bytes_ + kPageHeader;
}

uint64_t Env::offset_of(const void* value) const {
  const auto address = reinterpret_cast<uintptr_t>(value);
  uintptr_t map = map_.load(std::memory_order_relaxed);
  if (map == 0) map_.store(map = address - file_offset(value), std::memory_order_relaxed);
  return address - map;
}

void Env::read_in(uint64_t from, uint64_t to) const {
  struct stat status {};
  if (fstat(fd(), &status) != 0) return;
  constexpr uint64_t kLargePage = uint64_t{2} << 20;
  from &= ~(kLargePage - 1);
  to = std::min((to + kLargePage - 1) & ~(kLargePage - 1), static_cast<uint64_t>(status.st_size));
  if (from >= to) return;
  // By a map of its own: in LMDB's each look-up here and there would have megabytes read, too.
  void* map = mmap(nullptr, to - from, PROT_READ, MAP_SHARED, fd(), static_cast<off_t>(from));
  if (map == MAP_FAILED) return;
  madvise(map, to - from, MADV_HUGEPAGE);
  madvise(map, to - from, MADV_POPULATE_READ);
  munmap(map, to - from);
}

bool Env::ever_written() const {
  MDB_envinfo info{};
  check_lmdb(mdb_env_info(env_, &info), "read " + folder_);
  return info.me_last_txnid > 0;
}

void Env::reserve_pages(size_t pages) const {
  MDB_envinfo info{};
  check_lmdb(mdb_env_info(env_, &info), "read " + folder_);
  reserve_room(fd(), (info.me_last_pgno + 1 + pages) * page_bytes_, folder_ + "/data.mdb");
}

Txn::Txn(const Env& env, bool read_only) : env_(env) {
  check_lmdb(mdb_txn_begin(env.raw(), nullptr, read_only ? MDB_RDONLY : 0, &txn_), (read_only ? "read " : "write ") + env.folder());
}

Txn::~Txn() {
  if (txn_ != nullptr) mdb_txn_abort(txn_);
}

void Txn::will_put(size_t bytes) const {
  constexpr size_t kTreePages = 8;  // a put touches or splits a page on each level of a tree; trees here have two or three
  pages_ += bytes / env_.page_bytes() + 2 + kTreePages;
}

void Txn::commit() {
  constexpr size_t kListPages = 64;  // of the databases' roots and of the list of free pages
  if (pages_ > 0) env_.reserve_pages(pages_ + kListPages);
  const int rc = mdb_txn_commit(std::exchange(txn_, nullptr));
  if (rc != 0) {
    MDB_txn* next = nullptr;
    env_.failed_ = mdb_txn_begin(env_.raw(), nullptr, MDB_RDONLY, &next) == MDB_PANIC;
    if (next != nullptr) mdb_txn_abort(next);
  }
  check_lmdb(rc, "write " + env_.folder());
}

Table::Table(const Txn& txn, const char* name, Keys keys, bool create) : name_(name) {
  const unsigned flags = (keys == Keys::kInteger ? MDB_INTEGERKEY : 0U) | (create ? MDB_CREATE : 0U);
  const int rc = mdb_dbi_open(txn.raw(), name, flags, &dbi_);
  if (rc == MDB_NOTFOUND) throw Error(code::kCorrupt, std::string("the index lacks its table '") + name + "'");
  check_lmdb(rc, "open table " + name_);
  unsigned found = 0;
  check_lmdb(mdb_dbi_flags(txn.raw(), dbi_, &found), "open table " + name_);
  if ((found & ~unsigned{MDB_CREATE}) != (flags & ~unsigned{MDB_CREATE})) throw Error(code::kCorrupt, txn.env().folder() + " is damaged: the keys of its table '" + name + "' are of another kind");
}

namespace {
MDB_val as_value(const void* data, size_t bytes) { return {bytes, const_cast<void*>(data)}; }
}  // namespace

std::optional<std::string_view> Table::find(const Txn& txn, MDB_val key) const {
  MDB_val value{};
  const int rc = mdb_get(txn.raw(), dbi_, &key, &value);
  if (rc == MDB_NOTFOUND) return std::nullopt;
  check_lmdb(rc, "read table " + name_);
  return std::string_view(static_cast<const char*>(value.mv_data), value.mv_size);
}

std::optional<std::string_view> Table::get(const Txn& txn, uint64_t key) const { return find(txn, as_value(&key, sizeof key)); }
std::optional<std::string_view> Table::get(const Txn& txn, std::string_view key) const { return find(txn, as_value(key.data(), key.size())); }

/// LMDB frees as many pages of a value that is replaced as its head says.
void Table::check_replaced(const Txn& txn, MDB_val key) const {
  const Env& env = txn.env();
  const auto value = find(txn, key);
  if (!value || !env.is_mapped(value->data())) return;
  const uint64_t offset = env.file_offset(value->data());
  if (offset % env.page_bytes() != kPageHeader) return;  // it lies in a leaf
  const uint8_t* page = reinterpret_cast<const uint8_t*>(value->data()) - kPageHeader;
  const uint64_t first = offset / env.page_bytes();
  const uint64_t needed = (kPageHeader + value->size() + env.page_bytes() - 1) / env.page_bytes();
  const auto pages = field<uint32_t>(page, 12);
  const std::string data_file = env.folder() + "/data.mdb";
  if (field<uint64_t>(page, 0) != first || field<uint16_t>(page, 10) != kOverflowPage || pages < needed) corrupt(data_file, "the head of a value in table " + name_ + " makes no sense");
  if (pages == needed) return;
  // A value that was made shorter in the transaction that wrote it has more; whether they are its own only a whole walk tells.
  PageWalk walk(data_file);
  walk.check_free_pages();
  if (!walk.problems().empty()) corrupt(data_file, walk.problems().front());
}

void Table::put(const Txn& txn, uint64_t key, std::string_view value) const { std::memcpy(reserve(txn, key, value.size()), value.data(), value.size()); }

void Table::put(const Txn& txn, std::string_view key, std::string_view value) const {
  txn.will_put(value.size());
  MDB_val k = as_value(key.data(), key.size());
  MDB_val v = as_value(value.data(), value.size());
  check_replaced(txn, k);
  check_lmdb(mdb_put(txn.raw(), dbi_, &k, &v, 0), "write table " + name_);
}

uint64_t Table::entries(const Txn& txn) const {
  MDB_stat stat{};
  check_lmdb(mdb_stat(txn.raw(), dbi_, &stat), "read table " + name_);
  return stat.ms_entries;
}

void Table::for_each(const Txn& txn, const std::function<void(std::string_view key, std::string_view value)>& visit) const {
  MDB_cursor* raw = nullptr;
  check_lmdb(mdb_cursor_open(txn.raw(), dbi_, &raw), "read table " + name_);
  const std::unique_ptr<MDB_cursor, decltype(&mdb_cursor_close)> cursor(raw, mdb_cursor_close);
  MDB_val key{};
  MDB_val value{};
  int rc = mdb_cursor_get(raw, &key, &value, MDB_FIRST);
  for (; rc == 0; rc = mdb_cursor_get(raw, &key, &value, MDB_NEXT)) {
    visit({static_cast<const char*>(key.mv_data), key.mv_size}, {static_cast<const char*>(value.mv_data), value.mv_size});
  }
  if (rc != MDB_NOTFOUND) check_lmdb(rc, "read table " + name_);
}

void* Table::reserve(const Txn& txn, uint64_t key, size_t bytes) const {
  txn.will_put(bytes);
  MDB_val k = as_value(&key, sizeof key);
  MDB_val v{bytes, nullptr};
  check_replaced(txn, k);
  check_lmdb(mdb_put(txn.raw(), dbi_, &k, &v, MDB_RESERVE), "write table " + name_);
  return v.mv_data;
}

}  // namespace sluice
