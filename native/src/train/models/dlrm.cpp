// Deep learning recommendation model (Naumov et al., 2019, arXiv 1906.00091): a bottom MLP over the dense features,
// one embedding per categorical feature, pairwise dot products of all of them, a top MLP over the products and the
// bottom MLP's output. Forward, backward and update run in preallocated buffers. A sample's vectors are gathered into the
// first-level cache for its products, and again for their gradients, which are applied to the rows right there: neither
// the vectors nor their gradients of a whole batch are ever written to memory.
#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "base/error.h"
#include "train/compute.h"
#include "train/kernels.h"
#include "train/models/embedding.h"
#include "train/models/mlp_headed.h"

namespace sluice {

namespace {

constexpr size_t kSampleGrain = 32;
constexpr size_t kBytesAhead = 64 << 10;  // of a second-level cache

/// Copies n floats in line: rows are short, and a call costs as much as they do.
inline void copy_row(float* to, const float* from, size_t n) {
  size_t i = 0;
  for (; i + 16 <= n; i += 16) std::memcpy(to + i, from + i, 16 * sizeof(float));
  for (; i < n; ++i) to[i] = from[i];
}

/// To the second-level cache: it can have more lines in flight than the first, whose room the products need.
void prefetch(const float* data, size_t n) {
  for (size_t i = 0; i < n; i += 16) __builtin_prefetch(data + i, 0, 2);
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

class Dlrm final : public MlpHeaded {
 public:
  Dlrm(const DlrmSpec& spec, const ModelOptions& options)
      : MlpHeaded(options),
        width_(spec.embedding),
        has_dense_(spec.dense > 0),
        dense_width_(spec.dense),
        vectors_(spec.tables.size() + (has_dense_ ? 1 : 0)),
        pairs_(vectors_ * (vectors_ - 1) / 2),
        top_in_((has_dense_ ? width_ : 0) + (vectors_ > 1 ? pairs_ : (has_dense_ ? 0 : width_))),
        z_stride_(padded_stride(top_in_)),
        dense_stride_(padded_stride(width_)),
        ahead_(std::max<size_t>(1, kBytesAhead / std::max<size_t>(1, vectors_ * width_ * sizeof(float)))),
        rng_(options.seed, 1),
        embeddings_(spec.tables, spec.embedding, options),
        bottom_("bottom", with_input(spec.dense, has_dense_ ? spec.bottom : std::vector<uint32_t>{}), true, options, rng_),
        top_("top", with_input(top_in_, spec.top), false, options, rng_) {}

  double step(const Batch& batch, float lr_factor, const Scores& record) override {
    if (scales_loss()) return Model::step(batch, lr_factor, record);
    const double loss = forward_and_loss(batch, 1.0F, record);
    top_.step(logits_grad(), outputs(), z_grad_.data(), z_stride_, lr_factor);
    embeddings_.begin(batch.categorical, batch.rows, Embeddings::Mode::kUpdate, lr_factor);
    interaction_grad(batch);
    embeddings_.update(lr_factor, 1.0F);
    if (has_dense_) bottom_.step(dense_grad_.data(), dense_stride_, nullptr, 0, lr_factor);
    return loss;
  }

  double accumulate(const Batch& batch, float share, const Scores& record) override {
    const double loss = forward_and_loss(batch, share, record);
    top_.accumulate(logits_grad(), outputs(), z_grad_.data(), z_stride_);
    embeddings_.begin(batch.categorical, batch.rows, Embeddings::Mode::kKeep);
    interaction_grad(batch);
    if (has_dense_) bottom_.accumulate(dense_grad_.data(), dense_stride_, nullptr, 0);
    return unless_lost(loss);
  }

  void update(float lr_factor, float gradient_scale) override {
    if (!unscale(gradient_scale)) return drop();
    top_.update(lr_factor, gradient_scale);
    embeddings_.update(lr_factor, gradient_scale);
    bottom_.update(lr_factor, gradient_scale);
  }

  double flops_per_row() const override { return bottom_.flops_per_row() + top_.flops_per_row() + 2.0 * static_cast<double>(pairs_ * width_); }

  std::vector<NamedTensor> parameters() override {
    std::vector<NamedTensor> all = bottom_.parameters();
    for (NamedTensor& tensor : top_.parameters()) all.push_back(std::move(tensor));
    for (NamedTensor& tensor : embeddings_.parameters()) all.push_back(std::move(tensor));
    return all;
  }

  std::vector<NamedTensor> optimizer_state() override {
    std::vector<NamedTensor> all;
    bottom_.append_state(all);
    top_.append_state(all);
    embeddings_.append_state(all);
    loss_scale().append_state(all);
    return all;
  }

  void set_updates(uint64_t updates) override {
    const uint64_t steps = taken(updates);
    bottom_.set_updates(steps);
    top_.set_updates(steps);
    embeddings_.set_updates(steps);
  }

  void parameters_changed() override {
    bottom_.refresh();
    top_.refresh();
  }

 private:
  void reserve(size_t rows) {
    if (rows <= capacity_) return;
    z_ = Buffer<float>(rows * z_stride_, "interaction outputs");
    if (has_dense_) dense_out_ = Buffer<float>(rows * dense_stride_, "bottom MLP outputs");
    if (options_.train) {
      z_grad_ = Buffer<float>(rows * z_stride_, "interaction gradients");
      if (has_dense_) dense_grad_ = Buffer<float>(rows * dense_stride_, "bottom MLP gradients");
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

  const Mlp& head() const override { return top_; }

  double squared_gradient_norm() override {
    return top_.squared_gradient_norm() + bottom_.squared_gradient_norm() + embeddings_.squared_gradient_norm();
  }

  void drop() {
    top_.drop();
    bottom_.drop();
    embeddings_.drop();
  }

  void run_forward(const Batch& batch) override {
    check_indices(batch);
    reserve(batch.rows);
    if (has_dense_) bottom_.forward(batch.dense, dense_width_, batch.rows, dense_out_.data(), dense_stride_);
    interaction(batch);
    top_.forward(z_.data(), z_stride_, batch.rows, logits(), outputs());
  }

  /// The vectors of sample b into x [vectors, width]: the bottom MLP's output, then its row of each table. The rows of
  /// sample `next` are sent for on the way, one by one: a burst would outrun what the memory can have in flight.
  void gather(const Batch& batch, size_t b, size_t next, float* x) const {
    if (has_dense_) {
      std::copy_n(dense_out_.data() + b * dense_stride_, width_, x);
      x += width_;
    }
    for (size_t t = 0; t < embeddings_.tables(); ++t, x += width_) {
      const int32_t* index = batch.categorical + t * batch.rows;
      prefetch(embeddings_.row(t, index[next]), width_);
      if (rounding() == Rounding::kNone) {
        copy_row(x, embeddings_.row(t, index[b]), width_);
      } else {
        kernels().round(x, embeddings_.row(t, index[b]), width_, rounding());
      }
    }
  }

  /// z [rows, top_in]: the bottom MLP's output, then the products of the sample's vectors.
  void interaction(const Batch& batch) {
    const Kernels& k = kernels();
    parallel_for(batch.rows, kSampleGrain, [&](size_t begin, size_t end) {
      Buffer<float> x(vectors_ * width_, "vectors of a sample");
      for (size_t b = begin; b < end; ++b) {
        float* z = z_.data() + b * z_stride_;
        gather(batch, b, std::min(b + ahead_, end - 1), x.data());
        if (has_dense_ || vectors_ == 1) std::copy_n(x.data(), width_, z);
        if (vectors_ == 1) continue;
        float* products = z + (has_dense_ ? width_ : 0);
        k.dot_triangle(x.data(), vectors_, width_, products);
      }
    });
  }

  /// From z_grad to the gradients of the sample's vectors: the bottom MLP's output's to dense_grad, the others' to their rows.
  void interaction_grad(const Batch& batch) {
    const Kernels& k = kernels();
    parallel_for(batch.rows, kSampleGrain, [&](size_t begin, size_t end) {
      Buffer<float> x(vectors_ * width_, "vectors of a sample");
      Buffer<float> dx(vectors_ * width_, "vectors of a sample");
      std::vector<float> symmetric(vectors_ * vectors_);
      for (size_t b = begin; b < end; ++b) {
        const float* dz = z_grad_.data() + b * z_stride_;
        if (vectors_ > 1) {
          gather(batch, b, std::min(b + ahead_, end - 1), x.data());
          k.dot_triangle_grad(dz + (has_dense_ ? width_ : 0), x.data(), vectors_, width_, symmetric.data(), dx.data());
          if (has_dense_) k.axpy(dx.data(), dz, 1.0F, width_);
        } else {
          std::copy_n(dz, width_, dx.data());
        }
        const float* grad = dx.data();
        if (has_dense_) {
          std::copy_n(grad, width_, dense_grad_.data() + b * dense_stride_);
          grad += width_;
        }
        for (size_t t = 0; t < embeddings_.tables(); ++t, grad += width_) embeddings_.give(t, b, grad);
      }
    });
  }

  size_t width_;
  bool has_dense_;
  size_t dense_width_;
  size_t vectors_;  // per sample: tables, plus the bottom MLP's output
  size_t pairs_;
  size_t top_in_;
  size_t z_stride_;
  size_t dense_stride_;
  size_t ahead_;  // samples whose rows are on their way to the cache
  Rng rng_;
  Embeddings embeddings_;
  Mlp bottom_;
  Mlp top_;
  size_t capacity_ = 0;
  Buffer<float> z_, z_grad_, dense_out_, dense_grad_;
};

}  // namespace

std::unique_ptr<Model> make_dlrm(const DlrmSpec& spec, const ModelOptions& options) {
  check(spec);
  return std::make_unique<Dlrm>(spec, options);
}

}  // namespace sluice
