// Times DLRM training for scripts/bench/train.mjs, which runs scripts/bench/dlrm_torch.py beside it. Reads one command a line, answers each with one line of JSON:
//   export            write weights.bin (parameters in order) and batches.bin for the peer; reload both
//   run N             N optimizer steps on the next batches -> {"seconds":[…],"losses":[…]}
//   gemm              rate of the step's own matrix products alone -> {"gflops":…}
//   memory N          N steps on batches in memory -> {"samplesPerSecond":…}
//   disk N            the same N batches from a dataset on disk, page cache dropped -> {"samplesPerSecond":…}
//   infer N           N forward passes -> {"seconds":[…]};  score N: the same with losses, gradients, embeddings
//   select N          N steps on half of each batch, chosen by gradient norm -> {"seconds":[…]}
//   copy              memory bandwidth of all threads -> {"gigabytesPerSecond":…}
// Arguments: <folder> <fp32|bf16> <threads> <small|embedding> <rows per table>
// Shapes: small is NVIDIA's (MLPs 512-256-128, 1024-1024-512-256-1, width 128), embedding is bound by its tables
// (MLPs 64-16, 64-1, width 16).
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "base/buffer.h"
#include "base/rng.h"
#include "train/compute.h"
#include "train/train.h"

namespace {

using namespace sluice;
using Clock = std::chrono::steady_clock;

constexpr size_t kBatch = 2048;
constexpr size_t kDense = 13;
constexpr size_t kTables = 26;
constexpr size_t kBatches = 100;
constexpr float kKept = 0.5F;
constexpr float kLearningRate = 0.1F;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

struct HostBatch {
  std::vector<float> dense, labels;
  std::vector<int32_t> categorical;
  Batch view() const { return {labels.size(), dense.data(), categorical.data(), labels.data(), nullptr}; }
};

class Bench {
 public:
  Bench(std::string folder, Precision precision, bool small, uint64_t rows) : folder_(std::move(folder)), rows_(rows) {
    spec_.dense = kDense;
    spec_.tables.assign(kTables, rows);
    spec_.embedding = small ? 128 : 16;
    spec_.bottom = small ? std::vector<uint32_t>{512, 256, 128} : std::vector<uint32_t>{64, 16};
    spec_.top = small ? std::vector<uint32_t>{1024, 1024, 512, 256, 1} : std::vector<uint32_t>{64, 1};
    options_.precision = precision;
    options_.dense_optimizer.lr = options_.embedding_optimizer.lr = kLearningRate;
    make_batches();
    model_ = make_dlrm(spec_, options_);
  }

  void export_files() {
    std::ofstream weights(folder_ + "/weights.bin", std::ios::binary);
    for (const NamedTensor& tensor : model_->parameters()) {
      weights.write(reinterpret_cast<const char*>(tensor.data), static_cast<std::streamsize>(tensor.size() * sizeof(float)));
    }
    std::ofstream batches(folder_ + "/batches.bin", std::ios::binary);
    for (const HostBatch& batch : batches_) {
      batches.write(reinterpret_cast<const char*>(batch.dense.data()), static_cast<std::streamsize>(batch.dense.size() * 4));
      batches.write(reinterpret_cast<const char*>(batch.categorical.data()), static_cast<std::streamsize>(batch.categorical.size() * 4));
      batches.write(reinterpret_cast<const char*>(batch.labels.data()), static_cast<std::streamsize>(batch.labels.size() * 4));
    }
    std::puts(weights.good() && batches.good() ? "{}" : "{\"error\":\"could not write\"}");
  }

  void run(size_t n) {
    std::string seconds, losses;
    for (size_t i = 0; i < n; ++i) {
      const auto start = Clock::now();
      const double loss = model_->step(batches_[next_++ % kBatches].view());
      append(seconds, seconds_since(start));
      append(losses, loss);
    }
    std::printf("{\"seconds\":[%s],\"losses\":[%s]}\n", seconds.c_str(), losses.c_str());
  }

