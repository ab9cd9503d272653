// Our sample index: append, scan, gather, look-up by time, freezing a set, opening cold, and what stays resident.
#include <cstdio>
#include <cstring>

#include "base/buffer.h"
#include "base/rng.h"
#include "index.h"
#include "select/filter.h"
#include "select/select.h"
#include "storage/dataset.h"
#include "trainset/trainset.h"

namespace sluice::bench {

namespace {

constexpr uint64_t kFrozen = 100'000'000;

int64_t sum_of(const int64_t* values, size_t n) {
  int64_t sum = 0;
  for (size_t i = 0; i < n; ++i) sum += values[i];
  return sum;
}

/// Seconds to sum every timestamp, chunk by chunk.
double scan(const Snapshot& snapshot, int64_t& sum) {
  const auto start = Clock::now();
  for (uint64_t at = 0; at < snapshot.size();) {
    const ColumnSpan span = snapshot.span(IndexColumn::kTimestamp, at, snapshot.size() - at);
    sum += sum_of(static_cast<const int64_t*>(span.data), span.rows);
    at += span.rows;
  }
  return seconds_since(start);
}

/// The bandwidth of one thread of this machine: sums over memory larger than the caches.
class Memory {
 public:
  /// large: in pages of 2 MiB, where the system has such; else as a program gets it that does not ask.
  explicit Memory(bool large) : large_(large ? kValues : 0, "bandwidth measurement"), plain_(large ? 0 : kValues, 1) {
    std::fill(large_.begin(), large_.end(), 1);
  }
  /// Seconds to sum as many values as there are samples.
  double scan(uint64_t samples, int64_t& sum) const {
    const int64_t* values = plain_.empty() ? large_.data() : plain_.data();
    const auto start = Clock::now();
    for (uint64_t at = 0; at < samples; at += kValues) sum += sum_of(values, std::min<uint64_t>(kValues, samples - at));
    return seconds_since(start);
  }

 private:
  static constexpr size_t kValues = size_t{8} << 20;  // 64 MiB
  Buffer<int64_t> large_;
  std::vector<int64_t> plain_;
};

/// Seconds to count the samples of one of two labels.
double scan_labels(const Snapshot& snapshot, int64_t& sum) {
  const StopFlag never;
  const auto start = Clock::now();
  sum += static_cast<int64_t>(count_samples(snapshot, snapshot.size(), {{}, {{1.0F}}, {}}, never));
  return seconds_since(start);
}

/// The most that was resident when asked.
class Most {
 public:
  void note() {
    const Resident now = resident();
    most_ = {std::max(most_.own, now.own), std::max(most_.mapped, now.mapped)};
  }
  const Resident& most() const { return most_; }

