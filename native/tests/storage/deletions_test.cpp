#include "storage/deletions.h"

#include <algorithm>
#include <atomic>
#include <set>
#include <thread>

#include "base/rng.h"
#include "processes.h"
#include "storage/compact.h"
#include "storage/fsck.h"
#include "storage/metadata.h"
#include "storage/rows.h"
#include "storage/statistics.h"

namespace sluice {
namespace {

using namespace testing;

constexpr uint64_t kRows = 2 * kChunkRows + 500;
const Schema kBytesSchema{{{"x", ColumnType::kF32}, {"secret", ColumnType::kBytes, {64}}}, LabelKind::kReal, 0};

CompactReport compact(const std::string& path, bool copy = false) {
  const StopFlag stop;
  return compact_dataset(path, copy, stop, [](uint64_t, uint64_t) {});
}

CheckReport check(const std::string& path, bool repair = false) {
  const StopFlag stop;
  return check_dataset(path, repair, stop, [](uint64_t, uint64_t) {});
}

std::string secret_of(uint64_t key) { return "secret number " + std::to_string(key * 1'000'003) + " of a person"; }

/// Appends rows whose records hold secret_of() their keys.
void append_secrets(Dataset& dataset, uint64_t rows) {
  const Column& column = dataset.schema().columns[1];
  const uint64_t first = dataset.size();
  std::vector<int64_t> timestamps(rows);
  std::vector<float> labels(rows);
  std::vector<float> x(rows, 1.0F);
  std::vector<uint8_t> cells(rows * column.bytes());
  for (uint64_t i = 0; i < rows; ++i) {
    timestamps[i] = static_cast<int64_t>(first + i) * 1000;
    labels[i] = static_cast<float>(first + i) + 0.25F;
    const std::string text = secret_of(first + i);
    const auto length = static_cast<uint32_t>(text.size());
    std::memcpy(cells.data() + i * column.bytes(), &length, sizeof length);
    std::memcpy(cells.data() + i * column.bytes() + sizeof length, text.data(), text.size());
  }
  AppendBatch batch;
  batch.rows = rows;
  batch.timestamps = timestamps.data();
  batch.labels = labels.data();
  batch.columns = {x.data(), cells.data()};
  dataset.append(batch);
}

/// Whether any file below the folder contains the bytes.
bool stored(const std::string& folder, const std::string& bytes) {
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string content{std::istreambuf_iterator<char>(file), {}};
    if (content.find(bytes) != std::string::npos) return true;
  }
  return false;
}

std::string secret_in(const Snapshot& snapshot, uint64_t key) {
  const uint8_t* record;
  snapshot.gather(&key, 1, nullptr, nullptr, &record);
  return std::string(stored_bytes(record + snapshot.schema().offset(1), snapshot.schema().columns[1]));
}

TEST(KeySet, IsWhatASetOfKeysIs) {
  Rng rng(3);
  KeySet set;
  std::set<uint64_t> expected;
  for (int i = 0; i < 300; ++i) {
    const uint64_t first = rng.below(3 * kChunkRows);
    const uint64_t end = first + 1 + rng.below(i % 10 == 0 ? 5000 : 70);
    uint64_t added = 0;
    for (uint64_t key = first; key < end; ++key) added += expected.insert(key).second ? 1 : 0;
    ASSERT_EQ(set.add({first, end}), added);
  }
  EXPECT_EQ(set.size(), expected.size());
  for (int i = 0; i < 200; ++i) {
    const uint64_t first = rng.below(3 * kChunkRows);
    const uint64_t end = first + rng.below(20'000);
    const auto in = static_cast<uint64_t>(std::distance(expected.lower_bound(first), expected.lower_bound(end)));
    ASSERT_EQ(set.count_in(first, end), in) << first << " to " << end;
    uint64_t at = first;
    uint64_t living = 0;
    for (const KeyRange& range : set.missing_in(first, end)) {
      for (uint64_t key = at; key < range.first; ++key) ASSERT_TRUE(expected.count(key)) << key;
      for (uint64_t key = range.first; key < range.end; ++key) ASSERT_FALSE(expected.count(key)) << key;
      living += range.end - range.first;
      at = range.end;
    }
    ASSERT_EQ(living, end - first - in);
  }
}

TEST(Deletions, VanishFromGatherAndCountsAndAreInTheAuditLog) {
  const TemporaryFolder folder;
  write_dataset(folder.file("d"), kStreamSchema, kRows);
  const auto dataset = Dataset::open(folder.file("d"), false);
  const auto before = dataset->snapshot();
  EXPECT_EQ(dataset->remove({{10, 12}, {kChunkRows - 1, kChunkRows + 1}, {11, 13}}, "asked for", 1234), 5U);
  EXPECT_EQ(dataset->remove({{10, 13}}, "again", 1235), 0U);
  EXPECT_EQ(dataset->remove({{0, 11}}, "more", 1236), 10U);
  const auto after = dataset->snapshot();
  const uint64_t gone = 11;
  std::vector<const uint8_t*> record(1);
  EXPECT_EQ(error_of([&] { after->gather(&gone, 1, nullptr, nullptr, record.data()); }).first, "E_NOT_FOUND");
  EXPECT_NO_THROW(before->gather(&gone, 1, nullptr, nullptr, record.data())) << "a view stays what it was";
  EXPECT_EQ(after->size(), kRows);
  EXPECT_EQ(after->deleted().size(), 15U);
  EXPECT_EQ(after->deleted().missing_in(0, 20), (std::vector<KeyRange>{{13, 20}}));
  EXPECT_EQ(difference(*after, 13, kChunkRows - 1), "");
  const auto log = dataset->deletions();
  ASSERT_EQ(log.size(), 2U);
  EXPECT_EQ(log[0].reason, "asked for");
  EXPECT_EQ(log[0].time, 1234);
  EXPECT_EQ(log[0].keys, (std::vector<KeyRange>{{10, 13}, {kChunkRows - 1, kChunkRows + 1}}));
  EXPECT_EQ(dataset->deletion_count(), 2U);
  EXPECT_EQ(error_of([&] { dataset->remove({{kRows, kRows + 1}}, "", 0); }).first, "E_ARGUMENT");
  EXPECT_EQ(error_of([&] { dataset->remove({{0, 1}}, std::string(2000, 'r'), 0); }).first, "E_ARGUMENT");
  EXPECT_EQ(error_of([&] { Dataset::open(folder.file("d"), true)->remove({{0, 1}}, "", 0); }).first, "E_READ_ONLY");
}

TEST(Deletions, StatisticsAreOfTheLiving) {
  const TemporaryFolder folder;
  write_dataset(folder.file("d"), kStreamSchema, kRows);
  const auto dataset = Dataset::open(folder.file("d"), false);
  dataset->remove({{5, kRows - 5}}, "", 0);
  const StopFlag stop;
  const LabelStatistics statistics = label_statistics(*dataset->snapshot(), stop);
  std::vector<uint64_t> classes(3);
  double sum = 0;
  for (const uint64_t key : {uint64_t{0}, uint64_t{1}, uint64_t{2}, uint64_t{3}, uint64_t{4}, kRows - 5, kRows - 4, kRows - 3, kRows - 2, kRows - 1}) {
    ++classes[key * 2654435761U % 3];
    sum += static_cast<double>(key * 2654435761U % 3);
  }
  EXPECT_EQ(statistics.samples, 10U);
  EXPECT_EQ(statistics.classes, classes);
  EXPECT_NEAR(statistics.mean, sum / 10, 1e-12);
}

TEST(Deletions, CompactionTakesThemOutOfEveryFile) {
  const TemporaryFolder folder;
  const std::string path = folder.file("d");
  const auto dataset = Dataset::create(path, kBytesSchema);
  append_secrets(*dataset, 30'000);
  append_secrets(*dataset, 45'000);
  MetadataStore::open(path + "/metadata/p", true)->define({{"loss", MetadataType::kF32, 1}});
  const uint64_t keys[] = {7, 8};
  const float losses[] = {0.7F, 0.8F};
  MetadataStore::open(path + "/metadata/p", false)->update(keys, 2, {{"loss", MetadataType::kF32, 2, losses}});
  dataset->remove({{0, 3}, {7, 8}, {40'000, 40'100}, {74'999, 75'000}}, "asked for", 5);
  float read[2];
  MetadataStore::open(path + "/metadata/p", false)->read("loss", keys, 2, read);
  EXPECT_TRUE(std::isnan(read[0]));
  EXPECT_EQ(read[1], 0.8F);
  EXPECT_TRUE(stored(path, secret_of(7)));
  EXPECT_EQ(error_of([&] { compact(path); }).first, "E_LOCKED");
  const auto reader = Dataset::open(path, true);
  const auto earlier = reader->snapshot();
  dataset->close();

  const CompactReport report = compact(path);
  EXPECT_EQ(report.samples, 105U);
  EXPECT_EQ(report.segments, 1U);
  for (const uint64_t key : {0U, 7U, 40'050U, 74'999U}) EXPECT_FALSE(stored(path, secret_of(key))) << key;
  const float label = 40'050.25F;
  EXPECT_FALSE(stored(path, std::string(reinterpret_cast<const char*>(&label), 4)));
  EXPECT_EQ(secret_in(*earlier, 8), secret_of(8)) << "a view stays what it was";
  const auto after = reader->snapshot();
  EXPECT_EQ(after->deleted().size(), 105U);
  for (const uint64_t key : {3U, 6U, 8U, 39'999U, 40'100U, 74'998U}) EXPECT_EQ(secret_in(*after, key), secret_of(key));
  EXPECT_EQ(after->lower_bound_time(8000, 0, after->size()), 8U);
  std::vector<int64_t> times(after->size());
  after->copy(IndexColumn::kTimestamp, 0, times.size(), times.data());
  EXPECT_TRUE(std::is_sorted(times.begin(), times.end()));
  EXPECT_TRUE(check(path).damages.empty());
  EXPECT_EQ(compact(path).samples, 0U);

  // It goes on, and what was appended since is deleted and taken out like the rest.
  const auto again = Dataset::open(path, false);
  append_secrets(*again, 1000);
  again->remove({{75'500, 75'501}}, "", 6);
  again->close();
  EXPECT_EQ(compact(path).samples, 1U);
  EXPECT_FALSE(stored(path, secret_of(75'500)));
  EXPECT_EQ(secret_in(*reader->snapshot(), 75'501), secret_of(75'501));
  EXPECT_TRUE(check(path).damages.empty());
}

TEST(Deletions, CompactionGoesOnWhileOthersAppendAndDelete) {
  const TemporaryFolder folder;
  const std::string path = folder.file("d");
  const auto dataset = Dataset::create(path, kBytesSchema);
  append_secrets(*dataset, 60'000);
  dataset->remove({{0, 3}, {59'990, 60'000}}, "asked for", 5);
  const auto earlier = dataset->snapshot();
  std::atomic<bool> compacted = false;
  std::thread writer([&] {
    for (int i = 0; i < 20 || !compacted; ++i) {
      append_secrets(*dataset, 500);
      dataset->remove({{100U + static_cast<uint64_t>(i), 101U + static_cast<uint64_t>(i)}}, "meanwhile", 6);
    }
  });
  const StopFlag stop;
  const auto done = [](uint64_t, uint64_t) {};
  const CompactReport report = dataset->compact(stop, done);
  compacted = true;
  writer.join();
  EXPECT_GE(report.samples, 13U);
  for (const uint64_t key : {0U, 2U, 59'990U, 59'999U}) EXPECT_FALSE(stored(path, secret_of(key))) << key;
  EXPECT_EQ(secret_in(*earlier, 3), secret_of(3)) << "a view stays what it was";
  const uint64_t size = dataset->size();
  EXPECT_GE(size, 70'000U);
  const auto after = dataset->snapshot();
  for (const uint64_t key : {uint64_t{3}, uint64_t{99}, uint64_t{59'989}, uint64_t{60'000}, size - 1}) EXPECT_EQ(secret_in(*after, key), secret_of(key)) << key;
  EXPECT_TRUE(after->deleted().contains(100));
  EXPECT_TRUE(check(path).damages.empty());

  EXPECT_GE(dataset->compact(stop, done).samples, 1U);
  EXPECT_FALSE(stored(path, secret_of(100)));
  append_secrets(*dataset, 10);
  dataset->close();
  EXPECT_TRUE(check(path).damages.empty());
  EXPECT_EQ(Dataset::open(path, false)->size(), size + 10);
}

TEST(Deletions, ALostIndexIsMadeWithThem) {
  const TemporaryFolder folder;
  const std::string path = folder.file("d");
  {
    const auto dataset = Dataset::create(path, kBytesSchema);
    append_secrets(*dataset, 3000);
    dataset->remove({{100, 200}}, "asked for", 5);
  }
  compact(path);
  Dataset::open(path, false)->remove({{300, 301}}, "later", 6);
  std::filesystem::remove_all(path + "/index");
  const CheckReport report = check(path, true);
  EXPECT_TRUE(std::all_of(report.damages.begin(), report.damages.end(), [](const Damage& d) { return d.repaired; }));
  EXPECT_TRUE(check(path).damages.empty());
  const auto dataset = Dataset::open(path, true);
  EXPECT_EQ(dataset->snapshot()->deleted().size(), 101U);
  EXPECT_EQ(dataset->deletions().back().reason, "later");
  EXPECT_EQ(secret_in(*dataset->snapshot(), 299), secret_of(299));
}

TEST(Deletions, DamagedBitmapsAreMadeAnewFromTheAuditLog) {
  const TemporaryFolder folder;
  const std::string path = folder.file("d");
  write_dataset(path, kStreamSchema, 5000);
  Dataset::open(path, false)->remove({{64, 128}}, "", 0);
  std::fstream file(path + "/index/data.mdb", std::ios::binary | std::ios::in | std::ios::out);
  std::string content{std::istreambuf_iterator<char>(file), {}};
  const size_t at = content.find(std::string(8, '\0') + std::string(8, '\xff') + std::string(8, '\0'));
  ASSERT_NE(at, std::string::npos);
  file.seekp(static_cast<std::streamoff>(at + 9));
  file.put('\0');
  file.close();
  EXPECT_EQ(error_of([&] { Dataset::open(path, true)->snapshot(); }).first, "E_CORRUPT");
  check(path, true);
  EXPECT_EQ(Dataset::open(path, true)->snapshot()->deleted().count_in(64, 128), 64U);
}

TEST(Deletions, AKilledCompactionLeavesASoundDatasetAndCanBeRepeated) {
  const TemporaryFolder folder;
  const std::string sound = folder.file("sound");
  const std::string path = folder.file("d");
  {
    const auto dataset = Dataset::create(sound, kBytesSchema);
    append_secrets(*dataset, 60'000);
    dataset->remove({{1000, 2000}, {50'000, 50'001}}, "asked for", 5);
  }
  Rng rng(9);
  for (int round = 0; round < 25; ++round) {
    std::filesystem::remove_all(path);
    std::filesystem::copy(sound, path, std::filesystem::copy_options::recursive);
    const pid_t child = fork();
    if (child == 0) {
      compact(path);
      _exit(0);
    }
    usleep(static_cast<useconds_t>(rng.below(30'000)));
    kill_and_wait(child);
    ASSERT_TRUE(check(path).damages.empty()) << round;
    {
      const auto snapshot = Dataset::open(path, true)->snapshot();
      ASSERT_EQ(snapshot->deleted().size(), 1001U);
      ASSERT_EQ(secret_in(*snapshot, 2000), secret_of(2000));
    }
    compact(path);
    ASSERT_FALSE(stored(path, secret_of(1500))) << round;
    ASSERT_FALSE(stored(path, secret_of(50'000))) << round;
  }
}

}  // namespace
}  // namespace sluice
