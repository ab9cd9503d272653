// The dot interaction of DLRM, fused with the gather of embedding rows: a warp holds the vectors of a sample in scratch memory.
// Products are formed in fp32 from operands rounded to T, in tiles of registers.
#pragma once
#include "cuda/step_state.h"
#include "cuda/work.h"

namespace sluice::gpu {

/// Place of the product of vectors i > j in the strictly lower triangle, row by row.
SLUICE_DEVICE inline uint32_t pair_index(uint32_t i, uint32_t j) { return i * (i - 1) / 2 + j; }

/// The row I and column J <= I of tile number n of a lower triangle of tiles, row by row.
struct Tile {
  uint32_t row;
  uint32_t column;
  SLUICE_DEVICE static Tile number(uint32_t n) {
    uint32_t row = 0;
    while ((row + 1) * (row + 2) / 2 <= n) ++row;
    return {row, n - row * (row + 1) / 2};
  }
};

/// What forward and backward pass share. A sample's vectors are the bottom MLP's output, if there is one, then a row of each table.
struct InteractionShape {
  uint32_t tables;
  uint32_t has_dense;      // 0 or 1
  uint32_t width;          // of a vector
  uint32_t stride;         // of a row of the joint table: width rounded up to 4, the rest zero
  uint32_t dense_stride;   // of the bottom MLP's output and its gradient, a multiple of 8
  uint32_t z_stride;       // of the result, a multiple of 8

  SLUICE_DEVICE uint32_t vectors() const { return tables + has_dense; }
  SLUICE_DEVICE uint32_t pairs() const { return vectors() * (vectors() - 1) / 2; }
  /// The first vector stands before the products where it is the bottom MLP's output or the only one.
  SLUICE_DEVICE bool copies() const { return has_dense != 0 || vectors() == 1; }
  SLUICE_DEVICE uint32_t products_at() const { return copies() ? width : 0; }
  SLUICE_DEVICE uint32_t x_stride() const { return stride + 4; }  // in scratch: rows begin in different banks
  SLUICE_DEVICE uint32_t s_stride() const { return (vectors() + 7) / 8 * 8; }
  SLUICE_DEVICE uint32_t x_floats() const { return vectors() * x_stride(); }
};

/// Per item, a sample b: z[b] = the first vector where copies(), the products of all pairs, zeros up to z_stride.
template <typename T>
struct InteractionForward {
  static constexpr int kPhases = 3;
  InteractionShape shape;
  uint32_t batch;
  const float* weight;         // the joint table
  const int64_t* offsets;      // [tables]: where each table begins in it
  const int32_t* categorical;  // [tables, batch]
  const T* dense;              // [batch, dense_stride]
  T* saved;                    // [batch * tables, stride]: the rows as they are now, for the backward pass; null where there is none
  T* z;                        // [batch, z_stride]

  SLUICE_DEVICE uint32_t scratch() const { return shape.x_floats() + shape.z_stride; }

  template <int phase>
  SLUICE_DEVICE void run(uint64_t b, Lane lane) const {
    float* x = lane.scratch;
    float* out = x + shape.x_floats();
    if constexpr (phase == 0) gather(b, lane, x);
    if constexpr (phase == 1) products(lane, x, out);
    if constexpr (phase == 2) {
      for (uint32_t c = 4 * lane.index; c < shape.z_stride; c += 4 * kLanes) store4(z + b * shape.z_stride + c, load4(out + c));
    }
  }

 private:
  SLUICE_DEVICE void gather(uint64_t b, Lane lane, float* x) const {
    const uint32_t quads = shape.stride / 4;
    for (uint32_t i = lane.index; i < shape.vectors() * quads; i += kLanes) {
      const uint32_t vector = i / quads;
      const uint32_t c = 4 * (i % quads);
      Quad q;
      if (vector < shape.has_dense) {
        q = load4(dense + b * shape.dense_stride + c);
      } else {
        const uint32_t table = vector - shape.has_dense;
        const auto row = static_cast<uint64_t>(offsets[table] + categorical[uint64_t{table} * batch + b]);
        q = rounded<T>(load4(weight + row * shape.stride + c));
        if (saved != nullptr) store4(saved + (b * shape.tables + table) * shape.stride + c, q);
      }
      *reinterpret_cast<Quad*>(x + vector * shape.x_stride() + c) = q;
    }
  }

