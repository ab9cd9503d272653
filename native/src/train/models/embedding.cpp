#include "train/models/embedding.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "base/error.h"
#include "base/memory.h"
#include "train/compute.h"
#include "train/optimizer.h"

namespace sluice {

namespace {

std::string parameter_name(size_t table) { return "embeddings." + std::to_string(table) + ".weight"; }

bool is_rowwise(const Optimizer& o) { return o.kind == OptimizerKind::kRowwiseAdagrad; }
bool is_adam(const Optimizer& o) { return o.kind == OptimizerKind::kAdam || o.kind == OptimizerKind::kAdamW; }

void check_sparse(const Optimizer& o, const std::string& name) {
  if (o.kind == OptimizerKind::kAdamW || o.weight_decay != 0.0F || o.momentum != 0.0F) {
    throw Error(code::kArgument, name + ": an embedding table takes sgd, adagrad, row-wise adagrad or adam, without weight decay and momentum: "
                                        "they would change rows that no sample touched");
  }
}

/// Numbers rows in the order of their first appearance.
class RowNumbers {
 public:
  explicit RowNumbers(size_t n) {
    size_t slots = 16;
    while (slots < 2 * n) slots *= 2;
    slots_.assign(slots, {kEmpty, 0});
  }
  uint32_t of(uint32_t row) {
    const size_t mask = slots_.size() - 1;
    size_t at = (row * 0x9E3779B1U >> 7) & mask;
    while (slots_[at].number != kEmpty && slots_[at].row != row) at = (at + 1) & mask;
    if (slots_[at].number == kEmpty) slots_[at] = {count_++, row};
    return slots_[at].number;
  }

