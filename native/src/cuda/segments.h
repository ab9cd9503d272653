// Embedding gradients, row by row: the gradients of a batch are sorted by row, those of one row added up in the order of the samples,
// and the row updated once. A row that occurs often is cut into pieces at fixed places, so that the sum is spread over many
// warps and yet the same in every run.
#pragma once
#include "cuda/step_state.h"
#include "cuda/work.h"

namespace sluice::gpu {

constexpr uint32_t kChunk = 128;  // a piece of a row's gradients ends at a multiple of it

/// Items of 32 * 8 entries: the row in the joint table and the gradient of each (table, sample). Gradients of one batch lie at
/// kept + b * tables + t.
struct RowKeys {
  static constexpr int kPhases = 1;
  static constexpr uint32_t kEntries = 8 * kLanes;
  const int64_t* offsets;
  const int32_t* categorical;  // [tables, batch]
  uint32_t tables;
  uint32_t batch;
  uint32_t kept;    // gradients of earlier batches
  uint64_t* rows;   // from the entry `kept` on
  uint32_t* order;

  SLUICE_DEVICE uint32_t scratch() const { return 0; }
  static uint64_t items(uint32_t tables, uint32_t batch) { return blocks_of(uint64_t{tables} * batch, kEntries); }
  template <int phase>
  SLUICE_DEVICE void run(uint64_t item, Lane lane) const {
    const uint32_t n = tables * batch;
    const auto first = static_cast<uint32_t>(item) * kEntries;
    for (uint32_t i = first + lane.index; i < n && i < first + kEntries; i += kLanes) {
      const uint32_t table = i / batch;
      const uint32_t b = i % batch;
      rows[kept + i] = static_cast<uint64_t>(offsets[table] + categorical[i]);
      order[kept + i] = kept + b * tables + table;
    }
  }
};

/// The sorted gradients, what they are applied to, and how.
template <typename T>
struct Segments {
  const uint64_t* rows;   // [n] ascending
  const uint32_t* order;  // [n]: the gradient of each
  const T* gradients;     // [n, stride]
  uint32_t n;
  uint32_t tables;
  uint32_t width;
  uint32_t stride;
  float* weight;          // [all rows, stride]
  float* first;           // likewise, null where no optimizer keeps it
  float* second;
  float* rowwise;         // [all rows]
  const Optimizer* optimizers;
  const AdamTerms* terms;
  const uint32_t* optimizer_of;  // [tables]
  const StepState* state;
  float* partial;         // [2 * chunks, stride]: sums of pieces whose row has others
  double* squares;        // not null: no update; [n + chunks] receive the square of each row's sum, at the place of its last addition

  SLUICE_DEVICE uint32_t chunks() const { return (n + kChunk - 1) / kChunk; }
  SLUICE_DEVICE bool begins(uint32_t i) const { return i == 0 || rows[i] != rows[i - 1]; }

  /// Of a row's sum and what follows it: the square of each lane's share.
  SLUICE_DEVICE uint32_t scratch() const { return stride + 2 * kLanes; }
  SLUICE_DEVICE double* lane_squares(float* sum) const { return reinterpret_cast<double*>(sum + stride); }
  SLUICE_DEVICE bool wants_squares() const { return rowwise != nullptr || squares != nullptr; }

  /// Puts columns c to c + 3 of the sum into scratch; `square` counts the lane's.
  SLUICE_DEVICE void put(float* scratch_sum, uint32_t c, const Quad& sum, double& square) const {
    store4(scratch_sum + c, sum);
    if (!wants_squares()) return;
    for (uint32_t e = 0; e < 4; ++e) square += static_cast<double>(sum.v[e]) * static_cast<double>(sum.v[e]);
  }

  /// Phases of giving a row its sum [stride] in scratch: 0 applies it, 1 writes what all lanes had to read before.
  template <int phase>
  SLUICE_DEVICE void give(uint32_t i, float* sum, Lane lane, uint32_t place) const {
    if (phase == 1 && lane.index != 0) return;
    if (squares != nullptr) {
      if (phase == 0 && lane.index == 0) squares[place] = square(sum);
      return;
    }
    if (state->not_finite != 0) return;
    const uint32_t number = optimizer_of[order[i] % tables];
    const Optimizer& o = optimizers[number];
    const Update update = Update::of(o, terms[number], *state, true);
    const uint64_t row = rows[i];
    if (o.kind == OptimizerKind::kRowwiseAdagrad) {
      const float mean = rowwise[row] + static_cast<float>(square(sum) * static_cast<double>(update.scale) * static_cast<double>(update.scale) / width);
      if constexpr (phase == 1) {
        rowwise[row] = mean;
      } else {
        const float factor = update.quotient(update.lr * update.scale, sqrtf(mean) + o.eps);
        for (uint32_t c = lane.index; c < width; c += kLanes) weight[row * stride + c] -= factor * sum[c];
      }
    } else if constexpr (phase == 0) {
      step(row, update, sum, lane);
    }
  }

  SLUICE_DEVICE void step(uint64_t row, const Update& update, const float* sum, Lane lane) const {
    for (uint32_t c = 4 * lane.index; c < stride; c += 4 * kLanes) {
      const uint64_t at = row * stride + c;
      Quad w = load4(weight + at);
      Quad m = first != nullptr ? load4(first + at) : Quad{};
      Quad v = second != nullptr ? load4(second + at) : Quad{};
      for (uint32_t e = 0; e < 4; ++e) w.v[e] = update.apply(w.v[e], sum[c + e], &m.v[e], &v.v[e]);
      store4(weight + at, w);
      if (first != nullptr) store4(first + at, m);
      if (second != nullptr) store4(second + at, v);
    }
  }

