#include "train/models/embedding.h"

#include <algorithm>
#include <cmath>

#include "train/compute.h"

namespace sluice {

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

/// Finds the rows that occur more than once, and gives their samples places: groups in the order of their first sample,
/// the samples of a group in theirs.
void Embeddings::group(Table& table, const int32_t* index, size_t n) {
  constexpr uint32_t kEmpty = UINT32_MAX;
  struct Slot {
    uint32_t group;  // of `all`
    int32_t row;
  };
  size_t slots = 16;
  while (slots < 2 * n) slots *= 2;
  std::vector<Slot> hash(slots, {kEmpty, 0});
  std::vector<Group> all;
  all.reserve(n);
  table.place.resize(n);
  for (size_t b = 0; b < n; ++b) {
    size_t at = (static_cast<uint32_t>(index[b]) * 0x9E3779B1U) & (slots - 1);
    while (hash[at].group != kEmpty && hash[at].row != index[b]) at = (at + 1) & (slots - 1);
    if (hash[at].group == kEmpty) {
      hash[at] = {static_cast<uint32_t>(all.size()), index[b]};
      all.push_back({static_cast<uint32_t>(index[b]), 0, 0});
    }
    ++all[hash[at].group].count;
    table.place[b] = hash[at].group;
  }
  uint32_t kept = 0;
  for (Group& group : all) {
    group.first = group.count > 1 ? kept : kAlone;
    kept += group.count > 1 ? group.count : 0;
  }
  table.groups.clear();
  for (const Group& group : all) {
    if (group.count > 1) table.groups.push_back(group);
  }
  for (uint32_t& place : table.place) {
    Group& group = all[place];
    place = group.first == kAlone ? kAlone : group.first++;
  }
}

void Embeddings::begin_step(const int32_t* categorical, size_t n) {
  ++t_;
  categorical_ = categorical;
  n_ = n;
  const double correction2 = std::sqrt(1.0 - std::pow(static_cast<double>(optimizer_.beta2), static_cast<double>(t_)));
  adam_ = {optimizer_.lr, optimizer_.beta1, optimizer_.beta2, 0.0F, 0.0F, static_cast<float>(correction2)};
  adam_.correction1 = static_cast<float>(1.0 - std::pow(static_cast<double>(optimizer_.beta1), static_cast<double>(t_)));
  adam_.eps = static_cast<float>(optimizer_.eps / correction2);  // torch.optim.SparseAdam adds eps before the correction
  parallel_for(tables_.size(), 1, [&](size_t begin, size_t end) {
    for (size_t t = begin; t < end; ++t) {
      Table& table = tables_[t];
      group(table, categorical + t * n, n);
      const size_t kept = table.groups.empty() ? 0 : (table.groups.back().first + table.groups.back().count) * size_t{width_};
      if (kept > table.kept.size()) table.kept = Buffer<float>(kept, "embedding gradients");
    }
  });
}

void Embeddings::give(size_t t, size_t sample, const float* grad) {
  Table& table = tables_[t];
  const uint32_t place = table.place[sample];
  if (place == kAlone) {
    apply(table, static_cast<size_t>(categorical_[t * n_ + sample]), grad);
  } else {
    std::copy_n(grad, width_, table.kept.data() + size_t{place} * width_);
  }
}

void Embeddings::finish_step() {
  if (tables_.empty()) return;
  // Work units are (table, shard of its groups): no two threads touch one row.
  const size_t shards = std::max<size_t>(1, (2 * static_cast<size_t>(compute_threads()) + tables_.size() - 1) / tables_.size());
  parallel_for(tables_.size() * shards, 1, [&](size_t begin, size_t end) {
    std::vector<float> sum(width_);
    for (size_t unit = begin; unit < end; ++unit) {
      Table& table = tables_[unit / shards];
      for (size_t g = unit % shards; g < table.groups.size(); g += shards) apply(table, table.groups[g], sum);
    }
  });
}

void Embeddings::apply(Table& table, const Group& group, std::vector<float>& sum) {
  const Kernels& k = kernels();
  const float* grads = table.kept.data() + size_t{group.first} * width_;
  if (optimizer_.kind == OptimizerKind::kSgd) {
    for (uint32_t i = 0; i < group.count; ++i) apply(table, group.row, grads + size_t{i} * width_);
    return;
  }
  std::copy_n(grads, width_, sum.data());
  for (uint32_t i = 1; i < group.count; ++i) k.axpy(sum.data(), grads + size_t{i} * width_, 1.0F, width_);
  apply(table, group.row, sum.data());
}

void Embeddings::apply(Table& table, size_t row, const float* grad) {
  const Kernels& k = kernels();
  const size_t at = row * width_;
  float* weight = table.weight.data() + at;
  switch (optimizer_.kind) {
    case OptimizerKind::kSgd: k.axpy(weight, grad, -optimizer_.lr, width_); break;
    case OptimizerKind::kAdagrad: k.adagrad(weight, table.first.data() + at, grad, optimizer_.lr, optimizer_.eps, width_); break;
    case OptimizerKind::kAdam: k.adam(weight, table.first.data() + at, table.second.data() + at, grad, adam_, width_); break;
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