 private:
  Resident most_{0.0, 0.0};
};

double append_all(Dataset& dataset, uint64_t samples, Most& memory) {
  std::vector<int64_t> timestamps(kBatchRows);
  std::vector<float> labels(kBatchRows);
  double seconds = 0.0;
  for (uint64_t done = 0; done < samples; done += kBatchRows) {
    AppendBatch batch;
    batch.rows = std::min(kBatchRows, samples - done);
    for (uint64_t i = 0; i < batch.rows; ++i) {
      timestamps[i] = static_cast<int64_t>(done + i);
      labels[i] = static_cast<float>(i & 1U);
    }
    batch.timestamps = timestamps.data();
    batch.labels = labels.data();
    const auto start = Clock::now();
    dataset.append(batch);
    seconds += seconds_since(start);
    memory.note();
  }
  return seconds;
}

double gather_rate(const Snapshot& snapshot) {
  const std::vector<uint64_t> keys = random_keys(kGathered, snapshot.size());
  std::vector<int64_t> timestamps(kGathered);
  std::vector<float> labels(kGathered);
  std::vector<double> seconds;
  for (int i = 0; i < 6; ++i) {
    const auto start = Clock::now();
    snapshot.gather(keys.data(), kGathered, timestamps.data(), labels.data(), nullptr);
    if (i > 0) seconds.push_back(seconds_since(start));  // the first verifies what it touches
  }
  return static_cast<double>(kGathered) / median(seconds);
}

/// Seconds to find a range of time that begins anywhere: the median of n.
double look_up(const Snapshot& snapshot, size_t n, uint64_t seed) {
  Rng rng(seed);
  std::vector<double> seconds;
  for (size_t i = 0; i < n; ++i) {
    const auto from = static_cast<int64_t>(rng.below(snapshot.size()));
    const auto start = Clock::now();
    const uint64_t first = snapshot.lower_bound_time(from, 0, snapshot.size());
    snapshot.lower_bound_time(from + 1000, first, snapshot.size());
    seconds.push_back(seconds_since(start));
  }
  return median(seconds);
}

/// Seconds to choose a uniform sample of up to kFrozen keys, and to freeze it.
std::pair<double, double> freeze_sample(const std::string& folder, uint64_t samples) {
  const uint64_t count = std::min(kFrozen, samples / 2);
  auto start = Clock::now();
  const std::vector<uint64_t> keys = sample_uniform(0, samples, count, 3);
  const double choosing = seconds_since(start);
  Selection selection;
  selection.keys = keys.data();
  selection.count = keys.size();
  start = Clock::now();
  freeze(folder, selection, samples);
  return {choosing, seconds_since(start)};
}

}  // namespace

void bench_ours(const std::string& folder, uint64_t samples) {
  const std::string path = folder + "/dataset";
  auto dataset = Dataset::create(path, Schema{});
  Most most;
  const double append_seconds = append_all(*dataset, samples, most);
  dataset->close();
  dataset.reset();
  drop_page_cache(path);
  const auto start = Clock::now();
  dataset = Dataset::open(path, true);
  auto snapshot = dataset->snapshot();
  int64_t newest = 0;
  snapshot->copy(IndexColumn::kTimestamp, samples - 1, 1, &newest);
  const double open_seconds = seconds_since(start);
  const double first_look_up = look_up(*snapshot, 1, 2);
  int64_t sum = newest;
  const double first = scan(*snapshot, sum);  // from disk, with every checksum verified
  scan_labels(*snapshot, sum);
  const Memory plain(false), large(true);
  std::vector<double> scans, labels, in_plain, in_large;
  for (int i = 0; i < 5; ++i) {
    in_plain.push_back(plain.scan(samples, sum));
    scans.push_back(scan(*snapshot, sum));
    in_large.push_back(large.scan(samples, sum));
    labels.push_back(scan_labels(*snapshot, sum));
  }
  most.note();
  const double looked_up = look_up(*snapshot, 1000, 3);
  const double gathered = gather_rate(*snapshot);
  most.note();
  const auto [choosing, freezing] = freeze_sample(folder, samples);
  const double bytes = static_cast<double>(samples) * 8 / 1e9;
  std::printf(
      "{\"samples\":%llu,\"appendPerSecond\":%.0f,\"openSeconds\":%.6f,\"firstLookUpSeconds\":%.6f,\"lookUpSeconds\":%.8f,"
      "\"firstScanGBs\":%.2f,\"scanGBs\":%.2f,\"labelScanGBs\":%.2f,\"memoryGBs\":%.2f,\"largePagesGBs\":%.2f,\"scanShare\":%.3f,\"ownMiB\":%.0f,\"mappedMiB\":%.0f,"
      "\"gatherPerSecond\":%.0f,\"frozen\":%llu,\"chooseSeconds\":%.3f,\"freezeSeconds\":%.3f,\"bytesPerSample\":%.3f,"
      "\"checksum\":%lld}\n",
      static_cast<unsigned long long>(samples), static_cast<double>(samples) / append_seconds, open_seconds, first_look_up, looked_up, bytes / first,
      bytes / median(scans), bytes / 2 / median(labels), bytes / median(in_plain), bytes / median(in_large), median(in_plain) / median(scans), most.most().own, most.most().mapped, gathered,
      static_cast<unsigned long long>(std::min(kFrozen, samples / 2)), choosing, freezing, bytes_below(path) / static_cast<double>(samples),
      static_cast<long long>(sum));
}

}  // namespace sluice::bench
