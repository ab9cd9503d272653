// The part "loader": images from disk as a training reads them.   <cifar|imagenet> <loader threads> <folder>
//   cifar      images 32 x 32 x 3, padded by 4, random crops and flips, batches of 128
//   imagenet   images 256 x 256 x 3, random areas resized to 224 x 224, flips, batches of 64
// Both are normalised. The images are random bytes, written to <folder> once, also as images.u8 for the peer.
//   run N      N batches -> {"seconds":[…]}
//   memory N   the same bytes copied out of the page cache into batches, nothing else: what memory allows -> {"seconds":[…]}
//   fed N, held N   N steps of ResNet-18 (cifar) fed by the loader, and on batches in memory -> {"seconds":[…]}
#include <cstring>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "base/rng.h"
#include "part.h"
#include "train/loader.h"
#include "train/model.h"

namespace sluice::bench {

namespace {

constexpr uint32_t kClasses = 10;
constexpr uint32_t kManyEpochs = 1'000'000;

struct Shape {
  uint32_t stored, seen, batch, images;
  Crop crop;
  uint32_t pad;
};
constexpr Shape kCifar{32, 32, 128, 20'000, Crop::kRandom, 4};
constexpr Shape kImageNet{256, 224, 64, 2'000, Crop::kRandomResized, 0};

class LoaderPart final : public Part {
 public:
  LoaderPart(const Shape& shape, uint32_t threads, std::string folder) : shape_(shape), folder_(std::move(folder)), small_(shape.stored == kCifar.stored) {
    write();
    data_ = dataset_->snapshot();
    std::filesystem::create_directories(folder_ + "/trainsets");
    Selection all;
    all.end = all.count = data_->size();
    set_ = TrainSet::open(folder_ + "/trainsets", freeze(folder_ + "/trainsets", all, data_->size()));
    TensorFeature tensor;
    tensor.crop = shape.crop;
    tensor.height = tensor.width = shape.seen;
    tensor.pad = shape.pad;
    tensor.flip = true;
    tensor.mean = {0.485F, 0.456F, 0.406F};
    tensor.deviation = {0.229F, 0.224F, 0.225F};
    features_.tensor = tensor;
    options_.batch_size = shape.batch;
    options_.epochs = kManyEpochs;
    options_.seed = 1;
    options_.criterion = Criterion::kCrossEntropy;
    options_.outputs = kClasses;
    options_.threads = threads;
  }

  std::string answer(const std::string& command, size_t n) override {
    if (command == "run") return run(n);
    if (command == "memory") return memory(n);
    if (command == "fed" && small_) return fed(n);
    if (command == "held" && small_) return held(n);
    return "";
  }

 private:
  std::string run(size_t n) {
    Loader loader(data_, *set_, features_, options_);
    for (size_t i = 0; i < 8; ++i) loader.next();  // those that were read before the clock starts
    return timed(n, [&](size_t) { loader.next(); });
  }

  std::string memory(size_t n) {
    const size_t bytes = size_t{shape_.stored} * shape_.stored * 3;
    std::vector<uint8_t> batch(bytes * shape_.batch);
    std::vector<uint64_t> keys(shape_.batch);
    std::vector<const uint8_t*> records(shape_.batch);
    Rng rng(3);
    return timed(n, [&](size_t) {
      for (uint64_t& key : keys) key = rng.below(data_->size());
      data_->gather(keys.data(), keys.size(), nullptr, nullptr, records.data());
      for (size_t i = 0; i < records.size(); ++i) std::memcpy(batch.data() + i * bytes, records[i], bytes);
    });
  }

  Model& model() {
    if (!model_) {
      ResNetSpec spec;
      spec.depth = 18;
      spec.small_stem = true;
      spec.image = {shape_.seen, shape_.seen, 3};
      spec.outputs = kClasses;
      ModelOptions options;
      options.criterion = options_.criterion;
      model_ = make_resnet(spec, options);
    }
    return *model_;
  }

  std::string fed(size_t n) {
    Loader loader(data_, *set_, features_, options_);
    return timed(n, [&](size_t) { model().step(*loader.next()); });
  }

  std::string held(size_t n) {
    Loader loader(data_, *set_, features_, options_);
    const Batch batch = *loader.next();
    std::vector<float> values(batch.values, batch.values + batch.rows * shape_.seen * shape_.seen * 3);
    std::vector<float> labels(batch.labels, batch.labels + batch.rows);
    Batch own;
    own.rows = labels.size();
    own.values = values.data();
    own.labels = labels.data();
    return timed(n, [&](size_t) { model().step(own); });
  }

  void write() {
    const std::string path = folder_ + "/images";
    const bool made = std::filesystem::exists(path);
    if (made) {
      dataset_ = Dataset::open(path, true);
      return;
    }
    const size_t bytes = size_t{shape_.stored} * shape_.stored * 3;
    Schema schema{{{"image", ColumnType::kU8, {shape_.stored, shape_.stored, 3}}}, LabelKind::kClass, kClasses};
    dataset_ = Dataset::create(path, schema);
    std::ofstream peer(folder_ + "/images.u8", std::ios::binary);
    constexpr size_t kBlock = 500;
    std::vector<uint8_t> images(kBlock * bytes);
    const std::vector<int64_t> timestamps(kBlock, 0);
    Rng rng(7);
    for (size_t first = 0; first < shape_.images; first += kBlock) {
      for (size_t i = 0; i < images.size(); i += 8) {
        const uint64_t word = rng.next();
        std::memcpy(images.data() + i, &word, std::min<size_t>(8, images.size() - i));
      }
      std::vector<float> labels(kBlock);
      for (float& label : labels) label = static_cast<float>(rng.below(kClasses));
      AppendBatch rows;
      rows.rows = kBlock;
      rows.timestamps = timestamps.data();
      rows.labels = labels.data();
      rows.columns = {images.data()};
      dataset_->append(rows);
      peer.write(reinterpret_cast<const char*>(images.data()), static_cast<std::streamsize>(images.size()));
    }
  }

  Shape shape_;
  std::string folder_;
  bool small_;
  std::shared_ptr<Dataset> dataset_;
  std::shared_ptr<Snapshot> data_;
  std::shared_ptr<TrainSet> set_;
  Features features_;
  LoaderOptions options_;
  std::unique_ptr<Model> model_;
};

}  // namespace

std::unique_ptr<Part> make_loader_part(const Arguments& arguments) {
  if (arguments.size() != 3) throw std::invalid_argument("loader: expected <cifar|imagenet> <loader threads> <folder>");
  return std::make_unique<LoaderPart>(arguments[0] == "cifar" ? kCifar : kImageNet, static_cast<uint32_t>(std::stoul(arguments[1])), arguments[2]);
}

}  // namespace sluice::bench
