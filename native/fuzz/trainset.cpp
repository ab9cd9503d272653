// Files of training sets: raw, or with marks, lengths and checksums made to hold.
#include "trainset/trainset.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "files.h"

using namespace sluice;

namespace {

constexpr size_t kHeader = 32;  // magic, count, first, flags, checksum: trainset.cpp
constexpr char kId[] = "0123456789abcdef0123456789abcdef";

std::string sealed(std::string bytes, const std::string& sound) {
  if (bytes.size() < kHeader) return bytes;
  bytes.replace(0, 8, sound, 0, 8);
  fuzz::put(bytes, 28, crc32c(bytes.data(), 28));
  if (bytes.size() < kHeader + 8) return bytes;
  fuzz::put(bytes, kHeader, uint64_t{crc32c(bytes.data() + kHeader + 8, bytes.size() - kHeader - 8)});  // one partition
  return bytes;
}

std::string sound_set() {
  const std::string id = freeze(fuzz::scratch(), {3, 9, nullptr, nullptr, 6}, 100);
  return fuzz::read_file(fuzz::scratch() + "/" + id + ".trainset");
}

}  // namespace

SLUICE_FUZZ_TARGET {
  static const std::string sound = sound_set();
  fuzz::Input input(data, size);
  const bool seal = input.flag();
  const std::string bytes(input.rest());
  fuzz::write_scratch(std::string(kId) + ".trainset", seal ? sealed(bytes, sound) : bytes);
  std::shared_ptr<TrainSet> set;
  if (!fuzz::accepts([&] { set = TrainSet::open(fuzz::scratch(), kId); })) return 0;
  const auto n = static_cast<size_t>(std::min<uint64_t>(set->size(), 4096));
  fuzz::expect(n > 0, "a set that is not empty");
  std::vector<uint32_t> positions(n);
  std::iota(positions.begin(), positions.end(), 0);
  positions.back() = static_cast<uint32_t>(std::min<uint64_t>(set->size(), UINT32_MAX) - 1);
  std::vector<uint64_t> keys(n);
  std::vector<float> weights(n);
  set->get(positions.data(), n, keys.data(), weights.data());
  for (const float weight : weights) fuzz::expect(std::isfinite(weight) && weight >= 0.0F, "finite weights of at least 0");
  if (set->size() == n) {
    const auto small = static_cast<uint64_t>(std::count_if(keys.begin(), keys.end(), [](uint64_t key) { return key < 1000; }));
    fuzz::expect(set->count_in({{0, 1000}}) == small, "as many keys in a range as were read");
  }
  return 0;
}
