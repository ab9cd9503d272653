// Device memory, streams and matrix products, from LibTorch: its allocator, its cuBLAS handles. runtime.cpp on a GPU; the tests of a
// build without CUDA bring tests/cuda/emulation.cpp, in which the device is the CPU.
#pragma once
#include <c10/core/DeviceType.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "train/batch_memory.h"

namespace sluice::gpu {

/// Of LibTorch's tensors on the device.
c10::DeviceType device_type();

/// The stream on which the calling thread's work runs: a cudaStream_t.
void* current_stream();

/// Zeroed device memory. Throws E_MEMORY with what was asked for and what was free.
class Memory {
 public:
  Memory() = default;
  Memory(size_t bytes, const char* purpose);
  Memory(Memory&& other) noexcept : data_(std::exchange(other.data_, nullptr)) {}
  Memory& operator=(Memory&& other) noexcept {
    std::swap(data_, other.data_);
    return *this;
  }
  ~Memory();
  void* data() const { return data_; }

 private:
  void* data_ = nullptr;
};

/// An array in device memory.
template <typename T>
class Array {
 public:
  Array() = default;
  Array(size_t size, const char* purpose) : memory_(size * sizeof(T), purpose), size_(size) {}
  T* data() const { return static_cast<T*>(memory_.data()); }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

 private:
  Memory memory_;
  size_t size_ = 0;
};

/// Throws E_MEMORY unless so many bytes are free: asked before a model's memory is taken, so that nothing is taken in vain.
void require_memory(size_t bytes, const char* purpose);

enum class Copy : uint8_t { kToDevice, kToHost, kOnDevice };
/// Rows of so many bytes, from and to where they lie further apart. Waits until all is done, also what was started before.
void copy_rows(void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t row_bytes, size_t rows, Copy direction);
/// Everything to zero, in order with the stream's work.
void clear(void* data, size_t bytes);

/// The model's own stream, for as long as a Use of it lives the calling thread's.
class Stream {
 public:
  Stream();
  ~Stream();
  class Use {
   public:
    explicit Use(const Stream& stream);
    ~Use();
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;

   private:
    struct Guard;
    std::unique_ptr<Guard> guard_;
  };

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Brings batches to the device on a stream of its own, while the device computes on the one before.
class Inputs {
 public:
  struct Part {
    void* to;
    const void* from;
    size_t bytes;
  };
  Inputs();
  ~Inputs();
  /// What runs on the current stream afterwards finds the parts in their places. The host's memory is free when it returns.
  void bring(const std::vector<Part>& parts);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Numbers that the device computed, read so late that nobody waits.
class LateNumbers {
 public:
  static constexpr uint32_t kDelay = 4;
  LateNumbers();
  ~LateNumbers();
  /// Takes *device, as it is when the current stream comes to it, and gives the number taken kDelay calls before; 0 the first times.
  double exchange(const double* device);
  /// Those not given yet, oldest first. Waits for them.
  std::vector<double> rest();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// A sequence of kernels that is started as a whole.
class Graph {
 public:
  Graph();
  ~Graph();
  bool captured() const;
  /// Records what `work` starts on the current stream, without running it. Working memory is that of the captured graph `beside`
  /// where there is one: they run one after the other, and nothing that one leaves in it may be read by another.
  void capture(const std::function<void()>& work, const Graph* beside);
  void replay();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Memory of the host from which copies to the device need no help of the CPU.
BatchMemory& pinned_memory();

enum class Number : uint8_t { kFloat, kBf16, kHalf };

/// Row-major matrix of device memory without gaps between rows.
struct View {
  void* data;
  Number number;
  size_t rows;
  size_t cols;
};

/// y [n, out] = x [n, in] w^T + bias, then ReLU; w [out, in], bias [out].
void linear(const View& y, const View& x, const View& w, void* bias, bool relu);
/// c [n, in] = a [n, out] b [out, in].
void multiply(const View& c, const View& a, const View& b);
/// c [out, in] in fp32 = a^T b, a [n, out], b [n, in].
void multiply_transposed(const View& c, const View& a, const View& b);

}  // namespace sluice::gpu
