// What the files of kernels that are compiled once per instruction set (native/train.cmake) share: GCC's vectors, and rounding.
#pragma once
#include <cstring>

#include "train/kernels.h"

namespace sluice::SLUICE_KERNELS {

namespace {

typedef float V __attribute__((vector_size(32)));
constexpr size_t kWidth = 8;

/// As wide as the set's registers, but no narrower than V.
typedef float Wide __attribute__((vector_size(SLUICE_VECTOR_BYTES > 32 ? SLUICE_VECTOR_BYTES : 32)));
typedef uint32_t WideBits __attribute__((vector_size(sizeof(Wide))));
constexpr size_t kWideWidth = sizeof(Wide) / sizeof(float);

template <typename T = V>
inline T load(const float* p) {
  T v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
template <typename T>
inline void store(float* p, const T& v) {
  std::memcpy(p, &v, sizeof v);
}
template <typename T = V>
inline T splat(float x) {
  return x - T{};  // minus zero changes nothing, plus zero would
}
inline float sum(V v) {
  typedef float H __attribute__((vector_size(16)));
  H low, high;
  std::memcpy(&low, &v, sizeof low);
  std::memcpy(&high, reinterpret_cast<const char*>(&v) + sizeof low, sizeof high);
  H h = low + high;
  h += __builtin_shuffle(h, (int __attribute__((vector_size(16)))){2, 3, 0, 1});
  return h[0] + h[1];
}

inline float to_bf16(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  if ((bits & 0x7fffffffU) > 0x7f800000U) return x;  // NaN stays NaN
  bits = (bits + 0x7fffU + ((bits >> 16) & 1U)) & 0xffff0000U;
  std::memcpy(&x, &bits, sizeof bits);
  return x;
}
inline Wide to_bf16(Wide v) {
  WideBits bits;
  std::memcpy(&bits, &v, sizeof bits);
  const WideBits rounded = (bits + 0x7fffU + ((bits >> 16) & 1U)) & 0xffff0000U;
  bits = v == v ? rounded : bits;
  std::memcpy(&v, &bits, sizeof bits);
  return v;
}

/// Numbers of 10 bits of mantissa: normal ones are rounded in their bits, those below 2^-14 by adding 0.5, whose last bit is
/// worth 2^-24; from 65,520 on they are infinite.
inline Wide to_fp16(Wide v) {
  WideBits bits;
  std::memcpy(&bits, &v, sizeof bits);
  const WideBits sign = bits & 0x80000000U;
  const WideBits magnitude = bits ^ sign;
  const WideBits normal = (magnitude + 0xfffU + ((magnitude >> 13) & 1U)) & 0xffffe000U;
  Wide absolute;
  std::memcpy(&absolute, &magnitude, sizeof absolute);
  const Wide rounded = (absolute + 0.5F) - 0.5F;
  WideBits small;
  std::memcpy(&small, &rounded, sizeof small);
  WideBits result = magnitude < 0x38800000U ? small : normal;
  result = magnitude >= 0x477ff000U ? WideBits{} + 0x7f800000U : result;
  result = (magnitude > 0x7f800000U ? magnitude : result) | sign;
  std::memcpy(&v, &result, sizeof v);
  return v;
}
inline float to_fp16(float x) { return to_fp16(splat<Wide>(x))[0]; }

template <Rounding R, typename T>
inline T rounded(T x) {
  if constexpr (R == Rounding::kBf16) return to_bf16(x);
  if constexpr (R == Rounding::kFp16) return to_fp16(x);
  return x;
}

}  // namespace

}  // namespace sluice::SLUICE_KERNELS
