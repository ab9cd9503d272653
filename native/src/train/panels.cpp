#include "train/panels.h"

#include <cstring>

namespace sluice {

namespace {

/// Copies n floats, a whole panel's row without a call.
inline void copy_row(float* to, const float* from, size_t n) {
  if (n == kPanel) {
    std::memcpy(to, from, kPanel * sizeof(float));
  } else {
    std::memcpy(to, from, n * sizeof(float));
  }
}

/// Panels a multiple of a large power of two apart would share cache sets.
size_t padded_rows(size_t rows) { return (rows + 15) / 16 * 16 + 40; }

void send_for(const float* at, size_t floats) {
  for (size_t i = 0; i < floats; i += 16) __builtin_prefetch(at + i, 1);
}

uint32_t bits_of(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return bits;
}

/// Two bf16 numbers as an element; `low` is the earlier one.
float pair(float low, float high) {
  const uint32_t bits = bits_of(low) >> 16 | (bits_of(high) & 0xffff0000U);
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

}  // namespace

void Panels::reset(size_t rows, size_t cols, const char* purpose) {
  rows_ = rows;
  cols_ = cols;
  stride_ = padded_rows(rows) * kPanel;
  const size_t panels = panels_of(cols);
  const size_t along_cols = (form_.native ? (panels + 1) / 2 : panels) * stride_;
  if (along_cols > along_cols_.size()) along_cols_ = Buffer<float>(along_cols, purpose);
  const size_t along_rows = form_.native && over_rows_ ? panels * stride_ / 2 : 0;
  if (along_rows > along_rows_.size()) along_rows_ = Buffer<float>(along_rows, purpose);
}

/// Where the 32 bf16 numbers of a row of a panel begin; the next row's lie 64 further.
size_t Panels::half(size_t row, size_t p) const { return 2 * (p / 2 * stride_ + row * kPanel) + p % 2 * kPanel; }

void Panels::write(size_t row, size_t n, size_t p, const float* tile) {
  if (form_.native) {
    kernels().store_bf16(tile, n, reinterpret_cast<uint16_t*>(along_cols_.data()) + half(row, p), const_cast<float*>(along_rows(row, p)));
  } else {
    float* to = along_cols_.data() + p * stride_ + row * kPanel;
    for (size_t r = 0; r < n; ++r) copy_row(to + r * kPanel, tile + r * kPanel, kPanel);
  }
}

const float* Panels::read(size_t row, size_t n, size_t p, float* room) const {
  if (!form_.native) return along_cols_.data() + p * stride_ + row * kPanel;
  kernels().load_bf16(reinterpret_cast<const uint16_t*>(along_cols_.data()) + half(row, p), n, room);
  return room;
}

PackedWeights::PackedWeights(size_t out, size_t in, Form form, bool backward) : out_(out), in_(in), form_(form) {
  forward_ = Buffer<float>(panels_of(out) * elements(in) * kPanel, "packed MLP weights");
  if (backward) backward_ = Buffer<float>(panels_of(in) * elements(out) * kPanel, "packed MLP weights");
}

void PackedWeights::pack(const float* w) {
  const size_t across = panels_of(in_);
  run_units(panels_of(out_), [&](size_t op) {
    for (size_t ip = 0; ip < across; ++ip) pack_tile(w, op, ip);
  });
}

void PackedWeights::pack_tile(const float* w, size_t op, size_t ip) {
  alignas(64) float t[kPanel * kPanel];
  const size_t outs = std::min(kPanel, out_ - op * kPanel);
  const size_t ins = std::min(kPanel, in_ - ip * kPanel);
  if (outs < kPanel || ins < kPanel) std::fill_n(t, kPanel * kPanel, 0.0F);
  for (size_t o = 0; o < outs; ++o) kernels().round(t + o * kPanel, w + (op * kPanel + o) * in_ + ip * kPanel, ins, form_.rounding);
  float* across = forward_.data() + (op * elements(in_) + ip * elements(kPanel)) * kPanel;
  for (size_t i = 0; i < elements(ins); ++i, across += kPanel) {
    for (size_t o = 0; o < kPanel; ++o) across[o] = form_.native ? pair(t[o * kPanel + 2 * i], t[o * kPanel + 2 * i + 1]) : t[o * kPanel + i];
  }
  if (backward_.empty()) return;
  float* down = backward_.data() + (ip * elements(out_) + op * elements(kPanel)) * kPanel;
  for (size_t o = 0; o < elements(outs); ++o, down += kPanel) {
    for (size_t i = 0; i < kPanel; ++i) down[i] = form_.native ? pair(t[2 * o * kPanel + i], t[(2 * o + 1) * kPanel + i]) : t[o * kPanel + i];
  }
}

void PackedWeights::prefetch_tile(size_t op, size_t ip) const {
  const size_t floats = elements(kPanel) * kPanel;
  send_for(forward(op) + ip * floats, floats);
  if (!backward_.empty()) send_for(backward(ip) + op * floats, floats);
}

void for_gradient_tiles(const Panels& dy, const Panels& x, const std::function<void(size_t, size_t)>& meanwhile,
                        const std::function<void(size_t, size_t, const float*)>& work) {
  constexpr size_t kGroup = 8;
  constexpr size_t kRows = 96;  // of both panels: with the tile they fill a first-level cache
  const GemmKernels& gemm = gemm_kernels(x.form().native);
  const size_t across = panels_of(x.cols());
  const size_t groups = (across + kGroup - 1) / kGroup;
  const size_t k = x.row_elements();
  run_units(panels_of(dy.cols()) * groups, [&](size_t unit) {
    alignas(64) float tile[kPanel * kPanel];
    const size_t op = unit / groups;
    const size_t outs = std::min(kPanel, dy.cols() - op * kPanel);
    const size_t first = unit % groups * kGroup;
    for (size_t ip = first; ip < std::min(across, first + kGroup); ++ip) {
      std::fill_n(tile, kPanel * kPanel, 0.0F);
      for (size_t r = 0; r < k; r += kRows) {
        if (r + kRows >= k) meanwhile(op, ip);
        gemm.columns(dy.panel(op) + r * kPanel, x.panel(ip) + r * kPanel, std::min(kRows, k - r), outs, tile);
      }
      work(op, ip, tile);
    }
  });
}

void RowMajor::write(size_t row, size_t n, size_t p, size_t cols, const float* tile) const {
  const size_t width = std::min(kPanel, cols - p * kPanel);
  for (size_t r = 0; r < n; ++r) copy_row(data + (row + r) * stride + p * kPanel, tile + r * kPanel, width);
}

void read_tile(const float* x, size_t stride, size_t row, size_t n, size_t p, size_t cols, float* tile) {
  const size_t width = std::min(kPanel, cols - p * kPanel);
  if (width < kPanel) std::fill_n(tile, n * kPanel, 0.0F);
  for (size_t r = 0; r < n; ++r) copy_row(tile + r * kPanel, x + (row + r) * stride + p * kPanel, width);
}

}  // namespace sluice
