// Short work off the main thread: libuv's pool runs it, a promise gives its result. See jobs.h for trainings.
#pragma once
#include <exception>
#include <functional>

#include "guard.h"
#include "napi_setup.h"

namespace sluice::bindings {

/// Makes the JavaScript value of a result, on the environment's thread. Called at most once.
using Deliver = std::function<Napi::Value(Napi::Env)>;
/// Runs on another thread, touches no JavaScript, may throw.
using Work = std::function<Deliver()>;

/// The promise of `work`'s result. Arguments that `work` needs are captured as C++ values: JavaScript may change or
/// transfer a buffer while it waits, and Node-API cannot pin one.
Napi::Value run_async(const Call& call, Work work);

/// Settles a promise with what `deliver` makes, or rejects it with `failure`. Never throws; does nothing once the
/// environment can run no more JavaScript.
void settle(napi_env env, napi_deferred deferred, const char* op, Domain domain, const std::exception_ptr& failure,
            const Deliver& deliver) noexcept;

/// False while an environment is being torn down.
bool can_run_js(napi_env env) noexcept;

}  // namespace sluice::bindings
