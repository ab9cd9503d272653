// ResNet-18 steps on images of 32 x 32, batch 128; scripts/bench/resnet_torch.py runs the same beside it.
//   export            write weights.bin (parameters in order) and batches.bin for the peer
//   run N             N optimizer steps on the next batches -> {"seconds":[…],"losses":[…]}
//   infer N           N forward passes -> {"seconds":[…]};  score N: the same with losses, gradients, embeddings
//   select N          N steps on half of each batch, chosen by gradient norm -> {"seconds":[…]}
#include <cmath>
#include <fstream>
#include <stdexcept>

#include "base/rng.h"
#include "part.h"
#include "train/compute.h"
#include "train/in_training.h"
#include "train/model.h"

namespace sluice::bench {

namespace {

constexpr size_t kRows = 128;
constexpr uint32_t kSide = 32;
constexpr uint32_t kClasses = 10;
constexpr size_t kBatches = 8;
constexpr size_t kPixels = kRows * kSide * kSide * 3;

struct Images {
  std::vector<float> values, labels;
};

std::vector<Images> make_images() {
  std::vector<Images> batches(kBatches);
  Rng rng(7);
  for (Images& batch : batches) {
    for (size_t i = 0; i < kPixels; ++i) batch.values.push_back(static_cast<float>(rng.normal()));
    for (size_t r = 0; r < kRows; ++r) batch.labels.push_back(static_cast<float>(rng.below(kClasses)));
  }
  return batches;
}

ModelOptions options_of(const std::string& precision) {
  ModelOptions options;
  options.criterion = Criterion::kCrossEntropy;
  options.precision = precision_of(precision);
  options.dense_optimizer.lr = 0.01F;
  options.dense_optimizer.momentum = 0.9F;
  options.dense_optimizer.weight_decay = 5e-4F;
  return options;
}

class ResNetPart final : public Part {
 public:
  ResNetPart(const std::string& precision, std::string folder)
      : folder_(std::move(folder)), batches_(make_images()),
        model_(make_resnet({18, true, {kSide, kSide, 3}, kClasses}, options_of(precision))), logits_(kRows * kClasses), gradients_(logits_.size()), losses_(kRows),
        embeddings_(kRows * model_->embedding_width()) {}

  std::string answer(const std::string& command, size_t n) override {
    if (command == "export") return export_files();
    if (command == "run") return run(n);
    if (command == "infer") return timed(n, [&](size_t) { model_->forward(next(), logits_.data()); });
    if (command == "score") return timed(n, [&](size_t) { model_->score(next(), {losses_.data(), logits_.data(), gradients_.data(), embeddings_.data()}); });
    if (command == "select") return timed(n, [&](size_t) { model_->step(selector_.select(*model_, next(), next_)); });
    return "";
  }

 private:
  Batch next() {
    const Images& images = batches_[next_++ % kBatches];
    Batch batch;
    batch.rows = kRows;
    batch.values = images.values.data();
    batch.labels = images.labels.data();
    return batch;
  }

  std::string export_files() {
    std::ofstream weights(folder_ + "/weights.bin", std::ios::binary);
    for (const NamedTensor& tensor : model_->parameters()) {
      weights.write(reinterpret_cast<const char*>(tensor.data), static_cast<std::streamsize>(tensor.size() * sizeof(float)));
    }
    std::ofstream batches(folder_ + "/batches.bin", std::ios::binary);
    for (const Images& images : batches_) {
      batches.write(reinterpret_cast<const char*>(images.values.data()), static_cast<std::streamsize>(images.values.size() * sizeof(float)));
      batches.write(reinterpret_cast<const char*>(images.labels.data()), static_cast<std::streamsize>(images.labels.size() * sizeof(float)));
    }
    if (!weights.good() || !batches.good()) throw std::runtime_error("could not write " + folder_);
    return "{}";
  }

  std::string run(size_t n) {
    std::vector<double> seconds, losses;
    for (size_t i = 0; i < n; ++i) {
      const auto start = Clock::now();
      losses.push_back(model_->step(next()));
      seconds.push_back(seconds_since(start));
    }
    return "{\"seconds\":" + json(seconds) + ",\"losses\":" + json(losses) + "}";
  }

  std::string folder_;
  std::vector<Images> batches_;
  std::unique_ptr<Model> model_;
  std::vector<float> logits_, gradients_, losses_, embeddings_;
  BatchSelector selector_{{0.5F, BatchScore::kGradientNorm, BatchChoice::kSampled}, {0, 0, kPixels / kRows, 0}, 1};
  size_t next_ = 0;
};

}  // namespace

std::unique_ptr<Part> make_resnet_part(const Arguments& arguments) {
  if (arguments.size() != 2) throw std::runtime_error("resnet: expected <fp32|bf16> <folder>");
  return std::make_unique<ResNetPart>(arguments[0], arguments[1]);
}

}  // namespace sluice::bench
