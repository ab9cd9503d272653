// The addon's entry, called once for each environment that loads it.
#include "module.h"

#include <dlfcn.h>

#include <cstdlib>
#include <mutex>

#include "guard.h"
#include "handles.h"
#include "jobs.h"

namespace sluice::bindings {

namespace {

// C++: compile definitions, see sources.cmake
// TS:  build_info(): { torch: string; cuda: boolean; lmdb: string; version: string };
Napi::Value build_info(Call& call) {
  const Napi::Object info = Napi::Object::New(call.env());
  info.Set("torch", SLUICE_TORCH_VERSION);
  info.Set("cuda", Napi::Boolean::New(call.env(), SLUICE_CUDA != 0));
  info.Set("lmdb", SLUICE_LMDB_VERSION);
  info.Set("version", SLUICE_VERSION);
  return info;
}

/// Node unloads an addon when the last worker that loaded it ends; LibTorch's thread pools do not survive that.
void stay_loaded() {
  Dl_info info;
  if (dladdr(reinterpret_cast<void*>(&stay_loaded), &info) != 0 && info.dli_fname != nullptr)
    dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
}

Napi::Value halt_at_exit(Call& call) {
  halt_jobs(call.env());
  return call.undefined();
}

/// process.exit() runs no cleanup hooks on the main thread, but it tells its listeners.
void listen_for_exit(Napi::Env env) {
  const Napi::Value process = env.Global().Get("process");
  if (!process.IsObject()) return;
  const Napi::Value once = process.As<Napi::Object>().Get("once");
  if (!once.IsFunction()) return;
  static char name[] = "halt_at_exit";
  const auto listener = Napi::Function::New<entry<halt_at_exit, Domain::kGeneral>>(env, name, name);
  once.As<Napi::Function>().Call(process, {Napi::String::New(env, "exit"), listener});
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  static std::once_flag once;
  std::call_once(once, [] {
    stay_loaded();
    std::atexit([] { halt_jobs(nullptr); });
  });
  EnvState::install(env);
  listen_for_exit(env);
  define<build_info>(exports, "build_info");
  define_storage(exports);
  define_check(exports);
  define_checksum(exports);
  define_deletion(exports);
  define_files(exports);
  define_metadata(exports);
  define_waiting(exports);
  define_select(exports);
  define_trainset(exports);
  define_train(exports);
  define_eval(exports);
  define_parser(exports);
  define_modelstore(exports);
  return exports;
}

}  // namespace

}  // namespace sluice::bindings

static Napi::Object init_addon(Napi::Env env, Napi::Object exports) { return sluice::bindings::init(env, exports); }

NODE_API_MODULE(sluice, init_addon)
