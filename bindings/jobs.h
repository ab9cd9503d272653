// Long work (train, evaluate): a thread of its own, progress events, a promise, a stop flag.
//
// However the environment ends, the thread is stopped and joined before anything that it needs goes away:
//   process 'exit' event    process.exit() and natural end: halt_jobs(env) from a listener (module.cpp)
//   environment cleanup     a worker that is terminated: a hook per job, which runs before Node frees the job's
//                           thread-safe function (hooks run in the reverse order of their registration)
//   std::atexit             whoever leaves the process without either: halt_jobs(nullptr)
#pragma once
#include <functional>
#include <memory>

#include "base/stop.h"
#include "guard.h"
#include "napi_setup.h"
#include "workers.h"

namespace sluice::bindings {

/// Called from the job's thread with what the progress callback shall be called with; at most 20 a second get through,
/// the latest of those in between is kept.
using Report = std::function<void(Deliver)>;
using JobBody = std::function<Deliver(const Report&)>;

/// Runs `body` on a new thread and returns the promise of its result. When `progress` throws, the job stops and the
/// promise rejects with what it threw. `stop` is requested when the environment ends.
Napi::Value start_job(const Call& call, std::shared_ptr<StopFlag> stop, Napi::Function progress, JobBody body);

/// Stops and joins the jobs of one environment, or of all (null). Their promises stay pending.
void halt_jobs(napi_env env) noexcept;

}  // namespace sluice::bindings
