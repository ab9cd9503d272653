// Entries of the audit log of deletions, and what is done with their ranges.
#include <algorithm>

#include "input.h"
#include "storage/dataset.h"
#include "storage/deletions.h"

using namespace sluice;

namespace {

constexpr uint64_t kMaxKey = 40 * kChunkRows;

/// A set made of the ranges against the ranges themselves.
void check_set(const std::vector<KeyRange>& ranges, uint64_t size) {
  KeySet set;
  uint64_t keys = 0;
  for (const KeyRange& range : ranges) keys += set.add(range);
  fuzz::expect(set.size() == keys, "as many keys as were new");
  fuzz::expect(set.count_in(0, size) == keys, "all keys below the size");
  uint64_t missing = 0;
  uint64_t end = 0;
  for (const KeyRange& range : set.missing_in(0, size)) {
    fuzz::expect(range.first < range.end && range.first >= end && range.end <= size, "gaps in order");
    fuzz::expect(!set.contains(range.first) && !set.contains(range.end - 1), "gaps without keys");
    end = range.end;
    missing += range.end - range.first;
  }
  fuzz::expect(missing + keys == size, "keys and gaps that make up the whole");
  KeySet copy;
  for (const auto& [chunk, bits] : set.chunks()) copy.add_chunk(chunk, parse_bitmap(bitmap_value(bits, chunk), chunk, "copy"));
  fuzz::expect(copy.size() == set.size() && copy.chunks() == set.chunks(), "the same set from its bitmaps");
  if (ranges.empty()) return;
  std::vector<uint64_t> positions{0, keys / 2, keys - 1};
  at_positions(ranges, positions);
  for (const uint64_t key : positions) fuzz::expect(set.contains(key), "positions among the keys");
}

}  // namespace

SLUICE_FUZZ_TARGET {
  fuzz::Input input(data, size);
  const bool sound_key = input.flag();
  const std::string key = sound_key ? deletion_key(input.take<uint64_t>()) : std::string(input.take_text());
  Deletion deletion;
  if (!fuzz::accepts([&] { deletion = parse_deletion(key, input.rest(), "input"); })) return 0;
  const Deletion again = parse_deletion(deletion_key(deletion.number), deletion_text(deletion), "again");
  fuzz::expect(again.number == deletion.number && again.time == deletion.time && again.reason == deletion.reason && again.keys == deletion.keys, "the same entry again");
  std::erase_if(deletion.keys, [](const KeyRange& range) { return range.end > kMaxKey; });
  std::vector<KeyRange> ranges;
  if (fuzz::accepts([&] { ranges = normalized(deletion.keys, kMaxKey); })) check_set(ranges, kMaxKey);
  return 0;
}
