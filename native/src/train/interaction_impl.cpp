// The pairwise products of a sample's vectors, and their gradient. Compiled once per instruction set, as kernels_impl.cpp.
#include "train/interaction_impl.h"

#include "train/kernels_vectors.h"

namespace sluice::SLUICE_KERNELS {

namespace {

/// The sums of eight vectors, in their order: 21 operations instead of 7 for each.
inline V sums_of_8(const V* v) {
  typedef int I __attribute__((vector_size(32)));
  const auto pairs = [](V a, V b) { return __builtin_shuffle(a, b, I{0, 8, 2, 10, 4, 12, 6, 14}) + __builtin_shuffle(a, b, I{1, 9, 3, 11, 5, 13, 7, 15}); };
  const auto fours = [](V a, V b) { return __builtin_shuffle(a, b, I{0, 1, 8, 9, 4, 5, 12, 13}) + __builtin_shuffle(a, b, I{2, 3, 10, 11, 6, 7, 14, 15}); };
  const V low = fours(pairs(v[0], v[1]), pairs(v[2], v[3]));
  const V high = fours(pairs(v[4], v[5]), pairs(v[6], v[7]));
  return __builtin_shuffle(low, high, I{0, 1, 2, 3, 8, 9, 10, 11}) + __builtin_shuffle(low, high, I{4, 5, 6, 7, 12, 13, 14, 15});
}

/// Rows so short (d a multiple of kWidth) that adding up within the vectors would cost more than the products: eight dot
/// products with one row at once.
void dot_triangle_short(const float* x, size_t f, size_t d, float* out) {
  for (size_t i = 1; i < f; ++i) {
    const float* a = x + i * d;
    for (size_t j = 0; j < i; j += 8) {
      V acc[8];
      #pragma GCC unroll 8
      for (size_t c = 0; c < 8; ++c) {
        const float* b = x + (j + c < i ? j + c : i) * d;  // beyond the triangle: any row
        V sum = load(a) * load(b);
        for (size_t k = kWidth; k < d; k += kWidth) sum += load(a + k) * load(b + k);
        acc[c] = sum;
      }
      const V sums = sums_of_8(acc);
      const size_t n = i - j < 8 ? i - j : 8;
      if (n == 8) {
        store(out + j, sums);
      } else {
        std::memcpy(out + j, &sums, n * sizeof(float));
      }
    }
    out += i;
  }
}

/// kDotRows rows times kDotCols rows of length d at once: what the registers hold.
constexpr size_t kDotRows = 4;
constexpr size_t kDotCols = kWideWidth > kWidth ? 4 : 3;

/// Of wide vectors the sums of their halves.
inline V halved(const V& v) { return v; }
template <typename T>
inline V halved(const T& v) {
  return __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7) + __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15);
}

/// out [kDotRows, kDotCols] = the products of rows a[…] and b[…].
inline void dot_block(const float* const* a, const float* const* b, size_t d, float* out) {
  Wide acc[kDotRows][kDotCols] = {};
  size_t k = 0;
  for (; k + kWideWidth <= d; k += kWideWidth) {
    Wide bv[kDotCols];
    #pragma GCC unroll 4
    for (size_t j = 0; j < kDotCols; ++j) bv[j] = load<Wide>(b[j] + k);
    #pragma GCC unroll 4
    for (size_t i = 0; i < kDotRows; ++i) {
      const Wide av = load<Wide>(a[i] + k);
      #pragma GCC unroll 4
      for (size_t j = 0; j < kDotCols; ++j) acc[i][j] += av * bv[j];
    }
  }
  V sums[kDotRows * kDotCols];
  #pragma GCC unroll 16
  for (size_t p = 0; p < kDotRows * kDotCols; ++p) sums[p] = halved(acc[p / kDotCols][p % kDotCols]);
  store(out, sums_of_8(sums));
  if constexpr (kDotCols == 4) {
    store(out + 8, sums_of_8(sums + 8));
  } else {
    for (size_t p = 8; p < kDotRows * kDotCols; ++p) out[p] = sum(sums[p]);
  }
  if (k == d) return;
  for (size_t p = 0; p < kDotRows * kDotCols; ++p) {
    for (size_t rest = k; rest < d; ++rest) out[p] += a[p / kDotCols][rest] * b[p % kDotCols][rest];
  }
}

