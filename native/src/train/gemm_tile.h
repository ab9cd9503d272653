// The tile products of gemm_kernels.h for any element: Op gives the vector type and multiply-and-add with one element of a
// spread over a vector. Included only by the files that instantiate it.
#pragma once
#include <algorithm>
#include <cstring>

#include "train/gemm_kernels.h"

namespace sluice::SLUICE_KERNELS {

namespace {

constexpr size_t kLine = 64 / sizeof(float);

template <typename V>
inline V load(const float* p) {
  V v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
template <typename V>
inline void store(float* p, const V& v) {
  std::memcpy(p, &v, sizeof v);
}

/// R rows of two vectors: c = a x b. Sums stay in registers over all of k. Sends for the rows of a's next panel, which no hardware
/// foresees, in the last panel for what is wanted soon.
template <typename Op, size_t R>
inline void rows_block(const float* a, size_t a_panel, const float* b, size_t k, const Ahead& ahead, float* c) {
  using V = typename Op::V;
  constexpr size_t kLanes = sizeof(V) / sizeof(float);
  V acc[R][2] = {};
  const float* next = ahead.next;
  for (size_t first = 0; first < k; first += kPanel, a += a_panel) {
    const size_t n = std::min(kPanel, k - first);
    const bool last = first + kPanel >= k;
    const float* soon0 = last ? ahead.soon[0] : a + a_panel;
    const float* soon1 = last ? ahead.soon[1] : soon0;
    const float* soon2 = last ? ahead.soon[2] : soon0;
    for (size_t i = 0; i < n; ++i, b += kPanel, next += kLine) {
      __builtin_prefetch(next, 0, 2);
      __builtin_prefetch(soon0 + i * kLine, 1);
      __builtin_prefetch(soon1 + i * kLine, 1);
      __builtin_prefetch(soon2 + i * kLine, 1);
      const V b0 = load<V>(b);
      const V b1 = load<V>(b + kLanes);
      #pragma GCC unroll 14
      for (size_t r = 0; r < R; ++r) {
        const V av = Op::spread(a + r * kPanel + i);
        acc[r][0] = Op::add(acc[r][0], av, b0);
        acc[r][1] = Op::add(acc[r][1], av, b1);
      }
    }
  }
  #pragma GCC unroll 14
  for (size_t r = 0; r < R; ++r) {
    store(c + r * kPanel, acc[r][0]);
    store(c + r * kPanel + kLanes, acc[r][1]);
  }
}

template <typename Op, size_t R>
void rows_of(const float* a, size_t a_panel, const float* b, size_t k, size_t rows, const Ahead& ahead, float* tile) {
  if constexpr (R > 0) {
    if (rows < R) return rows_of<Op, R - 1>(a, a_panel, b, k, rows, ahead, tile);
    rows_block<Op, R>(a, a_panel, b, k, ahead, tile);
  }
}

/// Op::kRows rows at a time: what its registers hold.
template <typename Op>
void tile_rows(const float* a, size_t a_panel, const float* b, size_t k, size_t rows, const Ahead& ahead, float* tile) {
  constexpr size_t kColumns = 2 * sizeof(typename Op::V) / sizeof(float);
  for (size_t r = 0; r < rows; r += Op::kRows) {
    const size_t n = std::min(Op::kRows, rows - r);
    for (size_t c = 0; c < kPanel; c += kColumns) rows_of<Op, Op::kRows>(a + r * kPanel, a_panel, b + c, k, n, ahead, tile + r * kPanel + c);
  }
}

/// The four passes over a and b also send for the k rows that follow, a cache line a turn: panels stream from the shared cache.
template <typename Op>
void tile_columns(const float* a, const float* b, size_t k, size_t rows, float* tile) {
  using V = typename Op::V;
  constexpr size_t kLanes = sizeof(V) / sizeof(float);
  constexpr size_t R = Op::kColumnRows;
  for (size_t r = 0; r < rows; r += R) {
    for (size_t c = 0; c < kPanel; c += 2 * kLanes) {
      V acc[R][2];
      float* out = tile + r * kPanel + c;
      #pragma GCC unroll 8
      for (size_t j = 0; j < R; ++j) {
        acc[j][0] = load<V>(out + j * kPanel);
        acc[j][1] = load<V>(out + j * kPanel + kLanes);
      }
      const float* ap = a + r;
      const float* bp = b + c;
      const size_t pass = r / R + c;
      const float* next = (pass % 2 == 0 ? a : b) + k * kPanel + pass / 2 % 2 * (kPanel / 2);
      for (size_t i = 0; i < k; ++i, ap += kPanel, bp += kPanel, next += kPanel) {
        __builtin_prefetch(next);
        const V b0 = load<V>(bp);
        const V b1 = load<V>(bp + kLanes);
        #pragma GCC unroll 8
        for (size_t j = 0; j < R; ++j) {
          const V av = Op::spread(ap + j);
          acc[j][0] = Op::add(acc[j][0], av, b0);
          acc[j][1] = Op::add(acc[j][1], av, b1);
        }
      }
      #pragma GCC unroll 8
      for (size_t j = 0; j < R; ++j) {
        store(out + j * kPanel, acc[j][0]);
        store(out + j * kPanel + kLanes, acc[j][1]);
      }
    }
  }
}

}  // namespace

}  // namespace sluice::SLUICE_KERNELS
