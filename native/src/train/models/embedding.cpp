#include "train/models/embedding.h"

#include <algorithm>
#include <cmath>

#include "train/compute.h"
#include "train/kernels.h"

namespace sluice {

namespace {
constexpr size_t kPrefetchAhead = 8;  // samples; enough to hide a miss behind the rows before it

void prefetch_row(const float* row, size_t width) {
  for (size_t i = 0; i < width; i += 16) __builtin_prefetch(row + i, 1);
}
}  // namespace

Embeddings::Embeddings(const std::vector<uint64_t>& rows, uint32_t width, const ModelOptions& options)
    : width_(width), optimizer_(options.embedding_optimizer), tables_(rows.size()) {
  for (size_t t = 0; t < rows.size(); ++t) {
    Table& table = tables_[t];
    const size_t size = rows[t] * width;
    table.rows = rows[t];
    table.weight = Buffer<float>(size, "embedding table");
    if (options.train && optimizer_.kind != OptimizerKind::kSgd) table.first = Buffer<float>(size, "embedding optimizer state");
    if (options.train && optimizer_.kind == OptimizerKind::kAdam) table.second = Buffer<float>(size, "embedding optimizer state");
  }
  parallel_for(tables_.size(), 1, [&](size_t begin, size_t end) {
    for (size_t t = begin; t < end; ++t) {
      Rng rng(options.seed, 1000 + t);
      const double bound = 1.0 / std::sqrt(static_cast<double>(tables_[t].rows));
      for (float& w : tables_[t].weight) w = static_cast<float>((2.0 * rng.uniform() - 1.0) * bound);
    }
  });
}

void Embeddings::update(const int32_t* categorical, size_t n, const float* grad, size_t sample_stride) {
  ++t_;
  // Work units are (table, shard): a row belongs to the shard of its index, so no two threads touch one row.
  const size_t threads = static_cast<size_t>(compute_threads());
  const size_t shards = std::max<size_t>(1, (2 * threads + tables_.size() - 1) / tables_.size());
  parallel_for(tables_.size() * shards, 1, [&](size_t begin, size_t end) {
    for (size_t unit = begin; unit < end; ++unit) {
      const size_t t = unit / shards;
      const int32_t* index = categorical + t * n;
      const float* table_grad = grad + t * width_;
      if (optimizer_.kind == OptimizerKind::kSgd) {
        update_sgd(tables_[t], index, n, table_grad, sample_stride, unit % shards, shards);
      } else {
        update_adaptive(tables_[t], index, n, table_grad, sample_stride, unit % shards, shards);
      }
    }
  });
}

void Embeddings::update_sgd(Table& table, const int32_t* index, size_t n, const float* grad, size_t stride, size_t shard, size_t shards) {
  const Kernels& k = kernels();
  for (size_t b = 0; b < n; ++b) {
    if (b + kPrefetchAhead < n) prefetch_row(table.weight.data() + static_cast<size_t>(index[b + kPrefetchAhead]) * width_, width_);
    const auto row = static_cast<size_t>(index[b]);
    if (shards > 1 && row % shards != shard) continue;
    k.axpy(table.weight.data() + row * width_, grad + b * stride, -optimizer_.lr, width_);
  }
}

void Embeddings::update_adaptive(Table& table, const int32_t* index, size_t n, const float* grad, size_t stride, size_t shard, size_t shards) {
  const Kernels& k = kernels();
  std::vector<uint64_t> order;  // (row, sample): sorting groups the duplicates of a row in sample order
  order.reserve(n);
  for (size_t b = 0; b < n; ++b) {
    const auto row = static_cast<uint64_t>(static_cast<uint32_t>(index[b]));
    if (row % shards == shard) order.push_back(row << 32 | b);
  }
  std::sort(order.begin(), order.end());
  const double correction2 = std::sqrt(1.0 - std::pow(static_cast<double>(optimizer_.beta2), static_cast<double>(t_)));
  AdamStep adam{optimizer_.lr, optimizer_.beta1, optimizer_.beta2, 0.0F, 0.0F, static_cast<float>(correction2)};
  adam.correction1 = static_cast<float>(1.0 - std::pow(static_cast<double>(optimizer_.beta1), static_cast<double>(t_)));
  adam.eps = static_cast<float>(optimizer_.eps / correction2);  // torch.optim.SparseAdam adds eps before the correction
  std::vector<float> sum(width_);
  for (size_t i = 0; i < order.size();) {
    const uint64_t row = order[i] >> 32;
    std::fill(sum.begin(), sum.end(), 0.0F);
    for (; i < order.size() && order[i] >> 32 == row; ++i) k.axpy(sum.data(), grad + (order[i] & 0xffffffffU) * stride, 1.0F, width_);
    const size_t at = row * width_;
    if (optimizer_.kind == OptimizerKind::kAdagrad) {
      k.adagrad(table.weight.data() + at, table.first.data() + at, sum.data(), optimizer_.lr, optimizer_.eps, width_);
    } else {
      k.adam(table.weight.data() + at, table.first.data() + at, table.second.data() + at, sum.data(), adam, width_);
    }
  }
}

std::vector<NamedTensor> Embeddings::parameters() {
  std::vector<NamedTensor> all;
  for (size_t t = 0; t < tables_.size(); ++t) {
    all.push_back({"embeddings." + std::to_string(t) + ".weight", {static_cast<int64_t>(tables_[t].rows), static_cast<int64_t>(width_)}, tables_[t].weight.data()});
  }
  return all;
}

}  // namespace sluice
