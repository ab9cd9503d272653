// The GPU of a build without CUDA: device memory is the host's, a kernel's items run one after the other, and in an item, phase by
// phase, its lanes. In every phase the lanes run in another order than in the one before: none may depend on another's.
#include <ATen/core/Tensor.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/relu.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <new>
#include <numeric>

#include "base/error.h"
#include "cuda/kernels.h"
#include "cuda/runtime.h"
#include "gpu_fixture.h"

namespace sluice::gpu {

namespace {

template <typename Work, int phase = 0>
void run_phases(const Work& work, uint64_t item, float* scratch) {
  for (uint32_t l = 0; l < kLanes; ++l) work.template run<phase>(item, {phase % 2 == 0 ? l : kLanes - 1 - l, scratch});
  if constexpr (phase + 1 < Work::kPhases) run_phases<Work, phase + 1>(work, item, scratch);
}

at::Tensor tensor(const View& view) {
  const at::ScalarType type = view.number == Number::kFloat ? at::kFloat : view.number == Number::kBf16 ? at::kBFloat16 : at::kHalf;
  return at::from_blob(view.data, {static_cast<int64_t>(view.rows), static_cast<int64_t>(view.cols)}, type).to(at::kFloat);
}

void put(const View& to, const at::Tensor& values) {
  const at::ScalarType type = to.number == Number::kFloat ? at::kFloat : to.number == Number::kBf16 ? at::kBFloat16 : at::kHalf;
  at::from_blob(to.data, {static_cast<int64_t>(to.rows), static_cast<int64_t>(to.cols)}, type).copy_(values);
}

}  // namespace

template <typename Work>
void launch(const Work& work, uint64_t items) {
  // What a kernel did not write is found as no number, as another kernel's scratch memory would be.
  std::vector<Quad> scratch((work.scratch() + 3) / 4);
  for (uint64_t i = 0; i < items; ++i) {
    std::fill(scratch.begin(), scratch.end(), Quad{{NAN, NAN, NAN, NAN}});
    run_phases(work, items - 1 - i, reinterpret_cast<float*>(scratch.data()));
  }
}

#define SLUICE_LAUNCH(...) template void launch<__VA_ARGS__>(const __VA_ARGS__&, uint64_t);
SLUICE_KERNELS(SLUICE_LAUNCH)
#undef SLUICE_LAUNCH

size_t largest_scratch() { return 227 << 10; }
size_t sort_bytes(uint32_t, uint32_t) { return 1; }

void sort_rows(void*, size_t, const uint64_t* rows, uint64_t* sorted_rows, const uint32_t* order, uint32_t* sorted_order, uint32_t n, uint32_t bits) {
  std::vector<uint32_t> at(n);
  std::iota(at.begin(), at.end(), 0U);
  std::stable_sort(at.begin(), at.end(), [&](uint32_t a, uint32_t b) { return rows[a] < rows[b]; });
  for (uint32_t i = 0; i < n; ++i) {
    if (bits < 64 && rows[at[i]] >> bits != 0) throw Error(code::kInternal, "a row has more bits than were said");
    sorted_rows[i] = rows[at[i]];
    sorted_order[i] = order[at[i]];
  }
}

c10::DeviceType device_type() { return c10::DeviceType::CPU; }
void* current_stream() { return nullptr; }

Memory::Memory(size_t bytes, const char*) : data_(bytes == 0 ? nullptr : ::operator new(bytes, std::align_val_t{256})) {
  if (bytes > 0) std::memset(data_, 0, bytes);
}
Memory::~Memory() {
  if (data_ != nullptr) ::operator delete(data_, std::align_val_t{256});
}
void require_memory(size_t, const char*) {}
void clear(void* data, size_t bytes) { std::memset(data, 0, bytes); }

void copy_rows(void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t row_bytes, size_t rows, Copy) {
  for (size_t r = 0; r < rows; ++r) std::memcpy(static_cast<char*>(to) + r * to_pitch, static_cast<const char*>(from) + r * from_pitch, row_bytes);
}

struct Stream::State {};
struct Stream::Use::Guard {};
Stream::Stream() = default;
Stream::~Stream() = default;
Stream::Use::Use(const Stream&) {}
Stream::Use::~Use() = default;

struct Inputs::State {};
Inputs::Inputs() = default;
Inputs::~Inputs() = default;
void Inputs::bring(const std::vector<Part>& parts) {
  for (const Part& part : parts) std::memcpy(part.to, part.from, part.bytes);
}

BatchMemory& pinned_memory() { return host_memory(); }

struct LateNumbers::State {
  std::vector<double> waiting;
};
LateNumbers::LateNumbers() : state_(std::make_unique<State>()) {}
LateNumbers::~LateNumbers() = default;
double LateNumbers::exchange(const double* device) {
  state_->waiting.push_back(*device);
  if (state_->waiting.size() <= kDelay) return 0.0;
  const double oldest = state_->waiting.front();
  state_->waiting.erase(state_->waiting.begin());
  return oldest;
}
std::vector<double> LateNumbers::rest() { return std::exchange(state_->waiting, {}); }

struct Graph::State {
  std::function<void()> work;
};
Graph::Graph() : state_(std::make_unique<State>()) {}
Graph::~Graph() = default;
bool Graph::captured() const { return static_cast<bool>(state_->work); }
void Graph::capture(const std::function<void()>& work, const Graph*) { state_->work = work; }
void Graph::replay() { state_->work(); }

void linear(const View& y, const View& x, const View& w, void* bias, bool relu) {
  const c10::InferenceMode inference;
  const at::Tensor out = at::addmm(tensor({bias, y.number, 1, y.cols}).squeeze(0), tensor(x), tensor(w).t());
  put(y, relu ? at::relu(out) : out);
}

void multiply(const View& c, const View& a, const View& b) {
  const c10::InferenceMode inference;
  put(c, at::mm(tensor(a), tensor(b)));
}

void multiply_transposed(const View& c, const View& a, const View& b) {
  const c10::InferenceMode inference;
  put(c, at::mm(tensor(a).t(), tensor(b)));
}

}  // namespace sluice::gpu

namespace sluice::testing {
bool has_device() { return true; }
}  // namespace sluice::testing