  /// Into out [z_stride], tiles of 4 x 4 products to a lane.
  SLUICE_DEVICE void products(Lane lane, const float* x, float* out) const {
    const uint32_t vectors = shape.vectors();
    if (shape.copies()) {
      for (uint32_t c = lane.index; c < shape.width; c += kLanes) out[c] = x[c];
    }
    for (uint32_t c = shape.products_at() + shape.pairs() + lane.index; c < shape.z_stride; c += kLanes) out[c] = 0.0F;
    const uint32_t side = (vectors + 3) / 4;
    for (uint32_t n = lane.index; n < side * (side + 1) / 2; n += kLanes) tile(Tile::number(n), x, out + shape.products_at());
  }

  SLUICE_DEVICE void tile(Tile at, const float* x, float* out) const {
    const uint32_t last = shape.vectors() - 1;
    const float* left[4];
    const float* right[4];
    for (uint32_t k = 0; k < 4; ++k) {
      const uint32_t i = 4 * at.row + k;
      const uint32_t j = 4 * at.column + k;
      left[k] = x + (i < last ? i : last) * shape.x_stride();
      right[k] = x + (j < last ? j : last) * shape.x_stride();
    }
    float sums[4][4] = {};
    for (uint32_t c = 0; c < shape.stride; c += 4) {
      Quad a[4];
      Quad b[4];
      for (uint32_t k = 0; k < 4; ++k) {
        a[k] = load4(left[k] + c);
        b[k] = load4(right[k] + c);
      }
      for (uint32_t i = 0; i < 4; ++i) {
        for (uint32_t j = 0; j < 4; ++j) {
          for (uint32_t e = 0; e < 4; ++e) sums[i][j] += a[i].v[e] * b[j].v[e];
        }
      }
    }
    for (uint32_t k = 0; k < 4; ++k) {
      for (uint32_t l = 0; l < 4; ++l) {
        const uint32_t i = 4 * at.row + k;
        const uint32_t j = 4 * at.column + l;
        if (i <= last && j < i) out[pair_index(i, j)] = sums[k][l];
      }
    }
  }
};

/// Adds to *at; on a GPU in one piece, so that no addition is lost.
SLUICE_DEVICE inline void add(float* at, float value) {
#if defined(__CUDA_ARCH__)
  atomicAdd(at, value);
#else
  *at += value;
#endif
}

/// Plain SGD on the rows from within the backward pass: additions in any order. Null weight: gradients are kept instead.
struct AtOnce {
  float* weight = nullptr;
  const int64_t* offsets = nullptr;
  const int32_t* categorical = nullptr;
  const Optimizer* optimizers = nullptr;
  const uint32_t* optimizer_of = nullptr;  // [tables]
  const StepState* state = nullptr;
};

/// Per item, a sample b: from the gradient of z[b] to those of its vectors: the bottom MLP's output's into dense_grad, the
/// tables' over the saved rows, or onto the tables at once.
template <typename T>
struct InteractionBackward {
  static constexpr int kPhases = 3;
  static constexpr uint32_t kRows = 8;  // of gradients to a lane
  InteractionShape shape;
  uint32_t batch;
  const T* dense;
  const T* dz;
  T* dense_grad;  // [batch, dense_stride]
  T* rows;        // saved rows in, gradients out
  AtOnce at_once;
  int32_t* not_finite;  // set to 1 where a gradient is not; null: not asked for

  SLUICE_DEVICE uint32_t scratch() const { return shape.x_floats() + shape.z_stride + shape.vectors() * shape.s_stride(); }

