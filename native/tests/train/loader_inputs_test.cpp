// Batches with tensors and token ids, and threads and memory of the loader.
#include <cstring>
#include <numeric>

#include "samples_fixture.h"
#include "train/loader.h"

namespace sluice {
namespace {

using testing::error_of;

constexpr uint32_t kSide = 6;
constexpr uint32_t kLength = 5;

/// Samples with an image of random pixels, token ids key … key + 4 modulo 100, and their key.
class LoaderInputsTest : public testing::SamplesTest {
 protected:
  void SetUp() override {
    Schema schema{{{"key", ColumnType::kF32}, {"image", ColumnType::kU8, {kSide, kSide, 3}}, {"ids", ColumnType::kI32, {kLength}}}, LabelKind::kClass, 2};
    dataset_ = Dataset::create(folder_.file("d"), schema);
    constexpr uint64_t kRows = 500;
    const std::vector<int64_t> timestamps(kRows, 0);
    std::vector<float> labels(kRows), keys(kRows);
    std::vector<uint8_t> images(kRows * kSide * kSide * 3);
    std::vector<int32_t> ids(kRows * kLength);
    for (uint64_t i = 0; i < kRows; ++i) {
      keys[i] = static_cast<float>(i);
      labels[i] = static_cast<float>(i % 2);
      for (uint64_t t = 0; t < kLength; ++t) ids[i * kLength + t] = static_cast<int32_t>((i + t) % 100);
    }
    for (size_t i = 0; i < images.size(); ++i) images[i] = static_cast<uint8_t>(i * 2654435761U >> 13);
    AppendBatch batch;
    batch.rows = kRows;
    batch.timestamps = timestamps.data();
    batch.labels = labels.data();
    batch.columns = {keys.data(), images.data(), ids.data()};
    dataset_->append(batch);
    TensorFeature tensor;
    tensor.column = 1;
    tensor.crop = Crop::kRandom;
    tensor.height = tensor.width = 5;
    tensor.pad = 1;
    tensor.flip = true;
    features_.tensor = tensor;
    features_.tokens = TokensFeature{2};
  }

  /// Everything that a loader gives: key, values, ids of all rows.
  std::vector<float> contents(const LoaderOptions& options) {
    const auto set = set_of(every_third(500));
    Loader loader(dataset_->snapshot(), *set, features_, options);
    std::vector<float> all;
    while (const Batch* batch = loader.next()) {
      for (size_t i = 0; i < batch->rows; ++i) {
        all.push_back(batch->dense[i]);
        all.insert(all.end(), batch->values + i * 75, batch->values + (i + 1) * 75);
        for (uint32_t t = 0; t < kLength; ++t) {
          EXPECT_EQ(batch->ids[i * kLength + t], static_cast<int32_t>(static_cast<uint64_t>(batch->dense[i]) + t) % 100);
        }
      }
    }
    return all;
  }

  static LoaderOptions options(uint32_t batch = 16) {
    LoaderOptions o;
    o.batch_size = batch;
    o.epochs = 3;
    o.seed = 11;
    return o;
  }
};

TEST_F(LoaderInputsTest, BatchesAreTheSameWhateverTheThreadsAndTheMemory) {
  const std::vector<float> one = contents(options());
  ASSERT_EQ(one.size(), 3U * 167 * 76);
  for (const uint32_t threads : {2U, 5U}) {
    LoaderOptions o = options();
    o.threads = threads;
    EXPECT_EQ(contents(o), one) << threads;
    o.memory = 2 * 16 * 4 * (1 + 1 + 75 + kLength + 20);
    EXPECT_EQ(contents(o), one) << threads;
  }
}

TEST_F(LoaderInputsTest, ASampleIsAugmentedByItsKeyAndEpochNotByItsBatch) {
  LoaderOptions o = options();
  o.shuffle = Shuffle::kNone;
  const std::vector<float> small = contents(o);
  o.batch_size = 100;
  EXPECT_EQ(contents(o), small);
  const auto third = static_cast<std::ptrdiff_t>(small.size() / 3);
  EXPECT_NE(std::vector<float>(small.begin(), small.begin() + third), std::vector<float>(small.begin() + third, small.begin() + 2 * third));
}

TEST_F(LoaderInputsTest, ValidationIsNotAugmented) {
  LoaderOptions o = options();
  o.epochs = 2;
  o.shuffle = Shuffle::kNone;
  o.held_out = 0.3F;
  o.validation = true;
  const std::vector<float> all = contents(o);
  EXPECT_EQ(std::vector<float>(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(all.size() / 2)), std::vector<float>(all.begin() + static_cast<std::ptrdiff_t>(all.size() / 2), all.end()));
}

TEST_F(LoaderInputsTest, ATokenBeyondTheVocabularyNamesItsSample) {
  LoaderOptions o = options();
  o.shuffle = Shuffle::kNone;
  o.id_limit = 50;
  const auto [code, message] = error_of([&] { contents(o); });
  EXPECT_EQ(code, "E_ARGUMENT");
  EXPECT_EQ(message, "sample 48: token id 50 at position 2, but the model's vocabulary has 50");
}

TEST_F(LoaderInputsTest, AMemoryThatHoldsNoTwoBatchesIsRefused) {
  LoaderOptions o = options();
  o.memory = 16 * 4 * 80;
  const auto [code, message] = error_of([&] { contents(o); });
  EXPECT_EQ(code, "E_ARGUMENT");
  EXPECT_NE(message.find("does not hold two of them: take smaller batches, or give it more"), std::string::npos) << message;
}

TEST_F(LoaderInputsTest, BatchesLieWhereTheDeviceWantsThem) {
  struct Counting final : BatchMemory {
    size_t given = 0, back = 0;
    void* allocate(size_t bytes) override {
      given += bytes;
      return host_memory().allocate(bytes);
    }
    void release(void* memory, size_t bytes) noexcept override {
      back += bytes;
      host_memory().release(memory, bytes);
    }
  } memory;
  LoaderOptions o = options();
  o.batch_memory = &memory;
  EXPECT_EQ(contents(o), contents(options()));
  EXPECT_GT(memory.given, 0U);
  EXPECT_EQ(memory.given, memory.back);
}

TEST_F(LoaderInputsTest, AnEpochOrderMadeAheadIsThatOfItsEpoch) {
  constexpr uint32_t kLong = 200'000;
  EpochOrder ahead(Shuffle::kGlobal, 1, 4, kLong, {}, 4);
  const auto first = ahead.of(0);
  const auto second = ahead.of(1);
  EXPECT_NE(*first, *second);
  EXPECT_EQ(*EpochOrder(Shuffle::kGlobal, 1, 4, kLong, {}, 4).of(1), *second);
  EXPECT_EQ(*EpochOrder(Shuffle::kGlobal, 1, 4, kLong, {}, 4).of(3), *ahead.of(3));
}

}  // namespace
}  // namespace sluice
