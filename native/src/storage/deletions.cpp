#include "storage/deletions.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>

#include "base/crc32c.h"
#include "base/error.h"
#include "storage/dataset.h"
#include "storage/lmdb_env.h"

namespace sluice {

namespace {

constexpr size_t kWords = kChunkRows / 64;
constexpr size_t kBitmapBytes = kWords * 8;

uint32_t bitmap_crc(const void* bits, uint64_t chunk) { return crc32c(bits, kBitmapBytes, crc32c(&chunk, sizeof chunk)); }

/// The bits [first, end) of word `word`.
uint64_t mask(uint64_t word, uint64_t first, uint64_t end) {
  const uint64_t low = std::max(first, word * 64) - word * 64;
  const uint64_t high = std::min(end, word * 64 + 64) - word * 64;
  return (high == 64 ? ~uint64_t{0} : (uint64_t{1} << high) - 1) & ~((uint64_t{1} << low) - 1);
}

/// Calls visit(word, mask) for the words of a chunk's bitmap that the chunk's rows [first, end) lie in.
template <typename Visit>
void for_words(uint64_t first, uint64_t end, const Visit& visit) {
  for (uint64_t word = first / 64; word * 64 < end; ++word) visit(word, mask(word, first, end));
}

}  // namespace

std::vector<KeyRange> normalized(std::vector<KeyRange> ranges, uint64_t size) {
  for (const KeyRange& r : ranges) {
    if (r.first > r.end) throw Error(code::kArgument, "keys " + std::to_string(r.first) + " to " + std::to_string(r.end) + ": the range ends before it begins");
    if (r.end > size) throw Error(code::kArgument, "key " + std::to_string(r.end - 1) + " does not exist; the dataset has " + std::to_string(size) + " samples");
  }
  std::sort(ranges.begin(), ranges.end(), [](const KeyRange& a, const KeyRange& b) { return a.first < b.first; });
  std::vector<KeyRange> result;
  for (const KeyRange& r : ranges) {
    if (r.first == r.end) continue;
    if (!result.empty() && r.first <= result.back().end) result.back().end = std::max(result.back().end, r.end);
    else result.push_back(r);
  }
  return result;
}

void at_positions(const std::vector<KeyRange>& ranges, std::vector<uint64_t>& positions) {
  auto range = ranges.begin();
  uint64_t before = 0;  // keys of the ranges before
  for (uint64_t& position : positions) {
    while (position - before >= range->end - range->first) {
      before += range->end - range->first;
      ++range;
    }
    position = range->first + position - before;
  }
}

bool KeySet::contains(uint64_t key) const {
  if (count_ == 0) return false;
  const auto chunk = chunks_.find(key / kChunkRows);
  return chunk != chunks_.end() && (chunk->second[key % kChunkRows / 64] >> (key % 64) & 1U) != 0;
}

uint64_t KeySet::count_in(uint64_t first, uint64_t end) const {
  uint64_t count = 0;
  for (auto at = chunks_.lower_bound(first / kChunkRows); at != chunks_.end() && at->first * kChunkRows < end; ++at) {
    const uint64_t base = at->first * kChunkRows;
    for_words(std::max(first, base) - base, std::min(end - base, kChunkRows), [&](uint64_t word, uint64_t bits) { count += static_cast<uint64_t>(std::popcount(at->second[word] & bits)); });
  }
  return count;
}

std::vector<KeyRange> KeySet::missing_in(uint64_t first, uint64_t end) const {
  std::vector<KeyRange> ranges;
  const auto add = [&](uint64_t from, uint64_t to) {
    if (from >= to) return;
    if (!ranges.empty() && ranges.back().end == from) ranges.back().end = to;
    else ranges.push_back({from, to});
  };
  uint64_t at = first;
  for (auto chunk = chunks_.lower_bound(first / kChunkRows); chunk != chunks_.end() && chunk->first * kChunkRows < end; ++chunk) {
    const uint64_t base = chunk->first * kChunkRows;
    add(at, std::max(at, base));
    at = std::max(at, base);
    const uint64_t stop = std::min(end, base + kChunkRows);
    while (at < stop) {
      const uint64_t word = chunk->second[(at - base) / 64] >> (at % 64);
      const auto here = static_cast<uint64_t>(word == 0 ? 64 : std::countr_zero(word));  // keys that it lacks, of this word
      const uint64_t left = std::min(stop - at, 64 - at % 64);
      add(at, at + std::min(here, left));
      if (here >= left) {
        at += left;
      } else {
        at += std::min<uint64_t>(left, here + static_cast<uint64_t>(std::countr_one(word >> here)));
      }
    }
  }
  add(at, end);
  return ranges;
}

uint64_t KeySet::add(const KeyRange& range) {
  uint64_t added = 0;
  for (uint64_t chunk = range.first / kChunkRows; chunk * kChunkRows < range.end; ++chunk) {
    std::vector<uint64_t>& words = chunks_[chunk];
    words.resize(kWords);
    const uint64_t base = chunk * kChunkRows;
    for_words(std::max(range.first, base) - base, std::min(range.end - base, kChunkRows), [&](uint64_t word, uint64_t bits) {
      added += static_cast<uint64_t>(std::popcount(bits & ~words[word]));
      words[word] |= bits;
    });
  }
  count_ += added;
  return added;
}

void KeySet::add_chunk(uint64_t chunk, std::vector<uint64_t> bits) {
  for (const uint64_t word : bits) count_ += static_cast<uint64_t>(std::popcount(word));
  chunks_[chunk] = std::move(bits);
}

std::string bitmap_value(const std::vector<uint64_t>& bits, uint64_t chunk) {
  std::string value(reinterpret_cast<const char*>(bits.data()), kBitmapBytes);
  const uint32_t crc = bitmap_crc(bits.data(), chunk);
  return value.append(reinterpret_cast<const char*>(&crc), sizeof crc);
}

std::vector<uint64_t> parse_bitmap(std::string_view value, uint64_t chunk, const std::string& path) {
  uint32_t crc = 0;
  if (value.size() == kBitmapBytes + sizeof crc) std::memcpy(&crc, value.data() + kBitmapBytes, sizeof crc);
  if (value.size() != kBitmapBytes + sizeof crc || crc != bitmap_crc(value.data(), chunk)) {
    throw Error(code::kCorrupt, path + " is damaged: the list of deleted samples of chunk " + std::to_string(chunk) + " has another checksum");
  }
  std::vector<uint64_t> bits(kWords);
  std::memcpy(bits.data(), value.data(), kBitmapBytes);
  return bits;
}

KeySet load_deleted(const Txn& txn, const Table& table, const std::string& path) {
  KeySet set;
  table.for_each(txn, [&](std::string_view key, std::string_view value) {
    uint64_t chunk = 0;
    if (key.size() != sizeof chunk) throw Error(code::kCorrupt, path + " is damaged: its table of deleted samples has a key of " + std::to_string(key.size()) + " bytes");
    std::memcpy(&chunk, key.data(), sizeof chunk);
    set.add_chunk(chunk, parse_bitmap(value, chunk, path));
  });
  return set;
}

std::string deletion_key(uint64_t number) {
  char digits[32];
  std::snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(number));
  return std::string(kDeletionPrefix) + digits;
}

