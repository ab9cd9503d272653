// Zero-copy views of index columns. A view is a private copy-on-write mapping of the index file behind an ArrayBuffer:
// JavaScript may write into it, which changes only its own pages; closing the snapshot detaches the buffer.
//
// The mapping is unmapped by the buffer's finalizer and nowhere else: V8 runs it once nobody can reach the bytes,
// after a detach too (also where JavaScript moved them to another buffer with ArrayBuffer.prototype.transfer).
#pragma once
#include <cstddef>
#include <memory>

#include "handles.h"
#include "napi_setup.h"
#include "storage/dataset.h"

namespace sluice::bindings {

class View {
 public:
  /// Owned by the buffer's finalizer once it is exported.
  View(void* mapping, size_t mapped_bytes) : mapping_(mapping), mapped_bytes_(mapped_bytes) {}
  ~View();
  View(const View&) = delete;
  View& operator=(const View&) = delete;

  /// Ties the buffer to the snapshot, which it keeps open until release() or its finalizer.
  void attach(Napi::ArrayBuffer buffer, std::shared_ptr<SnapshotHandle> owner);
  /// Lets go of the snapshot; with `detach` reads from JavaScript throw a TypeError from now on.
  void release(bool detach);

 private:
  void* mapping_;
  size_t mapped_bytes_;
  std::shared_ptr<SnapshotHandle> owner_;      // null once released
  Napi::Reference<Napi::ArrayBuffer> buffer_;  // weak
};

/// Values of [first, first + rows) as a typed array: a view where they lie in one chunk, else a copy.
/// The range was checked against the snapshot's size.
Napi::Value export_column(Napi::Env env, const std::shared_ptr<SnapshotHandle>& owner, IndexColumn column, uint64_t first,
                          uint64_t rows);

}  // namespace sluice::bindings
