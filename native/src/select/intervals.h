// Sets of numbers as closed intervals in order, which do not overlap.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "select/filter.h"

namespace sluice {

template <typename T>
struct Interval {
  T low, high;
};

template <typename T>
using Intervals = std::vector<Interval<T>>;

/// Around a value: the greatest number below it, and not above it; the least above it, and not below it.
template <typename T>
struct Neighbours {
  T below, at_most, above, at_least;
};

inline Neighbours<float> neighbours(float value) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  return {std::nextafter(value, -kInfinity), value, std::nextafter(value, kInfinity), value};
}

inline Neighbours<int64_t> neighbours(double value) {
  constexpr double kFar = 4611686018427387904.0;  // 2^62: beyond all keys and times
  const auto floor = static_cast<int64_t>(std::floor(std::clamp(value, -kFar, kFar)));
  const auto ceil = static_cast<int64_t>(std::ceil(std::clamp(value, -kFar, kFar)));
  return {ceil - 1, floor, floor + 1, ceil};
}

/// The numbers for which the comparison holds.
template <typename T>
Intervals<T> where(Comparator comparator, const Neighbours<T>& at) {
  constexpr T kLeast = std::numeric_limits<T>::lowest();
  constexpr T kGreatest = std::numeric_limits<T>::max();
  switch (comparator) {
    case Comparator::kLess: return {{kLeast, at.below}};
    case Comparator::kAtMost: return {{kLeast, at.at_most}};
    case Comparator::kGreater: return {{at.above, kGreatest}};
    case Comparator::kAtLeast: return {{at.at_least, kGreatest}};
    case Comparator::kEqual: return {{at.at_least, at.at_most}};
    case Comparator::kUnequal: return {{kLeast, at.below}, {at.above, kGreatest}};
  }
  return {};
}

/// What both have. Empty intervals (low > high) count as none.
template <typename T>
Intervals<T> common(const Intervals<T>& a, const Intervals<T>& b) {
  Intervals<T> result;
  for (size_t i = 0, j = 0; i < a.size() && j < b.size();) {
    const Interval<T> both{std::max(a[i].low, b[j].low), std::min(a[i].high, b[j].high)};
    if (both.low <= both.high) result.push_back(both);
    if (a[i].high < b[j].high) ++i;
    else ++j;
  }
  return result;
}

}  // namespace sluice
