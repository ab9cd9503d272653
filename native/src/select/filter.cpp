#include "select/filter.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/error.h"
#include "select/intervals.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace sluice {

namespace {

constexpr size_t kWordRows = 64;
constexpr size_t kWords = kChunkRows / kWordRows;
constexpr uint64_t kRangesPerCheck = 1024;  // of keys, between two looks at the stop flag
constexpr size_t kFewIntervals = 2;         // more, of classes, are looked up in a table

/// Bytes 0 or 1 as bits: the product moves the bit of byte i to bit i of the uppermost byte.
uint64_t to_bits(const uint8_t* bytes) {
  uint64_t bits = 0;
  for (unsigned i = 0; i < 8; ++i) {
    uint64_t eight;
    std::memcpy(&eight, bytes + size_t{8} * i, sizeof eight);
    bits |= (eight * 0x0102040810204080U) >> 56 << (8 * i);
  }
  return bits;
}

/// Clears bit i of word w where values[64 w + i] lies in none of the intervals.
template <typename T>
[[gnu::always_inline]] inline void keep_inside(const T* values, size_t words, const Intervals<T>& intervals, uint64_t* bits) {
  for (size_t w = 0; w < words; ++w, values += kWordRows) {
    alignas(64) uint8_t in[kWordRows] = {};
    for (const auto [low, high] : intervals) {
      for (size_t i = 0; i < kWordRows; ++i) in[i] |= static_cast<uint8_t>((values[i] >= low ? 1U : 0U) & (values[i] <= high ? 1U : 0U));
    }
    bits[w] &= to_bits(in);
  }
}

#if defined(__x86_64__)
/// The same, in wider vectors.
[[gnu::target("avx2")]] void keep_inside_avx2(const int64_t* values, size_t words, const Intervals<int64_t>& intervals, uint64_t* bits) {
  keep_inside(values, words, intervals, bits);
}

/// Of labels by the instruction that takes a comparison's bits, eight at a time.
[[gnu::target("avx2")]] void keep_inside_avx2(const float* values, size_t words, const Intervals<float>& intervals, uint64_t* bits) {
  for (size_t w = 0; w < words; ++w, values += kWordRows) {
    uint64_t in = 0;
    for (const auto [low, high] : intervals) {
      const __m256 least = _mm256_set1_ps(low);
      const __m256 most = _mm256_set1_ps(high);
      for (unsigned i = 0; i < 8; ++i) {
        const __m256 eight = _mm256_loadu_ps(values + size_t{8} * i);
        const __m256 fits = _mm256_and_ps(_mm256_cmp_ps(eight, least, _CMP_GE_OQ), _mm256_cmp_ps(eight, most, _CMP_LE_OQ));
        in |= static_cast<uint64_t>(static_cast<uint32_t>(_mm256_movemask_ps(fits))) << (8 * i);
      }
    }
    bits[w] &= in;
  }
}
#endif

template <typename T>
void keep(const T* values, size_t words, const Intervals<T>& intervals, uint64_t* bits) {
#if defined(__x86_64__)
  static const bool wide = __builtin_cpu_supports("avx2") != 0;
  if (wide) return keep_inside_avx2(values, words, intervals, bits);
#endif
  keep_inside(values, words, intervals, bits);
}

/// The same for many classes: table[class] is 1 for those that are wanted, 0 at its end, where all others are looked up.
void keep(const float* labels, size_t words, const std::vector<uint8_t>& table, uint64_t* bits) {
  const auto last = static_cast<float>(table.size() - 1);
  for (size_t w = 0; w < words; ++w, labels += kWordRows) {
    alignas(64) uint8_t in[kWordRows];
    for (size_t i = 0; i < kWordRows; ++i) in[i] = table[labels[i] >= 0.0F && labels[i] < last ? static_cast<size_t>(labels[i]) : table.size() - 1];
    bits[w] &= to_bits(in);
  }
}

class Scan {
 public:
  Scan(const Snapshot& data, uint64_t size, const SampleFilter& filter, const StopFlag& stop) : data_(data), stop_(stop) {
    choose_labels(filter);
    choose_times(filter);
    choose_keys(size, filter);
  }

