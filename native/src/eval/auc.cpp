#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/error.h"
#include "eval/evaluate.h"

namespace sluice {

namespace {

/// A float's bits in an order-preserving unsigned form; -0 and +0 become one value.
uint32_t sortable(float x) {
  if (x == 0.0F) x = 0.0F;
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return (bits & 0x80000000U) != 0 ? ~bits : bits | 0x80000000U;
}

/// Least-significant-digit radix sort of (score, label) pairs by score, 11 bits a pass.
void sort_by_score(std::vector<uint64_t>& items) {
  std::vector<uint64_t> other(items.size());
  for (int shift = 1; shift < 33; shift += 11) {
    size_t starts[2048] = {};
    for (uint64_t item : items) ++starts[(item >> shift) & 2047U];
    size_t at = 0;
    for (size_t& start : starts) {
      const size_t count = start;
      start = at;
      at += count;
    }
    for (uint64_t item : items) other[starts[(item >> shift) & 2047U]++] = item;
    items.swap(other);
  }
}

}  // namespace

std::optional<double> roc_auc(const float* scores, const float* labels, size_t n) {
  std::vector<uint64_t> items(n);  // score in bits 1 … 32, label in bit 0
  for (size_t i = 0; i < n; ++i) {
    if (std::isnan(scores[i])) throw Error(code::kNotFinite, "score " + std::to_string(i) + " is NaN");
    items[i] = static_cast<uint64_t>(sortable(scores[i])) << 1 | (labels[i] > 0.5F ? 1U : 0U);
  }
  sort_by_score(items);
  // Twice the Mann-Whitney U, in integers: each pair counts 2 if the positive scores higher, 1 if equal.
  unsigned __int128 twice_u = 0;
  uint64_t positives = 0;
  uint64_t negatives = 0;
  for (size_t i = 0; i < n;) {
    uint64_t tied_positives = 0;
    uint64_t tied_negatives = 0;
    const uint64_t score = items[i] >> 1;
    for (; i < n && items[i] >> 1 == score; ++i) ((items[i] & 1U) != 0 ? tied_positives : tied_negatives)++;
    twice_u += static_cast<unsigned __int128>(tied_positives) * (2 * negatives + tied_negatives);
    positives += tied_positives;
    negatives += tied_negatives;
  }
  if (positives == 0 || negatives == 0) return std::nullopt;
  return static_cast<double>(twice_u) / 2.0 / (static_cast<double>(positives) * static_cast<double>(negatives));
}

}  // namespace sluice