  /// Forward, input-gradient and weight-gradient products of all layers, each with its matrices laid out as in the step
  /// and written just before, as there. The median of five passes.
  void gemm_rate() {
    struct Layer {
      size_t in, out;
      Buffer<float> x, dx, w, y, dy;
    };
    std::vector<std::pair<size_t, size_t>> widths;
    size_t before = kDense;
    for (const uint32_t width : spec_.bottom) widths.emplace_back(std::exchange(before, width), width);
    before = spec_.embedding + (kTables + 1) * kTables / 2;
    for (const uint32_t width : spec_.top) widths.emplace_back(std::exchange(before, width), width);
    std::vector<Layer> layers;
    double flops = 0.0;
    for (const auto& [in, out] : widths) {
      const size_t x = kBatch * padded_stride(in);
      const size_t y = kBatch * padded_stride(out);
      layers.push_back({in, out, {x, "x"}, {x, "dx"}, {in * out, "w"}, {y, "y"}, {y, "dy"}});
      flops += 2.0 * kBatch * static_cast<double>(in * out) * (in == kDense ? 2 : 3);
    }
    std::vector<double> seconds;
    for (int pass = 0; pass < 5; ++pass) {
      const auto start = Clock::now();
      for (Layer& l : layers) {
        const size_t in = padded_stride(l.in);
        const size_t out = padded_stride(l.out);
        gemm({l.x.data(), kBatch, l.in, in}, Matrix{l.w.data(), l.out, l.in, l.in}.t(), l.y.data(), out);
        if (l.in != kDense) gemm({l.dy.data(), kBatch, l.out, out}, {l.w.data(), l.out, l.in, l.in}, l.dx.data(), in);
        gemm(Matrix{l.dy.data(), kBatch, l.out, out}.t(), {l.x.data(), kBatch, l.in, in}, l.w.data(), l.in, -0.1F, 1.0F);
      }
      seconds.push_back(seconds_since(start));
    }
    std::nth_element(seconds.begin(), seconds.begin() + 2, seconds.end());
    std::printf("{\"gflops\":%.2f,\"seconds\":%.6f}\n", flops / seconds[2] / 1e9, seconds[2]);
  }

  void infer(size_t n) {
    std::vector<float> logits(kBatch);
    time(n, [&](const Batch& batch) { model_->forward(batch, logits.data()); });
  }

  void score(size_t n) {
    std::vector<float> losses(kBatch), logits(kBatch), gradients(kBatch), embeddings(kBatch * model_->embedding_width());
    time(n, [&](const Batch& batch) { model_->score(batch, {losses.data(), logits.data(), gradients.data(), embeddings.data()}); });
  }

  void select(size_t n) {
    BatchSelector selector({kKept, BatchScore::kGradientNorm, BatchChoice::kSampled}, {kDense, kTables, 0, 0}, 1);
    time(n, [&](const Batch& batch) { model_->step(selector.select(*model_, batch, next_)); });
  }

  void copy() {
    constexpr size_t kFloats = size_t{1} << 26;
    Buffer<float> from(kFloats, "copy"), to(kFloats, "copy");
    std::vector<double> seconds;
    for (int pass = 0; pass < 5; ++pass) {
      const auto start = Clock::now();
      parallel_for(kFloats, 1 << 16, [&](size_t begin, size_t end) { std::copy_n(from.data() + begin, end - begin, to.data() + begin); });
      seconds.push_back(seconds_since(start));
    }
    std::nth_element(seconds.begin(), seconds.begin() + 2, seconds.end());
    std::printf("{\"gigabytesPerSecond\":%.2f}\n", 2.0 * 4.0 * static_cast<double>(kFloats) / seconds[2] / 1e9);
  }

  void memory(size_t n) {
    const auto start = Clock::now();
    for (size_t i = 0; i < n; ++i) model_->step(batches_[i % kBatches].view());
    std::printf("{\"samplesPerSecond\":%.1f}\n", static_cast<double>(n * kBatch) / seconds_since(start));
  }

  void disk(size_t n) {
    const auto data = stored();
    std::filesystem::create_directories(folder_ + "/trainsets");
    Selection selection;
    selection.end = selection.count = std::min(n, kBatches) * kBatch;
    const std::string id = freeze(folder_ + "/trainsets", selection, data->size());
    drop_page_cache();
    const auto set = TrainSet::open(folder_ + "/trainsets", id);
    Features features;
    for (uint32_t i = 0; i < kDense; ++i) features.dense.push_back({DenseOp::kValue, i, 0.0F, 1.0F});
    for (uint32_t i = 0; i < kTables; ++i) features.categorical.push_back({CategoricalOp::kColumn, kDense + i, 0, static_cast<uint32_t>(rows_)});
    Loader loader(data, *set, features, {static_cast<uint32_t>(kBatch), 1, Shuffle::kGlobal, 1, {}, 1, 4});
    const auto start = Clock::now();
    size_t samples = 0;
    while (const Batch* batch = loader.next()) {
      model_->step(*batch);
      samples += batch->rows;
    }
    std::printf("{\"samplesPerSecond\":%.1f}\n", static_cast<double>(samples) / seconds_since(start));
  }