 private:
  static constexpr uint32_t kEmpty = UINT32_MAX;
  struct Slot {
    uint32_t number;
    uint32_t row;
  };
  std::vector<Slot> slots_;
  uint32_t count_ = 0;
};

}  // namespace

Embeddings::Embeddings(const std::vector<uint64_t>& rows, uint32_t width, const ModelOptions& options) : width_(width), tables_(rows.size()) {
  if (options.train) {
    for (size_t t = 0; t < rows.size(); ++t) {
      tables_[t].optimizer = optimizer_of(options, parameter_name(t), options.embedding_optimizer);
      check_sparse(tables_[t].optimizer, parameter_name(t));
    }
  }
  require_memory(bytes_of(rows), "the embedding tables and their optimizer's state");
  for (size_t t = 0; t < rows.size(); ++t) {
    Table& table = tables_[t];
    const size_t size = rows[t] * width;
    table.rows = rows[t];
    table.weight = Buffer<float>(size, "embedding table");
    if (!options.train) continue;
    if (table.optimizer.kind != OptimizerKind::kSgd) table.first = Buffer<float>(is_rowwise(table.optimizer) ? rows[t] : size, "embedding optimizer state");
    if (is_adam(table.optimizer)) table.second = Buffer<float>(size, "embedding optimizer state");
  }
  parallel_for(tables_.size(), 1, [&](size_t begin, size_t end) {
    for (size_t t = begin; t < end; ++t) {
      Rng rng(options.seed, 1000 + t);
      const double bound = 1.0 / std::sqrt(static_cast<double>(tables_[t].rows));
      for (float& w : tables_[t].weight) w = static_cast<float>((2.0 * rng.uniform() - 1.0) * bound);
    }
  });
}

uint64_t Embeddings::bytes_of(const std::vector<uint64_t>& rows) const {
  uint64_t floats = 0;
  for (size_t t = 0; t < rows.size(); ++t) {
    const Optimizer& o = tables_[t].optimizer;  // plain SGD where nothing is trained
    const uint64_t states = is_adam(o) ? 2 * uint64_t{width_} : is_rowwise(o) ? 1 : o.kind == OptimizerKind::kSgd ? 0 : width_;
    floats += rows[t] * (width_ + states);
  }
  return floats * sizeof(float);
}

Embeddings::Step Embeddings::step_of(const Table& table, float lr_factor, float scale) const {
  Step step{lr_factor, scale, {}};
  if (is_adam(table.optimizer)) step.adam = adam_step(table.optimizer, updates_ + 1, lr_factor, scale, true);
  return step;
}

void Embeddings::begin(const int32_t* categorical, size_t n, Mode mode, float lr_factor) {
  categorical_ = categorical;
  n_ = n;
  steps_.clear();
  for (const Table& table : tables_) steps_.push_back(step_of(table, lr_factor, 1.0F));
  parallel_for(tables_.size(), 1, [&](size_t begin, size_t end) {
    for (size_t t = begin; t < end; ++t) {
      place_samples(tables_[t], categorical + t * n, n, mode);
      reserve_kept(tables_[t]);
    }
  });
}

void Embeddings::place_samples(Table& table, const int32_t* index, size_t n, Mode mode) {
  table.place.resize(n);
  std::vector<uint32_t> counts;
  if (mode == Mode::kUpdate) {
    RowNumbers numbers(n);
    counts.reserve(n);
    for (size_t b = 0; b < n; ++b) {
      table.place[b] = numbers.of(static_cast<uint32_t>(index[b]));
      if (table.place[b] == counts.size()) counts.push_back(0);
      ++counts[table.place[b]];
    }
  }
  for (size_t b = 0; b < n; ++b) {
    if (mode == Mode::kUpdate && counts[table.place[b]] == 1) {
      table.place[b] = kAlone;
    } else {
      table.place[b] = static_cast<uint32_t>(table.kept_rows.size());
      table.kept_rows.push_back(static_cast<uint32_t>(index[b]));
    }
  }
}

void Embeddings::reserve_kept(Table& table) const {
  const size_t needed = table.kept_rows.size() * size_t{width_};
  if (needed <= table.kept.size()) return;
  Buffer<float> larger(std::max(needed, table.kept.size() * 3 / 2), "embedding gradients");
  std::copy_n(table.kept.data(), table.kept.size(), larger.data());
  table.kept = std::move(larger);
}

void Embeddings::give(size_t t, size_t sample, const float* grad) {
  Table& table = tables_[t];
  const uint32_t place = table.place[sample];
  if (place == kAlone) {
    apply(table, static_cast<size_t>(categorical_[t * n_ + sample]), grad, steps_[t]);
  } else {
    std::copy_n(grad, width_, table.kept.data() + size_t{place} * width_);
  }
}

void Embeddings::group(Table& table) {
  const size_t n = table.kept_rows.size();
  RowNumbers numbers(n);
  std::vector<uint32_t> number(n);
  table.groups.clear();
  for (size_t i = 0; i < n; ++i) {
    number[i] = numbers.of(table.kept_rows[i]);
    if (number[i] == table.groups.size()) table.groups.push_back({table.kept_rows[i], 0, 0});
    ++table.groups[number[i]].count;
  }
  uint32_t first = 0;
  std::vector<uint32_t> next;
  next.reserve(table.groups.size());
  for (Group& group : table.groups) {
    group.first = first;
    next.push_back(first);
    first += group.count;
  }
  table.order.resize(n);
  for (size_t i = 0; i < n; ++i) table.order[next[number[i]]++] = static_cast<uint32_t>(i);
}

/// Calls work(table index, group, scratch [width]) for every group of kept gradients, no two threads with the same row.
template <typename Work>
void Embeddings::for_each_group(const Work& work) {
  if (tables_.empty()) return;
  const size_t shards = std::max<size_t>(1, (2 * static_cast<size_t>(compute_threads()) + tables_.size() - 1) / tables_.size());
  parallel_for(tables_.size(), 1, [&](size_t begin, size_t end) {
    for (size_t t = begin; t < end; ++t) group(tables_[t]);
  });
  parallel_for(tables_.size() * shards, 1, [&](size_t begin, size_t end) {
    std::vector<float> sum(width_);
    for (size_t unit = begin; unit < end; ++unit) {
      Table& table = tables_[unit / shards];
      for (size_t g = unit % shards; g < table.groups.size(); g += shards) work(unit / shards, table.groups[g], sum);
    }
  });
}

void Embeddings::add_up(const Table& table, const Group& group, std::vector<float>& sum) const {
  const float* kept = table.kept.data();
  std::copy_n(kept + size_t{table.order[group.first]} * width_, width_, sum.data());
  for (uint32_t i = 1; i < group.count; ++i) kernels().axpy(sum.data(), kept + size_t{table.order[group.first + i]} * width_, 1.0F, width_);
}

double Embeddings::squared_gradient_norm() {
  std::vector<std::vector<double>> parts(tables_.size());
  for (size_t t = 0; t < tables_.size(); ++t) parts[t].resize(tables_[t].kept_rows.size());
  for_each_group([&](size_t t, const Group& group, std::vector<float>& sum) {
    add_up(tables_[t], group, sum);
    parts[t][group.first] = kernels().sum_squares(sum.data(), width_);
  });
  double total = 0.0;
  for (const auto& part : parts) {
    for (const double square : part) total += square;
  }
  return total;
}

void Embeddings::update(float lr_factor, float gradient_scale) {
  std::vector<Step> steps;
  for (const Table& table : tables_) steps.push_back(step_of(table, lr_factor, gradient_scale));
  for_each_group([&](size_t t, const Group& group, std::vector<float>& sum) { apply(tables_[t], group, steps[t], sum); });
  drop();
  ++updates_;
}

void Embeddings::drop() {
  for (Table& table : tables_) table.kept_rows.clear();
}

void Embeddings::apply(Table& table, const Group& group, const Step& step, std::vector<float>& sum) const {
  if (table.optimizer.kind == OptimizerKind::kSgd) {
    for (uint32_t i = 0; i < group.count; ++i) apply(table, group.row, table.kept.data() + size_t{table.order[group.first + i]} * width_, step);
    return;
  }
  add_up(table, group, sum);
  apply(table, group.row, sum.data(), step);
}

void Embeddings::apply(Table& table, size_t row, const float* grad, const Step& step) const {
  const Kernels& k = kernels();
  const Optimizer& o = table.optimizer;
  const size_t at = row * width_;
  const float lr = o.lr * step.lr_factor;
  float* weight = table.weight.data() + at;
  switch (o.kind) {
    case OptimizerKind::kSgd: k.axpy(weight, grad, -lr * step.scale, width_); break;
    case OptimizerKind::kAdagrad: k.adagrad(weight, table.first.data() + at, grad, {lr, o.eps, 0.0F, step.scale}, width_); break;
    case OptimizerKind::kRowwiseAdagrad: {
      float& state = table.first[row];
      const double square = k.sum_squares(grad, width_) * static_cast<double>(step.scale) * static_cast<double>(step.scale);
      state += static_cast<float>(square / width_);
      k.axpy(weight, grad, -lr * step.scale / (std::sqrt(state) + o.eps), width_);
      break;
    }
    case OptimizerKind::kAdam:
    case OptimizerKind::kAdamW: k.adam(weight, table.first.data() + at, table.second.data() + at, grad, step.adam, width_); break;
  }
}

std::vector<NamedTensor> Embeddings::parameters() {
  std::vector<NamedTensor> all;
  for (size_t t = 0; t < tables_.size(); ++t) {
    all.push_back({parameter_name(t), {static_cast<int64_t>(tables_[t].rows), static_cast<int64_t>(width_)}, tables_[t].weight.data()});
  }
  return all;
}

void Embeddings::append_state(std::vector<NamedTensor>& all) {
  for (size_t t = 0; t < tables_.size(); ++t) {
    Table& table = tables_[t];
    if (!table.first.empty()) all.push_back({parameter_name(t) + ".first", {static_cast<int64_t>(table.first.size())}, table.first.data()});
    if (!table.second.empty()) all.push_back({parameter_name(t) + ".second", {static_cast<int64_t>(table.second.size())}, table.second.data()});
  }
}

}  // namespace sluice
