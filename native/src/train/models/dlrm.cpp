// Deep learning recommendation model (Naumov et al., 2019, arXiv 1906.00091): a bottom MLP over the dense features,
// one embedding per categorical feature, pairwise dot products of all of them, a top MLP over the products and the
// bottom MLP's output. Forward, backward and update run in preallocated buffers; the interaction reads each sample's
// vectors once while they are in the first-level cache and its backward pass overwrites them with their gradients.
#include <algorithm>
#include <string>
#include <vector>

#include "base/error.h"
#include "train/compute.h"
#include "train/criterion.h"
#include "train/kernels.h"
#include "train/models/embedding.h"
#include "train/models/mlp.h"

namespace sluice {

namespace {

constexpr size_t kSampleGrain = 32;
constexpr size_t kGatherAhead = 3;  // samples whose embedding rows are on their way to the cache

void prefetch(const float* data, size_t n) {
  for (size_t i = 0; i < n; i += 16) __builtin_prefetch(data + i);
}

std::vector<uint32_t> with_input(size_t input, const std::vector<uint32_t>& layers) {
  std::vector<uint32_t> sizes{static_cast<uint32_t>(input)};
  sizes.insert(sizes.end(), layers.begin(), layers.end());
  return sizes;
}

void check(const DlrmSpec& spec) {
  const auto fail = [](const std::string& what) { throw Error(code::kShape, "dlrm: " + what); };
  if (spec.embedding == 0 || spec.embedding > 4096) fail("embedding: expected 1 to 4096, got " + std::to_string(spec.embedding));
  if (spec.top.empty()) fail("top: expected at least the output layer");
  if (spec.dense == 0 && spec.tables.empty()) fail("expected at least one feature");
  if (spec.dense > 0 && (spec.bottom.empty() || spec.bottom.back() != spec.embedding)) {
    fail("bottom: its last layer must be as wide as the embedding (" + std::to_string(spec.embedding) + ")");
  }
  for (size_t t = 0; t < spec.tables.size(); ++t) {
    if (spec.tables[t] == 0 || spec.tables[t] > 0x7fffffffU) fail("table " + std::to_string(t) + ": expected 1 to 2147483647 rows, got " + std::to_string(spec.tables[t]));
  }
  for (const auto* layers : {&spec.bottom, &spec.top}) {
    for (uint32_t width : *layers) {
      if (width == 0 || width > 65536) fail("layer width: expected 1 to 65536, got " + std::to_string(width));
    }
  }
}

class Dlrm final : public Model {
 public:
  Dlrm(const DlrmSpec& spec, const ModelOptions& options)
      : options_(options),
        bf16_(options.precision == Precision::kBf16),
        width_(spec.embedding),
        has_dense_(spec.dense > 0),
        dense_width_(spec.dense),
        vectors_(spec.tables.size() + (has_dense_ ? 1 : 0)),
        pairs_(vectors_ * (vectors_ - 1) / 2),
        top_in_((has_dense_ ? width_ : 0) + (vectors_ > 1 ? pairs_ : (has_dense_ ? 0 : width_))),
        z_stride_((top_in_ + 15) / 16 * 16),
        rng_(options.seed, 1),
        embeddings_(spec.tables, spec.embedding, options),
        bottom_("bottom", with_input(spec.dense, has_dense_ ? spec.bottom : std::vector<uint32_t>{}), true, options, rng_),
        top_("top", with_input(top_in_, spec.top), false, options, rng_) {}

  double step(const Batch& batch) override {
    run_forward(batch);
    const double loss = criterion_loss(options_.criterion, logits_.data(), batch.rows, outputs(), batch.labels, batch.weights,
                                       nullptr, logits_grad_.data());
    top_.backward(logits_grad_.data(), outputs(), z_grad_.data(), z_stride_);
    interaction_grad(batch.rows);
    if (embeddings_.tables() > 0) {
      embeddings_.update(batch.categorical, batch.rows, x_.data() + (has_dense_ ? width_ : 0), vectors_ * width_);
    }
    if (has_dense_) bottom_.backward(x_.data(), vectors_ * width_, nullptr, 0);
    return loss;
  }

  void forward(const Batch& batch, float* logits) override {
    run_forward(batch);
    std::copy_n(logits_.data(), batch.rows * outputs(), logits);
  }

  uint32_t outputs() const override { return top_.outputs(); }
  double flops_per_row() const override { return bottom_.flops_per_row() + top_.flops_per_row() + 2.0 * static_cast<double>(pairs_ * width_); }

  std::vector<NamedTensor> parameters() override {
    std::vector<NamedTensor> all = bottom_.parameters();
    for (auto* part : {&top_}) {
      for (NamedTensor& tensor : part->parameters()) all.push_back(std::move(tensor));
    }
    for (NamedTensor& tensor : embeddings_.parameters()) all.push_back(std::move(tensor));
    return all;
  }

  void parameters_changed() override {
    bottom_.refresh();
    top_.refresh();
  }