 private:
  template <typename Work>
  void time(size_t n, const Work& work) {
    std::string seconds;
    for (size_t i = 0; i < n; ++i) {
      const auto start = Clock::now();
      work(batches_[next_++ % kBatches].view());
      append(seconds, seconds_since(start));
    }
    std::printf("{\"seconds\":[%s]}\n", seconds.c_str());
  }

  static void append(std::string& list, double value) {
    char text[40];
    std::snprintf(text, sizeof text, "%s%.9g", list.empty() ? "" : ",", value);
    list += text;
  }

  void make_batches() {
    Rng rng(7);
    batches_.resize(kBatches);
    for (HostBatch& batch : batches_) {
      batch.dense.resize(kBatch * kDense);
      batch.categorical.resize(kBatch * kTables);
      batch.labels.resize(kBatch);
      for (float& x : batch.dense) x = static_cast<float>(rng.normal());
      for (int32_t& x : batch.categorical) x = static_cast<int32_t>(rng.below(rows_));
      for (float& x : batch.labels) x = static_cast<float>(rng.below(2));
    }
  }

  std::shared_ptr<Snapshot> stored() {
    const std::string path = folder_ + "/dataset";
    if (!std::filesystem::exists(path)) {
      Schema schema;
      for (size_t i = 0; i < kDense; ++i) schema.columns.push_back({"d" + std::to_string(i), ColumnType::kF32});
      for (size_t i = 0; i < kTables; ++i) schema.columns.push_back({"c" + std::to_string(i), ColumnType::kCategory});
      const auto dataset = Dataset::create(path, schema);
      const std::vector<int64_t> timestamps(kBatch, 0);
      for (const HostBatch& batch : batches_) {
        std::vector<float> dense(batch.dense.size());  // [kDense, kBatch]
        for (size_t d = 0; d < kDense; ++d) {
          for (size_t i = 0; i < kBatch; ++i) dense[d * kBatch + i] = batch.dense[i * kDense + d];
        }
        AppendBatch rows;
        rows.rows = kBatch;
        rows.timestamps = timestamps.data();
        rows.labels = batch.labels.data();
        for (size_t d = 0; d < kDense; ++d) rows.columns.push_back(dense.data() + d * kBatch);
        for (size_t t = 0; t < kTables; ++t) rows.columns.push_back(batch.categorical.data() + t * kBatch);
        dataset->append(rows);
      }
      dataset->close();
    }
    dataset_ = Dataset::open(path, true);
    return dataset_->snapshot();
  }

  void drop_page_cache() const {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_ + "/dataset/segments")) {
      const int file = open(entry.path().c_str(), O_RDONLY);
      if (file >= 0) {
        posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
        close(file);
      }
    }
  }

  std::string folder_;
  uint64_t rows_;
  DlrmSpec spec_;
  ModelOptions options_;
  std::vector<HostBatch> batches_;
  std::unique_ptr<Model> model_;
  std::shared_ptr<Dataset> dataset_;
  size_t next_ = 0;
};

int serve(char** argv) {
  set_compute_threads(std::stoi(argv[3]));
  Bench bench(argv[1], std::strcmp(argv[2], "bf16") == 0 ? Precision::kBf16 : Precision::kFp32, std::strcmp(argv[4], "small") == 0, std::stoull(argv[5]));
  std::puts("{\"ready\":true}");
  std::fflush(stdout);
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string command;
    size_t n = 1;
    words >> command >> n;
    if (command == "export") bench.export_files();
    if (command == "run") bench.run(n);
    if (command == "gemm") bench.gemm_rate();
    if (command == "infer") bench.infer(n);
    if (command == "score") bench.score(n);
    if (command == "select") bench.select(n);
    if (command == "copy") bench.copy();
    if (command == "memory") bench.memory(n);
    if (command == "disk") bench.disk(n);
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) {
    std::fprintf(stderr, "usage: train_bench <folder> <fp32|bf16> <threads> <small|embedding> <rows per table>\n");
    return 2;
  }
  try {
    return serve(argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "train_bench: %s\n", error.what());
    return 1;
  }
}
