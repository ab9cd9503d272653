#include <numeric>

#include "base/crc32c.h"
#include "base/file.h"
#include "base/murmur3.h"
#include "base/rng.h"
#include "fixtures.h"

namespace sluice {
namespace {

using testing::error_of;
using testing::TemporaryFolder;

TEST(Crc32c, EqualsTheVectorsOfRfc3720) {
  std::vector<uint8_t> bytes(32, 0);
  EXPECT_EQ(crc32c(bytes.data(), 32), 0x8a9136aaU);
  bytes.assign(32, 0xff);
  EXPECT_EQ(crc32c(bytes.data(), 32), 0x62a8ab43U);
  std::iota(bytes.begin(), bytes.end(), uint8_t{0});
  EXPECT_EQ(crc32c(bytes.data(), 32), 0x46dd794eU);
  std::reverse(bytes.begin(), bytes.end());
  EXPECT_EQ(crc32c(bytes.data(), 32), 0x113fdb5cU);
}

TEST(Crc32c, GoesOnFromAnyPoint) {
  Rng rng(1);
  std::vector<uint8_t> bytes(20'000);
  for (uint8_t& b : bytes) b = static_cast<uint8_t>(rng.next());
  for (const size_t size : {1, 7, 3071, 3072, 3073, 6144, 9999, 20'000}) {
    uint32_t by_byte = 0;  // too short for the interleaved path
    for (size_t i = 0; i < size; ++i) by_byte = crc32c(bytes.data() + i, 1, by_byte);
    EXPECT_EQ(crc32c(bytes.data(), size), by_byte) << size;
    EXPECT_EQ(crc32c(bytes.data() + size / 3, size - size / 3, crc32c(bytes.data(), size / 3)), by_byte) << size;
  }
}

// Made with Python's mmh3.hash128(data, 0, x64arch=True): the two 64-bit halves in hexadecimal.
TEST(Murmur3, EqualsTheReference) {
  const auto hash = [](const std::string& text) {
    Murmur3 h;
    h.update(text.data(), text.size());
    return h.hex();
  };
  EXPECT_EQ(hash(""), "00000000000000000000000000000000");
  EXPECT_EQ(hash("hello"), "cbd8a7b341bd9b025b1e906a48ae1d19");
  EXPECT_EQ(hash("The quick brown fox jumps over the lazy dog"), "e34bbc7bbc071b6c7a433ca9c49a9347");
  std::string bytes(48, '\0');
  std::iota(bytes.begin(), bytes.end(), '\0');
  EXPECT_EQ(hash(bytes), "4f72bc640c7827f429eae183a20480b6");
  Murmur3 pieces;
  pieces.update(bytes.data(), 16);
  pieces.update(bytes.data() + 16, 32);
  EXPECT_EQ(pieces.hex(), "4f72bc640c7827f429eae183a20480b6");
}

TEST(Rng, IsTheSameEverywhereAndUniform) {
  Rng a(7), b(7), c(7, 1);
  EXPECT_EQ(a.next(), b.next());
  EXPECT_NE(a.next(), c.next());
  std::vector<size_t> counts(10);
  Rng rng(3);
  for (int i = 0; i < 100'000; ++i) ++counts[rng.below(10)];
  double chi2 = 0.0;
  for (const size_t count : counts) chi2 += (static_cast<double>(count) - 10'000) * (static_cast<double>(count) - 10'000) / 10'000;
  EXPECT_LT(chi2, 27.9);  // 9 degrees of freedom, p = 0.001
  Rng shuffle(5);
  auto order = permutation(1000, shuffle);
  EXPECT_FALSE(std::is_sorted(order.begin(), order.end()));
  std::sort(order.begin(), order.end());
  for (uint32_t i = 0; i < 1000; ++i) ASSERT_EQ(order[i], i);
}

TEST(AtomicFile, AppearsWholeOrNotAtAll) {
  const TemporaryFolder folder;
  {
    AtomicFile file(folder.file("a"));
    file.write("half", 4);
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
  {
    AtomicFile file(folder.file("a"));
    file.write("whole", 5);
    file.commit();
  }
  const File file(folder.file("a"), 0);
  char text[5];
  file.read_at(0, text, 5);
  EXPECT_EQ(std::string(text, 5), "whole");
  EXPECT_EQ(error_of([&] { file.read_at(3, text, 5); }).first, "E_CORRUPT");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
  EXPECT_EQ(error_of([&] { AtomicFile nowhere(folder.file("none/a")); }).first, "E_NOT_FOUND");
}

}  // namespace
}  // namespace sluice