  template <int phase>
  SLUICE_DEVICE void run(uint64_t b, Lane lane) const {
    float* x = lane.scratch;
    float* z = x + shape.x_floats();
    float* s = z + shape.z_stride;
    if constexpr (phase == 0) load(b, lane, x, z);
    if constexpr (phase == 1) symmetric(lane, z + shape.products_at(), s);
    if constexpr (phase == 2) {
      const uint32_t quads = shape.stride / 4;
      for (uint32_t n = lane.index; n < shape.s_stride() / kRows * quads; n += kLanes) gradients(b, kRows * (n / quads), 4 * (n % quads), x, z, s);
    }
  }

 private:
  SLUICE_DEVICE void load(uint64_t b, Lane lane, float* x, float* z) const {
    const uint32_t quads = shape.stride / 4;
    for (uint32_t i = lane.index; i < shape.vectors() * quads; i += kLanes) {
      const uint32_t vector = i / quads;
      const uint32_t c = 4 * (i % quads);
      const T* from = vector < shape.has_dense ? dense + b * shape.dense_stride : rows + (b * shape.tables + vector - shape.has_dense) * shape.stride;
      *reinterpret_cast<Quad*>(x + vector * shape.x_stride() + c) = load4(from + c);
    }
    for (uint32_t c = 4 * lane.index; c < shape.z_stride; c += 4 * kLanes) *reinterpret_cast<Quad*>(z + c) = load4(dz + b * shape.z_stride + c);
  }

  /// s [vectors, s_stride]: the symmetric matrix of which the products' gradients are the strictly lower triangle.
  SLUICE_DEVICE void symmetric(Lane lane, const float* products, float* s) const {
    const uint32_t vectors = shape.vectors();
    for (uint32_t n = lane.index; n < vectors * shape.s_stride(); n += kLanes) {
      const uint32_t i = n / shape.s_stride();
      const uint32_t j = n % shape.s_stride();
      s[n] = i == j || j >= vectors ? 0.0F : products[i > j ? pair_index(i, j) : pair_index(j, i)];
    }
  }

  /// Columns c to c + 3 of the gradients of vectors first to first + 7: rows of s x.
  SLUICE_DEVICE void gradients(uint64_t b, uint32_t first, uint32_t c, const float* x, const float* z, const float* s) const {
    Quad sums[kRows] = {};
    for (uint32_t j = 0; j < shape.vectors(); ++j) {
      const Quad xj = load4(x + j * shape.x_stride() + c);
      const float* sj = s + j * shape.s_stride() + first;
      for (uint32_t k = 0; k < kRows; ++k) {
        for (uint32_t e = 0; e < 4; ++e) sums[k].v[e] += sj[k] * xj.v[e];
      }
    }
    if (first == 0 && shape.copies()) {
      for (uint32_t e = 0; e < 4; ++e) sums[0].v[e] += c + e < shape.width ? z[c + e] : 0.0F;
    }
    for (uint32_t k = 0; k < kRows; ++k) {
      if (first + k < shape.vectors()) give(b, first + k, c, sums[k]);
    }
  }

  SLUICE_DEVICE void give(uint64_t b, uint32_t vector, uint32_t c, const Quad& q) const {
    const Quad r = rounded<T>(q);
    if (not_finite != nullptr && !finite(r.v[0] + r.v[1] + r.v[2] + r.v[3])) *not_finite = 1;
    if (vector < shape.has_dense) {
      store4(dense_grad + b * shape.dense_stride + c, q);
      return;
    }
    const uint32_t table = vector - shape.has_dense;
    if (at_once.weight == nullptr) {
      store4(rows + (b * shape.tables + table) * shape.stride + c, q);
      return;
    }
    const StepState& state = *at_once.state;
    const float factor = -at_once.optimizers[at_once.optimizer_of[table]].lr * state.lr_factor * state.gradient_scale / state.loss_scale;
    const auto row = static_cast<uint64_t>(at_once.offsets[table] + at_once.categorical[uint64_t{table} * batch + b]);
    for (uint32_t e = 0; e < 4; ++e) add(at_once.weight + row * shape.stride + c + e, factor * r.v[e]);
  }
};

}  // namespace sluice::gpu
