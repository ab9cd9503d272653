// A zeroed, 64-byte aligned array of trivial values; large ones ask for huge pages (random rows of an embedding
// table cost a TLB miss each otherwise). Throws E_MEMORY with what was asked for and what is free.
#pragma once
#include <cstddef>
#include <string>
#include <type_traits>
#include <utility>

namespace sluice {

namespace detail {
void* allocate(size_t bytes, const char* purpose);
void release(void* memory, size_t bytes) noexcept;
}  // namespace detail

template <typename T>
class Buffer {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  Buffer() = default;
  Buffer(size_t size, const char* purpose)
      : data_(static_cast<T*>(detail::allocate(size * sizeof(T), purpose))), size_(size) {}
  Buffer(Buffer&& other) noexcept : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~Buffer() { detail::release(data_, size_ * sizeof(T)); }

  T* data() { return data_; }
  const T* data() const { return data_; }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  T& operator[](size_t i) { return data_[i]; }
  const T& operator[](size_t i) const { return data_[i]; }
  T* begin() { return data_; }
  T* end() { return data_ + size_; }

 private:
  T* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace sluice
