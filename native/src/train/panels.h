// Matrices cut into panels (gemm_kernels.h), and products of them on all compute threads. Results depend neither on the
// number of threads nor on their timing: every sum is made by one thread in a fixed order.
#pragma once
#include <algorithm>
#include <cstddef>
#include <functional>

#include "base/buffer.h"
#include "train/compute.h"
#include "train/gemm_kernels.h"
#include "train/kernels.h"

namespace sluice {

constexpr size_t panels_of(size_t cols) { return (cols + kPanel - 1) / kPanel; }

/// How numbers are kept: in fp32, rounded or not, or as bf16 for the CPU's own units.
struct Form {
  Rounding rounding = Rounding::kNone;
  bool native = false;  // with kBf16 only
};

/// A matrix [rows, cols] as a factor of products over its columns, and over its rows. In fp32 one copy serves both; in bf16
/// there is one with pairs along the columns and one with pairs along the rows. Columns beyond cols are zero.
class Panels {
 public:
  Panels() = default;
  /// over_rows: products over rows are wanted too.
  Panels(Form form, bool over_rows) : form_(form), over_rows_(over_rows) {}

  /// Makes room; contents are lost.
  void reset(size_t rows, size_t cols, const char* purpose);
  size_t rows() const { return rows_; }
  size_t cols() const { return cols_; }
  const Form& form() const { return form_; }

  /// The left factor of GemmKernels::rows, from a row on; elements along the columns.
  const float* left(size_t row) const { return along_cols_.data() + row * kPanel; }
  size_t left_stride() const { return stride_; }
  size_t left_elements() const { return form_.native ? (cols_ + 1) / 2 : cols_; }
  /// A factor of GemmKernels::columns; elements along the rows.
  const float* panel(size_t p) const { return form_.native ? along_rows_.data() + p * stride_ / 2 : along_cols_.data() + p * stride_; }
  size_t row_elements() const { return form_.native ? (rows_ + 1) / 2 : rows_; }

  /// Where write() and read() begin to touch the copy along the columns, and write() the one along the rows, or null.
  const float* along_cols(size_t row, size_t p) const { return along_cols_.data() + (form_.native ? p / 2 : p) * stride_ + row * kPanel; }
  const float* along_rows(size_t row, size_t p) const { return form_.native && over_rows_ ? along_rows_.data() + p * stride_ / 2 + row / 2 * kPanel : nullptr; }
  /// Rows row … row + n of a panel from a tile, whose numbers are rounded already. row is even.
  void write(size_t row, size_t n, size_t p, const float* tile);
  /// The same rows as fp32: into `room`, or where they lie.
  const float* read(size_t row, size_t n, size_t p, float* room) const;

 private:
  size_t half(size_t row, size_t p) const;

  Form form_;
  bool over_rows_ = false;
  size_t rows_ = 0, cols_ = 0;
  size_t stride_ = 0;  // floats from a panel of along_cols_ to the next
  Buffer<float> along_cols_;
  Buffer<float> along_rows_;
};

/// Weights [out, in] as right factors: of x w^T and of dy w.
class PackedWeights {
 public:
  PackedWeights() = default;
  PackedWeights(size_t out, size_t in, Form form, bool backward);
  size_t out() const { return out_; }
  size_t in() const { return in_; }
  /// From row-major w [out, in].
  void pack(const float* w);
  /// Only rows 32 op … and columns 32 ip … of it.
  void pack_tile(const float* w, size_t op, size_t ip);
  /// Sends for what pack_tile() will write.
  void prefetch_tile(size_t op, size_t ip) const;
  const float* forward(size_t op) const { return forward_.data() + op * elements(in_) * kPanel; }
  const float* backward(size_t ip) const { return backward_.data() + ip * elements(out_) * kPanel; }

 private:
  size_t elements(size_t n) const { return form_.native ? (n + 1) / 2 : n; }
  size_t out_ = 0, in_ = 0;
  Form form_;
  Buffer<float> forward_, backward_;
};

/// Rows of a matrix are handed out in runs, the same ones whatever the threads.
class RowRuns {
 public:
  explicit RowRuns(size_t rows) : rows_(rows), runs_(std::max<size_t>(1, (rows + kRun - 1) / kRun)), each_(even((rows + runs_ - 1) / runs_)) {}
  size_t count() const { return runs_; }
  size_t begin(size_t run) const { return std::min(rows_, run * each_); }
  static constexpr size_t even(size_t n) { return (n + 1) / 2 * 2; }

 private:
  static constexpr size_t kRun = 8 * kTileRows;  // with 1,024 columns they fill half of a second-level cache
  size_t rows_, runs_, each_;
};

/// So many rows of one panel of a matrix, the nth block of a run of rows.
struct Block {
  size_t run, nth, row, n, panel;
};

/// What a product with b sends for: a run's first two blocks each for half of the panel that follows b; at the end for the place
/// of the result, and for what else is read then, if not null.
inline Ahead ahead_of(const Block& at, const float* b, size_t k, const Panels* result, const Panels* read) {
  Ahead ahead{at.nth < 2 ? b + k * (kPanel + at.nth * kPanel / 2) : b, {b, b, b}};
  if (result != nullptr) ahead.soon[0] = result->along_cols(at.row, at.panel);
  if (result != nullptr && result->along_rows(at.row, at.panel) != nullptr) ahead.soon[1] = result->along_rows(at.row, at.panel);
  if (read != nullptr) ahead.soon[2] = read->along_cols(at.row, at.panel);
  return ahead;
}

/// Calls work(Block, tile [n, 32]) for every block of at most kTileRows rows of every panel, on all compute threads; a run of rows in a
/// panel is one thread's, from its first block to its last.
template <typename Work>
void for_tiles(size_t rows, size_t panels, const Work& work) {
  const size_t group = panels < 16 ? std::max<size_t>(1, (panels + 1) / 2) : 8;  // small enough that threads end together
  const RowRuns runs(rows);
  const size_t groups = (panels + group - 1) / group;
  run_units(runs.count() * groups, [&](size_t unit) {
    alignas(64) float tile[kTileRows * kPanel];
    const size_t run = unit / groups;
    const size_t begin = runs.begin(run);
    const size_t n = runs.begin(run + 1) - begin;
    const size_t blocks = std::max<size_t>(1, (n + kTileRows - 1) / kTileRows);
    const size_t each = RowRuns::even((n + blocks - 1) / blocks);
    const size_t first = unit % groups * group;
    for (size_t p = first; p < std::min(panels, first + group); ++p) {
      for (size_t r = 0; r < n; r += each) work(Block{run, r / each, begin + r, std::min(each, n - r), p}, tile);
    }
  });
}

/// Calls work(op, ip, tile) for every tile [32, 32] of dy^T x, rows beyond dy's columns and columns beyond x's zero; meanwhile(op, ip)
/// shortly before, to send for what work() will touch.
void for_gradient_tiles(const Panels& dy, const Panels& x, const std::function<void(size_t op, size_t ip)>& meanwhile,
                        const std::function<void(size_t op, size_t ip, const float* tile)>& work);

/// Where results go that leave the panels: row-major, rows `stride` apart.
struct RowMajor {
  float* data = nullptr;
  size_t stride = 0;
  void write(size_t row, size_t n, size_t p, size_t cols, const float* tile) const;
};

/// A tile of row-major x [.., cols], zero beyond its columns.
void read_tile(const float* x, size_t stride, size_t row, size_t n, size_t p, size_t cols, float* tile);

}  // namespace sluice
