#include "views.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vector>

#include "arrays.h"

namespace sluice::bindings {

namespace {

struct ColumnFormat {
  napi_typedarray_type type;
  size_t width;
};

ColumnFormat format_of(IndexColumn column) {
  return column == IndexColumn::kTimestamp ? ColumnFormat{napi_bigint64_array, sizeof(int64_t)}
                                           : ColumnFormat{napi_float32_array, sizeof(float)};
}

template <typename T>
Napi::Value copied(Napi::Env env, const Snapshot& snapshot, IndexColumn column, uint64_t first, uint64_t rows) {
  check_array_bytes(rows, sizeof(T));
  std::vector<T> values(rows);
  if (rows > 0) snapshot.copy(column, first, rows, values.data());
  return to_typed_array(env, std::move(values));
}

Napi::Value copied_column(Napi::Env env, const Snapshot& snapshot, IndexColumn column, uint64_t first, uint64_t rows) {
  return column == IndexColumn::kTimestamp ? copied<int64_t>(env, snapshot, column, first, rows)
                                           : copied<float>(env, snapshot, column, first, rows);
}

/// A mapping of `bytes` at span.file_offset, or null where the bytes must be copied instead: they are not aligned for
/// their type, the file does not reach so far, or the system has no more mappings to give.
std::unique_ptr<View> map_span(const ColumnSpan& span, size_t bytes, size_t width, std::byte** data) {
  if (span.fd < 0 || span.file_offset % width != 0) return nullptr;
  struct stat file {};
  if (fstat(span.fd, &file) != 0 || static_cast<uint64_t>(file.st_size) < span.file_offset + bytes) return nullptr;
  static const auto page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  const uint64_t lead = span.file_offset % page;
  const size_t length = lead + bytes;
  void* mapping = mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, span.fd,
                       static_cast<off_t>(span.file_offset - lead));
  if (mapping == MAP_FAILED) return nullptr;
  *data = static_cast<std::byte*>(mapping) + lead;
  return std::make_unique<View>(mapping, length);
}

void finalize_view(napi_env, void*, void* view) { delete static_cast<View*>(view); }

}  // namespace

View::~View() {
  if (owner_) owner_->remove(this);
  munmap(mapping_, mapped_bytes_);
}

void View::attach(Napi::ArrayBuffer buffer, std::shared_ptr<SnapshotHandle> owner) {
  buffer_ = Napi::Reference<Napi::ArrayBuffer>::New(buffer, 0);
  owner_ = std::move(owner);
  owner_->add(this);
}

void View::release(bool detach) {
  const std::shared_ptr<SnapshotHandle> owner = std::move(owner_);
  owner_.reset();
  if (!detach) return;
  const Napi::HandleScope scope(buffer_.Env());
  Napi::ArrayBuffer buffer = buffer_.Value();
  if (!buffer.IsEmpty()) buffer.Detach();
}

Napi::Value export_column(Napi::Env env, const std::shared_ptr<SnapshotHandle>& owner, IndexColumn column, uint64_t first,
                          uint64_t rows) {
  const Snapshot& snapshot = *owner->snapshot();
  if (rows == 0) return copied_column(env, snapshot, column, first, rows);
  const ColumnSpan span = snapshot.span(column, first, rows);
  if (span.rows != rows) return copied_column(env, snapshot, column, first, rows);
  const ColumnFormat format = format_of(column);
  std::byte* data = nullptr;
  std::unique_ptr<View> view = map_span(span, rows * format.width, format.width, &data);
  if (!view) return copied_column(env, snapshot, column, first, rows);
  napi_value buffer = nullptr;
  View* exported = view.release();  // the finalizer's from here on
  const napi_status status =
      napi_create_external_arraybuffer(env, data, rows * format.width, finalize_view, exported, &buffer);
  if (status == napi_no_external_buffers_allowed) {
    delete exported;
    return copied_column(env, snapshot, column, first, rows);
  }
  napi_value array = nullptr;
  if (status != napi_ok) throw Napi::Error::New(env);
  exported->attach(Napi::ArrayBuffer(env, buffer), owner);
  if (napi_create_typedarray(env, format.type, rows, buffer, 0, &array) != napi_ok) throw Napi::Error::New(env);
  return {env, array};
}

}  // namespace sluice::bindings
