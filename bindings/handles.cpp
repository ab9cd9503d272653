#include "handles.h"

#include <vector>

#include "views.h"

namespace sluice::bindings {

namespace {

struct InstanceData {
  std::shared_ptr<EnvState> state;
};

}  // namespace

void EnvState::install(Napi::Env env) {
  auto* data = new InstanceData{std::make_shared<EnvState>()};
  env.SetInstanceData<InstanceData>(data);
  // Hooks run in the reverse order of their registration: trainings, registered later, have ended by then.
  const auto hook = [](void* state) { static_cast<EnvState*>(state)->close_all(); };
  if (napi_add_env_cleanup_hook(env, hook, data->state.get()) != napi_ok) throw Napi::Error::New(env);
}

std::shared_ptr<EnvState> EnvState::of(Napi::Env env) { return env.GetInstanceData<InstanceData>()->state; }

void EnvState::close_all() {
  // No JavaScript runs any more, so views need not be detached; Node releases their buffers.
  for (DatasetHandle* dataset : std::vector<DatasetHandle*>(datasets_.begin(), datasets_.end())) {
    try {
      dataset->close(false);
    } catch (...) {
      // The process or worker ends; there is nobody left to tell.
    }
  }
}

DatasetHandle::DatasetHandle(std::shared_ptr<EnvState> state, std::shared_ptr<Dataset> dataset)
    : state_(std::move(state)), dataset_(std::move(dataset)) {
  state_->datasets_.insert(this);
}

DatasetHandle::~DatasetHandle() { state_->datasets_.erase(this); }

void DatasetHandle::close(bool detach_views) {
  if (!dataset_) return;
  const auto self = shared_from_this();  // a snapshot may hold the last reference
  for (SnapshotHandle* snapshot : std::vector<SnapshotHandle*>(snapshots_.begin(), snapshots_.end()))
    snapshot->close(detach_views);
  const std::shared_ptr<Dataset> dataset = std::move(dataset_);
  dataset_.reset();
  dataset->close();
}

SnapshotHandle::SnapshotHandle(std::shared_ptr<DatasetHandle> parent)
    : parent_(std::move(parent)), snapshot_(parent_->dataset()->snapshot()) {
  parent_->snapshots_.insert(this);
}

SnapshotHandle::~SnapshotHandle() { parent_->snapshots_.erase(this); }

void SnapshotHandle::close(bool detach_views) {
  if (!snapshot_) return;
  const auto self = shared_from_this();  // a view may hold the last reference
  for (View* view : std::vector<View*>(views_.begin(), views_.end())) view->release(detach_views);
  views_.clear();
  snapshot_.reset();
}

const char* handle_kind(Napi::Value value) {
  if (!value.IsObject()) return nullptr;
  const auto object = value.As<Napi::Object>();
  if (object.CheckTypeTag(&DatasetHandle::kTag)) return DatasetHandle::kKind;
  if (object.CheckTypeTag(&SnapshotHandle::kTag)) return SnapshotHandle::kKind;
  if (object.CheckTypeTag(&StopHandle::kTag)) return StopHandle::kKind;
  if (object.CheckTypeTag(&ParserHandle::kTag)) return ParserHandle::kKind;
  if (object.CheckTypeTag(&WaitingHandle::kTag)) return WaitingHandle::kKind;
  return nullptr;
}

}  // namespace sluice::bindings
