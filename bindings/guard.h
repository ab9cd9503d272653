// Every entry from JavaScript goes through guard(): whatever is thrown becomes a JavaScript Error with a stable code.
#pragma once
#include <exception>
#include <string>

#include "args.h"
#include "napi_setup.h"

namespace sluice::bindings {

/// What an exception of an unknown type means where it was caught: LibTorch's c10::Error is a std::exception that
/// this folder does not know (no torch headers here).
enum class Domain { kGeneral, kTorch };

/// One call from JavaScript. Only guard() makes one, so that no binding function runs unguarded.
class Call {
 public:
  const char* op() const { return op_; }
  Napi::Env env() const { return info_.Env(); }
  Domain domain() const { return domain_; }
  /// Argument number i; undefined where JavaScript passed fewer.
  Arg arg(size_t i, const char* name) const { return {op_, name, info_[i]}; }
  Napi::Value undefined() const { return env().Undefined(); }

 private:
  friend Napi::Value guard(const Napi::CallbackInfo& info, Domain domain, Napi::Value (*body)(Call&));
  Call(const Napi::CallbackInfo& info, const char* op, Domain domain) : info_(info), op_(op), domain_(domain) {}

  const Napi::CallbackInfo& info_;
  const char* op_;  // the function's name, a string literal
  Domain domain_;
};

using Body = Napi::Value (*)(Call&);

/// The Error that JavaScript sees for a C++ exception: `code`, a message of one line, the whole text in `cause`.
Napi::Error to_js_error(Napi::Env env, const char* op, const std::exception_ptr& failure, Domain domain);

Napi::Value guard(const Napi::CallbackInfo& info, Domain domain, Body body);

template <Body body, Domain domain>
Napi::Value entry(const Napi::CallbackInfo& info) {
  return guard(info, domain, body);
}

/// Exports `body` under `name` (a string literal).
template <Body body, Domain domain = Domain::kGeneral>
void define(Napi::Object exports, const char* name) {
  exports.Set(name, Napi::Function::New<entry<body, domain>>(exports.Env(), name, const_cast<char*>(name)));
}

}  // namespace sluice::bindings
