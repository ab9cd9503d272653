#include "cuda/runtime.h"

#include <ATen/Context.h>
#include <ATen/core/Tensor.h>
#include <ATen/cuda/CUDAGraph.h>
#include <ATen/ops/_addmm_activation.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/mm.h>
#include <c10/core/InferenceMode.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAStream.h>
#include <c10/util/env.h>
#include <cuda_runtime_api.h>

#include <array>
#include <cstring>
#include <optional>
#include <string>

#include "base/error.h"

namespace sluice::gpu {

namespace {

void check(cudaError_t error, const char* what) {
  if (error != cudaSuccess) throw Error(code::kDevice, std::string("CUDA: ") + what + ": " + cudaGetErrorString(error));
}

cudaStream_t stream() { return c10::cuda::getCurrentCUDAStream().stream(); }

[[noreturn]] void out_of_memory(const std::string& wanted) {
  c10::cuda::CUDACachingAllocator::emptyCache();
  size_t free = 0;
  size_t total = 0;
  const bool known = cudaMemGetInfo(&free, &total) == cudaSuccess;
  throw Error(code::kMemory, "no CUDA memory for " + wanted + " asked for" + (known ? ", " + std::to_string(free) + " of " + std::to_string(total) + " free" : ""));
}

/// Runs `work`, in which LibTorch may want memory of its own.
template <typename Work>
auto with_memory(const char* purpose, const Work& work) {
  try {
    return work();
  } catch (const c10::OutOfMemoryError&) {
    out_of_memory(std::string(purpose) + ": working memory");
  }
}

/// An event that is made when it is first recorded.
class Event {
 public:
  Event() = default;
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  ~Event() {
    if (event_ != nullptr) cudaEventDestroy(event_);
  }
  void record(cudaStream_t on) {
    if (event_ == nullptr) check(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming), "event");
    check(cudaEventRecord(event_, on), "event");
  }
  void delay(cudaStream_t other) const {
    if (event_ != nullptr) check(cudaStreamWaitEvent(other, event_, 0), "waiting for an event");
  }
  void wait() const {
    if (event_ != nullptr) check(cudaEventSynchronize(event_), "the device's work");
  }

 private:
  cudaEvent_t event_ = nullptr;
};

}  // namespace

c10::DeviceType device_type() { return c10::DeviceType::CUDA; }
void* current_stream() { return stream(); }

Memory::Memory(size_t bytes, const char* purpose) {
  if (bytes == 0) return;
  try {
    data_ = c10::cuda::CUDACachingAllocator::raw_alloc(bytes);
  } catch (const c10::OutOfMemoryError&) {
    out_of_memory(std::string(purpose) + ": " + std::to_string(bytes) + " bytes");
  }
  clear(data_, bytes);
}

Memory::~Memory() {
  if (data_ == nullptr) return;
  try {
    c10::cuda::CUDACachingAllocator::raw_delete(data_);
  } catch (...) {  // the device is gone; there is nothing left to give back
  }
}

void require_memory(size_t bytes, const char* purpose) {
  c10::cuda::CUDACachingAllocator::emptyCache();
  size_t free = 0;
  size_t total = 0;
  check(cudaMemGetInfo(&free, &total), "free memory");
  if (bytes > free) out_of_memory(std::string(purpose) + ": " + std::to_string(bytes) + " bytes");
}

void copy_rows(void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t row_bytes, size_t rows, Copy direction) {
  if (row_bytes == 0 || rows == 0) return;
  const cudaMemcpyKind kind = direction == Copy::kToDevice ? cudaMemcpyHostToDevice : direction == Copy::kToHost ? cudaMemcpyDeviceToHost : cudaMemcpyDeviceToDevice;
  if (rows == 1 || (to_pitch == row_bytes && from_pitch == row_bytes)) {
    check(cudaMemcpyAsync(to, from, row_bytes * rows, kind, stream()), "copy");
  } else {
    check(cudaMemcpy2DAsync(to, to_pitch, from, from_pitch, row_bytes, rows, kind, stream()), "copy");
  }
  check(cudaStreamSynchronize(stream()), "copy");
}

void clear(void* data, size_t bytes) { check(cudaMemsetAsync(data, 0, bytes, stream()), "clearing memory"); }

struct Stream::State {
  c10::cuda::CUDAStream stream = c10::cuda::getStreamFromPool();
};
struct Stream::Use::Guard {
  c10::cuda::CUDAStream before;
};

Stream::Stream() {
  // What LibTorch wants to see before it takes cuBLAS for deterministic; read once, when the first product is made.
  c10::utils::set_env("CUBLAS_WORKSPACE_CONFIG", ":4096:8", false);
  at::globalContext().lazyInitDevice(c10::DeviceType::CUDA);  // the allocator's too, on which all else stands
  state_ = std::make_unique<State>();
}
Stream::~Stream() {
  cudaStreamSynchronize(state_->stream.stream());  // memory that is given back next may still be in use
}
Stream::Use::Use(const Stream& used) : guard_(new Guard{c10::cuda::getCurrentCUDAStream()}) { c10::cuda::setCurrentCUDAStream(used.state_->stream); }
Stream::Use::~Use() { c10::cuda::setCurrentCUDAStream(guard_->before); }

struct Inputs::State {
  struct Slot {
    Memory memory;
    size_t size = 0;
    Event arrived, taken;
  };
  c10::cuda::CUDAStream copies = c10::cuda::getStreamFromPool();
  std::array<Slot, 2> slots;
  uint64_t batches = 0;
};

Inputs::Inputs() : state_(std::make_unique<State>()) {}
Inputs::~Inputs() { cudaStreamSynchronize(state_->copies.stream()); }

