#include "storage/metadata.h"

#include <fcntl.h>

#include <cmath>
#include <csignal>
#include <cstring>
#include <numeric>

#include "base/file.h"
#include "base/rng.h"
#include "fixtures.h"
#include "processes.h"

namespace sluice {
namespace {

using namespace testing;

MetadataValues floats(const std::string& column, const std::vector<float>& values) { return {column, MetadataType::kF32, values.size(), values.data()}; }
MetadataValues bytes(const std::string& column, const std::vector<uint8_t>& values) { return {column, MetadataType::kU8, values.size(), values.data()}; }

class MetadataTest : public ::testing::Test {
 protected:
  std::vector<float> read(const MetadataStore& store, const std::string& column, const std::vector<uint64_t>& keys, uint32_t length = 1) {
    std::vector<float> values(keys.size() * length);
    store.read(column, keys.data(), keys.size(), values.data());
    return values;
  }

  TemporaryFolder folder_;
  std::string path_ = folder_.file("metadata/p");
};

TEST_F(MetadataTest, ValuesComeBackByKeyAndByRangeAndWhatWasNeverWrittenIsMissing) {
  const auto store = MetadataStore::open(path_, true);
  store->define({{"loss"}, {"seen", MetadataType::kU8}, {"embedding", MetadataType::kF32, 3}});
  const std::vector<uint64_t> keys{5, 200'000, 6, 65'536};
  const std::vector<float> losses{0.5F, 1.5F, 2.5F, 3.5F};
  std::vector<float> embeddings(12);
  std::iota(embeddings.begin(), embeddings.end(), 0.0F);
  store->update(keys.data(), 4, {floats("loss", losses), bytes("seen", {1, 0, 1, 7}), floats("embedding", embeddings)});
  EXPECT_EQ(read(*store, "loss", {65'536, 5, 200'000, 5}), (std::vector<float>{3.5F, 0.5F, 1.5F, 0.5F}));
  EXPECT_EQ(read(*store, "embedding", {6}, 3), (std::vector<float>{6.0F, 7.0F, 8.0F}));
  EXPECT_TRUE(std::isnan(read(*store, "loss", {7})[0]));
  EXPECT_TRUE(std::isnan(read(*store, "loss", {kMaxMetadataKey})[0]));
  std::vector<uint8_t> seen(200'002);
  store->read_range("seen", 0, seen.size(), seen.data());
  for (size_t key = 0; key < seen.size(); ++key) {
    const int expected = key == 5 || key == 6 ? 1 : key == 65'536 ? 7 : key == 200'000 ? 0 : kMissingByte;
    ASSERT_EQ(seen[key], expected) << key;
  }
}

TEST_F(MetadataTest, TheLastValueOfAKeyCountsAndOthersStay) {
  const auto store = MetadataStore::open(path_, true);
  store->define({{"loss"}, {"norm"}});
  const std::vector<uint64_t> keys{9, 3, 9};
  store->update(keys.data(), 3, {floats("loss", {1, 2, 3}), floats("norm", {4, 5, 6})});
  store->update(keys.data(), 1, {floats("loss", {7})});
  EXPECT_EQ(read(*store, "loss", {3, 9}), (std::vector<float>{2, 7}));
  EXPECT_EQ(read(*store, "norm", {3, 9}), (std::vector<float>{5, 6}));
}

TEST_F(MetadataTest, ALargeUpdateInRandomOrderEqualsAPlainArray) {
  const auto store = MetadataStore::open(path_, true);
  store->define({{"loss"}, {"wide", MetadataType::kF32, 40}});
  constexpr uint32_t kKeys = 300'000;  // 48 MB of the wide column a pass: several transactions in all
  Rng rng(1);
  std::vector<float> expected(kKeys);
  for (int pass = 0; pass < 2; ++pass) {
    std::vector<uint64_t> keys;
    std::vector<float> losses, wide;
    for (const uint32_t key : permutation(kKeys, rng)) {
      keys.push_back(key);
      losses.push_back(static_cast<float>(rng.uniform()));
      expected[key] = losses.back();
      wide.insert(wide.end(), 40, losses.back() + 1.0F);
    }
    store->update(keys.data(), keys.size(), {floats("loss", losses), floats("wide", wide)});
  }
  std::vector<float> losses(kKeys), wide(size_t{kKeys} * 40);
  store->read_range("loss", 0, kKeys, losses.data());
  store->read_range("wide", 0, kKeys, wide.data());
  EXPECT_EQ(losses, expected);
  for (size_t i = 0; i < wide.size(); ++i) ASSERT_EQ(wide[i], expected[i / 40] + 1.0F) << i;
}

TEST_F(MetadataTest, OpenedAgainItHoldsTheSame) {
  const std::vector<uint64_t> keys{1};
  {
    const auto store = MetadataStore::open(path_, true);
    store->define({{"loss"}});
    store->update(keys.data(), 1, {floats("loss", {2.0F})});
  }
  const auto store = MetadataStore::open(path_, false);
  EXPECT_EQ(store->columns(), (std::vector<MetadataColumn>{{"loss"}}));
  EXPECT_EQ(read(*store, "loss", {1})[0], 2.0F);
}

TEST_F(MetadataTest, WhatCannotBeIsNamed) {
  EXPECT_EQ(error_of([&] { MetadataStore::open(path_, false); }).first, "E_NOT_FOUND");
  const auto store = MetadataStore::open(path_, true);
  EXPECT_EQ(error_of([&] { read(*store, "loss", {1}); }).second, path_ + " has no column 'loss'; it has none");
  store->define({{"loss"}});
  EXPECT_EQ(error_of([&] { read(*store, "los", {1}); }).second, path_ + " has no column 'los'; it has loss");
  EXPECT_EQ(error_of([&] { store->define({{"loss", MetadataType::kU8}}); }).first, "E_ARGUMENT");
  EXPECT_EQ(error_of([&] { store->define({{""}}); }).first, "E_ARGUMENT");
  EXPECT_EQ(error_of([&] { store->define({{"a\nb"}}); }).first, "E_ARGUMENT");
  EXPECT_EQ(error_of([&] { store->define({{"x", MetadataType::kF32, 0}}); }).first, "E_ARGUMENT");
  EXPECT_EQ(error_of([&] { store->define({{"x", MetadataType::kF32, 5000}}); }).first, "E_ARGUMENT");
  const std::vector<uint64_t> keys{1, kMaxMetadataKey + 1};
  EXPECT_EQ(error_of([&] { store->update(keys.data(), 2, {floats("loss", {1, 2})}); }).first, "E_ARGUMENT");
  EXPECT_EQ(error_of([&] { store->update(keys.data(), 1, {floats("loss", {1, 2})}); }).first, "E_ARGUMENT");
  EXPECT_EQ(error_of([&] { store->update(keys.data(), 1, {bytes("loss", {1})}); }).first, "E_ARGUMENT");
  EXPECT_EQ(error_of([&] { read(*store, "loss", {keys[1]}); }).first, "E_ARGUMENT");
  EXPECT_EQ(error_of([&] { store->read_range("loss", 2, 1, nullptr); }).first, "E_ARGUMENT");
}

/// A process that is killed between two points of an endless row of updates: every update sets both columns of all keys
/// to the same number.
TEST_F(MetadataTest, AKilledUpdateLeavesOldValuesOrNewOnes) {
  constexpr uint64_t kKeys = 70'000;
  MetadataStore::open(path_, true)->define({{"a"}, {"b"}});
  std::vector<uint64_t> keys(kKeys);
  std::iota(keys.begin(), keys.end(), 0);
  for (int kill = 0; kill < 5; ++kill) {
    int ready[2];
    ASSERT_EQ(pipe(ready), 0);
    const pid_t child = fork();
    if (child == 0) {
      const auto store = MetadataStore::open(path_, false);
      for (float round = 1.0F;; round += 1.0F) {
        const std::vector<float> values(kKeys, round);
        store->update(keys.data(), kKeys, {floats("a", values), floats("b", values)});
        if (write(ready[1], "x", 1) != 1) _exit(1);
      }
    }
    char byte;
    for (int i = 0; i < 2 + kill; ++i) ASSERT_EQ(::read(ready[0], &byte, 1), 1);
    kill_and_wait(child);
    close(ready[0]);
    close(ready[1]);
    const auto store = MetadataStore::open(path_, false);
    std::vector<float> a(kKeys), b(kKeys);
    store->read_range("a", 0, kKeys, a.data());
    store->read_range("b", 0, kKeys, b.data());
    EXPECT_EQ(a, b);
    EXPECT_EQ(a, std::vector<float>(kKeys, a[0]));
    EXPECT_GE(a[0], static_cast<float>(2 + kill));
  }
}

TEST_F(MetadataTest, DamageEndsInAnErrorAndNoSignal) {
  const std::string file = path_ + "/data.mdb";
  {
    const auto store = MetadataStore::open(path_, true);
    store->define({{"loss"}});
    std::vector<uint64_t> keys(70'000);
    std::iota(keys.begin(), keys.end(), 0);
    store->update(keys.data(), keys.size(), {floats("loss", std::vector<float>(keys.size(), 0.25F))});
  }
  std::ifstream stream(file, std::ios::binary);
  const std::string sound{std::istreambuf_iterator<char>(stream), {}};
  enum Outcome { kSame, kRefused, kOther };
  const auto outcome = [&] {
    return in_child([&] {
      try {
        std::vector<float> values(70'000);
        MetadataStore::open(path_, false)->read_range("loss", 0, values.size(), values.data());
        return values == std::vector<float>(70'000, 0.25F) ? kSame : kOther;
      } catch (const Error& error) {
        return std::string(error.code()) == "E_CORRUPT" ? kRefused : kOther;
      }
    });
  };
  const auto with = [&](uint64_t at, const std::string& bytes) {
    File(file, O_RDWR).write_at(at, bytes.data(), bytes.size());
    const int result = outcome();
    File(file, O_RDWR).write_at(at, sound.data() + at, bytes.size());
    return result;
  };
  EXPECT_EQ(outcome(), kSame);
  EXPECT_EQ(with(sound.find("f32 1 loss") + 4, "9"), kRefused);
  std::string quarter(8, '\0');
  for (float* value = reinterpret_cast<float*>(quarter.data()); value < reinterpret_cast<float*>(quarter.data() + 8); ++value) *value = 0.25F;
  const size_t values = sound.find(quarter);
  ASSERT_NE(values, std::string::npos);
  EXPECT_EQ(with(values + 400, "\xff"), kRefused);
  for (size_t field = 0; field < 16; ++field) EXPECT_EQ(with(values - 16 + field, std::string(1, static_cast<char>(sound[values - 16 + field] ^ 1))), kRefused) << field;
  for (const size_t length : {size_t{0}, size_t{100}, size_t{8192}, sound.size() / 2}) {
    std::filesystem::resize_file(file, length);
    const int result = outcome();
    EXPECT_TRUE(result == kRefused || (length == 0 && result == kOther)) << length;  // an empty file: E_NOT_FOUND
    std::ofstream(file, std::ios::binary).write(sound.data(), static_cast<std::streamsize>(sound.size()));
  }
}

TEST_F(MetadataTest, UpdatesInPlaceReuseThePagesThatTheyFree) {
  constexpr uint64_t kKeys = 200'000;
  const auto store = MetadataStore::open(path_, true);
  store->define({{"loss"}, {"seen", MetadataType::kU8}});
  std::vector<uint64_t> keys(kKeys);
  std::iota(keys.begin(), keys.end(), 0);
  const std::vector<uint8_t> seen(kKeys, 1);
  std::vector<float> losses(kKeys);
  std::vector<uintmax_t> sizes;
  for (int round = 0; round < 40; ++round) {
    std::fill(losses.begin(), losses.end(), static_cast<float>(round));
    store->update(keys.data(), kKeys, {floats("loss", losses), bytes("seen", seen)});
    sizes.push_back(std::filesystem::file_size(path_ + "/data.mdb"));
  }
  EXPECT_EQ(sizes.back(), sizes[5]) << "a file of " << sizes[0] << " bytes after the first update";
  EXPECT_LT(sizes.back(), 4 * sizes[0]);
}

TEST_F(MetadataTest, CompactionWritesTheFileAnewUnlessSomebodyHasItOpen) {
  const std::string other = folder_.file("metadata/q");
  const auto open = MetadataStore::open(other, true);
  open->define({{"loss"}});
  const std::vector<uint64_t> keys{1, 70'000};
  {
    const auto store = MetadataStore::open(path_, true);
    store->define({{"loss"}});
    for (int i = 0; i < 5; ++i) store->update(keys.data(), keys.size(), {floats("loss", {static_cast<float>(i), 0.125F * static_cast<float>(i)})});
  }
  const auto before = std::filesystem::file_size(path_ + "/data.mdb");
  EXPECT_EQ(compact_metadata(folder_.path()), std::vector<std::string>{"q"});
  EXPECT_LT(std::filesystem::file_size(path_ + "/data.mdb"), before);
  EXPECT_FALSE(path_exists(path_ + "/copy"));
  const auto store = MetadataStore::open(path_, false);
  EXPECT_EQ(read(*store, "loss", keys), (std::vector<float>{4, 0.5F}));
  store->update(keys.data(), keys.size(), {floats("loss", {7, 8})});
  EXPECT_EQ(read(*store, "loss", keys), (std::vector<float>{7, 8}));
  EXPECT_EQ(compact_metadata(folder_.path()), (std::vector<std::string>{"p", "q"}));
}

}  // namespace
}  // namespace sluice
