#include <fcntl.h>

#include "base/file.h"
#include "base/rng.h"
#include "processes.h"
#include "storage/rows.h"

namespace sluice {
namespace {

using namespace testing;

enum Outcome { kSound, kRefused, kWrong, kOtherError };

/// Opens the dataset and reads all of it.
Outcome read_all(const std::string& path, uint64_t rows) {
  try {
    const auto dataset = Dataset::open(path, true);
    const auto snapshot = dataset->snapshot();
    const bool right = snapshot->size() == rows && difference(*snapshot).empty() && dataset->state("end") == "the end" && snapshot->sorted_by_time();
    return right ? kSound : kWrong;
  } catch (const Error& error) {
    return std::string(error.code()) == "E_CORRUPT" ? kRefused : kOtherError;
  }
}

class Damage : public ::testing::Test {
 protected:
  void write(uint64_t rows) {
    rows_ = rows;
    write_dataset(path_, kStreamSchema, rows);
    Dataset::open(path_, false)->set_state("end", "the end");
    ASSERT_EQ(outcome(), kSound);
  }

  /// Of reading in a child: a signal is a failed test, not the end of all.
  int outcome() const {
    return in_child([&] { return read_all(path_, rows_); });
  }

  int outcome_with(const std::string& file_path, uint64_t offset, const std::string& bytes) const {
    const File file(file_path, O_RDWR);
    std::string sound(bytes.size(), '\0');
    file.read_at(offset, sound.data(), sound.size());
    file.write_at(offset, bytes.data(), bytes.size());
    const int result = outcome();
    file.write_at(offset, sound.data(), sound.size());
    return result;
  }

  int outcome_with_flipped_bit(const std::string& file_path, uint64_t offset, unsigned bit) const {
    char byte;
    File(file_path, O_RDONLY).read_at(offset, &byte, 1);
    return outcome_with(file_path, offset, std::string(1, static_cast<char>(byte ^ (1 << bit))));
  }

  uint64_t find_in_index(const std::string& bytes) const {
    std::ifstream file(index_, std::ios::binary);
    const std::string content{std::istreambuf_iterator<char>(file), {}};
    const size_t at = content.find(bytes);
    EXPECT_NE(at, std::string::npos);
    return at;
  }

