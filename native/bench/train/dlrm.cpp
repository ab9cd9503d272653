// DLRM steps; scripts/bench/dlrm_torch.py runs the same beside it.
//   export            write weights.bin (parameters in order) and batches.bin for the peer
//   run N             N optimizer steps on the next batches -> {"seconds":[…],"losses":[…]}
//   record N          the same, with every sample's loss, gradient at the logit and embedding recorded on the way
//   products          forward pass, backward pass and update of the MLPs alone -> {"gflops":…,"seconds":…}
//   memory N, disk N  N steps on batches in memory, or from a dataset on disk, page cache dropped -> {"samplesPerSecond":…}
//   infer N           N forward passes -> {"seconds":[…]};  score N: the same with losses, gradients, embeddings
//   select N          N steps on half of each batch, chosen by gradient norm -> {"seconds":[…]}
// Shapes: small is NVIDIA's (MLPs 512-256-128, 1024-1024-512-256-1, width 128), embedding is bound by its tables
// (MLPs 64-16, 64-1, width 16).
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <utility>

#include "base/buffer.h"
#include "base/rng.h"
#include "dlrm_data.h"
#include "part.h"
#include "train/compute.h"
#include "train/models/mlp.h"
#include "train/train.h"

namespace sluice::bench {

namespace {

constexpr float kKept = 0.5F;
constexpr float kLearningRate = 0.1F;

DlrmSpec spec_of(bool small, uint64_t rows) {
  DlrmSpec spec;
  spec.dense = kDense;
  spec.tables.assign(kTables, rows);
  spec.embedding = small ? 128 : 16;
  spec.bottom = small ? std::vector<uint32_t>{512, 256, 128} : std::vector<uint32_t>{64, 16};
  spec.top = small ? std::vector<uint32_t>{1024, 1024, 512, 256, 1} : std::vector<uint32_t>{64, 1};
  return spec;
}

class DlrmPart final : public Part {
 public:
  DlrmPart(Precision precision, bool small, uint64_t rows, std::string folder)
      : folder_(std::move(folder)), rows_(rows), spec_(spec_of(small, rows)), batches_(make_batches(rows)) {
    options_.precision = precision;
    options_.dense_optimizer.lr = options_.embedding_optimizer.lr = kLearningRate;
    model_ = make_dlrm(spec_, options_);
    room_.losses.resize(kBatch);
    room_.logits.resize(kBatch);
    room_.gradients.resize(kBatch);
    room_.embeddings.resize(kBatch * model_->embedding_width());
  }

  std::string answer(const std::string& command, size_t n) override {
    if (command == "export") return export_files();
    if (command == "run") return run(n, {});
    if (command == "record") return run(n, {room_.losses.data(), nullptr, room_.gradients.data(), nullptr});
    if (command == "products") return products();
    if (command == "memory") return memory(n);
    if (command == "disk") return disk(n);
    if (command == "infer") return timed(n, [&](size_t) { model_->forward(next(), room_.logits.data()); });
    if (command == "score") {
      const Scores scores{room_.losses.data(), room_.logits.data(), room_.gradients.data(), room_.embeddings.data()};
      return timed(n, [&](size_t) { model_->score(next(), scores); });
    }
    if (command == "select") {
      BatchSelector selector({kKept, BatchScore::kGradientNorm, BatchChoice::kSampled}, {kDense, kTables, 0, 0}, 1);
      return timed(n, [&](size_t) { model_->step(selector.select(*model_, next(), next_)); });
    }
    return "";
  }

 private:
  Batch next() { return batches_[next_++ % kBatches].view(); }

  std::string export_files() {
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
    if (!weights.good() || !batches.good()) throw std::runtime_error("could not write " + folder_);
    return "{}";
  }

  std::string run(size_t n, const Scores& record) {
    std::vector<double> seconds, losses;
    for (size_t i = 0; i < n; ++i) {
      const auto start = Clock::now();
      losses.push_back(model_->step(next(), 1.0F, record));
      seconds.push_back(seconds_since(start));
    }
    return "{\"seconds\":" + json(seconds) + ",\"losses\":" + json(losses) + "}";
  }

  /// Forward pass, backward pass and update of both MLPs alone. The median of five passes.
  std::string products() {
    Rng rng(1);
    const size_t width = spec_.embedding;
    const size_t z = width + (kTables + 1) * kTables / 2;
    const auto sizes = [](size_t in, const std::vector<uint32_t>& layers) {
      std::vector<uint32_t> all{static_cast<uint32_t>(in)};
      all.insert(all.end(), layers.begin(), layers.end());
      return all;
    };
    Mlp bottom("bottom", sizes(kDense, spec_.bottom), true, options_, rng);
    Mlp top("top", sizes(z, spec_.top), false, options_, rng);
    Buffer<float> in(kBatch * z, "inputs"), out(kBatch * width, "outputs"), logits(kBatch, "logits"), dy(kBatch, "gradients"), dz(kBatch * z, "gradients");
    for (float& x : in) x = static_cast<float>(rng.normal());
    for (float& x : dy) x = 1e-3F * static_cast<float>(rng.normal());
    std::vector<double> seconds;
    for (int pass = 0; pass < 5; ++pass) {
      const auto start = Clock::now();
      bottom.forward(in.data(), kDense, kBatch, out.data(), width);
      top.forward(in.data(), z, kBatch, logits.data(), 1);
      top.step(dy.data(), 1, dz.data(), z, 1.0F);
      bottom.step(out.data(), width, nullptr, 0, 1e-6F);
      seconds.push_back(seconds_since(start));
    }
    const double flops = kBatch * (3.0 * (bottom.flops_per_row() + top.flops_per_row()) - 2.0 * kDense * spec_.bottom[0]);
    const double middle = median(seconds);
    return "{\"gflops\":" + std::to_string(flops / middle / 1e9) + ",\"seconds\":" + std::to_string(middle) + "}";
  }

  static std::string rate(size_t samples, Clock::time_point start) {
    return "{\"samplesPerSecond\":" + std::to_string(static_cast<double>(samples) / seconds_since(start)) + "}";
  }

  std::string memory(size_t n) {
    const auto start = Clock::now();
    for (size_t i = 0; i < n; ++i) model_->step(batches_[i % kBatches].view());
    return rate(n * kBatch, start);
  }

  std::string disk(size_t n) {
    const std::string path = folder_ + "/dataset";
    if (!dataset_) dataset_ = stored(batches_, path);
    const auto data = dataset_->snapshot();
    std::filesystem::create_directories(folder_ + "/trainsets");
    Selection selection;
    selection.end = selection.count = std::min(n, kBatches) * kBatch;
    const std::string id = freeze(folder_ + "/trainsets", selection, data->size());
    drop_page_cache(path + "/segments");
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
    return rate(samples, start);
  }

  std::string folder_;
  uint64_t rows_;
  DlrmSpec spec_;
  ModelOptions options_;
  std::vector<HostBatch> batches_;
  std::unique_ptr<Model> model_;
  std::shared_ptr<Dataset> dataset_;
  size_t next_ = 0;
  struct {
    std::vector<float> losses, logits, gradients, embeddings;
  } room_;
};

}  // namespace

std::unique_ptr<Part> make_dlrm_part(const Arguments& a) {
  if (a.size() != 4) throw std::invalid_argument("dlrm: expected <fp32|bf16|fp16> <small|embedding> <rows per table> <folder>");
  return std::make_unique<DlrmPart>(precision_of(a[0]), a[1] == "small", std::stoull(a[2]), a[3]);
}

}  // namespace sluice::bench