  /// Calls visit(key of the first, bits) for each 64 samples that may fit, in order: a bit for each that does.
  template <typename Visit>
  void run(const Visit& visit) {
    uint64_t ranges = 0;
    for (const KeyRange& range : keys_) {
      if (++ranges % kRangesPerCheck == 0) stop_.check();
      for (uint64_t at = range.first; at < range.end;) {
        const uint64_t base = at / kChunkRows * kChunkRows;
        const uint64_t end = std::min(range.end, base + kChunkRows);
        scan_chunk(base, at - base, end - base, visit);
        if (end < range.end) stop_.check();
        at = end;
      }
    }
  }

 private:
  void choose_labels(const SampleFilter& filter) {
    const bool classes = data_.schema().label == LabelKind::kClass;
    Intervals<float> wanted{{std::numeric_limits<float>::lowest(), std::numeric_limits<float>::max()}};
    if (filter.labels) {
      std::vector<float> labels = *filter.labels;
      std::sort(labels.begin(), labels.end());
      wanted.clear();
      for (const float label : labels) {
        const bool follows = !wanted.empty() && (label == wanted.back().high || (classes && label == wanted.back().high + 1 && label == std::floor(label)));
        if (follows) wanted.back().high = label;
        else wanted.push_back({label, label});
      }
    }
    for (const SampleComparison& c : filter.where) {
      if (c.field == SampleField::kLabel) wanted = common(wanted, where(c.comparator, neighbours(static_cast<float>(c.value))));
    }
    labels_ = std::move(wanted);
    any_label_ = labels_.size() == 1 && labels_[0].low == std::numeric_limits<float>::lowest() && labels_[0].high == std::numeric_limits<float>::max();
    if (!classes || labels_.size() <= kFewIntervals) return;
    table_.resize(size_t{data_.schema().classes} + 1);
    for (uint32_t c = 0; c < data_.schema().classes; ++c) {
      const auto label = static_cast<float>(c);
      const auto after = std::upper_bound(labels_.begin(), labels_.end(), label, [](float value, const Interval<float>& i) { return value < i.low; });
      table_[c] = after != labels_.begin() && label <= (after - 1)->high ? 1 : 0;
    }
  }

  void choose_times(const SampleFilter& filter) {
    times_ = {{std::numeric_limits<int64_t>::lowest(), std::numeric_limits<int64_t>::max()}};
    for (const SampleComparison& c : filter.where) {
      if (c.field != SampleField::kTime) continue;
      any_time_ = false;
      times_ = common(times_, where(c.comparator, neighbours(c.value)));
    }
  }

  /// The keys that are gone through: those wanted, within the times where they are in order.
  void choose_keys(uint64_t size, const SampleFilter& filter) {
    if (size == 0 || labels_.empty() || times_.empty()) return;
    Intervals<int64_t> keys;
    for (const KeyRange& r : filter.keys ? normalized(*filter.keys, size) : std::vector<KeyRange>{{0, size}}) {
      keys.push_back({static_cast<int64_t>(r.first), static_cast<int64_t>(r.end - 1)});
    }
    for (const SampleComparison& c : filter.where) {
      if (c.field == SampleField::kKey) keys = common(keys, where(c.comparator, neighbours(c.value)));
    }
    if (!any_time_ && data_.sorted_by_time()) {
      Intervals<int64_t> within;
      for (const auto [low, high] : times_) {
        const uint64_t from = data_.lower_bound_time(low, 0, size);
        const uint64_t to = high == std::numeric_limits<int64_t>::max() ? size : data_.lower_bound_time(high + 1, from, size);
        within.push_back({static_cast<int64_t>(from), static_cast<int64_t>(to) - 1});
      }
      keys = common(keys, within);
      any_time_ = true;
    }
    for (const auto [low, high] : keys) keys_.push_back({static_cast<uint64_t>(low), static_cast<uint64_t>(high) + 1});
  }

