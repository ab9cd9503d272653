// What JavaScript holds of the core: datasets, snapshots, stop flags. A handle is an object with a type tag around a
// shared_ptr; workers keep the core's objects alive beside it. Everything here is touched on its environment's thread
// only (an environment is the main thread's or a worker's JavaScript; each loads the addon for itself).
#pragma once
#include <memory>
#include <mutex>
#include <unordered_set>

#include "args.h"
#include "base/error.h"
#include "base/stop.h"
#include "napi_setup.h"
#include "storage/dataset.h"
#include "train/parser_queue.h"
#include "waiting/waiting.h"

namespace sluice::bindings {

class DatasetHandle;
class SnapshotHandle;
class View;

/// Per environment: the datasets that are open.
class EnvState {
 public:
  /// Called once, when the addon is loaded into `env`. When the environment ends, open datasets are closed.
  static void install(Napi::Env env);
  static std::shared_ptr<EnvState> of(Napi::Env env);

 private:
  friend class DatasetHandle;
  void close_all();
  std::unordered_set<DatasetHandle*> datasets_;
};

class StopHandle {
 public:
  static constexpr const char* kKind = "stop";
  static constexpr napi_type_tag kTag{0x5d1c0a9be4f24c71, 0x9f6a3b8e27d0c514};
  const std::shared_ptr<StopFlag> flag = std::make_shared<StopFlag>();
  bool open() const { return true; }
};

class ParserHandle {
 public:
  static constexpr const char* kKind = "parser";
  static constexpr napi_type_tag kTag{0x61f0d7ce2b9843aa, 0x8d05c2e7b1f34690};
  ParserHandle(std::shared_ptr<ParserQueue> queue, uint64_t number) : queue_(std::move(queue)), number_(number) {}
  ~ParserHandle() { close(); }
  ParserHandle(const ParserHandle&) = delete;
  ParserHandle& operator=(const ParserHandle&) = delete;

  bool open() const { return queue_ != nullptr; }
  const std::shared_ptr<ParserQueue>& queue() const { return queue_; }
  uint64_t number() const { return number_; }
  /// Ends whoever waits in the queue. Idempotent.
  void close() {
    if (queue_) queue_->close();
    queue_.reset();
  }

 private:
  std::shared_ptr<ParserQueue> queue_;  // null: closed
  uint64_t number_;
};

/// One call at a time works on it; counts are those after the last one.
class WaitingHandle {
 public:
  static constexpr const char* kKind = "waiting";
  static constexpr napi_type_tag kTag{0x3b7a90c1f5e24d86, 0x94e1d2780a6cb53f};
  explicit WaitingHandle(std::unique_ptr<Waiting> store) : waiting_(std::make_shared<Guarded>(std::move(store))) {}

  bool open() const { return waiting_ != nullptr; }
  void close() { waiting_.reset(); }

  struct Guarded {
    explicit Guarded(std::unique_ptr<Waiting> given) : store(std::move(given)), counts(store->counts()) {}
    std::mutex working;
    std::unique_ptr<Waiting> store;
    std::mutex counting;
    WaitingCounts counts;
  };
  const std::shared_ptr<Guarded>& waiting() const { return waiting_; }

 private:
  std::shared_ptr<Guarded> waiting_;  // null: closed; a call under way keeps it
};

class DatasetHandle : public std::enable_shared_from_this<DatasetHandle> {
 public:
  static constexpr const char* kKind = "dataset";
  static constexpr napi_type_tag kTag{0x8c42b7f1d36e4a05, 0xa17e5c90f2b8d643};
  DatasetHandle(std::shared_ptr<EnvState> state, std::shared_ptr<Dataset> dataset);
  ~DatasetHandle();
  DatasetHandle(const DatasetHandle&) = delete;
  DatasetHandle& operator=(const DatasetHandle&) = delete;

  bool open() const { return dataset_ != nullptr; }
  const std::shared_ptr<Dataset>& dataset() const { return dataset_; }
  /// Closes its snapshots, then the dataset; trainings under way keep what they read. Idempotent.
  void close(bool detach_views = true);

 private:
  friend class SnapshotHandle;
  std::shared_ptr<EnvState> state_;
  std::shared_ptr<Dataset> dataset_;  // null: closed
  std::unordered_set<SnapshotHandle*> snapshots_;
};

class SnapshotHandle : public std::enable_shared_from_this<SnapshotHandle> {
 public:
  static constexpr const char* kKind = "snapshot";
  static constexpr napi_type_tag kTag{0x2e95d8047ab1463c, 0xb83f61da0c5e7942};
  /// Opens a snapshot of the parent, which is open.
  explicit SnapshotHandle(std::shared_ptr<DatasetHandle> parent);
  ~SnapshotHandle();
  SnapshotHandle(const SnapshotHandle&) = delete;
  SnapshotHandle& operator=(const SnapshotHandle&) = delete;

  bool open() const { return snapshot_ != nullptr; }
  const std::shared_ptr<Snapshot>& snapshot() const { return snapshot_; }
  const std::shared_ptr<DatasetHandle>& parent() const { return parent_; }
  /// Detaches its views, then ends the read transaction. Idempotent.
  void close(bool detach_views = true);

  void add(View* view) { views_.insert(view); }
  void remove(View* view) { views_.erase(view); }

 private:
  std::shared_ptr<DatasetHandle> parent_;
  std::shared_ptr<Snapshot> snapshot_;  // null: closed
  std::unordered_set<View*> views_;     // each keeps this handle alive until its buffer is gone or detached
};

/// The JavaScript object for a handle; its finalizer lets go of the handle as the last resort.
template <typename H>
Napi::Object make_handle(Napi::Env env, std::shared_ptr<H> handle) {
  const Napi::Object object = Napi::Object::New(env);
  object.TypeTag(&H::kTag);
  auto holder = std::make_unique<std::shared_ptr<H>>(std::move(handle));
  const auto finalize = [](napi_env, void* data, void*) { delete static_cast<std::shared_ptr<H>*>(data); };
  if (napi_wrap(env, object, holder.get(), finalize, nullptr, nullptr) != napi_ok) throw Napi::Error::New(env);
  holder.release();
  return object;
}

/// "dataset", "snapshot", "stop", "parser", "waiting", or null where the value is no handle.
const char* handle_kind(Napi::Value value);

/// The handle behind `value`, open or not: E_ARGUMENT for anything else.
template <typename H>
std::shared_ptr<H> unwrap_handle(const Arg& arg) {
  const std::string expected = std::string("a ") + H::kKind + " handle";
  void* data = nullptr;
  if (!arg.value().IsObject() || !arg.value().As<Napi::Object>().CheckTypeTag(&H::kTag) ||
      napi_unwrap(arg.value().Env(), arg.value(), &data) != napi_ok)
    arg.fail(expected);
  return *static_cast<std::shared_ptr<H>*>(data);
}

template <typename H>
std::shared_ptr<H> Arg::handle() const {
  std::shared_ptr<H> handle = unwrap_handle<H>(*this);
  if (!handle->open()) throw Error(code::kClosed, std::string("[") + op_ + "] the " + H::kKind + " is closed");
  return handle;
}

}  // namespace sluice::bindings
