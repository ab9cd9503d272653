// The items with the least rank.
#pragma once
#include <algorithm>
#include <cstddef>
#include <vector>

namespace sluice {

/// Keeps the `count` items whose rank_of(item) is least, ties by the item itself, sorted by item. count <= items.size().
template <typename T, typename RankOf>
void keep_least(std::vector<T>& items, size_t count, const RankOf& rank_of) {
  const auto cut = items.begin() + static_cast<std::ptrdiff_t>(count);
  std::nth_element(items.begin(), cut, items.end(), [&](T a, T b) {
    const auto x = rank_of(a);
    const auto y = rank_of(b);
    return x != y ? x < y : a < b;
  });
  items.erase(cut, items.end());
  std::sort(items.begin(), items.end());
}

}  // namespace sluice