std::string deletion_text(const Deletion& deletion) {
  std::string text = std::to_string(deletion.time) + " " + std::to_string(deletion.keys.size());
  for (const KeyRange& r : deletion.keys) text += " " + std::to_string(r.first) + " " + std::to_string(r.end);
  return text + "\n" + deletion.reason;
}

Deletion parse_deletion(std::string_view key, std::string_view text, const std::string& path) {
  const auto fail = [&] { return Error(code::kCorrupt, path + " is damaged: an entry of its audit log cannot be read"); };
  Deletion deletion;
  const std::string_view digits = key.substr(std::min(key.size(), kDeletionPrefix.size()));
  if (std::from_chars(digits.data(), digits.data() + digits.size(), deletion.number, 16).ec != std::errc()) throw fail();
  const char* at = text.data();
  const char* end = at + text.size();
  const auto number = [&](auto& value) {
    const auto [next, error] = std::from_chars(at, end, value);
    if (error != std::errc() || next == end) throw fail();
    at = next + 1;
  };
  uint64_t ranges = 0;
  number(deletion.time);
  number(ranges);
  if (ranges > text.size() / 4) throw fail();
  for (uint64_t i = 0; i < ranges; ++i) {
    KeyRange range;
    number(range.first);
    number(range.end);
    if (range.first >= range.end) throw fail();
    deletion.keys.push_back(range);
  }
  if (*(at - 1) != '\n') throw fail();
  deletion.reason.assign(at, end);
  return deletion;
}

}  // namespace sluice
