// The check and repair of a dataset, and copies for backups: native/src/storage/fsck.h, backup.h.
#include <array>
#include <string>
#include <utility>

#include "guard.h"
#include "handles.h"
#include "jobs.h"
#include "module.h"
#include "storage/backup.h"
#include "storage/fsck.h"
#include "workers.h"

namespace sluice::bindings {

namespace {

constexpr std::array<const char*, 3> kRemedies{"none", "from-segments", "from-index"};  // in the order of Remedy

Napi::Value report_object(Napi::Env env, const CheckReport& report) {
  const Napi::Array damages = Napi::Array::New(env, report.damages.size());
  for (uint32_t i = 0; i < report.damages.size(); ++i) {
    const Damage& damage = report.damages[i];
    const Napi::Object object = Napi::Object::New(env);
    object.Set("part", damage.part);
    object.Set("file", damage.file);
    object.Set("what", damage.what);
    object.Set("first", static_cast<double>(damage.first));
    object.Set("end", static_cast<double>(damage.end));
    object.Set("remedy", kRemedies[static_cast<size_t>(damage.remedy)]);
    object.Set("repaired", damage.repaired);
    damages.Set(i, object);
  }
  const Napi::Object object = Napi::Object::New(env);
  object.Set("samples", static_cast<double>(report.samples));
  object.Set("bytes", static_cast<double>(report.bytes));
  object.Set("damages", damages);
  return object;
}

// C++: CheckReport check_dataset(const std::string& path, bool repair, const StopFlag& stop, const CheckProgress& progress)
// TS:  dataset_check(path: string, repair: boolean, stop: StopHandle, progress: (p: RawCheckProgress) => void): Promise<RawCheckReport>;
Napi::Value dataset_check(Call& call) {
  const std::string path = call.arg(0, "path").path_text();
  const bool repair = call.arg(1, "repair").boolean();
  const auto stop = call.arg(2, "stop").handle<StopHandle>()->flag;
  const Napi::Function progress = call.arg(3, "progress").function();
  return start_job(call, stop, progress, [=](const Report& report) -> Deliver {
    const CheckReport result = check_dataset(path, repair, *stop, [&](uint64_t done, uint64_t total) {
      report([=](Napi::Env env) {
        const Napi::Object object = Napi::Object::New(env);
        object.Set("bytes", static_cast<double>(done));
        object.Set("totalBytes", static_cast<double>(total));
        return object;
      });
    });
    return [result](Napi::Env env) { return report_object(env, result); };
  });
}

// C++: void copy_environment(const std::string& folder, const std::string& to)
// TS:  copy_environment(folder: string, to: string): Promise<void>;
Napi::Value copy_environment(Call& call) {
  const std::string folder = call.arg(0, "folder").path_text();
  const std::string to = call.arg(1, "to").path_text();
  return run_async(call, [=]() -> Deliver {
    sluice::copy_environment(folder, to);
    return [](Napi::Env env) -> Napi::Value { return env.Undefined(); };
  });
}

}  // namespace

void define_check(Napi::Object exports) {
  define<dataset_check>(exports, "dataset_check");
  define<copy_environment>(exports, "copy_environment");
}

}  // namespace sluice::bindings
