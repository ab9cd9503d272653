#include "train/image_encoder.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/rng.h"

namespace sluice {

namespace {

constexpr size_t kRun = 512;  // values that are converted at a time, roughly
constexpr uint64_t kStream = 0x6175676d656e74ULL;
constexpr int kAreaTrials = 10;
constexpr double kLeastArea = 0.08;

/// As torchvision's center_crop: rounded half to even.
int32_t centred(int32_t whole, int32_t part) { return static_cast<int32_t>(std::lrint((whole - part) / 2.0)); }

int32_t below(Rng& rng, int32_t bound) { return static_cast<int32_t>(rng.below(static_cast<uint64_t>(bound))); }

/// Position i of `to` output pixels in `from` input pixels, as torch.nn.functional.interpolate (bilinear, align_corners=False).
struct Position {
  int32_t low, high;
  float share;
  Position(int32_t i, int32_t from, int32_t to) {
    const float at = std::max(0.0F, (static_cast<float>(i) + 0.5F) * (static_cast<float>(from) / static_cast<float>(to)) - 0.5F);
    low = std::min(static_cast<int32_t>(at), from - 1);
    high = std::min(low + 1, from - 1);
    share = at - static_cast<float>(low);
  }
};

void affine(const uint8_t* in, const float* scale, const float* shift, size_t n, float* out) { image_kernels().affine_u8(out, in, scale, shift, n); }
void affine(const float* in, const float* scale, const float* shift, size_t n, float* out) { image_kernels().affine_f32(out, in, scale, shift, n); }
void mix(const uint8_t* a, const uint8_t* b, float share, size_t n, float* out) { image_kernels().mix_u8(out, a, b, share, n); }
void mix(const float* a, const float* b, float share, size_t n, float* out) { image_kernels().mix_f32(out, a, b, share, n); }

template <size_t Bytes>
void reverse_pixels(const uint8_t* in, size_t pixels, uint8_t* out) {
  for (size_t i = 0; i < pixels; ++i) std::memcpy(out + (pixels - 1 - i) * Bytes, in + i * Bytes, Bytes);
}

/// Pixels of so many bytes in reverse order.
void reverse(const uint8_t* in, size_t pixels, size_t bytes, uint8_t* out) {
  if (bytes == 1) return reverse_pixels<1>(in, pixels, out);
  if (bytes == 3) return reverse_pixels<3>(in, pixels, out);
  if (bytes == 4) return reverse_pixels<4>(in, pixels, out);
  if (bytes == 12) return reverse_pixels<12>(in, pixels, out);
  for (size_t i = 0; i < pixels; ++i) std::memcpy(out + (pixels - 1 - i) * bytes, in + i * bytes, bytes);
}

/// Of channel c; one value stands for all channels, none for the default.
float of_channel(const std::vector<float>& values, size_t c, float otherwise) {
  return values.empty() ? otherwise : values[values.size() == 1 ? 0 : c];
}

}  // namespace

ImageEncoder::ImageEncoder(const TensorFeature& feature, const Column& column)
    : type_(column.type), crop_(feature.crop), flip_(feature.flip), pad_(static_cast<int32_t>(feature.pad)) {
  const bool image = column.shape.size() == 3;
  channels_ = column.shape.back();
  stored_height_ = image ? static_cast<int32_t>(column.shape[0]) : 1;
  stored_width_ = image ? static_cast<int32_t>(column.shape[1]) : static_cast<int32_t>(column.elements() / channels_);
  height_ = image && feature.height > 0 ? static_cast<int32_t>(feature.height) : stored_height_;
  width_ = image && feature.height > 0 ? static_cast<int32_t>(feature.width) : stored_width_;
  const float unit = type_ == ColumnType::kU8 ? 1.0F / 255.0F : 1.0F;
  const size_t run = std::max<size_t>(1, kRun / channels_) * channels_;
  scale_.resize(run);
  shift_.resize(run);
  for (size_t i = 0; i < run; ++i) {
    const float deviation = of_channel(feature.deviation, i % channels_, 1.0F);
    scale_[i] = unit / deviation;
    shift_[i] = -of_channel(feature.mean, i % channels_, 0.0F) / deviation;
  }
}

void ImageEncoder::encode(const uint8_t* tensor, uint64_t key, const std::optional<Augment>& augment, float* out, Scratch& scratch) const {
  const Region part = region(key, augment);
  const auto run = [&](const auto* image) {
    if (part.height == height_ && part.width == width_) {
      crop(image, part, out, scratch);
    } else {
      resize(image, part, out, scratch);
    }
  };
  if (type_ == ColumnType::kU8) {
    run(tensor);
  } else {
    run(reinterpret_cast<const float*>(tensor));  // columns lie at multiples of 4
  }
}

Region ImageEncoder::region(uint64_t key, const std::optional<Augment>& augment) const {
  if (!augment) return centre();
  if (!flip_ && (crop_ == Crop::kNone || crop_ == Crop::kCenter)) return centre();
  Rng rng(splitmix64(augment->seed ^ kStream) + augment->epoch, key);
  Region part;
  if (crop_ == Crop::kRandom) {
    part = {below(rng, stored_height_ + 2 * pad_ - height_ + 1) - pad_, below(rng, stored_width_ + 2 * pad_ - width_ + 1) - pad_, height_, width_};
  } else if (crop_ == Crop::kRandomResized) {
    part = random_area(rng);
  } else {
    part = centre();
  }
  part.flip = flip_ && rng.below(2) == 1;
  return part;
}

/// torchvision's RandomResizedCrop.get_params() with its default scale and ratio (Szegedy et al., 2015, arXiv 1409.4842).
Region ImageEncoder::random_area(Rng& rng) const {
  const double area = static_cast<double>(stored_height_) * stored_width_;
  const double most = std::log(4.0 / 3.0);
  for (int trial = 0; trial < kAreaTrials; ++trial) {
    const double target = area * (kLeastArea + (1.0 - kLeastArea) * rng.uniform());
    const double aspect = std::exp(most * (2.0 * rng.uniform() - 1.0));
    const auto width = static_cast<int32_t>(std::lrint(std::sqrt(target * aspect)));
    const auto height = static_cast<int32_t>(std::lrint(std::sqrt(target / aspect)));
    if (width < 1 || width > stored_width_ || height < 1 || height > stored_height_) continue;
    return {below(rng, stored_height_ - height + 1), below(rng, stored_width_ - width + 1), height, width};
  }
  const double aspect = std::clamp(static_cast<double>(stored_width_) / stored_height_, 3.0 / 4.0, 4.0 / 3.0);
  const int32_t width = std::min(stored_width_, std::max(1, static_cast<int32_t>(std::lrint(stored_height_ * aspect))));
  const int32_t height = std::min(stored_height_, std::max(1, static_cast<int32_t>(std::lrint(stored_width_ / aspect))));
  return {centred(stored_height_, height), centred(stored_width_, width), height, width};
}

/// Without a crop all of it; else as much as the model sees. An image that is smaller than what random areas are resized to
/// gives the largest centred part of the same aspect ratio.
Region ImageEncoder::centre() const {
  if (crop_ == Crop::kNone) return {0, 0, stored_height_, stored_width_};
  int32_t height = height_;
  int32_t width = width_;
  if (crop_ == Crop::kRandomResized && (height > stored_height_ || width > stored_width_)) {
    const double shrink = std::min(static_cast<double>(stored_height_) / height_, static_cast<double>(stored_width_) / width_);
    height = std::clamp(static_cast<int32_t>(std::lrint(height_ * shrink)), 1, stored_height_);
    width = std::clamp(static_cast<int32_t>(std::lrint(width_ * shrink)), 1, stored_width_);
  }
  return {centred(stored_height_, height), centred(stored_width_, width), height, width};
}

/// n values from the start of a pixel.
template <typename T>
void ImageEncoder::convert(const T* in, size_t n, float* out) const {
  for (size_t i = 0; i < n; i += scale_.size()) affine(in + i, scale_.data(), shift_.data(), std::min(scale_.size(), n - i), out + i);
}

/// n values of an image that is zero there.
void ImageEncoder::fill(size_t n, float* out) const {
  for (size_t i = 0; i < n; i += shift_.size()) std::copy_n(shift_.data(), std::min(shift_.size(), n - i), out + i);
}

template <typename T>
void ImageEncoder::crop(const T* image, const Region& region, float* out, Scratch& scratch) const {
  const size_t row = static_cast<size_t>(width_) * channels_;
  if (!region.flip && region.top == 0 && region.left == 0 && height_ == stored_height_ && width_ == stored_width_) {
    return convert(image, row * static_cast<size_t>(height_), out);
  }
  const int32_t before = std::clamp(-region.left, 0, width_);  // pixels of zero on the left side
  const int32_t inside = std::max(0, std::min(stored_width_, region.left + width_) - std::max(0, region.left));
  const int32_t after = width_ - before - inside;
  const size_t pixel = channels_ * sizeof(T);
  scratch.flipped.resize(region.flip ? pixel * static_cast<size_t>(inside) : 0);
  for (int32_t y = 0; y < height_; ++y, out += row) {
    const int32_t from = region.top + y;
    if (from < 0 || from >= stored_height_ || inside == 0) {
      fill(row, out);
      continue;
    }
    const T* in = image + (static_cast<size_t>(from) * static_cast<size_t>(stored_width_) + static_cast<size_t>(std::max(0, region.left))) * channels_;
    if (region.flip) {
      reverse(reinterpret_cast<const uint8_t*>(in), static_cast<size_t>(inside), pixel, scratch.flipped.data());
      in = reinterpret_cast<const T*>(scratch.flipped.data());
    }
    const size_t first = static_cast<size_t>(region.flip ? after : before) * channels_;
    const size_t n = static_cast<size_t>(inside) * channels_;
    fill(first, out);
    convert(in, n, out + first);
    fill(row - first - n, out + first + n);
  }
}

/// Bilinear, without a low-pass filter: rows are mixed first, then the pixels of the mixed row.
template <typename T>
void ImageEncoder::resize(const T* image, const Region& region, float* out, Scratch& scratch) const {
  const size_t stride = static_cast<size_t>(stored_width_) * channels_;
  const size_t n = static_cast<size_t>(region.width) * channels_;
  const auto channels = static_cast<uint32_t>(channels_);
  scratch.row.resize(n + kResizePadding);
  scratch.taps.resize(static_cast<size_t>(width_));
  for (int32_t x = 0; x < width_; ++x) {
    const Position at(region.flip ? width_ - 1 - x : x, region.width, width_);
    scratch.taps[static_cast<size_t>(x)] = {static_cast<uint32_t>(at.low) * channels, static_cast<uint32_t>(at.high) * channels, at.share};
  }
  const T* origin = image + static_cast<size_t>(region.top) * stride + static_cast<size_t>(region.left) * channels_;
  for (int32_t y = 0; y < height_; ++y) {
    const Position at(y, region.height, height_);
    mix(origin + static_cast<size_t>(at.low) * stride, origin + static_cast<size_t>(at.high) * stride, at.share, n, scratch.row.data());
    image_kernels().resize(out, scratch.row.data(), scratch.taps.data(), scratch.taps.size(), channels_, scale_.data(), shift_.data());
    out += static_cast<size_t>(width_) * channels_;
  }
}

}  // namespace sluice
