#include "train/script/large_stack.h"

#include <pthread.h>

#include <exception>

#include "base/error.h"

namespace sluice {

namespace {

constexpr size_t kStackBytes = size_t{512} << 20;

struct Job {
  const std::function<void()>& call;
  std::exception_ptr error;
};

void* run(void* argument) {
  Job& job = *static_cast<Job*>(argument);
  try {
    job.call();
  } catch (...) {
    job.error = std::current_exception();
  }
  return nullptr;
}

}  // namespace

void on_large_stack(const std::function<void()>& call) {
  Job job{call, nullptr};
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kStackBytes);
  pthread_t thread;
  const int failed = pthread_create(&thread, &attributes, run, &job);
  pthread_attr_destroy(&attributes);
  if (failed != 0) throw Error(code::kMemory, "no thread with a large stack could be started");
  pthread_join(thread, nullptr);
  if (job.error) std::rethrow_exception(job.error);
}

}  // namespace sluice
