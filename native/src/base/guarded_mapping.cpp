#include "base/guarded_mapping.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <mutex>

#include "base/error.h"

namespace sluice {

/// A mapped range that the signal handler knows. Regions are never freed, since a handler may be looking at them, but used
/// again.
struct GuardedMapping::Region {
  std::atomic<uintptr_t> begin{0}, end{0};  // 0: in no use
  std::atomic<bool> failed{false};
  Region* next = nullptr;
};

namespace {

using Region = GuardedMapping::Region;

std::atomic<Region*> all{nullptr};
std::mutex changing;
struct sigaction previous;
uintptr_t page_bytes = 0;

/// What would have happened without us. By default the access fails again, and then for good.
void pass_on(int signal, siginfo_t* info, void* context) {
  if ((previous.sa_flags & SA_SIGINFO) != 0) return previous.sa_sigaction(signal, info, context);
  if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) return previous.sa_handler(signal);
  struct sigaction standard {};
  standard.sa_handler = SIG_DFL;
  sigaction(signal, &standard, nullptr);
  if (info->si_code <= 0) raise(signal);  // sent by a process: there is no access that would fail again
}

/// Runs in the thread whose access failed, before the access is tried again. Only what is safe in a signal handler.
void on_bus_error(int signal, siginfo_t* info, void* context) {
  const int saved = errno;
  const auto at = reinterpret_cast<uintptr_t>(info->si_addr);
  for (Region* region = all.load(std::memory_order_acquire); info->si_code > 0 && region != nullptr; region = region->next) {
    const uintptr_t end = region->end.load(std::memory_order_acquire);
    if (at < region->begin.load(std::memory_order_acquire) || at >= end) continue;
    region->failed.store(true);  // before anyone can see a zero
    const uintptr_t from = at & ~(page_bytes - 1);
    void* zeros = mmap(reinterpret_cast<void*>(from), end - from, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
    errno = saved;
    if (zeros != MAP_FAILED) return;
    break;
  }
  pass_on(signal, info, context);
}

void install() {
  static std::once_flag once;
  std::call_once(once, [] {
    page_bytes = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
    struct sigaction action {};
    action.sa_sigaction = on_bus_error;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    if (sigaction(SIGBUS, &action, &previous) != 0) throw_errno(errno, "handle SIGBUS");
  });
}

Region* enter(uintptr_t begin, uintptr_t end) {
  const std::lock_guard lock(changing);
  Region* region = all.load(std::memory_order_acquire);
  while (region != nullptr && region->end.load(std::memory_order_relaxed) != 0) region = region->next;
  const bool fresh = region == nullptr;
  if (fresh) region = new Region;
  region->failed.store(false);
  region->begin.store(begin, std::memory_order_release);
  region->end.store(end, std::memory_order_release);
  if (fresh) {
    region->next = all.load(std::memory_order_acquire);
    all.store(region, std::memory_order_release);
  }
  return region;
}

}  // namespace

GuardedMapping::GuardedMapping(const File& file, uint64_t bytes) : size_(bytes) {
  if (bytes == 0) return;
  install();
  void* memory = mmap(nullptr, bytes, PROT_READ, MAP_SHARED, file.fd(), 0);
  if (memory == MAP_FAILED) throw_errno(errno, "map " + file.path());
  data_ = static_cast<const uint8_t*>(memory);
  region_ = enter(reinterpret_cast<uintptr_t>(memory), reinterpret_cast<uintptr_t>(memory) + bytes);
}

GuardedMapping::~GuardedMapping() {
  if (region_ == nullptr) return;
  {
    const std::lock_guard lock(changing);
    region_->end.store(0, std::memory_order_release);
  }
  munmap(const_cast<uint8_t*>(data_), size_);
}

bool GuardedMapping::failed() const {
  std::atomic_thread_fence(std::memory_order_acquire);
  return region_ != nullptr && region_->failed.load();
}

}  // namespace sluice
