// A user's own code parses samples: the threads that encode put records here, workers of the shell take them in chunks, run the
// user's function on each and give the results back. The core never calls into a shell; it waits.
#pragma once
#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/stop.h"
#include "train/encoder.h"
#include "train/features.h"

namespace sluice {

/// What a worker gets: `rows` samples and where their bytes lie.
struct ParseChunk {
  size_t rows = 0;
  const uint64_t* keys = nullptr;
  const int64_t* timestamps = nullptr;
  const uint8_t* const* records = nullptr;
  size_t offset = 0;    // of the column in a record: a length, then the bytes
  uint32_t capacity = 0;
  std::optional<Augment> augment;  // as in training; none: as in evaluation

  /// E_CORRUPT where the stored length is beyond the capacity.
  std::pair<const uint8_t*, uint32_t> bytes(size_t row) const;
};

/// Row-major results of a chunk: [rows, ParsedShape::dense] and so on. What the shape lacks is empty.
struct ParsedChunk {
  const float* dense = nullptr;
  const int32_t* categorical = nullptr;
  const float* values = nullptr;
  const int32_t* ids = nullptr;
};

/// Thread-safe.
class ParserQueue {
 public:
  /// `name` of the user's module, for messages; `seconds`: the longest time that a chunk may take.
  ParserQueue(std::string name, ParsedShape shape, double seconds);

  const ParsedShape& shape() const { return shape_; }

  /// Where results go: behind the first `dense` and `tables` inputs of rows of `width` dense ones.
  struct Target {
    EncodedRows rows;
    size_t width = 0;
    size_t dense = 0;
    size_t tables = 0;
    uint32_t id_limit = 0;
    std::array<const StopFlag*, 2> stops = {};  // any of them ends the waiting; may be null
  };
  /// Parses all records and returns when their results are written. E_PARSER names the sample, E_ABORTED on stop, E_CLOSED.
  void parse(const ParseChunk& all, const Target& target);

  /// The number of a chunk, after `copy` has run on it; none when none came within the time. E_CLOSED.
  std::optional<uint64_t> take(std::chrono::milliseconds wait, const std::function<void(const ParseChunk&)>& copy);
  /// Results of a chunk of `rows` samples. A number that nobody waits for any more is ignored. E_ARGUMENT where it has others.
  void give(uint64_t chunk, size_t rows, const ParsedChunk& results);
  /// The user's code failed on row `row` of a chunk.
  void reject(uint64_t chunk, size_t row, const std::string& message);
  /// No worker will come any more: whoever waits, now or later, gets E_PARSER with the message.
  void fail(const std::string& message);
  /// Ends take() and parse(). Idempotent.
  void close();

 private:
  struct Call;
  struct Job {
    Call* call;
    ParseChunk chunk;
    size_t first;  // row of the call
    bool busy = false;  // a worker reads its records or writes its results
    std::chrono::steady_clock::time_point taken;
  };
  /// One parse() under way; lives on its stack until no job of it is left.
  struct Call {
    const Target& target;
    size_t open;  // jobs that are not finished
    std::exception_ptr error;
  };

  void abandon(Call& call, std::unique_lock<std::mutex>& lock);
  void check(const Call& call);
  void finish(uint64_t chunk, std::exception_ptr error);
  void write(const Job& job, const ParsedChunk& results) const;
  [[noreturn]] void refuse(uint64_t key, const std::string& what) const;

  const std::string name_;
  const ParsedShape shape_;
  const size_t values_;  // of a sample
  const std::chrono::duration<double> limit_;

  mutable std::mutex mutex_;
  std::condition_variable waiting_;   // workers: a job is there
  std::condition_variable finished_;  // callers: a job has ended
  std::deque<uint64_t> queue_;
  std::map<uint64_t, Job> jobs_;
  uint64_t next_ = 1;
  std::string failure_;
  bool closed_ = false;
};

}  // namespace sluice
