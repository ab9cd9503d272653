// Single-threaded inner loops of tensor features. image_kernels_impl.cpp is compiled once per instruction set, as the
// kernels of training are.
#pragma once
#include <cstddef>
#include <cstdint>

namespace sluice {

/// An output pixel of a resized row lies between two input pixels: (1 - share) * left + share * right. Both are offsets of
/// their first channel.
struct ResizeTap {
  uint32_t left;
  uint32_t right;
  float share;
};

/// Floats that a row given to ImageKernels::resize must have behind its last value.
inline constexpr size_t kResizePadding = 4;

struct ImageKernels {
  /// out = in * scale + shift, element by element.
  void (*affine_u8)(float* out, const uint8_t* in, const float* scale, const float* shift, size_t n);
  void (*affine_f32)(float* out, const float* in, const float* scale, const float* shift, size_t n);
  /// out = a + share * (b - a)
  void (*mix_u8)(float* out, const uint8_t* a, const uint8_t* b, float share, size_t n);
  void (*mix_f32)(float* out, const float* a, const float* b, float share, size_t n);
  /// One output pixel of `channels` values for each tap, times scale [channels] plus shift [channels].
  void (*resize)(float* out, const float* row, const ResizeTap* taps, size_t n, size_t channels, const float* scale, const float* shift);
};

const ImageKernels& image_kernels();

}  // namespace sluice
