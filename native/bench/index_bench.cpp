// Times the sample index for scripts/bench: append, scan, gather, and what stays resident; prints one line of JSON.
// Arguments: <folder> <samples>. The folder must be empty or absent; it is left behind for a look with mdb_stat.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "base/buffer.h"
#include "base/rng.h"
#include "storage/dataset.h"

namespace {

using namespace sluice;
using Clock = std::chrono::steady_clock;

constexpr uint64_t kBatchRows = 1 << 20;
constexpr size_t kGathered = 1'000'000;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

/// Resident memory of this process, MiB.
double resident_mib() {
  std::ifstream file("/proc/self/statm");
  uint64_t total = 0;
  uint64_t resident = 0;
  file >> total >> resident;
  return static_cast<double>(resident) * static_cast<double>(sysconf(_SC_PAGESIZE)) / (1 << 20);
}

/// Highest resident memory so far, MiB.
double peak_mib() {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("VmHWM:", 0) == 0) return std::stod(line.substr(6)) / 1024;
  }
  return 0.0;
}

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

/// Seconds to sum the same number of values in plain memory: the bandwidth of one thread of this machine.
double scan_memory(uint64_t samples, int64_t& sum) {
  constexpr size_t kPiece = size_t{32} << 20;  // values; 256 MiB, far larger than the caches
  static const Buffer<int64_t> memory = [] {
    Buffer<int64_t> values(kPiece, "bandwidth measurement");
    std::fill(values.begin(), values.end(), 1);
    return values;
  }();
  const auto start = Clock::now();
  for (uint64_t at = 0; at < samples; at += kPiece) sum += sum_of(memory.data(), std::min<uint64_t>(kPiece, samples - at));
  return seconds_since(start);
}

double append_all(Dataset& dataset, uint64_t samples) {
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
  }
  return seconds;
}

double gather_rate(const Snapshot& snapshot) {
  Rng rng(1);
  std::vector<uint64_t> keys(kGathered);
  for (uint64_t& key : keys) key = rng.below(snapshot.size());
  std::vector<int64_t> timestamps(kGathered);
  std::vector<float> labels(kGathered);
  snapshot.gather(keys.data(), kGathered, timestamps.data(), labels.data(), nullptr);  // verifies what is touched first
  const auto start = Clock::now();
  snapshot.gather(keys.data(), kGathered, timestamps.data(), labels.data(), nullptr);
  return static_cast<double>(kGathered) / seconds_since(start);
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void bench(const std::string& folder, uint64_t samples) {
  const auto dataset = Dataset::create(folder, Schema{});
  const double append_seconds = append_all(*dataset, samples);
  const auto snapshot = dataset->snapshot();
  int64_t sum = 0;
  const double first = scan(*snapshot, sum);  // with every checksum verified
  scan_memory(1, sum);  // its buffer is there before memory is measured
  const double resident_before = resident_mib();
  std::vector<double> scans, memory;
  for (int i = 0; i < 5; ++i) {
    memory.push_back(scan_memory(samples, sum));
    scans.push_back(scan(*snapshot, sum));
  }
  const double resident_after = resident_mib();
  const double peak = peak_mib();
  const double bytes = static_cast<double>(samples) * 8 / 1e9;
  std::printf(
      "{\"samples\":%llu,\"appendPerSecond\":%.0f,\"firstScanGBs\":%.2f,\"scanGBs\":%.2f,\"memoryGBs\":%.2f,\"scanShare\":%.3f,"
      "\"residentBeforeMiB\":%.0f,\"residentAfterMiB\":%.0f,\"peakMiB\":%.0f,\"gatherPerSecond\":%.0f,\"checksum\":%lld}\n",
      static_cast<unsigned long long>(samples), static_cast<double>(samples) / append_seconds, bytes / first, bytes / median(scans),
      bytes / median(memory), median(memory) / median(scans), resident_before, resident_after, peak, gather_rate(*snapshot),
      static_cast<long long>(sum));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: index_bench <folder> <samples>\n");
    return 2;
  }
  try {
    bench(argv[1], std::stoull(argv[2]));
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "index_bench: %s\n", error.what());
    return 1;
  }
}
