#include "jobs.h"

#include <chrono>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

namespace sluice::bindings {

namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kReportInterval = std::chrono::milliseconds(50);

class Job : public std::enable_shared_from_this<Job> {
 public:
  Job(const Call& call, std::shared_ptr<StopFlag> stop, JobBody body)
      : env_(call.env()), op_(call.op()), domain_(call.domain()), stop_(std::move(stop)), body_(std::move(body)) {}
  ~Job() { join(); }
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;

  napi_value start(Napi::Function progress);
  /// Stops and joins the thread; it makes no more calls into its environment. Any thread, more than once.
  void halt() noexcept;
  napi_env env() const { return env_; }

 private:
  enum class Message : intptr_t { kProgress = 1, kDone = 2 };

  void run() noexcept;
  void join() noexcept;
  void report(Deliver progress);
  void post(Message message);
  void on_progress(napi_value callback) noexcept;
  void on_done(napi_value callback) noexcept;
  void finish() noexcept;
  static void on_message(napi_env env, napi_value callback, void* context, void* data);
  static void on_cleanup(void* job);

  const napi_env env_;
  const char* const op_;
  const Domain domain_;
  const std::shared_ptr<StopFlag> stop_;
  JobBody body_;
  std::thread thread_;
  std::once_flag joined_;

  std::mutex mutex_;           // guards the next three
  bool halted_ = false;        // no more messages
  bool progress_sent_ = false; // one is on its way
  Deliver progress_;           // the latest not yet delivered
  Clock::time_point last_report_{};  // job's thread only

  Deliver result_;               // written by the job's thread before kDone
  std::exception_ptr failure_;   // likewise

  // The environment's thread only.
  napi_deferred deferred_ = nullptr;
  napi_threadsafe_function messages_ = nullptr;
  std::optional<Napi::Error> thrown_;  // by the progress callback
};

/// Every running job of the process. Never destroyed: atexit handlers and worker threads may come late.
struct Registry {
  std::mutex mutex;
  std::vector<std::shared_ptr<Job>> jobs;

  static Registry& instance() {
    static auto* registry = new Registry;
    return *registry;
  }
  void add(std::shared_ptr<Job> job) {
    const std::lock_guard lock(mutex);
    jobs.push_back(std::move(job));
  }
  void remove(const Job* job) {
    const std::lock_guard lock(mutex);
    std::erase_if(jobs, [job](const std::shared_ptr<Job>& other) { return other.get() == job; });
  }
  std::vector<std::shared_ptr<Job>> of(napi_env env) {
    const std::lock_guard lock(mutex);
    std::vector<std::shared_ptr<Job>> selected;
    for (const auto& job : jobs)
      if (env == nullptr || job->env() == env) selected.push_back(job);
    return selected;
  }
};

void check(napi_env env, napi_status status) {
  if (status != napi_ok) throw Napi::Error::New(env);
}

napi_value Job::start(Napi::Function progress) {
  napi_value promise = nullptr;
  check(env_, napi_create_promise(env_, &deferred_, &promise));
  const Napi::String name = Napi::String::New(env_, op_);
  check(env_, napi_create_threadsafe_function(env_, progress, nullptr, name, 0, 1, nullptr, nullptr, this, on_message, &messages_));
  // After the thread-safe function, so that this hook runs before Node's own for it.
  check(env_, napi_add_env_cleanup_hook(env_, on_cleanup, this));
  Registry::instance().add(shared_from_this());
  try {
    thread_ = std::thread([this] { run(); });
  } catch (...) {
    napi_remove_env_cleanup_hook(env_, on_cleanup, this);
    finish();
    throw;
  }
  return promise;
}

void Job::run() noexcept {
  try {
    result_ = body_([this](Deliver progress) { report(std::move(progress)); });
  } catch (...) {
    failure_ = std::current_exception();
  }
  post(Message::kDone);
}

void Job::report(Deliver progress) {
  const auto now = Clock::now();
  {
    const std::lock_guard lock(mutex_);
    progress_ = std::move(progress);
    if (progress_sent_ || now - last_report_ < kReportInterval) return;
    progress_sent_ = true;
  }
  last_report_ = now;
  post(Message::kProgress);
}

void Job::post(Message message) {
  const std::lock_guard lock(mutex_);
  // Once halted, the function may be gone.
  if (halted_) return;
  napi_call_threadsafe_function(messages_, reinterpret_cast<void*>(message), napi_tsfn_nonblocking);
}

void Job::halt() noexcept {
  {
    const std::lock_guard lock(mutex_);
    halted_ = true;
  }
  stop_->request();
  join();
}

void Job::join() noexcept {
  std::call_once(joined_, [this] {
    if (thread_.joinable()) thread_.join();
  });
}

void Job::on_message(napi_env env, napi_value callback, void* context, void* data) {
  if (env == nullptr || callback == nullptr) return;  // left over in the queue of a function that is going away
  const std::shared_ptr<Job> job = static_cast<Job*>(context)->shared_from_this();
  if (static_cast<Message>(reinterpret_cast<intptr_t>(data)) == Message::kProgress) {
    job->on_progress(callback);
  } else {
    job->on_done(callback);
  }
}

void Job::on_progress(napi_value callback) noexcept {
  Deliver progress;
  {
    const std::lock_guard lock(mutex_);
    progress = std::exchange(progress_, nullptr);
    progress_sent_ = false;
  }
  if (!progress || thrown_ || !can_run_js(env_)) return;
  try {
    const napi_value argument = progress(env_);
    napi_value receiver = nullptr;
    napi_value result = nullptr;
    napi_get_undefined(env_, &receiver);
    if (napi_call_function(env_, receiver, callback, 1, &argument, &result) == napi_ok) return;
    bool pending = false;
    napi_is_exception_pending(env_, &pending);
    if (pending) thrown_ = Napi::Error::New(env_);
  } catch (const Napi::Error& error) {
    thrown_ = error;
  } catch (...) {
    // Without memory for an event there is none; the result or its error follows.
  }
  stop_->request();
}

void Job::on_done(napi_value callback) noexcept {
  join();  // the thread has sent its last message
  on_progress(callback);
  try {
    const std::exception_ptr failure = thrown_ ? std::make_exception_ptr(*thrown_) : failure_;
    settle(env_, deferred_, op_, domain_, failure, result_);
  } catch (...) {
    settle(env_, deferred_, op_, domain_, std::current_exception(), nullptr);
  }
  napi_remove_env_cleanup_hook(env_, on_cleanup, this);
  finish();
}

void Job::finish() noexcept {
  thrown_.reset();
  napi_release_threadsafe_function(messages_, napi_tsfn_abort);
  Registry::instance().remove(this);
}

void Job::on_cleanup(void* data) {
  const std::shared_ptr<Job> job = static_cast<Job*>(data)->shared_from_this();
  job->halt();
  job->finish();
}

}  // namespace

Napi::Value start_job(const Call& call, std::shared_ptr<StopFlag> stop, Napi::Function progress, JobBody body) {
  const auto job = std::make_shared<Job>(call, std::move(stop), std::move(body));
  return {call.env(), job->start(progress)};
}

void halt_jobs(napi_env env) noexcept {
  for (const auto& job : Registry::instance().of(env)) job->halt();
}

}  // namespace sluice::bindings
