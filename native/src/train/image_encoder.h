// A stored tensor as a model sees it: scaled and normalised, an image also cropped, resized and flipped.
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "train/features.h"
#include "train/image_kernels.h"

namespace sluice {

/// Where the random choices of augmentation come from: the same seed, epoch and key give the same choices, whatever batch or
/// thread the sample is in.
struct Augment {
  uint64_t seed = 0;
  uint64_t epoch = 0;
};

/// The part of a stored image that becomes the model's input; it may reach beyond the image, where it is zero.
struct Region {
  int32_t top = 0;
  int32_t left = 0;
  int32_t height = 0;
  int32_t width = 0;
  bool flip = false;
};

class ImageEncoder {
 public:
  /// Buffers of one thread.
  struct Scratch {
    std::vector<float> row;
    std::vector<ResizeTap> taps;
    std::vector<uint8_t> flipped;
  };

  /// The feature has passed check_features().
  ImageEncoder(const TensorFeature& feature, const Column& column);

  /// Values of one sample in the model's input.
  size_t elements() const { return static_cast<size_t>(height_) * static_cast<size_t>(width_) * channels_; }
  /// `tensor` is as stored. Without `augment` the choice is that of evaluation.
  void encode(const uint8_t* tensor, uint64_t key, const std::optional<Augment>& augment, float* out, Scratch& scratch) const;
  Region region(uint64_t key, const std::optional<Augment>& augment) const;

 private:
  Region random_area(class Rng& rng) const;
  Region centre() const;
  template <typename T>
  void crop(const T* image, const Region& region, float* out, Scratch& scratch) const;
  template <typename T>
  void resize(const T* image, const Region& region, float* out, Scratch& scratch) const;
  template <typename T>
  void convert(const T* in, size_t n, float* out) const;
  void fill(size_t n, float* out) const;

  ColumnType type_;
  Crop crop_;
  bool flip_;
  int32_t pad_;
  int32_t stored_height_, stored_width_;
  int32_t height_, width_;
  size_t channels_;
  std::vector<float> scale_, shift_;  // a run of whole pixels, so that inner loops need not count channels
};

}  // namespace sluice
