#include "train/compute.h"

#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <set>
#include <thread>

#include "train/model.h"

namespace sluice {
namespace {

// Every body waits until all of them run: on fewer threads they would wait in vain.
TEST(ParallelFor, RunsOnAllComputeThreads) {
  set_compute_threads(3);
  const ComputeScope scope(1e12);
  std::mutex mutex;
  std::condition_variable arrived;
  std::set<std::thread::id> threads;
  bool together = true;
  parallel_for(3, 1, [&](size_t, size_t) {
    std::unique_lock lock(mutex);
    threads.insert(std::this_thread::get_id());
    arrived.notify_all();
    together = arrived.wait_for(lock, std::chrono::seconds(20), [&] { return threads.size() == 3; }) && together;
  });
  set_compute_threads(0);
  EXPECT_TRUE(together) << threads.size() << " threads";
}

TEST(PaddedStride, IsAlignedAndNoMultipleOfALargePowerOfTwo) {
  for (size_t cols = 1; cols < 5000; ++cols) {
    const size_t stride = padded_stride(cols);
    EXPECT_GE(stride, cols);
    EXPECT_LE(stride, cols + 31);
    EXPECT_EQ(stride % 16, 0U);
    EXPECT_TRUE(stride < 128 || stride % 64 != 0) << cols;
  }
}

}  // namespace
}  // namespace sluice
