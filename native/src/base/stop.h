// A request to stop, set from any thread and polled by long work between steps.
#pragma once
#include <atomic>
#include <memory>

#include "base/error.h"

namespace sluice {

class StopFlag {
 public:
  void request() noexcept { stop_.store(true, std::memory_order_relaxed); }
  bool requested() const noexcept { return stop_.load(std::memory_order_relaxed); }
  /// Throws E_ABORTED once a stop was requested.
  void check() const {
    if (requested()) throw Error(code::kAborted, "stopped on request");
  }

 private:
  std::atomic<bool> stop_{false};
};

}  // namespace sluice
