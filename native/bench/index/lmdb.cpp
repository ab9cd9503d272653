// The peer: plain LMDB with one entry (key -> timestamp, label) for each sample, appended in order of keys.
#include <lmdb.h>

#include <cstdio>
#include <cstring>
#include <utility>

#include "index.h"
#include "storage/lmdb_env.h"

namespace sluice::bench {

namespace {

struct Entry {
  int64_t timestamp;
  float label;
};
constexpr size_t kEntryBytes = 12;

class Transaction {
 public:
  Transaction(MDB_env* env, unsigned flags) { check_lmdb(mdb_txn_begin(env, nullptr, flags, &txn_), "begin"); }
  ~Transaction() {
    if (txn_ != nullptr) mdb_txn_abort(txn_);
  }
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  void commit() { check_lmdb(mdb_txn_commit(std::exchange(txn_, nullptr)), "commit"); }
  MDB_txn* raw() const { return txn_; }

 private:
  MDB_txn* txn_ = nullptr;
};

double append_all(MDB_env* env, MDB_dbi table, uint64_t samples) {
  const auto start = Clock::now();
  for (uint64_t key = 0; key < samples;) {
    Transaction txn(env, 0);
    for (const uint64_t end = std::min(samples, key + kBatchRows); key < end; ++key) {
      Entry entry{static_cast<int64_t>(key), static_cast<float>(key & 1U)};
      MDB_val name{sizeof key, &key};
      MDB_val value{kEntryBytes, &entry};
      check_lmdb(mdb_put(txn.raw(), table, &name, &value, MDB_APPEND), "put");
    }
    txn.commit();
  }
  return seconds_since(start);
}

int64_t timestamp_of(const MDB_val& value) {
  int64_t timestamp;
  std::memcpy(&timestamp, value.mv_data, sizeof timestamp);
  return timestamp;
}

double scan(MDB_env* env, MDB_dbi table, int64_t& sum) {
  const auto start = Clock::now();
  const Transaction txn(env, MDB_RDONLY);
  MDB_cursor* cursor = nullptr;
  check_lmdb(mdb_cursor_open(txn.raw(), table, &cursor), "cursor");
  MDB_val key{}, value{};
  while (mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == 0) sum += timestamp_of(value);
  mdb_cursor_close(cursor);
  return seconds_since(start);
}

double gather(MDB_env* env, MDB_dbi table, const std::vector<uint64_t>& keys, int64_t& sum) {
  const auto start = Clock::now();
  const Transaction txn(env, MDB_RDONLY);
  for (uint64_t key : keys) {
    MDB_val name{sizeof key, &key};
    MDB_val value{};
    check_lmdb(mdb_get(txn.raw(), table, &name, &value), "get");
    sum += timestamp_of(value);
  }
  return seconds_since(start);
}

}  // namespace

void bench_lmdb(const std::string& folder, uint64_t samples) {
  MDB_env* env = nullptr;
  check_lmdb(mdb_env_create(&env), "create");
  mdb_env_set_mapsize(env, size_t{1} << 40);
  mdb_env_set_maxdbs(env, 1);
  check_lmdb(mdb_env_open(env, folder.c_str(), 0, 0644), "open " + folder);
  MDB_dbi table = 0;
  {
    Transaction txn(env, 0);
    check_lmdb(mdb_dbi_open(txn.raw(), "samples", MDB_CREATE | MDB_INTEGERKEY, &table), "open the table");
    txn.commit();
  }
  const double appending = append_all(env, table, samples);
  int64_t sum = 0;
  scan(env, table, sum);
  const double scanning = scan(env, table, sum);
  const std::vector<uint64_t> keys = random_keys(kGathered, samples);
  gather(env, table, keys, sum);
  const double gathering = gather(env, table, keys, sum);
  mdb_env_close(env);
  const double n = static_cast<double>(samples);
  std::printf("{\"samples\":%llu,\"appendPerSecond\":%.0f,\"scanPerSecond\":%.0f,\"gatherPerSecond\":%.0f,\"bytesPerSample\":%.2f,\"checksum\":%lld}\n",
              static_cast<unsigned long long>(samples), n / appending, n / scanning, static_cast<double>(kGathered) / gathering, bytes_below(folder) / n,
              static_cast<long long>(sum));
}

}  // namespace sluice::bench