  SLUICE_DEVICE double square(float* sum) const {
    double total = 0.0;
    for (uint32_t l = 0; l < kLanes; ++l) total += lane_squares(sum)[l];
    return total;
  }
};

/// Per item, a sorted gradient: where a piece begins, its sum; a row of one piece gets it, another's is kept in `partial`.
template <typename T>
struct SumPieces {
  static constexpr int kPhases = 3;
  Segments<T> s;

  SLUICE_DEVICE uint32_t scratch() const { return s.scratch(); }

  template <int phase>
  SLUICE_DEVICE void run(uint64_t item, Lane lane) const {
    const auto i = static_cast<uint32_t>(item);
    const bool begins = s.begins(i);
    if (s.squares != nullptr && phase == 0 && lane.index == 0) s.squares[i] = 0.0;
    if (!begins && i % kChunk != 0) return;
    const uint32_t end = piece_end(i);
    if constexpr (phase == 0) {
      add_up(i, end, lane);
    } else if (begins && (end == s.n || s.rows[end] != s.rows[i])) {
      s.template give<phase - 1>(i, lane.scratch, lane, i);
    } else if constexpr (phase == 1) {
      float* to = s.partial + uint64_t{2 * (i / kChunk) + (i % kChunk != 0 ? 1U : 0U)} * s.stride;
      for (uint32_t c = 4 * lane.index; c < s.stride; c += 4 * kLanes) store4(to + c, load4(lane.scratch + c));
    }
  }

 private:
  SLUICE_DEVICE uint32_t piece_end(uint32_t i) const {
    const uint32_t border = (i / kChunk + 1) * kChunk;
    const uint32_t last = border < s.n ? border : s.n;
    uint32_t end = i + 1;
    while (end < last && s.rows[end] == s.rows[i]) ++end;
    return end;
  }

  SLUICE_DEVICE void add_up(uint32_t i, uint32_t end, Lane lane) const {
    double square = 0.0;
    for (uint32_t c = 4 * lane.index; c < s.stride; c += 4 * kLanes) {
      Quad sum = load4(s.gradients + uint64_t{s.order[i]} * s.stride + c);
      for (uint32_t k = i + 1; k < end; ++k) {
        const Quad q = load4(s.gradients + uint64_t{s.order[k]} * s.stride + c);
        for (uint32_t e = 0; e < 4; ++e) sum.v[e] += q.v[e];
      }
      s.put(lane.scratch, c, sum, square);
    }
    s.lane_squares(lane.scratch)[lane.index] = square;
  }
};

/// Per item, a chunk: the row of more than one piece that begins in it, if there is one, gets the sum of its pieces. After SumPieces.
template <typename T>
struct JoinPieces {
  static constexpr int kPhases = 3;
  Segments<T> s;

  SLUICE_DEVICE uint32_t scratch() const { return s.scratch(); }

  template <int phase>
  SLUICE_DEVICE void run(uint64_t item, Lane lane) const {
    const auto chunk = static_cast<uint32_t>(item);
    if (s.squares != nullptr && phase == 0 && lane.index == 0) s.squares[s.n + chunk] = 0.0;
    const uint32_t next = (chunk + 1) * kChunk;
    if (next >= s.n || s.rows[next] != s.rows[next - 1]) return;  // no row goes on into the next chunk
    const uint32_t begin = row_begin(chunk * kChunk, next);
    if (!s.begins(begin)) return;  // it began in an earlier one
    if constexpr (phase == 0) {
      join(chunk, begin, row_end(next) / kChunk, lane);
    } else {
      s.template give<phase - 1>(begin, lane.scratch, lane, s.n + chunk);
    }
  }

 private:
  /// Of the entries from `from` to below `next`: the first of the row of the last one.
  SLUICE_DEVICE uint32_t row_begin(uint32_t from, uint32_t next) const {
    uint32_t begin = next - 1;
    while (begin > from && s.rows[begin - 1] == s.rows[next - 1]) --begin;
    return begin;
  }

  /// The last multiple of kChunk from `from` on that still is an entry of the row at `from`, itself a multiple.
  SLUICE_DEVICE uint32_t row_end(uint32_t from) const {
    uint32_t low = from / kChunk;
    uint32_t high = s.chunks();  // low: of the row; high: beyond it
    while (high - low > 1) {
      const uint32_t middle = low + (high - low) / 2;
      if (s.rows[middle * kChunk] == s.rows[from]) {
        low = middle;
      } else {
        high = middle;
      }
    }
    return low * kChunk;
  }

  /// The piece at `begin`, then those at the beginnings of the chunks up to `last`.
  SLUICE_DEVICE void join(uint32_t chunk, uint32_t begin, uint32_t last, Lane lane) const {
    double square = 0.0;
    const float* head = s.partial + uint64_t{2 * chunk + (begin % kChunk != 0 ? 1U : 0U)} * s.stride;
    for (uint32_t c = 4 * lane.index; c < s.stride; c += 4 * kLanes) {
      Quad sum = load4(head + c);
      for (uint32_t k = chunk + 1; k <= last; ++k) {
        const Quad q = load4(s.partial + uint64_t{2 * k} * s.stride + c);
        for (uint32_t e = 0; e < 4; ++e) sum.v[e] += q.v[e];
      }
      s.put(lane.scratch, c, sum, square);
    }
    s.lane_squares(lane.scratch)[lane.index] = square;
  }
};

}  // namespace sluice::gpu