  /// Rows [from, to) of the chunk that begins with the key `base`.
  template <typename Visit>
  void scan_chunk(uint64_t base, uint64_t from, uint64_t to, const Visit& visit) {
    const size_t first = from / kWordRows;
    const size_t end = (to + kWordRows - 1) / kWordRows;
    std::fill(bits_ + first, bits_ + end, ~uint64_t{0});
    bits_[first] &= ~uint64_t{0} << (from % kWordRows);
    if (to % kWordRows != 0) bits_[end - 1] &= (uint64_t{1} << (to % kWordRows)) - 1;
    if (!any_label_ && table_.empty()) keep_rows<float>(IndexColumn::kLabel, base, first, to, labels_);
    if (!any_label_ && !table_.empty()) keep_rows<float>(IndexColumn::kLabel, base, first, to, table_);
    if (!any_time_) keep_rows<int64_t>(IndexColumn::kTimestamp, base, first, to, times_);
    const auto gone = data_.deleted().chunks().find(base / kChunkRows);
    if (gone != data_.deleted().chunks().end()) {
      for (size_t w = first; w < end; ++w) bits_[w] &= ~gone->second[w];
    }
    for (size_t w = first; w < end; ++w) visit(base + w * kWordRows, bits_[w]);
  }

  /// Clears the bits of rows, from word `first` to row `to`, whose values are not wanted.
  template <typename T, typename Wanted>
  void keep_rows(IndexColumn column, uint64_t base, size_t first, uint64_t to, const Wanted& wanted) {
    const uint64_t begin = first * kWordRows;
    const auto* values = static_cast<const T*>(data_.span(column, base + begin, to - begin).data);
    const size_t whole = to / kWordRows;
    keep(values, whole - first, wanted, bits_ + first);
    if (to % kWordRows == 0) return;
    T rest[kWordRows] = {};
    std::memcpy(rest, values + (whole - first) * kWordRows, to % kWordRows * sizeof(T));
    keep(rest, 1, wanted, bits_ + whole);
  }

  const Snapshot& data_;
  const StopFlag& stop_;
  Intervals<float> labels_;
  std::vector<uint8_t> table_;  // of the classes, where they are many
  Intervals<int64_t> times_;
  bool any_label_ = true, any_time_ = true;
  std::vector<KeyRange> keys_;
  uint64_t bits_[kWords] = {};
};

}  // namespace

uint64_t count_samples(const Snapshot& data, uint64_t size, const SampleFilter& filter, const StopFlag& stop) {
  uint64_t count = 0;
  Scan(data, size, filter, stop).run([&](uint64_t, uint64_t bits) { count += static_cast<uint64_t>(std::popcount(bits)); });
  return count;
}

std::vector<uint64_t> find_samples(const Snapshot& data, uint64_t size, const SampleFilter& filter, const StopFlag& stop) {
  std::vector<uint64_t> keys(count_samples(data, size, filter, stop));  // its memory, once and exactly
  uint64_t* to = keys.data();
  Scan(data, size, filter, stop).run([&](uint64_t first, uint64_t bits) {
    for (; bits != 0; bits &= bits - 1) *to++ = first + static_cast<uint64_t>(std::countr_zero(bits));
  });
  return keys;
}

std::vector<KeyRange> find_ranges(const Snapshot& data, uint64_t size, const SampleFilter& filter, const StopFlag& stop) {
  std::vector<KeyRange> ranges;
  Scan(data, size, filter, stop).run([&](uint64_t first, uint64_t bits) {
    for (uint64_t at = 0; bits != 0;) {
      const auto skipped = static_cast<uint64_t>(std::countr_zero(bits));
      bits >>= skipped;
      const auto run = static_cast<uint64_t>(std::countr_one(bits));
      at += skipped;
      if (!ranges.empty() && ranges.back().end == first + at) ranges.back().end += run;
      else ranges.push_back({first + at, first + at + run});
      at += run;
      bits = run == kWordRows ? 0 : bits >> run;
    }
  });
  return ranges;
}

}  // namespace sluice
