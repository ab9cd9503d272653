#include "train/parser_queue.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "base/error.h"

namespace sluice {

namespace {

using Clock = std::chrono::steady_clock;
constexpr size_t kTaskRows = 128;
constexpr size_t kTaskBytes = size_t{4} << 20;
constexpr auto kPoll = std::chrono::milliseconds(50);  // how late a stop or a time limit may be noticed

}  // namespace

std::pair<const uint8_t*, uint32_t> ParseChunk::bytes(size_t row) const {
  const uint8_t* at = records[row] + offset;
  uint32_t length = 0;
  std::memcpy(&length, at, sizeof length);
  if (length > capacity) throw Error(code::kCorrupt, "sample " + std::to_string(keys[row]) + ": its bytes have the length " + std::to_string(length) + " in a column of " + std::to_string(capacity));
  return {at + sizeof length, length};
}

ParserQueue::ParserQueue(std::string name, ParsedShape shape, double seconds)
    : name_(std::move(name)), shape_(std::move(shape)), values_(shape_.value_count()), limit_(seconds) {}

void ParserQueue::parse(const ParseChunk& all, const Target& target) {
  if (all.rows == 0) return;
  const size_t rows = std::clamp<size_t>(kTaskBytes / (all.capacity + 1), 1, kTaskRows);
  Call call{target, (all.rows + rows - 1) / rows, nullptr};
  std::unique_lock lock(mutex_);
  check(call);
  try {
    for (size_t first = 0; first < all.rows; first += rows) {
      ParseChunk part = all;
      part.rows = std::min(rows, all.rows - first);
      part.keys += first;
      part.timestamps += first;
      part.records += first;
      jobs_.emplace(next_, Job{&call, part, first, false, {}});
      queue_.push_back(next_++);
    }
    waiting_.notify_all();
    while (call.open > 0) {
      finished_.wait_for(lock, kPoll);
      check(call);
    }
  } catch (...) {
    abandon(call, lock);
    throw;
  }
}

/// Throws what ends a call early: an error of a job, a stop, the end of the workers, a time limit.
void ParserQueue::check(const Call& call) {
  if (call.error) std::rethrow_exception(call.error);
  for (const StopFlag* stop : call.target.stops) {
    if (stop != nullptr) stop->check();
  }
  if (closed_) throw Error(code::kClosed, "the parser " + name_ + " is closed");
  if (!failure_.empty()) throw Error(code::kParser, failure_);
  for (const auto& [number, job] : jobs_) {
    if (job.call != &call || job.taken == Clock::time_point() || Clock::now() - job.taken < limit_) continue;
    const uint64_t* keys = job.chunk.keys;
    // Its worker is lost, for this call and for others.
    failure_ = name_ + " took longer than " + std::to_string(static_cast<long>(std::ceil(limit_.count()))) + " s on " + std::to_string(job.chunk.rows) +
               (job.chunk.rows == 1 ? " sample: " : " samples, the first of which is ") + std::to_string(keys[0]);
    throw Error(code::kParser, failure_);
  }
}

/// Takes a call's jobs out; workers that are at it now are waited for, for they use its memory.
void ParserQueue::abandon(Call& call, std::unique_lock<std::mutex>& lock) {
  std::erase_if(queue_, [&](uint64_t number) {
    const auto job = jobs_.find(number);
    return job == jobs_.end() || job->second.call == &call;
  });
  std::erase_if(jobs_, [&](const auto& entry) { return entry.second.call == &call && !entry.second.busy; });
  finished_.wait(lock, [&] { return std::none_of(jobs_.begin(), jobs_.end(), [&](const auto& entry) { return entry.second.call == &call && entry.second.busy; }); });
  std::erase_if(jobs_, [&](const auto& entry) { return entry.second.call == &call; });
}

std::optional<uint64_t> ParserQueue::take(std::chrono::milliseconds wait, const std::function<void(const ParseChunk&)>& copy) {
  std::unique_lock lock(mutex_);
  waiting_.wait_for(lock, wait, [this] { return closed_ || !queue_.empty(); });
  if (closed_) throw Error(code::kClosed, "the parser " + name_ + " is closed");
  if (queue_.empty()) return std::nullopt;
  const uint64_t number = queue_.front();
  queue_.pop_front();
  Job& job = jobs_.at(number);
  job.busy = true;
  lock.unlock();
  std::exception_ptr error;
  try {
    copy(job.chunk);
  } catch (...) {
    error = std::current_exception();
  }
  if (error) {
    finish(number, error);
    std::rethrow_exception(error);
  }
  lock.lock();
  job.busy = false;
  job.taken = Clock::now();
  finished_.notify_all();
  return number;
}

void ParserQueue::give(uint64_t chunk, size_t rows, const ParsedChunk& results) {
  const Job* job = nullptr;
  {
    const std::lock_guard lock(mutex_);
    const auto found = jobs_.find(chunk);
    if (found == jobs_.end() || found->second.busy || found->second.taken == Clock::time_point()) return;
    const size_t wanted = found->second.chunk.rows;
    if (rows != wanted) throw Error(code::kArgument, "parser: chunk " + std::to_string(chunk) + " has " + std::to_string(wanted) + " samples, got results of " + std::to_string(rows));
    found->second.busy = true;
    job = &found->second;
  }
  std::exception_ptr error;
  try {
    write(*job, results);
  } catch (...) {
    error = std::current_exception();
  }
  finish(chunk, error);
}

void ParserQueue::reject(uint64_t chunk, size_t row, const std::string& message) {
  std::exception_ptr error;
  {
    const std::lock_guard lock(mutex_);
    const auto found = jobs_.find(chunk);
    if (found == jobs_.end() || found->second.busy || found->second.taken == Clock::time_point() || row >= found->second.chunk.rows) return;
    error = std::make_exception_ptr(Error(code::kParser, "sample " + std::to_string(found->second.chunk.keys[row]) + ": " + name_ + ": " + message));
  }
  finish(chunk, error);
}

void ParserQueue::finish(uint64_t chunk, std::exception_ptr error) {
  const std::lock_guard lock(mutex_);
  const auto job = jobs_.find(chunk);
  if (job == jobs_.end()) return;
  Call& call = *job->second.call;
  if (error && !call.error) call.error = std::move(error);
  --call.open;
  jobs_.erase(job);
  finished_.notify_all();
}

void ParserQueue::fail(const std::string& message) {
  const std::lock_guard lock(mutex_);
  if (failure_.empty()) failure_ = message;
  finished_.notify_all();
}

void ParserQueue::close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  waiting_.notify_all();
  finished_.notify_all();
}

