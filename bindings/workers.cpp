#include "workers.h"

#include <memory>
#include <utility>

namespace sluice::bindings {

namespace {

struct AsyncCall {
  const char* op;
  Domain domain;
  Work work;
  Deliver deliver;
  std::exception_ptr failure;
  napi_deferred deferred = nullptr;
  napi_async_work handle = nullptr;
};

void execute(napi_env, void* data) {
  auto* call = static_cast<AsyncCall*>(data);
  try {
    call->deliver = call->work();
  } catch (...) {
    call->failure = std::current_exception();
  }
}

void complete(napi_env env, napi_status, void* data) {
  const std::unique_ptr<AsyncCall> call(static_cast<AsyncCall*>(data));
  settle(env, call->deferred, call->op, call->domain, call->failure, call->deliver);
  napi_delete_async_work(env, call->handle);
}

void check(napi_env env, napi_status status) {
  if (status != napi_ok) throw Napi::Error::New(env);
}

}  // namespace

Napi::Value run_async(const Call& call, Work work) {
  const napi_env env = call.env();
  auto state = std::make_unique<AsyncCall>(AsyncCall{call.op(), call.domain(), std::move(work), nullptr, nullptr});
  napi_value name = nullptr;
  napi_value promise = nullptr;
  check(env, napi_create_string_utf8(env, call.op(), NAPI_AUTO_LENGTH, &name));
  check(env, napi_create_promise(env, &state->deferred, &promise));
  check(env, napi_create_async_work(env, nullptr, name, execute, complete, state.get(), &state->handle));
  const napi_status queued = napi_queue_async_work(env, state->handle);
  if (queued != napi_ok) {
    napi_delete_async_work(env, state->handle);
    check(env, queued);
  }
  state.release();
  return {env, promise};
}

bool can_run_js(napi_env env) noexcept {
  // Setting a property is refused once the environment ends (or while an exception is pending).
  napi_value object = nullptr;
  napi_value value = nullptr;
  return napi_create_object(env, &object) == napi_ok && napi_get_null(env, &value) == napi_ok &&
         napi_set_named_property(env, object, "probe", value) == napi_ok;
}

void settle(napi_env env, napi_deferred deferred, const char* op, Domain domain, const std::exception_ptr& failure,
            const Deliver& deliver) noexcept {
  if (!can_run_js(env)) return;
  try {
    std::exception_ptr reason = failure;
    if (!reason) {
      try {
        napi_resolve_deferred(env, deferred, deliver(env));
        return;
      } catch (...) {
        reason = std::current_exception();
      }
    }
    try {
      std::rethrow_exception(reason);
    } catch (const Napi::Error& error) {
      napi_reject_deferred(env, deferred, error.Value());
    } catch (...) {
      napi_reject_deferred(env, deferred, to_js_error(env, op, std::current_exception(), domain).Value());
    }
  } catch (...) {
    // Making the error failed too: the environment ended between the probe and here.
  }
}

}  // namespace sluice::bindings
