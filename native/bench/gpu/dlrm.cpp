// NVIDIA's small DLRM (26 tables of width 128, MLPs 512-256-128 and 1024-1024-512-256-1) on a GPU.
//   export     write weights.bin and batches.bin for the peer
//   run N      N steps on batches in pinned memory -> {"seconds":…,"losses":[…]}
//   infer N, score N   forward passes; the latter with losses, gradients and embeddings -> {"seconds":…}
//   select N   N steps on half of each batch, chosen by gradient norm -> {"seconds":…}
//   disk N     N batches from a dataset on disk through the loader, page cache dropped -> {"seconds":…} of a step
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "dlrm_data.h"
#include "base/rng.h"
#include "gpu_part.h"
#include "train/batch_memory.h"
#include "train/train.h"

namespace sluice::bench {

namespace {

constexpr size_t kHeld = 8;  // batches that are gone through in turn

/// A batch where the model wants it to lie.
class HeldBatch {
 public:
  HeldBatch(Model& model, size_t rows, uint64_t table_rows, Rng& rng)
      : memory_(model.batch_memory() != nullptr ? *model.batch_memory() : host_memory()), rows_(rows), bytes_(rows * (kDense + kTables + 1) * 4),
        data_(static_cast<float*>(memory_.allocate(bytes_))) {
    for (size_t i = 0; i < rows * kDense; ++i) dense()[i] = static_cast<float>(rng.normal());
    for (size_t i = 0; i < rows * kTables; ++i) categorical()[i] = static_cast<int32_t>(rng.below(table_rows));
    for (size_t i = 0; i < rows; ++i) labels()[i] = static_cast<float>(rng.below(2));
  }
  ~HeldBatch() { memory_.release(data_, bytes_); }
  HeldBatch(const HeldBatch&) = delete;
  HeldBatch& operator=(const HeldBatch&) = delete;

  Batch view() const {
    Batch batch;
    batch.rows = rows_;
    batch.dense = dense();
    batch.categorical = categorical();
    batch.labels = labels();
    return batch;
  }
  const char* bytes() const { return reinterpret_cast<const char*>(data_); }
  size_t size() const { return bytes_; }

 private:
  float* dense() const { return data_; }
  int32_t* categorical() const { return reinterpret_cast<int32_t*>(data_ + rows_ * kDense); }
  float* labels() const { return data_ + rows_ * (kDense + kTables); }

  BatchMemory& memory_;
  size_t rows_;
  size_t bytes_;
  float* data_;
};

class GpuDlrm final : public Part {
 public:
  GpuDlrm(Precision precision, size_t batch, uint64_t rows, std::string folder, bool any_order) : folder_(std::move(folder)), batch_(batch), rows_(rows) {
    DlrmSpec spec;
    spec.dense = kDense;
    spec.tables.assign(kTables, rows);
    spec.embedding = 128;
    spec.bottom = {512, 256, 128};
    spec.top = {1024, 1024, 512, 256, 1};
    ModelOptions options;
    options.precision = precision;
    options.device = Device::kCuda;
    options.deterministic = !any_order;
    options.dense_optimizer.lr = options.embedding_optimizer.lr = 0.1F;
    model_ = make_model(spec, options);
    Rng rng(7);
    for (size_t i = 0; i < kHeld; ++i) held_.push_back(std::make_unique<HeldBatch>(*model_, batch, rows, rng));
    logits_.resize(batch);
    losses_.resize(batch);
    gradients_.resize(batch);
    embeddings_.resize(batch * model_->embedding_width());
  }

  std::string answer(const std::string& command, size_t n) override {
    if (command == "export") return export_files();
    if (command == "run") return timed_steps(*model_, n, [&] { return next(); });
    if (command == "infer") return timed(n, [&](size_t) { model_->forward(next(), logits_.data()); });
    if (command == "score") {
      const Scores scores{losses_.data(), logits_.data(), gradients_.data(), embeddings_.data()};
      return timed(n, [&](size_t) { model_->score(next(), scores); });
    }
    if (command == "select") {
      BatchSelector selector({0.5F, BatchScore::kGradientNorm, BatchChoice::kSampled}, {kDense, kTables, 0, 0}, 1);
      return timed_steps(*model_, n, [&] { return selector.select(*model_, next(), next_); });
    }
    if (command == "disk") return disk(n);
    return "";
  }

 private:
  Batch next() { return held_[next_++ % kHeld]->view(); }

  std::string export_files() {
    std::ofstream weights(folder_ + "/weights.bin", std::ios::binary);
    for (const NamedTensor& tensor : model_->parameters()) {
      weights.write(reinterpret_cast<const char*>(tensor.data), static_cast<std::streamsize>(tensor.size() * sizeof(float)));
    }
    std::ofstream batches(folder_ + "/batches.bin", std::ios::binary);
    for (const auto& batch : held_) batches.write(batch->bytes(), static_cast<std::streamsize>(batch->size()));
    if (!weights.good() || !batches.good()) throw std::runtime_error("could not write " + folder_);
    return "{}";
  }

  std::string disk(size_t n) {
    const std::string path = folder_ + "/dataset";
    if (!dataset_) dataset_ = stored(make_batches(rows_), path);
    const auto data = dataset_->snapshot();
    std::filesystem::create_directories(folder_ + "/trainsets");
    Selection selection;
    selection.end = selection.count = data->size();
    const auto set = TrainSet::open(folder_ + "/trainsets", freeze(folder_ + "/trainsets", selection, data->size()));
    drop_page_cache(path + "/segments");
    Features features;
    for (uint32_t i = 0; i < kDense; ++i) features.dense.push_back({DenseOp::kValue, i, 0.0F, 1.0F});
    for (uint32_t i = 0; i < kTables; ++i) features.categorical.push_back({CategoricalOp::kColumn, kDense + i, 0, static_cast<uint32_t>(rows_)});
    LoaderOptions options;
    options.batch_size = static_cast<uint32_t>(batch_);
    options.epochs = static_cast<uint32_t>(1 + n * batch_ / data->size());
    options.batch_memory = model_->batch_memory();
    Loader loader(data, *set, features, options);
    return timed_steps(*model_, n, [&] { return *loader.next(); });
  }

  std::string folder_;
  size_t batch_;
  uint64_t rows_;
  std::unique_ptr<Model> model_;
  std::vector<std::unique_ptr<HeldBatch>> held_;  // after the model, whose memory they lie in
  std::vector<float> logits_, losses_, gradients_, embeddings_;
  std::shared_ptr<Dataset> dataset_;
  size_t next_ = 0;
};

}  // namespace

std::unique_ptr<Part> make_gpu_dlrm(const Arguments& a) {
  if (a.size() < 4) throw std::invalid_argument("dlrm: expected <fp32|bf16|fp16> <batch> <rows per table> <folder> [any-order]");
  return std::make_unique<GpuDlrm>(precision_of(a[0]), std::stoull(a[1]), std::stoull(a[2]), a[3], a.size() > 4 && a[4] == "any-order");
}

}  // namespace sluice::bench