void ParserQueue::refuse(uint64_t key, const std::string& what) const { throw Error(code::kParser, "sample " + std::to_string(key) + ": " + name_ + ": " + what); }

void ParserQueue::write(const Job& job, const ParsedChunk& results) const {
  const Target& to = job.call->target;
  const uint32_t id_limit = to.id_limit == 0 ? 0x80000000U : to.id_limit;
  const auto finite = [&](size_t row, const float* from, size_t n, const char* field, float* out) {
    for (size_t i = 0; i < n; ++i) {
      if (!std::isfinite(from[i])) refuse(job.chunk.keys[row], std::string(field) + "[" + std::to_string(i) + "] is " + std::to_string(from[i]));
      out[i] = from[i];
    }
  };
  const auto below = [&](size_t row, int32_t index, uint32_t bound, const char* field, size_t i) {
    if (static_cast<uint32_t>(index) < bound) return index;
    refuse(job.chunk.keys[row], std::string(field) + "[" + std::to_string(i) + "]: expected 0 to " + std::to_string(bound - 1) + ", got " + std::to_string(index));
  };
  for (size_t r = 0; r < job.chunk.rows; ++r) {
    const size_t row = job.first + r;
    if (shape_.dense > 0) finite(r, results.dense + r * shape_.dense, shape_.dense, "dense", to.rows.dense + row * to.width + to.dense);
    for (size_t t = 0; t < shape_.buckets.size(); ++t) {
      to.rows.categorical[(to.tables + t) * to.rows.stride + row] = below(r, results.categorical[r * shape_.buckets.size() + t], shape_.buckets[t], "categorical", t);
    }
    if (values_ > 0) finite(r, results.values + r * values_, values_, "values", to.rows.values + row * values_);
    for (size_t i = 0; i < shape_.ids; ++i) to.rows.ids[row * shape_.ids + i] = below(r, results.ids[r * shape_.ids + i], id_limit, "ids", i);
  }
}

}  // namespace sluice
