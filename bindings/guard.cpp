#include "guard.h"

#include <new>
#include <system_error>

#include "base/error.h"

namespace sluice::bindings {

namespace {

struct Failure {
  const char* code;
  std::string message;
  std::string detail;  // empty: the message says all
};

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

Failure failure_of(const std::string& prefix, const std::exception_ptr& failure, Domain domain) {
  try {
    std::rethrow_exception(failure);
  } catch (const Error& error) {
    return {error.code(), error.what(), {}};
  } catch (const std::bad_alloc&) {
    return {code::kMemory, prefix + "not enough memory", {}};
  } catch (const std::system_error& error) {
    return {code::kIo, prefix + first_line(error.what()), error.what()};
  } catch (const std::exception& error) {
    const std::string what = error.what();
    if (domain == Domain::kGeneral) return {code::kInternal, prefix + first_line(what), what};
    // c10's CPU allocator reports exhausted memory as a plain c10::Error.
    const bool memory = what.find("DefaultCPUAllocator") != std::string::npos || what.find("out of memory") != std::string::npos;
    return {memory ? code::kMemory : code::kTorch, prefix + "LibTorch: " + first_line(what), what};
  } catch (...) {
    return {code::kInternal, prefix + "an exception of an unknown type", {}};
  }
}

}  // namespace

Napi::Error to_js_error(Napi::Env env, const char* op, const std::exception_ptr& failure, Domain domain) {
  const Failure f = failure_of(std::string("[") + op + "] ", failure, domain);
  const Napi::Error error = Napi::Error::New(env, f.message);
  error.Set("code", Napi::String::New(env, f.code));
  if (!f.detail.empty()) {
    const auto hidden = static_cast<napi_property_attributes>(napi_writable | napi_configurable);
    error.Value().DefineProperty(Napi::PropertyDescriptor::Value("cause", Napi::Error::New(env, f.detail).Value(), hidden));
  }
  return error;
}

Napi::Value guard(const Napi::CallbackInfo& info, Domain domain, Body body) {
  const auto* op = static_cast<const char*>(info.Data());
  try {
    Call call(info, op, domain);
    return body(call);
  } catch (const Napi::Error&) {
    throw;
  } catch (...) {
    throw to_js_error(info.Env(), op, std::current_exception(), domain);
  }
}

}  // namespace sluice::bindings
