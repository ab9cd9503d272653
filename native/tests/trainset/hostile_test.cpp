// Training-set files whose checksums are right and whose contents are not to be trusted.
#include <cstring>
#include <limits>
#include <vector>

#include "base/crc32c.h"
#include "fixtures.h"
#include "trainset/trainset.h"

namespace sluice {
namespace {

using testing::error_of;
using testing::TemporaryFolder;

constexpr uint32_t kRange = 1;
constexpr uint32_t kWeighted = 2;

class HostileTrainSet : public ::testing::Test {
 protected:
  /// Writes a file with a sound header checksum and opens it.
  std::string code_of(uint64_t count, uint64_t first, uint32_t flags, uintmax_t file_bytes) {
    char header[32] = {'S', 'L', 'T', 'R', 'S', '1', '\n', '\0'};
    std::memcpy(header + 8, &count, 8);
    std::memcpy(header + 16, &first, 8);
    std::memcpy(header + 24, &flags, 4);
    const uint32_t crc = crc32c(header, 28);
    std::memcpy(header + 28, &crc, 4);
    const std::string id(32, 'a');
    const std::string path = folder_.file(id + ".trainset");
    std::ofstream(path, std::ios::binary | std::ios::trunc).write(header, sizeof header);
    std::filesystem::resize_file(path, file_bytes);
    return error_of([&] { TrainSet::open(folder_.path(), id); }).first;
  }
  TemporaryFolder folder_;
};

TEST_F(HostileTrainSet, ACountWhoseLengthOverflowsIsCorrupt) {
  // So many whole partitions that their bytes, modulo 2^64, are those of a small file.
  constexpr uint64_t kPartitionBytes = 8 + 8 * kPartitionRows;
  const uint64_t partitions = UINT64_MAX / kPartitionBytes + 1;
  EXPECT_EQ(code_of(partitions * kPartitionRows, 0, 0, 32 + partitions * kPartitionBytes), "E_CORRUPT");
  EXPECT_EQ(code_of(UINT64_MAX, 0, 0, 32), "E_CORRUPT");
}

TEST_F(HostileTrainSet, AHeaderThatNoWriterMakesIsCorrupt) {
  EXPECT_EQ(code_of(0, 0, kRange, 32), "E_CORRUPT");
  EXPECT_EQ(code_of(100, UINT64_MAX - 10, kRange, 32), "E_CORRUPT");  // keys would wrap around
  EXPECT_EQ(code_of(5, 0, kRange | kWeighted, 32), "E_CORRUPT");      // a range has no weights
  EXPECT_EQ(code_of(5, 0, kRange | 8, 32), "E_CORRUPT");              // a flag of another format
}

TEST_F(HostileTrainSet, WeightsThatNoWriterMakesAreCorrupt) {
  const std::vector<uint64_t> keys{1, 2};
  const std::vector<float> weights{1.0F, 2.0F};
  const std::string id = freeze(folder_.path(), {0, 0, keys.data(), weights.data(), 2}, 10);
  const std::string path = folder_.file(id + ".trainset");
  for (const float bad : {-1.0F, std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    std::ifstream in(path, std::ios::binary);
    std::string bytes{std::istreambuf_iterator<char>(in), {}};
    std::memcpy(bytes.data() + 32 + 8 + 16 + 4, &bad, sizeof bad);
    const uint32_t crc = crc32c(bytes.data() + 40, bytes.size() - 40);
    std::memcpy(bytes.data() + 32, &crc, sizeof crc);
    std::ofstream(folder_.file(std::string(32, 'b') + ".trainset"), std::ios::binary) << bytes;
    EXPECT_EQ(error_of([&] { TrainSet::open(folder_.path(), std::string(32, 'b')); }).first, "E_CORRUPT") << bad;
  }
}

}  // namespace
}  // namespace sluice