  TemporaryFolder folder_;
  std::string path_ = folder_.file("d");
  std::string index_ = path_ + "/index/data.mdb";
  uint64_t rows_ = 0;
};

TEST_F(Damage, AnIndexCutAnywhereEndsInNoSignal) {
  write(kChunkRows + 500);
  const auto size = std::filesystem::file_size(index_);
  int refused = 0;
  // From the end down: what the file loses is gone. A cut within the room behind the last page takes nothing away.
  for (uintmax_t length = size; length > 0; length -= std::min<uintmax_t>(length, length > 20'000 ? 32'768 + 512 : 512)) {
    std::filesystem::resize_file(index_, length);
    const int result = outcome();
    ASSERT_TRUE(result == kRefused || (result == kSound && refused == 0)) << length << " bytes: " << result;
    refused += result == kRefused ? 1 : 0;
  }
  EXPECT_GT(refused, 10);
}

TEST_F(Damage, AFlippedBitInAnyFieldOfTheMetaPagesEndsInNoSignal) {
  write(600);
  const auto page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  for (const uint64_t meta : {uint64_t{0}, page}) {
    for (uint64_t at = 16; at < 16 + 136; ++at) {
      const int result = outcome_with_flipped_bit(index_, meta + at, static_cast<unsigned>(at * 5 % 8));
      EXPECT_LT(result, 99) << "byte " << at << " of the page at " << meta;
    }
  }
  EXPECT_EQ(outcome_with(index_, page + 16 + 24, std::string(4, '\0')), kRefused) << "a page size of 0";
}

TEST_F(Damage, AFlippedBitInAPageOfATreeEndsInNoSignal) {
  write(600);
  const auto page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  std::vector<uint64_t> trees;
  for (uint64_t at = 2 * page; at < std::filesystem::file_size(index_); at += page) {
    uint64_t number;
    uint16_t flags;
    const File file(index_, O_RDONLY);
    file.read_at(at, &number, sizeof number);
    file.read_at(at + 10, &flags, sizeof flags);
    if (number == at / page && (flags == 1 || flags == 2)) trees.push_back(at);
  }
  ASSERT_GT(trees.size(), 3U);
  Rng rng(1);
  int refused = 0;
  for (int round = 0; round < 200; ++round) {
    // Heads of pages, their lists of entries, and the entries, which lie at the end.
    const uint64_t at = trees[rng.below(trees.size())] + (round % 2 == 0 ? rng.below(64) : page - 1 - rng.below(400));
    const int result = outcome_with_flipped_bit(index_, at, static_cast<unsigned>(rng.below(8)));
    ASSERT_TRUE(result == kSound || result == kRefused) << "byte " << at << ": " << result;
    refused += result == kRefused ? 1 : 0;
  }
  EXPECT_GT(refused, 20);
}

TEST_F(Damage, AFlippedBitInAStateOrInTheExtentIsFound) {
  write(600);
  EXPECT_EQ(outcome_with_flipped_bit(index_, find_in_index("the end") + 3, 1), kRefused);
  // The extent as it is stored: size, last timestamp, in order of time; the log's generation and end.
  const uint64_t extent[] = {600, 1'000'000 + 599 * 10, 1, 1, std::filesystem::file_size(path_ + "/state.log")};
  const std::string bytes(reinterpret_cast<const char*>(extent), sizeof extent);
  const uint64_t at = find_in_index(bytes);
  for (uint64_t i = 0; i < 24; ++i) EXPECT_EQ(outcome_with_flipped_bit(index_, at + i, 0), kRefused) << "byte " << i;
}

/// A damaged tree can lead to a sound chunk of other rows: simulated by exchanging two chunks of equal size.
TEST_F(Damage, AChunkInAnothersPlaceIsFound) {
  write(3 * kChunkRows);
  uint64_t first;
  uint64_t second;
  {
    const auto snapshot = Dataset::open(path_, true)->snapshot();
    first = snapshot->span(IndexColumn::kTimestamp, 0, 1).file_offset - 16;
    second = snapshot->span(IndexColumn::kTimestamp, kChunkRows, 1).file_offset - 16;
  }
  std::string other(16 + kChunkRows * 8, '\0');
  File(index_, O_RDONLY).read_at(second, other.data(), other.size());
  EXPECT_EQ(outcome_with(index_, first, other), kRefused);
}

TEST_F(Damage, DamageOfAPlaceThatIsNotReadDoesNotMatter) {
  write(kChunkRows + 500);
  const std::string segment = path_ + "/segments/00000000.seg";
  EXPECT_EQ(outcome_with_flipped_bit(segment, 128 + 8, 0), kRefused);
  const File file(segment, O_RDWR);
  file.write_at(128, "xxxx", 4);
  const auto snapshot = Dataset::open(path_, true)->snapshot();
  EXPECT_EQ(difference(*snapshot, kChunkRows, kChunkRows + 500), "");
}

TEST_F(Damage, AnAppendDoesNotBuildOnADamagedChunk) {
  write(kChunkRows + 500);
  const uint64_t offset = Dataset::open(path_, true)->snapshot()->span(IndexColumn::kLabel, kChunkRows, 1).file_offset;
  File(index_, O_RDWR).write_at(offset, "\xff", 1);
  const auto dataset = Dataset::open(path_, false);
  EXPECT_EQ(error_of([&] { append_rows(*dataset, 10); }).first, "E_CORRUPT");
  EXPECT_EQ(dataset->size(), rows_);
}

}  // namespace
}  // namespace sluice