/// R rows x C vectors of dx = s x.
template <typename T, size_t R, size_t C>
inline void product_block(const float* s, const float* x, size_t f, size_t d, float* dx) {
  constexpr size_t kLanes = sizeof(T) / sizeof(float);
  T acc[R][C] = {};
  for (size_t k = 0; k < f; ++k) {
    T xv[C];
    #pragma GCC unroll 4
    for (size_t j = 0; j < C; ++j) xv[j] = load<T>(x + k * d + j * kLanes);
    #pragma GCC unroll 16
    for (size_t i = 0; i < R; ++i) {
      const T sv = splat<T>(s[i * f + k]);
      #pragma GCC unroll 4
      for (size_t j = 0; j < C; ++j) acc[i][j] += sv * xv[j];
    }
  }
  #pragma GCC unroll 16
  for (size_t i = 0; i < R; ++i) {
    #pragma GCC unroll 4
    for (size_t j = 0; j < C; ++j) store(dx + i * d + j * kLanes, acc[i][j]);
  }
}

/// The same for a number of rows known only at run time, 1 … R.
template <typename T, size_t R, size_t C>
void product_rows(const float* s, const float* x, size_t f, size_t d, size_t rows, float* dx) {
  if constexpr (R > 1) {
    if (rows < R) return product_rows<T, R - 1, C>(s, x, f, d, rows, dx);
  }
  product_block<T, R, C>(s, x, f, d, dx);
}

constexpr size_t kProductRows = kWideWidth > kWidth ? 14 : 4;  // as many as there are registers for, two vectors each

/// Columns c … of dx as long as C vectors fit; returns where they no longer do.
template <typename T, size_t C>
size_t product_columns(const float* s, const float* x, size_t f, size_t d, size_t c, float* dx) {
  constexpr size_t kColumns = C * sizeof(T) / sizeof(float);
  for (; c + kColumns <= d; c += kColumns) {
    for (size_t i = 0; i < f; i += kProductRows) {
      product_rows<T, kProductRows, C>(s + i * f, x + c, f, d, f - i < kProductRows ? f - i : kProductRows, dx + i * d + c);
    }
  }
  return c;
}

}  // namespace

void dot_triangle(const float* x, size_t f, size_t d, float* out) {
  constexpr size_t kShort = 32;
  if (f < 2) return;
  if (d <= kShort && d > 0 && d % kWidth == 0) return dot_triangle_short(x, f, d, out);
  float block[kDotRows * kDotCols];
  const float *a[kDotRows], *b[kDotCols];
  for (size_t i = 0; i < f; i += kDotRows) {
    const size_t rows = f - i < kDotRows ? f - i : kDotRows;
    for (size_t r = 0; r < kDotRows; ++r) a[r] = x + (i + r < f ? i + r : i) * d;  // beyond the last: any row
    for (size_t j = 0; j + 1 < i + rows; j += kDotCols) {
      for (size_t c = 0; c < kDotCols; ++c) b[c] = x + (j + c < f ? j + c : j) * d;
      dot_block(a, b, d, block);
      for (size_t r = 0; r < rows; ++r) {
        const size_t row = i + r;
        float* to = out + row * (row - 1) / 2 + j;
        if (row >= j + kDotCols) {
          std::memcpy(to, block + r * kDotCols, kDotCols * sizeof(float));
        } else {
          for (size_t c = 0; j + c < row; ++c) to[c] = block[r * kDotCols + c];
        }
      }
    }
  }
}

void dot_triangle_grad(const float* dz, const float* x, size_t f, size_t d, float* s, float* dx) {
  for (size_t i = 0; i < f; dz += i++) {
    s[i * f + i] = 0.0F;
    float* row = s + i * f;
    size_t j = 0;
    for (; j + kWidth <= i; j += kWidth) {
      store(row + j, load(dz + j));
      #pragma GCC unroll 8
      for (size_t c = j; c < j + kWidth; ++c) s[c * f + i] = dz[c];
    }
    for (; j < i; ++j) row[j] = s[j * f + i] = dz[j];
  }
  size_t c = product_columns<Wide, 2>(s, x, f, d, 0, dx);
  c = product_columns<Wide, 1>(s, x, f, d, c, dx);
  c = product_columns<V, 1>(s, x, f, d, c, dx);
  for (; c < d; ++c) {
    for (size_t i = 0; i < f; ++i) {
      float acc = 0.0F;
      for (size_t k = 0; k < f; ++k) acc += s[i * f + k] * x[k * d + c];
      dx[i * d + c] = acc;
    }
  }
}

}  // namespace sluice::SLUICE_KERNELS
