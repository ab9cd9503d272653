// A mutex that goes to those who wait in the order of their coming: long work that takes it again and again, as compaction does for each segment,
// keeps nobody waiting for more than one turn.
#pragma once
#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace sluice {

class FairMutex {
 public:
  void lock() {
    std::unique_lock guard(mutex_);
    const uint64_t ticket = next_++;
    turn_.wait(guard, [&] { return ticket == served_; });
  }

  void unlock() {
    {
      const std::lock_guard guard(mutex_);
      ++served_;
    }
    turn_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable turn_;
  uint64_t next_ = 0, served_ = 0;
};

}  // namespace sluice
