#include "trainset/trainset.h"

#include <fcntl.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <vector>

#include "base/crc32c.h"
#include "base/error.h"
#include "base/file.h"
#include "base/murmur3.h"

namespace sluice {

namespace {

constexpr char kMagic[8] = {'S', 'L', 'T', 'R', 'S', '1', '\n', '\0'};
constexpr uint32_t kRange = 1;     // the keys are [first, first + count): no partitions
constexpr uint32_t kWeighted = 2;

struct Header {
  char magic[8];
  uint64_t count;
  uint64_t first;
  uint32_t flags;
  uint32_t crc;  // of the fields above
};
static_assert(sizeof(Header) == 32);

uint32_t header_crc(const Header& header) { return crc32c(&header, offsetof(Header, crc)); }

/// A partition on disk: CRC32C (as 8 bytes), keys, weights if any; padded to 8 bytes.
size_t partition_bytes(uint64_t rows, bool weighted) { return 8 + rows * 8 + (weighted ? (rows * 4 + 7) / 8 * 8 : 0); }

std::string file_name(const std::string& folder, const std::string& id) { return folder + "/" + id + ".trainset"; }

bool is_id(const std::string& id) {
  return id.size() == 32 && std::all_of(id.begin(), id.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

void check_selection(const Selection& s, uint64_t dataset_size) {
  if (s.keys == nullptr && (s.end < s.first || s.count != s.end - s.first)) {
    throw Error(code::kArgument, "training set: the range " + std::to_string(s.first) + " to " + std::to_string(s.end) + " makes no sense");
  }
  if (s.count == 0) throw Error(code::kArgument, "training set: it is empty");
  const auto beyond = [&](uint64_t key) {
    return Error(code::kArgument, "training set: key " + std::to_string(key) + " does not exist; the dataset has " + std::to_string(dataset_size) + " samples");
  };
  if (s.keys == nullptr && s.end > dataset_size) throw beyond(s.end - 1);
  for (uint64_t i = 0; s.keys != nullptr && i < s.count; ++i) {
    if (s.keys[i] >= dataset_size) throw beyond(s.keys[i]);
  }
  for (uint64_t i = 0; s.weights != nullptr && i < s.count; ++i) {
    if (!(s.weights[i] >= 0.0F) || !std::isfinite(s.weights[i])) {
      throw Error(code::kNotFinite, "training set: weight " + std::to_string(i) + ": expected a finite number of at least 0, got " + std::to_string(s.weights[i]));
    }
  }
}

/// Keys and weights of a selection in pieces of one partition.
class Pieces {
 public:
  explicit Pieces(const Selection& selection) : s_(selection) {}
  const uint64_t* keys(uint64_t first, uint64_t rows) {
    if (s_.keys != nullptr) return s_.keys + first;
    keys_.resize(rows);
    for (uint64_t i = 0; i < rows; ++i) keys_[i] = s_.first + first + i;
    return keys_.data();
  }
  const float* weights(uint64_t first, uint64_t rows) {
    if (s_.weights != nullptr) return s_.weights + first;
    weights_.assign(rows, 1.0F);
    return weights_.data();
  }

 private:
  const Selection& s_;
  std::vector<uint64_t> keys_;
  std::vector<float> weights_;
};

std::string content_id(const Selection& s) {
  Murmur3 hash;
  const uint64_t head[2] = {s.count, 0};
  hash.update(head, sizeof head);
  Pieces pieces(s);
  std::vector<uint8_t> padded;
  for (uint64_t first = 0; first < s.count; first += kPartitionRows) {
    const uint64_t rows = std::min(kPartitionRows, s.count - first);
    padded.assign((rows * 12 + 15) / 16 * 16, 0);  // Murmur3 takes pieces of whole blocks
    std::memcpy(padded.data(), pieces.keys(first, rows), rows * 8);
    std::memcpy(padded.data() + rows * 8, pieces.weights(first, rows), rows * 4);
    hash.update(padded.data(), padded.size());
  }
  return hash.hex();
}

void write_partitions(AtomicFile& file, const Selection& s, bool weighted) {
  Pieces pieces(s);
  std::vector<uint8_t> bytes;
  for (uint64_t first = 0; first < s.count; first += kPartitionRows) {
    const uint64_t rows = std::min(kPartitionRows, s.count - first);
    bytes.assign(partition_bytes(rows, weighted), 0);
    std::memcpy(bytes.data() + 8, pieces.keys(first, rows), rows * 8);
    if (weighted) std::memcpy(bytes.data() + 8 + rows * 8, pieces.weights(first, rows), rows * 4);
    const uint32_t crc = crc32c(bytes.data() + 8, bytes.size() - 8);
    std::memcpy(bytes.data(), &crc, sizeof crc);
    file.write(bytes.data(), bytes.size());
  }
}

class TrainSetImpl final : public TrainSet {
 public:
  explicit TrainSetImpl(const std::string& path) : path_(path) {
    const File file(path, O_RDONLY);
    file.read_at(0, &header_, sizeof header_);
    if (std::memcmp(header_.magic, kMagic, sizeof kMagic) != 0 || header_.crc != header_crc(header_) || header_.count == 0) fail("its header makes no sense");
    const bool wraps = range() && header_.first > UINT64_MAX - header_.count;
    if ((header_.flags & ~(kRange | kWeighted)) != 0 || (range() && weighted()) || wraps) fail("its header makes no sense");
    if (!range() && header_.count > file.size() / 8) fail("it is too short for " + std::to_string(header_.count) + " entries");
    const uint64_t expected = sizeof(Header) + (range() ? 0 : body_bytes());
    if (file.size() != expected) fail("it has " + std::to_string(file.size()) + " bytes instead of " + std::to_string(expected));
    if (range()) return;
    mapping_ = Mapping(file, expected);
    for (uint64_t p = 0; p * kPartitionRows < header_.count; ++p) {
      const uint8_t* partition = at(p);
      uint32_t crc;
      std::memcpy(&crc, partition, sizeof crc);
      if (crc != crc32c(partition + 8, partition_bytes(rows_of(p), weighted()) - 8)) fail("the checksum of partition " + std::to_string(p) + " does not match");
      if (weighted()) check_weights(partition + 8 + rows_of(p) * 8, rows_of(p));
    }
  }

  uint64_t size() const override { return header_.count; }
  bool weighted() const override { return (header_.flags & kWeighted) != 0; }

  void get(const uint32_t* positions, size_t n, uint64_t* keys, float* weights) const override {
    for (size_t i = 0; i < n; ++i) {
      const uint64_t position = positions[i];
      if (range()) {
        keys[i] = header_.first + position;
        if (weights != nullptr) weights[i] = 1.0F;
        continue;
      }
      const uint64_t p = position / kPartitionRows;
      const uint64_t row = position % kPartitionRows;
      const uint8_t* partition = at(p) + 8;
      std::memcpy(keys + i, partition + row * 8, 8);
      if (weights == nullptr) continue;
      weights[i] = 1.0F;
      if (weighted()) std::memcpy(weights + i, partition + rows_of(p) * 8 + row * 4, 4);
    }
  }

 private:
  bool range() const { return (header_.flags & kRange) != 0; }
  uint64_t rows_of(uint64_t p) const { return std::min(kPartitionRows, header_.count - p * kPartitionRows); }
  const uint8_t* at(uint64_t p) const { return mapping_.data() + sizeof(Header) + p * partition_bytes(kPartitionRows, weighted()); }
  uint64_t body_bytes() const {
    const uint64_t whole = header_.count / kPartitionRows;
    const uint64_t rest = header_.count % kPartitionRows;
    return whole * partition_bytes(kPartitionRows, weighted()) + (rest > 0 ? partition_bytes(rest, weighted()) : 0);
  }
  /// A checksum can be made to hold; the loss relies on what freeze() checked.
  void check_weights(const uint8_t* at, uint64_t rows) const {
    for (uint64_t i = 0; i < rows; ++i) {
      float weight;
      std::memcpy(&weight, at + i * sizeof weight, sizeof weight);
      if (!(weight >= 0.0F) || !std::isfinite(weight)) fail("it has a weight of " + std::to_string(weight));
    }
  }
  [[noreturn]] void fail(const std::string& what) const { throw Error(code::kCorrupt, path_ + " is damaged: " + what); }

  std::string path_;
  Header header_{};
  Mapping mapping_;
};

/// Whether the file holds what its name says: a damaged one is written anew.
bool is_sound(const std::string& path) {
  if (!path_exists(path)) return false;
  try {
    TrainSetImpl{path};
    return true;
  } catch (const Error& error) {
    if (std::string_view(error.code()) == code::kCorrupt) return false;
    throw;
  }
}

}  // namespace

std::string freeze(const std::string& folder, const Selection& selection, uint64_t dataset_size) {
  check_selection(selection, dataset_size);
  const std::string id = content_id(selection);
  const std::string path = file_name(folder, id);
  if (is_sound(path)) return id;
  const bool weighted = selection.weights != nullptr;
  const bool range = selection.keys == nullptr && !weighted;
  Header header{};
  std::memcpy(header.magic, kMagic, sizeof kMagic);
  header.count = selection.count;
  header.first = range ? selection.first : 0;
  header.flags = (range ? kRange : 0U) | (weighted ? kWeighted : 0U);
  header.crc = header_crc(header);
  AtomicFile file(path);
  file.write(&header, sizeof header);
  if (!range) write_partitions(file, selection, weighted);
  file.commit();
  return id;
}

namespace {

/// What is left of a selection, with the memory that it needs.
struct Living {
  Selection selection;
  std::vector<uint64_t> keys;
  std::vector<float> weights;
};

/// Deleted keys below `size` by chunk, for many look-ups in any order.
class Gone {
 public:
  Gone(const KeySet& keys, uint64_t size) : chunks_((size + kChunkRows - 1) / kChunkRows) {
    for (const auto& [chunk, bits] : keys.chunks()) {
      if (chunk < chunks_.size()) chunks_[chunk] = bits.data();
    }
  }
  bool operator()(uint64_t key) const {
    const uint64_t* bits = chunks_[key / kChunkRows];
    return bits != nullptr && (bits[key % kChunkRows / 64] >> (key % 64) & 1U) != 0;
  }

 private:
  std::vector<const uint64_t*> chunks_;
};

/// The selection without the keys that are gone, of which it has some.
Living living(const Selection& s, const KeySet& deleted, const Gone& gone) {
  Living left;
  if (s.keys == nullptr) {
    const std::vector<KeyRange> ranges = deleted.missing_in(s.first, s.end);
    if (ranges.size() == 1) {
      left.selection.first = ranges[0].first;
      left.selection.end = ranges[0].end;
      left.selection.count = ranges[0].end - ranges[0].first;
      return left;
    }
    for (const KeyRange& range : ranges) {
      for (uint64_t key = range.first; key < range.end; ++key) left.keys.push_back(key);
    }
  }
  for (uint64_t i = 0; s.keys != nullptr && i < s.count; ++i) {
    if (gone(s.keys[i])) continue;
    left.keys.push_back(s.keys[i]);
    if (s.weights != nullptr) left.weights.push_back(s.weights[i]);
  }
  left.selection.keys = left.keys.data();
  left.selection.weights = s.weights == nullptr ? nullptr : left.weights.data();
  left.selection.count = left.keys.size();
  return left;
}

}  // namespace

std::optional<Frozen> freeze(const std::string& folder, const Selection& selection, const Snapshot& data) {
  check_selection(selection, data.size());
  const KeySet& deleted = data.deleted();
  const Gone gone(deleted, data.size());
  const bool whole = selection.keys == nullptr ? deleted.count_in(selection.first, selection.end) == 0
                                               : deleted.empty() || std::none_of(selection.keys, selection.keys + selection.count, gone);
  if (whole) return Frozen{freeze(folder, selection, data.size()), selection.count};
  const Living left = living(selection, deleted, gone);
  if (left.selection.count == 0) return std::nullopt;
  return Frozen{freeze(folder, left.selection, data.size()), left.selection.count};
}

uint64_t TrainSet::count_in(const std::vector<KeyRange>& ranges) const {
  constexpr uint64_t kBlock = 1 << 16;
  std::vector<uint32_t> positions(kBlock);
  std::vector<uint64_t> keys(kBlock);
  uint64_t count = 0;
  for (uint64_t first = 0; !ranges.empty() && first < size(); first += kBlock) {
    const uint64_t n = std::min(kBlock, size() - first);
    std::iota(positions.begin(), positions.begin() + static_cast<std::ptrdiff_t>(n), static_cast<uint32_t>(first));
    get(positions.data(), n, keys.data(), nullptr);
    for (uint64_t i = 0; i < n; ++i) {
      const auto after = std::upper_bound(ranges.begin(), ranges.end(), keys[i], [](uint64_t key, const KeyRange& r) { return key < r.first; });
      count += after != ranges.begin() && keys[i] < (after - 1)->end ? 1U : 0U;
    }
  }
  return count;
}

std::shared_ptr<TrainSet> TrainSet::open(const std::string& folder, const std::string& id) {
  if (!is_id(id)) throw Error(code::kArgument, "training set: '" + id + "' is no id (32 hexadecimal digits)");
  return std::make_shared<TrainSetImpl>(file_name(folder, id));
}

}  // namespace sluice
