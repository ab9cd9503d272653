// Compiled once per instruction set (native/train.cmake). The plain loops are vectorised by the compiler.
#include <cstring>

#include "train/image_kernels.h"

namespace sluice::SLUICE_KERNELS {

namespace {

typedef float Pixel __attribute__((vector_size(16)));

inline Pixel load(const float* p) {
  Pixel v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

template <typename T>
void affine(float* __restrict out, const T* __restrict in, const float* __restrict scale, const float* __restrict shift, size_t n) {
  for (size_t i = 0; i < n; ++i) out[i] = static_cast<float>(in[i]) * scale[i] + shift[i];
}

template <typename T>
void mix(float* __restrict out, const T* __restrict a, const T* __restrict b, float share, size_t n) {
  for (size_t i = 0; i < n; ++i) {
    const auto from = static_cast<float>(a[i]);
    out[i] = from + share * (static_cast<float>(b[i]) - from);
  }
}

inline void resize_pixel(float* out, const float* row, const ResizeTap& tap, size_t channels, const float* scale, const float* shift) {
  for (size_t c = 0; c < channels; ++c) {
    const float left = row[tap.left + c];
    out[c] = (left + tap.share * (row[tap.right + c] - left)) * scale[c] + shift[c];
  }
}

void resize_gray(float* __restrict out, const float* __restrict row, const ResizeTap* __restrict taps, size_t n, float scale, float shift) {
  for (size_t i = 0; i < n; ++i) {
    const float left = row[taps[i].left];
    out[i] = (left + taps[i].share * (row[taps[i].right] - left)) * scale + shift;
  }
}

/// Up to four channels in one register. What a pixel writes beyond its own channels the next one overwrites.
void resize_pixels(float* out, const float* row, const ResizeTap* taps, size_t n, size_t channels, const float* scale, const float* shift) {
  Pixel factor{}, added{};
  for (size_t c = 0; c < channels; ++c) factor[c] = scale[c], added[c] = shift[c];
  const size_t spill = 4 - channels;  // values that a store reaches beyond its pixel
  const size_t whole = n * channels > spill ? (n * channels - spill) / channels : 0;
  for (size_t i = 0; i < whole; ++i) {
    const Pixel left = load(row + taps[i].left);
    const Pixel value = (left + taps[i].share * (load(row + taps[i].right) - left)) * factor + added;
    std::memcpy(out + i * channels, &value, sizeof value);
  }
  for (size_t i = whole; i < n; ++i) resize_pixel(out + i * channels, row, taps[i], channels, scale, shift);
}

void resize(float* out, const float* row, const ResizeTap* taps, size_t n, size_t channels, const float* scale, const float* shift) {
  if (channels == 1) return resize_gray(out, row, taps, n, scale[0], shift[0]);
  if (channels <= 4) return resize_pixels(out, row, taps, n, channels, scale, shift);
  for (size_t i = 0; i < n; ++i) resize_pixel(out + i * channels, row, taps[i], channels, scale, shift);
}

}  // namespace

extern const ImageKernels image_table;
const ImageKernels image_table{affine<uint8_t>, affine<float>, mix<uint8_t>, mix<float>, resize};

}  // namespace sluice::SLUICE_KERNELS