 private:
  void reserve(size_t rows) {
    if (rows <= capacity_) return;
    x_ = Buffer<float>(rows * vectors_ * width_, "interaction inputs");
    z_ = Buffer<float>(rows * z_stride_, "interaction outputs");
    logits_ = Buffer<float>(rows * outputs(), "logits");
    if (has_dense_) dense_out_ = Buffer<float>(rows * width_, "bottom MLP outputs");
    if (bf16_ && has_dense_) dense_in_ = Buffer<float>(rows * dense_width_, "dense inputs");
    if (options_.train) {
      z_grad_ = Buffer<float>(rows * z_stride_, "interaction gradients");
      logits_grad_ = Buffer<float>(rows * outputs(), "logit gradients");
    }
    capacity_ = rows;
  }

  void check_indices(const Batch& batch) const {
    for (size_t t = 0; t < embeddings_.tables(); ++t) {
      const int32_t* index = batch.categorical + t * batch.rows;
      const auto rows = static_cast<int64_t>(embeddings_.rows(t));
      const auto bad = std::find_if(index, index + batch.rows, [rows](int32_t i) { return i < 0 || i >= rows; });
      if (bad != index + batch.rows) {
        throw Error(code::kShape, "dlrm: index " + std::to_string(*bad) + " lies outside table " + std::to_string(t) + " of " +
                                      std::to_string(rows) + " rows (row " + std::to_string(bad - index) + " of the batch)");
      }
    }
  }

  void run_forward(const Batch& batch) {
    check_indices(batch);
    reserve(batch.rows);
    if (has_dense_) {
      const float* dense = batch.dense;
      if (bf16_) {
        kernels().round_bf16(dense_in_.data(), dense, batch.rows * dense_width_);
        dense = dense_in_.data();
      }
      bottom_.forward(dense, dense_width_, batch.rows, dense_out_.data(), width_);
    }
    interaction(batch);
    top_.forward(z_.data(), z_stride_, batch.rows, logits_.data(), outputs());
  }

  /// x [rows, vectors, width]: the sample's vectors; z [rows, top_in]: bottom output, then the products.
  void interaction(const Batch& batch) {
    const Kernels& k = kernels();
    const size_t tables = embeddings_.tables();
    parallel_for(batch.rows, kSampleGrain, [&](size_t begin, size_t end) {
      for (size_t b = begin; b < end; ++b) {
        float* x = x_.data() + b * vectors_ * width_;
        float* z = z_.data() + b * z_stride_;
        if (has_dense_) {
          std::copy_n(dense_out_.data() + b * width_, width_, x);
          std::copy_n(x, width_, z);
        }
        float* row = x + (has_dense_ ? width_ : 0);
        for (size_t t = 0; t < tables; ++t, row += width_) {
          if (b + kGatherAhead < end) prefetch(embeddings_.row(t, batch.categorical[t * batch.rows + b + kGatherAhead]), width_);
          const float* source = embeddings_.row(t, batch.categorical[t * batch.rows + b]);
          if (bf16_) {
            k.round_bf16(row, source, width_);
          } else {
            std::copy_n(source, width_, row);
          }
        }
        if (vectors_ > 1) {
          float* products = z + (has_dense_ ? width_ : 0);
          k.dot_triangle(x, vectors_, width_, products);
          if (bf16_) k.round_bf16(products, products, pairs_);
        } else if (!has_dense_) {
          std::copy_n(x, width_, z);
        }
      }
    });
  }

  /// From z_grad to the gradients of the sample's vectors, which replace the vectors in x.
  void interaction_grad(size_t rows) {
    const Kernels& k = kernels();
    const size_t block = vectors_ * width_;
    parallel_for(rows, kSampleGrain, [&](size_t begin, size_t end) {
      std::vector<float> dx(block);
      std::vector<float> symmetric(vectors_ * vectors_);
      for (size_t b = begin; b < end; ++b) {
        float* x = x_.data() + b * block;
        const float* dz = z_grad_.data() + b * z_stride_;
        if (b + 1 < end) prefetch(x + block, block);  // the product reads columns: the hardware does not foresee that
        if (vectors_ > 1) {
          k.dot_triangle_grad(dz + (has_dense_ ? width_ : 0), x, vectors_, width_, symmetric.data(), dx.data());
          std::copy_n(dx.data(), block, x);
          if (has_dense_) k.axpy(x, dz, 1.0F, width_);
        } else {
          std::copy_n(dz, width_, x);
        }
      }
    });
  }

  ModelOptions options_;
  bool bf16_;
  size_t width_;
  bool has_dense_;
  size_t dense_width_;
  size_t vectors_;  // per sample: tables, plus the bottom MLP's output
  size_t pairs_;
  size_t top_in_;
  size_t z_stride_;  // top_in, rounded up so that rows are aligned: matrix products run faster on them
  Rng rng_;
  Embeddings embeddings_;
  Mlp bottom_;
  Mlp top_;
  size_t capacity_ = 0;
  Buffer<float> x_, z_, z_grad_, dense_in_, dense_out_, logits_, logits_grad_;
};

}  // namespace

std::unique_ptr<Model> make_dlrm(const DlrmSpec& spec, const ModelOptions& options) {
  check(spec);
  return std::make_unique<Dlrm>(spec, options);
}

std::unique_ptr<Model> make_model(const ModelSpec& spec, const ModelOptions& options) {
  return std::visit([&](const DlrmSpec& dlrm) { return make_dlrm(dlrm, options); }, spec);
}

}  // namespace sluice