void Inputs::bring(const std::vector<Part>& parts) {
  constexpr size_t kAligned = 256;
  size_t size = 0;
  for (const Part& part : parts) size += (part.bytes + kAligned - 1) / kAligned * kAligned;
  State::Slot& slot = state_->slots[state_->batches++ % state_->slots.size()];
  const cudaStream_t copies = state_->copies.stream();
  if (size > slot.size) {
    slot.taken.wait();
    slot.memory = Memory(size, "batches on their way");
    slot.size = size;
    check(cudaStreamSynchronize(stream()), "clearing memory");
  }
  slot.taken.delay(copies);
  size_t at = 0;
  for (const Part& part : parts) {
    check(cudaMemcpyAsync(static_cast<char*>(slot.memory.data()) + at, part.from, part.bytes, cudaMemcpyHostToDevice, copies), "copy of a batch");
    at += (part.bytes + kAligned - 1) / kAligned * kAligned;
  }
  slot.arrived.record(copies);
  slot.arrived.delay(stream());
  at = 0;
  for (const Part& part : parts) {
    check(cudaMemcpyAsync(part.to, static_cast<char*>(slot.memory.data()) + at, part.bytes, cudaMemcpyDeviceToDevice, stream()), "copy of a batch");
    at += (part.bytes + kAligned - 1) / kAligned * kAligned;
  }
  slot.taken.record(stream());
  slot.arrived.wait();  // for the copy alone: the device still computes on the batch before
}

BatchMemory& pinned_memory() {
  class Pinned final : public BatchMemory {
   public:
    void* allocate(size_t bytes) override {
      void* memory = nullptr;
      if (cudaMallocHost(&memory, bytes) == cudaSuccess) return memory;
      cudaGetLastError();  // the error was told
      throw Error(code::kMemory, "no pinned memory for batches: " + std::to_string(bytes) + " bytes asked for");
    }
    void release(void* memory, size_t) noexcept override { cudaFreeHost(memory); }
  };
  static Pinned pinned;
  return pinned;
}

struct LateNumbers::State {
  double* pinned = nullptr;
  std::array<Event, kDelay> ready;
  uint64_t taken = 0;
  uint64_t given = 0;
  double next() {
    const size_t slot = given++ % kDelay;
    ready[slot].wait();
    return pinned[slot];
  }
};

LateNumbers::LateNumbers() : state_(std::make_unique<State>()) {
  check(cudaMallocHost(reinterpret_cast<void**>(&state_->pinned), kDelay * sizeof(double)), "pinned memory");
}
LateNumbers::~LateNumbers() {
  for (Event& event : state_->ready) {
    try {
      event.wait();
    } catch (const Error&) {  // the device is gone
    }
  }
  cudaFreeHost(state_->pinned);
}

double LateNumbers::exchange(const double* device) {
  const double number = state_->taken - state_->given == kDelay ? state_->next() : 0.0;
  const size_t slot = state_->taken++ % kDelay;
  check(cudaMemcpyAsync(state_->pinned + slot, device, sizeof(double), cudaMemcpyDeviceToHost, stream()), "copy of a loss");
  state_->ready[slot].record(stream());
  return number;
}

std::vector<double> LateNumbers::rest() {
  std::vector<double> all;
  while (state_->given < state_->taken) all.push_back(state_->next());
  return all;
}

struct Graph::State {
  std::optional<at::cuda::CUDAGraph> graph;
};

Graph::Graph() : state_(std::make_unique<State>()) {}
Graph::~Graph() = default;
bool Graph::captured() const { return state_->graph.has_value(); }

void Graph::capture(const std::function<void()>& work, const Graph* beside) {
  const c10::MempoolId_t memory = beside != nullptr ? beside->state_->graph->pool() : c10::MempoolId_t{0, 0};
  state_->graph.emplace();
  try {
    state_->graph->capture_begin(memory, cudaStreamCaptureModeThreadLocal);
    work();
    state_->graph->capture_end();
  } catch (...) {
    try {
      state_->graph->capture_end();  // the stream records no longer
    } catch (...) {  // as the first error said
    }
    state_->graph.reset();
    throw;
  }
}

void Graph::replay() { state_->graph->replay(); }

namespace {

at::Tensor tensor(const View& view) {
  const at::ScalarType type = view.number == Number::kFloat ? at::kFloat : view.number == Number::kBf16 ? at::kBFloat16 : at::kHalf;
  return at::from_blob(view.data, {static_cast<int64_t>(view.rows), static_cast<int64_t>(view.cols)}, at::TensorOptions(type).device(at::kCUDA));
}

}  // namespace

void linear(const View& y, const View& x, const View& w, void* bias, bool relu) {
  with_memory("a layer", [&] {
    const c10::InferenceMode inference;
    at::Tensor out = tensor(y);
    const at::Tensor b = tensor({bias, y.number, 1, y.cols}).squeeze(0);
    if (relu) {
      at::_addmm_activation_out(out, b, tensor(x), tensor(w).t());
    } else {
      at::addmm_out(out, b, tensor(x), tensor(w).t());
    }
  });
}

void multiply(const View& c, const View& a, const View& b) {
  with_memory("a gradient", [&] {
    const c10::InferenceMode inference;
    at::Tensor out = tensor(c);
    at::mm_out(out, tensor(a), tensor(b));
  });
}

void multiply_transposed(const View& c, const View& a, const View& b) {
  with_memory("a gradient", [&] {
    const c10::InferenceMode inference;
    at::Tensor out = tensor(c);
    if (a.number == Number::kFloat) {
      at::mm_out(out, tensor(a).t(), tensor(b));
    } else {
      at::mm_out(out, tensor(a).t(), tensor(b), at::kFloat);
    }
  });
}

}  // namespace sluice::gpu
