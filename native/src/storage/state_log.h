// A second copy of what only the index holds: schema and state entries. A dataset whose index was lost is made from its
// segments and this file, and ingestion goes on from the sample that it had reached.
//
//   <dataset>/state.log   header (magic, generation, CRC32C), then one record for each commit:
//     magic, CRC32C of the rest, number of samples then, bytes of the entries; entries: lengths, key, value
//
// The first record holds everything there was when the file was written; the schema is the entry with the empty key. A
// record is durable before its commit: the last one may be of a commit that never came, whose samples are whole in the
// segments then. The index knows how far the file counts; bytes behind that are overwritten.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/file.h"

namespace sluice {

using StateEntries = std::vector<std::pair<std::string, std::string>>;

/// How far the log counts: the file of this generation up to `end`.
struct LogEnd {
  uint64_t generation = 0;
  uint64_t end = 0;
  uint64_t base = 0;  // end of its first record
  bool operator==(const LogEnd&) const = default;
};

/// As LogEnd::end: the file is written anew.
inline constexpr uint64_t kForgottenLog = UINT64_MAX;

class StateLog {
 public:
  explicit StateLog(std::string path) : path_(std::move(path)) {}
  const std::string& path() const { return path_; }

  /// Replaces the file; durable. `entries`: all there are, the schema included.
  LogEnd rewrite(uint64_t generation, uint64_t size, const StateEntries& entries) const;
  /// Adds a record behind `at`, which the file that is returned makes durable with sync(). Nothing where the file is not as
  /// `at` says, or has grown far beyond its first record: it is to be rewritten then.
  struct Added {
    LogEnd end;
    File file;
  };
  std::optional<Added> append(const LogEnd& at, uint64_t size, const StateEntries& entries) const;

  /// What the records up to the first that is damaged or cut off say together.
  struct Content {
    uint64_t size = 0;
    std::map<std::string, std::string> entries;
    LogEnd end;
    bool whole = true;  // no bytes follow that are no record
  };
  /// Nothing where the file is missing or its header or first record is damaged.
  std::optional<Content> read() const;

 private:
  std::string path_;
};

}  // namespace sluice
